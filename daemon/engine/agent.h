/* SPDX-License-Identifier: MIT */
/*
 * agent - what this host has to hold and to be primary of: follows the records of the cluster store, opens, makes and
 * removes legs, starts and restarts volumes (R1: every start is a new incarnation with a new epoch).
 *
 * Owns: the host's legs and volume runs, the copy of the records. Does not own: fronts and operators (they hear by
 * hf_agent_ops). The simulator runs this same code on simulated hosts.
 */
#ifndef HF_ENGINE_AGENT_H
#define HF_ENGINE_AGENT_H

#include "cluster/cluster.h"
#include "engine/host.h"
#include "engine/leg_run.h"
#include "engine/volume_run.h"
#include "format/record.h"

struct hf_agent;

enum hf_agent_leg_state {
	HF_AGENT_LEG_OPENING,
	HF_AGENT_LEG_OPEN,
	HF_AGENT_LEG_WAITING,		/* could not be opened now (busy, no permission, an I/O error): tried again */
	HF_AGENT_LEG_MISSING,		/* no such file; looked for again: a disk may be mounted late */
	HF_AGENT_LEG_DAMAGED,		/* nothing of it can be used; kept for a person to look at */
	HF_AGENT_LEG_CLOSING
};

struct hf_agent_leg {
	struct hf_list link;
	struct hf_agent *agent;
	struct hf_leg_run run;		/* valid when OPEN */
	enum hf_agent_leg_state state;
	struct hf_leg_identity id;
	char path[256], volume[HF_NAME_MAX], why[160];
	hf_nsec retry_at;		/* WAITING, MISSING: when it is opened again */
	struct hf_store_format format;
	void *call;			/* FORMAT or DELETE that waits for us */
	bool deleting;
};

#define HF_AGENT_EPOCHS 8u		/* that a volume may take within ten minutes before people are asked */

struct hf_agent_volume {
	struct hf_list link;
	struct hf_record record;
	char *text;			/* it, as it stands in the store */
	uint64_t ver;
	uint64_t asks;			/* listings asked for when `ver` was learned otherwise: theirs may be older */
	struct hf_volume_run *run;	/* NULL: not primary here */
	hf_nsec retry_at;
	uint32_t tries;
	bool seen, gone;
	struct hf_agent_step *step;	/* before the claim: the record and the old primary are asked */
	void *stepping_down;		/* the call that waits for our run to end */
	/* agent_watch.c */
	struct hf_agent_round *round;	/* legs are asked when they last heard of the primary */
	uint64_t round_ver;
	hf_nsec ask_at, dead_since;
	hf_epoch epoch_seen;
	uint32_t epochs;		/* seen so far; the last of them when: */
	hf_nsec epoch_at[HF_AGENT_EPOCHS];
	bool budget_told;
	char last_why[160];		/* why the last run ended */
};

struct hf_agent_host {
	struct hf_list link;
	struct hf_host_record record;
	bool alive, seen;
	struct hf_cluster_req alive_req;
	bool asking;
	struct hf_agent *agent;
};

/* One who waits for the records as they are in the store now, not as they were at the last poll. */
struct hf_agent_fresh {
	void (*done)(struct hf_agent_fresh *f, int result);	/* 0, or -errno: the records are as before */
	void *ctx;
	struct hf_list link;		/* the agent's */
};

struct hf_agent_ops {
	void (*ready)(void *ctx, int result, const char *why);	/* start finished: the cluster store knows us */
	/* Clients may be let in / have to go (sessions were fenced). */
	void (*serving)(void *ctx, struct hf_agent_volume *av);
	void (*stopped)(void *ctx, struct hf_agent_volume *av, const char *why);
	/* State changes for the event log: past tense words joined by '-', and one sentence. `volume` may be NULL. */
	void (*event)(void *ctx, const char *kind, const char *volume, const char *host, const char *words);
};

struct hf_agent_params {
	const char *name, *addr, *domain, *leg_dir;
	struct hf_uuid boot;
	int listen_fd;
	size_t pool_bytes;		/* payload buffers */
	uint32_t log_bytes;		/* of the legs that are made here; 0: the store chooses */
	uint32_t in_flight_max;		/* hf_host's; 0: HF_IN_FLIGHT_MAX. At most a quarter of every leg's log */
};

struct hf_agent {
	struct hf_reactor *r;
	struct hf_cluster *cluster;
	struct hf_buf_pool *pool;
	struct hf_host host;
	const struct hf_agent_ops *ops;
	void *ctx;
	struct hf_host_record self;
	char leg_dir[200];
	int listen_fd;
	uint32_t log_bytes, in_flight_max;
	bool started, listed, stopping, ready; /* started: host; listed: announced and watching; ready: records read */
	struct hf_list legs, volumes, hosts;
	struct hf_cluster_req req, list_req, self_req;
	bool listing, list_again;
	uint64_t asks;			/* listings asked for so far, the last then: */
	hf_nsec asked_at;
	bool store_failed;		/* told once, until the store answers again */
	struct hf_list fresh_next, fresh_now;	/* struct hf_agent_fresh: for the next listing, of the one under way */
	struct hf_cluster_watch watch;
	struct hf_timer tick;
	uint64_t ticks;
};

/* Learn who the cluster is, announce this host, open its legs; `ready` follows. 0, or -ENOMEM. */
int hf_agent_start(struct hf_agent *a, struct hf_reactor *r, struct hf_cluster *c, const struct hf_agent_params *p,
		   const struct hf_agent_ops *ops, void *ctx);
/* Step down from every volume and close; the process may exit when hf_agent_is_idle(). */
void hf_agent_stop(struct hf_agent *a);
bool hf_agent_is_idle(const struct hf_agent *a);
/* Read the records again now. */
void hf_agent_refresh(struct hf_agent *a);
/* Read the records again; `done` follows, also when the store does not answer. */
void hf_agent_fresh(struct hf_agent *a, struct hf_agent_fresh *f);

struct hf_agent_volume *hf_agent_find_volume(struct hf_agent *a, const char *name);
struct hf_agent_host *hf_agent_find_host(struct hf_agent *a, const char *name);
/*
 * An operator's promote: become primary of the volume. The record is read anew, and an old primary that is connected is
 * asked to step down first, so that nobody waits for its leases; a silent one is not waited for long. 0, -EALREADY:
 * serving here, -EINPROGRESS.
 */
int hf_agent_promote(struct hf_agent *a, struct hf_agent_volume *av, bool accept_loss);

/* Claim the volume, as nobody ordered it: whoever else claims it first has it. */
void hf_agent_start_volume(struct hf_agent *a, struct hf_agent_volume *av);

/* agent_watch.c: time has passed; the volume is freed. */
void hf_agent_watch(struct hf_agent *a, struct hf_agent_volume *av);
void hf_agent_watch_end(struct hf_agent_volume *av);

/* agent_leg.c */
void hf_agent_open_leg(struct hf_agent *a, const struct hf_record *rec, uint32_t index);
struct hf_agent_leg *hf_agent_find_leg(struct hf_agent *a, const struct hf_uuid *leg);
void hf_agent_format(void *ctx, const struct hf_wire_format *m, void *call);
void hf_agent_delete(void *ctx, const struct hf_uuid *leg, void *call);
bool hf_agent_is_opening(void *ctx, const struct hf_uuid *leg);
/* Time has passed: legs at rest, and legs that could not be opened. */
void hf_agent_tick_legs(struct hf_agent *a);
void hf_agent_close_legs(struct hf_agent *a);

#endif
