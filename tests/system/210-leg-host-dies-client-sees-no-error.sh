#!/bin/bash
# SPDX-License-Identifier: MIT
# Killing any one host that keeps a fragment costs the client a pause, never an error and never an acknowledged write.
. "$(dirname "$0")/../lib/cluster.sh"
begin_cluster
must 'four hosts start' cluster_up 4
must 'a 2+1 volume with a local full leg is served' create_2_1 vol
must 'a client writes and reads it' load_start vol --blocks 8192 --depth 16

# The load goes on all the while; two seconds without the host give it time to meet every kind of delay.
one_host() {
	must "$1 is killed" dev kill "$1"
	sleep 2
	ok "the volume is served without $1" serves vol
	must "$1 is started again" dev start "$1"
	ok "$1's leg comes back without a command" wait_insync vol 60
}
one_host hostB
one_host hostC
one_host hostD

ok 'the client saw no error and every block is right' load_stop
ok 'the connection was never cut' test "$(load_figure reconnects)" = 0
ok 'full tolerance again' tolerance_is vol 2
figure "3 fragment hosts killed: $(load_figure acked) writes acknowledged," \
	"longest stall $(load_figure stall_ms) ms"
finish
