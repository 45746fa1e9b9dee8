// SPDX-License-Identifier: MIT
/* dev - the directory of a cluster on one machine: what hosts it has, and with which arguments. */
#include "dev.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/parse.h"
#include "ctl/ctl_proto.h"

#define FORMAT 1
#define FILE_NAME "dev.json"
/* A volume's socket, DIR/nbd/VOLUME.sock, must fit a unix address; 31 leaves room for a name of 22 bytes. */
#define PATH_ROOM 31u

json_t *dev_load(const char *dir)
{
	char path[PATH_MAX];
	json_t *cluster;
	json_error_t where;

	snprintf(path, sizeof(path), "%s/" FILE_NAME, dir);
	if (access(path, R_OK) < 0) {
		complain(HF_EXIT_FAILED, "%s is not a dev cluster: %s: %s; make one: holdfast dev up %s", dir, path,
			 hf_strerror(errno), dir);
		return NULL;
	}
	cluster = json_load_file(path, JSON_REJECT_DUPLICATES, &where);
	if (json_is_array(json_object_get(cluster, "hosts")) &&
	    json_integer_value(json_object_get(cluster, "format")) == FORMAT)
		return cluster;
	complain(HF_EXIT_FAILED, "%s is damaged or of another version: %s", path,
		 cluster ? "it lacks what this version needs" : where.text);
	json_decref(cluster);
	return NULL;
}

static const char *host_name(const json_t *host)
{
	const char *name = json_string_value(json_object_get(host, "name"));

	return name && hf_name_check("host name", name, NULL) == 0 ? name : NULL;
}

int dev_daemons(const char *dir, struct daemons *out)
{
	json_t *cluster = dev_load(dir), *host;
	size_t i;

	if (!cluster)
		return HF_EXIT_FAILED;
	out->count = 0;
	json_array_foreach(json_object_get(cluster, "hosts"), i, host) {
		struct daemon *d = &out->at[out->count];
		const char *name = host_name(host);
		int len;

		if (!name || out->count == DAEMONS_MAX)
			continue;
		snprintf(d->host, sizeof(d->host), "%s", name);
		len = snprintf(d->path, sizeof(d->path), "%s/%s/ctl.sock", dir, name);
		if (len < 0 || (size_t)len >= sizeof(d->path)) {
			json_decref(cluster);
			return complain(HF_EXIT_USAGE,
					"the path of %s is too long for a unix socket: use a shorter one", dir);
		}
		out->count++;
	}
	json_decref(cluster);
	return 0;
}

const json_t *dev_host(const json_t *cluster, const char *dir, const char *name)
{
	json_t *host;
	size_t i;

	json_array_foreach(json_object_get(cluster, "hosts"), i, host) {
		const char *own = host_name(host);

		if (own && strcmp(own, name) == 0)
			return host;
	}
	complain(HF_EXIT_NOT_FOUND, "the cluster in %s has no host '%s'; see holdfast dev status %s", dir, name, dir);
	return NULL;
}

/* making one */

static void add_arg(json_t *args, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add_arg(json_t *args, const char *format, ...)
{
	char text[2 * PATH_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	json_array_append_new(args, json_string(text));
}

/* Every host in a rack of its own: the loss of one is the loss of one. */
static json_t *host_new(const char *dir, char letter, const char *store)
{
	json_t *args = json_array();

	add_arg(args, "--name");
	add_arg(args, "host%c", letter);
	add_arg(args, "--cluster");
	if (store)
		add_arg(args, "%s", store);
	else
		add_arg(args, "sqlite:%s/cluster.db", dir);
	add_arg(args, "--dir");
	add_arg(args, "%s/host%c", dir, letter);
	add_arg(args, "--listen");
	add_arg(args, "tcp:127.0.0.1:0");
	add_arg(args, "--domain");
	add_arg(args, "rack%c", letter);
	add_arg(args, "--nbd-dir");
	add_arg(args, "%s/nbd", dir);
	add_arg(args, "--pid-file");
	add_arg(args, "%s/host%c/pid", dir, letter);
	return json_pack("{s:o, s:o}", "name", json_sprintf("host%c", letter), "args", args);
}

static int make_dir(const char *format, const char *dir, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), format, dir, name);
	if (mkdir(path, 0700) == 0 || errno == EEXIST)
		return 0;
	return complain(HF_EXIT_FAILED, "cannot make directory %s: %s", path, hf_strerror(errno));
}

/* The file stands for the cluster: it appears whole, or not at all. */
static int save(const char *dir, const json_t *cluster)
{
	char path[PATH_MAX], fresh[PATH_MAX];

	snprintf(path, sizeof(path), "%s/" FILE_NAME, dir);
	snprintf(fresh, sizeof(fresh), "%s/" FILE_NAME ".new", dir);
	if (json_dump_file(cluster, fresh, JSON_INDENT(2)) == 0 && rename(fresh, path) == 0)
		return 0;
	unlink(fresh);
	return complain(HF_EXIT_FAILED, "cannot write %s: %s", path, hf_strerror(errno));
}

int dev_create(const char *dir, unsigned host_count, const char *store, const char *holdfastd)
{
	json_t *hosts = json_array(), *cluster;
	int rc = 0;

	if (strlen(dir) + PATH_ROOM > sizeof(((struct daemon *)0)->path)) {
		json_decref(hosts);
		return complain(HF_EXIT_USAGE,
				"the path %s is too long: sockets in it need at most %zu bytes; use a shorter one", dir,
				sizeof(((struct daemon *)0)->path) - PATH_ROOM);
	}
	for (unsigned i = 0; i < host_count && rc == 0; i++) {
		json_t *host = host_new(dir, (char)('A' + i), store);

		rc = make_dir("%s/%s", dir, json_string_value(json_object_get(host, "name")));
		json_array_append_new(hosts, host);
	}
	cluster = json_pack("{s:i, s:s, s:o}", "format", FORMAT, "holdfastd", holdfastd, "hosts", hosts);
	if (rc == 0)
		rc = make_dir("%s/%s", dir, "nbd");
	if (rc == 0)
		rc = save(dir, cluster);
	json_decref(cluster);
	return rc;
}
