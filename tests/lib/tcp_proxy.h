/* SPDX-License-Identifier: MIT */
/*
 * tcp_proxy - a TCP proxy on loopback that meddles: loses answers, cuts, is silent, or says what a test orders.
 *
 * Runs on a thread of its own. Orders are given by one other thread and hold for connections and bytes from then on.
 */
#ifndef HF_TESTS_LIB_TCP_PROXY_H
#define HF_TESTS_LIB_TCP_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tcp_proxy;

/* Listens on a free port and passes on to `to_port`, both on 127.0.0.1. */
struct tcp_proxy *tcp_proxy_new(uint16_t to_port);
/* Ends every connection. */
void tcp_proxy_free(struct tcp_proxy *p);
uint16_t tcp_proxy_port(const struct tcp_proxy *p);

/*
 * Of the next request with `mark` in it, on whichever connection, the server gets all, the client nothing: the
 * connection is cut when the answer comes. Once.
 */
void tcp_proxy_lose_answer(struct tcp_proxy *p, const char *mark);
/* How many answers were lost. */
unsigned tcp_proxy_lost(struct tcp_proxy *p);
/* Connections are accepted, what comes is swallowed. */
void tcp_proxy_silence(struct tcp_proxy *p, bool on);
/*
 * The server is not asked any more: each request is answered by these bytes and the end of the connection; `endless`:
 * by them again and again. NULL: it is asked again.
 */
void tcp_proxy_say(struct tcp_proxy *p, const char *bytes, size_t len, bool endless);
/* End what is connected; it may connect again. */
void tcp_proxy_cut(struct tcp_proxy *p);
/* End what is connected, and refuse what comes; or listen again on the same port. */
void tcp_proxy_refuse(struct tcp_proxy *p, bool on);

#endif
