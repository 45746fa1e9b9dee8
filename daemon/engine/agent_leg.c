// SPDX-License-Identifier: MIT
/* agent_leg - open, make and remove the legs of this host. Nothing is removed but by an operator's delete. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/sometimes.h"
#include "engine/agent.h"

#define RETRY_NS (2 * HF_SEC)

struct hf_agent_leg *hf_agent_find_leg(struct hf_agent *a, const struct hf_uuid *leg)
{
	hf_list_each(&a->legs, n) {
		struct hf_agent_leg *l = hf_container_of(n, struct hf_agent_leg, link);

		if (hf_uuid_is_equal(&l->id.leg, leg))
			return l;
	}
	return NULL;
}

static void on_leg_failed(void *ctx, struct hf_leg_run *run, const char *what)
{
	struct hf_agent *a = ctx;

	a->ops->event(a->ctx, "leg-failed", run->volume, a->self.name, what);
}

static const struct hf_leg_events leg_events = { .failed = on_leg_failed };

static struct hf_agent_leg *leg_new(struct hf_agent *a, const struct hf_leg_identity *id, const char *volume)
{
	struct hf_agent_leg *l = calloc(1, sizeof(*l));
	char text[HF_UUID_TEXT];

	hf_assert(l);
	l->agent = a;
	l->id = *id;
	snprintf(l->volume, sizeof(l->volume), "%s", volume);
	snprintf(l->path, sizeof(l->path), "%s/%s.leg", a->leg_dir, hf_uuid_format(&id->leg, text));
	hf_list_add_tail(&a->legs, &l->link);
	return l;
}

static void leg_free(struct hf_agent_leg *l)
{
	hf_list_del(&l->link);
	free(l);
}

static void admin_done(struct hf_agent_leg *l, int result, const char *words)
{
	void *call = l->call;

	l->call = NULL;
	if (call)
		hf_host_admin_done(&l->agent->host, call, result, words);
}

/* One that was made just now and cannot be opened was not made: it can be asked for again. */
static void undo_format(struct hf_agent_leg *l, int err, const char *why)
{
	hf_error("leg of volume %s at %s was made and cannot be opened: %s; it is removed again", l->volume, l->path,
		 why);
	hf_file_unlink(l->agent->r, l->path);
	admin_done(l, err, why);
	leg_free(l);
}

static void open_failed(struct hf_agent_leg *l, int err, const char *why)
{
	struct hf_agent *a = l->agent;

	if (l->call) {
		undo_format(l, err, why);
		return;
	}
	switch (err) {
	case -ENOENT:
		HF_SOMETIMES(AGENT_LEG_MISSING);
		l->state = HF_AGENT_LEG_MISSING;
		break;
	case -EUCLEAN:
	case -EBADMSG:
	case -ESTALE:
		HF_SOMETIMES(AGENT_LEG_DAMAGED);
		l->state = HF_AGENT_LEG_DAMAGED;
		break;
	default:
		HF_SOMETIMES(AGENT_LEG_UNREADABLE);
		l->state = HF_AGENT_LEG_WAITING;
		break;
	}
	l->retry_at = hf_reactor_now(a->r) + RETRY_NS;
	if (strcmp(l->why, why) != 0) {	/* said once, not at each try */
		snprintf(l->why, sizeof(l->why), "%s", why);
		hf_error("leg of volume %s at %s cannot be used: %s; the other legs serve without it", l->volume,
			 l->path, l->why);
		a->ops->event(a->ctx, "leg-unusable", l->volume, a->self.name, l->why);
	}
}

static void on_opened(void *ctx, struct hf_store *s, int err, const char *why)
{
	struct hf_agent_leg *l = hf_container_of((struct hf_leg_run *)ctx, struct hf_agent_leg, run);
	struct hf_agent *a = l->agent;
	struct hf_store_status st;

	if (err) {
		open_failed(l, err, why ? why : hf_strerror(err));
		return;
	}
	l->why[0] = 0;
	l->state = HF_AGENT_LEG_OPEN;
	memcpy(l->run.volume, l->volume, sizeof(l->run.volume));
	memcpy(l->run.path, l->path, sizeof(l->run.path));
	hf_leg_run_init(&l->run, &a->host, s, &leg_events, a);
	hf_host_add_leg(&a->host, &l->run);
	hf_store_status(s, &st);
	HF_SOMETIMES_IF(AGENT_LEG_SUSPECT, st.suspect);
	if (st.suspect)
		a->ops->event(a->ctx, "leg-suspect", l->volume, a->self.name,
			      "the end of its log is unreadable; its peers repair it");
	admin_done(l, 0, "");
}

static void open_leg(struct hf_agent_leg *l)
{
	l->state = HF_AGENT_LEG_OPENING;
	hf_store_open(l->agent->r, l->path, &l->id, &hf_leg_run_store_events, &l->run, on_opened);
}

void hf_agent_open_leg(struct hf_agent *a, const struct hf_record *rec, uint32_t index)
{
	struct hf_leg_identity id = {
		.cluster = rec->cluster,
		.volume = rec->volume,
		.leg = rec->leg[index].uuid,
		.geometry = rec->geometry,
		.frag = rec->leg[index].frag,
	};

	if (!hf_agent_find_leg(a, &id.leg))
		open_leg(leg_new(a, &id, rec->name));
}

static void on_formatted(struct hf_store_format *f, int result)
{
	struct hf_agent_leg *l = hf_container_of(f, struct hf_agent_leg, format);

	if (result == 0) {
		open_leg(l);
		return;
	}
	admin_done(l, result, f->err.text[0] ? f->err.text : hf_strerror(result));
	leg_free(l);
}

void hf_agent_format(void *ctx, const struct hf_wire_format *m, void *call)
{
	struct hf_agent *a = ctx;
	struct hf_agent_leg *l = hf_agent_find_leg(a, &m->id.leg);

	if (!hf_uuid_is_equal(&m->id.cluster, &a->host.cluster)) {
		hf_host_admin_done(&a->host, call, -EINVAL, "it is for another cluster");
		return;
	}
	if (l) {
		hf_host_admin_done(&a->host, call, l->state == HF_AGENT_LEG_OPEN ? -EEXIST : -EBUSY,
				   "the leg exists already");
		return;
	}
	l = leg_new(a, &m->id, m->volume);
	l->state = HF_AGENT_LEG_OPENING;
	l->call = call;
	l->format = (struct hf_store_format){
		.path = l->path,
		.params = { .id = m->id, .size_blocks = m->size_blocks, .log_bytes = a->log_bytes },
		.done = on_formatted,
	};
	hf_store_format(a->r, &l->format);
}

static void on_closed(void *ctx)
{
	struct hf_agent_leg *l = ctx;
	int err = 0;

	if (l->deleting)
		err = hf_file_unlink(l->agent->r, l->path);
	admin_done(l, err, err ? hf_strerror(err) : "");
	leg_free(l);
}

void hf_agent_delete(void *ctx, const struct hf_uuid *leg, void *call)
{
	struct hf_agent *a = ctx;
	struct hf_agent_leg *l = hf_agent_find_leg(a, leg);

	if (!l || l->call || l->state == HF_AGENT_LEG_OPENING || l->state == HF_AGENT_LEG_CLOSING) {
		hf_host_admin_done(&a->host, call, l ? -EBUSY : 0, l ? "the leg is busy; try again" : "");
		return;
	}
	l->call = call;
	l->deleting = true;
	if (l->state == HF_AGENT_LEG_OPEN) {
		hf_list_del(&l->run.link);
		l->state = HF_AGENT_LEG_CLOSING;
		hf_leg_run_fini(&l->run);
		hf_store_close(l->run.store, on_closed, l);
		return;
	}
	l->deleting = l->state != HF_AGENT_LEG_MISSING;
	on_closed(l);
}

bool hf_agent_is_opening(void *ctx, const struct hf_uuid *leg)
{
	struct hf_agent *a = ctx;
	struct hf_agent_leg *l = hf_agent_find_leg(a, leg);

	/* Before the records were read nobody knows what is missing. */
	return !a->ready || (l && (l->state == HF_AGENT_LEG_OPENING || l->state == HF_AGENT_LEG_WAITING));
}

static bool is_recorded(struct hf_agent *a, const struct hf_agent_leg *l)
{
	const struct hf_agent_volume *av = hf_agent_find_volume(a, l->volume);

	for (uint32_t i = 0; av && i < av->record.leg_count; i++)
		if (hf_uuid_is_equal(&av->record.leg[i].uuid, &l->id.leg))
			return true;
	return false;
}

void hf_agent_tick_legs(struct hf_agent *a)
{
	hf_list_each(&a->legs, n) {
		struct hf_agent_leg *l = hf_container_of(n, struct hf_agent_leg, link);

		if (l->state == HF_AGENT_LEG_OPEN)
			hf_leg_run_tick(&l->run);
		if ((l->state != HF_AGENT_LEG_WAITING && l->state != HF_AGENT_LEG_MISSING) || l->call ||
		    hf_reactor_now(a->r) < l->retry_at)
			continue;
		if (is_recorded(a, l))
			open_leg(l);
		else if (l->state == HF_AGENT_LEG_MISSING)
			leg_free(l);	/* replaced, or its volume was deleted */
	}
}

void hf_agent_close_legs(struct hf_agent *a)
{
	hf_list_each(&a->legs, n) {
		struct hf_agent_leg *l = hf_container_of(n, struct hf_agent_leg, link);

		if (l->state != HF_AGENT_LEG_OPEN)
			continue;
		hf_list_del(&l->run.link);
		hf_leg_run_fini(&l->run);
		l->state = HF_AGENT_LEG_CLOSING;
		hf_store_close(l->run.store, on_closed, l);
	}
}
