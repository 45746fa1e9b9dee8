#!/bin/bash
# SPDX-License-Identifier: MIT
# nbdinfo sees the exports, the block sizes and what a writer and a reader may do.
. "$(dirname "$0")/../lib/lib.sh"
need nbdinfo
begin
must 'a server on memory listens' nbd_ram --size $((64 << 20)) --extra 3

says() { nbdinfo "$1" | grep -q "$2"; }
ok 'the size is told' says "$URI" 'export-size: 67108864'
ok 'the minimum block is 4 KiB' says "$URI" 'block_size_minimum: 4096'
ok 'the largest request is 32 MiB' says "$URI" 'block_size_maximum: 33554432'
ok 'a writer gets one connection (H24)' says "$URI" 'can_multi_conn: false'
ok 'zeroing is fast' says "$URI" 'can_fast_zero: true'
ok 'FUA is there' says "$URI" 'can_fua: true'
ok 'a reader may use several' says "${URI/ram/ram@ro}" 'can_multi_conn: true'
ok 'a reader cannot write' says "${URI/ram/ram@ro}" 'is_read_only: true'
not_ok 'an unknown export is refused' nbdinfo "${URI/ram/nope}"
not_ok 'there is no default export' nbdinfo "${URI/ram/}"
all_listed() { [ "$(nbdinfo --list --json "${URI/ram/}" | grep -c '"export-name"')" -ge 1 ]; }
ok 'exports are listed' all_listed
ok 'the server stops in order' stop_bg "$RAM"
ok 'nothing broke the protocol' test "$(counter errors)" = 0
finish
