#!/bin/bash
# SPDX-License-Identifier: MIT
# fio over libnbd: every block that was written reads back with its checksum, at many sizes and depths.
. "$(dirname "$0")/../lib/lib.sh"
need fio
fio --enghelp | grep -qw nbd || skip_all 'fio has no nbd engine'
begin
must 'a server on memory listens' nbd_ram --size $((64 << 20))

verify() {
	(cd "$T" && fio --name=v --ioengine=nbd --uri="$URI" --size=64M --verify=crc32c --verify_fatal=1 --do_verify=1 \
		--serialize_overlap=1 --verify_state_save=0 --output="$T/fio.log" "$@")
}
ok 'random 4 KiB at depth 64' verify --rw=randwrite --bs=4k --iodepth=64
ok 'random mixed sizes at depth 32' verify --rw=randwrite --bsrange=4k-512k --blockalign=4k --iodepth=32
ok 'sequential 1 MiB at depth 8' verify --rw=write --bs=1M --iodepth=8
ok 'depth 300, more than a connection has requests' verify --rw=randwrite --bs=4k --iodepth=300 --size=16M
ok 'the server stops in order' stop_bg "$RAM"
ok 'nothing broke the protocol' test "$(counter errors)" = 0
finish
