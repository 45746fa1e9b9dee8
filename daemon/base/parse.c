// SPDX-License-Identifier: MIT
/* parse - checked values from text. */
#include "base/parse.h"

#include <stdbool.h>
#include <string.h>

#include "base/limits.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

int hf_name_check(const char *what, const char *text, struct hf_errmsg *err)
{
	size_t len = strnlen(text, HF_NAME_MAX);

	if (len == 0)
		return hf_fail(err, -EINVAL, "%s is empty: give 1 to %u letters, digits, '.', '_' or '-'", what,
			       HF_NAME_MAX - 1);
	if (len == HF_NAME_MAX)
		return hf_fail(err, -EINVAL, "%s '%.20s...' is too long: at most %u bytes", what, text,
			       HF_NAME_MAX - 1);
	if (text[0] == '-' || text[0] == '.')
		return hf_fail(err, -EINVAL, "%s '%s' starts with '%c': start with a letter, a digit or '_'", what,
			       text, text[0]);
	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (is_letter(c) || is_digit(c) || c == '.' || c == '_' || c == '-')
			continue;
		return hf_fail(err, -EINVAL,
			       "%s has the byte 0x%02x at position %zu: use letters, digits, '.', '_' and '-' only",
			       what, (unsigned char)c, i + 1);
	}
	return 0;
}

/* Digits at *text, which is moved behind them; 0, or -EINVAL (none, or more than 64 bits). */
static int digits(const char **text, uint64_t *out)
{
	const char *p = *text;
	uint64_t v = 0;

	if (!is_digit(*p))
		return -EINVAL;
	for (; is_digit(*p); p++)
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return -EINVAL;
	*text = p;
	*out = v;
	return 0;
}

int hf_number_parse(const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *out,
		    struct hf_errmsg *err)
{
	const char *p = text;
	uint64_t v;

	if (digits(&p, &v) < 0 || *p || v < min || v > max)
		return hf_fail(err, -EINVAL, "%s '%.40s' is not a whole number from %llu to %llu", what, text,
			       (unsigned long long)min, (unsigned long long)max);
	*out = v;
	return 0;
}

/* Shift of a unit: "", K, M, G, T, P, each also with "iB"; negative: not a unit. */
static int unit_shift(const char *unit)
{
	static const char letter[] = "KMGTP";
	const char *at;

	if (!*unit)
		return 0;
	at = strchr(letter, *unit >= 'a' && *unit <= 'z' ? *unit - 'a' + 'A' : *unit);
	if (!at || (unit[1] && strcmp(unit + 1, "iB") != 0))
		return -1;
	return 10 * (int)(at - letter + 1);
}

int hf_size_parse(const char *text, uint64_t *out_bytes, struct hf_errmsg *err)
{
	const char *p = text;
	uint64_t v;
	int shift;

	if (digits(&p, &v) < 0)
		return hf_fail(err, -EINVAL,
			       "size '%.40s' is not a number with a unit: write for example 100G, 512M or 1T", text);
	shift = unit_shift(p);
	if (shift < 0)
		return hf_fail(err, -EINVAL,
			       "size '%.40s' has the unknown unit '%.10s': use K, M, G, T or P (powers of 1024)", text,
			       p);
	if (v > (HF_VOLUME_BLOCKS_MAX * HF_BLOCK) >> shift)
		return hf_fail(err, -EINVAL, "size '%.40s' is too large: at most %lluT", text,
			       (unsigned long long)(HF_VOLUME_BLOCKS_MAX * HF_BLOCK >> 40));
	v <<= shift;
	if (v == 0 || v % HF_BLOCK)
		return hf_fail(err, -EINVAL, "size '%.40s' is not a positive multiple of %u bytes", text, HF_BLOCK);
	*out_bytes = v;
	return 0;
}

int hf_layout_check(uint64_t k, uint64_t m, struct hf_errmsg *err)
{
	if (k == 0 || k > HF_K_MAX || (k & (k - 1)))
		return hf_fail(err, -EINVAL,
			       "layout %llu+%llu: the number of data fragments must be 1, 2, 4 or 8, so that a "
			       "fragment of a 4 KiB block is whole sectors",
			       (unsigned long long)k, (unsigned long long)m);
	if (m > HF_M_MAX)
		return hf_fail(err, -EINVAL, "layout %llu+%llu: at most %u parity fragments", (unsigned long long)k,
			       (unsigned long long)m, HF_M_MAX);
	if (m == 0 && k > 1)
		return hf_fail(err, -EINVAL,
			       "layout %llu+0 has no parity, so no host could be lost: use %llu+1 or more",
			       (unsigned long long)k, (unsigned long long)k);
	return 0;
}

int hf_layout_parse(const char *text, uint8_t *out_k, uint8_t *out_m, struct hf_errmsg *err)
{
	const char *p = text;
	uint64_t k, m;
	int rc;

	if (digits(&p, &k) < 0 || *p++ != '+' || digits(&p, &m) < 0 || *p)
		return hf_fail(err, -EINVAL,
			       "layout '%.40s' is not of the form k+m: write for example 2+1 (two data fragments, "
			       "one parity)",
			       text);
	rc = hf_layout_check(k, m, err);
	if (rc < 0)
		return rc;
	*out_k = (uint8_t)k;
	*out_m = (uint8_t)m;
	return 0;
}
