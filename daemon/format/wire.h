/* SPDX-License-Identifier: MIT */
/*
 * wire - messages between hosts: bytes <-> structs. docs/man/holdfast-wire.7 has the byte tables.
 *
 * A frame is a 64-byte header, `meta_len` bytes of meta, then data. The header checksum covers the header, the meta
 * checksum the meta; data are fragments and each is covered by its own checksum in the meta. Everything is
 * little-endian. Lengths are compared with limits before they are used; reserved bytes are zero and checked.
 */
#ifndef HF_FORMAT_WIRE_H
#define HF_FORMAT_WIRE_H

#include "base/le.h"
#include "core/msg.h"

#define HF_WIRE_MAGIC 0x31574648u	/* "HFW1" */
#define HF_WIRE_VERSION 1u
#define HF_WIRE_HEADER 64u		/* bytes */
#define HF_WIRE_META_MAX (256u << 10)	/* bytes */
#define HF_WIRE_FRAME_MAX (HF_WIRE_HEADER + HF_WIRE_META_MAX + HF_FRAME_PAYLOAD_MAX)
#define HF_WIRE_ENTRY 64u		/* bytes of an entry's fixed part in the meta */

/* type, name: requests to a leg are odd, their answers the next even number. */
#define HF_WIRE_TYPES(X) \
	X(1, HELLO) X(2, WELCOME) \
	X(3, PING) X(4, PONG) \
	X(5, PREPARE) X(6, PROMISE) \
	X(7, ADOPT) X(8, ADOPTED) \
	X(9, APPEND) X(10, ACK) \
	X(11, READ) X(12, READ_DATA) \
	X(13, FETCH) X(14, FETCH_DATA) \
	X(15, MAP) X(16, MAP_DATA) \
	X(17, SYNCED) X(18, SYNCED_ACK) \
	X(19, RELEASE) X(20, RELEASED) \
	X(21, FORMAT) X(22, FORMATTED) \
	X(23, DELETE) X(24, DELETED) \
	X(25, LOOK) X(26, LOOKED) \
	X(27, STEP_DOWN) X(28, STEPPED_DOWN)

enum hf_wire_type {
#define X(number, name) HF_WIRE_##name = number,
	HF_WIRE_TYPES(X)
#undef X
	HF_WIRE_TYPE_MAX = 28
};

struct hf_wire_header {
	uint8_t type;
	uint32_t meta_len, data_len;	/* bytes */
	uint32_t count;			/* entries in the meta */
	struct hf_uuid leg;		/* whom it is for, or from; zero for the connection itself */
	hf_epoch epoch;
	uint64_t tag;			/* APPEND: lease cookie; READ, FETCH, MAP, FORMAT: comes back in the answer */
	hf_seq commit;			/* highest committed seq known to the sender (R4) */
};

/* Why bytes are not a frame: for the one log line before the connection closes. NULL: fine. */
const char *hf_wire_header_check(const void *bytes);
void hf_wire_header_decode(const void *bytes, struct hf_wire_header *out);
/* Does the meta match the checksum in the header? */
bool hf_wire_meta_check(const void *header, const void *meta);
/* Writes the header in front of `meta`, which is complete. */
void hf_wire_header_encode(void *bytes, const struct hf_wire_header *h, const void *meta);
const char *hf_wire_type_name(uint8_t type);

struct hf_hello {
	struct hf_uuid cluster;
	struct hf_uuid instance;	/* of this run of the daemon */
	uint64_t generation;		/* grows with every connection that this run dials (H25) */
	uint32_t version_min, version_max;
	uint64_t features;		/* none defined; unknown ones are not used */
	char host[HF_NAME_MAX];
};

/*
 * Meta encoders return bytes written (the caller has room for HF_WIRE_META_MAX); decoders return 0 or -EPROTO with *out
 * untouched. Lengths are exact: bytes left over are an error.
 */
uint32_t hf_wire_hello_encode(void *meta, const struct hf_hello *m);
int hf_wire_hello_decode(const void *meta, uint32_t len, struct hf_hello *out);
uint32_t hf_wire_prepare_encode(void *meta, const struct hf_prepare *m);
int hf_wire_prepare_decode(const void *meta, uint32_t len, struct hf_prepare *out);
uint32_t hf_wire_promise_encode(void *meta, const struct hf_promise *m);
int hf_wire_promise_decode(const void *meta, uint32_t len, struct hf_promise *out);
uint32_t hf_wire_adopt_encode(void *meta, const struct hf_adopt *m);
int hf_wire_adopt_decode(const void *meta, uint32_t len, struct hf_adopt *out);
uint32_t hf_wire_adopted_encode(void *meta, const struct hf_adopted *m);
int hf_wire_adopted_decode(const void *meta, uint32_t len, struct hf_adopted *out);
uint32_t hf_wire_ack_encode(void *meta, const struct hf_ack *m);
int hf_wire_ack_decode(const void *meta, uint32_t len, struct hf_ack *out);

/* Bytes of one entry in the meta. */
static inline uint32_t hf_wire_entry_size(const struct hf_entry *e)
{
	return HF_WIRE_ENTRY + (hf_entry_has_payload(e) ? 8u * e->nblocks : 0);
}
uint32_t hf_wire_entry_encode(void *meta, const struct hf_entry *e);
/* Decodes one entry at *pos of a meta of `len` bytes and moves *pos on; checks every field's range. */
int hf_wire_entry_decode(const void *meta, uint32_t len, uint32_t *pos, struct hf_entry *out);

/* READ: fragments of [lba, lba + nblocks), newest version <= seq (H21). */
struct hf_wire_read {
	uint64_t lba;
	uint32_t nblocks;
	hf_seq seq;
};
uint32_t hf_wire_read_encode(void *meta, const struct hf_wire_read *m);
int hf_wire_read_decode(const void *meta, uint32_t len, struct hf_wire_read *out);

struct hf_wire_read_data {
	int32_t result;			/* 0 or -errno; data follow only with 0 */
	uint32_t nblocks;
	uint64_t zero, bad;
	uint32_t block_crc[HF_WRITE_BLOCKS_MAX];
};
uint32_t hf_wire_read_data_encode(void *meta, const struct hf_wire_read_data *m);
int hf_wire_read_data_decode(const void *meta, uint32_t len, struct hf_wire_read_data *out);

/* FETCH: log entries [from, to]; the answer has as many as fit, at least one, or none with `epoch` of the header 0. */
struct hf_wire_fetch {
	bool heads_only;		/* entries without their fragments (H27) */
	hf_seq from, to;
};
uint32_t hf_wire_fetch_encode(void *meta, const struct hf_wire_fetch *m);
int hf_wire_fetch_decode(const void *meta, uint32_t len, struct hf_wire_fetch *out);

/* MAP: chunks changed after a seq. */
#define HF_WIRE_MAP_MAX 1024u
struct hf_wire_map {
	hf_seq after;
	uint64_t cursor;
};
struct hf_wire_map_data {
	uint64_t cursor;		/* where to go on; HF_NEVER: the end */
	uint64_t size_blocks;
	uint32_t count;
	uint64_t chunk[HF_WIRE_MAP_MAX];
};
uint32_t hf_wire_map_encode(void *meta, const struct hf_wire_map *m);
int hf_wire_map_decode(const void *meta, uint32_t len, struct hf_wire_map *out);
uint32_t hf_wire_map_data_encode(void *meta, const struct hf_wire_map_data *m);
int hf_wire_map_data_decode(const void *meta, uint32_t len, struct hf_wire_map_data *out);

/* FORMAT a leg; the answer FORMATTED (and DELETED) is a result and words. */
struct hf_wire_format {
	struct hf_leg_identity id;
	uint64_t size_blocks;
	char volume[HF_NAME_MAX];
};
struct hf_wire_done {
	int32_t result;			/* 0 or -errno */
	char words[256];
};
uint32_t hf_wire_format_encode(void *meta, const struct hf_wire_format *m);
int hf_wire_format_decode(const void *meta, uint32_t len, struct hf_wire_format *out);
uint32_t hf_wire_done_encode(void *meta, const struct hf_wire_done *m);
int hf_wire_done_decode(const void *meta, uint32_t len, struct hf_wire_done *out);

#endif
