/* SPDX-License-Identifier: MIT */
/*
 * client - blocking calls of daemons' control sockets, and the choice of the daemon to ask.
 *
 * With --socket (or $HOLDFAST_SOCKET, or the default) there is one daemon. With --dir (or $HOLDFAST_DIR) every host of
 * that `dev` cluster has one, so that a command can go to the host that has to carry it out.
 */
#ifndef HF_TOOLS_CLIENT_H
#define HF_TOOLS_CLIENT_H

#include <jansson.h>
#include <stdbool.h>

#include "args.h"
#include "base/err.h"
#include "base/limits.h"

#define DEFAULT_SOCKET "/run/holdfast/ctl.sock"
#define DAEMONS_MAX 64u

struct daemon {
	char host[HF_NAME_MAX];		/* empty: not known */
	char path[108];			/* of its control socket */
};

struct daemons {
	size_t count;
	struct daemon at[DAEMONS_MAX];
};

/* What became of a call. */
struct answer {
	int exit_code;			/* HF_EXIT_OK: `result` is set; else `error` is */
	json_t *result;
	json_t *error;			/* {"code","what","object","why","do"} */
};

/* Which daemons there are; 0 or an exit code after a message. */
int client_daemons(const struct context *cx, struct daemons *out);
const struct daemon *client_find(const struct daemons *all, const char *host);

/* One call; `args` (may be NULL) is taken over. HF_EXIT_UNREACHABLE: nobody listens, or no answer came. */
struct answer client_call(const struct context *cx, const struct daemon *d, const char *cmd, json_t *args);
/* The first daemon that answers. */
struct answer client_call_any(const struct context *cx, const struct daemons *all, const char *cmd, json_t *args);
/*
 * A command on one volume, told to its primary when that daemon is known and answers. `must`: only the primary will do;
 * else any daemon may answer.
 */
struct answer client_call_primary(const struct context *cx, const struct daemons *all, const char *volume,
				  const char *cmd, json_t *args, bool must);
void answer_fini(struct answer *a);
/* An answer that a tool itself gives. `todo` may be NULL. */
struct answer answer_failed(int exit_code, const char *code, const char *what, const char *object, const char *why,
			    const char *todo);
/* Print the error, as words or as JSON, on stderr; returns its exit code and frees the answer. */
int answer_complain(const struct context *cx, struct answer *a);

#endif
