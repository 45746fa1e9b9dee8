// SPDX-License-Identifier: MIT
/*
 * Needs: libhf_engine, libhf_sim. A volume of 2+1 on three hosts, as its primary: sessions, and what legs may tell it.
 * Answers of legs are made up by the test where the real ones are never wrong.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/log.h"
#include "engine/agent.h"
#include "engine/peer.h"
#include "sim/sim.h"

#define BLOCKS 256u
#define LEGS 3u
#define FRAG (HF_BLOCK / 2)

static struct sim_world *w;
static struct hf_agent agent[LEGS];	/* host 0 is the primary */
static struct hf_record record;
static struct hf_volume_run *v;
static struct hf_session writer;
static uint32_t made;
static int done_result;
static uint32_t ready;
static bool is_created, is_done;

static void on_ready(void *ctx, int result, const char *why)
{
	(void)ctx;
	(void)why;
	hf_assert(result == 0);
	ready++;
}

static void on_serving(void *ctx, struct hf_agent_volume *av)
{
	(void)ctx;
	v = av->run;
}

static void on_stopped(void *ctx, struct hf_agent_volume *av, const char *why)
{
	(void)ctx;
	(void)av;
	(void)why;
	v = NULL;
}

static void on_event(void *ctx, const char *kind, const char *volume, const char *host, const char *words)
{
	(void)ctx;
	(void)kind;
	(void)volume;
	(void)host;
	(void)words;
}

static const struct hf_agent_ops ops = { on_ready, on_serving, on_stopped, on_event };

static void on_made(struct hf_admin_call *call, int result, const char *words)
{
	(void)call;
	(void)words;
	hf_assert(result == 0);
	made++;
}

static void on_created(struct hf_cluster_req *q, int result, const struct hf_cluster_item *items, size_t count,
		       uint64_t ver)
{
	(void)q;
	(void)items;
	(void)count;
	(void)ver;
	hf_assert(result == 0);
	is_created = true;
}

static void on_fenced(struct hf_session *s, const char *why)
{
	(void)why;
	hf_volume_run_detach(v, s);
}

static bool wait_for(const bool *flag)
{
	sim_host_wake(w, 0);
	for (uint32_t i = 0; i < 1000000 && !*flag; i++)
		if (!sim_step(w))
			break;
	return *flag;
}

static void make_legs(void)
{
	static struct hf_admin_call call[LEGS];

	made = 0;
	for (uint32_t i = 0; i < LEGS; i++) {
		struct hf_wire_format m = { .id = { .cluster = record.cluster, .volume = record.volume,
						    .leg = record.leg[i].uuid, .geometry = record.geometry,
						    .frag = record.leg[i].frag },
					    .size_blocks = BLOCKS, .volume = "vol" };

		call[i].done = on_made;
		assert_int_equal(hf_host_format(&agent[0].host, record.leg[i].host, &m, &call[i]), 0);
	}
	sim_host_wake(w, 0);
	for (uint32_t i = 0; i < 1000000 && made < LEGS; i++)
		assert_true(sim_step(w));
}

static void create(void)
{
	static struct hf_cluster_req q;
	char *text;

	record = (struct hf_record){ .cluster = agent[0].host.cluster, .volume.b[0] = 1, .lineage.b[0] = 2,
				     .nonce.b[0] = 3, .name = "vol", .tenant = "acme", .size_blocks = BLOCKS,
				     .geometry = { 2, 1 }, .primary = "hostA", .leg_count = LEGS };
	for (uint32_t i = 0; i < LEGS; i++) {
		record.leg[i].uuid.b[0] = (uint8_t)(10 + i);
		snprintf(record.leg[i].host, HF_NAME_MAX, "host%c", 'A' + (int)i);
		record.leg[i].frag = (uint8_t)i;
		record.leg[i].insync = true;
	}
	make_legs();
	is_created = false;
	assert_int_equal(hf_record_encode(&record, &text), 0);
	q.done = on_created;
	agent[0].cluster->ops->cas(agent[0].cluster, &q, "volume/vol", 0, NULL, text);
	free(text);
	assert_true(wait_for(&is_created));
	hf_agent_refresh(&agent[0]);
	sim_host_wake(w, 0);
	for (uint32_t i = 0; i < 1000000 && !(v && v->open); i++)
		assert_true(sim_step(w));
}

static void start_host(uint32_t i)
{
	struct hf_agent_params p = { .domain = "rack", .leg_dir = "legs", .pool_bytes = 2 << 20, .log_bytes = 1 << 20,
				     .in_flight_max = 512 << 10, .boot.b[0] = 1 };
	struct hf_reactor *r = sim_host_start(w, i);
	char name[HF_NAME_MAX], addr[HF_ADDR_MAX];
	struct hf_errmsg err;

	snprintf(name, sizeof(name), "host%c", 'A' + (int)i);
	snprintf(addr, sizeof(addr), "tcp:10.0.0.%u:7000", i);
	p.name = name;
	p.addr = addr;
	p.listen_fd = hf_sock_listen(r, addr, &err);
	hf_assert(hf_agent_start(&agent[i], r, sim_cluster_open(w, i), &p, &ops, NULL) == 0);
	sim_host_wake(w, i);
}

static int begin(void **state)
{
	(void)state;
	w = sim_world_new(1, LEGS);
	v = NULL;
	ready = 0;
	for (uint32_t i = 0; i < LEGS; i++)
		start_host(i);
	sim_run(w, 2 * HF_SEC);
	assert_int_equal(ready, LEGS);
	create();
	writer = (struct hf_session){ .fenced = on_fenced };
	return hf_volume_run_attach(v, &writer, &(const char *){ NULL });
}

static int end(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < LEGS; i++)
		sim_host_kill(w, i, SIM_KILL_PROCESS);
	sim_world_free(w);
	return 0;
}

static void on_done(struct hf_request *q, int result)
{
	(void)q;
	done_result = result;
	is_done = true;
}

/* A request of block 5, begun and not waited for. */
static void submit(struct hf_request *q, enum hf_request_kind kind)
{
	*q = (struct hf_request){ .kind = kind, .lba = 5, .nblocks = 1, .done = on_done,
				  .buf = hf_buf_new(agent[0].pool, HF_BLOCK) };
	if (kind == HF_REQUEST_WRITE)
		memset(q->buf->data, 0x5a, HF_BLOCK);
	is_done = false;
	hf_volume_run_submit(v, &writer, q);
	sim_host_wake(w, 0);
}

static void finish(struct hf_request *q)
{
	assert_true(wait_for(&is_done));
	assert_int_equal(done_result, 0);
	hf_buf_put(q->buf);
}

/* The block is in every leg's image, and a read of it waits for the disks. */
static struct hf_read_op *read_under_way(struct hf_request *q)
{
	submit(q, HF_REQUEST_WRITE);
	finish(q);
	sim_run(w, sim_now(w) + 8 * HF_SEC);	/* legs at rest empty their logs */
	submit(q, HF_REQUEST_READ);
	for (uint32_t i = 0; i < 1000 && !v->reads; i++)
		assert_true(sim_step(w));
	for (uint32_t i = 0; i < HF_READS_MAX; i++)
		if (v->read[i])
			return v->read[i];
	return NULL;
}

/* What leg `leg` answers to the read: a fragment of `fill`, and the checksum of its block. */
static void answer(struct hf_read_op *op, uint32_t leg, uint8_t fill, uint32_t crc)
{
	struct hf_wire_header h = { .type = HF_WIRE_READ_DATA, .tag = op->tag, .data_len = FRAG };
	struct hf_wire_read_data m = { .nblocks = 1, .block_crc = { crc } };
	uint8_t meta[1024], data[FRAG];

	memset(data, fill, sizeof(data));
	h.meta_len = hf_wire_read_data_encode(meta, &m);
	hf_volume_run_answer(v, leg, &v->peer[leg]->conn, &h, meta, data);
	sim_host_wake(w, 0);
}

static void test_volume_refuses_a_second_writer(void **state)
{
	struct hf_session second = { .fenced = on_fenced }, reader = { .fenced = on_fenced, .read_only = true };
	const char *why = NULL;
	(void)state;

	assert_int_equal(hf_volume_run_attach(v, &second, &why), -EBUSY);	/* guard SESSION (I16) */
	assert_non_null(why);
	assert_int_equal(hf_volume_run_attach(v, &reader, &why), 0);
	hf_volume_run_detach(v, &writer);
	assert_int_equal(hf_volume_run_attach(v, &second, &why), 0);
	hf_volume_run_detach(v, &second);
	hf_volume_run_detach(v, &reader);
}

/* Legs commit at different moments: that one answers with a newer version is nobody's fault. */
static void test_volume_decodes_equal_versions_only(void **state)
{
	struct hf_request q;
	struct hf_read_op *op = read_under_way(&q);
	hf_legs plan;
	(void)state;

	assert_non_null(op);
	plan = op->plan;
	assert_int_equal(op->waiting, plan);
	assert_int_equal(__builtin_popcount(plan), 2);
	answer(op, (uint32_t)__builtin_ctz(plan), 1, 1111);
	answer(op, (uint32_t)__builtin_ctz(plan & (plan - 1)), 2, 2222);
	assert_int_equal(op->bad, 0);				/* guard VERSION (H21) */
	assert_false(is_done);
	assert_true(wait_for(&is_done));
	assert_int_equal(q.buf->data[0], 0x5a);
	hf_buf_put(q.buf);
}

static void test_volume_compares_what_it_decoded_with_its_checksum(void **state)
{
	struct hf_request q;
	struct hf_read_op *op = read_under_way(&q);
	hf_legs plan;
	(void)state;

	assert_non_null(op);
	plan = op->plan;
	answer(op, (uint32_t)__builtin_ctz(plan), 1, 1111);	/* fragments of one version, they say */
	answer(op, (uint32_t)__builtin_ctz(plan & (plan - 1)), 2, 1111);
	assert_true(wait_for(&is_done));
	assert_int_equal(done_result, 0);
	for (uint32_t i = 0; i < HF_BLOCK; i++)
		assert_int_equal(q.buf->data[i], 0x5a);		/* guard DECODED */
	hf_buf_put(q.buf);
}

static void test_volume_takes_a_change_map_for_the_resync_that_asked_only(void **state)
{
	struct hf_wire_map_data none = { .cursor = HF_NEVER, .size_blocks = BLOCKS };
	uint64_t earlier;
	(void)state;

	hf_volume_resync_start(v, 2, 0);
	earlier = v->resync[2]->run;
	hf_volume_resync_stop(v, 2);
	hf_volume_resync_start(v, 2, 0);
	assert_true(v->resync[2]->map_asked);
	hf_volume_resync_map(v, earlier << 8 | 2, &none);
	assert_false(v->resync[2]->map_done);			/* guard MAP (H22) */
	hf_volume_resync_map(v, v->resync[2]->run << 8 | 2, &none);
	assert_true(v->resync[2]->map_done);
}

static void no_log(void *ctx, enum hf_log_level level, const char *line)
{
	(void)ctx;
	(void)level;
	(void)line;
}

/* Hosts are killed: what they leave behind is nobody's (sim.h). */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

/*
 * Each of many small writes may be a batch of its own in a log, rounded up to pages: what is let in while nothing can
 * be committed fits, whatever else has to follow it there.
 */
static void test_volume_counts_what_writes_take_in_a_log(void **state)
{
	static struct hf_request q[100];
	(void)state;

	for (uint32_t i = 1; i < LEGS; i++) {
		sim_net_cut(w, 0, i);
		sim_net_cut(w, i, 0);
	}
	for (uint32_t i = 0; i < 100; i++)
		submit(&q[i], HF_REQUEST_WRITE);
	sim_run(w, sim_now(w) + 100 * HF_MS);
	assert_int_equal(v->core->committed, 0);
	assert_int_equal(v->core->next - 1, agent[0].host.in_flight_max / (2 * HF_BLOCK));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_volume_counts_what_writes_take_in_a_log, begin, end),
		cmocka_unit_test_setup_teardown(test_volume_refuses_a_second_writer, begin, end),
		cmocka_unit_test_setup_teardown(test_volume_decodes_equal_versions_only, begin, end),
		cmocka_unit_test_setup_teardown(test_volume_compares_what_it_decoded_with_its_checksum, begin, end),
		cmocka_unit_test_setup_teardown(test_volume_takes_a_change_map_for_the_resync_that_asked_only, begin,
						end),
	};

	hf_log_init(no_log, NULL, HF_LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
