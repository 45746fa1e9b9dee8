// SPDX-License-Identifier: MIT
/*
 * uring_open - make a ring, or say why this machine will not give us one.
 *
 * Owns: sizes and flags of the ring, words of the refusal. Does not own: what runs on the ring (io/reactor_uring.c).
 */
#include "io/uring_open.h"

#include <liburing.h>
#include <stdio.h>

#define SQ_ENTRIES 1024u		/* ios per submission before a turn needs a second call */
#define CQ_ENTRIES 8192u		/* completions that wait; the kernel keeps what is above */

/* kernel.io_uring_disabled: 0 no, 1 for some, 2 for all; -1: this kernel has no such switch. */
static int disabled_by_sysctl(void)
{
	FILE *f = fopen("/proc/sys/kernel/io_uring_disabled", "re");
	char text[16] = "";
	int v = -1;

	if (!f)
		return -1;
	if (fgets(text, sizeof(text), f) && text[0] >= '0' && text[0] <= '9')
		v = text[0] - '0';
	fclose(f);
	return v;
}

static int refuse(int rc, struct hf_errmsg *err)
{
	switch (rc) {
	case -ENOSYS:
		return hf_fail(err, rc, "io_uring is missing: the kernel is older than 6.1 or was built without it, or "
			       "a container's seccomp profile hides it: run Linux 6.1 or later and allow "
			       "io_uring_setup");
	case -EPERM:
		if (disabled_by_sysctl() > 0)
			return hf_fail(err, rc, "io_uring is switched off by kernel.io_uring_disabled=%d: set it to 0 "
				       "(sysctl -w kernel.io_uring_disabled=0)", disabled_by_sysctl());
		return hf_fail(err, rc, "io_uring is forbidden to this process, most likely by a seccomp profile of "
			       "its container or service: allow io_uring_setup, io_uring_enter and "
			       "io_uring_register");
	case -EINVAL:
		return hf_fail(err, rc, "this kernel's io_uring is too old (single issuer with deferred task run is "
			       "missing): run Linux 6.1 or later");
	case -ENOMEM:
		return hf_fail(err, rc, "no memory for the io_uring rings: raise the limit of locked memory "
			       "(ulimit -l, LimitMEMLOCK=) or free memory");
	case -EMFILE:
	case -ENFILE:
		return hf_fail(err, rc, "no file descriptor left for io_uring: raise the limit of open files "
			       "(LimitNOFILE=)");
	default:
		return hf_fail(err, rc, "io_uring cannot be started: %s", hf_strerror(rc));
	}
}

/* A ring may be made and still be unusable (io_uring_enter filtered): send one request round. */
static int try_ring(struct io_uring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;
	int rc;

	io_uring_prep_nop(sqe);
	rc = io_uring_submit_and_wait(ring, 1);
	if (rc < 0)
		return rc;
	rc = io_uring_wait_cqe(ring, &cqe);
	if (rc == 0)
		io_uring_cqe_seen(ring, cqe);
	return rc;
}

static int open_ring(struct io_uring *ring)
{
	struct io_uring_params p = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
			 IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE,
		.cq_entries = CQ_ENTRIES,
	};
	const uint32_t needed = IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP;
	int rc = io_uring_queue_init_params(SQ_ENTRIES, ring, &p);

	if (rc < 0)
		return rc;
	rc = (p.features & needed) == needed ? try_ring(ring) : -EINVAL;
	if (rc < 0) {
		io_uring_queue_exit(ring);
		return rc;
	}
	/* Spares the kernel a look-up of the ring per call; only a wish. */
	(void)io_uring_register_ring_fd(ring);
	return 0;
}

int hf_uring_open(struct io_uring *ring, struct hf_errmsg *err)
{
	int rc = open_ring(ring);

	return rc < 0 ? refuse(rc, err) : 0;
}
