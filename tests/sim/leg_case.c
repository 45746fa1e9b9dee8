// SPDX-License-Identifier: MIT
/* leg_case - runs words: each letter is a call to the store and a line in the model. */
#include "sim/leg_case.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "format/disk.h"

#define SIZE 400u			/* blocks: the next table page begins at 416 */
#define LOG_BYTES (64u << 10)
#define RESYNC_BLOCK 5u
#define STEPS_MAX 20000u
#define STRIDE 4u			/* events between two wakes, which may cost one each: time has to go on */

uint64_t leg_case_draw(struct leg_case *c, uint64_t n)
{
	c->rng ^= c->rng << 13;
	c->rng ^= c->rng >> 7;
	c->rng ^= c->rng << 17;
	return (c->rng >> 11) % n;
}

static void on_flushed(struct hf_store_flush *f, int result)
{
	struct leg_case_flush *x = hf_container_of(f, struct leg_case_flush, f);

	x->is_busy = false;
	if (result == 0 && x->seq > x->c->now.flushed)
		x->c->now.flushed = x->seq;
}

static void start_flush(struct leg_case *c)
{
	struct leg_model *m = &c->now;

	for (uint32_t i = 0; i < LEG_CASE_SLOTS; i++) {
		struct leg_case_flush *x = &c->flush[i];

		if (x->is_busy)
			continue;
		*x = (struct leg_case_flush){ .f.done = on_flushed, .c = c, .is_busy = true };
		for (uint32_t k = 0; k < m->ops; k++)
			if (!m->op[k].is_cut && m->op[k].ticket <= c->leg.durable && m->op[k].e.seq <= m->commit)
				x->seq = m->op[k].e.seq > x->seq ? m->op[k].e.seq : x->seq;
		hf_store_checkpoint(c->leg.s, &x->f);
		return;
	}
}

static void on_state(struct hf_store_put *p, int result)
{
	struct leg_case_put *x = hf_container_of(p, struct leg_case_put, p);

	x->is_busy = false;
	if (result == 0)
		leg_model_state_done(&x->c->now, p->state.promised);
}

static struct hf_leg_state new_state(struct leg_case *c, hf_seq start)
{
	struct hf_leg_state s = c->now.state[c->now.states - 1];

	s.promised++;
	if (start) {
		while (s.epochs.count && s.epochs.at[s.epochs.count - 1].start >= start)
			s.epochs.count--;	/* that one began there or later: it was cut off */
		s.activated = ++c->newest_epoch;
		s.epochs.at[s.epochs.count++] = (struct hf_epoch_start){ c->newest_epoch, start };
	}
	return s;
}

static struct leg_case_put *start_put(struct leg_case *c, const struct hf_leg_state *s)
{
	for (uint32_t i = 0; i < LEG_CASE_SLOTS && c->now.states < LEG_MODEL_STATES; i++) {
		struct leg_case_put *x = &c->put[i];

		if (x->is_busy)
			continue;
		*x = (struct leg_case_put){ .p.done = on_state, .p.state = *s, .c = c, .is_busy = true };
		c->now.state[c->now.states++] = *s;
		hf_store_put_state(c->leg.s, &x->p);
		return x;
	}
	return NULL;
}

/* A new epoch begins behind the last op; ops beyond the commit are cut first, or go on in it. */
static int new_epoch(struct leg_case *c, bool cuts)
{
	hf_seq keep = cuts ? c->now.commit : c->leg.seq;
	struct hf_leg_state s = new_state(c, keep + 1);
	struct hf_store_status st;
	struct leg_case_put *p;

	if (cuts) {
		leg_model_cut(&c->now);
		hf_store_truncate(c->leg.s, keep);
	}
	hf_store_status(c->leg.s, &st);
	c->leg.seq = st.last_seq;
	c->leg.chain = st.last_chain;
	c->leg.epoch = c->newest_epoch;
	p = start_put(c, &s);
	hf_assert(p);
	for (uint32_t i = 0; p->is_busy && i < STEPS_MAX; i++)
		leg_sim_steps(&c->leg, STRIDE);
	hf_assert(!p->is_busy);
	return c->now.state[0].promised == s.promised ? 0 : -EIO;
}

static int reset_leg(struct leg_case *c, bool wipe)
{
	hf_seq base = c->leg.seq + 10;
	struct hf_leg_state s = new_state(c, base + 1);
	struct hf_store_reset x = { .keep = c->now.commit, .base_epoch = c->newest_epoch, .base_seq = base,
				    .base_chain = (uint32_t)base, .wipe = wipe };
	int err;

	leg_model_cut(&c->now);
	s.inconsistent = true;
	c->after = (struct leg_model){ .base_seq = base, .base_epoch = c->newest_epoch, .base_chain = (uint32_t)base,
				       .state[0] = s, .states = 1, .commit = base, .flushed = base };
	leg_model_content(&c->now, &c->now.state[c->now.states - 1], c->now.commit, true, &c->after.base);
	x.size_blocks = c->after.base.size;
	if (wipe)
		c->after.base = (struct leg_content){ .size = x.size_blocks };
	x.state = s;
	c->is_resetting = true;
	c->is_wiping = wipe;
	err = leg_sim_reset(&c->leg, &x);
	if (err)
		return err;
	c->now = c->after;
	c->is_resetting = c->is_wiping = false;
	c->leg.epoch = c->newest_epoch;
	return 0;
}

static int append(struct leg_case *c, uint8_t type, uint64_t lba, uint32_t nblocks)
{
	struct hf_entry e;
	int err;

	leg_sim_next(&c->leg, &e, type, lba, nblocks);
	err = leg_sim_put(&c->leg, &e);
	if (err == 0)
		leg_model_add(&c->now, &e, c->leg.ticket);
	return err;
}

static int near_end(struct leg_case *c)
{
	struct leg_content x;

	leg_model_content(&c->now, &c->now.state[c->now.states - 1], c->leg.seq, true, &x);
	return append(c, HF_OP_WRITE, x.size - 6, 2);
}

/* Once in a word: two of one seq have one name. */
static int resync(struct leg_case *c)
{
	struct hf_entry e = { .epoch = LEG_SIM_RESYNC, .seq = c->now.commit, .lba = RESYNC_BLOCK, .nblocks = 1,
			      .type = HF_OP_RESYNC };
	int err = c->has_resync ? -ESTALE : leg_sim_resync(&c->leg, e.seq, RESYNC_BLOCK, 1);

	if (err)
		return err == -ESTALE ? 0 : err;
	for (uint32_t i = 0; i < c->now.ops; i++) {
		const struct hf_entry *o = &c->now.op[i].e;

		if (!c->now.op[i].is_cut && o->seq > e.seq && o->lba <= RESYNC_BLOCK &&
		    o->lba + o->nblocks > RESYNC_BLOCK)
			e.skip = 1;
	}
	c->has_resync = true;
	leg_model_add(&c->now, &e, c->leg.ticket);
	return 0;
}

bool leg_case_is_busy(const struct leg_case *c)
{
	for (uint32_t i = 0; i < LEG_CASE_SLOTS; i++)
		if (c->flush[i].is_busy || c->put[i].is_busy)
			return true;
	return false;
}

static int come_to_rest(struct leg_case *c)
{
	int err = leg_sim_settle(&c->leg);

	for (uint32_t i = 0; i < STEPS_MAX && leg_case_is_busy(c); i++)
		leg_sim_steps(&c->leg, STRIDE);
	return err;
}

int leg_case_letter(struct leg_case *c, char letter)
{
	struct hf_leg_state s;

	switch (letter) {
	case 'w':
		return append(c, HF_OP_WRITE, 3, 1);
	case 'n':
		return append(c, HF_OP_WRITE, 4, 1);
	case 'o':
		return append(c, HF_OP_WRITE, 2, 3);
	case 'x':
		return append(c, HF_OP_WRITE, 14, 4);
	case 'e':
		return near_end(c);
	case 'z':
		return append(c, HF_OP_ZERO, 0, 20);
	case 'g':
		return append(c, HF_OP_RESIZE, LEG_MODEL_BLOCKS, 0);
	case 'y':
		return resync(c);
	case 'c':
		c->now.commit = c->leg.seq;
		hf_store_commit(c->leg.s, c->leg.seq);
		return 0;
	case 'k':
		start_flush(c);
		return 0;
	case 'p':
		s = new_state(c, 0);
		start_put(c, &s);
		return 0;
	case 'a':
	case 't':
		return new_epoch(c, letter == 't');
	case 'r':
	case 'R':
		return reset_leg(c, letter == 'R');
	case 's':
		return leg_sim_settle(&c->leg);
	case '.':
		return come_to_rest(c);
	default:
		hf_unreachable();
	}
}

/* durable() names a seq that is durable. */
static void on_told(struct leg_sim *l)
{
	struct leg_case *c = l->ctx;

	for (uint32_t i = 0; i < c->now.ops; i++) {
		const struct leg_op *o = &c->now.op[i];

		if (o->e.type != HF_OP_RESYNC && !o->is_cut && o->e.seq == l->durable_seq && o->ticket > l->durable)
			leg_case_wrong(c, "durable() names an op that is not", l->durable_seq, l->durable);
	}
}

/* What legs of each kind hold when a word begins, made once. */
static struct start {
	struct sim_image *image;
	struct leg_model model;
	hf_epoch newest_epoch;
} starts[HF_K_MAX + 1][LEG_START_COUNT];

/* Letters behind a format, for each way to have lived. */
static const char *const lives[LEG_START_COUNT] = {
	[LEG_START_PLAIN] = "xn.ck.w.",
	[LEG_START_AT_END] = "xn.",
	[LEG_START_GHOSTS] = "n.ck.w.o.e.t.n.",
	[LEG_START_LOADED] = "xn.ck.w.n.z.w.n.z.",
};

/* Batches of one page until only the last page of the ring is free, then all of them are trimmed. */
static void fill_ring(struct leg_case *c)
{
	struct hf_store_status st;

	do {
		hf_assert(leg_case_letter(c, 'z') == 0 && leg_case_letter(c, '.') == 0);
		hf_store_status(c->leg.s, &st);
	} while (st.log_used < LOG_BYTES - HF_DISK_PAGE);
	leg_case_letter(c, 'c');
	leg_case_letter(c, 'k');
	leg_case_letter(c, '.');
}

static void make_start(struct leg_case *c, enum leg_start start)
{
	struct hf_leg_state s = { .promised = 1, .activated = 1, .epochs.count = 1, .epochs.at[0] = { 1, 1 } };
	struct start *to = &starts[c->k][start];

	hf_assert(leg_sim_format(&c->leg) == 0);
	hf_assert(leg_sim_open(&c->leg, NULL) == 0);
	hf_assert(leg_sim_state(&c->leg, &s) == 0);
	c->leg.epoch = c->newest_epoch = 1;
	c->now = (struct leg_model){ .base.size = SIZE, .states = 1 };
	c->now.state[0] = s;
	for (const char *l = lives[start]; *l; l++)
		hf_assert(leg_case_letter(c, *l) == 0);
	if (start == LEG_START_AT_END)
		fill_ring(c);
	leg_model_rebase(&c->now, c->now.flushed);
	for (uint32_t i = 0; i < c->now.ops; i++)
		c->now.op[i].ticket = 0;	/* durable, and tickets begin anew */
	to->model = c->now;
	to->newest_epoch = c->newest_epoch;
	leg_sim_close(&c->leg);
	to->image = sim_disk_save(c->leg.w, 0, LEG_SIM_PATH);
}

static void new_leg(struct leg_case *c, uint64_t seed)
{
	leg_sim_init(&c->leg, sim_world_new(seed, 1), c->k, SIZE, LOG_BYTES);
	sim_host_start(c->leg.w, 0);
	c->leg.ctx = c;
}

void leg_case_init(struct leg_case *c)
{
	struct sim_world *w = sim_world_new(1, 1);

	*c = (struct leg_case){ .cuts.all_up_to = 6 };
	sim_host_start(w, 0);
	c->second.w = w;
}

void leg_case_fini(struct leg_case *c)
{
	sim_world_free(c->second.w);
	for (uint32_t k = 0; k <= HF_K_MAX; k++) {
		for (uint32_t i = 0; i < LEG_START_COUNT; i++) {
			sim_image_free(starts[k][i].image);
			starts[k][i].image = NULL;
		}
	}
}

void leg_case_start(struct leg_case *c, uint8_t k, enum leg_start start, uint64_t seed)
{
	const struct start *from = &starts[k][start];
	struct hf_store_status st;

	c->k = k;
	c->start = start;
	c->rng = c->pace_rng = seed * 2 + 1;
	c->cuts.turn = 0;
	c->has_resync = c->is_resetting = c->is_wiping = c->allows_bad = false;
	c->cuts.is_on = false;
	c->cuts.seen = 0;
	memset(c->flush, 0, sizeof(c->flush));
	memset(c->put, 0, sizeof(c->put));
	if (!from->image) {
		new_leg(c, 1);
		make_start(c, start);
		sim_world_free(c->leg.w);
	}
	new_leg(c, seed);
	leg_sim_init(&c->second, c->second.w, k, SIZE, LOG_BYTES);
	c->second.ctx = c;
	sim_disk_restore(c->leg.w, from->image);
	hf_assert(leg_sim_open(&c->leg, &c->leg.params.id) == 0);
	c->now = from->model;
	c->newest_epoch = from->newest_epoch;
	hf_store_status(c->leg.s, &st);
	hf_assert(st.last_seq == leg_model_least(&c->now, 0) && st.commit <= c->now.commit);
	hf_store_commit(c->leg.s, c->now.commit);
	c->leg.epoch = c->newest_epoch;
	c->leg.told = on_told;
	c->leg.stepped = leg_cuts_step;
}

void leg_case_run(struct leg_case *c, const char *word, enum leg_pace pace)
{
	snprintf(c->word, sizeof(c->word), "%s", word);
	c->pace = pace;
	for (const char *l = word; *l && !c->leg.failures; l++) {
		int err = leg_case_letter(c, *l);

		if (err && err != -EAGAIN)
			break;
		if (pace == LEG_PACE_APART) {
			c->pace_rng = c->pace_rng * 6364136223846793005ull + 1442695040888963407ull;
			leg_sim_steps(&c->leg, (uint32_t)(c->pace_rng >> 33) % 7);
		}
		else if (pace == LEG_PACE_SETTLED)
			come_to_rest(c);
	}
	come_to_rest(c);
	hf_assert(!leg_case_is_busy(c));	/* every call is answered, also by a store that has failed */
}

void leg_case_finish(struct leg_case *c)
{
	c->leg.stepped = c->leg.told = NULL;
	leg_sim_close(&c->leg);
	sim_world_free(c->leg.w);
}
