// SPDX-License-Identifier: MIT
/*
 * holdfast, the command, against daemons whose volumes are made up: exit codes, words, JSON, and which daemon is asked.
 *
 * A child process serves two hosts' real control sockets with the real commands, in a directory like that of `dev up`.
 * hostA is primary of "good" and "gone" is served by nobody; hostB knows both from their records only.
 * For `holdfast dev` this program is the daemon as well: called as holdfastd would be, it serves one such host.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/limits.h"
#include "base/log.h"
#include "ctl/ops.h"
#include "ctl/view.h"
#include "io/reactor_uring.h"

/* the daemons */

struct fake {
	const char *host;
	struct hf_store_view store;
	struct hf_ctl_service service;
};

static void fill_uuid(struct hf_uuid *u, uint8_t b)
{
	memset(u->b, b, sizeof(u->b));
}

static void fake_volume(const struct fake *f, const char *name, struct hf_volume_view *v)
{
	struct hf_record rec = {
		.size_blocks = 1 << 18, .geometry = { 2, 1 }, .min_tolerance = 1, .epoch = 7, .leg_count = 4
	};

	snprintf(rec.name, sizeof(rec.name), "%s", name);
	strcpy(rec.tenant, "acme");
	strcpy(rec.primary, strcmp(name, "good") == 0 ? "hostA" : "hostC");
	fill_uuid(&rec.volume, 2);
	for (uint32_t i = 0; i < 4; i++) {
		struct hf_record_leg *leg = &rec.leg[i];

		fill_uuid(&leg->uuid, (uint8_t)(16 + i));
		snprintf(leg->host, sizeof(leg->host), "host%c", 'A' + (char)i);
		leg->frag = i == 0 ? HF_FRAG_FULL : (uint8_t)(i - 1);
		leg->insync = strcmp(name, "good") == 0 || i != 2;
	}
	hf_volume_view_of_record(v, &rec);
	if (strcmp(name, "good") == 0 && strcmp(f->host, "hostA") == 0) {
		v->live = true;
		v->state = HF_VOLUME_SERVING;
		v->committed = 4711;
		v->leg[3].state = HF_LEG_VIEW_CATCHING_UP;
		v->leg[3].resync_percent = 40;
		v->tolerance = 1;
	} else if (strcmp(name, "gone") == 0) {
		v->state = HF_VOLUME_STOPPED;
	}
}

/* Answers itself when there is no such volume. */
static bool is_known(struct hf_ctl_call *call, const char *what, const char *name)
{
	if (strcmp(name, "good") == 0 || strcmp(name, "gone") == 0)
		return true;
	hf_ctl_fail(call, HF_CTL_ENOENT, what, name, "there is no such volume", "see holdfast volume list");
	return false;
}

static void fake_host(const struct fake *f, char letter, struct hf_host_view *h)
{
	*h = (struct hf_host_view){ .alive = letter != 'C', .connected = true, .primaries = letter != 'B', .legs = 2 };
	snprintf(h->record.name, sizeof(h->record.name), "host%c", letter);
	snprintf(h->record.domain, sizeof(h->record.domain), "rack%c", letter);
	strcpy(h->record.addr, "tcp:127.0.0.1:7001");
	(void)f;
}

static void op_host_list(void *ctx, struct hf_ctl_call *call)
{
	struct hf_host_view a, b, c;

	fake_host(ctx, 'A', &a);
	fake_host(ctx, 'B', &b);
	fake_host(ctx, 'C', &c);
	a.connected = b.connected = c.connected = true;
	hf_ctl_reply(call, json_pack("{s:[o,o,o]}", "hosts", hf_host_json(&a), hf_host_json(&b), hf_host_json(&c)));
}

static void op_host_show(void *ctx, struct hf_ctl_call *call, const char *name)
{
	struct hf_host_view h;

	fake_host(ctx, name[4], &h);
	if (strcmp(h.record.name, name) != 0 || name[4] > 'C')
		hf_ctl_fail(call, HF_CTL_ENOENT, "show host", name, "there is no such host", NULL);
	else
		hf_ctl_reply(call, hf_host_json(&h));
}

static void op_volume_create(void *ctx, struct hf_ctl_call *call, const struct hf_volume_create_args *a)
{
	struct hf_volume_view v;

	if (strcmp(a->name, "good") == 0) {
		hf_ctl_fail(call, HF_CTL_EEXIST, "create volume", a->name, "there is a volume of this name already",
			    "choose another name");
		return;
	}
	fake_volume(ctx, a->name, &v);
	v.size_blocks = a->size_blocks;
	v.geometry = a->geometry;
	hf_ctl_reply(call, hf_volume_json(&v));
}

static void op_volume_list(void *ctx, struct hf_ctl_call *call)
{
	struct hf_volume_view a, b;

	fake_volume(ctx, "good", &a);
	fake_volume(ctx, "gone", &b);
	hf_ctl_reply(call, json_pack("{s:[o,o]}", "volumes", hf_volume_json(&a), hf_volume_json(&b)));
}

static void op_volume_show(void *ctx, struct hf_ctl_call *call, const char *name)
{
	struct hf_volume_view v;

	if (!is_known(call, "show volume", name))
		return;
	fake_volume(ctx, name, &v);
	hf_ctl_reply(call, hf_volume_json(&v));
}

static void op_volume_set(void *ctx, struct hf_ctl_call *call, const struct hf_volume_set_args *a)
{
	(void)ctx;
	if (strcmp(a->name, "good") != 0)
		hf_ctl_fail(call, HF_CTL_ENOENT, "set volume", a->name, "there is no such volume", "see volume list");
	else
		hf_ctl_reply(call, json_pack("{s:b}", "auto", a->auto_failover));
}

static void op_volume_resize(void *ctx, struct hf_ctl_call *call, const struct hf_volume_resize_args *a)
{
	const struct fake *f = ctx;
	struct hf_volume_view v;

	if (strcmp(f->host, "hostA") != 0) {
		hf_ctl_fail(call, HF_CTL_EREMOTE, "resize volume", a->name, "hostA is its primary", "ask hostA");
		return;
	}
	fake_volume(f, a->name, &v);
	v.size_blocks = a->size_blocks;
	hf_ctl_reply(call, hf_volume_json(&v));
}

static void op_volume_delete(void *ctx, struct hf_ctl_call *call, const struct hf_volume_delete_args *a)
{
	(void)ctx;
	if (!a->force)
		hf_ctl_fail(call, HF_CTL_EBUSY, "delete volume", a->name, "one client is connected", "disconnect it");
	else
		hf_ctl_reply(call, json_object());
}

static void op_status(void *ctx, struct hf_ctl_call *call)
{
	const struct fake *f = ctx;
	struct hf_volume_view volumes[2];
	struct hf_host_view hosts[2];
	struct hf_uuid cluster;

	fill_uuid(&cluster, 1);
	fake_host(f, 'A', &hosts[0]);
	fake_host(f, 'C', &hosts[1]);
	fake_volume(f, "good", &volumes[0]);
	fake_volume(f, "gone", &volumes[1]);
	hf_ctl_reply(call, hf_status_json(f->host, &cluster, &f->store, hosts, 2, volumes, 2));
}

static void op_why(void *ctx, struct hf_ctl_call *call, const char *name)
{
	struct hf_volume_view v;

	if (!is_known(call, "explain volume", name))
		return;
	fake_volume(ctx, name, &v);
	v.store = ((const struct fake *)ctx)->store;
	hf_ctl_reply(call, hf_why_json(&v));
}

static void op_promote(void *ctx, struct hf_ctl_call *call, const struct hf_promote_args *a)
{
	const struct fake *f = ctx;
	struct hf_certificate *cert = calloc(1, sizeof(*cert));

	if (is_known(call, "promote volume", a->name)) {
		snprintf(cert->volume, sizeof(cert->volume), "%s", a->name);
		snprintf(cert->primary, sizeof(cert->primary), "%s", f->host);
		strcpy(cert->from_primary, "hostC");
		cert->epoch = 8;
		cert->from_epoch = 7;
		cert->leg_count = 1;
		strcpy(cert->leg[0].host, "hostB");
		cert->leg[0].answered = cert->leg[0].valid = true;
		cert->leg[0].last_seq = cert->decided_seq = 12;
		cert->outcome = a->accept_data_loss ? HF_OUTCOME_DATA_LOSS :
				a->dry_run ? HF_OUTCOME_DRY_RUN :
				strcmp(a->name, "gone") == 0 ? HF_OUTCOME_REFUSED : HF_OUTCOME_PROMOTED;
		if (cert->outcome == HF_OUTCOME_REFUSED)
			strcpy(cert->refusal, "too few legs answered");
		hf_ctl_reply(call, hf_certificate_json(cert));
	}
	free(cert);
}

static void op_metrics(void *ctx, struct hf_ctl_call *call)
{
	(void)ctx;
	hf_ctl_reply(call, json_pack("{s:s}", "text", "holdfast_up 1\n"));
}

static const struct hf_ctl_ops ops = {
	.host_list = op_host_list,
	.host_show = op_host_show,
	.volume_create = op_volume_create,
	.volume_list = op_volume_list,
	.volume_show = op_volume_show,
	.volume_resize = op_volume_resize,
	.volume_set = op_volume_set,
	.volume_delete = op_volume_delete,
	.status = op_status,
	.why = op_why,
	.promote = op_promote,
	.metrics = op_metrics,
};

static int serve(struct hf_reactor *r, const char *dir, struct fake *f)
{
	struct hf_ctl_config config = { .commands = hf_ctl_commands,
					.command_count = hf_ctl_command_count,
					.ctx = &f->service };
	struct hf_errmsg err;
	struct hf_ctl *ctl;
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", dir, f->host);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/%s/events", dir, f->host);
	f->service = (struct hf_ctl_service){ .ops = &ops, .ctx = f, .host = f->host };
	if (hf_events_new(r, path, f->host, &f->service.events, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return -1;
	}
	hf_events_add(f->service.events, "started", NULL, NULL);
	hf_events_add(f->service.events, "promoted", "good", json_pack("{s:i}", "epoch", 7));
	snprintf(path, sizeof(path), "%s/%s/ctl.sock", dir, f->host);
	config.path = path;
	if (hf_ctl_start(r, &config, &ctl, &err) == 0)
		return 0;
	fprintf(stderr, "%s\n", err.text);
	return -1;
}

static _Noreturn void daemons(const char *dir, int ready)
{
	static struct fake a = { .host = "hostA" };
	static struct fake b = { .host = "hostB",
				 .store = { .away_wall_ns = 1767225600 * HF_SEC, .why = "etcd: no route" } };
	struct hf_reactor *r;
	struct hf_errmsg err;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (hf_reactor_uring_new(&r, &err) < 0 || serve(r, dir, &a) < 0 || serve(r, dir, &b) < 0)
		_exit(1);
	if (write(ready, "x", 1) != 1)
		_exit(1);
	hf_reactor_uring_run(r);
	_exit(0);
}

/* the command */

static char dir[64], program[512], self_path[400], out[1 << 20], err_text[1 << 16];
static pid_t server;

static void slurp(const char *name, char *to, size_t size)
{
	char path[128];
	FILE *in;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	in = fopen(path, "r");
	to[in ? fread(to, 1, size - 1, in) : 0] = '\0';
	if (in)
		fclose(in);
}

/* Run with these words; its exit code. stdout and stderr to `out` and `err_text`. */
static int run(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int run(const char *format, ...)
{
	char words[2048], line[4096];
	va_list ap;
	int status;

	va_start(ap, format);
	vsnprintf(words, sizeof(words), format, ap);
	va_end(ap);
	snprintf(line, sizeof(line), "%s %s >%s/out 2>%s/err </dev/null", program, words, dir, dir);
	status = system(line);
	slurp("out", out, sizeof(out));
	slurp("err", err_text, sizeof(err_text));
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void expect_out(const char *words)
{
	if (!strstr(out, words))
		fail_msg("stdout lacks '%s': %s\nstderr: %s", words, out, err_text);
}

static void expect_err(const char *words)
{
	if (!strstr(err_text, words))
		fail_msg("stderr lacks '%s': %s", words, err_text);
}

/* Run, and say why when the exit code is another. */
#define expect_run(code, ...) \
	do { \
		int is_ = run(__VA_ARGS__); \
\
		if (is_ != (code)) \
			(fprintf(stderr, "exit code %d, not %d: %s\n", is_, code, err_text), fail()); \
	} while (0)

static json_t *parse_out(void)
{
	json_t *v = json_loads(out, 0, NULL);

	if (!v)
		fail_msg("stdout is not JSON: %s", out);
	return v;
}

static int group_setup(void **state)
{
	char self[400], path[128];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *named = getenv("HOLDFAST");
	int ready[2];
	FILE *f;

	(void)state;
	self[len > 0 ? len : 0] = '\0';
	strcpy(self_path, self);
	setenv("HOLDFASTD", self_path, 1);
	*strrchr(self, '/') = '\0';
	snprintf(program, sizeof(program), "%s%s", named ? named : self, named ? "" : "/../../bin/holdfast");
	unsetenv("HOLDFAST_DIR");
	unsetenv("HOLDFAST_SOCKET");
	strcpy(dir, "/tmp/holdfast-cli-XXXXXX");
	if (!mkdtemp(dir) || pipe(ready) < 0 || access(program, X_OK) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/dev.json", dir);
	f = fopen(path, "w");
	fprintf(f, "{\"format\":1,\"holdfastd\":\"/none\",\"hosts\":[{\"name\":\"hostC\",\"args\":[\"x\"]},"
		   "{\"name\":\"hostB\",\"args\":[]},{\"name\":\"hostA\",\"args\":[]}]}");
	fclose(f);
	server = fork();
	if (server == 0)
		daemons(dir, ready[1]);
	close(ready[1]);
	return read(ready[0], path, 1) == 1 ? 0 : -1;
}

static int group_teardown(void **state)
{
	char line[128];

	(void)state;
	(void)run("dev down %s/c", dir);	/* what a failed test left running */
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	snprintf(line, sizeof(line), "rm -rf %s", dir);
	return system(line);
}

static void test_usage_errors_exit_2_and_name_the_word(void **state)
{
	static const struct {
		const char *words, *said;
	} bad[] = {
		{ "", "usage" },
		{ "frobnicate", "frobnicate" },
		{ "volume", "volume create" },
		{ "volume frobnicate", "frobnicate" },
		{ "status --frobnicate", "--frobnicate" },
		{ "status extra", "extra" },
		{ "--frobnicate status", "--frobnicate" },
		{ "why", "usage" },
		{ "events -n", "-n" },
		{ "events -n 0", "-n" },
		{ "--timeout never status", "--timeout" },
		{ "status --json=yes", "--json" },
		{ "volume create v --size 1G --layout 2+1", "--tenant" },
		{ "volume create a/b --tenant t --size 1G --layout 2+1", "volume name" },
		{ "volume create v --tenant t --size 0 --layout 2+1", "size" },
		{ "volume create v --tenant t --size 1G --layout 3+1", "layout 3+1" },
		{ "volume create v --tenant t --size 1G --layout 2+1 --local half", "half" },
		{ "volume create v --tenant t --size 1G --layout 2+1 --hosts a,,b", "host name" },
		{ "volume create v --tenant t --size 1G --layout 2+1 --min-tolerance x", "--min-tolerance" },
		{ "volume create v --tenant t --size 1G --layout 2+1 --failover never", "--failover" },
		{ "volume resize good", "--size" },
		{ "volume set good", "--failover" },
		{ "volume set good --failover yes", "--failover" },
		{ "promote good --dry-run --accept-data-loss", "--dry-run" },
		{ "failover hostA --accept-data-loss", "volume by volume" },
		{ "--dir x --socket y status", "not both" },
		{ "dev up", "directory" },
		{ "dev up x --hosts 0", "host" },
		{ "dev up x --hosts 99", "host" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (run("%s", bad[i].words) != HF_EXIT_USAGE)
			fail_msg("'%s' did not exit 2: %s", bad[i].words, err_text);
		expect_err(bad[i].said);
		assert_string_equal(out, "");
	}
}

static void test_help_is_no_error(void **state)
{
	(void)state;
	expect_run(0, "--help");
	expect_out("volume create");
	expect_run(0, "volume create --help");
	expect_out("--layout");
	expect_run(0, "--version");
}

static void test_no_daemon_exits_3(void **state)
{
	(void)state;
	expect_run(HF_EXIT_UNREACHABLE, "--socket %s/none status", dir);
	expect_err("start holdfastd");
	expect_run(HF_EXIT_FAILED, "--dir %s/none status", dir);
	expect_err("not a dev cluster");
	expect_run(HF_EXIT_UNREACHABLE, "--json --socket %s/none status", dir);
	expect_err("{\"error\":{\"code\":\"EHOSTDOWN\"");
}

static void test_what_is_not_there_exits_5(void **state)
{
	(void)state;
	expect_run(HF_EXIT_NOT_FOUND, "--dir %s volume show nosuch", dir);
	expect_err("nosuch");
	expect_run(HF_EXIT_NOT_FOUND, "--dir %s promote nosuch", dir);
	expect_run(HF_EXIT_NOT_FOUND, "--dir %s promote good --to hostX", dir);
	expect_err("hostX");
	expect_run(HF_EXIT_NOT_FOUND, "--dir %s host show hostX", dir);
	expect_run(HF_EXIT_NOT_FOUND, "--dir %s dev kill hostX", dir);
}

static void test_an_error_has_words_and_advice(void **state)
{
	(void)state;
	expect_run(HF_EXIT_FAILED, "--dir %s volume create good --tenant t --size 1G --layout 2+1", dir);
	expect_err("cannot create volume good: there is a volume of this name already");
	expect_err("to do: choose another name");
	expect_run(HF_EXIT_FAILED, "--dir %s volume delete good", dir);
	expect_err("one client is connected");
	expect_run(0, "--dir %s volume delete good --force", dir);
}

static void test_create_checks_that_hosts_and_legs_fit(void **state)
{
	(void)state;
	assert_int_equal(
		run("--dir %s volume create v --tenant t --size 1G --layout 2+1 --local full --hosts hostA,hostB", dir),
		HF_EXIT_USAGE);
	expect_err("4 legs");
	assert_int_equal(run("--dir %s volume create v --tenant t --size 1G --layout 1+1 --hosts hostA,hostA", dir),
			 HF_EXIT_USAGE);
	expect_err("twice");
	expect_run(HF_EXIT_USAGE, "--dir %s volume create v --tenant t --size 1G --layout 1+0", dir);
	expect_err("single leg");
	assert_int_equal(run("--dir %s volume create v --tenant t --size 1G --layout 2+1 --min-tolerance 2", dir),
			 HF_EXIT_USAGE);
	expect_err("tolerance");
	expect_run(0, "--dir %s volume create v --tenant t --size 8G --layout 4+2 --json", dir);
	expect_out("\"layout\": \"4+2\"");
	expect_out("\"size\": 8589934592");
}

/* hostB comes first in dev.json and answers, but only hostA knows. */
static void test_what_only_the_primary_knows_is_asked_of_it(void **state)
{
	json_t *v;

	(void)state;
	expect_run(0, "--dir %s volume show good --json", dir);
	v = parse_out();
	assert_int_equal(json_integer_value(json_object_get(v, "committed")), 4711);
	assert_string_equal(json_string_value(json_object_get(v, "state")), "serving");
	json_decref(v);
	expect_run(0, "--dir %s volume list --json", dir);
	expect_out("4711");
	expect_run(0, "--dir %s status --json", dir);
	expect_out("4711");
	expect_run(0, "--dir %s volume resize good --size 2G", dir);
	expect_out("2G");
	expect_run(0, "--dir %s volume set good --failover auto --json", dir);
	expect_out("true");
	expect_run(0, "--dir %s volume set good --failover manual --json", dir);
	expect_out("false");
	expect_run(HF_EXIT_NOT_FOUND, "--dir %s volume set nosuch --failover auto", dir);
	expect_err("no such volume");
	expect_run(0, "--dir %s volume show good --json", dir);
	expect_out("\"manual\"");
	expect_run(0, "--dir %s why good", dir);
	expect_out("hostD (fragment 2) is catching up, 40 % done");
	expect_run(HF_EXIT_FAILED, "--socket %s/hostB/ctl.sock volume resize good --size 2G", dir);
	expect_err("ask hostA");
}

static void test_tables_for_people(void **state)
{
	(void)state;
	expect_run(0, "--dir %s volume list", dir);
	expect_out("VOLUME");
	expect_out("2+1 + full");
	expect_run(0, "--dir %s status", dir);
	expect_out("critical");
	expect_out("gone is served by nobody");
	expect_out("host hostC does not answer");
	/* hostA answers first, and reaches the store; hostB says of itself that it does not. */
	expect_out("hostB: the cluster store has not answered since 2026-01-01T00:00:00Z (etcd: no route)");
	expect_run(0, "--socket %s/hostB/ctl.sock why good", dir);
	expect_out("; the cluster store has not answered since 2026-01-01T00:00:00Z (etcd: no route): I/O goes on");
	expect_run(0, "--socket %s/hostB/ctl.sock status --json", dir);
	expect_out("\"away_since\": \"2026-01-01T00:00:00.000000000Z\"");
	expect_run(0, "--dir %s host list", dir);
	expect_out("rackC");
	expect_run(0, "--dir %s host show hostA", dir);
	expect_out("rackA");
	expect_run(0, "--dir %s metrics hostA", dir);
	expect_out("holdfast_up 1");
	expect_run(0, "--dir %s dev status", dir);
	expect_out("down");
}

static void test_promote_goes_to_the_host_that_is_to_serve(void **state)
{
	json_t *v;

	(void)state;
	expect_run(0, "--dir %s promote good --to hostB --json", dir);
	v = parse_out();
	assert_string_equal(json_string_value(json_object_get(v, "primary")), "hostB");
	assert_int_equal(json_integer_value(json_object_get(v, "ops_lost")), 0);
	assert_string_equal(json_string_value(json_object_get(v, "outcome")), "promoted");
	json_decref(v);
	/* hostA is primary now and hostC does not answer: hostB is left. */
	expect_run(0, "--dir %s promote good", dir);
	expect_out("hostB, before hostC");
	expect_out("ops lost       0");
	expect_run(0, "--dir %s promote good --dry-run", dir);
	expect_out("dry-run");
	expect_run(HF_EXIT_FAILED, "--socket %s/hostA/ctl.sock promote good --to hostB", dir);
	expect_err("this daemon is hostA, not hostB");
}

static void test_a_refused_promote_exits_4_and_shows_the_legs(void **state)
{
	(void)state;
	expect_run(HF_EXIT_UNSAFE, "--dir %s promote gone --to hostB", dir);
	expect_out("too few legs answered");
	expect_out("legs asked");
	expect_run(0, "--dir %s promote gone --to hostB --accept-data-loss", dir);
	expect_out("promoted-with-data-loss");
}

static void test_failover_promotes_what_the_host_was_primary_of(void **state)
{
	(void)state;
	expect_run(HF_EXIT_UNSAFE, "--dir %s failover hostC", dir);
	expect_out("volume         gone");
	expect_out("hostC was primary of 1 volumes");
	expect_run(0, "--dir %s failover hostA --json", dir);
	expect_out("\"good\"");
	expect_run(HF_EXIT_NOT_FOUND, "--dir %s failover hostX", dir);
}

static void test_events_of_all_hosts_in_order_of_time(void **state)
{
	json_t *v;

	(void)state;
	expect_run(0, "--dir %s events good --json", dir);
	v = parse_out();
	assert_int_equal(json_array_size(json_object_get(v, "events")), 2);
	json_decref(v);
	expect_run(0, "--dir %s events -n 1", dir);
	expect_out("promoted");
	assert_null(strstr(out, "started"));
}

static void test_the_environment_names_the_daemon(void **state)
{
	char path[128];

	(void)state;
	setenv("HOLDFAST_DIR", dir, 1);
	expect_run(0, "volume show good");
	snprintf(path, sizeof(path), "%s/hostB/ctl.sock", dir);
	setenv("HOLDFAST_SOCKET", path, 1);
	expect_run(0, "volume show good");
	expect_out("remote");
	unsetenv("HOLDFAST_DIR");
	unsetenv("HOLDFAST_SOCKET");
}

/* dev */

/* As holdfastd: one host, whose --dir is PARENT/NAME. */
static int be_holdfastd(char **argv)
{
	static struct fake f;
	const char *pid_file = NULL, *own_dir = NULL;
	struct hf_reactor *r;
	struct hf_errmsg err;
	char parent[128];
	FILE *pid;

	for (; argv[0] && argv[1]; argv += 2) {
		if (strcmp(argv[0], "--name") == 0)
			f.host = argv[1];
		else if (strcmp(argv[0], "--dir") == 0)
			own_dir = argv[1];
		else if (strcmp(argv[0], "--pid-file") == 0)
			pid_file = argv[1];
	}
	if (getenv("FAKE_FAILS")) {
		fprintf(stderr, "the disk is on fire\n");
		return 1;
	}
	snprintf(parent, sizeof(parent), "%.*s", (int)(strrchr(own_dir, '/') - own_dir), own_dir);
	pid = fopen(pid_file, "w");
	fprintf(pid, "%d\n", (int)getpid());
	fclose(pid);
	if (hf_reactor_uring_new(&r, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	if (serve(r, parent, &f) < 0)
		return 1;
	hf_reactor_uring_run(r);
	return 0;
}

static int count_of(const char *words)
{
	int n = 0;

	for (const char *p = out; (p = strstr(p, words)); p += strlen(words))
		n++;
	return n;
}

static void test_dev_up_kill_start_down(void **state)
{
	(void)state;
	expect_run(0, "dev up %s/c --hosts 3", dir);
	expect_out("hostC");
	assert_int_equal(count_of(" up "), 3);
	expect_run(HF_EXIT_FAILED, "dev up %s/c", dir);
	expect_err("is running");
	expect_run(0, "dev kill %s/c hostB", dir);
	expect_run(HF_EXIT_FAILED, "dev kill %s/c hostB", dir);
	expect_err("does not run");
	expect_run(0, "dev status %s/c", dir);
	assert_int_equal(count_of(" down "), 1);
	expect_run(0, "--dir %s/c volume list", dir);
	expect_run(0, "dev start %s/c hostB", dir);
	expect_run(HF_EXIT_FAILED, "dev start %s/c hostB", dir);
	expect_err("runs already");
	expect_run(HF_EXIT_NOT_FOUND, "dev kill %s/c hostX", dir);
	expect_run(0, "dev down %s/c", dir);
	expect_run(0, "dev status %s/c", dir);
	assert_int_equal(count_of(" down "), 3);
	expect_run(0, "dev up %s/c", dir);
	assert_int_equal(count_of(" up "), 3);
	expect_run(0, "dev down %s/c", dir);
	expect_run(0, "dev down %s/c", dir);
}

static void test_dev_never_signals_a_process_that_is_not_its_own(void **state)
{
	char path[128];
	FILE *f;

	(void)state;
	assert_int_equal(run("dev up %s/c --hosts 1", dir) == 0 || run("dev up %s/c", dir) == 0, 1);
	expect_run(0, "dev down %s/c", dir);
	snprintf(path, sizeof(path), "%s/c/hostA/pid", dir);
	f = fopen(path, "w");
	fprintf(f, "%d\n", (int)server);
	fclose(f);
	expect_run(HF_EXIT_FAILED, "dev kill %s/c hostA", dir);
	expect_err("does not run");
	expect_run(0, "dev down %s/c", dir);
	assert_int_equal(kill(server, 0), 0);
	expect_run(0, "--dir %s status", dir);
}

static void test_dev_up_that_fails_leaves_no_cluster_and_shows_the_log(void **state)
{
	char path[256];

	(void)state;
	setenv("FAKE_FAILS", "1", 1);
	expect_run(HF_EXIT_FAILED, "dev up %s/bad", dir);
	unsetenv("FAKE_FAILS");
	expect_err("hostA ended at once");
	expect_err("the disk is on fire");
	snprintf(path, sizeof(path), "%s/bad/dev.json", dir);
	assert_int_equal(access(path, F_OK), -1);
	expect_run(HF_EXIT_USAGE, "dev up %s/%0100d", dir, 0);
	expect_err("too long");
	snprintf(path, sizeof(path), "%s/%0100d", dir, 0);
	assert_int_equal(access(path, F_OK), -1);
	setenv("HOLDFASTD", "/none/holdfastd", 1);
	expect_run(HF_EXIT_FAILED, "dev up %s/worse", dir);
	expect_err("/none/holdfastd");
	setenv("HOLDFASTD", self_path, 1);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_usage_errors_exit_2_and_name_the_word),
		cmocka_unit_test(test_help_is_no_error),
		cmocka_unit_test(test_no_daemon_exits_3),
		cmocka_unit_test(test_what_is_not_there_exits_5),
		cmocka_unit_test(test_an_error_has_words_and_advice),
		cmocka_unit_test(test_create_checks_that_hosts_and_legs_fit),
		cmocka_unit_test(test_what_only_the_primary_knows_is_asked_of_it),
		cmocka_unit_test(test_tables_for_people),
		cmocka_unit_test(test_promote_goes_to_the_host_that_is_to_serve),
		cmocka_unit_test(test_a_refused_promote_exits_4_and_shows_the_legs),
		cmocka_unit_test(test_failover_promotes_what_the_host_was_primary_of),
		cmocka_unit_test(test_events_of_all_hosts_in_order_of_time),
		cmocka_unit_test(test_the_environment_names_the_daemon),
		cmocka_unit_test(test_dev_up_kill_start_down),
		cmocka_unit_test(test_dev_never_signals_a_process_that_is_not_its_own),
		cmocka_unit_test(test_dev_up_that_fails_leaves_no_cluster_and_shows_the_log),
	};

	if (argc > 1 && strcmp(argv[1], "--name") == 0)
		return be_holdfastd(argv + 1);

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
