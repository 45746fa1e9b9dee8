// SPDX-License-Identifier: MIT
/* cluster_ask - questions to an etcd store, answered before they return. */
#include "lib/cluster_ask.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "io/reactor_uring.h"

static struct hf_reactor *reactor;
char ask_prefix[64];

static void on_answer(struct hf_cluster_req *q, int result, const struct hf_cluster_item *items, size_t count,
		      uint64_t ver)
{
	struct answer *a = q->ctx;

	assert_false(a->arrived);
	a->arrived = true;
	a->result = result;
	a->ver = ver;
	a->count = count;
	a->ascends = true;
	for (size_t i = 1; i < count; i++)
		a->ascends = a->ascends && strcmp(items[i - 1].key, items[i].key) < 0;
	if (count) {
		snprintf(a->value, sizeof(a->value), "%s", items[0].value);
		snprintf(a->last_key, sizeof(a->last_key), "%s", items[count - 1].key);
		a->ver = items[0].ver;
	}
}

void turn(void)
{
	hf_reactor_uring_turn(reactor, hf_reactor_now(reactor) + 10 * HF_MS);
}

void ask(struct answer *a)
{
	*a = (struct answer){ .req = { .done = on_answer } };
	a->req.ctx = a;
}

int await(struct answer *a)
{
	for (int i = 0; i < TURNS_MAX && !a->arrived; i++)
		turn();
	assert_true(a->arrived);
	return a->result;
}

int get(struct hf_cluster *c, const char *key, struct answer *a)
{
	ask(a);
	c->ops->get(c, &a->req, key);
	return await(a);
}

int cas(struct hf_cluster *c, const char *key, uint64_t ver, const char *value, uint64_t *out)
{
	struct answer a;

	ask(&a);
	c->ops->cas(c, &a.req, key, ver, NULL, value);
	if (await(&a) == 0 && out)
		*out = a.ver;
	return a.result;
}

void change(struct hf_cluster *c, const char *key, const char *value)
{
	struct answer a;

	for (int tries = 0; tries < TURNS_MAX; tries++) {
		int rc = get(c, key, &a);

		if (rc == 0 && strcmp(a.value, value) == 0)
			return;
		if (rc == 0 || rc == -ENOENT)
			(void)cas(c, key, rc == 0 ? a.ver : 0, value, NULL);
		turn();
	}
	fail_msg("%s did not become %s", key, value);
}

struct hf_cluster *open_with(const struct hf_cluster_etcd_params *p)
{
	struct hf_cluster *c;
	struct hf_errmsg err;

	if (hf_cluster_etcd_new(reactor, p, &c, &err) < 0)
		fail_msg("%s", err.text);
	return c;
}

struct hf_cluster *open_at(const char *endpoints)
{
	return open_with(&(struct hf_cluster_etcd_params){ .endpoints = endpoints, .prefix = ask_prefix });
}

const char *proxy_url(const struct tcp_proxy *p)
{
	static char url[4][64];
	static unsigned next;
	char *out = url[next++ % 4];

	snprintf(out, sizeof(url[0]), "http://127.0.0.1:%u", tcp_proxy_port(p));
	return out;
}

void close_store(struct hf_cluster *c)
{
	c->ops->free(c);
	for (int i = 0; i < 4; i++)
		turn();
}

int ask_setup(void **state)
{
	static unsigned number;
	struct hf_errmsg err;

	(void)state;
	snprintf(ask_prefix, sizeof(ask_prefix), "/holdfast/unit-%u/", number++);
	return hf_reactor_uring_new(&reactor, &err);
}

int ask_teardown(void **state)
{
	(void)state;
	hf_reactor_uring_free(reactor);
	return 0;
}

int alive(struct hf_cluster *c, const char *host)
{
	struct answer a;

	ask(&a);
	c->ops->alive(c, &a.req, host);
	return await(&a);
}

int announce(struct hf_cluster *c, const char *host)
{
	struct answer a;

	ask(&a);
	c->ops->announce(c, &a.req, host);
	return await(&a);
}

void await_alive(struct hf_cluster *c, const char *host, int want)
{
	for (int i = 0; i < TURNS_MAX && alive(c, host) != want; i++)
		turn();
	assert_int_equal(alive(c, host), want);
}

static void on_changed(struct hf_cluster_watch *w)
{
	((struct watcher *)w->ctx)->count++;
}

void watch(struct hf_cluster *c, struct watcher *x, const char *of)
{
	*x = (struct watcher){ .watch = { .changed = on_changed } };
	hf_list_init(&x->watch.link);
	x->watch.ctx = x;
	snprintf(x->watch.prefix, sizeof(x->watch.prefix), "%s", of);
	c->ops->watch(c, &x->watch);
}

void await_change(struct watcher *x, int above)
{
	for (int i = 0; i < TURNS_MAX && x->count <= above; i++)
		turn();
	assert_true(x->count > above);
}

void await_stream(struct hf_cluster *c, struct hf_cluster *by, struct watcher *x, struct watcher *other)
{
	uint64_t ver = 0;
	struct answer a;

	for (int tries = 0; tries < 50; tries++) {
		int before = x->count, untouched = other->count;

		if (get(c, "volume/a", &a) == 0)
			ver = a.ver;
		assert_int_equal(cas(by, "volume/a", ver, "x", NULL), 0);
		await_change(x, before);
		if (other->count == untouched)
			return;
	}
	fail_msg("every change is told to everyone: there is no stream");
}
