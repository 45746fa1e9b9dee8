/* SPDX-License-Identifier: MIT */
/*
 * log - one line per decision, to a sink that main.c or a test sets.
 *
 * Called only where a decision is taken (engine, cluster, front, ctl, main); the pure layers never log.
 */
#ifndef HF_BASE_LOG_H
#define HF_BASE_LOG_H

enum hf_log_level { HF_LOG_ERROR, HF_LOG_WARN, HF_LOG_INFO, HF_LOG_DEBUG };

typedef void hf_log_sink(void *ctx, enum hf_log_level level, const char *line);

/* Default: stderr, HF_LOG_INFO. A sink may be called from any thread. */
void hf_log_init(hf_log_sink *sink, void *ctx, enum hf_log_level max);
void hf_log(enum hf_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define hf_error(...) hf_log(HF_LOG_ERROR, __VA_ARGS__)
#define hf_warn(...) hf_log(HF_LOG_WARN, __VA_ARGS__)
#define hf_info(...) hf_log(HF_LOG_INFO, __VA_ARGS__)
#define hf_debug(...) hf_log(HF_LOG_DEBUG, __VA_ARGS__)

#endif
