// SPDX-License-Identifier: MIT
/* err - words for errors. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int hf_fail(struct hf_errmsg *e, int err, const char *format, ...)
{
	va_list ap;

	if (!e)
		return err;
	va_start(ap, format);
	vsnprintf(e->text, sizeof(e->text), format, ap);
	va_end(ap);
	return err;
}

const char *hf_strerror(int err)
{
	const char *words = strerrordesc_np(err < 0 ? -err : err);

	return words ? words : "unknown error";
}
