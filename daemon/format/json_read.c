// SPDX-License-Identifier: MIT
/* json_read - checked fields of an untrusted JSON object. */
#include "format/json_read.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

void hf_json_init(void)
{
	json_set_alloc_funcs(hf_must_malloc, hf_must_free);
}

void hf_json_begin(struct hf_json_reader *j, const json_t *object, const char *what, struct hf_errmsg *err)
{
	*j = (struct hf_json_reader){ .object = object, .what = what, .err = err };
	if (!json_is_object(object))
		hf_json_refuse(j, "is not a JSON object");
}

bool hf_json_has(const struct hf_json_reader *j, const char *key)
{
	return json_object_get(j->object, key) != NULL;
}

void hf_json_refuse(struct hf_json_reader *j, const char *format, ...)
{
	char why[256];
	va_list ap;

	if (j->result < 0)
		return;
	va_start(ap, format);
	vsnprintf(why, sizeof(why), format, ap);
	va_end(ap);
	j->result = hf_fail(j->err, -EINVAL, "%s %s", j->what, why);
}

/* The field's value, or NULL with the failure noted. */
static const json_t *take(struct hf_json_reader *j, const char *key)
{
	const json_t *v;

	if (j->result < 0)
		return NULL;
	v = json_object_get(j->object, key);
	if (v)
		j->taken++;
	else
		hf_json_refuse(j, "has no field '%s'", key);
	return v;
}

void hf_json_string(struct hf_json_reader *j, const char *key, char *out, size_t size)
{
	const json_t *v = take(j, key);
	size_t len;

	if (!v)
		return;
	len = json_string_length(v);
	if (!json_is_string(v))
		hf_json_refuse(j, "has a field '%s' that is not a string", key);
	else if (len >= size)
		hf_json_refuse(j, "has a field '%s' of %zu bytes: at most %zu are allowed", key, len, size - 1);
	else if (strlen(json_string_value(v)) != len)
		hf_json_refuse(j, "has a field '%s' with a NUL byte in it", key);
	else
		memcpy(out, json_string_value(v), len + 1);
}

void hf_json_u64(struct hf_json_reader *j, const char *key, uint64_t min, uint64_t max, uint64_t *out)
{
	const json_t *v = take(j, key);
	json_int_t n;

	if (!v)
		return;
	n = json_integer_value(v);
	if (!json_is_integer(v))
		hf_json_refuse(j, "has a field '%s' that is not a whole number", key);
	else if (n < 0 || (uint64_t)n < min || (uint64_t)n > max)
		hf_json_refuse(j, "has a field '%s' of %lld: it must be from %llu to %llu", key, (long long)n,
			       (unsigned long long)min, (unsigned long long)max);
	else
		*out = (uint64_t)n;
}

void hf_json_bool(struct hf_json_reader *j, const char *key, bool *out)
{
	const json_t *v = take(j, key);

	if (!v)
		return;
	if (json_is_boolean(v))
		*out = json_is_true(v);
	else
		hf_json_refuse(j, "has a field '%s' that is neither true nor false", key);
}

void hf_json_uuid(struct hf_json_reader *j, const char *key, struct hf_uuid *out)
{
	char text[HF_UUID_TEXT] = "";

	hf_json_string(j, key, text, sizeof(text));
	if (j->result == 0 && hf_uuid_parse(text, out) < 0)
		hf_json_refuse(j, "has a field '%s' that is not a uuid", key);
}

const json_t *hf_json_array(struct hf_json_reader *j, const char *key, size_t max)
{
	const json_t *v = take(j, key);

	if (v && !json_is_array(v))
		hf_json_refuse(j, "has a field '%s' that is not an array", key);
	else if (json_array_size(v) > max)
		hf_json_refuse(j, "has a field '%s' of %zu elements: at most %zu are allowed", key, json_array_size(v),
			       max);
	return j->result < 0 ? NULL : v;
}

const json_t *hf_json_object(struct hf_json_reader *j, const char *key)
{
	const json_t *v = take(j, key);

	if (v && !json_is_object(v))
		hf_json_refuse(j, "has a field '%s' that is not an object", key);
	return j->result < 0 ? NULL : v;
}

int hf_json_end(struct hf_json_reader *j)
{
	if (j->result == 0 && j->taken != json_object_size(j->object))
		hf_json_refuse(j, "has %zu fields that this version does not know",
			       json_object_size(j->object) - j->taken);
	return j->result;
}
