/* SPDX-License-Identifier: MIT */
/*
 * torture - one run of `holdfast torture`: its cluster, its load, and what it has seen. Shared by torture_cluster.c,
 * torture_net.c, torture_disk.c, torture_full.c, torture_fault.c, torture_report.c and cmd_torture.c.
 */
#ifndef HF_TOOLS_TORTURE_H
#define HF_TOOLS_TORTURE_H

#include <limits.h>

#include "dev.h"
#include "torture_load.h"

#define TORTURE_VOLUME "torture"
#define TORTURE_FAULTS_MAX 20000u	/* in one run; each keeps its figures */
#define TORTURE_KINDS_MAX 24u
#define TORTURE_DECK 128u		/* as all weights together have room in */
#define TORTURE_TOLERANCES (HF_LEGS_MAX + 2) /* nobody serves; -1; 0; 1; .. */

/* How a fault went. */
enum torture_end {
	TORTURE_DONE,
	TORTURE_SKIPPED,		/* it cannot be done here; t->note says why */
	TORTURE_STUCK			/* something that had to happen did not; t->stuck says what */
};

struct torture_options {
	uint64_t count, seconds, seed, hosts, size_bytes, depth, rate;
	const char *layout, *local, *faults, *in;
	bool keep;
};

struct torture_host {
	const json_t *spec;		/* borrowed of the cluster */
	const char *name;
	bool down, frozen, deaf;
};

/* One fault that was injected. */
struct torture_event {
	unsigned kind;
	double at_s, stall_ms, failover_ms; /* failover_ms: 0 when there was none */
	char what[112];
};

struct torture {
	struct context cx;
	struct torture_options opt;
	char dir[PATH_MAX];
	bool own;			/* the directory and the cluster are ours, to be removed */
	json_t *cluster;
	struct daemons daemons;
	struct torture_host host[DEV_HOSTS_MAX]; /* those with a leg */
	unsigned hosts, primary;
	int tolerance_full, min_tolerance;
	uint64_t settling_ns;		/* when all legs were seen in sync first; 0: they were not */
	json_int_t settling_seq;	/* what was committed then */
	bool has_volume;
	bool has_small;			/* the legs of host `small` are on a disk that can be filled */
	unsigned small;
	int under;			/* the directory beneath that mount; -1 */
	struct load *load;
	uint64_t rng;			/* which faults, on whom */
	uint8_t deck[TORTURE_DECK];
	unsigned cards;
	uint64_t kills;			/* processes ended by SIGKILL */
	uint64_t begun_ns, tolerance_since_ns;
	unsigned tolerance_at;
	uint64_t tolerance_ns[TORTURE_TOLERANCES];
	struct torture_event *event;
	size_t events;
	uint64_t done[TORTURE_KINDS_MAX];
	const char *skipped[TORTURE_KINDS_MAX]; /* why a kind cannot be done here; NULL: it can */
	const char *note;
	char what[112];			/* of the fault under way: who, whereto */
	char stuck[600];		/* empty: every wait has ended */
};

/* torture_cluster.c: the cluster, its hosts and its volume */
uint64_t torture_now_ns(void);
uint64_t torture_draw(struct torture *t, uint64_t below);
bool torture_is_over(void);		/* a signal asked for the end */
void torture_watch_signals(void);
/* Make or find the cluster, make the volume. 0, or an exit code after a message. */
int torture_begin(struct torture *t);
/* End what was started; remove what was made, or (keep) leave it. Also after a torture_begin() that failed. */
void torture_end(struct torture *t, bool keep);
enum torture_end torture_fail(struct torture *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void torture_say(struct torture *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Sleep, less when a signal comes. */
void torture_pause(unsigned ms);
/* Until `is` is true; else stuck, waiting for `what`. */
enum torture_end torture_wait(struct torture *t, bool (*is)(struct torture *t), const char *what, unsigned seconds);
enum torture_end torture_signal(struct torture *t, unsigned host, int signal);
enum torture_end torture_kill(struct torture *t, unsigned host);
enum torture_end torture_spawn(struct torture *t, unsigned host, pid_t *out_pid);
enum torture_end torture_start(struct torture *t, unsigned host);
/* As the command does. `must`: a refusal is a finding. */
enum torture_end torture_promote(struct torture *t, unsigned to, bool must);
/* The volume's own daemon says: it is served, by t->primary, and every leg is in sync. */
bool torture_is_settled(struct torture *t);
/* Has this host's daemon, since it was started, written an event of this kind? */
bool torture_has_said(struct torture *t, unsigned host, const char *kind);
/* From now on the volume has this tolerance; -2: nobody serves it. */
void torture_note_tolerance(struct torture *t, int tolerance);
void torture_socket_of(const struct torture *t, unsigned host, char out[108]);

/* torture_net.c: the sockets of a daemon, from outside it */
enum torture_end torture_cut(struct torture *t, unsigned host);
/* Every segment that comes for this host is dropped, or is heard again. */
enum torture_end torture_deafen(struct torture *t, unsigned host, bool deaf);

/* torture_disk.c: a daemon's files, from outside it */
enum torture_end torture_flip(struct torture *t, unsigned host, unsigned pages);
/* The one leg of a host, opened, and its name; -1. */
int torture_open_leg(const struct torture *t, unsigned host, char name[256]);

/* torture_full.c: before daemons and threads are started, if it can be done; at the end, with the leg kept or not */
void torture_small_disk(struct torture *t);
void torture_small_disk_end(struct torture *t, bool keep);
enum torture_end torture_full_disk(struct torture *t);

/* torture_fault.c */
size_t torture_kinds(void);
const char *torture_kind_name(size_t kind);
/* The kinds that a comma-separated list allows, as bits; 0 after a message. */
uint64_t torture_kinds_parse(const char *list);
/* Faults until count, time, a signal or a finding ends it; then everything is read once more. */
void torture_run(struct torture *t, uint64_t kinds);

/* torture_report.c: prints, as words or JSON, and says whether all is well */
bool torture_report(struct torture *t, bool kept);

#endif
