#!/bin/bash
# SPDX-License-Identifier: MIT
# A volume as a real block device: nbdfuse and a loop device over the NBD server, with ext4 and with xfs on it. Files
# are whole after a remount, discard gives space back, the checker finds nothing.
# shellcheck source-path=SCRIPTDIR source=../lib/cluster.sh
. "$(dirname "$0")/../lib/cluster.sh"
need nbdfuse losetup mkfs.ext4 mkfs.xfs fstrim jq
need_loop_and_fuse
begin_cluster
must 'four hosts start' cluster_up 4
mkdir "$T/mnt" "$T/fuse" "$T/files"
for i in 1 2 3 4 5 6 7 8; do
	head -c $((i * 700001)) /dev/urandom >"$T/files/$i"
done
# inspected VOLUME FILTER: what jq makes of each of its legs.
inspected() {
	local uuid
	for uuid in $(hf volume show "$1" --json | jq -r '.legs[].uuid'); do
		"$BIN/holdfast-inspect" --json "$(find "$C" -name "$uuid.leg")" | jq -e "$2" || return 1
	done
}
# Is everything in the images, and nothing in a log?
rested() { inspected "$1" '.log_first == 0'; }
chunks() { inspected "$1" .chunks | awk '{ n += $1 } END { print n }'; }

# story FS CHECK...: the life of a file system on a volume of its own.
story() {
	local fs=$1 dev before after
	shift
	grep -qw "$fs" /proc/filesystems || {
		echo "# the kernel has no $fs: skipped"
		return
	}
	must "$fs: a volume is served" create_2_1 "$fs" 512M
	start_bg "fuse-$fs" nbdfuse "$T/fuse" "$(nbd_uri "$fs")"
	must "$fs: nbdfuse shows it as a file" wait_for 20 test -s "$T/fuse/nbd"
	dev=$(losetup -f --show --sector-size 4096 "$T/fuse/nbd")
	must "$fs: which becomes a loop device" test -b "$dev"
	loops+=("$dev")
	must "$fs: it is made" "mkfs.$fs" -q "$dev"
	must "$fs: and mounted" mount "$dev" "$T/mnt"
	mounts+=("$T/mnt")
	ok "$fs: files are copied and synced" eval 'cp -r "$T/files" "$T/mnt/" && sync -f "$T/mnt"'
	must "$fs: it is unmounted" umount "$T/mnt"
	must "$fs: the legs come to rest" wait_for 60 rested "$fs"
	before=$(chunks "$fs")
	must "$fs: and mounted again" mount "$dev" "$T/mnt"
	ok "$fs: every file is as it was" diff -r "$T/files" "$T/mnt/files"
	rm -r "$T/mnt/files"
	# What is deleted can be discarded at the latest after a mount: xfs frees it in the background.
	must "$fs: it is unmounted once more" umount "$T/mnt"
	must "$fs: and mounted once more" mount "$dev" "$T/mnt"
	ok "$fs: discard passes through" fstrim "$T/mnt"
	must "$fs: it is unmounted for good" umount "$T/mnt"
	ok "$fs: its checker finds nothing" "$@" "$dev"
	losetup -d "$dev"
	stop_bg "$BG" || true
	must "$fs: the legs come to rest again" wait_for 60 rested "$fs"
	after=$(chunks "$fs")
	# 25 MiB of files are 384 chunks or more on each of four legs.
	ok "$fs: their space is given back ($before chunks, now $after)" test "$after" -le $((before - 4 * 300))
}
story ext4 e2fsck -fn
story xfs xfs_repair -n
ok 'both volumes are whole' eval 'legs_insync ext4 && legs_insync xfs'
finish
