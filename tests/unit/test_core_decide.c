// SPDX-License-Identifier: MIT
/*
 * decide: the longest decodable prefix, and what may be cut behind it (R8, H1, H2, H2b). First situations by hand, then
 * worlds drawn from a seed: primaries come and go, tails are lost, and no acknowledged op is ever cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/decide.h"
#include "core/entry.h"

#define F HF_FRAG_FULL

struct layout {
	uint8_t k, m, legs, frag[6];
};

static const struct layout mirror2 = { 1, 1, 2, { 0, 1 } };
static const struct layout mirror3 = { 1, 2, 3, { 0, 1, 2 } };
static const struct layout ec21 = { 2, 1, 3, { 0, 1, 2 } };
static const struct layout ec21f = { 2, 1, 4, { F, 0, 1, 2 } };
static const struct layout ec42 = { 4, 2, 6, { 0, 1, 2, 3, 4, 5 } };

static struct hf_record record_of(const struct layout *l)
{
	struct hf_record r = { .geometry = { l->k, l->m }, .leg_count = l->legs };

	for (uint32_t i = 0; i < l->legs; i++) {
		r.leg[i].frag = l->frag[i];
		r.leg[i].insync = true;
		snprintf(r.leg[i].host, sizeof(r.leg[i].host), "host-%c", (char)('a' + i));
	}
	return r;
}

/* One leg's answer: a log of epoch 1 up to `last`. */
static struct hf_reply upto(hf_seq last)
{
	struct hf_reply x = { .valid = true, .last = last, .chain = (uint32_t)(0xc0000000 + last) };

	hf_epoch_cache_add(&x.epochs, 1, 1);
	return x;
}

static struct hf_reply suspect(hf_seq last)
{
	struct hf_reply x = upto(last);

	x.suspect = true;
	return x;
}

static struct hf_reply knows(struct hf_reply x, hf_seq commit)
{
	x.commit = commit;
	return x;
}

static struct hf_reply adopted(struct hf_reply x, hf_epoch epoch, hf_seq start)
{
	hf_epoch_cache_add(&x.epochs, epoch, start);
	return x;
}

#define SILENT ((struct hf_reply){ .valid = false, .last = 99, .commit = 99 })

static struct hf_decision decide(const struct layout *l, const struct hf_reply *replies)
{
	struct hf_record r = record_of(l);
	struct hf_decision d;

	memset(&d, 0xff, sizeof(d));
	hf_decide(&r, replies, l->m ? l->m : 1, &d);
	return d;
}

#define DECIDE(l, ...) decide(&l, (const struct hf_reply[]){ __VA_ARGS__ })

static void test_equal_logs_are_taken_whole(void **state)
{
	struct hf_decision d = DECIDE(ec21, knows(upto(9), 4), knows(upto(9), 7), upto(9));

	(void)state;
	assert_int_equal(d.verdict, HF_VERDICT_OK);
	assert_int_equal(d.seq, 9);
	assert_int_equal(d.seen, 9);
	assert_int_equal(d.commit, 7);
	assert_int_equal(d.chain, 0xc0000009);
	assert_int_equal(hf_epoch_cache_at(&d.epochs, 9), 1);
	d = DECIDE(mirror2, ((struct hf_reply){ .valid = true }), ((struct hf_reply){ .valid = true }));
	assert_int_equal(d.verdict, HF_VERDICT_OK);
	assert_int_equal(d.seq, 0);
}

/* H1: the leg that lags is repaired, not obeyed. */
static void test_what_decodes_is_kept_though_a_clean_leg_lacks_it(void **state)
{
	struct hf_decision d = DECIDE(mirror2, upto(10), upto(8));

	(void)state;
	assert_int_equal(d.verdict, HF_VERDICT_OK);
	assert_int_equal(d.seq, 10);
	d = DECIDE(ec21f, upto(8), upto(10), upto(10), upto(9));
	assert_int_equal(d.verdict, HF_VERDICT_OK);
	assert_int_equal(d.seq, 10);
	assert_int_equal(d.chain, 0xc000000a);
}

static void test_what_does_not_decode_is_cut_when_a_clean_leg_lacks_it(void **state)
{
	struct hf_decision d = DECIDE(ec21, upto(10), upto(9), upto(8));

	(void)state;
	assert_int_equal(d.verdict, HF_VERDICT_OK);
	assert_int_equal(d.seq, 9);
	assert_int_equal(d.seen, 10);
	assert_int_equal(d.chain, 0xc0000009);
	assert_true(d.nack_clean);
	d = DECIDE(ec42, upto(12), upto(11), upto(10), suspect(7), upto(9), SILENT);
	assert_int_equal(d.verdict, HF_VERDICT_OK);
	assert_int_equal(d.seq, 9);
	assert_true(d.nack_clean);
}

static void test_a_suspect_leg_proves_nothing(void **state)
{
	struct hf_decision d = DECIDE(ec21, upto(10), suspect(8), SILENT);

	(void)state;
	assert_int_equal(d.verdict, HF_VERDICT_MAYBE_ACKED);
	assert_int_equal(d.seq, 8);
	assert_int_equal(d.seen, 10);
	assert_false(d.nack_clean || d.nack_count);
	d = DECIDE(ec42, upto(10), upto(10), upto(10), suspect(8), suspect(8), SILENT);
	assert_int_equal(d.verdict, HF_VERDICT_MAYBE_ACKED);
	assert_int_equal(d.seq, 8);
}

static void test_more_legs_than_can_be_corrupt_prove_it(void **state)
{
	struct hf_decision d = DECIDE(ec21, upto(10), suspect(8), suspect(8));

	(void)state;
	assert_int_equal(d.verdict, HF_VERDICT_OK);
	assert_int_equal(d.seq, 8);
	assert_true(d.nack_count);
	assert_false(d.nack_clean);
	d = DECIDE(ec42, upto(10), suspect(8), suspect(8), suspect(8), suspect(10), suspect(10));
	assert_int_equal(d.verdict, HF_VERDICT_OK);
	assert_int_equal(d.seq, 8);
	assert_true(d.nack_count);
}

/*
 * Behind the highest op that anyone shows the same rule holds: legs that are all suspect, and not more than can be
 * corrupt at once, may all have lost an acknowledged op that the silent leg still holds.
 */
static void test_suspect_legs_alone_do_not_prove_where_the_log_ends(void **state)
{
	struct hf_decision d = DECIDE(mirror3, SILENT, suspect(8), suspect(8));

	(void)state;
	assert_int_equal(d.verdict, HF_VERDICT_MAYBE_ACKED);
	assert_int_equal(d.seq, 8);
	assert_int_equal(d.seen, 8);
	d = DECIDE(mirror2, SILENT, suspect(8));
	assert_int_equal(d.verdict, HF_VERDICT_MAYBE_ACKED);
	d = DECIDE(mirror3, SILENT, suspect(8), upto(8));
	assert_int_equal(d.verdict, HF_VERDICT_OK);
	d = DECIDE(mirror3, suspect(8), suspect(8), suspect(8));
	assert_int_equal(d.verdict, HF_VERDICT_OK);
	assert_int_equal(d.seq, 8);
}

static void test_what_is_known_committed_is_never_cut(void **state)
{
	struct hf_decision d = DECIDE(ec21, knows(upto(10), 9), upto(8), SILENT);

	(void)state;
	assert_int_equal(d.verdict, HF_VERDICT_MAYBE_ACKED);
	assert_int_equal(d.seq, 8);
	assert_int_equal(d.commit, 9);
	d = DECIDE(ec21, knows(upto(10), 8), upto(8), SILENT);
	assert_int_equal(d.verdict, HF_VERDICT_OK);
	assert_int_equal(d.seq, 8);
	d = DECIDE(mirror2, knows(upto(8), 9), upto(8));	/* known, and nobody shows it */
	assert_int_equal(d.verdict, HF_VERDICT_MAYBE_ACKED);
}

/* H2b: the leg with the newest epoch has lost its tail; the one that never adopted it still holds the op. */
static void test_the_newest_epoch_is_not_preferred(void **state)
{
	struct hf_reply a = upto(10), b = adopted(suspect(8), 2, 11);
	struct hf_decision d = DECIDE(mirror2, a, b);

	(void)state;
	assert_int_equal(d.verdict, HF_VERDICT_OK);
	assert_int_equal(d.seq, 10);
	assert_int_equal(hf_epoch_cache_at(&d.epochs, 10), 1);
	assert_int_equal(hf_epoch_cache_at(&d.epochs, 11), 1);	/* epoch 2 is not part of this history */
}

static void test_epochs_end_where_the_history_ends(void **state)
{
	struct hf_reply a = adopted(adopted(upto(12), 2, 6), 3, 11), b = adopted(adopted(upto(9), 2, 6), 3, 11);
	struct hf_decision d = DECIDE(ec21, a, b, SILENT);

	(void)state;
	assert_int_equal(d.verdict, HF_VERDICT_OK);
	assert_int_equal(d.seq, 9);
	assert_int_equal(d.epochs.count, 2);
	assert_int_equal(hf_epoch_cache_at(&d.epochs, 5), 1);
	assert_int_equal(hf_epoch_cache_at(&d.epochs, 9), 2);
	a = adopted(upto(9), 2, 10);	/* an epoch without an op */
	d = DECIDE(ec21, a, a, SILENT);
	assert_int_equal(d.seq, 9);
	assert_int_equal(d.epochs.count, 1);
}

static void test_two_ops_under_one_seq_are_a_conflict(void **state)
{
	struct hf_decision d = DECIDE(mirror2, upto(10), adopted(upto(10), 2, 9));

	(void)state;
	assert_int_equal(d.verdict, HF_VERDICT_CONFLICT);
	assert_int_equal(d.seq, 8);
	assert_int_equal(d.seen, 10);
}

static void test_chains_that_differ_are_a_conflict(void **state)
{
	struct hf_reply other = upto(9), other_suspect = suspect(8);
	struct hf_decision d;

	(void)state;
	other.chain++;
	d = DECIDE(ec21, upto(9), other, SILENT);
	assert_int_equal(d.verdict, HF_VERDICT_CONFLICT);
	/* Also when it would have been refused for another reason, that an operator can overrule. */
	other_suspect.chain++;
	d = DECIDE(ec42, upto(9), upto(9), upto(9), suspect(8), other_suspect, SILENT);
	assert_int_equal(d.verdict, HF_VERDICT_CONFLICT);
}

static void test_too_few_legs_decide_nothing(void **state)
{
	struct hf_decision d = DECIDE(ec21, SILENT, upto(9), SILENT);

	(void)state;
	assert_int_equal(d.verdict, HF_VERDICT_TOO_FEW);
	assert_int_equal(d.seen, 9);
	d = DECIDE(ec42, upto(9), upto(9), upto(9), SILENT, SILENT, SILENT);
	assert_int_equal(d.verdict, HF_VERDICT_TOO_FEW);
	d = DECIDE(mirror2, SILENT, SILENT);
	assert_int_equal(d.verdict, HF_VERDICT_TOO_FEW);
	d = DECIDE(ec21f, upto(9), SILENT, SILENT, SILENT);
	assert_int_equal(d.verdict, HF_VERDICT_OK);
}

/* -- worlds drawn from a seed */

#define SEQS 120
#define LEGS 6

/* A history op by op: the epoch at each seq names it. */
struct log {
	uint32_t last;
	uint8_t at[SEQS + 1];
};

struct leg {
	struct log log;
	struct hf_epoch_cache epochs;
	uint32_t commit;
	bool member, suspect, lost;	/* lost: ops that it had acknowledged are gone from its tail */
};

struct world {
	uint64_t rng;
	struct hf_record r;
	struct leg leg[LEGS];
	uint32_t n, min_tolerance, corrupt_max;
	hf_epoch epoch;
	struct log acked;		/* what clients were told */
	struct log now;			/* the primary's */
	struct hf_epoch_cache history;
	uint32_t decided, refused, cut;
};

static uint32_t below(struct world *w, uint32_t n)
{
	w->rng = w->rng * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(w->rng >> 33) % n;
}

static uint32_t chain_of(const struct log *l)
{
	uint32_t chain = 1;

	for (uint32_t s = 1; s <= l->last; s++)
		chain = chain * 0x01000193 ^ (s << 8 | l->at[s]);
	return chain;
}

static bool slow_is_decodable(const struct world *w, uint32_t set)
{
	bool there[16] = { false };
	int different = 0;

	for (uint32_t i = 0; i < w->n; i++) {
		uint8_t frag = w->r.leg[i].frag;

		if (!(set >> i & 1))
			continue;
		if (frag == F || w->r.geometry.k == 1)
			return true;
		different += !there[frag];
		there[frag] = true;
	}
	return different >= w->r.geometry.k;
}

/* Each leg has a host of its own. */
static int slow_tolerance(const struct world *w, uint32_t set)
{
	int worst = (int)w->n;

	if (!slow_is_decodable(w, set))
		return -1;
	for (uint32_t i = 0; i < w->n; i++) {
		int t = set >> i & 1 ? slow_tolerance(w, set & ~(1u << i)) + 1 : worst;

		worst = t < worst ? t : worst;
	}
	return worst;
}

static uint32_t members(const struct world *w)
{
	uint32_t set = 0;

	for (uint32_t i = 0; i < w->n; i++)
		set |= (uint32_t)w->leg[i].member << i;
	return set;
}

static void begin(struct world *w, uint64_t seed)
{
	static const struct layout *const layouts[] = { &mirror2, &mirror3, &ec21, &ec21f, &ec42 };
	const struct layout *l;
	uint32_t best;

	*w = (struct world){ .rng = seed * 0x9e3779b97f4a7c15ull + 1 };
	(void)below(w, 2);
	l = layouts[below(w, 5)];
	w->r = record_of(l);
	w->n = l->legs;
	w->corrupt_max = l->m;
	for (uint32_t i = 0; i < w->n; i++)
		w->leg[i].member = true;
	best = (uint32_t)slow_tolerance(w, members(w));
	w->min_tolerance = below(w, best + 1);
}

/* Members have every op up to here; it is what may be acknowledged, and at most what was. */
static void acknowledge(struct world *w)
{
	uint32_t all = w->now.last;

	if (slow_tolerance(w, members(w)) < (int)w->min_tolerance)
		return;
	for (uint32_t i = 0; i < w->n; i++)
		if (w->leg[i].member && w->leg[i].log.last < all)
			all = w->leg[i].log.last;
	for (uint32_t s = w->acked.last + 1; s <= all; s++)
		w->acked.at[s] = w->now.at[s];
	if (all > w->acked.last)
		w->acked.last = all;
	for (uint32_t i = 0; i < w->n; i++)
		if (w->leg[i].member && below(w, 3) == 0 && w->acked.last)
			w->leg[i].commit = below(w, w->acked.last + 1) > w->leg[i].commit ? w->acked.last
											  : w->leg[i].commit;
}

/* Some ops; each member takes some of what it does not have yet. */
static void write_ops(struct world *w)
{
	for (uint32_t count = below(w, 5); count && w->now.last < SEQS; count--)
		w->now.at[++w->now.last] = (uint8_t)w->epoch;
	for (uint32_t i = 0; i < w->n; i++) {
		struct leg *x = &w->leg[i];
		uint32_t missing = w->now.last - x->log.last;

		if (!x->member)
			continue;
		missing = below(w, 3) ? missing : below(w, missing + 1);
		while (missing--) {
			x->log.last++;
			x->log.at[x->log.last] = w->now.at[x->log.last];
		}
	}
	acknowledge(w);
}

/* A leg is taken out of the set, or one that was out is copied anew and comes back. */
static void change_members(struct world *w)
{
	struct leg *x = &w->leg[below(w, w->n)];
	uint32_t rest = members(w) & ~(1u << (x - w->leg));

	if (!x->member)
		*x = (struct leg){ .log = w->now, .epochs = w->history, .commit = 0, .member = true };
	else if (slow_tolerance(w, rest) >= (int)w->min_tolerance)
		x->member = false;
	acknowledge(w);
}

/* Tails are lost on no more legs at once than the geometry has parity; some are suspect for nothing. */
static void damage(struct world *w)
{
	uint32_t lost = 0;

	for (uint32_t i = 0; i < w->n; i++)
		lost += w->leg[i].member && w->leg[i].lost;
	for (uint32_t i = 0; i < w->n; i++) {
		struct leg *x = &w->leg[i];

		if (!x->member || below(w, 3))
			continue;
		x->suspect = true;
		if (below(w, 3) == 0 || (!x->lost && lost == w->corrupt_max))
			continue;
		lost += !x->lost;
		x->lost = true;
		x->log.last -= below(w, x->log.last < 4 ? x->log.last + 1 : 4);
		if (x->commit > x->log.last)
			x->commit = x->log.last;
	}
}

struct answer {
	enum hf_verdict verdict;
	uint32_t seq, seen, commit;
};

/* R8 and H2 word by word, over whole logs. */
static struct answer slow_decide(const struct world *w, uint32_t valid)
{
	struct answer a = { .verdict = HF_VERDICT_OK };
	uint32_t has = valid;

	for (uint32_t i = 0; i < w->n; i++) {
		if (!(valid >> i & 1))
			continue;
		a.seen = w->leg[i].log.last > a.seen ? w->leg[i].log.last : a.seen;
		a.commit = w->leg[i].commit > a.commit ? w->leg[i].commit : a.commit;
	}
	if (!slow_is_decodable(w, valid)) {
		a.verdict = HF_VERDICT_TOO_FEW;
		return a;
	}
	while (slow_is_decodable(w, has)) {
		uint32_t s = ++a.seq, epoch = 0;

		has = 0;
		for (uint32_t i = 0; i < w->n; i++) {
			if (!(valid >> i & 1) || w->leg[i].log.last < s)
				continue;
			assert_true(epoch == 0 || epoch == w->leg[i].log.at[s]);
			epoch = w->leg[i].log.at[s];
			has |= 1u << i;
		}
	}
	/* a.seq is the first that does not decode: who lacks it? */
	bool is_clean = false;
	uint32_t lack = 0;

	for (uint32_t i = 0; i < w->n; i++) {
		if ((valid & ~has) >> i & 1) {
			lack++;
			is_clean |= !w->leg[i].suspect;
		}
	}
	a.seq--;
	if (a.commit > a.seq || !(is_clean || lack > w->corrupt_max))
		a.verdict = HF_VERDICT_MAYBE_ACKED;
	return a;
}

static struct hf_decision ask(const struct world *w, uint32_t valid)
{
	struct hf_reply replies[HF_LEGS_MAX] = { 0 };
	struct hf_decision d;

	for (uint32_t i = 0; i < w->n; i++) {
		replies[i] = (struct hf_reply){
			.valid = valid >> i & 1, .suspect = w->leg[i].suspect, .last = w->leg[i].log.last,
			.commit = w->leg[i].commit, .chain = chain_of(&w->leg[i].log), .epochs = w->leg[i].epochs,
		};
	}
	hf_decide(&w->r, replies, w->corrupt_max, &d);
	return d;
}

static void check_decision(struct world *w, uint32_t valid, const struct hf_decision *d, uint64_t seed)
{
	struct answer want = slow_decide(w, valid);

	for (uint32_t s = 1; d->verdict == HF_VERDICT_OK && s <= w->acked.last; s++)
		if (s > d->seq || hf_epoch_cache_at(&d->epochs, s) != w->acked.at[s])
			fail_msg("seed %llu, epoch %llu: op %u was acknowledged and is cut at %llu",
				 (unsigned long long)seed, (unsigned long long)w->epoch, s, (unsigned long long)d->seq);
	if (d->verdict != want.verdict || d->seq * (want.verdict != HF_VERDICT_TOO_FEW) != want.seq ||
	    d->seen != want.seen || d->commit != want.commit)
		fail_msg("seed %llu, epoch %llu: verdict %d up to %llu of %llu, by the rules %d up to %u of %u",
			 (unsigned long long)seed, (unsigned long long)w->epoch, d->verdict,
			 (unsigned long long)d->seq, (unsigned long long)d->seen, want.verdict, want.seq, want.seen);
	/* With every leg there, and not more corrupt than declared, nothing is ever in the way (H2). */
	if (valid == (1u << w->n) - 1)
		assert_int_equal(d->verdict, HF_VERDICT_OK);
	w->decided += d->verdict == HF_VERDICT_OK;
	w->refused += d->verdict == HF_VERDICT_MAYBE_ACKED;
	w->cut += d->verdict == HF_VERDICT_OK && d->seen > d->seq;
}

/* The decided history: as the first leg that reaches its end holds it. */
static struct log decided_log(const struct world *w, uint32_t valid, const struct hf_decision *d)
{
	struct log l = { 0 };

	for (uint32_t i = 0; i < w->n && !l.last; i++)
		if ((valid >> i & 1) && w->leg[i].log.last >= d->seq)
			l = w->leg[i].log;
	l.last = (uint32_t)d->seq;
	assert_int_equal(d->chain, chain_of(&l));
	for (uint32_t s = 1; s <= l.last; s++)
		assert_int_equal(hf_epoch_cache_at(&d->epochs, s), l.at[s]);
	return l;
}

/* One candidate: true when it serves. It may die after some legs adopted its history. */
static bool promote(struct world *w, uint64_t seed)
{
	uint32_t valid = members(w), adopters = 0;
	struct hf_decision d;

	w->epoch++;
	for (uint32_t i = 0; i < w->n; i++)
		if (below(w, 3) == 0)
			valid &= ~(1u << i);
	d = ask(w, valid);
	check_decision(w, valid, &d, seed);
	if (d.verdict != HF_VERDICT_OK ||
	    (slow_tolerance(w, valid) < (int)w->min_tolerance && valid != members(w)))
		return false;
	w->now = decided_log(w, valid, &d);
	w->history = d.epochs;
	hf_epoch_cache_add(&w->history, w->epoch, d.seq + 1);
	for (uint32_t i = 0; i < w->n; i++) {
		struct leg *x = &w->leg[i];

		if (!(valid >> i & 1) || below(w, 6) == 0)
			continue;
		adopters |= 1u << i;
		*x = (struct leg){ .log = w->now, .epochs = w->history, .commit = x->commit, .member = true };
	}
	if (slow_tolerance(w, adopters) < (int)w->min_tolerance && adopters != members(w))
		return false;
	if (!slow_is_decodable(w, adopters) || below(w, 5) == 0)
		return false;
	for (uint32_t i = 0; i < w->n; i++)
		w->leg[i].member = adopters >> i & 1;
	return true;
}

static void test_no_acknowledged_op_is_ever_cut(void **state)
{
	static struct world w;
	uint32_t decided = 0, refused = 0, cut = 0, acked = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 20000; seed++) {
		bool is_served = false;

		begin(&w, seed);
		for (int turn = 0; turn < 30; turn++) {
			if (!is_served) {
				is_served = promote(&w, seed);
				continue;
			}
			for (uint32_t steps = below(&w, 4); steps; steps--) {
				if (below(&w, 3))
					write_ops(&w);
				else
					change_members(&w);
			}
			damage(&w);
			is_served = false;
		}
		decided += w.decided;
		refused += w.refused;
		cut += w.cut;
		acked += w.acked.last;
	}
	/* The worlds are worth something only when all of this happens. */
	print_message("# figure: 20000 worlds, %u ops acknowledged, %u promotions, %u of them cut, %u refused\n", acked,
		      decided, cut, refused);
	assert_true(acked > 20000 && decided > 20000 && cut > 1000 && refused > 1000);
}

/* What no history of ours can be is told, and not walked through op by op. */
static void test_logs_that_are_too_far_apart_are_a_conflict(void **state)
{
	struct hf_decision d = DECIDE(mirror2, upto(100 * HF_WINDOW), upto(1));

	(void)state;
	assert_int_equal(d.verdict, HF_VERDICT_CONFLICT);
	assert_int_equal(d.seq, 1);
	d = DECIDE(mirror2, upto(HF_WINDOW), upto(1));
	assert_int_equal(d.verdict, HF_VERDICT_OK);
	assert_int_equal(d.seq, HF_WINDOW);
}

static void test_an_op_of_no_known_epoch_is_a_conflict(void **state)
{
	struct hf_decision d = DECIDE(mirror2, ((struct hf_reply){ .valid = true, .last = 3 }), upto(0));

	(void)state;
	assert_int_equal(d.verdict, HF_VERDICT_CONFLICT);
}

static void test_one_tail_may_always_be_corrupt(void **state)
{
	struct hf_record r = { .geometry = { 1, 0 } };

	(void)state;
	assert_int_equal(hf_decide_corrupt_max(&r), 1);
	r.geometry.m = 3;
	assert_int_equal(hf_decide_corrupt_max(&r), 3);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal_logs_are_taken_whole),
		cmocka_unit_test(test_what_decodes_is_kept_though_a_clean_leg_lacks_it),
		cmocka_unit_test(test_what_does_not_decode_is_cut_when_a_clean_leg_lacks_it),
		cmocka_unit_test(test_a_suspect_leg_proves_nothing),
		cmocka_unit_test(test_more_legs_than_can_be_corrupt_prove_it),
		cmocka_unit_test(test_suspect_legs_alone_do_not_prove_where_the_log_ends),
		cmocka_unit_test(test_what_is_known_committed_is_never_cut),
		cmocka_unit_test(test_the_newest_epoch_is_not_preferred),
		cmocka_unit_test(test_epochs_end_where_the_history_ends),
		cmocka_unit_test(test_two_ops_under_one_seq_are_a_conflict),
		cmocka_unit_test(test_chains_that_differ_are_a_conflict),
		cmocka_unit_test(test_too_few_legs_decide_nothing),
		cmocka_unit_test(test_no_acknowledged_op_is_ever_cut),
		cmocka_unit_test(test_logs_that_are_too_far_apart_are_a_conflict),
		cmocka_unit_test(test_an_op_of_no_known_epoch_is_a_conflict),
		cmocka_unit_test(test_one_tail_may_always_be_corrupt),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
