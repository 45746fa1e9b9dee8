// SPDX-License-Identifier: MIT
/* assert - the one place where the process stops itself. */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

void *hf_must_malloc(unsigned long size)
{
	void *p = malloc(size);

	hf_assert(p || !size);
	return p;
}

void hf_must_free(void *p)
{
	free(p);
}

void hf_panic(const char *file, int line, const char *what)
{
	fprintf(stderr, "holdfast: assertion failed: %s:%d: %s\n", file, line, what);
	abort();
}
