// SPDX-License-Identifier: MIT
/*
 * fuzz_ctl - the control socket, ctl/ctl.c and ctl/ctl_handlers.c: what a client sends, in pieces, to the daemon's real
 * commands with an empty daemon behind them.
 *
 * First byte: how the stream is cut up; bit 6: answers are not read; bit 7: the rest is made into requests first, one
 * byte after the other choosing words. Each request is answered once at most, with one line of JSON that says whether
 * it went well; whatever the client does, the next run finds the server as it was.
 */
#include <stdlib.h>
#include <unistd.h>

#include "ctl/ops.h"
#include "fuzz/fuzz.h"

#define TEXT_MAX (128u << 10)
#define HELD_MAX 16u

static struct fuzz_reactor *x;
static struct hf_ctl *ctl;
static struct hf_ctl_service service;
static struct hf_ctl_call *held[HELD_MAX];
static uint32_t held_count, orders, answers;

/* ---------------------------------------------------------------- the daemon: it keeps every third order for later */

static void take_order(struct hf_ctl_call *call)
{
	orders++;
	if (orders % 3 == 0 && held_count < HELD_MAX)
		held[held_count++] = call;
	else if (orders % 3 == 1)
		hf_ctl_fail(call, HF_CTL_EBUSY, "do it", NULL, "not \xff now", NULL);
	else
		hf_ctl_reply(call, json_object());
}

static void op_call(void *ctx, struct hf_ctl_call *call)
{
	(void)ctx;
	take_order(call);
}

static void op_name(void *ctx, struct hf_ctl_call *call, const char *name)
{
	(void)ctx;
	hf_assert(name[0] && strlen(name) < HF_NAME_MAX);
	take_order(call);
}

static void op_create(void *ctx, struct hf_ctl_call *call, const struct hf_volume_create_args *a)
{
	uint32_t legs = a->geometry.k + a->geometry.m + a->local_full;

	(void)ctx;
	hf_assert(a->name[0] && a->tenant[0] && a->size_blocks && a->size_blocks <= HF_VOLUME_BLOCKS_MAX);
	hf_assert(legs >= 2 && legs <= HF_LEGS_MAX && (a->host_count == 0 || a->host_count == legs));
	for (uint32_t i = 0; i < a->host_count; i++)
		hf_assert(a->host[i][0]);
	hf_assert(a->min_tolerance >= HF_TOLERANCE_DEFAULT && a->min_tolerance < (int)legs);
	take_order(call);
}

static void op_resize(void *ctx, struct hf_ctl_call *call, const struct hf_volume_resize_args *a)
{
	(void)ctx;
	hf_assert(a->name[0] && a->size_blocks && a->size_blocks <= HF_VOLUME_BLOCKS_MAX);
	take_order(call);
}

static void op_set(void *ctx, struct hf_ctl_call *call, const struct hf_volume_set_args *a)
{
	(void)ctx;
	hf_assert(a->name[0]);
	take_order(call);
}

static void op_delete(void *ctx, struct hf_ctl_call *call, const struct hf_volume_delete_args *a)
{
	(void)ctx;
	hf_assert(a->name[0]);
	take_order(call);
}

static void op_promote(void *ctx, struct hf_ctl_call *call, const struct hf_promote_args *a)
{
	(void)ctx;
	hf_assert(a->name[0] && !(a->dry_run && a->accept_data_loss));
	take_order(call);
}

static const struct hf_ctl_ops ops = {
	.host_list = op_call,
	.host_show = op_name,
	.volume_create = op_create,
	.volume_list = op_call,
	.volume_show = op_name,
	.volume_resize = op_resize,
	.volume_set = op_set,
	.volume_delete = op_delete,
	.status = op_call,
	.why = op_name,
	.promote = op_promote,
	.metrics = op_call,
};

static void start(void)
{
	struct hf_ctl_config config = { .path = "/nowhere/ctl", .commands = hf_ctl_commands,
					.command_count = hf_ctl_command_count, .ctx = &service };
	char path[] = "/tmp/holdfast-fuzz-XXXXXX";
	struct hf_errmsg err;
	int fd = mkstemp(path);

	hf_assert(fd >= 0);
	close(fd);
	x = fuzz_reactor_new();
	service = (struct hf_ctl_service){ .ops = &ops, .host = "h0" };
	hf_assert(hf_events_new(fuzz_reactor(x), path, "h0", &service.events, &err) == 0);
	hf_assert(hf_ctl_start(fuzz_reactor(x), &config, &ctl, &err) == 0);
	unlink(path);			/* it stays open */
	fuzz_settle(x);
}

/* ---------------------------------------------------------------- the client */

static char line[1 << 20];
static size_t line_len;

/* One line, one answer. */
static void on_sent(void *ctx, const void *data, size_t len)
{
	const char *p = data;

	(void)ctx;
	for (size_t i = 0; i < len; i++) {
		json_error_t where;
		json_t *answer;

		if (p[i] != '\n') {
			hf_assert(line_len < sizeof(line));
			line[line_len++] = p[i];
			continue;
		}
		answer = json_loadb(line, line_len, JSON_REJECT_DUPLICATES, &where);
		hf_assert(answer && json_object_get(answer, "id") && json_is_boolean(json_object_get(answer, "ok")));
		hf_assert(json_object_get(answer, json_is_true(json_object_get(answer, "ok")) ? "result" : "error"));
		json_decref(answer);
		line_len = 0;
		answers++;
	}
}

/* Requests out of words. */
static size_t compose(struct fuzz_in *in, char *out)
{
	static const char *const words[] = {
		"\n", "{\"id\":1,\"cmd\":\"", "\"}\n", "\",\"args\":{", "}}\n", ",", "\"name\":\"db42\"",
		"\"tenant\":\"t\"", "\"size\":1048576", "\"layout\":\"2+1\"", "\"hosts\":[\"a\",\"b\",\"c\"]",
		"\"local\":\"full\"", "\"min_tolerance\":1", "\"force\":true", "\"dry_run\":true",
		"\"accept_data_loss\":true", "\"to\":\"h0\"", "\"volume\":\"db42\"", "\"count\":3", "ping", "host.list",
		"host.show", "volume.create", "volume.list", "volume.show", "volume.resize", "volume.delete", "status",
		"why", "promote", "events", "metrics", "{", "}", "[", "]", "\"", ":", "null", "true", "-1", "1e9",
		"\"local\":\"none\"", "\"layout\":\"1+0\"", "\"layout\":\"8+4\"", "\"hosts\":[\"a\",\"a\"]",
		"\"size\":1", "\"size\":4096", "\"name\":\"\"", "\"to\":\"h1\"", "{\"id\":9007199254740993,\"cmd\":\"",
		"volume.set", "\"auto_failover\":true", "\"auto_failover\":false",
	};
	size_t len = 0;

	while (in->left) {
		uint8_t w = fuzz_u8(in);
		const char *s = words[w % (sizeof(words) / sizeof(words[0]))];
		size_t n = strlen(s);

		if (len + n + 1 > TEXT_MAX)
			break;
		if (w == 255)
			out[len++] = (char)fuzz_u8(in);
		else
			memcpy(out + len, s, n);
		len += w == 255 ? 0 : n;
	}
	return len;
}

static void answer_held(void)
{
	while (held_count)
		hf_ctl_reply(held[--held_count], json_object());
}

void fuzz_one(const uint8_t *data, size_t len)
{
	static const uint32_t chops[] = { 0, 1, 3, 17, 100, 1000, 4096, 60000 };
	static char text[TEXT_MAX];
	struct fuzz_in in = { data, len };
	uint8_t how = fuzz_u8(&in);
	struct fuzz_sock s = { .chop = chops[how & 7], .stays_open = how & 8, .sent = on_sent,
			       .deaf_after = how & 64 ? 1 : 0 };
	uint32_t lines = 0;

	if (!x)
		start();
	s.len = in.left < TEXT_MAX ? in.left : TEXT_MAX;
	if (how & 128)
		s.len = compose(&in, text);
	else
		fuzz_take(&in, text, s.len);
	s.data = (const uint8_t *)text;
	for (size_t i = 0; i < s.len; i++)
		lines += text[i] == '\n';
	line_len = orders = answers = 0;
	fuzz_dial(x, &s);
	fuzz_settle(x);
	answer_held();
	fuzz_settle(x);
	answer_held();
	fuzz_settle(x);
	hf_assert(answers <= lines + 1 && line_len == 0);	/* one more: a line without an end */
	if (s.is_open)
		fuzz_hang_up(x, &s);
	fuzz_settle(x);
	answer_held();
	fuzz_settle(x);
	hf_assert(!s.is_open);
}
