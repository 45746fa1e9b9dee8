// SPDX-License-Identifier: MIT
/* invariants - see invariants.h. */
#include "sim/invariants.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define LEGS_MAX 256u
#define VOLUMES_MAX 8u
#define NAMES 65536u			/* a power of two */
#define BIRTHS 1024u			/* the newest epochs */

/* One leg, under whatever primaries and in whatever lives of its host. */
struct leg {
	struct hf_uuid uuid;
	uint32_t host, life;
	/* what some primary was told: it is durable */
	hf_epoch promised, activated;
	hf_epoch told_of;		/* newest epoch of its history when it told of `told` */
	hf_seq told;
	/* as it was after the last turn of its host */
	hf_epoch was_promised, was_activated;
	hf_seq was_last;
	hf_seq durable;
	bool failed, inconsistent, seen;
};

struct name {
	hf_epoch epoch;
	hf_seq seq;
	uint32_t chain;
};

/* Where an epoch begins, by the first leg that had it. */
struct birth {
	hf_epoch epoch;
	hf_seq start;
};

struct volume {
	struct hf_uuid uuid;
	char key[HF_RECORD_KEY_MAX];
	uint64_t ver;			/* of `record`, as read from the store */
	struct hf_record record;
	hf_epoch reigned;		/* whose incarnation `incarnation` is: the newest that was seen */
	struct hf_uuid incarnation;
	hf_epoch open;			/* newest epoch that let clients in */
	hf_seq committed;		/* highest that any primary took for committed */
	hf_seq answered;		/* the same, of those that served: clients may have been told */
	struct name name[NAMES];
	struct birth birth[BIRTHS];
};

struct host {
	struct hf_agent *agent;
	uint32_t life;
	bool distrusted;
	hf_epoch run_epoch[VOLUMES_MAX];	/* of the primary that was here after the last turn */
	hf_seq run_committed[VOLUMES_MAX];
};

struct invariants {
	struct sim_world *w;
	struct host host[SIM_HOSTS_MAX];
	struct leg leg[LEGS_MAX];
	uint32_t legs, volumes;
	struct volume *volume[VOLUMES_MAX];
	bool restored, distrusts_all;
	char words[300];
};

struct invariants *invariants_new(struct sim_world *w)
{
	struct invariants *x = calloc(1, sizeof(*x));

	hf_assert(x);
	x->w = w;
	return x;
}

void invariants_host(struct invariants *x, uint32_t host, struct hf_agent *agent)
{
	x->host[host].agent = agent;
	x->host[host].life++;
	memset(x->host[host].run_epoch, 0, sizeof(x->host[host].run_epoch));
}

void invariants_distrust(struct invariants *x, uint32_t host)
{
	x->host[host].distrusted = true;
}

void invariants_distrust_all(struct invariants *x)
{
	x->distrusts_all = true;
	for (uint32_t i = 0; i < SIM_HOSTS_MAX; i++)
		x->host[i].distrusted = true;
}

void invariants_store_restored(struct invariants *x)
{
	x->restored = true;
}

static bool wrong(struct invariants *x, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool wrong(struct invariants *x, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(x->words, sizeof(x->words), format, ap);
	va_end(ap);
	return false;
}

#define U(v) ((unsigned long long)(v))

static struct leg *leg_of(struct invariants *x, const struct hf_uuid *uuid)
{
	for (uint32_t i = 0; i < x->legs; i++)
		if (hf_uuid_is_equal(&x->leg[i].uuid, uuid))
			return &x->leg[i];
	hf_assert(x->legs < LEGS_MAX);
	x->leg[x->legs].uuid = *uuid;
	return &x->leg[x->legs++];
}

static uint32_t volume_of(struct invariants *x, const struct hf_uuid *uuid)
{
	uint32_t i = 0;

	while (i < x->volumes && !hf_uuid_is_equal(&x->volume[i]->uuid, uuid))
		i++;
	if (i < x->volumes)
		return i;
	hf_assert(i < VOLUMES_MAX);
	x->volume[i] = calloc(1, sizeof(struct volume));
	hf_assert(x->volume[i]);
	x->volume[i]->uuid = *uuid;
	return x->volumes++;
}

/* I14: one name, one op. */
static bool name_is_one(struct invariants *x, struct volume *v, hf_epoch epoch, hf_seq seq, uint32_t chain)
{
	uint32_t at = (uint32_t)(epoch * 0x9e3779b9u + seq * 0x85ebca6bu);
	struct name *n;

	if (!epoch || !seq || x->restored)
		return true;
	for (uint32_t i = 0; i < 8; i++) {
		n = &v->name[(at + i) % NAMES];
		if (!n->epoch)
			break;
		if (n->epoch != epoch || n->seq != seq)
			continue;
		if (n->chain != chain)
			return wrong(x, "I14: two ops have the name (%llu, %llu)", U(epoch), U(seq));
		return true;
	}
	*n = (struct name){ epoch, seq, chain };	/* a full place forgets what was there */
	return true;
}

/* I14: one epoch, one history: whoever adopted it says the same of where it begins. */
static bool epochs_are_one(struct invariants *x, struct volume *v, const struct hf_epoch_cache *c)
{
	for (uint32_t i = 0; i < c->count && !x->restored; i++) {
		struct birth *b = &v->birth[c->at[i].epoch % BIRTHS];

		if (b->epoch == c->at[i].epoch && b->start != c->at[i].start)
			return wrong(x, "I14: epoch %llu begins at op %llu and at op %llu", U(b->epoch), U(b->start),
				     U(c->at[i].start));
		*b = (struct birth){ c->at[i].epoch, c->at[i].start };
	}
	return true;
}

static hf_epoch newest_epoch(const struct hf_epoch_cache *c)
{
	return c->count ? c->at[c->count - 1].epoch : 0;
}

/* The leg of another life: what it told is still there (I5, I6, I2). */
static bool check_memory(struct invariants *x, struct leg *l, const struct hf_leg *core)
{
	const struct hf_leg_state *s = &core->state;

	if (s->promised < l->promised)
		return wrong(x, "I5: the leg on host %u promised epoch %llu, and boots with %llu", l->host,
			     U(l->promised), U(s->promised));
	if (s->activated < l->activated)
		return wrong(x, "I6: the leg on host %u adopted epoch %llu, and boots with %llu", l->host,
			     U(l->activated), U(s->activated));
	if (l->told_of == newest_epoch(&s->epochs) && !s->inconsistent && core->last < l->told)
		return wrong(x, "I2: the leg on host %u told of op %llu in epoch %llu, and boots with %llu", l->host,
			     U(l->told), U(l->told_of), U(core->last));
	return true;
}

static bool check_leg(struct invariants *x, uint32_t host, struct hf_agent_leg *a)
{
	const struct hf_leg *core = &a->run.core;
	const struct hf_leg_state *s = &core->state;
	struct leg *l = leg_of(x, &a->id.leg);
	struct volume *v = x->volume[volume_of(x, &a->id.volume)];
	bool booted = !l->seen || l->life != x->host[host].life;

	l->host = host;
	if (booted && l->seen && !x->host[host].distrusted && !check_memory(x, l, core))
		return false;
	/* I4: it grows only under the epoch that it promised and adopted, or is adopting. */
	if (!booted && core->last > l->was_last && s->promised == l->was_promised && s->promised != s->activated &&
	    core->adopting != s->promised)
		return wrong(x, "I4: the leg on host %u took op %llu although it promised epoch %llu", host,
			     U(core->last), U(s->promised));
	if (!core->suspect && !name_is_one(x, v, core->last_epoch, core->last, core->chain))
		return false;
	if ((booted || s->activated != l->was_activated || core->adopting) && !epochs_are_one(x, v, &s->epochs))
		return false;
	if (core->last < l->told)	/* cut by a newer primary, or begun anew */
		l->told = core->last;
	l->seen = true;
	l->life = x->host[host].life;
	l->was_promised = s->promised;
	l->was_activated = s->activated;
	l->was_last = core->last;
	l->durable = a->run.durable;
	l->failed = a->run.failed;
	l->inconsistent = s->inconsistent;
	return true;
}

/* How many hosts may be lost, whichever they are: legs of one volume are on different hosts. */
static int tolerance(const struct hf_record *r)
{
	int whole = 0, frags = 0;

	for (uint32_t i = 0; i < r->leg_count; i++) {
		bool is_whole = r->leg[i].frag == HF_FRAG_FULL || r->geometry.k == 1;

		whole += r->leg[i].insync && is_whole;
		frags += r->leg[i].insync && !is_whole;
	}
	return whole + (frags >= r->geometry.k ? frags - r->geometry.k : -1);
}

/* I13: the set went down to less than the minimum, and its legs were not lost or forgetful. */
static bool check_shrink(struct invariants *x, const struct hf_record *was, const struct hf_record *is)
{
	if (x->restored || was->epoch != is->epoch || tolerance(is) >= tolerance(was) ||
	    tolerance(is) >= is->min_tolerance)
		return true;
	for (uint32_t i = 0; i < is->leg_count; i++) {
		const struct leg *l = leg_of(x, &was->leg[i].uuid);

		if (was->leg[i].insync && !is->leg[i].insync && l->seen && !x->host[l->host].distrusted)
			return wrong(x, "I13: the in-sync set of epoch %llu went down to tolerance %d", U(is->epoch),
				     tolerance(is));
	}
	return true;
}

/* The record as the store has it now. */
static bool read_record(struct invariants *x, struct volume *v, const char *name)
{
	struct hf_record r;
	struct hf_errmsg err;
	const char *text;
	uint64_t ver;

	if (!v->key[0])
		hf_record_volume_key(name, v->key);
	text = sim_cluster_peek(x->w, v->key, &ver);
	if (!text || ver == v->ver || hf_record_decode(text, &r, &err) != 0)
		return true;
	if (v->ver && !check_shrink(x, &v->record, &r))
		return false;
	v->record = r;
	v->ver = ver;
	return true;
}

/* What legs told this primary. */
static void hear(struct invariants *x, const struct hf_volume *core)
{
	for (uint32_t i = 0; i < core->record.leg_count; i++) {
		const struct hf_vleg *p = &core->leg[i];
		struct leg *l = leg_of(x, &core->record.leg[i].uuid);
		hf_epoch of = core->epoch;
		hf_seq told = p->acked;

		if (p->state < HF_VLEG_PROMISED || p->state == HF_VLEG_REFUSED)
			continue;
		if (core->epoch > l->promised)
			l->promised = core->epoch;
		if (p->adopted && core->epoch > l->activated)
			l->activated = core->epoch;
		if (p->state == HF_VLEG_PROMISED) {
			of = newest_epoch(&p->reply.epochs);
			told = p->reply.last;
		} else if (!p->adopted || p->resync) {
			continue;
		}
		if (of < l->told_of || (of == l->told_of && told <= l->told) || l->was_last < told)
			continue;
		l->told_of = of;
		l->told = told;
	}
}

/* I1: one incarnation an epoch. */
static bool check_reign(struct invariants *x, struct volume *v, const struct hf_volume *core)
{
	if (core->epoch < v->reigned || x->restored)
		return true;
	if (core->epoch == v->reigned && !hf_uuid_is_equal(&core->incarnation, &v->incarnation))
		return wrong(x, "I1: epoch %llu has two incarnations", U(core->epoch));
	v->reigned = core->epoch;
	v->incarnation = core->incarnation;
	return true;
}

/* I2, I3: this primary has just committed up to `seq`. */
static bool check_commit(struct invariants *x, const struct volume *v, const struct hf_volume *core)
{
	const struct hf_record *r = &v->record;

	if (x->restored || r->epoch != core->epoch || core->committed <= core->promotion.decision.seq)
		return true;
	if (tolerance(r) < r->min_tolerance)
		return wrong(x, "I3: op %llu is committed at tolerance %d", U(core->committed), tolerance(r));
	for (uint32_t i = 0; i < r->leg_count; i++) {
		const struct leg *l = leg_of(x, &r->leg[i].uuid);

		if (r->leg[i].insync && l->seen && !l->failed && !x->host[l->host].distrusted &&
		    l->durable < core->committed)
			return wrong(x, "I2: op %llu is committed, the leg on host %u has %llu", U(core->committed),
				     l->host, U(l->durable));
	}
	return true;
}

/* I7, I12: whoever serves has a set of legs that adopted, and none that is being filled. */
static bool check_set(struct invariants *x, const struct volume *v, const struct hf_volume *core)
{
	const struct hf_record *r = &v->record;

	for (uint32_t i = 0; i < r->leg_count && !x->restored && r->epoch == core->epoch; i++) {
		const struct leg *l = leg_of(x, &r->leg[i].uuid);

		if (!r->leg[i].insync || !l->seen || l->failed || x->host[l->host].distrusted)
			continue;
		if (l->was_activated < core->epoch)
			return wrong(x, "I7: epoch %llu serves, the leg on host %u has not adopted it", U(core->epoch),
				     l->host);
		if (l->inconsistent)
			return wrong(x, "I12: the leg on host %u is in the in-sync set during its resync", l->host);
	}
	return true;
}

/* I10: when a newer epoch has let clients in, an older primary may answer no read. */
static bool check_leases(struct invariants *x, uint32_t host, const struct volume *v, const struct hf_volume_run *run)
{
	const struct hf_volume *core = run->core;
	hf_nsec now = hf_reactor_now(x->host[host].agent->r);

	if (!run->open || run->stopping || core->epoch >= v->open || x->restored)
		return true;
	for (uint32_t i = 0; i < core->record.leg_count; i++)
		if ((core->record.leg[i].insync || (core->pending_add >> i & 1)) && core->leg[i].lease_until <= now)
			return true;
	return wrong(x, "I10: epoch %llu serves, host %u still has leases of epoch %llu", U(v->open), host,
		     U(core->epoch));
}

/*
 * I8, I12, I15: the history that this primary has chosen holds all that clients were told of, and no leg had a vote
 * that forgot or is being filled.
 */
static bool check_choice(struct invariants *x, const struct volume *v, const struct hf_volume *core)
{
	const struct hf_promotion *p = &core->promotion;

	if (core->phase < HF_PHASE_LOADING || x->restored)
		return true;
	for (uint32_t i = 0; i < core->record.leg_count; i++) {
		const struct leg *l = leg_of(x, &core->record.leg[i].uuid);

		if (!(p->valid >> i & 1))
			continue;
		if (p->reply[i].inconsistent)
			return wrong(x, "I12: the leg on host %u has a vote for epoch %llu during its resync", l->host,
				     U(core->epoch));
		if (core->phase < HF_PHASE_ACTIVATING && p->reply[i].activated < core->record.leg[i].activated)
			return wrong(x, "I15: the leg on host %u has a vote for epoch %llu, and forgot epoch %llu",
				     l->host, U(core->epoch), U(core->record.leg[i].activated));
	}
	if (p->decision.seq < v->answered && !x->distrusts_all && core->epoch == v->record.epoch)
		return wrong(x, "I8: epoch %llu goes on after op %llu, and op %llu was acknowledged", U(core->epoch),
			     U(p->decision.seq), U(v->answered));
	return true;
}

static bool check_run(struct invariants *x, uint32_t host, const struct hf_volume_run *run)
{
	const struct hf_volume *core = run->core;
	uint32_t n = volume_of(x, &core->record.volume);
	struct volume *v = x->volume[n];
	struct host *h = &x->host[host];

	if (core->epoch && core->committed > v->committed)	/* also by one that stops in this turn */
		v->committed = core->committed;
	if (!core->epoch || core->phase < HF_PHASE_PREPARING || run->stopping)
		return true;
	if (!read_record(x, v, core->record.name))
		return false;
	hear(x, core);
	if (!check_reign(x, v, core))
		return false;
	if (h->run_epoch[n] != core->epoch && !check_choice(x, v, core))
		return false;
	if (core->phase != HF_PHASE_SERVING)
		return true;
	if (h->run_epoch[n] == core->epoch && core->committed > h->run_committed[n] && !check_commit(x, v, core))
		return false;
	h->run_epoch[n] = core->epoch;
	h->run_committed[n] = core->committed;
	if (core->epoch == v->record.epoch && core->committed > v->answered)
		v->answered = core->committed;
	if (run->open && core->epoch > v->open)
		v->open = core->epoch;
	return check_set(x, v, core) && check_leases(x, host, v, run);
}

/* I9: what a leg takes for committed some primary has committed. */
static bool check_applied(struct invariants *x, uint32_t host, struct hf_agent_leg *a)
{
	const struct volume *v = x->volume[volume_of(x, &a->id.volume)];
	struct hf_store_status st;

	if (x->host[host].distrusted)
		return true;
	hf_store_status(a->run.store, &st);
	if (st.applied > v->committed || a->run.core.commit > v->committed)
		return wrong(x, "I9: the leg on host %u has applied %llu of %llu, %llu are committed", host,
			     U(st.applied), U(a->run.core.commit), U(v->committed));
	return true;
}

/* Every usable leg of the agent, one after the other. */
static bool each_leg(struct invariants *x, uint32_t host,
		     bool (*check)(struct invariants *x, uint32_t host, struct hf_agent_leg *a))
{
	struct hf_agent *a = x->host[host].agent;

	for (struct hf_list *n = a->legs.next; n != &a->legs; n = n->next) {
		struct hf_agent_leg *l = hf_container_of(n, struct hf_agent_leg, link);

		if (l->state == HF_AGENT_LEG_DAMAGED && !x->host[host].distrusted)
			return wrong(x, "H17: the leg on host %u is damaged, and its disk is good: %s", host, l->why);
		if (l->state == HF_AGENT_LEG_OPEN && !l->run.failed && !l->run.closing && !check(x, host, l))
			return false;
	}
	return true;
}

/* What legs did comes first: a primary may have heard of it in the same turn; and they of what it committed. */
const char *invariants_check(struct invariants *x, uint32_t host)
{
	struct hf_agent *a = x->host[host].agent;

	if (!each_leg(x, host, check_leg))
		return x->words;
	for (struct hf_list *n = a->volumes.next; a->ready && n != &a->volumes; n = n->next) {
		struct hf_agent_volume *av = hf_container_of(n, struct hf_agent_volume, link);

		if (av->run && !check_run(x, host, av->run))
			return x->words;
	}
	return each_leg(x, host, check_applied) ? NULL : x->words;
}
