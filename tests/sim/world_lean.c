// SPDX-License-Identifier: MIT
/*
 * world_lean - leanings: one seed in two has a theme, and plays scenes of it between its other steps.
 *
 * A scene is a short script of what goes wrong, in an order that chance hardly ever finds: it waits until all is in
 * sync, watches the hosts' state for the moment that it wants, and acts then. Watching is all that it does with the
 * daemon's objects. Scenes keep the fault budget (world_fault.c), each in the way that its comment says, and nothing
 * else goes wrong by hand meanwhile.
 */
#include "sim/world_int.h"

#include <stdio.h>
#include <string.h>

#include "store/leg_int.h"

#define US 1000ull

struct leaning {
	const char *name;
	struct shape shape[6];		/* one of these; k 0: no more of them, none: any */
	bool min_0;			/* the minimum is 0 */
	bool no_victim;			/* scenes spend what a bad disk would */
	uint32_t pace;			/* of the clients; 0: as drawn */
	uint32_t hot;			/* blocks that most writes go to; 0: all of them */
	bool slow;			/* half of the disks are */
	bool small;			/* so are the buffers of the network */
	bool loss;			/* no fault budget: the operator gives data up */
	void (*scene)(struct world *w, struct vol *v, uint32_t step);
};

static uint64_t draw(struct world *w, uint32_t step, uint64_t n)
{
	return world_random(w, RND_STEP + step, n);
}

/* Time passes; hosts whose time has come start again. */
static void pass(struct world *w, hf_nsec time)
{
	hf_nsec end = sim_now(w->sim) + time;

	while (!w->failed && sim_now(w->sim) < end) {
		hf_nsec left = end - sim_now(w->sim);

		sim_run(w->sim, sim_now(w->sim) + (left < 5 * MS ? left : 5 * MS));
		for (uint32_t i = 0; i < w->hosts; i++)
			if (!world_is_up(w, i) && sim_now(w->sim) >= w->host[i].up_at)
				world_start_host(w, i);
	}
}

/* A primary serves, and every leg is in sync and connected. */
static bool is_whole(struct vol *v)
{
	struct hf_volume_run *run = world_run_of(v, world_primary(v));
	struct hf_record r;

	for (uint32_t i = 0; run && i < run->core->record.leg_count; i++)
		if (run->core->leg[i].state != HF_VLEG_STREAMING)
			return false;
	return run && run->open && run->core->phase == HF_PHASE_SERVING && !run->core->cas_busy &&
	       world_record(v, &r) && r.epoch == run->core->epoch && hf_insync_members(&r) == hf_insync_all(&r);
}

/* Nothing is broken any more, and all is in sync; false: that takes too long. */
static bool settle(struct world *w)
{
	hf_nsec end = sim_now(w->sim) + 15 * HF_SEC;

	world_mend(w);
	for (uint32_t i = 0; i < w->hosts; i++)
		if (!world_is_up(w, i))
			w->host[i].up_at = sim_now(w->sim);
	for (uint32_t i = 0; i < w->volumes && !w->failed; pass(w, 20 * MS))
		if (is_whole(&w->vol[i]))
			i++;
		else if (sim_now(w->sim) >= end)
			return false;
	return !w->failed;
}

/* That host's leg, as `r` names it; valid until time passes. NULL: it is not open. */
static const struct hf_leg_run *leg_in(struct vol *v, const struct hf_record *r, uint32_t host)
{
	struct world *w = v->world;

	if (!world_is_up(w, host) || !w->host[host].ready)
		return NULL;
	for (uint32_t i = 0; i < r->leg_count; i++) {
		struct hf_agent_leg *l;

		if (v->host_of[i] != host)
			continue;
		l = hf_agent_find_leg(w->host[host].agent, &r->leg[i].uuid);
		return l && l->state == HF_AGENT_LEG_OPEN && !l->run.failed ? &l->run : NULL;
	}
	return NULL;
}

static const struct hf_store *store_in(struct vol *v, const struct hf_record *r, uint32_t host)
{
	const struct hf_leg_run *l = leg_in(v, r, host);

	return l ? l->store : NULL;
}

static const struct hf_store *store_of(struct vol *v, uint32_t host)
{
	struct hf_record r;

	return world_record(v, &r) ? store_in(v, &r, host) : NULL;
}

/* A host that has a leg, none of `except`; drawn. HOSTS_MAX: none. */
static uint32_t leg_host(struct vol *v, uint32_t step, uint32_t except)
{
	uint32_t n = v->record.leg_count, first = (uint32_t)draw(v->world, step, n);

	for (uint32_t i = 0; i < n; i++) {
		uint32_t h = v->host_of[(first + i) % n];

		if (!(except >> h & 1))
			return h;
	}
	return HOSTS_MAX;
}

static bool is_member(struct vol *v, uint32_t host)
{
	struct hf_record r;

	if (!world_record(v, &r))
		return false;
	for (uint32_t i = 0; i < r.leg_count; i++)
		if (v->host_of[i] == host)
			return r.leg[i].insync;
	return false;
}

/* Let that host's leg be taken out of the set while writes go on: the host stays down until `pass` after. */
static bool evict(struct vol *v, uint32_t host, hf_nsec down)
{
	struct world *w = v->world;
	hf_nsec end = sim_now(w->sim) + 8 * HF_SEC;

	world_kill_host(w, host, SIM_KILL_PROCESS, 20 * HF_SEC);
	while (is_member(v, host) && sim_now(w->sim) < end && !w->failed)
		pass(w, 20 * MS);
	pass(w, down);
	return !is_member(v, host) && !w->failed;
}

static void separate(struct world *w, uint32_t a, uint32_t b)
{
	if (a == b)
		return;
	sim_net_cut(w->sim, a, b);
	sim_net_cut(w->sim, b, a);
}

/*
 * Tails: power is lost and the ends of logs rot, of as many legs at once as the volume has parity (H2); or the page
 * behind the end, on any number of legs: then they lost nothing, and cannot know. Every host loses power, so that
 * nobody leaves the set before all is known; one stays away for a while, and somebody is promoted meanwhile.
 */
static void rot_tail(struct vol *v, uint32_t host, const struct hf_store *s, uint32_t back, bool behind)
{
	struct world *w = v->world;
	uint64_t no = s->batch_sent > s->batch_first + back ? s->batch_sent - 1 - back : s->batch_first;
	const struct batch *b = &s->batch[no % s->batch_room];
	uint32_t from = b->off, pages = b->pages;
	char name[100];

	if (no >= s->batch_sent)
		return;
	if (behind) {
		b = &s->batch[(s->batch_sent - 1) % s->batch_room];
		from = (b->off + b->pages * HF_DISK_PAGE) % s->sb.log_bytes;
		pages = 1;
	}
	if (!world_leg_file(v, host, name))
		return;
	for (uint32_t off = from; off < from + pages * HF_DISK_PAGE; off += HF_DISK_SECTOR) {
		sim_disk_flip(w->sim, host, name, s->sb.log_off + off + 100, 3);
		if (behind)
			for (uint32_t i = 0; i < 8; i++)
				sim_disk_flip(w->sim, host, name, s->sb.log_off + off + HF_DISK_SECTOR_DATA + i, i);
	}
	world_say(w, "host %u: the %s of its log rots", host, behind ? "page behind the end" : "end");
}

/* One that is being repaired dies before it is, and finds a whole log when it boots. */
static void kill_repaired(struct world *w, struct vol *v, uint32_t rotten)
{
	hf_nsec end = sim_now(w->sim) + 3 * HF_SEC;
	struct hf_record r;

	if (!world_record(v, &r))
		return;
	while (sim_now(w->sim) < end && !w->failed) {
		pass(w, 50 * US);
		for (uint32_t h = 0; h < w->hosts; h++) {
			const struct hf_leg_run *l = rotten >> h & 1 ? leg_in(v, &r, h) : NULL;

			if (!l || !l->core.adopting || !l->core.state.suspect)
				continue;
			world_kill_host(w, h, SIM_KILL_PROCESS, 1 * MS);
			return;
		}
	}
}

static void scene_tails(struct world *w, struct vol *v, uint32_t step)
{
	uint32_t n = v->record.leg_count, away, to, rotten = 0, back = (uint32_t)draw(w, step, 3);
	bool behind = draw(w, step, 4) == 0;
	uint32_t count = behind ? 1 + (uint32_t)draw(w, step, n) : v->record.geometry.m;

	pass(w, (100 + draw(w, step, 400)) * MS);
	if (!is_whole(v))
		return;
	away = leg_host(v, step, 0);
	if (behind && draw(w, step, 2))
		count = n - 1;		/* and the one that is left may show what nobody else does */
	if (!behind && draw(w, step, 3) == 0)
		count = 1 + (uint32_t)draw(w, step, count);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t h = leg_host(v, step, rotten | (!behind ? 1u << away : 0));
		const struct hf_store *s = h < HOSTS_MAX ? store_of(v, h) : NULL;

		if (!s || s->batch_sent == s->batch_first)
			continue;
		rotten |= 1u << h;
		invariants_distrust(w->invariants, h);
		world_kill_host(w, h, SIM_KILL_POWER, (1 + draw(w, step, 50)) * MS);
		rot_tail(v, h, s, back, behind);
	}
	if (!rotten)
		return;
	for (uint32_t h = 0; h < w->hosts; h++)
		if (world_is_up(w, h))
			world_kill_host(w, h, SIM_KILL_POWER, h == away ? 4 * HF_SEC : (1 + draw(w, step, 50)) * MS);
	pass(w, 200 * MS);
	to = (uint32_t)draw(w, step, w->hosts);
	if (world_is_up(w, to))
		world_promote(v, to, sim_now(w->sim));
	if (draw(w, step, 2))
		kill_repaired(w, v, rotten);
	pass(w, 5 * HF_SEC);
}

/* Torn: power is lost just while a checkpoint is written. One host at a time. */
static void scene_torn(struct world *w, struct vol *v, uint32_t step)
{
	hf_nsec end = sim_now(w->sim) + 3 * HF_SEC;
	enum apply_phase at = draw(w, step, 3) ? APPLY_WRITE : draw(w, step, 2) ? APPLY_SYNC : APPLY_DW;
	struct hf_record r;

	if (!world_record(v, &r))
		return;
	while (sim_now(w->sim) < end && !w->failed) {
		for (uint32_t i = 0; i < r.leg_count; i++) {
			const struct hf_store *s = store_in(v, &r, v->host_of[i]);

			if (!s || s->apply.phase != at)
				continue;
			if (at != APPLY_SYNC)
				sim_run(w->sim, sim_now(w->sim) + draw(w, step, 40) * US);
			world_kill_host(w, v->host_of[i], SIM_KILL_POWER, (1 + draw(w, step, 100)) * MS);
			pass(w, 300 * MS);
			return;
		}
		pass(w, 20 * US);
	}
}

/* Failing: a write or sync fails, and power is lost soon after. One host at a time. */
static void scene_failing(struct world *w, struct vol *v, uint32_t step)
{
	for (uint64_t n = 1 + draw(w, step, 3); n > 0 && !w->failed; n--) {
		uint32_t h = leg_host(v, step, 0);

		bool stays = draw(w, step, 4) == 0;
		uint32_t nth = 1 + (uint32_t)draw(w, step, 4);

		sim_fault_nth(w->sim, h, draw(w, step, 2) ? SIM_WRITE_EIO : SIM_SYNC_EIO, nth, stays);
		if (draw(w, step, 3) == 0)	/* so that it is a promise or an adoption that fails */
			world_promote(v, leg_host(v, step, 1u << h), sim_now(w->sim));
		pass(w, (1 + draw(w, step, 30)) * MS);
		sim_fault_nth(w->sim, h, SIM_WRITE_EIO, 0, false);
		if (world_is_up(w, h))
			world_kill_host(w, h, SIM_KILL_POWER, (1 + draw(w, step, 200)) * MS);
		pass(w, 500 * MS);
		if (!settle(w))
			return;
	}
}

static void cut_off(struct world *w, uint32_t host)
{
	for (uint32_t h = 0; h < w->hosts; h++)
		separate(w, host, h);
	sim_cluster_cut(w->sim, host, true);
}

/* Leases: the primary is cut off, all others start again, and one of them is promoted at once. */
static void scene_leases(struct world *w, struct vol *v, uint32_t step)
{
	uint32_t p = world_primary(v), to = leg_host(v, step, 1u << p);

	if (to >= w->hosts)
		return;
	pass(w, draw(w, step, 500) * MS);
	if (!world_is_up(w, p) || !world_is_up(w, to))
		return;
	cut_off(w, p);
	for (uint32_t h = 0; h < w->hosts; h++) {
		if (h == p || h == to || !world_is_up(w, h))
			continue;
		world_kill_host(w, h, SIM_KILL_PROCESS, 1 * MS);
		pass(w, 10 * MS);
	}
	world_kill_host(w, to, SIM_KILL_PROCESS, 1 * MS);
	for (uint32_t n = 0; n < 100 && !w->failed && !world_can_promote(v, to); n++)
		pass(w, 5 * MS);
	world_promote(v, to, sim_now(w->sim));
	pass(w, 4 * HF_SEC);
}

/* Pending: a leg is added, the answer is lost, and then primary and the new leg hear nothing of each other. */
static void scene_pending(struct world *w, struct vol *v, uint32_t step)
{
	uint32_t p = world_primary(v), x = leg_host(v, step, 1u << p);
	struct hf_volume_run *run;

	if (x >= w->hosts || !evict(v, x, draw(w, step, 300) * MS))
		return;
	p = world_primary(v);
	if (p >= w->hosts || p == x)
		return;
	sim_config(w->sim, p)->ppm[SIM_CLUSTER_LOST_ANSWER] = SIM_PPM;
	w->host[x].up_at = sim_now(w->sim);
	for (uint32_t n = 0; n < 2000 && !w->failed && !is_member(v, x); n++)
		pass(w, 2 * MS);
	run = world_run_of(v, p);
	if (is_member(v, x) && run && run->core->pending_add) {
		for (uint32_t h = 0; h < w->hosts; h++)
			separate(w, x, h);
		sim_cluster_cut(w->sim, p, true);
		world_promote(v, x, sim_now(w->sim));
		pass(w, 5 * HF_SEC);
	}
	sim_config(w->sim, p)->ppm[SIM_CLUSTER_LOST_ANSWER] = 0;
}

/*
 * Old store: a leg is taken out, and what it lacked is acknowledged; at once the store is put back to a copy in which
 * it is still in sync, and somebody is promoted without one of those that know better. Only where any two sets that may
 * serve have a leg in common (R15).
 */
static void scene_old_store(struct world *w, struct vol *v, uint32_t step)
{
	uint32_t p = world_primary(v), x = leg_host(v, step, 1u << p), to;
	const struct hf_store *s = x < w->hosts ? store_of(v, x) : NULL;
	struct hf_volume_run *run = world_run_of(v, p);
	hf_nsec end = sim_now(w->sim) + 4 * HF_SEC;
	hf_seq last = s ? s->last : 0;

	if (!s || !run || w->true_store)
		return;
	world_copy_store(w);
	world_kill_host(w, x, SIM_KILL_PROCESS, 20 * HF_SEC);
	while (sim_now(w->sim) < end && !w->failed && run && run->core->committed <= last) {
		pass(w, 50 * US);
		run = world_run_of(v, p);
	}
	if (w->failed || !run || run->core->committed <= last)
		return;
	if (draw(w, step, 3) == 0)
		pass(w, draw(w, step, 50) * MS);
	world_restore_store(w);
	world_kill_host(w, p, SIM_KILL_PROCESS, 8 * HF_SEC);
	w->host[x].up_at = sim_now(w->sim);
	pass(w, 300 * MS);
	to = leg_host(v, step, 1u << p);
	for (uint32_t n = 0; n < 3 && !w->failed; n++) {
		if (world_is_up(w, to))
			world_promote(v, to, sim_now(w->sim));
		pass(w, 2 * HF_SEC);
	}
	/* Versions repeat in a copy: who puts the newest one back stops the daemons meanwhile. */
	for (uint32_t h = 0; h < w->hosts; h++)
		if (world_is_up(w, h))
			world_kill_host(w, h, SIM_KILL_PROCESS, 1 * MS);
	world_mend(w);
}

/*
 * Again: a promotion loses a leg while the legs adopt, and a member that it did not know comes back. Two hosts are away
 * at most, and no disk is bad.
 */
static void scene_again(struct world *w, struct vol *v, uint32_t step)
{
	uint32_t p = world_primary(v), to = leg_host(v, step, 0), z = leg_host(v, step, 1u << to), y;
	struct hf_volume_run *run = NULL;

	y = leg_host(v, step, 1u << to | (z < HOSTS_MAX ? 1u << z : 0));
	if (z >= w->hosts || y >= w->hosts || !world_is_up(w, z) || !world_is_up(w, p))
		return;
	world_kill_host(w, z, SIM_KILL_POWER, 20 * HF_SEC);
	pass(w, (20 + draw(w, step, 200)) * MS);
	if (to == p) {
		world_kill_host(w, p, SIM_KILL_PROCESS, 1 * MS);
		for (uint32_t n = 0; n < 100 && !w->failed && !world_can_promote(v, to); n++)
			pass(w, 5 * MS);
	}
	world_promote(v, to, sim_now(w->sim));
	for (uint32_t n = 0; n < 100000 && !w->failed; n++) {
		run = world_run_of(v, to);
		if (run && run->core->phase >= HF_PHASE_ADOPTING)
			break;
		pass(w, (run && run->core->phase >= HF_PHASE_PREPARING ? 20 : 200) * US);
		if (n > 20000 && (!run || run->core->phase < HF_PHASE_PREPARING))
			return;
	}
	if (!run || run->core->phase != HF_PHASE_ADOPTING || !world_is_up(w, y))
		return;
	w->host[z].up_at = sim_now(w->sim);
	world_kill_host(w, y, draw(w, step, 2) ? SIM_KILL_POWER : SIM_KILL_PROCESS, 5 * HF_SEC);
	pass(w, (4000 + draw(w, step, 2000)) * MS);
}

/*
 * What changed is told late: the answer to the host that fills the leg stalls on its way, and the leg begins anew
 * meanwhile.
 */
static void delay_map(struct world *w, struct vol *v, uint32_t x, uint32_t leg)
{
	uint32_t p = world_primary(v), source;
	struct hf_volume_run *run = world_run_of(v, p);
	hf_nsec end = sim_now(w->sim) + 800 * MS;
	uint64_t first;
	hf_legs plan;

	if (!run || !run->resync[leg] || !run->resync[leg]->map_asked)
		return;
	plan = hf_volume_read_plan(run->core, HF_LEG_BIT(leg));
	source = plan ? v->host_of[__builtin_ctz(plan)] : p;
	if (source == p || source == x)
		return;
	first = run->resync[leg]->run;
	sim_net_cut(w->sim, source, p);
	pass(w, 1 * MS);
	sim_net_reset(w->sim, p, x);
	while (sim_now(w->sim) < end && !w->failed) {
		pass(w, 1 * MS);
		run = world_run_of(v, p);
		if (!run || (run->resync[leg]->active && run->resync[leg]->run != first && run->resync[leg]->map_asked))
			break;
	}
	sim_net_heal(w->sim, source, p);
}

/* Copies: legs are away and come back while the clients write where they are filled. One host at a time. */
static void scene_copies(struct world *w, struct vol *v, uint32_t step)
{
	uint32_t x = leg_host(v, step, 1u << world_primary(v)), leg = 0;
	hf_nsec end;

	if (x >= w->hosts || !evict(v, x, (200 + draw(w, step, 1200)) * MS))
		return;
	while (v->host_of[leg] != x)
		leg++;
	w->host[x].up_at = sim_now(w->sim);
	for (uint32_t n = 0; n < 4 && !w->failed; n++) {
		bool asked = draw(w, step, 2), copying = false;

		end = sim_now(w->sim) + 1 * HF_SEC;
		while (!copying && !w->failed && sim_now(w->sim) < end && !is_member(v, x)) {
			uint32_t p = world_primary(v);

			for (uint32_t k = 0; k < 40 && !copying; k++) {
				struct hf_volume_run *run;

				pass(w, 20 * US);
				run = world_run_of(v, p);
				copying = run && run->core->leg[leg].resync &&
					  (!asked || (run->resync[leg] && run->resync[leg]->map_asked));
			}
		}
		if (!copying || draw(w, step, 4) == 0)
			break;
		if (asked)
			delay_map(w, v, x, leg);
		pass(w, draw(w, step, 3000) * US);
		if (draw(w, step, 2))
			sim_net_reset(w->sim, world_primary(v), x);
		else if (world_is_up(w, x))
			world_kill_host(w, x, draw(w, step, 2) ? SIM_KILL_POWER : SIM_KILL_PROCESS, 1 * MS);
	}
	pass(w, 500 * MS);
}

/* Damage: what a leg keeps beside its log is flipped, or its file is gone. One host at a time, away for a moment. */
static void scene_damage(struct world *w, struct vol *v, uint32_t step)
{
	uint32_t h = leg_host(v, step, 0);
	const struct hf_store *s = store_of(v, h);
	uint64_t off = (draw(w, step, 2)) * HF_DISK_PAGE;
	char name[100];

	if (!s || !is_whole(v) || !world_leg_file(v, h, name))
		return;
	if (draw(w, step, 2))
		off = s->sb.table_off;
	invariants_distrust(w->invariants, h);
	world_kill_host(w, h, SIM_KILL_PROCESS, 5 * MS);
	if (draw(w, step, 3) == 0) {
		sim_disk_remove(w->sim, h, name);
		world_say(w, "host %u: %s is gone", h, name);
	} else {
		uint32_t bit = (uint32_t)draw(w, step, 8);

		sim_disk_flip(w->sim, h, name, off + draw(w, step, 64), bit);
		world_say(w, "host %u: a bit flips at %llu of %s", h, (unsigned long long)off, name);
	}
	pass(w, 12 * HF_SEC);
}

/* Duels: promotions come faster than they can be carried out. */
static void scene_duels(struct world *w, struct vol *v, uint32_t step)
{
	for (uint64_t n = 4 + draw(w, step, 8); n > 0 && !w->failed; n--) {
		uint32_t h = (uint32_t)draw(w, step, w->hosts);

		if (world_is_up(w, h))
			world_promote(v, h, sim_now(w->sim));
		pass(w, draw(w, step, draw(w, step, 3) ? 30 : 600) * MS);
		if (draw(w, step, 4) == 0) {
			uint32_t b = (uint32_t)draw(w, step, w->hosts);

			sim_net_reset(w->sim, (uint32_t)draw(w, step, w->hosts), b);
		}
	}
}

/* Away: a leg misses more than anybody keeps in memory, and comes back. */
static void scene_away(struct world *w, struct vol *v, uint32_t step)
{
	uint32_t x = leg_host(v, step, 1u << world_primary(v));

	if (x < w->hosts && evict(v, x, draw(w, step, 2000) * MS))
		w->host[x].up_at = sim_now(w->sim);
	pass(w, 3 * HF_SEC);
}

/*
 * Loss: one leg is left, its end unreadable, and the operator gives up what it lacks; then the others come back. From
 * then on nothing that is read is judged.
 */
static void scene_loss(struct world *w, struct vol *v, uint32_t step)
{
	uint32_t z = leg_host(v, step, 0);
	const struct hf_store *s;

	pass(w, (100 + draw(w, step, 400)) * MS);
	s = store_of(v, z);
	if (!s || s->batch_sent == s->batch_first)
		return;
	for (uint32_t h = 0; h < w->hosts; h++)
		if (world_is_up(w, h))
			world_kill_host(w, h, SIM_KILL_POWER, (h == z ? 1 : 6000 + draw(w, step, 500)) * MS);
	rot_tail(v, z, s, (uint32_t)draw(w, step, 8), false);
	v->given_up = true;
	for (uint32_t n = 0; n < 100 && !w->failed && !world_can_promote(v, z); n++)
		pass(w, 5 * MS);
	world_give_up(v, z, sim_now(w->sim));
	pass(w, 9 * HF_SEC);
}

static const struct leaning leanings[] = {
	{ .name = "tails", .shape = { {1, 2, false}, {2, 1, false}, {2, 2, false}, {4, 1, false}, {2, 1, true} },
	  .min_0 = true, .no_victim = true, .pace = 4, .scene = scene_tails },
	{ .name = "torn", .shape = { {2, 1, false}, {4, 1, false}, {4, 2, false}, {2, 2, true}, {8, 1, false} },
	  .no_victim = true, .pace = 2, .scene = scene_torn },
	{ .name = "failing", .no_victim = true, .pace = 4, .scene = scene_failing },
	{ .name = "leases", .shape = { {1, 1, false}, {1, 2, false}, {1, 1, true} }, .scene = scene_leases },
	{ .name = "pending", .shape = { {1, 1, false}, {1, 2, false} }, .min_0 = true, .pace = 4,
	  .scene = scene_pending },
	{ .name = "old store", .shape = { {2, 1, false}, {4, 1, false}, {8, 1, false} }, .no_victim = true,
	  .pace = 4, .scene = scene_old_store },
	{ .name = "again", .shape = { {2, 1, false}, {4, 1, false}, {2, 2, false}, {2, 1, true} }, .min_0 = true,
	  .no_victim = true, .pace = 4, .scene = scene_again },
	{ .name = "copies", .no_victim = true, .pace = 2, .hot = 24, .scene = scene_copies },
	{ .name = "damage", .no_victim = true, .pace = 8, .scene = scene_damage },
	{ .name = "duels", .pace = 8, .slow = true, .scene = scene_duels },
	{ .name = "small", .pace = 3, .slow = true, .small = true, .scene = scene_away },
	{ .name = "loss", .shape = { {1, 1, false}, {1, 2, false} }, .pace = 4, .loss = true, .scene = scene_loss },
};
#define LEANINGS (sizeof(leanings) / sizeof(leanings[0]))

bool world_lean_draw(struct world *w)
{
	const struct leaning *l = &leanings[world_random(w, RND_LEAN, LEANINGS)];
	bool leans = world_random(w, RND_LEAN, 2);

	w->lean = leans ? l : NULL;
	if (leans)
		w->scenes = 2 + (uint32_t)world_random(w, RND_LEAN, 3);
	return !w->o->lean || (leans && strcmp(w->o->lean, l->name) == 0);
}

const char *world_lean_name(const struct world *w)
{
	return w->lean ? w->lean->name : NULL;
}

void world_lean_shape(struct world *w, struct shape *s)
{
	const struct leaning *l = w->lean;
	uint32_t n = 0;

	if (!l)
		return;
	w->volumes = 1;
	w->result->unlimited = l->loss;
	while (n < sizeof(l->shape) / sizeof(l->shape[0]) && l->shape[n].k)
		n++;
	if (n)
		*s = l->shape[world_random(w, RND_LEAN, n)];
}

void world_lean_world(struct world *w)
{
	const struct leaning *l = w->lean;

	if (!l)
		return;
	if (l->min_0)
		w->vol[0].record.min_tolerance = 0;
	if (l->pace)
		w->pace = l->pace;
	w->hot = l->hot;
	w->no_victim = l->no_victim;
}

void world_lean_rates(struct world *w, struct sim_config *c)
{
	const struct leaning *l = w->lean;

	if (l && l->slow && world_random(w, RND_LEAN, 2))
		c->disk_slow = 4u << world_random(w, RND_LEAN, 6);
	if (l && l->small) {
		c->net_buffer = 4096u << world_random(w, RND_LEAN, 4);
		c->net_chop = 1000;
	}
}

bool world_lean_step(struct world *w, uint32_t step)
{
	if (!w->lean || !w->scenes || draw(w, step, 3))
		return false;
	w->scenes--;
	if (!settle(w))
		return true;
	world_say(w, "a scene: %s", w->lean->name);
	w->lean->scene(w, &w->vol[0], step);
	world_say(w, "the scene is over");
	if (!w->failed)
		settle(w);
	return true;
}
