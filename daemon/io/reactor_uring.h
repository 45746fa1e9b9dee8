/* SPDX-License-Identifier: MIT */
/* reactor_uring - the io_uring backend of io/reactor.h. */
#ifndef HF_IO_REACTOR_URING_H
#define HF_IO_REACTOR_URING_H

#include "io/reactor.h"

/*
 * Probe the kernel and make a reactor owned by the calling thread. Needs Linux 6.1 (single issuer, deferred task
 * run). Refusal fills `err` with the likely cause: old kernel, kernel.io_uring_disabled, seccomp, RLIMIT_MEMLOCK.
 * Heap; 0 or -errno.
 */
int hf_reactor_uring_new(struct hf_reactor **out, struct hf_errmsg *err);
void hf_reactor_uring_free(struct hf_reactor *r);
/* Turns until hf_reactor_uring_stop() is called from a callback. */
void hf_reactor_uring_run(struct hf_reactor *r);
void hf_reactor_uring_stop(struct hf_reactor *r);
/* One turn; waits for work at most until `deadline` (HF_NEVER allowed, 0: do not wait). For tests. */
void hf_reactor_uring_turn(struct hf_reactor *r, hf_nsec deadline);

#endif
