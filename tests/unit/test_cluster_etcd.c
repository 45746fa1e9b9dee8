// SPDX-License-Identifier: MIT
/*
 * cluster_etcd: real etcd members that die, freeze, forget and are replaced, and a way to them that loses answers, is
 * silent or lies. What every store promises is in tests/contract/test_cluster.c.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "cluster/cluster.h"
#include "lib/cluster_ask.h"
#include "lib/etcd_rig.h"
#include "lib/tcp_proxy.h"

static struct etcd_rig *shared;		/* one member, without TLS: for tests that leave it as it was */

/* lost answers */

/*
 * On a connection that was used before, libcurl would send the request again by itself; and there is another endpoint
 * that would take it. Either way etcd would compare again: a change that was made would be told as refused.
 */
static void test_a_change_whose_answer_is_lost_is_never_told_as_refused(void **state)
{
	struct tcp_proxy *p = tcp_proxy_new(etcd_rig_port(shared, 0)), *q = tcp_proxy_new(etcd_rig_port(shared, 0));
	struct hf_cluster *c;
	char urls[160];
	struct answer a;
	uint64_t ver;

	(void)state;
	snprintf(urls, sizeof(urls), "%s,%s", proxy_url(p), proxy_url(q));
	c = open_at(urls);
	assert_int_equal(cas(c, "volume/a", 0, "one", &ver), 0);
	for (unsigned n = 1; n <= 16; n++) {	/* each of the threads has its connections to both */
		char value[16];

		snprintf(value, sizeof(value), "%u", n);
		for (int i = 0; i < 4; i++)
			assert_int_equal(get(c, "volume/a", &a), 0);
		/* Who lost an answer is left for the other one. */
		tcp_proxy_lose_answer(n % 2 ? p : q, "/v3/kv/txn");
		assert_int_equal(cas(c, "volume/a", ver, value, NULL), -EIO);
		assert_int_equal(tcp_proxy_lost(p) + tcp_proxy_lost(q), n);
		assert_int_equal(get(c, "volume/a", &a), 0);
		assert_string_equal(a.value, value);
		assert_true(a.ver > ver);
		ver = a.ver;
	}
	close_store(c);
	tcp_proxy_free(p);
	tcp_proxy_free(q);
}

static void test_a_read_whose_answer_is_lost_is_asked_of_another_endpoint(void **state)
{
	struct tcp_proxy *p = tcp_proxy_new(etcd_rig_port(shared, 0)), *q = tcp_proxy_new(etcd_rig_port(shared, 0));
	struct hf_cluster *c;
	char urls[160];
	struct answer a;

	(void)state;
	snprintf(urls, sizeof(urls), "%s,%s", proxy_url(p), proxy_url(q));
	c = open_at(urls);
	assert_int_equal(cas(c, "volume/a", 0, "one", NULL), 0);
	tcp_proxy_lose_answer(p, "/v3/kv/range");
	assert_int_equal(get(c, "volume/a", &a), 0);
	assert_int_equal(tcp_proxy_lost(p), 1);
	assert_int_equal(c->away_since, 0);
	close_store(c);
	tcp_proxy_free(p);
	tcp_proxy_free(q);
}

/* A change goes to the next endpoint only while not a byte of it was sent. */
static void test_a_change_goes_round_an_endpoint_that_refuses_to_connect(void **state)
{
	struct tcp_proxy *p = tcp_proxy_new(etcd_rig_port(shared, 0));
	struct hf_cluster *c;
	char urls[160];

	(void)state;
	tcp_proxy_refuse(p, true);
	snprintf(urls, sizeof(urls), "%s,%s", proxy_url(p), etcd_rig_url(shared, 0));
	c = open_at(urls);
	assert_int_equal(cas(c, "volume/a", 0, "one", NULL), 0);
	close_store(c);
	tcp_proxy_free(p);
}

/* away, and back */

static void test_a_store_that_is_away_is_told_and_comes_back(void **state)
{
	struct tcp_proxy *p = tcp_proxy_new(etcd_rig_port(shared, 0));
	struct hf_cluster *c = open_at(proxy_url(p));
	struct answer a;
	hf_nsec since;

	(void)state;
	assert_int_equal(get(c, "cluster", &a), 0);
	assert_int_equal(c->away_since, 0);
	tcp_proxy_refuse(p, true);
	assert_int_equal(get(c, "cluster", &a), -ETIMEDOUT);
	assert_true(c->away_since > 0);
	assert_non_null(strstr(c->away_why, proxy_url(p)));
	since = c->away_since;
	assert_int_equal(cas(c, "volume/a", 0, "x", NULL), -ETIMEDOUT);
	assert_true(c->away_since == since);
	tcp_proxy_refuse(p, false);
	assert_int_equal(cas(c, "volume/a", 0, "x", NULL), 0);
	assert_int_equal(c->away_since, 0);
	close_store(c);
	tcp_proxy_free(p);
}

static void test_silence_ends_by_a_time_out(void **state)
{
	struct tcp_proxy *p = tcp_proxy_new(etcd_rig_port(shared, 0));
	struct hf_cluster *c = open_at(proxy_url(p));
	struct answer a;

	(void)state;
	assert_int_equal(get(c, "cluster", &a), 0);
	tcp_proxy_silence(p, true);
	assert_int_equal(cas(c, "volume/a", 0, "x", NULL), -ETIMEDOUT);
	tcp_proxy_silence(p, false);
	assert_int_equal(get(c, "cluster", &a), 0);
	close_store(c);
	tcp_proxy_free(p);
}

static void test_a_store_is_freed_with_requests_under_way(void **state)
{
	struct tcp_proxy *p = tcp_proxy_new(etcd_rig_port(shared, 0));
	struct hf_cluster *c = open_at(proxy_url(p));
	struct answer a[12];

	(void)state;
	assert_int_equal(get(c, "cluster", &a[0]), 0);
	tcp_proxy_silence(p, true);
	for (int i = 0; i < 12; i++) {		/* more than there are threads */
		ask(&a[i]);
		c->ops->get(c, &a[i].req, "cluster");
	}
	turn();
	close_store(c);
	for (int i = 0; i < 12; i++)
		assert_false(a[i].arrived);
	tcp_proxy_free(p);
}

struct closer {
	struct hf_cluster_req req;
	struct hf_cluster *c;
	bool closed;
};

static void close_in_done(struct hf_cluster_req *q, int result, const struct hf_cluster_item *items, size_t count,
			  uint64_t ver)
{
	struct closer *x = q->ctx;

	(void)items;
	(void)ver;
	assert_true(result == 0 && count == 1 && !x->closed);
	x->c->ops->free(x->c);
	x->closed = true;
}

static void test_a_store_is_freed_by_a_callback(void **state)
{
	struct closer x = { .req = { .done = close_in_done }, .c = open_at(etcd_rig_url(shared, 0)) };
	struct answer a;

	(void)state;
	x.req.ctx = &x;
	x.c->ops->get(x.c, &x.req, "cluster");
	ask(&a);
	x.c->ops->get(x.c, &a.req, "cluster");
	for (int i = 0; i < TURNS_MAX && !x.closed; i++)
		turn();
	assert_true(x.closed);
	for (int i = 0; i < 4; i++)
		turn();
}

/* members */

static void test_members_that_die_or_freeze_are_gone_round(void **state)
{
	struct etcd_rig *g = etcd_rig_new(3, false);
	struct hf_cluster *c = open_at(etcd_rig_urls(g));

	(void)state;
	change(c, "volume/a", "before");
	for (unsigned i = 0; i < 3; i++) {
		char value[16];

		snprintf(value, sizeof(value), "without %u", i);
		if (i == 1)
			etcd_rig_freeze(g, i);
		else
			etcd_rig_kill(g, i);
		change(c, "volume/a", value);
		if (i == 1)
			etcd_rig_thaw(g, i);
		else
			etcd_rig_start(g, i);
	}
	assert_int_equal(c->away_since, 0);
	close_store(c);
	etcd_rig_free(g);
}

static void test_endpoints_of_two_clusters_are_noticed(void **state)
{
	struct etcd_rig *g = etcd_rig_new(1, false);
	char urls[160];
	struct hf_cluster *c;
	struct answer a;

	(void)state;
	snprintf(urls, sizeof(urls), "%s,%s", etcd_rig_url(g, 0), etcd_rig_url(shared, 0));
	c = open_at(urls);
	assert_int_equal(cas(c, "volume/a", 0, "x", NULL), 0);
	etcd_rig_kill(g, 0);
	assert_int_equal(get(c, "volume/a", &a), -EUCLEAN);
	assert_non_null(strstr(c->away_why, "belongs to etcd cluster"));
	close_store(c);
	etcd_rig_free(g);
}

/* H26: as with a file that was put in the place of SQLite's. */
static void test_a_store_that_went_back_is_refused_until_the_daemon_starts_anew(void **state)
{
	struct etcd_rig *g = etcd_rig_new(1, false);
	struct hf_cluster *c;
	struct answer a;
	uint64_t ver, old;

	(void)state;
	c = open_at(etcd_rig_url(g, 0));
	assert_int_equal(cas(c, "volume/a", 0, "old", &old), 0);
	etcd_rig_kill(g, 0);
	etcd_rig_save(g, 0);
	etcd_rig_start(g, 0);
	assert_int_equal(cas(c, "volume/a", old, "new", &ver), 0);
	etcd_rig_kill(g, 0);
	etcd_rig_restore(g, 0);
	etcd_rig_start(g, 0);
	assert_int_equal(get(c, "volume/a", &a), -EUCLEAN);
	assert_non_null(strstr(c->away_why, "went back"));
	assert_int_equal(cas(c, "volume/a", old, "third", NULL), -EUCLEAN);
	close_store(c);
	c = open_at(etcd_rig_url(g, 0));
	assert_int_equal(get(c, "volume/a", &a), 0);
	close_store(c);
	etcd_rig_free(g);
}

/* watches */

static void test_a_watch_tells_what_changed_and_nothing_else(void **state)
{
	struct hf_cluster *c = open_at(etcd_rig_url(shared, 0)), *by = open_at(etcd_rig_url(shared, 0));
	struct watcher x, other;

	(void)state;
	watch(c, &x, "volume/");
	watch(c, &other, "host/");
	await_stream(c, by, &x, &other);
	close_store(c);
	close_store(by);
}

static void test_a_watch_that_broke_goes_on_where_it_was(void **state)
{
	struct tcp_proxy *p = tcp_proxy_new(etcd_rig_port(shared, 0));
	struct hf_cluster *c = open_at(proxy_url(p)), *by = open_at(etcd_rig_url(shared, 0));
	struct watcher x, other;
	struct answer a;
	int before, untouched;

	(void)state;
	watch(c, &x, "volume/");
	watch(c, &other, "host/");
	await_stream(c, by, &x, &other);
	before = x.count;
	untouched = other.count;
	assert_int_equal(get(by, "volume/a", &a), 0);
	tcp_proxy_cut(p);
	assert_int_equal(cas(by, "volume/a", a.ver, "while it was broken", NULL), 0);
	await_change(&x, before);
	assert_int_equal(other.count, untouched);
	close_store(c);
	close_store(by);
	tcp_proxy_free(p);
}

static void test_a_watch_whose_place_was_compacted_tells_everyone(void **state)
{
	struct tcp_proxy *p = tcp_proxy_new(etcd_rig_port(shared, 0));
	struct hf_cluster *c = open_at(proxy_url(p)), *by = open_at(etcd_rig_url(shared, 0));
	struct watcher x, other;
	char words[64];
	uint64_t ver;
	struct answer a;
	int untouched;

	(void)state;
	watch(c, &x, "volume/");
	watch(c, &other, "host/");
	await_stream(c, by, &x, &other);
	assert_int_equal(get(by, "volume/a", &a), 0);
	tcp_proxy_refuse(p, true);
	assert_int_equal(cas(by, "volume/a", a.ver, "1", &ver), 0);
	assert_int_equal(cas(by, "volume/a", ver, "2", &ver), 0);
	snprintf(words, sizeof(words), "compact %llu", (unsigned long long)ver);
	etcd_rig_ctl(shared, words);
	untouched = other.count;
	tcp_proxy_refuse(p, false);
	await_change(&other, untouched);
	await_stream(c, by, &x, &other);
	close_store(c);
	close_store(by);
	tcp_proxy_free(p);
}

static void test_a_watch_outlives_a_restart_of_etcd(void **state)
{
	struct etcd_rig *g = etcd_rig_new(1, false);
	struct hf_cluster *c = open_at(etcd_rig_url(g, 0)), *by = open_at(etcd_rig_url(g, 0));
	struct watcher x, other;

	(void)state;
	watch(c, &x, "volume/");
	watch(c, &other, "host/");
	await_stream(c, by, &x, &other);
	etcd_rig_kill(g, 0);
	etcd_rig_start(g, 0);
	await_stream(c, by, &x, &other);
	close_store(c);
	close_store(by);
	etcd_rig_free(g);
}

/* pages */

static void test_a_list_of_several_pages_is_whole_and_in_order(void **state)
{
	struct hf_cluster *c = open_at(etcd_rig_url(shared, 0));
	static struct answer a[600];
	struct answer all;

	(void)state;
	for (int i = 0; i < 600; i++) {
		char key[32];

		ask(&a[i]);
		snprintf(key, sizeof(key), "volume/%d", i);
		c->ops->cas(c, &a[i].req, key, 0, NULL, "x");
	}
	for (int i = 0; i < 600; i++)
		assert_int_equal(await(&a[i]), 0);
	ask(&all);
	c->ops->list(c, &all.req, "volume/");
	assert_int_equal(await(&all), 0);
	assert_int_equal(all.count, 600);
	assert_true(all.ascends);
	assert_string_equal(all.last_key, "volume/99");
	close_store(c);
}

/* liveness */

static void test_a_host_that_was_cut_off_for_longer_than_its_lease_lives_again(void **state)
{
	struct tcp_proxy *p = tcp_proxy_new(etcd_rig_port(shared, 0));
	struct hf_cluster *c = open_at(proxy_url(p)), *by = open_at(etcd_rig_url(shared, 0));

	(void)state;
	assert_int_equal(announce(c, "hostA"), 0);
	assert_int_equal(announce(c, "hostA"), 0);
	assert_int_equal(announce(c, "hostB"), -EINVAL);
	assert_int_equal(alive(by, "hostA"), 1);
	tcp_proxy_refuse(p, true);
	await_alive(by, "hostA", 0);
	tcp_proxy_refuse(p, false);
	await_alive(by, "hostA", 1);
	close_store(c);
	/* An orderly end gives the lease back. */
	assert_int_equal(alive(by, "hostA"), 0);
	close_store(by);
	tcp_proxy_free(p);
}

/* A daemon that is started right after it was killed finds its own lease, and waits for its end. */
static void test_the_successor_of_a_killed_daemon_gets_the_name(void **state)
{
	struct tcp_proxy *p = tcp_proxy_new(etcd_rig_port(shared, 0));
	struct hf_cluster *c = open_at(proxy_url(p)), *next = open_at(etcd_rig_url(shared, 0));

	(void)state;
	assert_int_equal(announce(c, "hostA"), 0);
	tcp_proxy_refuse(p, true);
	close_store(c);
	assert_int_equal(announce(next, "hostA"), 0);
	close_store(next);
	tcp_proxy_free(p);
}

static void test_an_announcement_whose_answer_is_lost_is_kept_alive(void **state)
{
	struct tcp_proxy *p = tcp_proxy_new(etcd_rig_port(shared, 0));
	struct hf_cluster *c = open_at(proxy_url(p)), *by = open_at(etcd_rig_url(shared, 0));
	struct answer a;

	(void)state;
	assert_int_equal(get(c, "cluster", &a), 0);
	tcp_proxy_lose_answer(p, "/v3/kv/txn");
	assert_int_equal(announce(c, "hostA"), -EIO);
	assert_int_equal(announce(c, "hostA"), 0);
	for (int i = 0; i < 800; i++) {		/* longer than the lease that was forgotten */
		assert_int_equal(alive(by, "hostA"), 1);
		turn();
	}
	close_store(c);
	close_store(by);
	tcp_proxy_free(p);
}

#define promise(name) cmocka_unit_test_setup_teardown(test_##name, ask_setup, ask_teardown)

static int start_shared(void **state)
{
	(void)state;
	shared = etcd_rig_new(1, false);
	return 0;
}

static int stop_shared(void **state)
{
	(void)state;
	etcd_rig_free(shared);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		promise(a_change_whose_answer_is_lost_is_never_told_as_refused),
		promise(a_read_whose_answer_is_lost_is_asked_of_another_endpoint),
		promise(a_change_goes_round_an_endpoint_that_refuses_to_connect),
		promise(a_store_that_is_away_is_told_and_comes_back),
		promise(silence_ends_by_a_time_out),
		promise(a_store_is_freed_with_requests_under_way),
		promise(a_store_is_freed_by_a_callback),
		promise(members_that_die_or_freeze_are_gone_round),
		promise(endpoints_of_two_clusters_are_noticed),
		promise(a_store_that_went_back_is_refused_until_the_daemon_starts_anew),
		promise(a_watch_tells_what_changed_and_nothing_else),
		promise(a_watch_that_broke_goes_on_where_it_was),
		promise(a_watch_whose_place_was_compacted_tells_everyone),
		promise(a_watch_outlives_a_restart_of_etcd),
		promise(a_list_of_several_pages_is_whole_and_in_order),
		promise(a_host_that_was_cut_off_for_longer_than_its_lease_lives_again),
		promise(the_successor_of_a_killed_daemon_gets_the_name),
		promise(an_announcement_whose_answer_is_lost_is_kept_alive),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, start_shared, stop_shared);
}
