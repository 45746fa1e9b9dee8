// SPDX-License-Identifier: MIT
/*
 * verify - recheck a promotion's certificate, entry by entry, from the legs' own logs (docs/SAFETY.md G5, I8, I11,
 * I14).
 *
 * Three questions: does the certificate fit together (certificate.h); does each leg's log say the same; do the legs
 * together still hold every op of the history that their logs reach back to, and decode it. What was applied and
 * overwritten in the rings is told, not guessed. Never writes. Exit codes: 0 all held; 1 something does not hold or
 * cannot be read; 2 usage; 4 nothing failed, but these legs are too few to decode; 5 no such file.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "certificate.h"
#include "codec/csum.h"
#include "codec/ec.h"
#include "core/entry.h"
#include "format/json_read.h"
#include "leglog.h"

#define FILES_MAX 32u
#define TELL_MAX 20u /* failed checks that are printed one by one */

/* An op in the log of one leg. */
struct op {
	uint32_t file;
	hf_epoch epoch;
	hf_seq seq;
	uint64_t lba;
	uint32_t nblocks, chain;
	uint8_t type;
	struct leglog_place at;
};

struct file {
	const char *path;
	const char *name; /* its host, when the certificate knows the leg */
	const struct cert_leg *told;
	struct leglog log;
	bool usable;	    /* a leg of this volume, that the certificate knows */
	bool counts;	    /* it adopted the epoch, and is trusted */
	hf_seq first, last; /* of the history, alive and good, from the checkpoint on */
	hf_seq older;	    /* first one before the checkpoint, still readable; 0: none */
	hf_seq commit;	    /* highest that its superblock or log knew committed */
	uint64_t held, cut_dead, cut_alive, strange;
};

static unsigned failed, passed;
static struct cert cert;
static struct file files[FILES_MAX];
static uint32_t file_count;
static struct op *ops;
static size_t op_count, op_room;
static struct hf_ec ec;

static void check(bool ok, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void check(bool ok, const char *format, ...)
{
	va_list ap;

	*(ok ? &passed : &failed) += 1;
	if (!ok && failed > TELL_MAX)
		return;
	printf("%-7s ", ok ? "ok" : "FAILED");
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
}

/* Something that is neither right nor wrong. */
static void note(const char *format, ...)
{
	va_list ap;

	printf("%-7s ", "-");
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
}

/* What is not worth a line while it holds. */
static void must(bool ok, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void must(bool ok, const char *format, ...)
{
	char text[512];
	va_list ap;

	if (ok)
		return;
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	check(false, "%s", text);
}

/* one leg */

static void on_entry(void *ctx, const struct leglog *l, const struct leglog_place *at, const struct hf_entry *e)
{
	struct file *f = ctx;

	(void)l;
	if (e->type == HF_OP_RESYNC)
		return;
	if (at->commit > f->commit)
		f->commit = at->commit;
	if (op_count == op_room) {
		op_room = op_room ? op_room * 2 : 4096;
		/* cppcheck-suppress memleakOnRealloc; without memory the process ends in the next line */
		ops = realloc(ops, op_room * sizeof(*ops));
		hf_assert(ops);
	}
	ops[op_count++] = (struct op){.file = (uint32_t)(f - files),
				      .epoch = e->epoch,
				      .seq = e->seq,
				      .lba = e->lba,
				      .nblocks = e->nblocks,
				      .chain = e->chain,
				      .type = e->type,
				      .at = *at};
}

static void on_damage(void *ctx, const struct leglog *l, bool trimmed, const char *what)
{
	const struct file *f = ctx;

	(void)l;
	if (trimmed)
		note("%s: already applied, no longer needed: %s", f->name, what);
	else
		check(false, "%s: %s", f->name, what);
}

static bool is_known(struct file *f)
{
	const struct hf_leg_identity *id = &f->log.sb.id;
	char text[HF_UUID_TEXT];

	if (!hf_uuid_is_equal(&id->volume, &cert.volume_uuid)) {
		check(false, "%s: it is a leg of another volume, %s", f->path, hf_uuid_format(&id->volume, text));
		return false;
	}
	for (uint32_t i = 0; i < cert.leg_count; i++)
		if (hf_uuid_is_equal(&cert.leg[i].uuid, &id->leg))
			f->told = &cert.leg[i];
	if (!f->told) {
		note("%s: leg %s is not in the certificate: it came later, and is not asked", f->path,
		     hf_uuid_format(&id->leg, text));
		return false;
	}
	f->name = f->told->host;
	check(id->frag == f->told->frag, "%s: it is the leg that the certificate means, and of the same kind", f->name);
	if (id->frag != f->told->frag)
		return false;
	for (const struct file *o = files; o < f; o++)
		if (o->told == f->told) {
			check(false, "%s: %s and %s are the same leg", f->name, o->path, f->path);
			return false;
		}
	return true;
}

/* The epochs in the superblock against the history. */
static void check_epochs(const struct file *f)
{
	const struct hf_epoch_cache *own = &f->log.sb.state.epochs;
	bool same = true;

	for (uint32_t i = 0; i < own->count; i++) {
		const struct hf_epoch_start *at = &own->at[i];
		hf_epoch e = at->start <= cert.decided ? hf_epoch_cache_at(&cert.history, at->start) : 0;

		same &= !e || e == at->epoch;
		for (uint32_t k = 0; k < cert.history.count; k++)
			same &= cert.history.at[k].epoch != at->epoch || cert.history.at[k].start == at->start;
		if (at->epoch == cert.epoch)
			check(at->start == cert.decided + 1,
			      "%s: epoch %" PRIu64 " began with seq %" PRIu64 ", right behind the decided %" PRIu64,
			      f->name, at->epoch, at->start, cert.decided);
	}
	for (uint32_t i = 0; i < cert.history.count; i++) {
		hf_epoch e = hf_epoch_cache_at(own, cert.history.at[i].start);

		same &= !e || e == cert.history.at[i].epoch;
	}
	check(same, "%s: it remembers the same epochs up to the decided seq", f->name);
}

static void check_super(struct file *f)
{
	const struct hf_disk_super *s = &f->log.sb;
	const struct hf_leg_state *st = &s->state;

	if (f->told->valid)
		check(st->promised >= cert.epoch, "%s: it promised epoch %" PRIu64 " or later", f->name, cert.epoch);
	if (st->promised == cert.epoch)
		check(hf_uuid_is_equal(&st->promised_incarnation, &cert.incarnation),
		      "%s: it promised to the incarnation that the certificate names", f->name);
	f->commit = s->checkpoint.commit;
	f->counts = st->activated >= cert.epoch && !st->inconsistent && !st->failed;
	if (f->counts)
		check_epochs(f);
	if (f->log.moving)
		note("%s: a daemon is writing to it: its log was read up to batch %" PRIu64 ", what came later was not",
		     f->name, f->log.end);
}

static bool load(struct file *f)
{
	const struct leglog_visitor visitor = {.entry = on_entry, .damage = on_damage, .ctx = f};
	const char *why;
	int ret = leglog_open(&f->log, f->path, &why);

	f->name = f->path;
	if (f->log.fd < 0) {
		fprintf(stderr, "holdfast-verify: %s cannot be opened: %s\n", f->path, why);
		return false;
	}
	if (ret) {
		check(false, "%s: %s: %s", f->path, ret == -EUCLEAN ? "not a leg" : "it cannot be read", why);
		return true;
	}
	f->usable = is_known(f);
	if (!f->usable)
		return true;
	check_super(f);
	leglog_walk(&f->log, true, &visitor);
	return true;
}

/* The entries of a leg against the certificate. */
static void check_entry(struct file *f, const struct op *o)
{
	hf_epoch e = hf_epoch_cache_at(&cert.history, o->seq);
	bool beyond = o->seq > cert.decided, old = o->epoch < cert.epoch;

	if (!o->at.alive) {
		f->cut_dead += beyond && old && o->seq <= cert.cut_to;
		return;
	}
	if (beyond) {
		f->cut_alive += old;
		return;
	}
	if (e && e != o->epoch) {
		f->strange++;
		must(!f->counts, "%s: seq %" PRIu64 " is of epoch %" PRIu64 ", the history says %" PRIu64, f->name,
		     o->seq, o->epoch, e);
		return;
	}
	if (!o->at.good)
		return;
	if (o->at.trimmed) {
		f->older = f->older && f->older < o->seq ? f->older : o->seq;
	} else if (o->seq > f->log.sb.checkpoint.applied) {
		f->first = f->first ? f->first : o->seq;
		f->last = o->seq;
		f->held++;
	}
}

/* What was looked at, and what is no longer there. */
static void report_range(const struct file *f)
{
	hf_seq applied = f->log.sb.checkpoint.applied, gone = applied < cert.decided ? applied : cert.decided;

	if (f->held)
		note("%s: seq %" PRIu64 " to %" PRIu64 " are in its log: every entry was read", f->name, f->first,
		     f->last);
	else
		note("%s: its log reaches back to seq %" PRIu64 ": nothing of the history is in it", f->name,
		     applied + 1);
	if (f->older && f->older <= gone)
		note("%s: from seq %" PRIu64 " on, what was applied already is still readable in its ring", f->name,
		     f->older);
	if (f->older ? f->older > 1 : gone > 0)
		note("%s: seq 1 to %" PRIu64
		     " are no longer in its log: they were applied to the image, and not checked",
		     f->name, f->older ? f->older - 1 : gone);
}

static void check_file(struct file *f)
{
	hf_seq applied = f->log.sb.checkpoint.applied;
	const struct hf_leg_state *st = &f->log.sb.state;

	for (size_t i = 0; i < op_count; i++)
		if (&files[ops[i].file] == f)
			check_entry(f, &ops[i]);
	report_range(f);
	if (f->cut_dead)
		note("%s: %" PRIu64 " ops that were cut still stand in its ring, and are dead", f->name, f->cut_dead);
	if (!f->counts) {
		note("%s: it does not count: %s", f->name,
		     st->failed		? "it has failed"
		     : st->inconsistent ? "its resync has not ended"
					: "it has not adopted the epoch");
		if (st->promised < cert.epoch)
			check(f->commit <= cert.acked_at_most,
			      "%s: it knew seq %" PRIu64 " to be committed, which is not beyond %" PRIu64, f->name,
			      f->commit, cert.acked_at_most);
		if (f->cut_alive || f->strange)
			note("%s: it still holds %" PRIu64
			     " ops that are not of the history; they go when it comes back",
			     f->name, f->cut_alive + f->strange);
		return;
	}
	check(f->cut_alive == 0,
	      "%s: no op beyond the decided seq is alive in it that is older than epoch %" PRIu64 " (%" PRIu64
	      " found)",
	      f->name, cert.epoch, f->cut_alive);
	check(applied >= cert.decided || (f->held == cert.decided - applied && f->last == cert.decided),
	      "%s: it holds the history up to the decided seq %" PRIu64 " without a gap", f->name, cert.decided);
}

/* all legs */

static int by_name(const void *a, const void *b)
{
	const struct op *x = a, *y = b;

	if (x->seq != y->seq)
		return x->seq < y->seq ? -1 : 1;
	if (x->epoch != y->epoch)
		return x->epoch < y->epoch ? -1 : 1;
	return (x->file > y->file) - (x->file < y->file);
}

/* Who has an op: in a log, where it can be read, or in an image. */
struct holders {
	const struct op *full, *frag[HF_K_MAX + HF_M_MAX];
	uint32_t log, image; /* bit per fragment */
	bool log_full, image_full;
};

static bool is_decodable(bool full, uint32_t frags)
{
	return full || (uint32_t)__builtin_popcount(frags) >= ec.k;
}

static void find_holders(const struct op *o, size_t n, hf_seq seq, struct holders *h)
{
	memset(h, 0, sizeof(*h));
	for (size_t i = 0; i < n; i++) {
		const struct file *f = &files[o[i].file];

		if (!f->counts || !o[i].at.good)
			continue;
		if (f->told->frag == HF_FRAG_FULL) {
			h->full = &o[i];
			h->log_full = true;
		} else {
			h->frag[f->told->frag] = &o[i];
			h->log |= 1u << f->told->frag;
		}
	}
	for (uint32_t i = 0; i < file_count; i++) {
		if (!files[i].counts || files[i].log.sb.checkpoint.applied < seq)
			continue;
		if (files[i].told->frag == HF_FRAG_FULL)
			h->image_full = true;
		else
			h->image |= 1u << files[i].told->frag;
	}
}

/* Given up when data loss was accepted, by this promotion or an earlier one: no leg that has the mark has its part. */
static bool is_marked_lost(const struct op *o, uint32_t b)
{
	const struct leglog *log = &files[o->file].log;
	uint8_t frag[HF_BLOCK];
	struct hf_entry e;

	leglog_entry(log, &o->at, &e);
	leglog_fragment(log, &o->at, b, frag);
	return hf_crc32c(frag, log->frag) == hf_crc32c_lost(e.frag_crc[b]);
}

static bool any_marked_lost(const struct holders *h, uint32_t b)
{
	if (h->full && is_marked_lost(h->full, b))
		return true;
	for (uint32_t i = 0; i < (uint32_t)ec.k + ec.m; i++)
		if (h->frag[i] && is_marked_lost(h->frag[i], b))
			return true;
	return false;
}

static void check_block(const struct holders *h, const struct op *o, const struct hf_entry *e, uint32_t b)
{
	static uint8_t data[HF_K_MAX + HF_M_MAX][HF_BLOCK];
	uint8_t block[HF_BLOCK];
	const void *frag[HF_K_MAX + HF_M_MAX] = {NULL};
	uint32_t bad = 0;

	if (h->full) {
		leglog_fragment(&files[h->full->file].log, &h->full->at, b, block);
		must(hf_crc32c(block, HF_BLOCK) == e->block_crc[b],
		     "seq %" PRIu64 ", block %" PRIu64 ": the whole block on %s does not match its checksum", o->seq,
		     o->lba + b, files[h->full->file].name);
	}
	if (!is_decodable(false, h->log))
		return;
	for (uint32_t i = 0; i < (uint32_t)ec.k + ec.m; i++) {
		if (!h->frag[i])
			continue;
		leglog_fragment(&files[h->frag[i]->file].log, &h->frag[i]->at, b, data[i]);
		frag[i] = data[i];
	}
	if (hf_ec_decode_checked(&ec, frag, e->block_crc[b], block, &bad))
		check(false, "seq %" PRIu64 ", block %" PRIu64 ": no %u fragments decode to what was written", o->seq,
		      o->lba + b, ec.k);
	for (uint32_t i = 0; bad >> i; i++)
		must(!(bad >> i & 1), "seq %" PRIu64 ", block %" PRIu64 ": the fragment on %s is not of this block",
		     o->seq, o->lba + b, files[h->frag[i]->file].name);
}

struct tally {
	hf_seq from; /* every seq from here to the decided one is in a log */
	uint64_t shared, decoded, blocks, older, image, lost;
	hf_seq next; /* seq that is looked for */
};

/* An op of the history: o[0..n) are its copies. */
static void check_held(const struct op *o, size_t n, hf_seq seq, struct tally *t)
{
	struct holders h;
	struct hf_entry e;

	find_holders(o, n, seq, &h);
	if (!is_decodable(h.log_full, h.log)) {
		must(is_decodable(h.log_full || h.image_full, h.log | h.image),
		     "seq %" PRIu64 " of epoch %" PRIu64 " cannot be decoded from these legs", seq,
		     hf_epoch_cache_at(&cert.history, seq));
		t->image++;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (!o[i].at.good)
			continue;
		leglog_entry(&files[o[i].file].log, &o[i].at, &e);
		break;
	}
	if (seq < t->from)
		t->older++;
	else
		t->decoded++;
	for (uint32_t b = 0; e.type == HF_OP_WRITE && b < e.nblocks; b++) {
		if (any_marked_lost(&h, b)) {
			t->lost++;
			continue;
		}
		t->blocks++;
		check_block(&h, o, &e, b);
	}
}

/* Ops of one name: the same on every leg, dead or alive (I14). */
static void check_named(const struct op *o, size_t n, struct tally *t)
{
	bool history = o->seq <= cert.decided && hf_epoch_cache_at(&cert.history, o->seq) == o->epoch;

	for (size_t i = 1; i < n; i++)
		must(o[i].chain == o->chain || !o[i].at.good || !o->at.good,
		     "epoch %" PRIu64 " seq %" PRIu64 ": %s has chain %08x, %s has %08x: two ops under one name",
		     o->epoch, o->seq, files[o->file].name, o->chain, files[o[i].file].name, o[i].chain);
	t->shared += o->file != o[n - 1].file;
	for (uint32_t i = 0; i < cert.leg_count; i++) {
		const struct cert_leg *l = &cert.leg[i];

		must(!l->valid || l->last_seq != o->seq || l->last_epoch != o->epoch || l->chain == o->chain ||
			     !o->at.good,
		     "epoch %" PRIu64 " seq %" PRIu64 ": the certificate says chain %08x for %s, %s has %08x", o->epoch,
		     o->seq, l->chain, l->host, files[o->file].name, o->chain);
	}
	if (!history)
		return;
	if (o->seq == cert.decided)
		check(o->chain == cert.chain || !o->at.good,
		      "the chain at the decided seq is %08x in the logs, as the certificate says", o->chain);
	for (; t->next < o->seq; t->next++)
		check_held(NULL, 0, t->next, t);
	check_held(o, n, o->seq, t);
	if (o->seq == t->next)
		t->next++;
}

static void check_all(void)
{
	struct tally t = {.from = cert.decided + 1};
	unsigned before = failed;

	for (uint32_t i = 0; i < file_count; i++)
		if (files[i].counts && files[i].log.sb.checkpoint.applied < t.from)
			t.from = files[i].log.sb.checkpoint.applied + 1;
	if (cert.history.count && t.from < cert.history.at[0].start)
		t.from = cert.history.at[0].start;
	t.next = t.from;
	qsort(ops, op_count, sizeof(*ops), by_name);
	for (size_t i = 0, n; i < op_count; i += n) {
		for (n = 1; i + n < op_count && ops[i + n].seq == ops[i].seq && ops[i + n].epoch == ops[i].epoch;)
			n++;
		check_named(&ops[i], n, &t);
	}
	for (; t.next <= cert.decided; t.next++)
		check_held(NULL, 0, t.next, &t);
	note("%" PRIu64 " ops stand in more than one log, and were compared", t.shared);
	if (t.from > cert.decided)
		note("nothing of the history is in the logs any more");
	else if (failed == before)
		check(true, "seq %" PRIu64 " to %" PRIu64 ": enough legs hold each of these %" PRIu64 " ops", t.from,
		      cert.decided, t.decoded + t.image);
	if (t.older)
		note("%" PRIu64 " older ops were applied already, and were decoded all the same", t.older);
	if (t.blocks && failed == before)
		check(true, "%" PRIu64 " blocks were decoded, and are as they were written", t.blocks);
	if (t.lost)
		note("%" PRIu64 " blocks are marked lost: data loss was accepted once", t.lost);
	if (t.image)
		note("%" PRIu64
		     " ops were applied on too many legs to be decoded from logs: not checked block by block",
		     t.image);
}

/* Blocks of what was cut, as far as a ring still shows it. */
static void tell_cut(void)
{
	hf_seq shown = 0;

	for (size_t i = 0; i < op_count; i++) {
		const struct op *o = &ops[i];

		if (o->seq <= cert.decided || o->seq > cert.cut_to || o->epoch >= cert.epoch || o->seq == shown)
			continue;
		shown = o->seq;
		note("%s seq %" PRIu64 " of epoch %" PRIu64 ": blocks %" PRIu64 "+%u",
		     cert.lossy ? "lost or at risk:" : "cut:", o->seq, o->epoch, o->lba,
		     o->type == HF_OP_RESIZE ? 0 : o->nblocks);
	}
}

/* Do the legs that count suffice to decode the volume? */
static bool legs_suffice(void)
{
	uint32_t frags = 0;
	bool full = false;

	for (uint32_t i = 0; i < file_count; i++) {
		if (!files[i].counts)
			continue;
		if (files[i].told->frag == HF_FRAG_FULL)
			full = true;
		else
			frags |= 1u << files[i].told->frag;
	}
	return is_decodable(full, frags);
}

/* The geometry is the legs': the certificate does not tell it. */
static bool same_geometry(void)
{
	const struct hf_geometry *g = NULL;

	for (uint32_t i = 0; i < file_count; i++) {
		const struct hf_geometry *x = &files[i].log.sb.id.geometry;

		if (!files[i].usable)
			continue;
		if (g && (g->k != x->k || g->m != x->m)) {
			check(false, "%s: its geometry is %u+%u, other legs have %u+%u", files[i].name, x->k, x->m,
			      g->k, g->m);
			return false;
		}
		g = x;
	}
	return g && hf_ec_init(&ec, g->k, g->m) == 0;
}

static int finish(bool enough)
{
	if (failed > TELL_MAX)
		printf("...     and %u more\n", failed - TELL_MAX);
	printf("%u checks held, %u failed\n", passed, failed);
	if (!enough && !failed)
		puts("these legs alone cannot decode the volume: give more of them");
	for (uint32_t i = 0; i < file_count; i++)
		leglog_close(&files[i].log);
	free(ops);
	return failed ? 1 : enough ? 0 : 4;
}

int main(int argc, char **argv)
{
	char why[256];
	bool enough = false;

	hf_json_init();
	if (argc < 3 || argc - 2 > (int)FILES_MAX || argv[1][0] == '-') {
		fputs("usage: holdfast-verify CERTIFICATE.json LEGFILE...\n", stderr);
		return 2;
	}
	if (!cert_load(&cert, argv[1], why, sizeof(why))) {
		fprintf(stderr, "holdfast-verify: %s is not the certificate of a promotion: %s\n", argv[1], why);
		return 1;
	}
	cert_check(&cert, check);
	for (int i = 2; i < argc; i++) {
		files[file_count].path = argv[i];
		if (!load(&files[file_count++]))
			return 5;
	}
	if (same_geometry()) {
		for (uint32_t i = 0; i < file_count; i++)
			if (files[i].usable)
				check_file(&files[i]);
		enough = legs_suffice();
		if (enough)
			check_all();
		tell_cut();
	}
	return finish(enough);
}
