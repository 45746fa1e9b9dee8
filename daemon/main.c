// SPDX-License-Identifier: MIT
/* main - holdfastd's entry: arguments, then daemon.c. */
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "config.h"
#include "daemon.h"
#include "format/json_read.h"

static void to_log(void *ctx, enum hf_log_level level, const char *line)
{
	static const char *const name[] = { "error", "warning", "info", "debug" };
	char text[1100];
	int len = snprintf(text, sizeof(text), "%s: %s\n", name[level], line);

	(void)ctx;
	/*
	 * One write a line: lines of several threads stay whole. What the log cannot take is lost, the daemon goes
	 * on.
	 */
	if (write(STDERR_FILENO, text, (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1) < 0)
		return;
}

int main(int argc, char **argv)
{
	struct hf_errmsg err;
	struct hf_config c;

	hf_json_init();
	if (hf_config_parse(argc, argv, &c, &err)) {
		fprintf(stderr, "holdfastd: %s\n", err.text);
		return 2;
	}
	if (c.help) {
		fputs(hf_config_usage, stdout);
		return 0;
	}
	if (c.version) {
		printf("holdfastd %s\n", HF_VERSION);
		return 0;
	}
	hf_log_init(to_log, NULL, c.verbose ? HF_LOG_DEBUG : HF_LOG_INFO);
	return hf_daemon_run(&c);
}
