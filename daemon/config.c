// SPDX-License-Identifier: MIT
/* config - read holdfastd's command line. */
#include "config.h"

#include <getopt.h>
#include <string.h>

#include "base/parse.h"

const char hf_config_usage[] =
	"usage: holdfastd --name HOST --cluster STORE --dir DIR --listen ADDRESS [options]\n"
	"\n"
	"  --name HOST        this host's name in the cluster\n"
	"  --cluster STORE    the cluster store: sqlite:PATH (all daemons on one machine), or\n"
	"                     etcd:https://HOST:PORT[,https://HOST:PORT...] (many machines)\n"
	"  --dir DIR          where this host keeps legs, event log and sockets\n"
	"  --listen ADDRESS   for other hosts: tcp:127.0.0.1:PORT (0: any port) or unix:PATH\n"
	"  --domain NAME      failure domain (rack, power feed); default: the host's name\n"
	"  --nbd-dir DIR      also serve each volume at DIR/VOLUME.sock while this host is its primary\n"
	"  --pid-file PATH    write the process id there\n"
	"  --memory MIB       payload buffers, 16 to 65536; default 64\n"
	"  --etcd-ca FILE     who signed etcd's certificates; needed for https\n"
	"  --etcd-cert FILE, --etcd-key FILE\n"
	"                     this host's own certificate, where etcd asks for one\n"
	"  --etcd-user NAME, --etcd-password-file FILE\n"
	"                     where etcd has users; the file is for this user alone (mode 0600)\n"
	"  --etcd-prefix PATH of this cluster's keys in etcd; default: /holdfast/\n"
	"  --verbose          log what is of interest to developers\n"
	"  --version, --help\n";

static bool is_store(const char *text, const char *kind)
{
	return strncmp(text, kind, strlen(kind)) == 0 && text[strlen(kind)];
}

static int check_store(const struct hf_config *c, struct hf_errmsg *err)
{
	bool has_etcd_option = c->etcd_prefix || c->etcd_ca || c->etcd_cert || c->etcd_key || c->etcd_user ||
			       c->etcd_password_file;

	if (is_store(c->cluster, "etcd:"))
		return 0;		/* its options are looked at when the store is opened */
	if (!is_store(c->cluster, "sqlite:"))
		return hf_fail(err, -EINVAL,
			       "--cluster %s: the store has to be sqlite:PATH or etcd:https://HOST:PORT,...",
			       c->cluster);
	if (has_etcd_option)
		return hf_fail(err, -EINVAL, "--cluster %s: options that begin with --etcd- are for --cluster etcd:...",
			       c->cluster);
	return 0;
}

static int check(const struct hf_config *c, struct hf_errmsg *err)
{
	int ret;

	if (!c->name || !c->cluster || !c->dir || !c->listen)
		return hf_fail(err, -EINVAL, "%s is missing; see holdfastd --help",
			       !c->name ? "--name" : !c->cluster ? "--cluster" : !c->dir ? "--dir" : "--listen");
	ret = hf_name_check("host name", c->name, err);
	if (ret == 0)
		ret = hf_name_check("failure domain", c->domain, err);
	if (ret == 0)
		ret = check_store(c, err);
	if (ret)
		return ret;
	if (strlen(c->dir) > 90 || (c->nbd_dir && strlen(c->nbd_dir) > 90))
		return hf_fail(err, -EINVAL,
			       "--dir or --nbd-dir is too long for the path of a unix socket: use a shorter one");
	return 0;
}

/* Options whose value is taken as it is: getopt's code is TEXTS + the place here. */
#define TEXTS 256

static const char **text_of(struct hf_config *c, int opt)
{
	const char **const place[] = {
		&c->name, &c->cluster, &c->dir, &c->listen, &c->domain, &c->nbd_dir, &c->pid_file,
		&c->etcd_prefix, &c->etcd_ca, &c->etcd_cert, &c->etcd_key, &c->etcd_user, &c->etcd_password_file,
	};

	return place[opt - TEXTS];
}

int hf_config_parse(int argc, char **argv, struct hf_config *out, struct hf_errmsg *err)
{
	static const struct option options[] = {
		/* in the order of text_of() */
		{"name", 1, NULL, TEXTS}, {"cluster", 1, NULL, TEXTS + 1}, {"dir", 1, NULL, TEXTS + 2},
		{"listen", 1, NULL, TEXTS + 3}, {"domain", 1, NULL, TEXTS + 4}, {"nbd-dir", 1, NULL, TEXTS + 5},
		{"pid-file", 1, NULL, TEXTS + 6}, {"etcd-prefix", 1, NULL, TEXTS + 7},
		{"etcd-ca", 1, NULL, TEXTS + 8}, {"etcd-cert", 1, NULL, TEXTS + 9},
		{"etcd-key", 1, NULL, TEXTS + 10}, {"etcd-user", 1, NULL, TEXTS + 11},
		{"etcd-password-file", 1, NULL, TEXTS + 12},
		{"memory", 1, NULL, 'm'}, {"verbose", 0, NULL, 'v'}, {"version", 0, NULL, 'V'},
		{"help", 0, NULL, 'h'}, {NULL, 0, NULL, 0},
	};
	struct hf_config c = { .memory_mib = 64 };
	uint64_t number;
	int opt;

	opterr = 0;
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 'm':
			if (hf_number_parse("--memory", optarg, 16, 65536, &number, err))
				return -EINVAL;
			c.memory_mib = (unsigned)number;
			break;
		case 'v':
			c.verbose = true;
			break;
		case 'V':
			c.version = true;
			break;
		case 'h':
			c.help = true;
			break;
		case '?':
			return hf_fail(err, -EINVAL, "option %s is unknown or lacks its value; see holdfastd --help",
				       argv[optind - 1]);
		default:
			*text_of(&c, opt) = optarg;
			break;
		}
	}
	if (optind < argc)
		return hf_fail(err, -EINVAL, "'%s' is not an option; see holdfastd --help", argv[optind]);
	if (!c.domain)
		c.domain = c.name;
	if (!c.version && !c.help && check(&c, err))
		return -EINVAL;
	*out = c;
	return 0;
}
