/* SPDX-License-Identifier: MIT */
/*
 * daemon - holdfastd put together: reactor, cluster store, agent, control socket, event log, NBD servers.
 *
 * Files: daemon.c (start, stop, signals), daemon_front.c (volumes to NBD clients), daemon_ctl.c (orders of operators),
 * daemon_store.c (the cluster store), daemon_volume.c (making, resizing and deleting volumes), daemon_view.c (what
 * operators see).
 */
#ifndef HF_DAEMON_H
#define HF_DAEMON_H

#include "cluster/cluster.h"
#include "config.h"
#include "ctl/ctl.h"
#include "ctl/events.h"
#include "ctl/ops.h"
#include "ctl/view.h"
#include "engine/agent.h"
#include "front/nbd_server.h"

/* A volume that is offered to NBD clients here: on the host's own socket and, with --nbd-dir, on the stable path. */
struct hf_offer {
	struct hf_list link;
	struct hf_daemon *daemon;
	char name[HF_NAME_MAX];
	char path[2][HF_ADDR_MAX];
	struct hf_nbd_server *server[2];
	uint32_t stopping;		/* servers that are on their way out */
	bool withdrawn;
};

struct hf_daemon {
	struct hf_config config;
	struct hf_reactor *r;
	struct hf_cluster *cluster;
	struct hf_agent agent;
	struct hf_events *events;
	struct hf_ctl *ctl;
	struct hf_ctl_service service;
	char addr[HF_ADDR_MAX];
	struct hf_list offers;		/* struct hf_offer */
	struct hf_list promotes;	/* struct promote: operators' calls that wait */
	struct hf_timer poll;
	int signal_fd[2];
	struct hf_io signal_io;
	char signal_byte;
	bool stopping, events_stopped, ctl_stopped;
	hf_nsec stop_at;
	int exit_code;
};

/* Run until stopped by a signal; the process's exit code. */
int hf_daemon_run(const struct hf_config *c);

/* daemon_store.c: 0, or -errno with a message that names the option to look at. */
int hf_daemon_open_store(struct hf_daemon *d, struct hf_errmsg *err);

/* daemon_front.c */
extern const struct hf_front_backend hf_daemon_backend;
void hf_daemon_offer(struct hf_daemon *d, const char *volume);
void hf_daemon_withdraw(struct hf_daemon *d, const char *volume);

/* daemon_ctl.c */
extern const struct hf_ctl_ops hf_daemon_ops;
void hf_daemon_promoted(struct hf_daemon *d, struct hf_agent_volume *av);
void hf_daemon_promote_ended(struct hf_daemon *d, struct hf_agent_volume *av, const char *why);
void hf_daemon_promote_poll(struct hf_daemon *d);

/* daemon_look.c: what a promotion here would decide, without changing anything. */
void hf_daemon_dry_run(struct hf_daemon *d, struct hf_ctl_call *call, const struct hf_agent_volume *av);

/* daemon_volume.c */
void hf_daemon_volume_create(void *ctx, struct hf_ctl_call *call, const struct hf_volume_create_args *args);
void hf_daemon_volume_set(void *ctx, struct hf_ctl_call *call, const struct hf_volume_set_args *args);
void hf_daemon_volume_resize(void *ctx, struct hf_ctl_call *call, const struct hf_volume_resize_args *args);
void hf_daemon_volume_delete(void *ctx, struct hf_ctl_call *call, const struct hf_volume_delete_args *args);

/* daemon_view.c */
void hf_daemon_volume_view(struct hf_daemon *d, struct hf_agent_volume *av, struct hf_volume_view *out);
/* How the cluster store is from here. */
void hf_daemon_store_view(struct hf_daemon *d, struct hf_store_view *out);
void hf_daemon_host_view(struct hf_daemon *d, struct hf_agent_host *h, struct hf_host_view *out);
void hf_daemon_certificate(struct hf_daemon *d, struct hf_agent_volume *av, enum hf_certificate_outcome outcome,
			   struct hf_certificate *out);
/* What a leg answered, into its line of a certificate. */
void hf_daemon_promised(const struct hf_promise *p, struct hf_certificate_leg *out);
/* The part of a certificate that follows from the decision. */
void hf_daemon_decided(const struct hf_decision *dec, struct hf_certificate *out);
/* Appends why legs that answered do not let a promotion go on; nothing when they do. */
void hf_daemon_verdict(const struct hf_record *r, const struct hf_decision *d, hf_legs valid, char *out, size_t size);
json_t *hf_daemon_metrics(struct hf_daemon *d);

#endif
