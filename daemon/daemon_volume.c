// SPDX-License-Identifier: MIT
/*
 * daemon_volume - make, resize and delete volumes. Making formats every leg first and writes the record last, so that a
 * failure leaves nothing half made: what was formatted is deleted again, but only when the record is known not to be
 * written. An answer of the cluster store may be lost (H8): then it is asked again until it tells.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "daemon.h"
#include "engine/peer.h"

#define RECORD_AGAIN_NS (200 * HF_MS)
#define RECORD_WAIT_NS (30 * HF_SEC)

struct creation {
	struct hf_daemon *d;
	struct hf_ctl_call *call;
	struct hf_record record;
	struct {
		struct hf_admin_call call;
		struct creation *c;
		bool made;
	} leg[HF_LEGS_MAX];
	uint32_t waiting;
	int result;
	char words[256];
	char failed_host[HF_NAME_MAX];
	struct hf_cluster_req req;
	bool undoing;
	bool may_be_written;		/* an answer was lost */
	struct hf_timer again;
	hf_nsec give_up;
};

static void fail(struct hf_ctl_call *call, enum hf_ctl_code code, const char *what, const char *object,
		 const char *todo, const char *format, ...) __attribute__((format(printf, 6, 7)));

static void fail(struct hf_ctl_call *call, enum hf_ctl_code code, const char *what, const char *object,
		 const char *todo, const char *format, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	hf_ctl_fail(call, code, what, object, text, todo);
}

/* Hosts for the legs: alive ones, this host first, no failure domain twice while there is another. */
static uint32_t choose_hosts(struct hf_daemon *d, uint32_t want, char out[HF_LEGS_MAX][HF_NAME_MAX])
{
	char domain[HF_LEGS_MAX][HF_NAME_MAX];
	uint32_t n = 0;

	for (int pass = 0; pass < 3 && n < want; pass++) {	/* this host; new domains; any */
		hf_list_each(&d->agent.hosts, ln) {
			struct hf_agent_host *h = hf_container_of(ln, struct hf_agent_host, link);
			bool self = strcmp(h->record.name, d->config.name) == 0, used = false, same_domain = false;

			for (uint32_t i = 0; i < n; i++) {
				used |= strcmp(out[i], h->record.name) == 0;
				same_domain |= strcmp(domain[i], h->record.domain) == 0;
			}
			if (used || n == want || (pass == 0 && !self) || (pass == 1 && same_domain))
				continue;
			if (!self && !hf_peer_is_up(hf_host_peer(&d->agent.host, h->record.name)))
				continue;
			memcpy(domain[n], h->record.domain, HF_NAME_MAX);
			memcpy(out[n++], h->record.name, HF_NAME_MAX);
		}
	}
	return n;
}

static void new_uuid(struct hf_daemon *d, struct hf_uuid *out)
{
	hf_reactor_random(d->r, out, sizeof(*out));
	hf_uuid_stamp(out);
}

static void fill_record(struct hf_daemon *d, const struct hf_volume_create_args *a,
			const char hosts[HF_LEGS_MAX][HF_NAME_MAX], struct hf_record *r)
{
	uint32_t frag = 0;

	memset(r, 0, sizeof(*r));
	r->cluster = d->agent.host.cluster;
	new_uuid(d, &r->volume);
	new_uuid(d, &r->lineage);
	new_uuid(d, &r->nonce);
	memcpy(r->name, a->name, HF_NAME_MAX);
	memcpy(r->tenant, a->tenant, HF_NAME_MAX);
	r->size_blocks = a->size_blocks;
	r->geometry = a->geometry;
	memcpy(r->primary, hosts[0], HF_NAME_MAX);
	r->leg_count = a->geometry.k + a->geometry.m + a->local_full;
	for (uint32_t i = 0; i < r->leg_count; i++) {
		new_uuid(d, &r->leg[i].uuid);
		memcpy(r->leg[i].host, hosts[i], HF_NAME_MAX);
		r->leg[i].frag = a->local_full && i == 0 ? HF_FRAG_FULL : (uint8_t)frag++;
		r->leg[i].insync = true;
	}
	r->auto_failover = a->auto_failover;
	if (a->min_tolerance != HF_TOLERANCE_DEFAULT) {
		r->min_tolerance = (uint8_t)a->min_tolerance;
	} else {
		int tol = hf_insync_tolerance(r, hf_insync_all(r));

		r->min_tolerance = (uint8_t)(tol > 0 ? tol - 1 : 0);
	}
}

static void creation_failed(struct creation *c)
{
	const char *todo = "mend what is named, then try again; nothing was left behind";

	fail(c->call, hf_ctl_code_of(c->result), "create volume", c->record.name, todo, "%s%s%s", c->failed_host,
	     c->failed_host[0] ? ": " : "", c->words);
	free(c);
}

static void on_undone(struct hf_admin_call *call, int result, const char *words)
{
	struct creation *c = call->ctx;

	if (result)
		hf_warn("volume %s: a leg made in vain could not be removed: %s", c->record.name, words);
	if (--c->waiting == 0)
		creation_failed(c);
}

/* Remove the legs that were made. */
static void undo(struct creation *c)
{
	c->undoing = true;
	c->waiting = 1;
	for (uint32_t i = 0; i < c->record.leg_count; i++) {
		if (!c->leg[i].made)
			continue;
		c->leg[i].call.done = on_undone;
		if (hf_host_delete(&c->d->agent.host, c->record.leg[i].host, &c->record.leg[i].uuid, &c->leg[i].call) ==
		    0)
			c->waiting++;
	}
	if (--c->waiting == 0)
		creation_failed(c);
}

static void record(struct creation *c);

static void created(struct creation *c)
{
	struct hf_volume_view view;

	hf_events_add(c->d->events, "volume-created", c->record.name, json_pack("{s:s}", "tenant", c->record.tenant));
	hf_volume_view_of_record(&view, &c->record);
	hf_ctl_reply(c->call, hf_volume_json(&view));
	hf_agent_refresh(&c->d->agent);
	free(c);
}

static void not_created(struct creation *c, int result, const char *words)
{
	c->result = result;
	snprintf(c->words, sizeof(c->words), "%s", words);
	undo(c);
}

static void record_again(struct hf_timer *t)
{
	record(hf_container_of(t, struct creation, again));
}

/* The legs stay: a record that names them may be there. */
static void ask_later(struct creation *c)
{
	hf_nsec now = hf_reactor_now(c->d->r);

	c->may_be_written = true;
	if (now < c->give_up) {
		hf_timer_set(c->d->r, &c->again, now + RECORD_AGAIN_NS);
		return;
	}
	hf_ctl_fail(c->call, HF_CTL_ETIMEDOUT, "create volume", c->record.name,
		    "the cluster store does not answer: the volume may exist, or come to exist",
		    "see holdfast volume show when it answers again");
	free(c);
}

/* Somebody's record is there: ours, when the answer that said so was lost. */
static void on_looked(struct hf_cluster_req *q, int result, const struct hf_cluster_item *items, size_t count,
		      uint64_t ver)
{
	struct creation *c = q->ctx;
	struct hf_errmsg err;
	struct hf_record r;

	(void)count;
	(void)ver;
	if (result == 0 && hf_record_decode(items[0].value, &r, &err) == 0 &&
	    hf_uuid_is_equal(&r.volume, &c->record.volume))
		created(c);
	else if (result == 0)
		not_created(c, -EEXIST, "a volume of this name exists already");
	else
		ask_later(c);
}

/* Results that say that nothing was written, nor will be (cluster.h). */
static bool is_unwritten(int result)
{
	return result == -ESTALE || result == -EINVAL || result == -EACCES || result == -ENOSPC;
}

static void on_recorded(struct hf_cluster_req *q, int result, const struct hf_cluster_item *items, size_t count,
			uint64_t ver)
{
	struct creation *c = q->ctx;
	char key[HF_RECORD_KEY_MAX];

	(void)items;
	(void)count;
	(void)ver;
	if (result == 0) {
		created(c);
	} else if (result == -ESTALE && c->may_be_written) {
		c->req.done = on_looked;
		c->d->cluster->ops->get(c->d->cluster, &c->req, hf_record_volume_key(c->record.name, key));
	} else if (result == -ESTALE) {
		not_created(c, -EEXIST, "a volume of this name exists already");
	} else if (is_unwritten(result) && !c->may_be_written) {
		not_created(c, result, hf_strerror(result));
	} else {
		ask_later(c);
	}
}

static void record(struct creation *c)
{
	char key[HF_RECORD_KEY_MAX], *text = NULL;

	hf_assert(hf_record_encode(&c->record, &text) == 0);
	c->req.done = on_recorded;
	c->req.ctx = c;
	c->d->cluster->ops->cas(c->d->cluster, &c->req, hf_record_volume_key(c->record.name, key), 0, NULL, text);
	free(text);
}

static void all_answered(struct creation *c)
{
	if (c->result) {
		undo(c);
		return;
	}
	hf_timer_init(&c->again, record_again);
	c->give_up = hf_reactor_now(c->d->r) + RECORD_WAIT_NS;
	record(c);
}

static void note_failure(struct creation *c, uint32_t leg, int result, const char *words)
{
	if (c->result)
		return;
	c->result = result;
	snprintf(c->words, sizeof(c->words), "%s", words);
	memcpy(c->failed_host, c->record.leg[leg].host, HF_NAME_MAX);
}

static void on_made(struct hf_admin_call *call, int result, const char *words)
{
	struct creation *c = call->ctx;
	uint32_t leg = 0;

	while (&c->leg[leg].call != call)
		leg++;
	c->leg[leg].made = result == 0;
	if (result)
		note_failure(c, leg, result, words);
	if (--c->waiting == 0)
		all_answered(c);
}

void hf_daemon_volume_create(void *ctx, struct hf_ctl_call *call, const struct hf_volume_create_args *a)
{
	struct hf_daemon *d = ctx;
	uint32_t want = a->geometry.k + a->geometry.m + a->local_full, have = a->host_count;
	char hosts[HF_LEGS_MAX][HF_NAME_MAX];
	struct creation *c;

	if (hf_agent_find_volume(&d->agent, a->name)) {
		hf_ctl_fail(call, HF_CTL_EEXIST, "create volume", a->name, "a volume of this name exists already",
			    "choose another name");
		return;
	}
	memcpy(hosts, a->host, sizeof(hosts));
	if (have == 0)
		have = choose_hosts(d, want, hosts);
	if (have < want) {
		fail(call, HF_CTL_EHOSTDOWN, "create volume", a->name,
		     "start more hosts, or choose a layout with fewer legs",
		     "its layout has %u legs, each on a host of its own, but only %u hosts are up", want, have);
		return;
	}
	for (uint32_t i = 0; i < want; i++) {
		if (!hf_agent_find_host(&d->agent, hosts[i])) {
			fail(call, HF_CTL_ENOENT, "create volume", a->name, "see holdfast host list",
			     "there is no host %s", hosts[i]);
			return;
		}
		if (!hf_peer_is_up(hf_host_peer(&d->agent.host, hosts[i]))) {
			fail(call, HF_CTL_EHOSTDOWN, "create volume", a->name,
			     "start holdfastd there, or name other hosts", "host %s cannot be reached from %s",
			     hosts[i], d->config.name);
			return;
		}
	}
	c = calloc(1, sizeof(*c));
	hf_assert(c);
	c->d = d;
	c->call = call;
	fill_record(d, a, hosts, &c->record);
	c->waiting = 1;
	for (uint32_t i = 0; i < want; i++) {
		struct hf_wire_format m = {
			.id = { .cluster = c->record.cluster, .volume = c->record.volume, .leg = c->record.leg[i].uuid,
				.geometry = a->geometry, .frag = c->record.leg[i].frag },
			.size_blocks = a->size_blocks,
		};
		int err;

		memcpy(m.volume, a->name, HF_NAME_MAX);
		c->leg[i].call.done = on_made;
		c->leg[i].call.ctx = c;
		err = hf_host_format(&d->agent.host, c->record.leg[i].host, &m, &c->leg[i].call);
		if (err)
			note_failure(c, i, err, "the host cannot be reached");
		else
			c->waiting++;
	}
	if (--c->waiting == 0)
		all_answered(c);
}

/* Orders that only the primary can carry out. */
static struct hf_agent_volume *primary_or_fail(struct hf_daemon *d, struct hf_ctl_call *call, const char *what,
					       const char *name)
{
	struct hf_agent_volume *av = hf_agent_find_volume(&d->agent, name);

	if (!av)
		hf_ctl_fail(call, HF_CTL_ENOENT, what, name, "there is no such volume", "see holdfast volume list");
	else if (!av->run || !av->run->open)
		fail(call, HF_CTL_EREMOTE, what, name,
		     "use the control socket of its primary; see holdfast volume show",
		     "this host does not serve it; its primary is %s", av->record.primary);
	else
		return av;
	return NULL;
}

struct resize {
	struct hf_daemon *d;
	struct hf_ctl_call *call;
	char name[HF_NAME_MAX];
};

static void on_resized(void *ctx, struct hf_volume_run *run, int result)
{
	struct resize *x = ctx;
	struct hf_agent_volume *av = hf_agent_find_volume(&x->d->agent, x->name);
	struct hf_volume_view view;

	(void)run;
	if (result || !av) {
		hf_ctl_fail(x->call, hf_ctl_code_of(result), "resize volume", x->name, hf_strerror(result),
			    "look at the volume's size, then try again");
	} else {
		hf_events_add(x->d->events, "volume-resized", x->name,
			      json_pack("{s:I}", "blocks", (json_int_t)av->run->size_blocks));
		hf_daemon_volume_view(x->d, av, &view);
		hf_ctl_reply(x->call, hf_volume_json(&view));
	}
	free(x);
}

void hf_daemon_volume_resize(void *ctx, struct hf_ctl_call *call, const struct hf_volume_resize_args *args)
{
	struct hf_daemon *d = ctx;
	struct hf_agent_volume *av = primary_or_fail(d, call, "resize volume", args->name);
	struct resize *x;

	if (!av)
		return;
	if (args->size_blocks < av->run->size_blocks) {
		hf_ctl_fail(call, HF_CTL_EUNSAFE, "resize volume", args->name,
			    "a volume can only grow: shrinking would cut off data", "copy it to a new, smaller volume");
		return;
	}
	x = calloc(1, sizeof(*x));
	hf_assert(x);
	x->d = d;
	x->call = call;
	memcpy(x->name, args->name, HF_NAME_MAX);
	if (hf_volume_run_resize(av->run, args->size_blocks, on_resized, x)) {
		hf_ctl_fail(call, HF_CTL_EBUSY, "resize volume", args->name,
			    "another resize is under way, or its log is full", "try again");
		free(x);
	}
}

/* A change of the record that the primary need not make: it finds it there. */

struct setting {
	struct hf_daemon *d;
	struct hf_ctl_call *call;
	struct hf_volume_set_args args;
	struct hf_cluster_req req;
	uint32_t tries;
};

static void setting_failed(struct setting *x, int result)
{
	hf_ctl_fail(x->call, hf_ctl_code_of(result), "set volume", x->args.name,
		    result == -ENOENT	? "there is no such volume"
		    : result == -ESTALE ? "its record keeps changing"
					: hf_strerror(result),
		    result == -ENOENT ? "see holdfast volume list" : "try again");
	free(x);
}

static void on_setting_read(struct hf_cluster_req *q, int result, const struct hf_cluster_item *items, size_t count,
			    uint64_t ver);

static void read_setting(struct setting *x)
{
	char key[HF_RECORD_KEY_MAX];

	x->req.done = on_setting_read;
	x->d->cluster->ops->get(x->d->cluster, &x->req, hf_record_volume_key(x->args.name, key));
}

static void on_set(struct hf_cluster_req *q, int result, const struct hf_cluster_item *items, size_t count,
		   uint64_t ver)
{
	struct setting *x = q->ctx;

	(void)items;
	(void)count;
	(void)ver;
	/* The answer may be lost: then it is read whether it is so now. */
	if ((result == -ESTALE || result == -ETIMEDOUT) && ++x->tries < 5) {
		read_setting(x);
		return;
	}
	if (result) {
		setting_failed(x, result);
		return;
	}
	hf_agent_refresh(&x->d->agent);
	hf_events_add(x->d->events, "volume-set", x->args.name,
		      json_pack("{s:s}", "failover", x->args.auto_failover ? "auto" : "manual"));
	hf_ctl_reply(x->call, json_object());
	free(x);
}

static void on_setting_read(struct hf_cluster_req *q, int result, const struct hf_cluster_item *items, size_t count,
			    uint64_t ver)
{
	struct setting *x = q->ctx;
	char key[HF_RECORD_KEY_MAX];
	struct hf_errmsg err;
	struct hf_record r;
	char *text = NULL;

	(void)count;
	(void)ver;
	if (result == 0)
		result = hf_record_decode(items[0].value, &r, &err);
	if (result) {
		setting_failed(x, result);
		return;
	}
	if (r.auto_failover == x->args.auto_failover) {
		hf_ctl_reply(x->call, json_object());
		free(x);
		return;
	}
	r.auto_failover = x->args.auto_failover;
	new_uuid(x->d, &r.nonce);
	hf_assert(hf_record_encode(&r, &text) == 0);
	x->req.done = on_set;
	x->d->cluster->ops->cas(x->d->cluster, &x->req, hf_record_volume_key(r.name, key), items[0].ver,
				items[0].value, text);
	free(text);
}

void hf_daemon_volume_set(void *ctx, struct hf_ctl_call *call, const struct hf_volume_set_args *args)
{
	struct setting *x = calloc(1, sizeof(*x));

	hf_assert(x);
	x->d = ctx;
	x->call = call;
	x->args = *args;
	x->req.ctx = x;
	read_setting(x);
}

struct deletion {
	struct hf_daemon *d;
	struct hf_ctl_call *call;
	struct hf_record record;
	struct hf_cluster_req req;
	struct hf_admin_call leg[HF_LEGS_MAX];
	uint32_t waiting;
	char left[256];			/* hosts that still hold a leg */
};

static void deletion_done(struct deletion *x)
{
	hf_events_add(x->d->events, "volume-deleted", x->record.name, json_pack("{s:s}", "left_on", x->left));
	hf_ctl_reply(x->call, json_object());
	free(x);
}

static void on_leg_deleted(struct hf_admin_call *call, int result, const char *words)
{
	struct deletion *x = call->ctx;
	size_t have = strlen(x->left);
	long leg = call - x->leg;

	if (result) {
		hf_warn("volume %s: its leg on %s was not removed: %s", x->record.name, x->record.leg[leg].host, words);
		snprintf(x->left + have, sizeof(x->left) - have, "%s ", x->record.leg[leg].host);
	}
	if (--x->waiting == 0)
		deletion_done(x);
}

static void on_record_deleted(struct hf_cluster_req *q, int result, const struct hf_cluster_item *items, size_t count,
			      uint64_t ver)
{
	struct deletion *x = q->ctx;

	(void)items;
	(void)count;
	(void)ver;
	if (result) {
		hf_ctl_fail(x->call, result == -ESTALE ? HF_CTL_EBUSY : HF_CTL_EIO, "delete volume", x->record.name,
			    result == -ESTALE ? "its record was changed meanwhile" : hf_strerror(result), "try again");
		hf_agent_refresh(&x->d->agent);
		free(x);
		return;
	}
	hf_agent_refresh(&x->d->agent);
	x->waiting = 1;
	for (uint32_t i = 0; i < x->record.leg_count; i++) {
		x->leg[i].done = on_leg_deleted;
		x->leg[i].ctx = x;
		x->waiting++;
		if (hf_host_delete(&x->d->agent.host, x->record.leg[i].host, &x->record.leg[i].uuid, &x->leg[i]))
			on_leg_deleted(&x->leg[i], -EHOSTUNREACH, "the host cannot be reached");
	}
	if (--x->waiting == 0)
		deletion_done(x);
}

void hf_daemon_volume_delete(void *ctx, struct hf_ctl_call *call, const struct hf_volume_delete_args *args)
{
	struct hf_daemon *d = ctx;
	struct hf_agent_volume *av = args->force ? hf_agent_find_volume(&d->agent, args->name)
						 : primary_or_fail(d, call, "delete volume", args->name);
	char key[HF_RECORD_KEY_MAX];
	struct deletion *x;
	uint64_t ver;

	if (!av && args->force)
		hf_ctl_fail(call, HF_CTL_ENOENT, "delete volume", args->name, "there is no such volume",
			    "see holdfast volume list");
	if (!av)
		return;
	if (!args->force && !hf_list_is_empty(&av->run->sessions)) {
		hf_ctl_fail(call, HF_CTL_EBUSY, "delete volume", args->name, "clients have it open",
			    "close them, or use --force");
		return;
	}
	for (uint32_t i = 0; !args->force && i < av->record.leg_count; i++) {
		if (hf_peer_is_up(hf_host_peer(&d->agent.host, av->record.leg[i].host)))
			continue;
		fail(call, HF_CTL_EHOSTDOWN, "delete volume", args->name,
		     "start it, or use --force: its leg file is then left there",
		     "host %s, which holds a leg, cannot be reached", av->record.leg[i].host);
		return;
	}
	x = calloc(1, sizeof(*x));
	hf_assert(x);
	x->d = d;
	x->call = call;
	x->record = av->run ? av->run->core->record : av->record;
	ver = av->run ? av->run->core->ver : av->ver;
	x->req.done = on_record_deleted;
	x->req.ctx = x;
	d->cluster->ops->cas(d->cluster, &x->req, hf_record_volume_key(args->name, key), ver, NULL, NULL);
}
