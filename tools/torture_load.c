// SPDX-License-Identifier: MIT
/* torture_load - the thread of a load, its three sessions, and what becomes of each operation. */

#include <poll.h>
#include <stdio.h>

#include "torture_load_int.h"

#define POLL_MS 5
#define READER_OPEN_MS 100u		/* the main session waits meanwhile */
#define READER_DEPTH 4u
#define READER_GAP_NS (SEC / 200)
#define END_NS (10 * SEC)		/* for what is in flight when the load ends */
#define NBD_ESHUTDOWN 108u

static uint64_t draw(struct load *l, uint64_t below)
{
	l->rng ^= l->rng << 13;
	l->rng ^= l->rng >> 7;
	l->rng ^= l->rng << 17;
	return (l->rng >> 11) % below;
}

/* answers */

static void note_answer(struct load *l, const struct session_op *op)
{
	uint64_t t = load_now_ns(), from = l->last_answer_ns > l->window_ns ? l->last_answer_ns : l->window_ns;

	if (t - from > l->gap_ns)
		l->gap_ns = t - from;
	l->last_answer_ns = t;
	l->f.answers++;
	if (op->command == SESSION_READ)
		return;
	l->recent[l->recent_at++ % RECENT] = op->block;
	if (l->failover_from_ns && l->generation > l->failover_generation) {
		l->f.failover_ns = t - l->failover_from_ns;
		l->failover_from_ns = 0;
	}
}

/*
 * It may or may not have happened: the blocks stay busy until the inquest. Nothing else begins before all inquests
 * have, so that there are never more of them than operations can be in flight.
 */
static void leave_open(struct load *l, const struct session_op *op)
{
	l->unanswered[l->unanswered_count++] = (struct unanswered){ op->block, op->value, op->count };
}

/* An operation of the main session that will have no answer any more. */
static void give_up(struct load *l, const struct session_op *op)
{
	if (op->pass && op->block < l->pass_next)
		l->pass_next = op->block;
	l->f.unanswered += op->command != SESSION_READ;
	if (op->command != SESSION_READ || op->inquest)
		leave_open(l, op);
	else
		oracle_read_done(&l->oracle, op->block, op->count, op->mark, NULL);
}

static void main_failed(struct load *l, struct session_op *op, uint32_t error)
{
	give_up(l, op);
	l->main_ends = true;
	if (error == NBD_ESHUTDOWN)	/* the primary steps down: as if the connection had ended */
		return;
	l->f.errors++;
	snprintf(l->f.error, sizeof(l->f.error), "NBD error %u for a %s at block %llu", error,
		 op->command == SESSION_READ ? "read" : "write", (unsigned long long)op->block);
}

static void main_done(struct load *l, struct session_op *op, uint32_t error)
{
	if (error) {
		main_failed(l, op, error);
		return;
	}
	note_answer(l, op);
	if (op->command != SESSION_READ)
		oracle_acked(&l->oracle, op->block, op->count, op->value);
	else if (op->inquest)
		oracle_inquest(&l->oracle, op->block, op->count, op->value, op->mark, op->buf);
	else
		oracle_read_done(&l->oracle, op->block, op->count, op->mark, op->buf);
}

void load_on_done(void *load, struct session *s, struct session_op *op, uint32_t error)
{
	struct load *l = load;

	if (s == l->main) {
		main_done(l, op, error);
	} else if (error) {
		return;			/* a deposed primary may refuse what it likes */
	} else if (op->command == SESSION_READ) {
		l->f.overheard++;
		oracle_overheard(&l->oracle, op->block, op->count, op->mark, op->buf);
	} else {
		oracle_acked_late(&l->oracle, op->block, op->count, op->value);
	}
}

/* the main session: issue */

static void submit(struct session *s, struct session_op *op, enum session_command command, uint64_t block,
		   uint32_t count)
{
	op->command = command;
	op->block = block;
	op->count = count;
	op->begun_ns = load_now_ns();
	session_submit(s, op);
}

static void issue(struct load *l, struct session_op *op, enum session_command command, uint64_t block, uint32_t count)
{
	if (command == SESSION_READ)
		oracle_read(&l->oracle, block, count, true, op->mark);
	else
		op->value = oracle_write(&l->oracle, block, count, command == SESSION_ZERO, op->buf);
	submit(l->main, op, command, block, count);
}

static void issue_inquest(struct load *l, struct session_op *op)
{
	struct unanswered u = l->unanswered[--l->unanswered_count];

	op->inquest = true;
	op->value = u.value;
	oracle_read(&l->oracle, u.block, u.count, true, op->mark);
	submit(l->main, op, SESSION_READ, u.block, u.count);
}

static bool issue_pass(struct load *l, struct session_op *op)
{
	uint64_t left = l->oracle.blocks - l->pass_next;
	uint32_t count = left < ORACLE_RUN_MAX ? (uint32_t)left : ORACLE_RUN_MAX;

	if (!count || !oracle_is_free(&l->oracle, l->pass_next, count))
		return false;
	op->pass = true;
	issue(l, op, l->pass_writes ? SESSION_WRITE : SESSION_READ, l->pass_next, count);
	l->pass_next += count;
	return true;
}

static bool issue_random(struct load *l, struct session_op *op)
{
	uint32_t count = draw(l, 8) ? 1 : 1 + (uint32_t)draw(l, ORACLE_RUN_MAX);
	uint64_t block = draw(l, l->oracle.blocks - count + 1), dice = draw(l, 100);

	if (load_now_ns() < l->credit_ns || !oracle_is_free(&l->oracle, block, count))
		return false;
	l->credit_ns += SEC / l->rate;
	if (l->credit_ns + SEC / 100 < load_now_ns()) /* what was missed is not made up for */
		l->credit_ns = load_now_ns();
	op->fua = draw(l, 16) == 0;
	issue(l, op, dice < 30 ? SESSION_READ : dice < 33 ? SESSION_ZERO : SESSION_WRITE, block, count);
	return true;
}

static void issue_main(struct load *l)
{
	struct session_op *op;
	bool more = true;

	while (more && l->main->fd >= 0 && (op = session_op(l->main, l->depth))) {
		if (l->unanswered_count)
			issue_inquest(l, op);
		else if (l->stop)
			more = false;
		else
			more = l->pass ? issue_pass(l, op) : issue_random(l, op);
	}
}

static bool pass_in_flight(const struct load *l)
{
	for (unsigned i = 0; i < SESSION_DEPTH_MAX; i++)
		if (l->main->op[i].in_use && l->main->op[i].pass)
			return true;
	return false;
}

/* the sessions' ends and beginnings */

static void main_over(struct load *l)
{
	for (unsigned i = 0; i < SESSION_DEPTH_MAX; i++)
		if (l->main->op[i].in_use)
			give_up(l, &l->main->op[i]);
	l->main_ends = false;
}

static void main_closed(struct load *l)
{
	main_over(l);
	session_close(l->main);
}

/* The connection lives on as the ghost, with all that is in flight on it. */
static void main_left(struct load *l)
{
	struct session *s = l->main;

	session_close(l->ghost);
	main_over(l);
	l->main = l->ghost;
	l->ghost = s;
}

/* The lock is given back meanwhile. */
static void open_session(struct load *l, struct session *s, const char *path, const char *suffix, unsigned wait_ms)
{
	char at[108], export[96];
	int rc;

	snprintf(at, sizeof(at), "%s", path);
	snprintf(export, sizeof(export), "%s%s", l->volume, suffix);
	pthread_mutex_unlock(&l->lock);
	rc = session_open(s, at, export, wait_ms);
	pthread_mutex_lock(&l->lock);
	if (rc || s != l->main)
		return;
	l->generation++;
	l->f.sessions++;
}

static void issue_reader(struct load *l)
{
	unsigned depth = l->burst ? SESSION_DEPTH_MAX : READER_DEPTH;
	uint64_t t = load_now_ns();
	struct session_op *op;

	while (l->reader->fd >= 0 && (l->burst || t >= l->reader_ns) && (op = session_op(l->reader, depth))) {
		uint64_t block = draw(l, 4) ? l->recent[draw(l, RECENT)] : draw(l, l->oracle.blocks);

		l->reader_ns = t + READER_GAP_NS;
		l->burst -= l->burst > 0;
		oracle_read(&l->oracle, block, 1, false, op->mark);
		submit(l->reader, op, SESSION_READ, block, 1);
	}
	if (l->burst_wanted && !l->burst && !l->reader->queued)
		l->f.burst_sent = true;
}

/* the thread */

static void take_orders(struct load *l)
{
	/* Unless it has found the new primary by itself: that would not let a second session in beside the ghost. */
	if (l->leave && l->main->fd >= 0 && l->generation == l->failover_generation)
		main_left(l);
	l->leave = false;
	if (l->drop_ghost)
		session_close(l->ghost);
	l->drop_ghost = false;
	if (l->move_reader)
		session_close(l->reader);
	l->move_reader = false;
}

static void poll_all(struct load *l)
{
	struct session *all[3] = { l->main, l->reader, l->ghost };
	struct pollfd p[3];

	for (int i = 0; i < 3; i++)
		p[i] = (struct pollfd){ .fd = all[i]->fd, .events = session_events(all[i]) };
	pthread_mutex_unlock(&l->lock);
	(void)poll(p, 3, l->main->in_flight < l->depth ? 1 : POLL_MS);
	pthread_mutex_lock(&l->lock);
	for (int i = 0; i < 3; i++) {
		int rc = p[i].fd >= 0 && p[i].revents ? session_pump(all[i]) : 0;

		if (all[i] == l->main && (rc || l->main_ends))
			main_closed(l);
		else if (rc)
			session_close(all[i]);
	}
}

void *load_run(void *load)
{
	struct load *l = load;
	uint64_t end = 0;

	pthread_mutex_lock(&l->lock);
	while (!l->stop || ((l->main->in_flight || l->unanswered_count) && load_now_ns() < end)) {
		if (l->stop && !end)
			end = load_now_ns() + END_NS;
		take_orders(l);
		if (l->main->fd < 0)
			open_session(l, l->main, l->path, "", OPEN_MS);
		if (l->reader->fd < 0 && l->reader_path[0] && load_now_ns() >= l->reader_ns) {
			open_session(l, l->reader, l->reader_path, "@ro", READER_OPEN_MS);
			l->reader_ns = load_now_ns() + READER_OPEN_MS * SEC / 1000;
		}
		issue_main(l);
		issue_reader(l);
		if (l->pass && l->pass_next == l->oracle.blocks && !pass_in_flight(l)) {
			l->pass = false;
			l->f.pass_over = true;
		}
		poll_all(l);
		end = l->stop && !end ? load_now_ns() + END_NS : end;
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}
