// SPDX-License-Identifier: MIT
/*
 * test_sim_storm - every fault at once, on hosts that do a bit of everything: the simulator itself must stand, and
 * repeat.
 *
 * An actor owns one connection or one file and does random things with it; it lives in memory of its host's life,
 * which is released only when that life is over.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "sim/sim.h"

#define HOSTS 4u
#define ACTORS 12u			/* per host: half talk, half write */
#define BYTES (16u * 4096)

struct actor {
	struct life *life;
	struct hf_io send, recv, file;
	struct hf_timer timer;
	struct hf_job job;
	struct hf_cluster_req req;
	int fd;				/* of its connection; -1 */
	int file_fd;
	bool is_talker, is_calling, is_asking;
	uint8_t *out, *in;
};

struct life {
	uint32_t host;
	struct hf_reactor *r;
	struct hf_cluster *cluster;
	int listener;
	struct hf_io accept;
	struct hf_cluster_watch watch;
	struct actor actor[ACTORS];
	uint8_t *memory;
};

static struct sim_world *w;
static struct life *life[HOSTS];
static char address[HOSTS][40];
static uint64_t done_count, told;

static uint64_t dice(uint64_t n)
{
	return sim_random(w, sim_current(w), n);
}

static void talk(struct actor *a);

static void hang_up(struct actor *a)
{
	if (a->fd < 0 || !hf_io_is_idle(&a->send) || !hf_io_is_idle(&a->recv))
		return;
	hf_close(a->life->r, a->fd);
	a->fd = -1;
}

static void on_talk(struct hf_io *io)
{
	struct actor *a = io->kind == HF_IO_RECV ? hf_container_of(io, struct actor, recv) :
						   hf_container_of(io, struct actor, send);

	done_count++;
	if (io->kind == HF_IO_CONNECT) {
		a->is_calling = false;
		a->fd = io->result >= 0 ? (int)io->result : -1;
	} else if (io->result <= 0) {
		hf_io_cancel(a->life->r, io == &a->send ? &a->recv : &a->send);
		hang_up(a);
	}
	talk(a);
}

static void talk(struct actor *a)
{
	struct hf_reactor *r = a->life->r;

	if (a->fd < 0 && !a->is_calling && hf_io_is_idle(&a->send) && hf_io_is_idle(&a->recv)) {
		hf_io_init(&a->send, HF_IO_CONNECT, -1, on_talk);
		a->send.addr = address[dice(HOSTS)];
		a->is_calling = true;
		hf_io_submit(r, &a->send);
	}
	if (a->fd >= 0 && hf_io_is_idle(&a->send) && dice(20)) {
		hf_io_init(&a->send, HF_IO_SEND, a->fd, on_talk);
		a->send.buf = a->out;
		a->send.len = 1 + dice(dice(BYTES) + 1);
		hf_io_submit(r, &a->send);
	}
	if (a->fd >= 0 && hf_io_is_idle(&a->recv) && dice(20)) {
		hf_io_init(&a->recv, HF_IO_RECV, a->fd, on_talk);
		a->recv.buf = a->in;
		a->recv.len = 1 + dice(BYTES);
		hf_io_submit(r, &a->recv);
	}
}

static void write_more(struct hf_io *io)
{
	static const enum hf_io_kind kind[] = {
		HF_IO_WRITE, HF_IO_WRITE, HF_IO_WRITE, HF_IO_READ, HF_IO_READ, HF_IO_SYNC, HF_IO_DISCARD,
	};
	struct actor *a = hf_container_of(io, struct actor, file);
	uint64_t pages = 1 + dice(BYTES / 4096);

	done_count++;
	hf_io_init(io, kind[dice(7)], a->file_fd, write_more);
	io->buf = io->kind == HF_IO_READ ? a->in : a->out;
	io->len = pages * 4096;
	io->off = dice(64) * 4096;
	io->dsync = io->kind == HF_IO_WRITE && dice(4) == 0;
	hf_io_submit(a->life->r, io);
	if (dice(10) == 0)
		hf_io_cancel(a->life->r, io);
}

static void on_job(struct hf_job *j)
{
	(void)j;
	done_count++;
}

static void on_answer(struct hf_cluster_req *q, int result, const struct hf_cluster_item *items, size_t count,
		      uint64_t ver)
{
	struct actor *a = q->ctx;
	char value[20];

	done_count++;
	a->is_asking = false;
	if (result || dice(2))
		return;
	/* What was read is changed; what was changed is read again by the timer. */
	snprintf(value, sizeof(value), "%llu", (unsigned long long)dice(1000));
	a->is_asking = count == 1;
	if (count == 1)
		a->life->cluster->ops->cas(a->life->cluster, q, items[0].key, items[0].ver, items[0].value, value);
	(void)ver;
}

static void on_timer(struct hf_timer *t)
{
	struct actor *a = hf_container_of(t, struct actor, timer);
	struct hf_cluster *c = a->life->cluster;
	char key[20];

	if (a->is_talker) {
		if (dice(4) == 0)
			hf_io_cancel(a->life->r, dice(2) ? &a->send : &a->recv);
		if (dice(4) == 0)
			hang_up(a);
		talk(a);
	}
	if (!a->is_asking) {
		a->is_asking = true;
		a->req = (struct hf_cluster_req){ .done = on_answer, .ctx = a };
		snprintf(key, sizeof(key), "key/%llu", (unsigned long long)dice(8));
		if (dice(3) == 0)
			c->ops->cas(c, &a->req, key, 0, NULL, "new");
		else
			c->ops->get(c, &a->req, key);
	}
	hf_timer_set(a->life->r, t, hf_reactor_now(a->life->r) + dice(20 * HF_MS));
}

static void on_accept(struct hf_io *io)
{
	struct life *l = hf_container_of(io, struct life, accept);

	done_count++;
	if (io->result >= 0) {
		struct actor *a = &l->actor[dice(ACTORS)];

		if (a->is_talker && a->fd < 0 && !a->is_calling && hf_io_is_idle(&a->send) && hf_io_is_idle(&a->recv)) {
			a->fd = (int)io->result;
			talk(a);
		} else {
			hf_close(l->r, (int)io->result);
		}
	}
	hf_io_init(io, HF_IO_ACCEPT, l->listener, on_accept);
	hf_io_submit(l->r, io);
}

static void on_change(struct hf_cluster_watch *x)
{
	(void)x;
	told++;
}

static void nothing(struct hf_job *j)
{
	(void)j;
}

static void actor_start(struct life *l, uint32_t i)
{
	struct actor *a = &l->actor[i];
	struct hf_file_info info;
	char name[20];

	a->life = l;
	a->fd = -1;
	a->is_talker = i % 2;
	a->out = l->memory + 2 * i * BYTES;
	a->in = a->out + BYTES;
	hf_io_init(&a->send, HF_IO_SEND, -1, on_talk);
	hf_io_init(&a->recv, HF_IO_RECV, -1, on_talk);
	hf_io_init(&a->file, HF_IO_SYNC, -1, write_more);
	hf_timer_init(&a->timer, on_timer);
	hf_timer_set(l->r, &a->timer, hf_reactor_now(l->r) + 1 + i);
	a->job = (struct hf_job){ .work = nothing, .done = on_job };
	hf_job_run(l->r, &a->job);
	if (a->is_talker)
		return;
	snprintf(name, sizeof(name), "/file%u", i);
	a->file_fd = hf_file_open(l->r, name, HF_FILE_CREATE, 80 * 4096, &info, NULL);
	if (a->file_fd < 0)
		a->file_fd = hf_file_open(l->r, name, HF_FILE_OPEN, 0, &info, NULL);
	assert_true(a->file_fd >= 0);
	write_more(&a->file);
}

static void live(struct sim_world *world, void *ctx)
{
	struct life *l = ctx;

	(void)world;
	for (uint32_t i = 0; i < ACTORS; i++)
		actor_start(l, i);
	hf_io_init(&l->accept, HF_IO_ACCEPT, l->listener, on_accept);
	hf_io_submit(l->r, &l->accept);
}

static void birth(uint32_t host)
{
	struct life *l = calloc(1, sizeof(*l));

	assert_non_null(l);
	l->memory = aligned_alloc(4096, (size_t)2 * ACTORS * BYTES);
	memset(l->memory, (int)host, (size_t)2 * ACTORS * BYTES);
	l->host = host;
	l->r = sim_host_start(w, host);
	l->cluster = sim_cluster_open(w, host);
	l->watch = (struct hf_cluster_watch){ .changed = on_change, .prefix = "key/" };
	hf_list_init(&l->watch.link);
	l->cluster->ops->watch(l->cluster, &l->watch);
	l->listener = hf_sock_listen(l->r, address[host], NULL);
	assert_true(l->listener >= 0);
	life[host] = l;
	sim_call(w, host, sim_now(w), live, l);
}

static void death(uint32_t host, enum sim_kill how)
{
	sim_host_kill(w, host, how);
	free(life[host]->memory);
	free(life[host]);
	life[host] = NULL;
}

static void set_faults(uint32_t host)
{
	struct sim_config *c = sim_config(w, host);

	for (int f = 0; f < SIM_FAULT_COUNT; f++)
		c->ppm[f] = 2000;
	c->ppm[SIM_SYNC_EIO_STICKY] = c->ppm[SIM_WRITE_EIO_STICKY] = 100;
	c->net_buffer = 1u << (12 + sim_random(w, 40, 9));
	c->disk_slow = 1 + (uint32_t)sim_random(w, 40, 20);
}

/* One thing that the world does to its hosts. */
static void strike(void)
{
	uint32_t a = (uint32_t)sim_random(w, 41, HOSTS), b = (uint32_t)((a + 1 + sim_random(w, 41, HOSTS - 1)) % HOSTS);

	switch (sim_random(w, 41, 10)) {
	case 0:
	case 1:
		if (life[a])
			death(a, sim_random(w, 41, 2) ? SIM_KILL_POWER : SIM_KILL_PROCESS);
		break;
	case 2:
		if (life[a])
			sim_host_pause(w, a);
		break;
	case 3:
		sim_net_cut(w, a, b);
		break;
	case 4:
		sim_net_heal_all(w);
		break;
	case 5:
		sim_host_clock(w, a, sim_random(w, 41, HF_SEC), (int32_t)sim_random(w, 41, 200000) - 100000);
		break;
	case 6:
		sim_cluster_cut(w, a, sim_random(w, 41, 2));
		break;
	case 7:
		sim_disk_flip(w, a, "/file2", sim_random(w, 41, 80 * 4096), 1);
		sim_disk_swap(w, a, "/file0", b, "/file2");
		break;
	case 8:
		sim_disk_heal(w, a);
		sim_net_reset(w, a, b);
		break;
	default:
		for (uint32_t i = 0; i < HOSTS; i++)
			sim_host_resume(w, i);
		if (!life[a])
			birth(a);
	}
}

static uint64_t storm(uint64_t seed)
{
	uint64_t hash;

	done_count = told = 0;
	w = sim_world_new(seed, HOSTS);
	for (uint32_t i = 0; i < HOSTS; i++) {
		snprintf(address[i], sizeof(address[i]), "tcp:10.0.0.%u:9", i);
		set_faults(i);
		birth(i);
	}
	for (uint32_t i = 0; i < 60; i++) {
		sim_run(w, sim_now(w) + sim_random(w, 42, 20 * HF_MS));
		strike();
	}
	hash = sim_hash(w);
	for (uint32_t i = 0; i < HOSTS; i++)
		if (life[i])
			death(i, SIM_KILL_PROCESS);
	/* Nothing of the dead may still be touched. */
	sim_run(w, sim_now(w) + 300 * HF_SEC);
	return hash;
}

static void test_a_storm_of_every_fault_repeats(void **state)
{
	uint64_t seen[SIM_FAULT_COUNT] = { 0 };

	(void)state;
	for (uint64_t seed = 1; seed <= 12; seed++) {
		uint64_t hash = storm(seed), done = done_count;

		assert_true(done > 1000 && told > 0);
		for (int f = 0; f < SIM_FAULT_COUNT; f++)
			seen[f] += sim_count(w, (enum sim_fault)f);
		sim_world_free(w);
		assert_true(hash == storm(seed));
		assert_int_equal(done, done_count);
		sim_world_free(w);
	}
	for (int f = 0; f < SIM_FAULT_COUNT; f++)
		if (f != SIM_DISK_FULL && f != SIM_DISK_BLANK && f != SIM_DISK_ROLLBACK && f != SIM_CLUSTER_ROLLBACK)
			assert_true(seen[f] > 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_storm_of_every_fault_repeats),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
