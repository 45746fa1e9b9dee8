// SPDX-License-Identifier: MIT
/*
 * leg_judge - what a power cut left is opened on another host and compared with the model: what was told as durable is
 * there, what was cut is not, promises are kept, the image holds committed ops only, a torn tail is torn and not
 * suspect, and the leg goes on.
 */
#include "sim/leg_case.h"

#include <stdio.h>
#include <string.h>

#define REPORTS_MAX 10u

bool leg_case_wrong(struct leg_case *c, const char *what, uint64_t a, uint64_t b)
{
	if (c->bad++ < REPORTS_MAX)
		printf("# word %s k %u start %u pace %u, image %llu: %s (%llu, %llu)\n", c->word, c->k, c->start,
		       c->pace, (unsigned long long)c->cuts.images, what, (unsigned long long)a,
		       (unsigned long long)b);
	return false;
}

/* Is block b what it is after some op of the range, with the RESYNC or without? */
static bool block_is_right(const struct leg_case *c, const struct hf_store_read *rd, uint64_t b,
			   const struct leg_content *x, uint32_t count)
{
	/* An image that took an op of which the log does not know yet that it is committed, cut off between the two. */
	if (rd->bad >> (b - rd->lba) & 1)
		return c->allows_bad || x[0].block[b].seq != x[count - 1].block[b].seq;
	for (uint32_t i = 0; i < count; i++)
		if (leg_sim_is(&c->second, rd, b, x[i].block[b].epoch, x[i].block[b].seq))
			return true;
	return false;
}

/* All blocks that letters write to, and some that they do not. */
static bool reads_as(struct leg_case *c, const struct leg_content *x, uint32_t count)
{
	static const struct {
		uint64_t from;
		uint32_t nblocks;
	} range[] = { { 0, 24 }, { 380, 20 }, { 884, 16 } };
	struct hf_store_read rd;

	for (uint32_t i = 0; i < sizeof(range) / sizeof(range[0]) && range[i].from < x->size; i++) {
		if (leg_sim_read(&c->second, range[i].from, range[i].nblocks, &rd))
			return false;
		for (uint64_t b = range[i].from; b < range[i].from + range[i].nblocks; b++)
			if (!block_is_right(c, &rd, b, x, count))
				return false;
	}
	return true;
}

/* The change map is exact (H22). */
static bool map_is(const struct leg_case *c, const struct leg_content *x, hf_seq since)
{
	uint64_t out[LEG_MODEL_CHUNKS], cursor = 0;
	uint32_t n = hf_store_changed(c->second.s, since, &cursor, out, LEG_MODEL_CHUNKS), at = 0;

	for (uint64_t i = 0; i < (x->size + HF_CHUNK_BLOCKS - 1) / HF_CHUNK_BLOCKS; i++) {
		if (x->chunk[i] <= since)
			continue;
		if (at == n || out[at] != i)
			return false;
		at++;
	}
	return at == n;
}

static bool op_is_right(struct leg_case *c, const struct leg_op *o)
{
	static uint8_t payload[HF_WRITE_BLOCKS_MAX * HF_BLOCK], want[HF_BLOCK] __attribute__((aligned(8)));
	hf_seq seq = o->e.seq;
	struct hf_entry e;

	if (hf_store_entry(c->second.s, seq, &e, payload))
		return leg_case_wrong(c, "an op is missing", seq, 0);
	if (e.chain != o->e.chain || e.type != o->e.type || e.lba != o->e.lba || e.nblocks != o->e.nblocks)
		return leg_case_wrong(c, "another op", seq, e.type);
	for (uint32_t i = 0; hf_entry_has_payload(&e) && i < e.nblocks; i++) {
		leg_sim_fill(&c->second, e.epoch, seq, e.lba + i, want);
		if (memcmp(payload + i * c->second.frag, want, c->second.frag) != 0)
			return leg_case_wrong(c, "another payload", seq, i);
	}
	return true;
}

static bool log_is_right(struct leg_case *c, const struct leg_model *m, const struct hf_store_status *st)
{
	const struct hf_leg_state *s = hf_store_state(c->second.s);
	const struct leg_op *o = leg_model_find(m, s, st->last_seq);

	if (o ? st->last_chain != o->e.chain || st->last_epoch != o->e.epoch
	      : st->last_seq != m->base_seq || st->last_chain != m->base_chain || st->last_epoch != m->base_epoch)
		return leg_case_wrong(c, "the log ends in something else", st->last_seq, m->base_seq);
	for (hf_seq seq = m->base_seq + 1; seq <= st->last_seq; seq++) {
		o = leg_model_find(m, s, seq);
		if (!o)
			return leg_case_wrong(c, "an op from nowhere", seq, st->last_seq);
		if (seq >= st->first_seq && !op_is_right(c, o))
			return false;
	}
	return true;
}

/* Must the RESYNC be there? It is behind all ops that are not cut, or nobody knows. */
static bool has_to_resync(const struct leg_case *c, const struct leg_model *m, hf_seq low)
{
	bool must = low == c->second.seq;

	for (uint32_t i = 0; i < m->ops; i++) {
		must &= !m->op[i].is_cut;
		if (m->op[i].e.type == HF_OP_RESYNC)
			must &= m->op[i].ticket <= c->leg.durable;
	}
	return must;
}

/*
 * Ops up to `low` are known as committed, up to `high` they were: those between may have reached the image, but for
 * the table to be right the log has to be.
 */
static bool content_is_right(struct leg_case *c, const struct leg_model *m, hf_seq low, hf_seq high)
{
	static struct leg_content x[2 * LEG_MODEL_OPS];
	const struct hf_leg_state *s = hf_store_state(c->second.s);
	bool both = c->has_resync && !has_to_resync(c, m, low);
	uint32_t count = 0;

	for (hf_seq seq = low; seq <= high; seq++) {
		leg_model_content(m, s, seq, true, &x[count++]);
		if (both)
			leg_model_content(m, s, seq, false, &x[count++]);
	}
	if (!reads_as(c, x, count))
		return leg_case_wrong(c, "content is not what was committed", low, high);
	if (c->has_resync || low != high)
		return true;
	for (hf_seq since = 0; since <= low; since = since ? since + 1 : m->base_seq + 1)
		if (!map_is(c, &x[0], since))
			return leg_case_wrong(c, "the change map is not exact", since, low);
	return true;
}

static bool state_is_in(const struct leg_case *c, const struct leg_model *m)
{
	const struct hf_leg_state *s = hf_store_state(c->second.s);

	for (uint32_t i = 0; i < m->states; i++)
		if (m->state[i].promised == s->promised && m->state[i].activated == s->activated &&
		    m->state[i].epochs.count == s->epochs.count)
			return true;
	return false;
}

static int append_again(struct leg_sim *l)
{
	int err = leg_sim_append(l, HF_OP_WRITE, 3, 1);

	if (err == -EAGAIN && leg_sim_checkpoint(l) == 0)
		err = leg_sim_append(l, HF_OP_WRITE, 3, 1);
	return err ? err : leg_sim_settle(l);
}

/*
 * Power was lost while the op was written: it is there or it is not, whatever the cut before has left where it was
 * going.
 */
static bool op_is_whole_or_gone(struct leg_case *c, hf_seq seq, uint32_t before, uint32_t after)
{
	struct sim_image *image = c->second_cut;
	struct leg_sim *l = &c->second;
	struct hf_store_status st;

	c->second_cut = NULL;
	if (!image)
		return true;
	leg_sim_close(l);
	sim_disk_restore(l->w, image);
	sim_image_free(image);
	c->cuts.images++;
	c->cuts.later++;
	if (leg_sim_open(l, &c->leg.params.id))
		return leg_case_wrong(c, l->why, seq, 0);
	hf_store_status(l->s, &st);
	if (st.suspect)
		return leg_case_wrong(c, "suspect in its second life", st.last_seq, seq);
	if (st.last_seq == seq ? st.last_chain != after : st.last_seq + 1 != seq || st.last_chain != before)
		return leg_case_wrong(c, "the second life's op is neither whole nor gone", st.last_seq, seq);
	return true;
}

/* The leg goes on: one more op, cut off or read back by another recovery. */
static bool goes_on(struct leg_case *c)
{
	const struct hf_leg_state *s = hf_store_state(c->second.s);
	struct leg_sim *l = &c->second;
	struct hf_store_status st;
	struct hf_store_read rd;
	hf_seq seq = l->seq + 1;
	uint32_t before = l->chain;

	for (uint32_t i = 0; i < s->epochs.count; i++)
		if (s->epochs.at[i].start <= seq)
			l->epoch = s->epochs.at[i].epoch;
	leg_cuts_arm(c);
	if (append_again(l))
		return leg_case_wrong(c, "no more ops are taken", seq, 0);
	l->stepped = NULL;
	if (c->second_cut)
		return op_is_whole_or_gone(c, seq, before, l->chain);
	hf_store_commit(l->s, seq);
	if (leg_case_draw(c, 2) && leg_sim_checkpoint(l))
		return leg_case_wrong(c, "no checkpoint", seq, 0);
	leg_sim_close(l);
	if (leg_sim_open(l, &c->leg.params.id))
		return leg_case_wrong(c, "a second open", seq, 0);
	hf_store_status(l->s, &st);
	if (st.last_seq != seq || st.suspect || st.torn)
		return leg_case_wrong(c, "the second life's op", st.last_seq, seq);
	hf_store_commit(l->s, seq);
	if (leg_sim_read(l, 3, 1, &rd) || !leg_sim_is(l, &rd, 3, l->epoch, seq))
		return leg_case_wrong(c, "the second life's block", st.last_seq, seq);
	return true;
}

bool leg_judge_opened(struct leg_case *c)
{
	const struct leg_model *m = c->is_resetting && state_is_in(c, &c->after) ? &c->after : &c->now;
	hf_seq least = leg_model_least(m, c->leg.durable);
	struct hf_store_status st;

	hf_store_status(c->second.s, &st);
	if (!state_is_in(c, m))
		return leg_case_wrong(c, "the state", hf_store_state(c->second.s)->promised, m->state[0].promised);
	if (st.suspect)
		return leg_case_wrong(c, "suspect", st.last_seq, 0);
	if (st.last_seq < least)
		return leg_case_wrong(c, "a durable op is lost", st.last_seq, least);
	if (st.commit > m->commit || st.applied > st.commit || st.applied < m->flushed)
		return leg_case_wrong(c, "commit and applied", st.commit, st.applied);
	if (!log_is_right(c, m, &st))
		return false;
	if (m == &c->after && c->is_wiping)	/* it says inconsistent, and will be wiped again */
		return hf_store_state(c->second.s)->inconsistent || leg_case_wrong(c, "a wipe in secret", 0, 0);
	if (!content_is_right(c, m, st.commit, m->commit < st.last_seq ? m->commit : st.last_seq))
		return false;
	hf_store_commit(c->second.s, st.last_seq);
	if (st.commit < st.last_seq && !content_is_right(c, m, st.last_seq, st.last_seq))
		return false;
	/* What this recovery looked like when it was cut off waits for its own judge, and is not to be replaced. */
	return c->second_cut || leg_case_draw(c, 4) || goes_on(c);
}

void leg_judge(struct leg_case *c, const struct sim_image *image)
{
	int err;

	c->cuts.images++;
	sim_disk_restore(c->second.w, image);
	err = leg_sim_open(&c->second, &c->leg.params.id);
	c->second.stepped = NULL;
	if (err) {
		leg_case_wrong(c, c->second.why, (uint64_t)-err, 0);
		return;
	}
	leg_judge_opened(c);
	leg_sim_close(&c->second);
}
