// SPDX-License-Identifier: MIT
/* torture_session - the NBD protocol of a client. Numbers are big-endian on the wire. */
#include "torture_session.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define GREETING 0x4e42444d41474943ull	/* "NBDMAGIC" */
#define OPTION_MAGIC 0x49484156454f5054ull /* "IHAVEOPT" */
#define OPTION_REPLY 0x0003e889045565a9ull
#define OPTION_GO 7u
#define FIXED_NEWSTYLE 1u
#define NO_ZEROES 2u
#define REP_ACK 1u
#define REP_INFO 3u
#define REP_ERROR (1u << 31)
#define REQUEST_MAGIC 0x25609513u
#define REPLY_MAGIC 0x67446698u
#define FLAG_FUA 1u
#define HEAD_BYTES 28u
#define REPLY_BYTES 16u
#define TEXT_MAX 4096u			/* of an option's reply */

static void put16(uint8_t *p, uint16_t v)
{
	v = htobe16(v);
	memcpy(p, &v, sizeof(v));
}

static void put32(uint8_t *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, sizeof(v));
}

static void put64(uint8_t *p, uint64_t v)
{
	v = htobe64(v);
	memcpy(p, &v, sizeof(v));
}

static uint16_t get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return be16toh(v);
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return be64toh(v);
}

/* opening */

static int send_whole(int fd, const void *data, size_t len)
{
	ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

	return n == (ssize_t)len ? 0 : n < 0 ? -errno : -EPIPE;
}

static int recv_whole(int fd, void *data, size_t len)
{
	ssize_t n = len ? recv(fd, data, len, MSG_WAITALL) : 0;

	return n == (ssize_t)len ? 0 : n < 0 ? -errno : -ECONNRESET;
}

/* One reply to the option: 1 it was the last, 0 more follow, -errno. */
static int option_reply(int fd, uint64_t *size_bytes)
{
	uint8_t head[20], text[TEXT_MAX];
	int rc = recv_whole(fd, head, sizeof(head));
	uint32_t type, len;

	if (rc)
		return rc;
	type = get32(head + 12);
	len = get32(head + 16);
	if (get64(head) != OPTION_REPLY || len > sizeof(text))
		return -EPROTO;
	rc = recv_whole(fd, text, len);
	if (rc)
		return rc;
	if (type & REP_ERROR)
		return -EAGAIN;
	if (type == REP_INFO && len >= 12 && get16(text) == 0)
		*size_bytes = get64(text + 2);
	return type == REP_ACK;
}

static int handshake(int fd, const char *export, uint64_t *size_bytes)
{
	size_t len = strlen(export);
	uint8_t greeting[18], option[26 + 256];
	int rc = recv_whole(fd, greeting, sizeof(greeting));

	if (rc == 0 && (get64(greeting) != GREETING || get64(greeting + 8) != OPTION_MAGIC || len > 255))
		rc = -EPROTO;
	if (rc)
		return rc;
	put32(option, FIXED_NEWSTYLE | NO_ZEROES);
	put64(option + 4, OPTION_MAGIC);
	put32(option + 12, OPTION_GO);
	put32(option + 16, (uint32_t)len + 6);
	put32(option + 20, (uint32_t)len);
	memcpy(option + 24, export, len);
	put16(option + 24 + len, 0);
	rc = send_whole(fd, option, 26 + len);
	while (rc == 0)
		rc = option_reply(fd, size_bytes);
	return rc < 0 ? rc : 0;
}

static void timeouts(int fd, unsigned wait_ms)
{
	struct timeval t = { .tv_sec = wait_ms / 1000, .tv_usec = (suseconds_t)(wait_ms % 1000) * 1000 };

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
}

static void begin(struct session *s)
{
	s->in_flight = s->queued = 0;
	s->sent = s->received = 0;
	s->reading = NULL;
	for (unsigned i = 0; i < SESSION_DEPTH_MAX; i++)
		s->op[i].in_use = false;
}

int session_open(struct session *s, const char *path, const char *export, unsigned wait_ms)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return -errno;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	timeouts(fd, wait_ms);
	rc = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : 0;
	if (rc == 0)
		rc = handshake(fd, export, &s->size_bytes);
	if (rc) {
		close(fd);
		return rc;
	}
	begin(s);
	s->fd = fd;
	return 0;
}

void session_close(struct session *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

void session_fini(struct session *s)
{
	session_close(s);
	for (unsigned i = 0; i < SESSION_DEPTH_MAX; i++) {
		free(s->op[i].buf);
		s->op[i].buf = NULL;
	}
}

/* operations */

struct session_op *session_op(struct session *s, unsigned depth)
{
	for (unsigned i = 0; s->in_flight < depth && i < SESSION_DEPTH_MAX; i++) {
		struct session_op *op = &s->op[i];

		if (op->in_use)
			continue;
		if (!op->buf)
			op->buf = malloc((size_t)ORACLE_RUN_MAX * ORACLE_BLOCK);
		op->inquest = op->pass = op->fua = false;
		return op->buf ? op : NULL;
	}
	return NULL;
}

static size_t payload(const struct session_op *op, enum session_command direction)
{
	return op->command == direction ? (size_t)op->count * ORACLE_BLOCK : 0;
}

void session_submit(struct session *s, struct session_op *op)
{
	put32(op->head, REQUEST_MAGIC);
	put16(op->head + 4, op->fua ? FLAG_FUA : 0);
	put16(op->head + 6, (uint16_t)op->command);
	put64(op->head + 8, (uint64_t)(op - s->op));
	put64(op->head + 16, op->block * ORACLE_BLOCK);
	put32(op->head + 24, op->count * ORACLE_BLOCK);
	op->in_use = true;
	s->in_flight++;
	s->queue[s->queued++] = (uint8_t)(op - s->op);
}

short session_events(const struct session *s)
{
	return (short)(POLLIN | (s->queued ? POLLOUT : 0));
}

static int push(struct session *s)
{
	while (s->queued) {
		struct session_op *op = &s->op[s->queue[0]];
		size_t body = payload(op, SESSION_WRITE), at = s->sent;
		struct iovec part[2];
		struct msghdr m = { .msg_iov = part };
		ssize_t n;

		if (at < HEAD_BYTES)
			part[m.msg_iovlen++] = (struct iovec){ op->head + at, HEAD_BYTES - at };
		at = at < HEAD_BYTES ? 0 : at - HEAD_BYTES;
		if (body)
			part[m.msg_iovlen++] = (struct iovec){ op->buf + at, body - at };
		n = sendmsg(s->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		s->sent += (size_t)n;
		if (s->sent < HEAD_BYTES + body)
			return 0;
		s->sent = 0;
		s->queued--;
		memmove(s->queue, s->queue + 1, s->queued);
	}
	return 0;
}

static void complete(struct session *s, struct session_op *op, uint32_t error)
{
	s->reading = NULL;
	s->received = 0;
	s->in_flight--;
	op->in_use = false;		/* by now nothing of it is in the queue: its answer has come */
	s->done(s->ctx, s, op, error);
}

/* The head of a reply is there: 0 or -EPROTO. */
static int took_head(struct session *s)
{
	uint64_t cookie = get64(s->reply + 8);
	uint32_t error = get32(s->reply + 4);

	if (get32(s->reply) != REPLY_MAGIC || cookie >= SESSION_DEPTH_MAX || !s->op[cookie].in_use)
		return -EPROTO;
	for (unsigned i = 0; i < s->queued; i++)
		if (s->queue[i] == cookie)
			return -EPROTO;
	s->received = 0;
	s->reading = &s->op[cookie];
	if (error || !payload(s->reading, SESSION_READ))
		complete(s, s->reading, error);
	return 0;
}

static int pull(struct session *s)
{
	while (s->fd >= 0) {
		size_t want = s->reading ? payload(s->reading, SESSION_READ) : REPLY_BYTES;
		uint8_t *into = s->reading ? s->reading->buf : s->reply;
		ssize_t n = recv(s->fd, into + s->received, want - s->received, MSG_DONTWAIT);
		int rc = 0;

		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		if (n == 0)
			return -ECONNRESET;
		s->received += (size_t)n;
		if (s->received < want)
			continue;
		if (s->reading)
			complete(s, s->reading, 0);
		else
			rc = took_head(s);
		if (rc)
			return rc;
	}
	return 0;
}

int session_pump(struct session *s)
{
	int rc = push(s);
	int in = pull(s);	/* answers that came before the end count */

	return rc ? rc : in;
}
