/* SPDX-License-Identifier: MIT */
/*
 * err - the meaning that we give to each errno, and messages for operators.
 *
 * Functions return 0 or a count, or -errno:
 *   EAGAIN     no room now: wait for the event that makes room
 *   EBADMSG    a checksum does not match (corruption, never an operating error)
 *   ECANCELED  the operation was taken back by its owner
 *   EINVAL     the caller's argument is outside what the contract allows
 *   EIO        the device said no; the medium's state is unknown (H15)
 *   ENOENT     there is no such object
 *   ENOMEM     not enough memory; everything was given back
 *   EEXIST     there is such an object already
 *   ENOSPC     the device or a fixed table is full
 *   EPROTO     the peer broke the protocol
 *   ESTALE     an older epoch, version or connection generation
 *   EUCLEAN    a format on disk is damaged or of another kind
 *   ETIMEDOUT  a deadline passed
 */
#ifndef HF_BASE_ERR_H
#define HF_BASE_ERR_H

#include <errno.h>

/* What an operator reads: what failed, on which object, why, what to do. */
struct hf_errmsg {
	char text[512];
};

/* Fill `e` (NULL allowed) by a printf format; always returns `err`, so `return hf_fail(e, -EINVAL, ...)`. */
int hf_fail(struct hf_errmsg *e, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Words for -errno or errno; static storage. */
const char *hf_strerror(int err);

#endif
