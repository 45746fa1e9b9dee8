// SPDX-License-Identifier: MIT
/*
 * fuzz_etcd - answers of etcd's JSON gateway, cluster/etcd_proto.c. First byte: which answer; bit 7: the rest says what
 * each field of a good answer becomes; else the rest is the text.
 *
 * What is believed satisfies what the header promises; what is refused leaves outputs and rows alone and says why.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cluster/etcd_proto.h"
#include "fuzz/fuzz.h"

#define PREFIX "/h/"
#define UNTOUCHED 0xa5
#define TEXT_MAX (64u << 10)

enum { RANGE, CAS, GRANT, KEPT, LOGIN, NEWS, REFUSAL, ANSWERS };

static char text[TEXT_MAX];
static size_t text_len;

/* what is judged */

static void refused(const void *out, size_t size, int result, const struct hf_errmsg *err)
{
	const uint8_t *p = out;

	hf_assert((result == -EPROTO || result == -EUCLEAN || result == -E2BIG) && err->text[0]);
	for (size_t i = 0; i < size; i++)
		hf_assert(p[i] == UNTOUCHED);
}

static void header_is_good(const struct hf_etcd_header *h)
{
	hf_assert(h->cluster && h->revision && h->revision <= INT64_MAX);
}

static void rows_are_good(const struct hf_cluster_rows *rows, size_t from)
{
	for (size_t i = from; i < rows->count; i++) {
		const struct hf_cluster_item *item = &rows->item[i];

		hf_assert(strlen(item->key) < HF_CLUSTER_KEY_MAX && strlen(item->value) == item->value_len);
		hf_assert(item->value_len <= HF_CLUSTER_VALUE_MAX && item->ver && item->ver <= INT64_MAX);
	}
}

static void try_range(const char *from, size_t len)
{
	struct hf_cluster_rows rows = { 0 };
	struct hf_errmsg err = { "" };
	struct hf_etcd_range r;
	int rc;

	hf_assert(hf_cluster_rows_add(&rows, "a", 1, "first", 5, 1) == 0);
	memset(&r, UNTOUCHED, sizeof(r));
	rc = hf_etcd_range_parse(from, len, PREFIX, "", "a", &rows, &r, &err);
	if (rc) {
		refused(&r, sizeof(r), rc, &err);
		hf_assert(rows.count == 1 && rows.bytes == 6 && strcmp(rows.item[0].value, "first") == 0);
	} else {
		header_is_good(&r.header);
		rows_are_good(&rows, 1);
		for (size_t i = 1; i < rows.count; i++)
			hf_assert(strcmp(rows.item[i - 1].key, rows.item[i].key) < 0);
		hf_assert(!r.more || rows.count > 1);
	}
	hf_cluster_rows_fini(&rows);
}

static void try_cas(const char *from, size_t len)
{
	struct hf_errmsg err = { "" };
	struct hf_etcd_cas c;
	int rc;

	memset(&c, UNTOUCHED, sizeof(c));
	rc = hf_etcd_cas_parse(from, len, 5, false, &c, &err);
	if (rc) {
		refused(&c, sizeof(c), rc, &err);
		return;
	}
	header_is_good(&c.header);
	hf_assert(c.succeeded ? c.header.revision > 5 : c.found_ver != 5);
}

static void try_lease(const char *from, size_t len, bool kept)
{
	struct hf_errmsg err = { "" };
	struct hf_etcd_lease l;
	int rc;

	memset(&l, UNTOUCHED, sizeof(l));
	rc = hf_etcd_lease_parse(from, len, kept, &l, &err);
	if (rc) {
		refused(&l, sizeof(l), rc, &err);
		return;
	}
	header_is_good(&l.header);
	hf_assert(l.id && (kept || l.ttl_s));
}

static void try_login(const char *from, size_t len)
{
	static char token[HF_ETCD_TOKEN_MAX];
	struct hf_errmsg err = { "" };
	int rc;

	memset(token, UNTOUCHED, sizeof(token));
	rc = hf_etcd_login_parse(from, len, token, &err);
	if (rc) {
		refused(token, sizeof(token), rc, &err);
		return;
	}
	hf_assert(token[0] && strlen(token) < sizeof(token));
	for (const char *p = token; *p; p++)
		hf_assert(*p > ' ' && *p <= '~');
}

static void try_news(const char *from, size_t len)
{
	struct hf_errmsg err = { "" };
	struct hf_etcd_news n;
	int rc;

	memset(&n, UNTOUCHED, sizeof(n));
	rc = hf_etcd_news_parse(from, len, PREFIX, &n, &err);
	if (rc) {
		refused(&n, sizeof(n), rc, &err);
		return;
	}
	header_is_good(&n.header);
	rows_are_good(&n.changed, 0);
	hf_cluster_rows_fini(&n.changed);
}

static void try_refusal(const char *from, size_t len)
{
	char words[160];

	hf_assert(hf_etcd_refusal_parse(from, len, words) <= HF_ETCD_FULL);
	for (const char *p = words; *p; p++)
		hf_assert(*p >= ' ' && *p <= '~');
	hf_assert(strlen(words) < sizeof(words));
}

/* good answers, bent */

static void say(const char *s)
{
	size_t len = strlen(s);

	if (text_len + len < TEXT_MAX) {
		memcpy(text + text_len, s, len);
		text_len += len;
	}
}

/* `"key":value`, as it should be unless the input says otherwise: left out, twice, another. */
static void field(struct fuzz_in *in, const char *key, const char *value)
{
	static const char *const odd[] = {
		"null", "true", "false", "0", "1", "5", "\"0\"", "\"1\"", "\"5\"", "\"6\"", "\"-1\"", "\"\"", "[]",
		"{}",
		"\"9223372036854775807\"", "\"9223372036854775808\"", "\"18446744073709551615\"", "[[]]", "[{}]",
		"\"18446744073709551616\"", "\"L2gvYg==\"", "\"L2gv\"", "\"L2gvAA==\"", "\"=\"", "\"====\"", "\"AA==\"",
		"\"\\u0000\"", "\"\\u00ff\"", "16", "11", "7", "3", "\"etcdserver: user name is empty\"",
	};
	uint8_t what = fuzz_u8(in);

	if (what == 1)
		return;
	for (int n = what == 2 ? 2 : 1; n > 0; n--) {
		if (text[text_len - 1] != '{')
			say(",");
		say("\"");
		say(key);
		say("\":");
		say(what > 2 ? odd[what % (sizeof(odd) / sizeof(odd[0]))] : value);
	}
}

/* `"key":` and what the caller says next; false: it is left out or another. */
static bool opens(struct fuzz_in *in, const char *key, const char *bracket)
{
	if (fuzz_u8(in) & 1) {
		field(in, key, "{}");
		return false;
	}
	if (text[text_len - 1] != '{')
		say(",");
	say("\"");
	say(key);
	say("\":");
	say(bracket);
	return true;
}

static void header(struct fuzz_in *in)
{
	if (!opens(in, "header", "{"))
		return;
	field(in, "cluster_id", "\"14841639068965178418\"");
	field(in, "revision", "\"9\"");
	say("}");
}

static void pair(struct fuzz_in *in)
{
	static const char *const keys[] = { "\"L2gvYg==\"", "\"L2gvYw==\"", "\"L2gvZA==\"", "\"L2kvYg==\"" };

	say("{");
	field(in, "key", keys[fuzz_u8(in) % 4]);
	field(in, "mod_revision", "\"4\"");
	field(in, "value", "\"dmFsdWU=\"");
	say("}");
}

static void pairs(struct fuzz_in *in, const char *key, bool wrapped)
{
	unsigned int count = fuzz_u8(in) % 4;

	if (!opens(in, key, "["))
		return;
	for (unsigned int i = 0; i < count; i++) {
		say(i ? "," : "");
		say(wrapped ? "{\"kv\":" : "");
		pair(in);
		say(wrapped ? "}" : "");
	}
	say("]");
}

static void compose(struct fuzz_in *in, uint8_t what)
{
	bool stream = (what == KEPT || what == NEWS) && opens(in, "result", "{");

	switch (what) {
	case RANGE:
		header(in);
		pairs(in, "kvs", false);
		field(in, "more", "false");
		break;
	case CAS:
		header(in);
		field(in, "succeeded", "true");
		if (opens(in, "responses", "[{")) {
			if (opens(in, "response_range", "{")) {
				pairs(in, "kvs", false);
				say("}");
			}
			say("}]");
		}
		break;
	case GRANT:
	case KEPT:
		header(in);
		field(in, "ID", "\"7\"");
		field(in, "TTL", "\"5\"");
		break;
	case LOGIN:
		header(in);
		field(in, "token", "\"abc.9\"");
		break;
	case NEWS:
		header(in);
		field(in, "created", "true");
		field(in, "canceled", "false");
		field(in, "compact_revision", "\"3\"");
		pairs(in, "events", true);
		break;
	default:
		field(in, "error", "\"etcdserver: invalid auth token\"");
		field(in, "code", "16");
		field(in, "message", "\"etcdserver: invalid auth token\"");
		break;
	}
	say(stream ? "}" : "");
}

void fuzz_one(const uint8_t *data, size_t len)
{
	struct fuzz_in in = { data, len };
	uint8_t how = fuzz_u8(&in), what = (how & 0x7f) % ANSWERS;
	char *exact;

	text_len = 0;
	if (how & 0x80) {
		say("{");
		compose(&in, what);
		say("}");
	} else if (in.left < TEXT_MAX) {
		memcpy(text, in.p, in.left);
		text_len = in.left;
	}
	exact = malloc(text_len + !text_len);	/* no NUL behind it: reading past it is found */
	hf_assert(exact);
	memcpy(exact, text, text_len);
	switch (what) {
	case RANGE:
		try_range(exact, text_len);
		break;
	case CAS:
		try_cas(exact, text_len);
		break;
	case GRANT:
	case KEPT:
		try_lease(exact, text_len, what == KEPT);
		break;
	case LOGIN:
		try_login(exact, text_len);
		break;
	case NEWS:
		try_news(exact, text_len);
		break;
	default:
		try_refusal(exact, text_len);
		break;
	}
	free(exact);
}
