// SPDX-License-Identifier: MIT
/*
 * fuzz_peer - another host on a connection to this one: framing (engine/conn.c), greeting and routing (engine/host.c),
 * a leg that serves it (engine/leg_run.c, core/leg.c) on a real store.
 *
 * First byte: how the stream is cut up, and whether the leg is looked at afterwards. Then frames, see frame(): each is
 * what a decent primary could say now unless the input bends it, with its checksums put right.
 */
#include <stdlib.h>

#include "codec/csum.h"
#include "core/entry.h"
#include "engine/leg_run.h"
#include "fuzz/fuzz_leg.h"

#define FRAMES_MAX 64
#define STREAM_MAX (8u << 20)

enum { BEND_LEG = 1, BEND_BYTE = 2, BEND_HEAD = 4, BEND_CRC = 8, AT_ONCE = 16, BEND_LENGTH = 32, BEND_COUNT = 64 };

static struct fuzz_reactor *x;
static struct hf_host host;
static struct hf_leg_run run;
static struct fuzz_leg leg;
static struct fuzz_sock sock;
static uint8_t *stream;
static hf_epoch epoch;			/* of the last PREPARE */
static uint64_t generation;

/* ---------------------------------------------------------------- the host */

static void op_format(void *ctx, const struct hf_wire_format *m, void *call)
{
	(void)ctx;
	hf_assert(hf_leg_identity_is_valid(&m->id) && m->size_blocks && m->size_blocks <= HF_VOLUME_BLOCKS_MAX);
	hf_host_admin_done(&host, call, -EEXIST, "it is there");
}

static void op_leg(void *ctx, const struct hf_uuid *id, void *call)
{
	(void)ctx;
	(void)id;
	hf_host_admin_done(&host, call, 0, "");
}

static bool op_is_opening(void *ctx, const struct hf_uuid *id)
{
	(void)ctx;
	return id->b[0] & 1;
}

static const struct hf_host_ops host_ops = {
	.format = op_format, .delete = op_leg, .is_opening = op_is_opening, .step_down = op_leg,
};

static void on_leg_failed(void *ctx, struct hf_leg_run *l, const char *what)
{
	(void)ctx;
	(void)l;
	hf_assert(what);
}

static const struct hf_leg_events leg_events = { .failed = on_leg_failed };

static bool is_open;

static void on_opened(void *ctx, struct hf_store *s, int err, const char *why)
{
	(void)ctx;
	(void)why;
	hf_assert(!err);
	hf_leg_run_init(&run, &host, s, &leg_events, NULL);
	hf_host_add_leg(&host, &run);
	is_open = true;
}

static void on_closed(void *ctx)
{
	*(bool *)ctx = true;
}

static void start(void)
{
	struct hf_uuid cluster;

	x = fuzz_reactor_new();
	stream = malloc(STREAM_MAX);
	hf_assert(stream);
	memset(&cluster, 0x11, sizeof(cluster));
	hf_host_init(&host, fuzz_reactor(x), NULL, "here", &cluster, &host_ops, NULL, 1);
	fuzz_settle(x);
}

/* ---------------------------------------------------------------- what the leg says */

static uint8_t answer[2 * HF_WIRE_FRAME_MAX];
static size_t answer_len;

/* Every answer is one that a primary can read. */
static void judge(const struct hf_wire_header *h, const uint8_t *meta)
{
	static union {
		struct hf_hello hello;
		struct hf_promise promise;
		struct hf_adopted adopted;
		struct hf_ack ack;
		struct hf_wire_read_data read;
		struct hf_wire_map_data map;
		struct hf_wire_done done;
		struct hf_entry entry;
	} m;
	uint32_t pos = 0;

	switch (h->type) {
	case HF_WIRE_WELCOME:
		hf_assert(hf_wire_hello_decode(meta, h->meta_len, &m.hello) == 0);
		break;
	case HF_WIRE_PROMISE:
	case HF_WIRE_LOOKED:
		hf_assert(hf_wire_promise_decode(meta, h->meta_len, &m.promise) == 0);
		break;
	case HF_WIRE_ADOPTED:
		hf_assert(hf_wire_adopted_decode(meta, h->meta_len, &m.adopted) == 0);
		break;
	case HF_WIRE_ACK:
	case HF_WIRE_SYNCED_ACK:
		hf_assert(hf_wire_ack_decode(meta, h->meta_len, &m.ack) == 0);
		break;
	case HF_WIRE_READ_DATA:
		hf_assert(hf_wire_read_data_decode(meta, h->meta_len, &m.read) == 0);
		break;
	case HF_WIRE_MAP_DATA:
		hf_assert(h->meta_len == 0 || hf_wire_map_data_decode(meta, h->meta_len, &m.map) == 0);
		break;
	case HF_WIRE_FETCH_DATA:
		for (uint32_t i = 0; i < h->count; i++)
			hf_assert(hf_wire_entry_decode(meta, h->meta_len, &pos, &m.entry) == 0);
		break;
	case HF_WIRE_FORMATTED:
	case HF_WIRE_DELETED:
	case HF_WIRE_STEPPED_DOWN:
		hf_assert(hf_wire_done_decode(meta, h->meta_len, &m.done) == 0);
		break;
	default:
		hf_assert(h->type == HF_WIRE_PONG || h->type == HF_WIRE_RELEASED);
	}
}

static void on_sent(void *ctx, const void *data, size_t len)
{
	struct hf_wire_header h;
	size_t total;

	(void)ctx;
	hf_assert(len <= sizeof(answer) - answer_len);
	memcpy(answer + answer_len, data, len);
	answer_len += len;
	while (answer_len >= HF_WIRE_HEADER) {
		hf_assert(!hf_wire_header_check(answer));
		hf_wire_header_decode(answer, &h);
		total = HF_WIRE_HEADER + h.meta_len + h.data_len;
		if (answer_len < total)
			return;
		hf_assert(hf_wire_meta_check(answer, answer + HF_WIRE_HEADER));
		judge(&h, answer + HF_WIRE_HEADER);
		memmove(answer, answer + total, answer_len - total);
		answer_len -= total;
	}
}

/* ---------------------------------------------------------------- what the peer says */

static uint8_t meta[HF_WIRE_META_MAX], data[HF_FRAME_PAYLOAD_MAX];

static void epochs(struct fuzz_in *in, struct hf_epoch_cache *c)
{
	uint8_t n = fuzz_u8(in) % 5;

	*c = run.core.state.epochs;
	for (uint8_t i = 0; i < n && c->count < HF_EPOCHS_MAX; i++) {
		hf_epoch last = c->count ? c->at[c->count - 1].epoch : 0;

		c->at[c->count++] = (struct hf_epoch_start){ last + 1, fuzz_u8(in) };
	}
	if (c->count)
		c->at[c->count - 1].epoch = epoch;
	if (n == 4)
		c->at[fuzz_u8(in) % c->count].start = fuzz_u8(in);
	else if (c->count)
		c->at[c->count - 1].start = run.core.last + 1 - (n & 1 && run.core.last);
}

static uint32_t adopt(struct fuzz_in *in)
{
	uint8_t how = fuzz_u8(in);
	struct hf_adopt m = {
		.epoch = epoch, .ver = 9, .mode = how & 1, .target = run.core.last + (how >> 4 & 3),
		.base_epoch = run.core.last_epoch, .base = run.core.last, .base_chain = run.core.chain,
		.size_blocks = FUZZ_LEG_BLOCKS,
	};

	epochs(in, &m.epochs);
	if (how & 2)
		m.target = fuzz_u8(in);
	if (how & 4)
		m.base = fuzz_u8(in);
	if (how & 8)
		m.size_blocks = fuzz_u16(in);
	m.resync_from = fuzz_u8(in);
	return hf_wire_adopt_encode(meta, &m);
}

/* An entry; its payload goes behind data_len. */
static uint32_t entry(struct fuzz_in *in, uint32_t at, uint32_t *data_len, hf_seq *seq, uint32_t *chain)
{
	uint8_t how = fuzz_u8(in), fill = fuzz_u8(in);
	struct hf_entry e = { .type = 1 + (how & 7) % 5, .seq = *seq + 1, .prev_chain = *chain, .ver = fill,
			      .epoch = epoch };
	uint32_t frag = leg.frag;

	e.lba = fuzz_u16(in) % (FUZZ_LEG_CHUNKS * HF_CHUNK_BLOCKS + 8);
	e.nblocks = e.type == HF_OP_RESIZE || e.type == HF_OP_NOP ? 0 : 1 + fuzz_u8(in) % 16;
	if (e.type == HF_OP_RESYNC) {
		e.seq = fuzz_u8(in) & 1 ? run.core.commit : fuzz_u8(in);
		e.skip = fuzz_u8(in);
		e.zero = fuzz_u8(in);
	}
	if (how & 8)
		e.seq += (uint64_t)(int64_t)(int8_t)fuzz_u8(in);
	if (how & 16)
		e.prev_chain ^= 1;
	if (how & 32)
		e.lba = fuzz_u64(in);
	if (how & 64)
		e.epoch = fuzz_u8(in) & 7;
	if (hf_entry_has_payload(&e) && *data_len + e.nblocks * frag <= sizeof(data)) {
		memset(data + *data_len, fill, e.nblocks * frag);
		for (uint32_t i = 0; i < e.nblocks; i++)
			e.frag_crc[i] = e.block_crc[i] = hf_crc32c(data + *data_len, frag) ^ (how >> 7);
		*data_len += e.nblocks * frag;
	}
	e.chain = hf_entry_chain(e.prev_chain, &e);
	if (e.type != HF_OP_RESYNC) {
		*seq = e.seq;
		*chain = e.chain;
	}
	return hf_wire_entry_encode(meta + at, &e);
}

static void append(struct fuzz_in *in, struct hf_wire_header *h)
{
	hf_seq seq = run.core.last;
	uint32_t chain = run.core.chain, n = fuzz_u8(in) % 9;

	for (; h->count < n; h->count++)
		h->meta_len += entry(in, h->meta_len, &h->data_len, &seq, &chain);
	h->tag = fuzz_u8(in);
	h->commit = fuzz_u8(in) & 1 ? run.core.last : fuzz_u8(in);
}

static uint32_t request(struct fuzz_in *in, struct hf_wire_header *h)
{
	struct hf_hello hello = { .cluster = host.cluster, .generation = ++generation, .version_min = 1,
				  .version_max = 1, .host = "there" };
	struct hf_prepare prepare = { .ver = 9 };
	struct hf_wire_read read = { .lba = fuzz_u16(in) % 500, .nblocks = 1 + fuzz_u8(in) % HF_WRITE_BLOCKS_MAX };
	struct hf_wire_fetch fetch = { .heads_only = read.lba & 1 };
	struct hf_wire_map map = { .after = read.lba & 31, .cursor = read.nblocks & 3 };
	struct hf_wire_format format = { .id = leg.sb.id, .size_blocks = 1 + read.lba, .volume = "v" };

	h->tag = read.lba;
	switch (h->type) {
	case HF_WIRE_HELLO:
		return hf_wire_hello_encode(meta, &hello);
	case HF_WIRE_PREPARE:
		epoch = epoch + 1 - (fuzz_u8(in) & 3) % 3;
		epoch = epoch ? epoch : 1;
		prepare.epoch = epoch;
		prepare.incarnation.b[0] = (uint8_t)epoch;
		return hf_wire_prepare_encode(meta, &prepare);
	case HF_WIRE_ADOPT:
		return adopt(in);
	case HF_WIRE_READ:
		read.seq = fuzz_u8(in);
		return hf_wire_read_encode(meta, &read);
	case HF_WIRE_FETCH:
		fetch.from = 1 + fuzz_u8(in);
		fetch.to = fetch.from + fuzz_u8(in);
		return hf_wire_fetch_encode(meta, &fetch);
	case HF_WIRE_MAP:
		return hf_wire_map_encode(meta, &map);
	case HF_WIRE_FORMAT:
		return hf_wire_format_encode(meta, &format);
	}
	return 0;
}

/* Flags, type, what the message wants; then what is bent. */
static void frame(struct fuzz_in *in)
{
	uint8_t flags = fuzz_u8(in), *at = stream + sock.len;
	struct hf_wire_header h = { .type = fuzz_u8(in) % 30, .epoch = epoch, .leg = leg.sb.id.leg };

	h.type = h.type ? h.type : HF_WIRE_APPEND;
	if (h.type == HF_WIRE_APPEND)
		append(in, &h);
	else
		h.meta_len = request(in, &h);
	if (flags & BEND_LEG)
		h.leg.b[0] = fuzz_u8(in);
	if (flags & BEND_HEAD)
		h.epoch = fuzz_u8(in);
	if (flags & BEND_BYTE && h.meta_len)
		meta[fuzz_u16(in) % h.meta_len] = fuzz_u8(in);
	if (flags & BEND_LENGTH && fuzz_u8(in) & 1)
		h.data_len = h.data_len / 2;
	else if (flags & BEND_LENGTH)
		h.meta_len = h.meta_len / 2 + 8;
	if (flags & BEND_COUNT)
		h.count = fuzz_u8(in);
	if (sock.len + HF_WIRE_HEADER + h.meta_len + h.data_len > STREAM_MAX)
		return;
	memcpy(at + HF_WIRE_HEADER, meta, h.meta_len);
	memcpy(at + HF_WIRE_HEADER + h.meta_len, data, h.data_len);
	hf_wire_header_encode(at, &h, at + HF_WIRE_HEADER);
	if (flags & BEND_CRC)
		at[fuzz_u8(in) % HF_WIRE_HEADER] ^= 1;
	fuzz_say(x, &sock, HF_WIRE_HEADER + h.meta_len + h.data_len);
	if (!(flags & AT_ONCE))
		fuzz_settle(x);
}

static void greet(void)
{
	static const uint8_t hello[] = { 0, HF_WIRE_HELLO };
	struct fuzz_in in = { hello, sizeof(hello) };

	frame(&in);
}

/* As when a daemon stops. */
static void end(void)
{
	bool is_closed = false;

	if (sock.is_open)
		fuzz_hang_up(x, &sock);
	fuzz_settle(x);
	hf_assert(!sock.is_open);
	hf_list_del(&run.link);
	hf_leg_run_fini(&run);
	hf_store_close(run.store, on_closed, &is_closed);
	hf_assert(fuzz_wait(x, &is_closed, 200000));
	fuzz_settle(x);
}

void fuzz_one(const uint8_t *input, size_t len)
{
	static const uint32_t chops[] = { 0, 1, 63, 100, 1000, 5000, 65536, 0 };
	struct fuzz_in in = { input, len };
	uint8_t how = fuzz_u8(&in), judged = fuzz_u8(&in);
	bool has_failed;

	if (!x)
		start();
	fuzz_leg_make(&leg, x, (uint8_t)(1u << (how >> 3 & 3)));
	fuzz_leg_super(&leg);
	memset(&run, 0, sizeof(run));
	is_open = false;
	hf_store_open(fuzz_reactor(x), "leg", &leg.sb.id, &hf_leg_run_store_events, &run, on_opened);
	hf_assert(fuzz_wait(x, &is_open, 200000));
	sock = (struct fuzz_sock){ .data = stream, .chop = chops[how & 7], .stays_open = true, .sent = on_sent };
	answer_len = 0;
	epoch = 3;
	fuzz_dial(x, &sock);
	if (!(how & 32))
		greet();
	for (uint32_t i = 0; i < FRAMES_MAX && in.left && sock.is_open; i++) {
		frame(&in);
		if (how & 64)
			hf_leg_run_tick(&run);
	}
	fuzz_settle(x);
	has_failed = run.failed;
	end();
	fuzz_leg_judge(&leg, judged | (has_failed ? 0 : FUZZ_LEG_SOUND));
}
