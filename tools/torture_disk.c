// SPDX-License-Identifier: MIT
/* torture_disk - what a disk does to a daemon's files, done from outside it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "format/disk.h"
#include "torture.h"

int torture_open_leg(const struct torture *t, unsigned host, char name[256])
{
	char path[PATH_MAX + 64];
	struct dirent *entry;
	int fd = -1;
	DIR *list;

	snprintf(path, sizeof(path), "%s/%s/legs", t->dir, t->host[host].name);
	list = opendir(path);
	while (list && fd < 0 && (entry = readdir(list))) {
		size_t len = strlen(entry->d_name);

		if (len > 4 && strcmp(entry->d_name + len - 4, ".leg") == 0)
			fd = openat(dirfd(list), entry->d_name, O_RDWR | O_CLOEXEC);
		if (fd >= 0)
			snprintf(name, 256, "%s", entry->d_name);
	}
	if (list)
		closedir(list);
	return fd;
}

/* Where the data of a leg begin; 0: it is no leg that can be read. */
static uint64_t data_of(int fd)
{
	struct hf_disk_super super;
	uint8_t page[HF_DISK_PAGE];
	const char *why;

	for (int slot = 0; slot < 2; slot++)
		if (pread(fd, page, sizeof(page), slot * (off_t)HF_DISK_PAGE) == (ssize_t)sizeof(page) &&
		    hf_disk_super_decode(page, &super, &why) == 0)
			return super.data_off;
	return 0;
}

/* The n-th page with data at or after `from`, counted around; -1: there is none. */
static off_t page_with_data(int fd, off_t from, uint64_t n)
{
	off_t size = lseek(fd, 0, SEEK_END), at = from;
	uint64_t pages = 0;

	for (int round = 0; round < 2; round++) {
		for (at = from; (at = lseek(fd, at, SEEK_DATA)) >= 0 && at < size;) {
			off_t hole = lseek(fd, at, SEEK_HOLE);
			uint64_t here = (uint64_t)(hole - at) / HF_DISK_PAGE;

			if (round && n < here)
				return at + (off_t)n * HF_DISK_PAGE;
			if (round)
				n -= here;
			pages += here;
			at = hole;
		}
		if (!pages)
			return -1;
		n %= pages;
	}
	return -1;
}

static bool flip(struct torture *t, int fd, off_t page)
{
	off_t at = page + (off_t)torture_draw(t, HF_DISK_PAGE);
	uint8_t byte;

	if (pread(fd, &byte, 1, at) != 1)
		return false;
	byte ^= (uint8_t)(1 + torture_draw(t, 255));
	return pwrite(fd, &byte, 1, at) == 1;
}

enum torture_end torture_flip(struct torture *t, unsigned host, unsigned pages)
{
	char name[256];
	int fd = torture_open_leg(t, host, name);
	uint64_t from = fd >= 0 ? data_of(fd) : 0;
	unsigned done = 0;

	for (unsigned i = 0; from && i < pages; i++) {
		off_t page = page_with_data(fd, (off_t)from, torture_draw(t, UINT32_MAX));

		done += page >= 0 && flip(t, fd, page);
	}
	if (fd >= 0)
		close(fd);
	torture_say(t, ", %u bytes", done);
	t->note = "the leg has no data yet";
	return from ? done ? TORTURE_DONE : TORTURE_SKIPPED
		    : torture_fail(t, "cannot read the leg of %s", t->host[host].name);
}
