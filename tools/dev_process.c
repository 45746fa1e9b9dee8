// SPDX-License-Identifier: MIT
/* dev_process - the daemons of a dev cluster as processes: started detached, found again, ended. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ctl/ctl_proto.h"
#include "dev.h"

#define ARGS_MAX 64u
#define UP_MS 15000u
#define LOG_TAIL 1500			/* bytes of a log that are shown when a daemon does not come up */

static const char *name_of(const json_t *host)
{
	return json_string_value(json_object_get(host, "name"));
}

static void host_path(const json_t *host, const char *dir, const char *file, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "%s/%s%s%s", dir, name_of(host), *file ? "/" : "", file);
}

/* start */

int dev_find_holdfastd(char out[PATH_MAX])
{
	const char *named = getenv("HOLDFASTD");
	char self[PATH_MAX - 16], *slash;
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (!named && len < 0)
		return complain(HF_EXIT_FAILED, "cannot find holdfastd: %s; name it by $HOLDFASTD", hf_strerror(errno));
	if (!named) {
		self[len] = '\0';
		slash = strrchr(self, '/');
		snprintf(out, PATH_MAX, "%.*s/holdfastd", (int)(slash - self), self);
		if (access(out, X_OK) < 0) /* an installed one: bin and sbin are neighbours */
			snprintf(out, PATH_MAX, "%.*s/../sbin/holdfastd", (int)(slash - self), self);
		named = out;
	}
	if (access(named, X_OK) < 0)
		return complain(HF_EXIT_FAILED,
				"cannot run %s: %s; install holdfastd beside holdfast, or name it by $HOLDFASTD", named,
				hf_strerror(errno));
	if (named != out)
		snprintf(out, PATH_MAX, "%s", named);
	return 0;
}

/* In the child: nothing returns. What fails is told through `report`, which closes by itself when the daemon begins. */
static _Noreturn void become(const char *program, char *const argv[], const char *log, bool bound, int report)
{
	int in = open("/dev/null", O_RDONLY), out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	sigset_t none;
	int rc;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	if (bound)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (in >= 0 && out >= 0 && dup2(in, 0) >= 0 && dup2(out, 1) >= 0 && dup2(out, 2) >= 0)
		execv(program, argv);
	rc = errno;
	(void)!write(report, &rc, sizeof(rc));
	_exit(127);
}

static pid_t spawn(const char *program, char *const argv[], const char *log, bool bound)
{
	int ends[2], rc = 0;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		complain(HF_EXIT_FAILED, "cannot start %s: %s", program, hf_strerror(errno));
		return -1;
	}
	if (pid == 0)
		become(program, argv, log, bound, ends[1]);
	close(ends[1]);
	if (read(ends[0], &rc, sizeof(rc)) == sizeof(rc)) {
		waitpid(pid, NULL, 0);
		complain(HF_EXIT_FAILED,
			 "cannot start %s: %s; install holdfastd beside holdfast, or name it by $HOLDFASTD", program,
			 hf_strerror(rc));
		pid = -1;
	}
	close(ends[0]);
	return pid;
}

pid_t dev_spawn(const json_t *cluster, const json_t *host, const char *dir, bool bound)
{
	const char *program = json_string_value(json_object_get(cluster, "holdfastd"));
	const json_t *args = json_object_get(host, "args");
	char *argv[ARGS_MAX + 2] = { 0 };
	char log[PATH_MAX];
	size_t count = json_array_size(args);
	pid_t pid = -1;

	if (!program || count == 0 || count > ARGS_MAX) {
		complain(HF_EXIT_FAILED, "%s/dev.json does not say how to start %s", dir, name_of(host));
		return -1;
	}
	argv[0] = strdup(program);
	for (size_t i = 0; i < count; i++)
		argv[i + 1] = strdup(json_string_value(json_array_get(args, i)) ?: "");
	host_path(host, dir, "holdfastd.log", log);
	pid = spawn(program, argv, log, bound);
	for (size_t i = 0; i <= count; i++)
		free(argv[i]);
	return pid;
}

static void show_log(const char *path)
{
	char text[LOG_TAIL + 1];
	FILE *in = fopen(path, "r");
	size_t len;

	if (!in)
		return;
	if (fseek(in, -LOG_TAIL, SEEK_END) < 0)
		rewind(in);
	len = fread(text, 1, LOG_TAIL, in);
	text[len] = '\0';
	fprintf(stderr, "  the end of %s:\n%s", path, text);
	fclose(in);
}

static unsigned long long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (unsigned long long)t.tv_sec * 1000 + (unsigned long long)t.tv_nsec / 1000000;
}

static bool answers(const struct context *cx, const json_t *host, const char *dir)
{
	struct context quick = *cx;
	struct daemon d = { 0 };
	struct answer a;
	bool ok;

	quick.timeout_s = 2;
	snprintf(d.host, sizeof(d.host), "%s", name_of(host));
	snprintf(d.path, sizeof(d.path), "%s/%s/ctl.sock", dir, name_of(host));
	a = client_call(&quick, &d, "ping", NULL);
	ok = a.exit_code == HF_EXIT_OK;
	answer_fini(&a);
	return ok;
}

/* Does this host's daemon know `count` hosts, and is it connected to each? */
static bool sees_all(const struct context *cx, const json_t *host, const char *dir, size_t count)
{
	struct context quick = *cx;
	struct daemon d = { 0 };
	struct answer a;
	json_t *seen;
	size_t i, connected = 0;

	quick.timeout_s = 2;
	snprintf(d.host, sizeof(d.host), "%s", name_of(host));
	snprintf(d.path, sizeof(d.path), "%s/%s/ctl.sock", dir, name_of(host));
	a = client_call(&quick, &d, "host.list", NULL);
	json_array_foreach(json_object_get(a.result, "hosts"), i, seen)
		connected += json_is_true(json_object_get(seen, "connected"));
	answer_fini(&a);
	return connected >= count;
}

int dev_wait_connected(const struct context *cx, const json_t *cluster, const char *dir)
{
	const json_t *hosts = json_object_get(cluster, "hosts");
	unsigned long long deadline = now_ms() + UP_MS;
	const json_t *host;
	size_t i = 0;

	while (i < json_array_size(hosts)) {
		host = json_array_get(hosts, i);
		if (sees_all(cx, host, dir, json_array_size(hosts))) {
			i++;
			continue;
		}
		if (now_ms() >= deadline)
			return complain(HF_EXIT_FAILED,
					"%s does not reach every other host after %u s; see holdfast host list",
					name_of(host), UP_MS / 1000);
		nanosleep(&(struct timespec){ .tv_nsec = 20 * 1000000 }, NULL);
	}
	return 0;
}

int dev_wait_up(const struct context *cx, const json_t *host, const char *dir, pid_t pid)
{
	unsigned long long deadline = now_ms() + UP_MS;
	char log[PATH_MAX];
	int status;

	host_path(host, dir, "holdfastd.log", log);
	while (now_ms() < deadline) {
		if (waitpid(pid, &status, WNOHANG) == pid) {
			complain(HF_EXIT_FAILED, "%s ended at once (%s %d)", name_of(host),
				 WIFEXITED(status) ? "exit code" : "signal",
				 WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
			show_log(log);
			return HF_EXIT_FAILED;
		}
		if (answers(cx, host, dir))
			return 0;
		nanosleep(&(struct timespec){ .tv_nsec = 20 * 1000000 }, NULL);
	}
	complain(HF_EXIT_FAILED, "%s does not answer after %u s", name_of(host), UP_MS / 1000);
	show_log(log);
	return HF_EXIT_FAILED;
}

int dev_start_all(const struct context *cx, const json_t *cluster, const char *dir, bool bound)
{
	pid_t pids[DAEMONS_MAX] = { 0 };
	json_t *host;
	size_t i;
	int code = 0;

	json_array_foreach(json_object_get(cluster, "hosts"), i, host) {
		if (i >= DAEMONS_MAX)
			break;
		pids[i] = dev_spawn(cluster, host, dir, bound);
		if (pids[i] < 0)
			code = HF_EXIT_FAILED;
	}
	json_array_foreach(json_object_get(cluster, "hosts"), i, host)
		if (code == 0 && i < DAEMONS_MAX)
			code = dev_wait_up(cx, host, dir, pids[i]);
	if (code == 0)
		code = dev_wait_connected(cx, cluster, dir);
	if (code == 0)
		return 0;
	for (size_t k = 0; k < i && k < DAEMONS_MAX; k++)
		/* Our own children that have not been waited for: the number cannot be anyone else's. */
		if (pids[k] > 0 && waitpid(pids[k], NULL, WNOHANG) == 0)
			kill(pids[k], SIGTERM);
	return code;
}

/* find and end */

/* Is "--dir", DIR/HOST among the words of this process's command line? */
static bool is_ours(pid_t pid, const char *host_dir)
{
	char path[64], words[16384], *p;
	bool after_dir = false;
	size_t len;
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	in = fopen(path, "r");
	if (!in)
		return false;
	len = fread(words, 1, sizeof(words) - 1, in);
	fclose(in);
	words[len] = '\0';
	for (p = words; p < words + len; p += strlen(p) + 1) {
		if (after_dir && strcmp(p, host_dir) == 0)
			return true;
		after_dir = strcmp(p, "--dir") == 0;
	}
	return false;
}

int dev_open_process(const json_t *host, const char *dir, pid_t *out_pid)
{
	char path[PATH_MAX], text[16] = "";
	long pid = 0;
	FILE *in;
	int fd;

	host_path(host, dir, "pid", path);
	in = fopen(path, "r");
	if (!in)
		return -1;
	if (fgets(text, sizeof(text), in))
		pid = strtol(text, NULL, 10);
	fclose(in);
	fd = pid > 1 && pid <= INT_MAX ? pidfd_open((pid_t)pid, 0) : -1;
	host_path(host, dir, "", path);
	if (fd >= 0 && !is_ours((pid_t)pid, path)) {
		close(fd);
		fd = -1;
	}
	*out_pid = (pid_t)pid;
	return fd;
}

int dev_signal(int pidfd, int signal)
{
	if (pidfd_send_signal(pidfd, signal, NULL, 0) == 0 || errno == ESRCH)
		return 0;
	return complain(HF_EXIT_FAILED, "cannot signal a daemon: %s", hf_strerror(errno));
}

bool dev_wait_end(int pidfd, unsigned wait_ms)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, (int)wait_ms) > 0;
}

int dev_end_host(const json_t *host, const char *dir, int sig, unsigned wait_ms, bool *was_running)
{
	const char *name = json_string_value(json_object_get(host, "name"));
	pid_t pid;
	int fd = dev_open_process(host, dir, &pid), code;

	*was_running = fd >= 0;
	if (fd < 0)
		return 0;
	code = dev_signal(fd, sig);
	if (code == 0 && !dev_wait_end(fd, wait_ms))
		code = complain(HF_EXIT_FAILED,
				"%s (process %d) has not ended after %u s; see %s/%s/holdfastd.log, or: "
				"holdfast dev kill %s %s",
				name, (int)pid, wait_ms / 1000, dir, name, dir, name);
	close(fd);
	return code;
}
