// SPDX-License-Identifier: MIT
/* etcd_rig - processes of etcd, started and ended by pid. */
#include "lib/etcd_rig.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"

#define HEALTHY_MS 30000
#define START_TRIES 3			/* a port that was free may be taken before etcd has it */

struct member {
	pid_t pid;			/* 0: does not run */
	uint16_t client, peer, metrics;
};

struct etcd_rig {
	char dir[64];
	bool tls;
	unsigned count;
	struct member member[ETCD_RIG_MEMBERS_MAX];
};

static void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void shell(const char *format, ...)
{
	char line[2048];
	va_list ap;

	va_start(ap, format);
	hf_assert(vsnprintf(line, sizeof(line), format, ap) < (int)sizeof(line));
	va_end(ap);
	if (system(line) != 0)
		hf_panic(__FILE__, __LINE__, line);
}

static void free_ports(uint16_t *out, unsigned count)
{
	int fd[3 * ETCD_RIG_MEMBERS_MAX];

	for (unsigned i = 0; i < count; i++) {
		struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		socklen_t len = sizeof(a);

		fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		hf_assert(fd[i] >= 0 && bind(fd[i], (struct sockaddr *)&a, len) == 0 &&
			  getsockname(fd[i], (struct sockaddr *)&a, &len) == 0);
		out[i] = ntohs(a.sin_port);
	}
	for (unsigned i = 0; i < count; i++)
		close(fd[i]);
}

const char *etcd_rig_file(const struct etcd_rig *g, const char *name)
{
	static char path[8][128];
	static unsigned turn;
	char *out = path[turn++ % 8];

	snprintf(out, sizeof(path[0]), "%s/%s", g->dir, name);
	return out;
}

uint16_t etcd_rig_port(const struct etcd_rig *g, unsigned member)
{
	return g->member[member].client;
}

const char *etcd_rig_url(const struct etcd_rig *g, unsigned member)
{
	static char url[8][64];
	static unsigned turn;
	char *out = url[turn++ % 8];

	snprintf(out, sizeof(url[0]), "%s://127.0.0.1:%u", g->tls ? "https" : "http", g->member[member].client);
	return out;
}

const char *etcd_rig_urls(const struct etcd_rig *g)
{
	static char urls[ETCD_RIG_MEMBERS_MAX * 64];

	urls[0] = '\0';
	for (unsigned i = 0; i < g->count; i++) {
		strcat(urls, i ? "," : "");
		strcat(urls, etcd_rig_url(g, i));
	}
	return urls;
}

/* An authority, and certificates that it signed; and a certificate of another one. */
static void make_certificates(const struct etcd_rig *g)
{
	static const char *const who[][3] = {
		{ "ca", "ca", "" },
		{ "server", "ca", "subjectAltName=IP:127.0.0.1" },
		{ "client", "ca", "extendedKeyUsage=clientAuth" },
		{ "other-ca", "other-ca", "" },
		{ "stranger", "other-ca", "extendedKeyUsage=clientAuth" },
	};

	for (size_t i = 0; i < sizeof(who) / sizeof(who[0]); i++) {
		const char *name = who[i][0], *by = who[i][1];

		if (name == by) {
			shell("cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
			      "-subj /CN=%s -keyout %s.key -out %s.pem 2>openssl.log", g->dir, name, name, name);
			continue;
		}
		shell("cd %s && openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=%s "
		      "-keyout %s.key -out %s.csr 2>openssl.log && echo %s >%s.ext && openssl x509 -req -days 2 "
		      "-in %s.csr -CA %s.pem -CAkey %s.key -CAcreateserial -extfile %s.ext -out %s.pem 2>openssl.log",
		      g->dir, name, name, name, who[i][2], name, name, by, by, name, name);
	}
}

/* In the child. */
static _Noreturn void become_etcd(const struct etcd_rig *g, unsigned i)
{
	const struct member *m = &g->member[i];
	char name[8], data[96], client[64], peer[64], metrics[64], cluster[256] = "", log[96];
	char ca[96], cert[96], key[96];
	const char *argv[64];
	unsigned n = 0;

	snprintf(name, sizeof(name), "m%u", i);
	snprintf(data, sizeof(data), "%s/m%u", g->dir, i);
	snprintf(log, sizeof(log), "%s/m%u.log", g->dir, i);
	snprintf(client, sizeof(client), "%s", etcd_rig_url(g, i));
	snprintf(peer, sizeof(peer), "http://127.0.0.1:%u", m->peer);
	snprintf(metrics, sizeof(metrics), "http://127.0.0.1:%u", m->metrics);
	snprintf(ca, sizeof(ca), "%s/ca.pem", g->dir);
	snprintf(cert, sizeof(cert), "%s/server.pem", g->dir);
	snprintf(key, sizeof(key), "%s/server.key", g->dir);
	for (unsigned k = 0; k < g->count; k++)
		snprintf(cluster + strlen(cluster), sizeof(cluster) - strlen(cluster), "%sm%u=http://127.0.0.1:%u",
			 k ? "," : "", k, g->member[k].peer);
	const char *const words[] = {
		"etcd", "--name", name, "--data-dir", data, "--listen-client-urls", client, "--advertise-client-urls",
		client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", cluster,
		"--listen-metrics-urls", metrics, "--logger", "zap", "--log-outputs", "stderr", "--log-level", "warn",
	};
	const char *const tls[] = { "--trusted-ca-file", ca, "--cert-file", cert, "--key-file", key,
				    "--client-cert-auth" };

	for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++)
		argv[n++] = words[k];
	for (size_t k = 0; g->tls && k < sizeof(tls) / sizeof(tls[0]); k++)
		argv[n++] = tls[k];
	argv[n] = NULL;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	n = (unsigned)open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	dup2((int)n, 1);
	dup2((int)n, 2);
	execvp("etcd", (char *const *)argv);
	_exit(127);
}

static void spawn(struct etcd_rig *g, unsigned i)
{
	pid_t pid = fork();

	hf_assert(pid >= 0);
	if (pid == 0)
		become_etcd(g, i);
	g->member[i].pid = pid;
}

static size_t swallow(char *data, size_t one, size_t count, void *ctx)
{
	(void)data;
	(void)ctx;
	return one * count;
}

static bool is_healthy(const struct member *m)
{
	CURL *easy = curl_easy_init();
	char url[64];
	long status = 0;

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/health", m->metrics);
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 2000L);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, swallow);
	if (curl_easy_perform(easy) == CURLE_OK)
		curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_cleanup(easy);
	return status == 200;
}

/* False: it ended by itself. */
static bool wait_healthy(struct etcd_rig *g, unsigned i)
{
	for (int ms = 0; ms < HEALTHY_MS; ms += 20) {
		int status;

		if (is_healthy(&g->member[i]))
			return true;
		if (waitpid(g->member[i].pid, &status, WNOHANG) == g->member[i].pid) {
			g->member[i].pid = 0;
			return false;
		}
		nanosleep(&(struct timespec){ .tv_nsec = 20 * 1000000 }, NULL);
	}
	hf_panic(__FILE__, __LINE__, "etcd does not become healthy");
}

static bool start_all(struct etcd_rig *g)
{
	uint16_t port[3 * ETCD_RIG_MEMBERS_MAX];
	bool up = true;

	free_ports(port, 3 * g->count);
	for (unsigned i = 0; i < g->count; i++)
		g->member[i] = (struct member){ 0, port[3 * i], port[3 * i + 1], port[3 * i + 2] };
	for (unsigned i = 0; i < g->count; i++)
		spawn(g, i);
	for (unsigned i = 0; i < g->count && up; i++)
		up = wait_healthy(g, i);
	return up;
}

struct etcd_rig *etcd_rig_new(unsigned members, bool tls)
{
	struct etcd_rig *g = calloc(1, sizeof(*g));

	hf_assert(g && members && members <= ETCD_RIG_MEMBERS_MAX);
	g->tls = tls;
	g->count = members;
	snprintf(g->dir, sizeof(g->dir), "%s/holdfast-etcd-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	hf_assert(mkdtemp(g->dir));
	if (tls)
		make_certificates(g);
	for (int tries = 0; tries < START_TRIES; tries++) {
		if (start_all(g))
			return g;
		for (unsigned i = 0; i < members; i++) {
			etcd_rig_kill(g, i);
			shell("rm -rf %s/m%u", g->dir, i);
		}
	}
	shell("cat %s/m0.log >&2", g->dir);
	hf_panic(__FILE__, __LINE__, "etcd does not start; is it installed? tools/deps test");
}

void etcd_rig_free(struct etcd_rig *g)
{
	for (unsigned i = 0; i < g->count; i++)
		etcd_rig_kill(g, i);
	shell("rm -rf %s", g->dir);
	free(g);
}

void etcd_rig_kill(struct etcd_rig *g, unsigned member)
{
	struct member *m = &g->member[member];

	if (!m->pid)
		return;
	kill(m->pid, SIGKILL);
	waitpid(m->pid, NULL, 0);
	m->pid = 0;
}

void etcd_rig_start(struct etcd_rig *g, unsigned member)
{
	spawn(g, member);
	hf_assert(wait_healthy(g, member));
}

void etcd_rig_freeze(struct etcd_rig *g, unsigned member)
{
	kill(g->member[member].pid, SIGSTOP);
}

void etcd_rig_thaw(struct etcd_rig *g, unsigned member)
{
	kill(g->member[member].pid, SIGCONT);
}

void etcd_rig_save(struct etcd_rig *g, unsigned member)
{
	shell("cp -a %s/m%u %s/m%u.old", g->dir, member, g->dir, member);
}

void etcd_rig_restore(struct etcd_rig *g, unsigned member)
{
	shell("rm -rf %s/m%u && cp -a %s/m%u.old %s/m%u", g->dir, member, g->dir, member, g->dir, member);
}

void etcd_rig_ctl(const struct etcd_rig *g, const char *words)
{
	char tls[512] = "";

	if (g->tls)
		snprintf(tls, sizeof(tls), "--cacert %s/ca.pem --cert %s/client.pem --key %s/client.key", g->dir,
			 g->dir, g->dir);
	shell("ETCDCTL_API=3 etcdctl --endpoints %s %s %s >%s/ctl.log 2>&1 || { cat %s/ctl.log >&2; false; }",
	      etcd_rig_url(g, 0), tls, words, g->dir, g->dir);
}
