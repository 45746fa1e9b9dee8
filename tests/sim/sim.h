/* SPDX-License-Identifier: MIT */
/*
 * sim - a world of simulated hosts: one virtual clock, one event heap, disks, a network, a cluster store, and faults
 * in them.
 *
 * Every host has a reactor (io/reactor.h) that the real daemon code runs on; all hosts share one thread. A world
 * depends on its seed and on the calls made to it, on nothing else: no real time, no addresses. Each kind of fault
 * draws from its own stream per host, so switching one kind off leaves the others where they were.
 *
 * What the owner of a world must know:
 *  - Code that touches a host from outside its turns (from main, or from sim_at) calls sim_host_wake() afterwards;
 *    sim_call() runs a function inside a turn and needs nothing.
 *  - sim_host_kill() drops ios, timers, tasks and jobs without callbacks. The daemon's objects are then garbage:
 *    release their memory (an arena), but call nothing on them.
 */
#ifndef HF_TESTS_SIM_SIM_H
#define HF_TESTS_SIM_SIM_H

#include "cluster/cluster.h"
#include "io/reactor.h"

#define SIM_HOSTS_MAX 32u
#define SIM_PPM 1000000u
#define SIM_STREAMS 160u		/* of sim_random() */

/*
 * Every kind of fault: name, words. The first part happens at a rate (sim_config.ppm, per chance); the second is done
 * by calls below or is the outcome of a crash, and is only counted.
 */
#define SIM_FAULTS(X) \
	X(READ_EIO, "read fails once") \
	X(READ_EIO_STICKY, "page cannot be read until written") \
	X(BIT_ROT, "a bit flips in a page that is read") \
	X(WRITE_EIO, "write fails, in part done") \
	X(WRITE_EIO_STICKY, "file fails every write from now") \
	X(LOST_WRITE, "write said done, never done") \
	X(MISDIRECTED_WRITE, "write lands elsewhere") \
	X(SYNC_EIO, "sync fails, what it covered may never be durable") \
	X(SYNC_EIO_STICKY, "file fails every sync from now") \
	X(LYING_SYNC, "sync said done, never done") \
	X(NO_SPACE, "write fails for want of space") \
	X(DISK_STALL, "a disk io takes very long") \
	X(NET_SPIKE, "a segment takes very long") \
	X(NET_RESET, "connection reset after any byte") \
	X(NET_HALF_OPEN, "connection goes silent both ways") \
	X(NET_CORRUPT, "a bit flips on the wire") \
	X(NET_REFUSED, "connect is refused") \
	X(CLUSTER_SPIKE, "a request or answer takes very long") \
	X(CLUSTER_LOST_REQUEST, "request lost before its effect") \
	X(CLUSTER_LOST_ANSWER, "answer lost after the effect") \
	X(CLUSTER_LOST_WATCH, "a change is not told") \
	X(CLUSTER_TWICE, "a compare-and-swap arrives twice") \
	X(BIT_FLIP, "bit flipped by call") \
	X(DISK_FULL, "disk made full by call") \
	X(DISK_BLANK, "disk emptied by call") \
	X(DISK_ROLLBACK, "disk put back to an earlier image") \
	X(DISK_SWAP, "two disks swapped") \
	X(HOST_KILL, "process killed") \
	X(HOST_POWER, "power lost") \
	X(HOST_PAUSE, "process paused") \
	X(CLOCK_CHANGE, "clock offset or drift changed") \
	X(NET_CUT, "one direction between two hosts cut") \
	X(CLUSTER_DOWN, "cluster store away from one host") \
	X(CLUSTER_ROLLBACK, "cluster store put back to an earlier state") \
	X(CRASH_KEPT, "page of an unsynced write kept in a crash") \
	X(CRASH_DROPPED, "page of an unsynced write dropped in a crash") \
	X(CRASH_TORN, "page torn at 512 bytes in a crash")

enum sim_fault {
#define X(name, words) SIM_##name,
	SIM_FAULTS(X)
#undef X
	SIM_FAULT_COUNT
};

/* Rates and speeds of one host; may be changed at any time. Defaults: no fault, a fast disk, a fast network. */
struct sim_config {
	uint32_t ppm[SIM_FAULT_COUNT];	/* chances in a million */
	hf_nsec disk_read, disk_write, disk_sync; /* typical times */
	uint32_t disk_slow;		/* factor on these: 1 */
	hf_nsec disk_stall;		/* longest stall */
	bool tears_sectors;		/* a crash may tear within 4 KiB, at 512 bytes: true */
	hf_nsec net_delay;		/* typical one-way time */
	hf_nsec net_spike;		/* longest spike */
	uint64_t net_bandwidth;		/* bytes per second leaving the host */
	uint32_t net_chop;		/* bytes that arrive at once at most; 0: any */
	uint32_t net_buffer;		/* bytes that a SEND may be ahead of RECV, each way: at most 1 MiB */
	hf_nsec job;			/* typical time of a job */
	hf_nsec turn;			/* CPU time of a turn */
	hf_nsec cluster_delay;		/* typical one-way time to the cluster store */
	hf_nsec cluster_spike;		/* longest spike */
	hf_nsec cluster_timeout;	/* -ETIMEDOUT after this */
};

/* World. */

struct sim_world;

struct sim_world *sim_world_new(uint64_t seed, uint32_t hosts);
void sim_world_free(struct sim_world *w);
hf_nsec sim_now(const struct sim_world *w);		/* true time, from 0 */
uint64_t sim_hash(const struct sim_world *w);		/* of everything that happened: equal runs, equal hashes */
uint64_t sim_events(const struct sim_world *w);
uint64_t sim_count(const struct sim_world *w, enum sim_fault f);	/* how often it was injected */
const char *sim_fault_name(enum sim_fault f);
const char *sim_fault_words(enum sim_fault f);
/* A number below `n` from a stream that only the caller draws from. */
uint64_t sim_random(struct sim_world *w, uint32_t stream, uint64_t n);

/* Run the next event. false: there is none, ever (every host idle without a timer). */
bool sim_step(struct sim_world *w);
/* Run every event up to `until`; the time is `until` then. */
void sim_run(struct sim_world *w, hf_nsec until);
/* Run events until that host had a turn (at most 10 ms away: then it gets an empty one). */
void sim_turn(struct sim_world *w, uint32_t host);

typedef void sim_fn(struct sim_world *w, void *ctx);
/* Call outside of any host. */
void sim_at(struct sim_world *w, hf_nsec at, sim_fn *fn, void *ctx);
/* Call inside a turn of this life of `host`, at `at` or later; dropped when the host dies before. */
void sim_call(struct sim_world *w, uint32_t host, hf_nsec at, sim_fn *fn, void *ctx);

/* Hosts. */

enum sim_kill {
	SIM_KILL_PROCESS,		/* kill -9: the disk keeps what it took; the kernel closes the sockets */
	SIM_KILL_POWER,			/* unsynced writes: each kept, dropped or torn; peers hear nothing */
};

struct sim_config *sim_config(struct sim_world *w, uint32_t host);
struct hf_reactor *sim_host_start(struct sim_world *w, uint32_t host);	/* it was down; a reactor without a past */
void sim_host_kill(struct sim_world *w, uint32_t host, enum sim_kill how);
/*
 * The turn under way was left by a jump out of it, by a test: its host is dead now, as after a kill -9. Returns which;
 * SIM_HOSTS_MAX: there was no turn.
 */
uint32_t sim_host_abandon(struct sim_world *w);
bool sim_host_is_up(const struct sim_world *w, uint32_t host);		/* paused counts as up */
struct hf_reactor *sim_host_reactor(struct sim_world *w, uint32_t host);
uint32_t sim_host_of(const struct hf_reactor *r);
void sim_host_wake(struct sim_world *w, uint32_t host);
void sim_host_pause(struct sim_world *w, uint32_t host);
void sim_host_resume(struct sim_world *w, uint32_t host);
/* Its clock jumps forward by `jump` and then runs `drift_ppm` fast (or slow: negative, above -SIM_PPM). */
void sim_host_clock(struct sim_world *w, uint32_t host, hf_nsec jump, int32_t drift_ppm);
/* Index of the host whose turn it is; SIM_HOSTS_MAX outside of turns. */
uint32_t sim_current(const struct sim_world *w);
/* `turned` is called after each turn of a host, outside of it: it looks, and changes nothing. */
void sim_watch(struct sim_world *w, void (*turned)(void *ctx, uint32_t host), void *ctx);

/* Disks: files by name, per host. They survive every kill. false or NULL: no such file. */

bool sim_disk_size(struct sim_world *w, uint32_t host, const char *name, uint64_t *size);
/* Copy out what a READ would give, or what is durable now. */
bool sim_disk_peek(struct sim_world *w, uint32_t host, const char *name, uint64_t off, void *buf, size_t len,
		   bool durable);
bool sim_disk_flip(struct sim_world *w, uint32_t host, const char *name, uint64_t off, uint32_t bit);
bool sim_disk_blank(struct sim_world *w, uint32_t host, const char *name);
bool sim_disk_remove(struct sim_world *w, uint32_t host, const char *name);	/* as by unlink */
bool sim_disk_swap(struct sim_world *w, uint32_t host_a, const char *name_a, uint32_t host_b, const char *name_b);
void sim_disk_full(struct sim_world *w, uint32_t host, bool is_full);	/* writes to new pages: -ENOSPC */
void sim_disk_heal(struct sim_world *w, uint32_t host);			/* forget sticky errors */
struct sim_image;
struct sim_image *sim_disk_save(struct sim_world *w, uint32_t host, const char *name);	/* what is durable now */
void sim_disk_restore(struct sim_world *w, const struct sim_image *image);
void sim_image_free(struct sim_image *image);
/*
 * What a power cut at this moment could leave, without one: `choose` is asked once for each page of each write that is
 * not durable, in the order in which the disk took them, for the sectors of 512 bytes that it keeps (bit i: sector i).
 * sim_disk_at_risk() is how often it will be asked.
 */
typedef uint8_t sim_choose(void *ctx, uint32_t i);
uint32_t sim_disk_at_risk(struct sim_world *w, uint32_t host, const char *name);
/*
 * The same, and for the first `max` of them which sectors are not what lies beneath; *print: another one whenever the
 * disk holds or risks something else.
 */
uint32_t sim_disk_risks(struct sim_world *w, uint32_t host, const char *name, uint8_t *changed, uint32_t max,
			uint64_t *print);
struct sim_image *sim_disk_cut(struct sim_world *w, uint32_t host, const char *name, sim_choose *choose, void *ctx);
/*
 * The nth chance from now (1: the next) of fault `f` on this host is taken, `is_sticky`: and each one after it; one
 * such order at a time for each host, 0: none. Chances are ios of disks, segments that leave for NET_RESET,
 * compare-and-swaps for CLUSTER_LOST_REQUEST and CLUSTER_LOST_ANSWER. sim_count() tells whether it came.
 */
void sim_fault_nth(struct sim_world *w, uint32_t host, enum sim_fault f, uint32_t nth, bool is_sticky);

/*
 * Network: "tcp:10.0.0.<host>:<port>" by convention; any listened tcp string works. "unix:..." is private to a host.
 * A cut stops one direction: connections stall and go on after the heal, connects time out.
 */
void sim_net_cut(struct sim_world *w, uint32_t from, uint32_t to);
void sim_net_heal(struct sim_world *w, uint32_t from, uint32_t to);
void sim_net_heal_all(struct sim_world *w);
/* Reset every connection between two hosts. */
void sim_net_reset(struct sim_world *w, uint32_t a, uint32_t b);

/* Cluster store: one per world, one handle per life of a host. */

struct hf_cluster *sim_cluster_open(struct sim_world *w, uint32_t host);
void sim_cluster_cut(struct sim_world *w, uint32_t host, bool is_cut);	/* requests and answers of a host are lost */
struct sim_cluster_state;
struct sim_cluster_state *sim_cluster_save(struct sim_world *w);
void sim_cluster_restore(struct sim_world *w, const struct sim_cluster_state *s);
void sim_cluster_state_free(struct sim_cluster_state *s);
/* The value now, without delay or fault: for oracles. NULL: none. */
const char *sim_cluster_peek(struct sim_world *w, const char *key, uint64_t *ver);

#endif
