#!/bin/bash
# SPDX-License-Identifier: MIT
# A host dies that was primary of several volumes: one command promotes them all at once, those that stand the fewest
# further faults first, and spreads them over the hosts that are left. Then a host dies whose volume needs no command.
# shellcheck source-path=SCRIPTDIR source=../lib/cluster.sh
. "$(dirname "$0")/../lib/cluster.sh"
begin_cluster
need jq
must 'four hosts start' cluster_up 4
make_volume() { hf volume create "$1" --tenant acme --size 16M --layout "$2" --hosts "$3" --json >/dev/null; }
must 'three mirrors and three coded volumes are served by hostA' eval '
	for v in m1 m2 m3; do make_volume $v 1+2 hostA,hostB,hostC || exit 1; done
	for v in c1 c2 c3; do make_volume $v 2+1 hostA,hostB,hostD || exit 1; done'
must 'a client writes and reads' load_start c2 --blocks 512 --depth 8
must 'hostA is killed' dev kill hostA
ok 'its volumes fail over by one command' eval 'hf failover hostA --json >"$T/all.json"'
ok 'all six' jq -e 'length == 6 and all(.outcome == "promoted" and .ops_lost == 0 and .from_primary == "hostA")' \
	"$T/all.json"
ok 'those of less tolerance come first' jq -e '[.[].volume] == ["c1", "c2", "c3", "m1", "m2", "m3"]' "$T/all.json"
ok 'to more than one host' jq -e '[.[].primary] | unique | length > 1' "$T/all.json"
# Each was begun before any was over: began = end - phases.
ok 'at one time' jq -e 'map((.time | capture("(?<s>.*)[.](?<f>[0-9]{3})")) as $t |
	(($t.s + "Z" | fromdate) * 1000 + ($t.f | tonumber)) as $at |
	{at: $at, began: ($at - .phases_ms.total)}) |
	(map(.began) | max) < (map(.at) | min)' "$T/all.json"
ok 'the client saw neither a lost nor a stale block' load_stop
must 'hostA starts again' dev start hostA
ok 'all legs are in sync' wait_insync c2 60
ok 'a volume is left to its hosts' hf volume set m1 --failover auto
old=$(hf volume show m1 --json | jq -r .primary)
ok 'and says so' wait_for 10 eval 'hf volume show m1 --json | jq -e ".failover == \"auto\""'
must "its primary $old is killed" dev kill "$old"
moved() { hf volume show m1 --json | jq -e --arg old "$old" '.primary != $old and .state != "stopped" and .epoch > 2'; }
ok 'another serves it without a command' wait_for 30 moved
ok 'which is told in the events' eval 'hf events m1 -n 50 --json | grep -q primary-dead'
ok 'the others wait for one' eval '
	hf volume list --json | jq -e --arg old "$old" "[.volumes[] | select(.primary == \$old)] | length > 0"'
finish
