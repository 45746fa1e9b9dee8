// SPDX-License-Identifier: MIT
/*
 * leg_cuts - the images that a power cut could leave at one moment, made systematically.
 *
 * A unit is a sector of 512 bytes that differs from what lies beneath it; when there are more of them than all_up_to, a
 * page with such sectors. Every subset of at most all_up_to units is made. Of pages also those that are torn: at each
 * of their sectors, from the front and from the back, with what came before kept and what came after not. Of more
 * pages: each beginning, each end, each alone, all without each, and a tear in the middle of each.
 */
#include "sim/leg_case.h"

#include "base/assert.h"

#define PAGES_MAX 512u

/* For each page that sim_disk_cut() asks for, the sectors that differ, and those that are kept. */
struct moment {
	struct leg_case *c;
	uint32_t pages, sectors, whole;	/* whole: pages that differ at all */
	uint8_t changed[PAGES_MAX], keep[PAGES_MAX];
	uint32_t at[PAGES_MAX];		/* the pages that differ */
};

static uint8_t chosen(void *ctx, uint32_t i)
{
	const struct moment *m = ctx;

	hf_assert(i < m->pages);
	return m->keep[i];
}

static uint8_t chosen_again(void *ctx, uint32_t i)
{
	uint32_t how = *(uint32_t *)ctx % 4;

	return how == 0 ? 0 : how == 1 ? 0xff : how == 2 ? (i % 2 ? 0xff : 0) : 0x0f;
}

/* Power is lost again while the leg recovers: at the nth moment at which that has something to lose. */
static void on_second_step(struct leg_sim *l)
{
	struct leg_case *c = l->ctx;
	uint32_t how = (uint32_t)leg_case_draw(c, 4);

	if (c->second_cut_at == 0 || sim_disk_at_risk(l->w, l->host, LEG_SIM_PATH) == 0)
		return;
	if (--c->second_cut_at == 0)
		c->second_cut = sim_disk_cut(l->w, l->host, LEG_SIM_PATH, chosen_again, &how);
}

void leg_cuts_arm(struct leg_case *c)
{
	c->second_cut_at = 1 + (uint32_t)leg_case_draw(c, 3);
	c->second.stepped = on_second_step;
}

/* One in four recoveries is cut off again, when it writes. */
static void judge_twice(struct leg_case *c, const struct sim_image *image)
{
	struct sim_image *again;

	c->second_cut_at = c->cuts.turn++ % 4 ? 0 : 1 + (uint32_t)leg_case_draw(c, 4);
	c->second.stepped = on_second_step;
	leg_judge(c, image);
	again = c->second_cut;
	c->second_cut = NULL;
	if (!again)
		return;
	c->cuts.again++;
	leg_judge(c, again);
	sim_image_free(again);
}

static void judge(struct moment *m)
{
	struct leg_sim *l = &m->c->leg;
	struct sim_image *image = sim_disk_cut(l->w, l->host, LEG_SIM_PATH, chosen, m);

	judge_twice(m->c, image);
	sim_image_free(image);
}

static void keep_range(struct moment *m, uint32_t from, uint32_t to)
{
	for (uint32_t i = 0; i < m->pages; i++)
		m->keep[i] = 0;
	for (uint32_t i = from; i < to; i++)
		m->keep[m->at[i]] = 0xff;
}

static void every_subset_of_sectors(struct moment *m)
{
	for (uint32_t set = 0; set < 1u << m->sectors; set++) {
		uint32_t left = set;

		for (uint32_t i = 0; i < m->pages; i++) {
			m->keep[i] = 0;
			for (uint32_t b = 0; b < 8; b++) {
				if (!(m->changed[i] >> b & 1))
					continue;
				m->keep[i] |= (uint8_t)((left & 1) << b);
				left >>= 1;
			}
		}
		judge(m);
	}
}

static void every_subset_of_pages(struct moment *m)
{
	for (uint32_t set = 0; set < 1u << m->whole; set++) {
		keep_range(m, 0, 0);
		for (uint32_t i = 0; i < m->whole; i++)
			m->keep[m->at[i]] = set >> i & 1 ? 0xff : 0;
		judge(m);
	}
}

/* Page i cut at each sector that differs, written from the front and from the back. */
static void every_tear(struct moment *m, uint32_t i)
{
	uint8_t *keep = &m->keep[m->at[i]], changed = m->changed[m->at[i]];

	keep_range(m, 0, i);
	for (uint32_t b = 1; b < 8; b++) {
		uint8_t front = (uint8_t)((1u << b) - 1);

		if (!(changed & front) || !(changed & ~front))
			continue;
		*keep = front;
		judge(m);
		*keep = (uint8_t)~front;
		judge(m);
	}
}

static void each_kind_once(struct moment *m)
{
	for (uint32_t i = 0; i <= m->whole; i++) {
		keep_range(m, 0, i);
		judge(m);
		if (i == 0 || i == m->whole)
			continue;
		keep_range(m, i, m->whole);
		judge(m);
		keep_range(m, i, i + 1);
		judge(m);
		keep_range(m, 0, m->whole);
		m->keep[m->at[i]] = 0;
		judge(m);
		m->keep[m->at[i]] = 0x0f;
		judge(m);
	}
}

static void look(struct leg_case *c, struct moment *m, uint64_t *print)
{
	m->c = c;
	m->pages = sim_disk_risks(c->leg.w, c->leg.host, LEG_SIM_PATH, m->changed, PAGES_MAX, print);
	hf_assert(m->pages <= PAGES_MAX);
	m->sectors = m->whole = 0;
	for (uint32_t i = 0; i < m->pages; i++) {
		m->sectors += (uint32_t)__builtin_popcount(m->changed[i]);
		if (m->changed[i])
			m->at[m->whole++] = i;
	}
}

/* What the model says: the same image is right at one moment and wrong at another. */
static uint64_t print_of(const struct leg_case *c)
{
	uint64_t of[] = { c->leg.durable, c->now.commit, c->now.flushed, c->now.states, c->now.state[0].promised,
			  c->now.ops, c->is_resetting, c->leg.seq, c->newest_epoch };
	uint64_t v = 0;

	for (uint32_t i = 0; i < sizeof(of) / sizeof(of[0]); i++)
		v = (v ^ of[i]) * 0x9e3779b97f4a7c15ull;
	return v;
}

void leg_cuts_step(struct leg_sim *l)
{
	static struct moment m;
	struct leg_case *c = l->ctx;
	uint64_t print;

	if (!c->cuts.is_on || c->bad > 10)
		return;
	look(c, &m, &print);
	print ^= print_of(c);
	if (print == c->cuts.seen)
		return;
	c->cuts.seen = print;
	c->cuts.moments++;
	if (m.sectors <= c->cuts.all_up_to) {
		every_subset_of_sectors(&m);
		return;
	}
	c->cuts.sampled++;
	if (m.whole > c->cuts.all_up_to) {
		each_kind_once(&m);
		return;
	}
	every_subset_of_pages(&m);
	for (uint32_t i = 0; i < m.whole; i++)
		every_tear(&m, i);
}

static uint8_t at_random(void *ctx, uint32_t i)
{
	uint64_t v = leg_case_draw(ctx, 3);

	(void)i;
	return v == 0 ? 0 : v == 1 ? 0xff : (uint8_t)leg_case_draw(ctx, 256);
}

struct sim_image *leg_cuts_image(struct leg_case *c, enum leg_cut how)
{
	static struct moment m;
	uint64_t print;

	if (how == LEG_CUT_RANDOM)
		return sim_disk_cut(c->leg.w, c->leg.host, LEG_SIM_PATH, at_random, c);
	look(c, &m, &print);
	keep_range(&m, 0, how == LEG_CUT_ALL ? m.whole : 0);
	return sim_disk_cut(c->leg.w, c->leg.host, LEG_SIM_PATH, chosen, &m);
}

void leg_cuts_one(struct leg_case *c, enum leg_cut how)
{
	struct sim_image *image = leg_cuts_image(c, how);

	judge_twice(c, image);
	sim_image_free(image);
}
