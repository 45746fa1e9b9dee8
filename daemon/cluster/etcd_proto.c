// SPDX-License-Identifier: MIT
/*
 * etcd_proto - texts of etcd's v3 JSON gateway: protobuf's JSON form, in which 64-bit numbers are strings, bytes are
 * base64, and a field with its default value (0, false, empty) is left out.
 */
#include "cluster/etcd_proto.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define TEXT_KEY_MAX (HF_ETCD_PREFIX_MAX + HF_CLUSTER_KEY_MAX)

/* base64 (RFC 4648 section 4), with padding */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static json_t *base64(const void *data, size_t len)
{
	const uint8_t *p = data;
	char *out = hf_must_malloc((len + 2) / 3 * 4 + 1), *to = out;
	json_t *json;

	for (size_t i = 0; i < len; i += 3) {
		uint32_t three = (uint32_t)p[i] << 16 | (i + 1 < len ? (uint32_t)p[i + 1] << 8 : 0) |
				 (i + 2 < len ? p[i + 2] : 0);

		*to++ = alphabet[three >> 18];
		*to++ = alphabet[three >> 12 & 63];
		*to++ = i + 1 < len ? alphabet[three >> 6 & 63] : '=';
		*to++ = i + 2 < len ? alphabet[three & 63] : '=';
	}
	*to = '\0';
	json = json_string(out);
	hf_must_free(out);
	return json;
}

static int sextet(char c)
{
	const char *at = c ? strchr(alphabet, c) : NULL;

	return at ? (int)(at - alphabet) : -1;
}

/* Bytes on the heap with a NUL behind them, or NULL when it is not the one base64 form of some bytes. */
static char *unbase64(const char *text, size_t len, size_t *out_len)
{
	size_t pad = len && text[len - 1] == '=' ? 1 + (len > 1 && text[len - 2] == '=') : 0, n = 0;
	uint32_t bits = 0;
	char *out;

	if (len % 4)
		return NULL;
	out = hf_must_malloc(len / 4 * 3 + 1);
	for (size_t i = 0; i < len - pad; i++) {
		int six = sextet(text[i]);

		if (six < 0)
			goto bad;
		bits = bits << 6 | (uint32_t)six;
		if (i % 4 == 3) {
			out[n++] = (char)(bits >> 16);
			out[n++] = (char)(bits >> 8);
			out[n++] = (char)bits;
			bits = 0;
		}
	}
	/* What the last bytes leave over has to be zero. */
	if (pad == 1) {
		out[n++] = (char)(bits >> 10);
		out[n++] = (char)(bits >> 2);
		bits &= 3;
	} else if (pad == 2) {
		out[n++] = (char)(bits >> 4);
		bits &= 15;
	}
	if (bits)
		goto bad;
	out[n] = '\0';
	*out_len = n;
	return out;
bad:
	hf_must_free(out);
	return NULL;
}

/* requests */

static char *text_of(json_t *json)
{
	char *text = json_dumps(json, JSON_COMPACT);

	hf_assert(json && text);
	json_decref(json);
	return text;
}

static size_t full_key(const char *prefix, const char *key, char out[TEXT_KEY_MAX])
{
	size_t a = strlen(prefix), b = strlen(key);

	hf_assert(a < HF_ETCD_PREFIX_MAX && b < HF_CLUSTER_KEY_MAX);
	memcpy(out, prefix, a);
	memcpy(out + a, key, b + 1);
	return a + b;
}

static json_t *key_json(const char *prefix, const char *key)
{
	char full[TEXT_KEY_MAX];
	size_t len = full_key(prefix, key, full);

	return base64(full, len);
}

/* The first key behind all that start with prefix + key: keys are text, whose bytes are below 0xff. */
static json_t *end_json(const char *prefix, const char *key)
{
	char full[TEXT_KEY_MAX];
	size_t len = full_key(prefix, key, full);

	full[len - 1]++;
	return base64(full, len);
}

static json_t *number_json(uint64_t n)
{
	return json_sprintf("%llu", (unsigned long long)n);
}

char *hf_etcd_get_text(const char *prefix, const char *key, bool keys_only)
{
	/* No "serializable": a range is linearizable unless it says otherwise (H8). */
	return text_of(json_pack("{s:o, s:b}", "key", key_json(prefix, key), "keys_only", keys_only));
}

char *hf_etcd_list_text(const char *prefix, const char *key_prefix, const char *after, uint64_t revision,
			bool keys_only)
{
	char full[TEXT_KEY_MAX];
	/* The key behind `after` is itself and a NUL. */
	size_t len = after ? full_key(prefix, after, full) + 1 : full_key(prefix, key_prefix, full);

	return text_of(json_pack("{s:o, s:o, s:o, s:o, s:b}", "key", base64(full, len), "range_end",
				 end_json(prefix, key_prefix), "limit", number_json(HF_ETCD_PAGE), "revision",
				 number_json(revision), "keys_only", keys_only));
}

char *hf_etcd_cas_text(const char *prefix, const char *key, uint64_t ver, const char *was, const char *value,
		       uint64_t lease)
{
	json_t *change, *compare = json_array(), *look;

	if (value)
		change = json_pack("{s:{s:o, s:o, s:o}}", "request_put", "key", key_json(prefix, key), "value",
				   base64(value, strlen(value)), "lease", number_json(lease));
	else
		change = json_pack("{s:{s:o}}", "request_delete_range", "key", key_json(prefix, key));
	/* A key that is not there has version 0. */
	json_array_append_new(compare, json_pack("{s:o, s:s, s:s, s:o}", "key", key_json(prefix, key), "target", "MOD",
						 "result", "EQUAL", "mod_revision", number_json(ver)));
	if (was && ver)
		json_array_append_new(compare, json_pack("{s:o, s:s, s:s, s:o}", "key", key_json(prefix, key), "target",
							 "VALUE", "result", "EQUAL", "value",
							 base64(was, strlen(was))));
	look = json_pack("{s:{s:o, s:b}}", "request_range", "key", key_json(prefix, key), "keys_only", 1);
	return text_of(json_pack("{s:o, s:[o], s:[o]}", "compare", compare, "success", change, "failure", look));
}

char *hf_etcd_watch_text(const char *prefix, uint64_t revision)
{
	return text_of(json_pack("{s:{s:o, s:o, s:o}}", "create_request", "key", key_json(prefix, ""), "range_end",
				 end_json(prefix, ""), "start_revision", number_json(revision)));
}

char *hf_etcd_grant_text(uint32_t ttl_s)
{
	return text_of(json_pack("{s:o}", "TTL", number_json(ttl_s)));
}

char *hf_etcd_lease_text(uint64_t lease)
{
	return text_of(json_pack("{s:o}", "ID", number_json(lease)));
}

char *hf_etcd_login_text(const char *user, const char *password)
{
	return text_of(json_pack("{s:s, s:s}", "name", user, "password", password));
}

/* fields of answers */

struct reader {
	struct hf_errmsg *err;
	int result;			/* the first failure */
};

static void refuse(struct reader *r, const char *field, const char *what)
{
	if (r->result == 0)
		r->result = hf_fail(r->err, -EPROTO, "field '%s' %s", field, what);
}

/* A number of at most INT64_MAX; 0 when it is left out. */
static uint64_t number(struct reader *r, const json_t *o, const char *field)
{
	const json_t *v = json_object_get(o, field);
	const char *text = json_string_value(v);
	uint64_t n = 0;

	if (!v)
		return 0;
	if (!text || !*text || strlen(text) > 19 || json_string_length(v) != strlen(text)) {
		refuse(r, field, "is not a number in a string");
		return 0;
	}
	for (; *text; text++) {
		if (*text < '0' || *text > '9') {
			refuse(r, field, "is not a number in a string");
			return 0;
		}
		n = n * 10 + (uint64_t)(*text - '0');
	}
	if (n > INT64_MAX) {		/* 19 digits do not overflow 64 bits */
		refuse(r, field, "is out of range");
		return 0;
	}
	return n;
}

/* As number(), in all 64 bits: ids of clusters. */
static uint64_t id(struct reader *r, const json_t *o, const char *field)
{
	const json_t *v = json_object_get(o, field);
	const char *text = json_string_value(v);
	unsigned long long n;
	char *end;

	errno = 0;
	n = text && *text >= '0' && *text <= '9' && strlen(text) <= 20 ? strtoull(text, &end, 10) : 0;
	if (n == 0 || *end || errno) {
		refuse(r, field, "is not an id");
		return 0;
	}
	return n;
}

static bool flag(struct reader *r, const json_t *o, const char *field)
{
	const json_t *v = json_object_get(o, field);

	if (v && !json_is_boolean(v))
		refuse(r, field, "is not true or false");
	return json_is_true(v);
}

static const json_t *object(struct reader *r, const json_t *o, const char *field)
{
	const json_t *v = json_object_get(o, field);

	if (!json_is_object(v))
		refuse(r, field, "is not there, or no object");
	return v;
}

static struct hf_etcd_header header(struct reader *r, const json_t *answer)
{
	const json_t *o = object(r, answer, "header");
	struct hf_etcd_header h = { .cluster = id(r, o, "cluster_id"), .revision = number(r, o, "revision") };

	if (h.revision == 0)
		refuse(r, "revision", "is missing or 0");
	return h;
}

/*
 * At most so many values, each of which costs more memory than text: a page of rows has some 2000, a message of a watch
 * with more is replaced by a look at everything.
 */
static bool has_too_many_values(const char *text, size_t len)
{
	size_t count = 0;

	for (size_t i = 0; i < len; i++)
		count += text[i] == ',' || text[i] == '[' || text[i] == '{';
	return count > HF_ETCD_VALUES_MAX;
}

/* The answer as an object, or NULL with the failure noted. */
static json_t *load(struct reader *r, const char *text, size_t len)
{
	json_error_t where;
	json_t *o;

	if (has_too_many_values(text, len)) {
		r->result = hf_fail(r->err, -EPROTO, "it has more values than any answer");
		return NULL;
	}
	o = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
	if (!json_is_object(o)) {
		json_decref(o);
		r->result = hf_fail(r->err, -EPROTO, "it is not a JSON object");
		return NULL;
	}
	return o;
}

/* Bytes on the heap, or NULL with the failure noted. A field that is left out is empty. */
static char *bytes(struct reader *r, const json_t *o, const char *field, size_t max, size_t *out_len)
{
	const json_t *v = json_object_get(o, field);
	char *out = NULL;

	if (!v)
		out = unbase64("", 0, out_len);
	else if (json_is_string(v) && json_string_length(v) <= (max + 2) / 3 * 4)
		out = unbase64(json_string_value(v), json_string_length(v), out_len);
	if (!out)
		refuse(r, field, "is too long, or not base64");
	return out;
}

/* Add a key-value pair to rows. */
static void add_row(struct reader *r, const json_t *kv, const char *prefix, bool with_value,
		    struct hf_cluster_rows *rows)
{
	size_t key_len = 0, value_len = 0, skip = strlen(prefix);
	uint64_t ver = number(r, kv, "mod_revision");
	char *key = bytes(r, kv, "key", TEXT_KEY_MAX, &key_len);
	char *value = key && with_value ? bytes(r, kv, "value", HF_CLUSTER_VALUE_MAX, &value_len) : NULL;
	int rc;

	if (ver == 0)
		refuse(r, "mod_revision", "is missing or 0");
	if (key && (key_len < skip || memcmp(key, prefix, skip) != 0))
		refuse(r, "key", "is not one that was asked for");
	if (r->result == 0) {
		rc = hf_cluster_rows_add(rows, key + skip, key_len - skip, value ? value : "", value_len, ver);
		if (rc < 0)
			r->result = hf_fail(r->err, rc,
					    rc == -EUCLEAN ? "a key or value is too long or holds a zero byte" :
					    rc == -E2BIG   ? "there is more under this prefix than a store may hold" :
							     "there is no memory for it");
	}
	hf_must_free(key);
	hf_must_free(value);
}

/* Back to `count` rows. */
static void cut_rows(struct hf_cluster_rows *rows, size_t count)
{
	struct hf_cluster_rows tail = { 0 };

	while (rows->count > count) {
		const struct hf_cluster_item *last = &rows->item[--rows->count];

		rows->bytes -= strlen(last->key) + last->value_len;
		free((char *)(uintptr_t)last->key);
		free((char *)(uintptr_t)last->value);
	}
	if (count == 0) {
		tail = *rows;
		hf_cluster_rows_fini(&tail);
		*rows = (struct hf_cluster_rows){ 0 };
	}
}

static void check_order(struct reader *r, const struct hf_cluster_rows *rows, size_t from, const char *key_prefix,
			const char *after)
{
	for (size_t i = from; i < rows->count && r->result == 0; i++) {
		const char *before = i > from ? rows->item[i - 1].key : after;

		if (!hf_cluster_has_prefix(rows->item[i].key, key_prefix))
			refuse(r, "key", "is not one that was asked for");
		if (before && strcmp(rows->item[i].key, before) <= 0)
			refuse(r, "kvs", "is not in the order of keys");
	}
}

int hf_etcd_range_parse(const char *text, size_t len, const char *prefix, const char *key_prefix, const char *after,
			struct hf_cluster_rows *rows, struct hf_etcd_range *out, struct hf_errmsg *err)
{
	struct reader r = { .err = err };
	json_t *o = load(&r, text, len);
	const json_t *kvs = json_object_get(o, "kvs"), *kv;
	struct hf_etcd_range range = { .header = header(&r, o), .more = flag(&r, o, "more") };
	size_t before = rows->count, i;

	if (kvs && !json_is_array(kvs))
		refuse(&r, "kvs", "is not an array");
	if (json_array_size(kvs) > HF_ETCD_PAGE)
		refuse(&r, "kvs", "has more rows than were asked for");
	if (range.more && json_array_size(kvs) == 0)
		refuse(&r, "more", "promises rows after none");
	json_array_foreach((json_t *)(uintptr_t)kvs, i, kv) {
		if (r.result)
			break;
		add_row(&r, kv, prefix, true, rows);
	}
	check_order(&r, rows, before, key_prefix, after);
	if (r.result)
		cut_rows(rows, before);
	else
		*out = range;
	json_decref(o);
	return r.result;
}

int hf_etcd_cas_parse(const char *text, size_t len, uint64_t ver, bool has_was, struct hf_etcd_cas *out,
		      struct hf_errmsg *err)
{
	struct reader r = { .err = err };
	json_t *o = load(&r, text, len);
	const json_t *responses = json_object_get(o, "responses"), *found, *kv;
	struct hf_etcd_cas cas = { .header = header(&r, o), .succeeded = flag(&r, o, "succeeded") };

	if (json_array_size(responses) != 1)
		refuse(&r, "responses", "has not one answer");
	if (r.result == 0 && !cas.succeeded) {
		/* "It had no effect and never will" needs proof: the version that was found instead. */
		found = object(&r, json_array_get(responses, 0), "response_range");
		kv = json_array_get(json_object_get(found, "kvs"), 0);
		if (json_array_size(json_object_get(found, "kvs")) > 1)
			refuse(&r, "kvs", "has more rows than were asked for");
		if (kv) {
			cas.found_ver = number(&r, kv, "mod_revision");
			if (cas.found_ver == 0)
				refuse(&r, "mod_revision", "is missing or 0");
		}
		if (cas.found_ver == ver && !has_was)
			refuse(&r, "succeeded", "is false, but the version is the one that was compared");
	}
	/* What was changed has the revision of its change; the expected one is older. */
	if (cas.succeeded && cas.header.revision <= ver)
		refuse(&r, "revision", "did not grow with a change");
	if (r.result == 0)
		*out = cas;
	json_decref(o);
	return r.result;
}

int hf_etcd_lease_parse(const char *text, size_t len, bool keep_alive, struct hf_etcd_lease *out,
			struct hf_errmsg *err)
{
	struct reader r = { .err = err };
	json_t *whole = load(&r, text, len);
	const json_t *o = keep_alive ? object(&r, whole, "result") : whole;
	struct hf_etcd_lease lease = { .header = header(&r, o), .id = number(&r, o, "ID") };
	uint64_t ttl = number(&r, o, "TTL");

	if (lease.id == 0)
		refuse(&r, "ID", "is missing or 0");
	if (ttl > UINT32_MAX || (!keep_alive && ttl == 0))
		refuse(&r, "TTL", "is out of range");
	lease.ttl_s = (uint32_t)ttl;
	if (r.result == 0)
		*out = lease;
	json_decref(whole);
	return r.result;
}

int hf_etcd_login_parse(const char *text, size_t len, char out[HF_ETCD_TOKEN_MAX], struct hf_errmsg *err)
{
	struct reader r = { .err = err };
	json_t *o = load(&r, text, len);
	const char *token = json_string_value(json_object_get(o, "token"));

	if (!token || !*token || strlen(token) >= HF_ETCD_TOKEN_MAX)
		refuse(&r, "token", "is missing, empty or too long");
	for (const char *p = token; r.result == 0 && *p; p++)
		if (*p <= ' ' || *p > '~')
			refuse(&r, "token", "has bytes that no header line may have");
	if (r.result == 0)
		strcpy(out, token);
	json_decref(o);
	return r.result;
}

int hf_etcd_news_parse(const char *text, size_t len, const char *prefix, struct hf_etcd_news *out,
		       struct hf_errmsg *err)
{
	struct reader r = { .err = err };
	json_t *whole = load(&r, text, len);
	const json_t *o = object(&r, whole, "result"), *events = json_object_get(o, "events"), *event;
	struct hf_etcd_news news = { .header = header(&r, o),
				     .created = flag(&r, o, "created"),
				     .canceled = flag(&r, o, "canceled"),
				     .compacted = number(&r, o, "compact_revision") };
	size_t i;

	if (events && !json_is_array(events))
		refuse(&r, "events", "is not an array");
	json_array_foreach((json_t *)(uintptr_t)events, i, event) {
		const json_t *kv = object(&r, event, "kv");

		if (r.result)
			break;
		add_row(&r, kv, prefix, false, &news.changed);
	}
	if (r.result)
		hf_cluster_rows_fini(&news.changed);
	else
		*out = news;
	json_decref(whole);
	return r.result;
}

/* refusals */

#define GRPC_INVALID_ARGUMENT 3
#define GRPC_PERMISSION_DENIED 7
#define GRPC_RESOURCE_EXHAUSTED 8
#define GRPC_FAILED_PRECONDITION 9
#define GRPC_OUT_OF_RANGE 11
#define GRPC_UNAUTHENTICATED 16

static void printable(const char *text, char *out, size_t size)
{
	size_t n = 0;

	for (; *text && n < size - 1; text++)
		out[n++] = *text < ' ' || *text > '~' ? '.' : *text;
	out[n] = '\0';
}

enum hf_etcd_refusal hf_etcd_refusal_parse(const char *text, size_t len, char words[160])
{
	struct reader r = { 0 };
	json_t *o = load(&r, text, len);
	/* A stream wraps it: {"error":{"grpc_code":...}}. */
	const json_t *inner = json_object_get(o, "error"), *e = json_is_object(inner) ? inner : o;
	const json_t *code = json_object_get(e, "code") ?: json_object_get(e, "grpc_code");
	const char *message = json_string_value(json_object_get(e, "message")) ?:
			      json_string_value(inner) ?: "it does not say why in etcd's words";
	enum hf_etcd_refusal refusal = HF_ETCD_OTHER;

	switch (json_integer_value(code)) {
	case GRPC_UNAUTHENTICATED:
		refusal = HF_ETCD_TOKEN;
		break;
	case GRPC_INVALID_ARGUMENT:
		if (strstr(message, "revision of auth store is old"))
			refusal = HF_ETCD_TOKEN;
		else if (strstr(message, "authentication failed") || strstr(message, "user name is empty"))
			refusal = HF_ETCD_DENIED;
		break;
	case GRPC_PERMISSION_DENIED:
		refusal = HF_ETCD_DENIED;
		break;
	case GRPC_FAILED_PRECONDITION:
		if (strstr(message, "authentication is not enabled"))
			refusal = HF_ETCD_DENIED;
		break;
	case GRPC_RESOURCE_EXHAUSTED:
		if (strstr(message, "database space exceeded"))
			refusal = HF_ETCD_FULL;
		break;
	case GRPC_OUT_OF_RANGE:
		refusal = HF_ETCD_COMPACTED;
		break;
	default:
		break;
	}
	printable(message, words, 160);
	json_decref(o);
	return refusal;
}
