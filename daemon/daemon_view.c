// SPDX-License-Identifier: MIT
/* daemon_view - what operators see of volumes, hosts and promotions, from the engine's state. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "daemon.h"
#include "engine/peer.h"

static void add(char *text, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void add(char *text, size_t size, const char *format, ...)
{
	size_t have = strlen(text);
	va_list ap;

	va_start(ap, format);
	vsnprintf(text + have, size - have, format, ap);
	va_end(ap);
}

static void add_awaited(char *text, size_t size, const struct hf_volume *v)
{
	const char *comma = "";
	char kind[16];

	for (uint32_t i = 0; i < v->record.leg_count; i++) {
		const struct hf_vleg *l = &v->leg[i];

		if (!v->record.leg[i].insync || l->state == HF_VLEG_PROMISED)
			continue;
		add(text, size, "%s%s (%s)%s%s", comma, v->record.leg[i].host,
		    hf_frag_name(v->record.leg[i].frag, kind),
		    l->why		       ? ": "
		    : l->state == HF_VLEG_DOWN ? ": not reachable"
					       : "",
		    l->why ? l->why : "");
		comma = ", ";
	}
	if (!*comma)
		add(text, size, "no leg");
}

void hf_daemon_verdict(const struct hf_record *r, const struct hf_decision *d, hf_legs valid, char *out, size_t size)
{
	int tol = hf_insync_tolerance(r, valid);

	switch (d->verdict) {
	case HF_VERDICT_OK:
		if (tol < r->min_tolerance && valid != hf_insync_members(r))
			add(out, size, "the legs that answered would keep tolerance %d, the volume's minimum is %u",
			    tol, r->min_tolerance);
		break;
	case HF_VERDICT_TOO_FEW:
		add(out, size, "the legs that answered cannot decode the volume");
		break;
	case HF_VERDICT_MAYBE_ACKED:
		add(out, size, "op %llu may have been acknowledged and cannot be decoded from the legs that answered",
		    (unsigned long long)d->seq + 1);
		break;
	case HF_VERDICT_CONFLICT:
		add(out, size, "the legs hold contradicting histories; compare them with holdfast-inspect");
		break;
	}
}

/* Why a promotion does not go on. */
static void why_promoting(const struct hf_volume *v, char *out, size_t size)
{
	out[0] = '\0';
	if (v->phase != HF_PHASE_PREPARING)
		return;
	add(out, size, "epoch %llu is claimed by %s but cannot serve yet: ", (unsigned long long)v->epoch, v->self);
	hf_daemon_verdict(&v->record, &v->promotion.decision, v->promotion.valid, out, size);
	add(out, size, "; it goes on by itself when these are back: ");
	add_awaited(out, size, v);
}

static enum hf_leg_view_state leg_state(const struct hf_volume *v, uint32_t i)
{
	if (v->record.leg[i].insync)
		return HF_LEG_VIEW_INSYNC;
	switch (v->leg[i].state) {
	case HF_VLEG_ADOPTING:
	case HF_VLEG_STREAMING:
	case HF_VLEG_SYNCING:
		return HF_LEG_VIEW_CATCHING_UP;
	case HF_VLEG_REFUSED:
		return HF_LEG_VIEW_FAILED;
	default:
		return HF_LEG_VIEW_OUT;
	}
}

static void view_live(struct hf_agent_volume *av, struct hf_volume_view *out)
{
	struct hf_volume_run *run = av->run;
	const struct hf_volume *v = run->core;
	bool serving = v->phase == HF_PHASE_SERVING && run->open;

	out->live = true;
	out->state = !serving ? HF_VOLUME_PROMOTING : hf_volume_is_blocked(v) ? HF_VOLUME_BLOCKED : HF_VOLUME_SERVING;
	if (!serving)
		why_promoting(v, out->why, sizeof(out->why));
	if (run->size_blocks)
		out->size_blocks = run->size_blocks;
	out->committed = v->committed;
	hf_list_each(&run->sessions, n)
		out->sessions++;
	for (uint32_t i = 0; i < v->record.leg_count; i++) {
		struct hf_leg_view *l = &out->leg[i];
		int percent = hf_volume_run_resync_percent(run, i);

		l->state = leg_state(v, i);
		l->connected = hf_peer_is_up(run->peer[i]);
		l->acked = v->leg[i].acked;
		l->lag = v->next - 1 > l->acked ? v->next - 1 - l->acked : 0;
		l->resync_percent = (uint8_t)(percent < 0 ? 0 : percent);
	}
}

void hf_daemon_store_view(struct hf_daemon *d, struct hf_store_view *out)
{
	const struct hf_cluster *c = d->cluster;

	*out = (struct hf_store_view){ 0 };
	if (!c->away_since)
		return;
	out->away_wall_ns = hf_reactor_wall(d->r) - (hf_reactor_now(d->r) - c->away_since);
	snprintf(out->why, sizeof(out->why), "%.*s", (int)sizeof(out->why) - 1, c->away_why);
}

void hf_daemon_volume_view(struct hf_daemon *d, struct hf_agent_volume *av, struct hf_volume_view *out)
{
	const struct hf_record *rec =
		av->run && av->run->core->phase != HF_PHASE_IDLE ? &av->run->core->record : &av->record;
	struct hf_agent_host *h;

	hf_volume_view_of_record(out, rec);
	if (av->run) {
		view_live(av, out);
		hf_daemon_store_view(d, &out->store);
		return;
	}
	h = hf_agent_find_host(&d->agent, rec->primary);
	if (out->state == HF_VOLUME_REMOTE && (!h || !h->alive))
		out->state = HF_VOLUME_STOPPED;
	for (uint32_t i = 0; i < rec->leg_count; i++) {
		struct hf_agent_host *lh = hf_agent_find_host(&d->agent, rec->leg[i].host);

		out->leg[i].connected = lh && lh->alive;
	}
}

void hf_daemon_host_view(struct hf_daemon *d, struct hf_agent_host *h, struct hf_host_view *out)
{
	bool self = strcmp(h->record.name, d->agent.self.name) == 0;

	*out = (struct hf_host_view){ .record = h->record, .alive = h->alive || self };
	out->connected = self || hf_peer_is_up(hf_host_peer(&d->agent.host, h->record.name));
	hf_list_each(&d->agent.volumes, n) {
		const struct hf_record *r = &hf_container_of(n, struct hf_agent_volume, link)->record;

		out->primaries += strcmp(r->primary, h->record.name) == 0;
		for (uint32_t i = 0; i < r->leg_count; i++)
			out->legs += strcmp(r->leg[i].host, h->record.name) == 0;
	}
}

void hf_daemon_promised(const struct hf_promise *p, struct hf_certificate_leg *out)
{
	out->suspect = p->suspect;
	out->activated = p->activated;
	out->last_epoch = p->last_epoch;
	out->last_seq = p->last;
	out->commit = p->commit;
	out->chain = p->chain;
}

static void leg_certificate(const struct hf_volume *v, uint32_t i, struct hf_certificate_leg *out)
{
	const struct hf_promise *p = &v->promotion.reply[i];
	bool asked = v->promotion.asked & HF_LEG_BIT(i);
	const char *reason = "";

	out->uuid = v->record.leg[i].uuid;
	out->frag = v->record.leg[i].frag;
	memcpy(out->host, v->record.leg[i].host, HF_NAME_MAX);
	out->answered = v->promotion.answered & HF_LEG_BIT(i);
	out->valid = v->promotion.valid & HF_LEG_BIT(i);
	if (!asked)
		reason = "it was not in the in-sync set";
	else if (!out->answered)
		reason = v->leg[i].why ? v->leg[i].why : "it did not answer";
	else if (!out->valid)
		reason = v->leg[i].reply.inconsistent ? "its resync had not ended"
						      : "it has lost its memory (older than recorded)";
	snprintf(out->reason, sizeof(out->reason), "%s", reason);
	if (out->valid)
		hf_daemon_promised(p, out);
}

static void phase_times(const struct hf_promotion *p, uint64_t out[HF_PHASES])
{
	hf_nsec mark[] = {p->started, p->claimed, p->prepared, p->prepared,
			  p->loaded,  p->adopted, p->serving,  p->serving};

	/* LEASE_WAIT begins with the second compare-and-swap; SERVE is what is left. */
	for (int i = 0; i < HF_PHASES; i++)
		out[i] = mark[i + 1] > mark[i] && mark[i] ? mark[i + 1] - mark[i] : 0;
	if (p->activated && p->adopted) {
		out[HF_PHASE_LEASE_WAIT] = p->serving > p->activated ? p->serving - p->activated : 0;
		out[HF_PHASE_SERVE] = p->activated - p->adopted;
	}
}

void hf_daemon_decided(const struct hf_decision *dec, struct hf_certificate *out)
{
	out->committed = dec->commit;
	out->acked_at_most = dec->seq;
	out->decided_seq = dec->seq;
	out->decided_chain = dec->chain;
	out->history = dec->epochs;
	if (dec->epochs.count)
		out->decided_epoch = dec->epochs.at[dec->epochs.count - 1].epoch;
	if (dec->seen <= dec->seq)
		return;
	if (dec->verdict != HF_VERDICT_OK) {	/* nothing is cut: what lies beyond may have been acknowledged */
		out->acked_at_most = dec->seen;
		return;
	}
	out->cut_count = dec->seen - dec->seq;
	out->cut_from = dec->seq + 1;
	out->cut_to = dec->seen;
	snprintf(out->cut_why, sizeof(out->cut_why), "never acknowledged: %s",
		 dec->nack_clean ? "an in-sync leg with a clean log does not hold them"
				 : "more legs lack them than can be corrupt at once");
}

/* The operator gave up what cannot be decoded (H27). */
static void accepted_loss(const struct hf_promotion *p, struct hf_certificate *out)
{
	const struct hf_decision *dec = &p->decision;

	out->ops_lost = dec->seen - p->lost_from + 1;
	out->acked_at_most = dec->seen;
	if (dec->seen > dec->seq) {
		out->cut_count = dec->seen - dec->seq;
		out->cut_from = dec->seq + 1;
		out->cut_to = dec->seen;
	}
	_Static_assert(HF_RISK_MAX <= HF_VIEW_EXTENTS_MAX, "what a promotion notes fits into its certificate");
	out->extent_count = p->risk_count;
	for (uint32_t i = 0; i < p->risk_count && i < HF_RISK_MAX; i++) {
		out->extent[i].lba = p->risk[i].lba;
		out->extent[i].nblocks = p->risk[i].nblocks;
	}
	snprintf(out->cut_why, sizeof(out->cut_why), "the operator accepted the loss of ops that cannot be decoded%s",
		 p->risk_incomplete ? "; a leg did not show all of its part, so more than what is listed may be at risk"
				    : "");
}

void hf_daemon_certificate(struct hf_daemon *d, struct hf_agent_volume *av, enum hf_certificate_outcome outcome,
			   struct hf_certificate *out)
{
	const struct hf_volume *v = av->run->core;
	const struct hf_promotion *p = &v->promotion;
	const struct hf_decision *dec = &p->decision;

	memset(out, 0, sizeof(*out));
	memcpy(out->volume, v->record.name, HF_NAME_MAX);
	memcpy(out->tenant, v->record.tenant, HF_NAME_MAX);
	memcpy(out->primary, v->self, HF_NAME_MAX);
	memcpy(out->from_primary, p->from_primary, HF_NAME_MAX);
	out->volume_uuid = v->record.volume;
	out->lineage = v->record.lineage;
	out->incarnation = v->incarnation;
	out->outcome = outcome == HF_OUTCOME_PROMOTED && p->accepted_loss ? HF_OUTCOME_DATA_LOSS : outcome;
	out->epoch = v->epoch;
	out->from_epoch = p->from_epoch;
	out->ver = v->ver;
	out->leg_count = v->record.leg_count;
	for (uint32_t i = 0; i < v->record.leg_count; i++)
		leg_certificate(v, i, &out->leg[i]);
	hf_daemon_decided(dec, out);
	if (p->accepted_loss)
		accepted_loss(p, out);
	if (out->outcome == HF_OUTCOME_REFUSED) {
		why_promoting(v, out->refusal, sizeof(out->refusal));
		snprintf(out->todo, sizeof(out->todo),
			 "bring the named hosts back: the promotion then goes on without a command");
	}
	phase_times(p, out->phase_ns);
	out->wall_ns = hf_reactor_wall(d->r);
}

json_t *hf_daemon_metrics(struct hf_daemon *d)
{
	size_t size = 1 << 16;
	char *text = calloc(1, size);
	json_t *out;

	hf_assert(text);
	hf_list_each(&d->agent.volumes, n) {
		struct hf_agent_volume *av = hf_container_of(n, struct hf_agent_volume, link);
		const char *name = av->record.name;
		struct hf_volume_view view;

		if (!av->run)
			continue;
		hf_daemon_volume_view(d, av, &view);
		add(text, size, "holdfast_volume_tolerance{volume=\"%s\"} %d\n", name, view.tolerance);
		add(text, size, "holdfast_volume_blocked{volume=\"%s\"} %d\n", name, view.state == HF_VOLUME_BLOCKED);
		add(text, size, "holdfast_volume_epoch{volume=\"%s\"} %llu\n", name, (unsigned long long)view.epoch);
		add(text, size, "holdfast_volume_writes_total{volume=\"%s\"} %llu\n", name,
		    (unsigned long long)av->run->writes);
		add(text, size, "holdfast_volume_write_bytes_total{volume=\"%s\"} %llu\n", name,
		    (unsigned long long)av->run->write_bytes);
		add(text, size, "holdfast_volume_reads_total{volume=\"%s\"} %llu\n", name,
		    (unsigned long long)av->run->read_count);
		add(text, size, "holdfast_volume_read_bytes_total{volume=\"%s\"} %llu\n", name,
		    (unsigned long long)av->run->read_bytes);
		add(text, size, "holdfast_volume_repaired_blocks_total{volume=\"%s\"} %llu\n", name,
		    (unsigned long long)av->run->repaired_blocks);
		add(text, size, "holdfast_volume_write_stall_max_seconds{volume=\"%s\"} %.6f\n", name,
		    (double)av->run->stall_max / 1e9);
	}
	hf_list_each(&d->agent.legs, n) {
		struct hf_agent_leg *l = hf_container_of(n, struct hf_agent_leg, link);
		struct hf_store_status st;

		if (l->state != HF_AGENT_LEG_OPEN)
			continue;
		hf_store_status(l->run.store, &st);
		add(text, size, "holdfast_leg_ops_total{volume=\"%s\"} %llu\n", l->volume,
		    (unsigned long long)l->run.ops);
		add(text, size, "holdfast_leg_bytes_total{volume=\"%s\"} %llu\n", l->volume,
		    (unsigned long long)l->run.bytes);
		add(text, size, "holdfast_leg_log_used_bytes{volume=\"%s\"} %u\n", l->volume, st.log_used);
		add(text, size, "holdfast_leg_chunks_used{volume=\"%s\"} %llu\n", l->volume,
		    (unsigned long long)st.chunks_used);
		add(text, size, "holdfast_leg_failed{volume=\"%s\"} %d\n", l->volume, l->run.failed);
	}
	out = json_pack("{s:s}", "text", text);
	free(text);
	return out;
}
