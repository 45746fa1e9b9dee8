# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# lib - what shell tests share that need no cluster: a private directory, background processes, TAP, deadlines.
#
# A test sources this file, calls `begin`, then `ok DESCRIPTION COMMAND...` once per promise, then `finish`. Every
# process started by start_bg is ended by its pid when the test ends, however it ends.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
BUILD_DIR=${BUILD_DIR:-build/release}
tap_count=0
tap_failed=0
bg_pids=()

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

# A private directory in T, removed at the end.
begin() {
	T=$(mktemp -d)
	trap end EXIT
	trap 'exit 1' TERM INT
}

end() {
	local code=$? p
	for p in "${bg_pids[@]-}"; do
		[ -z "$p" ] || stop_bg "$p" || kill -9 "$p" 2>/dev/null || true
	done
	if [ "$code" != 0 ] || [ "$tap_failed" != 0 ]; then
		for p in "$T"/*.log; do
			[ ! -f "$p" ] || { echo "# --- ${p##*/}" && tail -n 20 "$p" | sed 's/^/# /'; }
		done
	fi
	if [ -n "${KEEP-}" ]; then
		echo "# kept: $T"
	else
		rm -rf "$T"
	fi
	exit "$code"
}

# start_bg NAME COMMAND...: in the background, output in $T/NAME.log; its pid in BG.
start_bg() {
	local name=$1
	shift
	"$@" >"$T/$name.log" 2>&1 </dev/null &
	BG=$!
	bg_pids+=("$BG")
}

# stop_bg PID: ask it to end and see it end; its exit code.
stop_bg() {
	local code=0
	kill "$1" 2>/dev/null || return 0
	wait_for 10 eval "! kill -0 $1" || return 1
	wait "$1" 2>/dev/null || code=$?
	[ "$code" = 143 ] || return "$code"
}

# wait_for SECONDS COMMAND...: poll until it succeeds; false after the deadline.
wait_for() {
	local deadline=$(($(date +%s%N) / 1000000 + $1 * 1000))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $(($(date +%s%N) / 1000000)) -lt "$deadline" ] || return 1
		read -rt 0.02 <> <(:) || true
	done
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
	fi
}

# not_ok DESCRIPTION COMMAND...: kept when the command fails.
not_ok() {
	local what=$1
	shift
	ok "$what" inverse "$@"
}

inverse() { ! "$@"; }

# Nothing makes sense after this promise is broken.
must() {
	ok "$@"
	[ "$tap_failed" = 0 ] || finish
}

finish() {
	echo "1..$tap_count"
	[ "$tap_failed" = 0 ]
	exit
}

# nbd_ram ARGS...: the NBD server on memory, on $T/nbd.sock; its pid in RAM, its address in URI.
nbd_ram() {
	local prog=$BUILD_DIR/tests/lib/nbd_ram
	[ -x "$prog" ] || skip_all "$prog is not built"
	rm -f "$T/server.log"
	start_bg server "$prog" --listen "unix:$T/nbd.sock" "$@"
	# shellcheck disable=SC2034 # the test's
	RAM=$BG
	# shellcheck disable=SC2034
	URI="nbd+unix:///ram?socket=$T/nbd.sock"
	wait_for 10 grep -q ready "$T/server.log"
}

# The counter NAME that the server printed when it stopped.
counter() {
	sed -n "s/.*\b$1 \([0-9]*\).*/\1/p" "$T/server.log" | tail -n 1
}
