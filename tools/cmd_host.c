// SPDX-License-Identifier: MIT
/* cmd_host - holdfast host: list, show. */
#include "base/parse.h"
#include "client.h"
#include "commands.h"
#include "ctl/ctl_proto.h"
#include "output.h"

static const struct column columns[] = {
	{ .title = "HOST", .key = "name" },
	{ .title = "DOMAIN", .key = "domain" },
	{ .title = "ADDRESS", .key = "addr" },
	{ .title = "ALIVE", .key = "alive" },
	{ .title = "CONNECTED", .key = "connected" },
	{ .title = "PRIMARY OF", .key = "primaries", .right = true },
	{ .title = "LEGS", .key = "legs", .right = true },
};

static const struct column details[] = {
	{ .title = "HOST", .key = "name" },
	{ .title = "DOMAIN", .key = "domain" },
	{ .title = "ADDRESS", .key = "addr" },
	{ .title = "ALIVE", .key = "alive" },
	{ .title = "CONNECTED", .key = "connected" },
	{ .title = "PRIMARY OF", .key = "primaries" },
	{ .title = "LEGS", .key = "legs" },
	{ .title = "INCARNATION", .key = "incarnation" },
	{ .title = "BOOT", .key = "boot" },
};

void print_hosts(const json_t *hosts)
{
	output_table(columns, sizeof(columns) / sizeof(columns[0]), hosts, 0);
}

int cmd_host_list(struct context *cx, const struct command *self, int argc, char **argv)
{
	struct operands words;
	struct daemons all;
	struct answer a;
	int code = args_parse(cx, self, argc, argv, NULL, &words, 0, 0);

	if (code == 0)
		code = client_daemons(cx, &all);
	if (code)
		return code;
	a = client_call_any(cx, &all, "host.list", NULL);
	if (a.exit_code != HF_EXIT_OK)
		return answer_complain(cx, &a);
	if (cx->json)
		output_json(a.result);
	else
		print_hosts(json_object_get(a.result, "hosts"));
	answer_fini(&a);
	return HF_EXIT_OK;
}

int cmd_host_show(struct context *cx, const struct command *self, int argc, char **argv)
{
	struct operands words;
	struct daemons all;
	struct hf_errmsg err;
	struct answer a;
	int code = args_parse(cx, self, argc, argv, NULL, &words, 1, 1);

	if (code == 0 && hf_name_check("host name", words.at[0], &err) < 0)
		code = complain(HF_EXIT_USAGE, "%s", err.text);
	if (code == 0)
		code = client_daemons(cx, &all);
	if (code)
		return code;
	a = client_call_any(cx, &all, "host.show", json_pack("{s:s}", "name", words.at[0]));
	if (a.exit_code != HF_EXIT_OK)
		return answer_complain(cx, &a);
	if (cx->json)
		output_json(a.result);
	else
		output_fields(details, sizeof(details) / sizeof(details[0]), a.result);
	answer_fini(&a);
	return HF_EXIT_OK;
}
