// SPDX-License-Identifier: MIT
/*
 * sim_run - run seeds of the simulated cluster and judge them: SEED=first N=count SIM_JOBS=parallel, or one seed with
 * -v. REGRESSIONS=file names seeds that run first; FAILURES=n ends the run after n of them; COVER=1 fails when a
 * coverage point was reached by no seed.
 *
 * Each seed runs in a process of its own: what a killed host leaves behind goes with it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef HF_COVER
#include <gcov.h>
#endif

#include "base/log.h"
#include "sim/sim_cover.h"

#define STEPS 40u
#define REGRESSIONS_MAX 256u

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

/* A child ends without the parent's cleaning up, but not without what BUILD=cover has counted. */
static _Noreturn void leave(void)
{
#ifdef HF_COVER
	__gcov_dump();
#endif
	_exit(0);
}

/* One seed a line, then why it is there; lines that begin with # are words. Returns how many. */
static uint64_t read_regressions(const char *path, uint64_t out[REGRESSIONS_MAX])
{
	FILE *f = path && *path ? fopen(path, "r") : NULL;
	char line[256];
	uint64_t n = 0;

	if (path && *path && !f) {
		printf("# %s cannot be read\n", path);
		exit(1);
	}
	while (f && n < REGRESSIONS_MAX && fgets(line, sizeof(line), f))
		if (line[0] >= '0' && line[0] <= '9')
			out[n++] = strtoull(line, NULL, 10);
	if (f)
		fclose(f);
	return n;
}

struct total {
	struct world_result sum;
	struct sim_cover cover;
	uint64_t passed, failed;
};

static void add(struct total *t, const struct world_result *r)
{
	sim_cover_add(&t->cover, r);
	t->sum.acked_writes += r->acked_writes;
	t->sum.checked_reads += r->checked_reads;
	t->sum.failovers += r->failovers;
	t->sum.restarts += r->restarts;
	t->sum.resyncs += r->resyncs;
	t->sum.events += r->events;
	t->sum.simulated += r->simulated;
	for (int f = 0; f < SIM_FAULT_COUNT; f++)
		t->sum.faults[f] += r->faults[f];
	for (int i = 0; i < WORLD_OPERATION_COUNT; i++)
		t->sum.operations[i] += r->operations[i];
	t->sum.audited_legs += r->audited_legs;
}

static int one(uint64_t seed)
{
	struct world_options o = { .seed = seed, .steps = (uint32_t)number("STEPS", STEPS), .verbose = true };
	struct world_result r;

	hf_log_init(to_stdout, NULL, HF_LOG_INFO);
	setvbuf(stdout, NULL, _IOLBF, 0);
	world_run(&o, &r);
	printf("seed %llu %s: %s; trace %016llx\n", (unsigned long long)seed, r.geometry,
	       r.failure[0] ? r.failure : "passed", (unsigned long long)r.hash);
	return r.failure[0] != 0;
}

static void judge(struct total *t, uint64_t seed, const struct world_result *r, int status)
{
	bool crashed = !WIFEXITED(status) || WEXITSTATUS(status) != 0;

	add(t, r);
	if (!crashed && !r->failure[0]) {
		t->passed++;
		return;
	}
	t->failed++;
	printf("# seed %llu (%s): %s\n# replay: build/release/tests/sim/sim_run -v %llu\n", (unsigned long long)seed,
	       r->geometry, crashed ? "the process died (an assertion?)" : r->failure, (unsigned long long)seed);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	uint64_t first = number("SEED", 1), n = number("N", 200), jobs = number("SIM_JOBS", 2), next = 0, done = 0;
	uint64_t again[REGRESSIONS_MAX], regressions = read_regressions(getenv("REGRESSIONS"), again);
	uint64_t failures = number("FAILURES", 20);
	struct world_result *shared;
	bool covered;
	struct total t;
	struct { pid_t pid; uint64_t seed; } child[16];

	if (argc == 3 && strcmp(argv[1], "-v") == 0)
		return one(strtoull(argv[2], NULL, 10));
	if (jobs > 16)
		jobs = 16;
	memset(&t, 0, sizeof(t));
	memset(child, 0, sizeof(child));
	shared = mmap(NULL, 16 * sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 1;
	hf_log_init(no_log, NULL, HF_LOG_ERROR);
	printf("# simulator: seeds %llu to %llu, after %llu that failed once\n", (unsigned long long)first,
	       (unsigned long long)(first + n - 1), (unsigned long long)regressions);
	n += regressions;
	fflush(stdout);
	while (done < n && t.failed < failures) {
		int status;
		pid_t pid;

		for (uint64_t j = 0; j < jobs; j++) {
			if (child[j].pid || next >= n)
				continue;
			child[j].seed = next < regressions ? again[next] : first + next - regressions;
			next++;
			memset(&shared[j], 0, sizeof(shared[j]));
			child[j].pid = fork();
			if (child[j].pid == 0) {
				struct world_options o = {.seed = child[j].seed,
							  .steps = (uint32_t)number("STEPS", STEPS)};

				alarm(120);
				world_run(&o, &shared[j]);
				leave();
			}
		}
		pid = wait(&status);
		for (uint64_t j = 0; j < jobs; j++) {
			if (child[j].pid != pid)
				continue;
			child[j].pid = 0;
			judge(&t, child[j].seed, &shared[j], status);
			done++;
		}
	}
	for (int f = 0; f < SIM_FAULT_COUNT; f++)
		if (t.sum.faults[f])
			printf("# figure: fault %-20s %10llu  %s\n", sim_fault_name(f),
			       (unsigned long long)t.sum.faults[f], sim_fault_words(f));
	printf("# figure: %llu seeds from %llu, %llu failed; %llu acknowledged writes, %llu blocks read and checked, 0 "
	       "lost, 0 stale unless named above\n",
	       (unsigned long long)done, (unsigned long long)first, (unsigned long long)t.failed,
	       (unsigned long long)t.sum.acked_writes, (unsigned long long)t.sum.checked_reads);
	printf("# figure: %llu failovers, %llu host deaths, %llu chunk resyncs, %.1f simulated hours, %llu events\n",
	       (unsigned long long)t.sum.failovers, (unsigned long long)t.sum.restarts,
	       (unsigned long long)t.sum.resyncs, (double)t.sum.simulated / 3.6e12, (unsigned long long)t.sum.events);
	covered = sim_cover_print(&t.cover);
	printf("%s 1 - simulated clusters lose nothing\n", t.failed ? "not ok" : "ok");
	printf("%s 2 - they reach every coverage point%s\n1..2\n", covered ? "ok" : "not ok",
	       sim_cover_is_judged() ? "" : " # SKIP COVER=1 is not set");
	return t.failed != 0 || !covered;
}
