/* SPDX-License-Identifier: MIT */
/*
 * fuzz - what the fuzzers share: a reader over the input, and a reactor whose disk, sockets and clock are memory.
 *
 * A fuzzer is one file fuzz_NAME.c with fuzz_one() in it; its seeds are in corpus/NAME, inputs that once broke
 * something in regressions/NAME. One input is one run: nothing that a run leaves behind may change the next one.
 */
#ifndef HF_TESTS_FUZZ_FUZZ_H
#define HF_TESTS_FUZZ_FUZZ_H

#include <string.h>

#include "base/assert.h"
#include "base/limits.h"
#include "io/reactor.h"

/* One run. The bytes are a copy of exactly that length: reading past it is found. */
void fuzz_one(const uint8_t *data, size_t len);

/* Large blocks of memory in use; a run gives back what it takes. */
uint32_t fuzz_alloc_live(void);

/* The input, taken from the front; zeros when it has ended. */
struct fuzz_in {
	const uint8_t *p;
	size_t left;
};

void fuzz_take(struct fuzz_in *in, void *out, size_t len);

static inline uint8_t fuzz_u8(struct fuzz_in *in)
{
	uint8_t v;

	fuzz_take(in, &v, sizeof(v));
	return v;
}

static inline uint16_t fuzz_u16(struct fuzz_in *in)
{
	uint16_t v;

	fuzz_take(in, &v, sizeof(v));
	return v;
}

static inline uint32_t fuzz_u32(struct fuzz_in *in)
{
	uint32_t v;

	fuzz_take(in, &v, sizeof(v));
	return v;
}

static inline uint64_t fuzz_u64(struct fuzz_in *in)
{
	uint64_t v;

	fuzz_take(in, &v, sizeof(v));
	return v;
}

/*
 * The reactor. It has one file, which every path names, and any number of sockets. An io that can be done is done by
 * the next turn; the clock stands still while there is something to do and then jumps to the next timer.
 */

#define FUZZ_DISK_BYTES (8u << 20)	/* beyond it a write is swallowed and a read fails, as past the end of a file */

/* What comes in on a socket, and what goes out. */
struct fuzz_sock {
	const uint8_t *data;		/* RECV: these bytes, */
	size_t len;
	uint32_t chop;			/* at most so many at a time; 0: all of them */
	bool stays_open;		/* then nothing, not the end */
	uint32_t deaf_after;		/* not 0: so many SENDs are taken, one more is not until it is cancelled */
	void (*sent)(void *ctx, const void *data, size_t len);	/* NULL: swallowed */
	void *ctx;
	/* the reactor's */
	size_t at;
	uint32_t sends;
	bool is_open, is_gone;
};

struct fuzz_reactor;

struct fuzz_reactor *fuzz_reactor_new(void);
void fuzz_reactor_free(struct fuzz_reactor *x);
struct hf_reactor *fuzz_reactor(struct fuzz_reactor *x);
/* One turn; false: nothing happened, and nothing will without a timer. */
bool fuzz_turn(struct fuzz_reactor *x);
/* Turns until *flag, at most `turns`; the clock may jump to timers. Returns *flag. */
bool fuzz_wait(struct fuzz_reactor *x, const bool *flag, uint32_t turns);
/* Turns until nothing happens any more without a timer. */
void fuzz_settle(struct fuzz_reactor *x);
/* The next timer is due, and what comes of it. */
void fuzz_tick(struct fuzz_reactor *x);
/* A client's connection: the next ACCEPT of any listening socket gets it. `s` is the caller's until it is closed. */
void fuzz_dial(struct fuzz_reactor *x, struct fuzz_sock *s);
/* So many more bytes of s->data, which stays open, have come. */
void fuzz_say(struct fuzz_reactor *x, struct fuzz_sock *s, size_t more);
/* The client is gone: a RECV ends, a SEND fails. */
void fuzz_hang_up(struct fuzz_reactor *x, struct fuzz_sock *s);

/* The disk: FUZZ_DISK_BYTES, zeros at first. `freeze` makes what is there what `reset` goes back to. */
uint8_t *fuzz_disk(struct fuzz_reactor *x);
void fuzz_disk_put(struct fuzz_reactor *x, uint64_t off, const void *bytes, size_t len);
void fuzz_disk_reset(struct fuzz_reactor *x);
void fuzz_disk_freeze(struct fuzz_reactor *x);

#endif
