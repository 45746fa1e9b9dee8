// SPDX-License-Identifier: MIT
/*
 * ctl - the control socket's clients and calls.
 *
 * Everything a client can do next happens in client_advance(): send what waits, run requests that have arrived, receive
 * more, or close. It is called when an io ends and, deferred, when a call is answered; so a handler may answer at once.
 */
#include "ctl/ctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/log.h"
#include "format/json_read.h"

#define UNSENT_MAX (1u << 20)		/* bytes: a client that does not read its answers is not asked for more */
#define ACCEPT_RETRY_NS (100 * HF_MS)	/* after a failed accept: out of file handles, mostly */
#define ID_MAX (1ull << 53)		/* the whole numbers that every JSON reader keeps exactly */

struct client {
	struct hf_ctl *ctl;
	struct hf_list link;		/* longest idle first */
	int fd;
	struct hf_io recv, send;
	struct hf_task advance;
	struct hf_list calls;
	uint32_t call_count;
	bool eof;			/* nothing more will come; closed when all of it is answered and sent */
	bool draining;			/* nothing more is wanted; closed likewise */
	bool closing;			/* freed when both ios are idle */
	bool busy;			/* inside client_advance */
	char *sending, *unsent;		/* answers: with the kernel, and behind it */
	size_t unsent_len;
	size_t in_len;
	char in[HF_CTL_LINE_MAX];
};

struct hf_ctl {
	struct hf_reactor *reactor;
	struct hf_ctl_config config;
	char *path;
	int fd;
	struct hf_io accept;
	struct hf_timer retry;
	struct hf_list clients;
	uint32_t client_count;
	bool stopping;
	void (*stopped)(void *ctx);
	void *stopped_ctx;
	struct hf_task end;
};

struct hf_ctl_call {
	struct client *client;		/* NULL: it has gone */
	struct hf_list link;
	void *ctx;
	bool has_id;
	uint64_t id;
};

static const char *const code_names[] = {
#define CODE_NAME(name, exit_code, meaning) [HF_CTL_##name] = #name,
	HF_CTL_CODES(CODE_NAME)
#undef CODE_NAME
};

const char *hf_ctl_code_name(enum hf_ctl_code code)
{
	return code_names[code];
}

enum hf_ctl_code hf_ctl_code_of(int err)
{
	static const struct {
		int err;
		enum hf_ctl_code code;
	} table[] = {
		{ EINVAL, HF_CTL_EINVAL },
		{ ENOENT, HF_CTL_ENOENT },
		{ EEXIST, HF_CTL_EEXIST },
		{ EBUSY, HF_CTL_EBUSY },
		{ EAGAIN, HF_CTL_EBUSY },
		{ ESTALE, HF_CTL_EFENCED },
		{ ENOSPC, HF_CTL_ENOSPC },
		{ EDQUOT, HF_CTL_ENOSPC },
		{ EACCES, HF_CTL_EACCES },
		{ EPERM, HF_CTL_EACCES },
		{ EROFS, HF_CTL_EACCES },
		{ ETIMEDOUT, HF_CTL_ETIMEDOUT },
		{ EIO, HF_CTL_EIO },
		{ EUCLEAN, HF_CTL_EUCLEAN },
		{ EBADMSG, HF_CTL_EUCLEAN },
		{ EPROTO, HF_CTL_EPROTO },
		{ EOPNOTSUPP, HF_CTL_ENOTSUP },
		{ ECONNREFUSED, HF_CTL_EHOSTDOWN },
		{ EHOSTUNREACH, HF_CTL_EHOSTDOWN },
		{ EHOSTDOWN, HF_CTL_EHOSTDOWN },
		{ EREMOTE, HF_CTL_EREMOTE },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].err == (err < 0 ? -err : err))
			return table[i].code;
	return HF_CTL_EINTERNAL;
}

/* life of a client */

static void end_run(struct hf_task *t)
{
	struct hf_ctl *ctl = hf_container_of(t, struct hf_ctl, end);
	void (*stopped)(void *ctx) = ctl->stopped;
	void *ctx = ctl->stopped_ctx;

	hf_close(ctl->reactor, ctl->fd);
	(void)unlink(ctl->path);	/* a stale socket is replaced at the next start anyway */
	free(ctl->path);
	free(ctl);
	stopped(ctx);
}

/* The last thing that was under way ends the server. */
static void ctl_release(struct hf_ctl *ctl)
{
	if (ctl->stopping && hf_io_is_idle(&ctl->accept) && ctl->client_count == 0)
		hf_task_defer(ctl->reactor, &ctl->end);
}

static void client_release(struct client *c)
{
	struct hf_ctl *ctl = c->ctl;

	if (!hf_io_is_idle(&c->recv) || !hf_io_is_idle(&c->send) || c->busy)
		return;
	hf_task_cancel(&c->advance);
	hf_close(ctl->reactor, c->fd);
	hf_list_del(&c->link);
	free(c->sending);
	free(c->unsent);
	free(c);
	ctl->client_count--;
	ctl_release(ctl);
}

/* The client is gone afterwards, at once or when its ios have ended. Its calls live on without it. */
static void client_close(struct client *c)
{
	struct hf_list *n;

	c->closing = true;
	while ((n = hf_list_pop(&c->calls)))
		hf_container_of(n, struct hf_ctl_call, link)->client = NULL;
	c->call_count = 0;
	hf_io_cancel(c->ctl->reactor, &c->recv);
	hf_io_cancel(c->ctl->reactor, &c->send);
	client_release(c);
}

/* answers */

static void client_answer(struct client *c, json_t *answer)
{
	char *text = json_dumps(answer, JSON_COMPACT);
	size_t len = text ? strlen(text) : 0;
	char *all = realloc(c->unsent, c->unsent_len + len + 1);

	hf_assert(text && all);
	memcpy(all + c->unsent_len, text, len);
	all[c->unsent_len + len] = '\n';
	c->unsent = all;
	c->unsent_len += len + 1;
	free(text);
	json_decref(answer);
	hf_task_defer(c->ctl->reactor, &c->advance);
}

static json_t *id_json(const struct hf_ctl_call *call)
{
	return call->has_id ? json_integer((json_int_t)call->id) : json_null();
}

static void call_end(struct hf_ctl_call *call, json_t *answer)
{
	struct client *c = call->client;

	if (c) {
		hf_list_del(&call->link);
		c->call_count--;
		client_answer(c, answer);
	} else {
		json_decref(answer);
	}
	free(call);
}

void *hf_ctl_ctx(const struct hf_ctl_call *call)
{
	return call->ctx;
}

void hf_ctl_reply(struct hf_ctl_call *call, json_t *result)
{
	hf_assert(result);
	call_end(call, json_pack("{s:o, s:b, s:o}", "id", id_json(call), "ok", 1, "result", result));
}

/* Text from elsewhere may hold anything; what is not UTF-8 becomes '?'. */
static json_t *text_json(const char *text)
{
	json_t *v = text ? json_string(text) : NULL;
	char clean[512];
	size_t i;

	if (!text)
		return json_null();
	if (v)
		return v;
	for (i = 0; i < sizeof(clean) - 1 && text[i]; i++)
		clean[i] = (signed char)text[i] >= ' ' ? text[i] : '?';
	clean[i] = '\0';
	return json_string(clean);
}

void hf_ctl_fail(struct hf_ctl_call *call, enum hf_ctl_code code, const char *what, const char *object, const char *why,
		 const char *todo)
{
	json_t *error = json_pack("{s:s, s:o, s:o, s:o, s:o}", "code", hf_ctl_code_name(code), "what", text_json(what),
				  "object", text_json(object), "why", text_json(why), "do", text_json(todo));

	call_end(call, json_pack("{s:o, s:b, s:o}", "id", id_json(call), "ok", 0, "error", error));
}

/* requests */

static struct hf_ctl_call *call_new(struct client *c)
{
	struct hf_ctl_call *call = calloc(1, sizeof(*call));

	hf_assert(call);
	call->client = c;
	call->ctx = c->ctl->config.ctx;
	hf_list_init(&call->link);
	hf_list_add_tail(&c->calls, &call->link);
	c->call_count++;
	return call;
}

/* The client broke the protocol: one log line, one answer, and the end. */
static void client_refuse(struct client *c, struct hf_ctl_call *call, const char *why)
{
	hf_warn("ctl: closing a client: %s", why);
	hf_ctl_fail(call, HF_CTL_EPROTO, "read the request", NULL, why,
		    "send one JSON object a line: {\"id\":1,\"cmd\":\"ping\"}; see holdfast-ctl(7)");
	c->draining = true;
}

static const struct hf_ctl_command *find_command(const struct hf_ctl *ctl, const char *name)
{
	for (size_t i = 0; i < ctl->config.command_count; i++)
		if (strcmp(ctl->config.commands[i].name, name) == 0)
			return &ctl->config.commands[i];
	return NULL;
}

static void call_dispatch(struct hf_ctl_call *call, const char *name, const json_t *args)
{
	const struct hf_ctl_command *command = find_command(call->client->ctl, name);

	if (command)
		command->run(call, args);
	else
		hf_ctl_fail(call, HF_CTL_ENOENT, "run the command", name, "this daemon has no such command",
			    "compare the versions of holdfast and holdfastd");
}

static void client_request(struct client *c, const char *line, size_t len)
{
	struct hf_ctl_call *call = call_new(c);
	json_t *request, *no_args = NULL;
	const json_t *args = NULL;
	char name[HF_NAME_MAX] = "";
	struct hf_json_reader j;
	struct hf_errmsg err;
	json_error_t where;

	request = json_loadb(line, len, JSON_REJECT_DUPLICATES, &where);
	if (!request) {
		snprintf(err.text, sizeof(err.text), "the request is not JSON: %s at byte %d", where.text,
			 where.position);
		client_refuse(c, call, err.text);
		return;
	}
	hf_json_begin(&j, request, "the request", &err);
	hf_json_u64(&j, "id", 0, ID_MAX, &call->id);
	call->has_id = j.result == 0;
	hf_json_string(&j, "cmd", name, sizeof(name));
	if (hf_json_has(&j, "args"))
		args = hf_json_object(&j, "args");
	if (hf_json_end(&j) < 0)
		client_refuse(c, call, err.text);
	else
		call_dispatch(call, name, args ? args : (no_args = json_object()));
	json_decref(no_args);
	json_decref(request);
}

/* May this client have one more request run now? */
static bool client_has_room(const struct client *c)
{
	return !c->draining && !c->closing && c->call_count < HF_CTL_CALLS_MAX && c->unsent_len < UNSENT_MAX;
}

static void client_run_requests(struct client *c)
{
	size_t start = 0;
	char *end;

	while (client_has_room(c) && (end = memchr(c->in + start, '\n', c->in_len - start))) {
		size_t len = (size_t)(end - c->in) - start;

		if (len > 0)
			client_request(c, c->in + start, len);
		start += len + 1;
	}
	c->in_len -= start;
	memmove(c->in, c->in + start, c->in_len);
	if (client_has_room(c) && c->in_len == sizeof(c->in))
		client_refuse(c, call_new(c), "a request is longer than 65536 bytes");
}

static void client_send(struct client *c)
{
	if (!hf_io_is_idle(&c->send) || c->unsent_len == 0)
		return;
	free(c->sending);
	c->sending = c->unsent;
	c->send.buf = c->sending;
	c->send.len = c->unsent_len;
	c->unsent = NULL;
	c->unsent_len = 0;
	hf_io_submit(c->ctl->reactor, &c->send);
}

static void client_receive(struct client *c)
{
	if (!hf_io_is_idle(&c->recv) || c->eof || !client_has_room(c))
		return;
	c->recv.buf = c->in + c->in_len;
	c->recv.len = sizeof(c->in) - c->in_len;
	hf_io_submit(c->ctl->reactor, &c->recv);
}

static void client_advance(struct client *c)
{
	bool all_answered;

	if (c->closing) {
		client_release(c);
		return;
	}
	c->busy = true;
	client_send(c);
	if (hf_io_is_idle(&c->recv))
		client_run_requests(c);
	client_receive(c);
	c->busy = false;
	all_answered = c->call_count == 0 && hf_io_is_idle(&c->send) && c->unsent_len == 0;
	if (c->closing)
		client_release(c);
	else if ((c->draining || c->eof) && all_answered)
		client_close(c);
}

static void advance_run(struct hf_task *t)
{
	client_advance(hf_container_of(t, struct client, advance));
}

static void recv_done(struct hf_io *io)
{
	struct client *c = hf_container_of(io, struct client, recv);
	struct hf_list *clients = &c->ctl->clients;

	if (io->result > 0) {
		c->in_len += (size_t)io->result;
		/* Heard of just now: the last to be displaced. */
		hf_list_del(&c->link);
		hf_list_add_tail(clients, &c->link);
	} else if (io->result < 0 && !c->closing) {
		client_close(c);
		return;
	}
	c->eof = io->result == 0;
	client_advance(c);
}

static void send_done(struct hf_io *io)
{
	struct client *c = hf_container_of(io, struct client, send);

	if (io->result < 0 && !c->closing)
		client_close(c);
	else
		client_advance(c);
}

/* the listening socket */

static bool is_displaceable(const struct client *c)
{
	return !c->closing && c->call_count == 0 && c->unsent_len == 0 && hf_io_is_idle(&c->send);
}

/* Make room for one more client; false: every client is being served. */
static bool make_room(struct hf_ctl *ctl)
{
	if (ctl->client_count < HF_CTL_CLIENTS_MAX)
		return true;
	hf_list_each(&ctl->clients, n) {
		struct client *c = hf_container_of(n, struct client, link);

		if (is_displaceable(c)) {
			hf_warn("ctl: closing the longest idle of %u clients to let another in", HF_CTL_CLIENTS_MAX);
			client_close(c);
			return true;
		}
	}
	hf_warn("ctl: refusing a client: %u are being served", HF_CTL_CLIENTS_MAX);
	return false;
}

static void client_new(struct hf_ctl *ctl, int fd)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c) {
		hf_warn("ctl: refusing a client: there is not enough memory");
		hf_close(ctl->reactor, fd);
		return;
	}
	c->ctl = ctl;
	c->fd = fd;
	hf_list_init(&c->calls);
	hf_list_init(&c->link);
	hf_list_add_tail(&ctl->clients, &c->link);
	ctl->client_count++;
	hf_task_init(&c->advance, advance_run);
	hf_io_init(&c->recv, HF_IO_RECV, fd, recv_done);
	hf_io_init(&c->send, HF_IO_SEND, fd, send_done);
	client_receive(c);
}

static void accept_done(struct hf_io *io)
{
	struct hf_ctl *ctl = hf_container_of(io, struct hf_ctl, accept);

	if (io->result >= 0 && !ctl->stopping && make_room(ctl))
		client_new(ctl, (int)io->result);
	else if (io->result >= 0)
		hf_close(ctl->reactor, (int)io->result);
	if (ctl->stopping) {
		ctl_release(ctl);
	} else if (io->result < 0) {
		hf_warn("ctl: cannot accept a client: %s", hf_strerror((int)io->result));
		hf_timer_set(ctl->reactor, &ctl->retry, hf_reactor_now(ctl->reactor) + ACCEPT_RETRY_NS);
	} else {
		hf_io_submit(ctl->reactor, &ctl->accept);
	}
}

static void retry_fire(struct hf_timer *t)
{
	struct hf_ctl *ctl = hf_container_of(t, struct hf_ctl, retry);

	hf_io_submit(ctl->reactor, &ctl->accept);
}

int hf_ctl_start(struct hf_reactor *r, const struct hf_ctl_config *config, struct hf_ctl **out, struct hf_errmsg *err)
{
	struct hf_ctl *ctl;
	char addr[HF_ADDR_MAX];
	mode_t mask;

	if (snprintf(addr, sizeof(addr), "unix:%s", config->path) >= (int)sizeof(addr))
		return hf_fail(err, -ENAMETOOLONG,
			       "the path of the control socket %s is too long: use a shorter directory", config->path);
	ctl = calloc(1, sizeof(*ctl));
	if (ctl)
		ctl->path = strdup(config->path);
	if (!ctl || !ctl->path) {
		free(ctl);
		return hf_fail(err, -ENOMEM, "control socket %s: there is not enough memory", config->path);
	}
	/* Only this process's own user, and root, may order it about. */
	mask = umask(0177);
	ctl->fd = hf_sock_listen_at_start(r, addr, err);
	umask(mask);
	if (ctl->fd < 0) {
		int rc = ctl->fd;

		free(ctl->path);
		free(ctl);
		return rc;
	}
	ctl->reactor = r;
	ctl->config = *config;
	hf_list_init(&ctl->clients);
	hf_timer_init(&ctl->retry, retry_fire);
	hf_task_init(&ctl->end, end_run);
	hf_io_init(&ctl->accept, HF_IO_ACCEPT, ctl->fd, accept_done);
	hf_io_submit(r, &ctl->accept);
	*out = ctl;
	return 0;
}

void hf_ctl_stop(struct hf_ctl *ctl, void (*stopped)(void *ctx), void *ctx)
{
	hf_assert(!ctl->stopping);
	ctl->stopped = stopped;
	ctl->stopped_ctx = ctx;
	ctl->stopping = true;
	hf_timer_clear(&ctl->retry);
	hf_io_cancel(ctl->reactor, &ctl->accept);
	hf_list_each(&ctl->clients, n) {
		struct client *c = hf_container_of(n, struct client, link);

		if (!c->closing)
			client_close(c);
	}
	ctl_release(ctl);
}
