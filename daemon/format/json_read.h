/* SPDX-License-Identifier: MIT */
/*
 * json_read - read a JSON object that is not trusted: every field typed and range-checked, unknown fields refused.
 *
 * The first failure sticks: later calls do nothing, hf_json_end() returns it. Outputs of fields that were not read are
 * untouched. Shared by the records of the cluster store and the arguments of the control socket.
 */
#ifndef HF_FORMAT_JSON_READ_H
#define HF_FORMAT_JSON_READ_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/uuid.h"

/*
 * Before anything else in a process: jansson's allocations stop it when they fail. Left alone, jansson goes on: it
 * takes a good text for a bad one, and writes one with bytes missing.
 */
void hf_json_init(void);

struct hf_json_reader {
	const json_t *object;
	const char *what;		/* the object's name in messages */
	struct hf_errmsg *err;
	size_t taken;			/* fields asked for and present */
	int result;
};

/* `object` may be of any type, or NULL: then the first failure is "is not an object". */
void hf_json_begin(struct hf_json_reader *j, const json_t *object, const char *what, struct hf_errmsg *err);
/* Is the field there? Does not count as reading it. */
bool hf_json_has(const struct hf_json_reader *j, const char *key);
/* A string of fewer than `size` bytes without NUL bytes. */
void hf_json_string(struct hf_json_reader *j, const char *key, char *out, size_t size);
void hf_json_u64(struct hf_json_reader *j, const char *key, uint64_t min, uint64_t max, uint64_t *out);
void hf_json_bool(struct hf_json_reader *j, const char *key, bool *out);
void hf_json_uuid(struct hf_json_reader *j, const char *key, struct hf_uuid *out);
/* An array of at most `max` elements, an object: borrowed from the reader's object; NULL after a failure. */
const json_t *hf_json_array(struct hf_json_reader *j, const char *key, size_t max);
const json_t *hf_json_object(struct hf_json_reader *j, const char *key);
/* Refuse the object for a reason of the caller's. */
void hf_json_refuse(struct hf_json_reader *j, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* 0, or -EINVAL: the first failure, or fields that nobody asked for. */
int hf_json_end(struct hf_json_reader *j);

#endif
