# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# cluster - what tests on a whole cluster share: a private cluster of `holdfast dev`, clients that judge.
#
# As lib.sh, with begin_cluster in place of begin. Daemons, mounts and loop devices are gone when the test ends, however
# it ends; a failed test shows the last lines of each daemon's log.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
BIN=$PWD/$BUILD_DIR/bin
VERIFY=$PWD/$BUILD_DIR/tests/lib/nbd_verify
mounts=()
loops=()

# A directory on RAM where O_DIRECT works there, else in TMPDIR.
fast_tmpdir() {
	local d
	d=$(mktemp -d /dev/shm/holdfast.XXXXXX 2>/dev/null) || d=$(mktemp -d)
	if ! dd if=/dev/zero of="$d/probe" bs=4096 count=1 oflag=direct 2>/dev/null; then
		rm -rf "$d"
		d=$(mktemp -d)
	fi
	rm -f "$d/probe"
	echo "$d"
}

need_loop_and_fuse() {
	[ "$(id -u)" = 0 ] || skip_all 'loop devices need root'
	[ -c /dev/fuse ] || skip_all 'there is no /dev/fuse'
	losetup -f >/dev/null 2>&1 || skip_all 'there is no free loop device'
}

begin_cluster() {
	need "$BIN/holdfast" "$BIN/holdfastd" nbdinfo jq
	T=$(fast_tmpdir)
	C=$T/cluster
	trap end_cluster EXIT
	trap 'exit 1' TERM INT
}

end_cluster() {
	local code=$? p
	set +e
	for p in "${mounts[@]-}"; do
		[ -z "$p" ] || umount -l "$p" 2>/dev/null
	done
	for p in "${loops[@]-}"; do
		[ -z "$p" ] || losetup -d "$p" 2>/dev/null
	done
	if [ "$code" != 0 ] || [ "$tap_failed" != 0 ]; then
		find "$C" -name '*.log' | while read -r p; do
			echo "# --- ${p#"$C/"}"
			tail -n 15 "$p" | cut -c 1-300 | sed 's/^/# /'
		done
	fi
	for p in "${bg_pids[@]-}"; do
		[ -z "$p" ] || stop_bg "$p" || kill -9 "$p" 2>/dev/null
	done
	bg_pids=()
	umount -l "$T/bridge.img" 2>/dev/null
	[ ! -d "$C" ] || "$BIN/holdfast" dev down "$C" >/dev/null 2>&1
	(exit "$code")
	end
}

figure() { echo "# figure: $*"; }

now_ms() { echo $(($(date +%s%N) / 1000000)); }

# ---------------------------------------------------------------- the cluster
hf() { "$BIN/holdfast" --dir "$C" "$@"; }
dev() {
	local verb=$1
	shift
	"$BIN/holdfast" dev "$verb" "$C" "$@"
}

cluster_up() { dev up --hosts "${1:-4}"; }

# A volume with a full leg on its primary's host and fragments on the three others, being served.
create_2_1() {
	hf volume create "$1" --tenant acme --size "${2:-64M}" --layout 2+1 --local full \
		--hosts hostA,hostB,hostC,hostD && wait_for 10 serves "$1"
}

nbd_sock() { echo "$C/nbd/$1.sock"; }
nbd_uri() { echo "nbd+unix:///$1?socket=$(nbd_sock "${1%@ro}")"; }
serves() { nbdinfo --size "$(nbd_uri "$1@ro")"; }
legs_insync() { hf volume show "$1" --json | jq -e 'all(.legs[]; .state == "insync")'; }
wait_insync() { wait_for "${2:-60}" legs_insync "$1"; }
tolerance_is() { hf volume show "$1" --json | jq -e --argjson t "$2" '.tolerance == $t'; }

# The value of KEY in a line of key=value words of FILE's last line.
value_of() { tail -n 1 "$1" | tr ' ' '\n' | sed -n "s/^$2=//p"; }

# flip FILE OFFSET: turn one bit.
flip() {
	perl -e '
		my ($path, $at) = @ARGV;
		open(my $f, "+<", $path) or die "$path: $!";
		binmode $f;
		sysseek($f, $at, 0);
		sysread($f, my $byte, 1) == 1 or die "short";
		sysseek($f, $at, 0);
		syswrite($f, chr(ord($byte) ^ 4));
	' "$1" "$2"
}

# ---------------------------------------------------------------- clients
# load_start VOLUME [OPTION...]: the judging client in the background, until load_stop; returns after its first write.
load_start() {
	local volume=$1
	shift
	start_bg load "$VERIFY" load "$(nbd_uri "$volume")" "$T/$volume.state" --seconds 0 "$@"
	load_pid=$BG
	wait_for 15 grep -q started "$T/load.log"
}

# Ends the load, which then reads every block back; its exit code.
load_stop() {
	kill "$load_pid"
	wait_for 120 eval "! kill -0 $load_pid" || return 1
	wait "$load_pid"
}

# The figure KEY of the load that ended.
load_figure() { tail -n 1 "$T/load.log" | tr ' ' '\n' | sed -n "s/^$1=//p"; }

load_check() { "$VERIFY" check "$(nbd_uri "$1")" "$T/$1.state"; }

# A reconnecting NBD client between an application and the volume. bridge_start VOLUME nbd: another NBD socket at
# $T/bridge.sock; bridge_start VOLUME fuse: a file $T/bridge.img.
bridge_start() {
	local how node
	node="driver=nbd,node-name=n0,server.type=unix,server.path=$(nbd_sock "$1"),export=$1"
	case $2 in
	nbd) how=(--nbd-server "addr.type=unix,addr.path=$T/bridge.sock"
		--export "type=nbd,id=e0,node-name=n0,name=$1,writable=on") ;;
	fuse)
		: >"$T/bridge.img"
		how=(--export "type=fuse,id=e0,node-name=n0,mountpoint=$T/bridge.img,writable=on")
		;;
	esac
	start_bg bridge qemu-storage-daemon --blockdev "$node,reconnect-delay=60,open-timeout=20" "${how[@]}"
	case $2 in
	nbd) wait_for 20 test -S "$T/bridge.sock" ;;
	fuse) wait_for 20 test -s "$T/bridge.img" ;;
	esac
}
