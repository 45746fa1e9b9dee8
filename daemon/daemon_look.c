// SPDX-License-Identifier: MIT
/*
 * daemon_look - a dry run of a promotion: every leg is asked what it would answer to PREPARE, without promising
 * anything, and the same decision is taken from that. Nothing changes, nobody is fenced; a promotion later may find
 * more or less.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "daemon.h"

struct look {
	struct hf_admin_call call;
	struct hf_promise promise;
	struct dry_run *of;
	bool asked, answered;
};

struct dry_run {
	struct hf_daemon *d;
	struct hf_ctl_call *call;
	struct hf_record record;
	uint64_t ver;
	uint32_t waiting;
	struct look leg[HF_LEGS_MAX];
};

/* Why this leg's answer would not count (R8); NULL: it would. */
static const char *not_counted(const struct hf_record_leg *r, const struct look *x)
{
	if (!r->insync)
		return "it is not in the in-sync set";
	if (!x->asked)
		return "its host is not reachable from here";
	if (!x->answered)
		return "it did not answer";
	switch (x->promise.result) {
	case HF_LEG_OK:
		break;
	case HF_LEG_NONE:
		return "its host does not have it: a blank, swapped or lost disk";
	case HF_LEG_FAILED:
		return "its disk has failed";
	default:
		return "its host has not opened it yet";
	}
	if (x->promise.inconsistent)
		return "its resync has not ended";
	return x->promise.activated < r->activated ? "it has lost its memory (older than recorded)" : NULL;
}

static void fill_leg(const struct hf_record_leg *r, const struct look *x, struct hf_certificate_leg *out)
{
	const struct hf_promise *p = &x->promise;
	const char *why = not_counted(r, x);

	memcpy(out->host, r->host, HF_NAME_MAX);
	out->uuid = r->uuid;
	out->frag = r->frag;
	out->answered = x->answered;
	out->valid = !why;
	snprintf(out->reason, sizeof(out->reason), "%s", why ? why : "");
	if (x->answered && p->result == HF_LEG_OK)
		hf_daemon_promised(p, out);
}

static void all_looked(struct dry_run *x)
{
	struct hf_certificate *c = calloc(1, sizeof(*c));
	struct hf_reply replies[HF_LEGS_MAX] = { 0 };
	const struct hf_record *r = &x->record;
	struct hf_decision decision;
	hf_legs valid = 0;

	hf_assert(c);
	memcpy(c->volume, r->name, HF_NAME_MAX);
	memcpy(c->tenant, r->tenant, HF_NAME_MAX);
	memcpy(c->primary, x->d->agent.self.name, HF_NAME_MAX);
	memcpy(c->from_primary, r->primary, HF_NAME_MAX);
	c->volume_uuid = r->volume;
	c->lineage = r->lineage;
	c->from_epoch = r->epoch;
	c->epoch = r->epoch + 1;
	c->ver = x->ver;
	c->leg_count = r->leg_count;
	c->outcome = HF_OUTCOME_DRY_RUN;
	for (uint32_t i = 0; i < r->leg_count; i++) {
		const struct hf_promise *p = &x->leg[i].promise;

		fill_leg(&r->leg[i], &x->leg[i], &c->leg[i]);
		if (!c->leg[i].valid)
			continue;
		valid |= HF_LEG_BIT(i);
		replies[i] = (struct hf_reply){ .valid = true, .suspect = p->suspect, .last = p->last,
						.commit = p->commit, .chain = p->chain, .epochs = p->epochs };
	}
	hf_decide(r, replies, hf_decide_corrupt_max(r), &decision);
	hf_daemon_decided(&decision, c);
	hf_daemon_verdict(r, &decision, valid, c->refusal, sizeof(c->refusal));
	if (c->refusal[0])
		snprintf(c->todo, sizeof(c->todo), "bring back the hosts of the legs that do not count");
	c->wall_ns = hf_reactor_wall(x->d->r);
	hf_ctl_reply(x->call, hf_certificate_json(c));
	free(c);
	free(x);
}

static void on_looked(struct hf_admin_call *call, int result, const char *words)
{
	struct look *x = call->ctx;

	(void)words;
	x->answered = result == 0;
	if (--x->of->waiting == 0)
		all_looked(x->of);
}

void hf_daemon_dry_run(struct hf_daemon *d, struct hf_ctl_call *call, const struct hf_agent_volume *av)
{
	struct dry_run *x = calloc(1, sizeof(*x));

	hf_assert(x);
	x->d = d;
	x->call = call;
	x->record = av->record;
	x->ver = av->ver;
	x->waiting = 1;
	for (uint32_t i = 0; i < x->record.leg_count; i++) {
		struct look *l = &x->leg[i];

		l->of = x;
		l->call.done = on_looked;
		l->call.ctx = l;
		l->call.promise = &l->promise;
		l->asked = x->record.leg[i].insync &&
			   hf_host_look(&d->agent.host, x->record.leg[i].host, &x->record.leg[i].uuid, &l->call) == 0;
		x->waiting += l->asked;
	}
	if (--x->waiting == 0)
		all_looked(x);
}
