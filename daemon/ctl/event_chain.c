// SPDX-License-Identifier: MIT
/* event_chain - lines of an event log. */
#include "ctl/event_chain.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/limits.h"

#define HASH_LEN (HF_EVENT_HASH_TEXT - 1)
#define PREV_KEY ",\"prev\":\""
#define HASH_KEY ",\"hash\":\""
#define PREV_LEN (sizeof(PREV_KEY) - 1 + HASH_LEN + 1)	/* ,"prev":"<hash>" */
#define TAIL_LEN (sizeof(HASH_KEY) - 1 + HASH_LEN + 2)	/* ,"hash":"<hash>"} */
#define WINDOW_MIN (64u << 10)		/* bytes: first look at a file's end */

void hf_event_chain_init(struct hf_event_chain *chain)
{
	chain->n = 0;
	memset(chain->hash, '0', HASH_LEN);
	chain->hash[HASH_LEN] = '\0';
}

static void hash_text(const char *data, size_t len, char out[HF_EVENT_HASH_TEXT])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char sum[SHA256_DIGEST_LENGTH];

	SHA256((const unsigned char *)data, len, sum);
	for (size_t i = 0; i < sizeof(sum); i++) {
		out[2 * i] = hex[sum[i] >> 4];
		out[2 * i + 1] = hex[sum[i] & 15];
	}
	out[HASH_LEN] = '\0';
}

static json_t *time_json(uint64_t wall_ns)
{
	time_t seconds = (time_t)(wall_ns / HF_SEC);
	char day[32], text[64];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, sizeof(text), "%s.%09lluZ", day, (unsigned long long)(wall_ns % HF_SEC));
	return json_string(text);
}

/* The line up to its hash, without the closing brace. */
static char *body_text(const struct hf_event_chain *chain, uint64_t wall_ns, const char *host, const char *kind,
		       const char *volume, json_t *detail)
{
	json_t *o = json_object();
	char *text;

	json_object_set_new(o, "n", json_integer((json_int_t)chain->n + 1));
	json_object_set_new(o, "time", time_json(wall_ns));
	json_object_set_new(o, "host", json_string(host));
	if (volume)
		json_object_set_new(o, "volume", json_string(volume));
	json_object_set_new(o, "kind", json_string(kind));
	if (detail)
		json_object_set(o, "detail", detail);
	json_object_set_new(o, "prev", json_string(chain->hash));
	text = json_dumps(o, JSON_COMPACT);
	hf_assert(text);
	text[strlen(text) - 1] = '\0';
	json_decref(o);
	return text;
}

char *hf_event_line(struct hf_event_chain *chain, uint64_t wall_ns, const char *host, const char *kind,
		    const char *volume, json_t *detail, size_t *out_len)
{
	char *body = body_text(chain, wall_ns, host, kind, volume, detail), *line;
	size_t len = strlen(body);

	json_decref(detail);
	if (len + TAIL_LEN + 1 > HF_EVENT_LINE_MAX) {
		json_t *note = json_pack("{s:I}", "too_large", (json_int_t)len);

		free(body);
		body = body_text(chain, wall_ns, host, kind, volume, note);
		len = strlen(body);
		json_decref(note);
	}
	chain->n++;
	hash_text(body, len, chain->hash);
	line = realloc(body, len + TAIL_LEN + 2);
	hf_assert(line);
	*out_len = len + (size_t)snprintf(line + len, TAIL_LEN + 2, HASH_KEY "%s\"}\n", chain->hash);
	return line;
}

/* The number behind {"n": or 0. */
static uint64_t line_number(const char *line, size_t len)
{
	static const char head[] = "{\"n\":";
	uint64_t n = 0;
	size_t i = sizeof(head) - 1;

	if (len < i || memcmp(line, head, i) != 0)
		return 0;
	for (; i < len && line[i] >= '0' && line[i] <= '9' && n < UINT64_MAX / 16; i++)
		n = n * 10 + (uint64_t)(line[i] - '0');
	return n;
}

/* Is `key"<hash>"` at `at`, with this hash? */
static bool has_hash(const char *at, const char *key, const char *hash)
{
	size_t key_len = strlen(key);

	return memcmp(at, key, key_len) == 0 && memcmp(at + key_len, hash, HASH_LEN) == 0 &&
	       at[key_len + HASH_LEN] == '"';
}

int hf_event_line_check(struct hf_event_chain *chain, const char *line, size_t len, struct hf_errmsg *err)
{
	struct hf_event_chain before = *chain;
	size_t body = len > TAIL_LEN + PREV_LEN ? len - TAIL_LEN : 0;
	uint64_t n = line_number(line, len);

	chain->n = n ? n : before.n + 1;
	hash_text(line, body ? body : len, chain->hash);
	if (body == 0 || line[len - 1] != '}' || n == 0)
		return hf_fail(err, -EBADMSG, "it is not an event");
	if (!has_hash(line + body, HASH_KEY, chain->hash))
		return hf_fail(err, -EBADMSG, "its content does not match its hash: it was changed");
	if (n != before.n + 1)
		return hf_fail(err, -EBADMSG,
			       "it is event %llu, but event %llu should follow: some were removed or added",
			       (unsigned long long)n, (unsigned long long)before.n + 1);
	if (!has_hash(line + body - PREV_LEN, PREV_KEY, before.hash))
		return hf_fail(err, -EBADMSG,
			       "it does not follow the event before it: that one was changed or replaced");
	return 0;
}

static void scan_line(struct hf_event_scan *scan, const char *line, size_t len)
{
	struct hf_errmsg why;

	scan->lines++;
	scan->bytes += len + 1;
	if (hf_event_line_check(&scan->last, line, len, &why) < 0 && scan->bad_line == 0) {
		scan->bad_line = scan->lines;
		scan->bad_why = why;
	}
}

/* A newline that never comes, or a line that is longer than any of ours, is taken in pieces of the buffer's size. */
int hf_event_scan_file(int fd, struct hf_event_scan *out)
{
	struct hf_event_scan scan = { 0 };
	char *buf = malloc(HF_EVENT_LINE_MAX);
	uint64_t off = 0;
	size_t have = 0;
	ssize_t got;

	if (!buf)
		return -ENOMEM;
	hf_event_chain_init(&scan.last);
	while ((got = pread(fd, buf + have, HF_EVENT_LINE_MAX - have, (off_t)off)) > 0) {
		size_t start = 0;
		char *end;

		off += (uint64_t)got;
		have += (size_t)got;
		while ((end = memchr(buf + start, '\n', have - start))) {
			scan_line(&scan, buf + start, (size_t)(end - buf) - start);
			start = (size_t)(end - buf) + 1;
		}
		have -= start;
		memmove(buf, buf + start, have);
		if (have == HF_EVENT_LINE_MAX) {
			scan_line(&scan, buf, have);
			scan.bytes--;	/* no newline was read */
			have = 0;
		}
	}
	free(buf);
	if (got < 0)
		return -errno;
	scan.torn_bytes = have;
	*out = scan;
	return 0;
}

/* Does the line belong to the answer? Lines that are no JSON are passed over: hf_events_verify() is for those. */
static json_t *load_line(const char *line, size_t len, const char *volume)
{
	json_t *event = json_loadb(line, len, 0, NULL);
	const char *of = json_string_value(json_object_get(event, "volume"));

	if (event && (!volume || (of && strcmp(of, volume) == 0)))
		return event;
	json_decref(event);
	return NULL;
}

/* Newest lines of `buf` to `list`, which is in reverse order until the end. `whole`: the buffer begins with a line's
 * begin. */
static void take_lines(const char *buf, size_t len, bool whole, const char *volume, size_t count, json_t *list)
{
	size_t end = len;

	while (end > 0 && json_array_size(list) < count) {
		const char *newline = end > 1 ? memrchr(buf, '\n', end - 1) : NULL;
		size_t start = newline ? (size_t)(newline - buf) + 1 : 0;
		json_t *event;

		if (start == 0 && !whole)
			return;
		event = load_line(buf + start, end - start - 1, volume);
		if (event)
			json_array_append_new(list, event);
		end = start;
	}
}

static json_t *reversed(json_t *list)
{
	json_t *out = json_array();

	for (size_t i = json_array_size(list); i-- > 0;)
		json_array_append(out, json_array_get(list, i));
	json_decref(list);
	return out;
}

/* Look at the last window of the file, and at ever larger ones until enough was found or all was seen. */
int hf_event_read_tail(int fd, uint64_t size, const char *volume, size_t count, json_t **out_events)
{
	for (uint64_t window = WINDOW_MIN;; window *= 4) {
		uint64_t len = window < size ? window : size;
		char *buf = malloc(len + 1);
		json_t *list;
		ssize_t got;

		if (!buf)
			return -ENOMEM;
		got = pread(fd, buf, len, (off_t)(size - len));
		if (got != (ssize_t)len) {
			free(buf);
			return got < 0 ? -errno : -EIO;
		}
		list = json_array();
		take_lines(buf, len, len == size, volume, count, list);
		free(buf);
		if (json_array_size(list) == count || len == size) {
			*out_events = reversed(list);
			return 0;
		}
		json_decref(list);
	}
}
