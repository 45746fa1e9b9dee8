/* SPDX-License-Identifier: MIT */
/*
 * record - the values of the cluster store: a volume's config record and a host's record, as JSON text.
 *
 * Owns: text <-> struct, and what a record must satisfy. Does not own: who may change a record (core/), the store
 * (cluster/). Keys: "volume/NAME" holds a struct hf_record, "host/NAME" a struct hf_host_record, "cluster" the cluster
 * uuid as plain text. Format 1. Another format number, an unknown field, a duplicate field or a value out of range is
 * refused: whoever changes a record writes all of it back, so a field that was not understood would be lost. Described
 * in docs/man/holdfast-record.5.
 */
#ifndef HF_FORMAT_RECORD_H
#define HF_FORMAT_RECORD_H

#include "base/err.h"
#include "core/types.h"

#define HF_RECORD_KEY_MAX 80u		/* bytes with the final NUL: "volume/" and a name */
#define HF_RECORD_VOLUME_PREFIX "volume/"
#define HF_RECORD_HOST_PREFIX "host/"
#define HF_RECORD_CLUSTER_KEY "cluster"

/* What a daemon tells the cluster about itself at start. */
struct hf_host_record {
	char name[HF_NAME_MAX];
	char addr[HF_ADDR_MAX];		/* where other hosts connect: "tcp:1.2.3.4:port" or "unix:/path" */
	char domain[HF_NAME_MAX];	/* failure domain: rack, power feed, site */
	struct hf_uuid incarnation;	/* of the daemon process */
	struct hf_uuid boot;		/* of the kernel, /proc/sys/kernel/random/boot_id */
};

/* "volume/NAME" and "host/NAME"; return `out`. */
char *hf_record_volume_key(const char *name, char out[HF_RECORD_KEY_MAX]);
char *hf_record_host_key(const char *name, char out[HF_RECORD_KEY_MAX]);

/* Is this a record that may stand in the store? 0, or -EINVAL with a message that names the field. */
int hf_record_check(const struct hf_record *rec, struct hf_errmsg *err);
/* A checked record to text; the caller frees it. Asserts hf_record_check(). 0 or -ENOMEM. */
int hf_record_encode(const struct hf_record *rec, char **out_text);
/* 0, or -EUCLEAN with *out untouched. */
int hf_record_decode(const char *text, struct hf_record *out, struct hf_errmsg *err);

int hf_host_record_check(const struct hf_host_record *host, struct hf_errmsg *err);
int hf_host_record_encode(const struct hf_host_record *host, char **out_text);
int hf_host_record_decode(const char *text, struct hf_host_record *out, struct hf_errmsg *err);

#endif
