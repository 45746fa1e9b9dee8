/* SPDX-License-Identifier: MIT */
/*
 * rollback - the cluster store comes back from an old copy: R15, H26 of docs/SAFETY.md.
 *
 * Three legs of 2+1 (K=2), or copies (K=1) with FMIN=1; P primaries, each takes the epoch after that of the record as
 * it stands; S ops, barriers included. The record is saved once and restored once, at any time. Versions are numbers
 * that come again after that, as they do in a store. A change of the record and learning of it are one step here;
 * failover.pml has them apart.
 *
 * Judged: who reads has everything that was acknowledged or read; who acknowledges goes on from it. A promotion may
 * refuse, and a primary may open that nobody obeys any more: it can do nothing.
 */
#ifndef K
#define K 2
#endif
#ifndef P
#define P 2
#endif
#ifndef S
#define S 2
#endif
#ifndef FMIN
#define FMIN 0
#endif

#define ALL		7
#define LEG(l)		(1 << (l))
#define SIZE(set)	(((set) & 1) + (((set) >> 1) & 1) + (((set) >> 2) & 1))
#define TOLERANCE(set)	(SIZE(set) - K)
#define AT(p, l)	((p) * 3 + (l))
#define MAX(a, b)	((a) > (b) -> (a) : (b))

/* Two bits for each seq: the incarnation whose op it is. */
#define OP(log, s)	(((log) >> (2 * (s) - 2)) & 3)
#define ADD(log, s, p)	((log) | ((p) << (2 * (s) - 2)))
#define CUT(log, s)	((log) & ((1 << (2 * (s))) - 1))
#define LAST(log)	((log) > 15 -> 3 : ((log) > 3 -> 2 : ((log) > 0 -> 1 : 0)))

#define IDLE		0
#define PREPARING	1
#define ADOPTING	2
#define SERVING		3
#define STOPPED		4

/* The record; `from`: claimed and not activated, the version before the first such claim (0: it is activated). */
byte rec_ver = 1, rec_epoch = 1, rec_set = ALL, rec_from;
byte old_ver, old_epoch, old_set, old_from;
bit restored;

byte log[3], promised[3], incarnation[3], activated[3];
byte saw[3];				/* the highest version seen */

byte phase[4], epoch[4], ver[4], set[4], from[4];
byte answered[4], adopted[4], reply_log[12];
byte history[4], decided[4], committed[4], acked[12];
byte carries[12];			/* the version that op s of a primary carries */
byte barrier[4];
bit spread[4];				/* somebody was taken out, and no op has said so yet */
bit open[4];

byte seen;				/* acknowledged, as a log */

#define REACHES(X) \
	X(save) X(restore) X(claim) X(promise) X(refuse) X(decide) X(adopt) X(activate) X(barrier) X(open) X(admit) \
	X(read) \
	X(append) X(acknowledge) X(shrink) X(open_after_restore_sometimes) X(same_version_again_sometimes)
#include "reach.pml"

hidden byte i, s, n, op;

#ifdef NO_CLAIMED_FROM			/* a restored copy looks new after a few claims */
#define SHOWN(p)	ver[p]
#else
#define SHOWN(p)	(from[p] != 0 -> from[p] : ver[p])
#endif

inline claim(p) {
	d_step { phase[p] == IDLE && rec_ver < 9 && (p == 1 || phase[p - 1] != IDLE) ->
		REACHED(claim);
		rec_from = (rec_from != 0 -> rec_from : rec_ver);
		rec_ver++;
		rec_epoch++;
		epoch[p] = rec_epoch;
		ver[p] = rec_ver;
		set[p] = rec_set;
		from[p] = rec_from;
		phase[p] = PREPARING
	}
}

#ifdef HF_NO_CONFIG_DISTRUST
#define IS_OLD(p, l)	false
#else
#define IS_OLD(p, l)	(SHOWN(p) < saw[l])
#endif
#define IS_REFUSED(p, l) (epoch[p] < promised[l] || epoch[p] == promised[l] && incarnation[l] != p || IS_OLD(p, l))

inline promise(p, l) {
	d_step { phase[p] == PREPARING && (set[p] & ~answered[p] & LEG(l)) && !IS_REFUSED(p, l) ->
		REACHED(promise);
		promised[l] = epoch[p];
		incarnation[l] = p;
		saw[l] = MAX(saw[l], SHOWN(p));
		answered[p] = answered[p] | LEG(l);
		reply_log[AT(p, l)] = log[l]
	}
}

inline refuse(p, l) {
	d_step { phase[p] == PREPARING && (set[p] & ~answered[p] & LEG(l)) && IS_REFUSED(p, l) ->
		REACHED(refuse);
		phase[p] = STOPPED
	}
}

/* Everybody is clean here: what cannot be decoded is cut. */
inline decide(p) {
	d_step { phase[p] == PREPARING && TOLERANCE(answered[p]) >= 0 &&
		 (answered[p] == set[p] || TOLERANCE(answered[p]) >= FMIN) ->
		REACHED(decide);
		history[p] = 0; s = 1;
		do
		:: s <= S ->
			n = 0; op = 0; i = 0;
			do
			:: i < 3 && (answered[p] & LEG(i)) && OP(reply_log[AT(p, i)], s) != 0 ->
				assert(op == 0 || op == OP(reply_log[AT(p, i)], s));
				op = OP(reply_log[AT(p, i)], s); n++; i++
			:: i < 3 && !((answered[p] & LEG(i)) && OP(reply_log[AT(p, i)], s) != 0) -> i++
			:: else -> break
			od;
			if
			:: n >= K -> history[p] = ADD(history[p], s, op); s++
			:: else -> break
			fi
		:: else -> break
		od;
		i = 0;
		do
		:: i < 3 -> reply_log[AT(p, i)] = 0; i++
		:: else -> break
		od;
		decided[p] = LAST(history[p]);
		phase[p] = ADOPTING
	}
}

inline adopt(p, l) {
	d_step { phase[p] == ADOPTING && (answered[p] & ~adopted[p] & LEG(l)) && promised[l] == epoch[p] &&
		 incarnation[l] == p ->
		REACHED(adopt);
		log[l] = history[p];
		activated[l] = epoch[p];
		saw[l] = MAX(saw[l], SHOWN(p));
		acked[AT(p, l)] = decided[p];
		adopted[p] = adopted[p] | LEG(l)
	}
}

inline activate(p) {
	d_step { phase[p] == ADOPTING && rec_ver == ver[p] && TOLERANCE(adopted[p]) >= 0 &&
		 (adopted[p] == set[p] || TOLERANCE(adopted[p]) >= FMIN) ->
		REACHED(activate);
		if
		:: rec_epoch != epoch[p] -> REACHED(same_version_again_sometimes)
		:: else
		fi;
		spread[p] = (set[p] & ~adopted[p]) != 0;
		set[p] = adopted[p];
		from[p] = 0;
		rec_set = set[p]; rec_from = 0; rec_epoch = epoch[p];
		rec_ver++;
		ver[p] = rec_ver;
		phase[p] = SERVING
	}
}

#define NEXT(p)	(LAST(history[p]) + 1)

inline admit_op(p) {
	carries[AT(p, NEXT(p) - 1)] = ver[p];
	history[p] = ADD(history[p], NEXT(p), p)
}

/* What is committed, the one that left has too; what is not, it may lack, and then the others have to know. */
inline tell_all(p) {
	d_step { phase[p] == SERVING && spread[p] && (NEXT(p) <= S || open[p] && committed[p] == LAST(history[p])) ->
		spread[p] = 0;
		if
#if defined(HF_NO_CONFIG_DISTRUST) || defined(NO_BARRIER)
		:: true -> skip
#else
		:: open[p] && committed[p] == LAST(history[p]) -> skip
		:: else ->
			REACHED(barrier);
			barrier[p] = NEXT(p);
			admit_op(p)
#endif
		fi
	}
}

#define HAS(p, l, s)	(!(set[p] & LEG(l)) || acked[AT(p, l)] >= (s))
#define ALL_HAVE(p, s)	(HAS(p, 0, s) && HAS(p, 1, s) && HAS(p, 2, s))
#define MAY_COMMIT(p)	(!spread[p] && ALL_HAVE(p, barrier[p]))

inline open_volume(p) {
	d_step { phase[p] == SERVING && !open[p] && MAY_COMMIT(p) && ALL_HAVE(p, decided[p]) ->
		REACHED(open);
		if
		:: restored -> REACHED(open_after_restore_sometimes)
		:: else
		fi;
		open[p] = 1;
		committed[p] = MAX(committed[p], decided[p])
	}
}

/* Under leases of all (failover.pml has them): none of them has promised to another one meanwhile. */
#define OBEYS(p, l)	(!(set[p] & LEG(l)) || promised[l] == epoch[p] && incarnation[l] == p)

inline read(p) {
	d_step { phase[p] == SERVING && open[p] && OBEYS(p, 0) && OBEYS(p, 1) && OBEYS(p, 2) ->
		REACHED(read);
		assert(LAST(seen) <= committed[p] && CUT(history[p], LAST(seen)) == seen);
		seen = CUT(history[p], committed[p])
	}
}

inline admit(p) {
	d_step { phase[p] == SERVING && open[p] && NEXT(p) <= S ->
		REACHED(admit);
		admit_op(p)
	}
}

inline append(p, l) {
	d_step { phase[p] == SERVING && promised[l] == epoch[p] && incarnation[l] == p && activated[l] == epoch[p] &&
		 LAST(log[l]) < LAST(history[p]) && log[l] == CUT(history[p], LAST(log[l])) ->
		REACHED(append);
		log[l] = CUT(history[p], LAST(log[l]) + 1);
		acked[AT(p, l)] = LAST(log[l]);
		saw[l] = MAX(saw[l], carries[AT(p, LAST(log[l]) - 1)])
	}
}

inline acknowledge(p) {
	d_step { phase[p] == SERVING && open[p] && committed[p] < LAST(history[p]) && MAY_COMMIT(p) &&
		 ALL_HAVE(p, committed[p] + 1) && TOLERANCE(set[p]) >= FMIN ->
		REACHED(acknowledge);
		committed[p]++;
		if
		:: committed[p] <= LAST(seen) -> assert(CUT(seen, committed[p]) == CUT(history[p], committed[p]))
		:: else ->
			assert(seen == CUT(history[p], LAST(seen)));
			seen = CUT(history[p], committed[p])
		fi
	}
}

inline shrink(p, l) {
	d_step { phase[p] == SERVING && rec_ver == ver[p] && rec_ver < 9 && (set[p] & LEG(l)) &&
		 TOLERANCE(set[p] & ~LEG(l)) >= FMIN ->
		REACHED(shrink);
		set[p] = set[p] & ~LEG(l);
		rec_set = set[p]; rec_from = 0; rec_epoch = epoch[p];
		rec_ver++;
		ver[p] = rec_ver;
		spread[p] = 1
	}
}

#define EACH_LEG(action, p) :: action(p, 0) :: action(p, 1) :: action(p, 2)

proctype Primary(byte p) {
end:	do
	:: claim(p)
	EACH_LEG(promise, p)
	EACH_LEG(refuse, p)
	:: decide(p)
	EACH_LEG(adopt, p)
	:: activate(p)
	:: tell_all(p)
	:: open_volume(p)
	:: admit(p)
	:: read(p)
	EACH_LEG(append, p)
	:: acknowledge(p)
	EACH_LEG(shrink, p)
	od
}

proctype Operator() {
end:	do
	:: d_step { old_ver == 0 ->
		REACHED(save);
		old_ver = rec_ver; old_epoch = rec_epoch; old_set = rec_set; old_from = rec_from }
	:: d_step { old_ver != 0 && !restored && rec_ver > old_ver ->
		REACHED(restore);
		restored = 1;
		rec_ver = old_ver; rec_epoch = old_epoch; rec_set = old_set; rec_from = old_from }
	od
}

init {
	d_step {			/* nobody serves; every leg has followed epoch 1, version 1 */
		REACH_BEGIN;
		i = 0;
		do
		:: i < 3 -> promised[i] = 1; activated[i] = 1; saw[i] = 1; i++
		:: else -> break
		od;
		i = 0
	}
	atomic {
		run Operator();
		run Primary(1); run Primary(2);
#if P > 2
		run Primary(3);
#endif
	}
}
