// SPDX-License-Identifier: MIT
/*
 * etcd_http: who is trusted and who is let in (TLS and users of a real etcd), and what becomes of answers that are not
 * etcd's: one clear error, nothing believed, nothing remembered.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/cluster_ask.h"
#include "lib/etcd_rig.h"

#define PASSWORD "hunter2"

static struct etcd_rig *shared; /* with TLS */

static struct hf_cluster_etcd_params tls_params(const char *endpoints)
{
	return (struct hf_cluster_etcd_params){.endpoints = endpoints,
					       .prefix = ask_prefix,
					       .ca = etcd_rig_file(shared, "ca.pem"),
					       .cert = etcd_rig_file(shared, "client.pem"),
					       .key = etcd_rig_file(shared, "client.key")};
}

/* Nothing is believed: neither "there is none" nor "it will never have an effect". The words tell why. */
static void expect_refused(struct hf_cluster *c, int result, const char *words)
{
	struct answer a;
	int rc = get(c, "volume/a", &a);

	if (rc != result || !strstr(c->away_why, words))
		fail_msg("%d, not %d, or lacks '%s': %s", rc, result, words, c->away_why);
	rc = cas(c, "volume/a", 0, "x", NULL);
	if (rc >= 0 || rc == -ESTALE || rc == -EINVAL)
		fail_msg("a change gave %d: %s", rc, c->away_why);
	assert_true(c->away_since > 0);
	assert_null(strstr(c->away_why, PASSWORD));
	close_store(c);
}

/* TLS */

static void test_with_the_right_certificates_everything_works(void **state)
{
	struct hf_cluster_etcd_params p = tls_params(etcd_rig_url(shared, 0));
	struct hf_cluster *c = open_with(&p), *by = open_with(&p);
	struct watcher x, other;
	struct answer a;

	(void)state;
	assert_int_equal(cas(c, "volume/a", 0, "x", NULL), 0);
	assert_int_equal(get(c, "volume/a", &a), 0);
	watch(c, &x, "volume/");
	watch(c, &other, "host/");
	await_stream(c, by, &x, &other);
	assert_int_equal(announce(c, "hostA"), 0);
	assert_int_equal(alive(by, "hostA"), 1);
	close_store(c);
	close_store(by);
}

static void test_an_etcd_of_another_authority_is_not_trusted(void **state)
{
	struct hf_cluster_etcd_params p = tls_params(etcd_rig_url(shared, 0));

	(void)state;
	p.ca = etcd_rig_file(shared, "other-ca.pem");
	expect_refused(open_with(&p), -EACCES, "certificate");
}

/* The certificate is of 127.0.0.1. */
static void test_an_etcd_of_another_name_is_not_trusted_but_gone_round(void **state)
{
	struct hf_cluster_etcd_params p = tls_params(NULL);
	char urls[160];
	struct hf_cluster *c;

	(void)state;
	snprintf(urls, sizeof(urls), "https://localhost:%u", etcd_rig_port(shared, 0));
	p.endpoints = urls;
	expect_refused(open_with(&p), -EACCES, "localhost");
	snprintf(urls, sizeof(urls), "https://localhost:%u,%s", etcd_rig_port(shared, 0), etcd_rig_url(shared, 0));
	c = open_with(&p);
	assert_int_equal(cas(c, "volume/a", 0, "x", NULL), 0);
	close_store(c);
}

static void test_without_a_certificate_that_etcd_accepts_nothing_is_done(void **state)
{
	struct hf_cluster_etcd_params p = tls_params(etcd_rig_url(shared, 0));
	struct hf_cluster *c;
	struct answer a;
	char url[64];

	(void)state;
	p.cert = etcd_rig_file(shared, "stranger.pem");
	p.key = etcd_rig_file(shared, "stranger.key");
	c = open_with(&p);
	assert_true(get(c, "volume/a", &a) < 0 && a.result != -ENOENT);
	assert_true(cas(c, "volume/a", 0, "x", NULL) < 0);
	close_store(c);
	p.cert = p.key = NULL;
	c = open_with(&p);
	assert_true(get(c, "volume/a", &a) < 0 && a.result != -ENOENT);
	close_store(c);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u", etcd_rig_port(shared, 0));
	expect_refused(open_at(url), -EIO, "Empty reply");
	p = tls_params(etcd_rig_url(shared, 0));
	c = open_with(&p);
	assert_int_equal(get(c, "volume/a", &a), -ENOENT);
	close_store(c);
}

/* users */

static struct hf_cluster *open_as(struct etcd_rig *g, const char *user, const char *password)
{
	struct hf_cluster_etcd_params p = {
		.endpoints = etcd_rig_url(g, 0), .prefix = ask_prefix, .user = user, .password = password};

	return open_with(&p);
}

static void test_users(void **state)
{
	struct etcd_rig *g = etcd_rig_new(1, false);
	struct watcher x, other;
	struct hf_cluster *c, *by;
	char words[160];
	struct answer a;

	(void)state;
	expect_refused(open_as(g, "hf", PASSWORD), -EACCES, "authentication is not enabled");
	etcd_rig_ctl(g, "user add root:root");
	etcd_rig_ctl(g, "user grant-role root root");
	etcd_rig_ctl(g, "role add hf");
	snprintf(words, sizeof(words), "role grant-permission hf --prefix=true readwrite %s", ask_prefix);
	etcd_rig_ctl(g, words);
	etcd_rig_ctl(g, "user add hf:" PASSWORD);
	etcd_rig_ctl(g, "user grant-role hf hf");
	etcd_rig_ctl(g, "auth enable");

	expect_refused(open_at(etcd_rig_url(g, 0)), -EACCES, "user name is empty");
	expect_refused(open_as(g, "hf", "hunter3"), -EACCES, "authentication failed");
	expect_refused(open_as(g, "nobody", PASSWORD), -EACCES, "authentication failed");

	c = open_as(g, "hf", PASSWORD);
	by = open_as(g, "hf", PASSWORD);
	assert_int_equal(cas(c, "volume/a", 0, "x", NULL), 0);
	watch(c, &x, "volume/");
	watch(c, &other, "host/");
	await_stream(c, by, &x, &other);
	assert_int_equal(announce(c, "hostA"), 0);
	assert_int_equal(alive(by, "hostA"), 1);

	/* A member that starts again knows no token of before. */
	etcd_rig_kill(g, 0);
	etcd_rig_start(g, 0);
	change(c, "volume/a", "after");
	await_stream(c, by, &x, &other);

	/* Another token is needed after every change of users. */
	etcd_rig_ctl(g, "--user root:root user add third:third");
	assert_int_equal(get(c, "volume/a", &a), 0);
	assert_int_equal(cas(c, "volume/b", 0, "x", NULL), 0);
	close_store(c);
	close_store(by);

	snprintf(ask_prefix, sizeof(ask_prefix), "/elsewhere/");
	expect_refused(open_as(g, "hf", PASSWORD), -EACCES, "permission denied");
	etcd_rig_free(g);
}

/* hostile answers */

#define OK "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
#define CLOSE "Connection: close\r\n\r\n"
#define HEADER "\"header\":{\"cluster_id\":\"7\",\"revision\":\"9\"}"

static const struct {
	const char *bytes;
	bool endless;
	int get; /* what a get says of it */
	const char *words;
} hostile[] = {
	{"", false, -EIO, "Empty reply"},
	{"\0\1\2garbage\r\n\r\n", false, -EPROTO, ""},
	{"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", false, -EIO, ""},
	{"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}", false, -EPROTO, ""},
	{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n", false, -EIO, ""},
	{"HTTP/1.1 307 Elsewhere\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", false, -EPROTO,
	 "HTTP status 307"},
	{"HTTP/1.1 404 None\r\n" CLOSE "{\"code\":5}", false, -EPROTO, "HTTP status 404"},
	{"HTTP/1.1 502 Bad Gateway\r\n" CLOSE "<html>no</html>", false, -EPROTO, "it is not etcd"},
	{"HTTP/1.1 503 Away\r\n" CLOSE "{\"code\":14,\"message\":\"etcdserver: request timed out\"}", false, -EIO,
	 "etcd refused: etcdserver: request timed out"},
	{"HTTP/1.1 400 No\r\n" CLOSE "{\"code\":11,\"message\":\"compacted\"}", false, -EIO, "compacted"},
	{"HTTP/1.1 401 No\r\n" CLOSE "{\"code\":16,\"message\":\"who?\\n\"}", false, -EACCES, "who?."},
	{"HTTP/1.1 429 No\r\n" CLOSE "{\"code\":8,\"message\":\"mvcc: database space exceeded\"}", false, -ENOSPC,
	 "space"},
	{OK CLOSE, false, -EPROTO, "not a JSON object"},
	{OK CLOSE "[]", false, -EPROTO, "not a JSON object"},
	{OK CLOSE "{}", false, -EPROTO, "header"},
	{OK CLOSE "{\"header\":{}}", false, -EPROTO, "cluster_id"},
	/* "There is nothing", from one that has another key. */
	{OK CLOSE "{" HEADER ",\"kvs\":[{\"key\":\"eA==\",\"mod_revision\":\"3\"}]}", false, -EPROTO, "asked for"},
	/* "There is none" and "it had no effect", as etcd would say it: but of another etcd. */
	{OK CLOSE "{" HEADER ",\"responses\":[{\"response_range\":{}}]}", false, -EUCLEAN, "belongs to etcd cluster 7"},
	{OK "\r\n[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", true, -EPROTO, "larger than"},
	{OK "\r\n\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n", true, -EPROTO, "larger than"},
	/* A header without end: each repetition is a line of it. */
	{"HTTP/1.1 200 OK: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", true, -EIO, ""},
	{"HTTP/1.1 100 Continue\r\n\r\n", true, -EIO, ""},
};

static void test_answers_that_are_not_etcds_are_refused(void **state)
{
	struct etcd_rig *g = etcd_rig_new(1, false);
	struct tcp_proxy *p = tcp_proxy_new(etcd_rig_port(g, 0));
	uint64_t ver;

	(void)state;
	for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		struct hf_cluster *c = open_at(proxy_url(p));
		size_t len = strlen(hostile[i].bytes);
		char key[32];
		struct answer a;
		int rc;

		snprintf(key, sizeof(key), "volume/%zu", i);
		assert_int_equal(cas(c, key, 0, "before", &ver), 0);
		tcp_proxy_say(p, hostile[i].bytes, i == 1 ? 14 : len, hostile[i].endless);
		rc = get(c, "volume/none", &a);
		if (rc != hostile[i].get || !strstr(c->away_why, hostile[i].words) ||
		    (rc != -EUCLEAN && !strstr(c->away_why, proxy_url(p))))
			fail_msg("answer %zu: %d: %s", i, rc, c->away_why);
		rc = cas(c, key, ver, "x", NULL);
		if (rc >= 0 || rc == -ESTALE || rc == -EINVAL)
			fail_msg("answer %zu to a change: %d: %s", i, rc, c->away_why);
		tcp_proxy_say(p, NULL, 0, false);
		rc = get(c, key, &a);
		if (rc != 0 || strcmp(a.value, "before") != 0)
			fail_msg("after answer %zu: %d: %s", i, rc, c->away_why);
		close_store(c);
	}
	tcp_proxy_free(p);
	etcd_rig_free(g);
}

#define promise(name) cmocka_unit_test_setup_teardown(test_##name, ask_setup, ask_teardown)

static int start_shared(void **state)
{
	(void)state;
	shared = etcd_rig_new(1, true);
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
		promise(with_the_right_certificates_everything_works),
		promise(an_etcd_of_another_authority_is_not_trusted),
		promise(an_etcd_of_another_name_is_not_trusted_but_gone_round),
		promise(without_a_certificate_that_etcd_accepts_nothing_is_done),
		promise(users),
		promise(answers_that_are_not_etcds_are_refused),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, start_shared, stop_shared);
}
