/* SPDX-License-Identifier: MIT */
/*
 * arena - memory of one seed, given back as a whole: what a killed host leaves behind goes with it, and the next seed
 * finds its pages touched (a first touch costs more than most of what is then done with the page).
 *
 * A program that is linked with -Wl,--wrap=malloc (and calloc, realloc, free, aligned_alloc, mmap, munmap) allocates
 * here while the arena is open; without that, as under sanitizers, nothing does.
 */
#ifndef HF_TESTS_SIM_ARENA_H
#define HF_TESTS_SIM_ARENA_H

#include <stdbool.h>

/* Does this program allocate here? */
bool arena_is_linked(void);
/* From here on; what came from an earlier opening is void. */
void arena_open(void);
/* No longer. */
void arena_close(void);

#endif
