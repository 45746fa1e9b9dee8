// SPDX-License-Identifier: MIT
/*
 * The NBD server: handshake and sessions, in raw bytes over a unix socket. Needs: libhf_front libhf_io libhf_base,
 * tests/lib/nbd_raw.c, tests/lib/ram_export.c, liburing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/nbd_raw.h"

#define MIB (1u << 20)

/* ---------------------------------------------------------------- handshake */

static void test_nbd_export_name_answers_size_and_flags(void **state)
{
	struct nbd_world *w = nbd_world_new(256, 0, NULL);
	struct nbd_export_reply e;

	(void)state;
	for (uint32_t no_zeroes = 0; no_zeroes < 2; no_zeroes++) {
		int fd = nbd_raw_connect(w);

		nbd_raw_greet(w, fd, NBD_FLAG_FIXED_NEWSTYLE | (no_zeroes ? NBD_FLAG_NO_ZEROES : 0));
		nbd_raw_option(w, fd, NBD_OPT_EXPORT_NAME, "vol", 3);
		nbd_raw_recv(w, fd, &e, no_zeroes ? 10 : sizeof(e));
		assert_true(hf_get_be64(e.size) == 256 * 4096);
		assert_int_equal(hf_get_be16(e.flags) &
				 (NBD_FLAG_READ_ONLY | NBD_FLAG_CAN_MULTI_CONN | NBD_FLAG_SEND_DF), 0);
		assert_int_equal(nbd_raw_do(w, fd, NBD_CMD_FLUSH, 0, 0, 0), 0);
		nbd_raw_request(w, fd, NBD_CMD_DISC, 0, 0, 0, 0);
		assert_true(nbd_raw_is_closed(w, fd));
		close(fd);
	}
	nbd_world_free(w);
}

static void test_nbd_export_name_closes_on_an_unknown_export(void **state)
{
	struct nbd_world *w = nbd_world_new(256, 0, NULL);
	int fd = nbd_raw_connect(w);

	(void)state;
	nbd_raw_greet(w, fd, NBD_FLAG_FIXED_NEWSTYLE);
	nbd_raw_option(w, fd, NBD_OPT_EXPORT_NAME, "other", 5);
	assert_true(nbd_raw_is_closed(w, fd));
	close(fd);
	nbd_world_free(w);
}

static void test_nbd_go_tells_the_block_sizes(void **state)
{
	struct nbd_world *w = nbd_world_new(256, 0, NULL);
	int fd = nbd_raw_connect(w);
	uint8_t data[256], ask[] = { 0, 0, 0, 3, 'v', 'o', 'l', 0, 2, 0, NBD_INFO_NAME, 0, NBD_INFO_DESCRIPTION };
	struct nbd_info_export e;
	struct nbd_info_block_size b;
	uint32_t len;

	(void)state;
	nbd_raw_greet(w, fd, NBD_FLAG_FIXED_NEWSTYLE);
	nbd_raw_option(w, fd, NBD_OPT_GO, ask, sizeof(ask));
	assert_int_equal(nbd_raw_option_reply(w, fd, NBD_OPT_GO, data, sizeof(data), &len), NBD_REP_INFO);
	assert_int_equal(len, sizeof(e));
	memcpy(&e, data, sizeof(e));
	assert_true(hf_get_be16(e.type) == NBD_INFO_EXPORT && hf_get_be64(e.size) == 256 * 4096);
	assert_int_equal(nbd_raw_option_reply(w, fd, NBD_OPT_GO, data, sizeof(data), &len), NBD_REP_INFO);
	assert_int_equal(len, sizeof(b));
	memcpy(&b, data, sizeof(b));
	assert_int_equal(hf_get_be16(b.type), NBD_INFO_BLOCK_SIZE);
	assert_int_equal(hf_get_be32(b.min), 4096);
	assert_int_equal(hf_get_be32(b.max), 32 * MIB);
	assert_int_equal(nbd_raw_option_reply(w, fd, NBD_OPT_GO, data, sizeof(data), &len), NBD_REP_INFO);
	assert_memory_equal(data, "\0\1vol", 5);
	assert_int_equal(nbd_raw_option_reply(w, fd, NBD_OPT_GO, data, sizeof(data), &len), NBD_REP_INFO);
	assert_memory_equal(data, "\0\2memory", 8);
	assert_int_equal(nbd_raw_option_reply(w, fd, NBD_OPT_GO, data, sizeof(data), &len), NBD_REP_ACK);
	close(fd);
	nbd_world_free(w);
}

static void test_nbd_info_opens_no_session(void **state)
{
	struct nbd_world *w = nbd_world_new(256, 0, NULL);
	int first = nbd_raw_open(w, "vol", true), second = nbd_raw_connect(w);

	(void)state;
	nbd_raw_greet(w, second, NBD_FLAG_FIXED_NEWSTYLE);
	assert_int_equal(nbd_raw_go(w, second, NBD_OPT_INFO, "vol"), NBD_REP_ACK);
	assert_int_equal(nbd_raw_go(w, second, NBD_OPT_INFO, "nope"), NBD_REP_ERR_UNKNOWN);
	assert_int_equal(w->ram.opens, 1);
	assert_int_equal(nbd_raw_do(w, first, NBD_CMD_FLUSH, 0, 0, 0), 0);
	close(first);
	close(second);
	nbd_world_free(w);
}

static void test_nbd_list_shows_what_the_backend_lists(void **state)
{
	struct nbd_world *w = nbd_world_new(256, 0, NULL);
	int fd = nbd_raw_connect(w);
	uint32_t type, len, count = 0;
	uint8_t data[512];

	(void)state;
	w->ram.extra_exports = 2000;	/* many sends long */
	nbd_raw_greet(w, fd, NBD_FLAG_FIXED_NEWSTYLE);
	nbd_raw_option(w, fd, NBD_OPT_LIST, NULL, 0);
	while ((type = nbd_raw_option_reply(w, fd, NBD_OPT_LIST, data, sizeof(data), &len)) == NBD_REP_SERVER)
		count++;
	assert_int_equal(type, NBD_REP_ACK);
	assert_int_equal(count, 2001);
	nbd_raw_option(w, fd, NBD_OPT_LIST, "x", 1);
	assert_int_equal(nbd_raw_option_end(w, fd, NBD_OPT_LIST), NBD_REP_ERR_INVALID);
	nbd_raw_option(w, fd, NBD_OPT_ABORT, NULL, 0);
	assert_int_equal(nbd_raw_option_end(w, fd, NBD_OPT_ABORT), NBD_REP_ACK);
	assert_true(nbd_raw_is_closed(w, fd));
	close(fd);
	nbd_world_free(w);
}

static void test_nbd_only_serves_one_volume_and_its_read_only_side(void **state)
{
	struct hf_nbd_params p = { .only = "vol" };
	struct nbd_world *w = nbd_world_new(256, 0, &p);
	int fd = nbd_raw_connect(w);
	uint8_t data[512];
	uint32_t len;

	(void)state;
	w->ram.extra_exports = 5;
	nbd_raw_greet(w, fd, NBD_FLAG_FIXED_NEWSTYLE);
	nbd_raw_option(w, fd, NBD_OPT_LIST, NULL, 0);
	assert_int_equal(nbd_raw_option_reply(w, fd, NBD_OPT_LIST, data, sizeof(data), &len), NBD_REP_SERVER);
	assert_int_equal(nbd_raw_option_reply(w, fd, NBD_OPT_LIST, data, sizeof(data), &len), NBD_REP_ACK);
	assert_int_equal(nbd_raw_go(w, fd, NBD_OPT_INFO, "extra-1"), NBD_REP_ERR_UNKNOWN);
	assert_int_equal(nbd_raw_go(w, fd, NBD_OPT_INFO, "vol@rw"), NBD_REP_ERR_UNKNOWN);
	assert_int_equal(nbd_raw_go(w, fd, NBD_OPT_INFO, "vol@ro"), NBD_REP_ACK);
	assert_int_equal(nbd_raw_go(w, fd, NBD_OPT_GO, ""), NBD_REP_ACK);
	close(fd);
	nbd_world_free(w);
}

static void test_nbd_unknown_options_are_answered_and_forgotten(void **state)
{
	static const uint32_t options[] = { 0, 4, NBD_OPT_STARTTLS, 12, 0xffffffff };
	struct nbd_world *w = nbd_world_new(256, 0, NULL);
	int fd = nbd_raw_connect(w);
	uint8_t junk[8192];

	(void)state;
	memset(junk, 0xaa, sizeof(junk));
	nbd_raw_greet(w, fd, NBD_FLAG_FIXED_NEWSTYLE);
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		nbd_raw_option(w, fd, options[i], junk, i % 2 ? sizeof(junk) : 0);
		assert_int_equal(nbd_raw_option_end(w, fd, options[i]), NBD_REP_ERR_UNSUP);
	}
	assert_int_equal(nbd_raw_go(w, fd, NBD_OPT_GO, "vol"), NBD_REP_ACK);
	close(fd);
	nbd_world_free(w);
}

static void test_nbd_malformed_option_data_is_invalid(void **state)
{
	static const struct {
		const char *data;
		uint32_t len;
	} bad[] = {
		{ "", 0 }, { "\0\0\0", 3 }, { "\0\0\0\3vo", 6 }, { "\0\0\0\3vol", 7 }, { "\0\0\0\3vol\0\1", 9 },
		{ "\0\0\0\3vol\0\1\0", 10 }, { "\0\0\0\3vol\0\0\0", 10 }, { "\377\377\377\377vol\0\0", 9 },
		{ "\0\0\0\3v\0l\0\0", 9 }, { "\0\0\0\3vol\377\377", 9 },
	};
	struct nbd_world *w = nbd_world_new(256, 0, NULL);
	int fd = nbd_raw_connect(w);

	(void)state;
	nbd_raw_greet(w, fd, NBD_FLAG_FIXED_NEWSTYLE);
	nbd_raw_option(w, fd, NBD_OPT_STRUCTURED_REPLY, NULL, 0);
	assert_int_equal(nbd_raw_option_end(w, fd, NBD_OPT_STRUCTURED_REPLY), NBD_REP_ACK);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		nbd_raw_option(w, fd, NBD_OPT_GO, bad[i].data, bad[i].len);
		assert_int_equal(nbd_raw_option_end(w, fd, NBD_OPT_GO), NBD_REP_ERR_INVALID);
		nbd_raw_option(w, fd, NBD_OPT_SET_META_CONTEXT, bad[i].data, bad[i].len);
		assert_int_equal(nbd_raw_option_end(w, fd, NBD_OPT_SET_META_CONTEXT), NBD_REP_ERR_INVALID);
	}
	assert_int_equal(nbd_raw_go(w, fd, NBD_OPT_GO, "vol"), NBD_REP_ACK);
	close(fd);
	nbd_world_free(w);
}

static void test_nbd_meta_context_needs_structured_replies_and_the_same_export(void **state)
{
	struct nbd_world *w = nbd_world_new(256, 0, NULL);
	int fd = nbd_raw_connect(w);

	(void)state;
	nbd_raw_greet(w, fd, NBD_FLAG_FIXED_NEWSTYLE);
	assert_int_equal(nbd_raw_meta(w, fd, NBD_OPT_SET_META_CONTEXT, "vol", "base:allocation"), NBD_REP_ERR_INVALID);
	nbd_raw_option(w, fd, NBD_OPT_STRUCTURED_REPLY, NULL, 0);
	assert_int_equal(nbd_raw_option_end(w, fd, NBD_OPT_STRUCTURED_REPLY), NBD_REP_ACK);
	assert_int_equal(nbd_raw_meta(w, fd, NBD_OPT_LIST_META_CONTEXT, "vol", "base:"), NBD_REP_ACK);
	assert_int_equal(nbd_raw_meta(w, fd, NBD_OPT_SET_META_CONTEXT, "nope", "base:allocation"), NBD_REP_ERR_UNKNOWN);
	assert_int_equal(nbd_raw_meta(w, fd, NBD_OPT_SET_META_CONTEXT, "vol@ro", "base:allocation"), NBD_REP_ACK);
	assert_int_equal(nbd_raw_go(w, fd, NBD_OPT_GO, "vol"), NBD_REP_ACK);
	assert_int_equal(nbd_raw_do(w, fd, NBD_CMD_BLOCK_STATUS, 0, 0, 4096), NBD_EINVAL);
	close(fd);
	nbd_world_free(w);
}

static void test_nbd_a_broken_handshake_ends_only_that_client(void **state)
{
	struct nbd_world *w;
	int fd;

	(void)state;
	w = nbd_world_new(256, 0, NULL);
	fd = nbd_raw_connect(w);
	nbd_raw_greet(w, fd, 0x80000001);
	nbd_raw_assert_refused(w, fd, "unknown client flags 0x80000001");
	nbd_world_free(w);

	w = nbd_world_new(256, 0, NULL);
	fd = nbd_raw_connect(w);
	nbd_raw_greet(w, fd, NBD_FLAG_FIXED_NEWSTYLE);
	nbd_raw_send(w, fd, "GET / HTTP/1.1\r\n", 16);
	nbd_raw_assert_refused(w, fd, "bad option magic");
	nbd_world_free(w);

	w = nbd_world_new(256, 0, NULL);
	fd = nbd_raw_connect(w);
	nbd_raw_greet(w, fd, NBD_FLAG_FIXED_NEWSTYLE);
	nbd_raw_option(w, fd, NBD_OPT_GO, NULL, 0);
	assert_int_equal(nbd_raw_option_end(w, fd, NBD_OPT_GO), NBD_REP_ERR_INVALID);
	nbd_raw_send(w, fd, "IHAVEOPT\0\0\0\7\377\377\377\377", 16);
	nbd_raw_assert_refused(w, fd, "option 7 (GO) with 4294967295 bytes");
	nbd_world_free(w);
}

static void test_nbd_a_handshake_may_come_byte_by_byte(void **state)
{
	static const uint8_t bytes[] = {
		0, 0, 0, 3,
		'I', 'H', 'A', 'V', 'E', 'O', 'P', 'T', 0, 0, 0, 8, 0, 0, 0, 0,
		'I', 'H', 'A', 'V', 'E', 'O', 'P', 'T', 0, 0, 0, 7, 0, 0, 0, 9, 0, 0, 0, 3, 'v', 'o', 'l', 0, 0,
		0x25, 0x60, 0x95, 0x13, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	};
	struct nbd_world *w = nbd_world_new(256, 0, NULL);
	struct nbd_greeting g;

	(void)state;
	/* As single bytes with turns between, and as one blob before the server has said a word. */
	for (size_t step = 1; step <= sizeof(bytes); step += sizeof(bytes) - 1) {
		int fd = nbd_raw_connect(w);

		for (size_t i = 0; i < sizeof(bytes); i += step)
			nbd_raw_send(w, fd, bytes + i, step);
		nbd_raw_recv(w, fd, &g, sizeof(g));
		assert_int_equal(nbd_raw_option_end(w, fd, NBD_OPT_STRUCTURED_REPLY), NBD_REP_ACK);
		assert_int_equal(nbd_raw_option_end(w, fd, NBD_OPT_GO), NBD_REP_ACK);
		assert_int_equal(nbd_raw_simple(w, fd, 9), 0);
		close(fd);
		nbd_world_wait(w, &w->ram.closes, w->ram.opens);
	}
	nbd_world_free(w);
}

static void test_nbd_a_client_that_leaves_half_way_costs_nothing(void **state)
{
	struct nbd_world *w = nbd_world_new(256, 0, NULL);

	(void)state;
	for (int i = 0; i < 100; i++) {	/* more than connections_max */
		int fd = nbd_raw_connect(w);

		if (i % 2)
			nbd_raw_greet(w, fd, NBD_FLAG_FIXED_NEWSTYLE);
		if (i % 4 == 3)
			nbd_raw_send(w, fd, "IHAVEOPT\0\0", 10);
		close(fd);
		for (int t = 0; t < 4; t++)
			nbd_world_turn(w);
	}
	assert_int_equal(w->warnings, 0);
	close(nbd_raw_open(w, "vol", true));
	nbd_world_free(w);
}

static void test_nbd_clients_over_the_limit_are_turned_away(void **state)
{
	struct hf_nbd_params p = { .connections_max = 2 };
	struct nbd_world *w = nbd_world_new(256, 0, &p);
	int a = nbd_raw_open(w, "vol", true), b = nbd_raw_open(w, "vol@ro", true), c = nbd_raw_connect(w);

	(void)state;
	assert_true(nbd_raw_is_closed(w, c));
	close(b);
	nbd_world_wait(w, &w->ram.closes, 1);
	b = nbd_raw_open(w, "vol@ro", true);
	assert_int_equal(nbd_raw_do(w, a, NBD_CMD_FLUSH, 0, 0, 0), 0);
	close(a);
	close(b);
	close(c);
	nbd_world_free(w);
}

static void test_nbd_only_local_addresses_are_listened_on(void **state)
{
	static const char *const bad[] = { "tcp:0.0.0.0:0", "tcp:192.0.2.1:10809", "tcp:[::]:0", "10809", "tcp:" };
	struct nbd_world *w = nbd_world_new(256, 0, NULL);
	struct hf_nbd_server *n = NULL;
	struct hf_errmsg err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct hf_nbd_params p = { .addr = bad[i] };

		err.text[0] = '\0';
		assert_int_equal(hf_nbd_server_new(w->r, w->pool, &ram_export_backend, &w->ram, &p, &n, &err), -EINVAL);
		assert_non_null(strstr(err.text, bad[i]));
	}
	assert_null(n);
	nbd_world_free(w);
}

/* ---------------------------------------------------------------- sessions */

static void test_nbd_a_second_writer_is_refused_while_the_first_lives(void **state)
{
	struct nbd_world *w = nbd_world_new(256, 0, NULL);
	int first = nbd_raw_open(w, "vol", true), second = nbd_raw_connect(w), reader;
	uint8_t text[256];
	uint32_t len;

	(void)state;
	nbd_raw_greet(w, second, NBD_FLAG_FIXED_NEWSTYLE);
	nbd_raw_option(w, second, NBD_OPT_GO, "\0\0\0\3vol\0\0", 9);
	assert_int_equal(nbd_raw_option_reply(w, second, NBD_OPT_GO, text, 255, &len), NBD_REP_ERR_POLICY);
	text[len] = '\0';
	assert_string_equal((char *)text, "another client has the volume open");
	reader = nbd_raw_open(w, "vol@ro", true);
	assert_int_equal(nbd_raw_do(w, first, NBD_CMD_FLUSH, 0, 0, 0), 0);
	close(first);
	nbd_world_wait(w, &w->ram.closes, 1);
	assert_int_equal(nbd_raw_go(w, second, NBD_OPT_GO, "vol"), NBD_REP_ACK);
	close(second);
	close(reader);
	nbd_world_free(w);
}

static void test_nbd_a_dead_writer_is_taken_over(void **state)
{
	struct nbd_world *w = nbd_world_new(256, 0, NULL);
	int first = nbd_raw_open(w, "vol", false), second;
	uint8_t *data = nbd_raw_pattern(4096, 1);

	(void)state;
	/* Its write hangs in the volume; then it dies. */
	w->ram.hold = true;
	nbd_raw_write(w, first, 1, 0, data, 4096);
	nbd_world_wait(w, &w->ram.under_way, 1);
	close(first);
	second = nbd_raw_open(w, "vol", false);
	assert_int_equal(w->ram.closes, 1);
	assert_int_equal(w->ram.writes, 0);
	w->ram.hold = false;
	assert_int_equal(nbd_raw_do(w, second, NBD_CMD_FLUSH, 0, 0, 0), 0);
	close(second);
	free(data);
	nbd_world_free(w);
}

static void test_nbd_a_fenced_session_hears_nothing_more(void **state)
{
	struct nbd_world *w = nbd_world_new(256, 0, NULL);
	int fd = nbd_raw_open(w, "vol", true);
	uint8_t *data = nbd_raw_pattern(4096, 1);

	(void)state;
	w->ram.hold = true;
	nbd_raw_write(w, fd, 1, 0, data, 4096);
	nbd_world_wait(w, &w->ram.under_way, 1);
	assert_true(ram_export_fence(&w->ram, "an operator moved the volume"));
	assert_true(nbd_raw_is_closed(w, fd));
	nbd_world_wait(w, &w->ram.closes, 1);
	assert_int_equal(w->ram.writes, 0);
	close(fd);
	free(data);
	nbd_world_free(w);
}

static void test_nbd_a_client_that_leaves_while_its_session_opens_is_forgotten(void **state)
{
	struct nbd_world *w = nbd_world_new(256, 0, NULL);
	int fd = nbd_raw_connect(w);

	(void)state;
	w->ram.hold_open = true;
	nbd_raw_greet(w, fd, NBD_FLAG_FIXED_NEWSTYLE);
	nbd_raw_option(w, fd, NBD_OPT_GO, "\0\0\0\3vol\0\0", 9);
	assert_true(nbd_raw_is_silent(w, fd));
	close(fd);
	for (int i = 0; i < 5; i++)
		nbd_world_turn(w);
	ram_export_release(&w->ram);
	nbd_world_wait(w, &w->ram.closes, 1);
	nbd_world_free(w);
}

static void test_nbd_a_volume_that_is_elsewhere_is_unknown_here(void **state)
{
	struct nbd_world *w = nbd_world_new(256, 0, NULL);
	int fd = nbd_raw_connect(w);

	(void)state;
	w->ram.info_result = -EAGAIN;
	nbd_raw_greet(w, fd, NBD_FLAG_FIXED_NEWSTYLE);
	assert_int_equal(nbd_raw_go(w, fd, NBD_OPT_GO, "vol"), NBD_REP_ERR_UNKNOWN);
	close(fd);
	nbd_world_free(w);
}

static void test_nbd_a_read_only_session_refuses_to_write(void **state)
{
	struct nbd_world *w = nbd_world_new(256, 0, NULL);
	int fd = nbd_raw_open(w, "vol@ro", true);
	uint8_t *data = nbd_raw_pattern(1 * MIB, 1);

	(void)state;
	nbd_raw_write(w, fd, 5, 0, data, 1 * MIB);
	assert_int_equal(nbd_raw_status(w, fd, 5), NBD_EPERM);
	assert_int_equal(nbd_raw_do(w, fd, NBD_CMD_TRIM, 0, 0, 4096), NBD_EPERM);
	assert_int_equal(nbd_raw_do(w, fd, NBD_CMD_WRITE_ZEROES, 0, 0, 4096), NBD_EPERM);
	assert_int_equal(nbd_raw_do(w, fd, NBD_CMD_FLUSH, 0, 0, 0), 0);
	assert_int_equal(nbd_raw_read(w, fd, 6, 0, 4096, data), 0);
	assert_int_equal(w->ram.writes + w->ram.zeroes, 0);
	close(fd);
	free(data);
	nbd_world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nbd_export_name_answers_size_and_flags),
		cmocka_unit_test(test_nbd_export_name_closes_on_an_unknown_export),
		cmocka_unit_test(test_nbd_go_tells_the_block_sizes),
		cmocka_unit_test(test_nbd_info_opens_no_session),
		cmocka_unit_test(test_nbd_list_shows_what_the_backend_lists),
		cmocka_unit_test(test_nbd_only_serves_one_volume_and_its_read_only_side),
		cmocka_unit_test(test_nbd_unknown_options_are_answered_and_forgotten),
		cmocka_unit_test(test_nbd_malformed_option_data_is_invalid),
		cmocka_unit_test(test_nbd_meta_context_needs_structured_replies_and_the_same_export),
		cmocka_unit_test(test_nbd_a_broken_handshake_ends_only_that_client),
		cmocka_unit_test(test_nbd_a_handshake_may_come_byte_by_byte),
		cmocka_unit_test(test_nbd_a_client_that_leaves_half_way_costs_nothing),
		cmocka_unit_test(test_nbd_clients_over_the_limit_are_turned_away),
		cmocka_unit_test(test_nbd_only_local_addresses_are_listened_on),
		cmocka_unit_test(test_nbd_a_second_writer_is_refused_while_the_first_lives),
		cmocka_unit_test(test_nbd_a_dead_writer_is_taken_over),
		cmocka_unit_test(test_nbd_a_fenced_session_hears_nothing_more),
		cmocka_unit_test(test_nbd_a_client_that_leaves_while_its_session_opens_is_forgotten),
		cmocka_unit_test(test_nbd_a_volume_that_is_elsewhere_is_unknown_here),
		cmocka_unit_test(test_nbd_a_read_only_session_refuses_to_write),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
