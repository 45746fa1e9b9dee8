// SPDX-License-Identifier: MIT
/* config - read holdfastd's command line. */
#include "config.h"

#include <getopt.h>
#include <string.h>

#include "base/parse.h"

const char hf_config_usage[] =
	"usage: holdfastd --name HOST --cluster sqlite:PATH --dir DIR --listen ADDRESS [options]\n"
	"\n"
	"  --name HOST        this host's name in the cluster\n"
	"  --cluster STORE    the cluster store: sqlite:PATH (all daemons on one machine)\n"
	"  --dir DIR          where this host keeps legs, event log and sockets\n"
	"  --listen ADDRESS   for other hosts: tcp:127.0.0.1:PORT (0: any port) or unix:PATH\n"
	"  --domain NAME      failure domain (rack, power feed); default: the host's name\n"
	"  --nbd-dir DIR      also serve each volume at DIR/VOLUME.sock while this host is its primary\n"
	"  --pid-file PATH    write the process id there\n"
	"  --memory MIB       payload buffers, 16 to 65536; default 64\n"
	"  --verbose          log what is of interest to developers\n"
	"  --version, --help\n";

static int check(const struct hf_config *c, struct hf_errmsg *err)
{
	int ret;

	if (!c->name || !c->cluster || !c->dir || !c->listen)
		return hf_fail(err, -EINVAL, "%s is missing; see holdfastd --help",
			       !c->name ? "--name" : !c->cluster ? "--cluster" : !c->dir ? "--dir" : "--listen");
	ret = hf_name_check("host name", c->name, err);
	if (ret == 0)
		ret = hf_name_check("failure domain", c->domain, err);
	if (ret)
		return ret;
	if (strncmp(c->cluster, "sqlite:", 7) != 0 || !c->cluster[7])
		return hf_fail(err, -EINVAL, "--cluster %s: the store has to be sqlite:PATH", c->cluster);
	if (strlen(c->dir) > 90 || (c->nbd_dir && strlen(c->nbd_dir) > 90))
		return hf_fail(err, -EINVAL,
			       "--dir or --nbd-dir is too long for the path of a unix socket: use a shorter one");
	return 0;
}

int hf_config_parse(int argc, char **argv, struct hf_config *out, struct hf_errmsg *err)
{
	static const struct option options[] = {
		{"name", 1, NULL, 'n'},	    {"cluster", 1, NULL, 'c'}, {"dir", 1, NULL, 'd'},
		{"listen", 1, NULL, 'l'},   {"domain", 1, NULL, 'o'},  {"nbd-dir", 1, NULL, 'b'},
		{"pid-file", 1, NULL, 'p'}, {"memory", 1, NULL, 'm'},  {"verbose", 0, NULL, 'v'},
		{"version", 0, NULL, 'V'},  {"help", 0, NULL, 'h'},    {NULL, 0, NULL, 0},
	};
	struct hf_config c = { .memory_mib = 64 };
	uint64_t number;
	int opt;

	opterr = 0;
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 'n':
			c.name = optarg;
			break;
		case 'c':
			c.cluster = optarg;
			break;
		case 'd':
			c.dir = optarg;
			break;
		case 'l':
			c.listen = optarg;
			break;
		case 'o':
			c.domain = optarg;
			break;
		case 'b':
			c.nbd_dir = optarg;
			break;
		case 'p':
			c.pid_file = optarg;
			break;
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
		default:
			return hf_fail(err, -EINVAL, "option %s is unknown or lacks its value; see holdfastd --help",
				       argv[optind - 1]);
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
