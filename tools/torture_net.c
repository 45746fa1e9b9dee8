// SPDX-License-Identifier: MIT
/*
 * torture_net - what a network does to a daemon, done to its sockets from outside: pidfd_getfd() gives a second
 * descriptor of each, which works for one's own processes, without root and on any kernel that Holdfast runs on.
 *
 * A cut is shutdown(): both sides see their connection end. A deaf host's sockets, the listening one included, have a
 * filter that drops every segment that comes: the host goes on sending, and nothing tells anybody.
 */
#include <dirent.h>
#include <errno.h>
#include <linux/filter.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "torture.h"

static bool is_tcp(int fd)
{
	int domain = 0, type = 0;
	socklen_t len = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_INET &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
}

/* Call `act` with each TCP socket of a process; -errno when its descriptors cannot be had, or as `act` says. */
static int each_socket(int pidfd, pid_t pid, int (*act)(int fd))
{
	struct dirent *entry;
	char path[64];
	int rc = 0;
	DIR *list;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	list = opendir(path);
	if (!list)
		return -errno;
	while (rc == 0 && (entry = readdir(list))) {
		int fd;

		if (entry->d_name[0] == '.')
			continue;
		fd = pidfd_getfd(pidfd, (int)strtol(entry->d_name, NULL, 10), 0);
		if (fd < 0 && errno != EBADF) /* closed meanwhile */
			rc = -errno;
		if (fd >= 0 && is_tcp(fd))
			rc = act(fd);
		if (fd >= 0)
			close(fd);
	}
	closedir(list);
	return rc;
}

static enum torture_end act_on(struct torture *t, unsigned host, int (*act)(int fd))
{
	pid_t pid;
	int fd = dev_open_process(t->host[host].spec, t->dir, &pid), rc;

	if (fd < 0)
		return torture_fail(t, "the daemon of %s has ended by itself; see %s/%s/holdfastd.log",
				    t->host[host].name, t->dir, t->host[host].name);
	rc = each_socket(fd, pid, act);
	close(fd);
	if (rc == 0)
		return TORTURE_DONE;
	t->note = "not allowed here without root: a filter on another process's sockets";
	return TORTURE_SKIPPED;
}

static bool is_listening(int fd)
{
	int listens = 0;
	socklen_t len = sizeof(listens);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 && listens;
}

static int cut(int fd)
{
	return is_listening(fd) || shutdown(fd, SHUT_RDWR) == 0 || errno == ENOTCONN ? 0 : -errno;
}

static int deafen(int fd)
{
	struct sock_filter nothing = { .code = BPF_RET | BPF_K, .k = 0 };
	struct sock_fprog program = { .len = 1, .filter = &nothing };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0 ? 0 : -errno;
}

static int hear(int fd)
{
	int none = 0;

	return setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof(none)) == 0 || errno == ENOENT ? 0 : -errno;
}

enum torture_end torture_cut(struct torture *t, unsigned host)
{
	return act_on(t, host, cut);
}

enum torture_end torture_deafen(struct torture *t, unsigned host, bool deaf)
{
	enum torture_end end;

	t->host[host].deaf = true;	/* perhaps some of its sockets only */
	end = act_on(t, host, deaf ? deafen : hear);
	if (end == TORTURE_DONE)
		t->host[host].deaf = deaf;
	return end;
}
