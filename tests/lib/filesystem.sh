# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# filesystem - the story of tests 340 and 341: a file system on a loop device over a reconnecting NBD client lives
# through a failover under load. filesystem_story ext4|xfs
. "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"

# Writes and syncs files for ever; a name enters the list only after its fsync returned.
writer() {
	exec perl -MIO::Handle -MDigest::MD5=md5_hex -e '
		my ($dir, $list) = @ARGV;
		open(my $l, ">>", $list) or die "$list: $!";
		$l->autoflush(1);
		for (my $i = 0; ; $i++) {
			my $name = sprintf("%s/%06d", $dir, $i % 400);
			my $text = md5_hex("$i") x (64 + ($i * 37) % 2048);
			unlink "$name.new";
			open(my $f, ">", "$name.new") or die "$name.new: $!";
			print $f $text or die "write: $!";
			$f->flush or die "flush: $!";
			$f->sync or die "fsync: $!";
			close $f or die "close: $!";
			rename "$name.new", $name or die "rename: $!";
			open(my $d, "<", $dir) or die;
			$d->sync;
			printf $l "%s %s\n", $name, md5_hex($text);
		}
	' "$1" "$2"
}

# Every file of the list, at its last entry or at one written later that the list did not get to say.
intact() {
	perl -MDigest::MD5=md5_hex -e '
		my ($list) = @ARGV;
		my (%last, %i, $n, $bad);
		open(my $l, "<", $list) or die;
		while (<$l>) { chomp; my ($name, $sum) = split; $last{$name} = $sum; $i{$name} = $n++; }
		for my $name (sort keys %last) {
			open(my $f, "<", $name) or do { print "$name: $!\n"; $bad++; next };
			local $/;
			my $sum = md5_hex(scalar <$f>);
			my $next = $i{$name} + 400;
			my $later = md5_hex(md5_hex("$next") x (64 + ($next * 37) % 2048));
			next if $sum eq $last{$name} || ($next == $n && $sum eq $later);
			print "$name: not what was synced\n";
			$bad++;
		}
		print "$n syncs, ", scalar(keys %last), " files\n";
		exit($bad || !$n ? 1 : 0);
	' "$1"
}

filesystem_story() {
	local fs=$1 dev writer_pid before paused
	need qemu-storage-daemon losetup "mkfs.$fs" jq
	need_loop_and_fuse
	grep -qw "$fs" /proc/filesystems || skip_all "the kernel has no $fs"
	begin_cluster
	must 'four hosts start' cluster_up 4
	must 'a 2+1 volume with a local full leg is served' create_2_1 vol 512M
	must 'a reconnecting client shows it as a file' bridge_start vol fuse
	dev=$(losetup -f --show "$T/bridge.img")
	must 'which becomes a loop device' test -b "$dev"
	loops+=("$dev")
	must "$fs is made on it" "mkfs.$fs" -q "$dev"
	mkdir "$T/mnt"
	must 'and mounted' mount "$dev" "$T/mnt"
	mounts+=("$T/mnt")
	mkdir "$T/mnt/d"

	start_bg writer writer "$T/mnt/d" "$T/list"
	writer_pid=$BG
	must 'a program writes and syncs files' wait_for 20 eval '[ "$(wc -l <"$T/list")" -ge 50 ]'
	paused=$(now_ms)
	must 'the primary is killed under load' dev kill hostA
	must 'another host is promoted' hf promote vol --to hostB
	before=$(wc -l <"$T/list")
	ok 'the program goes on after a pause' wait_for 30 eval "[ \"\$(wc -l <'$T/list')\" -ge $((before + 20)) ]"
	figure "$fs: twenty more syncs $(($(now_ms) - paused)) ms after the kill"
	ok 'it met no error' kill -0 "$writer_pid"
	ok 'it stops when told' stop_bg "$writer_pid"
	ok 'it wrote no complaint' test ! -s "$T/writer.log"
	ok 'every synced file is intact' intact "$T/list"
	ok 'the file system unmounts' umount "$T/mnt"
	mounts=()
	case $fs in
	ext4) ok 'fsck finds nothing' e2fsck -fn "$dev" ;;
	xfs) ok 'xfs_repair finds nothing' xfs_repair -n "$dev" ;;
	esac
	must 'the dead host is started again' dev start hostA
	ok 'and resynced' wait_insync vol 60
	losetup -d "$dev"
	loops=()
	finish
}
