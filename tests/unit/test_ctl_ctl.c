// SPDX-License-Identifier: MIT
/*
 * ctl: one answer for each request, now or later; whoever breaks the protocol is told so and closed, and harms nobody.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/limits.h"
#include "base/log.h"
#include "ctl/ctl.h"
#include "io/reactor_uring.h"

#define TURNS_MAX 2000
#define HELD_MAX 64u

struct fixture {
	struct hf_reactor *reactor;
	struct hf_ctl *ctl;
	char dir[64], path[80];
	struct hf_ctl_call *held[HELD_MAX];
	unsigned held_count, log_lines;
	bool stopped;
	char in[200000];		/* what the client that reads has got beyond the last line */
	size_t in_len;
};

static void run_echo(struct hf_ctl_call *call, const json_t *args)
{
	hf_ctl_reply(call, json_deep_copy(args));
}

static void run_hold(struct hf_ctl_call *call, const json_t *args)
{
	struct fixture *f = hf_ctl_ctx(call);

	(void)args;
	assert_true(f->held_count < HELD_MAX);
	f->held[f->held_count++] = call;
}

static void run_fail(struct hf_ctl_call *call, const json_t *args)
{
	(void)args;
	hf_ctl_fail(call, HF_CTL_EEXIST, "make it", "db42", "there is \xff one", "choose another name");
}

static const struct hf_ctl_command commands[] = { { "echo", run_echo }, { "hold", run_hold }, { "fail", run_fail } };

static void count_line(void *ctx, enum hf_log_level level, const char *line)
{
	(void)level;
	(void)line;
	((struct fixture *)ctx)->log_lines++;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct hf_errmsg err;
	struct hf_ctl_config config = { .commands = commands, .command_count = 3, .ctx = f };

	strcpy(f->dir, "/tmp/holdfast-ctl-XXXXXX");
	if (!mkdtemp(f->dir) || hf_reactor_uring_new(&f->reactor, &err) < 0)
		return -1;
	hf_log_init(count_line, f, HF_LOG_DEBUG);
	snprintf(f->path, sizeof(f->path), "%s/ctl.sock", f->dir);
	config.path = f->path;
	if (hf_ctl_start(f->reactor, &config, &f->ctl, &err) < 0)
		return -1;
	*state = f;
	return 0;
}

static void turn(struct fixture *f)
{
	hf_reactor_uring_turn(f->reactor, hf_reactor_now(f->reactor) + 5 * HF_MS);
}

static void on_stopped(void *ctx)
{
	((struct fixture *)ctx)->stopped = true;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	hf_ctl_stop(f->ctl, on_stopped, f);
	for (int i = 0; i < TURNS_MAX && !f->stopped; i++)
		turn(f);
	assert_true(f->stopped);
	assert_int_equal(access(f->path, F_OK), -1);
	for (unsigned i = 0; i < f->held_count; i++)
		if (f->held[i])
			hf_ctl_reply(f->held[i], json_object());
	hf_reactor_uring_free(f->reactor);
	rmdir(f->dir);
	free(f);
	return 0;
}

static int dial(struct fixture *f)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, f->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void say(struct fixture *f, int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0) {
			data += n;
			len -= (size_t)n;
		} else if (errno != EAGAIN) {
			return;		/* closed: the test looks at the answer */
		}
		turn(f);
	}
}

static void say_text(struct fixture *f, int fd, const char *text)
{
	say(f, fd, text, strlen(text));
}

/* The next line, parsed; NULL when the server closed. */
static json_t *hear(struct fixture *f, int fd)
{
	for (int i = 0; i < TURNS_MAX; i++) {
		char *end = memchr(f->in, '\n', f->in_len);
		ssize_t n;

		if (end) {
			json_t *v = json_loadb(f->in, (size_t)(end - f->in), 0, NULL);

			f->in_len -= (size_t)(end + 1 - f->in);
			memmove(f->in, end + 1, f->in_len);
			assert_non_null(v);
			return v;
		}
		turn(f);
		n = recv(fd, f->in + f->in_len, sizeof(f->in) - f->in_len, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return NULL;
		if (n > 0)
			f->in_len += (size_t)n;
	}
	fail_msg("no answer");
	return NULL;
}

static void expect_closed(struct fixture *f, int fd)
{
	assert_null(hear(f, fd));
	close(fd);
}

static void expect_result(struct fixture *f, int fd, json_int_t id)
{
	json_t *v = hear(f, fd);

	assert_non_null(v);
	assert_int_equal(json_integer_value(json_object_get(v, "id")), id);
	assert_true(json_is_true(json_object_get(v, "ok")));
	assert_non_null(json_object_get(v, "result"));
	json_decref(v);
}

static void expect_error(struct fixture *f, int fd, const char *code)
{
	json_t *v = hear(f, fd), *e;

	assert_non_null(v);
	assert_true(json_is_false(json_object_get(v, "ok")));
	e = json_object_get(v, "error");
	assert_string_equal(json_string_value(json_object_get(e, "code")), code);
	assert_non_null(json_string_value(json_object_get(e, "what")));
	assert_non_null(json_string_value(json_object_get(e, "why")));
	assert_non_null(json_object_get(e, "object"));
	assert_non_null(json_object_get(e, "do"));
	json_decref(v);
}

static void expect_alive(struct fixture *f)
{
	int fd = dial(f);

	f->in_len = 0;
	say_text(f, fd, "{\"id\":99,\"cmd\":\"echo\"}\n");
	expect_result(f, fd, 99);
	close(fd);
}

static void test_only_the_owner_may_use_the_socket(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_a_request_is_answered_with_its_id(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);
	json_t *v;

	say_text(f, fd, "{\"id\":7,\"cmd\":\"echo\",\"args\":{\"x\":[1,2]}}\n");
	v = hear(f, fd);
	assert_int_equal(json_integer_value(json_object_get(v, "id")), 7);
	assert_int_equal(json_array_size(json_object_get(json_object_get(v, "result"), "x")), 2);
	json_decref(v);
	close(fd);
}

static void test_an_error_says_what_on_what_why_and_what_to_do(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	say_text(f, fd, "{\"id\":1,\"cmd\":\"fail\"}\n{\"id\":2,\"cmd\":\"none\"}\n{\"id\":3,\"cmd\":\"echo\"}\n");
	expect_error(f, fd, "EEXIST");
	expect_error(f, fd, "ENOENT");
	expect_result(f, fd, 3);
	assert_int_equal(f->log_lines, 0);
	close(fd);
}

static void test_a_request_may_arrive_in_pieces_and_many_at_once(void **state)
{
	struct fixture *f = *state;
	const char *text = "{\"id\":1,\"cmd\":\"echo\"}\n\n{\"id\":2,\"cmd\":\"echo\"}\n";
	int fd = dial(f);

	for (size_t i = 0; text[i]; i++)
		say(f, fd, text + i, 1);
	expect_result(f, fd, 1);
	expect_result(f, fd, 2);
	for (int i = 0; i < 100; i++)
		say_text(f, fd, text);
	for (int i = 0; i < 100; i++) {
		expect_result(f, fd, 1);
		expect_result(f, fd, 2);
	}
	close(fd);
}

static void test_calls_beyond_the_bound_wait_their_turn(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	for (unsigned i = 0; i < 2 * HF_CTL_CALLS_MAX; i++) {
		char line[64];

		snprintf(line, sizeof(line), "{\"id\":%u,\"cmd\":\"hold\"}\n", i);
		say_text(f, fd, line);
	}
	shutdown(fd, SHUT_WR);
	for (int i = 0; i < 20; i++)
		turn(f);
	assert_int_equal(f->held_count, HF_CTL_CALLS_MAX);
	for (unsigned i = 0; i < 2 * HF_CTL_CALLS_MAX; i++) {
		hf_ctl_reply(f->held[i], json_object());
		f->held[i] = NULL;
		expect_result(f, fd, i);
	}
	assert_int_equal(f->held_count, 2 * HF_CTL_CALLS_MAX);
	expect_closed(f, fd);
}

static void test_a_call_outlives_its_client(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	say_text(f, fd, "{\"id\":1,\"cmd\":\"hold\"}\n");
	for (int i = 0; i < TURNS_MAX && f->held_count == 0; i++)
		turn(f);
	close(fd);
	for (int i = 0; i < 10; i++)
		turn(f);
	hf_ctl_reply(f->held[0], json_object());
	f->held[0] = NULL;
	expect_alive(f);
}

static void test_malformed_requests_are_told_and_closed_with_one_line(void **state)
{
	static const char *const bad[] = {
		"x\n",
		"{\n",
		"[]\n",
		"1\n",
		"null\n",
		"{}\n",
		"{\"id\":1}\n",
		"{\"cmd\":\"echo\"}\n",
		"{\"id\":-1,\"cmd\":\"echo\"}\n",
		"{\"id\":1.5,\"cmd\":\"echo\"}\n",
		"{\"id\":\"1\",\"cmd\":\"echo\"}\n",
		"{\"id\":1,\"cmd\":7}\n",
		"{\"id\":1,\"cmd\":\"echo\",\"args\":[]}\n",
		"{\"id\":1,\"cmd\":\"echo\",\"extra\":1}\n",
		"{\"id\":1,\"id\":1,\"cmd\":\"echo\"}\n",
		"{\"id\":99999999999999999,\"cmd\":\"echo\"}\n",
		"{\"id\":1,\"cmd\":\"\xff\"}\n",
		"{\"id\":1,\"cmd\":\"echo\"} x\n",
		"{\"id\":1,\"cmd\":\"a\\u0000b\"}\n",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int fd = dial(f);

		f->log_lines = 0;
		say_text(f, fd, bad[i]);
		expect_error(f, fd, "EPROTO");
		expect_closed(f, fd);
		assert_int_equal(f->log_lines, 1);
	}
	expect_alive(f);
}

static void test_a_line_without_end_is_closed(void **state)
{
	struct fixture *f = *state;
	char *big = malloc(HF_CTL_LINE_MAX + 100);
	int fd = dial(f);

	memset(big, ' ', HF_CTL_LINE_MAX + 100);
	say(f, fd, big, HF_CTL_LINE_MAX);
	expect_error(f, fd, "EPROTO");
	expect_closed(f, fd);
	free(big);
	expect_alive(f);
}

static void test_deep_nesting_and_random_bytes_harm_nobody(void **state)
{
	struct fixture *f = *state;
	char *junk = malloc(60000);

	memset(junk, '[', 59999);
	junk[59999] = '\n';
	for (int round = 0; round < 30; round++) {
		int fd = dial(f);

		f->in_len = 0;
		say(f, fd, junk, 60000);
		json_decref(hear(f, fd));
		close(fd);
		for (int i = 0; i < 59999; i++)
			junk[i] = (char)(rand() % 255 + (rand() % 255 == '\n'));
	}
	free(junk);
	expect_alive(f);
}

static void test_a_newcomer_displaces_the_longest_idle_client(void **state)
{
	struct fixture *f = *state;
	int fd[HF_CTL_CLIENTS_MAX];

	for (unsigned i = 0; i < HF_CTL_CLIENTS_MAX; i++) {
		fd[i] = dial(f);
		say_text(f, fd[i], "{\"id\":1,\"cmd\":\"echo\"}\n");
		expect_result(f, fd[i], 1);
	}
	say_text(f, fd[0], "{\"id\":2,\"cmd\":\"echo\"}\n");
	expect_result(f, fd[0], 2);
	expect_alive(f);
	assert_null(hear(f, fd[1]));
	say_text(f, fd[0], "{\"id\":3,\"cmd\":\"echo\"}\n");
	expect_result(f, fd[0], 3);
	for (unsigned i = 0; i < HF_CTL_CLIENTS_MAX; i++)
		close(fd[i]);
}

static void test_a_client_that_does_not_read_is_not_asked_for_more(void **state)
{
	struct fixture *f = *state;
	char line[1000];
	int fd = dial(f), told = 0, full = 0;

	snprintf(line, sizeof(line), "{\"id\":1,\"cmd\":\"echo\",\"args\":{\"x\":\"%0900d\"}}\n", 0);
	while (full < 20) {
		ssize_t n = send(fd, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT);

		told += n > 0;
		full = n < 0 ? full + 1 : 0;
		if (n < 0)
			turn(f);
		assert_true(told < 6000);
	}
	expect_alive(f);
	close(fd);
}

static void test_stop_with_calls_and_clients_under_way(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	say_text(f, fd, "{\"id\":1,\"cmd\":\"hold\"}\n");
	for (int i = 0; i < TURNS_MAX && f->held_count == 0; i++)
		turn(f);
	/* teardown stops the server, then answers */
	close(fd);
}

#define promise(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		promise(only_the_owner_may_use_the_socket),
		promise(a_request_is_answered_with_its_id),
		promise(an_error_says_what_on_what_why_and_what_to_do),
		promise(a_request_may_arrive_in_pieces_and_many_at_once),
		promise(calls_beyond_the_bound_wait_their_turn),
		promise(a_call_outlives_its_client),
		promise(malformed_requests_are_told_and_closed_with_one_line),
		promise(a_line_without_end_is_closed),
		promise(deep_nesting_and_random_bytes_harm_nobody),
		promise(a_newcomer_displaces_the_longest_idle_client),
		promise(a_client_that_does_not_read_is_not_asked_for_more),
		promise(stop_with_calls_and_clients_under_way),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
