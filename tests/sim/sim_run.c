// SPDX-License-Identifier: MIT
/*
 * sim_run - run seeds of the simulated cluster and judge them.
 *
 *   sim_run                  SEED=first N=count, SIM_JOBS=parallel, after the kept cases in REGRESSIONS=directory;
 *                            LEAN=name: of these seeds those that lean so (world_lean.c); FAILURES=n ends it after
 *                            n failures; COVER=1 fails when a coverage point was reached by no seed; FAULTS=n when a
 *                            kind of fault came less often; HASHES=1 prints the trace of each
 *   sim_run -v SEED|FILE     one, with everything that happens (WATCH=block: requests of that block)
 *   sim_run -m SEED|FILE     make one that fails smaller, and print it
 *
 * Seeds run in batches, each batch in a process of its own; what a seed leaves behind goes with its arena.
 */
#ifdef HF_COVER
#include <gcov.h>
#endif
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "sim/arena.h"
#include "sim/plan.h"
#include "sim/sim_cover.h"

#define JOBS_MAX 16u
#define BATCH_MAX 32u
#define MINIMISE_TRIES 300u

/* A child ends without the parent's cleaning up, but not without what BUILD=cover has counted. */
static _Noreturn void leave(void)
{
#ifdef HF_COVER
	__gcov_dump();
#endif
	_exit(0);
}

static void no_log(void *ctx, enum hf_log_level level, const char *line)
{
	(void)ctx;
	(void)level;
	(void)line;
}

static void to_stdout(void *ctx, enum hf_log_level level, const char *line)
{
	(void)ctx;
	(void)level;
	printf("           %s\n", line);
}

static uint64_t number(const char *name, uint64_t fallback)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 10) : fallback;
}

/* Everything that is to be run, in order: kept cases, then seeds. */
struct work {
	glob_t kept;
	uint64_t first, count, next;	/* next: index of the next one to hand out */
};

/* What one process runs: items [from, from + count); `done` of them are complete. */
struct batch {
	pid_t pid;
	uint64_t from;
	uint32_t count;
	volatile uint32_t done;
	struct world_result result[BATCH_MAX];
};

struct total {
	struct world_result sum;
	struct sim_cover cover;
	uint64_t seeds, unlimited, failed, failures_max;
};

static void work_options(const struct work *w, uint64_t item, struct world_options *o)
{
	if (item >= w->kept.gl_pathc)
		plan_init(o, w->first + item - w->kept.gl_pathc);
	else if (plan_read(o, w->kept.gl_pathv[item]))
		exit(1);
	o->lean = getenv("LEAN");
}

static void work_name(const struct work *w, uint64_t item, char out[200])
{
	if (item < w->kept.gl_pathc)
		snprintf(out, 200, "%s", w->kept.gl_pathv[item]);
	else
		snprintf(out, 200, "%llu", (unsigned long long)(w->first + item - w->kept.gl_pathc));
}

static void add(struct total *t, const struct world_result *r)
{
	sim_cover_add(&t->cover, r);
	t->seeds++;
	t->unlimited += r->unlimited;
	t->sum.acked_writes += r->acked_writes;
	t->sum.checked_reads += r->checked_reads;
	t->sum.failovers += r->failovers;
	t->sum.restarts += r->restarts;
	t->sum.resyncs += r->resyncs;
	t->sum.events += r->events;
	t->sum.simulated += r->simulated;
	t->sum.audited_legs += r->audited_legs;
	for (int f = 0; f < SIM_FAULT_COUNT; f++)
		t->sum.faults[f] += r->faults[f];
	for (int i = 0; i < WORLD_OPERATION_COUNT; i++)
		t->sum.operations[i] += r->operations[i];
}

static void judge(struct total *t, const struct work *w, uint64_t item, const struct world_result *r)
{
	char name[200];

	if (r->skipped)
		return;
	add(t, r);
	work_name(w, item, name);
	if (number("HASHES", 0))
		printf("# hash %s %016llx %s\n", name, (unsigned long long)r->hash, r->failure);
	if (!r->failure[0])
		return;
	t->failed++;
	printf("# seed %s (%s): %s\n# replay: sim_run -v %s; smaller: sim_run -m %s\n", name, r->geometry, r->failure,
	       name, name);
	fflush(stdout);
}

static void run_batch(const struct work *w, struct batch *b, bool arena)
{
	struct world_options o;

	for (uint32_t i = 0; i < b->count; i++) {
		work_options(w, b->from + i, &o);
		plan_limit();
		if (arena)
			arena_open();
		world_run(&o, &b->result[i]);
		if (arena)
			arena_close();
		b->done = i + 1;
		if (b->result[i].failure[0])
			leave();	/* told at once; the rest goes to another process */
	}
	leave();
}

/* `b` is shared with the child: only the parent writes its pid. */
static void fork_batch(const struct work *w, struct batch *b, bool arena)
{
	pid_t pid;

	memset(b->result, 0, sizeof(b->result));
	b->done = 0;
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		run_batch(w, b, arena);
	if (pid < 0)
		abort();
	b->pid = pid;
}

static void start_batch(struct work *w, struct batch *b, bool arena)
{
	uint64_t total = w->kept.gl_pathc + w->count, left = total - w->next;

	b->from = w->next;
	/* Small near the end, so that nobody waits for one long batch. */
	b->count = !arena ? 1 : left / 4 < BATCH_MAX ? (uint32_t)(left / 4 + 1) : BATCH_MAX;
	w->next += b->count;
	fork_batch(w, b, arena);
}

/* Judge what a batch did. True: something of it is left, and it runs on. */
static bool end_batch(struct total *t, struct work *w, struct batch *b, int status, bool arena)
{
	bool crashed = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
	uint32_t done = b->done;

	if (crashed && done < b->count) {
		strcpy(b->result[done].failure, "the process died (an assertion?)");
		done++;
	}
	for (uint32_t i = 0; i < done; i++)
		judge(t, w, b->from + i, &b->result[i]);
	b->pid = 0;
	b->from += done;
	b->count -= done;
	if (!b->count || t->failed >= t->failures_max)
		return false;
	fork_batch(w, b, arena);
	return true;
}

static void run_all(struct work *w, struct total *t, uint64_t jobs)
{
	bool arena = arena_is_linked();
	struct batch *b = mmap(NULL, JOBS_MAX * sizeof(*b), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t running = 0;

	if (b == MAP_FAILED)
		exit(1);
	for (;;) {
		int status;
		pid_t pid;

		for (uint64_t j = 0; j < jobs; j++) {
			if (b[j].pid || w->next >= w->kept.gl_pathc + w->count || t->failed >= t->failures_max)
				continue;
			start_batch(w, &b[j], arena);
			running++;
		}
		if (!running)
			break;
		pid = wait(&status);
		for (uint64_t j = 0; j < jobs; j++)
			if (b[j].pid == pid && !end_batch(t, w, &b[j], status, arena))
				running--;
	}
	munmap(b, JOBS_MAX * sizeof(*b));
}

/* Every kind that the simulator has came at least so often; 0: nobody asks. */
static bool print_faults(const struct total *t, uint64_t least)
{
	uint64_t all = 0, kinds = 0, rare = 0;

	for (int f = 0; f < SIM_FAULT_COUNT; f++) {
		all += t->sum.faults[f];
		kinds += t->sum.faults[f] > 0;
		rare += t->sum.faults[f] < least;
		printf("# figure: fault %-20s %10llu  %s%s\n", sim_fault_name(f), (unsigned long long)t->sum.faults[f],
		       sim_fault_words(f), t->sum.faults[f] < least ? " (TOO RARE)" : "");
	}
	printf("# score: {\"name\":\"faults\",\"value\":%llu,\"kinds\":%llu,\"of\":%d,\"rarer_than\":%llu,"
	       "\"rare\":%llu}\n",
	       (unsigned long long)all, (unsigned long long)kinds, SIM_FAULT_COUNT, (unsigned long long)least,
	       (unsigned long long)rare);
	return rare == 0;
}

static void print_operations(const struct total *t)
{
	static const char *const words[] = {
#define X(name, words) words,
		WORLD_OPERATIONS(X)
#undef X
	};

	for (int i = 0; i < WORLD_OPERATION_COUNT; i++)
		printf("# figure: %10llu times %s\n", (unsigned long long)t->sum.operations[i], words[i]);
}

static void print_figures(const struct total *t, const struct work *w)
{
	printf("# figure: %llu seeds from %llu (%llu without a fault budget), %llu failed; %llu acknowledged writes, "
	       "%llu blocks read and checked, 0 lost, 0 stale unless named above\n",
	       (unsigned long long)t->seeds, (unsigned long long)w->first, (unsigned long long)t->unlimited,
	       (unsigned long long)t->failed, (unsigned long long)t->sum.acked_writes,
	       (unsigned long long)t->sum.checked_reads);
	printf("# figure: %llu failovers, %llu host deaths, %llu chunk resyncs, %llu legs compared, "
	       "%.1f simulated hours, %llu events\n",
	       (unsigned long long)t->sum.failovers, (unsigned long long)t->sum.restarts,
	       (unsigned long long)t->sum.resyncs, (unsigned long long)t->sum.audited_legs,
	       (double)t->sum.simulated / 3.6e12, (unsigned long long)t->sum.events);
	printf("# score: {\"name\":\"seeds\",\"value\":%llu,\"failed\":%llu,\"unlimited\":%llu,\"kept\":%zu}\n",
	       (unsigned long long)t->seeds, (unsigned long long)t->failed, (unsigned long long)t->unlimited,
	       w->kept.gl_pathc);
	printf("# score: {\"name\":\"acked_writes\",\"value\":%llu,\"lost\":%d}\n",
	       (unsigned long long)t->sum.acked_writes, t->failed ? -1 : 0);
	printf("# score: {\"name\":\"checked_reads\",\"value\":%llu,\"stale\":%d}\n",
	       (unsigned long long)t->sum.checked_reads, t->failed ? -1 : 0);
	printf("# score: {\"name\":\"failovers\",\"value\":%llu}\n", (unsigned long long)t->sum.failovers);
	printf("# score: {\"name\":\"simulated_hours\",\"value\":%.1f}\n", (double)t->sum.simulated / 3.6e12);
	printf("# score: {\"name\":\"legs_compared\",\"value\":%llu}\n", (unsigned long long)t->sum.audited_legs);
	/* A sweep that did not end in a promotion is a failed seed. */
	printf("# score: {\"name\":\"sweeps\",\"value\":%llu,\"false_refusals\":%d}\n",
	       (unsigned long long)t->sum.operations[WORLD_SWEEP], t->failed ? -1 : 0);
}

static int one(const char *seed_or_path)
{
	struct world_options o;
	struct world_result r;

	if (plan_read(&o, seed_or_path))
		return 2;
	o.verbose = true;
	hf_log_init(to_stdout, NULL, HF_LOG_INFO);
	setvbuf(stdout, NULL, _IOLBF, 0);
	world_run(&o, &r);
	printf("seed %llu %s: %s; trace %016llx\n", (unsigned long long)o.seed, r.geometry,
	       r.failure[0] ? r.failure : "passed", (unsigned long long)r.hash);
	return r.failure[0] != 0;
}

static int smaller(const char *seed_or_path)
{
	struct world_options o;
	struct world_result r;

	if (plan_read(&o, seed_or_path))
		return 2;
	hf_log_init(no_log, NULL, HF_LOG_ERROR);
	if (!plan_minimise(&o, (uint32_t)number("TRIES", MINIMISE_TRIES), stderr)) {
		fprintf(stderr, "%s: does not fail\n", seed_or_path);
		return 2;
	}
	plan_fails(&o, &r);
	printf("# %s: %s\n", r.geometry, r.failure);
	plan_write(&o, stdout);
	return 0;
}

/* Hosts are killed: what they leave behind is nobody's (sim.h). */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

int main(int argc, char **argv)
{
	struct work w = { .first = number("SEED", 1), .count = number("N", 200) };
	static struct total t;
	const char *kept = getenv("REGRESSIONS");
	uint64_t jobs = number("SIM_JOBS", 2);
	bool covered, faults;
	char pattern[400];

	if (argc == 3 && strcmp(argv[1], "-v") == 0)
		return one(argv[2]);
	if (argc == 3 && strcmp(argv[1], "-m") == 0)
		return smaller(argv[2]);
	snprintf(pattern, sizeof(pattern), "%s/*.sim", kept ? kept : "");
	if (kept && *kept && glob(pattern, 0, NULL, &w.kept))
		printf("# no kept case matches %s\n", pattern);
	t.failures_max = number("FAILURES", 20);
	hf_log_init(no_log, NULL, HF_LOG_ERROR);
	printf("# simulator: %zu kept cases, then seeds %llu to %llu\n", w.kept.gl_pathc, (unsigned long long)w.first,
	       (unsigned long long)(w.first + w.count - 1));
	run_all(&w, &t, jobs < 1 ? 1 : jobs > JOBS_MAX ? JOBS_MAX : jobs);
	faults = print_faults(&t, number("FAULTS", 0));
	print_operations(&t);
	print_figures(&t, &w);
	covered = sim_cover_print(&t.cover);
	printf("%s 1 - simulated clusters lose nothing\n", t.failed ? "not ok" : "ok");
	printf("%s 2 - they reach every coverage point%s\n", covered ? "ok" : "not ok",
	       sim_cover_is_judged() ? "" : " # SKIP COVER=1 is not set");
	printf("%s 3 - every kind of fault came often enough\n1..3\n", faults ? "ok" : "not ok");
	return t.failed != 0 || !covered || !faults;
}
