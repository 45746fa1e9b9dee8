#!/bin/bash
# SPDX-License-Identifier: MIT
# A primary that still answers is moved without a wait for its leases: it steps down and gives them back. A dry run
# before it shows what the promotion then decides. A client that reconnects loses nothing.
# shellcheck source-path=SCRIPTDIR source=../lib/cluster.sh
. "$(dirname "$0")/../lib/cluster.sh"
begin_cluster
need jq
must 'four hosts start' cluster_up 4
must 'a volume is served' create_2_1 vol
must 'a client writes and reads' load_start vol --blocks 2048 --depth 16
ok 'a dry run sees every leg' eval 'hf promote vol --to hostB --dry-run --json >"$T/dry.json"'
ok 'and would go on' jq -e '.outcome == "dry-run" and .refusal == null and all(.legs[]; .answered and .valid)' \
	"$T/dry.json"
ok 'it changed nothing' eval 'hf volume show vol --json | jq -e ".primary == \"hostA\" and .epoch == 1"'
ok 'the volume is moved under load' eval 'hf promote vol --to hostB --json >"$T/cert.json"'
ok 'nothing is lost' jq -e '.outcome == "promoted" and .ops_lost == 0 and .from_primary == "hostA"' "$T/cert.json"
ok 'the old primary knows why it stopped' grep -q 'an operator moves it to another host' "$C"/hostA/*.log
ok 'and moved back' eval 'hf promote vol --to hostA --json >"$T/back.json"'
waited() { jq .phases_ms.lease_wait "$1"; }
figure "lease_wait there $(waited "$T/cert.json") ms, back $(waited "$T/back.json") ms"
ok 'the client saw neither a lost nor a stale block' load_stop
ok 'all legs are in sync' wait_insync vol 60
must 'hostC is killed' dev kill hostC
ok 'with a host gone a dry run names it' wait_for 20 eval \
	'hf promote vol --to hostB --dry-run --json | jq -e ".legs[] | select(.host == \"hostC\") | .valid == false"'
must 'hostC starts again' dev start hostC
ok 'all legs are in sync again' wait_insync vol 60
ok 'the volume is deleted' wait_for 20 hf volume delete vol
not_ok 'it is not served any more' serves vol
ok 'no daemon died of it' eval 'for h in A B C D; do hf host show host$h --json | jq -e .alive || exit 1; done'
ok 'no leg of it is left' test -z "$(find "$C" -name '*.leg')"
finish
