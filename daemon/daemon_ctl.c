// SPDX-License-Identifier: MIT
/* daemon_ctl - orders of operators: look, and promote. Making and deleting volumes is in daemon_volume.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "daemon.h"
#include "engine/peer.h"

#define PROMOTE_WAIT_NS (10 * HF_SEC)

static bool find_or_fail(struct hf_daemon *d, struct hf_ctl_call *call, const char *what, const char *name,
			 struct hf_agent_volume **out)
{
	*out = hf_agent_find_volume(&d->agent, name);
	if (!*out)
		hf_ctl_fail(call, HF_CTL_ENOENT, what, name, "there is no such volume", "see holdfast volume list");
	return *out != NULL;
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

static void volume_list(void *ctx, struct hf_ctl_call *call)
{
	struct hf_daemon *d = ctx;
	json_t *list = json_array();

	hf_list_each(&d->agent.volumes, n) {
		struct hf_volume_view view;

		hf_daemon_volume_view(d, hf_container_of(n, struct hf_agent_volume, link), &view);
		json_array_append_new(list, hf_volume_json(&view));
	}
	hf_ctl_reply(call, json_pack("{s:o}", "volumes", list));
}

static void volume_show(void *ctx, struct hf_ctl_call *call, const char *name)
{
	struct hf_daemon *d = ctx;
	struct hf_agent_volume *av;
	struct hf_volume_view view;

	if (!find_or_fail(d, call, "show volume", name, &av))
		return;
	hf_daemon_volume_view(d, av, &view);
	hf_ctl_reply(call, hf_volume_json(&view));
}

static void why(void *ctx, struct hf_ctl_call *call, const char *name)
{
	struct hf_daemon *d = ctx;
	struct hf_agent_volume *av;
	struct hf_volume_view view;

	if (!find_or_fail(d, call, "explain volume", name, &av))
		return;
	hf_daemon_volume_view(d, av, &view);
	hf_ctl_reply(call, hf_why_json(&view));
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

	hf_assert(hosts && volumes);
	hf_list_each(&d->agent.hosts, n)
		hf_daemon_host_view(d, hf_container_of(n, struct hf_agent_host, link), &hosts[i++]);
	i = 0;
	hf_list_each(&d->agent.volumes, n)
		hf_daemon_volume_view(d, hf_container_of(n, struct hf_agent_volume, link), &volumes[i++]);
	hf_ctl_reply(call, hf_status_json(d->config.name, &d->agent.host.cluster, hosts, nh, volumes, nv));
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

/* What this host's own leg would answer to PREPARE; other hosts' legs are asked by a promotion only. */
static void own_leg(struct hf_daemon *d, struct hf_certificate *c, struct hf_certificate_leg *out)
{
	struct hf_agent_leg *l = hf_agent_find_leg(&d->agent, &out->uuid);
	const char *why = NULL;
	struct hf_store_status st;

	if (!l || l->state != HF_AGENT_LEG_OPEN) {
		why = "it is not open on its host";
	} else {
		const struct hf_leg_state *state = hf_store_state(l->run.store);

		hf_store_status(l->run.store, &st);
		out->suspect = st.suspect;
		out->last_epoch = st.last_epoch;
		out->last_seq = st.last_seq;
		out->commit = st.commit;
		out->chain = st.last_chain;
		if (l->run.failed || state->failed)
			why = "it has failed";
		else if (state->inconsistent)
			why = "its resync has not ended";
		else if (state->activated < out->activated)
			why = "it has lost its memory (older than recorded)";
		out->activated = state->activated;
	}
	if (out->valid && !why) {
		c->committed = out->commit;
	} else if (why) {
		out->valid = false;
		snprintf(out->reason, sizeof(out->reason), "%s", why);
	}
}

/*
 * What a promotion here would meet, without changing anything: who is reachable, whether that is enough, and what this
 * host's own leg holds.
 */
static void dry_run(struct hf_daemon *d, struct hf_ctl_call *call, const struct hf_agent_volume *av)
{
	struct hf_certificate *c = calloc(1, sizeof(*c));
	const struct hf_record *r = &av->record;
	hf_legs set = 0;
	int tol;

	hf_assert(c);
	memcpy(c->volume, r->name, HF_NAME_MAX);
	memcpy(c->tenant, r->tenant, HF_NAME_MAX);
	memcpy(c->primary, d->config.name, strlen(d->config.name));
	memcpy(c->from_primary, r->primary, HF_NAME_MAX);
	c->volume_uuid = r->volume;
	c->lineage = r->lineage;
	c->from_epoch = r->epoch;
	c->epoch = r->epoch + 1;
	c->ver = av->ver;
	c->leg_count = r->leg_count;
	for (uint32_t i = 0; i < r->leg_count; i++) {
		struct hf_certificate_leg *l = &c->leg[i];

		memcpy(l->host, r->leg[i].host, HF_NAME_MAX);
		l->uuid = r->leg[i].uuid;
		l->frag = r->leg[i].frag;
		l->activated = r->leg[i].activated;
		l->answered = hf_peer_is_up(hf_host_peer(&d->agent.host, r->leg[i].host));
		l->valid = l->answered && r->leg[i].insync;
		snprintf(l->reason, sizeof(l->reason), "%s",
			 !l->answered	     ? "its host is not reachable from here"
			 : !r->leg[i].insync ? "it is not in the in-sync set"
					     : "");
		if (strcmp(l->host, d->config.name) == 0)
			own_leg(d, c, l);
		if (l->valid)
			set |= HF_LEG_BIT(i);
	}
	tol = hf_insync_tolerance(r, set);
	c->outcome = HF_OUTCOME_DRY_RUN;
	if (tol < 0 || (tol < r->min_tolerance && set != hf_insync_members(r)))
		snprintf(c->refusal, sizeof(c->refusal),
			 "a promotion would wait: the legs that are reachable give tolerance %d, the minimum is %u",
			 tol, r->min_tolerance);
	c->wall_ns = hf_reactor_wall(d->r);
	hf_ctl_reply(call, hf_certificate_json(c));
	free(c);
}

static void promote(void *ctx, struct hf_ctl_call *call, const struct hf_promote_args *args)
{
	struct hf_daemon *d = ctx;
	struct hf_agent_volume *av;
	struct promote *p;

	if (!find_or_fail(d, call, "promote volume", args->name, &av))
		return;
	if (args->dry_run) {
		dry_run(d, call, av);
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

const struct hf_ctl_ops hf_daemon_ops = {
	.host_list = host_list,
	.host_show = host_show,
	.volume_create = hf_daemon_volume_create,
	.volume_list = volume_list,
	.volume_show = volume_show,
	.volume_resize = hf_daemon_volume_resize,
	.volume_delete = hf_daemon_volume_delete,
	.status = status,
	.why = why,
	.promote = promote,
	.metrics = metrics,
};
