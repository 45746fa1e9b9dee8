/* SPDX-License-Identifier: MIT */
/*
 * nbd_int - what the files of the NBD server share: one server, its connections, their requests.
 *
 *   nbd_server.c     listen, accept, stop, count
 *   nbd_sock.c       everything that needs to know that a handle is a kernel socket
 *   nbd_conn.c       one connection's life: bytes in, bytes out, end
 *   nbd_handshake.c  option haggling, opening the session
 *   nbd_transmit.c   requests in: parse, check, cut into pieces, hand to the volume
 *   nbd_reply.c      requests out: gather answers, one send per turn
 *
 * A request of up to 32 MiB (zeroes: any length) is cut into pieces that the volume accepts. Pieces leave in order
 * and are answered in any order. Requests are issued one after the other: while one waits for a piece, a buffer or
 * its payload, the next is not looked at and nothing more is received. That is the whole back-pressure; it cannot
 * deadlock, because every piece that was issued completes by itself and nothing is held while waiting (a read that
 * must be answered whole takes all its buffers at once or none).
 *
 * Every callback only notes what happened and defers the connection's task; hf_nbd_conn_work() does the rest, once
 * per turn.
 */
#ifndef HF_FRONT_NBD_INT_H
#define HF_FRONT_NBD_INT_H

#include "base/assert.h"
#include "front/nbd_proto.h"
#include "front/nbd_server.h"

enum {
	NBD_CONNECTIONS_DEFAULT = 64,
	NBD_REQUESTS_MAX = 256,			/* of one connection, from parse to answer */
	NBD_PIECES_MAX = 256,			/* of one connection, with the volume or waiting to be sent */
	NBD_PAYLOAD_MAX = 32 << 20,		/* bytes of one READ or WRITE, as advertised */
	NBD_PIECE_BYTES = HF_WRITE_BLOCKS_MAX * HF_BLOCK,
	NBD_ZERO_BYTES = HF_ZERO_BLOCKS_MAX * HF_BLOCK,
	NBD_WHOLE_PIECES = 8,			/* largest read that is answered as one reply: 2 MiB */
	NBD_HELD_MAX = 8 << 20,		/* bytes of payload that one connection may hold */
	NBD_RX_HANDSHAKE = 16 << 10,		/* bytes received at once: haggling */
	NBD_RX_BYTES = 512 << 10,		/* ... and transmission */
	NBD_DIRECT_MIN = 32 << 10,		/* a payload's rest of this size is received in place, not copied */
	NBD_OPTION_MAX = 8 << 10,		/* bytes of one option's data: two strings of 4 KiB and a few numbers */
	NBD_TX_IOV = 512,
	NBD_TX_HEADS = 16 << 10,		/* bytes of reply headers in one send */
	NBD_EXTENTS_MAX = 64,			/* in one BLOCK_STATUS answer */
	NBD_NAME_BYTES = HF_NAME_MAX + 3,	/* "VOLUME@ro" and the final NUL */
	NBD_WHO_BYTES = 80,
};

#define NBD_HANDSHAKE_NS (10 * HF_SEC)		/* from connect to a session */
#define NBD_DRAIN_NS (2 * HF_SEC)		/* for a leaving client to take its last answers */
#define NBD_ACCEPT_RETRY_NS (100 * HF_MS)	/* after a failed accept (no descriptors left) */

struct nbd_conn;

/* How a request is answered. */
enum nbd_answer {
	NBD_ANSWER_STATUS,			/* no payload */
	NBD_ANSWER_EXTENTS,			/* BLOCK_STATUS */
	NBD_ANSWER_CHUNKS,			/* READ: a chunk per piece, in any order */
	NBD_ANSWER_WHOLE,			/* READ: one reply when all pieces are there */
	NBD_ANSWER_STREAM,			/* READ: one reply, piece by piece, alone on the connection */
};

/*
 * A request is free, or being issued (conn->issuing), or waits for its pieces, or is in conn->out with something to
 * send.
 */
struct nbd_req {
	struct hf_list link;			/* conn->free_reqs or conn->out */
	uint64_t cookie, offset, length;	/* bytes */
	uint64_t issued;			/* bytes handed to the volume, or dropped after an error */
	uint64_t sent;				/* STREAM: bytes answered */
	struct hf_list parts;			/* READ: pieces to be sent; WHOLE, STREAM: ascending */
	uint32_t pieces;			/* with the volume */
	uint32_t error;				/* NBD_E*: the first that happened */
	const char *why;			/* for the client, static */
	uint16_t command, flags;
	enum nbd_answer answer;
	bool is_refused;			/* by a check: nothing of it goes to the volume */
	bool is_issued;				/* all of it */
	bool is_flushed;			/* FUA: the flush behind the write was issued */
	bool is_queued;				/* in conn->out */
	bool is_headed;				/* STREAM: the reply's header was sent */
};

struct nbd_piece {
	struct hf_list link;			/* conn->free_pieces or req->parts */
	struct hf_request q;
	struct nbd_conn *conn;
	struct nbd_req *req;
	uint64_t offset;			/* bytes */
	uint32_t bytes;
	uint32_t held;				/* bytes counted in conn->held */
	uint32_t error;
};

/* Bytes received and not yet used: data[head, tail). */
struct nbd_rx {
	uint8_t *data;
	size_t size, head, tail;
};

/* One send: headers and payloads in order. */
struct nbd_tx {
	struct iovec iov[NBD_TX_IOV];
	struct hf_buf *bufs[NBD_TX_IOV];	/* released when the send is over */
	uint32_t iov_count, buf_count;
	uint32_t heads_used;
	size_t bytes;
	uint64_t held;
	uint8_t heads[NBD_TX_HEADS];
};

enum nbd_phase {
	NBD_GREETING,				/* until the client's flags came */
	NBD_HAGGLING,				/* options */
	NBD_OPENING,				/* GO or EXPORT_NAME: the session is being opened */
	NBD_TRANSMISSION,
};

enum nbd_end {
	NBD_LIVE,
	NBD_DRAINING,				/* nothing more is read; what was asked is still answered */
	NBD_DEAD,				/* nothing more is sent; only waits for what is under way */
};

struct nbd_conn {
	struct hf_nbd_server *server;
	struct hf_list link;			/* server->conns */
	int fd;
	enum nbd_phase phase;
	enum nbd_end end;
	char who[NBD_WHO_BYTES];		/* for logs */
	struct hf_io recv, send;
	struct hf_task task;
	struct hf_timer timer;			/* handshake, then drain */
	struct nbd_rx rx;
	uint8_t *rx_next;			/* the large buffer, until it can take rx's place */
	struct nbd_tx *tx;
	bool recv_is_direct;			/* the receive under way fills filling->q.buf */

	/* handshake */
	bool no_zeroes, structured, extended;
	bool is_listing;			/* LIST: not all answered yet */
	size_t list_cursor;
	uint32_t option;			/* being answered: GO or EXPORT_NAME while opening */
	uint32_t infos;				/* GO: bit per NBD_INFO_* asked for */
	char meta_name[NBD_NAME_BYTES];		/* export that base:allocation was selected for */
	bool meta_selected;

	/* session */
	char name[NBD_NAME_BYTES];
	struct hf_session session;
	bool session_is_open, is_opened;	/* is_opened: the answer to backend->open came */
	int open_result;
	char open_why[256];
	uint64_t size;				/* bytes */

	/* transmission */
	struct nbd_req *reqs;			/* NBD_REQUESTS_MAX */
	struct nbd_piece *pieces;		/* NBD_PIECES_MAX */
	struct hf_list free_reqs, free_pieces;
	uint32_t active;			/* requests not free */
	uint32_t under_way;			/* pieces with the volume */
	uint64_t held;				/* bytes of payload buffers: filled, with the volume, or being sent */
	struct nbd_req *issuing;
	struct nbd_req *streaming;		/* the STREAM request that has the connection for itself */
	struct nbd_piece *filling;		/* of issuing: its payload is being received */
	uint32_t filled;			/* bytes */
	struct hf_buf_waiter waiter;
	bool is_waiting;			/* for a buffer of the pool */
	struct hf_list out;			/* requests with something to send, in order of readiness */
};

struct hf_nbd_server {
	struct hf_reactor *r;
	struct hf_buf_pool *pool;
	const struct hf_front_backend *backend;
	void *backend_ctx;
	char only[HF_NAME_MAX];			/* "" : any */
	uint32_t conns_max, conns_count;
	struct hf_list conns;
	struct hf_io accept;
	struct hf_timer retry;
	struct hf_task task;
	int fd;
	struct hf_buf *zeros;			/* NBD_PIECE_BYTES of them, never written to */
	uint64_t serial;
	struct hf_nbd_stats stats;
	bool is_stopping;
	void (*stopped)(void *ctx);
	void *stopped_ctx;
};

/* nbd_server.c: a connection is gone. */
void hf_nbd_server_forget(struct hf_nbd_server *n, struct nbd_conn *c);

/* nbd_sock.c: 0, or -EINVAL with `err`: an address that this server must not listen on. */
int hf_nbd_sock_check_address(const char *addr, struct hf_errmsg *err);
/* Who is at the other end, and quick detection of its silence; quietly does nothing on a handle that is no socket. */
void hf_nbd_sock_name(int fd, uint64_t serial, char who[NBD_WHO_BYTES]);
void hf_nbd_sock_tune(int fd);
/* Has the peer closed or gone silent? False where that cannot be known. */
bool hf_nbd_sock_is_closed(int fd);

/* nbd_conn.c: adopt an accepted socket; NULL when memory is short (the socket stays the caller's). */
struct nbd_conn *hf_nbd_conn_new(struct hf_nbd_server *n, int fd);
/* Something happened: look at it at the end of this turn. */
void hf_nbd_conn_wake(struct nbd_conn *c);
/*
 * The only way to an end: `how` may only get worse. Later: everything under way completes, the session and socket
 * close.
 */
void hf_nbd_conn_end(struct nbd_conn *c, enum nbd_end how);
/* ... because the client broke the protocol: one line in the log, then DEAD. */
void hf_nbd_conn_fail(struct nbd_conn *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Ready for transmission: the big buffers. 0 or -ENOMEM. */
int hf_nbd_conn_grow(struct nbd_conn *c);
/* `n` more bytes of header for the send being built; NULL: no room now. */
void *hf_nbd_tx_head(struct nbd_conn *c, uint32_t n);
/* A payload for the send being built; takes over the reference. There was room: hf_nbd_tx_has_room(). */
void hf_nbd_tx_buf(struct nbd_conn *c, struct hf_buf *b, uint32_t bytes, uint32_t held);
/* Room for `iovs` payloads or header runs and `heads` bytes of headers? */
bool hf_nbd_tx_has_room(const struct nbd_conn *c, uint32_t iovs, uint32_t heads);

static inline size_t nbd_rx_used(const struct nbd_rx *rx)
{
	return rx->tail - rx->head;
}

/* nbd_handshake.c: greet; go on with what was received. */
void hf_nbd_handshake_start(struct nbd_conn *c);
void hf_nbd_handshake_work(struct nbd_conn *c);

/* nbd_transmit.c: parse and issue all that can be. */
void hf_nbd_transmit_work(struct nbd_conn *c);
/* Give back what an unfinished request holds; nothing is under way. */
void hf_nbd_transmit_drop(struct nbd_conn *c);
void hf_nbd_piece_free(struct nbd_piece *p);
void hf_nbd_req_free(struct nbd_conn *c, struct nbd_req *req);
/* NBD error for a result of the volume. */
uint32_t hf_nbd_error_of(int result);

/* nbd_reply.c: put a request in line to be answered; build one send from all that is ready. */
void hf_nbd_reply_queue(struct nbd_conn *c, struct nbd_req *req);
void hf_nbd_reply_work(struct nbd_conn *c);

#endif
