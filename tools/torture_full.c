// SPDX-License-Identifier: MIT
/*
 * torture_full - a disk that is full, for one host: its legs are on a tmpfs of bounded size, mounted in a mount
 * namespace of this process and its children, so that no root is needed where user namespaces are allowed, and the
 * mount ends with the last of them. The other hosts' legs are where the directory is.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "torture.h"

#define SPARE (64ull << 20)		/* beside the image: log, doublewrite area, table, and its neighbours */
#define LEFT (28ull << 20)		/* what a full disk has left: a leg can be made on it, and not filled */
#define FAILED_S 40u

static void legs_path(const struct torture *t, const char *file, char out[PATH_MAX + 512])
{
	snprintf(out, PATH_MAX + 512, "%s/%s/legs%s%s", t->dir, t->host[t->small].name, *file ? "/" : "", file);
}

static bool put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

/* A mount namespace of our own; without root, by a user namespace in which we are who we are outside. */
static bool own_mounts(void)
{
	unsigned uid = (unsigned)geteuid(), gid = (unsigned)getegid();
	char map[64];

	if (unshare(uid ? CLONE_NEWUSER | CLONE_NEWNS : CLONE_NEWNS) < 0)
		return false;
	if (uid) {
		snprintf(map, sizeof(map), "%u %u 1", uid, uid);
		if (!put("/proc/self/uid_map", map) || !put("/proc/self/setgroups", "deny"))
			return false;
		snprintf(map, sizeof(map), "%u %u 1", gid, gid);
		if (!put("/proc/self/gid_map", map))
			return false;
	}
	return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

void torture_small_disk(struct torture *t)
{
	char path[PATH_MAX + 512], size[64];

	t->small = t->hosts - 1;
	legs_path(t, "", path);
	snprintf(size, sizeof(size), "mode=0700,size=%llu", (unsigned long long)(t->opt.size_bytes + SPARE));
	if (mkdir(path, 0700) < 0)
		return;
	t->under = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	t->has_small = t->under >= 0 && own_mounts() && mount("holdfast-torture", path, "tmpfs", 0, size) == 0;
}

/* What is on the small disk, holes as holes, to the directory beneath the mount. */
static void copy_out(int from, int dir, const char *name)
{
	int to = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	off_t size = lseek(from, 0, SEEK_END), at = 0;
	bool ok = to >= 0 && ftruncate(to, size) == 0;

	while (ok && (at = lseek(from, at, SEEK_DATA)) >= 0) {
		off_t hole = lseek(from, at, SEEK_HOLE);

		ok = lseek(to, at, SEEK_SET) == at;
		while (ok && at < hole)
			ok = sendfile(to, from, &at, (size_t)(hole - at)) > 0;
	}
	if (!ok)
		complain(1, "cannot keep %s", name);
	if (to >= 0)
		close(to);
}

void torture_small_disk_end(struct torture *t, bool keep)
{
	char path[PATH_MAX + 512], name[256];
	int leg = t->has_small && keep ? torture_open_leg(t, t->small, name) : -1;

	if (leg >= 0) {
		copy_out(leg, t->under, name);
		close(leg);
	}
	legs_path(t, "", path);
	if (t->has_small)
		(void)umount2(path, MNT_DETACH);
	if (t->under >= 0)
		close(t->under);
	t->under = -1;
	t->has_small = false;
}

/* the fault */

/* Take what there is, but for `left`; true: it is taken. */
static bool fill(struct torture *t)
{
	char path[PATH_MAX + 512];
	off_t step = 1 << 20, at = 0;
	int fd;

	legs_path(t, "filler", path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return false;
	while (fallocate(fd, 0, at, step) == 0)
		at += step;
	if (errno != ENOSPC || ftruncate(fd, at > (off_t)LEFT ? at - (off_t)LEFT : 0) < 0)
		at = 0;
	close(fd);
	return at > 0;
}

static enum torture_end replace_disk(struct torture *t)
{
	char path[PATH_MAX + 512], name[256];
	enum torture_end end = torture_kill(t, t->small);
	int leg = torture_open_leg(t, t->small, name);

	if (leg >= 0) {
		close(leg);
		legs_path(t, name, path);
		(void)unlink(path);
	}
	return end;
}

static bool leg_has_failed(struct torture *t)
{
	return torture_has_said(t, t->small, "leg-failed");
}

/*
 * A host's disk is replaced by one that is too full for what it has to hold: the leg fails while it is filled, and the
 * volume goes on without it. Then it is replaced by a disk with room.
 */
enum torture_end torture_full_disk(struct torture *t)
{
	char path[PATH_MAX + 512];
	enum torture_end end;

	t->note = "a small disk for one host needs a cluster of its own and a mount namespace";
	if (!t->has_small)
		return TORTURE_SKIPPED;
	torture_say(t, "%s", t->host[t->small].name);
	end = replace_disk(t);
	if (end == TORTURE_DONE && !fill(t))
		end = torture_fail(t, "the small disk of %s cannot be filled", t->host[t->small].name);
	if (end == TORTURE_DONE)
		end = torture_start(t, t->small);
	if (end == TORTURE_DONE)
		end = torture_wait(t, leg_has_failed, "the leg on a full disk has not failed", FAILED_S);
	legs_path(t, "filler", path);
	(void)unlink(path);
	if (end == TORTURE_DONE)
		end = replace_disk(t);
	return end == TORTURE_DONE ? torture_start(t, t->small) : end;
}
