// SPDX-License-Identifier: MIT
/* record - config records and host records as JSON text. */
#include "format/record.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/parse.h"
#include "core/insync.h"
#include "format/json_read.h"

#define FORMAT 1
#define U63_MAX ((uint64_t)INT64_MAX)	/* JSON integers are signed */

char *hf_record_volume_key(const char *name, char out[HF_RECORD_KEY_MAX])
{
	snprintf(out, HF_RECORD_KEY_MAX, HF_RECORD_VOLUME_PREFIX "%s", name);
	return out;
}

char *hf_record_host_key(const char *name, char out[HF_RECORD_KEY_MAX])
{
	snprintf(out, HF_RECORD_KEY_MAX, HF_RECORD_HOST_PREFIX "%s", name);
	return out;
}

/* check */

static int check_pair(const struct hf_record *rec, uint32_t a, uint32_t b, struct hf_errmsg *err)
{
	const struct hf_record_leg *x = &rec->leg[a], *y = &rec->leg[b];

	if (strcmp(x->host, y->host) == 0)
		return hf_fail(err, -EINVAL, "volume '%s' has two legs on host '%s': each leg needs a host of its own",
			       rec->name, x->host);
	if (x->frag == y->frag && x->frag != HF_FRAG_FULL)
		return hf_fail(err, -EINVAL, "volume '%s' has fragment %u twice, on '%s' and '%s'", rec->name, x->frag,
			       x->host, y->host);
	if (hf_uuid_is_equal(&x->uuid, &y->uuid))
		return hf_fail(err, -EINVAL, "volume '%s': the legs on '%s' and '%s' have one uuid", rec->name, x->host,
			       y->host);
	return 0;
}

static int check_leg(const struct hf_record *rec, uint32_t i, struct hf_errmsg *err)
{
	const struct hf_record_leg *leg = &rec->leg[i];
	int rc = hf_name_check("host name of a leg", leg->host, err);

	if (rc < 0)
		return rc;
	if (hf_uuid_is_zero(&leg->uuid))
		return hf_fail(err, -EINVAL, "volume '%s': the leg on '%s' has no uuid", rec->name, leg->host);
	if (leg->frag != HF_FRAG_FULL && leg->frag >= rec->geometry.k + rec->geometry.m)
		return hf_fail(err, -EINVAL, "volume '%s': the leg on '%s' is fragment %u, but the layout is %u+%u",
			       rec->name, leg->host, leg->frag, rec->geometry.k, rec->geometry.m);
	if (leg->activated > rec->epoch)
		return hf_fail(err, -EINVAL,
			       "volume '%s': the leg on '%s' activated epoch %llu, but the volume's is %llu", rec->name,
			       leg->host, (unsigned long long)leg->activated, (unsigned long long)rec->epoch);
	for (uint32_t other = 0; other < i && rc == 0; other++)
		rc = check_pair(rec, other, i, err);
	return rc;
}

static int check_legs(const struct hf_record *rec, struct hf_errmsg *err)
{
	int tolerance;

	if (rec->leg_count == 0 || rec->leg_count > HF_LEGS_MAX)
		return hf_fail(err, -EINVAL, "volume '%s' has %u legs: it must have 1 to %u", rec->name, rec->leg_count,
			       HF_LEGS_MAX);
	for (uint32_t i = 0; i < rec->leg_count; i++) {
		int rc = check_leg(rec, i, err);

		if (rc < 0)
			return rc;
	}
	tolerance = hf_insync_tolerance(rec, hf_insync_all(rec));
	if (tolerance < 0)
		return hf_fail(err, -EINVAL, "volume '%s': its legs together cannot decode layout %u+%u", rec->name,
			       rec->geometry.k, rec->geometry.m);
	if (rec->min_tolerance > tolerance)
		return hf_fail(err, -EINVAL,
			       "volume '%s': the minimum tolerance %u is above what all its legs give, %d", rec->name,
			       rec->min_tolerance, tolerance);
	if (hf_insync_members(rec) == 0)
		return hf_fail(err, -EINVAL, "volume '%s': no leg is in sync", rec->name);
	return 0;
}

static int check_primary(const struct hf_record *rec, struct hf_errmsg *err)
{
	bool served = rec->epoch > 0;

	if (rec->epoch > U63_MAX)
		return hf_fail(err, -EINVAL, "volume '%s': epoch out of range", rec->name);
	/* Before the first epoch the record names who shall claim it. */
	if ((served && !rec->primary[0]) || served == hf_uuid_is_zero(&rec->incarnation))
		return hf_fail(err, -EINVAL,
			       "volume '%s': epoch %llu, primary '%.63s' and incarnation do not agree", rec->name,
			       (unsigned long long)rec->epoch, rec->primary);
	return rec->primary[0] ? hf_name_check("primary", rec->primary, err) : 0;
}

int hf_record_check(const struct hf_record *rec, struct hf_errmsg *err)
{
	int rc = hf_name_check("volume name", rec->name, err);

	if (rc == 0)
		rc = hf_name_check("tenant name", rec->tenant, err);
	if (rc == 0)
		rc = hf_layout_check(rec->geometry.k, rec->geometry.m, err);
	if (rc < 0)
		return rc;
	if (hf_uuid_is_zero(&rec->cluster) || hf_uuid_is_zero(&rec->volume) || hf_uuid_is_zero(&rec->lineage))
		return hf_fail(err, -EINVAL, "volume '%s': the cluster, volume or lineage uuid is zero", rec->name);
	if (rec->size_blocks == 0 || rec->size_blocks > HF_VOLUME_BLOCKS_MAX)
		return hf_fail(err, -EINVAL, "volume '%s': %llu blocks is not a size from 1 to %llu blocks", rec->name,
			       (unsigned long long)rec->size_blocks, (unsigned long long)HF_VOLUME_BLOCKS_MAX);
	rc = check_primary(rec, err);
	return rc < 0 ? rc : check_legs(rec, err);
}

int hf_host_record_check(const struct hf_host_record *host, struct hf_errmsg *err)
{
	int rc = hf_name_check("host name", host->name, err);

	if (rc == 0)
		rc = hf_name_check("failure domain", host->domain, err);
	if (rc < 0)
		return rc;
	if (strncmp(host->addr, "tcp:", 4) != 0 && strncmp(host->addr, "unix:/", 6) != 0)
		return hf_fail(err, -EINVAL,
			       "host '%s': the address '%.60s' is neither tcp:ADDRESS:PORT nor unix:/PATH", host->name,
			       host->addr);
	if (hf_uuid_is_zero(&host->incarnation) || hf_uuid_is_zero(&host->boot))
		return hf_fail(err, -EINVAL, "host '%s': the incarnation or boot uuid is zero", host->name);
	return 0;
}

/* encode */

static json_t *uuid_json(const struct hf_uuid *u)
{
	char text[HF_UUID_TEXT];

	return json_string(hf_uuid_format(u, text));
}

static json_t *leg_json(const struct hf_record_leg *leg)
{
	json_t *frag = leg->frag == HF_FRAG_FULL ? json_string("full") : json_integer(leg->frag);

	return json_pack("{s:o, s:s, s:o, s:b, s:I}", "uuid", uuid_json(&leg->uuid), "host", leg->host, "frag", frag,
			 "insync", leg->insync, "activated", (json_int_t)leg->activated);
}

static int dump(json_t *object, char **out_text)
{
	char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

	json_decref(object);
	if (!text)
		return -ENOMEM;
	*out_text = text;
	return 0;
}

int hf_record_encode(const struct hf_record *rec, char **out_text)
{
	json_t *legs = json_array();

	hf_assert(hf_record_check(rec, NULL) == 0);
	for (uint32_t i = 0; i < rec->leg_count; i++)
		json_array_append_new(legs, leg_json(&rec->leg[i]));
	return dump(json_pack("{s:i, s:o, s:o, s:o, s:o, s:s, s:s, s:I, s:i, s:i, s:i, s:b, s:I, s:I, s:o, s:s, s:o}",
			      "format", FORMAT, "cluster", uuid_json(&rec->cluster), "volume", uuid_json(&rec->volume),
			      "lineage", uuid_json(&rec->lineage), "nonce", uuid_json(&rec->nonce), "name", rec->name,
			      "tenant", rec->tenant, "size_blocks", (json_int_t)rec->size_blocks, "k", rec->geometry.k,
			      "m", rec->geometry.m, "min_tolerance", rec->min_tolerance, "auto_failover",
			      rec->auto_failover, "epoch", (json_int_t)rec->epoch, "claimed_from",
			      (json_int_t)rec->claimed_from, "incarnation", uuid_json(&rec->incarnation), "primary",
			      rec->primary, "legs", legs),
		    out_text);
}

int hf_host_record_encode(const struct hf_host_record *host, char **out_text)
{
	hf_assert(hf_host_record_check(host, NULL) == 0);
	return dump(json_pack("{s:i, s:s, s:s, s:s, s:o, s:o}", "format", FORMAT, "name", host->name, "addr",
			      host->addr, "domain", host->domain, "incarnation", uuid_json(&host->incarnation), "boot",
			      uuid_json(&host->boot)),
		    out_text);
}

/* decode */

/*
 * The object behind `text`, NULL with `err` filled; its "format" is checked first: nothing else means anything before.
 */
static json_t *load(const char *text, const char *what, struct hf_errmsg *err)
{
	json_error_t where;
	json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, &where);
	const json_t *format = json_object_get(object, "format");

	if (!object) {
		hf_fail(err, -EUCLEAN, "%s is not JSON: %s at byte %d", what, where.text, where.position);
		return NULL;
	}
	if (json_is_integer(format) && json_integer_value(format) == FORMAT)
		return object;
	hf_fail(err, -EUCLEAN, "%s is not of format %d: it was written by another version; use that version", what,
		FORMAT);
	json_decref(object);
	return NULL;
}

static void read_format(struct hf_json_reader *j)
{
	uint64_t format;

	hf_json_u64(j, "format", FORMAT, FORMAT, &format);
}

static uint8_t read_u8(struct hf_json_reader *j, const char *key, uint64_t max)
{
	uint64_t v = 0;

	hf_json_u64(j, key, 0, max, &v);
	return (uint8_t)v;
}

static int decode_leg(const json_t *object, struct hf_record_leg *leg, struct hf_errmsg *err)
{
	struct hf_json_reader j;

	hf_json_begin(&j, object, "leg of a volume record", err);
	hf_json_uuid(&j, "uuid", &leg->uuid);
	hf_json_string(&j, "host", leg->host, sizeof(leg->host));
	if (json_is_string(json_object_get(object, "frag"))) {
		char full[5] = "";

		hf_json_string(&j, "frag", full, sizeof(full));
		if (strcmp(full, "full") != 0)
			hf_json_refuse(&j, "has a field 'frag' that is neither \"full\" nor a number");
		leg->frag = HF_FRAG_FULL;
	} else {
		leg->frag = read_u8(&j, "frag", HF_K_MAX + HF_M_MAX - 1);
	}
	hf_json_bool(&j, "insync", &leg->insync);
	hf_json_u64(&j, "activated", 0, U63_MAX, &leg->activated);
	return hf_json_end(&j);
}

static void decode_fields(struct hf_json_reader *j, struct hf_record *rec)
{
	const json_t *legs;

	read_format(j);
	hf_json_uuid(j, "cluster", &rec->cluster);
	hf_json_uuid(j, "volume", &rec->volume);
	hf_json_uuid(j, "lineage", &rec->lineage);
	hf_json_uuid(j, "nonce", &rec->nonce);
	hf_json_string(j, "name", rec->name, sizeof(rec->name));
	hf_json_string(j, "tenant", rec->tenant, sizeof(rec->tenant));
	hf_json_u64(j, "size_blocks", 1, HF_VOLUME_BLOCKS_MAX, &rec->size_blocks);
	rec->geometry.k = read_u8(j, "k", HF_K_MAX);
	rec->geometry.m = read_u8(j, "m", HF_M_MAX);
	rec->min_tolerance = read_u8(j, "min_tolerance", HF_LEGS_MAX);
	hf_json_bool(j, "auto_failover", &rec->auto_failover);
	hf_json_u64(j, "epoch", 0, U63_MAX, &rec->epoch);
	hf_json_u64(j, "claimed_from", 0, U63_MAX, &rec->claimed_from);
	hf_json_uuid(j, "incarnation", &rec->incarnation);
	hf_json_string(j, "primary", rec->primary, sizeof(rec->primary));
	legs = hf_json_array(j, "legs", HF_LEGS_MAX);
	rec->leg_count = (uint32_t)json_array_size(legs);
	for (uint32_t i = 0; i < rec->leg_count && j->result == 0; i++)
		j->result = decode_leg(json_array_get(legs, i), &rec->leg[i], j->err);
}

int hf_record_decode(const char *text, struct hf_record *out, struct hf_errmsg *err)
{
	json_t *object = load(text, "volume record", err);
	struct hf_record rec = { 0 };
	struct hf_json_reader j;
	int rc;

	if (!object)
		return -EUCLEAN;
	hf_json_begin(&j, object, "volume record", err);
	decode_fields(&j, &rec);
	rc = hf_json_end(&j);
	json_decref(object);
	if (rc == 0)
		rc = hf_record_check(&rec, err);
	if (rc < 0)
		return -EUCLEAN;
	*out = rec;
	return 0;
}

int hf_host_record_decode(const char *text, struct hf_host_record *out, struct hf_errmsg *err)
{
	json_t *object = load(text, "host record", err);
	struct hf_host_record host = { 0 };
	struct hf_json_reader j;
	int rc;

	if (!object)
		return -EUCLEAN;
	hf_json_begin(&j, object, "host record", err);
	read_format(&j);
	hf_json_string(&j, "name", host.name, sizeof(host.name));
	hf_json_string(&j, "addr", host.addr, sizeof(host.addr));
	hf_json_string(&j, "domain", host.domain, sizeof(host.domain));
	hf_json_uuid(&j, "incarnation", &host.incarnation);
	hf_json_uuid(&j, "boot", &host.boot);
	rc = hf_json_end(&j);
	json_decref(object);
	if (rc == 0)
		rc = hf_host_record_check(&host, err);
	if (rc < 0)
		return -EUCLEAN;
	*out = host;
	return 0;
}
