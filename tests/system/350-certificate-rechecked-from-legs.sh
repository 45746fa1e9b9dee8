#!/bin/bash
# SPDX-License-Identifier: MIT
# A promotion's certificate is confirmed by what the legs hold, and one that was changed is not.
# shellcheck source-path=SCRIPTDIR source=../lib/cluster.sh
. "$(dirname "$0")/../lib/cluster.sh"
begin_cluster
need jq
must 'four hosts start' cluster_up 4
must 'a volume is served' create_2_1 vol
must 'something is written' "$VERIFY" load "$(nbd_uri vol)" "$T/state" --seconds 1 --blocks 2048 --depth 16
must 'its primary is killed' dev kill hostA
hf promote vol --to hostB --json >"$T/cert.json"
must 'it was promoted' jq -e '.outcome == "promoted"' "$T/cert.json"
legs=("$C"/host[BCD]/legs/*.leg)
ok 'the legs confirm the certificate' "$BIN/holdfast-verify" "$T/cert.json" "${legs[@]}"
jq '.decided.seq -= 1' "$T/cert.json" >"$T/forged.json"
forged() { ! "$BIN/holdfast-verify" "$T/forged.json" "${legs[@]}"; }
ok 'another decided seq is noticed' forged
jq '.committed += 1000000' "$T/cert.json" >"$T/forged.json"
ok 'another committed seq is noticed' forged
ok 'a leg can be inspected while it is used' "$BIN/holdfast-inspect" "${legs[0]}"
finish
