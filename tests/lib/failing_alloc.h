/* SPDX-License-Identifier: MIT */
/*
 * failing_alloc - the nth allocation of the product fails, once or from then on.
 *
 * Programs named test_memory_* are linked with copies of the layers whose calls of malloc and its kin were renamed
 * (failing_alloc.syms), so only those are counted and fail, not the simulator's and the tests' own. Those of jansson
 * come through the product, those of SQLite by its own hooks.
 */
#ifndef HF_TESTS_LIB_FAILING_ALLOC_H
#define HF_TESTS_LIB_FAILING_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Before anything else: hooks of libraries. */
void failing_alloc_init(void);
/* The nth allocation from now (1: the next) fails, `is_sticky`: and all after it. */
void failing_alloc_arm(uint64_t nth, bool is_sticky);
void failing_alloc_disarm(void);
/* Did one fail since it was armed? */
bool failing_alloc_came(void);
/* Blocks that the product holds now. */
int64_t failing_alloc_live(void);
/* Run fn; false: the product stopped itself by an assertion. What it was doing is left as it is. */
bool failing_alloc_try(void (*fn)(void *ctx), void *ctx);
/* Free what the product handed out. */
void failing_alloc_free(void *p);

#endif
