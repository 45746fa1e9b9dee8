// SPDX-License-Identifier: MIT
/* fuzz_leg - see fuzz_leg.h. */
#include "fuzz/fuzz_leg.h"

#include <stdio.h>
#include <stdlib.h>

#include "codec/csum.h"
#include "core/entry.h"

#define TURNS 200000u

void fuzz_leg_make(struct fuzz_leg *l, struct fuzz_reactor *x, uint8_t k)
{
	struct hf_disk_super *s = &l->sb;

	*l = (struct fuzz_leg){ .x = x };
	fuzz_disk_reset(x);
	s->generation = 4;
	memset(&s->id.cluster, 0x11, sizeof(s->id.cluster));
	memset(&s->id.volume, 0x22, sizeof(s->id.volume));
	memset(&s->id.leg, 0x33, sizeof(s->id.leg));
	s->id.geometry = (struct hf_geometry){ .k = k, .m = 1 };
	s->id.frag = k == 1 ? HF_FRAG_FULL : 0;
	s->log_off = HF_DISK_LOG_OFF;
	s->log_bytes = FUZZ_LEG_LOG;
	s->dw_pages = 64;
	s->chunks_max = FUZZ_LEG_CHUNKS;
	s->dw_off = s->log_off + s->log_bytes;
	s->table_off = s->dw_off + 2ull * (s->dw_pages + 1) * HF_DISK_PAGE;
	s->data_off = s->table_off + 2 * HF_DISK_PAGE;
	s->checkpoint.size_blocks = FUZZ_LEG_BLOCKS;
	s->checkpoint.batch = 1;
	s->state = (struct hf_leg_state){ .promised = 3, .activated = 3, .ver = 7 };
	s->state.epochs.count = 2;
	s->state.epochs.at[0] = (struct hf_epoch_start){ 1, 1 };
	s->state.epochs.at[1] = (struct hf_epoch_start){ 3, 10 };
	l->salt = hf_disk_salt(&s->id.leg);
	l->frag = hf_frag_size(s->id.geometry, s->id.frag);
}

void fuzz_leg_super(struct fuzz_leg *l)
{
	uint8_t page[HF_DISK_PAGE];

	hf_disk_super_encode(page, &l->sb);
	fuzz_disk_put(l->x, (l->sb.generation & 1) * HF_DISK_PAGE, page, sizeof(page));
}

/* As store/leg_table.c mixes them. */
uint64_t fuzz_leg_digest_of(const struct fuzz_leg *l, uint64_t page, const uint8_t *bytes)
{
	struct hf_disk_chunk chunks[HF_DISK_CHUNKS_PER_PAGE];
	uint32_t crc = 0;
	uint64_t v;

	if (hf_disk_page_decode(bytes, l->salt, page, chunks, &crc) != 1)
		return 0;
	v = page * 0x9e3779b97f4a7c15ull + crc;
	v = (v ^ (v >> 31)) * 0xbf58476d1ce4e5b9ull;
	return v ^ (v >> 29);
}

/* ---------------------------------------------------------------- the store, one answer at a time */

struct answer {
	bool is_done;
	int result;
};

static void on_durable(void *ctx, uint64_t ticket, hf_seq seq)
{
	struct fuzz_leg *l = ctx;

	(void)seq;
	hf_assert(ticket >= l->durable);
	l->durable = ticket;
}

static void on_room(void *ctx)
{
	(void)ctx;
}

static void on_failed(void *ctx, int err, const char *what)
{
	hf_assert(err < 0 && what);
	((struct fuzz_leg *)ctx)->failed = true;
}

static const struct hf_store_events events = { .durable = on_durable, .room = on_room, .failed = on_failed };

static struct answer opened;

static void on_opened(void *ctx, struct hf_store *s, int err, const char *why)
{
	((struct fuzz_leg *)ctx)->s = s;
	hf_assert(!s == (err < 0) && (s || why));
	if (getenv("FUZZ_TRACE"))
		fprintf(stderr, "open: %d %s\n", err, why ? why : "");
	opened = (struct answer){ true, err };
}

static int open_leg(struct fuzz_leg *l)
{
	opened = (struct answer){ 0 };
	l->failed = false;
	l->durable = 0;
	hf_store_open(fuzz_reactor(l->x), "leg", &l->sb.id, &events, l, on_opened);
	hf_assert(fuzz_wait(l->x, &opened.is_done, TURNS));
	fuzz_settle(l->x);		/* a checkpoint that recovery began */
	return opened.result;
}

static void on_closed(void *ctx)
{
	*(bool *)ctx = true;
}

static void close_leg(struct fuzz_leg *l)
{
	bool is_closed = false;

	hf_store_close(l->s, on_closed, &is_closed);
	hf_assert(fuzz_wait(l->x, &is_closed, TURNS));
	l->s = NULL;
	fuzz_settle(l->x);
}

static void on_read(struct hf_store_read *rd, int result)
{
	*(struct answer *)rd->ctx = (struct answer){ true, result };
}

/* A number for all that can be read: blocks, their checksums, which are zeros and which are bad. */
static uint64_t content(struct fuzz_leg *l, uint64_t blocks)
{
	static uint8_t buf[HF_WRITE_BLOCKS_MAX * HF_BLOCK] __attribute__((aligned(4096)));
	uint64_t sum = 0;

	for (uint64_t lba = 0; lba < blocks; lba += HF_WRITE_BLOCKS_MAX) {
		struct answer a = { 0 };
		uint32_t n = blocks - lba < HF_WRITE_BLOCKS_MAX ? (uint32_t)(blocks - lba) : HF_WRITE_BLOCKS_MAX;
		struct hf_store_read rd = { .lba = lba, .nblocks = n, .buf = buf, .done = on_read, .ctx = &a };

		hf_store_read(l->s, &rd);
		hf_assert(fuzz_wait(l->x, &a.is_done, TURNS) && a.result == 0);
		for (uint32_t i = 0; i < n; i++) {
			bool zero = rd.zero >> i & 1, bad = rd.bad >> i & 1;
			uint32_t crc = zero || bad ? 0 : hf_crc32c(buf + (size_t)i * l->frag, l->frag);

			hf_assert(!zero || !bad);
			sum = sum * 0x9e3779b97f4a7c15ull + (zero | bad << 1) + ((uint64_t)crc << 2) +
			      ((uint64_t)rd.block_crc[i] << 32);
		}
	}
	return sum;
}

/* Questions without an answer that is known, asked for their own sake. */
static void look_around(struct fuzz_leg *l, const struct hf_store_status *st)
{
	static uint8_t payload[HF_WRITE_BLOCKS_MAX * HF_BLOCK];
	uint64_t chunk[8], at = 0, n;
	struct hf_entry e;
	hf_epoch epoch;
	uint32_t chain;
	bool is_there;

	while (hf_store_changed(l->s, st->applied, &at, chunk, 8) == 8)
		hf_assert(chunk[7] < FUZZ_LEG_CHUNKS);
	for (at = 0; at < st->size_blocks; at += n) {
		n = hf_store_extent(l->s, at, st->size_blocks - at, &is_there);
		hf_assert(n > 0 && n <= st->size_blocks - at);
	}
	for (hf_seq q = st->first_seq; q <= st->last_seq && q - st->first_seq < 4096; q++) {
		if (hf_store_entry(l->s, q, &e, payload))
			continue;
		hf_assert(e.seq == q && hf_store_chain(l->s, q, &epoch, &chain) == 0);
		/* what is applied is asked of the checkpoint, and what is made up need not agree with it */
		hf_assert(q == st->applied || (epoch == e.epoch && chain == e.chain));
	}
}

/* ---------------------------------------------------------------- what may be done with a leg that opened */

static void on_put(struct hf_store_put *p, int result)
{
	hf_assert(result == 0);
	p->state.ver = UINT64_MAX;
}

struct flush {
	struct hf_store_flush f;
	struct answer a;
};

static void on_flushed(struct hf_store_flush *f, int result)
{
	hf_container_of(f, struct flush, f)->a = (struct answer){ true, result };
}

static void checkpoint(struct fuzz_leg *l)
{
	struct flush x = { .f.done = on_flushed };

	hf_store_checkpoint(l->s, &x.f);
	hf_assert(fuzz_wait(l->x, &x.a.is_done, TURNS));
	fuzz_settle(l->x);
	hf_assert(x.a.result == 0 || l->failed);
}

static struct answer was_reset;

static void on_reset(struct hf_store_reset *r, int result)
{
	(void)r;
	was_reset = (struct answer){ true, result };
}

/* The log goes on behind what is kept, as an adopt does; false: it cannot. */
static bool reset(struct fuzz_leg *l, const struct hf_store_status *st, bool wipe)
{
	struct hf_store_reset r = { .keep = st->commit, .base_seq = st->commit, .wipe = wipe,
				    .size_blocks = wipe ? st->size_blocks : 0, .state = *hf_store_state(l->s),
				    .done = on_reset };

	if (hf_store_chain(l->s, st->commit, &r.base_epoch, &r.base_chain))
		r.base_epoch = st->last_epoch;
	was_reset = (struct answer){ 0 };
	hf_store_reset(l->s, &r);
	hf_assert(fuzz_wait(l->x, &was_reset.is_done, TURNS));
	fuzz_settle(l->x);
	hf_assert(was_reset.result == 0 || l->failed);
	return was_reset.result == 0 && !l->failed;
}

/* A new epoch that begins behind the last op, as after an adopt; 0: there is no number left. */
static hf_epoch new_epoch(struct fuzz_leg *l, hf_seq last)
{
	struct hf_store_put p = { .state = *hf_store_state(l->s), .done = on_put };
	struct hf_epoch_cache *c = &p.state.epochs;
	hf_epoch epoch = c->count ? c->at[c->count - 1].epoch : 0;

	if (epoch == UINT64_MAX || last > UINT64_MAX - 16)
		return 0;
	hf_epoch_cache_add(c, ++epoch, last + 1);
	p.state.ver = 9;
	hf_store_put_state(l->s, &p);
	fuzz_settle(l->x);
	hf_assert(p.state.ver == UINT64_MAX);
	return epoch;
}

/* False: the log is full of what can never be applied, a RESYNC as of an op that is not there. */
static bool append(struct fuzz_leg *l, hf_epoch epoch, uint8_t type, uint64_t lba, uint32_t nblocks)
{
	static uint8_t payload[HF_WRITE_BLOCKS_MAX * HF_BLOCK];
	struct hf_store_status st;
	struct hf_entry e = { .epoch = epoch, .type = type, .lba = lba, .nblocks = nblocks, .ver = 9 };
	uint64_t ticket;
	int err;

	hf_store_status(l->s, &st);
	e.seq = st.last_seq + 1;
	e.prev_chain = st.last_chain;
	for (uint32_t i = 0; hf_entry_has_payload(&e) && i < nblocks; i++) {
		memset(payload + (size_t)i * l->frag, (int)(e.seq + i), l->frag);
		e.frag_crc[i] = e.block_crc[i] = hf_crc32c(payload + (size_t)i * l->frag, l->frag);
	}
	e.chain = hf_entry_chain(e.prev_chain, &e);
	err = hf_store_append(l->s, &e, hf_entry_has_payload(&e) ? payload : NULL, &ticket);
	hf_assert(err == 0 || err == -EAGAIN);
	if (err)
		return false;
	fuzz_settle(l->x);
	hf_assert(l->durable >= ticket);
	hf_store_commit(l->s, e.seq);
	return true;
}

/*
 * Goes on where the leg stands; what it holds then it holds after the next open. Where its log goes on may stand what
 * nobody wrote, unless the leg is sound: then it is suspect, and holds all of it the same.
 */
static void go_on(struct fuzz_leg *l, bool sound)
{
	struct hf_store_status a, b;
	hf_epoch epoch;
	uint64_t is;

	hf_store_status(l->s, &a);
	epoch = new_epoch(l, a.last_seq);
	if (!epoch || l->failed)
		return;
	(void)(append(l, epoch, HF_OP_WRITE, 0, 1) && append(l, epoch, HF_OP_ZERO, a.size_blocks / 2, 1) &&
	       append(l, epoch, HF_OP_WRITE, a.size_blocks - 1, 1));
	fuzz_settle(l->x);
	if (l->failed)
		return;
	hf_store_status(l->s, &a);
	is = content(l, a.size_blocks);
	close_leg(l);
	hf_assert(open_leg(l) == 0);
	hf_store_commit(l->s, UINT64_MAX);
	fuzz_settle(l->x);
	hf_store_status(l->s, &b);
	hf_assert(b.last_seq == a.last_seq && b.last_chain == a.last_chain && !(b.suspect && sound));
	hf_assert(l->failed || (b.size_blocks == a.size_blocks && content(l, b.size_blocks) == is));
}

static bool same(const struct hf_store_status *a, const struct hf_store_status *b)
{
	return a->last_epoch == b->last_epoch && a->last_seq == b->last_seq && a->last_chain == b->last_chain &&
	       a->commit == b->commit && a->suspect == b->suspect && a->size_blocks == b->size_blocks;
}

/* A checkpoint of all that the log has; false: it cannot be, or it is suspect and keeps what it has. */
static bool settle_log(struct fuzz_leg *l, const struct hf_store_status *st, uint32_t how)
{
	uint64_t is;

	if (st->suspect || how & FUZZ_LEG_RESET)
		return reset(l, st, how & FUZZ_LEG_WIPE);
	hf_store_commit(l->s, UINT64_MAX);
	fuzz_settle(l->x);
	if (l->failed)
		return false;
	is = content(l, st->size_blocks);
	checkpoint(l);
	if (!l->failed)
		hf_assert(content(l, st->size_blocks) == is);
	return !l->failed;
}

void fuzz_leg_judge(struct fuzz_leg *l, uint32_t how)
{
	struct hf_store_status a, b;
	uint64_t is;
	int err = open_leg(l);

	hf_assert(err == 0 || err == -EUCLEAN || err == -EBADMSG || err == -ESTALE || err == -EIO || err == -ENOMEM);
	hf_assert(!err || !(how & FUZZ_LEG_SOUND));
	if (err)
		return;
	hf_store_status(l->s, &a);
	hf_assert(!a.suspect || !(how & FUZZ_LEG_SOUND));
	look_around(l, &a);
	if (!l->failed && how & FUZZ_LEG_REOPEN) {
		is = content(l, a.size_blocks);
		close_leg(l);
		hf_assert(open_leg(l) == 0);
		hf_store_status(l->s, &b);
		hf_assert(l->failed || (same(&a, &b) && content(l, b.size_blocks) == is));
	}
	if (!l->failed && how & FUZZ_LEG_GO_ON && settle_log(l, &a, how))
		go_on(l, how & FUZZ_LEG_SOUND);
	close_leg(l);
}
