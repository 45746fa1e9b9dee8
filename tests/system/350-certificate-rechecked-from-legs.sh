#!/bin/bash
# SPDX-License-Identifier: MIT
# A promotion's certificate is confirmed, entry by entry, by what the legs hold; one that was changed is not, and a
# damaged leg is named.
# shellcheck source-path=SCRIPTDIR source=../lib/cluster.sh
. "$(dirname "$0")/../lib/cluster.sh"
begin_cluster
need jq
must 'four hosts start' cluster_up 4
must 'a volume is served' create_2_1 vol
must 'a second one is served' create_2_1 other
must 'something is written' "$VERIFY" load "$(nbd_uri vol)" "$T/state" --seconds 1 --blocks 2048 --depth 16
must 'a client goes on to write to the second' load_start other --blocks 2048 --depth 16
must 'their primary is killed' dev kill hostA
hf promote vol --to hostB --dry-run --json >"$T/dry.json"
hf promote vol --to hostB --json >"$T/cert.json"
hf promote other --to hostC --json >"$T/other.json"
must 'they were promoted' jq -es 'all(.outcome == "promoted" and (.history | length > 0))' "$T"/{cert,other}.json

own() { jq -ce '.legs[] | select(.host == "hostB") | [.last_epoch, .last_seq, .chain]' "$1"; }
ok "a dry run had told what the host's own leg holds" test "$(own "$T/dry.json")" = "$(own "$T/cert.json")"

# leg HOST VOLUME: its file.
leg() {
	local uuid
	uuid=$(hf volume show "$2" --json | jq -er --arg h "$1" '.legs[] | select(.host == $h) | .uuid')
	echo "$C/$1/legs/$uuid.leg"
}
# Copies of the first, which nobody writes: it empties its logs once it has rested for a while.
for h in hostA hostB hostC hostD; do
	cp --sparse=always "$(leg $h vol)" "$T/$h.leg"
	legs+=("$T/$h.leg")
	others+=("$(leg $h other)")
done

# verdict CODE PATTERN CERTIFICATE LEG...: the exit code, and a line of the answer.
verdict() {
	local code=$1 pattern=$2 got=0
	shift 2
	"$BIN/holdfast-verify" "$@" >"$T/verdict" 2>&1 || got=$?
	cat "$T/verdict"
	[ "$got" = "$code" ] && grep -qE -e "$pattern" "$T/verdict"
}

ok 'a certificate holds while daemons write' verdict 0 '^ok .*hostC: no op beyond' "$T/other.json" "${others[@]}"
ok 'a leg can be inspected while it is written' "$BIN/holdfast-inspect" "${others[1]}"
must 'the load ends, and lost nothing' load_stop
ok 'it holds when they rest' verdict 0 '^ok .*hostC: no op beyond' "$T/other.json" "${others[@]}"

ok 'the legs confirm it, and every block in their logs decodes' \
	verdict 0 '^ok .* blocks were decoded' "$T/cert.json" "${legs[@]}"
ok 'what was read of each log is told' verdict 0 '^- .*hostC: seq [0-9]+ to [0-9]+ are in its log' "$T/cert.json" \
	"${legs[@]}"
ok 'the former primary knew nothing committed beyond it' \
	verdict 0 '^ok .*hostA: it knew seq [0-9]+ to be committed' "$T/cert.json" "${legs[@]}"
ok 'the legs that are left are enough' verdict 0 'decoded' "$T/cert.json" "${legs[@]:1}"
ok 'one fragment is too few' verdict 4 'give more of them' "$T/cert.json" "${legs[1]}"

# forged EDIT WHAT: edited by hand, it is refused.
forged() {
	jq "$1" "$T/cert.json" >"$T/forged.json"
	ok "$2 is noticed" verdict 1 '^FAILED' "$T/forged.json" "${legs[@]}"
}
forged '.decided.seq -= 1' 'another decided seq'
forged '.decided.seq -= 1 | .acked_at_most -= 1 | .committed -= 1 |
	.legs |= map(if .valid then .last_seq -= 1 | .commit -= 1 else . end)' 'an earlier end, told throughout,'
forged '.decided.chain += 1 | .legs |= map(if .valid then .chain += 1 else . end)' 'another history'
forged '.committed += 1000000' 'another committed seq'
forged '.acked_at_most -= 1' 'another last acknowledged seq'
forged '.history[0].start += 1' 'another beginning of an epoch'
forged '.incarnation |= sub("^........"; "00000000")' 'another incarnation'
jq '.outcome = "dry-run"' "$T/cert.json" >"$T/forged.json"
ok 'a dry run is no certificate' verdict 1 'nothing was decided' "$T/forged.json" "${legs[@]}"
jq 'del(.decided.chain)' "$T/cert.json" >"$T/forged.json"
ok 'a missing field is named' verdict 1 '"chain" is missing' "$T/forged.json" "${legs[@]}"

ok "another volume's leg is refused" verdict 1 '^FAILED .* another volume' "$T/cert.json" "${legs[@]}" "${others[1]}"
ok 'a leg given twice is refused' verdict 1 'are the same leg' "$T/cert.json" "${legs[@]}" "${legs[1]}"
ok 'what is no leg is refused' verdict 1 'not a leg' "$T/cert.json" "${legs[@]}" "$T/cert.json"
ok 'a file that is not there is named' verdict 5 'cannot be opened' "$T/cert.json" "$T/nothing"

# The middle one of the writes of epoch 1 in hostC's log: its seq, and where its fragments begin, 12 bytes before which
# are its checksums.
read -r seq at < <("$BIN/holdfast-inspect" --entries "${legs[2]}" | awk '
	$1 == "write" && $3 == 1 && $13 % 512 >= 16 { seq[n] = $5; at[n++] = $13 }
	END { print seq[int(n / 2)], at[int(n / 2)] }')
must 'the log holds a write' test "${at:-0}" -gt 65536
damaged=$T/damaged.leg
with_damage=("${legs[0]}" "${legs[1]}" "$damaged" "${legs[3]}")
cp --sparse=always "${legs[2]}" "$damaged"
ok 'a copy of a leg is as good' verdict 0 'decoded' "$T/cert.json" "${with_damage[@]}"
flip "$damaged" "$at"
ok "a flipped bit in a fragment is named" verdict 1 \
	"^FAILED +hostC: epoch 1 seq $seq, block [0-9]+: the fragment does not match" "$T/cert.json" "${with_damage[@]}"
not_ok 'an inspection fails' eval '"$BIN/holdfast-inspect" "$damaged" >"$T/inspected" 2>&1'
ok 'and names it too' grep -q "epoch 1 seq $seq, block" "$T/inspected"
flip "$damaged" "$at"
flip "$damaged" $((at - 12))
ok "a flipped bit in an entry's checksums is named" verdict 1 \
	"^FAILED +hostC: batch [0-9]+ at [0-9]+ in the file: entry .* behind seq $((seq - 1)), is damaged" \
	"$T/cert.json" "${with_damage[@]}"
ok 'and its ops are missing there' verdict 1 '^FAILED +hostC: it holds the history' "$T/cert.json" "${with_damage[@]}"

finish
