/* SPDX-License-Identifier: MIT */
/*
 * sqlite_db - the embedded cluster store's file: blocking calls on one SQLite connection.
 *
 * Owns: schema, durability settings, transactions. Does not own: threads, watches, callbacks (cluster_sqlite.c).
 * Called by one thread at a time. Results are 0 or -errno: -ETIMEDOUT busy for too long (a cas had no effect, but
 * callers need not rely on that), -EUCLEAN damaged, replaced or of another kind, -ENOSPC, -EACCES, -EIO.
 *
 * Durability (H26): WAL with synchronous=FULL, so a commit has reached the disk before it is answered. A file system
 * shared between machines is refused: SQLite's locks hold on one machine only.
 */
#ifndef HF_CLUSTER_SQLITE_DB_H
#define HF_CLUSTER_SQLITE_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/uuid.h"
#include "cluster/request.h"

struct sqlite3;

struct hf_sqlite_db {
	struct sqlite3 *handle;
	int64_t data_version;		/* as last looked at: changes when another connection commits */
	uint64_t revision;		/* every change up to here has been reported or was our own */
};

/* Open, or create with `cluster` under key "cluster". 0 or -errno with nothing half made. */
int hf_sqlite_db_open(struct hf_sqlite_db *db, const char *path, const struct hf_uuid *cluster, struct hf_errmsg *err);
void hf_sqlite_db_close(struct hf_sqlite_db *db);
/* One row, or -ENOENT. */
int hf_sqlite_db_get(struct hf_sqlite_db *db, const char *key, struct hf_cluster_rows *out);
/* Rows whose key starts with `prefix`, ascending. */
int hf_sqlite_db_list(struct hf_sqlite_db *db, const char *prefix, struct hf_cluster_rows *out);
/*
 * `value` NULL: delete. -ESTALE: the key's version is not `ver`, or its value not `was` (NULL: any); nothing was
 * changed.
 */
int hf_sqlite_db_cas(struct hf_sqlite_db *db, const char *key, uint64_t ver, const char *was, const char *value,
		     uint64_t *out_ver);
/*
 * What others changed since the last call: keys without values in `out`, or *all when it cannot be told (a key changed
 * twice, or was deleted). Costs a look at shared memory when nothing changed.
 */
int hf_sqlite_db_changes(struct hf_sqlite_db *db, struct hf_cluster_rows *out, bool *all);

#endif
