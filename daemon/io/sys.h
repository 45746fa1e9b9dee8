/* SPDX-License-Identifier: MIT */
/*
 * sys - the blocking system calls that every kernel backend of io/reactor.h shares: files are opened, sockets made,
 * addresses read. Safe from any thread.
 */
#ifndef HF_IO_SYS_H
#define HF_IO_SYS_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "io/reactor.h"

struct hf_sys_addr {
	socklen_t len;
	union {
		struct sockaddr any;
		struct sockaddr_un un;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	};
};

/* "unix:/path", "tcp:1.2.3.4:port", "tcp:[::1]:port"; 0 or -EINVAL. */
int hf_sys_addr_parse(const char *text, struct hf_sys_addr *out);
/* A stream socket of the address's family; descriptor or -errno. */
int hf_sys_socket(const struct hf_sys_addr *a);
/* Small frames leave at once; a socket that is not TCP is left as it is. */
void hf_sys_nodelay(int fd);

/* As hf_file_open(), hf_file_unlink(), hf_sock_listen() say; the handle is a descriptor. */
int hf_sys_file_open(const char *path, enum hf_file_mode mode, uint64_t size, struct hf_file_info *info,
		     struct hf_errmsg *err);
int hf_sys_file_unlink(const char *path);
int hf_sys_listen(const char *text, struct hf_errmsg *err);

#endif
