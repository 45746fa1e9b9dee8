/* SPDX-License-Identifier: MIT */
/* config - the command line of holdfastd as one checked struct. */
#ifndef HF_CONFIG_H
#define HF_CONFIG_H

#include <stdbool.h>

#include "base/err.h"
#include "base/limits.h"

struct hf_config {
	const char *name;		/* of this host */
	const char *cluster;		/* "sqlite:/path", or "etcd:" and endpoints divided by commas */
	const char *etcd_prefix, *etcd_ca, *etcd_cert, *etcd_key, *etcd_user, *etcd_password_file;	/* or NULL */
	const char *dir;		/* legs, control socket, event log, NBD sockets */
	const char *listen;		/* for other hosts: "tcp:ADDR:PORT" (port 0: any) or "unix:/path" */
	const char *domain;		/* failure domain; default: the host's name */
	const char *nbd_dir;		/* NULL, or where each volume has one stable socket path */
	const char *pid_file;
	unsigned memory_mib;		/* payload buffers */
	bool verbose, version, help;
};

/* 0, or -EINVAL with a message. Strings point into argv. */
int hf_config_parse(int argc, char **argv, struct hf_config *out, struct hf_errmsg *err);
extern const char hf_config_usage[];

#endif
