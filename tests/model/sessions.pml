/* SPDX-License-Identifier: MIT */
/*
 * sessions - a client that gives a connection up, connects again and repeats what was not answered: R14, H24 of
 * docs/SAFETY.md.
 *
 * C connections one after the other, W writes to one block, each after the answer to the one before it. What was sent
 * on a connection arrives late or never, also when the client has left it; the server learns late that the client
 * has, or gives it up for its silence. A request that has arrived waits, then becomes an op, whose place is final.
 *
 * Judged: the block holds the newest write that was answered, or one sent after it.
 */
#ifndef C
#define C 3
#endif
#ifndef W
#define W 2
#endif
#define AT(c, w)	((c) * 3 + (w))

#define NEW		0		/* a connection as the server sees it */
#define LIVE		1		/* it has the session */
#define REFUSED		2
#define DEAD		3		/* closed, or silent for too long; its requests are being dropped */
#define GONE		4

#define NO		0		/* a request on a connection */
#define SENT		1
#define ARRIVED		2
#define DONE		3		/* an op: its place in the order is taken */
#define DROPPED		4

byte server[C + 1], writer;
byte request[12];
byte client = 1;			/* the connection that the client uses */
byte sending = 1;			/* the write that it wants answered next */
byte answered;				/* the newest write that was */
byte value;

#define REACHES(X) \
	X(attach) X(refuse) X(send) X(reconnect) X(arrive) X(execute) X(answer) X(die) X(drop) X(detach) X(repeat) \
	X(silent_sometimes)
#include "reach.pml"

hidden byte i, n;

inline attach(c) {
	d_step { server[c] == NEW && client >= c &&
#ifdef HF_NO_SESSION
		true ->
#else
		writer == 0 ->
#endif
		REACHED(attach);
		writer = c;
		server[c] = LIVE
	}
}

/* It is told that another one is there; the client tries once more on its next connection. */
inline refuse(c) {
	d_step { server[c] == NEW && client >= c && writer != 0 ->
		REACHED(refuse);
		server[c] = REFUSED
	}
}

inline send() {
	d_step { sending <= W && server[client] == LIVE && request[AT(client, sending - 1)] == NO ->
		REACHED(send);
		i = 1;
		do
		:: i < client && request[AT(i, sending - 1)] != NO -> REACHED(repeat); i++
		:: i < client && request[AT(i, sending - 1)] == NO -> i++
		:: else -> break
		od;
		request[AT(client, sending - 1)] = SENT
	}
}

inline reconnect() {
	d_step { client < C && server[client] != NEW -> REACHED(reconnect); client++ }
}

inline arrive(c, w) {
	d_step { request[AT(c, w)] == SENT && server[c] == LIVE -> REACHED(arrive); request[AT(c, w)] = ARRIVED }
}

#ifdef NO_DROP				/* what had arrived is carried out although its session has ended */
#define MAY_EXECUTE(c)	(server[c] == LIVE || server[c] == DEAD || server[c] == GONE)
#else
#define MAY_EXECUTE(c)	(server[c] == LIVE || server[c] == DEAD)
#endif

/* Also while its connection dies: what is under way is finished. */
inline execute(c, w) {
	d_step { request[AT(c, w)] == ARRIVED && MAY_EXECUTE(c) ->
		REACHED(execute);
		request[AT(c, w)] = DONE;
		value = w + 1;
		assert(value >= answered)
	}
}

inline answer() {
	d_step { sending <= W && request[AT(client, sending - 1)] == DONE ->
		REACHED(answer);
		answered = sending;
		sending++;
		assert(value == answered)
	}
}

/* The client has left, or says nothing: that it only seems to is possible. */
inline die(c) {
	d_step { server[c] == LIVE ->
		REACHED(die);
		if
		:: client == c -> REACHED(silent_sometimes)
		:: else
		fi;
		server[c] = DEAD
	}
}

inline drop(c, w) {
	d_step { request[AT(c, w)] == ARRIVED && server[c] == DEAD -> REACHED(drop); request[AT(c, w)] = DROPPED }
}

#define IS_IDLE(c)	(request[AT(c, 0)] != ARRIVED && request[AT(c, 1)] != ARRIVED && request[AT(c, 2)] != ARRIVED)

/* The session ends when nothing of it is left: finished or dropped (the fence). */
inline detach(c) {
#ifdef NO_DROP
	d_step { server[c] == DEAD ->
#else
	d_step { server[c] == DEAD && IS_IDLE(c) ->
#endif
		REACHED(detach);
		server[c] = GONE;
		writer = (writer == c -> 0 : writer)
	}
}

#define EACH_REQUEST(action) \
	:: action(1, 0) :: action(1, 1) :: action(1, 2) :: action(2, 0) :: action(2, 1) :: action(2, 2) \
	:: action(3, 0) :: action(3, 1) :: action(3, 2)
#define EACH_CONNECTION(action) :: action(1) :: action(2) :: action(3)

init {
	REACH_BEGIN;
end:	do
	EACH_CONNECTION(attach)
	EACH_CONNECTION(refuse)
	:: send()
	:: reconnect()
	EACH_REQUEST(arrive)
	EACH_REQUEST(execute)
	:: answer()
	EACH_CONNECTION(die)
	EACH_REQUEST(drop)
	EACH_CONNECTION(detach)
	od
}
