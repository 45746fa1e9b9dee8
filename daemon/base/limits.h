/* SPDX-License-Identifier: MIT */
/*
 * limits - every compile-time bound and default of the daemon, with its unit and its reason.
 *
 * Owns: numbers. Does not own: policy that an operator sets per volume (core/types.h).
 */
#ifndef HF_BASE_LIMITS_H
#define HF_BASE_LIMITS_H

/* Geometry of a volume (docs/ARCHITECTURE.md). */
#define HF_BLOCK 4096u			/* bytes: what a tenant addresses, what is coded on its own */
#define HF_CHUNK_BLOCKS 16u		/* blocks: 64 KiB, the unit of allocation and of the change map */
#define HF_SECTOR 4096u			/* bytes: the physical sector that in-place writes respect (H17) */
#define HF_K_MAX 8u
#define HF_M_MAX 4u
#define HF_LEGS_MAX 16u			/* k+m fragments and a few full legs */
#define HF_FRAG_FULL 0xffu		/* leg index of a full leg: it keeps whole blocks */

/* One op of the log. */
#define HF_WRITE_BLOCKS_MAX 64u		/* blocks: 256 KiB; bounds an entry, a buffer and a frame */
#define HF_ZERO_BLOCKS_MAX 1024u	/* blocks: 4 MiB of zero or discard carry no payload */
#define HF_VOLUME_BLOCKS_MAX (1ull << 34) /* blocks: 64 TiB */

/* In flight. */
#define HF_IN_FLIGHT_MAX (4u << 20)	/* bytes in a log, of one volume, between admission and commit */
#define HF_WINDOW 1024u			/* ops of one volume between admission and release; power of two */
#define HF_EPOCHS_MAX 64u		/* epoch starts that a leg remembers (R6, H11) */
#define HF_FRAME_PAYLOAD_MAX (1u << 20)	/* bytes behind one wire header */

#define HF_VERSION "0.1.0"

/* Names. */
#define HF_NAME_MAX 64u			/* bytes with the final NUL: host, tenant, volume */
#define HF_ADDR_MAX 120u		/* bytes with the final NUL: "unix:/path" or "tcp:1.2.3.4:5" */

/* Time, nanoseconds. */
#define HF_MS 1000000ull
#define HF_SEC 1000000000ull

#define HF_LEASE_NS (2 * HF_SEC)	/* read lease (R11, H31) */

#endif
