// SPDX-License-Identifier: MIT
/* client - calls of control sockets. The protocol is holdfast-ctl(7). */
#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "ctl/ctl_proto.h"
#include "dev.h"
#include "output.h"

#define ANSWER_MAX (64u << 20)		/* bytes: a daemon that never ends its line is given up */

int client_daemons(const struct context *cx, struct daemons *out)
{
	const char *dir = cx->dir, *path = cx->socket;

	out->count = 0;
	if (dir && path)
		return complain(HF_EXIT_USAGE, "give --socket or --dir, not both");
	if (!dir && !path)
		path = getenv("HOLDFAST_SOCKET");
	if (!dir && !path)
		dir = getenv("HOLDFAST_DIR");
	if (!path && dir)
		return dev_daemons(dir, out);
	if (!path)
		path = DEFAULT_SOCKET;
	if (strlen(path) >= sizeof(out->at[0].path))
		return complain(HF_EXIT_USAGE, "the path of the socket %s is too long", path);
	out->count = 1;
	out->at[0].host[0] = '\0';
	strcpy(out->at[0].path, path);	/* its length was checked */
	return 0;
}

const struct daemon *client_find(const struct daemons *all, const char *host)
{
	for (size_t i = 0; i < all->count; i++)
		if (strcmp(all->at[i].host, host) == 0)
			return &all->at[i];
	return NULL;
}

/* answers */

void answer_fini(struct answer *a)
{
	json_decref(a->result);
	json_decref(a->error);
	*a = (struct answer){ 0 };
}

struct answer answer_failed(int exit_code, const char *code, const char *what, const char *object, const char *why,
			    const char *todo)
{
	json_t *error = json_pack("{s:s, s:s, s:s?, s:s, s:s?}", "code", code, "what", what, "object", object, "why",
				  why, "do", todo);

	return (struct answer){ .exit_code = exit_code, .error = error };
}

int answer_complain(const struct context *cx, struct answer *a)
{
	char what[CELL_MAX], object[CELL_MAX], why[CELL_MAX], todo[CELL_MAX];
	int code = a->exit_code;

	if (cx->json) {
		json_t *whole = json_pack("{s:O}", "error", a->error);

		json_dumpf(whole, stderr, JSON_COMPACT);
		fputc('\n', stderr);
		json_decref(whole);
	} else {
		bool has_object = json_is_string(json_object_get(a->error, "object"));

		complain(code, "cannot %s%s%s: %s", field_text(a->error, "what", what), has_object ? " " : "",
			 has_object ? field_text(a->error, "object", object) : "", field_text(a->error, "why", why));
		if (json_is_string(json_object_get(a->error, "do")))
			fprintf(stderr, "  to do: %s\n", field_text(a->error, "do", todo));
	}
	answer_fini(a);
	return code;
}

static int exit_code_of(const char *code)
{
	static const struct {
		const char *name;
		int exit_code;
	} table[] = {
#define CODE_EXIT(name, exit_code, meaning) { #name, exit_code },
		HF_CTL_CODES(CODE_EXIT)
#undef CODE_EXIT
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (code && strcmp(table[i].name, code) == 0)
			return table[i].exit_code;
	return HF_EXIT_FAILED;
}

/* one call */

static struct answer unreachable(const struct daemon *d, const char *why, const char *todo)
{
	return answer_failed(HF_EXIT_UNREACHABLE, "EHOSTDOWN", "reach the daemon", d->host[0] ? d->host : d->path, why,
			     todo);
}

static int connect_to(const struct context *cx, const struct daemon *d)
{
	struct timeval timeout = { .tv_sec = cx->timeout_s };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", d->path);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return fd;
}

static int send_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* One line, without its newline; NULL with *err. */
static char *receive_line(int fd, int *err)
{
	size_t len = 0, cap = 0;
	char *line = NULL;

	for (;;) {
		ssize_t n;

		if (len == cap) {
			char *more = cap < ANSWER_MAX ? realloc(line, cap = cap ? cap * 2 : 65536) : NULL;

			*err = -EMSGSIZE;
			if (!more)
				break;
			line = more;
		}
		n = recv(fd, line + len, cap - len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		*err = n < 0 ? -errno : -ECONNRESET;
		if (n <= 0)
			break;
		len += (size_t)n;
		if (line[len - 1] == '\n') {
			line[len - 1] = '\0';
			return line;
		}
	}
	free(line);
	return NULL;
}

static struct answer read_answer(const struct daemon *d, const char *line)
{
	json_t *whole = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	json_t *result = json_object_get(whole, "result"), *error = json_object_get(whole, "error");
	struct answer a = { 0 };

	if (json_is_true(json_object_get(whole, "ok")) && result) {
		a.result = json_incref(result);
	} else if (json_is_object(error)) {
		a.error = json_incref(error);
		a.exit_code = exit_code_of(json_string_value(json_object_get(error, "code")));
	} else {
		a = answer_failed(HF_EXIT_FAILED, "EPROTO", "understand the daemon", d->host[0] ? d->host : d->path,
				  "its answer is not of this protocol",
				  "compare the versions of holdfast and holdfastd");
	}
	json_decref(whole);
	return a;
}

static struct answer exchange(int fd, const struct daemon *d, const char *request)
{
	int rc = send_all(fd, request, strlen(request));
	struct answer a;
	char *line;

	line = rc == 0 ? receive_line(fd, &rc) : NULL;
	if (line)
		a = read_answer(d, line);
	else if (rc == -EAGAIN)
		a = unreachable(d, "no answer came in time",
				"the command may still take effect: look at the state; --timeout");
	else
		a = unreachable(d, hf_strerror(rc), "the daemon ended meanwhile: look at its log");
	free(line);
	return a;
}

struct answer client_call(const struct context *cx, const struct daemon *d, const char *cmd, json_t *args)
{
	json_t *request = json_pack("{s:i, s:s, s:o}", "id", 1, "cmd", cmd, "args", args ? args : json_object());
	char *text = json_dumps(request, JSON_COMPACT), *line = NULL;
	int fd = connect_to(cx, d);
	struct answer a;

	json_decref(request);
	if (fd < 0) {
		a = unreachable(d, hf_strerror(fd),
				fd == -EACCES ? "run holdfast as the daemon's user or as root"
					      : "start holdfastd there, or name a socket by --socket or --dir");
	} else if (!text || asprintf(&line, "%s\n", text) < 0 || strlen(line) > HF_CTL_LINE_MAX) {
		a = answer_failed(HF_EXIT_USAGE, "EINVAL", "send the command", cmd, "it is too long, or not UTF-8",
				  NULL);
	} else {
		a = exchange(fd, d, line);
	}
	if (fd >= 0)
		close(fd);
	free(line);
	free(text);
	return a;
}

struct answer client_call_any(const struct context *cx, const struct daemons *all, const char *cmd, json_t *args)
{
	struct answer a =
		answer_failed(HF_EXIT_UNREACHABLE, "EHOSTDOWN", "reach a daemon", NULL, "there is no host", NULL);

	for (size_t i = 0; i < all->count && a.exit_code == HF_EXIT_UNREACHABLE; i++) {
		answer_fini(&a);
		a = client_call(cx, &all->at[i], cmd, json_incref(args));
	}
	json_decref(args);
	return a;
}

struct answer client_call_primary(const struct context *cx, const struct daemons *all, const char *volume,
				  const char *cmd, json_t *args, bool must)
{
	struct answer shown = client_call_any(cx, all, "volume.show", json_pack("{s:s}", "name", volume)), a;
	const char *primary = json_string_value(json_object_get(shown.result, "primary"));
	const struct daemon *d = primary ? client_find(all, primary) : NULL;

	if (shown.exit_code != HF_EXIT_OK) {
		json_decref(args);
		return shown;
	}
	/* One daemon only, or its primary is not of this cluster: it says itself whom to ask. */
	if (!d) {
		a = client_call_any(cx, all, cmd, args);
	} else {
		a = client_call(cx, d, cmd, json_incref(args));
		if (a.exit_code == HF_EXIT_UNREACHABLE && !must) {
			answer_fini(&a);
			a = client_call_any(cx, all, cmd, json_incref(args));
		}
		json_decref(args);
	}
	answer_fini(&shown);
	return a;
}
