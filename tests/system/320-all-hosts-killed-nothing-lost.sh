#!/bin/bash
# SPDX-License-Identifier: MIT
# All hosts die at once, as in a power cut of the site, and start again: every acknowledged write is there.
. "$(dirname "$0")/../lib/cluster.sh"
begin_cluster
must 'four hosts start' cluster_up 4
must 'a 2+1 volume with a local full leg is served' create_2_1 vol
must 'a client writes and reads it' load_start vol --blocks 8192 --depth 32 --give-up 60
sleep 2
killers=()
for h in hostA hostB hostC hostD; do
	dev kill "$h" >/dev/null 2>&1 &
	killers+=("$!")
done
wait "${killers[@]}"
not_ok 'nobody serves the volume' serves vol
for h in hostA hostB hostC hostD; do
	must "$h is started again" dev start "$h"
done
if ! wait_for 10 serves vol; then
	must 'the volume is promoted' hf promote vol --to hostA
fi
ok 'the volume is served' wait_for 10 serves vol
ok 'every leg is in sync' wait_insync vol 60
sleep 1
ok 'no acknowledged write is lost, nothing wrong is read' load_stop
ok 'read again by another connection' load_check vol
figure "power cut of four hosts: longest pause $(load_figure stall_ms) ms"
finish
