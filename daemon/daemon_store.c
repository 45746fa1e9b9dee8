// SPDX-License-Identifier: MIT
/* daemon_store - the cluster store that --cluster names, with its secrets. */
#include "daemon.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_MAX 1024u		/* bytes with NUL */
#define PREFIX_DEFAULT "/holdfast/"

/* The one line of a file that nobody else may read. Its text is never told. */
static int read_secret(const char *path, char out[SECRET_MAX], struct hf_errmsg *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	ssize_t len;

	if (fd < 0)
		return hf_fail(err, -EINVAL, "--etcd-password-file %s cannot be opened: %s", path, hf_strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (st.st_mode & (S_IRWXG | S_IRWXO))) {
		close(fd);
		return hf_fail(err, -EINVAL,
			       "--etcd-password-file %s: others than its owner may use it: chmod 600 it, and change "
			       "the password if they did", path);
	}
	len = read(fd, out, SECRET_MAX);
	close(fd);
	if (len > 0 && len < (ssize_t)SECRET_MAX && out[len - 1] == '\n')
		len--;
	if (len <= 0 || len >= (ssize_t)SECRET_MAX || memchr(out, '\0', (size_t)len) || memchr(out, '\n', (size_t)len))
		return hf_fail(err, -EINVAL, "--etcd-password-file %s: it has to hold one line of 1 to %u bytes", path,
			       SECRET_MAX - 1);
	out[len] = '\0';
	return 0;
}

static int open_etcd(struct hf_daemon *d, struct hf_errmsg *err)
{
	const struct hf_config *c = &d->config;
	char secret[SECRET_MAX];
	struct hf_cluster_etcd_params p = { .endpoints = c->cluster + strlen("etcd:"),
					    .prefix = c->etcd_prefix ? c->etcd_prefix : PREFIX_DEFAULT,
					    .ca = c->etcd_ca,
					    .cert = c->etcd_cert,
					    .key = c->etcd_key,
					    .user = c->etcd_user };
	int ret = 0;

	if (c->etcd_password_file) {
		ret = read_secret(c->etcd_password_file, secret, err);
		p.password = secret;
	}
	if (ret == 0)
		ret = hf_cluster_etcd_new(d->r, &p, &d->cluster, err);
	explicit_bzero(secret, sizeof(secret));
	return ret;
}

int hf_daemon_open_store(struct hf_daemon *d, struct hf_errmsg *err)
{
	if (strncmp(d->config.cluster, "etcd:", strlen("etcd:")) == 0)
		return open_etcd(d, err);
	return hf_cluster_sqlite_new(d->r, d->config.cluster + strlen("sqlite:"), &d->cluster, err);
}
