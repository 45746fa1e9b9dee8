// SPDX-License-Identifier: MIT
/* cmd_volume - holdfast volume: create, list, show, resize, delete. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/parse.h"
#include "client.h"
#include "commands.h"
#include "ctl/ctl_proto.h"
#include "merge.h"
#include "output.h"

static void format_size(const json_t *row, char out[CELL_MAX])
{
	format_bytes((unsigned long long)field_number(row, "size"), out);
}

static void format_layout(const json_t *row, char out[CELL_MAX])
{
	char layout[CELL_MAX];
	long long full = field_number(row, "full_legs");

	(void)field_text(row, "layout", layout);
	if (full == 0)
		snprintf(out, CELL_MAX, "%.40s", layout);
	else if (full == 1)
		snprintf(out, CELL_MAX, "%.40s + full", layout);
	else
		snprintf(out, CELL_MAX, "%.40s + %lld full", layout, full);
}

static void format_tolerance(const json_t *row, char out[CELL_MAX])
{
	snprintf(out, CELL_MAX, "%lld of %lld", field_number(row, "tolerance"), field_number(row, "tolerance_full"));
}

static void format_legs(const json_t *row, char out[CELL_MAX])
{
	const json_t *legs = json_object_get(row, "legs");
	size_t insync = 0;

	for (size_t i = 0; i < json_array_size(legs); i++) {
		const char *state = json_string_value(json_object_get(json_array_get(legs, i), "state"));

		insync += state && strcmp(state, "insync") == 0;
	}
	snprintf(out, CELL_MAX, "%zu/%zu in sync", insync, json_array_size(legs));
}

static void format_leg_state(const json_t *row, char out[CELL_MAX])
{
	const json_t *percent = json_object_get(row, "resync_percent");
	char state[CELL_MAX];

	(void)field_text(row, "state", state);
	if (json_is_integer(percent))
		snprintf(out, CELL_MAX, "%.40s %lld %%", state, (long long)json_integer_value(percent));
	else
		snprintf(out, CELL_MAX, "%.40s", state);
}

static const struct column volume_columns[] = {
	{ .title = "VOLUME", .key = "name" },
	{ .title = "TENANT", .key = "tenant" },
	{ .title = "SIZE", .key = "size", .format = format_size, .right = true },
	{ .title = "LAYOUT", .key = "layout", .format = format_layout },
	{ .title = "PRIMARY", .key = "primary" },
	{ .title = "EPOCH", .key = "epoch", .right = true },
	{ .title = "STATE", .key = "state" },
	{ .title = "TOLERANCE", .key = "tolerance", .format = format_tolerance },
	{ .title = "LEGS", .key = "legs", .format = format_legs },
};

static const struct column detail_columns[] = {
	{ .title = "VOLUME", .key = "name" },
	{ .title = "TENANT", .key = "tenant" },
	{ .title = "UUID", .key = "uuid" },
	{ .title = "SIZE", .key = "size", .format = format_size },
	{ .title = "LAYOUT", .key = "layout", .format = format_layout },
	{ .title = "PRIMARY", .key = "primary" },
	{ .title = "EPOCH", .key = "epoch" },
	{ .title = "STATE", .key = "state" },
	{ .title = "TOLERANCE", .key = "tolerance", .format = format_tolerance },
	{ .title = "MIN TOLERANCE", .key = "min_tolerance" },
	{ .title = "FAILOVER", .key = "failover" },
	{ .title = "COMMITTED SEQ", .key = "committed" },
	{ .title = "SESSIONS", .key = "sessions" },
	{ .title = "WHY", .key = "why" },
};

static const struct column leg_columns[] = {
	{ .title = "HOST", .key = "host" },
	{ .title = "LEG", .key = "kind" },
	{ .title = "STATE", .key = "state", .format = format_leg_state },
	{ .title = "CONNECTED", .key = "connected" },
	{ .title = "ACKED", .key = "acked", .right = true },
	{ .title = "LAG", .key = "lag", .right = true },
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void print_volume(const struct context *cx, const json_t *volume)
{
	if (cx->json) {
		output_json(volume);
		return;
	}
	output_fields(detail_columns, COUNT(detail_columns), volume);
	printf("legs\n");
	output_table(leg_columns, COUNT(leg_columns), json_object_get(volume, "legs"), 2);
}

void print_volumes(const json_t *volumes)
{
	output_table(volume_columns, COUNT(volume_columns), volumes, 0);
}

static int finish_volume(const struct context *cx, struct answer *a)
{
	if (a->exit_code != HF_EXIT_OK)
		return answer_complain(cx, a);
	print_volume(cx, a->result);
	answer_fini(a);
	return HF_EXIT_OK;
}

/* create */

struct create_words {
	const char *tenant, *size, *layout, *local, *hosts, *min_tolerance, *failover;
};

static bool is_failover(const char *word)
{
	return strcmp(word, "auto") == 0 || strcmp(word, "manual") == 0;
}

/* "a,b,c" to a JSON array; NULL after a message. */
static json_t *split_hosts(const char *text)
{
	json_t *list = json_array();
	struct hf_errmsg err;

	while (list) {
		size_t len = strcspn(text, ",");
		char name[HF_NAME_MAX + 1];

		snprintf(name, sizeof(name), "%.*s", (int)(len < HF_NAME_MAX ? len : HF_NAME_MAX), text);
		if (hf_name_check("host name in --hosts", name, &err) < 0) {
			complain(HF_EXIT_USAGE, "%s", err.text);
			json_decref(list);
			return NULL;
		}
		json_array_append_new(list, json_string(name));
		if (!text[len])
			break;
		text += len + 1;
	}
	return list;
}

static int check_words(const struct create_words *w, const char *name, uint64_t *out_size, uint64_t *out_tolerance)
{
	struct hf_errmsg err;
	uint8_t k, m;
	int rc = 0;

	if (!w->tenant || !w->size || !w->layout)
		return complain(
			HF_EXIT_USAGE,
			"volume create needs --tenant, --size and --layout; for example: holdfast volume create "
			"%s --tenant acme --size 100G --layout 2+1 --local full",
			name);
	rc = hf_name_check("volume name", name, &err);
	if (rc == 0)
		rc = hf_name_check("tenant name", w->tenant, &err);
	if (rc == 0)
		rc = hf_size_parse(w->size, out_size, &err);
	if (rc == 0)
		rc = hf_layout_parse(w->layout, &k, &m, &err);
	if (rc == 0 && w->min_tolerance)
		rc = hf_number_parse("--min-tolerance", w->min_tolerance, 0, HF_LEGS_MAX, out_tolerance, &err);
	if (rc == 0 && w->local && strcmp(w->local, "full") != 0 && strcmp(w->local, "none") != 0)
		rc = hf_fail(&err, -EINVAL, "--local is 'full' or 'none', not '%s'", w->local);
	if (rc == 0 && !is_failover(w->failover))
		rc = hf_fail(&err, -EINVAL, "--failover is 'auto' or 'manual', not '%s'", w->failover);
	return rc < 0 ? complain(HF_EXIT_USAGE, "%s", err.text) : 0;
}

/* The daemon that will be primary carries it out, when it is known; else any. */
static struct answer create_at(const struct context *cx, const struct daemons *all, json_t *args)
{
	const char *first = json_string_value(json_array_get(json_object_get(args, "hosts"), 0));
	const struct daemon *d = first ? client_find(all, first) : NULL;

	return d ? client_call(cx, d, "volume.create", args) : client_call_any(cx, all, "volume.create", args);
}

int cmd_volume_create(struct context *cx, const struct command *self, int argc, char **argv)
{
	struct create_words w = { .local = "none", .failover = "manual" };
	const struct option_spec specs[] = {
		{ "--tenant", OPTION_TEXT, &w.tenant },
		{ "--size", OPTION_TEXT, &w.size },
		{ "--layout", OPTION_TEXT, &w.layout },
		{ "--local", OPTION_TEXT, &w.local },
		{ "--hosts", OPTION_TEXT, &w.hosts },
		{ "--min-tolerance", OPTION_TEXT, &w.min_tolerance },
		{ "--failover", OPTION_TEXT, &w.failover },
		{ NULL, OPTION_FLAG, NULL },
	};
	uint64_t size = 0, tolerance = 0;
	struct operands words;
	struct daemons all;
	struct answer a;
	json_t *args, *hosts;
	int code = args_parse(cx, self, argc, argv, specs, &words, 1, 1);

	if (code == 0)
		code = check_words(&w, words.at[0], &size, &tolerance);
	if (code == 0)
		code = client_daemons(cx, &all);
	if (code)
		return code;
	args = json_pack("{s:s, s:s, s:I, s:s, s:s}", "name", words.at[0], "tenant", w.tenant, "size", (json_int_t)size,
			 "layout", w.layout, "local", w.local);
	json_object_set_new(args, "auto_failover", json_boolean(strcmp(w.failover, "auto") == 0));
	if (w.min_tolerance)
		json_object_set_new(args, "min_tolerance", json_integer((json_int_t)tolerance));
	if (w.hosts) {
		hosts = split_hosts(w.hosts);
		if (!hosts) {
			json_decref(args);
			return HF_EXIT_USAGE;
		}
		json_object_set_new(args, "hosts", hosts);
	}
	a = create_at(cx, &all, args);
	return finish_volume(cx, &a);
}

/* the others */

/* The one operand, a volume's name, and the daemons. */
static int parse_volume(struct context *cx, const struct command *self, int argc, char **argv,
			const struct option_spec *specs, struct operands *words, struct daemons *all)
{
	struct hf_errmsg err;
	int code = args_parse(cx, self, argc, argv, specs, words, 1, 1);

	if (code)
		return code;
	if (hf_name_check("volume name", words->at[0], &err) < 0)
		return complain(HF_EXIT_USAGE, "%s", err.text);
	return client_daemons(cx, all);
}

int cmd_volume_list(struct context *cx, const struct command *self, int argc, char **argv)
{
	struct operands words;
	struct daemons all;
	struct answer a;
	int code = args_parse(cx, self, argc, argv, NULL, &words, 0, 0);

	if (code == 0)
		code = client_daemons(cx, &all);
	if (code)
		return code;
	a = merge_all(cx, &all, "volume.list");
	if (a.exit_code != HF_EXIT_OK)
		return answer_complain(cx, &a);
	if (cx->json)
		output_json(a.result);
	else
		print_volumes(json_object_get(a.result, "volumes"));
	answer_fini(&a);
	return HF_EXIT_OK;
}

int cmd_volume_show(struct context *cx, const struct command *self, int argc, char **argv)
{
	struct operands words;
	struct daemons all;
	struct answer a;
	int code = parse_volume(cx, self, argc, argv, NULL, &words, &all);

	if (code)
		return code;
	a = client_call_primary(cx, &all, words.at[0], "volume.show", json_pack("{s:s}", "name", words.at[0]), false);
	return finish_volume(cx, &a);
}

int cmd_volume_resize(struct context *cx, const struct command *self, int argc, char **argv)
{
	const char *size_text = NULL;
	const struct option_spec specs[] = { { "--size", OPTION_TEXT, &size_text }, { NULL, OPTION_FLAG, NULL } };
	struct operands words;
	struct daemons all;
	struct hf_errmsg err;
	struct answer a;
	uint64_t size;
	int code = parse_volume(cx, self, argc, argv, specs, &words, &all);

	if (code)
		return code;
	if (!size_text)
		return complain(HF_EXIT_USAGE, "volume resize needs --size, for example --size 200G");
	if (hf_size_parse(size_text, &size, &err) < 0)
		return complain(HF_EXIT_USAGE, "%s", err.text);
	a = client_call_primary(cx, &all, words.at[0], "volume.resize",
				json_pack("{s:s, s:I}", "name", words.at[0], "size", (json_int_t)size), true);
	return finish_volume(cx, &a);
}

int cmd_volume_set(struct context *cx, const struct command *self, int argc, char **argv)
{
	const char *failover = NULL;
	const struct option_spec specs[] = { { "--failover", OPTION_TEXT, &failover }, { NULL, OPTION_FLAG, NULL } };
	struct operands words;
	struct daemons all;
	struct answer a;
	int code = parse_volume(cx, self, argc, argv, specs, &words, &all);

	if (code)
		return code;
	if (!failover || !is_failover(failover))
		return complain(HF_EXIT_USAGE, "volume set needs --failover auto or --failover manual");
	a = client_call_any(cx, &all, "volume.set", json_pack("{s:s, s:b}", "name", words.at[0], "auto_failover",
							      strcmp(failover, "auto") == 0));
	if (a.exit_code != HF_EXIT_OK)
		return answer_complain(cx, &a);
	if (cx->json)
		output_json(a.result);
	answer_fini(&a);
	return HF_EXIT_OK;
}

int cmd_volume_delete(struct context *cx, const struct command *self, int argc, char **argv)
{
	bool force = false;
	const struct option_spec specs[] = { { "--force", OPTION_FLAG, &force }, { NULL, OPTION_FLAG, NULL } };
	struct operands words;
	struct daemons all;
	struct answer a;
	int code = parse_volume(cx, self, argc, argv, specs, &words, &all);

	if (code)
		return code;
	a = client_call_primary(cx, &all, words.at[0], "volume.delete",
				json_pack("{s:s, s:b}", "name", words.at[0], "force", force), !force);
	if (a.exit_code != HF_EXIT_OK)
		return answer_complain(cx, &a);
	if (cx->json)
		output_json(a.result);
	answer_fini(&a);
	return HF_EXIT_OK;
}
