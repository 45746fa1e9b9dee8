// SPDX-License-Identifier: MIT
/* torture_oracle - registers, and the judgement of reads. */
#include "torture_oracle.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC 0x746f727475726521ull
#define ZERO_BIT 1u
#define WORDS (ORACLE_BLOCK / 8)

int oracle_init(struct oracle *o, uint64_t blocks, uint64_t salt)
{
	*o = (struct oracle){ .salt = salt, .blocks = blocks, .at = calloc(blocks, sizeof(*o->at)) };
	if (!o->at)
		return -ENOMEM;
	for (uint64_t i = 0; i < blocks; i++)
		o->at[i].floor = o->at[i].sealed = o->at[i].issued = o->at[i].zero = ORACLE_NEVER;
	return 0;
}

void oracle_fini(struct oracle *o)
{
	free(o->at);
	o->at = NULL;
}

const char *oracle_fault_name(enum oracle_fault f)
{
	static const char *const name[ORACLE_FAULTS] = { "lost", "stale", "wrong", "torn" };

	return name[f];
}

uint64_t oracle_total(const struct oracle *o)
{
	uint64_t n = 0;

	for (int i = 0; i < ORACLE_FAULTS; i++)
		n += o->found[i];
	return n;
}

static void find(struct oracle *o, enum oracle_fault what, uint64_t block, uint64_t expected, uint64_t found)
{
	o->found[what]++;
	if (o->finding_count < ORACLE_FINDINGS_MAX)
		o->finding[o->finding_count++] = (struct oracle_finding){ what, block, expected, found, o->fault };
}

/* content */

static uint64_t mix(uint64_t x)
{
	x ^= x >> 31;
	x *= 0x7fb5d329728ea185ull;
	x ^= x >> 27;
	x *= 0x81dadef4bc2dd44dull;
	return x ^ (x >> 33);
}

static void fill(const struct oracle *o, uint64_t value, uint64_t block, uint64_t word[WORDS])
{
	uint64_t x = mix(o->salt ^ mix(value ^ mix(block + 1)));

	word[0] = MAGIC ^ o->salt;
	word[1] = block;
	word[2] = value;
	for (unsigned i = 3; i < WORDS; i++)
		word[i] = x += 0x9e3779b97f4a7c15ull ^ (x >> 29);
}

static bool is_zeros(const uint8_t *buf)
{
	return buf[0] == 0 && memcmp(buf, buf + 1, ORACLE_BLOCK - 1) == 0;
}

/* Which write of this block `buf` shows; 0: none. Zeros name no write: the one that has to be there when it fits. */
static uint64_t value_of(const struct oracle *o, uint64_t block, const struct oracle_mark *mark, const uint8_t *buf)
{
	const struct oracle_block *b = &o->at[block];
	uint64_t word[3], whole[WORDS];

	if (is_zeros(buf))
		return mark->floor & ZERO_BIT ? mark->floor : b->zero;
	memcpy(word, buf, sizeof(word));
	if (word[1] != block || word[2] & ZERO_BIT || word[2] > b->issued)
		return 0;
	fill(o, word[2], block, whole);
	return memcmp(buf, whole, ORACLE_BLOCK) == 0 ? word[2] : 0;
}

/* writes */

bool oracle_is_free(const struct oracle *o, uint64_t block, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (o->at[block + i].busy)
			return false;
	return true;
}

uint64_t oracle_write(struct oracle *o, uint64_t block, uint32_t count, bool zero, uint8_t *buf)
{
	uint64_t value = ++o->last << 1 | (zero ? ZERO_BIT : 0), word[WORDS];

	for (uint32_t i = 0; i < count; i++) {
		struct oracle_block *b = &o->at[block + i];

		b->busy = true;
		b->issued = value;
		if (zero) {
			b->zero = value;
			continue;
		}
		fill(o, value, block + i, word);
		memcpy(buf + (size_t)i * ORACLE_BLOCK, word, ORACLE_BLOCK);
	}
	return value;
}

static void raise(struct oracle_block *b, uint64_t value)
{
	if (value > b->floor)
		b->floor = value;
	if (b->sealed < b->floor)
		b->sealed = b->floor;
}

void oracle_acked(struct oracle *o, uint64_t block, uint32_t count, uint64_t value)
{
	for (uint32_t i = 0; i < count; i++) {
		raise(&o->at[block + i], value);
		o->at[block + i].busy = false;
	}
	o->acked++;
	o->acked_blocks += count;
}

void oracle_acked_late(struct oracle *o, uint64_t block, uint32_t count, uint64_t value)
{
	o->late++;
	for (uint32_t i = 0; i < count; i++) {
		struct oracle_block *b = &o->at[block + i];

		bool same = value & b->floor & ZERO_BIT; /* zeros over zeros: no read tells them apart */

		if (value > b->floor && value <= b->sealed && !same)
			find(o, ORACLE_LOST, block + i, value, b->floor); /* a read had shown that it is not there */
		else
			raise(b, value);
	}
}

/* reads */

void oracle_read(struct oracle *o, uint64_t block, uint32_t count, bool busy, struct oracle_mark mark[])
{
	for (uint32_t i = 0; i < count; i++) {
		struct oracle_block *b = &o->at[block + i];

		mark[i] = (struct oracle_mark){ b->floor, b->sealed };
		b->busy |= busy;
	}
}

/* The value that was read, 0 after a finding; `older` is what an older value is called. */
static uint64_t judge(struct oracle *o, uint64_t block, const struct oracle_mark *mark, const uint8_t *buf,
		      enum oracle_fault older)
{
	uint64_t value = value_of(o, block, mark, buf);

	o->judged++;
	if (value == mark->floor || value > mark->sealed)
		return value;
	find(o, value ? older : ORACLE_WRONG, block, mark->floor, value);
	return 0;
}

void oracle_read_done(struct oracle *o, uint64_t block, uint32_t count, const struct oracle_mark mark[],
		      const uint8_t *buf)
{
	for (uint32_t i = 0; i < count; i++) {
		struct oracle_block *b = &o->at[block + i];

		b->busy = false;
		if (!buf)
			continue;
		raise(b, judge(o, block + i, &mark[i], buf + (size_t)i * ORACLE_BLOCK, ORACLE_LOST));
		/* Nothing of this session is under way here and older sessions are fenced: it stays as it is (R14). */
		b->sealed = b->issued;
	}
}

void oracle_inquest(struct oracle *o, uint64_t block, uint32_t count, uint64_t value, const struct oracle_mark mark[],
		    const uint8_t *buf)
{
	uint64_t with = 0, without = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint64_t is = value_of(o, block + i, &mark[i], buf + (size_t)i * ORACLE_BLOCK);

		/* Zeros over zeros tell nothing. */
		if (value & mark[i].floor & ZERO_BIT && is == mark[i].floor)
			continue;
		with += is == value;
		without += is != value;
	}
	if (with && without)
		find(o, ORACLE_TORN, block, value, with);
	oracle_read_done(o, block, count, mark, buf);
}

void oracle_overheard(struct oracle *o, uint64_t block, uint32_t count, const struct oracle_mark mark[],
		      const uint8_t *buf)
{
	for (uint32_t i = 0; i < count; i++)
		raise(&o->at[block + i],
		      judge(o, block + i, &mark[i], buf + (size_t)i * ORACLE_BLOCK, ORACLE_STALE));
}
