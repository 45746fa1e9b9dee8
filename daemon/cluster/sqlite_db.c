// SPDX-License-Identifier: MIT
/*
 * sqlite_db - the embedded cluster store's file.
 *
 *   kv(key, value, ver)   what exists; ver is the store's revision at the key's last change
 *   revision(rev)         one row: counts every change, also deletes, and never goes back (H7)
 */
#include "cluster/sqlite_db.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"

#define APPLICATION_ID 0x4866636c	/* "Hfcl", in the SQLite header: tells our file from any other database */
#define SCHEMA_VERSION 1
#define BUSY_MS 5000
#define SETUP_WAIT_MS 10000		/* for another daemon that is creating the store */

static int to_errno(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -ETIMEDOUT;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_SCHEMA:
	case SQLITE_MISMATCH:
		return -EUCLEAN;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_PERM:
	case SQLITE_READONLY:
	case SQLITE_AUTH:
	case SQLITE_CANTOPEN:
		return -EACCES;
	case SQLITE_NOMEM:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

static int exec(struct hf_sqlite_db *db, const char *sql)
{
	return to_errno(sqlite3_exec(db->handle, sql, NULL, NULL, NULL));
}

static int prepare(struct hf_sqlite_db *db, const char *sql, sqlite3_stmt **out)
{
	return to_errno(sqlite3_prepare_v2(db->handle, sql, -1, out, NULL));
}

/* First column of the first row of `sql` as a number. */
static int query_number(struct hf_sqlite_db *db, const char *sql, int64_t *out)
{
	sqlite3_stmt *s = NULL;
	int rc = prepare(db, sql, &s);

	if (rc == 0) {
		int step = sqlite3_step(s);

		if (step == SQLITE_ROW)
			*out = sqlite3_column_int64(s, 0);
		else
			rc = step == SQLITE_DONE ? -EUCLEAN : to_errno(step);
	}
	sqlite3_finalize(s);
	return rc;
}

/* Did the switch to a write-ahead log succeed? */
static int query_wal(struct hf_sqlite_db *db, bool *out)
{
	sqlite3_stmt *s = NULL;
	int rc = prepare(db, "PRAGMA journal_mode", &s);

	if (rc == 0 && sqlite3_step(s) == SQLITE_ROW)
		*out = strcmp((const char *)sqlite3_column_text(s, 0), "wal") == 0;
	sqlite3_finalize(s);
	return rc;
}

/* The file that we have open is no longer the one at its path: restored or moved away under us (H26). */
static bool is_moved(struct hf_sqlite_db *db)
{
	int moved = 0;

	return sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved;
}

/* set-up */

static int check_filesystem(const char *path, struct hf_errmsg *err)
{
	struct statfs fs;

	if (statfs(path, &fs) < 0)
		return hf_fail(err, -errno, "cluster store %s: %s", path, hf_strerror(errno));
	switch ((unsigned long)fs.f_type) {
	case NFS_SUPER_MAGIC:
	case SMB_SUPER_MAGIC:
	case SMB2_SUPER_MAGIC:
	case CIFS_SUPER_MAGIC:
	case CEPH_SUPER_MAGIC:
	case AFS_SUPER_MAGIC:
		return hf_fail(err, -EINVAL,
			       "cluster store %s is on a network file system: the embedded store serves the "
			       "daemons of one machine; put it on a local disk, or use etcd for several machines",
			       path);
	default:
		return 0;
	}
}

/* A file of our own, so that SQLite does not choose its mode. */
static int touch(const char *path, struct hf_errmsg *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return hf_fail(err, -errno,
			       "cannot open cluster store %s: %s; check that its directory exists and is writable "
			       "for this user",
			       path, hf_strerror(errno));
	close(fd);
	return check_filesystem(path, err);
}

/* Settings of this connection: nothing in the file may run code, and nothing is written yet. */
static int configure(struct hf_sqlite_db *db)
{
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	sqlite3_extended_result_codes(db->handle, 1);
	sqlite3_busy_timeout(db->handle, BUSY_MS);
	return exec(db, "PRAGMA synchronous=FULL; PRAGMA cell_size_check=ON;");
}

static int create_schema(struct hf_sqlite_db *db, const struct hf_uuid *cluster)
{
	char sql[1024], uuid[HF_UUID_TEXT];

	snprintf(
		sql, sizeof(sql),
		"BEGIN IMMEDIATE;"
		"CREATE TABLE kv(key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL, ver INTEGER NOT NULL)"
		" WITHOUT ROWID;"
		"CREATE TABLE revision(id INTEGER PRIMARY KEY CHECK(id = 1), rev INTEGER NOT NULL);"
		"INSERT INTO revision VALUES(1, 1);"
		"INSERT INTO kv VALUES('cluster', '%s', 1);"
		"PRAGMA application_id=%d; PRAGMA user_version=%d;"
		"COMMIT;",
		hf_uuid_format(cluster, uuid), APPLICATION_ID, SCHEMA_VERSION);
	return exec(db, sql);
}

/* Is this our store, an empty file to make one of, or something else, that is not to be changed? */
static int check_kind(struct hf_sqlite_db *db, const char *path, bool *empty, struct hf_errmsg *err)
{
	int64_t id = 0, version = 0, tables = 0;
	int rc = query_number(db, "PRAGMA application_id", &id);

	if (rc == 0)
		rc = query_number(db, "PRAGMA user_version", &version);
	if (rc == 0)
		rc = query_number(db, "SELECT count(*) FROM sqlite_schema", &tables);
	if (rc < 0)
		return rc;
	*empty = id == 0 && tables == 0;
	if (*empty)
		return 0;
	if (id != APPLICATION_ID)
		return hf_fail(err, -EUCLEAN, "%s is a database, but not a Holdfast cluster store: name another file",
			       path);
	if (version != SCHEMA_VERSION)
		return hf_fail(err, -EUCLEAN,
			       "cluster store %s has format %lld, this version knows %d: use a newer holdfastd", path,
			       (long long)version, SCHEMA_VERSION);
	return 0;
}

/* The journal that H26 wants. Kept in the file: all later opens find it so. */
static int use_wal(struct hf_sqlite_db *db, const char *path, struct hf_errmsg *err)
{
	bool wal = false;
	int rc = exec(db, "PRAGMA journal_mode=WAL");

	if (rc == 0)
		rc = query_wal(db, &wal);
	if (rc == 0 && !wal)
		return hf_fail(err, -EOPNOTSUPP,
			       "cluster store %s: its file system gives no shared memory for SQLite's "
			       "write-ahead log: put it on a local disk",
			       path);
	return rc;
}

static int setup(struct hf_sqlite_db *db, const char *path, const struct hf_uuid *cluster, struct hf_errmsg *err)
{
	int64_t revision = 0;
	bool empty = false;
	int rc = to_errno(sqlite3_open_v2(path, &db->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL));

	err->text[0] = '\0';
	if (rc == 0)
		rc = configure(db);
	if (rc == 0)
		rc = check_kind(db, path, &empty, err);
	if (rc == 0)
		rc = use_wal(db, path, err);
	if (rc == 0 && empty)
		rc = create_schema(db, cluster);
	if (rc == 0)
		rc = query_number(db, "PRAGMA data_version", &db->data_version);
	if (rc == 0)
		rc = query_number(db, "SELECT rev FROM revision", &revision);
	db->revision = (uint64_t)revision;
	if (rc < 0 && !err->text[0])
		hf_fail(err, rc, "cannot use cluster store %s: %s%s", path,
			db->handle ? sqlite3_errmsg(db->handle) : hf_strerror(rc),
			rc == -EUCLEAN ? "; keep this file as it is, and never put an older copy in its place" : "");
	return rc;
}

/*
 * Daemons that start together take turns: two may not create the schema or switch to WAL at once. -errno or the lock.
 */
static int setup_lock(const char *path, struct hf_errmsg *err)
{
	char name[4096];
	int fd;

	if (snprintf(name, sizeof(name), "%s.lock", path) >= (int)sizeof(name))
		return hf_fail(err, -ENAMETOOLONG, "the path of the cluster store is too long");
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return hf_fail(err, -errno,
			       "cannot open %s: %s; check that the directory exists and is writable for this user",
			       name, hf_strerror(errno));
	for (int waited = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; waited += 10) {
		if (waited >= SETUP_WAIT_MS) {
			close(fd);
			return hf_fail(err, -ETIMEDOUT, "another process has held %s for %d s: see `fuser %s`", name,
				       SETUP_WAIT_MS / 1000, name);
		}
		nanosleep(&(struct timespec){ .tv_nsec = 10 * 1000000 }, NULL);
	}
	return fd;
}

int hf_sqlite_db_open(struct hf_sqlite_db *db, const char *path, const struct hf_uuid *cluster, struct hf_errmsg *err)
{
	struct hf_errmsg own;
	int lock, rc;

	*db = (struct hf_sqlite_db){ 0 };
	/* cppcheck-suppress uninitvar; it is written to, not read */
	err = err ? err : &own;
	lock = setup_lock(path, err);
	if (lock < 0)
		return lock;
	rc = touch(path, err);
	if (rc == 0)
		rc = setup(db, path, cluster, err);
	if (rc < 0)
		hf_sqlite_db_close(db);
	close(lock);
	return rc;
}

void hf_sqlite_db_close(struct hf_sqlite_db *db)
{
	sqlite3_close(db->handle);
	db->handle = NULL;
}

/* rows */

static int add_row(struct hf_cluster_rows *rows, sqlite3_stmt *s, bool with_value)
{
	const char *key = (const char *)sqlite3_column_text(s, 0);
	const char *value = with_value ? (const char *)sqlite3_column_text(s, 1) : "";
	size_t len = with_value ? (size_t)sqlite3_column_bytes(s, 1) : 0;

	if (!key || !value)
		return -EUCLEAN;
	return hf_cluster_rows_add(rows, key, (size_t)sqlite3_column_bytes(s, 0), value, len,
				   (uint64_t)sqlite3_column_int64(s, 2));
}

/* Run a bound statement to its end and finalize it; on failure `out` is empty. */
static int collect(sqlite3_stmt *s, struct hf_cluster_rows *out, bool with_value)
{
	int step, rc = 0;

	while (rc == 0 && (step = sqlite3_step(s)) != SQLITE_DONE)
		rc = step == SQLITE_ROW ? add_row(out, s, with_value) : to_errno(step);
	sqlite3_finalize(s);
	if (rc < 0)
		hf_cluster_rows_fini(out);
	return rc;
}

int hf_sqlite_db_get(struct hf_sqlite_db *db, const char *key, struct hf_cluster_rows *out)
{
	sqlite3_stmt *s = NULL;
	int rc = is_moved(db) ? -EUCLEAN : prepare(db, "SELECT key, value, ver FROM kv WHERE key = ?1", &s);

	if (rc < 0)
		return rc;
	sqlite3_bind_text(s, 1, key, -1, SQLITE_STATIC);
	rc = collect(s, out, true);
	return rc == 0 && out->count == 0 ? -ENOENT : rc;
}

int hf_sqlite_db_list(struct hf_sqlite_db *db, const char *prefix, struct hf_cluster_rows *out)
{
	char end[HF_CLUSTER_KEY_MAX + 1];
	sqlite3_stmt *s = NULL;
	int rc = is_moved(db) ? -EUCLEAN : prepare(db, "SELECT key, value, ver FROM kv WHERE key >= ?1 AND key < ?2 "
						       "ORDER BY key", &s);

	if (rc < 0)
		return rc;
	/* Keys are UTF-8, in which the byte 0xff never occurs: prefix + 0xff is above every key with the prefix. */
	snprintf(end, sizeof(end), "%s\xff", prefix);
	sqlite3_bind_text(s, 1, prefix, -1, SQLITE_STATIC);
	sqlite3_bind_text(s, 2, end, -1, SQLITE_STATIC);
	return collect(s, out, true);
}

/* cas */

/* 0: there is no such key. *out_same: its value is `was`; true for no key and for NULL. */
static int current_version(struct hf_sqlite_db *db, const char *key, const char *was, uint64_t *out, bool *out_same)
{
	sqlite3_stmt *s = NULL;
	int step, rc = prepare(db, "SELECT ver, value FROM kv WHERE key = ?1", &s);

	if (rc < 0)
		return rc;
	sqlite3_bind_text(s, 1, key, -1, SQLITE_STATIC);
	step = sqlite3_step(s);
	if (step == SQLITE_ROW || step == SQLITE_DONE)
		*out = step == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(s, 0) : 0;
	else
		rc = to_errno(step);
	*out_same = true;
	if (step == SQLITE_ROW && was) {
		const char *value = (const char *)sqlite3_column_text(s, 1);

		*out_same = value && strcmp(value, was) == 0;
	}
	sqlite3_finalize(s);
	return rc;
}

static int put(struct hf_sqlite_db *db, const char *key, const char *value, uint64_t ver)
{
	const char *sql = value ? "INSERT OR REPLACE INTO kv(key, value, ver) VALUES(?1, ?2, ?3)" :
				  "DELETE FROM kv WHERE key = ?1";
	sqlite3_stmt *s = NULL;
	int rc = prepare(db, sql, &s);

	if (rc < 0)
		return rc;
	sqlite3_bind_text(s, 1, key, -1, SQLITE_STATIC);
	if (value) {
		sqlite3_bind_text(s, 2, value, -1, SQLITE_STATIC);
		sqlite3_bind_int64(s, 3, (sqlite3_int64)ver);
	}
	rc = to_errno(sqlite3_step(s));
	sqlite3_finalize(s);
	return rc;
}

/* Inside a write transaction. */
static int compare_and_put(struct hf_sqlite_db *db, const char *key, uint64_t ver, const char *was, const char *value,
			   uint64_t *out_ver)
{
	uint64_t current = 0;
	int64_t revision = 0;
	bool is_same = true;
	int rc = current_version(db, key, was, &current, &is_same);

	if (rc == 0 && (current != ver || !is_same))
		return -ESTALE;
	if (rc == 0)
		rc = query_number(db, "UPDATE revision SET rev = rev + 1 RETURNING rev", &revision);
	if (rc == 0 && revision <= 0)
		rc = -EUCLEAN;
	if (rc == 0)
		rc = put(db, key, value, (uint64_t)revision);
	if (rc == 0)
		*out_ver = (uint64_t)revision;
	return rc;
}

int hf_sqlite_db_cas(struct hf_sqlite_db *db, const char *key, uint64_t ver, const char *was, const char *value,
		     uint64_t *out_ver)
{
	uint64_t revision = 0;
	int rc = is_moved(db) ? -EUCLEAN : exec(db, "BEGIN IMMEDIATE");

	if (rc < 0)
		return rc;
	rc = compare_and_put(db, key, ver, was, value, &revision);
	if (rc == 0)
		rc = exec(db, "COMMIT");
	if (!sqlite3_get_autocommit(db->handle))
		(void)exec(db, "ROLLBACK");	/* the first failure is the one to report */
	if (rc < 0)
		return rc;
	/* Our own change is not news, unless others changed something between. */
	if (revision == db->revision + 1)
		db->revision = revision;
	*out_ver = revision;
	return 0;
}

int hf_sqlite_db_changes(struct hf_sqlite_db *db, struct hf_cluster_rows *out, bool *all)
{
	int64_t data_version = 0, revision = 0;
	sqlite3_stmt *s = NULL;
	int rc = is_moved(db) ? -EUCLEAN : query_number(db, "PRAGMA data_version", &data_version);

	*all = false;
	if (rc < 0 || data_version == db->data_version)
		return rc;
	/* Read before the keys: what comes between is reported twice rather than never. */
	rc = query_number(db, "SELECT rev FROM revision", &revision);
	if (rc == 0)
		rc = prepare(db, "SELECT key, '', ver FROM kv WHERE ver > ?1", &s);
	if (rc < 0)
		return rc;
	sqlite3_bind_int64(s, 1, (sqlite3_int64)db->revision);
	rc = collect(s, out, false);
	if (rc < 0)
		return rc;
	*all = (uint64_t)revision != db->revision + out->count;
	db->revision = (uint64_t)revision;
	db->data_version = data_version;
	return 0;
}
