#!/bin/bash
# SPDX-License-Identifier: MIT
# Wrong input gets a message that says what, which object and why, an exit code, and leaves nothing half made.
. "$(dirname "$0")/../lib/cluster.sh"
begin_cluster
must 'four hosts start' cluster_up 4
must 'a good volume is made' create_2_1 good

# refused DESCRIPTION PATTERN COMMAND...: exits non-zero, not by a signal, and says PATTERN on stderr.
refused() {
	local what=$1 pattern=$2 code
	shift 2
	code=0
	"$@" >"$T/out" 2>"$T/err" || code=$?
	ok "$what" said "$code" "$pattern"
}
said() {
	cat "$T/err"
	[ "$1" -gt 0 ] && [ "$1" -lt 126 ] && grep -qiE -- "$2" "$T/err"
}
create() { hf volume create "$@"; }
on='hostA,hostB,hostC,hostD'

refused 'no command at all' 'usage' "$BIN/holdfast"
refused 'an unknown command' 'frobnicate' hf frobnicate
refused 'an unknown option' 'frobnicate' hf status --frobnicate
refused 'a name with a slash' 'name' create a/b --tenant acme --size 64M --layout 2+1 --local full --hosts "$on"
refused 'a name that is too long' 'name' \
	create "$(printf 'x%.0s' {1..80})" --tenant acme --size 64M --layout 2+1 --local full --hosts "$on"
refused 'a size of zero' 'size' create v --tenant acme --size 0 --layout 2+1 --local full --hosts "$on"
refused 'a size that is no number' 'size' create v --tenant acme --size lots --layout 2+1 --local full --hosts "$on"
refused 'a size that is not whole blocks' 'size|4096' \
	create v --tenant acme --size 1000001 --layout 2+1 --local full --hosts "$on"
refused 'a k that is not allowed' 'layout|3\+1' create v --tenant acme --size 64M --layout 3+1 --hosts "$on"
refused 'an m that is not allowed' 'layout|2\+5' create v --tenant acme --size 64M --layout 2+5 --hosts "$on"
refused 'fewer hosts than legs' 'host' create v --tenant acme --size 64M --layout 2+1 --local full --hosts hostA,hostB
refused 'two legs on one host' 'host' \
	create v --tenant acme --size 64M --layout 2+1 --local full --hosts hostA,hostB,hostB,hostC
refused 'a host that does not exist' 'hostX' \
	create v --tenant acme --size 64M --layout 2+1 --local full --hosts hostA,hostB,hostC,hostX
refused 'no tenant' 'tenant' create v --size 64M --layout 2+1 --local full --hosts "$on"
refused 'a volume that is there already' 'good' \
	create good --tenant acme --size 64M --layout 2+1 --local full --hosts "$on"
refused 'a volume that is not there' 'nosuch' hf volume show nosuch
refused 'promote of an unknown volume' 'nosuch' hf promote nosuch --to hostB
refused 'promote to an unknown host' 'hostX' hf promote good --to hostX
refused 'a cluster directory that is none' 'none|no such|not' "$BIN/holdfast" --dir "$T/none" status
refused 'dev up over a running cluster' 'cluster' dev up --hosts 4
refused 'a torture with a fault that is none' 'earthquake.*there are' \
	"$BIN/holdfast" torture --faults kill-leg,earthquake
refused 'a torture of no length' '--count' "$BIN/holdfast" torture --count 0
refused 'a torture of one host' 'layout' "$BIN/holdfast" torture --layout 1+0
refused 'a torture on fewer hosts than legs' '--hosts 3' "$BIN/holdfast" torture --hosts 3
refused 'a torture of a layout that is none' '3\+1' "$BIN/holdfast" torture --layout 3+1
refused 'a torture of a single daemon' '--dir' "$BIN/holdfast" --socket "$T/none" torture
refused 'a torture nowhere' 'nowhere' "$BIN/holdfast" torture --in "$T/nowhere"
refused 'a torture of a cluster with too few hosts' 'needs 5 hosts' \
	hf torture --layout 2+2 --local full
refused 'dev up with no host' 'host' "$BIN/holdfast" dev up "$T/other" --hosts 0

# A daemon of its own: refused before it touches anything.
holdfastd() {
	"$BIN/holdfastd" --name hostX --dir "$T/hostX" --listen tcp:127.0.0.1:0 "$@"
}
printf 'hunter2' >"$T/open-password"
printf 'hunter2\nhunter3\n' >"$T/two-passwords"
printf 'hunter2' >"$T/password"
chmod 644 "$T/open-password"
chmod 600 "$T/two-passwords" "$T/password"
far=etcd:https://192.0.2.1:2379
refused 'a store of no known kind' 'sqlite:PATH or etcd:' holdfastd --cluster zookeeper:x
refused 'a store without a path' 'sqlite:PATH or etcd:' holdfastd --cluster sqlite:
refused 'an option of etcd for SQLite' '--etcd-' holdfastd --cluster "sqlite:$T/x.db" --etcd-user u
refused 'an endpoint that is no URL' "'192.0.2.1:2379' is not an endpoint" holdfastd --cluster etcd:192.0.2.1:2379
refused 'an endpoint with a path' 'is not an endpoint' holdfastd --cluster "$far/v3"
refused 'an empty endpoint' 'is not an endpoint' holdfastd --cluster "$far,"
refused 'etcd over the network in the clear' 'in the clear' holdfastd --cluster etcd:http://192.0.2.1:2379
refused 'a name that only looks like this machine' 'in the clear' \
	holdfastd --cluster etcd:http://127.0.0.1.example.org:2379
refused 'etcd without an authority' '--etcd-ca' holdfastd --cluster "$far"
refused 'an authority that is not there' "--etcd-ca $T/none" holdfastd --cluster "$far" --etcd-ca "$T/none"
refused 'a certificate without its key' '--etcd-key' \
	holdfastd --cluster "$far" --etcd-ca "$T/password" --etcd-cert "$T/password"
refused 'a user without a password' '--etcd-password-file' \
	holdfastd --cluster "$far" --etcd-ca "$T/password" --etcd-user u
refused 'a password that others may read' 'chmod 600' \
	holdfastd --cluster "$far" --etcd-user u --etcd-password-file "$T/open-password"
refused 'a password file of two lines' 'one line' \
	holdfastd --cluster "$far" --etcd-user u --etcd-password-file "$T/two-passwords"
ok 'which is not told' inverse grep -q hunter "$T/err"
refused 'a prefix that is no path' '--etcd-prefix' \
	holdfastd --cluster etcd:http://127.0.0.1:2379 --etcd-prefix 'x y'

names() { hf volume list --json | jq -r '.. | .name? // empty' | sort -u; }
ok 'only the good volume exists' eval '[ "$(names)" = good ]'
ok 'which is still served' serves good
garbage() {
	perl -MIO::Socket::UNIX -e '
		my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die "$ARGV[0]: $!";
		srand(800);
		print $s join("", map { chr(int(rand(256))) } 1 .. 65536);
		$s->shutdown(1);
		1 while sysread($s, my $buf, 4096);
	' "$1"
}
for _ in 1 2 3; do
	garbage "$(nbd_sock good)" 2>/dev/null || true
done
ok 'garbage on the NBD socket harms nobody' serves good
finish
