#!/bin/bash
# SPDX-License-Identifier: MIT
# nbdcopy and qemu-img bring data in and out unchanged; holes stay holes; a 1 MiB pool of the largest buffers is enough.
. "$(dirname "$0")/../lib/lib.sh"
need nbdcopy nbdinfo qemu-img qemu-io
begin
must 'a server with a small pool listens' nbd_ram --size $((48 << 20)) --pool $((8 << 20))

truncate -s $((48 << 20)) "$T/in"
head -c $((5 << 20)) /dev/urandom | dd of="$T/in" bs=1M seek=3 conv=notrunc status=none
head -c $((9 << 20)) /dev/urandom | dd of="$T/in" bs=1M seek=20 conv=notrunc status=none

ok 'nbdcopy in' nbdcopy "$T/in" "$URI"
ok 'nbdcopy out' nbdcopy "$URI" "$T/out"
ok 'the same bytes' cmp "$T/in" "$T/out"
data_bytes() { nbdinfo --map "$URI" | awk '$4 == "data" { n += $2 } END { exit n != 14 * 1048576 }'; }
ok 'holes stay holes' data_bytes
ok 'requests of 32 MiB' nbdcopy --request-size=33554432 --requests=2 "$URI" "$T/out"
ok 'the same bytes again' cmp "$T/in" "$T/out"
ok 'qemu-img in' qemu-img convert -n -f raw -O raw "$T/in" "$URI"
ok 'qemu-img compares' qemu-img compare -f raw -F raw "$T/in" "$URI"
ok 'qemu-img converts to qcow2' qemu-img convert -f raw -O qcow2 "$URI" "$T/out.qcow2"
ok 'and that is the same' qemu-img compare -f raw -F qcow2 "$T/in" "$T/out.qcow2"
io() { ! qemu-io -f raw "$@" "$URI" | grep -iE 'error|failed|verification'; }
ok 'qemu-io writes, zeroes, discards' io -c 'write -P 7 4k 8M' -c 'read -P 7 4k 8M' -c 'write -z -u 64k 1M' \
	-c 'read -P 0 64k 1M' -c 'discard 2M 1M' -c 'read -P 0 2M 1M' \
	-c 'write -f -P 9 3M 64k' -c 'flush' -c 'read -P 9 3M 64k'
ok 'qemu-io below the block size' io -c 'write -P 5 1234 777' -c 'read -P 5 1234 777'
ok 'the server stops in order' stop_bg "$RAM"
ok 'nothing broke the protocol' test "$(counter errors)" = 0
finish
