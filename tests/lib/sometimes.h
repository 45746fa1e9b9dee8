/* SPDX-License-Identifier: MIT */
/* sometimes - names of the coverage points of daemon/base/sometimes.h, for those who print them. */
#ifndef HF_TESTS_LIB_SOMETIMES_H
#define HF_TESTS_LIB_SOMETIMES_H

#include "base/sometimes.h"

const char *sometimes_name(enum hf_sometimes point);
const char *sometimes_words(enum hf_sometimes point);

#endif
