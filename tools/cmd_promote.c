// SPDX-License-Identifier: MIT
/*
 * cmd_promote - holdfast promote and failover: give volumes a new primary, print the certificates.
 *
 * A host becomes primary by its own daemon. Without --to the choice falls here: an in-sync host other than the present
 * primary that answers, a full leg before a fragment (it reads at local speed), then the one that is primary of least.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "client.h"
#include "commands.h"
#include "ctl/ctl_proto.h"
#include "merge.h"
#include "output.h"

struct promote_words {
	const char *to;
	bool dry_run, accept_data_loss;
};

/* certificate */

static void format_last(const json_t *row, char out[CELL_MAX])
{
	if (field_bool(row, "answered"))
		snprintf(out, CELL_MAX, "%lld/%lld", field_number(row, "last_epoch"), field_number(row, "last_seq"));
	else
		strcpy(out, "-");
}

static void format_vote(const json_t *row, char out[CELL_MAX])
{
	const char *vote = !field_bool(row, "answered") ? "no answer" : !field_bool(row, "valid") ? "refused" :
			   field_bool(row, "suspect")	? "suspect" : "valid";

	strcpy(out, vote);
}

static const struct column leg_columns[] = {
	{ .title = "HOST", .key = "host" },
	{ .title = "LEG", .key = "kind" },
	{ .title = "VOTE", .key = "valid", .format = format_vote },
	{ .title = "ACTIVATED", .key = "activated", .right = true },
	{ .title = "LAST", .key = "last_seq", .format = format_last, .right = true },
	{ .title = "COMMITTED", .key = "commit", .right = true },
	{ .title = "REMARK", .key = "reason" },
};

static void print_cut(const json_t *cut)
{
	char why[CELL_MAX];
	long long count = field_number(cut, "count");

	if (count == 0)
		printf("cut            nothing\n");
	else
		printf("cut            %lld ops that nobody acknowledged, %lld to %lld: %s\n", count,
		       field_number(cut, "from"), field_number(cut, "to"), field_text(cut, "why", why));
}

static void print_extents(const json_t *cert)
{
	const json_t *list = json_object_get(cert, "extents");
	long long total = field_number(cert, "extent_count");

	if (total == 0)
		return;
	printf("at risk        %lld extents, in 4096-byte blocks\n", total);
	for (size_t i = 0; i < json_array_size(list); i++)
		printf("  %lld+%lld\n", field_number(json_array_get(list, i), "lba"),
		       field_number(json_array_get(list, i), "blocks"));
}

static void print_phases(json_t *phases)
{
	const char *name;
	json_t *ms;

	printf("milliseconds  ");
	json_object_foreach(phases, name, ms)
		printf(" %s %.1f", name, json_number_value(ms));
	putchar('\n');
}

static void print_certificate(const json_t *cert)
{
	const json_t *decided = json_object_get(cert, "decided");
	char text[CELL_MAX], more[CELL_MAX];

	printf("volume         %s\n", field_text(cert, "volume", text));
	printf("outcome        %s\n", field_text(cert, "outcome", text));
	if (json_is_string(json_object_get(cert, "refusal")))
		printf("refused        %s\n", field_text(cert, "refusal", text));
	if (json_is_string(json_object_get(cert, "do")))
		printf("to do          %s\n", field_text(cert, "do", text));
	printf("primary        %s, before %s\n", field_text(cert, "primary", text),
	       field_text(cert, "from_primary", more));
	printf("epoch          %lld, before %lld\n", field_number(cert, "epoch"), field_number(cert, "from_epoch"));
	printf("legs asked\n");
	output_table(leg_columns, sizeof(leg_columns) / sizeof(leg_columns[0]), json_object_get(cert, "legs"), 2);
	printf("acknowledged   at most seq %lld; known to be committed: %lld\n", field_number(cert, "acked_at_most"),
	       field_number(cert, "committed"));
	printf("decided        seq %lld of epoch %lld\n", field_number(decided, "seq"), field_number(decided, "epoch"));
	print_cut(json_object_get(cert, "cut"));
	printf("ops lost       %lld\n", field_number(cert, "ops_lost"));
	print_extents(cert);
	print_phases(json_object_get(cert, "phases_ms"));
}

static int exit_code_of(const json_t *cert)
{
	const char *outcome = json_string_value(json_object_get(cert, "outcome"));

	return outcome && strcmp(outcome, "refused") == 0 ? HF_EXIT_UNSAFE : HF_EXIT_OK;
}

/* the choice of a host */

struct choice {
	const struct daemon *daemon;
	bool full;
	size_t primaries;
};

static size_t primaries_of(const json_t *volumes, const char *host)
{
	size_t n = 0;

	for (size_t i = 0; i < json_array_size(volumes); i++) {
		const char *primary = json_string_value(json_object_get(json_array_get(volumes, i), "primary"));

		n += primary && strcmp(primary, host) == 0;
	}
	return n;
}

/* Which daemons answer, each asked once: one that is frozen takes its time. */
struct pings {
	bool asked[DAEMONS_MAX], ok[DAEMONS_MAX];
};

static bool answers(const struct context *cx, const struct daemons *all, const struct daemon *d, struct pings *p)
{
	struct context quick = *cx;
	size_t i = (size_t)(d - all->at);
	struct answer a;

	if (p->asked[i])
		return p->ok[i];
	quick.timeout_s = 2;
	a = client_call(&quick, d, "ping", NULL);
	p->asked[i] = true;
	p->ok[i] = a.exit_code == HF_EXIT_OK;
	answer_fini(&a);
	return p->ok[i];
}

static bool is_better(const struct choice *a, const struct choice *b)
{
	return !b->daemon || a->full > b->full || (a->full == b->full && a->primaries < b->primaries);
}

/* The host to promote `volume` on; NULL: none of its in-sync hosts answers. */
static const struct daemon *choose(const struct context *cx, const struct daemons *all, const json_t *volume,
				   const json_t *volumes, struct pings *p)
{
	const char *primary = json_string_value(json_object_get(volume, "primary"));
	const json_t *legs = json_object_get(volume, "legs");
	struct choice best = { 0 };

	for (size_t i = 0; i < json_array_size(legs); i++) {
		const json_t *leg = json_array_get(legs, i);
		const char *host = json_string_value(json_object_get(leg, "host"));
		const char *state = json_string_value(json_object_get(leg, "state"));
		const char *kind = json_string_value(json_object_get(leg, "kind"));
		struct choice c = { .daemon = host ? client_find(all, host) : NULL };

		if (!c.daemon || !state || strcmp(state, "insync") != 0 || (primary && strcmp(primary, host) == 0))
			continue;
		c.full = kind && strcmp(kind, "full") == 0;
		c.primaries = primaries_of(volumes, host);
		if (is_better(&c, &best) && answers(cx, all, c.daemon, p))
			best = c;
	}
	return best.daemon;
}

static struct answer promote_at(const struct context *cx, const struct daemon *d, const char *volume,
				const struct promote_words *w)
{
	return client_call(cx, d, "promote",
			   json_pack("{s:s, s:b, s:b}", "name", volume, "dry_run", w->dry_run, "accept_data_loss",
				     w->accept_data_loss));
}

static struct answer no_host(const char *volume)
{
	return answer_failed(HF_EXIT_UNREACHABLE, "EHOSTDOWN", "promote volume", volume,
			     "no other host with an in-sync leg of it answers",
			     "start one of its hosts, or name one by --to");
}

/* Promote one volume, on --to, the only daemon there is, or the best one. */
static struct answer promote(const struct context *cx, const struct daemons *all, const char *volume,
			     const struct promote_words *w)
{
	const struct daemon *d = w->to ? client_find(all, w->to) : NULL;
	struct answer shown, list, a;
	struct pings p = { 0 };

	if (d)
		return promote_at(cx, d, volume, w);
	if (w->to && all->at[0].host[0])
		return answer_failed(HF_EXIT_NOT_FOUND, "ENOENT", "promote volume", volume,
				     "the host in --to is not of this cluster", "see holdfast host list");
	if (!all->at[0].host[0]) {
		json_t *args = json_pack("{s:s, s:b, s:b, s:s*}", "name", volume, "dry_run", w->dry_run,
					 "accept_data_loss", w->accept_data_loss, "to", w->to);

		return client_call(cx, &all->at[0], "promote", args);
	}
	shown = client_call_any(cx, all, "volume.show", json_pack("{s:s}", "name", volume));
	if (shown.exit_code != HF_EXIT_OK)
		return shown;
	list = client_call_any(cx, all, "volume.list", NULL);
	d = choose(cx, all, shown.result, json_object_get(list.result, "volumes"), &p);
	a = d ? promote_at(cx, d, volume, w) : no_host(volume);
	answer_fini(&shown);
	answer_fini(&list);
	return a;
}

struct answer promote_volume(const struct context *cx, const struct daemons *all, const char *volume, const char *to)
{
	const struct promote_words w = { .to = to };

	return promote(cx, all, volume, &w);
}

static const struct option_spec *promote_specs(struct promote_words *w, struct option_spec specs[4])
{
	specs[0] = (struct option_spec){ "--to", OPTION_TEXT, &w->to };
	specs[1] = (struct option_spec){ "--dry-run", OPTION_FLAG, &w->dry_run };
	specs[2] = (struct option_spec){ "--accept-data-loss", OPTION_FLAG, &w->accept_data_loss };
	specs[3] = (struct option_spec){ NULL, OPTION_FLAG, NULL };
	return specs;
}

static int check_words(const struct promote_words *w, const char *what, const char *name)
{
	struct hf_errmsg err;

	if (hf_name_check(what, name, &err) < 0 || (w->to && hf_name_check("host in --to", w->to, &err) < 0))
		return complain(HF_EXIT_USAGE, "%s", err.text);
	if (w->dry_run && w->accept_data_loss)
		return complain(HF_EXIT_USAGE, "--dry-run changes nothing, so there is no data loss to accept");
	return 0;
}

int cmd_promote(struct context *cx, const struct command *self, int argc, char **argv)
{
	struct promote_words w = { 0 };
	struct option_spec specs[4];
	struct operands words;
	struct daemons all;
	struct answer a;
	int code = args_parse(cx, self, argc, argv, promote_specs(&w, specs), &words, 1, 1);

	if (code == 0)
		code = check_words(&w, "volume name", words.at[0]);
	if (code == 0)
		code = client_daemons(cx, &all);
	if (code)
		return code;
	if (all.count > 1 && w.to && !client_find(&all, w.to))
		return complain(HF_EXIT_NOT_FOUND, "the cluster has no host '%s': see holdfast host list", w.to);
	a = promote(cx, &all, words.at[0], &w);
	if (a.exit_code != HF_EXIT_OK)
		return answer_complain(cx, &a);
	if (cx->json)
		output_json(a.result);
	else
		print_certificate(a.result);
	code = exit_code_of(a.result);
	answer_fini(&a);
	return code;
}

/* failover */

#define TOGETHER 32u			/* volumes that are promoted at one time: each waits for leases, mostly */

/* One volume of the lost host. */
struct lost_volume {
	const char *name;		/* borrowed from the list */
	int tolerance;
	const struct daemon *daemon;	/* where it is promoted; NULL: nobody can */
	struct answer a;
};

struct failover {
	const struct context *cx;
	const struct daemons *all;
	const struct promote_words *w;
	struct lost_volume *volume;
	size_t count, next;		/* next: not begun yet */
	pthread_mutex_t lock;		/* of next */
};

/* What stands the fewest further faults comes first. */
static int by_tolerance(const void *a, const void *b)
{
	const struct lost_volume *x = a, *y = b;

	return x->tolerance != y->tolerance ? x->tolerance - y->tolerance : strcmp(x->name, y->name);
}

static void *promote_some(void *ctx)
{
	struct failover *f = ctx;

	for (;;) {
		struct lost_volume *v = NULL;

		pthread_mutex_lock(&f->lock);
		if (f->next < f->count)
			v = &f->volume[f->next++];
		pthread_mutex_unlock(&f->lock);
		if (!v)
			return NULL;
		if (v->daemon)
			v->a = promote_at(f->cx, v->daemon, v->name, f->w);
		else
			v->a = promote(f->cx, f->all, v->name, f->w);	/* by one socket, or it says why not */
	}
}

/* Whose volumes are they, and where do they go? Each choice counts for the next. */
static bool plan_failover(struct failover *f, json_t *volumes, const char *host)
{
	struct pings p = { 0 };

	f->volume = calloc(json_array_size(volumes) + 1, sizeof(*f->volume));
	if (!f->volume)
		return false;
	for (size_t i = 0; i < json_array_size(volumes); i++) {
		json_t *v = json_array_get(volumes, i);
		const char *name = json_string_value(json_object_get(v, "name"));
		const char *primary = json_string_value(json_object_get(v, "primary"));
		struct lost_volume *x = &f->volume[f->count];

		if (!name || !primary || strcmp(primary, host) != 0)
			continue;
		*x = (struct lost_volume){ .name = name,
					   .tolerance = (int)json_integer_value(json_object_get(v, "tolerance")) };
		x->daemon = f->w->to		    ? client_find(f->all, f->w->to)
			    : f->all->at[0].host[0] ? choose(f->cx, f->all, v, volumes, &p)
						    : NULL;
		if (x->daemon)
			json_object_set_new(v, "primary", json_string(x->daemon->host));
		f->count++;
	}
	qsort(f->volume, f->count, sizeof(*f->volume), by_tolerance);
	return true;
}

static void promote_all(struct failover *f)
{
	pthread_t thread[TOGETHER];
	size_t n = 0;

	while (n + 1 < TOGETHER && n + 1 < f->count && pthread_create(&thread[n], NULL, promote_some, f) == 0)
		n++;
	promote_some(f);
	while (n > 0)
		pthread_join(thread[--n], NULL);
}

/* Its certificate, or its error, to `out`; the exit code. */
static int tell_volume(const struct context *cx, struct lost_volume *v, json_t *out)
{
	int code = v->a.exit_code;

	if (code != HF_EXIT_OK) {
		json_array_append_new(out, json_pack("{s:s, s:O}", "volume", v->name, "error", v->a.error));
		if (cx->json)
			answer_fini(&v->a);
		else
			(void)answer_complain(cx, &v->a);
		return code;
	}
	if (!cx->json) {
		print_certificate(v->a.result);
		putchar('\n');
	}
	code = exit_code_of(v->a.result);
	json_array_append(out, v->a.result);
	answer_fini(&v->a);
	return code;
}

int cmd_failover(struct context *cx, const struct command *self, int argc, char **argv)
{
	struct promote_words w = { 0 };
	struct option_spec specs[4];
	struct operands words;
	struct daemons all;
	struct answer list;
	json_t *out;
	int code = args_parse(cx, self, argc, argv, promote_specs(&w, specs), &words, 1, 1);
	struct failover f = { .cx = cx, .all = &all, .w = &w, .lock = PTHREAD_MUTEX_INITIALIZER };

	if (code == 0)
		code = check_words(&w, "host name", words.at[0]);
	if (code == 0 && w.accept_data_loss)
		code = complain(HF_EXIT_USAGE,
				"data loss is accepted volume by volume: holdfast promote VOLUME --accept-data-loss");
	if (code == 0 && w.to && strcmp(w.to, words.at[0]) == 0)
		code = complain(HF_EXIT_USAGE, "%s cannot take over from itself", w.to);
	if (code == 0)
		code = client_daemons(cx, &all);
	if (code)
		return code;
	list = client_call_any(cx, &all, "host.show", json_pack("{s:s}", "name", words.at[0]));
	if (list.exit_code == HF_EXIT_OK) {
		answer_fini(&list);
		list = client_call_any(cx, &all, "volume.list", NULL);
	}
	if (list.exit_code != HF_EXIT_OK)
		return answer_complain(cx, &list);
	out = json_array();
	if (!plan_failover(&f, json_object_get(list.result, "volumes"), words.at[0]))
		code = complain(HF_EXIT_FAILED, "no memory for a list of volumes");
	promote_all(&f);
	for (size_t i = 0; i < f.count; i++) {
		int rc = tell_volume(cx, &f.volume[i], out);

		code = code > rc ? code : rc;
	}
	if (cx->json)
		output_json(out);
	else
		printf("%s was primary of %zu volumes\n", words.at[0], f.count);
	free(f.volume);
	json_decref(out);
	answer_fini(&list);
	return code;
}
