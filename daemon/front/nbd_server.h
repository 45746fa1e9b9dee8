/* SPDX-License-Identifier: MIT */
/*
 * nbd_server - serve volumes over the NBD protocol (doc/proto.md of the NBD project) on a unix or loopback TCP
 * socket.
 */
#ifndef HF_FRONT_NBD_SERVER_H
#define HF_FRONT_NBD_SERVER_H

#include "front/front.h"

struct hf_nbd_server;

struct hf_nbd_params {
	const char *addr;		/* "unix:/path" or "tcp:127.0.0.1:port"; not loopback: refused */
	const char *only;		/* NULL, or the one export served here; the empty name means it too */
	uint32_t connections_max;	/* 0: 64 */
};

/*
 * Listen and serve until stopped. Payloads come from `pool`; when it is empty the server stops reading from its
 * clients. It must have two buffers of 256 KiB now: one is kept for zeros. 0 or -errno with `err`.
 */
int hf_nbd_server_new(struct hf_reactor *r, struct hf_buf_pool *pool, const struct hf_front_backend *backend,
		      void *backend_ctx, const struct hf_nbd_params *params, struct hf_nbd_server **out,
		      struct hf_errmsg *err);
/*
 * Close the listening socket and every connection; `stopped` when the last request has completed; the object is then
 * gone.
 */
void hf_nbd_server_stop(struct hf_nbd_server *n, void (*stopped)(void *ctx), void *ctx);

/*
 * Is the client behind this session alive? Silent peers are detected by TCP_USER_TIMEOUT; a unix socket by its end of
 * stream.
 */
bool hf_nbd_session_is_alive(const struct hf_session *s);

/* Counters of one server, for metrics. */
struct hf_nbd_stats {
	uint64_t connections, requests, bytes_read, bytes_written, protocol_errors;
};
void hf_nbd_server_stats(const struct hf_nbd_server *n, struct hf_nbd_stats *out);

#endif
