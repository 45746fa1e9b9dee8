// SPDX-License-Identifier: MIT
/* assert - the one place where the process stops itself. */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

void hf_panic(const char *file, int line, const char *what)
{
	fprintf(stderr, "holdfast: assertion failed: %s:%d: %s\n", file, line, what);
	abort();
}
