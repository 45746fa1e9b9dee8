// SPDX-License-Identifier: MIT
/* holdfast - the operator's command: a table of commands, and which one is meant. See holdfast(8). */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "ctl/ctl_proto.h"
#include "format/json_read.h"

#define TIMEOUT_S 60u

static const struct command commands[] = {
	{ "status", "", "what is wrong, and what to do", cmd_status },
	{ "why", "VOLUME", "why a volume is blocked or degraded, in one sentence", cmd_why },
	{ "volume create",
	  "VOLUME --tenant T --size 100G --layout 2+1 [--local full] [--hosts A,B,..] [--min-tolerance N] "
	  "[--failover auto]",
	  "make a volume and serve it", cmd_volume_create },
	{ "volume list", "", "all volumes", cmd_volume_list },
	{ "volume show", "VOLUME", "one volume and its legs", cmd_volume_show },
	{ "volume set", "VOLUME --failover auto|manual", "who promotes it when its primary is dead", cmd_volume_set },
	{ "volume resize", "VOLUME --size 200G", "change a volume's size", cmd_volume_resize },
	{ "volume delete", "VOLUME [--force]", "delete a volume and its data", cmd_volume_delete },
	{ "host list", "", "all hosts", cmd_host_list },
	{ "host show", "HOST", "one host", cmd_host_show },
	{ "promote", "VOLUME [--to HOST] [--dry-run] [--accept-data-loss]", "give a volume a new primary",
	  cmd_promote },
	{ "failover", "HOST [--to HOST] [--dry-run]", "promote everything that a host was primary of", cmd_failover },
	{ "events", "[VOLUME] [-n COUNT]", "the newest events", cmd_events },
	{ "metrics", "[HOST]", "figures for Prometheus", cmd_metrics },
	{ "dev up", "DIR [--hosts 4] [--cluster STORE]", "start a cluster on this machine", cmd_dev_up },
	{ "dev down", "DIR", "end it", cmd_dev_down },
	{ "dev kill", "DIR HOST", "end one host by kill -9", cmd_dev_kill },
	{ "dev start", "DIR HOST", "start one host again", cmd_dev_start },
	{ "dev status", "DIR", "which hosts run", cmd_dev_status },
	{ "torture",
	  "[--count 100] [--time SECONDS] [--seed N] [--faults KIND,..] [--layout 2+1] [--local full|none]\n"
	  "       [--size 64M] [--hosts N] [--depth 16] [--rate 3000] [--in DIR] [--keep]",
	  "inject faults under a verifying load, and judge what became of every write", cmd_torture },
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static void print_usage(FILE *out)
{
	fprintf(out, "usage: holdfast [--socket PATH | --dir DIR] [--json] [--timeout SECONDS] COMMAND ...\n\n");
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(out, "  %-14s  %s\n", commands[i].name, commands[i].summary);
	fprintf(out, "\nholdfast COMMAND --help shows its words; holdfast(8) explains them.\n");
}

/* How many words of the command line are this command's name; 0: it is another. */
static int match(const struct command *c, int argc, char **argv)
{
	const char *space = strchr(c->name, ' ');
	size_t len = space ? (size_t)(space - c->name) : strlen(c->name);

	if (argc < 1 || strlen(argv[0]) != len || strncmp(argv[0], c->name, len) != 0)
		return 0;
	if (!space)
		return 1;
	return argc > 1 && strcmp(argv[1], space + 1) == 0 ? 2 : 0;
}

static bool wants_help(int argc, char **argv)
{
	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

static int run(struct context *cx, const struct command *c, int argc, char **argv)
{
	if (!wants_help(argc, argv))
		return c->run(cx, c, argc, argv);
	printf("usage: holdfast %s %s\n\n%s\n", c->name, c->synopsis, c->summary);
	return HF_EXIT_OK;
}

static int unknown(int argc, char **argv)
{
	bool is_noun = false;

	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		size_t len = strlen(argv[0]);

		if (strncmp(commands[i].name, argv[0], len) != 0 || commands[i].name[len] != ' ')
			continue;
		if (!is_noun)
			complain(HF_EXIT_USAGE,
				 argc > 1 ? "'%s' knows no '%s'; it knows:" : "'%s' needs one more word:", argv[0],
				 argc > 1 ? argv[1] : "");
		is_noun = true;
		fprintf(stderr, "  holdfast %s %s\n", commands[i].name, commands[i].synopsis);
	}
	if (!is_noun)
		complain(HF_EXIT_USAGE, "there is no command '%s'; usage: holdfast COMMAND ...; see holdfast --help",
			 argv[0]);
	return HF_EXIT_USAGE;
}

int main(int argc, char **argv)
{
	struct context cx = { .timeout_s = TIMEOUT_S };
	int skip = args_parse_front(&cx, argc - 1, argv + 1);

	hf_json_init();
	if (skip < 0)
		return -skip;
	argc -= 1 + skip;
	argv += 1 + skip;
	if (argc < 1) {
		print_usage(stderr);
		return HF_EXIT_USAGE;
	}
	if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0 || strcmp(argv[0], "help") == 0) {
		print_usage(stdout);
		return HF_EXIT_OK;
	}
	if (strcmp(argv[0], "--version") == 0) {
		printf("holdfast, control protocol %d\n", HF_CTL_VERSION);
		return HF_EXIT_OK;
	}
	if (argv[0][0] == '-')
		return complain(HF_EXIT_USAGE, "unknown option '%s'; see holdfast --help", argv[0]);
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		int words = match(&commands[i], argc, argv);

		if (words)
			return run(&cx, &commands[i], argc - words, argv + words);
	}
	return unknown(argc, argv);
}
