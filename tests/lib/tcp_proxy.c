// SPDX-License-Identifier: MIT
/* tcp_proxy - one thread, one poll() over a listening socket and pairs of connections. */
#include "lib/tcp_proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"

#define PAIRS_MAX 64

struct pair {
	int client, server;		/* -1: none */
	bool loses;			/* the answer that comes next */
};

struct tcp_proxy {
	pthread_t thread;
	int wake[2];
	uint16_t port, to_port;
	/* the thread's */
	struct pair pair[PAIRS_MAX];
	int listener;			/* -1: connections are refused */
	/* orders */
	pthread_mutex_t lock;
	bool stops, silent, endless, refuses, cuts;
	char mark[64];			/* empty: no answer is to be lost */
	unsigned lost;
	char *say;
	size_t say_len;
};

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons(port),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static int listen_on(uint16_t port)
{
	struct sockaddr_in a = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

	hf_assert(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0);
	hf_assert(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 64) == 0);
	return fd;
}

static void end_pair(struct pair *c)
{
	if (c->client >= 0)
		close(c->client);
	if (c->server >= 0)
		close(c->server);
	*c = (struct pair){ -1, -1, false };
}

static bool write_all(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static void take_client(struct tcp_proxy *p)
{
	struct sockaddr_in a = loopback(p->to_port);
	int client = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC), i = 0;

	if (client < 0)
		return;
	while (i < PAIRS_MAX && p->pair[i].client >= 0)
		i++;
	if (i == PAIRS_MAX) {
		close(client);
		return;
	}
	p->pair[i] = (struct pair){ client, -1, false };
	if (p->silent || p->say)
		return;
	p->pair[i].server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(p->pair[i].server, (struct sockaddr *)&a, sizeof(a)) < 0)
		end_pair(&p->pair[i]);
}

static void say(struct tcp_proxy *p, struct pair *c)
{
	while (write_all(c->client, p->say, p->say_len) && p->endless)
		;
	/* What it sent and we did not read would turn the end into a reset, which takes the answer away. */
	shutdown(c->client, SHUT_WR);
}

static void from_client(struct tcp_proxy *p, struct pair *c)
{
	char buf[65536];
	ssize_t n = recv(c->client, buf, sizeof(buf), 0);

	if (n <= 0) {
		end_pair(c);
		return;
	}
	if (p->say) {
		say(p, c);
		return;
	}
	if (p->silent || c->server < 0)
		return;
	if (p->mark[0] && memmem(buf, (size_t)n, p->mark, strlen(p->mark))) {
		c->loses = true;
		p->mark[0] = '\0';
	}
	if (!write_all(c->server, buf, (size_t)n))
		end_pair(c);
}

static void from_server(struct tcp_proxy *p, struct pair *c)
{
	char buf[65536];
	ssize_t n = recv(c->server, buf, sizeof(buf), 0);

	if (c->loses) {
		p->lost++;
		end_pair(c);
		return;
	}
	if (n <= 0 || (!p->silent && !write_all(c->client, buf, (size_t)n)))
		end_pair(c);
}

static void obey(struct tcp_proxy *p)
{
	for (int i = 0; i < PAIRS_MAX && (p->cuts || p->refuses); i++)
		end_pair(&p->pair[i]);
	p->cuts = false;
	if (p->refuses && p->listener >= 0) {
		close(p->listener);
		p->listener = -1;
	} else if (!p->refuses && p->listener < 0) {
		p->listener = listen_on(p->port);
	}
}

/* What there is to wait for, with the lock held. */
static void fill(const struct tcp_proxy *p, struct pollfd fd[2 + 2 * PAIRS_MAX])
{
	fd[0] = (struct pollfd){ p->wake[0], POLLIN, 0 };
	fd[1] = (struct pollfd){ p->listener, POLLIN, 0 };
	for (int i = 0; i < PAIRS_MAX; i++) {
		fd[2 + 2 * i] = (struct pollfd){ p->pair[i].client, POLLIN, 0 };
		fd[3 + 2 * i] = (struct pollfd){ p->pair[i].server, POLLIN, 0 };
	}
}

static void *run(void *arg)
{
	struct tcp_proxy *p = arg;
	struct pollfd fd[2 + 2 * PAIRS_MAX];
	char byte[16];

	pthread_mutex_lock(&p->lock);
	while (!p->stops) {
		fill(p, fd);
		pthread_mutex_unlock(&p->lock);
		hf_assert(poll(fd, sizeof(fd) / sizeof(fd[0]), -1) > 0);
		pthread_mutex_lock(&p->lock);
		if (fd[0].revents)
			(void)!read(p->wake[0], byte, sizeof(byte));
		/* An order may have ended what was waited for. */
		for (int i = 0; i < PAIRS_MAX; i++) {
			struct pair *c = &p->pair[i];

			if (fd[2 + 2 * i].revents && c->client >= 0)
				from_client(p, c);
			if (fd[3 + 2 * i].revents && c->server >= 0)
				from_server(p, c);
		}
		if (fd[1].revents && p->listener == fd[1].fd)
			take_client(p);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

struct tcp_proxy *tcp_proxy_new(uint16_t to_port)
{
	struct tcp_proxy *p = calloc(1, sizeof(*p));
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	hf_assert(p && pipe2(p->wake, O_CLOEXEC) == 0);
	for (int i = 0; i < PAIRS_MAX; i++)
		p->pair[i] = (struct pair){ -1, -1, false };
	p->to_port = to_port;
	p->listener = listen_on(0);
	hf_assert(getsockname(p->listener, (struct sockaddr *)&a, &len) == 0);
	p->port = ntohs(a.sin_port);
	pthread_mutex_init(&p->lock, NULL);
	hf_assert(pthread_create(&p->thread, NULL, run, p) == 0);
	return p;
}

/* Give an order, and see it obeyed before anything else: the thread holds the lock while it acts. */
static void order_done(struct tcp_proxy *p)
{
	obey(p);
	(void)!write(p->wake[1], "", 1);
	pthread_mutex_unlock(&p->lock);
}

void tcp_proxy_free(struct tcp_proxy *p)
{
	pthread_mutex_lock(&p->lock);
	p->stops = p->cuts = true;
	order_done(p);
	pthread_join(p->thread, NULL);
	for (int i = 0; i < PAIRS_MAX; i++)
		end_pair(&p->pair[i]);
	if (p->listener >= 0)
		close(p->listener);
	close(p->wake[0]);
	close(p->wake[1]);
	pthread_mutex_destroy(&p->lock);
	free(p->say);
	free(p);
}

uint16_t tcp_proxy_port(const struct tcp_proxy *p)
{
	return p->port;
}

void tcp_proxy_lose_answer(struct tcp_proxy *p, const char *mark)
{
	pthread_mutex_lock(&p->lock);
	hf_assert(strlen(mark) < sizeof(p->mark));
	strcpy(p->mark, mark);
	order_done(p);
}

unsigned tcp_proxy_lost(struct tcp_proxy *p)
{
	unsigned n;

	pthread_mutex_lock(&p->lock);
	n = p->lost;
	pthread_mutex_unlock(&p->lock);
	return n;
}

void tcp_proxy_silence(struct tcp_proxy *p, bool on)
{
	pthread_mutex_lock(&p->lock);
	p->silent = on;
	p->cuts = !on;
	order_done(p);
}

void tcp_proxy_say(struct tcp_proxy *p, const char *bytes, size_t len, bool endless)
{
	pthread_mutex_lock(&p->lock);
	free(p->say);
	p->say = NULL;
	if (bytes) {
		p->say = malloc(len);
		hf_assert(p->say);
		memcpy(p->say, bytes, len);
	}
	p->say_len = len;
	p->endless = endless;
	p->cuts = true;
	order_done(p);
}

void tcp_proxy_cut(struct tcp_proxy *p)
{
	pthread_mutex_lock(&p->lock);
	p->cuts = true;
	order_done(p);
}

void tcp_proxy_refuse(struct tcp_proxy *p, bool on)
{
	pthread_mutex_lock(&p->lock);
	p->refuses = on;
	order_done(p);
}
