// SPDX-License-Identifier: MIT
/* oracle - see oracle.h. */
#include "sim/oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 4096u
#define NEVER UINT64_MAX

struct op {
	uint64_t lba, epoch;
	uint32_t nblocks;
	bool zero;
	bool live;			/* its session can still hear an answer */
	uint64_t called;
	uint64_t limit;			/* not answered: happened before this, or never */
	uint64_t done;			/* first moment at which it is known to have happened: answered, or seen */
};

/* One write of one block. */
struct touch {
	uint64_t id;
	uint64_t last_read;		/* latest call of a read that saw it */
};

struct reg {
	struct touch *touch;		/* by id */
	uint32_t count, room;
	uint32_t live;			/* writes whose session waits for the answer */
	uint64_t newest;		/* latest call of a write that is known to have happened */
};

struct oracle {
	uint64_t blocks, tick, epoch;
	struct op *op;			/* op[id]; op[0]: the beginning, zeros everywhere */
	uint64_t ops, op_room;
	uint64_t open_from;		/* every op before it is settled */
	struct reg *reg;
};

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static void *need(void *p)
{
	if (!p)
		abort();
	return p;
}

static void touch_add(struct reg *r, uint64_t id)
{
	if (r->count == r->room) {
		r->room = r->room ? r->room * 2 : 4;
		r->touch = need(realloc(r->touch, r->room * sizeof(*r->touch)));
	}
	r->touch[r->count++] = (struct touch){ .id = id };
}

struct oracle *oracle_new(uint64_t blocks)
{
	struct oracle *o = need(calloc(1, sizeof(*o)));

	o->blocks = blocks;
	o->op_room = 64;
	o->op = need(calloc(o->op_room, sizeof(*o->op)));
	o->op[0] = (struct op){ .zero = true };
	o->ops = o->open_from = 1;
	o->tick = 1;
	o->reg = need(calloc(blocks, sizeof(*o->reg)));
	for (uint64_t b = 0; b < blocks; b++)
		touch_add(&o->reg[b], 0);
	return o;
}

void oracle_free(struct oracle *o)
{
	for (uint64_t b = 0; o && b < o->blocks; b++)
		free(o->reg[b].touch);
	if (o) {
		free(o->reg);
		free(o->op);
	}
	free(o);
}

/* Something is called in `epoch`: what older epochs left unanswered has happened by now, or never will. */
static void enter(struct oracle *o, uint64_t epoch)
{
	o->tick++;
	if (epoch <= o->epoch)
		return;
	o->epoch = epoch;
	for (uint64_t i = o->open_from; i < o->ops; i++)
		if (o->op[i].epoch < epoch && o->op[i].limit == NEVER)
			o->op[i].limit = o->tick;
	o->open_from = o->ops;
	o->tick++;
}

static void set_live(struct oracle *o, struct op *w, bool live)
{
	for (uint32_t b = 0; w->live != live && b < w->nblocks; b++)
		o->reg[w->lba + b].live += live ? 1 : -1u;
	w->live = live;
}

/* The moment by which it has happened, if it ever does. */
static uint64_t latest(const struct op *w)
{
	return w->done < w->limit ? w->done : w->limit;
}

uint64_t oracle_write(struct oracle *o, uint64_t lba, uint32_t nblocks, uint64_t epoch, bool zero)
{
	enter(o, epoch);
	if (o->ops == o->op_room) {
		o->op_room *= 2;
		o->op = need(realloc(o->op, o->op_room * sizeof(*o->op)));
	}
	o->op[o->ops] = (struct op){ .lba = lba,
				     .epoch = epoch,
				     .nblocks = nblocks,
				     .zero = zero,
				     .called = o->tick,
				     .limit = NEVER,
				     .done = NEVER };
	for (uint32_t b = 0; b < nblocks; b++)
		touch_add(&o->reg[lba + b], o->ops);
	set_live(o, &o->op[o->ops], true);
	return o->ops++;
}

/* It is known from now on that this op has happened, on each of its blocks. */
static void happened(struct oracle *o, struct op *w)
{
	if (w->done != NEVER)
		return;
	w->done = o->tick;
	w->done = latest(w);
	for (uint32_t b = 0; b < w->nblocks; b++)
		if (o->reg[w->lba + b].newest < w->called)
			o->reg[w->lba + b].newest = w->called;
}

void oracle_acked(struct oracle *o, uint64_t id)
{
	o->tick++;
	set_live(o, &o->op[id], false);
	happened(o, &o->op[id]);
}

void oracle_again(struct oracle *o, uint64_t id, uint64_t epoch)
{
	struct op *w = &o->op[id];

	enter(o, epoch);
	w->epoch = epoch;
	set_live(o, w, true);
	w->limit = NEVER;
	if (id < o->open_from)
		o->open_from = id;
}

void oracle_fill(uint64_t lba, uint64_t id, void *block)
{
	uint64_t *p = block, x = mix(id * 1000003 + lba);

	p[0] = id;
	p[1] = lba;
	for (uint32_t i = 2; i < BLOCK / 8; i++)
		p[i] = x + i * 0x9e3779b97f4a7c15ull;
}

bool oracle_is_busy(const struct oracle *o, uint64_t lba)
{
	return o->reg[lba].live > 0;
}

bool oracle_is_last(const struct oracle *o, uint64_t id)
{
	const struct op *w = &o->op[id];

	for (uint32_t b = 0; b < w->nblocks; b++) {
		const struct reg *r = &o->reg[w->lba + b];

		if (r->touch[r->count - 1].id != id)
			return false;
	}
	return true;
}

void oracle_session_over(struct oracle *o)
{
	for (uint64_t i = 1; i < o->ops; i++)
		set_live(o, &o->op[i], false);
}

struct oracle_mark oracle_mark(struct oracle *o, uint64_t lba, uint64_t epoch)
{
	enter(o, epoch);
	return (struct oracle_mark){ o->tick, o->reg[lba].newest };
}

static bool is_zero(const void *block)
{
	const uint64_t *p = block;

	for (uint32_t i = 0; i < BLOCK / 8; i++)
		if (p[i])
			return false;
	return true;
}

static struct touch *find(struct reg *r, uint64_t id)
{
	uint32_t low = 0, high = r->count;

	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (r->touch[mid].id < id)
			low = mid + 1;
		else
			high = mid;
	}
	return low < r->count && r->touch[low].id == id ? &r->touch[low] : NULL;
}

static const char *say(const char *what, uint64_t lba, const struct oracle *o, uint64_t id, uint64_t other)
{
	static char words[256];
	const struct op *w = &o->op[id < o->ops ? id : 0], *x = &o->op[other < o->ops ? other : 0];

	snprintf(words, sizeof(words), "block %llu: %s: write %llu of epoch %llu (%llu+%u); %llu of epoch %llu",
		 (unsigned long long)lba, what, (unsigned long long)id, (unsigned long long)w->epoch,
		 (unsigned long long)w->lba, w->nblocks, (unsigned long long)other, (unsigned long long)x->epoch);
	return words;
}

/* Zeros of several writes look alike: one of them has to fit. */
static const char *read_zeros(struct oracle *o, uint64_t lba, struct oracle_mark mark)
{
	const struct reg *r = &o->reg[lba];

	for (uint32_t i = r->count; i-- > 0;) {
		const struct op *w = &o->op[r->touch[i].id];

		if (w->zero && latest(w) >= mark.newest)
			return NULL;
	}
	return say("zeros that are stale, or that nobody wrote", lba, o, 0, o->ops);
}

const char *oracle_read(struct oracle *o, uint64_t lba, struct oracle_mark mark, const void *block)
{
	struct reg *r = &o->reg[lba];
	const uint64_t *p = block;
	uint8_t want[BLOCK];
	struct touch *t;
	struct op *w;

	o->tick++;
	if (is_zero(block))
		return read_zeros(o, lba, mark);
	t = p[0] < o->ops ? find(r, p[0]) : NULL;
	if (!t || o->op[t->id].zero)
		return say("content of no write", lba, o, p[0], p[1]);
	oracle_fill(lba, t->id, want);
	if (memcmp(want, block, BLOCK) != 0)
		return say("content that was written by nobody", lba, o, p[0], p[1]);
	w = &o->op[t->id];
	if (latest(w) < mark.newest)
		return say("stale", lba, o, t->id, o->ops);
	happened(o, w);
	if (t->last_read < mark.called)
		t->last_read = mark.called;
	return NULL;
}

struct zone {
	uint64_t low, high, id;
	bool forward;
};

static int by_low(const void *a, const void *b)
{
	const struct zone *x = a, *y = b;

	return x->low < y->low ? -1 : x->low > y->low;
}

/* The zone of a write on one block: first moment by which it had happened, last at which it was still there. */
static bool zone_of(const struct oracle *o, const struct touch *t, struct zone *out)
{
	const struct op *w = &o->op[t->id];
	uint64_t start = t->last_read > w->called ? t->last_read : w->called;

	if (w->done == NEVER)
		return false;
	*out = (struct zone){ .id = t->id, .forward = w->done < start };
	out->low = out->forward ? w->done : start;
	out->high = out->forward ? start : w->done;
	return true;
}

static const char *judge_block(struct oracle *o, uint64_t lba, struct zone *z)
{
	const struct zone *widest = NULL;
	uint32_t n = 0;

	for (uint32_t i = 0; i < o->reg[lba].count; i++)
		n += zone_of(o, &o->reg[lba].touch[i], &z[n]);
	qsort(z, n, sizeof(*z), by_low);
	for (uint32_t i = 0; i < n; i++) {
		if (widest && z[i].low < widest->high) {
			if (z[i].forward)
				return say("both were seen after each other", lba, o, z[i].id, widest->id);
			if (z[i].high < widest->high)
				return say("it was overwritten by an op that happened before", lba, o, z[i].id,
					   widest->id);
		}
		if (z[i].forward && (!widest || z[i].high > widest->high))
			widest = &z[i];
	}
	return NULL;
}

const char *oracle_judge(struct oracle *o)
{
	const char *wrong = NULL;
	uint32_t most = 0;
	struct zone *z;

	for (uint64_t b = 0; b < o->blocks; b++)
		most = o->reg[b].count > most ? o->reg[b].count : most;
	z = need(calloc(most, sizeof(*z)));
	for (uint64_t b = 0; b < o->blocks && !wrong; b++)
		wrong = judge_block(o, b, z);
	free(z);
	return wrong;
}
