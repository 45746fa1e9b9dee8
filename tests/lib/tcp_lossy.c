// SPDX-License-Identifier: MIT
/*
 * tcp_lossy - a proxy for system tests: passes on to 127.0.0.1:PORT, prints the port that it listens on, and at SIGUSR1
 * loses the answer of the next request with MARK in it; it tells how many it has lost before at each SIGUSR2.
 *
 *   tcp_lossy PORT MARK
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/tcp_proxy.h"

int main(int argc, char **argv)
{
	struct tcp_proxy *p;
	sigset_t set;
	int sig;

	if (argc != 3)
		return 2;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	p = tcp_proxy_new((uint16_t)atoi(argv[1]));
	printf("port %u\n", tcp_proxy_port(p));
	fflush(stdout);
	while (sigwait(&set, &sig) == 0) {
		if (sig == SIGUSR1)
			tcp_proxy_lose_answer(p, argv[2]);
		printf("%s, lost %u\n", sig == SIGUSR1 ? "armed" : "so far", tcp_proxy_lost(p));
		fflush(stdout);
	}
	return 0;
}
