/* SPDX-License-Identifier: MIT */
/*
 * assert - programmer errors stop the process; they are checked in every build (R13).
 *
 * hf_panic() is the one symbol that the pure layers take from outside.
 */
#ifndef HF_BASE_ASSERT_H
#define HF_BASE_ASSERT_H

/* Print "file:line: what" on stderr and abort. Never returns. */
_Noreturn void hf_panic(const char *file, int line, const char *what);

/* For libraries that go on when they get no memory: memory, or the process stops. */
void *hf_must_malloc(unsigned long size);
void hf_must_free(void *p);

#define hf_assert(cond) \
	do { \
		if (__builtin_expect(!(cond), 0)) \
			hf_panic(__FILE__, __LINE__, #cond); \
	} while (0)

#define hf_unreachable() hf_panic(__FILE__, __LINE__, "unreachable")

#endif
