// SPDX-License-Identifier: MIT
/*
 * ctl_handlers - the commands of the control socket: arguments in, checked; orders to the daemon out (ops.h).
 *
 * Owns: names and arguments of commands as holdfast-ctl(7) documents them. Does not own: execution.
 */
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/parse.h"
#include "core/insync.h"
#include "ctl/ops.h"
#include "format/json_read.h"

static const struct hf_ctl_service *service_of(const struct hf_ctl_call *call)
{
	return hf_ctl_ctx(call);
}

static void refuse_args(struct hf_ctl_call *call, const char *what, const char *object, const struct hf_errmsg *err)
{
	hf_ctl_fail(call, HF_CTL_EINVAL, what, object && *object ? object : NULL, err->text, "see holdfast-ctl(7)");
}

static void read_name(struct hf_json_reader *j, const char *key, char out[HF_NAME_MAX])
{
	struct hf_errmsg why;

	hf_json_string(j, key, out, HF_NAME_MAX);
	if (j->result == 0 && hf_name_check(key, out, &why) < 0)
		hf_json_refuse(j, "has a bad name: %s", why.text);
}

/* A command whose only argument is "name". */
static bool read_only_name(struct hf_ctl_call *call, const json_t *args, const char *what, char out[HF_NAME_MAX])
{
	struct hf_json_reader j;
	struct hf_errmsg err;

	out[0] = '\0';
	hf_json_begin(&j, args, "args", &err);
	read_name(&j, "name", out);
	if (hf_json_end(&j) == 0)
		return true;
	refuse_args(call, what, out, &err);
	return false;
}

static bool read_nothing(struct hf_ctl_call *call, const json_t *args, const char *what)
{
	struct hf_json_reader j;
	struct hf_errmsg err;

	hf_json_begin(&j, args, "args", &err);
	if (hf_json_end(&j) == 0)
		return true;
	refuse_args(call, what, NULL, &err);
	return false;
}

static void read_size(struct hf_json_reader *j, uint64_t *out_blocks)
{
	uint64_t bytes = 0;

	hf_json_u64(j, "size", HF_BLOCK, HF_VOLUME_BLOCKS_MAX * HF_BLOCK, &bytes);
	if (j->result == 0 && bytes % HF_BLOCK)
		hf_json_refuse(j, "has a size that is not a multiple of %u bytes", HF_BLOCK);
	*out_blocks = bytes / HF_BLOCK;
}

static bool read_flag(struct hf_json_reader *j, const char *key)
{
	bool v = false;

	if (hf_json_has(j, key))
		hf_json_bool(j, key, &v);
	return v;
}

static void run_ping(struct hf_ctl_call *call, const json_t *args)
{
	if (read_nothing(call, args, "ping"))
		hf_ctl_reply(call, json_pack("{s:s, s:i, s:i}", "host", service_of(call)->host, "pid", (int)getpid(),
					     "protocol", HF_CTL_VERSION));
}

/* Commands without arguments, and those with a name only, go straight on. */
#define PASS_NOTHING(op, what) \
	static void run_##op(struct hf_ctl_call *call, const json_t *args) \
	{ \
		const struct hf_ctl_service *s = service_of(call); \
		if (read_nothing(call, args, what)) \
			s->ops->op(s->ctx, call); \
	}
#define PASS_NAME(op, what) \
	static void run_##op(struct hf_ctl_call *call, const json_t *args) \
	{ \
		const struct hf_ctl_service *s = service_of(call); \
		char name[HF_NAME_MAX]; \
		if (read_only_name(call, args, what, name)) \
			s->ops->op(s->ctx, call, name); \
	}

PASS_NOTHING(host_list, "list hosts")
PASS_NAME(host_show, "show host")
PASS_NOTHING(volume_list, "list volumes")
PASS_NAME(volume_show, "show volume")
PASS_NOTHING(status, "status")
PASS_NAME(why, "explain volume")
PASS_NOTHING(metrics, "metrics")

static void read_layout(struct hf_json_reader *j, struct hf_geometry *out)
{
	struct hf_errmsg why;
	char text[16] = "";

	hf_json_string(j, "layout", text, sizeof(text));
	if (j->result == 0 && hf_layout_parse(text, &out->k, &out->m, &why) < 0)
		hf_json_refuse(j, "has a bad layout: %s", why.text);
}

static void read_hosts(struct hf_json_reader *j, struct hf_volume_create_args *a)
{
	const json_t *list = hf_json_array(j, "hosts", HF_LEGS_MAX);
	struct hf_errmsg why;

	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *name = json_string_value(json_array_get(list, i));

		if (!name || hf_name_check("host name", name, &why) < 0) {
			hf_json_refuse(j, "has a bad host: %s", name ? why.text : "not a string");
			return;
		}
		for (uint32_t k = 0; k < a->host_count; k++) {
			if (strcmp(a->host[k], name) != 0)
				continue;
			hf_json_refuse(j, "has host '%s' twice: each leg needs a host of its own", name);
			return;
		}
		strcpy(a->host[a->host_count++], name);	/* checked: at most HF_NAME_MAX - 1 bytes */
	}
}

static void read_local(struct hf_json_reader *j, struct hf_volume_create_args *a)
{
	char text[16] = "none";

	if (hf_json_has(j, "local"))
		hf_json_string(j, "local", text, sizeof(text));
	a->local_full = strcmp(text, "full") == 0;
	if (!a->local_full && strcmp(text, "none") != 0)
		hf_json_refuse(j, "has a field 'local' that is neither \"full\" nor \"none\"");
}

/* What fits together, once each field is right by itself. */
static void check_create(struct hf_json_reader *j, const struct hf_volume_create_args *a)
{
	uint32_t legs = a->geometry.k + a->geometry.m + a->local_full;
	int tolerance = a->geometry.m + a->local_full;

	if (j->result < 0)
		return;
	if (legs < 2)
		hf_json_refuse(j, "asks for a single leg, which mirrors nothing: add a full leg, or use layout 1+1");
	else if (a->host_count > 0 && a->host_count != legs)
		hf_json_refuse(j, "names %u hosts, but layout %u+%u%s has %u legs, each on a host of its own",
			       a->host_count, a->geometry.k, a->geometry.m, a->local_full ? " with a full leg" : "",
			       legs);
	else if (a->min_tolerance > tolerance)
		hf_json_refuse(j, "asks for a minimum tolerance of %d, but all legs together give %d", a->min_tolerance,
			       tolerance);
}

static void run_volume_create(struct hf_ctl_call *call, const json_t *args)
{
	struct hf_volume_create_args a = { .min_tolerance = HF_TOLERANCE_DEFAULT };
	const struct hf_ctl_service *s = service_of(call);
	struct hf_json_reader j;
	struct hf_errmsg err;

	hf_json_begin(&j, args, "args", &err);
	read_name(&j, "name", a.name);
	read_name(&j, "tenant", a.tenant);
	read_size(&j, &a.size_blocks);
	read_layout(&j, &a.geometry);
	read_local(&j, &a);
	if (hf_json_has(&j, "hosts"))
		read_hosts(&j, &a);
	if (hf_json_has(&j, "min_tolerance")) {
		uint64_t v = 0;

		hf_json_u64(&j, "min_tolerance", 0, HF_LEGS_MAX, &v);
		a.min_tolerance = (int)v;
	}
	if (hf_json_has(&j, "auto_failover"))
		hf_json_bool(&j, "auto_failover", &a.auto_failover);
	check_create(&j, &a);
	if (hf_json_end(&j) < 0)
		refuse_args(call, "create volume", a.name, &err);
	else
		s->ops->volume_create(s->ctx, call, &a);
}

static void run_volume_set(struct hf_ctl_call *call, const json_t *args)
{
	const struct hf_ctl_service *s = service_of(call);
	struct hf_volume_set_args a = { 0 };
	struct hf_json_reader j;
	struct hf_errmsg err;

	hf_json_begin(&j, args, "args", &err);
	read_name(&j, "name", a.name);
	hf_json_bool(&j, "auto_failover", &a.auto_failover);
	if (hf_json_end(&j) < 0)
		refuse_args(call, "set volume", a.name, &err);
	else
		s->ops->volume_set(s->ctx, call, &a);
}

static void run_volume_resize(struct hf_ctl_call *call, const json_t *args)
{
	const struct hf_ctl_service *s = service_of(call);
	struct hf_volume_resize_args a = { 0 };
	struct hf_json_reader j;
	struct hf_errmsg err;

	hf_json_begin(&j, args, "args", &err);
	read_name(&j, "name", a.name);
	read_size(&j, &a.size_blocks);
	if (hf_json_end(&j) < 0)
		refuse_args(call, "resize volume", a.name, &err);
	else
		s->ops->volume_resize(s->ctx, call, &a);
}

static void run_volume_delete(struct hf_ctl_call *call, const json_t *args)
{
	const struct hf_ctl_service *s = service_of(call);
	struct hf_volume_delete_args a = { 0 };
	struct hf_json_reader j;
	struct hf_errmsg err;

	hf_json_begin(&j, args, "args", &err);
	read_name(&j, "name", a.name);
	a.force = read_flag(&j, "force");
	if (hf_json_end(&j) < 0)
		refuse_args(call, "delete volume", a.name, &err);
	else
		s->ops->volume_delete(s->ctx, call, &a);
}

static void run_promote(struct hf_ctl_call *call, const json_t *args)
{
	const struct hf_ctl_service *s = service_of(call);
	struct hf_promote_args a = { 0 };
	char to[HF_NAME_MAX] = "";
	struct hf_json_reader j;
	struct hf_errmsg err;

	hf_json_begin(&j, args, "args", &err);
	read_name(&j, "name", a.name);
	if (hf_json_has(&j, "to"))
		read_name(&j, "to", to);
	a.dry_run = read_flag(&j, "dry_run");
	a.accept_data_loss = read_flag(&j, "accept_data_loss");
	if (a.dry_run && a.accept_data_loss)
		hf_json_refuse(&j, "asks for dry_run and accept_data_loss at once: a dry run changes nothing");
	if (hf_json_end(&j) < 0) {
		refuse_args(call, "promote volume", a.name, &err);
	} else if (*to && strcmp(to, s->host) != 0) {
		hf_fail(&err, -EREMOTE, "this daemon is %s, not %s: a host becomes primary by its own daemon", s->host,
			to);
		hf_ctl_fail(call, HF_CTL_EREMOTE, "promote volume", a.name, err.text,
			    "use the control socket of the host in --to");
	} else {
		s->ops->promote(s->ctx, call, &a);
	}
}

static void events_done(void *ctx, int result, json_t *events)
{
	struct hf_ctl_call *call = ctx;

	if (result < 0)
		hf_ctl_fail(call, hf_ctl_code_of(result), "read events", NULL, hf_strerror(result),
			    "check the event log's file and its disk");
	else
		hf_ctl_reply(call, json_pack("{s:o}", "events", events));
}

static void run_events(struct hf_ctl_call *call, const json_t *args)
{
	const struct hf_ctl_service *s = service_of(call);
	char volume[HF_NAME_MAX] = "";
	struct hf_json_reader j;
	struct hf_errmsg err;
	uint64_t count = 50;

	hf_json_begin(&j, args, "args", &err);
	if (hf_json_has(&j, "volume"))
		read_name(&j, "volume", volume);
	if (hf_json_has(&j, "count"))
		hf_json_u64(&j, "count", 1, HF_CTL_EVENTS_MAX, &count);
	if (hf_json_end(&j) < 0)
		refuse_args(call, "read events", volume, &err);
	else
		hf_events_tail(s->events, *volume ? volume : NULL, (size_t)count, events_done, call);
}

const struct hf_ctl_command hf_ctl_commands[] = {
	{ "ping", run_ping },
	{ "host.list", run_host_list },
	{ "host.show", run_host_show },
	{ "volume.create", run_volume_create },
	{ "volume.list", run_volume_list },
	{ "volume.show", run_volume_show },
	{ "volume.resize", run_volume_resize },
	{ "volume.set", run_volume_set },
	{ "volume.delete", run_volume_delete },
	{ "status", run_status },
	{ "why", run_why },
	{ "promote", run_promote },
	{ "events", run_events },
	{ "metrics", run_metrics },
};

const size_t hf_ctl_command_count = sizeof(hf_ctl_commands) / sizeof(hf_ctl_commands[0]);
