// SPDX-License-Identifier: MIT
/* args - options and operands. */
#include "args.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "ctl/ctl_proto.h"

#define TIMEOUT_MAX_S 86400u

int complain(int exit_code, const char *format, ...)
{
	va_list ap;

	fputs("holdfast: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	return exit_code;
}

/* One word list under way. */
struct cursor {
	int argc, at;
	char **argv;
};

/* Does this word spell `name`, and where is its value? NULL value: the option is alone. */
static bool matches(const char *word, const char *name, const char **value)
{
	size_t len = strlen(name);

	*value = NULL;
	if (strncmp(word, name, len) != 0)
		return false;
	if (word[len] == '=' && name[1] == '-')
		*value = word + len + 1;
	return word[len] == '\0' || *value;
}

/* 1: taken; 0: some other option; negative: an exit code, negated. */
static int take_option(struct cursor *c, const struct option_spec *spec)
{
	const char *value;

	if (!matches(c->argv[c->at], spec->name, &value))
		return 0;
	if (spec->kind == OPTION_FLAG) {
		if (value)
			return -complain(HF_EXIT_USAGE, "option %s takes no value", spec->name);
		*(bool *)spec->out = true;
		return 1;
	}
	if (!value) {
		if (c->at + 1 >= c->argc)
			return -complain(HF_EXIT_USAGE, "option %s needs a value", spec->name);
		value = c->argv[++c->at];
	}
	*(const char **)spec->out = value;
	return 1;
}

static int take_from(struct cursor *c, const struct option_spec *specs)
{
	for (; specs && specs->name; specs++) {
		int rc = take_option(c, specs);

		if (rc)
			return rc;
	}
	return 0;
}

static int take_common(struct context *cx, struct cursor *c)
{
	const char *timeout = NULL;
	const struct option_spec specs[] = {
		{ "--socket", OPTION_TEXT, &cx->socket },
		{ "--dir", OPTION_TEXT, &cx->dir },
		{ "--json", OPTION_FLAG, &cx->json },
		{ "--timeout", OPTION_TEXT, &timeout },
		{ NULL, OPTION_FLAG, NULL },
	};
	int rc = take_from(c, specs);
	struct hf_errmsg err;
	uint64_t seconds;

	if (rc <= 0 || !timeout)
		return rc;
	if (hf_number_parse("--timeout", timeout, 1, TIMEOUT_MAX_S, &seconds, &err) < 0)
		return -complain(HF_EXIT_USAGE, "%s", err.text);
	cx->timeout_s = (unsigned)seconds;
	return 1;
}

int args_parse_front(struct context *cx, int argc, char **argv)
{
	struct cursor c = { argc, 0, argv };

	for (; c.at < c.argc && c.argv[c.at][0] == '-'; c.at++) {
		int rc = take_common(cx, &c);

		if (rc < 0)
			return rc;
		if (rc == 0)
			break;
	}
	return c.at;
}

static int usage_error(const struct command *self, const char *what, const char *word)
{
	return complain(HF_EXIT_USAGE, "%s%s%s%s\nusage: holdfast %s %s", what, word ? " '" : "", word ? word : "",
			word ? "'" : "", self->name, self->synopsis);
}

static int take_word(struct context *cx, const struct command *self, struct cursor *c, const struct option_spec *specs)
{
	int rc = take_from(c, specs);

	if (rc == 0)
		rc = take_common(cx, c);
	if (rc == 0)
		return usage_error(self, "unknown option", c->argv[c->at]);
	return rc < 0 ? -rc : 0;
}

int args_parse(struct context *cx, const struct command *self, int argc, char **argv, const struct option_spec *specs,
	       struct operands *out, int min, int max)
{
	struct cursor c = { argc, 0, argv };
	bool only_operands = false;

	*out = (struct operands){ 0 };
	for (; c.at < c.argc; c.at++) {
		const char *word = c.argv[c.at];

		if (!only_operands && strcmp(word, "--") == 0) {
			only_operands = true;
		} else if (!only_operands && word[0] == '-' && word[1]) {
			int code = take_word(cx, self, &c, specs);

			if (code)
				return code;
		} else if (out->count == max) {
			return usage_error(self, "one word too many:", word);
		} else {
			out->at[out->count++] = word;
		}
	}
	return out->count < min ? usage_error(self, "an operand is missing", NULL) : 0;
}
