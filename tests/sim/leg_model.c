// SPDX-License-Identifier: MIT
/* leg_model - what one leg may hold. Plain lists, looked at from the beginning each time: simple enough to be right. */
#include "sim/leg_model.h"

#include <string.h>

#include "base/assert.h"

bool leg_model_is_alive(const struct hf_leg_state *s, const struct hf_entry *e)
{
	hf_epoch epoch = 0;

	for (uint32_t i = 0; i < s->epochs.count; i++)
		if (s->epochs.at[i].start <= e->seq)
			epoch = s->epochs.at[i].epoch;
	return epoch == e->epoch;
}

static void apply(struct leg_content *c, const struct hf_entry *e)
{
	if (e->type == HF_OP_RESIZE)
		c->size = e->lba;	/* volumes only grow */
	for (uint32_t i = 0; i < e->nblocks; i++) {
		uint64_t b = e->lba + i;

		if (e->type == HF_OP_RESYNC && (e->skip >> i & 1))
			continue;
		c->block[b] = e->type == HF_OP_ZERO ? (struct leg_name){ 0 } : (struct leg_name){ e->epoch, e->seq };
		if (e->seq > c->chunk[b / HF_CHUNK_BLOCKS])
			c->chunk[b / HF_CHUNK_BLOCKS] = e->seq;
	}
}

void leg_model_content(const struct leg_model *m, const struct hf_leg_state *s, hf_seq commit, bool resync,
		       struct leg_content *out)
{
	*out = m->base;
	for (uint32_t i = 0; i < m->ops; i++) {
		const struct hf_entry *e = &m->op[i].e;

		if (e->type == HF_OP_RESYNC ? resync : leg_model_is_alive(s, e) && e->seq <= commit)
			apply(out, e);
	}
}

const struct leg_op *leg_model_find(const struct leg_model *m, const struct hf_leg_state *s, hf_seq seq)
{
	for (uint32_t i = 0; i < m->ops; i++)
		if (m->op[i].e.type != HF_OP_RESYNC && m->op[i].e.seq == seq && leg_model_is_alive(s, &m->op[i].e))
			return &m->op[i];
	return NULL;
}

void leg_model_add(struct leg_model *m, const struct hf_entry *e, uint64_t ticket)
{
	hf_assert(m->ops < LEG_MODEL_OPS);
	m->op[m->ops++] = (struct leg_op){ .e = *e, .ticket = ticket };
}

void leg_model_cut(struct leg_model *m)
{
	for (uint32_t i = 0; i < m->ops; i++)
		if (m->op[i].e.type != HF_OP_RESYNC && m->op[i].e.seq > m->commit)
			m->op[i].is_cut = true;
}

hf_seq leg_model_least(const struct leg_model *m, uint64_t durable)
{
	hf_seq least = m->base_seq;

	for (uint32_t i = 0; i < m->ops; i++) {
		const struct leg_op *o = &m->op[i];

		if (o->e.type != HF_OP_RESYNC && !o->is_cut && o->ticket <= durable && o->e.seq > least)
			least = o->e.seq;
	}
	return least;
}

void leg_model_state_done(struct leg_model *m, hf_epoch promised)
{
	while (m->state[0].promised != promised) {
		hf_assert(m->states > 1);
		memmove(&m->state[0], &m->state[1], (LEG_MODEL_STATES - 1) * sizeof(m->state[0]));
		m->states--;
	}
}

void leg_model_rebase(struct leg_model *m, hf_seq seq)
{
	const struct leg_op *last = leg_model_find(m, &m->state[0], seq);
	struct leg_content c;
	uint32_t kept = 0;

	if (!last)
		return;
	leg_model_content(m, &m->state[0], seq, false, &c);
	m->base = c;
	m->base_seq = seq;
	m->base_epoch = last->e.epoch;
	m->base_chain = last->e.chain;
	for (uint32_t i = 0; i < m->ops; i++)
		if (m->op[i].e.seq > seq && !m->op[i].is_cut)
			m->op[kept++] = m->op[i];
	m->ops = kept;
}
