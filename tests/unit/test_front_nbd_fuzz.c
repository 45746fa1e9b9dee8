// SPDX-License-Identifier: MIT
/*
 * Mutated sessions against the NBD server: whatever a client sends, the server neither crashes nor leaks, and the next
 * client is served. Seeded: FUZZ_SEED (1) and FUZZ_RUNS (400). Needs: as test_front_nbd.c; meant for BUILD=asan.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/assert.h"
#include "io/reactor_uring.h"
#include "lib/nbd_raw.h"

#define STREAM_MAX (96u << 10)

struct stream {
	uint8_t *data;
	size_t len;
	size_t marks[64];		/* where each message begins: mutations love these */
	size_t marks_count;
};

static uint64_t rng;

static uint32_t pick(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 32) % n;
}

static void add(struct stream *s, const void *data, size_t len)
{
	hf_assert(s->len + len <= STREAM_MAX);
	if (len > 0)
		memcpy(s->data + s->len, data, len);
	s->len += len;
}

static void mark(struct stream *s)
{
	if (s->marks_count < sizeof(s->marks) / sizeof(s->marks[0]))
		s->marks[s->marks_count++] = s->len;
}

static void add_option(struct stream *s, uint32_t option, const void *data, uint32_t len)
{
	struct nbd_option_head h = { hf_put_be64(NBD_OPTION_MAGIC), hf_put_be32(option), hf_put_be32(len) };

	mark(s);
	add(s, &h, sizeof(h));
	add(s, data, len);
}

static void add_request(struct stream *s, bool extended)
{
	static const uint32_t lengths[] = { 0, 1, 4096, 8192, 65536, 1 << 20, 32 << 20, 0x7ffff000, 0xffffffff };
	static const uint8_t payload[8192];
	uint16_t command = (uint16_t)pick(9);
	uint32_t length = command == NBD_CMD_WRITE ? (1 + pick(2)) * 4096 : lengths[pick(9)];
	uint64_t offset = (uint64_t)pick(40) * 4096 - (pick(10) == 0);
	struct nbd_request_ext h = {
		hf_put_be32(extended ? NBD_REQUEST_EXT_MAGIC : NBD_REQUEST_MAGIC),
		hf_put_be16(pick(3) ? 0 : (uint16_t)(1u << pick(6))), hf_put_be16(command), hf_put_be64(s->len),
		hf_put_be64(offset), hf_put_be64(extended ? length : (uint64_t)length << 32),
	};

	if (command == NBD_CMD_DISC && pick(4))
		return;
	mark(s);
	add(s, &h, extended ? sizeof(struct nbd_request_ext) : sizeof(struct nbd_request));
	if (command == NBD_CMD_WRITE)
		add(s, payload, length);
}

/* A session that a decent client could have. */
static void make_session(struct stream *s)
{
	static const char meta[] = "\0\0\0\3vol\0\0\0\1\0\0\0\17base:allocation";
	bool extended = pick(4) == 0, is_ro = pick(5) == 0;

	s->len = s->marks_count = 0;
	mark(s);
	add(s, "\0\0\0\3", 4);
	if (pick(4))
		add_option(s, extended ? NBD_OPT_EXTENDED_HEADERS : NBD_OPT_STRUCTURED_REPLY, NULL, 0);
	else
		extended = false;
	if (pick(3))
		add_option(s, NBD_OPT_SET_META_CONTEXT, meta, sizeof(meta) - 1);
	if (pick(4) == 0)
		add_option(s, NBD_OPT_LIST, NULL, 0);
	if (pick(4) == 0)
		add_option(s, NBD_OPT_INFO, "\0\0\0\3vol\0\1\0\2", 11);
	if (pick(4))
		add_option(s, NBD_OPT_GO, is_ro ? "\0\0\0\6vol@ro\0\0" : "\0\0\0\3vol\0\0", is_ro ? 12 : 9);
	else
		add_option(s, NBD_OPT_EXPORT_NAME, "vol", 3);
	for (uint32_t n = pick(12); n > 0; n--)
		add_request(s, extended);
}

static void mutate(struct stream *s)
{
	static const uint8_t edge[] = { 0, 1, 0x7f, 0x80, 0xff };
	size_t at = pick(3) ? s->marks[pick((uint32_t)s->marks_count)] + pick(36) : pick((uint32_t)s->len);
	size_t n;

	if (at >= s->len)
		return;
	switch (pick(5)) {
	case 0:
		s->data[at] ^= (uint8_t)(1u << pick(8));
		break;
	case 1:
		s->data[at] = edge[pick(sizeof(edge))];
		break;
	case 2:			/* cut out */
		n = 1 + pick(8);
		n = n < s->len - at ? n : s->len - at;
		memmove(s->data + at, s->data + at + n, s->len - at - n);
		s->len -= n;
		break;
	case 3:			/* cut off */
		s->len = at + 1;
		break;
	case 4:			/* four bytes of one kind: a length */
		n = s->len - at < 4 ? s->len - at : 4;
		memset(s->data + at, edge[pick(sizeof(edge))], n);
		break;
	}
}

static void drain(int fd)
{
	static uint8_t sink[64 << 10];

	while (read(fd, sink, sizeof(sink)) > 0)
		;
}

static void play(struct nbd_world *w, const struct stream *s)
{
	int fd = nbd_raw_connect(w), idle = 0;
	size_t sent = 0;

	w->ram.reverse = pick(2);
	w->ram.fail_count = pick(4) ? 0 : 2;
	w->ram.fail = -EIO;
	w->ram.fail_kind = (enum hf_request_kind)pick(4);
	while (sent < s->len && idle < 20) {
		size_t want = 1 + pick(pick(2) ? 64 : 20000);
		size_t n = nbd_raw_push(fd, s->data + sent, want < s->len - sent ? want : s->len - sent);

		sent += n;
		idle = n ? 0 : idle + 1;
		hf_reactor_uring_turn(w->r, 0);
		if (pick(8))
			drain(fd);
	}
	for (uint32_t n = pick(40); n > 0; n--) {
		hf_reactor_uring_turn(w->r, 0);
		drain(fd);
	}
	if (pick(8) == 0)
		ram_export_fence(&w->ram, "fuzz");
	close(fd);
	w->ram.fail_count = 0;
	nbd_world_wait(w, &w->ram.closes, w->ram.opens);
}

static uint64_t number(const char *name, uint64_t fallback)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : fallback;
}

static void test_nbd_survives_mutated_sessions(void **state)
{
	uint64_t seed = number("FUZZ_SEED", 1), runs = number("FUZZ_RUNS", 400);
	struct nbd_world *w = nbd_world_new(32 * 256, 4u << 20, NULL);
	struct stream s = { .data = malloc(STREAM_MAX) };
	struct hf_nbd_stats stats;
	int fd;

	(void)state;
	print_message("# FUZZ_SEED=%llu FUZZ_RUNS=%llu\n", (unsigned long long)seed, (unsigned long long)runs);
	for (uint64_t i = 0; i < runs; i++) {
		rng = (seed + i) * 0x9e3779b97f4a7c15ull | 1;
		for (int warm = 0; warm < 4; warm++)
			pick(2);
		make_session(&s);
		for (uint32_t n = pick(3); n > 0; n--)
			mutate(&s);
		play(w, &s);
	}
	free(s.data);
	for (int i = 0; i < 10; i++)
		nbd_world_turn(w);
	hf_nbd_server_stats(w->server, &stats);
	print_message("# %llu sessions, %llu requests, %llu connections refused\n", (unsigned long long)w->ram.opens,
		      (unsigned long long)stats.requests, (unsigned long long)stats.protocol_errors);
	fd = nbd_raw_open(w, "vol", true);
	assert_int_equal(nbd_raw_do(w, fd, NBD_CMD_FLUSH, 0, 0, 0), 0);
	close(fd);
	nbd_world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nbd_survives_mutated_sessions),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
