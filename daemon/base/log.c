// SPDX-License-Identifier: MIT
/* log - lines to an injected sink. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

static void to_stderr(void *ctx, enum hf_log_level level, const char *line)
{
	static const char *const name[] = { "error", "warning", "info", "debug" };

	(void)ctx;
	fprintf(stderr, "%s: %s\n", name[level], line);
}

static hf_log_sink *log_sink = to_stderr;
static void *log_ctx;
static enum hf_log_level log_max = HF_LOG_INFO;

void hf_log_init(hf_log_sink *sink, void *ctx, enum hf_log_level max)
{
	log_sink = sink ? sink : to_stderr;
	log_ctx = ctx;
	log_max = max;
}

void hf_log(enum hf_log_level level, const char *format, ...)
{
	char line[1024];
	va_list ap;

	if (level > log_max)
		return;
	va_start(ap, format);
	vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	log_sink(log_ctx, level, line);
}
