// SPDX-License-Identifier: MIT
/*
 * nbd_handshake - fixed newstyle option haggling, up to an open session.
 *
 * Owns: the reading of options, which are hostile bytes, and their answers. Does not own: the socket, the session's
 * use.
 *
 * One option at a time, the next only when the answer to the last has left: that bounds what a client can make us
 * hold.
 */
#include "front/nbd_int.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"

#define CONTEXT "base:allocation"

enum {
	TEXT_MAX = 512,
	/* LIST: one entry's reply */
	ENTRY_MAX = sizeof(struct nbd_option_reply_head) + 4 + HF_NAME_MAX + 128,
};

/* What is left of an option's data. */
struct span {
	const uint8_t *at;
	size_t len;
};

static bool take32(struct span *s, uint32_t *out)
{
	hf_be32 v;

	if (s->len < sizeof(v))
		return false;
	memcpy(&v, s->at, sizeof(v));
	*out = hf_get_be32(v);
	s->at += sizeof(v);
	s->len -= sizeof(v);
	return true;
}

static bool take16(struct span *s, uint16_t *out)
{
	hf_be16 v;

	if (s->len < sizeof(v))
		return false;
	memcpy(&v, s->at, sizeof(v));
	*out = hf_get_be16(v);
	s->at += sizeof(v);
	s->len -= sizeof(v);
	return true;
}

/* A string with its length before it. */
static bool take_string(struct span *s, struct span *out)
{
	uint32_t len;

	if (!take32(s, &len) || len > NBD_STRING_MAX || len > s->len)
		return false;
	*out = (struct span){ s->at, len };
	s->at += len;
	s->len -= len;
	return true;
}

static bool span_is(const struct span *s, const char *text)
{
	return s->len == strlen(text) && memcmp(s->at, text, s->len) == 0;
}

/* ---------------------------------------------------------------- answers */

/* The send is empty when an option is looked at, and no answer is as large as it. */
static uint8_t *put(struct nbd_conn *c, uint32_t n)
{
	uint8_t *at = hf_nbd_tx_head(c, n);

	hf_assert(at);
	return at;
}

static uint8_t *put_reply(struct nbd_conn *c, uint32_t option, enum nbd_option_reply type, uint32_t length)
{
	struct nbd_option_reply_head h = {
		hf_put_be64(NBD_OPTION_REPLY_MAGIC), hf_put_be32(option), hf_put_be32(type), hf_put_be32(length),
	};
	uint8_t *at = put(c, (uint32_t)sizeof(h) + length);

	memcpy(at, &h, sizeof(h));
	return at + sizeof(h);
}

static void ack(struct nbd_conn *c, uint32_t option)
{
	put_reply(c, option, NBD_REP_ACK, 0);
}

__attribute__((format(printf, 4, 5)))
static void refuse(struct nbd_conn *c, uint32_t option, enum nbd_option_reply type, const char *format, ...)
{
	char text[TEXT_MAX];
	va_list ap;
	uint32_t len;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	len = (uint32_t)strlen(text);
	memcpy(put_reply(c, option, type, len), text, len);
	hf_debug("nbd: %s: option %s answered %s: %s", c->who, hf_nbd_option_name(option), hf_nbd_reply_name(type),
		 text);
}

/* ---------------------------------------------------------------- exports */

static bool is_served(const struct hf_nbd_server *n, const char *name)
{
	size_t len = strlen(n->only);

	if (len == 0)
		return true;
	return strncmp(name, n->only, len) == 0 && (name[len] == '\0' || strcmp(name + len, "@ro") == 0);
}

/* What an export name means on this socket, and what is behind it. 0, or -errno with `err` for the client. */
static int resolve(struct nbd_conn *c, const struct span *name, char out[NBD_NAME_BYTES], struct hf_export_info *info,
		   struct hf_errmsg *err)
{
	struct hf_nbd_server *n = c->server;

	if (memchr(name->at, '\0', name->len))
		return hf_fail(err, -EINVAL, "an export name has no NUL byte");
	if (name->len >= NBD_NAME_BYTES)
		return hf_fail(err, -ENOENT, "no export has a name of %zu bytes", name->len);
	if (name->len == 0 && !n->only[0])
		return hf_fail(err, -ENOENT, "there is no default export here: name the volume");
	if (name->len == 0)
		snprintf(out, NBD_NAME_BYTES, "%s", n->only);
	else
		snprintf(out, NBD_NAME_BYTES, "%.*s", (int)name->len, (const char *)name->at);
	if (!is_served(n, out))
		return hf_fail(err, -ENOENT, "this socket serves another export");
	hf_fail(err, 0, "no such export");
	return n->backend->info(n->backend_ctx, out, info, err);
}

static enum nbd_option_reply reply_of(int result)
{
	switch (result) {
	case -EINVAL:
		return NBD_REP_ERR_INVALID;
	case -EBUSY:
	case -EPERM:
	case -EACCES:
		return NBD_REP_ERR_POLICY;
	case -ESHUTDOWN:
		return NBD_REP_ERR_SHUTDOWN;
	}
	return NBD_REP_ERR_UNKNOWN;	/* not available here and now */
}

static uint16_t export_flags(const struct nbd_conn *c, bool read_only)
{
	uint16_t flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA | NBD_FLAG_SEND_CACHE;

	if (c->structured)
		flags |= NBD_FLAG_SEND_DF;
	/* Several connections of one writer could reorder a write that was sent again (H24); readers cannot. */
	if (read_only)
		return flags | NBD_FLAG_READ_ONLY | NBD_FLAG_CAN_MULTI_CONN;
	return flags | NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_SEND_FAST_ZERO;
}

static void put_info_text(struct nbd_conn *c, enum nbd_info type, const char *text)
{
	uint32_t len = (uint32_t)strlen(text);
	hf_be16 t = hf_put_be16((uint16_t)type);
	uint8_t *at;

	if (len == 0 || !(c->infos & 1u << type))
		return;
	at = put_reply(c, c->option, NBD_REP_INFO, (uint32_t)sizeof(t) + len);
	memcpy(at, &t, sizeof(t));
	memcpy(at + sizeof(t), text, len);
}

/* INFO and GO: what the client needs to know, asked or not, then what it asked for. */
static void put_infos(struct nbd_conn *c, const char *name, const struct hf_export_info *info)
{
	struct nbd_info_export e = {
		hf_put_be16(NBD_INFO_EXPORT), hf_put_be64(info->size_blocks * HF_BLOCK),
		hf_put_be16(export_flags(c, info->read_only)),
	};
	struct nbd_info_block_size b = {
		hf_put_be16(NBD_INFO_BLOCK_SIZE), hf_put_be32(HF_BLOCK), hf_put_be32(HF_BLOCK),
		hf_put_be32(NBD_PAYLOAD_MAX),
	};

	memcpy(put_reply(c, c->option, NBD_REP_INFO, sizeof(e)), &e, sizeof(e));
	memcpy(put_reply(c, c->option, NBD_REP_INFO, sizeof(b)), &b, sizeof(b));
	put_info_text(c, NBD_INFO_NAME, name);
	put_info_text(c, NBD_INFO_DESCRIPTION, info->description);
}

/* ---------------------------------------------------------------- the session */

static void fenced(struct hf_session *s, const char *why)
{
	struct nbd_conn *c = hf_container_of(s, struct nbd_conn, session);

	hf_info("nbd: %s: session on %s ended: %s", c->who, c->name, why ? why : "fenced");
	hf_nbd_conn_end(c, NBD_DEAD);
}

static void opened(struct hf_session *s, int result, const char *why)
{
	struct nbd_conn *c = hf_container_of(s, struct nbd_conn, session);

	hf_assert(c->phase == NBD_OPENING);
	c->phase = NBD_HAGGLING;
	c->is_opened = true;
	c->open_result = result;
	c->session_is_open = result == 0;
	snprintf(c->open_why, sizeof(c->open_why), "%s", why ? why : hf_strerror(result));
	hf_nbd_conn_wake(c);
}

static void open_begin(struct nbd_conn *c, const char *name, const struct hf_export_info *info)
{
	struct hf_nbd_server *n = c->server;

	snprintf(c->name, sizeof(c->name), "%s", name);
	c->session = (struct hf_session){ .read_only = info->read_only, .fenced = fenced, .ctx = c };
	hf_list_init(&c->session.link);
	c->phase = NBD_OPENING;
	hf_timer_clear(&c->timer);
	n->backend->open(n->backend_ctx, c->name, &c->session, opened);
}

static void open_failed(struct nbd_conn *c, int result, const char *why)
{
	if (c->option == NBD_OPT_EXPORT_NAME) {
		/* The protocol knows no other answer here. */
		hf_info("nbd: %s: export refused: %s; connection closed", c->who, why);
		hf_nbd_conn_end(c, NBD_DEAD);
		return;
	}
	refuse(c, c->option, reply_of(result), "%s", why);
	c->name[0] = '\0';
	hf_timer_set(c->server->r, &c->timer, hf_reactor_now(c->server->r) + NBD_HANDSHAKE_NS);
}

static void put_export_reply(struct nbd_conn *c, const struct hf_export_info *info)
{
	struct nbd_export_reply e = {
		.size = hf_put_be64(info->size_blocks * HF_BLOCK),
		.flags = hf_put_be16(export_flags(c, info->read_only)),
	};
	uint32_t len = c->no_zeroes ? offsetof(struct nbd_export_reply, zeroes) : sizeof(e);

	memcpy(put(c, len), &e, len);
}

/* The size is asked for again: it may have changed while the session was being opened. */
static void open_end(struct nbd_conn *c)
{
	struct hf_nbd_server *n = c->server;
	struct hf_export_info info = { 0 };
	struct hf_errmsg err = { "" };
	int ret = c->open_result;

	c->is_opened = false;
	if (ret < 0) {
		open_failed(c, ret, c->open_why);
		return;
	}
	ret = n->backend->info(n->backend_ctx, c->name, &info, &err);
	if (ret == 0)
		ret = hf_nbd_conn_grow(c);
	if (ret < 0) {
		hf_warn("nbd: %s: export %s cannot be served: %s", c->who, c->name,
			err.text[0] ? err.text : hf_strerror(ret));
		hf_nbd_conn_end(c, NBD_DEAD);
		return;
	}
	c->session.read_only |= info.read_only;
	info.read_only = c->session.read_only;
	c->size = info.size_blocks * HF_BLOCK;
	c->meta_selected = c->meta_selected && strcmp(c->meta_name, c->name) == 0;
	if (c->option == NBD_OPT_EXPORT_NAME) {
		put_export_reply(c, &info);
	} else {
		put_infos(c, c->name, &info);
		ack(c, c->option);
	}
	c->phase = NBD_TRANSMISSION;
	hf_debug("nbd: %s: serving %s%s", c->who, c->name, info.read_only ? " read-only" : "");
}

/* ---------------------------------------------------------------- options */

static void option_export_name(struct nbd_conn *c, struct span data)
{
	struct hf_export_info info = { 0 };
	struct hf_errmsg err = { "" };
	char name[NBD_NAME_BYTES];
	int ret = resolve(c, &data, name, &info, &err);

	if (ret < 0)
		open_failed(c, ret, err.text);
	else
		open_begin(c, name, &info);
}

static bool parse_info(struct nbd_conn *c, struct span *data, struct span *name)
{
	uint16_t count, type;

	c->infos = 0;
	if (!take_string(data, name) || !take16(data, &count) || data->len != count * 2u)
		return false;
	while (take16(data, &type))
		if (type < 32)
			c->infos |= 1u << type;
	return true;
}

static void option_info(struct nbd_conn *c, struct span data)
{
	struct hf_export_info info = { 0 };
	struct hf_errmsg err = { "" };
	char name[NBD_NAME_BYTES];
	struct span asked;
	int ret;

	if (!parse_info(c, &data, &asked)) {
		refuse(c, c->option, NBD_REP_ERR_INVALID, "malformed request");
		return;
	}
	ret = resolve(c, &asked, name, &info, &err);
	if (ret < 0) {
		refuse(c, c->option, reply_of(ret), "%s", err.text);
	} else if (c->option == NBD_OPT_GO) {
		open_begin(c, name, &info);
	} else {
		put_infos(c, name, &info);
		ack(c, c->option);
	}
}

static void list_more(struct nbd_conn *c)
{
	struct hf_nbd_server *n = c->server;
	struct hf_export_info info;

	while (hf_nbd_tx_has_room(c, 1, ENTRY_MAX + sizeof(struct nbd_option_reply_head))) {
		uint32_t name_len, text_len;
		hf_be32 len;
		uint8_t *at;

		if (!n->backend->list(n->backend_ctx, &c->list_cursor, &info)) {
			c->is_listing = false;
			ack(c, NBD_OPT_LIST);
			return;
		}
		if (!is_served(n, info.name))
			continue;
		name_len = (uint32_t)strnlen(info.name, sizeof(info.name));
		text_len = (uint32_t)strnlen(info.description, sizeof(info.description));
		len = hf_put_be32(name_len);
		at = put_reply(c, NBD_OPT_LIST, NBD_REP_SERVER, (uint32_t)sizeof(len) + name_len + text_len);
		memcpy(at, &len, sizeof(len));
		memcpy(at + sizeof(len), info.name, name_len);
		memcpy(at + sizeof(len) + name_len, info.description, text_len);
	}
}

static void put_context(struct nbd_conn *c, uint32_t id)
{
	hf_be32 be_id = hf_put_be32(id);
	uint8_t *at = put_reply(c, c->option, NBD_REP_META_CONTEXT, (uint32_t)(sizeof(be_id) + strlen(CONTEXT)));

	memcpy(at, &be_id, sizeof(be_id));
	memcpy(at + sizeof(be_id), CONTEXT, strlen(CONTEXT));
}

/* Does one of the queries name our only context? For LIST, none at all and "base:" mean every one. */
static bool parse_queries(struct span *data, bool is_list, bool *matches)
{
	struct span query;
	uint32_t count;

	if (!take32(data, &count))
		return false;
	*matches = is_list && count == 0;
	for (uint32_t i = 0; i < count; i++) {
		if (!take_string(data, &query))
			return false;
		if (span_is(&query, CONTEXT) || (is_list && span_is(&query, "base:")))
			*matches = true;
	}
	return data->len == 0;
}

static void option_meta_context(struct nbd_conn *c, struct span data)
{
	bool is_list = c->option == NBD_OPT_LIST_META_CONTEXT, matches = false;
	struct hf_export_info info = { 0 };
	struct hf_errmsg err = { "" };
	char name[NBD_NAME_BYTES];
	struct span asked;
	int ret;

	if (!is_list)
		c->meta_selected = false;
	if (!c->structured) {
		refuse(c, c->option, NBD_REP_ERR_INVALID, "metadata contexts need structured replies");
		return;
	}
	if (!take_string(&data, &asked) || !parse_queries(&data, is_list, &matches)) {
		refuse(c, c->option, NBD_REP_ERR_INVALID, "malformed request");
		return;
	}
	ret = resolve(c, &asked, name, &info, &err);
	if (ret < 0) {
		refuse(c, c->option, reply_of(ret), "%s", err.text);
		return;
	}
	if (matches)
		put_context(c, is_list ? 0 : 1);
	if (matches && !is_list) {
		c->meta_selected = true;
		snprintf(c->meta_name, sizeof(c->meta_name), "%s", name);
	}
	ack(c, c->option);
}

static void option_headers(struct nbd_conn *c)
{
	if (c->extended) {
		refuse(c, c->option, c->option == NBD_OPT_EXTENDED_HEADERS ? NBD_REP_ERR_INVALID :
		       NBD_REP_ERR_EXT_HEADER_REQD, "extended headers were chosen already");
		return;
	}
	c->structured = true;
	c->extended = c->option == NBD_OPT_EXTENDED_HEADERS;
	ack(c, c->option);
}

static void option_run(struct nbd_conn *c, struct span data)
{
	switch (c->option) {
	case NBD_OPT_EXPORT_NAME:
		option_export_name(c, data);
		return;
	case NBD_OPT_INFO:
	case NBD_OPT_GO:
		option_info(c, data);
		return;
	case NBD_OPT_LIST_META_CONTEXT:
	case NBD_OPT_SET_META_CONTEXT:
		option_meta_context(c, data);
		return;
	case NBD_OPT_ABORT:
		ack(c, c->option);
		hf_nbd_conn_end(c, NBD_DRAINING);
		return;
	case NBD_OPT_LIST:
	case NBD_OPT_STRUCTURED_REPLY:
	case NBD_OPT_EXTENDED_HEADERS:
		if (data.len != 0)
			refuse(c, c->option, NBD_REP_ERR_INVALID, "this option takes no data");
		else if (c->option != NBD_OPT_LIST)
			option_headers(c);
		else
			c->is_listing = true;
		c->list_cursor = 0;
		return;
	case NBD_OPT_STARTTLS:
		refuse(c, c->option, NBD_REP_ERR_UNSUP, "this socket is local and speaks no TLS");
		return;
	}
	refuse(c, c->option, NBD_REP_ERR_UNSUP, "unknown option %u", c->option);
}

/* ---------------------------------------------------------------- bytes in */

/* True when an option was taken. */
static bool next_option(struct nbd_conn *c)
{
	const uint8_t *at = c->rx.data + c->rx.head;
	size_t used = nbd_rx_used(&c->rx);
	struct nbd_option_head h;
	uint32_t length;

	if (used < sizeof(h))
		return false;
	memcpy(&h, at, sizeof(h));
	if (hf_get_be64(h.magic) != NBD_OPTION_MAGIC) {
		hf_nbd_conn_fail(c, "bad option magic 0x%016llx", (unsigned long long)hf_get_be64(h.magic));
		return false;
	}
	c->option = hf_get_be32(h.option);
	length = hf_get_be32(h.length);
	if (length > NBD_OPTION_MAX) {
		hf_nbd_conn_fail(c, "option %u (%s) with %u bytes of data: the maximum is %d", c->option,
				 hf_nbd_option_name(c->option), length, NBD_OPTION_MAX);
		return false;
	}
	if (used - sizeof(h) < length)
		return false;
	c->rx.head += sizeof(h) + length;
	option_run(c, (struct span){ at + sizeof(h), length });
	return true;
}

static bool take_flags(struct nbd_conn *c)
{
	struct span s = { c->rx.data + c->rx.head, nbd_rx_used(&c->rx) };
	uint32_t flags;

	if (!take32(&s, &flags))
		return false;
	if (flags & ~(NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES)) {
		hf_nbd_conn_fail(c, "unknown client flags 0x%08x", flags);
		return false;
	}
	c->rx.head += sizeof(flags);
	c->no_zeroes = flags & NBD_FLAG_NO_ZEROES;
	c->phase = NBD_HAGGLING;
	return true;
}

void hf_nbd_handshake_start(struct nbd_conn *c)
{
	struct nbd_greeting g = {
		hf_put_be64(NBD_MAGIC), hf_put_be64(NBD_OPTION_MAGIC),
		hf_put_be16(NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES),
	};

	memcpy(put(c, sizeof(g)), &g, sizeof(g));
}

static bool step(struct nbd_conn *c)
{
	switch (c->phase) {
	case NBD_GREETING:
		return take_flags(c);
	case NBD_HAGGLING:
		if (c->is_opened)
			open_end(c);
		else if (c->is_listing)
			list_more(c);
		else
			return next_option(c);
		return true;
	case NBD_OPENING:
	case NBD_TRANSMISSION:
		return false;
	}
	hf_unreachable();
}

void hf_nbd_handshake_work(struct nbd_conn *c)
{
	while (c->end == NBD_LIVE && hf_io_is_idle(&c->send) && c->tx->iov_count == 0 && step(c))
		;
}
