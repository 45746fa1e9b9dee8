/* SPDX-License-Identifier: MIT */
/*
 * torture_session - one session of an NBD client, no more of the protocol than a verifying load needs: fixed newstyle,
 * GO, simple replies, over a unix socket. Opening blocks for a bounded time; everything else never does.
 *
 * A library would bring a dependency to every host that has `holdfast`, and would decide by itself when a connection
 * has ended and what becomes of the operations on it, which is what an oracle has to know exactly.
 */
#ifndef HF_TOOLS_TORTURE_SESSION_H
#define HF_TOOLS_TORTURE_SESSION_H

#include "torture_oracle.h"

#define SESSION_DEPTH_MAX 64u

enum session_command { SESSION_READ = 0, SESSION_WRITE = 1, SESSION_ZERO = 6 };

struct session_op {
	enum session_command command;
	bool in_use;
	bool fua;
	bool inquest;			/* a read after a write that was not answered: `value` is that write's */
	bool pass;			/* of a pass over all blocks */
	uint64_t block, value;
	uint32_t count;
	uint64_t begun_ns;
	struct oracle_mark mark[ORACLE_RUN_MAX]; /* of a read */
	uint8_t *buf;			/* ORACLE_RUN_MAX blocks, made when first used */
	uint8_t head[28];		/* the request as sent */
};

struct session {
	int fd;				/* -1: not open */
	uint64_t size_bytes;
	unsigned in_flight;
	struct session_op op[SESSION_DEPTH_MAX];
	/* requests that are not wholly sent, oldest first */
	uint8_t queue[SESSION_DEPTH_MAX];
	unsigned queued;
	size_t sent;			/* bytes of the first */
	/* the reply that is coming in */
	uint8_t reply[16];
	size_t received;		/* of reply, then of the payload behind it */
	struct session_op *reading;	/* NULL: the reply's head is not complete */
	/* Each answer. `error` is NBD's number, 0 for success. The operation is free again when it returns. */
	void (*done)(void *ctx, struct session *s, struct session_op *op, uint32_t error);
	void *ctx;
};

/* Connect to an export at a unix socket, in at most `wait_ms` for each answer; 0 or -errno. Set done and ctx before. */
int session_open(struct session *s, const char *path, const char *export, unsigned wait_ms);
/* Operations in flight stay marked as in use, for whoever asks what became of them. */
void session_close(struct session *s);
/* Frees the buffers as well. */
void session_fini(struct session *s);

/* A free operation with a buffer, or NULL when `depth` are in flight. */
struct session_op *session_op(struct session *s, unsigned depth);
/* Fill in command, fua, block and count before. */
void session_submit(struct session *s, struct session_op *op);
/* What to poll for. */
short session_events(const struct session *s);
/* Send and receive what is possible now; 0, or -errno when the session has ended: close it then. */
int session_pump(struct session *s);

#endif
