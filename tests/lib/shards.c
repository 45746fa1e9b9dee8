// SPDX-License-Identifier: MIT
/* shards - forked processes; their counts come back in shared memory. HF_SHARDS=n: other than one for each core. */
#include "lib/shards.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"

#define SHARDS_MAX 64u

static uint32_t shards_wanted(void)
{
	const char *text = getenv("HF_SHARDS");
	long n = text ? strtol(text, NULL, 10) : sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n > (long)SHARDS_MAX ? SHARDS_MAX : (uint32_t)n;
}

static pid_t begin(shard_work *work, void *ctx, struct shard *s)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	hf_assert(pid >= 0);
	if (pid)
		return pid;
	work(s, ctx);
	fflush(stdout);
	_exit(0);
}

int shards_case(shard_work *work, void *ctx, uint64_t count[SHARDS_COUNTS])
{
	static struct shard *s;		/* shared with the child of the moment */
	int status;
	pid_t pid;

	if (!s)
		s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	hf_assert(s != MAP_FAILED);
	*s = (struct shard){ .of = 1 };
	pid = begin(work, ctx, s);
	hf_assert(waitpid(pid, &status, 0) == pid);
	memcpy(count, s->count, sizeof(s->count));
	return status;
}

bool shards_run(shard_work *work, void *ctx, uint64_t sum[SHARDS_COUNTS])
{
	uint32_t n = shards_wanted();
	struct shard *s = mmap(NULL, n * sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid[SHARDS_MAX];
	bool all = true;

	hf_assert(s != MAP_FAILED);
	for (uint32_t i = 0; i < n; i++) {
		s[i].number = i;
		s[i].of = n;
		pid[i] = begin(work, ctx, &s[i]);
	}
	memset(sum, 0, SHARDS_COUNTS * sizeof(sum[0]));
	for (uint32_t i = 0; i < n; i++) {
		int status;

		hf_assert(waitpid(pid[i], &status, 0) == pid[i]);
		if (status)
			printf("# shard %u of %u ended with status %#x\n", i, n, (unsigned int)status);
		all &= status == 0;
		for (uint32_t k = 0; k < SHARDS_COUNTS; k++)
			sum[k] += s[i].count[k];
	}
	munmap(s, n * sizeof(*s));
	return all;
}
