/* SPDX-License-Identifier: MIT */
/*
 * certificate - a promotion's certificate read back from JSON (holdfast-ctl(7)), and whether it fits together. What the
 * legs say about it is not asked here.
 */
#ifndef HF_TOOLS_CERTIFICATE_H
#define HF_TOOLS_CERTIFICATE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/types.h"

struct cert_leg {
	char host[HF_NAME_MAX];
	struct hf_uuid uuid;
	uint8_t frag;
	bool answered, valid;
	hf_epoch last_epoch;
	hf_seq last_seq, commit;
	uint32_t chain;
};

struct cert {
	char volume[HF_NAME_MAX];
	struct hf_uuid volume_uuid, incarnation;
	bool lossy; /* data loss was accepted */
	hf_epoch epoch, from_epoch, decided_epoch;
	hf_seq committed, acked_at_most, decided;
	uint32_t chain; /* at decided */
	struct hf_epoch_cache history;
	uint64_t cut_count, ops_lost;
	hf_seq cut_from, cut_to;
	uint32_t leg_count;
	struct cert_leg leg[HF_LEGS_MAX];
};

/* Told of each statement about the certificate, whether it holds. */
typedef void cert_checked(bool ok, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* False: no certificate of a promotion that took place; why[] says what is wrong with it. */
bool cert_load(struct cert *c, const char *path, char *why, size_t size);
void cert_check(const struct cert *c, cert_checked *check);

#endif
