// SPDX-License-Identifier: MIT
/* cmd_torture - holdfast torture: its options, and one run from beginning to end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/parse.h"
#include "commands.h"
#include "ctl/ctl_proto.h"
#include "torture.h"

#define COUNT_DEFAULT 100u
#define SECONDS_MAX 86400u
#define SIZE_DEFAULT "64M"
#define DEPTH_DEFAULT 16u
#define RATE_DEFAULT 3000u

struct words {
	const char *count, *seconds, *seed, *hosts, *layout, *local, *size, *depth, *rate, *faults, *in;
	bool keep;
};

/* Legs of a layout; 0 after a message. */
static unsigned legs_of(const char *layout, const char *local)
{
	struct hf_errmsg err;
	uint8_t k, m;

	if (strcmp(local, "full") != 0 && strcmp(local, "none") != 0) {
		complain(HF_EXIT_USAGE, "--local is 'full' or 'none', not '%s'", local);
		return 0;
	}
	if (hf_layout_parse(layout, &k, &m, &err) == 0)
		return k + m + (strcmp(local, "full") == 0);
	complain(HF_EXIT_USAGE, "%s", err.text);
	return 0;
}

static int random_seed(uint64_t *out)
{
	uint32_t seed;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		return complain(HF_EXIT_FAILED, "no random seed can be had: give one by --seed");
	*out = seed;
	return 0;
}

static int check_numbers(const struct words *w, struct torture_options *o)
{
	const struct {
		const char *name, *text;
		uint64_t min, max, *out;
	} number[] = {
		{ "--count", w->count, 1, TORTURE_FAULTS_MAX, &o->count },
		{ "--time", w->seconds, 1, SECONDS_MAX, &o->seconds },
		{ "--seed", w->seed, 0, UINT32_MAX, &o->seed },
		{ "--hosts", w->hosts, 1, DEV_HOSTS_MAX, &o->hosts },
		{ "--depth", w->depth, 1, 64, &o->depth },
		{ "--rate", w->rate, 1, 1000000, &o->rate },
	};
	struct hf_errmsg err;

	for (size_t i = 0; i < sizeof(number) / sizeof(number[0]); i++)
		if (number[i].text && hf_number_parse(number[i].name, number[i].text, number[i].min, number[i].max,
						      number[i].out, &err) < 0)
			return complain(HF_EXIT_USAGE, "%s", err.text);
	if (hf_size_parse(w->size ? w->size : SIZE_DEFAULT, &o->size_bytes, &err) < 0)
		return complain(HF_EXIT_USAGE, "%s", err.text);
	if (o->size_bytes < (uint64_t)ORACLE_RUN_MAX * ORACLE_BLOCK || o->size_bytes > 1ull << 34)
		return complain(HF_EXIT_USAGE, "--size is from 256K to 16G: every block is remembered and read often");
	return 0;
}

static int check_words(const struct words *w, struct torture *t, uint64_t *out_kinds)
{
	struct torture_options *o = &t->opt;
	int code;

	*o = (struct torture_options){ .count = COUNT_DEFAULT, .depth = DEPTH_DEFAULT, .rate = RATE_DEFAULT,
				       .layout = w->layout ? w->layout : "2+1", .keep = w->keep, .in = w->in };
	o->local = w->local ? w->local : w->layout ? "none" : "full";
	t->hosts = legs_of(o->layout, o->local);
	o->hosts = t->hosts;
	code = t->hosts ? check_numbers(w, o) : HF_EXIT_USAGE;
	if (code == 0 && (t->hosts < 2 || t->hosts > DEV_HOSTS_MAX))
		code = complain(HF_EXIT_USAGE, "a volume on one host is not worth a torture: choose another --layout");
	if (code == 0 && o->hosts < t->hosts)
		code = complain(HF_EXIT_USAGE, "--hosts %llu: this layout needs %u", (unsigned long long)o->hosts,
				t->hosts);
	if (code == 0 && t->cx.dir && (w->hosts || w->in))
		code = complain(HF_EXIT_USAGE, "--hosts and --in are for a cluster of its own, not for that of --dir");
	if (code == 0 && t->cx.socket)
		code = complain(HF_EXIT_USAGE, "a torture ends processes: it takes a cluster of `dev up` by --dir, or "
					       "makes its own, but no --socket");
	*out_kinds = code ? 0 : w->faults ? torture_kinds_parse(w->faults) : (1ull << torture_kinds()) - 1;
	if (code == 0 && !*out_kinds)
		code = HF_EXIT_USAGE;
	return code || w->seed ? code : random_seed(&o->seed);
}

static int start_load(struct torture *t)
{
	char path[PATH_MAX + 64];
	struct load_config config = { path, TORTURE_VOLUME, t->opt.seed, (unsigned)t->opt.depth,
				      (unsigned)t->opt.rate };
	int rc;

	snprintf(path, sizeof(path), "%s/nbd/%s.sock", t->dir, TORTURE_VOLUME);
	rc = load_start(&t->load, &config);
	return rc ? complain(HF_EXIT_FAILED, "cannot use the volume at %s: %s", path, hf_strerror(rc)) : 0;
}

static int run(struct torture *t, uint64_t kinds)
{
	int code;
	bool ok;

	torture_watch_signals();
	t->rng = t->opt.seed;
	t->event = calloc(t->opt.count + 1, sizeof(*t->event));
	if (!t->event)
		return complain(HF_EXIT_FAILED, "out of memory");
	code = torture_begin(t);
	if (code == 0)
		code = start_load(t);
	if (code == 0) {
		if (!t->cx.json)
			printf("seed %llu, in %s\n", (unsigned long long)t->opt.seed, t->dir);
		torture_run(t, kinds);
		ok = torture_report(t, t->opt.keep);
		code = ok ? HF_EXIT_OK : HF_EXIT_FAILED;
	}
	torture_end(t, code && t->opt.keep);
	return code;
}

int cmd_torture(struct context *cx, const struct command *self, int argc, char **argv)
{
	struct words w = { 0 };
	const struct option_spec specs[] = {
		{ "--count", OPTION_TEXT, &w.count },	{ "--time", OPTION_TEXT, &w.seconds },
		{ "--seed", OPTION_TEXT, &w.seed },	{ "--hosts", OPTION_TEXT, &w.hosts },
		{ "--layout", OPTION_TEXT, &w.layout },	{ "--local", OPTION_TEXT, &w.local },
		{ "--size", OPTION_TEXT, &w.size },	{ "--depth", OPTION_TEXT, &w.depth },
		{ "--rate", OPTION_TEXT, &w.rate },	{ "--faults", OPTION_TEXT, &w.faults },
		{ "--in", OPTION_TEXT, &w.in },		{ "--keep", OPTION_FLAG, &w.keep },
		{ NULL, OPTION_FLAG, NULL },
	};
	struct operands words;
	struct torture *t;
	uint64_t kinds;
	int code = args_parse(cx, self, argc, argv, specs, &words, 0, 0);

	if (code)
		return code;
	t = calloc(1, sizeof(*t));
	if (!t)
		return complain(HF_EXIT_FAILED, "out of memory");
	t->cx = *cx;
	t->under = -1;
	code = check_words(&w, t, &kinds);
	if (code == 0)
		code = run(t, kinds);
	free(t);
	return code;
}
