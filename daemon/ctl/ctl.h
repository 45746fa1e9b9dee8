/* SPDX-License-Identifier: MIT */
/*
 * ctl - the control socket: requests of operators' tools, one JSON object a line, over a unix socket of mode 0600.
 *
 * Owns: clients, framing, limits, the life of a call. Does not own: what a command does (ctl_handlers.c, ops.h).
 * Bounds: HF_CTL_CLIENTS_MAX clients (a newcomer displaces the longest idle one), HF_CTL_CALLS_MAX calls of each,
 * HF_CTL_LINE_MAX bytes a request. A client that breaks the protocol gets an error and is closed, with one log line.
 */
#ifndef HF_CTL_CTL_H
#define HF_CTL_CTL_H

#include <jansson.h>

#include "base/err.h"
#include "ctl/ctl_proto.h"
#include "io/reactor.h"

struct hf_ctl;
struct hf_ctl_call;			/* one request until it is answered, exactly once, now or later */

struct hf_ctl_command {
	const char *name;
	/* `args` is an object (empty when the request had none), valid during the call only. */
	void (*run)(struct hf_ctl_call *call, const json_t *args);
};

struct hf_ctl_config {
	const char *path;		/* of the socket */
	const struct hf_ctl_command *commands;
	size_t command_count;
	void *ctx;			/* hf_ctl_ctx() of every call */
};

/* Listen. `config` is copied, the command table is not. 0 or -errno. */
int hf_ctl_start(struct hf_reactor *r, const struct hf_ctl_config *config, struct hf_ctl **out, struct hf_errmsg *err);
/*
 * Close every client, remove the socket, free; then `stopped`. Calls not answered yet may still be answered, to nobody.
 */
void hf_ctl_stop(struct hf_ctl *ctl, void (*stopped)(void *ctx), void *ctx);

void *hf_ctl_ctx(const struct hf_ctl_call *call);
/* End a call with a result, which is taken over. */
void hf_ctl_reply(struct hf_ctl_call *call, json_t *result);
/*
 * End a call with an error. `what` failed ("create volume"), on which `object` ("db42"; NULL: none), `why`, and what to
 * `todo` (NULL: nothing to advise).
 */
void hf_ctl_fail(struct hf_ctl_call *call, enum hf_ctl_code code, const char *what, const char *object, const char *why,
		 const char *todo);
/* The code that stands for an errno. */
enum hf_ctl_code hf_ctl_code_of(int err);
const char *hf_ctl_code_name(enum hf_ctl_code code);

#endif
