/* SPDX-License-Identifier: MIT */
/*
 * leg_case - one leg that lives through a word, its model beside it, and a second host that opens what a power cut
 * left (leg_judge.c) at every moment at which the disk holds or risks something else (leg_cuts.c).
 *
 * A word is calls, a letter each:
 *   w n o x e  write one block (again and again), its neighbour, over both, over a chunk's edge, near the end
 *   z g y      zeros; grow; RESYNC of a block
 *   c k p      commit all; checkpoint; a new promise (the last two go on while the next letters come)
 *   a t        adopt a new epoch; truncate to commit under a new epoch
 *   r R        reset, and with a wipe
 *   s .        wait until all is durable; until nothing is under way
 */
#ifndef HF_TESTS_SIM_LEG_CASE_H
#define HF_TESTS_SIM_LEG_CASE_H

#include "sim/leg_model.h"
#include "sim/leg_sim.h"

#define LEG_CASE_LETTERS "wnoxezgyckpatrR"
#define LEG_CASE_SLOTS 8u

/* How a leg has lived when its word begins. */
enum leg_start {
	LEG_START_PLAIN,		/* two ops in its image, one that is not committed in its log */
	LEG_START_AT_END,		/* its ring was filled once: a batch of more than a page begins it again */
	LEG_START_GHOSTS,		/* ops that were cut lie in the ring, and one of the new epoch */
	LEG_START_LOADED,		/* half of the ring is ops that are not committed */
	LEG_START_COUNT
};

/* How the letters come: all at once, some events apart, each when the one before has come to rest. */
enum leg_pace { LEG_PACE_TOGETHER, LEG_PACE_APART, LEG_PACE_SETTLED, LEG_PACE_COUNT };

struct leg_case_flush {
	struct hf_store_flush f;
	struct leg_case *c;
	hf_seq seq;			/* what it has to apply */
	bool is_busy;
};

struct leg_case_put {
	struct hf_store_put p;
	struct leg_case *c;
	bool is_busy;
};

struct leg_cuts {
	bool is_on;
	uint32_t all_up_to;		/* every subset of at most that many sectors or pages; beyond: a sample */
	uint32_t turn;			/* images of this case */
	uint64_t seen;			/* what the disk held and the model said when cuts were last made */
	/* again: of cuts while a cut was recovered from; later: while the leg then went on */
	uint64_t moments, images, sampled, again, later;
};

struct leg_case {
	struct leg_sim leg, second;	/* the one that lives; the one that opens what a cut left */
	struct leg_model now, after;	/* after: once the reset under way is durable */
	bool is_resetting, is_wiping, allows_bad, has_resync;
	struct leg_case_flush flush[LEG_CASE_SLOTS];
	struct leg_case_put put[LEG_CASE_SLOTS];
	hf_epoch newest_epoch;
	char word[24];
	uint8_t k;
	enum leg_start start;
	enum leg_pace pace;
	struct leg_cuts cuts;
	uint64_t bad;
	uint64_t rng, pace_rng;		/* apart: what is cut does not change how the letters come */
	struct sim_image *second_cut;
	uint32_t second_cut_at;
};

/* Zeroed `c`; `second` runs in a world of its own that serves all cases of this process. */
void leg_case_init(struct leg_case *c);
void leg_case_fini(struct leg_case *c);
/* A leg of k data fragments, lived so far as `start` says, with a world of its own. */
void leg_case_start(struct leg_case *c, uint8_t k, enum leg_start start, uint64_t seed);
/* Letters until the word ends or the store fails, then until all calls are answered (asserted). */
void leg_case_run(struct leg_case *c, const char *word, enum leg_pace pace);
int leg_case_letter(struct leg_case *c, char letter);
bool leg_case_is_busy(const struct leg_case *c);
void leg_case_finish(struct leg_case *c);
uint64_t leg_case_draw(struct leg_case *c, uint64_t n);

/* leg_judge.c: open what `image` holds on the second host and compare; counts and prints what is wrong. */
void leg_judge(struct leg_case *c, const struct sim_image *image);
/* The second host has it open already. */
bool leg_judge_opened(struct leg_case *c);
bool leg_case_wrong(struct leg_case *c, const char *what, uint64_t a, uint64_t b);

/* leg_cuts.c: now and then, a cut of the second host at its next moment that has something to lose: second_cut. */
void leg_cuts_arm(struct leg_case *c);
/* After every step of the leg's world. */
void leg_cuts_step(struct leg_sim *l);
/* One image of this moment, each page kept, dropped or torn as `pattern` says (leg_cuts.c), and judged. */
enum leg_cut { LEG_CUT_NONE, LEG_CUT_ALL, LEG_CUT_RANDOM };
void leg_cuts_one(struct leg_case *c, enum leg_cut how);
struct sim_image *leg_cuts_image(struct leg_case *c, enum leg_cut how);

#endif
