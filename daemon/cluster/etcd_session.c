// SPDX-License-Identifier: MIT
/* etcd_session - requests of the cluster store as calls of etcd. */
#include "cluster/etcd_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define LEASE_MARGIN_MS 2000u /* etcd takes its time to see that a lease is over */
#define NAME_RETRY_MS 250u
#define NAME_TRIES 4u			/* while the key comes and goes */
#define FAREWELL_MS 500u

/* answers */

static uint64_t seen(struct hf_etcd_session *s)
{
	uint64_t revision;

	pthread_mutex_lock(&s->lock);
	revision = s->seen;
	pthread_mutex_unlock(&s->lock);
	return revision;
}

/*
 * A linearizable answer is at least as new as any that came before the question, and a change newer: `least`. One that
 * is older comes from another life of the store (H26). From then on nothing of it is believed: its revision soon
 * catches up.
 */
static int believe(struct hf_etcd_session *s, struct hf_etcd_conn *c, const struct hf_etcd_header *h, uint64_t least,
		   struct hf_errmsg *err)
{
	int rc = hf_etcd_same_cluster(c, h->cluster, err);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&s->lock);
	if (h->revision < least && !s->went_back.text[0])
		hf_fail(&s->went_back, -EUCLEAN,
			"etcd went back to revision %llu when it had been at %llu: it was restored from an old copy; "
			"put the newer one back, or restart holdfastd: the legs then say what is missing",
			(unsigned long long)h->revision, (unsigned long long)least);
	if (h->revision > s->seen)
		s->seen = h->revision;
	pthread_mutex_unlock(&s->lock);
	return h->revision < least ? hf_fail(err, -EUCLEAN, "etcd went back") : 0;
}

/* Once for every request, before and after: a store that went back while it was asked is not believed either. */
static int need_same_life(struct hf_etcd_session *s, struct hf_errmsg *err)
{
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	if (s->went_back.text[0]) {
		*err = s->went_back;
		rc = -EUCLEAN;
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

/* Not etcd's words: what is wrong with them. */
static int not_etcd(const struct hf_etcd_conn *c, int rc, const struct hf_errmsg *what, struct hf_errmsg *err)
{
	return hf_fail(err, rc, "%s: the answer is not believed: %s", c->from, what->text);
}

static int call_and_free(struct hf_etcd_conn *c, const char *path, char *body, enum hf_etcd_how how,
			 struct hf_errmsg *err)
{
	int rc = hf_etcd_call(c, path, body, how, err);

	free(body);
	return rc;
}

/* A page of rows, or the one row of a key. */
static int range(struct hf_etcd_session *s, struct hf_etcd_conn *c, const char *prefix, const char *key_prefix,
		 const char *after, char *body, struct hf_cluster_rows *rows, struct hf_etcd_range *out,
		 struct hf_errmsg *err)
{
	uint64_t floor = seen(s);
	struct hf_errmsg what;
	int rc = call_and_free(c, "/v3/kv/range", body, HF_ETCD_AGAIN, err);

	if (rc < 0)
		return rc;
	rc = hf_etcd_range_parse(c->text, c->len, prefix, key_prefix, after, rows, out, &what);
	return rc < 0 ? not_etcd(c, rc, &what, err) : believe(s, c, &out->header, floor, err);
}

static int get(struct hf_etcd_session *s, struct hf_etcd_conn *c, const char *prefix, const char *key,
	       struct hf_cluster_rows *rows, struct hf_errmsg *err)
{
	struct hf_etcd_range page;
	int rc = range(s, c, prefix, key, NULL, hf_etcd_get_text(prefix, key, false), rows, &page, err);

	if (rc == 0 && (rows->count > 1 || (rows->count == 1 && strcmp(rows->item[0].key, key) != 0)))
		rc = hf_fail(err, -EPROTO, "%s: the answer is not believed: it has other keys than the one asked for",
			     c->from);
	if (rc == 0 && rows->count == 0)
		rc = -ENOENT;
	if (rc < 0)
		hf_cluster_rows_fini(rows);
	return rc == -ERANGE ? -EIO : rc;	/* no revision was asked for */
}

/* All pages as they were at the first one's revision. */
static int list(struct hf_etcd_session *s, struct hf_etcd_conn *c, const char *prefix, const char *key_prefix,
		bool keys_only, struct hf_cluster_rows *rows, struct hf_errmsg *err)
{
	struct hf_etcd_range page = { .more = true };
	uint64_t revision = 0;
	int rc = 0;

	while (rc == 0 && page.more) {
		const char *after = rows->count ? rows->item[rows->count - 1].key : NULL;
		char *body = hf_etcd_list_text(prefix, key_prefix, after, revision, keys_only);

		rc = range(s, c, prefix, key_prefix, after, body, rows, &page, err);
		if (rc == 0 && revision == 0)
			revision = page.header.revision;
	}
	if (rc < 0)
		hf_cluster_rows_fini(rows);
	return rc == -ERANGE ? -EAGAIN : rc; /* compacted between two pages */
}

/* -ESTALE with *found: the version that the key has. */
static int compare_and_swap(struct hf_etcd_session *s, struct hf_etcd_conn *c, const char *prefix, const char *key,
			    uint64_t ver, const char *was, const char *value, uint64_t lease, uint64_t *out_ver,
			    uint64_t *found,
			    struct hf_errmsg *err)
{
	uint64_t floor = seen(s);
	struct hf_etcd_cas cas;
	struct hf_errmsg what;
	int rc = call_and_free(c, "/v3/kv/txn", hf_etcd_cas_text(prefix, key, ver, was, value, lease), HF_ETCD_ONCE,
			       err);

	if (rc < 0)
		return rc == -ERANGE ? -EIO : rc;
	rc = hf_etcd_cas_parse(c->text, c->len, ver, was != NULL, &cas, &what);
	rc = rc < 0 ? not_etcd(c, rc, &what, err) : believe(s, c, &cas.header, floor + (cas.succeeded && value), err);
	if (rc < 0)
		return rc;
	*found = cas.found_ver;
	if (!cas.succeeded)
		return -ESTALE;
	*out_ver = cas.header.revision;
	return 0;
}

/* The first request to a fresh store makes it the store of a cluster; of several daemons one wins. */
static int need_identity(struct hf_etcd_session *s, struct hf_etcd_conn *c, struct hf_errmsg *err)
{
	struct hf_cluster_rows rows = { 0 };
	char uuid[HF_UUID_TEXT];
	uint64_t ver, found;
	bool has;
	int rc;

	pthread_mutex_lock(&s->lock);
	has = s->has_identity;
	pthread_mutex_unlock(&s->lock);
	if (has)
		return 0;
	/* Looked for first: an etcd that is full, but not fresh, can still be read. */
	rc = get(s, c, s->data, "cluster", &rows, err);
	hf_cluster_rows_fini(&rows);
	if (rc == -ENOENT)
		rc = compare_and_swap(s, c, s->data, "cluster", 0, NULL, hf_uuid_format(&s->fresh_uuid, uuid), 0, &ver,
				      &found, err);
	if (rc < 0 && rc != -ESTALE)
		return rc;
	pthread_mutex_lock(&s->lock);
	s->has_identity = true;
	pthread_mutex_unlock(&s->lock);
	return 0;
}

/* liveness */

static int lease_call(struct hf_etcd_conn *c, const char *path, char *body, bool keep_alive, struct hf_etcd_lease *out,
		      struct hf_errmsg *err)
{
	struct hf_errmsg what;
	int rc = call_and_free(c, path, body, HF_ETCD_AGAIN, err);

	if (rc < 0)
		return rc;
	rc = hf_etcd_lease_parse(c->text, c->len, keep_alive, out, &what);
	return rc < 0 ? not_etcd(c, rc, &what, err) : hf_etcd_same_cluster(c, out->header.cluster, err);
}

static int need_lease(struct hf_etcd_session *s, struct hf_etcd_conn *c, struct hf_errmsg *err)
{
	struct hf_etcd_lease lease;
	int rc;

	if (s->lease)
		return 0;
	rc = lease_call(c, "/v3/lease/grant", hf_etcd_grant_text(HF_ETCD_LEASE_S), false, &lease, err);
	if (rc == 0) {
		s->lease = lease.id;
		s->lease_s = lease.ttl_s;
	}
	return rc;
}

/*
 * Put our key, bound to our lease. -EEXIST: another daemon's is there; -EAGAIN: one was there, and is gone or another
 * now.
 */
static int put_name(struct hf_etcd_session *s, struct hf_etcd_conn *c, const char *host, struct hf_errmsg *err)
{
	struct hf_cluster_rows rows = { 0 };
	uint64_t ver = 0, found = 0;
	int rc = compare_and_swap(s, c, s->live, host, 0, NULL, s->nonce, s->lease, &ver, &found, err);

	if (rc != -ESTALE)
		return rc;
	rc = get(s, c, s->live, host, &rows, err);
	if (rc == 0 && strcmp(rows.item[0].value, s->nonce) != 0)
		rc = -EEXIST;
	else if (rc == 0)	/* an answer was lost: whichever lease it is bound to, now it is this one */
		rc = compare_and_swap(s, c, s->live, host, rows.item[0].ver, NULL, s->nonce, s->lease, &ver, &found,
				      err);
	hf_cluster_rows_fini(&rows);
	return rc == -ENOENT || rc == -ESTALE ? -EAGAIN : rc;
}

static int claim_name(struct hf_etcd_session *s, struct hf_etcd_conn *c, const char *host, struct hf_errmsg *err)
{
	int rc = need_lease(s, c, err);

	if (rc < 0)
		return rc;
	rc = put_name(s, c, host, err);
	for (unsigned tries = 1; rc == -EAGAIN && tries < NAME_TRIES; tries++)
		rc = put_name(s, c, host, err);
	if (rc < 0 && rc != -EEXIST)
		s->lease = 0; /* it may have run out: the next try takes a new one */
	return rc;
}

/* A daemon that was killed a moment ago may still seem to live: its lease is waited for. */
static int announce(struct hf_etcd_session *s, struct hf_etcd_conn *c, const char *host, struct hf_errmsg *err)
{
	unsigned waited = 0;
	int rc;

	if (s->host[0])
		return strcmp(s->host, host) == 0 ? 0 : -EINVAL;
	while ((rc = claim_name(s, c, host, err)) == -EEXIST && waited < s->lease_s * 1000 + LEASE_MARGIN_MS) {
		struct hf_etcd_lease lease;

		/* Ours must not run out meanwhile. */
		rc = lease_call(c, "/v3/lease/keepalive", hf_etcd_lease_text(s->lease), true, &lease, err);
		if (rc < 0 || !hf_etcd_pause(c, NAME_RETRY_MS))
			return rc < 0 ? rc : -ECANCELED;
		waited += NAME_RETRY_MS;
	}
	if (rc == 0)
		snprintf(s->host, sizeof(s->host), "%s", host);
	return rc;
}

static int keep_alive(struct hf_etcd_session *s, struct hf_etcd_conn *c, struct hf_errmsg *err)
{
	struct hf_etcd_lease lease = { .ttl_s = 0 };
	int rc = 0;

	if (s->lease)
		rc = lease_call(c, "/v3/lease/keepalive", hf_etcd_lease_text(s->lease), true, &lease, err);
	if (rc < 0 || lease.ttl_s)
		return rc;
	s->lease = 0; /* etcd was away for longer than our lease */
	return claim_name(s, c, s->host, err);
}

void hf_etcd_alive_run(struct hf_etcd_session *s, struct hf_etcd_conn *c, struct hf_list *asked)
{
	struct hf_cluster_rows rows = { 0 };
	struct hf_errmsg err = { "" };
	int rc = list(s, c, s->live, "", true, &rows, &err);

	hf_list_each(asked, n)
	{
		struct hf_cluster_request *q = hf_container_of(n, struct hf_cluster_request, link);

		q->result = rc;
		q->why = err;
		for (size_t i = 0; i < rows.count; i++)
			if (strcmp(rows.item[i].key, q->key) == 0)
				q->result = 1;
	}
	hf_cluster_rows_fini(&rows);
}

/* requests */

static int run(struct hf_etcd_session *s, struct hf_etcd_conn *c, struct hf_cluster_request *q)
{
	uint64_t ver = 0, found;
	int rc;

	switch (q->kind) {
	case HF_CLUSTER_GET:
		rc = get(s, c, s->data, q->key, &q->rows, &q->why);
		q->ver = rc == 0 ? q->rows.item[0].ver : 0;
		return rc;
	case HF_CLUSTER_LIST:
		return list(s, c, s->data, q->key, false, &q->rows, &q->why);
	case HF_CLUSTER_CAS:
		rc = compare_and_swap(s, c, s->data, q->key, q->ver, q->was, q->value, 0, &ver, &found, &q->why);
		q->ver = ver;
		return rc;
	case HF_CLUSTER_ANNOUNCE:
		return announce(s, c, q->key, &q->why);
	case HF_CLUSTER_KEEP_ALIVE:
		return keep_alive(s, c, &q->why);
	case HF_CLUSTER_ALIVE:
	case HF_CLUSTER_REFUSED:
		break;
	}
	hf_unreachable();
}

void hf_etcd_request_run(struct hf_etcd_session *s, struct hf_etcd_conn *c, struct hf_cluster_request *q)
{
	int rc = need_same_life(s, &q->why);

	if (rc == 0)
		rc = need_identity(s, c, &q->why);
	if (rc == 0)
		rc = run(s, c, q);
	if (need_same_life(s, &q->why) < 0) {
		rc = -EUCLEAN;
		hf_cluster_rows_fini(&q->rows);
	}
	q->result = rc;
}

/* begin and end */

static int prefix_check(const char *prefix, struct hf_errmsg *err)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/";
	size_t len = strlen(prefix);

	if (len > 1 && len + sizeof("data/") <= HF_ETCD_PREFIX_MAX && prefix[0] == '/' && prefix[len - 1] == '/' &&
	    strspn(prefix, allowed) == len)
		return 0;
	return hf_fail(
		err, -EINVAL,
		"--etcd-prefix %s: it has to be a path like /holdfast/NAME/ of letters, digits, '.', '_' and '-', "
		"at most %zu bytes",
		prefix, HF_ETCD_PREFIX_MAX - sizeof("data/"));
}

int hf_etcd_session_init(struct hf_etcd_session *s, const struct hf_cluster_etcd_params *p,
			 const struct hf_uuid random[2], struct hf_errmsg *err)
{
	struct hf_uuid nonce = random[0];
	int rc = prefix_check(p->prefix, err);

	if (rc == 0)
		rc = hf_etcd_http_init(&s->http, p, err);
	if (rc < 0)
		return rc;
	snprintf(s->data, sizeof(s->data), "%sdata/", p->prefix);
	snprintf(s->live, sizeof(s->live), "%slive/", p->prefix);
	s->fresh_uuid = random[1];
	hf_uuid_stamp(&s->fresh_uuid);
	hf_uuid_stamp(&nonce);
	hf_uuid_format(&nonce, s->nonce);
	pthread_mutex_init(&s->lock, NULL);
	return 0;
}

void hf_etcd_session_fini(struct hf_etcd_session *s)
{
	hf_etcd_http_fini(&s->http);
	pthread_mutex_destroy(&s->lock);
}

void hf_etcd_farewell(struct hf_etcd_session *s, struct hf_etcd_conn *c)
{
	struct hf_errmsg err;

	if (!s->lease)
		return;
	atomic_store(&s->http.stopping, false);
	c->limit_ms = FAREWELL_MS;
	(void)call_and_free(c, "/v3/lease/revoke", hf_etcd_lease_text(s->lease), HF_ETCD_ONCE, &err);
}
