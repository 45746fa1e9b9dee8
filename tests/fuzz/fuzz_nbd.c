// SPDX-License-Identifier: MIT
/*
 * fuzz_nbd - the NBD server, all of front/: what one client sends and how it takes its answers, to an export in memory.
 *
 * First byte: how the stream is cut up; bit 3: the client stays when it has said everything; bit 4: it stops reading;
 * bit 5: a second client comes before the first has gone; bit 6: pieces are answered in reverse; bit 7: the rest are
 * not the bytes but choices from which a session is made, with its magic numbers and lengths in place.
 */
#include <stdlib.h>

#include "front/nbd_proto.h"
#include "front/nbd_server.h"
#include "fuzz/fuzz.h"
#include "lib/ram_export.h"

#define BLOCKS 8192u
#define STREAM_MAX (512u << 10)

static struct fuzz_reactor *x;
static struct hf_front_backend backend;	/* the export's, with the volume's demands in front */
static struct hf_buf_pool *pool;
static struct ram_export ram;
static struct hf_nbd_server *server;
static uint8_t stream[STREAM_MAX];
static size_t stream_len;

/* Nothing comes to the volume that lies outside of it. */
static void on_submit(void *ctx, struct hf_session *s, struct hf_request *q)
{
	hf_assert(q->kind == HF_REQUEST_FLUSH || (q->lba <= BLOCKS && q->nblocks <= BLOCKS - q->lba));
	ram_export_backend.submit(ctx, s, q);
}

static void start(void)
{
	struct hf_nbd_params params = { .addr = "unix:/nowhere/nbd" };
	struct hf_errmsg err;

	x = fuzz_reactor_new();
	pool = hf_buf_pool_new(4u << 20);
	hf_assert(pool && ram_export_init(&ram, fuzz_reactor(x), "vol", BLOCKS) == 0);
	ram.is_alive = hf_nbd_session_is_alive;
	backend = ram_export_backend;
	backend.submit = on_submit;
	hf_assert(hf_nbd_server_new(fuzz_reactor(x), pool, &backend, &ram, &params, &server, &err) == 0);
	fuzz_settle(x);
}

/* ---------------------------------------------------------------- a session out of choices */

static void say(const void *data, size_t len)
{
	if (stream_len + len > STREAM_MAX)
		return;
	memcpy(stream + stream_len, data, len);
	stream_len += len;
}

static void option(struct fuzz_in *in, uint32_t number, const void *data, uint32_t len)
{
	uint8_t bend = fuzz_u8(in);
	struct nbd_option_head h = { hf_put_be64(NBD_OPTION_MAGIC), hf_put_be32(number), hf_put_be32(len) };

	if (bend == 1)
		h.length = hf_put_be32(fuzz_u32(in));
	else if (bend == 2)
		h.option = hf_put_be32(fuzz_u8(in));
	else if (bend == 3)
		h.magic = hf_put_be64(fuzz_u64(in));
	say(&h, sizeof(h));
	say(data, len);
}

/* A name and what follows it: infos of GO, queries of a meta context; each length may lie. */
static uint32_t name_and(struct fuzz_in *in, uint8_t *to, bool queries)
{
	static const char *const names[] = { "vol", "vol@ro", "", "extra-1", "none", "vol@rw" };
	static const char *const asked[] = { "base:allocation", "base:", "qemu:dirty", "" };
	uint8_t which = fuzz_u8(in), count = fuzz_u8(in) % 6;
	const char *name = names[which % 6];
	uint32_t len = (uint32_t)strlen(name), at = 0;
	hf_be32 be = hf_put_be32(which & 128 ? fuzz_u32(in) : len);

	memcpy(to, &be, 4);
	memcpy(to + 4, name, len);
	at = 4 + len;
	if (!queries) {
		hf_be16 n = hf_put_be16(which & 64 ? fuzz_u16(in) : count);

		memcpy(to + at, &n, 2);
		at += 2;
		for (uint8_t i = 0; i < count; i++, at += 2) {
			n = hf_put_be16(fuzz_u8(in) & 7);
			memcpy(to + at, &n, 2);
		}
		return at;
	}
	be = hf_put_be32(which & 64 ? fuzz_u32(in) : count);
	memcpy(to + at, &be, 4);
	at += 4;
	for (uint8_t i = 0; i < count; i++) {
		const char *query = asked[fuzz_u8(in) % 4];

		len = (uint32_t)strlen(query);
		be = hf_put_be32(fuzz_u8(in) == 255 ? fuzz_u32(in) : len);
		memcpy(to + at, &be, 4);
		memcpy(to + at + 4, query, len);
		at += 4 + len;
	}
	return at;
}

static void request(struct fuzz_in *in, bool extended)
{
	static const uint32_t lengths[] = {
		0, 1, 512, 4096, 8192, 65536, 262144, 262145, 1 << 20, 4 << 20, 32 << 20, (32 << 20) + 1, 0x7ffff000,
		0xffffffff,
	};
	static const uint8_t payload[65536];
	uint8_t kind = fuzz_u8(in), bend = fuzz_u8(in), long_as = fuzz_u8(in);
	uint16_t command = kind & 15;
	uint32_t length = lengths[long_as % (sizeof(lengths) / sizeof(lengths[0]))];
	uint64_t offset = (uint64_t)fuzz_u16(in) % (BLOCKS + 4) * HF_BLOCK;
	struct nbd_request_ext h;

	if (bend & 1)
		offset = fuzz_u64(in);
	h = (struct nbd_request_ext){
		hf_put_be32(extended ? NBD_REQUEST_EXT_MAGIC : NBD_REQUEST_MAGIC),
		hf_put_be16(bend & 2 ? fuzz_u16(in) : (uint16_t)(kind >> 4 & 1)), hf_put_be16(command),
		hf_put_be64(stream_len), hf_put_be64(offset),
		hf_put_be64(extended ? length : (uint64_t)length << 32),
	};
	if (bend & 4)
		h.magic = hf_put_be32(fuzz_u32(in));
	say(&h, extended ? sizeof(struct nbd_request_ext) : sizeof(struct nbd_request));
	for (uint32_t left = length; command == NBD_CMD_WRITE && left && stream_len < STREAM_MAX;) {
		uint32_t n = left < sizeof(payload) ? left : (uint32_t)sizeof(payload);

		say(payload, n);
		left -= n;
		if (stream_len + n > STREAM_MAX)
			break;
	}
}

static void compose(struct fuzz_in *in)
{
	static uint8_t data[1024];
	uint8_t begin = fuzz_u8(in), options = fuzz_u8(in) % 8;
	hf_be32 flags = hf_put_be32(begin & 1 ? fuzz_u32(in) : 3);
	bool extended = false;

	say(&flags, 4);
	for (uint8_t i = 0; i < options; i++) {
		uint8_t number = fuzz_u8(in) % 13;

		if (number == NBD_OPT_SET_META_CONTEXT || number == NBD_OPT_LIST_META_CONTEXT) {
			option(in, number, data, name_and(in, data, true));
		} else if (number == NBD_OPT_INFO || number == NBD_OPT_GO) {
			option(in, number, data, name_and(in, data, false));
		} else {
			extended |= number == NBD_OPT_EXTENDED_HEADERS;
			option(in, number, data, fuzz_u8(in) == 255 ? fuzz_u8(in) : 0);
		}
	}
	if (begin & 2)
		option(in, NBD_OPT_EXPORT_NAME, "vol", 3);
	else
		option(in, NBD_OPT_GO, begin & 4 ? "\0\0\0\6vol@ro\0\0" : "\0\0\0\3vol\0\0", begin & 4 ? 12 : 9);
	while (in->left)
		request(in, extended);
}

/* ---------------------------------------------------------------- one run */

static bool is_idle(void)
{
	return ram.opens == ram.closes && hf_list_is_empty(&ram.requests) && ram.opening_count == 0;
}

void fuzz_one(const uint8_t *data, size_t len)
{
	static const uint32_t chops[] = { 0, 1, 3, 28, 100, 4096, 40000, 262144 };
	struct fuzz_in in = { data, len };
	uint8_t how = fuzz_u8(&in), faults = fuzz_u8(&in);
	struct fuzz_sock a = { .chop = chops[how & 7], .stays_open = how & 8, .deaf_after = how & 16 ? 2 : 0 }, b;

	if (!x)
		start();
	ram.reverse = how & 64;
	ram.fail_count = faults & 15;
	ram.fail_kind = (enum hf_request_kind)(faults >> 4 & 3);
	ram.fail = -EIO;
	memset(ram.allocated, 0, BLOCKS);
	stream_len = 0;
	if (how & 128)
		compose(&in);
	else
		say(in.p, in.left);
	a.data = stream;
	a.len = stream_len;
	b = a;
	fuzz_dial(x, &a);
	if (how & 32)
		fuzz_dial(x, &b);
	fuzz_settle(x);
	if (faults & 64)
		ram_export_fence(&ram, "the fuzzer wants it");
	fuzz_settle(x);
	if (a.is_open)
		fuzz_hang_up(x, &a);
	if (how & 32 && b.is_open)
		fuzz_hang_up(x, &b);
	fuzz_settle(x);
	ram.fail_count = 0;
	for (uint32_t i = 0; i < 4 && (a.is_open || b.is_open); i++)
		fuzz_tick(x);		/* what waits for time: a client that does not take its answers */
	hf_assert(!a.is_open && !b.is_open && is_idle());
}
