#!/bin/bash
# SPDX-License-Identifier: MIT
# One writer at a time (R14): a second is refused with the reason while the first lives, and takes over when it is dead.
. "$(dirname "$0")/../lib/lib.sh"
need nbdsh
# Another python3 may stand before the one that the distribution's libnbd belongs to.
python3 -c 'import nbd' 2>/dev/null || PATH=/usr/bin:$PATH
python3 -c 'import nbd' 2>/dev/null || skip_all 'python3-libnbd is not installed'
begin
must 'a server on memory listens' nbd_ram --size $((64 << 20))

# A client that holds a session until it is ended.
hold() {
	start_bg "$1" nbdsh -u "${2-$URI}" -c 'h.pwrite(b"1" * 4096, 0)' -c 'print("open", flush=True)' \
		-c 'import signal' -c 'signal.pause()'
	wait_for 10 grep -q open "$T/$1.log"
}
must 'a first client writes' hold first
HELD=$BG
write_once() { nbdsh -u "$URI" -c 'h.pwrite(b"2" * 4096, 0)'; }
# The server's words are in libnbd's debug output.
says() {
	local words=$1
	shift
	LIBNBD_DEBUG=1 "$@" >"$T/says" 2>&1 || true
	grep -e "$words" "$T/says" || { cat "$T/says" && false; }
}
ok 'a second writer is refused, and told why' says 'another client has the volume open' write_once
ok 'a reader is let in' nbdsh -u "${URI/ram/ram@ro}" -c 'assert h.pread(4096, 0) == b"1" * 4096'
# Stopped is not dead: its socket still stands.
kill -STOP "$HELD"
ok 'a second writer is refused while the first is only stopped' inverse write_once
kill -KILL "$HELD"
ok 'it takes over when the first is killed' wait_for 5 write_once
ok 'what it wrote is there' nbdsh -u "$URI" -c 'assert h.pread(4096, 0) == b"2" * 4096'
not_ok 'a reader cannot write' nbdsh -u "${URI/ram/ram@ro}" \
	-c 'h.set_strict_mode(0)' -c 'h.pwrite(b"3" * 4096, 0)'
loose() { nbdsh -u "$URI" -c 'h.set_strict_mode(0)' -c "$1"; }
ok 'an unaligned request is told why' says 'multiples of 4096' loose 'h.pread(512, 512)'
ok 'a write beyond the end has no space' says 'No space left' loose 'h.pwrite(bytes(4096), h.get_size())'
ok 'the server stops in order' stop_bg "$RAM"
ok 'nothing broke the protocol' test "$(counter errors)" = 0
finish
