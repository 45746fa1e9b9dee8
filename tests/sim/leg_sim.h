/* SPDX-License-Identifier: MIT */
/*
 * leg_sim - one leg store alone on a simulated disk, driven from outside of its host: each call runs the world until
 * its answer is there.
 *
 * Content is made of its op's name: two fragments are equal only if epoch, seq and block are.
 */
#ifndef HF_TESTS_SIM_LEG_SIM_H
#define HF_TESTS_SIM_LEG_SIM_H

#include "sim/sim.h"
#include "store/store.h"

#define LEG_SIM_PATH "/leg"

struct leg_sim {
	struct sim_world *w;
	uint32_t host;
	struct hf_store_params params;
	uint32_t frag;			/* bytes of a fragment */
	struct hf_store *s;
	/* where the log goes on */
	hf_epoch epoch;
	hf_seq seq;
	uint32_t chain;
	uint64_t ticket;		/* of the last append */
	/* what the store told */
	uint64_t durable;
	hf_seq durable_seq;
	uint32_t rooms, failures;
	char why[200];			/* of an open that failed */
	/* after every step of the world, and for every durable(); NULL: nothing */
	void (*stepped)(struct leg_sim *l);
	void (*told)(struct leg_sim *l);
	void *ctx;
};

/* A leg of a k + 1 volume, or a full one (k 1). The host is up. */
void leg_sim_init(struct leg_sim *l, struct sim_world *w, uint8_t k, uint64_t size_blocks, uint32_t log_bytes);
int leg_sim_format(struct leg_sim *l);
/* Also where the log goes on; expect: NULL for any. */
int leg_sim_open(struct leg_sim *l, const struct hf_leg_identity *expect);
void leg_sim_close(struct leg_sim *l);

/* The next op; what its content is follows from leg_sim_fill(). */
void leg_sim_next(const struct leg_sim *l, struct hf_entry *e, uint8_t type, uint64_t lba, uint32_t nblocks);
void leg_sim_fill(const struct leg_sim *l, hf_epoch epoch, hf_seq seq, uint64_t lba, void *frag);
/* Append an entry with the content of its name; 0 or what the store said. */
int leg_sim_put(struct leg_sim *l, const struct hf_entry *e);
int leg_sim_append(struct leg_sim *l, uint8_t type, uint64_t lba, uint32_t nblocks);
/* A RESYNC of blocks as of `seq`; its content has the name (LEG_SIM_RESYNC, seq). */
#define LEG_SIM_RESYNC 999u
int leg_sim_resync(struct leg_sim *l, hf_seq seq, uint64_t lba, uint32_t nblocks);

/* Run until *flag, or false when nothing can happen any more. */
bool leg_sim_wait(struct leg_sim *l, const bool *flag);
void leg_sim_steps(struct leg_sim *l, uint32_t n);
/* Run until every append is durable; 0, or -EIO when the store has failed, or -ETIMEDOUT when it hangs. */
int leg_sim_settle(struct leg_sim *l);
/* All of these return what `done` got, or -ETIMEDOUT. */
int leg_sim_checkpoint(struct leg_sim *l);
int leg_sim_state(struct leg_sim *l, const struct hf_leg_state *state);
int leg_sim_reset(struct leg_sim *l, struct hf_store_reset *x);
int leg_sim_read(struct leg_sim *l, uint64_t lba, uint32_t nblocks, struct hf_store_read *rd);
/* Block `lba` of the last read is the content of (epoch, seq); seq 0: zeros. */
bool leg_sim_is(const struct leg_sim *l, const struct hf_store_read *rd, uint64_t lba, hf_epoch epoch, hf_seq seq);

#endif
