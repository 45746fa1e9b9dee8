// SPDX-License-Identifier: MIT
/*
 * verify - recheck a promotion's certificate against what the legs themselves hold on disk.
 *
 * Reads superblocks only: each leg remembers with which seq every epoch began. A certificate holds when the legs that
 * count begin its epoch right behind the decided seq, and when what it says fits together. Never writes. Exit codes:
 * 0 every check that could be made held, 1 one failed or none could be made, 2 usage.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/entry.h"
#include "format/disk.h"

static unsigned failed, passed;

static void check(bool ok, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void check(bool ok, const char *format, ...)
{
	va_list ap;

	printf("%-7s ", ok ? "ok" : "FAILED");
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
	if (ok)
		passed++;
	else
		failed++;
}

static uint64_t number(const json_t *o, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(o, key));
}

static bool read_super(const char *path, struct hf_disk_super *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t page[HF_DISK_PAGE];
	struct hf_disk_super s;
	const char *why = "it cannot be read";
	bool found = false;

	for (int i = 0; fd >= 0 && i < 2; i++) {
		if (pread(fd, page, sizeof(page), (off_t)i * HF_DISK_PAGE) != sizeof(page))
			continue;
		if (hf_disk_super_decode(page, &s, &why) || (found && s.generation < out->generation))
			continue;
		*out = s;
		found = true;
	}
	if (fd < 0)
		why = strerror(errno);
	else
		close(fd);
	if (!found)
		check(false, "%s: not a leg: %s", path, why);
	return found;
}

/* What the certificate says has to fit together, whatever the legs hold. */
static void check_certificate(const json_t *cert, uint64_t decided)
{
	uint64_t committed = number(cert, "committed"), most = 0;
	const json_t *legs = json_object_get(cert, "legs"), *leg;
	size_t i;

	json_array_foreach(legs, i, leg) {
		if (!json_is_true(json_object_get(leg, "valid")))
			continue;
		if (number(leg, "commit") > most)
			most = number(leg, "commit");
		check(number(leg, "commit") <= number(leg, "last_seq"), "%s: committed %llu, last %llu",
		      json_string_value(json_object_get(leg, "host")), (unsigned long long)number(leg, "commit"),
		      (unsigned long long)number(leg, "last_seq"));
	}
	check(most == committed, "the highest committed seq of the legs is %llu, the certificate says %llu",
	      (unsigned long long)most, (unsigned long long)committed);
	check(decided >= committed, "nothing that was known committed (%llu) lies beyond the decided seq %llu",
	      (unsigned long long)committed, (unsigned long long)decided);
	check(number(cert, "epoch") > number(cert, "from_epoch"), "the epoch grew");
}

static void check_leg(const json_t *cert, const char *path, uint64_t decided)
{
	const json_t *legs = json_object_get(cert, "legs"), *leg, *mine = NULL;
	const char *volume = json_string_value(json_object_get(cert, "volume_uuid"));
	uint64_t epoch = number(cert, "epoch");
	char text[HF_UUID_TEXT];
	struct hf_disk_super s;
	bool began = false;
	size_t i;

	if (!read_super(path, &s))
		return;
	check(volume && strcmp(hf_uuid_format(&s.id.volume, text), volume) == 0, "%s: it is of volume %s", path, text);
	hf_uuid_format(&s.id.leg, text);
	json_array_foreach(legs, i, leg) {
		const char *uuid = json_string_value(json_object_get(leg, "uuid"));

		if (uuid && strcmp(uuid, text) == 0)
			mine = leg;
	}
	if (!mine) {
		printf("%-7s %s: leg %s is not in the certificate\n", "-", path, text);
		return;
	}
	for (uint32_t e = 0; e < s.state.epochs.count; e++) {
		const struct hf_epoch_start *at = &s.state.epochs.at[e];

		if (at->epoch != epoch)
			continue;
		began = true;
		check(at->start == decided + 1, "%s: epoch %llu began with seq %llu, right behind the decided %llu",
		      path, (unsigned long long)epoch, (unsigned long long)at->start, (unsigned long long)decided);
	}
	if (!began)
		printf("%-7s %s: it does not remember epoch %llu: older, or nothing was written in it\n", "-", path,
		       (unsigned long long)epoch);
	if (!json_is_true(json_object_get(mine, "valid")))
		return;
	check(s.state.promised >= epoch, "%s: it promised epoch %llu or later", path, (unsigned long long)epoch);
	if (began && number(mine, "last_seq") <= decided && number(mine, "last_seq") > 0)
		check(hf_epoch_cache_at(&s.state.epochs, number(mine, "last_seq")) == number(mine, "last_epoch"),
		      "%s: seq %llu, the last that it showed, is of epoch %llu still", path,
		      (unsigned long long)number(mine, "last_seq"), (unsigned long long)number(mine, "last_epoch"));
}

int main(int argc, char **argv)
{
	json_error_t err;
	json_t *cert;
	uint64_t decided;

	if (argc < 3) {
		fputs("usage: holdfast-verify CERTIFICATE.json LEGFILE...\n", stderr);
		return 2;
	}
	cert = json_load_file(argv[1], 0, &err);
	if (!json_is_object(cert) || !json_object_get(json_object_get(cert, "decided"), "seq")) {
		fprintf(stderr, "holdfast-verify: %s is no certificate: %s\n", argv[1],
			cert ? "a field is missing; take it from holdfast promote --json" : err.text);
		return 1;
	}
	decided = number(json_object_get(cert, "decided"), "seq");
	check_certificate(cert, decided);
	for (int i = 2; i < argc; i++)
		check_leg(cert, argv[i], decided);
	json_decref(cert);
	printf("%u checks held, %u failed\n", passed, failed);
	return failed || !passed;
}
