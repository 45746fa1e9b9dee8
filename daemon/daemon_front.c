// SPDX-License-Identifier: MIT
/* daemon_front - volumes that are primary here, as exports of NBD servers; sessions by R14. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "daemon.h"

#define UNIX_PATH_BYTES 107u

/* "VOLUME" or "VOLUME@ro". NULL: no such volume. */
static struct hf_agent_volume *lookup(struct hf_daemon *d, const char *export, bool *read_only)
{
	char name[HF_NAME_MAX];
	size_t len = strlen(export);

	*read_only = len > 3 && strcmp(export + len - 3, "@ro") == 0;
	if (*read_only)
		len -= 3;
	if (len >= sizeof(name))
		return NULL;
	memcpy(name, export, len);
	name[len] = '\0';
	return hf_agent_find_volume(&d->agent, name);
}

static void fill_info(const struct hf_agent_volume *av, bool read_only, struct hf_export_info *out)
{
	memset(out, 0, sizeof(*out));
	snprintf(out->name, sizeof(out->name), "%.*s%s", (int)(HF_NAME_MAX - 4), av->record.name,
		 read_only ? "@ro" : "");
	out->size_blocks = av->run->size_blocks;
	out->read_only = read_only;
	snprintf(out->description, sizeof(out->description), "volume of tenant %s, layout %u+%u", av->record.tenant,
		 av->record.geometry.k, av->record.geometry.m);
}

static bool backend_list(void *ctx, size_t *cursor, struct hf_export_info *out)
{
	struct hf_daemon *d = ctx;
	size_t i = 0;

	hf_list_each(&d->agent.volumes, n) {
		struct hf_agent_volume *av = hf_container_of(n, struct hf_agent_volume, link);

		if (!av->run || !av->run->open || i++ < *cursor)
			continue;
		(*cursor)++;
		fill_info(av, false, out);
		return true;
	}
	return false;
}

static int backend_info(void *ctx, const char *name, struct hf_export_info *out, struct hf_errmsg *err)
{
	bool read_only;
	struct hf_agent_volume *av = lookup(ctx, name, &read_only);

	if (!av)
		return hf_fail(err, -ENOENT, "there is no volume '%s'", name);
	if (!av->run || !av->run->open)
		return hf_fail(err, -EAGAIN, "volume %s is not served by this host now; its primary is %s", name,
			       av->record.primary);
	fill_info(av, read_only, out);
	return 0;
}

/* An open is answered from the loop. */
struct opening {
	struct hf_task task;
	struct hf_session *session;
	void (*opened)(struct hf_session *s, int result, const char *why);
	int result;
	const char *why;
};

static void on_opening(struct hf_task *t)
{
	struct opening *o = hf_container_of(t, struct opening, task);

	o->opened(o->session, o->result, o->why);
	free(o);
}

static void backend_open(void *ctx, const char *name, struct hf_session *s,
			 void (*opened)(struct hf_session *s, int result, const char *why))
{
	struct hf_daemon *d = ctx;
	bool read_only;
	struct hf_agent_volume *av = lookup(d, name, &read_only);
	struct opening *o = calloc(1, sizeof(*o));

	hf_assert(o);
	hf_task_init(&o->task, on_opening);
	o->session = s;
	o->opened = opened;
	o->why = "";
	if (read_only)
		s->read_only = true;
	if (!av || !av->run) {
		o->result = av ? -EAGAIN : -ENOENT;
		o->why = "the volume is not served by this host now";
	} else {
		/* A writer whose client has vanished is out of the way; one that lives keeps its place (R14, H24). */
		struct hf_session *w = av->run->writer;

		if (w && !s->read_only && !hf_nbd_session_is_alive(w)) {
			hf_volume_run_detach(av->run, w);
			w->fenced(w, "another client took over");
		}
		o->result = hf_volume_run_attach(av->run, s, &o->why);
	}
	hf_task_defer(d->r, &o->task);
}

static void backend_close(void *ctx, struct hf_session *s)
{
	(void)ctx;
	if (s->volume)
		hf_volume_run_detach(s->volume, s);
}

static void backend_submit(void *ctx, struct hf_session *s, struct hf_request *q)
{
	(void)ctx;
	hf_assert(s->volume);
	hf_volume_run_submit(s->volume, s, q);
}

static uint64_t backend_extent(void *ctx, struct hf_session *s, uint64_t lba, uint64_t max, bool *allocated)
{
	(void)ctx;
	return hf_volume_run_extent(s->volume, lba, max, allocated);
}

const struct hf_front_backend hf_daemon_backend = {
	.list = backend_list,
	.info = backend_info,
	.open = backend_open,
	.close = backend_close,
	.submit = backend_submit,
	.extent = backend_extent,
};

static void start_server(struct hf_daemon *d, struct hf_offer *o, int i, const char *dir)
{
	struct hf_nbd_params p = { .only = o->name };
	struct hf_errmsg err;
	char path[256];

	if ((size_t)snprintf(path, sizeof(path), "unix:%s/%s.sock", dir, o->name) > strlen("unix:") + UNIX_PATH_BYTES) {
		hf_error("volume %s: no NBD server at %s/%s.sock: a unix socket's path has at most %u bytes; use a "
			 "shorter directory",
			 o->name, dir, o->name, UNIX_PATH_BYTES);
		return;
	}
	snprintf(o->path[i], sizeof(o->path[i]), "%.119s", path);
	p.addr = o->path[i];
	/* The path is this volume's and we are its primary: whoever still listens there serves nothing any more. */
	(void)unlink(o->path[i] + strlen("unix:"));
	if (hf_nbd_server_new(d->r, d->agent.pool, &hf_daemon_backend, d, &p, &o->server[i], &err)) {
		hf_error("volume %s: no NBD server: %s", o->name, err.text);
		o->server[i] = NULL;
	}
}

void hf_daemon_offer(struct hf_daemon *d, const char *volume)
{
	struct hf_offer *o = calloc(1, sizeof(*o));
	char dir[128];

	hf_assert(o);
	o->daemon = d;
	snprintf(o->name, sizeof(o->name), "%s", volume);
	hf_list_add_tail(&d->offers, &o->link);
	snprintf(dir, sizeof(dir), "%s/nbd", d->config.dir);
	start_server(d, o, 0, dir);
	if (d->config.nbd_dir)
		start_server(d, o, 1, d->config.nbd_dir);
}

static void on_server_stopped(void *ctx)
{
	struct hf_offer *o = ctx;

	if (--o->stopping > 0)
		return;
	hf_list_del(&o->link);
	free(o);
}

void hf_daemon_withdraw(struct hf_daemon *d, const char *volume)
{
	hf_list_each(&d->offers, n) {
		struct hf_offer *o = hf_container_of(n, struct hf_offer, link);

		if (strcmp(o->name, volume) != 0 || o->withdrawn)
			continue;
		o->withdrawn = true;
		o->stopping = 1;
		for (int i = 0; i < 2; i++) {
			if (!o->server[i])
				continue;
			o->stopping++;
			hf_nbd_server_stop(o->server[i], on_server_stopped, o);
		}
		on_server_stopped(o);
	}
}
