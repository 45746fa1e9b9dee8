// SPDX-License-Identifier: MIT
/*
 * etcd_http - one blocking POST at a time per connection, by libcurl.
 *
 * What is repeated, and what is not: libcurl itself sends a request again when a connection that it kept turns out to
 * be dead, though the server may have worked on it. So a request that may be done once only gets a new connection; and
 * it goes to another endpoint only if libcurl says that not a byte of it was sent.
 */
#include "cluster/etcd_http.h"

#include <ctype.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"

#define CONNECT_MS 1000
#define ATTEMPT_MS 2000			/* of a call that may go to another endpoint */
#define KEEP_BYTES (1u << 20)		/* of an answer's buffer, between calls */

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* set-up */

static bool is_loopback(const char *host, size_t len)
{
	return (len > 4 && strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") >= len) ||
	       (len == 5 && strncmp(host, "[::1]", 5) == 0) || (len == 9 && strncmp(host, "localhost", 9) == 0);
}

static int take_endpoint(struct hf_etcd_http *h, const char *text, size_t len, bool *tls, struct hf_errmsg *err)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]";
	size_t scheme = strncmp(text, "https://", 8) == 0 ? 8 : strncmp(text, "http://", 7) == 0 ? 7 : 0;
	const char *host = text + scheme;
	size_t host_len = *host == '[' ? strcspn(host, "],") + 1 : strcspn(host, ":,");

	if (!scheme || len <= scheme || len >= HF_ETCD_URL_MAX || strspn(host, allowed) < len - scheme)
		return hf_fail(err, -EINVAL,
			       "--cluster etcd: '%.*s' is not an endpoint: it has to be https://HOST:PORT, several of "
			       "them divided by commas", (int)(len < 100 ? len : 100), text);
	if (scheme == 7 && !is_loopback(host, host_len))
		return hf_fail(err, -EINVAL,
			       "--cluster etcd: '%.*s' would go over the network in the clear: use https:// and "
			       "--etcd-ca", (int)len, text);
	if (h->endpoint_count == HF_ETCD_ENDPOINTS_MAX)
		return hf_fail(err, -EINVAL, "--cluster etcd: more than %u endpoints", HF_ETCD_ENDPOINTS_MAX);
	snprintf(h->endpoint[h->endpoint_count++], HF_ETCD_URL_MAX, "%.*s", (int)len, text);
	*tls = *tls || scheme == 8;
	return 0;
}

static int take_file(const char *option, const char *path, char **out, struct hf_errmsg *err)
{
	if (!path)
		return 0;
	if (access(path, R_OK) < 0)
		return hf_fail(err, -EINVAL, "%s %s: %s; it has to be a PEM file that this user may read", option, path,
			       hf_strerror(errno));
	*out = strdup(path);
	return *out ? 0 : hf_fail(err, -ENOMEM, "there is not enough memory");
}

static int take_params(struct hf_etcd_http *h, const struct hf_cluster_etcd_params *p, struct hf_errmsg *err)
{
	const char *at = p->endpoints;
	bool tls = false;
	int rc = 0;

	do {
		size_t len = strcspn(at, ",");

		rc = take_endpoint(h, at, len, &tls, err);
		at += len;
	} while (rc == 0 && *at++);
	if (rc == 0 && tls && !p->ca)
		return hf_fail(err, -EINVAL,
			       "--cluster etcd: https:// needs --etcd-ca, the authority that signed etcd's "
			       "certificate");
	if (rc == 0 && !p->cert != !p->key)
		return hf_fail(err, -EINVAL, "--etcd-cert and --etcd-key belong together: one of them is missing");
	if (rc == 0 && !p->user != !p->password)
		return hf_fail(err, -EINVAL,
			       "--etcd-user and --etcd-password-file belong together: one of them is missing");
	if (rc == 0)
		rc = take_file("--etcd-ca", p->ca, &h->ca, err);
	if (rc == 0)
		rc = take_file("--etcd-cert", p->cert, &h->cert, err);
	if (rc == 0)
		rc = take_file("--etcd-key", p->key, &h->key, err);
	if (rc == 0 && p->user) {
		h->user = strdup(p->user);
		h->password = strdup(p->password);
		rc = h->user && h->password ? 0 : hf_fail(err, -ENOMEM, "there is not enough memory");
	}
	return rc;
}

static void curl_begin(void)
{
	hf_assert(curl_global_init(CURL_GLOBAL_ALL) == 0);
}

int hf_etcd_http_init(struct hf_etcd_http *h, const struct hf_cluster_etcd_params *p, struct hf_errmsg *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	int rc;

	pthread_once(&once, curl_begin);
	*h = (struct hf_etcd_http){ 0 };
	pthread_mutex_init(&h->lock, NULL);
	rc = take_params(h, p, err);
	if (rc < 0)
		hf_etcd_http_fini(h);
	return rc;
}

void hf_etcd_http_fini(struct hf_etcd_http *h)
{
	if (h->password)
		explicit_bzero(h->password, strlen(h->password));
	explicit_bzero(h->token, sizeof(h->token));
	free(h->ca);
	free(h->cert);
	free(h->key);
	free(h->user);
	free(h->password);
	pthread_mutex_destroy(&h->lock);
}

/* what comes in */

static int make_room(struct hf_etcd_conn *c, size_t more)
{
	size_t cap = c->cap ? c->cap : 4096;
	char *text;

	while (cap < c->len + more + 1)
		cap *= 2;
	if (cap == c->cap)
		return 0;
	text = realloc(c->text, cap);
	if (!text)
		return -ENOMEM;
	c->text = text;
	c->cap = cap;
	return 0;
}

static void hand_over_lines(struct hf_etcd_conn *c)
{
	char *from = c->text, *end = c->text + c->len, *nl;

	while (!c->is_done && (nl = memchr(from, '\n', (size_t)(end - from)))) {
		c->has_line = true;
		if (nl > from)
			c->line(c, from, (size_t)(nl - from));
		from = nl + 1;
	}
	c->len = (size_t)(end - from);
	memmove(c->text, from, c->len);
}

/* A refusal is no message of a stream. */
static bool is_streaming(struct hf_etcd_conn *c)
{
	long status = 0;

	if (c->line)
		curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
	return status == 200;
}

/* libcurl's: anything but `count` ends the transfer. */
static size_t take_bytes(char *data, size_t one, size_t count, void *ctx)
{
	struct hf_etcd_conn *c = ctx;

	(void)one;			/* always 1 */
	if (count > c->max || c->len > c->max - count) {
		c->is_too_large = true;
		return 0;
	}
	if (make_room(c, count) < 0)
		return 0;
	memcpy(c->text + c->len, data, count);
	c->len += count;
	if (is_streaming(c))
		hand_over_lines(c);
	c->text[c->len] = '\0';
	return c->is_done ? 0 : count;
}

int hf_etcd_conn_init(struct hf_etcd_conn *c, struct hf_etcd_http *h)
{
	*c = (struct hf_etcd_conn){ .http = h,
				    .limit_ms = HF_ETCD_CALL_MS,
				    .easy = curl_easy_init(),
				    .multi = curl_multi_init() };
	if (!c->easy || !c->multi || make_room(c, 0) < 0) {
		hf_etcd_conn_fini(c);
		return -ENOMEM;
	}
	curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, 2L);	/* those made for requests that go once are many */
	return 0;
}

void hf_etcd_conn_fini(struct hf_etcd_conn *c)
{
	curl_easy_cleanup(c->easy);
	if (c->multi)
		curl_multi_cleanup(c->multi);
	free(c->text);
	*c = (struct hf_etcd_conn){ 0 };
}

void hf_etcd_conn_wake(struct hf_etcd_conn *c)
{
	curl_multi_wakeup(c->multi);
}

/* one transfer */

static void set_up(struct hf_etcd_conn *c, const char *url, const char *body, enum hf_etcd_how how, unsigned ms,
		   struct curl_slist *headers, char error[CURL_ERROR_SIZE])
{
	const struct hf_etcd_http *h = c->http;

	curl_easy_reset(c->easy);	/* keeps connections */
	curl_easy_setopt(c->easy, CURLOPT_URL, url);
	curl_easy_setopt(c->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c->easy, CURLOPT_PROXY, "");	/* the environment has no say in where our truth is */
	curl_easy_setopt(c->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(c->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	curl_easy_setopt(c->easy, CURLOPT_TIMEOUT_MS, (long)ms);
	curl_easy_setopt(c->easy, CURLOPT_POST, 1L);
	curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, take_bytes);
	curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, c);
	curl_easy_setopt(c->easy, CURLOPT_ERRORBUFFER, error);
	curl_easy_setopt(c->easy, CURLOPT_FRESH_CONNECT, how == HF_ETCD_ONCE ? 1L : 0L);
	curl_easy_setopt(c->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (h->ca) {
		curl_easy_setopt(c->easy, CURLOPT_CAINFO, h->ca);
		curl_easy_setopt(c->easy, CURLOPT_CAPATH, NULL);
	}
	if (h->cert) {
		curl_easy_setopt(c->easy, CURLOPT_SSLCERT, h->cert);
		curl_easy_setopt(c->easy, CURLOPT_SSLKEY, h->key);
	}
}

/* Run the transfer to its end; a stream's first line has to come within first_ms. */
static CURLcode transfer(struct hf_etcd_conn *c, unsigned first_ms)
{
	CURLcode code = CURLE_ABORTED_BY_CALLBACK;	/* unless it says otherwise */
	uint64_t first_by = now_ms() + first_ms;
	int running = 1, left;
	CURLMsg *msg;

	curl_multi_add_handle(c->multi, c->easy);
	while (running && !atomic_load(&c->http->stopping)) {
		if (c->line && !c->has_line && now_ms() >= first_by) {
			code = CURLE_OPERATION_TIMEDOUT;
			break;
		}
		if (curl_multi_perform(c->multi, &running) != CURLM_OK)
			break;
		if (running)
			curl_multi_poll(c->multi, NULL, 0, 500, NULL);
	}
	while ((msg = curl_multi_info_read(c->multi, &left)))
		if (msg->msg == CURLMSG_DONE)
			code = msg->data.result;
	curl_multi_remove_handle(c->multi, c->easy);
	return code;
}

static struct curl_slist *add_header(struct curl_slist *list, const char *line)
{
	struct curl_slist *more = curl_slist_append(list, line);

	hf_assert(more);
	return more;
}

static struct curl_slist *headers_new(struct hf_etcd_conn *c, bool with_token)
{
	/* A watch on a member that lost its leader ends, instead of being silent. */
	struct curl_slist *list = add_header(NULL, "Grpc-Metadata-hasleader: true");
	char line[HF_ETCD_TOKEN_MAX + 16];

	list = add_header(list, "Content-Type: application/json");
	list = add_header(list, "Expect:");
	pthread_mutex_lock(&c->http->lock);
	snprintf(line, sizeof(line), "Authorization: %s", c->http->token);
	with_token = with_token && c->http->token[0];
	pthread_mutex_unlock(&c->http->lock);
	if (with_token)
		list = add_header(list, line);
	explicit_bzero(line, sizeof(line));
	return list;
}

/* -EKEYREJECTED: no TLS with this endpoint; another one may have a better certificate. */
static int to_errno(CURLcode code)
{
	switch (code) {
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_COULDNT_CONNECT:
	case CURLE_COULDNT_RESOLVE_HOST:
		return -ETIMEDOUT;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CONNECT_ERROR:
		return -EKEYREJECTED;
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_BAD_CONTENT_ENCODING:
		return -EPROTO;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

/* The answer has another status than 200. -ENOKEY: the token is of no use. */
static int refused(struct hf_etcd_conn *c, const char *url, long status, struct hf_errmsg *err)
{
	enum hf_etcd_refusal what;
	char words[160];

	what = hf_etcd_refusal_parse(c->text, c->len, words);
	switch (what) {
	case HF_ETCD_TOKEN:
		return hf_fail(err, -ENOKEY, "%s: etcd wants a valid token: %s", url, words);
	case HF_ETCD_DENIED:
		return hf_fail(err, -EACCES,
			       "%s: etcd denies it: %s; see --etcd-user, and the user's role (`etcdctl role get`)", url,
			       words);
	case HF_ETCD_COMPACTED:
		return hf_fail(err, -ERANGE, "%s: %s", url, words);
	case HF_ETCD_FULL:
		return hf_fail(err, -ENOSPC,
			       "%s: etcd is over its space quota: %s; compact and defragment it, then disarm the alarm",
			       url, words);
	case HF_ETCD_OTHER:
		break;
	}
	if (status == 404 || c->len == 0 || c->text[0] != '{')
		return hf_fail(err, -EPROTO, "%s: HTTP status %ld, and it is not etcd that says so: see --cluster", url,
			       status);
	return hf_fail(err, -EIO, "%s: etcd refused: %s", url, words);
}

/* *sent: the server may have got the request. The endpoint that is named in messages is `base`. */
static int attempt(struct hf_etcd_conn *c, const char *base, const char *path, const char *body,
		   enum hf_etcd_how how, unsigned ms, bool *sent, struct hf_errmsg *err)
{
	struct curl_slist *headers = headers_new(c, strcmp(path, "/v3/auth/authenticate") != 0);
	char url[HF_ETCD_URL_MAX + 64], error[CURL_ERROR_SIZE] = "";
	long status = 0, size = 0;
	CURLcode code;

	c->from = base;
	c->len = 0;
	c->is_too_large = c->has_line = c->is_done = false;
	if (c->cap > KEEP_BYTES) {
		free(c->text);
		c->text = NULL;
		c->cap = 0;
		if (make_room(c, 0) < 0) {
			curl_slist_free_all(headers);
			return hf_fail(err, -ENOMEM, "there is not enough memory");
		}
	}
	c->text[0] = '\0';
	snprintf(url, sizeof(url), "%s%s", base, path);
	set_up(c, url, body, how, ms, headers, error);
	code = transfer(c, ATTEMPT_MS);
	curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(c->easy, CURLINFO_REQUEST_SIZE, &size);
	curl_slist_free_all(headers);
	*sent = size > 0;
	if (c->is_done)
		return 0;
	if (atomic_load(&c->http->stopping) && code != CURLE_OK)
		return hf_fail(err, -ECANCELED, "%s: the daemon stops", base);
	if (c->is_too_large)
		return hf_fail(err, -EPROTO, "%s: the answer is larger than %zu bytes: it is refused", base, c->max);
	if (code == CURLE_OPERATION_TIMEDOUT && c->has_line && status == 200)
		return 0;		/* a stream's age */
	if (code != CURLE_OK)
		return hf_fail(err, to_errno(code), "%s: %s", base, error[0] ? error : curl_easy_strerror(code));
	return status == 200 ? 0 : refused(c, base, status, err);
}

/* endpoints and tokens */

static unsigned preferred(struct hf_etcd_http *h)
{
	unsigned i;

	pthread_mutex_lock(&h->lock);
	i = h->preferred;
	pthread_mutex_unlock(&h->lock);
	return i;
}

/* Endpoint i was of no use: all go to the next one, unless somebody found that out before. */
static void leave(struct hf_etcd_http *h, unsigned i)
{
	pthread_mutex_lock(&h->lock);
	if (h->preferred == i)
		h->preferred = (i + 1) % h->endpoint_count;
	pthread_mutex_unlock(&h->lock);
}

static bool has_token(struct hf_etcd_http *h)
{
	bool has;

	pthread_mutex_lock(&h->lock);
	has = h->token[0];
	pthread_mutex_unlock(&h->lock);
	return has;
}

static void set_token(struct hf_etcd_http *h, const char *token)
{
	pthread_mutex_lock(&h->lock);
	strcpy(h->token, token);
	pthread_mutex_unlock(&h->lock);
}

static int log_in(struct hf_etcd_conn *c, unsigned i, unsigned ms, struct hf_errmsg *err)
{
	void (*line)(struct hf_etcd_conn *, const char *, size_t) = c->line;
	char *body = hf_etcd_login_text(c->http->user, c->http->password);
	char token[HF_ETCD_TOKEN_MAX];
	struct hf_errmsg what;
	bool sent;
	int rc;

	c->line = NULL;
	rc = attempt(c, c->http->endpoint[i], "/v3/auth/authenticate", body, HF_ETCD_AGAIN, ms, &sent, err);
	c->line = line;
	explicit_bzero(body, strlen(body));
	free(body);
	if (rc < 0)
		return rc == -ENOKEY ? -EACCES : rc;
	if (hf_etcd_login_parse(c->text, c->len, token, &what) < 0)
		return hf_fail(err, -EPROTO, "%s: this is not etcd's answer to a login: %s", c->http->endpoint[i],
			       what.text);
	explicit_bzero(c->text, c->len);
	set_token(c->http, token);
	explicit_bzero(token, sizeof(token));
	return 0;
}

/* One endpoint, with a login where one is needed: *sent as in attempt(). */
static int try_endpoint(struct hf_etcd_conn *c, unsigned i, const char *path, const char *body, enum hf_etcd_how how,
			unsigned ms, bool *sent, struct hf_errmsg *err)
{
	struct hf_etcd_http *h = c->http;
	int rc = 0;

	*sent = false;
	for (int logins = 0; logins < 2; logins++) {
		if (h->user && !has_token(h))
			rc = log_in(c, i, ATTEMPT_MS, err);
		if (rc == 0)
			rc = attempt(c, h->endpoint[i], path, body, how, ms, sent, err);
		if (rc != -ENOKEY)
			return rc;
		if (!h->user)
			return -EACCES;
		/* Refused before anything was done: it may be sent again, with a new token. */
		set_token(h, "");
		rc = 0;
	}
	return -EACCES;
}

/* Would another endpoint do better? */
static bool is_final(int rc)
{
	return rc == 0 || rc == -EACCES || rc == -ENOSPC || rc == -ERANGE || rc == -ECANCELED || rc == -ENOMEM;
}

int hf_etcd_call(struct hf_etcd_conn *c, const char *path, const char *body, enum hf_etcd_how how,
		 struct hf_errmsg *err)
{
	struct hf_etcd_http *h = c->http;
	uint64_t end = now_ms() + c->limit_ms;
	int rc = -ETIMEDOUT;

	c->line = NULL;
	c->max = HF_ETCD_ANSWER_MAX;
	/* What may be asked again is: with one endpoint too, whose connection may have died of age. */
	for (unsigned n = 0; n < h->endpoint_count + (how == HF_ETCD_AGAIN); n++) {
		unsigned i = preferred(h);
		uint64_t now = now_ms(), left = end > now ? end - now : 0;
		bool sent;

		if (left == 0)
			break;
		if (how == HF_ETCD_AGAIN && left > ATTEMPT_MS && h->endpoint_count > 1)
			left = ATTEMPT_MS;
		rc = try_endpoint(c, i, path, body, how, (unsigned)left, &sent, err);
		if (is_final(rc))
			return rc;
		leave(h, i);
		if (how == HF_ETCD_ONCE && sent)
			break;
	}
	return rc == -EKEYREJECTED ? -EACCES : rc;
}

int hf_etcd_stream(struct hf_etcd_conn *c, const char *path, const char *body, unsigned age_ms,
		   struct hf_errmsg *err)
{
	unsigned i = preferred(c->http);
	bool sent;
	int rc;

	c->max = HF_ETCD_LINE_MAX;
	rc = try_endpoint(c, i, path, body, HF_ETCD_AGAIN, age_ms, &sent, err);
	if (rc == 0 && !c->is_done && !c->has_line)
		rc = hf_fail(err, -EIO, "%s: the watch ended before it began", c->http->endpoint[i]);
	if (rc < 0)
		leave(c->http, i);
	return rc == -EKEYREJECTED ? -EACCES : rc;
}

bool hf_etcd_pause(struct hf_etcd_conn *c, unsigned ms)
{
	if (!atomic_load(&c->http->stopping))
		curl_multi_poll(c->multi, NULL, 0, (int)ms, NULL);
	return !atomic_load(&c->http->stopping);
}

int hf_etcd_same_cluster(struct hf_etcd_conn *c, uint64_t cluster, struct hf_errmsg *err)
{
	struct hf_etcd_http *h = c->http;
	uint64_t first;

	pthread_mutex_lock(&h->lock);
	if (h->cluster == 0)
		h->cluster = cluster;
	first = h->cluster;
	pthread_mutex_unlock(&h->lock);
	if (first == cluster)
		return 0;
	return hf_fail(err, -EUCLEAN,
		       "an endpoint of --cluster belongs to etcd cluster %llx, not to %llx as the first that answered: "
		       "name members of one cluster; if etcd was made anew or restored, restart holdfastd",
		       (unsigned long long)cluster, (unsigned long long)first);
}
