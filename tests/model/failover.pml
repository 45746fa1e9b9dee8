/* SPDX-License-Identifier: MIT */
/*
 * failover - primaries that follow one another, three legs and the cluster store: R1 to R11 of docs/SAFETY.md.
 *
 * A primary is one incarnation, and owns the epoch that is its number; it goes on for ever beside its successors. Who
 * crashes or is cut off takes no more steps, and spin looks at every state, so both are covered everywhere. A message
 * is a fact of its sender's state that stays true: it may arrive late, often or never. Where that is not so (the
 * answer to PREPARE, the commit that a leg was told) its content is kept.
 *
 * Choices: K data fragments (1: three whole copies; 2: two data and one parity); E epochs; S ops; FMIN, min_tolerance.
 * Parts: READ (reads and leases), GROW (legs come back), CHUNKS (by a resync, with GROW), STEPS (adopting is not one
 * step), COMMIT (legs learn what is committed, and apply it), BOOT (a leg restarts), TAIL (a leg's newest op becomes
 * unreadable, and it notices), DOUBT (with TAIL: others notice so, and have lost nothing), LOSS (a leg is lost for
 * good), BLANK (a leg's disk is replaced by an empty one).
 * INVARIANTS: judge I4 and I7 in each step as well. ONLY_CUTS: judge I8 and I9 alone; ONLY_SERVED: judge KEPT only of
 * what a new primary serves. With these a guard shows what it is for although another one stands before it.
 * A guard goes by -DHF_NO_<NAME>, another rule by -DNO_<NAME>; tests/model/README.md lists them.
 *
 * Judged: ACK, an op that is acknowledged or read is in every later history; READ, a read returns all that was; KEPT,
 * what was acknowledged can be decoded from the legs that the store says are in sync.
 */
#ifndef K
#define K 2
#endif
#ifndef E
#define E 2
#endif
#ifndef S
#define S 1
#endif
#ifndef FMIN
#define FMIN 0
#endif
#if FMIN == 0 && (defined(TAIL) || defined(BLANK))
#define FORGETFUL			/* disks lose more than legs: KEPT is not promised */
#endif

/* A log is a byte: two bits for each seq, the epoch of the op there; 0: none. (epoch, seq) names an op (R1). */
#define OP(log, s)	(((log) >> (2 * (s) - 2)) & 3)
#define ADD(log, s, e)	((log) | ((e) << (2 * (s) - 2)))
#define CUT(log, s)	((log) & ((1 << (2 * (s))) - 1))
#define LAST(log)	((log) > 15 -> 3 : ((log) > 3 -> 2 : ((log) > 0 -> 1 : 0)))

/* Sets of legs. */
#define ALL		7
#define LEG(l)		(1 << (l))
#define SIZE(set)	(((set) & 1) + (((set) >> 1) & 1) + (((set) >> 2) & 1))
#define TOLERANCE(set)	(SIZE(set) - K)		/* < 0: not decodable */
#define CORRUPT_MAX	(3 - K)			/* m_c of H2 */
#define AT(e, l)	((e) * 3 + (l))

/* Phases of a primary, in their order. */
#define IDLE		0
#define PREPARING	1
#define ADOPTING	2
#define ACTIVATED	3			/* the store says who adopted */
#define SERVING		4

/* ---- the cluster store: one record, changed by compare-and-swap */
byte rec_epoch = 1;
byte rec_set = ALL;			/* in sync */
#ifdef BLANK
byte rec_activated[3];
#endif

/* ---- legs */
byte log[3], promised[3], activated[3];
bit suspect[3];				/* ops may have stood beyond what the log shows */
byte alive = ALL;
#ifdef STEPS
byte adopting[3];			/* not durable */
#endif
#ifdef COMMIT
byte commit[3];				/* the leg was told */
#endif
#ifdef CHUNKS
bit inconsistent[3];			/* the log goes on after a base, the content before it is not all there */
#endif
#ifdef HF_NO_ADOPT
byte was_log[3], was_activated[3];
#endif

/* ---- primaries, by epoch */
byte phase[4];
byte known[4];				/* the in-sync set as the primary knows it */
byte pending[4];			/* adds that were asked for and not known to have failed */
byte landed[4];				/* a change of the set took effect and its author has not learned so; 0: none */
byte answered[4];			/* to PREPARE, until the decision is made */
byte reply_log[12], reply_activated[12], reply_suspect[4];
#ifdef CHUNKS
byte reply_inconsistent[4];
#endif
byte history[4];			/* as decided, then what was admitted */
byte decided[4];			/* S* */
byte committed[4];
byte adopt_set[4], adopted[4];
byte acked[12];				/* the leg said: durable up to here */
#ifdef READ
byte lease[4];				/* as the primary counts */
byte granted[4];			/* as the leg counts, which is longer */
#endif
#ifdef NO_COMPARE_ON_CLAIM
byte read_set[4];
#endif
#ifdef NO_VERSION_COMPARE
byte stray_leg[4], stray_base[4];	/* an addition that arrives once more */
#endif
#if defined(HF_NO_EPOCH) || defined(HF_NO_NAME)
bit restarted;
#endif
#ifdef HF_NO_EPOCH
#define NAMED(e) (restarted && (e) == 1 -> 3 : (e))
#else
#define NAMED(e) (e)
#endif

/* ---- judges */
byte seen;				/* what was acknowledged or read, as a log */
bit fault;				/* the one disk fault has happened */

#ifdef READ
#define REACHES_READ(X)	X(read) X(grant) X(expire) X(run_out)
#else
#define REACHES_READ(X)
#endif
#ifdef COMMIT
#define REACHES_COMMIT(X) X(tell)
#else
#define REACHES_COMMIT(X)
#endif
#ifdef GROW
#define REACHES_GROW(X)	X(follow) X(propose) X(add) X(withdraw)
#else
#define REACHES_GROW(X)
#endif
#ifdef CHUNKS
#define REACHES_CHUNKS(X) X(resync) X(synced)
#else
#define REACHES_CHUNKS(X)
#endif
#ifdef BOOT
#define REACHES_BOOT(X)	X(boot)
#else
#define REACHES_BOOT(X)
#endif
#ifdef DOUBT
#define REACHES_TAIL(X)	X(lose_tail) X(doubt)
#elif defined(TAIL)
#define REACHES_TAIL(X)	X(lose_tail)
#else
#define REACHES_TAIL(X)
#endif
#ifdef LOSS
#define REACHES_LOSS(X)	X(lose_leg)
#else
#define REACHES_LOSS(X)
#endif
#ifdef BLANK
#define REACHES_BLANK(X) X(blank)
#else
#define REACHES_BLANK(X)
#endif
#define REACHES(X) \
	X(claim) X(prepare) X(decide) X(adopt) X(activate) X(serve) X(admit) X(append) X(acknowledge) \
	X(shrink) X(learn) REACHES_READ(X) REACHES_COMMIT(X) REACHES_GROW(X) REACHES_CHUNKS(X) REACHES_BOOT(X) \
	REACHES_TAIL(X) REACHES_LOSS(X) REACHES_BLANK(X) \
	X(cut_clean_sometimes) X(cut_count_sometimes) X(maybe_acked_sometimes) X(end_sometimes) \
	X(refuse_sometimes) X(late_sometimes)
#include "reach.pml"

hidden byte i, s, n, lacks, clean, op, from, valid, ok;

#define IN_A(e)		(known[e] | pending[e])
#ifdef HF_NO_ACK_ALL
#define ACK_SET(e)	0
#elif defined(HF_NO_ACK_PENDING)
#define ACK_SET(e)	known[e]
#else
#define ACK_SET(e)	IN_A(e)
#endif
#ifdef HF_NO_LEASE_PENDING
#define LEASE_SET(e)	known[e]
#else
#define LEASE_SET(e)	IN_A(e)
#endif

#ifdef HF_NO_SHRINK
#define SHRINK_TO(l)	0
#elif defined(LOSS)
#define SHRINK_TO(l)	((alive & LEG(l)) -> FMIN : 0)	/* of a leg that is gone nothing is given up */
#else
#define SHRINK_TO(l)	FMIN
#endif
#ifdef HF_NO_TOLERANCE
#define MAY_ACK(e)	true
#else
#define MAY_ACK(e)	(TOLERANCE(known[e]) >= FMIN)
#endif
#ifdef HF_NO_FENCE
#define OBEYS(e, l)	true
#else
#define OBEYS(e, l)	(promised[l] == (e))
#endif
#ifdef HF_NO_ACTIVATED
#define ACTIVE(e, l)	true
#elif defined(STEPS)
#define ACTIVE(e, l)	(activated[l] == (e) || adopting[l] == (e))
#else
#define ACTIVE(e, l)	(activated[l] == (e))
#endif
#ifdef NO_COMPARE
#define STANDS(e)	true
#else
#define STANDS(e)	(rec_epoch == (e))
#endif
#ifdef HF_NO_LEASE
#define MAY_READ(e)	true
#else
#define MAY_READ(e)	((lease[e] & LEASE_SET(e)) == LEASE_SET(e))
#endif

/* An op of `history` up to `s` that the leg has durably, content and all. */
#ifdef CHUNKS
#define HOLDS(l, s, e)	(!inconsistent[l] && OP(log[l], s) == (e))
#else
#define HOLDS(l, s, e)	(OP(log[l], s) == (e))
#endif

/* KEPT. */
inline judge_kept(set) {
#ifndef FORGETFUL
	s = 1;
	do
	:: s <= S && OP(seen, s) != 0 ->
		n = 0; i = 0;
		do
		:: i < 3 -> n = n + ((set & alive & LEG(i)) != 0 && HOLDS(i, s, OP(seen, s))); i++
		:: else -> break
		od;
		assert(n >= K);				/* KEPT */
		s++
	:: else -> break
	od;
	s = 0
#else
	skip
#endif
}

#ifdef ONLY_CUTS
#define IS_HARMLESS	true
#else
#define IS_HARMLESS	false
#endif
#if defined(ONLY_SERVED) || defined(ONLY_CUTS)
#define JUDGE_KEPT	skip
#else
#define JUDGE_KEPT	judge_kept(rec_set)
#endif

/* ACK, of one that begins to serve, or acknowledges: what was seen is in its history, in its place. */
#ifdef ONLY_CUTS
#define JUDGE_HISTORY(e, upto) skip
#else
#define JUDGE_HISTORY(e, upto) assert(seen == CUT(history[e], LAST(seen)) && LAST(seen) <= (upto))
#endif

/* The last op that a leg's log shares with a history: where names are equal, all before is (H11). */
inline common(a, b) {
	s = 0;
	do
#ifdef HF_NO_MATCH
	:: s < S && OP(a, s + 1) != 0 && OP(b, s + 1) != 0 -> s++
#else
	:: s < S && OP(a, s + 1) != 0 && OP(a, s + 1) == OP(b, s + 1) -> s++
#endif
	:: else -> break
	od
}

/* ---- failing over: R7 to R10 */

#ifdef NO_COMPARE_ON_CLAIM			/* H13: the record is read, and the epoch taken later */
#define CLAIMS(e)	(read_set[e] != 0)
#define RECORD_SET(e)	read_set[e]
#else
#define CLAIMS(e)	true
#define RECORD_SET(e)	rec_set
#endif

inline claim(e) {
	d_step { e > 1 && phase[e] == IDLE && rec_epoch == e - 1 && CLAIMS(e) ->
		REACHED(claim);
		rec_set = RECORD_SET(e);
		rec_epoch = e;
		known[e] = rec_set;
		phase[e] = PREPARING
	}
}

/* A leg takes the promise and says what it holds. One that answers after the decision is not asked about any more. */
inline prepare(e, l) {
	d_step { phase[e] != IDLE && (known[e] & alive & LEG(l)) && promised[l] < e ->
		REACHED(prepare);
		promised[l] = e;
#ifdef STEPS
		adopting[l] = 0;
#endif
		if
		:: phase[e] == PREPARING ->
			answered[e] = answered[e] | LEG(l);
			reply_log[AT(e, l)] = log[l];
			reply_activated[AT(e, l)] = activated[l];
			reply_suspect[e] = reply_suspect[e] | (suspect[l] << l);
#ifdef CHUNKS
			reply_inconsistent[e] = reply_inconsistent[e] | (inconsistent[l] << l);
#endif
		:: else
		fi
	}
}

/* NAME: the same question in the same epoch; a leg that adopted already has nothing to adopt any more. */
inline prepare_again(e, l) {
	d_step { phase[e] == PREPARING && restarted && (known[e] & alive & LEG(l)) && promised[l] == e &&
		 !(answered[e] & LEG(l)) ->
		answered[e] = answered[e] | LEG(l);
		reply_log[AT(e, l)] = log[l];
		reply_activated[AT(e, l)] = activated[l]
	}
}

/* Whose answers count (R8): `valid`. */
inline whose(e) {
	valid = answered[e];
#if defined(CHUNKS) && !defined(HF_NO_INCONSISTENT)
	valid = valid & ~reply_inconsistent[e];
#endif
#if defined(BLANK) && !defined(HF_NO_MEMORY)
	i = 0;
	do
	:: i < 3 -> valid = (reply_activated[AT(e, i)] < rec_activated[i] -> valid & ~LEG(i) : valid); i++
	:: else -> break
	od;
#endif
	from = 0;				/* activated at least so: may name the candidate */
#ifdef NO_OLDER_LOGS				/* H2b: only the newest activated may */
	i = 0;
	do
	:: i < 3 && (valid & LEG(i)) && reply_activated[AT(e, i)] > from -> from = reply_activated[AT(e, i)]; i++
	:: i < 3 && !((valid & LEG(i)) && reply_activated[AT(e, i)] > from) -> i++
	:: else -> break
	od;
#endif
}

/* The op that legs show at s: `op`; how many have it: `n`; how many lack it, and how many of those are clean. */
inline holders(e) {
	op = 0; n = 0; lacks = 0; clean = 0; i = 0;
	do
	:: i < 3 ->
		if
		:: (valid & LEG(i)) && reply_activated[AT(e, i)] >= from && OP(reply_log[AT(e, i)], s) != 0 ->
			assert(op == 0 || op == OP(reply_log[AT(e, i)], s));	/* I14: there is one candidate */
			op = OP(reply_log[AT(e, i)], s)
		:: else
		fi;
		i++
	:: else -> i = 0; break
	od;
	do
	:: i < 3 && !(valid & LEG(i)) -> i++
	:: i < 3 && (valid & LEG(i)) && op != 0 && OP(reply_log[AT(e, i)], s) == op -> n++; i++
	:: i < 3 && (valid & LEG(i)) && !(op != 0 && OP(reply_log[AT(e, i)], s) == op) ->
		lacks++;
#ifdef HF_NO_SUSPECT				/* H3: what cannot be read was never there */
		clean++;
#else
		clean = clean + ((reply_suspect[e] & LEG(i)) == 0);
#endif
		i++
	:: else -> break
	od
}

/* R8: the longest decodable prefix is `history`, and whether what lies beyond may be cut: `ok`. */
inline choose(e) {
	history[e] = 0; ok = true; s = 1;
#ifdef HF_NO_LONGEST				/* H1: the shortest log wins */
	history[e] = CUT(255, S); i = 0;
	do
	:: i < 3 ->
		if
		:: (valid & LEG(i)) && LAST(reply_log[AT(e, i)]) <= LAST(history[e]) ->
			history[e] = reply_log[AT(e, i)]
		:: else
		fi;
		i++
	:: else -> break
	od
#else
	do
	:: s <= S ->
		holders(e);
		if
		:: n >= K -> history[e] = ADD(history[e], s, op); s++
#ifdef HF_NO_NACK				/* H2 */
		:: else -> break
#else
		:: else ->
			ok = (clean > 0 || lacks > CORRUPT_MAX);
			if
			:: op != 0 && clean > 0 -> REACHED(cut_clean_sometimes)
			:: op != 0 && clean == 0 && ok -> REACHED(cut_count_sometimes)
			:: op != 0 && !ok -> REACHED(maybe_acked_sometimes)
			:: op == 0 -> REACHED(end_sometimes)
			fi;
			break
#endif
		fi
	:: else -> break
	od
#endif
}

/* What a promotion goes on with: as many as were promised, or all that there are. */
#define ENOUGH(set, e)	(TOLERANCE(set) >= 0 && ((set) == known[e] || TOLERANCE(set) >= FMIN))

/* Legs that have not answered are waited for no longer. A refusal changes nothing: more answers may come. */
inline decide(e) {
	d_step { phase[e] == PREPARING && SIZE(answered[e]) >= K ->
		whose(e);
		choose(e);
		if
		:: ok && ENOUGH(valid, e) ->
			REACHED(decide);
			decided[e] = LAST(history[e]);
			adopt_set[e] = valid;
			phase[e] = ADOPTING;
			reply_suspect[e] = 0;
#ifdef CHUNKS
			reply_inconsistent[e] = 0;
#endif
			i = 0;
			do			/* the answers have served their purpose */
			:: i < 3 -> reply_log[AT(e, i)] = 0; reply_activated[AT(e, i)] = 0; i++
			:: else -> i = 0; break
			od;
			valid = 0
		:: else ->
			REACHED(refuse_sometimes);
			history[e] = 0
		fi
	}
}

/* I8, I9: what a leg knows as committed, and so may have applied, is never cut: `s` is what is kept. */
inline judge_cut(l) {
#ifdef COMMIT
#ifdef HF_NO_APPLY
	assert(s >= LAST(log[l]));		/* I9 */
#else
	assert(s >= commit[l])			/* I8 */
#endif
#else
	skip
#endif
}

#if defined(COMMIT) && !defined(HF_NO_COMMITTED)
#define IS_CUT_REFUSED(l) (s < commit[l])
#else
#define IS_CUT_REFUSED(l) false
#endif
#ifdef HF_NO_ADOPT
#define NOT_DURABLE_YET(l) was_log[l] = log[l]; was_activated[l] = activated[l]
#else
#define NOT_DURABLE_YET(l) skip
#endif
#if defined(CHUNKS) && !defined(HF_NO_INCONSISTENT)
#define IS_WHOLE(l)	(!inconsistent[l])
#else
#define IS_WHOLE(l)	true
#endif
#ifdef STEPS
#define BEGAN(e, l)	(adopting[l] == (e))
#else
#define BEGAN(e, l)	false
#endif

/*
 * R9: the leg goes back to where its log leaves the history, and takes what it misses. Once: a member that comes back
 * and shows less than it had is refused (H9).
 */
inline adopt(e, l) {
	d_step { phase[e] >= ADOPTING && (adopt_set[e] & ~adopted[e] & alive & LEG(l)) && promised[l] == e &&
		 activated[l] < e && !BEGAN(e, l) && IS_WHOLE(l) ->
		common(log[l], CUT(history[e], decided[e]));
		if
		:: IS_CUT_REFUSED(l)
		:: else ->
			NOT_DURABLE_YET(l);
			REACHED(adopt);
			judge_cut(l);
#ifdef STEPS
			log[l] = CUT(log[l], s);
			acked[AT(e, l)] = s;
			adopting[l] = e;
			if
			:: s == decided[e] -> adopting[l] = 0
			:: else
			fi;
			if
			:: s == decided[e] ->
#else
			log[l] = CUT(log[l], s) | (CUT(history[e], decided[e]) & ~CUT(255, s));
			acked[AT(e, l)] = decided[e];
			if
			:: true ->
#endif
				activated[l] = e;
				suspect[l] = 0;
				adopted[e] = adopted[e] | LEG(l)
#ifdef STEPS
			:: else
#endif
			fi
		fi
	}
}

/* The store says who adopted; the others are out of the set. One step of the store, so I7 holds from here on. */
inline activate(e) {
	d_step { phase[e] == ADOPTING && STANDS(e) &&
#ifdef HF_NO_ADOPT_ALL
		 adopted[e] != 0 ->
		rec_set = adopt_set[e];
#else
		 ENOUGH(adopted[e], e) ->
		rec_set = adopted[e];
#endif
		REACHED(activate);
		landed[e] = rec_set;
		phase[e] = ACTIVATED;
#ifdef BLANK
		i = 0;
		do
		:: i < 3 -> rec_activated[i] = ((rec_set & LEG(i)) -> e : rec_activated[i]); i++
		:: else -> break
		od;
#endif
		JUDGE_KEPT
	}
}

#if !defined(READ) || defined(HF_NO_LEASE_WAIT)
#define LEASES_OVER(e)	true
#else					/* no leg that answered has one out to an older primary */
#define LEASES_OVER(e)	(((e < 2 -> 0 : granted[1]) | (e < 3 -> 0 : granted[2])) & answered[e]) == 0
#endif

inline serve(e) {
	d_step { phase[e] == ACTIVATED && LEASES_OVER(e) ->
		REACHED(serve);
		known[e] = landed[e];
		landed[e] = 0;
		phase[e] = SERVING;
		committed[e] = decided[e];
#ifdef INVARIANTS
		assert((known[e] & ~adopted[e]) == 0);	/* I7 */
#endif
		if
		:: rec_epoch == e ->
			JUDGE_HISTORY(e, decided[e]);		/* ACK */
#ifdef ONLY_SERVED
			judge_kept(known[e])
#endif
		:: else						/* replaced already: it can do nothing */
		fi
	}
}

/* ---- serving: R2 to R4, R11 */

inline admit(e) {
	d_step { phase[e] == SERVING && LAST(history[e]) < S ->
		REACHED(admit);
		history[e] = ADD(history[e], LAST(history[e]) + 1, NAMED(e))
	}
}

#ifdef HF_NO_CHAIN
#define CONTINUES(e, l)	true
#define PLACE(e, l)	LAST(history[e])
#else
#define CONTINUES(e, l)	(log[l] == CUT(history[e], LAST(log[l])))
#define PLACE(e, l)	(LAST(log[l]) + 1)
#endif

inline append(e, l) {
	d_step { phase[e] >= ADOPTING && (alive & LEG(l)) && OBEYS(e, l) && ACTIVE(e, l) && !suspect[l] &&
		 LAST(log[l]) < LAST(history[e]) && CONTINUES(e, l) ->
		REACHED(append);
#ifdef INVARIANTS
#ifdef STEPS
		assert(adopting[l] == e || promised[l] == e && activated[l] == e);	/* I4 */
#else
		assert(promised[l] == e && activated[l] == e);				/* I4 */
#endif
#endif
		n = PLACE(e, l);
		log[l] = ADD(log[l], n, OP(history[e], n));
		acked[AT(e, l)] = n;
#ifdef STEPS
		if
		:: adopting[l] == e && n == decided[e] ->
			adopting[l] = 0;
			activated[l] = e;
			suspect[l] = 0;
			adopted[e] = adopted[e] | LEG(l)
		:: else
		fi
#endif
	}
}

#define HAS_ACKED(e, l, s) (!(ACK_SET(e) & LEG(l)) || acked[AT(e, l)] >= (s))
#ifdef HF_NO_ACK_SHRUNK			/* H7: one is missing; it will be out of the set soon */
#define ALL_ACKED(e, s)	(HAS_ACKED(e, 0, s) + HAS_ACKED(e, 1, s) + HAS_ACKED(e, 2, s) >= 2)
#else
#define ALL_ACKED(e, s)	(HAS_ACKED(e, 0, s) && HAS_ACKED(e, 1, s) && HAS_ACKED(e, 2, s))
#endif

inline acknowledge(e) {
	d_step { phase[e] == SERVING && committed[e] < LAST(history[e]) && MAY_ACK(e) &&
		 ALL_ACKED(e, committed[e] + 1) ->
		REACHED(acknowledge);
		committed[e] = committed[e] + 1;
		if
		:: committed[e] <= LAST(seen) ->		/* late, by one that was replaced (H35) */
			REACHED(late_sometimes);
#ifdef ONLY_CUTS
			skip
#else
			assert(CUT(seen, committed[e]) == CUT(history[e], committed[e]))
#endif
		:: else ->
			JUDGE_HISTORY(e, committed[e]);		/* ACK */
			seen = CUT(history[e], committed[e]);
			i = e + 1;
			do					/* ACK: who serves after this one has it */
			:: i <= E ->
				assert(IS_HARMLESS || phase[i] != SERVING || CUT(history[i], LAST(seen)) == seen);
				i++
			:: else -> break
			od
		fi;
#if !defined(FORGETFUL) && !defined(ONLY_CUTS)
		n = 0; i = 0;
		do						/* I3: lost members count */
		:: i < 3 -> n = n + ((known[e] & LEG(i)) && acked[AT(e, i)] >= committed[e]); i++
		:: else -> break
		od;
		assert(n >= K + FMIN);
#endif
		JUDGE_KEPT
	}
}

inline read(e) {
	d_step { phase[e] == SERVING && MAY_READ(e) ->
		REACHED(read);
#ifdef HF_NO_APPLY				/* H34 */
		JUDGE_HISTORY(e, LAST(history[e]));
		seen = history[e]
#else
		JUDGE_HISTORY(e, committed[e]);			/* READ */
		seen = CUT(history[e], committed[e])
#endif
	}
}

/* Leases: a leg counts longer than the primary does. While nobody claimed, losing one changes nothing. */
inline grant(e, l) {
	d_step { phase[e] == SERVING && (IN_A(e) & alive & LEG(l)) && promised[l] == e && activated[l] == e &&
		 IS_WHOLE(l) && !(lease[e] & LEG(l)) ->
		REACHED(grant);
		lease[e] = lease[e] | LEG(l);
		granted[e] = granted[e] | LEG(l)
	}
}

inline expire(e, l) {
	d_step { (lease[e] & LEG(l)) && rec_epoch > e ->
		REACHED(expire);
		lease[e] = lease[e] & ~LEG(l)
	}
}

inline run_out(e, l) {
	d_step { (granted[e] & LEG(l)) && !(lease[e] & LEG(l)) ->
		REACHED(run_out);
		granted[e] = granted[e] & ~LEG(l)
	}
}

inline tell(e, l) {
	d_step { phase[e] == SERVING && (alive & LEG(l)) && promised[l] == e && activated[l] == e &&
		 commit[l] < committed[e] && commit[l] < LAST(log[l]) ->
		REACHED(tell);
		commit[l] = commit[l] + 1
	}
}

/* ---- the in-sync set: R5, R6 */

inline shrink(e, l) {
	d_step { phase[e] == SERVING && landed[e] == 0 && STANDS(e) && (rec_set & LEG(l)) &&
		 TOLERANCE(rec_set & ~LEG(l)) >= SHRINK_TO(l) ->
		REACHED(shrink);
		rec_set = rec_set & ~LEG(l);
		landed[e] = rec_set;
		JUDGE_KEPT
	}
}

inline learn(e) {
	d_step { phase[e] == SERVING && landed[e] != 0 ->
		REACHED(learn);
		known[e] = landed[e];
		pending[e] = 0;			/* all that was asked for before compared an older version */
		landed[e] = 0
	}
}

/* H6: a leg that may be in the set already is left as it is until that is known. */
#ifdef NO_WAIT_FOR_ADD
#define IS_OUT(e, l)	(!(known[e] & LEG(l)))
#else
#define IS_OUT(e, l)	(!(IN_A(e) & LEG(l)))
#endif

/* A leg outside the set begins to follow again: by its log. */
inline follow(e, l) {
	d_step { phase[e] == SERVING && IS_OUT(e, l) && (alive & LEG(l)) && promised[l] <= e && IS_WHOLE(l) &&
		 (activated[l] < e || suspect[l]) ->
		promised[l] = e;
		common(log[l], history[e]);
		if
		:: IS_CUT_REFUSED(l)
		:: else ->
			REACHED(follow);
			judge_cut(l);
			log[l] = CUT(log[l], s);
			activated[l] = e;
			suspect[l] = 0;
			acked[AT(e, l)] = s
		fi
	}
}

/* The same by chunks that changed: the log goes on after what is committed (H22, H23). */
inline resync(e, l) {
	d_step { phase[e] == SERVING && IS_OUT(e, l) && (alive & LEG(l)) && promised[l] <= e &&
		 !(inconsistent[l] && activated[l] == e) ->
		REACHED(resync);
		promised[l] = e;
		log[l] = CUT(history[e], committed[e]);
		activated[l] = e;
		suspect[l] = 0;
		inconsistent[l] = 1;
#ifndef HF_NO_GENERATION			/* H25: what it said on its old connection counts no longer */
		acked[AT(e, l)] = committed[e];
#endif
#ifdef COMMIT
		commit[l] = committed[e];
#endif
	}
}

inline synced(e, l) {
	d_step { phase[e] == SERVING && inconsistent[l] && (alive & LEG(l)) && promised[l] == e && activated[l] == e ->
		REACHED(synced);
		inconsistent[l] = 0
	}
}

#ifdef HF_NO_READY
#define IS_READY(e, l)	true
#elif defined(CHUNKS)
#define IS_READY(e, l)	(!inconsistent[l] && acked[AT(e, l)] >= committed[e])
#else
#define IS_READY(e, l)	(acked[AT(e, l)] >= committed[e])
#endif

/* H6: waited for, and asked for leases, from before the change is sent. */
inline propose(e, l) {
	d_step { phase[e] == SERVING && landed[e] == 0 && !(IN_A(e) & LEG(l)) && activated[l] == e && IS_READY(e, l) ->
		REACHED(propose);
		pending[e] = pending[e] | LEG(l)
	}
}

inline add(e, l) {
	d_step { phase[e] == SERVING && landed[e] == 0 && (pending[e] & LEG(l)) && rec_epoch == e &&
		 !(rec_set & LEG(l)) ->
		REACHED(add);
#ifdef NO_VERSION_COMPARE
		stray_leg[e] = l + 1;
		stray_base[e] = rec_set;
#endif
		rec_set = rec_set | LEG(l);
		landed[e] = rec_set;
#ifdef BLANK
		rec_activated[l] = e;
#endif
		JUDGE_KEPT
	}
}

/* The leg went bad before the change landed: another one, without it, makes the first impossible. */
inline withdraw(e, l) {
	d_step { phase[e] == SERVING && landed[e] == 0 && (pending[e] & LEG(l)) && rec_epoch == e &&
		 !(rec_set & LEG(l)) ->
		REACHED(withdraw);
		landed[e] = rec_set
	}
}

/* ---- faults: one a run, and one leg lost */

inline boot(l) {
	d_step { !fault && (alive & LEG(l)) ->
		REACHED(boot);
		fault = 1;
#ifdef STEPS
		adopting[l] = 0;
#endif
#ifdef HF_NO_ADOPT
		if
		:: was_activated[l] != 0 ->
			log[l] = was_log[l];
			activated[l] = was_activated[l]
		:: else
		fi;
#endif
#ifdef HF_NO_PROMISE
		promised[l] = activated[l];
#endif
#ifdef READ
		i = 1;
		do
#ifdef HF_NO_LEASE_BOOT
		:: i <= E -> granted[i] = granted[i] & ~LEG(l); i++
#else
		:: i <= E -> granted[i] = granted[i] | LEG(l); i++	/* H32: to whom, it does not know */
#endif
		:: else -> break
		od;
		i = 0
#endif
	}
}

inline lose_tail(l) {
	d_step { !fault && log[l] != 0 ->
		REACHED(lose_tail);
		fault = 1;
		log[l] = CUT(log[l], LAST(log[l]) - 1);
		suspect[l] = 1
	}
}

/* The end of its log is unreadable, and nothing that counted stood there. */
inline doubt(l) {
	d_step { !suspect[l] ->
		REACHED(doubt);
		suspect[l] = 1
	}
}

inline lose_leg(l) {
	d_step { alive == ALL ->
		REACHED(lose_leg);
		alive = ALL & ~LEG(l);
		JUDGE_KEPT
	}
}

inline blank(l) {
	d_step { !fault ->
		REACHED(blank);
		fault = 1;
		log[l] = 0; promised[l] = 0; activated[l] = 0; suspect[l] = 0;
		JUDGE_KEPT
	}
}

#define EACH_LEG(action, e) :: action(e, 0) :: action(e, 1) :: action(e, 2)

proctype Primary(byte e) {
end:	do
#ifdef NO_COMPARE_ON_CLAIM
	:: d_step { e > 1 && phase[e] == IDLE && rec_epoch == e - 1 && read_set[e] == 0 -> read_set[e] = rec_set }
#endif
	:: claim(e)
	EACH_LEG(prepare, e)
	:: decide(e)
	EACH_LEG(adopt, e)
	:: activate(e)
	:: serve(e)
	:: admit(e)
	EACH_LEG(append, e)
	:: acknowledge(e)
	EACH_LEG(shrink, e)
	:: learn(e)
#ifdef READ
	:: read(e)
	EACH_LEG(grant, e)
	EACH_LEG(expire, e)
	EACH_LEG(run_out, e)
#endif
#ifdef COMMIT
	EACH_LEG(tell, e)
#endif
#ifdef GROW
	EACH_LEG(follow, e)
	EACH_LEG(propose, e)
	EACH_LEG(add, e)
	EACH_LEG(withdraw, e)
#ifdef CHUNKS
	EACH_LEG(resync, e)
	EACH_LEG(synced, e)
#endif
#endif
#ifdef NO_VERSION_COMPARE				/* H7: {A,B}, then {A}, then {A,B} */
	:: d_step { stray_leg[e] != 0 && landed[e] == 0 && rec_epoch == e && rec_set == stray_base[e] ->
		rec_set = rec_set | LEG(stray_leg[e] - 1); stray_leg[e] = 0 }
#endif
#ifdef NO_CONNECTION_ORDER			/* H25: the ADOPT of an old connection */
	:: d_step { phase[e] == SERVING && promised[0] == e && activated[0] == e && LAST(log[0]) > decided[e] &&
		    (adopt_set[e] & LEG(0)) ->
		s = decided[e];
		if
		:: IS_CUT_REFUSED(0)
		:: else -> judge_cut(0); log[0] = CUT(log[0], s)
		fi }
#endif
#ifdef HF_NO_NONCE				/* H8: a lost race is taken for a lost answer */
	:: d_step { phase[e] == SERVING && rec_epoch > e && known[e] == ALL -> known[e] = ALL & ~LEG(0) }
	:: d_step { phase[e] == SERVING && rec_epoch > e && known[e] == ALL -> known[e] = ALL & ~LEG(1) }
	:: d_step { phase[e] == SERVING && rec_epoch > e && known[e] == ALL -> known[e] = ALL & ~LEG(2) }
#endif
#ifdef HF_NO_NAME				/* it decides again, on other answers, and one leg adopted already */
	:: d_step { phase[e] == ADOPTING && !restarted && (answered[e] != known[e] || adopted[e] != 0) ->
		restarted = 1;
		phase[e] = PREPARING; history[e] = 0; decided[e] = 0; adopt_set[e] = 0; answered[e] = 0 }
	EACH_LEG(prepare_again, e)
#endif
#ifdef HF_NO_EPOCH				/* H5: it comes back and goes on in its epoch */
	:: d_step { e == 1 && phase[e] == SERVING && !restarted ->
		restarted = 1; history[e] = CUT(history[e], committed[e]) }
#endif
	od
}

#if defined(BOOT) || defined(TAIL) || defined(LOSS) || defined(BLANK)
proctype Faults() {
end:	do
#ifdef BOOT
	:: boot(0) :: boot(1) :: boot(2)
#endif
#ifdef TAIL
	:: lose_tail(0) :: lose_tail(1) :: lose_tail(2)
#ifdef DOUBT
	:: doubt(0) :: doubt(1) :: doubt(2)
#endif
#endif
#ifdef LOSS
	:: lose_leg(0) :: lose_leg(1) :: lose_leg(2)
#endif
#ifdef BLANK
	:: blank(0) :: blank(1) :: blank(2)
#endif
	od
}
#endif

init {
	d_step {			/* the first primary serves */
		REACH_BEGIN;
		phase[1] = SERVING;
		known[1] = ALL;
		adopt_set[1] = ALL;
		adopted[1] = ALL;
		i = 0;
		do
		:: i < 3 ->
			promised[i] = 1; activated[i] = 1;
#ifdef BLANK
			rec_activated[i] = 1;
#endif
			i++
		:: else -> break
		od
	}
	atomic {
		run Primary(1); run Primary(2);
#if E > 2
		run Primary(3);
#endif
#if defined(BOOT) || defined(TAIL) || defined(LOSS) || defined(BLANK)
		run Faults();
#endif
	}
}
