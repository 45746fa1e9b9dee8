// SPDX-License-Identifier: MIT
/*
 * The NBD server: requests, their limits and their ends, in raw bytes over a unix socket. Needs: libhf_front libhf_io
 * libhf_base, tests/lib/nbd_raw.c, tests/lib/ram_export.c, liburing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/nbd_raw.h"

#define MIB (1u << 20)

static void test_nbd_pipelined_writes_are_all_carried_out(void **state)
{
	enum { COUNT = 600 };		/* more than a connection has requests */
	struct nbd_world *w = nbd_world_new(COUNT, 0, NULL);
	int fd = nbd_raw_open(w, "vol", false);
	size_t each = sizeof(struct nbd_request) + 4096, sent = 0;
	uint8_t *all = malloc(COUNT * each), *back = malloc(4096);
	struct nbd_simple_reply h;
	uint8_t seen[COUNT] = { 0 };

	(void)state;
	for (uint32_t i = 0; i < COUNT; i++) {
		struct nbd_request q = {
			hf_put_be32(NBD_REQUEST_MAGIC), hf_put_be16(0), hf_put_be16(NBD_CMD_WRITE), hf_put_be64(i),
			hf_put_be64(i * 4096ull), hf_put_be32(4096),
		};

		memcpy(all + i * each, &q, sizeof(q));
		memset(all + i * each + sizeof(q), (int)(i % 251), 4096);
	}
	w->ram.reverse = true;
	for (uint32_t i = 0; i < COUNT; ) {
		sent += nbd_raw_push(fd, all + sent, COUNT * each - sent);
		nbd_world_turn(w);
		while (read(fd, &h, sizeof(h)) == sizeof(h)) {
			assert_int_equal(hf_get_be32(h.error), 0);
			assert_int_equal(seen[hf_get_be64(h.cookie)]++, 0);
			i++;
		}
	}
	for (uint32_t i = 0; i < COUNT; i++) {
		memset(back, (int)(i % 251), 4096);
		assert_memory_equal(w->ram.data + i * 4096ull, back, 4096);
	}
	close(fd);
	free(all);
	free(back);
	nbd_world_free(w);
}

/* 32 MiB through a pool that holds far less, in every way of answering a read. */
static void large_read_write(bool structured, uint16_t flags)
{
	struct nbd_world *w = nbd_world_new(32 * 256, 4 * MIB, NULL);
	int fd = nbd_raw_open(w, "vol", structured);
	uint8_t *data = nbd_raw_pattern(32 * MIB, 3), *back = calloc(1, 32 * MIB + 28);

	nbd_raw_write(w, fd, 1, 0, data, 32 * MIB);
	assert_int_equal(nbd_raw_status(w, fd, 1), 0);
	assert_memory_equal(w->ram.data, data, 32 * MIB);
	w->ram.reverse = true;
	if (structured && !flags) {
		assert_int_equal(nbd_raw_read(w, fd, 2, 0, 32 * MIB, back), 0);
		assert_memory_equal(back, data, 32 * MIB);
	} else if (structured) {
		nbd_raw_request(w, fd, NBD_CMD_READ, flags, 2, 0, 32 * MIB);
		nbd_raw_recv(w, fd, back, 28 + 32 * MIB);	/* one chunk */
		assert_memory_equal(back + 28, data, 32 * MIB);
	} else {
		nbd_raw_request(w, fd, NBD_CMD_READ, flags, 2, 0, 32 * MIB);
		nbd_raw_request(w, fd, NBD_CMD_FLUSH, 0, 3, 0, 0);
		assert_int_equal(nbd_raw_simple(w, fd, 2), 0);
		nbd_raw_recv(w, fd, back, 32 * MIB);
		assert_memory_equal(back, data, 32 * MIB);
		assert_int_equal(nbd_raw_simple(w, fd, 3), 0);
	}
	close(fd);
	free(data);
	free(back);
	nbd_world_free(w);
}

static void test_nbd_32_mib_fit_a_smaller_pool(void **state)
{
	(void)state;
	large_read_write(true, 0);
	large_read_write(true, NBD_CMD_FLAG_DF);
	large_read_write(false, 0);
}

static void test_nbd_simple_reads_of_two_mib_are_answered_whole(void **state)
{
	struct nbd_world *w = nbd_world_new(2048, 32 * MIB, NULL);
	int fd = nbd_raw_open(w, "vol", false);
	uint8_t *data = nbd_raw_pattern(8 * MIB, 9), *back = malloc(2 * MIB);
	uint8_t seen[4] = { 0 };

	(void)state;
	nbd_raw_write(w, fd, 1, 0, data, 8 * MIB);
	assert_int_equal(nbd_raw_simple(w, fd, 1), 0);
	w->ram.reverse = true;
	for (uint32_t i = 0; i < 4; i++)
		nbd_raw_request(w, fd, NBD_CMD_READ, 0, i, i * 2 * MIB, 2 * MIB);
	for (uint32_t i = 0; i < 4; i++) {
		struct nbd_simple_reply h;
		uint64_t cookie;

		nbd_raw_recv(w, fd, &h, sizeof(h));
		cookie = hf_get_be64(h.cookie);
		assert_true(hf_get_be32(h.error) == 0 && cookie < 4 && !seen[cookie]++);
		nbd_raw_recv(w, fd, back, 2 * MIB);
		assert_memory_equal(back, data + cookie * 2 * MIB, 2 * MIB);
	}
	close(fd);
	free(data);
	free(back);
	nbd_world_free(w);
}

static void test_nbd_writes_may_come_byte_by_byte(void **state)
{
	struct nbd_world *w = nbd_world_new(256, 0, NULL);
	int fd = nbd_raw_open(w, "vol", false);
	uint8_t *data = nbd_raw_pattern(8192, 4);
	struct nbd_request q = {
		hf_put_be32(NBD_REQUEST_MAGIC), hf_put_be16(0), hf_put_be16(NBD_CMD_WRITE), hf_put_be64(8),
		hf_put_be64(4096), hf_put_be32(8192),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(q); i++)
		nbd_raw_send(w, fd, (uint8_t *)&q + i, 1);
	for (size_t i = 0; i < 8192; i++)
		nbd_raw_send(w, fd, data + i, 1);
	assert_int_equal(nbd_raw_simple(w, fd, 8), 0);
	assert_memory_equal(w->ram.data + 4096, data, 8192);
	close(fd);
	free(data);
	nbd_world_free(w);
}

static void test_nbd_ranges_and_alignment_are_checked(void **state)
{
	static const struct {
		uint16_t command;
		uint64_t offset;
		uint32_t length, error;
	} bad[] = {
		{ NBD_CMD_READ, 0, 0, NBD_EINVAL },
		{ NBD_CMD_READ, 0, 512, NBD_EINVAL },
		{ NBD_CMD_READ, 512, 4096, NBD_EINVAL },
		{ NBD_CMD_READ, 256 * 4096, 4096, NBD_EINVAL },
		{ NBD_CMD_READ, 255 * 4096, 8192, NBD_EINVAL },
		{ NBD_CMD_READ, 0xfffffffffffff000ull, 8192, NBD_EINVAL },
		{ NBD_CMD_READ, 0, 0xfffff000u, NBD_EINVAL },
		{ NBD_CMD_TRIM, 256 * 4096, 4096, NBD_EINVAL },
		{ NBD_CMD_TRIM, 0, 0xfffff000u, NBD_EINVAL },
		{ NBD_CMD_WRITE_ZEROES, 256 * 4096, 4096, NBD_ENOSPC },
		{ NBD_CMD_WRITE_ZEROES, 0xfffffffffffff000ull, 4096, NBD_ENOSPC },
		{ NBD_CMD_WRITE_ZEROES, 0, 100, NBD_EINVAL },
		{ NBD_CMD_BLOCK_STATUS, 0, 0, NBD_EINVAL },
		{ NBD_CMD_BLOCK_STATUS, 4096, 256 * 4096, NBD_EINVAL },
		{ NBD_CMD_CACHE, 1, 1, NBD_EINVAL },
		{ NBD_CMD_FLUSH, 4096, 0, NBD_EINVAL },
		{ 99, 0, 0, NBD_EINVAL },
	};
	struct nbd_world *w = nbd_world_new(256, 0, NULL);
	int fd = nbd_raw_open(w, "vol", true);
	uint8_t *data = nbd_raw_pattern(8192, 1);

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(nbd_raw_do(w, fd, bad[i].command, 0, bad[i].offset, bad[i].length), bad[i].error);
	assert_int_equal(nbd_raw_do(w, fd, NBD_CMD_FLUSH, NBD_CMD_FLAG_NO_HOLE, 0, 0), NBD_EINVAL);
	assert_int_equal(nbd_raw_do(w, fd, NBD_CMD_FLUSH, 0x8000, 0, 0), NBD_EINVAL);
	/* A refused write's payload is read past. */
	nbd_raw_write(w, fd, 1, 255 * 4096, data, 8192);
	assert_int_equal(nbd_raw_status(w, fd, 1), NBD_ENOSPC);
	nbd_raw_write(w, fd, 2, 1, data, 4096);
	assert_int_equal(nbd_raw_status(w, fd, 2), NBD_EINVAL);
	nbd_raw_write(w, fd, 3, 0, data, 511);
	assert_int_equal(nbd_raw_status(w, fd, 3), NBD_EINVAL);
	assert_int_equal(w->ram.writes + w->ram.zeroes + w->ram.reads + w->ram.flushes, 0);
	nbd_raw_write(w, fd, 4, 0, data, 8192);
	assert_int_equal(nbd_raw_status(w, fd, 4), 0);
	assert_int_equal(w->warnings, 0);
	close(fd);
	free(data);
	nbd_world_free(w);
}

static void test_nbd_a_broken_request_ends_only_that_client(void **state)
{
	struct nbd_world *w = nbd_world_new(256, 0, NULL);
	int fd = nbd_raw_open(w, "vol", true);

	(void)state;
	nbd_raw_send(w, fd, "this is not an NBD request..", 28);
	nbd_raw_assert_refused(w, fd, "export vol: bad request magic 0x74686973");
	nbd_world_free(w);

	w = nbd_world_new(256, 0, NULL);
	fd = nbd_raw_open(w, "vol", true);
	nbd_raw_request(w, fd, NBD_CMD_WRITE, 0, 1, 0, 0xfffff000u);
	nbd_raw_assert_refused(w, fd, "WRITE with a payload of 4294963200 bytes");
	nbd_world_free(w);
}

static void test_nbd_trims_and_zeroes_read_back_as_zeros(void **state)
{
	struct nbd_world *w = nbd_world_new(4096, 0, NULL);
	int fd = nbd_raw_open(w, "vol", true);
	uint8_t *data = nbd_raw_pattern(16 * MIB, 1), *zero = calloc(1, 16 * MIB), *back = malloc(16 * MIB);

	(void)state;
	nbd_raw_write(w, fd, 1, 0, data, 16 * MIB);
	assert_int_equal(nbd_raw_status(w, fd, 1), 0);
	assert_int_equal(nbd_raw_do(w, fd, NBD_CMD_TRIM, 0, 0, 6 * MIB), 0);
	assert_int_equal(w->ram.zeroes, 2);		/* 4 MiB each at most */
	assert_int_equal(nbd_raw_do(w, fd, NBD_CMD_WRITE_ZEROES, NBD_CMD_FLAG_FAST_ZERO, 6 * MIB, 2 * MIB), 0);
	w->ram.writes = 0;
	assert_int_equal(nbd_raw_do(w, fd, NBD_CMD_WRITE_ZEROES, NBD_CMD_FLAG_NO_HOLE, 8 * MIB, 4 * MIB), 0);
	assert_int_equal(w->ram.writes, 16);
	assert_int_equal(nbd_raw_do(w, fd, NBD_CMD_WRITE_ZEROES, NBD_CMD_FLAG_NO_HOLE | NBD_CMD_FLAG_FAST_ZERO, 0,
				    4096), NBD_ENOTSUP);
	assert_int_equal(w->ram.allocated[8 * 256], 1);
	assert_int_equal(w->ram.allocated[7 * 256], 0);
	assert_int_equal(nbd_raw_read(w, fd, 2, 0, 16 * MIB, back), 0);
	assert_memory_equal(back, zero, 12 * MIB);
	assert_memory_equal(back + 12 * MIB, data + 12 * MIB, 4 * MIB);
	assert_int_equal(nbd_raw_do(w, fd, NBD_CMD_CACHE, 0, 0, 16 * MIB), 0);
	close(fd);
	free(data);
	free(zero);
	free(back);
	nbd_world_free(w);
}

static void test_nbd_fua_flushes_behind_the_write(void **state)
{
	struct nbd_world *w = nbd_world_new(256, 0, NULL);
	int fd = nbd_raw_open(w, "vol", true);
	uint8_t *data = nbd_raw_pattern(4096, 1);

	(void)state;
	nbd_raw_request(w, fd, NBD_CMD_WRITE, NBD_CMD_FLAG_FUA, 1, 0, 4096);
	nbd_raw_send(w, fd, data, 4096);
	assert_int_equal(nbd_raw_status(w, fd, 1), 0);
	assert_int_equal(w->ram.flushes, 1);
	assert_int_equal(nbd_raw_do(w, fd, NBD_CMD_TRIM, NBD_CMD_FLAG_FUA, 0, 4096), 0);
	assert_int_equal(w->ram.flushes, 2);
	assert_int_equal(nbd_raw_do(w, fd, NBD_CMD_CACHE, NBD_CMD_FLAG_FUA, 0, 4096), 0);
	assert_int_equal(w->ram.flushes, 2);
	close(fd);
	free(data);
	nbd_world_free(w);
}

static uint32_t extents(struct nbd_world *w, int fd, uint16_t flags, uint64_t offset, uint32_t length,
			uint32_t out[][2])
{
	uint8_t data[4 + 64 * 8];
	struct nbd_raw_chunk chunk = { .data = data, .max = sizeof(data) };
	struct nbd_extent e;
	uint32_t count;

	nbd_raw_request(w, fd, NBD_CMD_BLOCK_STATUS, flags, 4, offset, length);
	nbd_raw_chunk(w, fd, &chunk);
	assert_int_equal(chunk.type, NBD_CHUNK_BLOCK_STATUS);
	assert_int_equal(chunk.flags, NBD_CHUNK_FLAG_DONE);
	assert_memory_equal(data, "\0\0\0\1", 4);
	count = (chunk.length - 4) / 8;
	for (uint32_t i = 0; i < count; i++) {
		memcpy(&e, data + 4 + i * 8, 8);
		out[i][0] = hf_get_be32(e.length);
		out[i][1] = hf_get_be32(e.flags);
	}
	return count;
}

static void test_nbd_block_status_tells_holes(void **state)
{
	struct nbd_world *w = nbd_world_new(1024, 0, NULL);
	int fd = nbd_raw_open(w, "vol", true);
	uint32_t e[64][2];

	(void)state;
	memset(w->ram.allocated + 16, 1, 32);
	assert_int_equal(extents(w, fd, 0, 0, 1024 * 4096, e), 3);
	assert_true(e[0][0] == 16 * 4096 && e[0][1] == (NBD_STATE_HOLE | NBD_STATE_ZERO));
	assert_true(e[1][0] == 32 * 4096 && e[1][1] == 0);
	assert_true(e[2][0] == 976 * 4096);
	assert_int_equal(extents(w, fd, NBD_CMD_FLAG_REQ_ONE, 20 * 4096, 8 * 4096, e), 1);
	assert_true(e[0][0] == 8 * 4096 && e[0][1] == 0);
	for (uint32_t i = 0; i < 1024; i += 2)
		w->ram.allocated[i] = 1;
	memset(w->ram.allocated + 1, 0, 1);
	assert_int_equal(extents(w, fd, 0, 64 * 4096, 900 * 4096, e), 64);	/* the most in one answer */
	close(fd);
	nbd_world_free(w);
}

static void test_nbd_errors_of_the_volume_reach_the_client(void **state)
{
	static const struct {
		int result;
		uint32_t error;
	} map[] = {
		{ -EIO, NBD_EIO }, { -EINVAL, NBD_EINVAL }, { -ENOSPC, NBD_ENOSPC }, { -ESHUTDOWN, NBD_ESHUTDOWN },
		{ -EBADMSG, NBD_EIO },
	};
	struct nbd_world *w = nbd_world_new(1024, 0, NULL);
	int fd = nbd_raw_open(w, "vol", true);
	uint8_t *data = nbd_raw_pattern(1 * MIB, 2);

	(void)state;
	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
		w->ram.fail = map[i].result;
		w->ram.fail_count = 1;
		w->ram.fail_kind = HF_REQUEST_WRITE;
		nbd_raw_write(w, fd, i, 0, data, 1 * MIB);	/* one of its four pieces fails */
		assert_int_equal(nbd_raw_status(w, fd, i), map[i].error);
		w->ram.fail_count = 1;
		w->ram.fail_kind = HF_REQUEST_READ;
		assert_int_equal(nbd_raw_read(w, fd, i, 0, 1 * MIB, data), map[i].error);
	}
	close(fd);
	nbd_world_wait(w, &w->ram.closes, 1);
	fd = nbd_raw_open(w, "vol", false);
	w->ram.fail_count = 1;
	nbd_raw_request(w, fd, NBD_CMD_READ, 0, 9, 0, 1 * MIB);
	assert_int_equal(nbd_raw_simple(w, fd, 9), NBD_EIO);
	assert_int_equal(nbd_raw_do(w, fd, NBD_CMD_FLUSH, 0, 0, 0), 0);
	close(fd);
	free(data);
	nbd_world_free(w);
}

/* ---------------------------------------------------------------- ends */

static void test_nbd_disc_waits_for_what_was_asked(void **state)
{
	struct nbd_world *w = nbd_world_new(256, 0, NULL);
	int fd = nbd_raw_open(w, "vol", false);
	uint8_t *data = nbd_raw_pattern(4096, 1);

	(void)state;
	w->ram.hold = true;
	nbd_raw_write(w, fd, 1, 0, data, 4096);
	nbd_raw_request(w, fd, NBD_CMD_DISC, 0, 0, 0, 0);
	assert_true(nbd_raw_is_silent(w, fd));
	ram_export_release(&w->ram);
	assert_int_equal(nbd_raw_simple(w, fd, 1), 0);
	assert_true(nbd_raw_is_closed(w, fd));
	assert_int_equal(w->ram.writes, 1);
	close(fd);
	free(data);
	nbd_world_free(w);
}

static void test_nbd_a_session_closes_only_after_its_last_request(void **state)
{
	struct nbd_world *w = nbd_world_new(1024, 0, NULL);
	int fd = nbd_raw_open(w, "vol", true);
	uint8_t *data = nbd_raw_pattern(1 * MIB, 1);

	(void)state;
	w->ram.hold = true;
	nbd_raw_write(w, fd, 1, 0, data, 1 * MIB);
	nbd_raw_request(w, fd, NBD_CMD_READ, 0, 2, 0, 1 * MIB);
	nbd_raw_request(w, fd, NBD_CMD_WRITE, 0, 3, 0, 1 * MIB);
	nbd_raw_send(w, fd, data, 300000);		/* cut in its second piece */
	nbd_world_wait(w, &w->ram.under_way, 9);
	close(fd);
	for (int i = 0; i < 10; i++)
		nbd_world_turn(w);
	assert_int_equal(w->ram.closes, 0);
	ram_export_release(&w->ram);
	nbd_world_wait(w, &w->ram.closes, 1);
	assert_int_equal(w->ram.under_way, 0);
	free(data);
	nbd_world_free(w);
}

static void test_nbd_a_client_that_takes_no_answers_holds_a_bounded_share(void **state)
{
	struct nbd_world *w = nbd_world_new(32 * 256, 64 * MIB, NULL);
	int fd = nbd_raw_open(w, "vol", true), other;
	uint8_t *back = malloc(1 * MIB);

	(void)state;
	for (uint32_t i = 0; i < 40; i++)
		nbd_raw_request(w, fd, NBD_CMD_READ, 0, i, 0, 32 * MIB);
	for (int i = 0; i < 50; i++)
		nbd_world_turn(w);
	assert_in_range(w->ram.reads * 256, 1, 9 * 1024);	/* KiB: NBD_HELD_MAX and what the socket took */
	other = nbd_raw_open(w, "vol@ro", true);
	assert_int_equal(nbd_raw_read(w, other, 1, 0, 1 * MIB, back), 0);
	close(fd);
	nbd_world_wait(w, &w->ram.closes, 1);
	close(other);
	free(back);
	nbd_world_free(w);
}

static void test_nbd_a_leaving_client_gets_two_seconds_for_its_answers(void **state)
{
	struct nbd_world *w = nbd_world_new(32 * 256, 0, NULL);
	int fd = nbd_raw_open(w, "vol", true);

	(void)state;
	nbd_raw_request(w, fd, NBD_CMD_READ, 0, 1, 0, 2 * MIB);
	nbd_raw_request(w, fd, NBD_CMD_DISC, 0, 0, 0, 0);
	nbd_world_wait(w, &w->ram.closes, 1);		/* though it takes none of them */
	close(fd);
	nbd_world_free(w);
}

static void test_nbd_a_pool_that_could_starve_it_is_refused(void **state)
{
	struct nbd_world *w = nbd_world_new(256, 0, NULL);
	struct hf_buf_pool *small = hf_buf_pool_new(1 * MIB);
	struct hf_nbd_params p = { .addr = "unix:/nonexistent/s" };
	struct hf_nbd_server *n = NULL;
	struct hf_errmsg err;

	(void)state;
	assert_int_equal(hf_nbd_server_new(w->r, small, &ram_export_backend, &w->ram, &p, &n, &err), -ENOMEM);
	hf_buf_pool_free(small);
	assert_true(hf_nbd_server_new(w->r, w->pool, &ram_export_backend, &w->ram, &p, &n, &err) < 0);
	assert_null(n);
	nbd_world_free(w);
}

static void test_nbd_stop_answers_what_is_under_way(void **state)
{
	struct nbd_world *w = nbd_world_new(256, 0, NULL);
	int fd = nbd_raw_open(w, "vol", false);
	uint8_t *data = nbd_raw_pattern(4096, 1);
	struct nbd_simple_reply h;

	(void)state;
	w->ram.hold = true;
	nbd_raw_write(w, fd, 1, 0, data, 4096);
	nbd_world_wait(w, &w->ram.under_way, 1);
	ram_export_release(&w->ram);
	nbd_world_free(w);
	assert_int_equal(read(fd, &h, sizeof(h)), sizeof(h));
	assert_int_equal(hf_get_be32(h.error), 0);
	assert_int_equal(read(fd, &h, sizeof(h)), 0);
	close(fd);
	free(data);
}

/* ---------------------------------------------------------------- extended headers */

static void test_nbd_extended_headers_carry_64_bit_lengths(void **state)
{
	uint64_t blocks = 3ull << 20;		/* 12 GiB, none of it touched */
	struct nbd_world *w = nbd_world_new(blocks, 0, NULL);
	int fd = nbd_raw_connect(w);
	struct nbd_request_ext q = {
		hf_put_be32(NBD_REQUEST_EXT_MAGIC), hf_put_be16(0), hf_put_be16(NBD_CMD_BLOCK_STATUS), hf_put_be64(5),
		hf_put_be64(0), hf_put_be64(blocks * 4096),
	};
	struct nbd_chunk_head_ext h;
	struct nbd_extent_ext e;
	hf_be32 words[2];

	(void)state;
	nbd_raw_greet(w, fd, NBD_FLAG_FIXED_NEWSTYLE);
	nbd_raw_option(w, fd, NBD_OPT_EXTENDED_HEADERS, NULL, 0);
	assert_int_equal(nbd_raw_option_end(w, fd, NBD_OPT_EXTENDED_HEADERS), NBD_REP_ACK);
	nbd_raw_option(w, fd, NBD_OPT_STRUCTURED_REPLY, NULL, 0);
	assert_int_equal(nbd_raw_option_end(w, fd, NBD_OPT_STRUCTURED_REPLY), NBD_REP_ERR_EXT_HEADER_REQD);
	assert_int_equal(nbd_raw_meta(w, fd, NBD_OPT_SET_META_CONTEXT, "vol", "base:allocation"), NBD_REP_ACK);
	assert_int_equal(nbd_raw_go(w, fd, NBD_OPT_GO, "vol"), NBD_REP_ACK);
	nbd_raw_send(w, fd, &q, sizeof(q));
	nbd_raw_recv(w, fd, &h, sizeof(h));
	assert_int_equal(hf_get_be32(h.magic), NBD_CHUNK_EXT_MAGIC);
	assert_int_equal(hf_get_be16(h.type), NBD_CHUNK_BLOCK_STATUS_EXT);
	assert_true(hf_get_be64(h.cookie) == 5 && hf_get_be64(h.length) == 24 && hf_get_be64(h.offset) == 0);
	nbd_raw_recv(w, fd, words, sizeof(words));
	assert_int_equal(hf_get_be32(words[1]), 1);
	nbd_raw_recv(w, fd, &e, sizeof(e));
	assert_true(hf_get_be64(e.length) == blocks * 4096 && hf_get_be64(e.flags) == 3);
	/* A write and its answer, which is a chunk too. */
	q.type = hf_put_be16(NBD_CMD_WRITE);
	q.flags = hf_put_be16(NBD_CMD_FLAG_PAYLOAD_LEN);
	q.length = hf_put_be64(4096);
	nbd_raw_send(w, fd, &q, sizeof(q));
	nbd_raw_send(w, fd, w->ram.allocated, 4096);
	nbd_raw_recv(w, fd, &h, sizeof(h));
	assert_true(hf_get_be16(h.type) == NBD_CHUNK_NONE && hf_get_be16(h.flags) == NBD_CHUNK_FLAG_DONE);
	assert_int_equal(w->ram.writes, 1);
	q.type = hf_put_be16(NBD_CMD_TRIM);
	nbd_raw_send(w, fd, &q, sizeof(q));
	nbd_raw_assert_refused(w, fd, "TRIM with a payload");
	nbd_world_free(w);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nbd_pipelined_writes_are_all_carried_out),
		cmocka_unit_test(test_nbd_32_mib_fit_a_smaller_pool),
		cmocka_unit_test(test_nbd_simple_reads_of_two_mib_are_answered_whole),
		cmocka_unit_test(test_nbd_writes_may_come_byte_by_byte),
		cmocka_unit_test(test_nbd_ranges_and_alignment_are_checked),
		cmocka_unit_test(test_nbd_a_broken_request_ends_only_that_client),
		cmocka_unit_test(test_nbd_trims_and_zeroes_read_back_as_zeros),
		cmocka_unit_test(test_nbd_fua_flushes_behind_the_write),
		cmocka_unit_test(test_nbd_block_status_tells_holes),
		cmocka_unit_test(test_nbd_errors_of_the_volume_reach_the_client),
		cmocka_unit_test(test_nbd_disc_waits_for_what_was_asked),
		cmocka_unit_test(test_nbd_a_session_closes_only_after_its_last_request),
		cmocka_unit_test(test_nbd_a_client_that_takes_no_answers_holds_a_bounded_share),
		cmocka_unit_test(test_nbd_a_leaving_client_gets_two_seconds_for_its_answers),
		cmocka_unit_test(test_nbd_a_pool_that_could_starve_it_is_refused),
		cmocka_unit_test(test_nbd_stop_answers_what_is_under_way),
		cmocka_unit_test(test_nbd_extended_headers_carry_64_bit_lengths),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
