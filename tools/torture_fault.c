// SPDX-License-Identifier: MIT
/*
 * torture_fault - the faults: what each does, and how it is seen to be over. Every one begins with all legs in sync and
 * ends so; which one comes next, and whom it hits, follows from the seed alone.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl_proto.h"
#include "torture.h"

#define SERVED_S 60u			/* by somebody, after whatever happened */
#define SETTLED_S 120u
#define PASS_S 300u
#define GHOST_S 10u
#define SWEEP_EVERY 25u			/* faults between two reads of everything */
#define FLIP_PAGES 24u
#define ACKS_BEHIND 200u		/* answers of the new primary before the old one may wake */

/* whom, and waiting */

static unsigned other_than(struct torture *t, unsigned a)
{
	unsigned i = (unsigned)torture_draw(t, t->hosts - 1);

	return i + (i >= a);
}

static bool is_served(struct torture *t)
{
	struct load_figures f;

	load_look(t->load, &f);
	return f.failover_ns != 0;
}

static bool is_answering(struct torture *t)
{
	struct load_figures f;

	load_look(t->load, &f);
	return f.is_open && f.answers > ACKS_BEHIND;
}

static bool burst_is_sent(struct torture *t)
{
	struct load_figures f;

	load_look(t->load, &f);
	return f.burst_sent || !f.reader_open;
}

static bool reader_is_done(struct torture *t)
{
	struct load_figures f;

	load_look(t->load, &f);
	return !f.reader_open || f.reader_in_flight == 0;
}

static bool reader_is_open(struct torture *t)
{
	struct load_figures f;

	load_look(t->load, &f);
	return f.reader_open;
}

static bool pass_is_over(struct torture *t)
{
	struct load_figures f;

	load_look(t->load, &f);
	return f.pass_over;
}

static enum torture_end pass(struct torture *t, bool write)
{
	load_pass(t->load, write);
	return torture_wait(t, pass_is_over, write ? "not every block was written" : "not every block was read",
			    PASS_S);
}

static enum torture_end wait_served(struct torture *t)
{
	enum torture_end end = torture_wait(t, is_served, "no write was acknowledged by a new session", SERVED_S);

	(void)torture_is_settled(t);	/* for the history of tolerance */
	return end;
}

/* hosts that die */

static enum torture_end kill_leg(struct torture *t)
{
	unsigned host = other_than(t, t->primary);
	unsigned down_ms = torture_draw(t, 8) ? (unsigned)torture_draw(t, 200) : 1500;
	enum torture_end end;

	torture_say(t, "%s, down for %u ms", t->host[host].name, down_ms);
	end = torture_kill(t, host);
	torture_pause(down_ms);
	return end == TORTURE_DONE ? torture_start(t, host) : end;
}

static enum torture_end kill_primary(struct torture *t)
{
	unsigned old = t->primary, to = other_than(t, old);
	enum torture_end end;

	torture_say(t, "%s, then %s", t->host[old].name, t->host[to].name);
	load_expect_failover(t->load);
	end = torture_kill(t, old);
	torture_note_tolerance(t, -2);
	if (end == TORTURE_DONE)
		end = torture_promote(t, to, true);
	if (end == TORTURE_DONE)
		end = wait_served(t);
	return end == TORTURE_DONE ? torture_start(t, old) : end;
}

static enum torture_end set_failover(struct torture *t, bool is_auto)
{
	struct answer a = client_call_any(&t->cx, &t->daemons, "volume.set",
					  json_pack("{s:s, s:b}", "name", TORTURE_VOLUME, "auto_failover", is_auto));
	enum torture_end end = a.exit_code == HF_EXIT_OK ? TORTURE_DONE
							 : torture_fail(t, "failover cannot be set to %s",
									is_auto ? "auto" : "manual");

	answer_fini(&a);
	return end;
}

/* Nobody gives an order: the others have to notice. */
static enum torture_end lose_primary(struct torture *t)
{
	unsigned old = t->primary;
	enum torture_end end = set_failover(t, true);

	torture_say(t, "%s, then no command", t->host[old].name);
	if (end == TORTURE_DONE)
		end = torture_wait(t, torture_is_settled, "failover was set, and it is not settled", SETTLED_S);
	load_expect_failover(t->load);
	if (end == TORTURE_DONE)
		end = torture_kill(t, old);
	torture_note_tolerance(t, -2);
	if (end == TORTURE_DONE)
		end = wait_served(t);
	if (end == TORTURE_DONE)
		end = torture_start(t, old);
	return end == TORTURE_DONE ? set_failover(t, false) : end;
}

/* The primary comes back at once and takes its volume again, without a command. */
static enum torture_end restart_primary(struct torture *t)
{
	enum torture_end end;

	torture_say(t, "%s", t->host[t->primary].name);
	load_expect_failover(t->load);
	end = torture_kill(t, t->primary);
	torture_note_tolerance(t, -2);
	if (end == TORTURE_DONE)
		end = torture_start(t, t->primary);
	return end == TORTURE_DONE ? wait_served(t) : end;
}

/* Kill these hosts, in one go, and start them again; then somebody is told to take over, in a race with the old one. */
static enum torture_end kill_and_promote(struct torture *t, const unsigned host[], unsigned count, unsigned to)
{
	enum torture_end end = TORTURE_DONE;
	pid_t pid[DEV_HOSTS_MAX];

	load_expect_failover(t->load);
	for (unsigned i = 0; i < count && end == TORTURE_DONE; i++)
		end = torture_signal(t, host[i], SIGSTOP); /* so that they die at one instant, as the others see it */
	for (unsigned i = 0; i < count && end == TORTURE_DONE; i++)
		end = torture_kill(t, host[i]);
	torture_note_tolerance(t, -2);
	for (unsigned i = 0; i < count && end == TORTURE_DONE; i++)
		end = torture_spawn(t, host[i], &pid[i]);
	for (unsigned i = 0; i < count && end == TORTURE_DONE; i++)
		if (dev_wait_up(&t->cx, t->host[host[i]].spec, t->dir, pid[i]))
			end = torture_fail(t, "%s does not come up", t->host[host[i]].name);
	if (end == TORTURE_DONE && to < t->hosts)
		end = torture_promote(t, to, false);
	return end == TORTURE_DONE ? wait_served(t) : end;
}

static enum torture_end kill_two(struct torture *t)
{
	unsigned both[2] = { t->primary, other_than(t, t->primary) }, to = other_than(t, t->primary);

	torture_say(t, "%s and %s, then %s", t->host[both[0]].name, t->host[both[1]].name, t->host[to].name);
	return kill_and_promote(t, both, 2, to);
}

static enum torture_end kill_all(struct torture *t)
{
	unsigned all[DEV_HOSTS_MAX], to = (unsigned)torture_draw(t, t->hosts + 2);

	for (unsigned i = 0; i < t->hosts; i++)
		all[i] = i;
	torture_say(t, "%u hosts, then %s", t->hosts, to < t->hosts ? t->host[to].name : "no command");
	return kill_and_promote(t, all, t->hosts, to);
}

/* The leg comes back, and while it catches up the primary dies. */
static enum torture_end kill_in_turn(struct torture *t)
{
	unsigned leg = other_than(t, t->primary), to = other_than(t, t->primary), primary = t->primary;
	enum torture_end end;

	torture_say(t, "%s, then %s, then %s", t->host[leg].name, t->host[primary].name, t->host[to].name);
	end = torture_kill(t, leg);
	torture_pause(300);
	if (end == TORTURE_DONE)
		end = torture_start(t, leg);
	return end == TORTURE_DONE ? kill_and_promote(t, &primary, 1, to) : end;
}

static enum torture_end move(struct torture *t)
{
	unsigned to = other_than(t, t->primary);
	enum torture_end end;

	torture_say(t, "%s to %s", t->host[t->primary].name, t->host[to].name);
	load_expect_failover(t->load);
	end = torture_promote(t, to, true);
	return end == TORTURE_DONE ? wait_served(t) : end;
}

/* hosts that are cut off, or asleep */

static enum torture_end freeze_host(struct torture *t)
{
	unsigned host = (unsigned)torture_draw(t, t->hosts), ms = 200 + (unsigned)torture_draw(t, 4000);
	enum torture_end end;

	torture_say(t, "%s for %u ms", t->host[host].name, ms);
	end = torture_signal(t, host, SIGSTOP);
	torture_pause(ms);
	return end == TORTURE_DONE ? torture_signal(t, host, SIGCONT) : end;
}

/* New connections are found again and again, so that all of them stay deaf. */
static enum torture_end deaf_host(struct torture *t)
{
	unsigned host = (unsigned)torture_draw(t, t->hosts), ms = 200 + (unsigned)torture_draw(t, 4000);
	enum torture_end end = TORTURE_DONE;

	torture_say(t, "%s for %u ms", t->host[host].name, ms);
	for (unsigned i = 0; i < ms / 50 && end == TORTURE_DONE && !torture_is_over(); i++) {
		end = torture_deafen(t, host, true);
		torture_pause(50);
	}
	return end == TORTURE_DONE ? torture_deafen(t, host, false) : end;
}

static enum torture_end cut_host(struct torture *t)
{
	unsigned host = (unsigned)torture_draw(t, t->hosts), times = 1 + (unsigned)torture_draw(t, 3);
	enum torture_end end = TORTURE_DONE;

	torture_say(t, "%s, %u times", t->host[host].name, times);
	for (unsigned i = 0; i < times && end == TORTURE_DONE; i++) {
		end = torture_cut(t, host);
		torture_pause((unsigned)torture_draw(t, 300));
	}
	return end;
}

/*
 * The primary is cut off by `off`, somebody else takes over and acknowledges; the old one, with a reader that never
 * left it and with writes that it never answered, has reads waiting for it when `on` brings it back (H31, H42).
 */
static enum torture_end depose(struct torture *t, enum torture_end (*off)(struct torture *t, unsigned host),
			       enum torture_end (*on)(struct torture *t, unsigned host))
{
	unsigned old = t->primary, to = other_than(t, old);
	enum torture_end end;
	uint64_t until;

	torture_say(t, "%s, then %s", t->host[old].name, t->host[to].name);
	load_expect_failover(t->load);
	end = off(t, old);
	if (end != TORTURE_DONE)
		return end;
	torture_note_tolerance(t, -2);
	end = torture_promote(t, to, true);
	load_leave(t->load);
	if (end == TORTURE_DONE)
		end = wait_served(t);
	if (end == TORTURE_DONE)
		end = torture_wait(t, is_answering, "the new primary answers too little", SERVED_S);
	load_burst(t->load);
	if (end == TORTURE_DONE)
		end = torture_wait(t, burst_is_sent, "reads do not go out to the old primary", SERVED_S);
	if (on(t, old) != TORTURE_DONE)
		return TORTURE_STUCK;
	/* It may keep silent until it knows that it was deposed; what it says has to be right. */
	until = torture_now_ns() + GHOST_S * 1000000000ull;
	while (end == TORTURE_DONE && !reader_is_done(t) && torture_now_ns() < until && !torture_is_over())
		torture_pause(5);
	load_drop_ghost(t->load);
	return end;
}

static enum torture_end stop(struct torture *t, unsigned host)
{
	return torture_signal(t, host, SIGSTOP);
}

static enum torture_end wake(struct torture *t, unsigned host)
{
	return torture_signal(t, host, SIGCONT);
}

static enum torture_end mute(struct torture *t, unsigned host)
{
	return torture_deafen(t, host, true);
}

static enum torture_end unmute(struct torture *t, unsigned host)
{
	return torture_deafen(t, host, false);
}

static enum torture_end freeze_primary(struct torture *t)
{
	return depose(t, stop, wake);
}

static enum torture_end isolate_primary(struct torture *t)
{
	return depose(t, mute, unmute);
}

/* disks */

/* One leg rots, all blocks are read right in spite of it; written anew, so that no rot is left for the next fault. */
static enum torture_end flip_bytes(struct torture *t)
{
	unsigned host = (unsigned)torture_draw(t, t->hosts);
	enum torture_end end;

	torture_say(t, "%s", t->host[host].name);
	end = torture_flip(t, host, FLIP_PAGES);
	if (end == TORTURE_DONE)
		end = pass(t, false);
	return end == TORTURE_DONE ? pass(t, true) : end;
}

/* the table */

static const struct kind {
	const char *name;
	unsigned weight;
	int tolerance;			/* that the volume must have with all legs in sync */
	enum torture_end (*inject)(struct torture *t);
} kinds[] = {
	{ "kill-leg", 8, 1, kill_leg },
	{ "kill-primary", 6, 1, kill_primary },
	{ "lose-primary", 3, 1, lose_primary },
	{ "restart-primary", 2, 0, restart_primary },
	{ "kill-two", 2, 0, kill_two },
	{ "kill-in-turn", 1, 0, kill_in_turn },
	{ "kill-all", 2, 0, kill_all },
	{ "freeze-primary", 2, 1, freeze_primary },
	{ "freeze-host", 1, 0, freeze_host },
	{ "cut-host", 2, 0, cut_host },
	{ "deaf-host", 1, 0, deaf_host },
	{ "isolate-primary", 2, 1, isolate_primary },
	{ "flip-bytes", 1, 1, flip_bytes },
	{ "full-disk", 1, 1, torture_full_disk },
	{ "move", 1, 0, move },
};

#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))
_Static_assert(KIND_COUNT <= TORTURE_KINDS_MAX, "a run has room for every kind");

size_t torture_kinds(void)
{
	return KIND_COUNT;
}

const char *torture_kind_name(size_t kind)
{
	return kinds[kind].name;
}

uint64_t torture_kinds_parse(const char *list)
{
	uint64_t all = 0;

	while (list) {
		size_t len = strcspn(list, ","), i;

		for (i = 0; i < KIND_COUNT; i++)
			if (strlen(kinds[i].name) == len && strncmp(kinds[i].name, list, len) == 0)
				break;
		if (i == KIND_COUNT) {
			complain(HF_EXIT_USAGE, "there is no fault '%.*s'; there are:", (int)len, list);
			for (i = 0; i < KIND_COUNT; i++)
				fprintf(stderr, "  %s\n", kinds[i].name);
			return 0;
		}
		all |= 1ull << i;
		list = list[len] ? list + len + 1 : NULL;
	}
	return all;
}

/* the run */

/*
 * Kinds are dealt from a shuffled deck in which each is as often as its weight says, so that none is missing for long.
 * Cards of kinds that are not allowed (any more) are thrown away.
 */
static unsigned choose(struct torture *t, uint64_t allowed)
{
	for (;;) {
		if (!t->cards)
			for (unsigned i = 0; i < KIND_COUNT; i++)
				for (unsigned n = 0; n < kinds[i].weight; n++)
					t->deck[t->cards++] = (uint8_t)i;
		unsigned at = (unsigned)torture_draw(t, t->cards), kind = t->deck[at];

		t->deck[at] = t->deck[--t->cards];
		if (allowed >> kind & 1)
			return kind;
	}
}

static double seconds_since(uint64_t ns)
{
	return (double)(torture_now_ns() - ns) / 1e9;
}

static enum torture_end reader_to_primary(struct torture *t)
{
	char path[108];

	torture_socket_of(t, t->primary, path);
	load_read_at(t->load, path);
	return torture_wait(t, reader_is_open, "the primary takes no reader", SERVED_S);
}

/* One fault from its beginning until all is well again. */
static enum torture_end one(struct torture *t, unsigned kind)
{
	struct torture_event *e = &t->event[t->events];
	struct load_figures f;
	enum torture_end end;

	*e = (struct torture_event){ .kind = kind, .at_s = seconds_since(t->begun_ns) };
	t->what[0] = '\0';
	t->note = "";
	load_begin_fault(t->load, t->events + 1);
	end = kinds[kind].inject(t);
	if (end == TORTURE_SKIPPED) {
		t->skipped[kind] = t->note;
		return end;
	}
	t->settling_ns = 0;
	t->settling_seq = 0;
	if (end == TORTURE_DONE)
		end = torture_wait(t, torture_is_settled, "the volume is not served with all legs in sync", SETTLED_S);
	load_look(t->load, &f);
	e->stall_ms = (double)f.stall_ns / 1e6;
	e->failover_ms = (double)f.failover_ns / 1e6;
	snprintf(e->what, sizeof(e->what), "%s", t->what);
	t->done[kind]++;
	t->events++;
	if (!t->cx.json) {
		printf("%5zu %7.1f s  %-16s %-44s stall %5.0f ms", t->events, e->at_s, kinds[kind].name, e->what,
		       e->stall_ms);
		printf(e->failover_ms > 0 ? "  failover %5.0f ms\n" : "\n", e->failover_ms);
		fflush(stdout);
	}
	return end == TORTURE_DONE ? reader_to_primary(t) : end;
}

static bool goes_on(struct torture *t)
{
	struct load_figures f;

	load_look(t->load, &f);
	if (f.errors && !t->stuck[0])
		torture_fail(t, "the client was told an error: %s", f.error);
	return !torture_is_over() && !t->stuck[0] && f.total_found == 0 && t->events < t->opt.count &&
	       (t->opt.seconds == 0 || seconds_since(t->begun_ns) < (double)t->opt.seconds);
}

void torture_run(struct torture *t, uint64_t allowed)
{
	for (size_t i = 0; i < KIND_COUNT; i++)
		if (kinds[i].tolerance > t->tolerance_full - t->min_tolerance || !(allowed >> i & 1)) {
			if (allowed >> i & 1)
				t->skipped[i] = "the layout does not tolerate it";
			allowed &= ~(1ull << i);
		}
	(void)reader_to_primary(t);
	while (goes_on(t) && allowed) {
		unsigned kind = choose(t, allowed);

		if (one(t, kind) == TORTURE_SKIPPED)
			allowed &= ~(1ull << kind);
		else if (t->events % SWEEP_EVERY == 0 && !t->stuck[0])
			(void)pass(t, false);
	}
	if (torture_is_over())
		torture_fail(t, "ended by a signal");
	if (!t->stuck[0])
		(void)pass(t, false);
	(void)goes_on(t);
	torture_note_tolerance(t, 0);
}
