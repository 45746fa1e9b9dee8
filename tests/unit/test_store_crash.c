// SPDX-License-Identifier: MIT
/*
 * test_store_crash - power cuts after every event of a leg's disk, and errors of every one of its ios, against a model
 * of what the leg has been told and has told.
 *
 * A workload is a word; each letter is a call:
 *   w n x z e  write one block (again and again), its neighbour, over a chunk's edge; zeros; a write near the end
 *   g y        grow; RESYNC of a block
 *   c k p      commit all; checkpoint; a new promise (the last two go on while the next letters come)
 *   t r R      truncate to commit under a new epoch; reset, and with a wipe
 *   s          wait until all is durable
 * One run gives all its crashes: after each event the images that a cut could leave are made, opened on another host,
 * and compared.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "sim/leg_sim.h"

#define SIZE 400u			/* blocks: the next table page begins at 416 */
#define SIZE_GROWN 900u
#define CHUNKS (SIZE_GROWN / HF_CHUNK_BLOCKS + 1)
#define RECS 32u
#define SLOTS 8u

struct name {
	hf_epoch epoch;
	hf_seq seq;			/* 0: zeros */
};

struct content {
	struct name block[SIZE_GROWN];
	hf_seq chunk[CHUNKS];		/* newest op */
	uint64_t size;
};

struct rec {
	struct hf_entry e;
	uint64_t ticket;
	bool is_cut;			/* truncated, in memory at least */
};

/* What one leg may hold: since `base`, ops; states, the first of which is durable. */
struct model {
	struct content base;
	hf_seq base_seq;
	hf_epoch base_epoch;
	uint32_t base_chain;
	struct rec rec[RECS];
	uint32_t recs;
	struct hf_leg_state state[SLOTS];
	uint32_t states;
	hf_seq commit, flushed;
};

struct flush {
	struct hf_store_flush f;
	hf_seq seq;			/* what it has to apply */
	bool is_busy;
};

struct put {
	struct hf_store_put p;
	bool is_busy;
};

static struct leg_sim leg, second;	/* the one that runs; the one that opens what a cut left */
static struct model now, after;		/* after: once the reset under way is durable */
static bool is_resetting, is_wiping, allows_bad, has_resync;
static struct flush flush[SLOTS];
static struct put put[SLOTS];
static hf_epoch newest_epoch;
static const char *word;
static uint32_t cap;			/* images for each event */
static uint64_t images, bad, seen_hash;
static uint32_t seen_at_risk;
static uint64_t rng;

static uint64_t draw(uint64_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (rng >> 11) % n;
}

/* Model. */

static bool is_alive(const struct hf_leg_state *s, const struct hf_entry *e)
{
	hf_epoch epoch = 0;

	for (uint32_t i = 0; i < s->epochs.count; i++)
		if (s->epochs.at[i].start <= e->seq)
			epoch = s->epochs.at[i].epoch;
	return epoch == e->epoch;
}

static void content_apply(struct content *c, const struct hf_entry *e)
{
	if (e->type == HF_OP_RESIZE)
		c->size = e->lba;
	for (uint32_t i = 0; i < e->nblocks; i++) {
		uint64_t b = e->lba + i;

		if (e->type == HF_OP_RESYNC && (e->skip >> i & 1))
			continue;
		c->block[b] = e->type == HF_OP_ZERO ? (struct name){ 0 } : (struct name){ e->epoch, e->seq };
		if (e->seq > c->chunk[b / HF_CHUNK_BLOCKS])
			c->chunk[b / HF_CHUNK_BLOCKS] = e->seq;
	}
}

/* What is to be read when ops up to `commit` are committed. */
static struct content content_at(const struct model *m, const struct hf_leg_state *s, hf_seq commit, bool resync)
{
	struct content c = m->base;

	for (uint32_t i = 0; i < m->recs; i++) {
		const struct hf_entry *e = &m->rec[i].e;

		if (e->type == HF_OP_RESYNC ? resync : is_alive(s, e) && e->seq <= commit)
			content_apply(&c, e);
	}
	return c;
}

static const struct rec *find(const struct model *m, const struct hf_leg_state *s, hf_seq seq)
{
	for (uint32_t i = 0; i < m->recs; i++)
		if (m->rec[i].e.type != HF_OP_RESYNC && m->rec[i].e.seq == seq && is_alive(s, &m->rec[i].e))
			return &m->rec[i];
	return NULL;
}

/* Judging what was opened. */

static bool wrong(const char *what, uint64_t a, uint64_t b)
{
	if (bad++ < 10)
		printf("# word %s k %u, image %llu: %s (%llu, %llu)\n", word, HF_BLOCK / leg.frag,
		       (unsigned long long)images, what, (unsigned long long)a, (unsigned long long)b);
	return false;
}

/* Is block b what it is after some op of `low`..`high`, with the RESYNC or without? */
static bool block_is_right(const struct hf_store_read *rd, uint64_t b, const struct content *c, uint32_t count)
{
	/* An image that took an op of which the log does not know yet that it is committed, cut off between the two. */
	if (rd->bad >> (b - rd->lba) & 1)
		return allows_bad || c[0].block[b].seq != c[count - 1].block[b].seq;
	for (uint32_t i = 0; i < count; i++)
		if (leg_sim_is(&second, rd, b, c[i].block[b].epoch, c[i].block[b].seq))
			return true;
	return false;
}

static bool reads_as(const struct content *c, uint32_t count)
{
	static const uint64_t from[] = { 0, 384, 880 };
	struct hf_store_read rd;

	for (uint32_t i = 0; i < 3; i++) {
		uint32_t n = i == 0 ? 24 : 16;

		if (from[i] >= c->size)
			break;
		if (leg_sim_read(&second, from[i], n, &rd))
			return false;
		for (uint64_t b = from[i]; b < from[i] + n; b++)
			if (!block_is_right(&rd, b, c, count))
				return false;
	}
	return true;
}

/* The change map is exact (H22). */
static bool map_is(const struct content *c, hf_seq since)
{
	uint64_t out[CHUNKS], cursor = 0;
	uint32_t n = hf_store_changed(second.s, since, &cursor, out, CHUNKS), at = 0;

	for (uint64_t i = 0; i < (c->size + HF_CHUNK_BLOCKS - 1) / HF_CHUNK_BLOCKS; i++) {
		if (c->chunk[i] <= since)
			continue;
		if (at == n || out[at] != i)
			return false;
		at++;
	}
	return at == n;
}

static bool log_is_right(const struct model *m, const struct hf_store_status *st)
{
	static uint8_t payload[HF_WRITE_BLOCKS_MAX * HF_BLOCK], want[HF_BLOCK] __attribute__((aligned(8)));
	const struct hf_leg_state *s = hf_store_state(second.s);
	const struct rec *r = find(m, s, st->last_seq);
	struct hf_entry e;

	if (r ? st->last_chain != r->e.chain || st->last_epoch != r->e.epoch
	      : st->last_seq != m->base_seq || st->last_chain != m->base_chain || st->last_epoch != m->base_epoch)
		return wrong("the log ends in something else", st->last_seq, m->base_seq);
	for (hf_seq seq = m->base_seq + 1; seq <= st->last_seq; seq++) {
		r = find(m, s, seq);
		if (!r)
			return wrong("an op from nowhere", seq, st->last_seq);
		if (seq < st->first_seq)
			continue;
		if (hf_store_entry(second.s, seq, &e, payload))
			return wrong("an op is missing", seq, st->last_seq);
		if (e.chain != r->e.chain || e.type != r->e.type || e.lba != r->e.lba || e.nblocks != r->e.nblocks)
			return wrong("another op", seq, e.type);
		for (uint32_t i = 0; hf_entry_has_payload(&e) && i < e.nblocks; i++) {
			leg_sim_fill(&second, e.epoch, seq, e.lba + i, want);
			if (memcmp(payload + i * second.frag, want, second.frag) != 0)
				return wrong("another payload", seq, i);
		}
	}
	return true;
}

/*
 * Ops up to `low` are known as committed, up to `high` they were: those between may have reached the image, but for
 * the table to be right the log has to be.
 */
static bool content_is_right(const struct model *m, hf_seq low, hf_seq high)
{
	static struct content c[2 * RECS];
	const struct hf_leg_state *s = hf_store_state(second.s);
	bool must = low == second.seq;
	uint32_t count = 0;

	for (uint32_t i = 0; i < m->recs; i++) {
		must &= !m->rec[i].is_cut;
		if (m->rec[i].e.type == HF_OP_RESYNC)
			must &= m->rec[i].ticket <= leg.durable;
	}
	for (hf_seq seq = low; seq <= high; seq++) {
		c[count++] = content_at(m, s, seq, true);
		if (has_resync && !must)
			c[count++] = content_at(m, s, seq, false);
	}
	if (!reads_as(c, count))
		return wrong("content is not what was committed", low, high);
	for (hf_seq since = 0; !has_resync && low == high && since <= low; since = since ? since + 1 : m->base_seq + 1)
		if (!map_is(&c[0], since))
			return wrong("the change map is not exact", since, low);
	return true;
}

static const struct hf_leg_state *state_in(const struct model *m)
{
	const struct hf_leg_state *s = hf_store_state(second.s);

	for (uint32_t i = 0; i < m->states; i++)
		if (m->state[i].promised == s->promised && m->state[i].epochs.count == s->epochs.count)
			return s;
	return NULL;
}

/* The leg goes on: one more op, read back by another recovery. */
static bool goes_on(void)
{
	const struct hf_leg_state *s = hf_store_state(second.s);
	struct hf_store_status st;
	struct hf_store_read rd;
	hf_seq seq = second.seq + 1;
	int err;

	for (uint32_t i = 0; i < s->epochs.count; i++)
		if (s->epochs.at[i].start <= seq)
			second.epoch = s->epochs.at[i].epoch;
	err = leg_sim_append(&second, HF_OP_WRITE, 3, 1);
	if (err == -EAGAIN && leg_sim_checkpoint(&second) == 0)
		err = leg_sim_append(&second, HF_OP_WRITE, 3, 1);
	if (err || leg_sim_settle(&second))
		return wrong("no more ops are taken", seq, 0);
	hf_store_commit(second.s, seq);
	if (draw(2) && leg_sim_checkpoint(&second))
		return wrong("no checkpoint", seq, 0);
	leg_sim_close(&second);
	if (leg_sim_open(&second, &leg.params.id))
		return wrong("a second open", seq, 0);
	hf_store_status(second.s, &st);
	if (st.last_seq != seq || st.suspect || st.torn)
		return wrong("the second life's op", st.last_seq, seq);
	hf_store_commit(second.s, seq);
	if (leg_sim_read(&second, 3, 1, &rd) || !leg_sim_is(&second, &rd, 3, second.epoch, seq))
		return wrong("the second life's block", st.last_seq, seq);
	return true;
}

static bool is_right(void)
{
	const struct model *m = is_resetting && state_in(&after) ? &after : &now;
	struct hf_store_status st;
	hf_seq least = m->base_seq;

	hf_store_status(second.s, &st);
	if (!state_in(m))
		return wrong("the state", hf_store_state(second.s)->promised, m->state[0].promised);
	if (st.suspect)
		return wrong("suspect", st.last_seq, 0);
	for (uint32_t i = 0; i < m->recs; i++)
		if (m->rec[i].e.type != HF_OP_RESYNC && !m->rec[i].is_cut && m->rec[i].ticket <= leg.durable &&
		    m->rec[i].e.seq > least)
			least = m->rec[i].e.seq;
	if (st.last_seq < least)
		return wrong("a durable op is lost", st.last_seq, least);
	if (st.commit > m->commit || st.applied > st.commit || st.applied < m->flushed)
		return wrong("commit and applied", st.commit, st.applied);
	if (!log_is_right(m, &st))
		return false;
	if (m == &after && is_wiping)		/* it says inconsistent, and will be wiped again */
		return hf_store_state(second.s)->inconsistent || wrong("a wipe in secret", 0, 0);
	if (st.commit < m->commit &&
	    !content_is_right(m, st.commit, m->commit < st.last_seq ? m->commit : st.last_seq))
		return false;
	hf_store_commit(second.s, st.last_seq);
	if (!content_is_right(m, st.last_seq, st.last_seq))
		return false;
	return draw(4) || goes_on();
}

/* Cuts. */

struct choice {
	uint32_t pages;
	uint64_t number;		/* UINT64_MAX: at random */
};

static uint8_t choose(void *ctx, uint32_t i)
{
	struct choice *c = ctx;
	uint64_t v = draw(3);

	if (c->number != UINT64_MAX && c->pages <= 3) {
		v = c->number % 3;
		c->number /= 3;
	} else if (c->number != UINT64_MAX) {
		v = c->number >> i % 63 & 1;
	}
	return v == 0 ? 0 : v == 1 ? 0xff : (uint8_t)draw(256);
}

static struct sim_image *second_cut;
static uint64_t second_cut_at;

/* Power is lost again while the leg recovers. */
static void on_second_step(struct leg_sim *l)
{
	struct choice c = { .number = UINT64_MAX };

	if (second_cut_at > 0 && --second_cut_at == 0)
		second_cut = sim_disk_cut(l->w, l->host, LEG_SIM_PATH, choose, &c);
}

static void judge(const struct sim_image *image)
{
	int err;

	images++;
	sim_disk_restore(second.w, image);
	err = leg_sim_open(&second, &leg.params.id);
	second.stepped = NULL;
	if (err) {
		wrong(second.why, (uint64_t)-err, 0);
		return;
	}
	is_right();
	leg_sim_close(&second);
}

static void judge_cut(struct choice *c)
{
	struct sim_image *image = sim_disk_cut(leg.w, leg.host, LEG_SIM_PATH, choose, c), *again;

	second_cut_at = draw(3) ? 0 : 1 + draw(12);
	second.stepped = on_second_step;
	judge(image);
	again = second_cut;
	second_cut = NULL;
	if (again)
		judge(again);
	sim_image_free(again);
	sim_image_free(image);
}

static void on_step(struct leg_sim *l)
{
	uint32_t n = sim_disk_at_risk(l->w, l->host, LEG_SIM_PATH);
	uint64_t all = n == 0 ? 1 : n <= 3 ? (uint64_t[]){ 3, 9, 27 }[n - 1] : n <= 6 ? 1u << n : UINT64_MAX;

	if (cap == 0 || bad > 10 || (n == seen_at_risk && sim_hash(l->w) == seen_hash))
		return;
	seen_at_risk = n;
	seen_hash = sim_hash(l->w);
	for (uint64_t i = 0; i < all && i < cap; i++) {
		struct choice c = { .pages = n, .number = all <= cap ? i : UINT64_MAX };

		judge_cut(&c);
	}
}

/* Running a word. */

static void on_flushed(struct hf_store_flush *f, int result)
{
	struct flush *x = hf_container_of(f, struct flush, f);

	x->is_busy = false;
	if (result == 0 && x->seq > now.flushed)
		now.flushed = x->seq;
}

static void start_flush(void)
{
	for (uint32_t i = 0; i < SLOTS; i++) {
		struct flush *x = &flush[i];

		if (x->is_busy)
			continue;
		*x = (struct flush){ .f.done = on_flushed, .is_busy = true };
		for (uint32_t k = 0; k < now.recs; k++)
			if (!now.rec[k].is_cut && now.rec[k].ticket <= leg.durable && now.rec[k].e.seq <= now.commit)
				x->seq = now.rec[k].e.seq > x->seq ? now.rec[k].e.seq : x->seq;
		hf_store_checkpoint(leg.s, &x->f);
		return;
	}
}

static void on_state(struct hf_store_put *p, int result)
{
	hf_container_of(p, struct put, p)->is_busy = false;
	if (result)
		return;
	while (now.state[0].promised != p->state.promised) {
		memmove(&now.state[0], &now.state[1], (SLOTS - 1) * sizeof(now.state[0]));
		now.states--;
	}
}

static struct hf_leg_state new_state(hf_seq start)
{
	struct hf_leg_state s = now.state[now.states - 1];

	s.promised++;
	if (start) {
		s.activated = ++newest_epoch;
		s.epochs.at[s.epochs.count++] = (struct hf_epoch_start){ newest_epoch, start };
	}
	return s;
}

static struct put *start_put(const struct hf_leg_state *s)
{
	for (uint32_t i = 0; i < SLOTS && now.states < SLOTS; i++) {
		if (put[i].is_busy)
			continue;
		put[i] = (struct put){ .p.done = on_state, .p.state = *s, .is_busy = true };
		now.state[now.states++] = *s;
		hf_store_put_state(leg.s, &put[i].p);
		return &put[i];
	}
	return NULL;
}

static void cut_to_commit(void)
{
	for (uint32_t i = 0; i < now.recs; i++)
		if (now.rec[i].e.type != HF_OP_RESYNC && now.rec[i].e.seq > now.commit)
			now.rec[i].is_cut = true;
}

static int truncate_leg(void)
{
	struct hf_leg_state s = new_state(now.commit + 1);
	struct hf_store_status st;
	struct put *p;

	cut_to_commit();
	hf_store_truncate(leg.s, now.commit);
	hf_store_status(leg.s, &st);
	leg.seq = st.last_seq;
	leg.chain = st.last_chain;
	leg.epoch = newest_epoch;
	p = start_put(&s);
	sim_host_wake(leg.w, leg.host);
	for (uint32_t i = 0; p && p->is_busy && i < 10000; i++)
		leg_sim_steps(&leg, 1);
	assert_true(p && !p->is_busy);
	return now.state[0].promised == s.promised ? 0 : -EIO;
}

static int reset_leg(bool wipe)
{
	hf_seq base = leg.seq + 10;
	struct hf_leg_state s = new_state(base + 1);
	struct hf_store_reset x = { .keep = now.commit, .base_epoch = newest_epoch, .base_seq = base,
				    .base_chain = (uint32_t)base, .wipe = wipe };
	int err;

	cut_to_commit();
	s.inconsistent = true;
	after = (struct model){ .base_seq = base, .base_epoch = newest_epoch, .base_chain = (uint32_t)base,
				.state[0] = s, .states = 1, .commit = base, .flushed = base };
	after.base = content_at(&now, &now.state[now.states - 1], now.commit, true);
	x.size_blocks = after.base.size;
	if (wipe)
		after.base = (struct content){ .size = x.size_blocks };
	x.state = s;
	is_resetting = true;
	is_wiping = wipe;
	err = leg_sim_reset(&leg, &x);
	if (err)
		return err;
	now = after;
	is_resetting = is_wiping = false;
	leg.epoch = newest_epoch;
	return 0;
}

static void remember(const struct hf_entry *e)
{
	assert_true(now.recs < RECS);
	now.rec[now.recs++] = (struct rec){ .e = *e, .ticket = leg.ticket };
}

static int append(uint8_t type, uint64_t lba, uint32_t nblocks)
{
	struct hf_entry e;
	int err;

	leg_sim_next(&leg, &e, type, lba, nblocks);
	err = leg_sim_put(&leg, &e);
	if (err == 0)
		remember(&e);
	return err;
}

static int resync(void)
{
	struct hf_entry e = { .epoch = LEG_SIM_RESYNC, .seq = now.commit, .lba = 5, .nblocks = 1,
			      .type = HF_OP_RESYNC };
	int err = has_resync ? -ESTALE : leg_sim_resync(&leg, now.commit, 5, 1);

	for (uint32_t i = 0; i < now.recs; i++) {
		const struct hf_entry *o = &now.rec[i].e;

		if (!now.rec[i].is_cut && o->seq > e.seq && o->lba <= 5 && o->lba + o->nblocks > 5)
			e.skip = 1;
	}
	if (err)
		return err == -ESTALE ? 0 : err;
	has_resync = true;
	remember(&e);
	return 0;
}

static int letter(char c)
{
	struct hf_leg_state s;

	switch (c) {
	case 'w':
		return append(HF_OP_WRITE, 3, 1);
	case 'n':
		return append(HF_OP_WRITE, 4, 1);
	case 'x':
		return append(HF_OP_WRITE, 14, 4);
	case 'z':
		return append(HF_OP_ZERO, 0, 20);
	case 'e':
		return append(HF_OP_WRITE, content_at(&now, &now.state[0], leg.seq, true).size - 6, 2);
	case 'g':
		return append(HF_OP_RESIZE, SIZE_GROWN, 0);
	case 'y':
		return resync();
	case 'c':
		now.commit = leg.seq;
		hf_store_commit(leg.s, leg.seq);
		return 0;
	case 'k':
		start_flush();
		return 0;
	case 'p':
		s = new_state(0);
		start_put(&s);
		return 0;
	case 't':
		return truncate_leg();
	case 'r':
	case 'R':
		return reset_leg(c == 'R');
	default:
		return leg_sim_settle(&leg);
	}
}

static bool is_busy(void)
{
	for (uint32_t i = 0; i < SLOTS; i++)
		if (flush[i].is_busy || put[i].is_busy)
			return true;
	return false;
}

/* durable() names a seq that is durable. */
static void on_told(struct leg_sim *l)
{
	for (uint32_t i = 0; i < now.recs; i++)
		if (now.rec[i].e.type != HF_OP_RESYNC && !now.rec[i].is_cut && now.rec[i].e.seq == l->durable_seq &&
		    now.rec[i].ticket > l->durable)
			wrong("durable() names an op that is not", l->durable_seq, l->durable);
}

static struct sim_image *start_image[HF_K_MAX + 1];

/* A leg that has lived: two ops in its image, one that is not committed in its log. */
static void make_start(uint8_t k)
{
	struct hf_leg_state s = { .promised = 1, .activated = 1 };

	leg_sim_init(&leg, sim_world_new(k, 1), k, SIZE, 64u << 10);
	sim_host_start(leg.w, 0);
	assert_int_equal(leg_sim_format(&leg), 0);
	assert_int_equal(leg_sim_open(&leg, NULL), 0);
	s.epochs.count = 1;
	s.epochs.at[0] = (struct hf_epoch_start){ 1, 1 };
	assert_int_equal(leg_sim_state(&leg, &s), 0);
	assert_int_equal(leg_sim_append(&leg, HF_OP_WRITE, 14, 4), 0);
	assert_int_equal(leg_sim_append(&leg, HF_OP_WRITE, 4, 1), 0);
	assert_int_equal(leg_sim_settle(&leg), 0);
	hf_store_commit(leg.s, 2);
	assert_int_equal(leg_sim_checkpoint(&leg), 0);
	assert_int_equal(leg_sim_append(&leg, HF_OP_WRITE, 3, 1), 0);
	assert_int_equal(leg_sim_settle(&leg), 0);
	leg_sim_close(&leg);
	start_image[k] = sim_disk_save(leg.w, 0, LEG_SIM_PATH);
	sim_world_free(leg.w);
}

static void start(uint8_t k, uint64_t seed)
{
	struct hf_store_status st;
	struct hf_entry e;

	if (!start_image[k])
		make_start(k);
	rng = seed * 2 + 1;
	leg_sim_init(&leg, sim_world_new(seed, 1), k, SIZE, 64u << 10);
	leg_sim_init(&second, sim_world_new(seed + 1, 1), k, SIZE, 64u << 10);
	sim_host_start(leg.w, 0);
	sim_host_start(second.w, 0);
	sim_disk_restore(leg.w, start_image[k]);
	assert_int_equal(leg_sim_open(&leg, &leg.params.id), 0);
	hf_store_status(leg.s, &st);
	assert_true(st.last_seq == 3 && st.applied == 2);
	now = (struct model){ .base.size = SIZE, .base_seq = 2, .base_epoch = 1, .states = 1, .commit = st.commit,
			      .flushed = 2 };
	now.state[0] = *hf_store_state(leg.s);
	now.base.chunk[0] = 2;
	now.base.chunk[1] = 1;
	now.base.block[4] = (struct name){ 1, 2 };
	for (uint32_t b = 14; b < 18; b++)
		now.base.block[b] = (struct name){ 1, 1 };
	assert_int_equal(hf_store_entry(leg.s, 3, &e, NULL), 0);
	now.base_chain = e.prev_chain;
	remember(&e);
	newest_epoch = 1;
	leg.epoch = 1;
	leg.told = on_told;
	leg.stepped = on_step;
	is_resetting = is_wiping = allows_bad = has_resync = false;
	memset(flush, 0, sizeof(flush));
	memset(put, 0, sizeof(put));
	seen_hash = seen_at_risk = 0;
}

static void run(const char *letters)
{
	word = letters;
	for (const char *c = letters; *c && !leg.failures; c++) {
		int err = letter(*c);

		if (err && err != -EAGAIN)
			break;
		leg_sim_steps(&leg, (uint32_t)draw(7));
	}
	leg_sim_settle(&leg);
	for (uint32_t i = 0; i < 20000 && is_busy(); i++)
		leg_sim_steps(&leg, 1);
	assert_false(is_busy());	/* every call is answered, also by a store that has failed */
}

static void finish(void)
{
	leg.stepped = leg.told = NULL;
	leg_sim_close(&leg);
	sim_world_free(leg.w);
	sim_world_free(second.w);
}

static void explore(const char *letters, uint8_t k, uint64_t seed, uint32_t images_per_event)
{
	cap = 0;
	start(k, seed);
	cap = images_per_event;
	run(letters);
	cap = 0;
	if (leg.failures)
		wrong("it failed without a reason", leg.failures, 0);
	finish();
}

static const char alphabet[] = "wnxzcykptrRsge";
static const uint8_t ks[] = { 1, 2, 8 };

/* All words of up to two letters, with the images of a few pages all of them. */
static void test_short_words_survive_every_cut(void **state)
{
	uint64_t seed = 1;

	(void)state;
	for (const char *a = alphabet; *a; a++) {
		for (const char *b = alphabet; *b; b++) {
			char letters[5] = { 's', *a, *b, 's' };

			explore(letters, ks[seed % 3], seed, 9);
			seed++;
		}
	}
	assert_int_equal(bad, 0);
}

/* Words of three letters behind a prefix that leaves something to lose, some images of each. */
static void test_longer_words_survive_sampled_cuts(void **state)
{
	static const char *prefix[] = { "wsc", "nxc", "wcsk", "xzc", "wt", "gce" };
	uint64_t seed = 1000;

	(void)state;
	for (uint32_t n = 0; n < 250; n++) {
		char letters[16];

		rng = seed * 77 + 1;
		snprintf(letters, sizeof(letters), "%s%c%c%cs", prefix[n % 6], alphabet[draw(14)], alphabet[draw(14)],
			 alphabet[draw(14)]);
		explore(letters, ks[n % 3], seed++, 2);
	}
	assert_int_equal(bad, 0);
}

static void test_chosen_words_survive_every_subset(void **state)
{
	static const char *words[] = { "wsck", "wnsckwsck", "xsczsck", "wswt", "wctwsc", "wscr", "nscR", "wcpkp",
				       "gecsk", "gcskecsk", "ysck", "wcskRwsck", "zcskxcsk", "wkcnkcxk" };

	(void)state;
	for (uint32_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		explore(words[i], ks[i % 3], 5000 + i, 27);
	printf("# figure: leg store: %llu crash images, %llu bad\n", (unsigned long long)images,
	       (unsigned long long)bad);
	assert_int_equal(bad, 0);
}

/* Faults. */

static uint64_t faults;

static void after_fault(bool is_loud)
{
	struct hf_leg_state s = new_state(0);
	static const uint64_t number[] = { 0, UINT64_MAX >> 1, UINT64_MAX, UINT64_MAX }; /* none, all, two at random */

	leg_sim_steps(&leg, 100);
	if (is_loud) {
		assert_int_equal(leg.failures, 1);
		assert_int_equal(leg_sim_append(&leg, HF_OP_WRITE, 0, 1), -EIO);
		assert_int_equal(leg_sim_checkpoint(&leg), -EIO);
		assert_int_equal(leg_sim_state(&leg, &s), -EIO);
		assert_int_equal(leg.failures, 1);
	}
	for (uint32_t i = 0; i < 4; i++) {
		struct choice c = { .pages = 63, .number = number[i] };

		judge_cut(&c);
	}
}

/* The nth io fails, for every n until a run does not get that far. */
static void test_every_io_that_fails_is_told_and_loses_nothing(void **state)
{
	static const char *words[] = { "wsck", "wnsckwsck", "wcskxzsck", "wswtwsck", "wscrwsck", "nscRwsck", "wcpkps",
				       "gecskecsk", "yscksck" };
	static const enum sim_fault kinds[] = { SIM_WRITE_EIO, SIM_SYNC_EIO, SIM_READ_EIO, SIM_NO_SPACE };

	(void)state;
	cap = 0;
	for (uint32_t i = 0; i < sizeof(words) / sizeof(words[0]) * 12; i++) {
		enum sim_fault kind = kinds[i % 4];
		bool came = true;

		for (uint32_t nth = 1; came; nth++) {
			start(ks[i / 4 % 3], 9000 + i * 100 + nth);
			allows_bad = kind == SIM_READ_EIO;
			sim_disk_fault_nth(leg.w, 0, kind, nth);
			run(words[i / 12]);
			sim_disk_fault_nth(leg.w, 0, kind, 0);
			came = sim_count(leg.w, kind) > 0;
			faults += came;
			if (came)
				after_fault(kind != SIM_READ_EIO);
			finish();
		}
	}
	printf("# figure: leg store: %llu failed ios, %llu wrong after one\n", (unsigned long long)faults,
	       (unsigned long long)bad);
	assert_int_equal(bad, 0);
}

/* An open that meets an error says so; the next one finds everything. */
static void test_an_open_that_fails_changes_nothing(void **state)
{
	static const enum sim_fault kinds[] = { SIM_WRITE_EIO, SIM_SYNC_EIO, SIM_READ_EIO };

	(void)state;
	cap = 0;
	for (uint32_t i = 0; i < 60; i++) {
		start(ks[i % 3], 20000 + i);
		word = "wnsck";
		for (const char *c = word; *c; c++)
			letter(*c);
		leg_sim_steps(&leg, 2 + i / 2);
		for (uint32_t nth = 1; nth < 20; nth++) {
			struct choice c = { .number = UINT64_MAX };
			struct sim_image *image = sim_disk_cut(leg.w, 0, LEG_SIM_PATH, choose, &c);
			uint64_t before = sim_count(second.w, kinds[nth % 3]);
			bool came;
			int err;

			sim_disk_restore(second.w, image);
			sim_disk_fault_nth(second.w, 0, kinds[nth % 3], 1 + nth / 3);
			err = leg_sim_open(&second, NULL);
			sim_disk_fault_nth(second.w, 0, kinds[nth % 3], 0);
			came = sim_count(second.w, kinds[nth % 3]) > before;
			assert_int_equal(err, came ? -EIO : 0);
			if (err)
				err = leg_sim_open(&second, NULL);
			assert_int_equal(err, 0);
			faults += came;
			is_right();
			leg_sim_close(&second);
			sim_image_free(image);
		}
		for (uint32_t n = 0; n < 20000 && is_busy(); n++)
			leg_sim_steps(&leg, 1);
		finish();
	}
	assert_int_equal(bad, 0);
}

static int group_teardown(void **state)
{
	(void)state;
	for (uint32_t i = 0; i <= HF_K_MAX; i++)
		sim_image_free(start_image[i]);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_short_words_survive_every_cut),
		cmocka_unit_test(test_longer_words_survive_sampled_cuts),
		cmocka_unit_test(test_chosen_words_survive_every_subset),
		cmocka_unit_test(test_every_io_that_fails_is_told_and_loses_nothing),
		cmocka_unit_test(test_an_open_that_fails_changes_nothing),
	};

	/* A leg's memory is taken and given back thousands of times: keep it. */
	mallopt(M_MMAP_THRESHOLD, 1 << 28);
	mallopt(M_TRIM_THRESHOLD, 1 << 28);
	return cmocka_run_group_tests(tests, NULL, group_teardown);
}
