/* SPDX-License-Identifier: MIT */
/*
 * args - the command line of one command: options and operands, checked; and what every command shares.
 *
 * Options may stand anywhere, as "--name value" or "--name=value"; "--" ends them. Messages go to stderr.
 */
#ifndef HF_TOOLS_ARGS_H
#define HF_TOOLS_ARGS_H

#include <stdbool.h>
#include <stddef.h>

/* What every command knows: which daemons, and how to answer. */
struct context {
	const char *socket;		/* --socket; NULL: not given */
	const char *dir;		/* --dir: a cluster made by `dev up` */
	bool json;
	unsigned timeout_s;		/* for one answer of a daemon */
};

enum option_kind { OPTION_FLAG, OPTION_TEXT };

struct option_spec {
	const char *name;		/* with its dashes */
	enum option_kind kind;
	void *out;			/* bool * or const char **; untouched when the option is not given */
};

struct operands {
	int count;
	const char *at[4];
};

struct command {
	const char *name;		/* "volume create" */
	const char *synopsis;		/* behind the name */
	const char *summary;
	int (*run)(struct context *cx, const struct command *self, int argc, char **argv); /* argv behind the name */
};

/*
 * Take options of `specs` (ends with a NULL name) and the common ones, and min..max operands. 0, or an exit code after
 * a message: HF_EXIT_USAGE.
 */
int args_parse(struct context *cx, const struct command *self, int argc, char **argv, const struct option_spec *specs,
	       struct operands *out, int min, int max);
/* The common options only, at the front: how many words of argv they are; negative: an exit code, negated. */
int args_parse_front(struct context *cx, int argc, char **argv);
/* "holdfast: ..." on stderr; returns `exit_code`, so that one can return complain(...). */
int complain(int exit_code, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
