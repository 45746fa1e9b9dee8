// SPDX-License-Identifier: MIT
/* certificate - read back from JSON, every field looked at; see certificate.h. */
#include "certificate.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/entry.h"

/* Collects the first complaint; what follows reads zeros. */
struct reader {
	char *why;
	size_t size;
	bool bad;
};

static void complain_of(struct reader *r, const char *key, const char *what)
{
	if (!r->bad)
		snprintf(r->why, r->size, "\"%s\" %s", key, what);
	r->bad = true;
}

static uint64_t number(struct reader *r, const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	if (json_is_integer(v) && json_integer_value(v) >= 0)
		return (uint64_t)json_integer_value(v);
	complain_of(r, key, "is missing, or no number");
	return 0;
}

static const char *text(struct reader *r, const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	if (json_is_string(v))
		return json_string_value(v);
	complain_of(r, key, "is missing, or no text");
	return "";
}

static bool flag(struct reader *r, const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	if (!json_is_boolean(v))
		complain_of(r, key, "is missing, or neither true nor false");
	return json_is_true(v);
}

static void name(struct reader *r, const json_t *o, const char *key, char out[HF_NAME_MAX])
{
	snprintf(out, HF_NAME_MAX, "%s", text(r, o, key));
}

static void uuid(struct reader *r, const json_t *o, const char *key, struct hf_uuid *out)
{
	if (hf_uuid_parse(text(r, o, key), out) < 0)
		complain_of(r, key, "is no uuid");
}

static uint8_t frag(struct reader *r, const json_t *o)
{
	const char *kind = text(r, o, "kind");
	static const char word[] = "fragment ";
	const char *digits = kind + sizeof(word) - 1;
	unsigned long n = HF_K_MAX + HF_M_MAX;

	if (strcmp(kind, "full") == 0)
		return HF_FRAG_FULL;
	if (strncmp(kind, word, sizeof(word) - 1) == 0 && *digits >= '0' && *digits <= '9')
		n = strtoul(digits, NULL, 10);
	if (n >= HF_K_MAX + HF_M_MAX)
		complain_of(r, "kind", "is neither full nor a fragment");
	return (uint8_t)n;
}

static void load_legs(struct reader *r, const json_t *o, struct cert *c)
{
	const json_t *legs = json_object_get(o, "legs"), *leg;
	size_t i;

	if (json_array_size(legs) == 0 || json_array_size(legs) > HF_LEGS_MAX) {
		complain_of(r, "legs", "is missing, or not a list of legs");
		return;
	}
	json_array_foreach(legs, i, leg)
	{
		struct cert_leg *l = &c->leg[c->leg_count++];

		name(r, leg, "host", l->host);
		uuid(r, leg, "uuid", &l->uuid);
		l->frag = frag(r, leg);
		l->answered = flag(r, leg, "answered");
		l->valid = flag(r, leg, "valid");
		l->last_epoch = number(r, leg, "last_epoch");
		l->last_seq = number(r, leg, "last_seq");
		l->commit = number(r, leg, "commit");
		l->chain = (uint32_t)number(r, leg, "chain");
	}
}

static void load_history(struct reader *r, const json_t *o, struct cert *c)
{
	const json_t *list = json_object_get(o, "history"), *at;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) > HF_EPOCHS_MAX) {
		complain_of(r, "history", "is missing, or not a list of epochs");
		return;
	}
	json_array_foreach(list, i, at) c->history.at[c->history.count++] =
		(struct hf_epoch_start){.epoch = number(r, at, "epoch"), .start = number(r, at, "start")};
}

bool cert_load(struct cert *c, const char *path, char *why, size_t size)
{
	struct reader r = {.why = why, .size = size};
	const json_t *decided, *cut;
	const char *outcome;
	json_error_t err;
	json_t *o = json_load_file(path, JSON_REJECT_DUPLICATES, &err);

	memset(c, 0, sizeof(*c));
	if (!o) {
		snprintf(why, size, "%s (line %d)", err.text, err.line);
		return false;
	}
	outcome = text(&r, o, "outcome");
	c->lossy = strcmp(outcome, "promoted-with-data-loss") == 0;
	if (!r.bad && !c->lossy && strcmp(outcome, "promoted") != 0) {
		snprintf(why, size, "its outcome is \"%s\": nothing was decided, so there is nothing to recheck",
			 outcome);
		r.bad = true;
	}
	decided = json_object_get(o, "decided");
	cut = json_object_get(o, "cut");
	name(&r, o, "volume", c->volume);
	uuid(&r, o, "volume_uuid", &c->volume_uuid);
	uuid(&r, o, "incarnation", &c->incarnation);
	c->epoch = number(&r, o, "epoch");
	c->from_epoch = number(&r, o, "from_epoch");
	c->committed = number(&r, o, "committed");
	c->acked_at_most = number(&r, o, "acked_at_most");
	c->decided_epoch = number(&r, decided, "epoch");
	c->decided = number(&r, decided, "seq");
	c->chain = (uint32_t)number(&r, decided, "chain");
	c->cut_count = number(&r, cut, "count");
	c->cut_from = number(&r, cut, "from");
	c->cut_to = number(&r, cut, "to");
	c->ops_lost = number(&r, o, "ops_lost");
	load_history(&r, o, c);
	load_legs(&r, o, c);
	json_decref(o);
	return !r.bad;
}

/* checks */

static void check_history(const struct cert *c, cert_checked *check)
{
	const struct hf_epoch_cache *h = &c->history;
	bool ascends = true;

	for (uint32_t i = 0; i + 1 < h->count; i++)
		ascends &= h->at[i].epoch < h->at[i + 1].epoch && h->at[i].start < h->at[i + 1].start;
	check(ascends, "the epochs of the history ascend");
	if (c->decided)
		check(h->count > 0 && h->at[h->count - 1].epoch == c->decided_epoch &&
			      h->at[h->count - 1].start <= c->decided,
		      "the history ends with the decided seq %" PRIu64 " of epoch %" PRIu64, c->decided,
		      c->decided_epoch);
	check(c->decided_epoch <= c->from_epoch && c->from_epoch < c->epoch,
	      "epoch %" PRIu64 " follows %" PRIu64 ", and what was decided is not newer than that", c->epoch,
	      c->from_epoch);
}

static void check_told(const struct cert *c, const struct cert_leg *l, cert_checked *check)
{
	hf_epoch at = hf_epoch_cache_at(&c->history, l->last_seq);

	check(l->answered && l->commit <= l->last_seq && l->last_epoch <= c->from_epoch,
	      "%s: it answered; committed %" PRIu64 ", last %" PRIu64 " of epoch %" PRIu64, l->host, l->commit,
	      l->last_seq, l->last_epoch);
	if (l->last_seq && l->last_seq <= c->decided && at)
		check(at == l->last_epoch, "%s: its last seq %" PRIu64 " is of the history's epoch %" PRIu64, l->host,
		      l->last_seq, at);
	if (l->last_seq == c->decided)
		check(l->chain == c->chain, "%s: it ends where the history ends, with the same chain %08x", l->host,
		      l->chain);
}

void cert_check(const struct cert *c, cert_checked *check)
{
	hf_seq committed = 0, seen = 0;

	for (uint32_t i = 0; i < c->leg_count; i++) {
		const struct cert_leg *l = &c->leg[i];

		for (uint32_t k = 0; k < i; k++)
			if (hf_uuid_is_equal(&l->uuid, &c->leg[k].uuid))
				check(false, "%s and %s are named as the same leg", c->leg[k].host, l->host);
		if (!l->valid)
			continue;
		check_told(c, l, check);
		committed = l->commit > committed ? l->commit : committed;
		seen = l->last_seq > seen ? l->last_seq : seen;
	}
	check_history(c, check);
	check(committed == c->committed,
	      "the highest committed seq of the legs is %" PRIu64 ", the certificate says %" PRIu64, committed,
	      c->committed);
	check(seen >= c->decided, "a leg showed the decided seq %" PRIu64, c->decided);
	if (seen > c->decided)
		check(c->cut_from == c->decided + 1 && c->cut_to == seen && c->cut_count == seen - c->decided,
		      "cut is what legs showed beyond it: seq %" PRIu64 " to %" PRIu64, c->decided + 1, seen);
	else
		check(c->cut_count == 0, "nothing was cut: no leg showed more than the decided seq");
	if (c->lossy) {
		/* Some of them may stay in the history, as lost blocks. */
		check(c->ops_lost >= c->cut_count && c->ops_lost <= seen &&
			      c->acked_at_most == c->decided + c->cut_count,
		      "data loss was accepted: at most %" PRIu64 " ops, none beyond seq %" PRIu64, c->ops_lost,
		      c->acked_at_most);
		return;
	}
	check(c->ops_lost == 0, "no acknowledged op is lost");
	check(committed <= c->decided, "nothing that a leg knew committed lies beyond the decided seq");
	check(c->acked_at_most == c->decided,
	      "the last seq that can have been acknowledged, %" PRIu64 ", is the decided one", c->acked_at_most);
}
