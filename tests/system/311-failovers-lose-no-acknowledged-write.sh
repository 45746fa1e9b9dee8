#!/bin/bash
# SPDX-License-Identifier: MIT
# Three primaries in a row die by kill -9 under load; a client that knows every acknowledged write judges every read.
. "$(dirname "$0")/../lib/cluster.sh"
begin_cluster
must 'four hosts start' cluster_up 4
must 'a 2+1 volume with a local full leg is served' create_2_1 vol
must 'a client writes and reads it' load_start vol --blocks 8192 --depth 32 --reads 30

fail_over() {
	sleep 1
	must "$1, the primary, is killed" dev kill "$1"
	must "$2 is promoted" hf promote vol --to "$2"
	ok "$2 serves" wait_for 10 serves vol
	must "$1 is started again" dev start "$1"
	ok "$1 is resynced" wait_insync vol 60
}
fail_over hostA hostB
fail_over hostB hostC
fail_over hostC hostA

ok 'no acknowledged write is lost, nothing stale or wrong is read' load_stop
ok 'the client met three failovers' test "$(load_figure reconnects)" -ge 3
ok 'read again by another connection' load_check vol
figure "3 failovers: $(load_figure acked) writes acknowledged," \
	"$(load_figure reads) blocks judged, longest pause $(load_figure stall_ms) ms"
finish
