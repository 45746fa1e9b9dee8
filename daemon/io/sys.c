// SPDX-License-Identifier: MIT
/*
 * sys - opening files and sockets for the kernel backends.
 *
 * Owns: flags, locks and refusals. Does not own: any io on what it opened. A file is locked (flock) and a block
 * device opened exclusively while a daemon may write to it: two writers of one leg would destroy it.
 */
#include "io/sys.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/limits.h"
#include "io/reactor.h"

#define BACKLOG 128			/* connections that wait for an ACCEPT */

static int parse_unix(const char *path, struct hf_sys_addr *out)
{
	size_t len = strlen(path);

	if (len == 0 || len >= sizeof(out->un.sun_path))
		return -EINVAL;
	*out = (struct hf_sys_addr){ .len = sizeof(out->un) };
	out->un.sun_family = AF_UNIX;
	memcpy(out->un.sun_path, path, len + 1);
	return 0;
}

static int parse_port(const char *text, in_port_t *port)
{
	char *end;
	unsigned long v;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	v = strtoul(text, &end, 10);
	if (*end || v > UINT16_MAX)
		return -EINVAL;
	*port = htons((uint16_t)v);
	return 0;
}

static int parse_tcp(const char *text, struct hf_sys_addr *out)
{
	char host[INET6_ADDRSTRLEN + 2];
	const char *colon = strrchr(text, ':');
	struct hf_sys_addr a = { 0 };
	size_t len;

	if (!colon || (size_t)(colon - text) >= sizeof(host))
		return -EINVAL;
	len = (size_t)(colon - text);
	memcpy(host, text, len);
	host[len] = 0;
	if (inet_pton(AF_INET, host, &a.in.sin_addr) == 1) {
		a.in.sin_family = AF_INET;
		a.len = sizeof(a.in);
		if (parse_port(colon + 1, &a.in.sin_port))
			return -EINVAL;
	} else {
		if (len < 3 || host[0] != '[' || host[len - 1] != ']')
			return -EINVAL;
		host[len - 1] = 0;
		if (inet_pton(AF_INET6, host + 1, &a.in6.sin6_addr) != 1)
			return -EINVAL;
		a.in6.sin6_family = AF_INET6;
		a.len = sizeof(a.in6);
		if (parse_port(colon + 1, &a.in6.sin6_port))
			return -EINVAL;
	}
	*out = a;
	return 0;
}

int hf_sys_addr_parse(const char *text, struct hf_sys_addr *out)
{
	if (strncmp(text, "unix:", 5) == 0)
		return parse_unix(text + 5, out);
	if (strncmp(text, "tcp:", 4) == 0)
		return parse_tcp(text + 4, out);
	return -EINVAL;
}

int hf_sys_socket(const struct hf_sys_addr *a)
{
	int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (a->any.sa_family != AF_UNIX)
		hf_sys_nodelay(fd);
	return fd;
}

void hf_sys_nodelay(int fd)
{
	int one = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* The directory that holds `path`, synced: its entry for the file is durable. */
static int sync_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
	int rc = 0;
	int fd;

	if (!dir)
		return -ENOMEM;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd))
		rc = -errno;
	if (fd >= 0)
		close(fd);
	free(dir);
	return rc;
}

static int open_refused(const char *path, int err, bool is_block, struct hf_errmsg *msg)
{
	const char *todo = "check the path, the owner and the mode of the file";

	if (err == EINVAL)
		todo = "its filesystem does not offer direct I/O (O_DIRECT); use ext4, xfs or a block device";
	else if (err == EBUSY && is_block)
		todo = "the device is mounted or in use; unmount it, or choose another device";
	else if (err == EEXIST)
		todo = "there is a file already; remove it or choose another name";
	else if (err == ENOSPC || err == EDQUOT)
		todo = "make room on the filesystem";
	else if (err == EMFILE || err == ENFILE)
		todo = "raise the limit of open files (LimitNOFILE=)";
	return hf_fail(msg, -err, "cannot open %s: %s: %s", path, hf_strerror(err), todo);
}

/* Size and kind of what was opened; refuses what is neither a file nor a block device. */
static int examine(int fd, const char *path, struct hf_file_info *info, struct hf_errmsg *msg)
{
	struct hf_file_info found = { 0 };
	struct stat st;

	if (fstat(fd, &st))
		return hf_fail(msg, -errno, "cannot examine %s: %s", path, hf_strerror(errno));
	if (S_ISBLK(st.st_mode)) {
		found.is_block = true;
		if (ioctl(fd, BLKGETSIZE64, &found.size))
			return hf_fail(msg, -errno, "cannot get the size of %s: %s", path, hf_strerror(errno));
	} else if (S_ISREG(st.st_mode)) {
		found.size = (uint64_t)st.st_size;
	} else {
		return hf_fail(msg, -EINVAL, "%s is neither a file nor a block device: name one of these", path);
	}
	*info = found;
	return 0;
}

static int lock(int fd, const char *path, struct hf_errmsg *msg)
{
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return hf_fail(msg, -EBUSY, "%s is in use by another process: stop it first (see fuser %s)", path,
			       path);
	return hf_fail(msg, -errno, "cannot lock %s: %s", path, hf_strerror(errno));
}

static int create(const char *path, uint64_t size, struct hf_errmsg *msg)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_DIRECT | O_CLOEXEC, 0600);
	int rc = 0;

	/* A filesystem without direct I/O refuses after it has made the file. */
	if (fd < 0) {
		rc = errno;
		if (rc == EINVAL)
			(void)unlink(path);
		return open_refused(path, rc, false, msg);
	}
	rc = lock(fd, path, msg);
	if (rc)
		goto fail;
	if (ftruncate(fd, (off_t)size) || fsync(fd)) {
		rc = hf_fail(msg, -errno, "cannot make %s with %llu bytes: %s: make room or choose another place", path,
			     (unsigned long long)size, hf_strerror(errno));
		goto fail;
	}
	rc = sync_directory(path);
	if (rc) {
		hf_fail(msg, rc, "cannot make the directory entry of %s durable: %s", path, hf_strerror(rc));
		goto fail;
	}
	return fd;
fail:
	(void)unlink(path);
	close(fd);
	return rc;
}

static int open_existing(const char *path, bool is_read_only, struct hf_errmsg *msg)
{
	int flags = O_DIRECT | O_CLOEXEC | (is_read_only ? O_RDONLY : O_RDWR);
	bool is_block = false;
	struct stat st;
	int fd, rc;

	if (stat(path, &st))
		return open_refused(path, errno, false, msg);
	/* Opening a fifo would wait for its other end. */
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return hf_fail(msg, -EINVAL, "%s is neither a file nor a block device: name one of these", path);
	is_block = S_ISBLK(st.st_mode);
	if (is_block && !is_read_only)
		flags |= O_EXCL;
	fd = open(path, flags);
	if (fd < 0)
		return open_refused(path, errno, is_block, msg);
	if (is_read_only)
		return fd;
	rc = lock(fd, path, msg);
	if (rc == 0)
		return fd;
	close(fd);
	return rc;
}

int hf_sys_file_open(const char *path, enum hf_file_mode mode, uint64_t size, struct hf_file_info *info,
		     struct hf_errmsg *err)
{
	int fd, rc;

	if (mode == HF_FILE_CREATE && size > INT64_MAX)
		return hf_fail(err, -EINVAL, "%s: %llu bytes are more than a file can have", path,
			       (unsigned long long)size);
	fd = mode == HF_FILE_CREATE ? create(path, size, err) : open_existing(path, mode == HF_FILE_READ_ONLY, err);
	if (fd < 0)
		return fd;
	rc = examine(fd, path, info, err);
	if (rc == 0)
		return fd;
	if (mode == HF_FILE_CREATE)
		(void)unlink(path);
	close(fd);
	return rc;
}

int hf_sys_file_unlink(const char *path)
{
	if (unlink(path))
		return -errno;
	return sync_directory(path);
}

/* Is there a socket file at this address that nobody answers on? */
static bool is_stale(const struct hf_sys_addr *a)
{
	struct stat st;
	bool stale;
	int fd;

	/* A plain file refuses a connection as well, and is not ours to remove. */
	if (a->any.sa_family != AF_UNIX || lstat(a->un.sun_path, &st) || !S_ISSOCK(st.st_mode))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	stale = connect(fd, &a->any, a->len) && errno == ECONNREFUSED;
	close(fd);
	return stale;
}

static int bind_to(int fd, const struct hf_sys_addr *a)
{
	int one = 1;

	if (a->any.sa_family != AF_UNIX)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, &a->any, a->len) == 0)
		return 0;
	if (errno != EADDRINUSE || !is_stale(a))
		return -errno;
	if (unlink(a->un.sun_path))
		return -errno;
	return bind(fd, &a->any, a->len) ? -errno : 0;
}

int hf_sys_listen(const char *text, struct hf_errmsg *err)
{
	struct hf_sys_addr a;
	int fd, rc;

	if (hf_sys_addr_parse(text, &a))
		return hf_fail(err, -EINVAL, "'%s' is not an address: write unix:/path or tcp:1.2.3.4:port", text);
	fd = hf_sys_socket(&a);
	if (fd < 0)
		return hf_fail(err, fd, "cannot make a socket for %s: %s", text, hf_strerror(fd));
	rc = bind_to(fd, &a);
	if (rc == 0 && listen(fd, BACKLOG))
		rc = -errno;
	if (rc == 0)
		return fd;
	close(fd);
	if (rc == -EADDRINUSE)
		return hf_fail(err, rc, "cannot listen on %s: something answers there already: stop it or choose "
			       "another address", text);
	return hf_fail(err, rc, "cannot listen on %s: %s: check that this host has the address and that we may use it",
		       text, hf_strerror(rc));
}

int hf_sock_listen_at_start(struct hf_reactor *r, const char *addr, struct hf_errmsg *err)
{
	const struct timespec pause = { .tv_nsec = 50 * HF_MS };
	int fd = hf_sock_listen(r, addr, err);

	for (int i = 0; fd == -EADDRINUSE && i < 40; i++) {
		nanosleep(&pause, NULL);
		fd = hf_sock_listen(r, addr, err);
	}
	return fd;
}
