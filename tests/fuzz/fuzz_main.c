// SPDX-License-Identifier: MIT
/*
 * fuzz_main - the entry points that libFuzzer looks for, and what every fuzzer wants of the sanitizers.
 *
 * isa-l's checksums are assembler that no sanitizer looks into: the wrapper below looks at the range first, so a length
 * that leads out of a buffer is found although nothing but the checksum reads there.
 */
#include <sanitizer/asan_interface.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "fuzz/fuzz.h"

unsigned int __real_crc32_iscsi(unsigned char *data, int len, unsigned int crc);
unsigned int __wrap_crc32_iscsi(unsigned char *data, int len, unsigned int crc);
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
const char *__asan_default_options(void);

/* Large buffers come and go with every run: a small quarantine keeps the next run's memory warm. */
const char *__asan_default_options(void)
{
	return "quarantine_size_mb=8:allocator_may_return_null=1:detect_stack_use_after_return=0";
}

unsigned int __wrap_crc32_iscsi(unsigned char *data, int len, unsigned int crc)
{
	const char *bad = len > 0 ? __asan_region_is_poisoned(data, (size_t)len) : NULL;

	if (bad) {
		fprintf(stderr, "checksum over %d bytes reads memory that is not its own\n", len);
		*(volatile const char *)bad;	/* the sanitizer says whose it is */
		abort();
	}
	return __real_crc32_iscsi(data, len, crc);
}

static void nowhere(void *ctx, enum hf_log_level level, const char *line)
{
	(void)ctx;
	(void)level;
	(void)line;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	hf_log_init(nowhere, NULL, HF_LOG_DEBUG);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static uint32_t live, runs;

	fuzz_one(data, len);
	if (!runs++)			/* the first run makes what stays */
		live = fuzz_alloc_live();
	hf_assert(fuzz_alloc_live() == live);
	return 0;
}
