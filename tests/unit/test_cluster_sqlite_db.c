// SPDX-License-Identifier: MIT
/* sqlite_db: what is not ours is refused and left alone; what was answered survives kill -9; a swapped file is noticed.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <sqlite3.h>

#include "base/limits.h"
#include "cluster/sqlite_db.h"
#include "io/reactor_uring.h"

struct fixture {
	char dir[64], path[96];
	struct hf_uuid uuid;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/holdfast-sqlite-XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/cluster.db", f->dir);
	memset(&f->uuid, 7, sizeof(f->uuid));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char line[128];

	snprintf(line, sizeof(line), "rm -rf %s", f->dir);
	free(f);
	return system(line);
}

static void sql(const char *path, const char *text)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static size_t slurp(const char *path, char *to, size_t size)
{
	FILE *in = fopen(path, "r");
	size_t len = fread(to, 1, size, in);

	fclose(in);
	return len;
}

static void expect_refused(struct fixture *f, int result, const char *words)
{
	struct hf_errmsg err = { "" };
	struct hf_sqlite_db db;

	assert_int_equal(hf_sqlite_db_open(&db, f->path, &f->uuid, &err), result);
	assert_null(db.handle);
	if (!strstr(err.text, words))
		fail_msg("'%s' is not in '%s'", words, err.text);
}

static void test_another_database_is_refused_and_left_alone(void **state)
{
	struct fixture *f = *state;
	char before[1 << 14], after[1 << 14];
	size_t len;

	sql(f->path, "CREATE TABLE songs(name TEXT)");
	len = slurp(f->path, before, sizeof(before));
	expect_refused(f, -EUCLEAN, "not a Holdfast cluster store");
	assert_int_equal(slurp(f->path, after, sizeof(after)), len);
	assert_memory_equal(before, after, len);
}

static void test_a_newer_format_is_refused(void **state)
{
	struct fixture *f = *state;
	struct hf_sqlite_db db;

	assert_int_equal(hf_sqlite_db_open(&db, f->path, &f->uuid, NULL), 0);
	hf_sqlite_db_close(&db);
	sql(f->path, "PRAGMA user_version=2");
	expect_refused(f, -EUCLEAN, "newer holdfastd");
}

static void test_a_file_that_is_no_database_is_refused(void **state)
{
	struct fixture *f = *state;
	FILE *out = fopen(f->path, "w");
	struct stat st;

	for (int i = 0; i < 5000; i++)
		fputs("not a database ", out);
	fclose(out);
	expect_refused(f, -EUCLEAN, f->path);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_size, 75000);
}

static void test_a_missing_directory_is_named(void **state)
{
	struct fixture *f = *state;

	snprintf(f->path, sizeof(f->path), "%s/none/cluster.db", f->dir);
	expect_refused(f, -ENOENT, "none/cluster.db");
}

static void test_only_the_owner_may_read_the_file(void **state)
{
	struct fixture *f = *state;
	struct hf_sqlite_db db;
	struct stat st;

	assert_int_equal(hf_sqlite_db_open(&db, f->path, &f->uuid, NULL), 0);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	hf_sqlite_db_close(&db);
}

/* H26: a daemon must not go on with a file that is no longer the one at the path. */
static void test_a_file_that_was_swapped_under_us_is_noticed(void **state)
{
	struct fixture *f = *state;
	struct hf_cluster_rows rows = { 0 };
	char aside[128];
	struct hf_sqlite_db db;
	uint64_t ver;

	assert_int_equal(hf_sqlite_db_open(&db, f->path, &f->uuid, NULL), 0);
	assert_int_equal(hf_sqlite_db_get(&db, "cluster", &rows), 0);
	hf_cluster_rows_fini(&rows);
	snprintf(aside, sizeof(aside), "%s.old", f->path);
	assert_int_equal(rename(f->path, aside), 0);
	assert_int_equal(hf_sqlite_db_get(&db, "cluster", &rows), -EUCLEAN);
	assert_int_equal(hf_sqlite_db_cas(&db, "volume/a", 0, NULL, "x", &ver), -EUCLEAN);
	hf_sqlite_db_close(&db);
}

/* A value that is no text of ours, put there by another hand. */
static void test_a_damaged_row_is_refused_not_handed_on(void **state)
{
	struct fixture *f = *state;
	struct hf_cluster_rows rows = { 0 };
	struct hf_sqlite_db db;

	assert_int_equal(hf_sqlite_db_open(&db, f->path, &f->uuid, NULL), 0);
	sql(f->path, "INSERT INTO kv VALUES('volume/nul', CAST(x'61006200' AS TEXT), 5);"
		     "INSERT INTO kv VALUES('volume/big', printf('%.*c', 70000, 'x'), 6)");
	assert_int_equal(hf_sqlite_db_get(&db, "volume/nul", &rows), -EUCLEAN);
	assert_int_equal(hf_sqlite_db_get(&db, "volume/big", &rows), -EUCLEAN);
	assert_int_equal(hf_sqlite_db_list(&db, "volume/", &rows), -EUCLEAN);
	assert_int_equal(rows.count, 0);
	hf_sqlite_db_close(&db);
}

static void test_daemons_that_start_together_make_one_store(void **state)
{
	enum { COUNT = 6 };
	struct fixture *f = *state;
	pid_t pids[COUNT];

	for (int i = 0; i < COUNT; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			struct hf_sqlite_db db;
			struct hf_errmsg err;
			uint64_t ver;
			char key[32];

			memset(&f->uuid, i + 1, sizeof(f->uuid));
			snprintf(key, sizeof(key), "host/%d", i);
			if (hf_sqlite_db_open(&db, f->path, &f->uuid, &err) < 0 ||
			    hf_sqlite_db_cas(&db, key, 0, NULL, "x", &ver) < 0)
				_exit(1);
			hf_sqlite_db_close(&db);
			_exit(0);
		}
	}
	for (int i = 0; i < COUNT; i++) {
		int status;

		waitpid(pids[i], &status, 0);
		assert_int_equal(status, 0);
	}
	struct hf_cluster_rows rows = { 0 };
	struct hf_sqlite_db db;

	assert_int_equal(hf_sqlite_db_open(&db, f->path, &f->uuid, NULL), 0);
	assert_int_equal(hf_sqlite_db_list(&db, "", &rows), 0);
	assert_int_equal(rows.count, COUNT + 1);
	assert_int_equal(db.revision, COUNT + 1);
	hf_cluster_rows_fini(&rows);
	hf_sqlite_db_close(&db);
}

/* A child changes one key again and again and says each number that was answered; it is killed in the middle. */
static void test_what_was_answered_survives_kill_9(void **state)
{
	struct fixture *f = *state;

	for (int round = 0; round < 5; round++) {
		struct hf_cluster_rows rows = { 0 };
		struct hf_sqlite_db db;
		int ends[2], number = 0, answered = 0;
		pid_t pid;

		assert_int_equal(pipe(ends), 0);
		pid = fork();
		if (pid == 0) {
			uint64_t ver = 0;
			char text[16];

			if (hf_sqlite_db_open(&db, f->path, &f->uuid, NULL) < 0)
				_exit(1);
			if (hf_sqlite_db_get(&db, "volume/a", &rows) == 0)
				ver = rows.item[0].ver;
			for (int i = 1;; i++) {
				snprintf(text, sizeof(text), "%d", i);
				if (hf_sqlite_db_cas(&db, "volume/a", ver, NULL, text, &ver) < 0 ||
				    write(ends[1], &i, sizeof(i)) != sizeof(i))
					_exit(1);
			}
		}
		close(ends[1]);
		while (answered < 20 + round && read(ends[0], &number, sizeof(number)) == sizeof(number))
			answered = number;
		kill(pid, SIGKILL);
		while (read(ends[0], &number, sizeof(number)) == sizeof(number))
			answered = number;
		waitpid(pid, NULL, 0);
		close(ends[0]);
		assert_true(answered >= 20);
		assert_int_equal(hf_sqlite_db_open(&db, f->path, &f->uuid, NULL), 0);
		assert_int_equal(hf_sqlite_db_get(&db, "volume/a", &rows), 0);
		assert_in_range(atoi(rows.item[0].value), answered, answered + 1);
		hf_cluster_rows_fini(&rows);
		hf_sqlite_db_close(&db);
	}
}

struct answer {
	struct hf_cluster_req req;
	bool arrived;
	int result;
};

static void answer_done(struct hf_cluster_req *q, int result, const struct hf_cluster_item *items, size_t n,
			uint64_t ver)
{
	struct answer *a = q->ctx;

	(void)items;
	(void)n;
	(void)ver;
	a->arrived = true;
	a->result = result;
}

/* Announce (or ask for) hostA on a reactor of this process's own; the store stays open. */
static int ask(struct fixture *f, bool announce, struct hf_reactor **r, struct hf_cluster **c)
{
	struct answer a = { .req = { .done = answer_done, .ctx = &a } };
	struct hf_errmsg err;

	if (hf_reactor_uring_new(r, &err) < 0 || hf_cluster_sqlite_new(*r, f->path, c, &err) < 0)
		return -1;
	if (announce)
		(*c)->ops->announce(*c, &a.req, "hostA");
	else
		(*c)->ops->alive(*c, &a.req, "hostA");
	for (int i = 0; i < 2000 && !a.arrived; i++)
		hf_reactor_uring_turn(*r, hf_reactor_now(*r) + 5 * HF_MS);
	return a.arrived ? a.result : -1;
}

static int is_alive(struct fixture *f)
{
	struct hf_reactor *r;
	struct hf_cluster *c;
	int alive = ask(f, false, &r, &c);

	c->ops->free(c);
	hf_reactor_uring_free(r);
	return alive;
}

static void test_a_killed_daemon_is_dead_at_once(void **state)
{
	struct fixture *f = *state;
	char byte = 0;
	int ends[2];
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (pid == 0) {
		struct hf_reactor *r;
		struct hf_cluster *c;

		byte = ask(f, true, &r, &c) == 0 ? 'y' : 'n';
		if (write(ends[1], &byte, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ends[0], &byte, 1), 1);
	assert_int_equal(byte, 'y');
	assert_int_equal(is_alive(f), 1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(is_alive(f), 0);
	close(ends[0]);
	close(ends[1]);
}

#define promise(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		promise(another_database_is_refused_and_left_alone),
		promise(a_newer_format_is_refused),
		promise(a_file_that_is_no_database_is_refused),
		promise(a_missing_directory_is_named),
		promise(only_the_owner_may_read_the_file),
		promise(a_file_that_was_swapped_under_us_is_noticed),
		promise(a_damaged_row_is_refused_not_handed_on),
		promise(daemons_that_start_together_make_one_store),
		promise(what_was_answered_survives_kill_9),
		promise(a_killed_daemon_is_dead_at_once),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
