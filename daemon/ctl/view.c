// SPDX-License-Identifier: MIT
/* view - the JSON of answers, and the words for what is wrong. The fields are documented in holdfast-ctl(7). */
#include "ctl/view.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "core/insync.h"

static json_t *checked(json_t *v)
{
	hf_assert(v);
	return v;
}

static json_t *uuid_json(const struct hf_uuid *u)
{
	char text[HF_UUID_TEXT];

	return json_string(hf_uuid_format(u, text));
}

/* An empty string is null: there is no such thing. */
static json_t *text_json(const char *text)
{
	return *text ? json_string(text) : json_null();
}

static json_t *frag_json(uint8_t frag)
{
	char text[16];

	return json_string(hf_frag_name(frag, text));
}

const char *hf_frag_name(uint8_t frag, char out[16])
{
	if (frag == HF_FRAG_FULL)
		return "full";
	snprintf(out, 16, "fragment %u", frag);
	return out;
}

const char *hf_volume_state_name(enum hf_volume_state state)
{
	static const char *const name[] = { "serving", "promoting", "blocked", "stopped", "remote" };

	return name[state];
}

static const char *leg_state_name(enum hf_leg_view_state state)
{
	static const char *const name[] = { "insync", "catching-up", "out", "failed" };

	return name[state];
}

void hf_volume_view_of_record(struct hf_volume_view *v, const struct hf_record *rec)
{
	*v = (struct hf_volume_view){
		.uuid = rec->volume,
		.lineage = rec->lineage,
		.size_blocks = rec->size_blocks,
		.geometry = rec->geometry,
		.epoch = rec->epoch,
		.state = rec->primary[0] ? HF_VOLUME_REMOTE : HF_VOLUME_STOPPED,
		.tolerance = hf_insync_tolerance(rec, hf_insync_members(rec)),
		.tolerance_full = hf_insync_tolerance(rec, hf_insync_all(rec)),
		.min_tolerance = rec->min_tolerance,
		.auto_failover = rec->auto_failover,
		.leg_count = rec->leg_count,
	};
	memcpy(v->name, rec->name, sizeof(v->name));
	memcpy(v->tenant, rec->tenant, sizeof(v->tenant));
	memcpy(v->primary, rec->primary, sizeof(v->primary));
	for (uint32_t i = 0; i < rec->leg_count; i++) {
		struct hf_leg_view *leg = &v->leg[i];

		memcpy(leg->host, rec->leg[i].host, sizeof(leg->host));
		leg->uuid = rec->leg[i].uuid;
		leg->frag = rec->leg[i].frag;
		leg->state = rec->leg[i].insync ? HF_LEG_VIEW_INSYNC : HF_LEG_VIEW_OUT;
	}
}

/* why */

struct text {
	char *at;
	size_t left;
};

static void say(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct text *t, const char *format, ...)
{
	va_list ap;
	int len;

	va_start(ap, format);
	len = vsnprintf(t->at, t->left, format, ap);
	va_end(ap);
	if (len < 0 || (size_t)len >= t->left)
		len = t->left ? (int)t->left - 1 : 0;
	t->at += len;
	t->left -= (size_t)len;
}

/* "hostC (fragment 1) is out, hostD (fragment 2) is catching up, 40 % done" */
static void say_missing_legs(struct text *t, const struct hf_volume_view *v)
{
	const char *comma = "";

	for (uint32_t i = 0; i < v->leg_count; i++) {
		const struct hf_leg_view *leg = &v->leg[i];
		char kind[16];

		if (leg->state == HF_LEG_VIEW_INSYNC)
			continue;
		say(t, "%s%s (%s) ", comma, leg->host, hf_frag_name(leg->frag, kind));
		if (leg->state == HF_LEG_VIEW_CATCHING_UP)
			say(t, "is catching up, %u %% done", leg->resync_percent);
		else
			say(t, leg->state == HF_LEG_VIEW_FAILED ? "has failed" : "is out of the in-sync set");
		comma = ", ";
	}
	if (!*comma)
		say(t, "no leg is missing");
}

static void say_why(struct text *t, const struct hf_volume_view *v)
{
	switch (v->state) {
	case HF_VOLUME_STOPPED:
		if (v->primary[0])
			say(t,
			    "%s is served by nobody: its primary %s does not answer; start holdfastd there, or "
			    "give the volume a new primary: holdfast promote %s",
			    v->name, v->primary, v->name);
		else
			say(t, "%s has no primary yet; give it one: holdfast promote %s", v->name, v->name);
		return;
	case HF_VOLUME_PROMOTING:
		say(t,
		    "%s is being taken over by %s; I/O goes on when every leg of the in-sync set has adopted "
		    "epoch %llu",
		    v->name, v->primary, (unsigned long long)v->epoch);
		return;
	case HF_VOLUME_BLOCKED:
		say(t, "I/O of %s is queued at %s: tolerance %d is below the volume's minimum %u; ", v->name,
		    v->primary, v->tolerance, v->min_tolerance);
		say_missing_legs(t, v);
		say(t, "; it goes on when enough of them are back in sync");
		return;
	case HF_VOLUME_SERVING:
	case HF_VOLUME_REMOTE:
		if (v->tolerance >= v->tolerance_full) {
			say(t, "nothing is wrong with %s: %s serves it, and %d more host%s may be lost", v->name,
			    v->primary, v->tolerance, v->tolerance == 1 ? "" : "s");
			return;
		}
		say(t, "%s is served by %s with tolerance %d of %d: ", v->name, v->primary, v->tolerance,
		    v->tolerance_full);
		say_missing_legs(t, v);
		say(t, "; full again when each is back and has caught up, which needs no command");
		return;
	}
	hf_unreachable();
}

/* "2026-01-31T12:00:00" */
static char *format_second(uint64_t wall_ns, char out[32])
{
	time_t seconds = (time_t)(wall_ns / HF_SEC);
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
	return out;
}

static void say_store(struct text *t, const struct hf_store_view *store)
{
	char second[32];

	say(t, "the cluster store has not answered since %sZ (%s)", format_second(store->away_wall_ns, second),
	    store->why);
}

void hf_volume_why(const struct hf_volume_view *v, char out[HF_VIEW_WHY_MAX])
{
	struct text t = { out, HF_VIEW_WHY_MAX };

	if (v->why[0])
		say(&t, "%s", v->why);
	else
		say_why(&t, v);
	if (v->store.away_wall_ns) {
		say(&t, "; ");
		say_store(&t, &v->store);
		say(&t, ": I/O goes on, but until it answers no leg can leave or join the in-sync set");
	}
}

json_t *hf_why_json(const struct hf_volume_view *v)
{
	char why[HF_VIEW_WHY_MAX];

	hf_volume_why(v, why);
	return checked(json_pack("{s:s, s:s, s:b, s:i, s:i, s:s}", "volume", v->name, "state",
				 hf_volume_state_name(v->state), "live", v->live, "tolerance", v->tolerance,
				 "min_tolerance", v->min_tolerance, "why", why));
}

/* hosts and volumes */

json_t *hf_host_json(const struct hf_host_view *host)
{
	return checked(json_pack("{s:s, s:s, s:s, s:o, s:o, s:b, s:b, s:i, s:i}", "name", host->record.name, "addr",
				 host->record.addr, "domain", host->record.domain, "incarnation",
				 uuid_json(&host->record.incarnation), "boot", uuid_json(&host->record.boot), "alive",
				 host->alive, "connected", host->connected, "primaries", (int)host->primaries, "legs",
				 (int)host->legs));
}

static json_t *leg_json(const struct hf_leg_view *leg)
{
	bool resyncs = leg->state == HF_LEG_VIEW_CATCHING_UP;

	return json_pack("{s:s, s:o, s:o, s:s, s:b, s:I, s:I, s:o}", "host", leg->host, "uuid", uuid_json(&leg->uuid),
			 "kind", frag_json(leg->frag), "state", leg_state_name(leg->state), "connected", leg->connected,
			 "acked", (json_int_t)leg->acked, "lag", (json_int_t)leg->lag, "resync_percent",
			 resyncs ? json_integer(leg->resync_percent) : json_null());
}

static uint32_t full_legs(const struct hf_volume_view *v)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < v->leg_count; i++)
		n += v->leg[i].frag == HF_FRAG_FULL;
	return n;
}

json_t *hf_volume_json(const struct hf_volume_view *v)
{
	char why[HF_VIEW_WHY_MAX], layout[16];
	json_t *legs = json_array(), *object;

	for (uint32_t i = 0; i < v->leg_count; i++)
		json_array_append_new(legs, leg_json(&v->leg[i]));
	snprintf(layout, sizeof(layout), "%u+%u", v->geometry.k, v->geometry.m);
	hf_volume_why(v, why);
	object = json_pack("{s:s, s:s, s:o, s:o, s:I, s:s, s:i, s:I, s:o, s:b, s:s}", "name", v->name, "tenant",
			   v->tenant, "uuid", uuid_json(&v->uuid), "lineage", uuid_json(&v->lineage), "size",
			   (json_int_t)v->size_blocks * HF_BLOCK, "layout", layout, "full_legs", (int)full_legs(v),
			   "epoch", (json_int_t)v->epoch, "primary", text_json(v->primary), "live", v->live, "state",
			   hf_volume_state_name(v->state));
	checked(object);
	json_object_set_new(object, "tolerance", json_integer(v->tolerance));
	json_object_set_new(object, "tolerance_full", json_integer(v->tolerance_full));
	json_object_set_new(object, "min_tolerance", json_integer(v->min_tolerance));
	json_object_set_new(object, "failover", json_string(v->auto_failover ? "auto" : "manual"));
	json_object_set_new(object, "committed", v->live ? json_integer((json_int_t)v->committed) : json_null());
	json_object_set_new(object, "sessions", v->live ? json_integer(v->sessions) : json_null());
	json_object_set_new(object, "why", json_string(why));
	json_object_set_new(object, "legs", legs);
	return object;
}

/* status */

static void add_problem(json_t *list, bool critical, const char *object, const char *what, const char *todo)
{
	json_t *problem = json_pack("{s:s, s:s, s:s, s:s}", "severity", critical ? "critical" : "warning", "object",
				    object, "what", what, "do", todo);

	if (critical)
		json_array_insert_new(list, 0, checked(problem));
	else
		json_array_append_new(list, checked(problem));
}

static void add_host_problem(json_t *list, const struct hf_host_view *host)
{
	char what[256];

	if (host->alive)
		return;
	snprintf(what, sizeof(what), "host %s does not answer; it holds %u legs and is primary of %u volumes",
		 host->record.name, host->legs, host->primaries);
	add_problem(list, host->primaries > 0, host->record.name, what,
		    host->primaries > 0 ? "start holdfastd there, or: holdfast failover HOST"
					: "start holdfastd there");
}

static void add_volume_problem(json_t *list, const struct hf_volume_view *v)
{
	bool interrupted =
		v->state == HF_VOLUME_STOPPED || v->state == HF_VOLUME_BLOCKED || v->state == HF_VOLUME_PROMOTING;
	bool last_margin = v->tolerance <= 0 && v->tolerance < v->tolerance_full;
	char why[HF_VIEW_WHY_MAX];
	const char *todo = "bring the missing hosts back; they catch up without a command";

	if (!interrupted && v->tolerance >= v->tolerance_full)
		return;
	if (v->state == HF_VOLUME_STOPPED)
		todo = "holdfast promote VOLUME";
	else if (v->state == HF_VOLUME_PROMOTING)
		todo = "wait; if it lasts, see holdfast why VOLUME";
	hf_volume_why(v, why);
	add_problem(list, interrupted || last_margin, v->name, why, todo);
}

static json_t *time_json(uint64_t wall_ns)
{
	char text[64], second[32];

	snprintf(text, sizeof(text), "%s.%09lluZ", format_second(wall_ns, second),
		 (unsigned long long)(wall_ns % HF_SEC));
	return json_string(text);
}

/* The object is the host: another one's way to the store may be fine. */
static void add_store_problem(json_t *list, const char *self, const struct hf_store_view *store)
{
	char what[HF_VIEW_WHY_MAX];
	struct text t = { what, sizeof(what) };

	if (!store->away_wall_ns)
		return;
	say(&t, "%s: ", self);
	say_store(&t, store);
	add_problem(list, false, self, what,
		    "I/O goes on; until the store answers in-sync sets stay as they are and nothing is promoted: "
		    "start it, or mend the way to it");
}

static json_t *store_json(const struct hf_store_view *store)
{
	bool away = store->away_wall_ns != 0;

	return json_pack("{s:b, s:o, s:o}", "answers", !away, "away_since",
			 away ? time_json(store->away_wall_ns) : json_null(), "why",
			 away ? json_string(store->why) : json_null());
}

json_t *hf_status_json(const char *self, const struct hf_uuid *cluster, const struct hf_store_view *store,
		       const struct hf_host_view *hosts, size_t host_count, const struct hf_volume_view *volumes,
		       size_t volume_count)
{
	json_t *host_list = json_array(), *volume_list = json_array(), *problems = json_array();

	for (size_t i = 0; i < volume_count; i++) {
		json_array_append_new(volume_list, hf_volume_json(&volumes[i]));
		add_volume_problem(problems, &volumes[i]);
	}
	add_store_problem(problems, self, store);
	for (size_t i = 0; i < host_count; i++) {
		json_array_append_new(host_list, hf_host_json(&hosts[i]));
		add_host_problem(problems, &hosts[i]);
	}
	return checked(json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "host", self, "cluster", uuid_json(cluster),
				 "cluster_store", store_json(store), "hosts", host_list, "volumes", volume_list,
				 "problems", problems));
}

/* certificate */

static json_t *certificate_leg_json(const struct hf_certificate_leg *leg)
{
	return json_pack("{s:s, s:o, s:o, s:b, s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:o}", "host", leg->host, "uuid",
			 uuid_json(&leg->uuid), "kind", frag_json(leg->frag), "answered", leg->answered, "valid",
			 leg->valid, "suspect", leg->suspect, "activated", (json_int_t)leg->activated, "last_epoch",
			 (json_int_t)leg->last_epoch, "last_seq", (json_int_t)leg->last_seq, "commit",
			 (json_int_t)leg->commit, "chain", (json_int_t)leg->chain, "reason", text_json(leg->reason));
}

static json_t *phases_json(const struct hf_certificate *cert)
{
	static const char *const name[] = { "claim", "prepare", "decide", "repair", "adopt", "lease_wait", "serve" };
	json_t *phases = json_object();
	uint64_t total = 0;

	for (int i = 0; i < HF_PHASES; i++) {
		json_object_set_new(phases, name[i], json_real((double)cert->phase_ns[i] / (double)HF_MS));
		total += cert->phase_ns[i];
	}
	json_object_set_new(phases, "total", json_real((double)total / (double)HF_MS));
	return phases;
}

static json_t *extents_json(const struct hf_certificate *cert)
{
	json_t *list = json_array();

	for (uint64_t i = 0; i < cert->extent_count && i < HF_VIEW_EXTENTS_MAX; i++)
		json_array_append_new(list, checked(json_pack("{s:I, s:I}", "lba", (json_int_t)cert->extent[i].lba,
							      "blocks", (json_int_t)cert->extent[i].nblocks)));
	return list;
}

static json_t *history_json(const struct hf_epoch_cache *history)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < history->count; i++)
		json_array_append_new(list, checked(json_pack("{s:I, s:I}", "epoch",
							      (json_int_t)history->at[i].epoch, "start",
							      (json_int_t)history->at[i].start)));
	return list;
}

json_t *hf_certificate_json(const struct hf_certificate *cert)
{
	static const char *const outcome[] = { "promoted", "dry-run", "refused", "promoted-with-data-loss" };
	json_t *legs = json_array(), *object, *cut, *decided;

	for (uint32_t i = 0; i < cert->leg_count; i++)
		json_array_append_new(legs, checked(certificate_leg_json(&cert->leg[i])));
	decided = json_pack("{s:I, s:I, s:I}", "epoch", (json_int_t)cert->decided_epoch, "seq",
			    (json_int_t)cert->decided_seq, "chain", (json_int_t)cert->decided_chain);
	cut = json_pack("{s:I, s:I, s:I, s:o}", "count", (json_int_t)cert->cut_count, "from",
			(json_int_t)cert->cut_from, "to", (json_int_t)cert->cut_to, "why", text_json(cert->cut_why));
	object = json_pack("{s:s, s:s, s:s, s:o, s:s, s:o, s:I, s:I, s:I, s:o, s:o, s:o}", "outcome",
			   outcome[cert->outcome], "volume", cert->volume, "tenant", cert->tenant, "volume_uuid",
			   uuid_json(&cert->volume_uuid), "primary", cert->primary, "from_primary",
			   text_json(cert->from_primary), "epoch", (json_int_t)cert->epoch, "from_epoch",
			   (json_int_t)cert->from_epoch, "ver", (json_int_t)cert->ver, "incarnation",
			   uuid_json(&cert->incarnation), "lineage", uuid_json(&cert->lineage), "legs", legs);
	checked(object);
	json_object_set_new(object, "committed", json_integer((json_int_t)cert->committed));
	json_object_set_new(object, "acked_at_most", json_integer((json_int_t)cert->acked_at_most));
	json_object_set_new(object, "decided", decided);
	json_object_set_new(object, "history", history_json(&cert->history));
	json_object_set_new(object, "cut", cut);
	json_object_set_new(object, "ops_lost", json_integer((json_int_t)cert->ops_lost));
	json_object_set_new(object, "extent_count", json_integer((json_int_t)cert->extent_count));
	json_object_set_new(object, "extents", extents_json(cert));
	json_object_set_new(object, "refusal", text_json(cert->refusal));
	json_object_set_new(object, "do", text_json(cert->todo));
	json_object_set_new(object, "phases_ms", phases_json(cert));
	json_object_set_new(object, "time", time_json(cert->wall_ns));
	return object;
}
