#!/bin/bash
# SPDX-License-Identifier: MIT
# kill -9 of the primary in the middle of a verified fio run: after the promotion fio goes on, and verifies every block.
# fio talks to a reconnecting NBD client (qemu-storage-daemon), as a virtual machine would.
. "$(dirname "$0")/../lib/cluster.sh"
need fio qemu-storage-daemon
begin_cluster
must 'four hosts start' cluster_up 4
must 'a 2+1 volume with a local full leg is served' create_2_1 vol 128M
must 'a reconnecting client stands before it' bridge_start vol nbd

# fio_job [OPTION]: the same blocks with the same contents each time.
fio_job() {
	fio --name=job --ioengine=nbd --uri="nbd+unix:///vol?socket=$T/bridge.sock" --rw=randwrite --bs=4k \
		--size=64M --iodepth=16 --rate_iops=,4000 --randseed=310 --verify=crc32c --do_verify=1 \
		--verify_fatal=1 --verify_dump=0 --verify_state_save=0 ${1:+"$1"}
}
start_bg fio fio_job ''
fio_pid=$BG
sleep 2
ok 'fio is writing' kill -0 "$fio_pid"
killed=$(now_ms)
must 'the primary is killed' dev kill hostA
must 'the volume is promoted on another host' hf promote vol --to hostB
ok 'and served there' wait_for 10 serves vol
figure "killed to served: $(($(now_ms) - killed)) ms"
ok 'fio ends without an error, all blocks verified' wait "$fio_pid"
must 'the dead host is started again' dev start hostA
ok 'and resynced' wait_insync vol 60
ok 'a second fio verifies the same blocks' fio_job --verify_only
finish
