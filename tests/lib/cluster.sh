# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# cluster - what the system tests share: a private cluster of `holdfast dev`, clients in the background, TAP.
#
# A test sources this file, calls `begin`, then `ok DESCRIPTION COMMAND...` once per promise, then `finish`. Every process
# started here is ended by its pid when the test ends, however it ends; a failed test keeps the daemons' logs in its output.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
BUILD_DIR=${BUILD_DIR:-build/release}
BIN=$PWD/$BUILD_DIR/bin
VERIFY=$PWD/$BUILD_DIR/tests/lib/nbd_verify
tap_count=0
tap_failed=0
pids=()
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

skip_all() {
	echo "$*"
	exit 77
}

# Skip the test unless these commands exist.
need() {
	local c
	for c in "$@"; do
		command -v "$c" >/dev/null || skip_all "$c is not installed"
	done
}

need_loop_and_fuse() {
	[ "$(id -u)" = 0 ] || skip_all 'loop devices need root'
	[ -c /dev/fuse ] || skip_all 'there is no /dev/fuse'
	losetup -f >/dev/null 2>&1 || skip_all 'there is no free loop device'
}

begin() {
	need "$BIN/holdfast" "$BIN/holdfastd"
	T=$(fast_tmpdir)
	C=$T/cluster
	trap end EXIT
	trap 'exit 1' TERM INT
}

end() {
	local code=$? p
	for p in "${mounts[@]-}"; do
		[ -z "$p" ] || umount -l "$p" 2>/dev/null
	done
	for p in "${loops[@]-}"; do
		[ -z "$p" ] || losetup -d "$p" 2>/dev/null
	done
	for p in "${pids[@]-}"; do
		[ -z "$p" ] || kill "$p" 2>/dev/null
	done
	for p in "${pids[@]-}"; do
		[ -z "$p" ] || wait_until 2 eval "! kill -0 $p" || kill -9 "$p"
		[ -z "$p" ] || wait "$p" 2>/dev/null
	done
	umount -l "$T/bridge.img" 2>/dev/null
	if [ "$code" != 0 ] || [ "$tap_failed" != 0 ]; then
		find "$T" -name '*.log' -size -1M | while read -r p; do
			echo "# --- ${p#"$T/"}"
			tail -n 15 "$p" | sed 's/^/# /'
		done
	fi
	[ ! -d "$C" ] || "$BIN/holdfast" dev down "$C" >/dev/null 2>&1
	wait 2>/dev/null
	[ "${KEEP-}" ] && echo "# kept: $T" || rm -rf "$T"
	exit "$code"
}

# ok DESCRIPTION COMMAND...: one promise, kept when the command succeeds; its output is shown when it fails.
ok() {
	local what=$1
	shift
	tap_count=$((tap_count + 1))
	if "$@" >"$T/ok.out" 2>&1; then
		echo "ok $tap_count - $what"
	else
		tap_failed=$((tap_failed + 1))
		echo "not ok $tap_count - $what"
		echo "# by: $*"
		tail -n 20 "$T/ok.out" | sed 's/^/# /'
		return 1
	fi
}

# Nothing makes sense after this promise is broken.
must() {
	ok "$@" || finish
}

finish() {
	echo "1..$tap_count"
	[ "$tap_failed" = 0 ]
	exit
}

figure() { echo "# figure: $*"; }

now_ms() { echo $(($(date +%s%N) / 1000000)); }

# wait_until SECONDS COMMAND...: poll until it succeeds.
wait_until() {
	local end=$(($(now_ms) + $1 * 1000))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(now_ms)" -lt "$end" ] || return 1
		sleep 0.05
	done
}

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
		--hosts hostA,hostB,hostC,hostD && wait_until 10 serves "$1"
}

nbd_sock() { echo "$C/nbd/$1.sock"; }
nbd_uri() { echo "nbd+unix:///$1?socket=$(nbd_sock "${1%@ro}")"; }
serves() { nbdinfo --size "$(nbd_uri "$1@ro")"; }
legs_insync() { hf volume show "$1" --json | jq -e 'all(.legs[]; .state == "insync")'; }
wait_insync() { wait_until "${2:-60}" legs_insync "$1"; }
tolerance_is() { hf volume show "$1" --json | jq -e --argjson t "$2" '.tolerance == $t'; }

# The value of KEY in a line of key=value words of FILE's last line.
value_of() { tail -n 1 "$1" | tr ' ' '\n' | sed -n "s/^$2=//p"; }

# ---------------------------------------------------------------- clients
# load_start VOLUME [OPTION...]: the judging client in the background, until load_stop; returns after its first write.
load_start() {
	local volume=$1
	shift
	"$VERIFY" load "$(nbd_uri "$volume")" "$T/$volume.state" --seconds 0 "$@" >"$T/load.out" 2>"$T/load.log" &
	load_pid=$!
	pids+=("$load_pid")
	wait_until 15 grep -q started "$T/load.out"
}

# Ends the load, which then reads every block back; its exit code.
load_stop() {
	kill "$load_pid" && wait "$load_pid"
	local code=$?
	sed 's/^/# /' "$T/load.log" | tail -n 12
	return "$code"
}

load_check() { "$VERIFY" check "$(nbd_uri "$1")" "$T/$1.state"; }

# A reconnecting NBD client between an application and the volume. bridge_start VOLUME nbd: another NBD socket at
# $T/bridge.sock; bridge_start VOLUME fuse: a file $T/bridge.img.
bridge_start() {
	local how
	case $2 in
	nbd) how=(--nbd-server "addr.type=unix,addr.path=$T/bridge.sock"
		--export "type=nbd,id=e0,node-name=n0,name=$1,writable=on") ;;
	fuse)
		: >"$T/bridge.img"
		how=(--export "type=fuse,id=e0,node-name=n0,mountpoint=$T/bridge.img,writable=on")
		;;
	esac
	qemu-storage-daemon --blockdev "driver=nbd,node-name=n0,server.type=unix,server.path=$(nbd_sock "$1"),export=$1,\
reconnect-delay=60,open-timeout=20" "${how[@]}" >"$T/bridge.log" 2>&1 &
	bridge_pid=$!
	pids+=("$bridge_pid")
	case $2 in
	nbd) wait_until 20 test -S "$T/bridge.sock" ;;
	fuse) wait_until 20 test -s "$T/bridge.img" ;;
	esac
}
