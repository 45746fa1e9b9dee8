// SPDX-License-Identifier: MIT
/* daemon - start and stop of holdfastd, in order, and its signals. */
#include "daemon.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "io/reactor_uring.h"

#define STOP_WAIT_NS (3 * HF_SEC)
#define POLL_NS (50 * HF_MS)

static int signal_write_fd = -1;

static void on_signal(int number)
{
	char byte = (char)number;
	ssize_t n = write(signal_write_fd, &byte, 1);

	(void)n;			/* full: a stop is on its way already */
}

static int make_dir(const char *path, struct hf_errmsg *err)
{
	if (mkdir(path, 0700) && errno != EEXIST)
		return hf_fail(err, -errno, "directory %s cannot be made: %s", path, hf_strerror(errno));
	return 0;
}

static int make_dirs(const struct hf_config *c, struct hf_errmsg *err)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/legs", c->dir);
	if (make_dir(c->dir, err) || make_dir(path, err))
		return -EIO;
	snprintf(path, sizeof(path), "%s/nbd", c->dir);
	if (make_dir(path, err))
		return -EIO;
	return c->nbd_dir ? make_dir(c->nbd_dir, err) : 0;
}

/* The address that other hosts dial: with port 0, the port that the kernel chose. */
static void name_address(int fd, const char *asked, char out[HF_ADDR_MAX])
{
	struct sockaddr_in in = { 0 };	/* a name may be shorter than its family */
	socklen_t len = sizeof(in);
	char ip[INET_ADDRSTRLEN];

	snprintf(out, HF_ADDR_MAX, "%s", asked);
	if (strncmp(asked, "tcp:", 4) == 0 && getsockname(fd, (struct sockaddr *)&in, &len) == 0 &&
	    in.sin_family == AF_INET && inet_ntop(AF_INET, &in.sin_addr, ip, sizeof(ip)))
		snprintf(out, HF_ADDR_MAX, "tcp:%s:%u", ip, ntohs(in.sin_port));
}

/* One that cannot be read is made up: as if the machine had booted just now. It is told, never decided on. */
static void read_boot_id(struct hf_reactor *r, struct hf_uuid *out)
{
	char text[HF_UUID_TEXT + 1] = "";
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, HF_UUID_TEXT - 1) : -1;

	if (fd >= 0)
		close(fd);
	if (n == HF_UUID_TEXT - 1 && hf_uuid_parse(text, out) == 0 && !hf_uuid_is_zero(out))
		return;
	hf_reactor_random(r, out, sizeof(*out));
	hf_uuid_stamp(out);
}

static int write_pid(const char *path, struct hf_errmsg *err)
{
	FILE *f = fopen(path, "we");
	bool written = f && fprintf(f, "%d\n", (int)getpid()) > 0;

	if ((f && fclose(f)) || !written)
		return hf_fail(err, -EIO, "pid file %s cannot be written: %s", path, hf_strerror(errno));
	return 0;
}

/* What the agent tells. */

static void on_ready(void *ctx, int result, const char *why)
{
	struct hf_daemon *d = ctx;
	struct hf_ctl_config ctl;
	struct hf_errmsg err;
	char path[128];

	if (result) {
		hf_error("host %s cannot join the cluster: %s (%s)", d->config.name, why, hf_strerror(result));
		d->exit_code = 1;
		hf_reactor_uring_stop(d->r);
		return;
	}
	if (d->ctl)
		return;
	d->service =
		(struct hf_ctl_service){.ops = &hf_daemon_ops, .ctx = d, .host = d->config.name, .events = d->events};
	snprintf(path, sizeof(path), "%s/ctl.sock", d->config.dir);
	ctl = (struct hf_ctl_config){
		.path = path, .commands = hf_ctl_commands, .command_count = hf_ctl_command_count, .ctx = &d->service};
	if (hf_ctl_start(d->r, &ctl, &d->ctl, &err)) {
		hf_error("control socket: %s", err.text);
		d->exit_code = 1;
		hf_reactor_uring_stop(d->r);
		return;
	}
	hf_info("host %s is ready; other hosts reach it at %s", d->config.name, d->addr);
	hf_events_add(d->events, "daemon-started", NULL, json_pack("{s:s}", "version", HF_VERSION));
}

static void on_serving(void *ctx, struct hf_agent_volume *av)
{
	struct hf_daemon *d = ctx;

	hf_daemon_offer(d, av->record.name);
	hf_daemon_promoted(d, av);
}

static void on_stopped(void *ctx, struct hf_agent_volume *av, const char *why)
{
	struct hf_daemon *d = ctx;

	hf_daemon_withdraw(d, av->record.name);
	hf_events_add(d->events, "primary-stopped", av->record.name, json_pack("{s:s}", "why", why));
	hf_daemon_promote_ended(d, av, why);
}

static void on_event(void *ctx, const char *kind, const char *volume, const char *host, const char *words)
{
	struct hf_daemon *d = ctx;

	hf_events_add(d->events, kind, volume, json_pack("{s:s, s:s}", "host", host, "what", words));
}

static const struct hf_agent_ops agent_ops = {
	.ready = on_ready,
	.serving = on_serving,
	.stopped = on_stopped,
	.event = on_event,
};

/* Stop: volumes step down, servers close, then control socket and event log. */

static void on_events_stopped(void *ctx)
{
	struct hf_daemon *d = ctx;

	d->events_stopped = true;
	hf_reactor_uring_stop(d->r);
}

static void on_ctl_stopped(void *ctx)
{
	struct hf_daemon *d = ctx;

	d->ctl_stopped = true;
}

static void begin_stop(struct hf_daemon *d)
{
	if (d->stopping)
		return;
	hf_info("host %s stops", d->config.name);
	d->stopping = true;
	d->stop_at = hf_reactor_now(d->r) + STOP_WAIT_NS;
	hf_events_add(d->events, "daemon-stopped", NULL, NULL);
	hf_list_each(&d->offers, n)
		hf_daemon_withdraw(d, hf_container_of(n, struct hf_offer, link)->name);
	hf_agent_stop(&d->agent);
	if (d->ctl)
		hf_ctl_stop(d->ctl, on_ctl_stopped, d);
	else
		d->ctl_stopped = true;
}

static void on_poll(struct hf_timer *t)
{
	struct hf_daemon *d = hf_container_of(t, struct hf_daemon, poll);
	hf_nsec now = hf_reactor_now(d->r);

	hf_daemon_promote_poll(d);
	hf_timer_set(d->r, &d->poll, now + POLL_NS);
	if (!d->stopping || !d->events)
		return;
	if ((d->ctl_stopped && hf_list_is_empty(&d->offers) && hf_agent_is_idle(&d->agent)) || now >= d->stop_at) {
		hf_events_stop(d->events, on_events_stopped, d);
		d->events = NULL;
	}
}

static void on_signal_byte(struct hf_io *io)
{
	struct hf_daemon *d = hf_container_of(io, struct hf_daemon, signal_io);

	if (io->result > 0)
		begin_stop(d);
	if (io->result > 0)
		hf_io_submit(d->r, io);
}

static int watch_signals(struct hf_daemon *d, struct hf_errmsg *err)
{
	struct sigaction stop = { .sa_handler = on_signal, .sa_flags = SA_RESTART }, ignore = { .sa_handler = SIG_IGN };

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, d->signal_fd))
		return hf_fail(err, -errno, "no socket pair for signals: %s", hf_strerror(errno));
	signal_write_fd = d->signal_fd[1];
	(void)fcntl(signal_write_fd, F_SETFL, O_NONBLOCK);
	hf_io_init(&d->signal_io, HF_IO_RECV, d->signal_fd[0], on_signal_byte);
	d->signal_io.buf = &d->signal_byte;
	d->signal_io.len = 1;
	hf_io_submit(d->r, &d->signal_io);
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
	return 0;
}

static int start(struct hf_daemon *d, struct hf_errmsg *err)
{
	const struct hf_config *c = &d->config;
	struct hf_agent_params p = {
		.name = c->name, .addr = d->addr, .domain = c->domain, .pool_bytes = (size_t)c->memory_mib << 20};
	char legs[128], events[128];
	int ret = make_dirs(c, err);

	if (ret == 0)
		ret = hf_reactor_uring_new(&d->r, err);
	if (ret == 0)
		ret = watch_signals(d, err);
	if (ret)
		return ret;
	snprintf(events, sizeof(events), "%s/events.log", c->dir);
	ret = hf_events_new(d->r, events, c->name, &d->events, err);
	if (ret == 0)
		ret = hf_daemon_open_store(d, err);
	if (ret == 0 && c->pid_file)
		ret = write_pid(c->pid_file, err);
	if (ret)
		return ret;
	p.listen_fd = hf_sock_listen_at_start(d->r, c->listen, err);
	if (p.listen_fd < 0)
		return p.listen_fd;
	name_address(p.listen_fd, c->listen, d->addr);
	snprintf(legs, sizeof(legs), "%s/legs", c->dir);
	p.leg_dir = legs;
	read_boot_id(d->r, &p.boot);
	if (hf_agent_start(&d->agent, d->r, d->cluster, &p, &agent_ops, d))
		return hf_fail(err, -ENOMEM, "%u MiB of buffers (--memory) cannot be had", c->memory_mib);
	hf_timer_init(&d->poll, on_poll);
	hf_timer_set(d->r, &d->poll, hf_reactor_now(d->r) + POLL_NS);
	return 0;
}

int hf_daemon_run(const struct hf_config *c)
{
	static struct hf_daemon d;
	struct hf_errmsg err = { "" };

	d.config = *c;
	hf_list_init(&d.offers);
	hf_list_init(&d.promotes);
	if (start(&d, &err)) {
		hf_error("holdfastd cannot start: %s", err.text);
		return 1;
	}
	hf_reactor_uring_run(d.r);
	d.cluster->ops->free(d.cluster);	/* its threads end, and others hear that this host is gone */
	if (c->pid_file)
		(void)unlink(c->pid_file);
	return d.exit_code;
}
