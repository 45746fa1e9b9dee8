// SPDX-License-Identifier: MIT
/*
 * nbd_verify - an NBD client that knows what every block must hold.
 *
 * Writes, zeroes and reads random blocks through one connection, reconnects when it is cut, and judges every read:
 * a block must hold its last acknowledged value, or one issued after that whose answer never came. Each value is a
 * number; a block is filled from (number, block), so a read names the write that it saw. Blocks with an operation in
 * flight are not touched by another one, so there is one right answer.
 *
 *	nbd_verify load URI STATE [--seconds N] [--first BLOCK] [--blocks N] [--depth N] [--reads PERCENT]
 *			[--seed N] [--give-up SECONDS]
 *	nbd_verify check URI STATE
 *
 * load expects zeros in all of its blocks, runs for N seconds, or until SIGTERM when N is 0, then reads every
 * block back and keeps what it knows in STATE; check reads every block again and compares it with STATE. Both end with
 * one line of key=value figures and exit 0 only if nothing was lost, wrong or refused. "started" is printed after the
 * first acknowledgement.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <libnbd.h>

#define BLOCK 4096u
#define RUN_MAX 64u			/* blocks of one operation */
#define OPEN_MAX 6u			/* unanswered values that one block remembers */
#define DEPTH_MAX 128u
#define ZERO_FLAG (1ull << 63)		/* in a value: the block was zeroed, not written */
#define MAGIC 0x686f6c6466617374ull

struct block {
	uint64_t acked;			/* value that must be there; ZERO_FLAG alone: never written */
	uint64_t open[OPEN_MAX];	/* issued later, never answered */
	uint32_t open_count;
	uint32_t busy;			/* an operation is in flight */
};

enum kind { WRITE, ZERO, READ };

struct op {
	enum kind kind;
	bool used;
	uint64_t value, lba;
	uint32_t count;
	uint8_t *buf;
	struct run *run;
};

struct run {
	const char *uri;
	struct nbd_handle *nbd;
	struct block *block;
	uint64_t first, blocks;		/* the range in use; every lba below is relative to first */
	unsigned depth, reads_percent;
	double give_up;
	uint64_t rng, value;
	struct op op[DEPTH_MAX];
	unsigned in_flight;
	bool cut;			/* the connection ended: what is in flight stays unanswered */
	bool started;
	double last_done, stall;
	uint64_t acked, unanswered, reads, lost, wrong, errors, reconnects;
};

static volatile sig_atomic_t stop_wanted;

static void on_term(int sig)
{
	(void)sig;
	stop_wanted = 1;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static uint64_t draw(struct run *r, uint64_t below)
{
	r->rng = mix(r->rng);
	return r->rng % below;
}

/* What a block holds after `value` was written to it. */
static void fill(uint8_t *buf, uint64_t value, uint64_t lba)
{
	uint64_t word[BLOCK / 8];
	uint64_t x = mix(value ^ mix(lba));

	if (value & ZERO_FLAG) {
		memset(buf, 0, BLOCK);
		return;
	}
	word[0] = MAGIC;
	word[1] = lba;
	word[2] = value;
	for (unsigned i = 3; i < BLOCK / 8; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		word[i] = x;
	}
	memcpy(buf, word, BLOCK);
}

static bool holds(const uint8_t *buf, uint64_t value, uint64_t lba)
{
	uint8_t want[BLOCK];

	fill(want, value, lba);
	return memcmp(buf, want, BLOCK) == 0;
}

/* The value is certain now: nothing older can come back. */
static void settle(struct block *b, uint64_t value)
{
	b->acked = value;
	b->open_count = 0;
}

static void judge(struct run *r, const uint8_t *buf, uint64_t lba)
{
	struct block *b = &r->block[lba];
	uint64_t word[3];

	r->reads++;
	if (holds(buf, b->acked, lba))
		return;
	for (uint32_t i = 0; i < b->open_count; i++) {
		if (holds(buf, b->open[i], lba)) {
			settle(b, b->open[i]); /* seen once: seen for ever */
			return;
		}
	}
	memcpy(word, buf, sizeof(word));
	bool older = word[0] == MAGIC && word[1] == lba && holds(buf, word[2], lba);
	older = older || holds(buf, ZERO_FLAG, lba);
	r->lost += older;
	r->wrong += !older;
	if (r->lost + r->wrong <= 10)
		fprintf(stderr, "block %llu: %s: holds %llx, acknowledged is %llx, %u unanswered since\n",
			(unsigned long long)lba, older ? "acknowledged write lost" : "not what was ever written",
			(unsigned long long)word[2], (unsigned long long)b->acked, b->open_count);
}

static void leave_open(struct run *r, struct block *b, uint64_t value)
{
	r->unanswered++;
	if (b->open_count == OPEN_MAX) {
		fprintf(stderr, "one block had %u unanswered writes in a row\n", OPEN_MAX);
		exit(2);
	}
	b->open[b->open_count++] = value;
}

/* Did the connection end, so that the operation may or may not have happened? */
static bool is_cut(struct run *r, int error)
{
	return r->cut || error == ENOTCONN || error == ESHUTDOWN || error == ECONNRESET || error == EPIPE ||
	       nbd_aio_is_dead(r->nbd) || nbd_aio_is_closed(r->nbd);
}

static int op_done(void *user, int *error)
{
	struct op *o = user;
	struct run *r = o->run;
	bool cut = *error && is_cut(r, *error);
	double t = now();

	for (uint32_t i = 0; i < o->count; i++) {
		struct block *b = &r->block[o->lba + i];

		b->busy = 0;
		if (*error == 0 && o->kind == READ)
			judge(r, o->buf + (size_t)i * BLOCK, o->lba + i);
		else if (*error == 0)
			settle(b, o->value);
		else if (o->kind != READ)
			leave_open(r, b, o->value);
	}
	if (*error && !cut) {
		r->errors++;
		fprintf(stderr, "operation at block %llu failed: %s\n", (unsigned long long)o->lba, strerror(*error));
	}
	if (cut)
		r->cut = true;
	if (*error == 0) {
		if (t - r->last_done > r->stall)
			r->stall = t - r->last_done;
		r->last_done = t;
		r->acked += o->kind != READ;
		if (!r->started && o->kind != READ) {
			r->started = true;
			puts("started");
			fflush(stdout);
		}
	}
	o->used = false;
	r->in_flight--;
	return 1;
}

static void issue(struct run *r, struct op *o, enum kind kind, uint64_t lba, uint32_t count)
{
	nbd_completion_callback done = { .callback = op_done, .user_data = o };
	uint64_t off = (r->first + lba) * BLOCK;
	size_t len = (size_t)count * BLOCK;
	int64_t rc;

	o->kind = kind;
	o->lba = lba;
	o->count = count;
	o->value = kind == READ ? 0 : ++r->value | (kind == ZERO ? ZERO_FLAG : 0);
	o->used = true;
	r->in_flight++;
	for (uint32_t i = 0; i < count; i++) {
		r->block[lba + i].busy = 1;
		if (kind == WRITE)
			fill(o->buf + (size_t)i * BLOCK, o->value, lba + i);
	}
	if (kind == WRITE)
		rc = nbd_aio_pwrite(r->nbd, o->buf, len, off, done, draw(r, 16) ? 0 : LIBNBD_CMD_FLAG_FUA);
	else if (kind == ZERO)
		rc = nbd_aio_zero(r->nbd, len, off, done, 0);
	else
		rc = nbd_aio_pread(r->nbd, o->buf, len, off, done, 0);
	if (rc < 0 && o->used) { /* never sent: it did not happen, but "open" is the careful answer */
		int error = ENOTCONN;

		r->cut = true;
		op_done(o, &error);
	}
}

static void issue_random(struct run *r, struct op *o)
{
	uint32_t count = draw(r, 4) ? 1 : 1 + (uint32_t)draw(r, RUN_MAX);
	uint64_t lba = draw(r, r->blocks - count + 1);
	unsigned dice = (unsigned)draw(r, 100);

	for (uint32_t i = 0; i < count; i++)
		if (r->block[lba + i].busy)
			return;
	issue(r, o, dice < r->reads_percent ? READ : dice < r->reads_percent + 3 ? ZERO : WRITE, lba, count);
}

static void fill_depth(struct run *r)
{
	for (unsigned i = 0; i < r->depth && !r->cut; i++)
		if (!r->op[i].used)
			issue_random(r, &r->op[i]);
}

static bool connect_once(struct run *r)
{
	if (r->nbd)
		nbd_close(r->nbd);
	r->nbd = nbd_create();
	if (!r->nbd) {
		fprintf(stderr, "nbd_create: %s\n", nbd_get_error());
		exit(2);
	}
	r->cut = false;
	if (nbd_connect_uri(r->nbd, r->uri) == 0)
		return true;
	return false;
}

/* Until there is a connection; false: gave up. */
static bool reconnect(struct run *r)
{
	double until = now() + r->give_up;
	struct timespec pause = { .tv_nsec = 10000000 };

	while (!connect_once(r)) {
		if (now() > until) {
			fprintf(stderr, "no connection for %.0f s: %s\n", r->give_up, nbd_get_error());
			return false;
		}
		nanosleep(&pause, NULL);
	}
	return true;
}

/* Closing the handle ends what is in flight, by op_done. */
static bool recover(struct run *r)
{
	r->cut = true;
	nbd_close(r->nbd);
	r->nbd = NULL;
	r->reconnects++;
	return reconnect(r);
}

static bool poll_once(struct run *r)
{
	if (nbd_poll(r->nbd, 100) < 0)
		r->cut = true;
	return r->cut ? recover(r) : true;
}

static bool run_load(struct run *r, double seconds)
{
	double end = seconds > 0 ? now() + seconds : 0;

	r->last_done = now();
	while (!stop_wanted && (end == 0 || now() < end)) {
		fill_depth(r);
		if (!poll_once(r))
			return false;
	}
	while (r->in_flight > 0)
		if (!poll_once(r))
			return false;
	return true;
}

/* Read every block; operations that a cut interrupts are issued again. */
static bool read_all(struct run *r)
{
	uint64_t next = 0, redo = 0;

	r->last_done = now();
	while (next < r->blocks || r->in_flight > 0) {
		for (unsigned i = 0; i < r->depth && next < r->blocks && !r->cut; i++) {
			uint64_t left = r->blocks - next;
			uint32_t count = left < RUN_MAX ? (uint32_t)left : RUN_MAX;

			if (r->op[i].used)
				continue;
			issue(r, &r->op[i], READ, next, count);
			next += count;
		}
		uint64_t before = r->reconnects;
		if (!poll_once(r))
			return false;
		if (r->reconnects != before) {
			if (redo++ > 20)
				return false;
			next = 0;
		}
	}
	return true;
}

static void keep_state(const struct run *r, const char *path)
{
	FILE *f = fopen(path, "w");
	bool ok = f && fwrite(&r->first, sizeof(r->first), 1, f) == 1 &&
		  fwrite(&r->blocks, sizeof(r->blocks), 1, f) == 1 &&
		  fwrite(r->block, sizeof(*r->block), r->blocks, f) == r->blocks;

	if (!f || fclose(f) != 0 || !ok) {
		perror(path);
		exit(2);
	}
}

static void load_state(struct run *r, const char *path)
{
	FILE *f = fopen(path, "r");

	if (!f || fread(&r->first, sizeof(r->first), 1, f) != 1 || fread(&r->blocks, sizeof(r->blocks), 1, f) != 1 ||
	    r->blocks == 0 || r->blocks > 1u << 26) {
		fprintf(stderr, "%s: no state of this program\n", path);
		exit(2);
	}
	r->block = calloc(r->blocks, sizeof(*r->block));
	if (!r->block || fread(r->block, sizeof(*r->block), r->blocks, f) != r->blocks) {
		fprintf(stderr, "%s: cut short\n", path);
		exit(2);
	}
	fclose(f);
}

static void new_state(struct run *r, uint64_t blocks)
{
	int64_t size = nbd_get_size(r->nbd);

	if (size < (int64_t)((r->first + RUN_MAX) * BLOCK)) {
		fprintf(stderr, "the export is too small\n");
		exit(2);
	}
	r->blocks = (uint64_t)size / BLOCK - r->first;
	if (blocks > 0 && blocks < r->blocks)
		r->blocks = blocks < RUN_MAX ? RUN_MAX : blocks;
	r->block = calloc(r->blocks, sizeof(*r->block));
	if (!r->block) {
		perror("calloc");
		exit(2);
	}
	for (uint64_t i = 0; i < r->blocks; i++)
		r->block[i].acked = ZERO_FLAG;
}

static _Noreturn void usage(void)
{
	fprintf(stderr, "usage: nbd_verify load|check URI STATE [--seconds N] [--first BLOCK] [--blocks N]\n"
			"                  [--depth N] [--reads PERCENT] [--seed N] [--give-up SECONDS]\n");
	exit(2);
}

static uint64_t number(char **argv)
{
	char *end;

	if (!argv[1])
		usage();
	uint64_t n = strtoull(argv[1], &end, 10);
	if (*end || end == argv[1])
		usage();
	return n;
}

int main(int argc, char **argv)
{
	static struct run r = { .depth = 16, .reads_percent = 20, .give_up = 30, .rng = 1 };
	uint64_t seconds = 5, blocks = 0;
	struct sigaction sa = { .sa_handler = on_term };

	if (argc < 4 || (strcmp(argv[1], "load") != 0 && strcmp(argv[1], "check") != 0))
		usage();
	bool load = strcmp(argv[1], "load") == 0;
	r.uri = argv[2];
	for (char **a = argv + 4; *a; a += 2) {
		uint64_t n = number(a);

		if (strcmp(*a, "--seconds") == 0)
			seconds = n;
		else if (strcmp(*a, "--first") == 0)
			r.first = n;
		else if (strcmp(*a, "--blocks") == 0)
			blocks = n;
		else if (strcmp(*a, "--depth") == 0 && n >= 1 && n <= DEPTH_MAX)
			r.depth = (unsigned)n;
		else if (strcmp(*a, "--reads") == 0 && n <= 97)
			r.reads_percent = (unsigned)n;
		else if (strcmp(*a, "--seed") == 0)
			r.rng = n;
		else if (strcmp(*a, "--give-up") == 0)
			r.give_up = (double)n;
		else
			usage();
	}
	sigaction(SIGTERM, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	for (unsigned i = 0; i < DEPTH_MAX; i++) {
		r.op[i].run = &r;
		r.op[i].buf = malloc((size_t)RUN_MAX * BLOCK);
		if (!r.op[i].buf)
			return 2;
	}
	if (!reconnect(&r))
		return 1;
	if (load)
		new_state(&r, blocks);
	else
		load_state(&r, argv[3]);
	bool ok = !load || run_load(&r, (double)seconds);
	double stall = r.stall;
	ok = ok && read_all(&r);
	if (load)
		keep_state(&r, argv[3]);
	nbd_shutdown(r.nbd, 0);
	nbd_close(r.nbd);
	printf("acked=%llu unanswered=%llu reads=%llu lost=%llu wrong=%llu errors=%llu reconnects=%llu stall_ms=%.0f\n",
	       (unsigned long long)r.acked, (unsigned long long)r.unanswered, (unsigned long long)r.reads,
	       (unsigned long long)r.lost, (unsigned long long)r.wrong, (unsigned long long)r.errors,
	       (unsigned long long)r.reconnects, stall * 1000);
	return ok && r.lost == 0 && r.wrong == 0 && r.errors == 0 ? 0 : 1;
}
