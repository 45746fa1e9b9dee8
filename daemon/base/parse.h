/* SPDX-License-Identifier: MIT */
/*
 * parse - what operators type (names, sizes, layouts, numbers) to checked values, with words for what is wrong.
 *
 * Used alike by the command line, the control socket and the readers of records, so that one rule holds everywhere.
 */
#ifndef HF_BASE_PARSE_H
#define HF_BASE_PARSE_H

#include <stdint.h>

#include "base/err.h"

/*
 * Letters, digits, '.', '_', '-'; 1..63 bytes; not starting with '-' or '.': fit for a file name, a key and an export
 * name. `what` names the thing in the message ("volume name"). 0 or -EINVAL.
 */
int hf_name_check(const char *what, const char *text, struct hf_errmsg *err);
/* Decimal digits only, in [min, max]. 0, or -EINVAL with *out untouched. */
int hf_number_parse(const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *out,
		    struct hf_errmsg *err);
/*
 * "100G", "512MiB", "1T", or bytes without a unit; units are powers of 1024. A volume's size: a multiple of HF_BLOCK,
 * 1..HF_VOLUME_BLOCKS_MAX blocks. 0, or -EINVAL with *out untouched.
 */
int hf_size_parse(const char *text, uint64_t *out_bytes, struct hf_errmsg *err);
/*
 * "k+m": k in {1, 2, 4, 8}, m in 1..HF_M_MAX; also "1+0", which is whole copies without a second fragment and needs a
 * full leg beside it to mirror anything. 0, or -EINVAL with both outputs untouched.
 */
int hf_layout_parse(const char *text, uint8_t *out_k, uint8_t *out_m, struct hf_errmsg *err);
/* The rule behind hf_layout_parse() for values from elsewhere. */
int hf_layout_check(uint64_t k, uint64_t m, struct hf_errmsg *err);

#endif
