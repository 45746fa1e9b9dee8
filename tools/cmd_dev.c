// SPDX-License-Identifier: MIT
/* cmd_dev - holdfast dev: a whole cluster in one directory. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/parse.h"
#include "commands.h"
#include "ctl/ctl_proto.h"
#include "dev.h"
#include "output.h"

#define HOSTS_DEFAULT 4u
#define TERM_MS 20000u			/* a daemon may finish what it has under way */
#define KILL_MS 5000u

/* The directory of a command, absolute; the first operand, or --dir. 0 or an exit code. */
static int find_dir(const struct context *cx, const struct operands *words, char out[PATH_MAX])
{
	const char *dir = words->count ? words->at[0] : cx->dir ? cx->dir : getenv("HOLDFAST_DIR");

	if (!dir)
		return complain(HF_EXIT_USAGE, "name the cluster's directory");
	if (realpath(dir, out))
		return 0;
	return complain(HF_EXIT_FAILED, "%s is not a dev cluster: %s; make one: holdfast dev up %s", dir,
			hf_strerror(errno), dir);
}

static unsigned count_running(const json_t *cluster, const char *dir)
{
	unsigned n = 0;
	json_t *host;
	size_t i;

	json_array_foreach(json_object_get(cluster, "hosts"), i, host) {
		pid_t pid;
		int fd = dev_open_process(host, dir, &pid);

		if (fd >= 0) {
			n++;
			close(fd);
		}
	}
	return n;
}

static void end_all(const json_t *cluster, const char *dir, int sig)
{
	json_t *host;
	size_t i;

	json_array_foreach(json_object_get(cluster, "hosts"), i, host) {
		pid_t pid;
		int fd = dev_open_process(host, dir, &pid);

		if (fd < 0)
			continue;
		(void)dev_signal(fd, sig);
		close(fd);
	}
}

static int up_existing(const struct context *cx, const char *dir, bool wants_new)
{
	json_t *cluster = dev_load(dir);
	unsigned running;
	int code;

	if (!cluster)
		return HF_EXIT_FAILED;
	running = count_running(cluster, dir);
	if (running > 0)
		code = complain(HF_EXIT_FAILED,
				"the cluster in %s is running: %u of its hosts; end it by: holdfast dev down %s, or "
				"start one host by: holdfast dev start %s HOST",
				dir, running, dir, dir);
	else if (wants_new)
		code = complain(HF_EXIT_FAILED,
				"there is a cluster in %s: start it again without --hosts and --cluster, or remove "
				"the directory",
				dir);
	else
		code = dev_start_all(cx, cluster, dir, false);
	json_decref(cluster);
	return code;
}

static int up_new(const struct context *cx, const char *dir, unsigned hosts, const char *store, bool made_dir)
{
	char program[PATH_MAX];
	int code = dev_find_holdfastd(program);
	json_t *cluster;

	if (code == 0)
		code = dev_create(dir, hosts, store, program);
	if (code) {
		if (made_dir)
			rmdir(dir);
		return code;
	}
	cluster = dev_load(dir);
	code = cluster ? dev_start_all(cx, cluster, dir, false) : HF_EXIT_FAILED;
	json_decref(cluster);
	if (code) {
		/* The logs stay; the directory is no cluster. */
		char path[PATH_MAX + 16];

		snprintf(path, sizeof(path), "%s/dev.json", dir);
		unlink(path);
	}
	return code;
}

static int print_status(const struct context *cx, const char *dir);

int cmd_dev_up(struct context *cx, const struct command *self, int argc, char **argv)
{
	const char *hosts_text = NULL, *store = NULL;
	const struct option_spec specs[] = { { "--hosts", OPTION_TEXT, &hosts_text },
					     { "--cluster", OPTION_TEXT, &store },
					     { NULL, OPTION_FLAG, NULL } };
	char dir[PATH_MAX], file[PATH_MAX + 16];
	uint64_t hosts = HOSTS_DEFAULT;
	struct operands words;
	struct hf_errmsg err;
	bool made_dir;
	int code = args_parse(cx, self, argc, argv, specs, &words, 0, 1);

	if (code)
		return code;
	if (hosts_text && hf_number_parse("number of hosts", hosts_text, 1, DEV_HOSTS_MAX, &hosts, &err) < 0)
		return complain(HF_EXIT_USAGE, "%s", err.text);
	made_dir = words.count && mkdir(words.at[0], 0700) == 0;
	if (words.count && !made_dir && errno != EEXIST)
		return complain(HF_EXIT_FAILED, "cannot make directory %s: %s", words.at[0], hf_strerror(errno));
	code = find_dir(cx, &words, dir);
	if (code)
		return code;
	snprintf(file, sizeof(file), "%s/dev.json", dir);
	code = access(file, F_OK) == 0 ? up_existing(cx, dir, hosts_text || store) :
					 up_new(cx, dir, (unsigned)hosts, store, made_dir);
	return code ? code : print_status(cx, dir);
}

/* The cluster and one of its hosts, by the operands DIR HOST, or HOST with --dir. */
static int find_host(const struct context *cx, const struct operands *words, char dir[PATH_MAX], json_t **out_cluster,
		     const json_t **out_host)
{
	struct operands dir_word = { words->count - 1, { words->at[0] } };
	int code = find_dir(cx, &dir_word, dir);

	if (code)
		return code;
	*out_cluster = dev_load(dir);
	if (!*out_cluster)
		return HF_EXIT_FAILED;
	*out_host = dev_host(*out_cluster, dir, words->at[words->count - 1]);
	if (*out_host)
		return 0;
	json_decref(*out_cluster);
	return HF_EXIT_NOT_FOUND;
}

int cmd_dev_down(struct context *cx, const struct command *self, int argc, char **argv)
{
	struct operands words;
	char dir[PATH_MAX];
	json_t *cluster, *host;
	size_t i;
	int code = args_parse(cx, self, argc, argv, NULL, &words, 0, 1);

	if (code == 0)
		code = find_dir(cx, &words, dir);
	if (code)
		return code;
	cluster = dev_load(dir);
	if (!cluster)
		return HF_EXIT_FAILED;
	/* All at once, so that nobody repairs what is being ended. */
	end_all(cluster, dir, SIGTERM);
	json_array_foreach(json_object_get(cluster, "hosts"), i, host) {
		bool was_running;
		int rc = dev_end_host(host, dir, SIGTERM, TERM_MS, &was_running);

		code = code ? code : rc;
	}
	json_decref(cluster);
	return code;
}

int cmd_dev_kill(struct context *cx, const struct command *self, int argc, char **argv)
{
	char dir[PATH_MAX];
	struct operands words;
	const json_t *host;
	json_t *cluster;
	bool was_running;
	int code = args_parse(cx, self, argc, argv, NULL, &words, 1, 2);

	if (code == 0)
		code = find_host(cx, &words, dir, &cluster, &host);
	if (code)
		return code;
	code = dev_end_host(host, dir, SIGKILL, KILL_MS, &was_running);
	if (code == 0 && !was_running)
		code = complain(HF_EXIT_FAILED, "%s does not run", words.at[words.count - 1]);
	json_decref(cluster);
	return code;
}

int cmd_dev_start(struct context *cx, const struct command *self, int argc, char **argv)
{
	char dir[PATH_MAX];
	struct operands words;
	const json_t *host;
	json_t *cluster;
	pid_t pid;
	int code = args_parse(cx, self, argc, argv, NULL, &words, 1, 2), fd;

	if (code == 0)
		code = find_host(cx, &words, dir, &cluster, &host);
	if (code)
		return code;
	fd = dev_open_process(host, dir, &pid);
	if (fd >= 0) {
		close(fd);
		code = complain(HF_EXIT_FAILED, "%s runs already, as process %d", words.at[words.count - 1], (int)pid);
	} else {
		pid = dev_spawn(cluster, host, dir, false);
		code = pid < 0 ? HF_EXIT_FAILED : dev_wait_up(cx, host, dir, pid);
	}
	json_decref(cluster);
	return code;
}

/* status */

static json_t *host_status(const struct context *cx, const json_t *host, const char *dir)
{
	const char *name = json_string_value(json_object_get(host, "name"));
	struct context quick = *cx;
	struct daemon d = { 0 };
	struct answer a = { 0 };
	pid_t pid = 0;
	int fd = dev_open_process(host, dir, &pid);
	bool runs = fd >= 0;

	quick.timeout_s = 2;
	snprintf(d.host, sizeof(d.host), "%s", name);
	snprintf(d.path, sizeof(d.path), "%s/%s/ctl.sock", dir, name);
	a.exit_code = HF_EXIT_UNREACHABLE;
	if (runs) {
		close(fd);
		a = client_call(&quick, &d, "ping", NULL);
	}
	host = json_pack("{s:s, s:o, s:s, s:s}", "host", name, "pid", runs ? json_integer(pid) : json_null(), "state",
			 !runs ? "down" : a.exit_code == HF_EXIT_OK ? "up" : "not answering", "socket", d.path);
	answer_fini(&a);
	return (json_t *)host;
}

static int print_status(const struct context *cx, const char *dir)
{
	static const struct column columns[] = {
		{ .title = "HOST", .key = "host" },
		{ .title = "STATE", .key = "state" },
		{ .title = "PID", .key = "pid", .right = true },
		{ .title = "SOCKET", .key = "socket" },
	};
	json_t *cluster = dev_load(dir), *rows = json_array(), *host;
	size_t i;

	if (!cluster) {
		json_decref(rows);
		return HF_EXIT_FAILED;
	}
	json_array_foreach(json_object_get(cluster, "hosts"), i, host)
		json_array_append_new(rows, host_status(cx, host, dir));
	if (cx->json) {
		json_t *whole = json_pack("{s:s, s:O}", "dir", dir, "hosts", rows);

		output_json(whole);
		json_decref(whole);
	} else {
		output_table(columns, sizeof(columns) / sizeof(columns[0]), rows, 0);
	}
	json_decref(rows);
	json_decref(cluster);
	return 0;
}

int cmd_dev_status(struct context *cx, const struct command *self, int argc, char **argv)
{
	struct operands words;
	char dir[PATH_MAX];
	int code = args_parse(cx, self, argc, argv, NULL, &words, 0, 1);

	if (code == 0)
		code = find_dir(cx, &words, dir);
	return code ? code : print_status(cx, dir);
}
