// SPDX-License-Identifier: MIT
/* core_rig - see core_rig.h. */
#include "lib/core_rig.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "core/entry.h"

static const char *const action_name[] = {
	[HF_ACT_GET_RECORD] = "get-record", [HF_ACT_CAS] = "cas",
	[HF_ACT_PREPARE] = "prepare",	    [HF_ACT_ADOPT] = "adopt",
	[HF_ACT_SURVEY] = "survey",	    [HF_ACT_LOAD] = "load",		    [HF_ACT_APPEND] = "append",
	[HF_ACT_LEASE] = "lease",	    [HF_ACT_COMMITTED] = "committed",
	[HF_ACT_RELEASE] = "release",	    [HF_ACT_RESYNC] = "resync",
	[HF_ACT_RESYNC_STOP] = "resync-stop", [HF_ACT_SYNCED] = "synced",
	[HF_ACT_REPLACE] = "replace",	    [HF_ACT_SERVING] = "serving",
	[HF_ACT_STOPPED] = "stopped",	    [HF_ACT_NOTE] = "note",
};

static const char *const note_name[] = {
	[HF_NOTE_EPOCH_CLAIMED] = "epoch-claimed", [HF_NOTE_LEG_REMOVED] = "leg-removed",
	[HF_NOTE_LEG_ADDED] = "leg-added",	   [HF_NOTE_CATCH_UP_LOG] = "catch-up-log",
	[HF_NOTE_CATCH_UP_CHUNKS] = "catch-up-chunks", [HF_NOTE_LEG_REFUSED] = "leg-refused",
	[HF_NOTE_LEG_REPLACED] = "leg-replaced",   [HF_NOTE_BLOCKED] = "writes-blocked",
	[HF_NOTE_UNBLOCKED] = "writes-unblocked",
};

static void add_trace(struct rig *r, const char *format, va_list ap)
{
	int n;

	if (r->trace_room - r->trace_len < 512) {
		r->trace_room = r->trace_room ? r->trace_room * 2 : 4096;
		r->trace = realloc(r->trace, r->trace_room);
		hf_assert(r->trace);
	}
	n = vsnprintf(r->trace + r->trace_len, r->trace_room - r->trace_len, format, ap);
	hf_assert(n >= 0 && (uint32_t)n < r->trace_room - r->trace_len);
	r->trace_len += (uint32_t)n;
}

static void put(struct rig *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct rig *r, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	add_trace(r, format, ap);
	va_end(ap);
}

void rig_say(struct rig *r, const char *format, ...)
{
	va_list ap;

	put(r, "# ");
	va_start(ap, format);
	add_trace(r, format, ap);
	va_end(ap);
	put(r, "\n");
}

static void put_legs(struct rig *r, hf_legs set)
{
	for (uint32_t i = 0; i < r->record.leg_count; i++)
		if (set & HF_LEG_BIT(i))
			put(r, "%u", i);
}

static struct rig_request *enqueue(struct rig *r, const struct hf_action *a)
{
	struct rig_leg *l = &r->leg[a->leg];
	struct rig_request *q;

	if (!l->up)
		return NULL;
	hf_assert(l->count < RIG_QUEUE);
	q = &l->queue[(l->head + l->count++) % RIG_QUEUE];
	memset(q, 0, sizeof(*q));
	q->kind = a->kind;
	q->epoch = r->v->epoch;
	q->commit = r->v->committed;
	q->cookie = r->now;
	q->gen = l->gen;
	return q;
}

static void append(struct rig *r, const struct hf_action *a)
{
	struct rig_request *q = enqueue(r, a);

	if (!q)
		return;
	q->from = a->from;
	q->to = a->to - a->from < 16 ? a->to : a->from + 15;
	for (hf_seq s = q->from; s <= q->to; s++) {
		const struct hf_entry *e = hf_volume_entry(r->v, s);

		hf_assert(e);
		q->entry[s - q->from] = *e;
	}
	hf_volume_sent(r->v, a->leg, q->to, r->now);
	hf_volume_send_done(r->v, a->leg);
}

/* Read the next op back from the logs of those that hold it. */
static void load(struct rig *r, hf_seq from, hf_seq to)
{
	for (hf_seq s = from; s <= to && r->v->phase == HF_PHASE_LOADING; s++) {
		struct hf_event e = { .kind = HF_EV_LOADED, .result = -EIO };
		hf_legs holders = hf_volume_holders(r->v, s);

		if (holders) {
			e.result = 0;
			e.entry = &r->leg[__builtin_ctz(holders)].log[s % RIG_LOG];
		}
		rig_feed(r, &e);
	}
}

static void survey(struct rig *r, const struct hf_action *a)
{
	struct hf_event e = { .kind = HF_EV_SURVEYED, .leg = a->leg };

	for (hf_seq s = a->from; s <= a->to; s++) {
		e.entry = &r->leg[a->leg].log[s % RIG_LOG];
		rig_feed(r, &e);
	}
	e.entry = NULL;
	rig_feed(r, &e);
}

static void act(struct rig *r, const struct hf_action *a)
{
	struct rig_request *q;

	r->count[a->kind]++;
	r->last[a->kind] = *a;
	put(r, "    %s", action_name[a->kind]);
	switch (a->kind) {
	case HF_ACT_GET_RECORD:
		r->get_asked = true;
		break;
	case HF_ACT_CAS:
		r->cas_asked = true;
		put(r, " epoch %llu insync ", (unsigned long long)r->v->proposal.epoch);
		put_legs(r, hf_insync_members(&r->v->proposal));
		break;
	case HF_ACT_PREPARE:
		put(r, " leg %u epoch %llu", a->leg, (unsigned long long)r->v->epoch);
		q = enqueue(r, a);
		if (q)
			q->prepare = (struct hf_prepare){
				.epoch = r->v->epoch, .incarnation = r->v->incarnation,
				.ver = hf_volume_shown_ver(r->v)};
		break;
	case HF_ACT_ADOPT:
		put(r, " leg %u %s target %llu", a->leg, a->adopt.mode == HF_ADOPT_LOG ? "log" : "resync",
		    (unsigned long long)a->adopt.target);
		if (a->adopt.mode == HF_ADOPT_RESYNC)
			put(r, " base %llu from %llu", (unsigned long long)a->adopt.base,
			    (unsigned long long)a->adopt.resync_from);
		q = enqueue(r, a);
		if (q)
			q->adopt = a->adopt;
		break;
	case HF_ACT_SURVEY:
	case HF_ACT_APPEND:
		put(r, " leg %u", a->leg);
		/* fall through */
	case HF_ACT_LOAD:
	case HF_ACT_RELEASE:
		put(r, " %llu..%llu", (unsigned long long)a->from, (unsigned long long)a->to);
		break;
	case HF_ACT_COMMITTED:
		put(r, " %llu", (unsigned long long)a->to);
		if (a->to > r->acked)
			r->acked = a->to;
		break;
	case HF_ACT_LEASE:
	case HF_ACT_SYNCED:
		put(r, " leg %u", a->leg);
		enqueue(r, a);
		break;
	case HF_ACT_RESYNC:
		put(r, " leg %u from %llu", a->leg, (unsigned long long)a->from);
		break;
	case HF_ACT_RESYNC_STOP:
	case HF_ACT_REPLACE:
		put(r, " leg %u", a->leg);
		break;
	case HF_ACT_SERVING:
		break;
	case HF_ACT_STOPPED:
		put(r, ": %s", r->v->stop_why);
		break;
	case HF_ACT_NOTE:
		put(r, " %s", note_name[a->note]);
		if (a->note != HF_NOTE_EPOCH_CLAIMED && a->note != HF_NOTE_BLOCKED && a->note != HF_NOTE_UNBLOCKED)
			put(r, " leg %u", a->leg);
		break;
	}
	put(r, "\n");
	if (a->kind == HF_ACT_APPEND)
		append(r, a);
	if (a->kind == HF_ACT_SURVEY && !r->no_survey)
		survey(r, a);
	if (a->kind == HF_ACT_LOAD && !r->no_load)
		load(r, a->from, a->to);
}

void rig_feed(struct rig *r, struct hf_event *e)
{
	struct hf_actions out;

	out.count = 0;
	e->now = r->now;
	hf_volume_step(r->v, e, &out);
	hf_volume_check(r->v);
	for (uint32_t i = 0; i < out.count; i++)
		act(r, &out.at[i]);
}

void rig_turn(struct rig *r)
{
	struct hf_event e = { .kind = HF_EV_TURN };

	rig_feed(r, &e);
}

static void feed_and_turn(struct rig *r, struct hf_event *e)
{
	rig_feed(r, e);
	rig_turn(r);
}

struct rig *rig_new(uint8_t k, uint8_t m, bool full, uint8_t min_tolerance)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct hf_record *rec = &r->record;

	hf_assert(r);
	rec->geometry = (struct hf_geometry){ k, m };
	rec->min_tolerance = min_tolerance;
	rec->size_blocks = 1024;
	rec->leg_count = k + m + full;
	strcpy(rec->name, "vol");
	strcpy(rec->primary, "host0");
	for (uint32_t i = 0; i < rec->leg_count; i++) {
		struct rig_leg *l = &r->leg[i];
		struct hf_leg_identity id = { .geometry = rec->geometry };
		struct hf_leg_state state = { 0 };

		rec->leg[i].uuid.b[0] = (uint8_t)(i + 1);
		rec->leg[i].frag = full ? (i == 0 ? HF_FRAG_FULL : (uint8_t)(i - 1)) : (uint8_t)i;
		rec->leg[i].insync = true;
		snprintf(rec->leg[i].host, HF_NAME_MAX, "host%u", i);
		id.leg = rec->leg[i].uuid;
		id.frag = rec->leg[i].frag;
		l->exists = true;
		l->first = 1;
		hf_leg_init(&l->core, &id, &state, 0, 0, 0, 0, false, 0, 2 * HF_SEC);
	}
	r->ver = 1;
	r->now = 100 * HF_SEC;
	return r;
}

void rig_free(struct rig *r)
{
	if (getenv("HF_TRACE"))
		fputs(r->trace, stderr);
	free(r->v);
	free(r->trace);
	free(r);
}

void rig_primary(struct rig *r, uint32_t host, bool accept_loss)
{
	struct hf_event e = { .kind = HF_EV_START, .ver = r->ver, .accept_loss = accept_loss, .forced = true };
	struct hf_record rec = r->record;
	char name[HF_NAME_MAX];

	snprintf(name, sizeof(name), "host%u", host);
	free(r->v);
	r->v = calloc(1, sizeof(*r->v));
	hf_assert(r->v);
	hf_volume_init(r->v, name, 2 * HF_SEC);
	r->cas_asked = r->get_asked = false;
	e.record = &rec;
	e.incarnation.b[0] = (uint8_t)++r->lives;
	for (uint32_t i = 0; i < rec.leg_count; i++) {
		r->v->leg[i].local = i == host;
		r->leg[i].count = 0;
	}
	put(r, "%s starts\n", name);
	rig_feed(r, &e);
	for (uint32_t i = 0; i < rec.leg_count; i++)
		if (r->leg[i].up) {
			r->leg[i].up = false;
			rig_up(r, i);
		}
}

void rig_up(struct rig *r, uint32_t leg)
{
	struct hf_event e = { .kind = HF_EV_LEG_UP, .leg = leg };

	r->leg[leg].up = true;
	r->leg[leg].count = 0;
	e.gen = ++r->leg[leg].gen;
	put(r, "leg %u up\n", leg);
	feed_and_turn(r, &e);
}

void rig_down(struct rig *r, uint32_t leg)
{
	struct hf_event e = { .kind = HF_EV_LEG_DOWN, .leg = leg };

	r->leg[leg].up = false;
	r->leg[leg].count = 0;
	put(r, "leg %u down\n", leg);
	feed_and_turn(r, &e);
}

/* The leg's own store: a plain array. */

static void leg_truncate(struct rig_leg *l, hf_seq keep, hf_epoch *epoch, uint32_t *chain)
{
	const struct hf_entry *e = &l->log[keep % RIG_LOG];

	*epoch = 0;
	*chain = 0;
	if (keep >= l->first && keep > 0) {
		*epoch = e->epoch;
		*chain = e->chain;
	}
}

static void leg_adopt(struct rig_leg *l, const struct hf_adopt *m, struct hf_adopted *out)
{
	struct hf_adopt_plan plan;
	hf_epoch epoch;
	uint32_t chain;

	*out = (struct hf_adopted){ .epoch = m->epoch };
	out->result = (uint8_t)hf_leg_adopt(&l->core, m, &plan);
	if (out->result != HF_LEG_OK)
		return;
	leg_truncate(l, plan.need_chain ? plan.base : plan.keep, &epoch, &chain);
	if (plan.reset && !plan.need_chain) {
		epoch = plan.base_epoch;
		chain = plan.base_chain;
		l->first = plan.base + 1;
	}
	hf_leg_adopt_done(&l->core, m, &plan, epoch, chain);
	out->active = plan.active;
	out->last = l->core.last;
	out->chain = l->core.chain;
}

static uint8_t leg_append(struct rig_leg *l, const struct rig_request *q)
{
	for (hf_seq s = q->from; q->from && s <= q->to; s++) {
		const struct hf_entry *e = &q->entry[s - q->from];

		switch (hf_leg_append(&l->core, q->epoch, e)) {
		case HF_APPEND_OK:
			l->log[s % RIG_LOG] = *e;
			hf_leg_appended(&l->core, e);
			if (e->ver > l->core.state.ver)
				l->core.state.ver = e->ver;
			break;
		case HF_APPEND_DUPLICATE:
			break;
		case HF_APPEND_STALE:
			return HF_LEG_STALE;
		case HF_APPEND_WRONG_STATE:
			return HF_LEG_WRONG_STATE;
		}
	}
	if (q->commit > l->core.commit)
		l->core.commit = q->commit < l->core.last ? q->commit : l->core.last;
	return HF_LEG_OK;
}

static void serve_append(struct rig *r, uint32_t leg, const struct rig_request *q, bool silently)
{
	struct rig_leg *l = &r->leg[leg];
	struct hf_ack ack = { .epoch = q->epoch };
	struct hf_event e = { .kind = HF_EV_ACKED, .leg = leg, .gen = q->gen, .ack = &ack };
	struct hf_leg_state state;

	ack.result = leg_append(l, q);
	if (ack.result == HF_LEG_STALE)
		ack.epoch = l->core.state.promised;
	ack.durable = l->core.last;
	if (ack.result == HF_LEG_OK && hf_leg_grant_lease(&l->core, q->epoch, r->now))
		ack.cookie = q->cookie;
	put(r, "leg %u acks %llu%s%s\n", leg, (unsigned long long)ack.durable,
	    ack.result == HF_LEG_OK ? "" : " with an error", silently ? " (lost)" : "");
	if (!silently)
		feed_and_turn(r, &e);
	if (hf_leg_durable(&l->core, l->core.last, &state)) {
		struct hf_adopted adopted = { .active = true, .epoch = q->epoch, .last = l->core.last,
					      .chain = l->core.chain };
		struct hf_event a = { .kind = HF_EV_ADOPTED, .leg = leg, .gen = q->gen, .adopted = &adopted };

		hf_leg_activated(&l->core, &state);
		put(r, "leg %u activated\n", leg);
		if (!silently)
			feed_and_turn(r, &a);
	}
}

static void serve_prepare(struct rig *r, uint32_t leg, const struct rig_request *q, bool silently)
{
	struct rig_leg *l = &r->leg[leg];
	struct hf_promise m = { .promised = l->core.state.promised };
	struct hf_event e = { .kind = HF_EV_PROMISED, .leg = leg, .gen = q->gen, .promise = &m };
	bool persist;

	m.result = l->exists ? (uint8_t)hf_leg_prepare(&l->core, &q->prepare, &persist) : HF_LEG_NONE;
	if (m.result == HF_LEG_OK)
		hf_leg_promise(&l->core, &q->prepare, l->first, 1024, r->now, &m);
	else
		m.promised = l->core.state.promised;
	put(r, "leg %u promises", leg);
	if (m.result == HF_LEG_OK)
		put(r, " last %llu/%llu commit %llu", (unsigned long long)m.last_epoch, (unsigned long long)m.last,
		    (unsigned long long)m.commit);
	else
		put(r, " nothing: %s", m.result == HF_LEG_NONE ? "not here" : "refused");
	put(r, "%s\n", silently ? " (lost)" : "");
	if (!silently)
		feed_and_turn(r, &e);
}

static bool serve(struct rig *r, uint32_t leg, bool silently)
{
	struct rig_leg *l = &r->leg[leg];
	struct rig_request q;

	if (!l->up || !l->count)
		return false;
	q = l->queue[l->head];
	l->head = (l->head + 1) % RIG_QUEUE;
	l->count--;
	if (q.kind == HF_ACT_PREPARE) {
		serve_prepare(r, leg, &q, silently);
	} else if (q.kind == HF_ACT_ADOPT) {
		struct hf_adopted m;
		struct hf_event e = { .kind = HF_EV_ADOPTED, .leg = leg, .gen = q.gen, .adopted = &m };

		leg_adopt(l, &q.adopt, &m);
		put(r, "leg %u adopts %s last %llu%s\n", leg,
		    m.result != HF_LEG_OK ? "not" : m.active ? "active" : "waiting", (unsigned long long)m.last,
		    silently ? " (lost)" : "");
		if (!silently)
			feed_and_turn(r, &e);
	} else if (q.kind == HF_ACT_SYNCED) {
		struct hf_leg_state state;
		struct hf_ack ack = { .epoch = q.epoch };
		struct hf_event e = { .kind = HF_EV_SYNCED, .leg = leg, .gen = q.gen, .ack = &ack };

		ack.result = (uint8_t)hf_leg_synced(&l->core, q.epoch, &state);
		if (ack.result == HF_LEG_OK)
			l->core.state = state;
		put(r, "leg %u synced\n", leg);
		if (!silently)
			feed_and_turn(r, &e);
	} else {
		serve_append(r, leg, &q, silently);
	}
	return true;
}

bool rig_serve(struct rig *r, uint32_t leg)
{
	return serve(r, leg, false);
}

bool rig_serve_silently(struct rig *r, uint32_t leg)
{
	return serve(r, leg, true);
}

void rig_cas(struct rig *r, int result)
{
	struct hf_event e = { .kind = HF_EV_CAS_DONE, .result = result };

	hf_assert(r->cas_asked);
	r->cas_asked = false;
	if (result == 0 && r->v->ver == r->ver) {
		r->record = r->v->proposal;
		r->ver++;
	} else if (result == 0) {
		e.result = -EAGAIN;
	}
	e.ver = r->ver;
	put(r, "cas %s\n", e.result ? "fails" : "done");
	feed_and_turn(r, &e);
}

static void answer_get(struct rig *r)
{
	struct hf_record rec = r->record;
	struct hf_event e = { .kind = HF_EV_RECORD, .record = &rec, .ver = r->ver };

	r->get_asked = false;
	put(r, "record epoch %llu\n", (unsigned long long)rec.epoch);
	feed_and_turn(r, &e);
}

void rig_settle(struct rig *r)
{
	bool busy = true;

	while (busy) {
		busy = false;
		if (r->cas_asked) {
			rig_cas(r, 0);
			busy = true;
		}
		if (r->get_asked) {
			answer_get(r);
			busy = true;
		}
		for (uint32_t i = 0; i < r->record.leg_count; i++)
			busy |= rig_serve(r, i);
	}
}

void rig_tick(struct rig *r, hf_nsec later)
{
	struct hf_event e = { .kind = HF_EV_TICK };

	r->now += later;
	feed_and_turn(r, &e);
}

void rig_run(struct rig *r, hf_nsec for_ns)
{
	for (hf_nsec end = r->now + for_ns; r->now < end;) {
		rig_tick(r, 50 * HF_MS);
		rig_settle(r);
	}
}

hf_seq rig_write(struct rig *r, uint64_t lba)
{
	struct hf_entry e = { .type = HF_OP_WRITE, .lba = lba, .nblocks = 1 };
	struct hf_event ev = { .kind = HF_EV_OP, .entry = &e };
	hf_seq seq = r->v->next;

	if (!hf_volume_can_admit(r->v))
		return 0;
	e.block_crc[0] = (uint32_t)(seq * 2654435761u + r->lives);
	put(r, "write %llu\n", (unsigned long long)seq);
	feed_and_turn(r, &ev);
	return seq;
}

struct rig *rig_serving(uint8_t k, uint8_t m, bool full, uint8_t min_tolerance)
{
	struct rig *r = rig_new(k, m, full, min_tolerance);

	for (uint32_t i = 0; i < r->record.leg_count; i++)
		r->leg[i].up = true;
	rig_primary(r, 0, false);
	rig_settle(r);
	hf_assert(r->v->phase == HF_PHASE_SERVING);
	hf_volume_sized(r->v, r->record.size_blocks);
	return r;
}
