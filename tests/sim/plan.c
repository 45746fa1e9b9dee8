// SPDX-License-Identifier: MIT
/* plan - see plan.h. */
#include "sim/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define STEPS 40u
#define CPU_SECONDS 120

void plan_init(struct world_options *o, uint64_t seed)
{
	const char *steps = getenv("STEPS");

	*o = (struct world_options){ .seed = seed, .steps = steps ? (uint32_t)strtoul(steps, NULL, 10) : STEPS };
	if (o->steps < 1 || o->steps > WORLD_STEPS_MAX)
		o->steps = STEPS;
}

static int fault_of(const char *name)
{
	for (int f = 0; f < SIM_FAULT_COUNT; f++)
		if (strcmp(name, sim_fault_name(f)) == 0)
			return f;
	return -1;
}

/* One word of a list, after its key. */
static int take_word(struct world_options *o, const char *key, const char *word)
{
	char *end;
	uint64_t n = strtoull(word, &end, 10);
	int fault;

	if (strcmp(key, "without") == 0) {
		fault = fault_of(word);
		if (fault < 0)
			return -1;
		o->without |= 1ull << fault;
		return 0;
	}
	if (*end || end == word)
		return -1;
	if (strcmp(key, "seed") == 0)
		o->seed = n;
	else if (strcmp(key, "calls") == 0)
		o->calls = n;
	else if (strcmp(key, "steps") == 0 && n >= 1 && n <= WORLD_STEPS_MAX)
		o->steps = (uint32_t)n;
	else if (strcmp(key, "skip") == 0 && n < WORLD_STEPS_MAX)
		o->skip |= 1ull << n;
	else
		return -1;
	return 0;
}

static int take_line(struct world_options *o, char *line)
{
	char *save, *key = strtok_r(line, " \t\n", &save), *word;

	if (!key || key[0] == '#')
		return 0;
	while ((word = strtok_r(NULL, " \t\n", &save)))
		if (take_word(o, key, word))
			return -1;
	return 0;
}

int plan_read(struct world_options *o, const char *seed_or_path)
{
	char line[512], *end;
	uint64_t seed = strtoull(seed_or_path, &end, 10);
	uint32_t number = 0;
	FILE *f;

	plan_init(o, seed);
	if (*end == 0 && end != seed_or_path)
		return 0;
	f = fopen(seed_or_path, "r");
	if (!f) {
		fprintf(stderr, "%s: neither a seed nor a file: %s\n", seed_or_path, strerror(errno));
		return -1;
	}
	while (fgets(line, sizeof(line), f)) {
		number++;
		if (take_line(o, line) == 0)
			continue;
		fprintf(stderr, "%s:%u: no such key, number or fault\n", seed_or_path, number);
		fclose(f);
		return -1;
	}
	fclose(f);
	return 0;
}

void plan_write(const struct world_options *o, FILE *out)
{
	fprintf(out, "seed %llu\nsteps %u\n", (unsigned long long)o->seed, o->steps);
	if (o->skip) {
		fprintf(out, "skip");
		for (uint32_t i = 0; i < o->steps; i++)
			if (o->skip >> i & 1)
				fprintf(out, " %u", i);
		fputc('\n', out);
	}
	if (o->without) {
		fprintf(out, "without");
		for (int f = 0; f < SIM_FAULT_COUNT; f++)
			if (o->without >> f & 1)
				fprintf(out, " %s", sim_fault_name(f));
		fputc('\n', out);
	}
	if (o->calls)
		fprintf(out, "calls %llu\n", (unsigned long long)o->calls);
}

void plan_limit(void)
{
	struct itimerval t = { .it_value = { .tv_sec = CPU_SECONDS } };

	setitimer(ITIMER_PROF, &t, NULL);
}

bool plan_fails(const struct world_options *o, struct world_result *r)
{
	static struct world_result *shared;
	bool failed;
	int status;
	pid_t pid;

	if (!shared)
		shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		abort();
	memset(shared, 0, sizeof(*shared));
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		if (!freopen("/dev/null", "w", stderr))
			_exit(2);
		plan_limit();
		world_run(o, shared);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		abort();
	failed = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
	if (failed && !shared->failure[0])
		strcpy(shared->failure, "the process died (an assertion?)");
	*r = *shared;
	return shared->failure[0] != 0;
}

/* Making it smaller. */

struct search {
	struct world_options *best;
	uint32_t tries;
	FILE *log;
};

/* Is this smaller one a failure too? Then it is the best. */
static bool try(struct search *s, const struct world_options *o)
{
	struct world_result r;

	if (s->tries == 0)
		return false;
	s->tries--;
	if (!plan_fails(o, &r))
		return false;
	*s->best = *o;
	return true;
}

static void fewer_steps(struct search *s)
{
	uint32_t low = 1, high = s->best->steps;	/* fails with `high` */

	while (low < high && s->tries) {
		struct world_options o = *s->best;

		o.steps = (low + high) / 2;
		if (try(s, &o))
			high = o.steps;
		else
			low = o.steps + 1;
	}
	fprintf(s->log, "# steps: %u\n", s->best->steps);
}

/* Leave out runs of steps, long ones first. */
static void skip_steps(struct search *s)
{
	for (uint32_t len = s->best->steps / 2; len > 0 && s->tries; len /= 2)
		for (uint32_t at = 0; at < s->best->steps && s->tries; at += len) {
			struct world_options o = *s->best;

			o.skip |= ((1ull << len) - 1) << at;
			if (o.skip != s->best->skip)
				try(s, &o);
		}
	fprintf(s->log, "# steps in which something happens: %d\n",
		(int)s->best->steps - __builtin_popcountll(s->best->skip & (~0ull >> (64 - s->best->steps))));
}

static void fewer_kinds(struct search *s)
{
	struct world_options all = *s->best;

	all.without = (1ull << SIM_FAULT_COUNT) - 1;
	if (try(s, &all))
		return;
	for (int f = 0; f < SIM_FAULT_COUNT && s->tries; f++) {
		struct world_options o = *s->best;

		o.without |= 1ull << f;
		if (f < SIM_BIT_FLIP)		/* those that have a rate */
			try(s, &o);
	}
	fprintf(s->log, "# kinds of faults left out: %d\n", __builtin_popcountll(s->best->without));
}

static void fewer_calls(struct search *s)
{
	for (uint64_t calls = 1; calls < 100000 && s->tries; calls = calls * 3 / 2 + 1) {
		struct world_options o = *s->best;

		o.calls = calls;
		if (o.calls != s->best->calls && try(s, &o))
			break;
	}
	fprintf(s->log, "# requests of a client: %llu\n", (unsigned long long)s->best->calls);
}

bool plan_minimise(struct world_options *o, uint32_t tries, FILE *log)
{
	struct search s = { .best = o, .tries = tries, .log = log };
	struct world_result r;

	if (!plan_fails(o, &r))
		return false;
	fewer_steps(&s);
	skip_steps(&s);
	fewer_kinds(&s);
	skip_steps(&s);
	fewer_calls(&s);
	fprintf(log, "# %u runs\n", tries - s.tries);
	return true;
}
