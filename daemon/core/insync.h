/* SPDX-License-Identifier: MIT */
/*
 * insync - arithmetic on sets of legs: can they decode, how many hosts may still be lost (H4).
 *
 * A set is a bit mask over record->leg[]. Pure functions; no state.
 */
#ifndef HF_CORE_INSYNC_H
#define HF_CORE_INSYNC_H

#include <stdbool.h>
#include <stdint.h>

#include "core/types.h"

typedef uint32_t hf_legs;		/* bit i: record->leg[i] */

#define HF_LEG_BIT(i) ((hf_legs)1 << (i))

/* Do these legs hold every block: one whole leg, or k distinct fragments? */
bool hf_insync_is_decodable(const struct hf_record *r, hf_legs set);
/*
 * Tolerance: the largest number of hosts, whichever they are, whose loss leaves `set` decodable; -1: not decodable as
 * it is. Legs on one host die together.
 */
int hf_insync_tolerance(const struct hf_record *r, hf_legs set);
/* Legs that the record says are in sync. */
hf_legs hf_insync_members(const struct hf_record *r);
/* Every leg of the record. */
hf_legs hf_insync_all(const struct hf_record *r);

#endif
