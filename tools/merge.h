/* SPDX-License-Identifier: MIT */
/*
 * merge - one answer from many daemons: of each volume what its primary says, since only that knows.
 */
#ifndef HF_TOOLS_MERGE_H
#define HF_TOOLS_MERGE_H

#include "client.h"

/*
 * Ask every daemon `cmd` ("volume.list" or "status") and merge: the first answer, in which each volume, and each
 * problem of a volume, is replaced by its primary's view where that daemon answers. Unreachable only when none answers.
 */
struct answer merge_all(const struct context *cx, const struct daemons *all, const char *cmd);
/* Ask every daemon for its newest `count` events (of one volume unless NULL): the newest of all, in order of time. */
struct answer merge_events(const struct context *cx, const struct daemons *all, const char *volume, unsigned count);

#endif
