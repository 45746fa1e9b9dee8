// SPDX-License-Identifier: MIT
/* torture_report - what a run has seen, as tables or as one JSON object. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "merge.h"
#include "output.h"
#include "torture.h"

#define EVENTS_MAX 10000u		/* of the cluster, the newest */

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Nearest rank. */
static double percentile(const double *sorted, size_t count, unsigned percent)
{
	size_t rank = (count * percent + 99) / 100;

	return count ? sorted[rank ? rank - 1 : 0] : 0;
}

/* {"count","p50","p99","max"} of the stalls or failovers of one kind, or of all (kind < 0). */
static json_t *distribution(const struct torture *t, int kind, bool failover)
{
	double *v = malloc((t->events + 1) * sizeof(*v));
	size_t n = 0;
	json_t *d;

	for (size_t i = 0; v && i < t->events; i++) {
		const struct torture_event *e = &t->event[i];

		if ((kind < 0 || e->kind == (unsigned)kind) && (!failover || e->failover_ms > 0))
			v[n++] = failover ? e->failover_ms : e->stall_ms;
	}
	if (v)
		qsort(v, n, sizeof(*v), by_size);
	d = json_pack("{s:I, s:I, s:I, s:I}", "count", (json_int_t)n, "p50", (json_int_t)percentile(v, n, 50), "p99",
		      (json_int_t)percentile(v, n, 99), "max", (json_int_t)percentile(v, n, 100));
	free(v);
	return d;
}

static json_t *faults_json(const struct torture *t)
{
	json_t *list = json_array();

	for (size_t i = 0; i < torture_kinds(); i++)
		if (t->done[i] || t->skipped[i])
			json_array_append_new(list, json_pack("{s:s, s:I, s:o, s:o, s:s?}", "kind",
							      torture_kind_name(i), "count", (json_int_t)t->done[i],
							      "stall_ms", distribution(t, (int)i, false), "failover_ms",
							      distribution(t, (int)i, true), "skipped",
							      t->done[i] ? NULL : t->skipped[i]));
	return list;
}

static json_t *events_json(const struct torture *t)
{
	json_t *list = json_array();

	for (size_t i = 0; i < t->events; i++) {
		const struct torture_event *e = &t->event[i];

		json_array_append_new(list, json_pack("{s:I, s:f, s:s, s:s, s:I, s:I}", "number", (json_int_t)i + 1,
						      "seconds", e->at_s, "kind", torture_kind_name(e->kind), "what",
						      e->what, "stall_ms", (json_int_t)e->stall_ms, "failover_ms",
						      (json_int_t)e->failover_ms));
	}
	return list;
}

static json_t *tolerance_json(const struct torture *t)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < TORTURE_TOLERANCES; i++)
		if (t->tolerance_ns[i])
			json_array_append_new(list, json_pack("{s:o, s:I}", "tolerance",
							      i ? json_integer((int)i - 2) : json_null(), "ms",
							      (json_int_t)(t->tolerance_ns[i] / 1000000)));
	return list;
}

static json_t *findings_json(const struct torture *t)
{
	struct oracle_finding found[ORACLE_FINDINGS_MAX];
	size_t n = load_findings(t->load, found);
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		const struct oracle_finding *f = &found[i];
		size_t at = (size_t)f->after;
		const char *kind = at && at <= t->events ? torture_kind_name(t->event[at - 1].kind) : "none";

		json_array_append_new(list,
				      json_pack("{s:s, s:I, s:I, s:I, s:I, s:s}", "what", oracle_fault_name(f->what),
						"block", (json_int_t)f->block, "expected", (json_int_t)f->expected,
						"found", (json_int_t)f->found, "fault", (json_int_t)f->after, "kind",
						kind));
	}
	return list;
}

/* How many events of each kind the daemons wrote. */
static json_t *cluster_json(const struct torture *t)
{
	struct answer a = merge_events(&t->cx, &t->daemons, TORTURE_VOLUME, EVENTS_MAX);
	const json_t *events = json_object_get(a.result, "events");
	json_t *counts = json_object();

	for (size_t i = 0; i < json_array_size(events); i++) {
		const char *kind = json_string_value(json_object_get(json_array_get(events, i), "kind"));

		if (kind)
			json_object_set_new(counts, kind,
					    json_integer(json_integer_value(json_object_get(counts, kind)) + 1));
	}
	answer_fini(&a);
	return counts;
}

static json_t *whole_json(const struct torture *t, const struct load_figures *f, bool ok, bool kept)
{
	json_t *o = json_pack("{s:b, s:I, s:s, s:s, s:I, s:f}", "ok", ok, "seed", (json_int_t)t->opt.seed, "layout",
			      t->opt.layout, "local", t->opt.local, "hosts", (json_int_t)t->hosts, "seconds",
			      (double)(torture_now_ns() - t->begun_ns) / 1e9);
	const struct {
		const char *name;
		uint64_t value;
	} number[] = {
		{ "faults_total", t->events }, { "kills", t->kills }, { "acked", f->acked },
		{ "blocks_written", f->blocks_written }, { "unanswered", f->unanswered },
		{ "acked_late", f->late }, { "blocks_judged", f->judged }, { "overheard", f->overheard },
		{ "sessions", f->sessions }, { "lost", f->found[ORACLE_LOST] }, { "stale", f->found[ORACLE_STALE] },
		{ "wrong", f->found[ORACLE_WRONG] }, { "torn", f->found[ORACLE_TORN] }, { "errors", f->errors },
	};

	for (size_t i = 0; i < sizeof(number) / sizeof(number[0]); i++)
		json_object_set_new(o, number[i].name, json_integer((json_int_t)number[i].value));
	json_object_set_new(o, "failover_ms", distribution(t, -1, true));
	json_object_set_new(o, "stall_ms", distribution(t, -1, false));
	json_object_set_new(o, "faults", faults_json(t));
	json_object_set_new(o, "events", events_json(t));
	json_object_set_new(o, "tolerance", tolerance_json(t));
	json_object_set_new(o, "cluster_events", cluster_json(t));
	json_object_set_new(o, "findings", findings_json(t));
	json_object_set_new(o, "stuck", t->stuck[0] ? json_string(t->stuck) : json_null());
	json_object_set_new(o, "evidence", kept ? json_string(t->dir) : json_null());
	return o;
}

/* words */

static void format_part(const json_t *row, const char *key, const char *part, char out[CELL_MAX])
{
	const json_t *d = json_object_get(row, key);

	if (field_number(d, "count") == 0)
		strcpy(out, "-");
	else
		snprintf(out, CELL_MAX, "%lld", field_number(d, part));
}

#define FORMAT(name, key, part) \
	static void name(const json_t *row, char out[CELL_MAX]) \
	{ \
		format_part(row, key, part, out); \
	}
FORMAT(format_stall_50, "stall_ms", "p50")
FORMAT(format_stall_99, "stall_ms", "p99")
FORMAT(format_stall_max, "stall_ms", "max")
FORMAT(format_failover_50, "failover_ms", "p50")
FORMAT(format_failover_99, "failover_ms", "p99")
FORMAT(format_failover_max, "failover_ms", "max")

static void format_tolerance(const json_t *row, char out[CELL_MAX])
{
	if (json_is_null(json_object_get(row, "tolerance")))
		strcpy(out, "not served");
	else
		snprintf(out, CELL_MAX, "%lld", field_number(row, "tolerance"));
}

static void print_tables(const json_t *o)
{
	static const struct column fault[] = {
		{ .title = "FAULT", .key = "kind" },
		{ .title = "COUNT", .key = "count", .right = true },
		{ .title = "STALL P50", .key = "stall_ms", .format = format_stall_50, .right = true },
		{ .title = "P99", .key = "stall_ms", .format = format_stall_99, .right = true },
		{ .title = "MAX MS", .key = "stall_ms", .format = format_stall_max, .right = true },
		{ .title = "FAILOVER P50", .key = "failover_ms", .format = format_failover_50, .right = true },
		{ .title = "P99", .key = "failover_ms", .format = format_failover_99, .right = true },
		{ .title = "MAX MS", .key = "failover_ms", .format = format_failover_max, .right = true },
		{ .title = "SKIPPED", .key = "skipped" },
	};
	static const struct column tolerance[] = {
		{ .title = "TOLERANCE", .key = "tolerance", .format = format_tolerance },
		{ .title = "MS", .key = "ms", .right = true },
	};

	putchar('\n');
	output_table(fault, sizeof(fault) / sizeof(fault[0]), json_object_get(o, "faults"), 0);
	putchar('\n');
	output_table(tolerance, sizeof(tolerance) / sizeof(tolerance[0]), json_object_get(o, "tolerance"), 0);
}

static void print_numbers(json_t *o)
{
	json_t *events = json_object_get(o, "cluster_events"), *count;
	const char *kind;

	printf("\nseed             %lld\n", field_number(o, "seed"));
	printf("faults           %lld, of which %lld processes killed\n", field_number(o, "faults_total"),
	       field_number(o, "kills"));
	printf("acknowledged     %lld writes of %lld blocks; %lld had no answer, %lld a late one\n",
	       field_number(o, "acked"), field_number(o, "blocks_written"), field_number(o, "unanswered"),
	       field_number(o, "acked_late"));
	printf("judged           %lld blocks read, %lld of them by readers that stayed with a host\n",
	       field_number(o, "blocks_judged"), field_number(o, "overheard"));
	printf("events          ");
	json_object_foreach(events, kind, count)
		printf(" %s %lld", kind, (long long)json_integer_value(count));
	printf("\nlost %lld, stale %lld, wrong %lld, torn %lld, errors %lld\n", field_number(o, "lost"),
	       field_number(o, "stale"), field_number(o, "wrong"), field_number(o, "torn"),
	       field_number(o, "errors"));
}

static void print_findings(const json_t *o)
{
	const json_t *list = json_object_get(o, "findings");
	char what[CELL_MAX], kind[CELL_MAX];

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *f = json_array_get(list, i);

		printf("%s: block %lld: write %lld was expected, ", field_text(f, "what", what),
		       field_number(f, "block"), field_number(f, "expected"));
		if (strcmp(what, "torn") == 0)
			printf("%lld of its blocks are there", field_number(f, "found"));
		else if (field_number(f, "found"))
			printf("write %lld was read", field_number(f, "found"));
		else
			printf("what was read was never written there");
		printf("; after fault %lld, %s\n", field_number(f, "fault"), field_text(f, "kind", kind));
	}
}

bool torture_report(struct torture *t, bool keep)
{
	struct load_figures f;
	bool ok, kept;
	json_t *o;

	load_look(t->load, &f);
	ok = !t->stuck[0] && f.total_found == 0 && f.errors == 0;
	kept = keep && !ok;
	o = whole_json(t, &f, ok, kept);
	if (t->cx.json) {
		output_json(o);
	} else {
		print_tables(o);
		print_numbers(o);
		print_findings(o);
		if (t->stuck[0])
			printf("stuck: %s\n", t->stuck);
	}
	if (!ok)
		fprintf(stderr, kept ? "holdfast: the cluster's directory is kept: %s\n"
				     : "holdfast: %s is removed; --keep keeps what a failed run leaves\n", t->dir);
	json_decref(o);
	return ok;
}
