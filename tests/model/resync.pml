/* SPDX-License-Identifier: MIT */
/*
 * resync - a leg comes back by copies of the chunks that changed, while writes go on: R6, H21 to H23 of
 * docs/SAFETY.md.
 *
 * B chunks of one block; the source legs hold what is committed, each block as the seq of the op that wrote it last.
 * A leg that was away since FROM follows again: its log goes on after a base, live ops come to it in order, and
 * copies, each with the seq that it is of. It may crash, or its primary may; the resync then begins again, with a new
 * base.
 *
 * Judged: a leg that counts as consistent has every block as the source had it at the leg's last op (SAME); a block
 * that is decoded of two fragments is of one version (DECODE).
 */
#ifndef B
#define B 2
#endif
#ifndef S
#define S 4
#endif
#define FROM 1				/* the last op that the leg had when it went */
#define NONE 255

byte committed = FROM;
byte wrote[S + 1];			/* block + 1 that op s wrote */
byte source[B];				/* seq of its newest committed op; also what the chunk table says (H22) */

/* the leg that comes back */
byte block[B];				/* content: the seq of the op that it is of */
byte tag[B];				/* newest op of the log that owns the block; 0: none since the base */
byte last;				/* of its log */
bit inconsistent;
byte resync_from;			/* durable beside `inconsistent`: chunks changed after it are wanted */

/* the primary's view of the resync */
bit running;
byte turn;				/* which one */
byte map;				/* chunks to copy, as a set; NONE: not known yet */
bit asked;
byte asked_turn, asked_map;
byte copy_of[B];			/* read, and on its way: the seq that it is of; NONE: no */
byte content[B];
byte top;				/* newest seq that a copy of this run is of */
byte crashes;

#define REACHES(X) \
	X(write) X(begin) X(ask) X(answer) X(read) X(copy) X(follow) X(finish) X(crash) X(skip_sometimes) \
	X(decode) X(again_sometimes)
#include "reach.pml"

hidden byte i, s;

inline write(b) {
	d_step { committed < S ->
		REACHED(write);
		committed++;
		wrote[committed] = b + 1;
		source[b] = committed
	}
}

/* R6: no further back than where an interrupted resync began; no later than where the histories part. */
inline begin() {
	d_step { !running && last < committed || !running && inconsistent ->
		REACHED(begin);
		if
		:: crashes > 0 -> REACHED(again_sometimes)
		:: else
		fi;
#ifdef NO_RESYNC_FROM			/* it goes by its log, and that goes on after the base of the last try */
		resync_from = last;
#else
		resync_from = (inconsistent && resync_from < last -> resync_from : last);
#endif
		inconsistent = 1;
		last = committed;
		i = 0;
		do
		:: i < B -> tag[i] = 0; i++
		:: else -> break
		od;
		running = 1;
		turn++;
		top = 0;
		map = NONE
	}
}

inline ask() {
	d_step { running && !asked && map == NONE ->
		REACHED(ask);
		asked = 1;
		asked_turn = turn;
		s = 0; i = 0;			/* the table as it is when asked; the answer may be late */
		do
#ifdef NO_CHUNK_TABLE				/* H22: the primary that knew what changed is gone */
		:: i < B -> i++
#else
		:: i < B -> s = s | ((source[i] > resync_from) << i); i++
#endif
		:: else -> break
		od;
		asked_map = s
	}
}

inline answer() {
	d_step { asked && running ->
		asked = 0;
		if
#ifdef HF_NO_MAP
		:: true ->
#else
		:: asked_turn == turn ->
#endif
			REACHED(answer);
			map = asked_map
		:: else
		fi
	}
}

/* The copy is of what is committed when it is read; the leg may be anywhere by the time that it arrives. */
inline read(b) {
	d_step { running && map != NONE && (map & (1 << b)) && copy_of[b] == NONE ->
		REACHED(read);
		copy_of[b] = committed;
		content[b] = source[b]
	}
}

inline copy(b) {
	d_step { running && copy_of[b] != NONE ->
		REACHED(copy);
		if
#ifdef HF_NO_NEWER
		:: true ->
#else
		:: tag[b] <= copy_of[b] ->
#endif
			block[b] = content[b]
		:: else -> REACHED(skip_sometimes)
		fi;
		top = (copy_of[b] > top -> copy_of[b] : top);
		copy_of[b] = NONE;
		map = map & ~(1 << b)
	}
}

/* Live ops flow from the start, in order. */
inline follow() {
	d_step { running && last < committed ->
		REACHED(follow);
		last++;
#ifdef NO_LIVE_WRITES				/* only what changed before is copied, and the leg is called complete */
		skip
#else
		block[wrote[last] - 1] = last;
		tag[wrote[last] - 1] = last
#endif
	}
}

#ifdef HF_NO_READY
#define IS_COPIED	(map != NONE)
#elif defined(HF_NO_COPIED)
#define IS_COPIED	(map == 0)
#else					/* a copy counts when it can be read: not before the op that it is of */
#define IS_COPIED	(map == 0 && last >= top)
#endif

inline finish() {
	d_step { running && IS_COPIED ->
		REACHED(finish);
		inconsistent = 0;
		resync_from = 0;
		running = 0;
		i = 0;
		do					/* SAME: of every block the newest op up to `last` */
		:: i < B ->
			s = last;
			do
			:: s > 0 && wrote[s] != i + 1 -> s--
			:: else -> break
			od;
			assert(block[i] == s);
			i++
		:: else -> break
		od;
		i = 0
	}
}

inline crash() {
	d_step { running && crashes < 2 ->
		REACHED(crash);
		crashes++;
		running = 0;
		i = 0;
		do
		:: i < B -> copy_of[i] = NONE; i++
		:: else -> break
		od;
		map = NONE
	}
}

/* R11: one fragment of the source, as committed, one of this leg, when it counts. */
inline decode(b) {
	d_step { !inconsistent && committed > FROM ->
		REACHED(decode);
#ifdef HF_NO_VERSION
		assert(block[b] == source[b])
#else
		skip					/* its checksum differs: others are asked */
#endif
	}
}

#define EACH_BLOCK(action) :: action(0) :: action(1)

init {
	d_step {
		REACH_BEGIN;
		wrote[1] = 1; source[0] = 1; block[0] = 1; last = FROM;
		copy_of[0] = NONE; copy_of[1] = NONE;
		map = NONE
	}
end:	do
	EACH_BLOCK(write)
	:: begin()
	:: ask()
	:: answer()
	EACH_BLOCK(read)
	EACH_BLOCK(copy)
	:: follow()
	:: finish()
	:: crash()
	EACH_BLOCK(decode)
	od
}
