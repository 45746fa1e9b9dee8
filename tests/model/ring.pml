/* SPDX-License-Identifier: MIT */
/*
 * ring - the log of a leg, sector by sector: what a recovery may find, and what it has to (H3, H10, H15, H16, H28 of
 * docs/SAFETY.md; daemon/store/leg_log.c, leg_recover.c).
 *
 * R sectors in a ring; a batch of one or two of them holds one op. The sectors of a batch reach the disk in any
 * order; a crash keeps those that did. Each carries the number of its batch and its place in it, and the number of a
 * batch that was torn is used again. History is cut below by checkpoints, and above by new epochs, of which the leg
 * keeps the starts.
 *
 * Judged after each recovery: what was called durable and not cut is there, or the leg says that it cannot tell
 * (KEPT); what was cut is not there (GHOST); a leg whose sectors are all as they were written can tell (CLEAN: H28).
 */
#ifndef R
#define R 4
#endif
#ifndef NO_MAX
#define NO_MAX 5			/* batches */
#endif
#ifndef S
#define S 3				/* seqs */
#endif
#ifndef EPOCHS
#define EPOCHS 2
#endif
#ifndef CRASHES
#define CRASHES 2
#endif
#define GARBAGE 99

/* the disk: each sector's stamp (batch, place), and of what its content is */
byte stamp[R], place[R], span[R], op_epoch[R], op_seq[R];
bit bad[R];				/* the stamp is right, the content is not */
/* the superblock */
byte k_no = 1, k_pos, k_applied;
byte start[4];				/* of each epoch, its first seq */

/* memory */
bit up = 1, suspect, failed;
byte epoch = 1, last, next_no = 1, first_no = 1, wpos, tpos, used;
byte b_len[NO_MAX + 2], b_skip[NO_MAX + 2], b_pos[NO_MAX + 2], b_seq[NO_MAX + 2], b_epoch[NO_MAX + 2];
/* the batch on its way */
bit busy, told, cut_meanwhile;
byte f_no, f_pos, f_len, f_epoch, f_seq, landed;

/* judges */
byte wanted[S + 2];			/* the epoch of the op at each seq, as appended last; 0: cut, or none yet */
byte kept;				/* called durable up to here, and not cut */
byte crashes;
bit damaged;
byte lied, newest_told;			/* batches */

#define REACHES(X) \
	X(append_one) X(append_two) X(land) X(lose) X(durable) X(error) X(checkpoint) X(cut) X(crash) X(corrupt) \
	X(overwrite) X(recover) \
	X(wrapped_sometimes) X(torn_sometimes) X(corrupt_tail_sometimes) X(corrupt_middle_sometimes) X(dead_sometimes) \
	X(cut_on_its_way_sometimes)
#include "reach.pml"

hidden byte i, n, at, what, found, alive_epoch, jump;

/* What the log has of seq s belongs to the newest epoch that began at or before it (hf_epoch_cache_at). */
inline epoch_at(s) {
	alive_epoch = 0; i = 1;
	do
	:: i <= EPOCHS -> alive_epoch = (start[i] != 0 && start[i] <= (s) -> i : alive_epoch); i++
	:: else -> break
	od
}

#define SKIP(l)		(wpos + (l) > R -> R - wpos : 0)
#define FITS(l)		(used + SKIP(l) + (l) <= R)

inline append(l) {
	d_step { up && !busy && !failed && !suspect && last < S && next_no <= NO_MAX && FITS(l) ->
		if
		:: l == 1 -> REACHED(append_one)
		:: else -> REACHED(append_two)
		fi;
		jump = SKIP(l);
		if
		:: jump > 0 || wpos == R -> REACHED(wrapped_sometimes)
		:: else
		fi;
		last++;
		busy = 1; told = 0; cut_meanwhile = 0; landed = 0;
		f_no = next_no;
		f_pos = (jump > 0 -> 0 : wpos % R);
		f_len = l;
		epoch_at(last);			/* what it lacks of an older epoch comes again (R9) */
		f_epoch = alive_epoch; f_seq = last;
		b_len[next_no] = l; b_skip[next_no] = jump; b_pos[next_no] = f_pos;
		b_seq[next_no] = last; b_epoch[next_no] = f_epoch;
		used = used + jump + l;
		wpos = (f_pos + l) % R;
		next_no++;
		wanted[last] = f_epoch;
#ifdef HF_NO_DURABLE
		kept = last;
#endif
	}
}

inline land(p) {
	d_step { up && busy && p < f_len && !(landed & (1 << p)) ->
		REACHED(land);
		landed = landed | (1 << p);
		stamp[f_pos + p] = f_no; place[f_pos + p] = p; span[f_pos + p] = f_len;
		op_epoch[f_pos + p] = f_epoch; op_seq[f_pos + p] = f_seq;
		bad[f_pos + p] = 0
	}
}

/* The drive says that it has written, and has not. Nobody can tell, unless something newer is there. */
inline lose(p) {
	d_step { up && busy && !damaged && p < f_len && !(landed & (1 << p)) ->
		REACHED(lose);
		damaged = 1;
		lied = f_no;
		landed = landed | (1 << p)
	}
}

#ifdef HF_NO_DSYNC
#define IS_SAFE	true
#else
#define IS_SAFE	(landed == (1 << f_len) - 1)
#endif

inline durable() {
	d_step { up && busy && !told && IS_SAFE ->
		REACHED(durable);
		told = 1;
		newest_told = f_no;
		if
		:: cut_meanwhile
		:: else -> kept = (f_seq > kept -> f_seq : kept)
		fi
	}
}

inline written() {
	d_step { up && busy && told && landed == (1 << f_len) - 1 -> busy = 0 }
}

/* The device gives the write up. What it wrote of it nobody knows. */
inline error() {
	d_step { up && busy && !told && !damaged ->
		REACHED(error);
		damaged = 1;
#ifdef HF_NO_FAILED
		kept = (cut_meanwhile -> kept : f_seq);
		busy = 0
#else
		failed = 1;
		busy = 0
#endif
	}
}

/* The oldest batch is in the image, when it is committed, or was cut. */
inline checkpoint() {
	d_step { up && !failed && !suspect && first_no < next_no && !(busy && f_no == first_no) &&
		 b_seq[first_no] <= kept + (wanted[b_seq[first_no]] != b_epoch[first_no]) ->
		REACHED(checkpoint);
		k_applied = (wanted[b_seq[first_no]] == b_epoch[first_no] && b_seq[first_no] > k_applied ->
			     b_seq[first_no] : k_applied);
		used = used - b_skip[first_no] - b_len[first_no];
		tpos = (b_pos[first_no] + b_len[first_no]) % R;
		b_len[first_no] = 0; b_skip[first_no] = 0; b_pos[first_no] = 0; b_seq[first_no] = 0;
		b_epoch[first_no] = 0;
		first_no++;
		k_no = first_no; k_pos = tpos
	}
}

/* A new primary's history ends before the last op (R9), or not: its epoch begins behind it. */
inline cut(by) {
	d_step { up && !failed && !suspect && epoch < EPOCHS && last >= k_applied + by ->
		REACHED(cut);
		epoch++;
		if
		:: by > 0 && busy && f_seq == last -> REACHED(cut_on_its_way_sometimes); cut_meanwhile = 1
		:: else
		fi;
		if
		:: by > 0 -> wanted[last] = 0
		:: else
		fi;
		last = last - by;
		kept = (kept > last -> last : kept);
		start[epoch] = last + 1
	}
}

inline crash() {
	d_step { up && crashes < CRASHES ->
		REACHED(crash);
		crashes++;
		up = 0; busy = 0; told = 0; cut_meanwhile = 0; landed = 0;
		f_no = 0; f_pos = 0; f_len = 0; f_epoch = 0; f_seq = 0
	}
}

/* One sector's content goes bad, or its stamp as well. */
inline corrupt(x) {
	d_step { !damaged && stamp[x] != 0 ->
		REACHED(corrupt);
		damaged = 1;
		bad[x] = 1
	}
}

inline overwrite(x) {
	d_step { !damaged && stamp[x] != 0 ->
		REACHED(overwrite);
		damaged = 1;
		stamp[x] = GARBAGE; place[x] = 0; span[x] = 0; op_epoch[x] = 0; op_seq[x] = 0; bad[x] = 0
	}
}

#define F_NONE		0		/* in the order of hf_leg_recover's enum found */
#define F_TORN		1
#define F_CORRUPT	2
#define F_WHOLE		3

#define IS_STAMPED(x, p) (stamp[x] == next_no && place[x] == (p))
#define IS_OLDER(x)	(stamp[x] < next_no)

#ifdef NO_GARBAGE_CHECK			/* H3: what was there may have been overwritten by something else altogether */
#define NOTHING(x)	F_NONE
#else
#define NOTHING(x)	(IS_OLDER(x) -> F_NONE : F_CORRUPT)
#endif

/* What there is of batch next_no at x: `n`. */
inline look(x) {
	n = F_WHOLE;
	if
	:: !IS_STAMPED(x, 0) && !(x + 1 < R && IS_STAMPED(x + 1, 1)) -> n = NOTHING(x)
	:: !IS_STAMPED(x, 0) && (x + 1 < R && IS_STAMPED(x + 1, 1)) -> n = (IS_OLDER(x) -> F_TORN : F_CORRUPT)
	:: IS_STAMPED(x, 0) && bad[x] -> n = F_CORRUPT
	:: IS_STAMPED(x, 0) && !bad[x] && span[x] == 2 ->
		if
		:: !IS_STAMPED(x + 1, 1) -> n = (IS_OLDER(x + 1) -> F_TORN : F_CORRUPT)
		:: IS_STAMPED(x + 1, 1) &&
		   (bad[x + 1] || op_epoch[x + 1] != op_epoch[x] || op_seq[x + 1] != op_seq[x]) ->
			n = F_CORRUPT	/* a checksum over both */
		:: else
		fi
	:: else
	fi
}

inline look_both() {
	look(wpos % R);
	at = wpos % R;
	what = n;
	if
	:: at != 0 && what != F_WHOLE ->
		look(0);
		if
		:: n > what -> what = n; at = 0
		:: else
		fi
	:: else
	fi
}

/* The ops of a whole batch: those of a history that was cut are dead. */
inline take() {
	epoch_at(op_seq[at]);
	if
#ifdef HF_NO_GHOST
	:: op_seq[at] <= last -> skip
#else
	:: alive_epoch != op_epoch[at] -> REACHED(dead_sometimes)
	:: alive_epoch == op_epoch[at] && op_seq[at] <= last -> skip
#endif
	:: else ->
		if
		:: op_seq[at] != last + 1 -> what = F_CORRUPT
		:: else ->
			last = op_seq[at];
			assert(wanted[last] == op_epoch[at])	/* GHOST */
		fi
	fi
}

inline recover() {
	d_step { !up ->
		REACHED(recover);
		last = k_applied; next_no = k_no; first_no = k_no; wpos = k_pos; tpos = k_pos; used = 0; suspect = 0;
		i = 1; epoch = 1;
		do
		:: i <= EPOCHS -> epoch = (start[i] != 0 -> i : epoch); i++
		:: else -> break
		od;
		i = 0;
		do					/* nothing is known of batches but what the disk shows */
		:: i < NO_MAX + 2 -> b_len[i] = 0; b_skip[i] = 0; b_pos[i] = 0; b_seq[i] = 0; b_epoch[i] = 0; i++
		:: else -> break
		od;
		look_both();
		do
		:: what == F_WHOLE ->
			take();
			if
			:: what == F_WHOLE ->
				b_pos[next_no] = at; b_len[next_no] = span[at];
				b_skip[next_no] = (at < wpos -> R - wpos : 0);
				b_seq[next_no] = op_seq[at]; b_epoch[next_no] = op_epoch[at];
				used = used + b_skip[next_no] + span[at];
				wpos = (at + span[at]) % R;
				next_no++;
				look_both()
			:: else
			fi
		:: else -> break
		od;
		found = 0; i = 0;
		do					/* the newest batch that any sector tells of */
		:: i < R -> found = (stamp[i] != GARBAGE && stamp[i] > found && i >= place[i] -> stamp[i] : found); i++
		:: else -> break
		od;
#ifndef HF_NO_SUSPECT				/* H3: what is corrupt counts as torn */
		suspect = (what == F_CORRUPT);
#endif
#ifndef NO_NEWEST				/* a later batch stands behind what cannot be read */
		suspect = suspect | (found > next_no);
#endif
		if
		:: what == F_TORN -> REACHED(torn_sometimes)
		:: what == F_CORRUPT -> REACHED(corrupt_tail_sometimes)
		:: what == F_NONE && found > next_no -> REACHED(corrupt_middle_sometimes)
		:: else
		fi;
#ifndef NO_CLEAR				/* its number will be used again */
		i = at;
		do
		:: what == F_TORN && !suspect && i < (used > 0 && tpos > at -> tpos : R) ->
			stamp[i] = 0; place[i] = 0; span[i] = 0; op_epoch[i] = 0; op_seq[i] = 0; bad[i] = 0; i++
		:: else -> break
		od;
#endif
		assert(suspect || last >= kept || lied != 0 && newest_told <= lied);	/* KEPT */
		kept = (suspect || last >= kept -> kept : last);
		assert(!suspect || damaged);			/* CLEAN */
		i = last + 1;
		do
		:: i <= S -> wanted[i] = 0; i++
		:: else -> break
		od;
		up = 1;
		i = 0
	}
}

init {
	d_step { REACH_BEGIN; start[1] = 1 }
end:	do
	:: append(1)
	:: append(2)
	:: land(0)
	:: land(1)
	:: lose(0)
	:: lose(1)
	:: durable()
	:: written()
	:: error()
	:: checkpoint()
	:: cut(0)
	:: cut(1)
	:: crash()
	:: corrupt(0) :: corrupt(1) :: corrupt(2) :: corrupt(3)
	:: overwrite(0) :: overwrite(1) :: overwrite(2) :: overwrite(3)
	:: recover()
	od
}
