// SPDX-License-Identifier: MIT
/* leg_sim - one leg store alone on a simulated disk. Keeps no model: what is right is for the tests to say. */
#include "sim/leg_sim.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "codec/csum.h"
#include "core/entry.h"

#define STEPS_MAX 1000000u

static uint8_t read_buf[HF_WRITE_BLOCKS_MAX * HF_BLOCK] __attribute__((aligned(4096)));

void leg_sim_init(struct leg_sim *l, struct sim_world *w, uint8_t k, uint64_t size_blocks, uint32_t log_bytes)
{
	*l = (struct leg_sim){ .w = w, .epoch = 1 };
	memset(&l->params.id.cluster, 0x11, sizeof(l->params.id.cluster));
	memset(&l->params.id.volume, 0x22, sizeof(l->params.id.volume));
	memset(&l->params.id.leg, 0x33, sizeof(l->params.id.leg));
	l->params.id.geometry = (struct hf_geometry){ .k = k, .m = 1 };
	l->params.id.frag = k == 1 ? HF_FRAG_FULL : 0;
	l->params.size_blocks = size_blocks;
	l->params.size_blocks_max = 4 * size_blocks;
	l->params.log_bytes = log_bytes;
	l->frag = hf_frag_size(l->params.id.geometry, l->params.id.frag);
}

static bool step(struct leg_sim *l)
{
	if (!sim_step(l->w))
		return false;
	if (l->stepped)
		l->stepped(l);
	return true;
}

bool leg_sim_wait(struct leg_sim *l, const bool *flag)
{
	sim_host_wake(l->w, l->host);
	for (uint32_t i = 0; i < STEPS_MAX && !*flag; i++)
		if (!step(l))
			break;
	return *flag;
}

void leg_sim_steps(struct leg_sim *l, uint32_t n)
{
	sim_host_wake(l->w, l->host);
	while (n-- > 0 && step(l))
		;
}

struct answer {
	bool is_done;
	int result;
};

static int answer_of(struct leg_sim *l, struct answer *a)
{
	return leg_sim_wait(l, &a->is_done) ? a->result : -ETIMEDOUT;
}

static void on_format(struct hf_store_format *f, int result)
{
	*(struct answer *)f->ctx = (struct answer){ true, result };
}

int leg_sim_format(struct leg_sim *l)
{
	struct answer a = { 0 };
	struct hf_store_format f = { .path = LEG_SIM_PATH, .params = l->params, .done = on_format, .ctx = &a };

	hf_store_format(sim_host_reactor(l->w, l->host), &f);
	return answer_of(l, &a);
}

static void on_durable(void *ctx, uint64_t ticket, hf_seq seq)
{
	struct leg_sim *l = ctx;

	hf_assert(ticket >= l->durable);
	l->durable = ticket;
	l->durable_seq = seq;
	if (l->told)
		l->told(l);
}

static void on_room(void *ctx)
{
	((struct leg_sim *)ctx)->rooms++;
}

static void on_failed(void *ctx, int err, const char *what)
{
	struct leg_sim *l = ctx;

	hf_assert(err < 0 && what);
	l->failures++;
}

static const struct hf_store_events events = { .durable = on_durable, .room = on_room, .failed = on_failed };

static struct answer opened;

static void on_opened(void *ctx, struct hf_store *s, int err, const char *why)
{
	struct leg_sim *l = ctx;

	l->s = s;
	snprintf(l->why, sizeof(l->why), "%s", why ? why : "");
	opened = (struct answer){ true, err };
}

int leg_sim_open(struct leg_sim *l, const struct hf_leg_identity *expect)
{
	struct hf_store_status st;
	int err;

	opened = (struct answer){ 0 };
	l->rooms = l->failures = 0;
	l->durable = l->ticket = 0;
	hf_store_open(sim_host_reactor(l->w, l->host), LEG_SIM_PATH, expect, &events, l, on_opened);
	err = answer_of(l, &opened);
	if (err)
		return err;
	hf_store_status(l->s, &st);
	l->seq = st.last_seq;
	l->chain = st.last_chain;
	if (st.last_epoch)
		l->epoch = st.last_epoch;
	return 0;
}

static void on_closed(void *ctx)
{
	*(bool *)ctx = true;
}

void leg_sim_close(struct leg_sim *l)
{
	bool is_closed = false;

	hf_store_close(l->s, on_closed, &is_closed);
	l->s = NULL;
	hf_assert(leg_sim_wait(l, &is_closed));
}

void leg_sim_fill(const struct leg_sim *l, hf_epoch epoch, hf_seq seq, uint64_t lba, void *frag)
{
	uint64_t v = epoch << 48 ^ seq << 24 ^ lba ^ 0x9e3779b97f4a7c15ull, *to = frag;

	for (uint32_t i = 0; i < l->frag / sizeof(v); i++) {
		v ^= v << 13;
		v ^= v >> 7;
		v ^= v << 17;
		to[i] = v;
	}
}

void leg_sim_next(const struct leg_sim *l, struct hf_entry *e, uint8_t type, uint64_t lba, uint32_t nblocks)
{
	uint64_t frag[HF_BLOCK / sizeof(uint64_t)];

	*e = (struct hf_entry){ .epoch = l->epoch, .seq = l->seq + 1, .lba = lba, .nblocks = nblocks, .type = type };
	for (uint32_t i = 0; hf_entry_has_payload(e) && i < nblocks; i++) {
		leg_sim_fill(l, e->epoch, e->seq, lba + i, frag);
		e->frag_crc[i] = hf_crc32c(frag, l->frag);
		e->block_crc[i] = e->frag_crc[i] ^ (l->frag == HF_BLOCK ? 0 : 0x55aa55aa);
	}
	e->prev_chain = l->chain;
	e->chain = hf_entry_chain(e->prev_chain, e);
}

int leg_sim_put(struct leg_sim *l, const struct hf_entry *e)
{
	static uint8_t payload[HF_WRITE_BLOCKS_MAX * HF_BLOCK] __attribute__((aligned(8)));
	bool has = hf_entry_has_payload(e);
	uint64_t ticket;
	int err;

	for (uint32_t i = 0; has && i < e->nblocks; i++)
		leg_sim_fill(l, e->epoch, e->seq, e->lba + i, payload + (size_t)i * l->frag);
	err = hf_store_append(l->s, e, has ? payload : NULL, &ticket);
	if (has)
		memset(payload, 0xdd, (size_t)e->nblocks * l->frag);	/* it was copied, or this is found */
	if (err)
		return err;
	hf_assert(ticket > l->ticket);
	l->ticket = ticket;
	if (e->type != HF_OP_RESYNC) {
		l->seq = e->seq;
		l->chain = e->chain;
	}
	sim_host_wake(l->w, l->host);
	return 0;
}

int leg_sim_append(struct leg_sim *l, uint8_t type, uint64_t lba, uint32_t nblocks)
{
	struct hf_entry e;

	leg_sim_next(l, &e, type, lba, nblocks);
	return leg_sim_put(l, &e);
}

int leg_sim_resync(struct leg_sim *l, hf_seq seq, uint64_t lba, uint32_t nblocks)
{
	struct leg_sim as_of = *l;
	struct hf_entry e;

	as_of.epoch = LEG_SIM_RESYNC;
	as_of.seq = seq - 1;
	leg_sim_next(&as_of, &e, HF_OP_RESYNC, lba, nblocks);
	return leg_sim_put(l, &e);
}

int leg_sim_settle(struct leg_sim *l)
{
	sim_host_wake(l->w, l->host);
	for (uint32_t i = 0; i < STEPS_MAX && l->durable < l->ticket && !l->failures; i++)
		if (!step(l))
			break;
	return l->failures ? -EIO : l->durable < l->ticket ? -ETIMEDOUT : 0;
}

struct flush {
	struct hf_store_flush f;
	struct answer a;
};

static void on_flushed(struct hf_store_flush *f, int result)
{
	hf_container_of(f, struct flush, f)->a = (struct answer){ true, result };
}

int leg_sim_checkpoint(struct leg_sim *l)
{
	struct flush x = { .f.done = on_flushed };

	hf_store_checkpoint(l->s, &x.f);
	return answer_of(l, &x.a);
}

struct put {
	struct hf_store_put p;
	struct answer a;
};

static void on_put(struct hf_store_put *p, int result)
{
	hf_container_of(p, struct put, p)->a = (struct answer){ true, result };
}

int leg_sim_state(struct leg_sim *l, const struct hf_leg_state *state)
{
	struct put x = { .p.done = on_put, .p.state = *state };

	hf_store_put_state(l->s, &x.p);
	return answer_of(l, &x.a);
}

static struct answer was_reset;

static void on_reset(struct hf_store_reset *x, int result)
{
	(void)x;
	was_reset = (struct answer){ true, result };
}

int leg_sim_reset(struct leg_sim *l, struct hf_store_reset *x)
{
	struct hf_store_status st;
	int err;

	x->done = on_reset;
	was_reset = (struct answer){ 0 };
	hf_store_reset(l->s, x);
	err = answer_of(l, &was_reset);
	if (err)
		return err;
	hf_store_status(l->s, &st);
	l->epoch = st.last_epoch;
	l->seq = st.last_seq;
	l->chain = st.last_chain;
	l->durable = l->ticket;		/* in the image, or given up */
	return 0;
}

static void on_read(struct hf_store_read *rd, int result)
{
	*(struct answer *)rd->ctx = (struct answer){ true, result };
}

int leg_sim_read(struct leg_sim *l, uint64_t lba, uint32_t nblocks, struct hf_store_read *rd)
{
	struct answer a = { 0 };

	memset(read_buf, 0xcc, sizeof(read_buf));
	*rd = (struct hf_store_read){ .lba = lba, .nblocks = nblocks, .buf = read_buf, .done = on_read, .ctx = &a };
	hf_store_read(l->s, rd);
	return answer_of(l, &a);
}

bool leg_sim_is(const struct leg_sim *l, const struct hf_store_read *rd, uint64_t lba, hf_epoch epoch, hf_seq seq)
{
	uint64_t want[HF_BLOCK / sizeof(uint64_t)] = { 0 };
	uint32_t i = (uint32_t)(lba - rd->lba);

	if (seq)
		leg_sim_fill(l, epoch, seq, lba, want);
	if ((rd->bad >> i & 1) || (rd->zero >> i & 1) != (seq == 0))
		return false;
	return memcmp((const uint8_t *)rd->buf + (size_t)i * l->frag, want, l->frag) == 0;
}
