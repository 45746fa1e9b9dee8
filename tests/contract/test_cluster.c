// SPDX-License-Identifier: MIT
/*
 * cluster: the promises of cluster/cluster.h, checked alike on every backend.
 *
 * A driver makes an empty store, opens it as several daemons would, kills such a daemon, and lets time pass.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/uuid.h"
#include "cluster/cluster.h"
#include "lib/cluster_driver.h"

#define DAEMONS 3
#define TURNS_MAX 2000			/* the deadline of a wait; a driver's turn lasts at most 10 ms */

static const struct cluster_driver *driver;	/* of the test that runs */

struct world {
	void *backend;
	struct hf_cluster *daemon[DAEMONS];
};

/* An answer, copied out of `done`. */
struct answer {
	struct hf_cluster_req req;
	bool arrived;
	int result;
	uint64_t ver;
	size_t count;
	char key[8][HF_CLUSTER_KEY_MAX];
	char value[8][256];
	size_t value_len[8];
	uint64_t item_ver[8];
};

static void answer_done(struct hf_cluster_req *q, int result, const struct hf_cluster_item *items, size_t count,
			uint64_t ver)
{
	struct answer *a = q->ctx;

	assert_false(a->arrived);
	a->arrived = true;
	a->result = result;
	a->ver = ver;
	a->count = count;
	for (size_t i = 0; i < count && i < 8; i++) {
		snprintf(a->key[i], sizeof(a->key[i]), "%s", items[i].key);
		snprintf(a->value[i], sizeof(a->value[i]), "%s", items[i].value);
		a->value_len[i] = items[i].value_len;
		a->item_ver[i] = items[i].ver;
	}
}

static void ask(struct answer *a)
{
	*a = (struct answer){ .req = { .done = answer_done } };
	a->req.ctx = a;
}

static void wait_for(struct world *w, struct answer *a)
{
	assert_false(a->arrived);	/* never from inside the call */
	for (int i = 0; i < TURNS_MAX && !a->arrived; i++)
		driver->turn(w->backend);
	assert_true(a->arrived);
}

static int get(struct world *w, int d, const char *key, struct answer *a)
{
	ask(a);
	w->daemon[d]->ops->get(w->daemon[d], &a->req, key);
	wait_for(w, a);
	return a->result;
}

static int list(struct world *w, int d, const char *prefix, struct answer *a)
{
	ask(a);
	w->daemon[d]->ops->list(w->daemon[d], &a->req, prefix);
	wait_for(w, a);
	return a->result;
}

static int cas_of(struct world *w, int d, const char *key, uint64_t ver, const char *was, const char *value,
		  uint64_t *out_ver)
{
	struct answer a;

	ask(&a);
	w->daemon[d]->ops->cas(w->daemon[d], &a.req, key, ver, was, value);
	wait_for(w, &a);
	if (a.result == 0 && out_ver)
		*out_ver = a.ver;
	return a.result;
}

static int cas(struct world *w, int d, const char *key, uint64_t ver, const char *value, uint64_t *out_ver)
{
	return cas_of(w, d, key, ver, NULL, value, out_ver);
}

static int announce(struct world *w, int d, const char *host)
{
	struct answer a;

	ask(&a);
	w->daemon[d]->ops->announce(w->daemon[d], &a.req, host);
	wait_for(w, &a);
	return a.result;
}

static int alive(struct world *w, int d, const char *host)
{
	struct answer a;

	ask(&a);
	w->daemon[d]->ops->alive(w->daemon[d], &a.req, host);
	wait_for(w, &a);
	return a.result;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	driver = *state;
	w->backend = driver->setup();
	if (!w->backend)
		return -1;
	for (int i = 0; i < DAEMONS; i++)
		w->daemon[i] = driver->open(w->backend);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < DAEMONS; i++)
		if (w->daemon[i])
			driver->kill(w->backend, w->daemon[i]);
	driver->teardown(w->backend);
	free(w);
	return 0;
}

static void test_a_fresh_store_has_a_cluster_uuid_that_all_see(void **state)
{
	struct answer a, b;
	struct hf_uuid u;

	assert_int_equal(get(*state, 0, "cluster", &a), 0);
	assert_int_equal(hf_uuid_parse(a.value[0], &u), 0);
	assert_false(hf_uuid_is_zero(&u));
	assert_int_equal(get(*state, 1, "cluster", &b), 0);
	assert_string_equal(a.value[0], b.value[0]);
}

static void test_get_of_a_missing_key_is_enoent(void **state)
{
	struct answer a;

	assert_int_equal(get(*state, 0, "volume/none", &a), -ENOENT);
	assert_int_equal(a.count, 0);
}

/* "No", "there is none" and "too long" are answers as well. */
static void test_a_store_that_answers_is_not_away(void **state)
{
	struct world *w = *state;
	char key[HF_CLUSTER_KEY_MAX + 1];
	struct answer a;

	memset(key, 'k', sizeof(key));
	key[HF_CLUSTER_KEY_MAX] = '\0';
	assert_int_equal(get(w, 0, "volume/none", &a), -ENOENT);
	assert_int_equal(cas(w, 0, "volume/none", 7, "x", NULL), -ESTALE);
	assert_int_equal(cas(w, 0, key, 0, "x", NULL), -EINVAL);
	assert_int_equal(w->daemon[0]->away_since, 0);
}

static void test_create_read_change_delete(void **state)
{
	uint64_t v1 = 0, v2 = 0, v3 = 0;
	struct answer a;

	assert_int_equal(cas(*state, 0, "volume/a", 0, "one", &v1), 0);
	assert_true(v1 > 0);
	assert_int_equal(get(*state, 1, "volume/a", &a), 0);
	assert_string_equal(a.value[0], "one");
	assert_int_equal(a.value_len[0], 3);
	assert_int_equal(a.item_ver[0], v1);
	assert_int_equal(cas(*state, 1, "volume/a", v1, "two", &v2), 0);
	assert_true(v2 > v1);
	assert_int_equal(cas(*state, 2, "volume/a", v2, NULL, &v3), 0);
	assert_true(v3 > v2);
	assert_int_equal(get(*state, 0, "volume/a", &a), -ENOENT);
}

static void test_create_of_an_existing_key_is_stale(void **state)
{
	struct answer a;

	assert_int_equal(cas(*state, 0, "volume/a", 0, "one", NULL), 0);
	assert_int_equal(cas(*state, 1, "volume/a", 0, "two", NULL), -ESTALE);
	assert_int_equal(get(*state, 1, "volume/a", &a), 0);
	assert_string_equal(a.value[0], "one");
}

static void test_change_and_delete_of_a_missing_key_are_stale(void **state)
{
	assert_int_equal(cas(*state, 0, "volume/a", 1, "one", NULL), -ESTALE);
	assert_int_equal(cas(*state, 0, "volume/a", 1, NULL, NULL), -ESTALE);
}

/* H7: equal values do not make equal versions. */
static void test_a_value_that_came_back_does_not_bring_its_version_back(void **state)
{
	uint64_t v1 = 0, v2 = 0, v3 = 0;

	assert_int_equal(cas(*state, 0, "volume/a", 0, "A", &v1), 0);
	assert_int_equal(cas(*state, 0, "volume/a", v1, "B", &v2), 0);
	assert_int_equal(cas(*state, 0, "volume/a", v2, "A", &v3), 0);
	assert_int_equal(cas(*state, 1, "volume/a", v1, "late", NULL), -ESTALE);
	assert_int_equal(cas(*state, 0, "volume/a", v3, NULL, NULL), 0);
	assert_int_equal(cas(*state, 0, "volume/a", 0, "A", &v1), 0);
	assert_true(v1 > v3);
	assert_int_equal(cas(*state, 1, "volume/a", v3, "late", NULL), -ESTALE);
}

static void test_versions_come_from_one_counter_of_the_whole_store(void **state)
{
	uint64_t v1 = 0, v2 = 0, v3 = 0;

	assert_int_equal(cas(*state, 0, "volume/a", 0, "x", &v1), 0);
	assert_int_equal(cas(*state, 1, "host/b", 0, "x", &v2), 0);
	assert_int_equal(cas(*state, 2, "volume/a", v1, "y", &v3), 0);
	assert_true(v1 < v2 && v2 < v3);
}

/* H26: the version alone does not tell, where a store was put back to a copy. */
static void test_cas_with_the_wrong_value_changes_nothing(void **state)
{
	struct answer a;
	uint64_t ver = 0;

	assert_int_equal(cas(*state, 0, "volume/a", 0, "one", &ver), 0);
	assert_int_equal(cas_of(*state, 1, "volume/a", ver, "on", "two", NULL), -ESTALE);
	assert_int_equal(cas_of(*state, 1, "volume/a", ver, "one ", NULL, NULL), -ESTALE);
	assert_int_equal(get(*state, 2, "volume/a", &a), 0);
	assert_string_equal(a.value[0], "one");
	assert_int_equal(a.item_ver[0], ver);
	assert_int_equal(cas_of(*state, 1, "volume/a", ver, "one", "two", &ver), 0);
	assert_int_equal(cas_of(*state, 1, "volume/a", ver, "two", NULL, NULL), 0);
	assert_int_equal(get(*state, 2, "volume/a", &a), -ENOENT);
}

static void test_of_racing_changes_exactly_one_wins(void **state)
{
	struct world *w = *state;
	uint64_t ver = 0;

	assert_int_equal(cas(w, 0, "volume/a", 0, "start", &ver), 0);
	for (int round = 0; round < 20; round++) {
		struct answer a[DAEMONS];
		int won = 0;

		for (int d = 0; d < DAEMONS; d++) {
			ask(&a[d]);
			w->daemon[d]->ops->cas(w->daemon[d], &a[d].req, "volume/a", ver, NULL,
					       d == 0	? "x"
					       : d == 1 ? "y"
							: "z");
		}
		for (int d = 0; d < DAEMONS; d++) {
			if (!a[d].arrived)
				wait_for(w, &a[d]);
			if (a[d].result == 0) {
				won++;
				ver = a[d].ver;
			} else {
				assert_int_equal(a[d].result, -ESTALE);
			}
		}
		assert_int_equal(won, 1);
	}
}

static void test_list_gives_the_prefix_in_order_and_nothing_else(void **state)
{
	struct answer a;

	assert_int_equal(list(*state, 0, "volume/", &a), 0);
	assert_int_equal(a.count, 0);
	assert_int_equal(cas(*state, 0, "volume/b", 0, "2", NULL), 0);
	assert_int_equal(cas(*state, 1, "volume/a", 0, "1", NULL), 0);
	assert_int_equal(cas(*state, 2, "volume/~", 0, "3", NULL), 0);
	assert_int_equal(cas(*state, 2, "volumf", 0, "no", NULL), 0);
	assert_int_equal(cas(*state, 2, "volum", 0, "no", NULL), 0);
	assert_int_equal(cas(*state, 0, "host/a", 0, "no", NULL), 0);
	assert_int_equal(list(*state, 1, "volume/", &a), 0);
	assert_int_equal(a.count, 3);
	assert_string_equal(a.key[0], "volume/a");
	assert_string_equal(a.key[1], "volume/b");
	assert_string_equal(a.key[2], "volume/~");
	assert_string_equal(a.value[0], "1");
	assert_true(a.item_ver[0] > a.item_ver[1]);
}

static void test_the_largest_value_fits_and_a_larger_one_is_refused(void **state)
{
	char *text = malloc(HF_CLUSTER_VALUE_MAX + 2);
	struct answer a;

	memset(text, 'x', HF_CLUSTER_VALUE_MAX + 1);
	text[HF_CLUSTER_VALUE_MAX + 1] = '\0';
	assert_int_equal(cas(*state, 0, "volume/a", 0, text, NULL), -EINVAL);
	assert_int_equal(get(*state, 0, "volume/a", &a), -ENOENT);
	text[HF_CLUSTER_VALUE_MAX] = '\0';
	assert_int_equal(cas(*state, 0, "volume/a", 0, text, NULL), 0);
	assert_int_equal(get(*state, 0, "volume/a", &a), 0);
	assert_int_equal(a.value_len[0], HF_CLUSTER_VALUE_MAX);
	free(text);
}

static void test_a_key_that_is_too_long_is_refused(void **state)
{
	char key[HF_CLUSTER_KEY_MAX + 1];
	struct answer a;

	memset(key, 'k', sizeof(key));
	key[HF_CLUSTER_KEY_MAX] = '\0';
	assert_int_equal(cas(*state, 0, key, 0, "x", NULL), -EINVAL);
	assert_int_equal(get(*state, 0, key, &a), -EINVAL);
}

static void test_key_and_value_are_copied_at_the_call(void **state)
{
	struct world *w = *state;
	char key[] = "volume/a", value[] = "one";
	struct answer a;

	ask(&a);
	w->daemon[0]->ops->cas(w->daemon[0], &a.req, key, 0, NULL, value);
	memset(key, 'z', sizeof(key) - 1);
	memset(value, 'z', sizeof(value) - 1);
	wait_for(w, &a);
	assert_int_equal(get(w, 1, "volume/a", &a), 0);
	assert_string_equal(a.value[0], "one");
}

struct watcher {
	struct hf_cluster_watch watch;
	int count;
};

static void watcher_changed(struct hf_cluster_watch *watch)
{
	((struct watcher *)watch->ctx)->count++;
}

static void watch(struct world *w, int d, struct watcher *x, const char *prefix)
{
	*x = (struct watcher){ .watch = { .changed = watcher_changed } };
	hf_list_init(&x->watch.link);
	x->watch.ctx = x;
	snprintf(x->watch.prefix, sizeof(x->watch.prefix), "%s", prefix);
	w->daemon[d]->ops->watch(w->daemon[d], &x->watch);
}

static void wait_change(struct world *w, struct watcher *x, int above)
{
	for (int i = 0; i < TURNS_MAX && x->count <= above; i++)
		driver->turn(w->backend);
	assert_true(x->count > above);
}

static void test_watch_tells_of_own_and_foreign_changes_and_deletes(void **state)
{
	struct world *w = *state;
	struct watcher x;
	uint64_t ver = 0;
	int before;

	watch(w, 0, &x, "volume/");
	assert_int_equal(cas(w, 0, "volume/a", 0, "own", &ver), 0);
	wait_change(w, &x, 0);
	before = x.count;
	assert_int_equal(cas(w, 1, "volume/a", ver, "foreign", &ver), 0);
	wait_change(w, &x, before);
	before = x.count;
	assert_int_equal(cas(w, 2, "volume/a", ver, NULL, &ver), 0);
	wait_change(w, &x, before);
	w->daemon[0]->ops->unwatch(w->daemon[0], &x.watch);
}

static void test_unwatch_is_silent_afterwards(void **state)
{
	struct world *w = *state;
	struct watcher x, y;

	watch(w, 0, &x, "volume/");
	watch(w, 0, &y, "volume/");
	w->daemon[0]->ops->unwatch(w->daemon[0], &x.watch);
	assert_int_equal(cas(w, 1, "volume/a", 0, "v", NULL), 0);
	wait_change(w, &y, 0);
	assert_int_equal(x.count, 0);
	w->daemon[0]->ops->unwatch(w->daemon[0], &y.watch);
}

static void test_a_host_lives_from_announce_to_death(void **state)
{
	struct world *w = *state;

	assert_int_equal(alive(w, 0, "hostA"), 0);
	assert_int_equal(announce(w, 1, "hostA"), 0);
	assert_int_equal(alive(w, 0, "hostA"), 1);
	assert_int_equal(alive(w, 1, "hostA"), 1);
	assert_int_equal(alive(w, 0, "hostB"), 0);
	driver->kill(w->backend, w->daemon[1]);
	w->daemon[1] = NULL;
	for (int i = 0; i < TURNS_MAX && alive(w, 0, "hostA") == 1; i++)
		driver->turn(w->backend);
	assert_int_equal(alive(w, 0, "hostA"), 0);
}

static void test_a_name_belongs_to_one_live_daemon(void **state)
{
	struct world *w = *state;

	assert_int_equal(announce(w, 0, "hostA"), 0);
	assert_int_equal(announce(w, 1, "hostA"), -EEXIST);
	assert_int_equal(announce(w, 1, "hostB"), 0);
	driver->kill(w->backend, w->daemon[0]);
	w->daemon[0] = NULL;
	for (int i = 0; i < TURNS_MAX && alive(w, 1, "hostA") == 1; i++)
		driver->turn(w->backend);
	assert_int_equal(announce(w, 2, "hostA"), 0);
}

static void test_a_daemon_that_dies_leaves_what_it_wrote(void **state)
{
	struct world *w = *state;
	struct answer a;

	assert_int_equal(cas(w, 0, "volume/a", 0, "kept", NULL), 0);
	driver->kill(w->backend, w->daemon[0]);
	w->daemon[0] = driver->open(w->backend);
	assert_int_equal(get(w, 0, "volume/a", &a), 0);
	assert_string_equal(a.value[0], "kept");
}

#define promise(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

static const struct CMUnitTest promises[] = {
	promise(a_fresh_store_has_a_cluster_uuid_that_all_see),
	promise(get_of_a_missing_key_is_enoent),
	promise(a_store_that_answers_is_not_away),
	promise(create_read_change_delete),
	promise(create_of_an_existing_key_is_stale),
	promise(change_and_delete_of_a_missing_key_are_stale),
	promise(a_value_that_came_back_does_not_bring_its_version_back),
	promise(versions_come_from_one_counter_of_the_whole_store),
	promise(cas_with_the_wrong_value_changes_nothing),
	promise(of_racing_changes_exactly_one_wins),
	promise(list_gives_the_prefix_in_order_and_nothing_else),
	promise(the_largest_value_fits_and_a_larger_one_is_refused),
	promise(a_key_that_is_too_long_is_refused),
	promise(key_and_value_are_copied_at_the_call),
	promise(watch_tells_of_own_and_foreign_changes_and_deletes),
	promise(unwatch_is_silent_afterwards),
	promise(a_host_lives_from_announce_to_death),
	promise(a_name_belongs_to_one_live_daemon),
	promise(a_daemon_that_dies_leaves_what_it_wrote),
};

#define PROMISE_COUNT (sizeof(promises) / sizeof(promises[0]))
#define DRIVER_COUNT (sizeof(drivers) / sizeof(drivers[0]))

/* Every promise on every backend, in one group: one plan for the reader of TAP. */
int main(void)
{
	static const struct cluster_driver *const drivers[] = { &cluster_driver_sqlite, &cluster_driver_etcd,
							 &cluster_driver_sim };
	static struct CMUnitTest tests[DRIVER_COUNT * PROMISE_COUNT];
	static char names[DRIVER_COUNT * PROMISE_COUNT][128];

	for (size_t d = 0; d < DRIVER_COUNT; d++) {
		for (size_t p = 0; p < PROMISE_COUNT; p++) {
			size_t i = d * PROMISE_COUNT + p;

			snprintf(names[i], sizeof(names[i]), "%s: %s", drivers[d]->name, promises[p].name);
			tests[i] = promises[p];
			tests[i].name = names[i];
			tests[i].initial_state = (void *)(uintptr_t)drivers[d];
		}
	}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
