// SPDX-License-Identifier: MIT
/* cmd_status - holdfast status, why, events, metrics: what is wrong, and what happened. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "client.h"
#include "commands.h"
#include "ctl/ctl_proto.h"
#include "merge.h"
#include "output.h"

#define EVENTS_DEFAULT 20u

/* status */

static const struct column problem_columns[] = {
	{ .title = "SEVERITY", .key = "severity" },
	{ .title = "OBJECT", .key = "object" },
	{ .title = "WHAT", .key = "what" },
};

static void print_problems(const json_t *problems)
{
	char text[CELL_MAX];

	if (json_array_size(problems) == 0) {
		printf("nothing is wrong\n\n");
		return;
	}
	output_table(problem_columns, sizeof(problem_columns) / sizeof(problem_columns[0]), problems, 0);
	printf("\nto do\n");
	for (size_t i = 0; i < json_array_size(problems); i++) {
		const json_t *problem = json_array_get(problems, i);

		printf("  %s: ", field_text(problem, "object", text));
		printf("%s\n", field_text(problem, "do", text));
	}
	putchar('\n');
}

int cmd_status(struct context *cx, const struct command *self, int argc, char **argv)
{
	struct operands words;
	struct daemons all;
	struct answer a;
	int code = args_parse(cx, self, argc, argv, NULL, &words, 0, 0);

	if (code == 0)
		code = client_daemons(cx, &all);
	if (code)
		return code;
	a = merge_all(cx, &all, "status");
	if (a.exit_code != HF_EXIT_OK)
		return answer_complain(cx, &a);
	if (cx->json) {
		output_json(a.result);
	} else {
		print_problems(json_object_get(a.result, "problems"));
		print_hosts(json_object_get(a.result, "hosts"));
		if (json_array_size(json_object_get(a.result, "volumes")) > 0)
			putchar('\n');
		print_volumes(json_object_get(a.result, "volumes"));
	}
	answer_fini(&a);
	return HF_EXIT_OK;
}

/* why */

int cmd_why(struct context *cx, const struct command *self, int argc, char **argv)
{
	struct operands words;
	char text[CELL_MAX];
	struct daemons all;
	struct hf_errmsg err;
	struct answer a;
	int code = args_parse(cx, self, argc, argv, NULL, &words, 1, 1);

	if (code == 0 && hf_name_check("volume name", words.at[0], &err) < 0)
		code = complain(HF_EXIT_USAGE, "%s", err.text);
	if (code == 0)
		code = client_daemons(cx, &all);
	if (code)
		return code;
	a = client_call_primary(cx, &all, words.at[0], "why", json_pack("{s:s}", "name", words.at[0]), false);
	if (a.exit_code != HF_EXIT_OK)
		return answer_complain(cx, &a);
	if (cx->json)
		output_json(a.result);
	else
		printf("%s\n", field_text(a.result, "why", text));
	answer_fini(&a);
	return HF_EXIT_OK;
}

/* events */

/* The time to the millisecond: 2026-01-31T12:00:00.123Z */
static void format_time(const json_t *row, char out[CELL_MAX])
{
	char *dot;

	(void)field_text(row, "time", out);
	dot = strchr(out, '.');
	if (dot && strlen(dot) > 5)
		strcpy(dot + 4, "Z");
}

static void format_detail(const json_t *row, char out[CELL_MAX])
{
	const json_t *detail = json_object_get(row, "detail");
	char *text = detail ? json_dumps(detail, JSON_COMPACT) : NULL;

	snprintf(out, CELL_MAX, "%s", text ? text : "");
	if (strlen(out) == CELL_MAX - 1)
		strcpy(out + CELL_MAX - 4, "...");
	free(text);
}

static const struct column event_columns[] = {
	{ .title = "TIME", .key = "time", .format = format_time },
	{ .title = "HOST", .key = "host" },
	{ .title = "VOLUME", .key = "volume" },
	{ .title = "EVENT", .key = "kind" },
	{ .title = "DETAIL", .key = "detail", .format = format_detail },
};

int cmd_events(struct context *cx, const struct command *self, int argc, char **argv)
{
	const char *count_text = NULL, *volume;
	const struct option_spec specs[] = { { "-n", OPTION_TEXT, &count_text }, { NULL, OPTION_FLAG, NULL } };
	uint64_t count = EVENTS_DEFAULT;
	struct operands words;
	struct daemons all;
	struct hf_errmsg err;
	struct answer a;
	int code = args_parse(cx, self, argc, argv, specs, &words, 0, 1);

	if (code)
		return code;
	volume = words.count ? words.at[0] : NULL;
	if ((count_text && hf_number_parse("-n", count_text, 1, HF_CTL_EVENTS_MAX, &count, &err) < 0) ||
	    (volume && hf_name_check("volume name", volume, &err) < 0))
		return complain(HF_EXIT_USAGE, "%s", err.text);
	code = client_daemons(cx, &all);
	if (code)
		return code;
	a = merge_events(cx, &all, volume, (unsigned)count);
	if (a.exit_code != HF_EXIT_OK)
		return answer_complain(cx, &a);
	if (cx->json)
		output_json(a.result);
	else
		output_table(event_columns, sizeof(event_columns) / sizeof(event_columns[0]),
			     json_object_get(a.result, "events"), 0);
	answer_fini(&a);
	return HF_EXIT_OK;
}

/* metrics */

int cmd_metrics(struct context *cx, const struct command *self, int argc, char **argv)
{
	struct operands words;
	struct daemons all;
	const char *text;
	struct answer a;
	int code = args_parse(cx, self, argc, argv, NULL, &words, 0, 1);
	const struct daemon *d;

	if (code == 0)
		code = client_daemons(cx, &all);
	if (code)
		return code;
	d = words.count ? client_find(&all, words.at[0]) : NULL;
	if (words.count && !d)
		return complain(HF_EXIT_NOT_FOUND, "no control socket of host '%s' is known: give --dir", words.at[0]);
	a = d ? client_call(cx, d, "metrics", NULL) : client_call_any(cx, &all, "metrics", NULL);
	if (a.exit_code != HF_EXIT_OK)
		return answer_complain(cx, &a);
	text = json_string_value(json_object_get(a.result, "text"));
	if (cx->json)
		output_json(a.result);
	else
		fputs(text ? text : "", stdout);
	answer_fini(&a);
	return HF_EXIT_OK;
}
