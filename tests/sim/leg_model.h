/* SPDX-License-Identifier: MIT */
/*
 * leg_model - what one leg may hold, as a list of what it was told: a base, ops since, durable states. An executable
 * form of store/store.h that shares no code with the store.
 *
 * Owns: content by block, which ops are alive under a state, which are cut. Does not own: bytes, disks, time.
 */
#ifndef HF_TESTS_SIM_LEG_MODEL_H
#define HF_TESTS_SIM_LEG_MODEL_H

#include <stdbool.h>

#include "core/types.h"

#define LEG_MODEL_BLOCKS 900u		/* the largest size that a case grows to */
#define LEG_MODEL_CHUNKS (LEG_MODEL_BLOCKS / HF_CHUNK_BLOCKS + 1)
#define LEG_MODEL_OPS 40u
#define LEG_MODEL_STATES 8u

struct leg_name {
	hf_epoch epoch;
	hf_seq seq;			/* 0: zeros */
};

struct leg_content {
	struct leg_name block[LEG_MODEL_BLOCKS];
	hf_seq chunk[LEG_MODEL_CHUNKS];	/* newest op */
	uint64_t size;
};

struct leg_op {
	struct hf_entry e;
	uint64_t ticket;
	bool is_cut;			/* truncated, in memory at least */
};

/* Since `base`, ops; states, the first of which is durable, the others on their way. */
struct leg_model {
	struct leg_content base;
	hf_seq base_seq;
	hf_epoch base_epoch;
	uint32_t base_chain;
	struct leg_op op[LEG_MODEL_OPS];
	uint32_t ops;
	struct hf_leg_state state[LEG_MODEL_STATES];
	uint32_t states;
	hf_seq commit, flushed;
};

/* Does the entry belong to the history of that state? */
bool leg_model_is_alive(const struct hf_leg_state *s, const struct hf_entry *e);
/* The op `seq` of the history of that state; NULL: none since the base. */
const struct leg_op *leg_model_find(const struct leg_model *m, const struct hf_leg_state *s, hf_seq seq);
/* What is to be read when ops up to `commit` are committed; `resync`: with the RESYNC. */
void leg_model_content(const struct leg_model *m, const struct hf_leg_state *s, hf_seq commit, bool resync,
		       struct leg_content *out);
void leg_model_add(struct leg_model *m, const struct hf_entry *e, uint64_t ticket);
/* Ops beyond the commit are given up. */
void leg_model_cut(struct leg_model *m);
/* Last seq that must be there when tickets up to `durable` were told as durable. */
hf_seq leg_model_least(const struct leg_model *m, uint64_t durable);
/* A state was told as durable: it and what came before it is history. */
void leg_model_state_done(struct leg_model *m, hf_epoch promised);
/* Everything up to `seq` is in the image for good: begin there. */
void leg_model_rebase(struct leg_model *m, hf_seq seq);

#endif
