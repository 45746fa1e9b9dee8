// SPDX-License-Identifier: MIT
/*
 * nbd_sock - what the NBD server must know about the socket behind a handle: may it listen here, who is the peer, is
 * it gone.
 *
 * The only file of the server that knows that a handle of the uring backend is a file descriptor. Handles of the
 * simulated backend are not: every call here may fail, and then nothing happens.
 */
#include "front/nbd_int.h"

#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>

#include "io/sys.h"

enum {
	SILENCE_MS = 8000,			/* unacknowledged data, or a window that stays shut */
	KEEPALIVE_IDLE_S = 4,
	KEEPALIVE_INTERVAL_S = 2,
	KEEPALIVE_COUNT = 2,			/* 4 + 2 * 2: as long as SILENCE_MS */
};

static bool is_local(const struct hf_sys_addr *a)
{
	switch (a->any.sa_family) {
	case AF_UNIX:
		return true;
	case AF_INET:
		return ntohl(a->in.sin_addr.s_addr) >> 24 == 127;
	case AF_INET6:
		return IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr);
	}
	return false;
}

int hf_nbd_sock_check_address(const char *addr, struct hf_errmsg *err)
{
	struct hf_sys_addr a;

	if (hf_sys_addr_parse(addr, &a) < 0)
		return hf_fail(err, -EINVAL, "NBD address '%s': give unix:/path or tcp:127.0.0.1:port", addr);
	if (!is_local(&a))
		return hf_fail(err, -EINVAL, "NBD address '%s' is not loopback; NBD beyond this host needs TLS: listen "
			       "on a unix socket or on 127.0.0.1 and put a TLS tunnel in front", addr);
	return 0;
}

void hf_nbd_sock_name(int fd, uint64_t serial, char who[NBD_WHO_BYTES])
{
	struct sockaddr_storage peer = { 0 };	/* a name may be shorter than its family */
	socklen_t len = sizeof(peer);
	struct ucred cred;
	char host[INET6_ADDRSTRLEN], port[8];

	snprintf(who, NBD_WHO_BYTES, "client %llu", (unsigned long long)serial);
	if (getpeername(fd, (struct sockaddr *)&peer, &len) != 0)
		return;
	if (peer.ss_family != AF_UNIX &&
	    getnameinfo((struct sockaddr *)&peer, len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV) == 0) {
		snprintf(who, NBD_WHO_BYTES, "client %llu (%s port %s)", (unsigned long long)serial, host, port);
		return;
	}
	len = sizeof(cred);
	if (peer.ss_family == AF_UNIX && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0)
		snprintf(who, NBD_WHO_BYTES, "client %llu (pid %d uid %u)", (unsigned long long)serial, (int)cred.pid,
			 (unsigned int)cred.uid);
}

static void set_option(int fd, int level, int option, int value)
{
	(void)setsockopt(fd, level, option, &value, sizeof(value));
}

void hf_nbd_sock_tune(int fd)
{
	int family = 0;
	socklen_t len = sizeof(family);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) != 0 || family == AF_UNIX)
		return;
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, SILENCE_MS);
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
	set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
	set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT);
}

bool hf_nbd_sock_is_closed(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLRDHUP };

	return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}
