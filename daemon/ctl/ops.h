/* SPDX-License-Identifier: MIT */
/*
 * ops - what the control socket asks of the daemon: arguments already checked, answers by hf_ctl_reply() or
 * hf_ctl_fail().
 *
 * Owns: the seam between requests (ctl_handlers.c) and their execution (daemon_*.c). Arguments are valid during the
 * call only; a call may be answered later. Every function must answer its call exactly once. Answers are JSON of
 * view.h.
 */
#ifndef HF_CTL_OPS_H
#define HF_CTL_OPS_H

#include "core/types.h"
#include "ctl/ctl.h"
#include "ctl/events.h"

#define HF_TOLERANCE_DEFAULT -1		/* min_tolerance: one less than all legs give, at least 0 */

struct hf_volume_create_args {
	char name[HF_NAME_MAX], tenant[HF_NAME_MAX];
	uint64_t size_blocks;
	struct hf_geometry geometry;
	bool local_full; /* a full leg besides the fragments, on the first host: it becomes the primary */
	int min_tolerance;		/* 0.., or HF_TOLERANCE_DEFAULT */
	bool auto_failover;
	/*
	 * 0: the daemon chooses; else one host a leg, all different: exactly k+m, plus 1 (first) with local_full. They
	 * may still not exist.
	 */
	uint32_t host_count;
	char host[HF_LEGS_MAX][HF_NAME_MAX];
};

struct hf_volume_resize_args {
	char name[HF_NAME_MAX];
	uint64_t size_blocks;
};

struct hf_volume_set_args {
	char name[HF_NAME_MAX];
	bool auto_failover;
};

struct hf_volume_delete_args {
	char name[HF_NAME_MAX];
	bool force;			/* also when clients are connected or legs cannot be reached */
};

struct hf_promote_args {
	char name[HF_NAME_MAX];
	bool dry_run;
	bool accept_data_loss;		/* H27 */
};

struct hf_ctl_ops {
	void (*host_list)(void *ctx, struct hf_ctl_call *call);		/* {"hosts":[hf_host_json()...]} */
	void (*host_show)(void *ctx, struct hf_ctl_call *call, const char *name); /* hf_host_json() */
	void (*volume_create)(void *ctx, struct hf_ctl_call *call, const struct hf_volume_create_args *args);
	void (*volume_list)(void *ctx, struct hf_ctl_call *call);	/* {"volumes":[hf_volume_json()...]} */
	void (*volume_show)(void *ctx, struct hf_ctl_call *call,
			    const char *name); /* hf_volume_json(), also create, resize */
	void (*volume_resize)(void *ctx, struct hf_ctl_call *call, const struct hf_volume_resize_args *args);
	void (*volume_set)(void *ctx, struct hf_ctl_call *call, const struct hf_volume_set_args *args); /* {} */
	void (*volume_delete)(void *ctx, struct hf_ctl_call *call, const struct hf_volume_delete_args *args); /* {} */
	void (*status)(void *ctx, struct hf_ctl_call *call);		/* hf_status_json() */
	void (*why)(void *ctx, struct hf_ctl_call *call, const char *name); /* hf_why_json() */
	/*
	 * This daemon becomes primary: hf_certificate_json(), also when refused (outcome), so that the legs are seen.
	 */
	void (*promote)(void *ctx, struct hf_ctl_call *call, const struct hf_promote_args *args);
	void (*metrics)(void *ctx, struct hf_ctl_call *call);		/* {"text":"..."}: Prometheus exposition */
};

/* ctx of every call: hf_ctl_config::ctx must point to this. */
struct hf_ctl_service {
	const struct hf_ctl_ops *ops;
	void *ctx;			/* of ops */
	const char *host;		/* this daemon's name */
	struct hf_events *events;
};

/* The commands of holdfast-ctl(7), for hf_ctl_config. */
extern const struct hf_ctl_command hf_ctl_commands[];
extern const size_t hf_ctl_command_count;

#endif
