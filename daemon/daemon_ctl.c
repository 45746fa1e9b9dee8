// SPDX-License-Identifier: MIT
/* daemon_ctl - orders of operators: look, and promote. Making and deleting volumes is in daemon_volume.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "daemon.h"
#include "engine/peer.h"

#define PROMOTE_WAIT_NS (10 * HF_SEC)

/*
 * Most orders name a volume. One that this host has not heard of was perhaps made a moment ago: the records are read
 * again before the order is refused.
 */
typedef void order_fn(struct hf_daemon *d, struct hf_ctl_call *call, struct hf_agent_volume *av,
		      const struct hf_promote_args *args);

struct order {
	struct hf_agent_fresh fresh;
	struct hf_daemon *d;
	struct hf_ctl_call *call;
	const char *what;
	order_fn *fn;
	struct hf_promote_args args;
};

static void on_fresh(struct hf_agent_fresh *f, int result)
{
	struct order *x = f->ctx;
	struct hf_agent_volume *av = hf_agent_find_volume(&x->d->agent, x->args.name);

	if (av)
		x->fn(x->d, x->call, av, &x->args);
	else if (result)
		hf_ctl_fail(x->call, HF_CTL_ETIMEDOUT, x->what, x->args.name,
			    "this host does not know it, and the cluster store does not answer",
			    "see holdfast status, then try again");
	else
		hf_ctl_fail(x->call, HF_CTL_ENOENT, x->what, x->args.name, "there is no such volume",
			    "see holdfast volume list");
	free(x);
}

static void with_volume(struct hf_daemon *d, struct hf_ctl_call *call, const char *what,
			const struct hf_promote_args *args, order_fn *fn)
{
	struct hf_agent_volume *av = hf_agent_find_volume(&d->agent, args->name);
	struct order *x;

	if (av) {
		fn(d, call, av, args);
		return;
	}
	x = calloc(1, sizeof(*x));
	hf_assert(x);
	*x = (struct order){
		.fresh = { .done = on_fresh, .ctx = x }, .d = d, .call = call, .what = what, .fn = fn, .args = *args };
	hf_agent_fresh(&d->agent, &x->fresh);
}

static void host_list(void *ctx, struct hf_ctl_call *call)
{
	struct hf_daemon *d = ctx;
	json_t *list = json_array();

	hf_list_each(&d->agent.hosts, n) {
		struct hf_host_view view;

		hf_daemon_host_view(d, hf_container_of(n, struct hf_agent_host, link), &view);
		json_array_append_new(list, hf_host_json(&view));
	}
	hf_ctl_reply(call, json_pack("{s:o}", "hosts", list));
}

static void host_show(void *ctx, struct hf_ctl_call *call, const char *name)
{
	struct hf_daemon *d = ctx;
	struct hf_agent_host *h = hf_agent_find_host(&d->agent, name);
	struct hf_host_view view;

	if (!h) {
		hf_ctl_fail(call, HF_CTL_ENOENT, "show host", name, "there is no such host", "see holdfast host list");
		return;
	}
	hf_daemon_host_view(d, h, &view);
	hf_ctl_reply(call, hf_host_json(&view));
}

static void list_volumes(struct hf_agent_fresh *f, int result)
{
	struct order *x = f->ctx;
	struct hf_daemon *d = x->d;
	json_t *list = json_array();

	(void)result;			/* a store that does not answer: what is known here */

	hf_list_each(&d->agent.volumes, n) {
		struct hf_volume_view view;

		hf_daemon_volume_view(d, hf_container_of(n, struct hf_agent_volume, link), &view);
		json_array_append_new(list, hf_volume_json(&view));
	}
	hf_ctl_reply(x->call, json_pack("{s:o}", "volumes", list));
	free(x);
}

/* The records are read again: who moves all volumes of a lost host has to see the one that was made a moment ago. */
static void volume_list(void *ctx, struct hf_ctl_call *call)
{
	struct hf_daemon *d = ctx;
	struct order *x = calloc(1, sizeof(*x));

	hf_assert(x);
	*x = (struct order){ .fresh = { .done = list_volumes, .ctx = x }, .d = d, .call = call };
	hf_agent_fresh(&d->agent, &x->fresh);
}

static void show_known(struct hf_daemon *d, struct hf_ctl_call *call, struct hf_agent_volume *av,
		       const struct hf_promote_args *args)
{
	struct hf_volume_view view;

	(void)args;
	hf_daemon_volume_view(d, av, &view);
	hf_ctl_reply(call, hf_volume_json(&view));
}

static void why_known(struct hf_daemon *d, struct hf_ctl_call *call, struct hf_agent_volume *av,
		      const struct hf_promote_args *args)
{
	struct hf_volume_view view;

	(void)args;
	hf_daemon_volume_view(d, av, &view);
	hf_ctl_reply(call, hf_why_json(&view));
}

static void with_name(struct hf_daemon *d, struct hf_ctl_call *call, const char *what, const char *name, order_fn *fn)
{
	struct hf_promote_args args = { 0 };

	snprintf(args.name, sizeof(args.name), "%s", name);
	with_volume(d, call, what, &args, fn);
}

static void volume_show(void *ctx, struct hf_ctl_call *call, const char *name)
{
	with_name(ctx, call, "show volume", name, show_known);
}

static void why(void *ctx, struct hf_ctl_call *call, const char *name)
{
	with_name(ctx, call, "explain volume", name, why_known);
}

static size_t count(const struct hf_list *head)
{
	size_t n = 0;

	for (const struct hf_list *i = head->next; i != head; i = i->next)
		n++;
	return n;
}

static void status(void *ctx, struct hf_ctl_call *call)
{
	struct hf_daemon *d = ctx;
	size_t nh = count(&d->agent.hosts), nv = count(&d->agent.volumes), i = 0;
	struct hf_host_view *hosts = calloc(nh + 1, sizeof(*hosts));
	struct hf_volume_view *volumes = calloc(nv + 1, sizeof(*volumes));
	struct hf_store_view store;

	hf_assert(hosts && volumes);
	hf_list_each(&d->agent.hosts, n)
		hf_daemon_host_view(d, hf_container_of(n, struct hf_agent_host, link), &hosts[i++]);
	i = 0;
	hf_list_each(&d->agent.volumes, n)
		hf_daemon_volume_view(d, hf_container_of(n, struct hf_agent_volume, link), &volumes[i++]);
	hf_daemon_store_view(d, &store);
	hf_ctl_reply(call, hf_status_json(d->config.name, &d->agent.host.cluster, &store, hosts, nh, volumes, nv));
	free(hosts);
	free(volumes);
}

static void metrics(void *ctx, struct hf_ctl_call *call)
{
	hf_ctl_reply(call, hf_daemon_metrics(ctx));
}

/* promote */

struct promote {
	struct hf_list link;
	struct hf_ctl_call *call;
	char volume[HF_NAME_MAX];
	hf_nsec deadline;
};

/* Keep the certificate with the events, and give it to every operator who waits for it. */
static void finish(struct hf_daemon *d, struct hf_agent_volume *av, enum hf_certificate_outcome outcome, bool keep)
{
	struct hf_certificate *cert = malloc(sizeof(*cert));
	json_t *json;

	hf_assert(cert);
	hf_daemon_certificate(d, av, outcome, cert);
	json = hf_certificate_json(cert);
	if (keep)
		hf_events_add(d->events, outcome == HF_OUTCOME_PROMOTED ? "promoted" : "promotion-refused",
			      av->record.name, json_incref(json));
	hf_list_each(&d->promotes, n) {
		struct promote *p = hf_container_of(n, struct promote, link);

		if (strcmp(p->volume, av->record.name) != 0)
			continue;
		hf_list_del(&p->link);
		hf_ctl_reply(p->call, json_incref(json));
		free(p);
	}
	json_decref(json);
	free(cert);
}

void hf_daemon_promoted(struct hf_daemon *d, struct hf_agent_volume *av)
{
	finish(d, av, HF_OUTCOME_PROMOTED, true);
}

void hf_daemon_promote_ended(struct hf_daemon *d, struct hf_agent_volume *av, const char *reason)
{
	hf_list_each(&d->promotes, n) {
		struct promote *p = hf_container_of(n, struct promote, link);

		if (strcmp(p->volume, av->record.name) != 0)
			continue;
		hf_list_del(&p->link);
		hf_ctl_fail(p->call, HF_CTL_EFENCED, "promote volume", p->volume, reason,
			    "see holdfast volume show, then try again");
		free(p);
	}
}

void hf_daemon_promote_poll(struct hf_daemon *d)
{
	hf_nsec now = hf_reactor_now(d->r);

	hf_list_each(&d->promotes, n) {
		struct promote *p = hf_container_of(n, struct promote, link);
		struct hf_agent_volume *av = hf_agent_find_volume(&d->agent, p->volume);

		if (now < p->deadline)
			continue;
		if (av && av->run) {
			finish(d, av, HF_OUTCOME_REFUSED, true);
			return;		/* others in the next turn: the list changed */
		}
		hf_list_del(&p->link);
		hf_ctl_fail(p->call, HF_CTL_ETIMEDOUT, "promote volume", p->volume,
			    "the cluster store did not answer in time", "see holdfast why, then try again");
		free(p);
	}
}

static void promote_known(struct hf_daemon *d, struct hf_ctl_call *call, struct hf_agent_volume *av,
			  const struct hf_promote_args *args)
{
	struct promote *p;

	if (args->dry_run) {
		hf_daemon_dry_run(d, call, av);
		return;
	}
	if (hf_agent_promote(&d->agent, av, args->accept_data_loss) == -EALREADY) {
		hf_ctl_fail(call, HF_CTL_EEXIST, "promote volume", args->name, "this host is its primary and serves it",
			    "nothing has to be done; to move it, promote it on another host");
		return;
	}
	p = calloc(1, sizeof(*p));
	hf_assert(p);
	p->call = call;
	memcpy(p->volume, args->name, sizeof(p->volume));
	p->deadline = hf_reactor_now(d->r) + PROMOTE_WAIT_NS;
	hf_list_add_tail(&d->promotes, &p->link);
}

static void promote(void *ctx, struct hf_ctl_call *call, const struct hf_promote_args *args)
{
	with_volume(ctx, call, "promote volume", args, promote_known);
}

const struct hf_ctl_ops hf_daemon_ops = {
	.host_list = host_list,
	.host_show = host_show,
	.volume_create = hf_daemon_volume_create,
	.volume_list = volume_list,
	.volume_show = volume_show,
	.volume_resize = hf_daemon_volume_resize,
	.volume_set = hf_daemon_volume_set,
	.volume_delete = hf_daemon_volume_delete,
	.status = status,
	.why = why,
	.promote = promote,
	.metrics = metrics,
};
