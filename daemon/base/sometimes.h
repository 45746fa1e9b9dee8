/* SPDX-License-Identifier: MIT */
/*
 * sometimes - coverage points: rare states of the protocol that the simulator has to reach (tests/README.md).
 *
 * HF_SOMETIMES(NAME) marks such a state where the code is in it. In what ships it is nothing at all. Tests build the
 * layers with HF_TEST, and each pass is counted in hf_sometimes_count[] (tests/lib/sometimes.c). A simulator that never
 * gets somewhere proves nothing about what happens there, so make check-sim COVER=1 fails when a point was not reached.
 *
 * Every point here can be reached by a simulated cluster; what only a unit test can reach is no point.
 */
#ifndef HF_BASE_SOMETIMES_H
#define HF_BASE_SOMETIMES_H

#ifndef HF_TEST

#define HF_SOMETIMES(name) ((void)0)
/* Reached only if `cond`, which must have no effect of its own: nothing evaluates it in what ships. */
#define HF_SOMETIMES_IF(name, cond) ((void)sizeof((cond) ? 1 : 0))

#else

#include <stdint.h>

/* Name, then words: "it happened that ..." */
#define HF_SOMETIMES_POINTS(X) \
	X(DECIDE_TOO_FEW, "the legs that answered cannot decode the volume") \
	X(DECIDE_KEPT_THOUGH_LACKED, "an op that some legs lack can be decoded and stays") \
	X(DECIDE_CUT_CLEAN, "an op is cut because a clean leg lacks it") \
	X(DECIDE_CUT_COUNT, "an op is cut because more than m legs lack it, suspect ones all") \
	X(DECIDE_END_BY_COUNT, "every leg is suspect, and they are too many to have lost the same op") \
	X(DECIDE_SUSPECT_REFUSES, "an op that cannot be decoded is lacked by suspect legs only: promotion waits") \
	X(DECIDE_ALL_SUSPECT_REFUSE, "few legs answered, all suspect: what nobody shows may have been acknowledged") \
	X(DECIDE_COMMITTED_REFUSES, "an op known committed cannot be decoded: promotion waits") \
	X(EPOCH_LOGS_PART, "two logs end in different epochs: their common part is looked for") \
	X(LEG_BOOT_LEASE, "a leg that boots assumes that it granted a lease") \
	X(LEG_BOOT_SUSPECT_STILL, "a leg was suspect before its host died, and is still") \
	X(LEG_PREPARE_STALE, "a PREPARE comes after the leg has promised to a newer epoch") \
	X(LEG_PREPARE_OLD_CONFIG, "a PREPARE comes from an older configuration than the leg has seen") \
	X(LEG_PREPARE_AGAIN, "the primary that a leg promised to asks again") \
	X(LEG_PREPARE_ENDS_ADOPTION, "a newer primary comes while a leg adopts") \
	X(LEG_PROMISE_OWES_LEASE, "a leg promises while an older primary may still answer reads by its lease") \
	X(LEG_PROMISE_SUSPECT, "a leg promises and says that its tail was corrupt") \
	X(LEG_PROMISE_INCONSISTENT, "a leg promises in the middle of a resync") \
	X(LEG_RESYNC_KEEPS_COMMITTED, "a resync begins on a leg that committed ops of a history that was given up") \
	X(LEG_RESYNC_DROPS_TAIL, "a resync begins on a leg whose log has ops that nobody committed") \
	X(LEG_RESYNC_AGAIN, "a resync that was interrupted begins again") \
	X(LEG_ADOPT_WOULD_CUT, "a leg refuses a history that lacks what it knows committed") \
	X(LEG_ADOPT_SUSPECT, "a suspect leg adopts: its log goes on in a fresh one") \
	X(LEG_ADOPT_TRUNCATES, "a leg drops ops that the new history lacks") \
	X(LEG_ADOPT_LACKS_OPS, "a leg adopts and waits for ops that it lacks") \
	X(LEG_APPEND_DUPLICATE, "an op comes that the leg has already: it is acknowledged again") \
	X(LEG_ADOPT_TARGET_REACHED, "the last op that a leg lacked for its adoption is durable") \
	X(LEG_ADOPT_CLEARS_SUSPECT, "a suspect leg has got back all that it may have lost") \
	X(LEG_ACTIVATED_TOO_LATE, "a leg is activated for an epoch after it has promised to a newer one") \
	X(LEG_LEASE_REFUSED, "a leg grants no lease: not activated, or in a resync") \
	X(LEG_LEASE_OWED_TO_OLDER, "a leg grants a lease while that of an older epoch runs") \
	X(LEG_LEASE_RELEASE_STALE, "a lease is given back that a newer primary holds now") \
	X(ADD_LANDED, "a pending add becomes a member") \
	X(ADD_TAKEN_BACK, "a pending add is out for certain: another change landed in its place") \
	X(SET_SHRINKS_AND_GROWS, "one change takes a member out and another one in") \
	X(CAS_CLAIM_UNKNOWN, "nobody knows whether a claim took effect: the store is asked") \
	X(CAS_ACTIVATE_UNKNOWN, "nobody knows whether the adopted set was recorded") \
	X(CAS_CHANGE_UNKNOWN, "nobody knows whether a change of the set was recorded") \
	X(ADD_FAILED, "a pending add is known to have failed") \
	X(ADD_MAY_STILL_LAND, "a pending add has no answer and may still land: its leg stays pending") \
	X(CAS_LOST, "a change of the record got lost before it took effect") \
	X(CLAIM_YIELDS, "another host claimed the volume first") \
	X(CLAIM_FORCED, "another host claimed the volume first, and the operator wants it here") \
	X(ACTIVATE_AGAIN, "the record of the adopted set has to be written again") \
	X(CAS_STORE_SILENT, "the store does not even say whether a change took effect") \
	X(CAS_NEWS_MEANWHILE, "a watch tells of the record while a change of ours is under way") \
	X(CAS_WON_CLAIM, "the answer to a claim got lost: the record shows that it was won") \
	X(CAS_WON_ACTIVATE, "the answer to the record of the adopted set got lost: the record shows it") \
	X(CAS_WON_CHANGE, "the answer to a change of the set got lost: the record shows it") \
	X(DEPOSED_WHILE_PROMOTING, "a promotion is overtaken by a newer one") \
	X(DEPOSED_BY_RECORD, "a primary that serves learns by the record that it is deposed") \
	X(DEPOSED_WITH_CHANGE_UNKNOWN, "a primary is deposed while it does not know whether its own change landed") \
	X(PROMOTE_OPS_TRIMMED, "ops that a member lacks are in no log any more: it has to be rebuilt") \
	X(PROMOTE_CUTS, "ops that were never acknowledged are cut") \
	X(PROMOTE_LEAVES_MEMBER, "a member that answered cannot be brought to the decision") \
	X(PROMOTE_DECIDED_UNCOMMITTED, "the decision keeps ops that nobody knows as committed") \
	X(PROMOTE_DECIDES_AGAIN, "a promotion decides anew after it had read ops back") \
	X(PROMOTE_LOADS, "ops that a member lacks are read back from others") \
	X(PROMOTE_WITHOUT_GONE, "all that is missing is gone for good: the rest serves") \
	X(PROMOTE_WAITS_TOLERANCE, "too few legs to keep the promised tolerance: promotion waits for more") \
	X(PROMOTE_WITHOUT_SILENT, "a decision is taken without a member that did not answer") \
	X(PROMOTE_FORGETFUL_HAS_NO_VOTE, "a decision is taken without a member that lost its memory") \
	X(PROMOTE_SOURCE_LOST, "a leg goes away while ops are read back from it") \
	X(ACTIVATE_WAITS_FOR_ENOUGH, "members went away while they adopted, and too few are left") \
	X(ACTIVATE_WITHOUT_SOME, "members went away while they adopted, and the rest serves") \
	X(LEASE_WAIT_FOR_OLD, "a new primary waits until the leases of the old one are over") \
	X(LEASE_WAIT_OVER, "a new primary need not wait: the leases of the old one are over") \
	X(PROMOTE_STARTS_OVER, "a promotion that lost its legs goes on in a new epoch with others") \
	X(ADOPT_LOST_MORE, "a leg comes back in the middle of a promotion and has lost more") \
	X(MEMBER_BACK_SUSPECT, "a member comes back with a corrupt tail") \
	X(MEMBER_BACK_FORGETFUL, "a member comes back without ops that it had acknowledged") \
	X(MEMBER_BACK_BEHIND, "a member comes back in time and takes what it missed") \
	X(MEMBER_BACK_AHEAD, "a member comes back with ops whose acknowledgement never came") \
	X(CATCH_UP_BEFORE_SIZE, "a leg has to be rebuilt before anybody told the size of the volume") \
	X(CATCH_UP_FROM_LOCAL_LOG, "a leg misses ops that left the window: they come from the log of a leg here") \
	X(CATCH_UP_DROPS_GHOSTS, "a leg catches up by log and drops ops of a history that was cut") \
	X(CATCH_UP_OTHER_HISTORY, "a leg committed ops that were given up since: all of it is rebuilt") \
	X(CATCH_UP_INTERRUPTED, "a resync goes on from where an interrupted one had begun") \
	X(CATCH_UP_FROM_NOTHING, "a leg is rebuilt from nothing") \
	X(CATCH_UP_BY_CHUNKS, "a leg gets the chunks that changed while it was away") \
	X(DEPOSED_BY_PROMISE, "a leg answers PREPARE that it has promised to a newer primary") \
	X(LEG_IS_GONE, "a host says that it does not have the leg") \
	X(LEG_FAILED_AT_PREPARE, "a leg answers PREPARE that its disk has failed") \
	X(LEG_NOT_READY, "a leg is being opened: it is asked again") \
	X(ADOPT_STANDS, "a leg that has adopted loses its connection before we serve, and comes back") \
	X(ADOPT_AGAIN, "a leg loses its connection while it adopts, comes back and adopts again") \
	X(ADOPT_FAILED, "a leg cannot adopt now and is asked again") \
	X(ADOPT_WINDOW_MOVED, "what a leg misses has left the window and the log while it adopted") \
	X(ADOPT_BY_OPS, "a leg has adopted once the ops that it lacked were sent") \
	X(ADD_SLOW_NOT_YET, "a leg that was too slow a moment ago is kept out for a while") \
	X(ADD_SLOW_AT_ONCE, "a leg that was too slow a moment ago is taken: writes wait for it") \
	X(DEPOSED_BY_ACK, "a deposed primary learns from a leg that refuses its ops") \
	X(ACK_LATE, "an acknowledgement comes from a leg that is not streamed to any more") \
	X(ACK_FAILED, "a leg fails while it takes ops") \
	X(ACK_REFUSED, "a leg cannot take the ops of a stream and starts over") \
	X(LEASE_NOT_GRANTED, "an acknowledgement brings no lease") \
	X(STREAM_OP_TRIMMED, "an op that a leg catches up with was trimmed from the log here meanwhile") \
	X(SYNCED_BEHIND, "a resync is complete while the newest ops are still on their way to the leg") \
	X(MEMBER_DOWN_IDLE, "a member is away for long while nothing waits for it") \
	X(REMOVE_WAITS_TOLERANCE, "a bad member stays: without it the promised tolerance would not be kept") \
	X(REMOVE_SLOW_WAITS_TOLERANCE, "a slow member stays: without it the promised tolerance would not be kept") \
	X(REMOVE_TWO, "two members leave the set in one change") \
	X(REMOVE_SLOW, "a slow member leaves the set") \
	X(REMOVE_LOST, "a member that lost acknowledged ops leaves the set") \
	X(REMOVE_GONE, "a member that is gone leaves the set") \
	X(REPLACE_RECORDED, "a blank leg takes the place of one that is gone") \
	X(REPLACE_ORDERED, "a leg that is gone for long is to be made anew") \
	X(ADD_WENT_BAD, "a pending add goes bad before it is known whether it landed") \
	X(TOLERANCE_LOST, "the set falls below the promised tolerance: writes wait") \
	X(TOLERANCE_BACK, "the set keeps the promised tolerance again: writes go on") \
	X(BARRIER_NOT_NEEDED, "a member is taken out while nothing waits for an acknowledgement") \
	X(BARRIER_OP, "a member is taken out while ops wait: a barrier op tells the others") \
	X(BARRIER_BEFORE_OPEN, "a member is taken out before what was decided is committed") \
	X(BARRIER_BEHIND_BARRIER, "a second member is taken out before the others have the first barrier") \
	X(COMMIT_WAITS_TOLERANCE, "an op is durable on all members, but they are too few to acknowledge it") \
	X(COMMIT_DECIDED_ANYWAY, "what was decided is committed although members are too few for new ops") \
	X(COMMIT_WAITS_BARRIER, "an op is durable on all members, but not all know yet who was taken out") \
	X(COMMIT_WAITS_PENDING, "an op waits while an add is pending") \
	X(OPEN_BELOW_TOLERANCE, "a volume opens for reads while writes wait for tolerance") \
	X(OPEN_WITH_PENDING_CHANGE, "a volume opens while a change of the set is under way") \
	X(LAGGARD_DROPPED, "a leg outside the set holds back the window and starts over") \
	X(STREAM_COMMITTED_ONLY, "a leg in a resync is not sent what is not committed yet") \
	X(READ_PLAN_NONE, "nobody can be read from now") \
	X(READ_PLAN_WITHOUT_BAD, "a read goes to other legs than those that could not give the blocks") \
	X(LEASE_EXPIRED, "data is at hand for a client, but a lease has run out") \
	X(LEASE_OF_PENDING_ADD, "data is at hand for a client, but a pending add has granted no lease yet") \
	X(LOG_GOES_ROUND, "a batch does not fit at the end of the ring and goes to its beginning") \
	X(STORE_LOG_FAILS, "the log cannot be written: the leg fails") \
	X(LOG_GATHERS, "ops gather while a batch is being written") \
	X(LOG_TWO_BATCHES_WAIT, "a full batch waits behind the one that is being written") \
	X(LOG_FULL, "the log is full: ops wait for a checkpoint") \
	X(LOG_IN_RESET, "ops come while the log is made anew") \
	X(RESYNC_SKIPS_NEWER, "a copied block is skipped: an op in the log is newer") \
	X(RESYNC_TOO_OLD, "a copied chunk is older than what the image may hold: it has to be read again") \
	X(LOG_BATCH_FULL, "an op does not fit into the batch that gathers") \
	X(LOG_TRUNCATED_SEEN, "an op that was cut from the log is passed over") \
	X(TRUNCATE_ON_ITS_WAY, "the log is truncated while it is being written") \
	X(TRUNCATE_TO_CHECKPOINT, "the log is truncated to where the image ends") \
	X(LOG_ROOM_AGAIN, "a checkpoint makes room for ops that wait") \
	X(FETCH_UNWRITTEN, "an op is read back from a log before it is durable there") \
	X(RECOVER_GHOST, "recovery finds an op of a history that was cut, and drops it") \
	X(RECOVER_APPLIED_ALREADY, "recovery finds an op that the image holds already") \
	X(RECOVER_ROUND, "recovery follows the log over the end of the ring") \
	X(RECOVER_COMMITTED_LOST, "recovery finds fewer ops than it knows committed") \
	X(RECOVER_UNCOMMITTED, "recovery finds ops of which it does not know whether they are committed") \
	X(RECOVER_EMPTY, "recovery finds an empty log") \
	X(RECOVER_TORN, "recovery finds a torn tail: it was never acknowledged") \
	X(RECOVER_CORRUPT, "recovery finds a corrupt tail: it may have been acknowledged") \
	X(RECOVER_GAP, "recovery finds a batch behind one that is missing") \
	X(OPEN_ONE_SUPER, "one of the two superblocks is damaged: the other one counts") \
	X(OPEN_NO_SUPER, "no superblock is readable: the leg cannot be used") \
	X(OPEN_OTHER_LEG, "the disk of another leg is found") \
	X(OPEN_DW_TORN, "a doublewrite was cut short: nothing of it is in place") \
	X(OPEN_DW_REPLAYED, "a doublewrite is put in place again") \
	X(OPEN_TABLE_OLD, "the chunk table does not match its digest: the leg cannot be used") \
	X(OPEN_TABLE_DAMAGED, "a page of the chunk table is damaged: the leg cannot be used") \
	X(OPEN_UNREADABLE, "a leg cannot be read while it is opened") \
	X(STORE_SUPER_FAILS, "the superblock cannot be written: the leg fails") \
	X(SUPER_WAITS, "a superblock waits for the one that is being written") \
	X(SUPER_REFUSED, "a leg that has failed writes no superblock any more") \
	X(SPACE_GIVEN_BACK, "a chunk is zeros altogether: its space is given back") \
	X(APPLY_KEEPS_NEIGHBOURS, "a sector changes in part: its other fragments are read and kept") \
	X(APPLY_RESYNC_ZERO, "a resync brings zeros") \
	X(STORE_SYNC_FAILS, "a sync of the image fails: the leg fails") \
	X(STORE_IMAGE_FAILS, "the image cannot be written: the leg fails") \
	X(STORE_DW_FAILS, "a doublewrite cannot be written: the leg fails") \
	X(APPLY_PAGE_EMPTY, "a table page says nothing any more and is written as zeros") \
	X(APPLY_NEIGHBOUR_UNREADABLE, "a neighbour that has to be kept cannot be read") \
	X(APPLY_MORE_ROUNDS, "a checkpoint takes more than one round") \
	X(APPLY_DISCARDS, "space that was given back is discarded on the disk") \
	X(FLUSH_DURING_CHECKPOINT, "a checkpoint is asked for while one is under way") \
	X(RESET_BEHIND_DAMAGE, "a log is made anew behind batches that damage had cut off") \
	X(RESET_WAITS_FOR_LOG, "a resync begins while the log is being written") \
	X(RESET_WAITS_FOR_CHECKPOINT, "a resync begins while a checkpoint is under way") \
	X(RESET_WIPES, "a resync begins from nothing: all content goes") \
	X(RESET_KEEPS, "a resync keeps what the leg has") \
	X(RESET_KEEPS_UNCOMMITTED, "a log made anew keeps ops that the leg did not know as committed") \
	X(READ_FROM_LOG, "a block is read from the log") \
	X(READ_MOVED, "a checkpoint changes the image under a read") \
	X(READ_IMAGE_BAD, "a fragment of the image fails its checksum") \
	X(READ_IMAGE_UNREADABLE, "a fragment of the image cannot be read") \
	X(MAP_BY_LOG, "a chunk counts as changed by an op that is in the log only") \
	X(RESYNC_BEHIND_UNCOMMITTED, "a copied block waits behind an op that is not committed yet") \
	X(RUN_REFUSES_DEPOSED, "a leg refuses an op of a primary that was deposed") \
	X(RUN_HELD_DROPPED, "ops that waited for room in a log are dropped: their stream is over") \
	X(RUN_HELD, "ops wait at a leg for room in its log") \
	X(RUN_FAILS_AT_PROMISE, "a leg fails while a promise waits for its log") \
	X(RUN_PROMISE_WAITS, "a promise waits until what was appended before is durable") \
	X(RUN_STREAM_TAKEN_OVER, "a new primary comes while the old one still streams") \
	X(RUN_PROMISED_ALREADY, "a promise is durable already") \
	X(RUN_FAILS_AT_ADOPT, "a leg fails while it adopts") \
	X(RUN_ADOPT_STALE, "an ADOPT comes after a promise to a newer primary") \
	X(RUN_SYNCED_STALE, "the end of a resync is told after a promise to a newer primary") \
	X(RUN_CONTROL_WAITS, "a control message waits for another one to become durable") \
	X(RUN_PREPARE_DURING_ADOPT, "a primary asks for a promise while a leg adopts") \
	X(RUN_RESYNC_REDO, "a leg asks for a copied chunk once more") \
	X(RUN_REPAIRED, "a bad block of a leg is overwritten with a good one") \
	X(RUN_FRAME_REFUSED, "a leg cannot take an op of a frame") \
	X(RUN_BAD_DATA, "an op comes with a bad checksum") \
	X(RUN_OTHER_STREAM, "an op comes on a connection whose primary has not prepared the leg") \
	X(RUN_BEHIND_HELD, "ops wait behind others that wait for room in a log") \
	X(RUN_ACTIVATED_NO_STREAM, "a leg is activated after its primary went away") \
	X(RUN_HELD_STILL, "room came free in a log, but not enough for the ops that wait") \
	X(RUN_HELD_TAKEN, "ops that waited for room in a log are taken") \
	X(RUN_READ_UNWANTED, "a read of a leg is done after who asked for it went away") \
	X(RUN_READ_NO_ROOM, "what a leg read waits for room in its connection") \
	X(RUN_READ_FAILED, "a leg that has failed is asked for blocks") \
	X(RUN_READ_DEPOSED, "a deposed primary asks for blocks") \
	X(RUN_FETCH_NO_ROOM, "ops that are read back wait for room in their connection") \
	X(RUN_RESTS, "a quiet leg empties its log") \
	X(RUN_HELD_CUT_OFF, "a connection goes away while its ops wait for room in a log") \
	X(CONN_SPLIT_FRAME, "a frame comes in more than one piece") \
	X(CONN_BAD_HEADER, "a frame comes with a damaged header") \
	X(CONN_BAD_META, "a frame comes with a damaged message") \
	X(CONN_BYTES_MOVED, "what was received of a frame moves to make room for its rest") \
	X(CONN_FULL, "a connection has no room for more data") \
	X(HOST_LEG_OPENING, "a leg is asked for while it is being opened") \
	X(HOST_LEG_UNKNOWN, "a leg is asked for that is not here") \
	X(HOST_OLD_CONN_REFUSED, "a connection greets after a newer one of the same host") \
	X(HOST_CONN_REPLACED, "a host comes with a new connection while its old one is there") \
	X(HOST_CONN_SILENT, "an incoming connection has gone silent") \
	X(HOST_CALL_LOST, "a connection breaks while an order waits for its answer") \
	X(HOST_CALLER_GONE, "an order is carried out after who gave it went away") \
	X(PEER_REFUSED, "a host cannot be reached") \
	X(PEER_DIAL_TIMEOUT, "a host does not answer a connect") \
	X(PEER_SILENT, "a host has gone silent") \
	X(PEER_NO_WELCOME, "a host accepts a connection and does not greet") \
	X(AGENT_STEPPED_DOWN, "a primary steps down for another host") \
	X(AGENT_STEP_ANSWER_LATE, "the old primary answers after it was waited for") \
	X(AGENT_STEP_REFUSED, "the old primary cannot be asked to step down") \
	X(AGENT_COPY_OLD, "an operator promotes where the copy of the record is old") \
	X(AGENT_STEP_TIMEOUT, "the old primary does not say whether it steps down") \
	X(AGENT_SERVES_AGAIN, "a host finds itself primary in the record and serves without an order") \
	X(AGENT_PROMOTED_TWICE, "an operator promotes again while a promotion is under way") \
	X(AGENT_STEP_NOTHING, "a host is asked to step down that is no primary any more") \
	X(AGENT_NEWS_OF_OURS, "the record of a volume that is served here has changed") \
	X(AGENT_LIST_FAILS, "the cluster store does not say which volumes there are") \
	X(AGENT_STORE_PUT_BACK, "the cluster store shows a record that is not newer, and another") \
	X(WATCH_OTHERS_HEAR_IT, "a primary that a host cannot reach is heard of by others") \
	X(WATCH_TOO_FEW, "a primary seems dead, and a promotion would have to wait") \
	X(WATCH_OTHERS_FIRST, "a primary is dead, and another host is the better one") \
	X(WATCH_PROMOTES, "a host promotes a volume because its primary is dead") \
	X(WATCH_OVER_BUDGET, "a volume has taken too many epochs") \
	X(WATCH_SILENT, "a leg does not say when it heard of the primary") \
	X(AGENT_START_AGAIN, "a host starts while the cluster store does not answer") \
	X(AGENT_SELF_AGAIN, "a host does not know whether its own record was written") \
	X(AGENT_LEG_MISSING, "a host does not find its leg") \
	X(AGENT_LEG_DAMAGED, "a host finds its leg damaged") \
	X(AGENT_LEG_UNREADABLE, "a leg cannot be opened now and is tried again") \
	X(AGENT_LEG_SUSPECT, "a host opens a leg with a corrupt tail") \
	X(VOLUME_GET_AGAIN, "the record is asked for while it is being read") \
	X(VOLUME_IN_FLIGHT_FULL, "writes wait: more are under way than a log may hold") \
	X(VOLUME_PENDING_LEFT, "a client leaves with requests that were not begun") \
	X(VOLUME_STOPS_IN_WRITE, "a primary stops with writes that are not acknowledged") \
	X(VOLUME_STOP_WAITS_STORE, "a primary that stops waits for an answer of the cluster store") \
	X(VOLUME_STOP_WAITS_READS, "a primary that stops waits for reads") \
	X(VOLUME_OLD_PROMISE, "a promise to an older epoch of ours comes late") \
	X(VOLUME_SIZE_AGAIN, "a leg that was asked for the size does not answer") \
	X(SEND_FROM_LOG, "a leg gets an op from the log of a leg here") \
	X(SEND_SPLIT, "ops that are ready do not fit into one frame") \
	X(SEND_NO_ROOM, "ops wait for room in the connection to a leg") \
	X(READ_REPAIR_TOO_LATE, "a leg with a bad block has left the set before it could be repaired") \
	X(READ_REPAIRED, "a bad block is rebuilt from other legs and written back") \
	X(READ_LEASE_REFUSED, "data is at hand and a lease is not: the read is done again later") \
	X(READ_BAD_WHOLE, "a whole leg has a bad block: others are read") \
	X(READ_BAD_FRAGMENT, "a leg has a bad fragment: others are read") \
	X(READ_MIXED, "fragments of different versions come together: they are read again") \
	X(READ_WAITS_FOR_LEGS, "a read waits until legs are back") \
	X(READ_ALL_TRIED, "no leg that is here could give a block: all are asked again") \
	X(READ_LOCAL_FAILED, "the leg of this host has failed: others are read") \
	X(READ_ANSWER_LATE, "an answer to a read comes that nobody waits for any more") \
	X(READ_NOT_NOW, "a leg cannot be read at this moment") \
	X(READ_LEG_LOST, "a leg goes away while it is read: others are read") \
	X(READ_LEG_SILENT, "a leg does not answer a read: others are read") \
	X(LOAD_FROM_WHOLE, "an op is read back from a whole leg") \
	X(LOAD_FROM_FRAGMENTS, "an op is read back from k fragments") \
	X(LOAD_LEG_LOST, "a leg goes away while an op is read back from it: others are asked") \
	X(LOAD_SILENT, "a leg does not answer for an op that is read back: it is asked again") \
	X(COPY_INTERRUPTED, "a resync is interrupted") \
	X(COPY_CHUNK_AGAIN, "a chunk has to be copied once more") \
	X(COPY_READ_TOO_LATE, "a chunk was read for a resync that is over") \
	X(COPY_NO_BUFFER, "a resync waits for buffers") \
	X(COPY_MAP_SILENT, "a leg that was asked what has changed does not answer") \
	X(COPY_MAP_TOO_LATE, "what has changed is told for a resync that is over")

enum hf_sometimes {
#define X(name, words) HF_AT_##name,
	HF_SOMETIMES_POINTS(X)
#undef X
	HF_SOMETIMES_COUNT
};

extern uint32_t hf_sometimes_count[HF_SOMETIMES_COUNT];

#define HF_SOMETIMES(name) ((void)hf_sometimes_count[HF_AT_##name]++)
#define HF_SOMETIMES_IF(name, cond) ((cond) ? HF_SOMETIMES(name) : (void)0)

#endif

#endif
