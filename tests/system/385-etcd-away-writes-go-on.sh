#!/bin/bash
# SPDX-License-Identifier: MIT
# On etcd a volume is made, written and failed over; while etcd is away writes go on, operators are told, and what
# changes the in-sync set waits; when it is back everything heals by itself.
. "$(dirname "$0")/../lib/cluster.sh"
begin_cluster
need etcd etcdctl

free_port() {
	perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport'
}
client=$(free_port)
peer=$(free_port)
# One member is enough here: tests/unit/test_cluster_etcd.c has three.
etcd_start() {
	start_bg etcd etcd --data-dir "$T/etcd-data" --listen-client-urls "http://127.0.0.1:$client" \
		--advertise-client-urls "http://127.0.0.1:$client" --listen-peer-urls "http://127.0.0.1:$peer" \
		--initial-advertise-peer-urls "http://127.0.0.1:$peer" \
		--initial-cluster "default=http://127.0.0.1:$peer" --log-level warn --logger zap --log-outputs stderr
	etcd_pid=$BG
	wait_for 30 healthy
}
etcd_kill() {
	kill -9 "$etcd_pid"
	wait_for 10 eval "! kill -0 $etcd_pid"
}
healthy() { ETCDCTL_API=3 etcdctl --endpoints "127.0.0.1:$client" endpoint health; }
keys() { ETCDCTL_API=3 etcdctl --endpoints "127.0.0.1:$client" get --prefix --keys-only /holdfast/; }
store_answers() { hf status --json | jq -e '.cluster_store.answers'; }
store_away() { hf status --json | jq -e '.cluster_store.answers == false and (.cluster_store.why | length > 0)'; }
committed() { hf volume show vol --json | jq .committed; }
committed_more() { [ "$(committed)" -gt "$1" ]; }
primary_is() { hf volume show vol --json | jq -e --arg h "$1" '.primary == $h and .state == "serving"'; }

# Between the daemons and etcd, so that an answer can be lost.
lossy_start() {
	start_bg lossy "$PWD/$BUILD_DIR/tests/lib/tcp_lossy" "$client" /v3/kv/txn
	lossy_pid=$BG
	wait_for 10 grep -q port "$T/lossy.log"
	lossy_port=$(sed -n 's/^port //p' "$T/lossy.log")
}
lose_next() { kill -USR1 "$lossy_pid" && wait_for 10 grep -q armed "$T/lossy.log"; }
has_lost() { kill -USR2 "$lossy_pid" && wait_for 10 grep -q "so far, lost $1" "$T/lossy.log"; }

must 'etcd starts' etcd_start
must 'and a proxy before it' lossy_start
must 'four hosts start on it' dev up --hosts 4 --cluster "etcd:http://127.0.0.1:$lossy_port"
ok 'nothing is kept in a file' test ! -e "$C/cluster.db"
must 'a 2+1 volume with a local full leg is served' create_2_1 vol
ok 'its record is in etcd' eval 'keys | grep -qx /holdfast/data/volume/vol'
ok 'and so is what says that each host lives' eval '[ "$(keys | grep -c /holdfast/live/host)" = 4 ]'

must 'the answer to the next change is to be lost' lose_next
ok 'a volume is made all the same' \
	hf volume create lost --tenant acme --size 64M --layout 1+1 --hosts hostB,hostC
ok 'although the answer to its record was lost' has_lost 1
ok 'it has its legs, and is served' wait_for 20 serves lost
ok 'with both of them' wait_insync lost

must 'a client writes and reads it' load_start vol --blocks 8192 --depth 16

must 'etcd is killed' etcd_kill
ok 'status says so' wait_for 20 store_away
ok 'and names it as a problem of each host' eval \
	'[ "$(hf status --json | jq "[.problems[] | select(.what | test(\"cluster store\"))] | length")" = 4 ]'
ok 'why says that I/O goes on' eval 'hf why vol | grep -q "cluster store has not answered since.*I/O goes on"'
at=$(committed)
ok 'writes are acknowledged meanwhile' wait_for 20 committed_more "$at"
ok 'readers are let in' serves vol
start_bg create "$BIN/holdfast" --dir "$C" volume create late --tenant acme --size 64M --layout 1+1 --hosts hostB,hostC
create_pid=$BG
must 'etcd is started again' etcd_start
ok 'and is heard of without a command' wait_for 20 store_answers
ok 'a volume whose making had begun meanwhile is made' wait "$create_pid"
ok 'and served' wait_for 20 serves late

must 'a host that keeps a fragment is killed' dev kill hostC
ok 'it is taken out of the set' wait_for 30 tolerance_is vol 1
must 'the host is started again' dev start hostC
ok 'it is in sync again' wait_insync vol

# With etcd away the leg of a dead host cannot be taken out: writes wait, and go on when etcd is back.
must 'etcd is killed again' etcd_kill
must 'and so is a host' dev kill hostD
sleep 2
at=$(committed)
sleep 1
ok 'no write is acknowledged without it' eval '[ "$(committed)" = "$at" ]'
must 'etcd comes back' etcd_start
ok 'the dead host is taken out' wait_for 30 tolerance_is vol 1
must 'the host comes back' dev start hostD
ok 'full tolerance again' wait_insync vol
at=$(committed)
ok 'writes go on' wait_for 20 committed_more "$at"

ok 'the client saw no error and every block is right' load_stop
ok 'the connection was never cut' test "$(load_figure reconnects)" = 0
figure "etcd killed twice: $(load_figure acked) writes acknowledged, longest stall $(load_figure stall_ms) ms"

must 'the primary is killed' dev kill hostA
must 'another host takes over' hf promote vol --to hostB
ok 'and serves' wait_for 20 primary_is hostB
ok 'every acknowledged write is there' load_check vol
finish
