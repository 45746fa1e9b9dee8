// SPDX-License-Identifier: MIT
/* events: every line is chained to the one before; what a crash or a hand did to the file is found and told. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <fcntl.h>
#include <cmocka.h>

#include "base/limits.h"
#include "base/log.h"
#include "ctl/event_chain.h"
#include "ctl/events.h"
#include "io/reactor_uring.h"

#define TURNS_MAX 2000

struct fixture {
	struct hf_reactor *reactor;
	struct hf_events *events;
	char dir[64], path[80];
	bool stopped, answered;
	int result;
	json_t *tail;
};

static void quiet(void *ctx, enum hf_log_level level, const char *line)
{
	(void)ctx;
	(void)level;
	(void)line;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct hf_errmsg err;

	hf_log_init(quiet, NULL, HF_LOG_DEBUG);
	strcpy(f->dir, "/tmp/holdfast-events-XXXXXX");
	if (!mkdtemp(f->dir) || hf_reactor_uring_new(&f->reactor, &err) < 0)
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/events", f->dir);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	hf_reactor_uring_free(f->reactor);
	unlink(f->path);
	rmdir(f->dir);
	free(f);
	return 0;
}

static void start(struct fixture *f)
{
	struct hf_errmsg err = { "" };

	if (hf_events_new(f->reactor, f->path, "hostA", &f->events, &err) < 0)
		fail_msg("%s", err.text);
}

static void on_stopped(void *ctx)
{
	((struct fixture *)ctx)->stopped = true;
}

static void stop(struct fixture *f)
{
	f->stopped = false;
	hf_events_stop(f->events, on_stopped, f);
	assert_false(f->stopped);
	for (int i = 0; i < TURNS_MAX && !f->stopped; i++)
		hf_reactor_uring_turn(f->reactor, hf_reactor_now(f->reactor) + 5 * HF_MS);
	assert_true(f->stopped);
}

static void on_tail(void *ctx, int result, json_t *events)
{
	struct fixture *f = ctx;

	f->answered = true;
	f->result = result;
	f->tail = events;
}

/* "kind kind ..." of the newest events, oldest first. */
static void expect_tail(struct fixture *f, const char *volume, size_t count, const char *expected)
{
	char kinds[512] = "";

	f->answered = false;
	hf_events_tail(f->events, volume, count, on_tail, f);
	for (int i = 0; i < TURNS_MAX && !f->answered; i++)
		hf_reactor_uring_turn(f->reactor, hf_reactor_now(f->reactor) + 5 * HF_MS);
	assert_true(f->answered);
	assert_int_equal(f->result, 0);
	for (size_t i = 0; i < json_array_size(f->tail); i++) {
		strcat(kinds, i ? " " : "");
		strcat(kinds, json_string_value(json_object_get(json_array_get(f->tail, i), "kind")));
	}
	json_decref(f->tail);
	assert_string_equal(kinds, expected);
}

static void expect_good(struct fixture *f, uint64_t lines)
{
	struct hf_errmsg err = { "" };
	uint64_t count = 0;

	if (hf_events_verify(f->path, &count, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(count, lines);
}

static void expect_bad(struct fixture *f, const char *words)
{
	struct hf_errmsg err = { "" };
	uint64_t count = 7;

	assert_int_equal(hf_events_verify(f->path, &count, &err), -EBADMSG);
	assert_int_equal(count, 7);
	if (!strstr(err.text, words))
		fail_msg("'%s' is not in '%s'", words, err.text);
}

/* Three events, written and closed. */
static void write_three(struct fixture *f)
{
	start(f);
	hf_events_add(f->events, "one", NULL, NULL);
	hf_events_add(f->events, "two", "db42", json_pack("{s:i}", "epoch", 7));
	hf_events_add(f->events, "three", "db43", NULL);
	stop(f);
}

static char *slurp(struct fixture *f, size_t *len)
{
	FILE *in = fopen(f->path, "r");
	char *text = calloc(1, 1 << 20);

	*len = fread(text, 1, (1 << 20) - 1, in);
	fclose(in);
	return text;
}

static void spill(struct fixture *f, const char *text, size_t len)
{
	FILE *out = fopen(f->path, "w");

	fwrite(text, 1, len, out);
	fclose(out);
}

static void test_events_are_chained_and_verify(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	write_three(f);
	expect_good(f, 3);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_the_chain_goes_on_after_a_restart(void **state)
{
	struct fixture *f = *state;

	write_three(f);
	write_three(f);
	expect_good(f, 6);
}

static void test_tail_gives_the_newest_oldest_first_and_filters_by_volume(void **state)
{
	struct fixture *f = *state;

	start(f);
	expect_tail(f, NULL, 10, "");
	stop(f);
	write_three(f);
	start(f);
	hf_events_add(f->events, "four", "db42", NULL);
	expect_tail(f, NULL, 2, "three four");
	expect_tail(f, NULL, 100, "one two three four");
	expect_tail(f, "db42", 100, "two four");
	expect_tail(f, "db42", 1, "four");
	expect_tail(f, "none", 100, "");
	stop(f);
}

static void test_tail_looks_back_as_far_as_it_must(void **state)
{
	struct fixture *f = *state;

	start(f);
	hf_events_add(f->events, "far", "db42", NULL);
	for (int i = 0; i < 3000; i++)
		hf_events_add(f->events, "noise", "db43", NULL);
	expect_tail(f, "db42", 1, "far");
	stop(f);
	expect_good(f, 3001);
}

static void test_a_torn_last_line_is_dropped_and_told(void **state)
{
	struct fixture *f = *state;
	size_t len;
	char *text;

	write_three(f);
	text = slurp(f, &len);
	spill(f, text, len - 10);
	free(text);
	expect_bad(f, "middle of line 3");
	start(f);
	expect_tail(f, NULL, 10, "one two events-torn");
	stop(f);
	expect_good(f, 3);
}

static void test_every_truncation_recovers_to_a_good_chain(void **state)
{
	struct fixture *f = *state;
	size_t len;
	char *text;

	write_three(f);
	text = slurp(f, &len);
	for (size_t cut = 0; cut < len; cut += 17) {
		uint64_t count;

		spill(f, text, cut);
		start(f);
		hf_events_add(f->events, "next", NULL, NULL);
		stop(f);
		assert_int_equal(hf_events_verify(f->path, &count, NULL), 0);
	}
	free(text);
}

static void test_a_changed_byte_is_found(void **state)
{
	struct fixture *f = *state;
	char *text, *at;
	size_t len;

	write_three(f);
	text = slurp(f, &len);
	at = strstr(text, "\"epoch\":7");
	at[8] = '8';
	spill(f, text, len);
	expect_bad(f, "line 2: its content does not match");
	start(f);
	expect_tail(f, NULL, 1, "events-chain-broken");
	stop(f);
	expect_bad(f, "line 2");
	free(text);
}

static void test_any_flipped_bit_is_found(void **state)
{
	struct fixture *f = *state;
	size_t len;
	char *text;

	write_three(f);
	text = slurp(f, &len);
	for (size_t i = 0; i < len; i++) {
		uint64_t count;

		text[i] ^= 1;
		spill(f, text, len);
		assert_int_equal(hf_events_verify(f->path, &count, NULL), -EBADMSG);
		text[i] ^= 1;
	}
	free(text);
}

static void test_a_removed_and_a_swapped_line_are_found(void **state)
{
	struct fixture *f = *state;
	char *text, *second, *third;
	size_t len;

	write_three(f);
	text = slurp(f, &len);
	second = strchr(text, '\n') + 1;
	third = strchr(second, '\n') + 1;
	memmove(second, third, len - (size_t)(third - text));
	spill(f, text, len - (size_t)(third - second));
	expect_bad(f, "line 2: it is event 3");
	free(text);
}

static void test_an_event_that_is_too_large_loses_its_detail_only(void **state)
{
	struct fixture *f = *state;
	char *big = malloc(HF_EVENT_LINE_MAX + 1);

	memset(big, 'x', HF_EVENT_LINE_MAX);
	big[HF_EVENT_LINE_MAX] = '\0';
	start(f);
	hf_events_add(f->events, "big", NULL, json_pack("{s:s}", "text", big));
	stop(f);
	expect_good(f, 1);
	free(big);
}

static void test_garbage_is_reported_and_gone_on_from(void **state)
{
	struct fixture *f = *state;
	char garbage[3000];

	memset(garbage, 0xfe, sizeof(garbage));
	garbage[1000] = garbage[2000] = '\n';
	spill(f, garbage, sizeof(garbage));
	start(f);
	expect_tail(f, NULL, 10, "events-torn events-chain-broken");
	stop(f);
	expect_bad(f, "line 1");
}

#define promise(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		promise(events_are_chained_and_verify),
		promise(the_chain_goes_on_after_a_restart),
		promise(tail_gives_the_newest_oldest_first_and_filters_by_volume),
		promise(tail_looks_back_as_far_as_it_must),
		promise(a_torn_last_line_is_dropped_and_told),
		promise(every_truncation_recovers_to_a_good_chain),
		promise(a_changed_byte_is_found),
		promise(any_flipped_bit_is_found),
		promise(a_removed_and_a_swapped_line_are_found),
		promise(an_event_that_is_too_large_loses_its_detail_only),
		promise(garbage_is_reported_and_gone_on_from),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
