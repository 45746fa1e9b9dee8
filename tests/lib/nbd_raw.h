/* SPDX-License-Identifier: MIT */
/*
 * nbd_raw - an NBD server on memory and clients of it that speak in bytes, all in one thread: every wait turns the
 * reactor.
 *
 * Owns: the world (reactor, pool, export, server) and the client side of the protocol. A wait that takes longer than
 * NBD_RAW_DEADLINE_NS is a failed test.
 */
#ifndef HF_TESTS_LIB_NBD_RAW_H
#define HF_TESTS_LIB_NBD_RAW_H

#include "front/nbd_proto.h"
#include "front/nbd_server.h"
#include "lib/ram_export.h"

#define NBD_RAW_DEADLINE_NS (10 * HF_SEC)

struct nbd_world {
	struct hf_reactor *r;
	struct hf_buf_pool *pool;
	struct ram_export ram;
	struct hf_nbd_server *server;
	char dir[64], addr[96];
	uint32_t warnings;			/* lines that the server logged at HF_LOG_WARN or worse */
	char warning[512];			/* the last of them */
	bool is_stopped;
};

/* `blocks` of export "vol" on a private unix socket; pool_bytes 0: 16 MiB; params may be NULL. */
struct nbd_world *nbd_world_new(uint64_t blocks, size_t pool_bytes, const struct hf_nbd_params *params);
/* Stops the server, checks that no buffer and no session is left. */
void nbd_world_free(struct nbd_world *w);
void nbd_world_turn(struct nbd_world *w);
/* Turn until *value reaches `want`. */
void nbd_world_wait(struct nbd_world *w, const uint64_t *value, uint64_t want);

/* A client; the functions below fail the test when the server closes unexpectedly or stays silent. */
int nbd_raw_connect(struct nbd_world *w);
void nbd_raw_send(struct nbd_world *w, int fd, const void *data, size_t len);
/* As many bytes as the socket takes without waiting for the server; how many. */
size_t nbd_raw_push(int fd, const void *data, size_t len);
void nbd_raw_recv(struct nbd_world *w, int fd, void *data, size_t len);
/* Turn until the server closes; false: it sent something instead. */
bool nbd_raw_is_closed(struct nbd_world *w, int fd);
/* Nothing arrives for a few turns. */
bool nbd_raw_is_silent(struct nbd_world *w, int fd);

/* Handshake. */
void nbd_raw_greet(struct nbd_world *w, int fd, uint32_t flags);
void nbd_raw_option(struct nbd_world *w, int fd, uint32_t option, const void *data, uint32_t len);
/* One reply to `option`; its type; its data, at most `max` bytes, into data. */
uint32_t nbd_raw_option_reply(struct nbd_world *w, int fd, uint32_t option, void *data, uint32_t max, uint32_t *len);
/* Skip INFO, SERVER and META_CONTEXT replies; the final one's type. */
uint32_t nbd_raw_option_end(struct nbd_world *w, int fd, uint32_t option);
uint32_t nbd_raw_go(struct nbd_world *w, int fd, uint32_t option, const char *name);
uint32_t nbd_raw_meta(struct nbd_world *w, int fd, uint32_t option, const char *name, const char *query);
/* Connect and go on "vol": structured with base:allocation, or simple. */
int nbd_raw_open(struct nbd_world *w, const char *name, bool structured);

/* Transmission. */
void nbd_raw_request(struct nbd_world *w, int fd, uint16_t command, uint16_t flags, uint64_t cookie, uint64_t offset,
		     uint32_t length);
/* The error of a simple reply to `cookie`. */
uint32_t nbd_raw_simple(struct nbd_world *w, int fd, uint64_t cookie);
/* A chunk's type, flags and payload. */
struct nbd_raw_chunk {
	uint16_t flags, type;
	uint64_t cookie;
	uint32_t length;
	uint8_t *data;				/* the caller's, `max` bytes */
	uint32_t max;
};
void nbd_raw_chunk(struct nbd_world *w, int fd, struct nbd_raw_chunk *chunk);
/* Read through chunks into data; the first error. */
uint32_t nbd_raw_read(struct nbd_world *w, int fd, uint64_t cookie, uint64_t offset, uint32_t length, uint8_t *data);
/* The error of one request without payload, whatever the kind of reply. */
uint32_t nbd_raw_do(struct nbd_world *w, int fd, uint16_t command, uint16_t flags, uint64_t offset, uint32_t length);
/* The error of an answered request, whatever the kind of reply. */
uint32_t nbd_raw_status(struct nbd_world *w, int fd, uint64_t cookie);
/* A WRITE with its payload; the answer is still to come. */
void nbd_raw_write(struct nbd_world *w, int fd, uint64_t cookie, uint64_t offset, const void *data, uint32_t len);
/* Bytes that differ from block to block and from seed to seed; the caller's to free. */
uint8_t *nbd_raw_pattern(size_t len, uint32_t seed);
/* The connection is closed with one warning that has `words`, and another client is served as before. Closes fd. */
void nbd_raw_assert_refused(struct nbd_world *w, int fd, const char *words);

#endif
