// SPDX-License-Identifier: MIT
/*
 * engine - holdfast-bench-engine: one volume driven without a front. Prints one line of JSON.
 *
 * A process per host runs the daemon's agent on the real reactor (engine_host.c), with the embedded cluster store,
 * sockets of the loopback and leg files in a directory of its own. hostA is the primary. This parent reads options,
 * starts the processes, ends and reaps all of them within a bounded time and removes the directory, whatever happened.
 */
#include "engine.h"

#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/parse.h"

#define SECONDS_MAX 3600u
#define SECONDS_OF_OPS 60u		/* --ops without --seconds */
#define SETUP_LIMIT_NS (60 * HF_SEC)
#define EXIT_USAGE 2

static uint64_t now_ns(void)
{
	struct timespec ts = { 0 };

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * HF_SEC + (uint64_t)ts.tv_nsec;
}

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

static pid_t start_host(const struct bench_host *h)
{
	pid_t parent = getpid(), child = fork();

	if (child)
		return child;
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	bench_host_run(h);
}

/* Wait for the first report: of the primary, or of a host that cannot go on. */
static void await_report(const struct bench_options *o, const pid_t *pid, int fd, struct bench_report *out)
{
	uint64_t limit = now_ns() + SETUP_LIMIT_NS + o->seconds * HF_SEC + BENCH_STOP_NS;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	siginfo_t info;

	*out = (struct bench_report){ .failure = "" };
	for (;;) {
		if (poll(&p, 1, 100) > 0) {
			if (read(fd, out, sizeof(*out)) != (ssize_t)sizeof(*out))
				snprintf(out->failure, sizeof(out->failure), "the report of a host is cut off");
			return;
		}
		for (uint32_t i = 0; i < o->hosts; i++) {
			info.si_pid = 0;
			if (pid[i] <= 0 || waitid(P_PID, (id_t)pid[i], &info, WEXITED | WNOHANG | WNOWAIT) ||
			    !info.si_pid || poll(&p, 1, 0) > 0)
				continue;
			snprintf(out->failure, sizeof(out->failure), "the process of host%c died", (int)('A' + i));
			return;
		}
		if (interrupted || now_ns() > limit) {
			snprintf(out->failure, sizeof(out->failure), "%s",
				 interrupted ? "interrupted" : "it does not come to an end");
			return;
		}
	}
}

/* End and reap; the largest resident set of any of them in KiB. */
static long end_hosts(const pid_t *pid, uint32_t hosts)
{
	long max = 0;

	for (uint32_t i = 0; i < hosts; i++)
		if (pid[i] > 0)
			kill(pid[i], SIGKILL);
	for (uint32_t i = 0; i < hosts; i++) {
		struct rusage use;

		if (pid[i] <= 0 || wait4(pid[i], NULL, 0, &use) < 0)
			continue;
		if (use.ru_maxrss > max)
			max = use.ru_maxrss;
	}
	return max;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static void print(const struct bench_options *o, const struct bench_report *r, long max_rss_kib)
{
	double ops = (double)r->ops, seconds = (double)r->wall_ns / 1e9;

	printf("{\"layout\":\"%s\",\"local\":\"%s\",\"hosts\":%u,\"net\":\"%s\",\"op\":\"%s\",\"depth\":%llu,"
	       "\"ops\":%llu,\"seconds\":%.3f,\"iops\":%.0f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"cpu_us_per_op\":%.2f,"
	       "\"max_rss_kib\":%ld}\n",
	       o->layout, o->local, o->hosts, o->net, o->op, (unsigned long long)o->depth, (unsigned long long)r->ops,
	       seconds, ops / seconds, (double)r->p50_ns / 1e3, (double)r->p99_ns / 1e3, (double)r->cpu_ns / 1e3 / ops,
	       max_rss_kib);
}

static int run(const struct bench_options *o, const char *dir)
{
	pid_t pid[HF_LEGS_MAX] = { 0 };
	struct bench_host h = { .o = o, .dir = dir, .pid = pid };
	struct bench_report report;
	bool started = true;
	int fd[2];
	long max_rss_kib;

	if (pipe2(fd, O_CLOEXEC)) {
		fprintf(stderr, "holdfast-bench-engine: no pipe: %s\n", hf_strerror(errno));
		return 1;
	}
	h.report_fd = fd[1];
	for (h.index = o->hosts; h.index-- > 0 && started;) {	/* the primary last: it knows every pid */
		pid[h.index] = start_host(&h);
		started = pid[h.index] > 0;
	}
	if (started)
		await_report(o, pid, fd[0], &report);
	else
		snprintf(report.failure, sizeof(report.failure), "no process can be started: %s", hf_strerror(errno));
	max_rss_kib = end_hosts(pid, o->hosts);
	if (report.failure[0]) {
		fprintf(stderr, "holdfast-bench-engine: %s\n", report.failure);
		return 1;
	}
	print(o, &report, max_rss_kib);
	return 0;
}

/* Options. */

static const char usage[] =
	"usage: holdfast-bench-engine [OPTION...]\n"
	"  --layout K+M          fragments of the volume: 1+1, 2+1, 4+2 ... (default 1+1)\n"
	"  --local full|none     a whole leg on the primary besides (default none)\n"
	"  --op write|read       4 KiB at random blocks (default write)\n"
	"  --depth N             requests in flight, 1 to 256 (default 1)\n"
	"  --seconds N           stop after N seconds (default 2; 60 with --ops)\n"
	"  --ops N               stop after N requests\n"
	"  --size SIZE           of the volume, filled before (default 256M)\n"
	"  --net tcp|unix        sockets between the hosts (default tcp, on 127.0.0.1)\n"
	"  --dir DIR             make the private directory in DIR (default $BENCH_DIR, $TMPDIR or /var/tmp)\n";

static int check_word(const char *option, const char *word, const char *one, const char *other, struct hf_errmsg *err)
{
	if (strcmp(word, one) == 0 || strcmp(word, other) == 0)
		return 0;
	return hf_fail(err, -EINVAL, "%s is '%s' or '%s', not '%s'", option, one, other, word);
}

static int take_option(struct bench_options *o, int option, struct hf_errmsg *err)
{
	uint64_t bytes;
	int ret = 0;

	switch (option) {
	case 'l':
		o->layout = optarg;
		return hf_layout_parse(optarg, &o->k, &o->m, err);
	case 'f':
		o->local = optarg;
		return check_word("--local", optarg, "full", "none", err);
	case 'o':
		o->op = optarg;
		return check_word("--op", optarg, "write", "read", err);
	case 'n':
		o->net = optarg;
		return check_word("--net", optarg, "tcp", "unix", err);
	case 'd':
		return hf_number_parse("--depth", optarg, 1, BENCH_DEPTH_MAX, &o->depth, err);
	case 's':
		return hf_number_parse("--seconds", optarg, 1, SECONDS_MAX, &o->seconds, err);
	case 'c':
		return hf_number_parse("--ops", optarg, 1, UINT64_MAX / 2, &o->ops, err);
	case 'b':
		ret = hf_size_parse(optarg, &bytes, err);
		if (ret == 0)
			o->size_blocks = bytes / HF_BLOCK;
		return ret;
	case 'D':
		o->dir = optarg;
		return 0;
	default:
		return hf_fail(err, -EINVAL, "'%s' is no option, or lacks its value; see --help", optarg);
	}
}

static int parse(int argc, char **argv, struct bench_options *o, struct hf_errmsg *err)
{
	static const struct option known[] = {
		{ "layout", required_argument, NULL, 'l' },  { "local", required_argument, NULL, 'f' },
		{ "op", required_argument, NULL, 'o' },	     { "net", required_argument, NULL, 'n' },
		{ "depth", required_argument, NULL, 'd' },   { "seconds", required_argument, NULL, 's' },
		{ "ops", required_argument, NULL, 'c' },     { "size", required_argument, NULL, 'b' },
		{ "dir", required_argument, NULL, 'D' },     { "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option, ret = 0;

	opterr = 0;
	while (ret == 0 && (option = getopt_long(argc, argv, "+", known, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			exit(0);
		}
		if (option == '?')
			optarg = argv[optind - 1];
		ret = take_option(o, option, err);
	}
	if (ret == 0 && optind < argc)
		ret = hf_fail(err, -EINVAL, "'%s' is no option; see --help", argv[optind]);
	o->hosts = (uint32_t)(o->k + o->m + (strcmp(o->local, "full") == 0));
	if (ret == 0 && o->hosts < 2)
		ret = hf_fail(err, -EINVAL, "layout %s has one leg only: it mirrors nothing", o->layout);
	if (!o->seconds)
		o->seconds = o->ops ? SECONDS_OF_OPS : 2;
	return ret;
}

int main(int argc, char **argv)
{
	struct bench_options o = {
		.layout = "1+1", .local = "none", .op = "write", .net = "tcp",
		.k = 1, .m = 1, .depth = 1, .size_blocks = (256u << 20) / HF_BLOCK,
	};
	struct sigaction stop = { .sa_handler = on_signal };
	struct hf_errmsg err;
	char dir[200];
	int code;

	o.dir = getenv("BENCH_DIR") ? getenv("BENCH_DIR") : getenv("TMPDIR") ? getenv("TMPDIR") : "/var/tmp";
	if (parse(argc, argv, &o, &err)) {
		fprintf(stderr, "holdfast-bench-engine: %s\n", err.text);
		return EXIT_USAGE;
	}
	hf_log_init(NULL, NULL, HF_LOG_WARN);
	if (snprintf(dir, sizeof(dir), "%s/hf-engine.XXXXXX", o.dir) >= (int)sizeof(dir) || !mkdtemp(dir)) {
		fprintf(stderr, "holdfast-bench-engine: no directory can be made in %s: %s\n", o.dir,
			hf_strerror(errno));
		return EXIT_USAGE;
	}
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	code = run(&o, dir);
	if (nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS))
		fprintf(stderr, "holdfast-bench-engine: %s could not be removed\n", dir);
	return code;
}
