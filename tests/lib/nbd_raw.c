// SPDX-License-Identifier: MIT
/* nbd_raw - see nbd_raw.h. */
#include "lib/nbd_raw.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "io/reactor_uring.h"

/* ---------------------------------------------------------------- the world */

static void sink(void *ctx, enum hf_log_level level, const char *line)
{
	struct nbd_world *w = ctx;

	if (level > HF_LOG_WARN)
		return;
	w->warnings++;
	snprintf(w->warning, sizeof(w->warning), "%s", line);
}

struct nbd_world *nbd_world_new(uint64_t blocks, size_t pool_bytes, const struct hf_nbd_params *params)
{
	struct nbd_world *w = calloc(1, sizeof(*w));
	struct hf_nbd_params p = params ? *params : (struct hf_nbd_params){ 0 };
	struct hf_errmsg err = { "" };

	signal(SIGPIPE, SIG_IGN);
	assert_non_null(w);
	snprintf(w->dir, sizeof(w->dir), "/tmp/hf-nbd-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->addr, sizeof(w->addr), "unix:%s/s", w->dir);
	if (!p.addr)
		p.addr = w->addr;
	hf_log_init(sink, w, HF_LOG_DEBUG);
	if (hf_reactor_uring_new(&w->r, &err) < 0)
		fail_msg("%s", err.text);
	w->pool = hf_buf_pool_new(pool_bytes ? pool_bytes : 16u << 20);
	assert_non_null(w->pool);
	assert_int_equal(ram_export_init(&w->ram, w->r, "vol", blocks), 0);
	w->ram.is_alive = hf_nbd_session_is_alive;
	if (hf_nbd_server_new(w->r, w->pool, &ram_export_backend, &w->ram, &p, &w->server, &err) < 0)
		fail_msg("%s", err.text);
	return w;
}

static void stopped(void *ctx)
{
	struct nbd_world *w = ctx;

	w->is_stopped = true;
}

void nbd_world_turn(struct nbd_world *w)
{
	hf_reactor_uring_turn(w->r, hf_reactor_now(w->r) + HF_MS);
}

static hf_nsec deadline(struct nbd_world *w)
{
	return hf_reactor_now(w->r) + NBD_RAW_DEADLINE_NS;
}

void nbd_world_free(struct nbd_world *w)
{
	hf_nsec end = deadline(w);

	hf_nbd_server_stop(w->server, stopped, w);
	while (!w->is_stopped) {
		nbd_world_turn(w);
		assert_true(hf_reactor_now(w->r) < end);
	}
	assert_int_equal(w->ram.opens, w->ram.closes);
	ram_export_fini(&w->ram);
	hf_buf_pool_free(w->pool);	/* asserts that every buffer came back */
	hf_reactor_uring_free(w->r);
	hf_log_init(NULL, NULL, HF_LOG_INFO);
	unlink(w->addr + strlen("unix:"));
	rmdir(w->dir);
	free(w);
}

void nbd_world_wait(struct nbd_world *w, const uint64_t *value, uint64_t want)
{
	hf_nsec end = deadline(w);

	while (*value < want) {
		nbd_world_turn(w);
		if (hf_reactor_now(w->r) >= end)
			fail_msg("waited for %llu, got %llu", (unsigned long long)want, (unsigned long long)*value);
	}
}

/* ---------------------------------------------------------------- bytes */

int nbd_raw_connect(struct nbd_world *w)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/s", w->dir);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

size_t nbd_raw_push(int fd, const void *data, size_t len)
{
	ssize_t n = write(fd, data, len);

	return n > 0 ? (size_t)n : 0;
}

void nbd_raw_send(struct nbd_world *w, int fd, const void *data, size_t len)
{
	hf_nsec end = deadline(w);
	size_t done = 0;

	while (done < len) {
		done += nbd_raw_push(fd, (const uint8_t *)data + done, len - done);
		nbd_world_turn(w);
		if (hf_reactor_now(w->r) >= end)
			fail_msg("the server took %zu of %zu bytes", done, len);
	}
}

void nbd_raw_recv(struct nbd_world *w, int fd, void *data, size_t len)
{
	hf_nsec end = deadline(w);
	size_t done = 0;

	while (done < len) {
		ssize_t n = read(fd, (uint8_t *)data + done, len - done);

		if (n == 0)
			fail_msg("the server closed after %zu of %zu bytes: %s", done, len, w->warning);
		if (n > 0)
			done += (size_t)n;
		else
			nbd_world_turn(w);
		if (hf_reactor_now(w->r) >= end)
			fail_msg("the server sent %zu of %zu bytes", done, len);
	}
}

bool nbd_raw_is_closed(struct nbd_world *w, int fd)
{
	hf_nsec end = deadline(w);
	uint8_t byte;

	for (;;) {
		ssize_t n = read(fd, &byte, 1);

		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return true;
		if (n > 0)
			return false;
		nbd_world_turn(w);
		if (hf_reactor_now(w->r) >= end)
			fail_msg("the server did not close the connection");
	}
}

bool nbd_raw_is_silent(struct nbd_world *w, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	for (int i = 0; i < 5; i++)
		nbd_world_turn(w);
	return poll(&p, 1, 0) == 0;
}

/* ---------------------------------------------------------------- handshake */

void nbd_raw_greet(struct nbd_world *w, int fd, uint32_t flags)
{
	hf_be32 f = hf_put_be32(flags);
	struct nbd_greeting g;

	nbd_raw_recv(w, fd, &g, sizeof(g));
	assert_true(hf_get_be64(g.magic) == NBD_MAGIC && hf_get_be64(g.option_magic) == NBD_OPTION_MAGIC);
	assert_int_equal(hf_get_be16(g.flags), NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
	nbd_raw_send(w, fd, &f, sizeof(f));
}

void nbd_raw_option(struct nbd_world *w, int fd, uint32_t option, const void *data, uint32_t len)
{
	struct nbd_option_head h = { hf_put_be64(NBD_OPTION_MAGIC), hf_put_be32(option), hf_put_be32(len) };

	nbd_raw_send(w, fd, &h, sizeof(h));
	nbd_raw_send(w, fd, data, len);
}

uint32_t nbd_raw_option_reply(struct nbd_world *w, int fd, uint32_t option, void *data, uint32_t max, uint32_t *len)
{
	struct nbd_option_reply_head h;

	nbd_raw_recv(w, fd, &h, sizeof(h));
	assert_true(hf_get_be64(h.magic) == NBD_OPTION_REPLY_MAGIC);
	assert_int_equal(hf_get_be32(h.option), option);
	*len = hf_get_be32(h.length);
	assert_true(*len <= max);
	nbd_raw_recv(w, fd, data, *len);
	return hf_get_be32(h.type);
}

uint32_t nbd_raw_option_end(struct nbd_world *w, int fd, uint32_t option)
{
	uint8_t data[1024];
	uint32_t type, len;

	do {
		type = nbd_raw_option_reply(w, fd, option, data, sizeof(data), &len);
	} while (type == NBD_REP_INFO || type == NBD_REP_SERVER || type == NBD_REP_META_CONTEXT);
	return type;
}

static uint32_t put_string(uint8_t *at, const char *text)
{
	uint32_t n = (uint32_t)strlen(text);
	hf_be32 len = hf_put_be32(n);

	memcpy(at, &len, 4);
	memcpy(at + 4, text, n);
	return 4 + n;
}

uint32_t nbd_raw_go(struct nbd_world *w, int fd, uint32_t option, const char *name)
{
	uint8_t data[512];
	uint32_t n = put_string(data, name);
	hf_be16 count = hf_put_be16(1), type = hf_put_be16(NBD_INFO_BLOCK_SIZE);

	memcpy(data + n, &count, 2);
	memcpy(data + n + 2, &type, 2);
	nbd_raw_option(w, fd, option, data, n + 4);
	return nbd_raw_option_end(w, fd, option);
}

uint32_t nbd_raw_meta(struct nbd_world *w, int fd, uint32_t option, const char *name, const char *query)
{
	uint8_t data[512];
	uint32_t n = put_string(data, name);
	hf_be32 count = hf_put_be32(1);

	memcpy(data + n, &count, 4);
	n += 4;
	n += put_string(data + n, query);
	nbd_raw_option(w, fd, option, data, n);
	return nbd_raw_option_end(w, fd, option);
}

int nbd_raw_open(struct nbd_world *w, const char *name, bool structured)
{
	int fd = nbd_raw_connect(w);

	nbd_raw_greet(w, fd, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
	if (structured) {
		nbd_raw_option(w, fd, NBD_OPT_STRUCTURED_REPLY, NULL, 0);
		assert_int_equal(nbd_raw_option_end(w, fd, NBD_OPT_STRUCTURED_REPLY), NBD_REP_ACK);
		assert_int_equal(nbd_raw_meta(w, fd, NBD_OPT_SET_META_CONTEXT, name, "base:allocation"), NBD_REP_ACK);
	}
	assert_int_equal(nbd_raw_go(w, fd, NBD_OPT_GO, name), NBD_REP_ACK);
	return fd;
}

/* ---------------------------------------------------------------- transmission */

void nbd_raw_request(struct nbd_world *w, int fd, uint16_t command, uint16_t flags, uint64_t cookie, uint64_t offset,
		     uint32_t length)
{
	struct nbd_request h = {
		hf_put_be32(NBD_REQUEST_MAGIC), hf_put_be16(flags), hf_put_be16(command), hf_put_be64(cookie),
		hf_put_be64(offset), hf_put_be32(length),
	};

	nbd_raw_send(w, fd, &h, sizeof(h));
}

uint32_t nbd_raw_simple(struct nbd_world *w, int fd, uint64_t cookie)
{
	struct nbd_simple_reply h;

	nbd_raw_recv(w, fd, &h, sizeof(h));
	assert_int_equal(hf_get_be32(h.magic), NBD_SIMPLE_REPLY_MAGIC);
	assert_true(hf_get_be64(h.cookie) == cookie);
	return hf_get_be32(h.error);
}

void nbd_raw_chunk(struct nbd_world *w, int fd, struct nbd_raw_chunk *chunk)
{
	struct nbd_chunk_head h;

	nbd_raw_recv(w, fd, &h, sizeof(h));
	assert_int_equal(hf_get_be32(h.magic), NBD_CHUNK_MAGIC);
	chunk->flags = hf_get_be16(h.flags);
	chunk->type = hf_get_be16(h.type);
	chunk->cookie = hf_get_be64(h.cookie);
	chunk->length = hf_get_be32(h.length);
	assert_true(chunk->length <= chunk->max);
	nbd_raw_recv(w, fd, chunk->data, chunk->length);
}

uint32_t nbd_raw_read(struct nbd_world *w, int fd, uint64_t cookie, uint64_t offset, uint32_t length, uint8_t *data)
{
	struct nbd_raw_chunk chunk = { .max = length + 4096 };
	uint64_t got = 0;
	uint32_t error = 0;

	chunk.data = malloc(chunk.max);
	nbd_raw_request(w, fd, NBD_CMD_READ, 0, cookie, offset, length);
	do {
		nbd_raw_chunk(w, fd, &chunk);
		assert_true(chunk.cookie == cookie);
		if (chunk.type == NBD_CHUNK_OFFSET_DATA) {
			hf_be64 at;

			memcpy(&at, chunk.data, 8);
			assert_true(hf_get_be64(at) >= offset && hf_get_be64(at) - offset + chunk.length - 8 <= length);
			memcpy(data + (hf_get_be64(at) - offset), chunk.data + 8, chunk.length - 8);
			got += chunk.length - 8;
		} else if (error == 0) {
			hf_be32 e;

			assert_true(chunk.type & 0x8000);
			memcpy(&e, chunk.data, 4);
			error = hf_get_be32(e);
		}
	} while (!(chunk.flags & NBD_CHUNK_FLAG_DONE));
	assert_true(error != 0 || got == length);
	free(chunk.data);
	return error;
}

uint32_t nbd_raw_status(struct nbd_world *w, int fd, uint64_t cookie)
{
	uint8_t data[256];
	struct nbd_raw_chunk chunk = { .data = data, .max = sizeof(data) };
	hf_be32 magic;
	hf_nsec end = deadline(w);

	while (recv(fd, &magic, 4, MSG_PEEK) != 4) {
		nbd_world_turn(w);
		if (hf_reactor_now(w->r) >= end)
			fail_msg("no reply to %llu", (unsigned long long)cookie);
	}
	if (hf_get_be32(magic) == NBD_SIMPLE_REPLY_MAGIC)
		return nbd_raw_simple(w, fd, cookie);
	nbd_raw_chunk(w, fd, &chunk);
	assert_true(chunk.cookie == cookie && (chunk.flags & NBD_CHUNK_FLAG_DONE));
	if (chunk.type == NBD_CHUNK_NONE)
		return 0;
	assert_int_equal(chunk.type, NBD_CHUNK_ERROR);
	memcpy(&magic, data, 4);
	return hf_get_be32(magic);
}

uint32_t nbd_raw_do(struct nbd_world *w, int fd, uint16_t command, uint16_t flags, uint64_t offset, uint32_t length)
{
	nbd_raw_request(w, fd, command, flags, 0x77, offset, length);
	return nbd_raw_status(w, fd, 0x77);
}

/* ---------------------------------------------------------------- for tests */

uint8_t *nbd_raw_pattern(size_t len, uint32_t seed)
{
	uint8_t *p = malloc(len);

	assert_non_null(p);
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)((i >> 12) * 31 + i * 7 + seed);
	return p;
}

void nbd_raw_write(struct nbd_world *w, int fd, uint64_t cookie, uint64_t offset, const void *data, uint32_t len)
{
	nbd_raw_request(w, fd, NBD_CMD_WRITE, 0, cookie, offset, len);
	nbd_raw_send(w, fd, data, len);
}

void nbd_raw_assert_refused(struct nbd_world *w, int fd, const char *words)
{
	struct hf_nbd_stats s;

	assert_true(nbd_raw_is_closed(w, fd));
	assert_int_equal(w->warnings, 1);
	if (!strstr(w->warning, words))
		fail_msg("'%s' is not in '%s'", words, w->warning);
	hf_nbd_server_stats(w->server, &s);
	assert_int_equal(s.protocol_errors, 1);
	close(fd);
	fd = nbd_raw_open(w, "vol", true);
	assert_int_equal(nbd_raw_do(w, fd, NBD_CMD_FLUSH, 0, 0, 0), 0);
	close(fd);
}
