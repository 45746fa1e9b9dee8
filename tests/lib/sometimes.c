// SPDX-License-Identifier: MIT
/* sometimes - the counters of the coverage points, and what they are called. */
#include "lib/sometimes.h"

uint32_t hf_sometimes_count[HF_SOMETIMES_COUNT];

static const char *const names[] = {
#define X(name, words) #name,
	HF_SOMETIMES_POINTS(X)
#undef X
};

static const char *const words_of[] = {
#define X(name, words) words,
	HF_SOMETIMES_POINTS(X)
#undef X
};

const char *sometimes_name(enum hf_sometimes point)
{
	return names[point];
}

const char *sometimes_words(enum hf_sometimes point)
{
	return words_of[point];
}
