/* SPDX-License-Identifier: MIT */
/* engine - what the two files of holdfast-bench-engine share: engine.c (options, processes), engine_host.c (a host). */
#ifndef HF_TOOLS_BENCH_ENGINE_H
#define HF_TOOLS_BENCH_ENGINE_H

#include <stdint.h>
#include <sys/types.h>

#define BENCH_DEPTH_MAX 256u
#define BENCH_STOP_NS (3 * HF_SEC)	/* longest wait for a volume that steps down */

struct bench_options {
	const char *layout, *local, *op, *net, *dir;
	uint8_t k, m;
	uint64_t size_blocks, depth, ops, seconds;	/* ops 0: until the seconds are over */
	uint32_t hosts;
};

/* What a host's process tells the parent. */
struct bench_report {
	char failure[256];		/* empty: the figures are valid */
	uint64_t ops, wall_ns, cpu_ns, p50_ns, p99_ns;
};

struct bench_host {
	const struct bench_options *o;
	const char *dir;		/* of all hosts */
	uint32_t index;			/* 0: the primary */
	const pid_t *pid;		/* of every host; the primary starts last */
	int report_fd;
};

/* Be a host until killed; the primary, and one that cannot go on, write a struct bench_report and exit. */
_Noreturn void bench_host_run(const struct bench_host *h);

#endif
