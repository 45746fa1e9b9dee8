#!/bin/bash
# SPDX-License-Identifier: MIT
# 200 daemons and more die by kill -9, in every role, among frozen, cut-off and deaf hosts and rotten legs: `holdfast
# torture`, with an oracle of its own, finds no acknowledged write lost, nothing stale, wrong or torn.
. "$(dirname "$0")/../lib/cluster.sh"
begin_cluster
# shellcheck disable=SC2034 # each torture has a cluster of its own below it
C=$T
SEED=${SEED:-1}

# torture NAME OPTION...: in the background, its report in $T/NAME.log; its pid in pid[NAME].
declare -A pid
torture() {
	local name=$1
	shift
	start_bg "$name" "$BIN/holdfast" torture --json --in "$T" --seed "$SEED" "$@"
	pid[$name]=$BG
}

# What a report says: field NAME .a.b
field() { sed -n '/^{$/,/^}$/p' "$T/$1.log" | jq -r "$2"; }

judge() {
	local name=$1 what
	ok "$name: the torture ends well" wait "${pid[$name]}"
	for what in lost stale wrong torn errors; do
		ok "$name: $what 0" test "$(field "$name" ".$what")" = 0
	done
	ok "$name: every wait ended" test "$(field "$name" .stuck)" = null
	ok "$name: every fault was injected" test "$(field "$name" .faults_total)" = "$2"
	ok "$name: writes were acknowledged" test "$(field "$name" .acked)" -gt 1000
	figure "$name: seed $SEED, $(field "$name" .faults_total) faults, $(field "$name" .kills) kills," \
		"$(field "$name" .acked) writes acknowledged, failover p50 $(field "$name" .failover_ms.p50) ms," \
		"p99 $(field "$name" .failover_ms.p99) ms, max $(field "$name" .failover_ms.max) ms," \
		"longest stall $(field "$name" .stall_ms.max) ms"
}

# Side by side: much of a failover is waiting for leases.
torture mixed --count 64
torture kills --count 70 --faults kill-leg,kill-all
torture mirror --layout 1+1 --count 45 --faults kill-leg,kill-primary,kill-all,restart-primary,freeze-primary
torture alone --layout 2+1 --count 30 --faults lose-primary
judge mixed 64
judge kills 70
judge mirror 45
judge alone 30

# But for those that this machine does not allow, which the report names.
all_kinds() { field mixed .faults | jq -e 'length == 15 and all(.count > 0 or .skipped != null)'; }
ok 'mixed: every kind of fault was injected' all_kinds
all() { jq -s "$1" <(field mixed .) <(field kills .) <(field mirror .) <(field alone .); }
kills=$(all 'map(.kills) | add')
ok 'at least 200 processes were killed' test "$kills" -ge 200
for what in acked lost stale wrong torn; do
	all "{name: \"torture_$what\", value: (map(.$what) | add)}" | jq -c . | sed 's/^/# score: /'
done
echo "# score: {\"name\":\"torture_kills\",\"value\":$kills}"
for p in p50 p99 max; do
	all "{name: \"torture_failover_${p}_ms\", value: (map(.failover_ms.$p) | max)}" | jq -c . | sed 's/^/# score: /'
done
for p in p50 p99 max; do
	field alone "{name: \"unplanned_failover_${p}_ms\", value: .failover_ms.$p}" | jq -c . | sed 's/^/# score: /'
done
all '{name: "torture_stall_p99_ms", value: (map(.stall_ms.p99) | max)}' | jq -c . | sed 's/^/# score: /'
finish
