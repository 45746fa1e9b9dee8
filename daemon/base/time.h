/* SPDX-License-Identifier: MIT */
/* time - nanoseconds of CLOCK_BOOTTIME as a number; there is no clock in this layer. */
#ifndef HF_BASE_TIME_H
#define HF_BASE_TIME_H

#include <stdint.h>

typedef uint64_t hf_nsec;

#define HF_NEVER UINT64_MAX

#endif
