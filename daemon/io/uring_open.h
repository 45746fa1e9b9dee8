/* SPDX-License-Identifier: MIT */
/* uring_open - make a ring, or say why this machine will not give us one. */
#ifndef HF_IO_URING_OPEN_H
#define HF_IO_URING_OPEN_H

#include "base/err.h"

struct io_uring;

/* A ring of the calling thread that was tried with one request. 0, or -errno with the likely cause in `err`. */
int hf_uring_open(struct io_uring *ring, struct hf_errmsg *err);

#endif
