// SPDX-License-Identifier: MIT
/* merge - one answer from many daemons. */
#include "merge.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "ctl/ctl_proto.h"
#include "output.h"

static bool is_named(const json_t *object, const char *key, const char *name)
{
	const char *own = json_string_value(json_object_get(object, key));

	return own && name && strcmp(own, name) == 0;
}

static void replace_volume(json_t *into, const char *name, json_t *volume)
{
	json_t *list = json_object_get(into, "volumes");

	for (size_t i = 0; i < json_array_size(list); i++) {
		if (!is_named(json_array_get(list, i), "name", name))
			continue;
		json_array_set(list, i, volume);
		return;
	}
	json_array_append(list, volume);
}

/* The problems of one volume, as `from` sees them, in place of those in `into`. Critical ones stay in front. */
static void replace_problems(json_t *into, const json_t *from, const char *name)
{
	json_t *list = json_object_get(into, "problems"), *news = json_object_get(from, "problems");

	for (size_t i = json_array_size(list); i-- > 0;)
		if (is_named(json_array_get(list, i), "object", name))
			json_array_remove(list, i);
	for (size_t i = 0; i < json_array_size(news); i++) {
		json_t *problem = json_array_get(news, i);

		if (!is_named(problem, "object", name))
			continue;
		if (is_named(problem, "severity", "critical"))
			json_array_insert(list, 0, problem);
		else
			json_array_append(list, problem);
	}
}

static void take_live(json_t *into, const json_t *from)
{
	const json_t *list = json_object_get(from, "volumes");

	for (size_t i = 0; i < json_array_size(list); i++) {
		json_t *volume = json_array_get(list, i);
		const char *name = json_string_value(json_object_get(volume, "name"));

		if (!name || !field_bool(volume, "live"))
			continue;
		replace_volume(into, name, volume);
		replace_problems(into, from, name);
	}
}

/* What a host says of itself: that it cannot reach the cluster store. */
static void take_own_problems(json_t *into, const json_t *from)
{
	const json_t *news = json_object_get(from, "problems");
	const char *self = json_string_value(json_object_get(from, "host"));

	for (size_t i = 0; i < json_array_size(news); i++)
		if (is_named(json_array_get(news, i), "object", self))
			json_array_append(json_object_get(into, "problems"), json_array_get(news, i));
}

struct answer merge_all(const struct context *cx, const struct daemons *all, const char *cmd)
{
	struct answer merged =
		answer_failed(HF_EXIT_UNREACHABLE, "EHOSTDOWN", "reach a daemon", NULL, "there is no host", NULL);

	for (size_t i = 0; i < all->count; i++) {
		struct answer a = client_call(cx, &all->at[i], cmd, NULL);

		if (a.exit_code == HF_EXIT_OK && merged.exit_code == HF_EXIT_OK) {
			take_live(merged.result, a.result);
			take_own_problems(merged.result, a.result);
		} else if (merged.exit_code != HF_EXIT_OK) {
			answer_fini(&merged);
			merged = a;
			continue;
		}
		answer_fini(&a);
	}
	return merged;
}

static int compare_times(const void *a, const void *b)
{
	const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
	const char *s = json_string_value(json_object_get(x, "time")),
		   *t = json_string_value(json_object_get(y, "time"));
	int order = strcmp(s ? s : "", t ? t : "");
	long long m = field_number(x, "n"), n = field_number(y, "n");

	return order ? order : (m > n) - (m < n);
}

/* The newest `count` of `list`, sorted. */
static json_t *newest(const json_t *list, size_t count)
{
	size_t have = json_array_size(list);
	json_t **sorted = calloc(have + 1, sizeof(*sorted)), *out = json_array();

	hf_assert(sorted && out);
	for (size_t i = 0; i < have; i++)
		sorted[i] = json_array_get(list, i);
	qsort(sorted, have, sizeof(*sorted), compare_times);
	for (size_t i = have > count ? have - count : 0; i < have; i++)
		json_array_append(out, sorted[i]);
	free(sorted);
	return out;
}

struct answer merge_events(const struct context *cx, const struct daemons *all, const char *volume, unsigned count)
{
	struct answer merged =
		answer_failed(HF_EXIT_UNREACHABLE, "EHOSTDOWN", "reach a daemon", NULL, "there is no host", NULL);
	json_t *events = json_array();
	bool answered = false;

	for (size_t i = 0; i < all->count; i++) {
		struct answer a = client_call(cx, &all->at[i], "events",
					      json_pack("{s:i, s:s*}", "count", (int)count, "volume", volume));

		if (a.exit_code == HF_EXIT_OK) {
			json_array_extend(events, json_object_get(a.result, "events"));
			answered = true;
			answer_fini(&a);
		} else {
			answer_fini(&merged);
			merged = a;
		}
	}
	if (answered) {
		answer_fini(&merged);
		merged.result = json_pack("{s:o}", "events", newest(events, count));
	}
	json_decref(events);
	return merged;
}
