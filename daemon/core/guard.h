/* SPDX-License-Identifier: MIT */
/*
 * guard - names of the protocol's guards. A test build compiles one out by -DHF_NO_<NAME>=1 to show that the tests
 * notice; the shipped build has them all. The same names stand in docs/SAFETY.md and in tests.
 *
 *   FENCE            a leg takes ops of the epoch that it promised only (R3)
 *   ACTIVATED        a leg takes ops only after it adopted the epoch's history (R3, H14)
 *   LEASE            reads need leases of every in-sync leg and pending add (R11, H31, H33)
 *   LEASE_WAIT       a new primary waits until the old one's leases are over (R10)
 *   LEASE_BOOT       a leg that boots assumes that it granted a lease (H32)
 *   TOLERANCE        acknowledge only while the in-sync set tolerates f_min lost hosts (R4, H4)
 *   ACK_ALL          acknowledge only when all in-sync legs and pending adds are durable (R4, H6, H7)
 *   ADOPT_ALL        serve only when every in-sync leg adopted (R10, H14)
 *   MEMORY           a leg with another uuid or an older activated epoch than recorded has no vote (R8, H9)
 *   CONFIG_DISTRUST  a leg refuses a config older than it has seen (R15, H26)
 */
#ifndef HF_CORE_GUARD_H
#define HF_CORE_GUARD_H

#define HF_GUARD_CAT(a, b) a##b
/* Yields 0 when HF_NO_<name> is defined as 1, else 1. */
#define HF_GUARD(name) (!(HF_GUARD_CAT(HF_NO_, name)))

#ifndef HF_NO_FENCE
#define HF_NO_FENCE 0
#endif
#ifndef HF_NO_ACTIVATED
#define HF_NO_ACTIVATED 0
#endif
#ifndef HF_NO_LEASE
#define HF_NO_LEASE 0
#endif
#ifndef HF_NO_LEASE_WAIT
#define HF_NO_LEASE_WAIT 0
#endif
#ifndef HF_NO_LEASE_BOOT
#define HF_NO_LEASE_BOOT 0
#endif
#ifndef HF_NO_TOLERANCE
#define HF_NO_TOLERANCE 0
#endif
#ifndef HF_NO_ACK_ALL
#define HF_NO_ACK_ALL 0
#endif
#ifndef HF_NO_ADOPT_ALL
#define HF_NO_ADOPT_ALL 0
#endif
#ifndef HF_NO_MEMORY
#define HF_NO_MEMORY 0
#endif
#ifndef HF_NO_CONFIG_DISTRUST
#define HF_NO_CONFIG_DISTRUST 0
#endif

#endif
