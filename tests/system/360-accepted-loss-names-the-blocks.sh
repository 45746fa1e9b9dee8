#!/bin/bash
# SPDX-License-Identifier: MIT
# When an acknowledged op cannot be decoded any more, a promotion refuses; with --accept-data-loss it goes on, and its
# certificate names the blocks that are given up (docs/SAFETY.md H27).
# shellcheck source-path=SCRIPTDIR source=../lib/cluster.sh
. "$(dirname "$0")/../lib/cluster.sh"
begin_cluster
need qemu-io
must 'three hosts start' cluster_up 3
must 'a volume of fragments only is served' eval 'hf volume create vol --tenant acme --size 64M --layout 2+1 \
	--hosts hostA,hostB,hostC --min-tolerance 0 && wait_for 10 serves vol'
must 'a client writes' qemu-io -f raw "$(nbd_uri vol)" -c 'write -P 7 0 8k' -c 'write -P 8 80k 8k'
leg() {
	local uuid
	uuid=$(hf volume show vol --json | jq -er --arg h "$1" '.legs[] | select(.host == $h) | .uuid')
	echo "$C/$1/legs/$uuid.leg"
}
damaged=$(leg hostB)
for h in hostA hostB hostC; do
	must "$h is killed" dev kill $h
done
at=$("$BIN/holdfast-inspect" --entries "$damaged" | awk '$1 == "write" { at = $13 } END { print at }')
must 'the log of hostB ends with a write' test "${at:-0}" -gt 65536
# Its checksums stand 12 bytes before its fragments; what a flipped bit makes unreadable may have been acknowledged.
flip "$damaged" $((at - 12))
must 'hostB starts' dev start hostB
must 'hostC starts' dev start hostC

refused=0
hf promote vol --to hostB --json >"$T/refused.json" 2>"$T/refused.err" || refused=$?
cat "$T/refused.err"
ok 'hostA gone and the end of hostB unreadable, the promotion is refused' test "$refused" != 0
not_ok 'and nothing is served' serves vol
ok 'the operator accepts the loss' eval 'hf promote vol --to hostB --accept-data-loss --json >"$T/cert.json"'
cat "$T/cert.json"
ok 'the certificate says so' jq -e '.outcome == "promoted-with-data-loss" and .ops_lost == 1' "$T/cert.json"
ok 'and names the blocks: two, from 20 on' jq -e '.extents == [{"lba": 20, "blocks": 2}]' "$T/cert.json"
ok 'the volume is served' wait_for 10 serves vol
ok 'what was decided is there' qemu-io -r -f raw "$(nbd_uri vol@ro)" -c 'read -P 7 0 8k'
ok 'what was given up reads as before it' qemu-io -r -f raw "$(nbd_uri vol@ro)" -c 'read -P 0 80k 8k'
must 'hostA comes back' dev start hostA
ok 'it does not bring the lost op back: it is rebuilt, and all are in sync' wait_insync vol 60
ok 'still so' qemu-io -r -f raw "$(nbd_uri vol@ro)" -c 'read -P 0 80k 8k'

# The same when a leg knows the op as committed, and has it in its image perhaps: its blocks are lost, and say so.
# The second write tells every leg that the first is committed.
must 'a client writes again' qemu-io -f raw "$(nbd_uri vol)" -c 'write -P 9 160k 8k' -c 'write -P 9 200k 4k'
must 'hostB, now primary, is killed' dev kill hostB
must 'hostA is killed' dev kill hostA
damaged=$(leg hostA)
at=$("$BIN/holdfast-inspect" --entries "$damaged" | awk '$1 == "write" && $7 ~ /^40/ { print $13 }')
must 'the log of hostA has the first of them' test "${at:-0}" -gt 65536
flip "$damaged" $((at - 12))
must 'hostA starts' dev start hostA
not_ok 'the promotion is refused' hf promote vol --to hostA
ok 'the operator accepts the loss' eval 'hf promote vol --to hostA --accept-data-loss --json >"$T/cert.json"'
cat "$T/cert.json"
ok 'the certificate names the blocks' jq -e '.ops_lost == 2 and
	.extents == [{"lba": 40, "blocks": 2}, {"lba": 50, "blocks": 1}]' "$T/cert.json"
ok 'other blocks are there' qemu-io -r -f raw "$(nbd_uri vol@ro)" -c 'read -P 7 0 8k'
ok 'the legs confirm it, and name what is marked lost' eval \
	'"$BIN/holdfast-verify" "$T/cert.json" "$(leg hostA)" "$(leg hostC)" >"$T/verdict"'
sed "s/^/# /" "$T/verdict"
ok 'three blocks' grep -q '^- .*3 blocks are marked lost' "$T/verdict"
must 'hostB starts' dev start hostB
ok 'it joins in spite of the lost blocks' wait_insync vol 60
ok 'and brings back what only it had: the op was never cut' \
	qemu-io -r -f raw "$(nbd_uri vol@ro)" -c 'read -P 9 160k 8k' -c 'read -P 9 200k 4k'
ok 'the blocks can be written' qemu-io -f raw "$(nbd_uri vol)" -c 'write -P 10 160k 8k' -c 'read -P 10 160k 8k'
finish
