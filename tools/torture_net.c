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

/* Call `act` with each TCP socket of a process: how many; -errno when its descriptors cannot be had. */
static int each_socket(int pidfd, pid_t pid, void (*act)(int fd))
{
	struct dirent *entry;
	char path[64];
	int count = 0;
	DIR *list;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	list = opendir(path);
	if (!list)
		return -errno;
	while ((entry = readdir(list))) {
		int fd = entry->d_name[0] == '.' ? -1 : pidfd_getfd(pidfd, atoi(entry->d_name), 0);

		if (fd < 0 && entry->d_name[0] != '.' && errno == EPERM)
			count = -EPERM;
		if (fd >= 0 && is_tcp(fd)) {
			act(fd);
			count++;
		}
		if (fd >= 0)
			close(fd);
		if (count < 0)
			break;
	}
	closedir(list);
	return count;
}

static enum torture_end act_on(struct torture *t, unsigned host, void (*act)(int fd))
{
	pid_t pid;
	int fd = dev_open_process(t->host[host].spec, t->dir, &pid), count;

	if (fd < 0)
		return torture_fail(t, "the daemon of %s has ended by itself; see %s/%s/holdfastd.log",
				    t->host[host].name, t->dir, t->host[host].name);
	count = each_socket(fd, pid, act);
	close(fd);
	if (count >= 0)
		return TORTURE_DONE;
	t->note = "this machine lets no process take another's descriptors (pidfd_getfd): run it as root";
	return TORTURE_SKIPPED;
}

static void cut(int fd)
{
	int listens = 0;
	socklen_t len = sizeof(listens);

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 && !listens)
		shutdown(fd, SHUT_RDWR);
}

static void deafen(int fd)
{
	struct sock_filter nothing = { .code = BPF_RET | BPF_K, .k = 0 };
	struct sock_fprog program = { .len = 1, .filter = &nothing };

	setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

static void hear(int fd)
{
	int none = 0;

	setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof(none));
}

enum torture_end torture_cut(struct torture *t, unsigned host)
{
	return act_on(t, host, cut);
}

enum torture_end torture_deafen(struct torture *t, unsigned host, bool deaf)
{
	enum torture_end end = act_on(t, host, deaf ? deafen : hear);

	if (end == TORTURE_DONE)
		t->host[host].deaf = deaf;
	return end;
}
