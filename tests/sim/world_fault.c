// SPDX-License-Identifier: MIT
/*
 * world_fault - what goes wrong in a seed, by itself and step by step, and what operators do meanwhile.
 *
 * The budget: at most as many hosts down at once as every volume tolerates, and one victim whose disk may do anything,
 * only if each volume with a leg on it never goes below tolerance 1. An unlimited seed has no budget: disks rot, fail
 * and lose whole legs everywhere. Lies that nobody can notice (a sync that was not one, a leg as it was before) stay
 * with the victim of a seed that has a budget: when all others are lost as well, nobody could know better. Each step
 * draws from a stream of its own, so that a step left out leaves the others as they are.
 */
#include "sim/world_int.h"

#include <stdio.h>
#include <string.h>

static uint64_t draw(struct world *w, uint32_t step, uint64_t n)
{
	return world_random(w, RND_STEP + step, n);
}

static uint32_t hosts_down(const struct world *w)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < w->hosts; i++)
		n += !world_is_up(w, i);
	return n;
}

static uint32_t down_max(const struct world *w)
{
	int n = HOSTS_MAX;

	for (uint32_t i = 0; i < w->volumes; i++)
		n = w->vol[i].tolerance < n ? w->vol[i].tolerance : n;
	return w->result->unlimited ? w->hosts : (uint32_t)n;
}

static struct vol *some_volume(struct world *w, uint32_t step)
{
	return &w->vol[w->volumes > 1 ? draw(w, step, w->volumes) : 0];
}

bool world_leg_file(const struct vol *v, uint32_t host, char out[100])
{
	char text[HF_UUID_TEXT];
	struct hf_record r;

	for (uint32_t i = 0; i < v->record.leg_count && world_record(v, &r); i++) {
		if (v->host_of[i] != host)
			continue;
		snprintf(out, 100, "legs/%s.leg", hf_uuid_format(&r.leg[i].uuid, text));
		return true;
	}
	return false;
}

/* Rates: what happens by itself. */

static void rate_network(struct world *w, struct sim_config *c)
{
	if (world_random(w, RND_RATES, 2))
		c->ppm[SIM_NET_SPIKE] = 2000;
	if (world_random(w, RND_RATES, 2))
		c->ppm[SIM_NET_RESET] = 300;
	if (world_random(w, RND_RATES, 3) == 0)
		c->ppm[SIM_NET_HALF_OPEN] = 100;
	if (world_random(w, RND_RATES, 3) == 0)
		c->ppm[SIM_NET_CORRUPT] = 200;
	if (world_random(w, RND_RATES, 4) == 0)
		c->net_bandwidth >>= 4 + world_random(w, RND_RATES, 4);
	if (world_random(w, RND_RATES, 2))
		c->ppm[SIM_NET_REFUSED] = 50000;
}

static void rate_cluster(struct world *w, struct sim_config *c)
{
	if (world_random(w, RND_RATES, 2)) {
		c->ppm[SIM_CLUSTER_LOST_ANSWER] = 50000;
		c->ppm[SIM_CLUSTER_LOST_REQUEST] = 50000;
		c->ppm[SIM_CLUSTER_LOST_WATCH] = 100000;
		c->ppm[SIM_CLUSTER_TWICE] = 50000;
	}
	if (world_random(w, RND_RATES, 2))
		c->ppm[SIM_CLUSTER_SPIKE] = 20000;
}

/* A disk that goes: one or two ways of it. */
static void rate_disk(struct world *w, struct sim_config *c, bool lies)
{
	for (uint64_t n = 1 + world_random(w, RND_RATES, 2); n > 0; n--) {
		switch (world_random(w, RND_RATES, lies ? 11 : 8)) {
		case 0:
			c->ppm[SIM_BIT_ROT] = 10000;
			break;
		case 1:
			c->ppm[SIM_WRITE_EIO] = 3000;
			break;
		case 2:
			c->ppm[SIM_SYNC_EIO] = 200000;
			break;
		case 3:
			c->ppm[SIM_READ_EIO] = 20000;
			break;
		case 4:
			c->ppm[SIM_READ_EIO_STICKY] = 10000;
			break;
		case 5:
			c->ppm[SIM_NO_SPACE] = 3000;
			break;
		case 6:
			c->ppm[SIM_WRITE_EIO_STICKY] = 5000;
			c->ppm[SIM_SYNC_EIO_STICKY] = 200000;
			break;
		case 7:
			c->disk_slow = 10u << world_random(w, RND_RATES, 6);
			break;
		case 8:
			c->ppm[SIM_LOST_WRITE] = 5000;
			break;
		case 9:
			c->ppm[SIM_MISDIRECTED_WRITE] = 5000;
			break;
		case 10:
			c->ppm[SIM_LYING_SYNC] = 400000;
			break;
		}
	}
}

/* May that host's disk do anything? */
static bool may_be_victim(const struct world *w, uint32_t host)
{
	for (uint32_t n = 0; n < w->volumes; n++) {
		const struct vol *v = &w->vol[n];

		for (uint32_t i = 0; i < v->record.leg_count; i++)
			if (v->host_of[i] == host && v->record.min_tolerance == 0)
				return false;
	}
	return true;
}

void world_set_rates(struct world *w)
{
	w->victim = (uint32_t)world_random(w, RND_RATES, w->hosts);
	if (w->no_victim || !may_be_victim(w, w->victim))
		w->victim = SIM_HOSTS_MAX;
	if (w->result->unlimited)
		invariants_distrust_all(w->invariants);
	for (uint32_t i = 0; i < w->hosts; i++) {
		struct sim_config *c = sim_config(w->sim, i);

		rate_network(w, c);
		rate_cluster(w, c);
		if (world_random(w, RND_RATES, 2))
			c->ppm[SIM_DISK_STALL] = 500;
		/* Clocks run apart by less than the margin of a lease (H31). */
		if (world_random(w, RND_RATES, 2)) {
			int32_t drift = (int32_t)world_random(w, RND_RATES, 100000) - 50000;

			sim_host_clock(w->sim, i, world_random(w, RND_RATES, 10 * HF_SEC), drift);
		}
		if (i == w->victim)
			invariants_distrust(w->invariants, i);
		if (i == w->victim || (w->result->unlimited && world_random(w, RND_RATES, 2)))
			rate_disk(w, c, i == w->victim && !w->result->unlimited);
		world_lean_rates(w, c);
		for (int f = 0; f < SIM_FAULT_COUNT; f++)
			if (w->o->without >> f & 1)
				c->ppm[f] = 0;
	}
}

/* The victim's disk, by the operator's hand or the controller's. */

static void save_image(struct world *w, uint32_t step)
{
	char name[100];

	if (w->images < sizeof(w->image) / sizeof(w->image[0]) &&
	    world_leg_file(some_volume(w, step), w->victim, name)) {
		w->image[w->images] = sim_disk_save(w->sim, w->victim, name);
		w->images += w->image[w->images] != NULL;
	}
}

static void swap_legs(struct world *w)
{
	char a[100], b[100];
	bool found = false;

	for (uint32_t i = 0; i < w->volumes; i++) {
		if (!world_leg_file(&w->vol[i], w->victim, found ? b : a))
			continue;
		if (found) {
			sim_disk_swap(w->sim, w->victim, a, w->victim, b);
			world_say(w, "host %u: two legs change places", w->victim);
			return;
		}
		found = true;
	}
}

static void flip(struct world *w, uint32_t step, uint32_t host)
{
	char name[100];
	uint64_t size;

	if (!world_leg_file(some_volume(w, step), host, name) || !sim_disk_size(w->sim, host, name, &size))
		return;
	for (uint64_t n = 1 + draw(w, step, 8); n > 0; n--) {
		/* Half of them where superblocks and the log are. */
		uint64_t off = draw(w, step, 2) ? draw(w, step, size) : draw(w, step, 65536 + w->log_bytes);

		sim_disk_flip(w->sim, host, name, off < size ? off : 0, (uint32_t)draw(w, step, 8));
	}
	world_say(w, "host %u: bits flip in %s", host, name);
}

/* Sector after sector of the log rots: somewhere among them is its end (H3). */
static void shred_log(struct world *w, uint32_t step, uint32_t host)
{
	char name[100];
	uint64_t size, at = draw(w, step, w->log_bytes), len = draw(w, step, w->log_bytes);

	if (!world_leg_file(some_volume(w, step), host, name) || !sim_disk_size(w->sim, host, name, &size))
		return;
	for (uint64_t off = at / 512 * 512; off < at + len && off < w->log_bytes; off += 512)
		if (65536 + off < size)
			sim_disk_flip(w->sim, host, name, 65536 + off + draw(w, step, 512), 3);
	world_say(w, "host %u: the log of %s rots", host, name);
}

/* Whoever does this to a leg has stopped the daemon; what they put back is older, of another leg, or nothing. */
static void change_disk(struct world *w, uint32_t step, uint32_t host)
{
	char name[100];
	hf_nsec down;

	if (!world_is_up(w, host) || (hosts_down(w) >= down_max(w)))
		return;
	down = (1 + draw(w, step, 1000)) * MS;
	world_kill_host(w, host, draw(w, step, 2) ? SIM_KILL_POWER : SIM_KILL_PROCESS, down);
	switch (draw(w, step, host == w->victim ? 5 : 2)) {
	case 0:
		shred_log(w, step, host);
		break;
	case 1:
		if (world_leg_file(some_volume(w, step), host, name) && sim_disk_blank(w->sim, host, name))
			world_say(w, "host %u: %s is blank", host, name);
		break;
	case 2:
		if (w->images > 0 && !w->result->unlimited) {
			sim_disk_restore(w->sim, w->image[draw(w, step, w->images)]);
			world_say(w, "host %u: a leg is as it was before", host);
		}
		break;
	default:
		swap_legs(w);
		break;
	}
}

static void spoil_victim(struct world *w, uint32_t step)
{
	uint32_t host = w->victim;

	if (w->result->unlimited && draw(w, step, 2))
		host = (uint32_t)draw(w, step, w->hosts);
	if (host >= w->hosts)
		return;
	switch (draw(w, step, 6)) {
	case 0:
		flip(w, step, host);
		break;
	case 1:
		sim_disk_full(w->sim, host, draw(w, step, 2));
		break;
	case 2:
	case 3:
		if (host == w->victim)
			save_image(w, step);
		break;
	default:
		change_disk(w, step, host);
	}
}

/* The cluster store. */

/*
 * Somebody restores the store from an old copy, and later finds out. Legs refuse a store older than what they saw
 * (R15), which is certain only if any two sets that may serve have a leg in common: with the minimum at its default.
 */
void world_copy_store(struct world *w)
{
	sim_cluster_state_free(w->old_store);
	w->old_store = sim_cluster_save(w->sim);
}

void world_restore_store(struct world *w)
{
	w->true_store = sim_cluster_save(w->sim);
	sim_cluster_restore(w->sim, w->old_store);
	invariants_store_restored(w->invariants);
	world_say(w, "the cluster store is put back to an old copy");
}

static void restore_store(struct world *w, uint32_t step)
{
	const struct vol *v = &w->vol[0];

	if (w->volumes > 1 || v->record.min_tolerance == 0 || v->record.min_tolerance + 1 != v->tolerance ||
	    w->true_store)
		return;
	if (!w->old_store || draw(w, step, 2)) {
		world_copy_store(w);
		return;
	}
	world_restore_store(w);
}

/* The version of the newest change that was not a claim. */
static uint64_t settled_ver(const struct vol *v)
{
	struct hf_record r;
	char key[HF_RECORD_KEY_MAX];
	uint64_t ver = 0;

	sim_cluster_peek(v->world->sim, hf_record_volume_key(v->record.name, key), &ver);
	return world_record(v, &r) && r.claimed_from ? r.claimed_from : ver;
}

/*
 * The operator finds out. What was in the store is put back, unless the set was changed by the old copy: legs allow
 * that only if nothing but claims came after it, and those are made again.
 */
static void repair_store(struct world *w)
{
	struct sim_cluster_state *now;
	uint64_t changed, old;

	if (!w->true_store)
		return;
	now = sim_cluster_save(w->sim);
	changed = settled_ver(&w->vol[0]);
	sim_cluster_restore(w->sim, w->old_store);
	old = settled_ver(&w->vol[0]);
	sim_cluster_restore(w->sim, changed > old ? now : w->true_store);
	world_say(w, "the cluster store is repaired: %s", changed > old ? "it stays" : "the newest copy is back");
	sim_cluster_state_free(now);
	sim_cluster_state_free(w->true_store);
	w->true_store = NULL;
}

/* Operators. */

static void promote_somewhere(struct world *w, uint32_t step)
{
	struct vol *v = some_volume(w, step);
	uint32_t host = (uint32_t)draw(w, step, w->hosts);

	if (world_is_up(w, host))
		world_promote(v, host, sim_now(w->sim));
	if (draw(w, step, 8))
		return;
	host = (uint32_t)draw(w, step, w->hosts);
	if (!world_is_up(w, host))
		return;
	world_promote(v, host, sim_now(w->sim) + draw(w, step, 200) * MS);
	w->result->operations[WORLD_PROMOTE_TWICE]++;
}

static void on_grown(void *ctx, struct hf_volume_run *run, int result)
{
	struct vol *v = ctx;

	world_say(v->world, "%s grows: %s, %llu blocks", v->record.name, hf_strerror(result),
		  (unsigned long long)run->core->size_blocks);
	/* Also when it is heard late, or not at all: then it may have grown, and nobody uses that. */
	if (result == 0 && run->core->size_blocks > v->blocks)
		v->blocks = run->core->size_blocks;
}

static void grow(struct sim_world *sim, void *ctx)
{
	struct vol *v = ctx;
	struct hf_volume_run *run = world_run_of(v, sim_current(sim));

	if (run && run->open && v->grown + 16 <= v->blocks_max &&
	    hf_volume_run_resize(run, v->grown + 16, on_grown, v) == 0) {
		v->grown += 16;
		v->world->result->operations[WORLD_GROW]++;
	}
}

/* The primary is cut off from everything while another host is promoted: two believe, for a while, that they are it. */
static void split(struct world *w, uint32_t step)
{
	struct vol *v = some_volume(w, step);
	uint32_t p = world_primary(v), to = (uint32_t)draw(w, step, w->hosts);

	if (p >= w->hosts || !world_is_up(w, p) || to == p || !world_is_up(w, to))
		return;
	sim_net_heal_all(w->sim);
	for (uint32_t h = 0; h < w->hosts; h++) {
		sim_cluster_cut(w->sim, h, h == p);
		if (h == p)
			continue;
		sim_net_cut(w->sim, p, h);
		sim_net_cut(w->sim, h, p);
		if (world_is_up(w, h))
			sim_host_resume(w->sim, h);
	}
	world_say(w, "primary host %u of %s is split off", p, v->record.name);
	world_promote(v, to, sim_now(w->sim) + draw(w, step, 300) * MS);
	w->result->operations[WORLD_SPLIT]++;
	w->quiet = 1;
}

static void isolate(struct world *w, uint32_t step, uint32_t host)
{
	for (uint32_t h = 0; h < w->hosts; h++)
		if (h != host) {
			sim_net_cut(w->sim, host, h);
			sim_net_cut(w->sim, h, host);
		}
	if (draw(w, step, 4))
		sim_cluster_cut(w->sim, host, true);
	world_say(w, "host %u is isolated", host);
	w->nudge = 3;
}

static void cut(struct world *w, uint32_t step, uint32_t a)
{
	uint32_t b = (uint32_t)draw(w, step, w->hosts);

	if (a == b)
		return;
	sim_net_cut(w->sim, a, b);
	if (draw(w, step, 2))
		sim_net_cut(w->sim, b, a);
	world_say(w, "hosts %u and %u are cut", a, b);
}

static void lights_out(struct world *w, uint32_t step)
{
	for (uint32_t h = 0; h < w->hosts; h++)
		if (world_is_up(w, h))
			world_kill_host(w, h, SIM_KILL_POWER, (1 + draw(w, step, 500)) * MS);
	w->result->operations[WORLD_LIGHTS_OUT]++;
}

static void resume_all(struct world *w)
{
	for (uint32_t h = 0; h < w->hosts; h++)
		if (world_is_up(w, h))
			sim_host_resume(w->sim, h);
}

static void heal_network(struct world *w)
{
	sim_net_heal_all(w->sim);
	for (uint32_t h = 0; h < w->hosts; h++)
		sim_cluster_cut(w->sim, h, false);
	world_say(w, "the network heals");
}

static void inject(struct world *w, uint32_t step)
{
	uint32_t kind = (uint32_t)draw(w, step, 120), i = (uint32_t)draw(w, step, w->hosts), p;
	hf_nsec down = (1 + draw(w, step, 3000)) * MS;

	p = world_primary(some_volume(w, step));
	if (draw(w, step, 3) == 0 && p < w->hosts)
		i = p;
	if (kind < 20 && world_is_up(w, i) && hosts_down(w) < down_max(w)) {
		world_kill_host(w, i, draw(w, step, 2) ? SIM_KILL_POWER : SIM_KILL_PROCESS, down);
	} else if (kind >= 20 && kind < 23) {
		lights_out(w, step);
	} else if (kind < 31 && kind >= 23 && world_is_up(w, i)) {
		sim_host_pause(w->sim, i);
		world_say(w, "host %u is paused", i);
	} else if (kind >= 31 && kind < 41) {
		resume_all(w);
	} else if (kind >= 41 && kind < 51) {
		cut(w, step, i);
	} else if (kind >= 51 && kind < 57) {
		isolate(w, step, i);
	} else if (kind >= 57 && kind < 68) {
		split(w, step);
	} else if (kind >= 68 && kind < 92) {
		heal_network(w);
	} else if (kind >= 92 && kind < 96) {
		sim_cluster_cut(w->sim, i, draw(w, step, 2));
	} else if (kind >= 96 && kind < 100) {
		for (uint32_t h = 0; h < w->hosts; h++)
			sim_cluster_cut(w->sim, h, false);
	} else if (kind >= 100 && kind < 114) {
		spoil_victim(w, step);
	} else if (kind >= 114 && kind < 117) {
		restore_store(w, step);
	} else if (kind >= 117 && p < w->hosts && world_is_up(w, p)) {
		sim_call(w->sim, p, sim_now(w->sim), grow, some_volume(w, step));
	}
}

void world_mend(struct world *w)
{
	repair_store(w);
	heal_network(w);
	resume_all(w);
}

void world_step(struct world *w, uint32_t step)
{
	bool looks_dead = w->nudge > 0;
	bool repaired = w->true_store && draw(w, step, 2);
	uint32_t p;

	if (world_lean_step(w, step))
		return;
	if (repaired)
		repair_store(w);
	inject(w, step);
	p = world_primary(&w->vol[0]);
	looks_dead |= p >= w->hosts || !world_is_up(w, p);
	if (draw(w, step, looks_dead ? 2 : 25) == 0)
		promote_somewhere(w, step);
	if (w->nudge)
		w->nudge--;
}

void world_clear_faults(struct world *w)
{
	repair_store(w);
	for (uint32_t i = 0; i < w->hosts; i++) {
		struct sim_config *c = sim_config(w->sim, i);

		memset(c->ppm, 0, sizeof(c->ppm));
		c->disk_slow = 1;
		sim_disk_full(w->sim, i, false);
		sim_cluster_cut(w->sim, i, false);
		if (world_is_up(w, i))
			sim_host_resume(w->sim, i);
	}
	sim_net_heal_all(w->sim);
	/* A failed leg is trusted again only after its host has read it anew from the disk (H15). */
	for (uint32_t i = 0; i < w->hosts; i++) {
		const struct hf_list *n;

		sim_disk_heal(w->sim, i);
		if (!world_is_up(w, i) || !w->host[i].ready)
			continue;
		for (n = w->host[i].agent->legs.next; n != &w->host[i].agent->legs; n = n->next)
			if (hf_container_of(n, struct hf_agent_leg, link)->run.failed)
				break;
		if (n != &w->host[i].agent->legs)
			world_kill_host(w, i, SIM_KILL_PROCESS, 0);
	}
}
