// SPDX-License-Identifier: MIT
/*
 * fuzz_record - the values of the cluster store, format/record.c. First byte: bit 0 a host's record, else a volume's;
 * bit 1: the rest says what each field of a good record becomes; else the rest is the text.
 *
 * What is taken over encodes to text that decodes to the same and encodes to the same text; what is refused leaves the
 * output alone and says why.
 */
#include <stdio.h>
#include <stdlib.h>

#include "format/record.h"
#include "fuzz/fuzz.h"

#define UNTOUCHED 0xa5
#define TEXT_MAX (64u << 10)

enum { HOST = 1, FIELDS = 2 };

static char text[TEXT_MAX];
static size_t text_len;

static void refused(const void *out, size_t size, int result, const struct hf_errmsg *err)
{
	const uint8_t *p = out;

	hf_assert(result == -EUCLEAN && err->text[0]);
	for (size_t i = 0; i < size; i++)
		hf_assert(p[i] == UNTOUCHED);
}

#define RECORD(name, type, decode, encode) \
	static void try_##name(const char *from) \
	{ \
		static struct type a, b; \
		struct hf_errmsg err = { "" }; \
		char *first, *second; \
		int ret; \
		memset(&a, UNTOUCHED, sizeof(a)); \
		ret = decode(from, &a, &err); \
		if (ret) { \
			refused(&a, sizeof(a), ret, &err); \
			return; \
		} \
		hf_assert(encode(&a, &first) == 0); \
		hf_assert(decode(first, &b, &err) == 0); \
		hf_assert(encode(&b, &second) == 0 && strcmp(first, second) == 0); \
		free(first); \
		free(second); \
	}

RECORD(volume, hf_record, hf_record_decode, hf_record_encode)
RECORD(host, hf_host_record, hf_host_record_decode, hf_host_record_encode)

static void say(const char *s, size_t len)
{
	if (text_len + len < TEXT_MAX) {
		memcpy(text + text_len, s, len);
		text_len += len;
	}
}

static void say_text(const char *s)
{
	say(s, strlen(s));
}

/* A value that is not the good one. */
static void other_value(struct fuzz_in *in, uint8_t which)
{
	static const char *const odd[] = {
		"null", "true", "false", "0", "1", "2", "3", "4", "8", "12", "255", "-1", "9223372036854775807",
		"17179869184", "1e3", "\"\"", "\"full\"", "\"a\"", "\"b\"", "\"tcp:1.2.3.4:5\"", "[]", "{}",
		"\"00000000-0000-0000-0000-000000000000\"", "\"11111111-1111-4111-8111-111111111111\"", "[[[[]]]]",
	};
	uint8_t raw[80];
	char number[24];

	if (which == 255) {
		snprintf(number, sizeof(number), "%lld", (long long)fuzz_u64(in));
		say_text(number);
	} else if (which == 254) {
		uint8_t n = fuzz_u8(in) % sizeof(raw);

		fuzz_take(in, raw, n);
		say_text("\"");
		say((const char *)raw, n);
		say_text("\"");
	} else {
		say_text(odd[which % (sizeof(odd) / sizeof(odd[0]))]);
	}
}

/* `,"key":value`, as it should be unless the input says otherwise: left out, twice, another. */
static void field(struct fuzz_in *in, const char *key, const char *value)
{
	uint8_t what = fuzz_u8(in);

	if (what == 1)
		return;
	for (int n = what == 2 ? 2 : 1; n > 0; n--) {
		if (text[text_len - 1] != '{')
			say_text(",");
		say_text("\"");
		say_text(key);
		say_text("\":");
		if (what > 2)
			other_value(in, what);
		else
			say_text(value);
	}
}

static void leg(struct fuzz_in *in, unsigned int i)
{
	char uuid[48], host[8], frag[8];

	snprintf(uuid, sizeof(uuid), "\"2222222%x-1111-4111-8111-111111111111\"", i % 16);
	snprintf(host, sizeof(host), "\"h%u\"", i);
	snprintf(frag, sizeof(frag), "%u", i);
	say_text("{");
	field(in, "uuid", uuid);
	field(in, "host", host);
	field(in, "frag", i < 12 ? frag : "\"full\"");
	field(in, "insync", "true");
	field(in, "activated", "0");
	say_text("}");
}

static void volume_fields(struct fuzz_in *in)
{
	static const char uuid[] = "\"11111111-1111-4111-8111-111111111111\"";
	unsigned int legs = fuzz_u8(in) % (HF_LEGS_MAX + 2);

	field(in, "format", "1");
	field(in, "cluster", uuid);
	field(in, "volume", uuid);
	field(in, "lineage", uuid);
	field(in, "nonce", uuid);
	field(in, "name", "\"db42\"");
	field(in, "tenant", "\"t\"");
	field(in, "size_blocks", "1024");
	field(in, "k", "2");
	field(in, "m", "1");
	field(in, "min_tolerance", "0");
	field(in, "epoch", "3");
	field(in, "claimed_from", "0");
	field(in, "incarnation", uuid);
	field(in, "primary", "\"h0\"");
	say_text(",\"legs\":[");
	for (unsigned int i = 0; i < legs; i++) {
		if (i)
			say_text(",");
		leg(in, i);
	}
	say_text("]");
}

static void host_fields(struct fuzz_in *in)
{
	static const char uuid[] = "\"11111111-1111-4111-8111-111111111111\"";

	field(in, "format", "1");
	field(in, "name", "\"h0\"");
	field(in, "addr", "\"tcp:127.0.0.1:7000\"");
	field(in, "domain", "\"rack\"");
	field(in, "incarnation", uuid);
	field(in, "boot", uuid);
}

void fuzz_one(const uint8_t *data, size_t len)
{
	struct fuzz_in in = { data, len };
	uint8_t how = fuzz_u8(&in);
	char *exact;

	text_len = 0;
	if (how & FIELDS) {
		say_text("{");
		(how & HOST ? host_fields : volume_fields)(&in);
		say_text("}");
	} else {
		say((const char *)in.p, in.left);
	}
	exact = malloc(text_len + 1);		/* reading past it is found */
	hf_assert(exact);
	memcpy(exact, text, text_len);
	exact[text_len] = '\0';
	(how & HOST ? try_host : try_volume)(exact);
	free(exact);
}
