// SPDX-License-Identifier: MIT
/* torture_cluster - the cluster under torture: made, its hosts killed, frozen and started, its volume looked at. */
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "commands.h"
#include "ctl/ctl_proto.h"
#include "torture.h"

#define KILL_MS 10000u
#define TERM_MS 20000u
#define SETTLING_NS 50000000u		/* between two looks that agree */
#define LOOK_S 2u			/* for an answer of a daemon that may be frozen */

static volatile sig_atomic_t over;

static void on_signal(int sig)
{
	(void)sig;
	over = 1;
}

void torture_watch_signals(void)
{
	const int all[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction sa = { .sa_handler = on_signal };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		sigaction(all[i], &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
}

bool torture_is_over(void)
{
	return over;
}

uint64_t torture_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* splitmix: each seed gives its own sequence of faults. */
uint64_t torture_draw(struct torture *t, uint64_t below)
{
	uint64_t x = t->rng += 0x9e3779b97f4a7c15ull;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return (x ^ (x >> 31)) % below;
}

void torture_pause(unsigned ms)
{
	uint64_t end = torture_now_ns() + (uint64_t)ms * 1000000;

	while (!over && torture_now_ns() < end)
		nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
}

enum torture_end torture_fail(struct torture *t, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	if (!t->stuck[0])
		vsnprintf(t->stuck, sizeof(t->stuck), format, ap);
	va_end(ap);
	return TORTURE_STUCK;
}

void torture_say(struct torture *t, const char *format, ...)
{
	size_t len = strlen(t->what);
	va_list ap;

	va_start(ap, format);
	vsnprintf(t->what + len, sizeof(t->what) - len, format, ap);
	va_end(ap);
}

enum torture_end torture_wait(struct torture *t, bool (*is)(struct torture *t), const char *what, unsigned seconds)
{
	uint64_t end = torture_now_ns() + (uint64_t)seconds * 1000000000u;

	while (!is(t)) {
		if (over)
			return torture_fail(t, "ended by a signal");
		if (torture_now_ns() >= end)
			return torture_fail(t, "after %u s %s", seconds, what);
		torture_pause(5);
	}
	return TORTURE_DONE;
}

/* hosts */

static void reap(void)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

enum torture_end torture_signal(struct torture *t, unsigned host, int sig)
{
	struct torture_host *h = &t->host[host];
	pid_t pid;
	int fd = dev_open_process(h->spec, t->dir, &pid), code;

	if (fd < 0)
		return torture_fail(t, "the daemon of %s has ended by itself; see %s/%s/holdfastd.log", h->name, t->dir,
				    h->name);
	code = dev_signal(fd, sig);
	if (code == 0 && sig == SIGKILL && !dev_wait_end(fd, KILL_MS))
		code = HF_EXIT_FAILED;
	close(fd);
	if (code)
		return torture_fail(t, "%s does not take signal %d", h->name, sig);
	h->frozen = sig == SIGSTOP;
	return TORTURE_DONE;
}

enum torture_end torture_kill(struct torture *t, unsigned host)
{
	enum torture_end end = torture_signal(t, host, SIGKILL);

	reap();
	if (end == TORTURE_DONE) {
		t->host[host].down = true;
		t->host[host].deaf = false;
		t->kills++;
	}
	return end;
}

enum torture_end torture_spawn(struct torture *t, unsigned host, pid_t *out_pid)
{
	*out_pid = dev_spawn(t->cluster, t->host[host].spec, t->dir, t->own);
	if (*out_pid < 0)
		return torture_fail(t, "%s does not start", t->host[host].name);
	t->host[host].down = false;
	return TORTURE_DONE;
}

enum torture_end torture_start(struct torture *t, unsigned host)
{
	pid_t pid;
	enum torture_end end = torture_spawn(t, host, &pid);

	if (end == TORTURE_DONE && dev_wait_up(&t->cx, t->host[host].spec, t->dir, pid))
		return torture_fail(t, "%s does not come up; see %s/%s/holdfastd.log", t->host[host].name, t->dir,
				    t->host[host].name);
	return end;
}

void torture_socket_of(const struct torture *t, unsigned host, char out[108])
{
	snprintf(out, 108, "%.60s/%.20s/nbd/%s.sock", t->dir, t->host[host].name, TORTURE_VOLUME);
}

/* the volume */

void torture_note_tolerance(struct torture *t, int tolerance)
{
	uint64_t now = torture_now_ns();

	t->tolerance_ns[t->tolerance_at] += now - t->tolerance_since_ns;
	t->tolerance_since_ns = now;
	t->tolerance_at = tolerance + 2 < (int)TORTURE_TOLERANCES ? (unsigned)(tolerance + 2) : TORTURE_TOLERANCES - 1;
}

static struct answer show(struct torture *t)
{
	struct context quick = t->cx;

	quick.timeout_s = LOOK_S;
	return client_call_primary(&quick, &t->daemons, TORTURE_VOLUME, "volume.show",
				   json_pack("{s:s}", "name", TORTURE_VOLUME), true);
}

/* All are connected, in sync, and have acknowledged `seq`. */
static bool all_insync(const json_t *volume, json_int_t seq)
{
	const json_t *legs = json_object_get(volume, "legs");
	size_t good = 0;

	for (size_t i = 0; i < json_array_size(legs); i++) {
		const json_t *leg = json_array_get(legs, i);
		const char *state = json_string_value(json_object_get(leg, "state"));

		good += state && strcmp(state, "insync") == 0 && json_is_true(json_object_get(leg, "connected")) &&
			json_integer_value(json_object_get(leg, "acked")) >= seq;
	}
	return good > 0 && good == json_array_size(legs);
}

static bool find_primary(struct torture *t, const char *name)
{
	for (unsigned i = 0; name && i < t->hosts; i++) {
		if (strcmp(t->host[i].name, name) != 0)
			continue;
		t->primary = i;
		return true;
	}
	return false;
}

/*
 * A leg that has just come back may be called in sync by a primary that is taking it out at this moment. So twice, some
 * time apart, and every leg has to have acknowledged by then what was committed at the first look.
 */
bool torture_is_settled(struct torture *t)
{
	struct answer a = show(t);
	const char *state = json_string_value(json_object_get(a.result, "state"));
	bool served = state && strcmp(state, "serving") == 0 && json_is_true(json_object_get(a.result, "live"));
	bool good = served && all_insync(a.result, t->settling_seq) &&
		    find_primary(t, json_string_value(json_object_get(a.result, "primary")));
	bool settled = good && t->settling_ns && torture_now_ns() - t->settling_ns > SETTLING_NS;

	if (good && !t->settling_ns) {
		t->settling_ns = torture_now_ns();
		t->settling_seq = json_integer_value(json_object_get(a.result, "committed"));
	} else if (settled || (!good && (!served || !all_insync(a.result, 0)))) {
		t->settling_ns = 0;
		t->settling_seq = 0;
	}
	torture_note_tolerance(t, served ? (int)json_integer_value(json_object_get(a.result, "tolerance")) : -2);
	answer_fini(&a);
	return settled;
}

bool torture_has_said(struct torture *t, unsigned host, const char *kind)
{
	const struct daemon *d = client_find(&t->daemons, t->host[host].name);
	struct answer a = client_call(&t->cx, d, "events", NULL);
	const json_t *events = json_object_get(a.result, "events");
	bool has = false;

	for (size_t i = 0; i < json_array_size(events); i++) {
		const char *is = json_string_value(json_object_get(json_array_get(events, i), "kind"));

		if (is && strcmp(is, "daemon-started") == 0)
			has = false;
		has |= is && strcmp(is, kind) == 0;
	}
	answer_fini(&a);
	return has;
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

enum torture_end torture_promote(struct torture *t, unsigned to, bool must)
{
	struct answer a = promote_volume(&t->cx, &t->daemons, TORTURE_VOLUME, t->host[to].name);
	const char *outcome = text_of(a.result, "outcome");
	enum torture_end end = TORTURE_DONE;

	if (strcmp(outcome, "promoted") == 0) {
		t->primary = to;
	} else if (must) {
		end = torture_fail(t, "promotion on %s failed: %s", t->host[to].name,
				   a.result ? text_of(a.result, "refusal") : text_of(a.error, "why"));
	}
	answer_fini(&a);
	return end;
}

/* begin and end */

static int make_dir(struct torture *t)
{
	const char *in = t->opt.in ? t->opt.in : getenv("TMPDIR");
	char path[PATH_MAX];

	if (!realpath(in && *in ? in : "/tmp", path))
		return complain(HF_EXIT_FAILED, "cannot use %s: %s", in, hf_strerror(errno));
	snprintf(t->dir, sizeof(t->dir), "%.*s/holdfast-torture.XXXXXX", PATH_MAX - 32, path);
	if (mkdtemp(t->dir)) {
		t->own = true;
		return 0;
	}
	t->dir[0] = '\0';
	return complain(HF_EXIT_FAILED, "cannot make a directory in %s: %s", path, hf_strerror(errno));
}

static int find_hosts(struct torture *t)
{
	const json_t *list = json_object_get(t->cluster, "hosts");

	if (json_array_size(list) < t->hosts)
		return complain(HF_EXIT_USAGE, "layout %s%s needs %u hosts; the cluster in %s has %zu", t->opt.layout,
				strcmp(t->opt.local, "full") == 0 ? " with a local full leg" : "", t->hosts, t->dir,
				json_array_size(list));
	for (unsigned i = 0; i < t->hosts; i++) {
		t->host[i].spec = json_array_get(list, i);
		t->host[i].name = json_string_value(json_object_get(t->host[i].spec, "name"));
	}
	return 0;
}

static int own_cluster(struct torture *t)
{
	char program[PATH_MAX];
	int code = dev_find_holdfastd(program);

	if (code == 0)
		code = make_dir(t);
	if (code == 0)
		code = dev_create(t->dir, (unsigned)t->opt.hosts, NULL, program);
	if (code)
		return code;
	t->cluster = dev_load(t->dir);
	code = t->cluster ? find_hosts(t) : HF_EXIT_FAILED;
	if (code)
		return code;
	torture_small_disk(t);
	return dev_start_all(&t->cx, t->cluster, t->dir, true);
}

static int told_cluster(struct torture *t)
{
	int code;

	if (!realpath(t->cx.dir, t->dir))
		return complain(HF_EXIT_FAILED, "%s is not a dev cluster: %s", t->cx.dir, hf_strerror(errno));
	t->cluster = dev_load(t->dir);
	code = t->cluster ? find_hosts(t) : HF_EXIT_FAILED;
	return code ? code : dev_wait_connected(&t->cx, t->cluster, t->dir);
}

static int make_volume(struct torture *t)
{
	json_t *hosts = json_array(), *args;
	struct answer a;

	for (unsigned i = 0; i < t->hosts; i++)
		json_array_append_new(hosts, json_string(t->host[i].name));
	args = json_pack("{s:s, s:s, s:I, s:s, s:s, s:o}", "name", TORTURE_VOLUME, "tenant", "torture", "size",
			 (json_int_t)t->opt.size_bytes, "layout", t->opt.layout, "local", t->opt.local, "hosts", hosts);
	a = client_call(&t->cx, &t->daemons.at[0], "volume.create", args);
	if (a.exit_code != HF_EXIT_OK)
		return answer_complain(&t->cx, &a);
	t->has_volume = true;
	t->tolerance_full = (int)json_integer_value(json_object_get(a.result, "tolerance_full"));
	t->min_tolerance = (int)json_integer_value(json_object_get(a.result, "min_tolerance"));
	answer_fini(&a);
	return 0;
}

int torture_begin(struct torture *t)
{
	int code = t->cx.dir ? told_cluster(t) : own_cluster(t);

	t->cx.dir = t->dir;
	if (code == 0)
		code = dev_daemons(t->dir, &t->daemons);
	if (code == 0)
		code = make_volume(t);
	t->begun_ns = t->tolerance_since_ns = torture_now_ns();
	if (code == 0 && torture_wait(t, torture_is_settled, "the new volume is not served", 15) != TORTURE_DONE)
		code = complain(HF_EXIT_FAILED, "%s", t->stuck);
	return code;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

/* Every daemon of a cluster of ours is our child, so that its end can be waited for. */
static void end_hosts(struct torture *t)
{
	json_t *host;
	size_t i;

	json_array_foreach(json_object_get(t->cluster, "hosts"), i, host) {
		bool was_running;
		pid_t pid;
		int fd = dev_open_process(host, t->dir, &pid);

		if (fd >= 0) {
			(void)dev_signal(fd, SIGTERM);
			(void)dev_signal(fd, SIGCONT);
			if (!dev_wait_end(fd, TERM_MS))
				(void)dev_end_host(host, t->dir, SIGKILL, KILL_MS, &was_running);
			close(fd);
		}
		reap();
	}
}

/* A cluster that was there before is left as it was found: every host up, without our volume. */
static void leave_hosts(struct torture *t, bool keep)
{
	struct answer a;

	for (unsigned i = 0; i < t->hosts; i++)
		if (t->host[i].down)
			(void)torture_start(t, i);
	if (keep || !t->has_volume)
		return;
	a = client_call_primary(&t->cx, &t->daemons, TORTURE_VOLUME, "volume.delete",
				json_pack("{s:s, s:b}", "name", TORTURE_VOLUME, "force", 1), false);
	if (a.exit_code != HF_EXIT_OK)
		(void)answer_complain(&t->cx, &a);
	answer_fini(&a);
}

void torture_end(struct torture *t, bool keep)
{
	if (t->load)
		load_stop(t->load);
	t->load = NULL;
	for (unsigned i = 0; i < t->hosts; i++) {
		if (t->host[i].frozen)
			(void)torture_signal(t, i, SIGCONT);
		if (t->host[i].deaf)
			(void)torture_deafen(t, i, false);
	}
	if (t->cluster && t->own)
		end_hosts(t);
	else if (t->cluster)
		leave_hosts(t, keep);
	torture_small_disk_end(t, keep);
	if (t->own && !keep && nftw(t->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) < 0)
		complain(HF_EXIT_FAILED, "cannot remove all of %s: %s", t->dir, hf_strerror(errno));
	json_decref(t->cluster);
	t->cluster = NULL;
	free(t->event);
	t->event = NULL;
}
