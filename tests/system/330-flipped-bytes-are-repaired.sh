#!/bin/bash
# SPDX-License-Identifier: MIT
# Bits rot in a leg's file under a running volume: every block is still read right, and the leg is repaired.
. "$(dirname "$0")/../lib/cluster.sh"
begin_cluster
must 'four hosts start' cluster_up 4
must 'a 2+1 volume with a local full leg is served' create_2_1 vol
# Enough for the logs to wrap: what is still in a log is read from memory.
must 'a client fills it' load_start vol --blocks 8192 --depth 32 --reads 0
sleep 5
must 'and knows what it holds' load_stop

# The leg's file on a host, and where its data chunks begin.
leg_file() { find "$C/$1" -type f -size +1M ! -name '*.log' ! -name '*.db*' | head -n 1; }
data_start() { "$BIN/holdfast-inspect" --json "$1" | jq -er '.geometry.data_offset // .data_offset'; }

# One flipped bit in every fourth 4 KiB page of the file's data.
flip() {
	perl -e '
		my ($path, $from) = @ARGV;
		open(my $f, "+<", $path) or die "$path: $!";
		binmode $f;
		my ($n, $size) = (0, -s $path);
		for (my $at = sysseek($f, $from, 3); $at && $at < $size; $at = sysseek($f, $at + 4 * 4096, 3)) {
			my $where = $at + int(rand(4096));
			sysseek($f, $where, 0);
			sysread($f, my $byte, 1) or last;
			sysseek($f, $where, 0);
			syswrite($f, chr(ord($byte) ^ (1 << int(rand(8)))));
			$n++;
		}
		print "$n\n";
		exit($n == 0);
	' "$1" "$2"
}

for h in hostA hostC; do
	file=$(leg_file "$h")
	must "$h keeps a leg" test -n "$file"
	start=$(data_start "$file" || echo 0)
	must 'its data area is known' test "$start" -gt 0
	n=$(flip "$file" "$start" || true)
	must "bits flip in $h's file" test "${n:-0}" -gt 0
	ok "every block is read right" load_check vol
	figure "$h: $n bits flipped, every block read right"
done
ok 'a second pass reads every block right' load_check vol
ok 'the findings are in the event log' eval "hf events --json | grep -qiE 'repair|checksum'"
ok 'no leg was lost' legs_insync vol
finish
