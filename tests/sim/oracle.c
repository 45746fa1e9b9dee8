// SPDX-License-Identifier: MIT
/* oracle - see oracle.h. */
#include "sim/oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 4096u

struct write {
	uint64_t id, epoch;
	bool zero, acked, dead, live;
};

struct reg {
	struct write *w;		/* w[0]: the beginning, zeros, acknowledged */
	uint32_t count, room;
	uint64_t last;			/* newest known to have happened */
};

struct oracle {
	uint64_t blocks, next;
	struct reg *reg;
};

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

struct oracle *oracle_new(uint64_t blocks)
{
	struct oracle *o = calloc(1, sizeof(*o));

	o->blocks = blocks;
	o->next = 1;
	o->reg = calloc(blocks, sizeof(*o->reg));
	for (uint64_t i = 0; i < blocks; i++) {
		o->reg[i].w = calloc(8, sizeof(struct write));
		o->reg[i].room = 8;
		o->reg[i].count = 1;
		o->reg[i].w[0] = (struct write){ .zero = true, .acked = true };
	}
	return o;
}

uint64_t oracle_write(struct oracle *o, uint64_t lba, uint64_t epoch, bool zero)
{
	struct reg *r = &o->reg[lba];

	if (r->count == r->room) {
		r->room *= 2;
		r->w = realloc(r->w, r->room * sizeof(struct write));
	}
	r->w[r->count++] = (struct write){ .id = o->next, .epoch = epoch, .zero = zero, .live = true };
	return o->next++;
}

static struct write *find(struct reg *r, uint64_t id)
{
	for (uint32_t i = r->count; i-- > 0;)
		if (r->w[i].id == id)
			return &r->w[i];
	abort();
}

void oracle_acked(struct oracle *o, uint64_t lba, uint64_t id)
{
	struct reg *r = &o->reg[lba];
	struct write *w = find(r, id);

	w->acked = true;
	w->live = false;
	if (id > r->last)
		r->last = id;
}

void oracle_fill(uint64_t lba, uint64_t id, void *block)
{
	uint64_t *p = block, x = mix(id * 1000003 + lba);

	p[0] = id;
	p[1] = lba;
	for (uint32_t i = 2; i < BLOCK / 8; i++)
		p[i] = x + i * 0x9e3779b97f4a7c15ull;
}

uint64_t oracle_floor(const struct oracle *o, uint64_t lba)
{
	return o->reg[lba].last;
}

bool oracle_is_busy(const struct oracle *o, uint64_t lba)
{
	const struct reg *r = &o->reg[lba];

	return r->w[r->count - 1].live;
}

void oracle_session_over(struct oracle *o)
{
	for (uint64_t b = 0; b < o->blocks; b++)
		o->reg[b].w[o->reg[b].count - 1].live = false;
}

static bool is_zero(const void *block)
{
	const uint64_t *p = block;

	for (uint32_t i = 0; i < BLOCK / 8; i++)
		if (p[i])
			return false;
	return true;
}

/* It is now known that `w` is what the block held at a moment of `epoch`. */
static void settle(struct reg *r, const struct write *seen, uint64_t epoch)
{
	if (seen->id > r->last)
		r->last = seen->id;
	for (uint32_t i = 0; i < r->count; i++)
		if (!r->w[i].acked && !r->w[i].live && r->w[i].epoch < epoch && r->w[i].id > seen->id)
			r->w[i].dead = true;
}

const char *oracle_read(struct oracle *o, uint64_t lba, uint64_t floor, uint64_t epoch, bool settles, const void *block)
{
	static char words[256];
	struct reg *r = &o->reg[lba];
	const uint64_t *p = block;
	bool zero = is_zero(block);
	uint8_t want[BLOCK];

	for (uint32_t i = r->count; i-- > 0;) {
		struct write *w = &r->w[i];

		if (zero ? !w->zero : (w->zero || w->id != p[0]))
			continue;
		if (w->id < floor) {
			snprintf(words, sizeof(words),
				 "block %llu: stale: write %llu, but %llu had been acknowledged or read before",
				 (unsigned long long)lba, (unsigned long long)w->id, (unsigned long long)floor);
			return words;
		}
		if (!zero) {
			oracle_fill(lba, w->id, want);
			if (memcmp(want, block, BLOCK) != 0)
				break;
		}
		if (w->dead && !zero) {
			snprintf(words, sizeof(words),
				 "block %llu: write %llu of epoch %llu, which a read in a later epoch had shown not to "
				 "have happened (it showed %llu)",
				 (unsigned long long)lba, (unsigned long long)w->id, (unsigned long long)w->epoch,
				 (unsigned long long)r->last);
			return words;
		}
		if (w->dead)
			continue;
		/* Zeros of several writes look alike: only a unique answer settles anything. */
		if (settles && !zero)
			settle(r, w, epoch);
		return NULL;
	}
	snprintf(words, sizeof(words), "block %llu: %s %llu (lba word %llu), newest known %llu",
		 (unsigned long long)lba, zero ? "zeros that nobody wrote" : "content of no possible write",
		 (unsigned long long)p[0], (unsigned long long)p[1], (unsigned long long)r->last);
	return words;
}
