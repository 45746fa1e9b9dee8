// SPDX-License-Identifier: MIT
/* uuid - text form of identities (RFC 9562). */
#include "base/uuid.h"

#include <errno.h>

bool hf_uuid_is_zero(const struct hf_uuid *u)
{
	static const struct hf_uuid zero;

	return hf_uuid_is_equal(u, &zero);
}

static bool dash_before(int i)
{
	return i == 4 || i == 6 || i == 8 || i == 10;
}

char *hf_uuid_format(const struct hf_uuid *u, char out[HF_UUID_TEXT])
{
	static const char hex[] = "0123456789abcdef";
	char *p = out;

	for (int i = 0; i < 16; i++) {
		if (dash_before(i))
			*p++ = '-';
		*p++ = hex[u->b[i] >> 4];
		*p++ = hex[u->b[i] & 15];
	}
	*p = '\0';
	return out;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

int hf_uuid_parse(const char *text, struct hf_uuid *out)
{
	struct hf_uuid u;

	if (strlen(text) != HF_UUID_TEXT - 1)
		return -EINVAL;
	for (int i = 0; i < 16; i++) {
		int hi, lo;

		if (dash_before(i) && *text++ != '-')
			return -EINVAL;
		hi = hex_value(*text++);
		lo = hex_value(*text++);
		if (hi < 0 || lo < 0)
			return -EINVAL;
		u.b[i] = (uint8_t)(hi << 4 | lo);
	}
	*out = u;
	return 0;
}

void hf_uuid_stamp(struct hf_uuid *u)
{
	u->b[6] = (uint8_t)((u->b[6] & 0x0f) | 0x40);
	u->b[8] = (uint8_t)((u->b[8] & 0x3f) | 0x80);
}
