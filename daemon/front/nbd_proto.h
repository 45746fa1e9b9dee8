/* SPDX-License-Identifier: MIT */
/*
 * nbd_proto - the NBD protocol's numbers and layouts (doc/proto.md of the NBD project), and a name for each number.
 *
 * Owns: constants, big-endian byte-array types, one struct per fixed layout. Does not own: who may say what when
 * (nbd_handshake.c, nbd_transmit.c, nbd_reply.c). Everything on the wire is big-endian and without padding.
 */
#ifndef HF_FRONT_NBD_PROTO_H
#define HF_FRONT_NBD_PROTO_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct { uint8_t b[2]; } hf_be16;
typedef struct { uint8_t b[4]; } hf_be32;
typedef struct { uint8_t b[8]; } hf_be64;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define HF_BE_FIX(bits, v) __builtin_bswap##bits(v)
#else
#define HF_BE_FIX(bits, v) (v)
#endif

#define HF_BE_DEFINE(bits) \
	static inline uint##bits##_t hf_get_be##bits(hf_be##bits x) \
	{ \
		uint##bits##_t v; \
		memcpy(&v, x.b, sizeof(v)); \
		return HF_BE_FIX(bits, v); \
	} \
	static inline hf_be##bits hf_put_be##bits(uint##bits##_t v) \
	{ \
		hf_be##bits x; \
		v = HF_BE_FIX(bits, v); \
		memcpy(x.b, &v, sizeof(v)); \
		return x; \
	}

HF_BE_DEFINE(16)
HF_BE_DEFINE(32)
HF_BE_DEFINE(64)

/* ---- magic numbers */
#define NBD_MAGIC 0x4e42444d41474943ull			/* "NBDMAGIC" */
#define NBD_OPTION_MAGIC 0x49484156454f5054ull		/* "IHAVEOPT" */
#define NBD_OPTION_REPLY_MAGIC 0x0003e889045565a9ull
#define NBD_REQUEST_MAGIC 0x25609513u
#define NBD_REQUEST_EXT_MAGIC 0x21e41c71u
#define NBD_SIMPLE_REPLY_MAGIC 0x67446698u
#define NBD_CHUNK_MAGIC 0x668e33efu
#define NBD_CHUNK_EXT_MAGIC 0x6e8a278cu

/* ---- flags */
#define NBD_FLAG_FIXED_NEWSTYLE (1u << 0)		/* handshake, both directions */
#define NBD_FLAG_NO_ZEROES (1u << 1)

#define NBD_FLAG_HAS_FLAGS (1u << 0)			/* transmission flags of an export */
#define NBD_FLAG_READ_ONLY (1u << 1)
#define NBD_FLAG_SEND_FLUSH (1u << 2)
#define NBD_FLAG_SEND_FUA (1u << 3)
#define NBD_FLAG_SEND_TRIM (1u << 5)
#define NBD_FLAG_SEND_WRITE_ZEROES (1u << 6)
#define NBD_FLAG_SEND_DF (1u << 7)
#define NBD_FLAG_CAN_MULTI_CONN (1u << 8)
#define NBD_FLAG_SEND_CACHE (1u << 10)
#define NBD_FLAG_SEND_FAST_ZERO (1u << 11)

#define NBD_CMD_FLAG_FUA (1u << 0)
#define NBD_CMD_FLAG_NO_HOLE (1u << 1)
#define NBD_CMD_FLAG_DF (1u << 2)
#define NBD_CMD_FLAG_REQ_ONE (1u << 3)
#define NBD_CMD_FLAG_FAST_ZERO (1u << 4)
#define NBD_CMD_FLAG_PAYLOAD_LEN (1u << 5)		/* extended headers only */

#define NBD_CHUNK_FLAG_DONE (1u << 0)

#define NBD_STATE_HOLE (1u << 0)			/* base:allocation */
#define NBD_STATE_ZERO (1u << 1)

#define NBD_STRING_MAX 4096u				/* bytes: names, queries, messages */

/* ---- numbers that have names: X(identifier, value) */
#define NBD_OPTIONS(X) \
	X(EXPORT_NAME, 1) X(ABORT, 2) X(LIST, 3) X(STARTTLS, 5) X(INFO, 6) X(GO, 7) X(STRUCTURED_REPLY, 8) \
	X(LIST_META_CONTEXT, 9) X(SET_META_CONTEXT, 10) X(EXTENDED_HEADERS, 11)

#define NBD_REPLIES(X) \
	X(ACK, 1u) X(SERVER, 2u) X(INFO, 3u) X(META_CONTEXT, 4u) \
	X(ERR_UNSUP, 0x80000001u) X(ERR_POLICY, 0x80000002u) X(ERR_INVALID, 0x80000003u) X(ERR_PLATFORM, 0x80000004u) \
	X(ERR_TLS_REQD, 0x80000005u) X(ERR_UNKNOWN, 0x80000006u) X(ERR_SHUTDOWN, 0x80000007u) \
	X(ERR_BLOCK_SIZE_REQD, 0x80000008u) X(ERR_TOO_BIG, 0x80000009u) X(ERR_EXT_HEADER_REQD, 0x8000000au)

#define NBD_INFOS(X) \
	X(EXPORT, 0) X(NAME, 1) X(DESCRIPTION, 2) X(BLOCK_SIZE, 3)

#define NBD_COMMANDS(X) \
	X(READ, 0) X(WRITE, 1) X(DISC, 2) X(FLUSH, 3) X(TRIM, 4) X(CACHE, 5) X(WRITE_ZEROES, 6) X(BLOCK_STATUS, 7)

#define NBD_CHUNKS(X) \
	X(NONE, 0) X(OFFSET_DATA, 1) X(OFFSET_HOLE, 2) X(BLOCK_STATUS, 5) X(BLOCK_STATUS_EXT, 6) \
	X(ERROR, 0x8001) X(ERROR_OFFSET, 0x8002)

#define NBD_ERRORS(X) \
	X(SUCCESS, 0) X(EPERM, 1) X(EIO, 5) X(ENOMEM, 12) X(EINVAL, 22) X(ENOSPC, 28) X(EOVERFLOW, 75) X(ENOTSUP, 95) \
	X(ESHUTDOWN, 108)

#define NBD_ENUM_OPTION(name, value) NBD_OPT_##name = value,
#define NBD_ENUM_INFO(name, value) NBD_INFO_##name = value,
#define NBD_ENUM_COMMAND(name, value) NBD_CMD_##name = value,
#define NBD_ENUM_CHUNK(name, value) NBD_CHUNK_##name = value,
#define NBD_ENUM_ERROR(name, value) NBD_##name = value,
#define NBD_ENUM_REPLY(name, value) NBD_REP_##name = value,

enum nbd_option { NBD_OPTIONS(NBD_ENUM_OPTION) };
enum nbd_option_reply { NBD_REPLIES(NBD_ENUM_REPLY) };
enum nbd_info { NBD_INFOS(NBD_ENUM_INFO) };
enum nbd_command { NBD_COMMANDS(NBD_ENUM_COMMAND) };
enum nbd_chunk { NBD_CHUNKS(NBD_ENUM_CHUNK) };
enum nbd_error { NBD_ERRORS(NBD_ENUM_ERROR) };

/* Names for logs; "unknown" for a number that is in no list. */
const char *hf_nbd_option_name(uint32_t option);
const char *hf_nbd_reply_name(uint32_t reply);
const char *hf_nbd_command_name(uint16_t command);
const char *hf_nbd_error_name(uint32_t error);

/* ---- layouts */
#define NBD_LAYOUT(type, bytes) static_assert(sizeof(type) == (bytes) && _Alignof(type) == 1, #type)

/* server's first words */
struct nbd_greeting { hf_be64 magic, option_magic; hf_be16 flags; };
NBD_LAYOUT(struct nbd_greeting, 18);

/* client's option, `length` bytes of data follow */
struct nbd_option_head { hf_be64 magic; hf_be32 option, length; };
NBD_LAYOUT(struct nbd_option_head, 16);

/* server's answer to an option, `length` bytes of data follow */
struct nbd_option_reply_head { hf_be64 magic; hf_be32 option, type, length; };
NBD_LAYOUT(struct nbd_option_reply_head, 20);

/* answer to EXPORT_NAME; the zeroes are left out when both sides said NO_ZEROES */
struct nbd_export_reply { hf_be64 size; hf_be16 flags; uint8_t zeroes[124]; };
NBD_LAYOUT(struct nbd_export_reply, 134);

struct nbd_info_export { hf_be16 type; hf_be64 size; hf_be16 flags; };
NBD_LAYOUT(struct nbd_info_export, 12);

struct nbd_info_block_size { hf_be16 type; hf_be32 min, preferred, max; };
NBD_LAYOUT(struct nbd_info_block_size, 14);

struct nbd_request { hf_be32 magic; hf_be16 flags, type; hf_be64 cookie, offset; hf_be32 length; };
NBD_LAYOUT(struct nbd_request, 28);

struct nbd_request_ext { hf_be32 magic; hf_be16 flags, type; hf_be64 cookie, offset, length; };
NBD_LAYOUT(struct nbd_request_ext, 32);

struct nbd_simple_reply { hf_be32 magic, error; hf_be64 cookie; };
NBD_LAYOUT(struct nbd_simple_reply, 16);

struct nbd_chunk_head { hf_be32 magic; hf_be16 flags, type; hf_be64 cookie; hf_be32 length; };
NBD_LAYOUT(struct nbd_chunk_head, 20);

struct nbd_chunk_head_ext { hf_be32 magic; hf_be16 flags, type; hf_be64 cookie, offset, length; };
NBD_LAYOUT(struct nbd_chunk_head_ext, 32);

/* ERROR, ERROR_OFFSET: `message_length` bytes of text follow, then for ERROR_OFFSET the offset */
struct nbd_chunk_error { hf_be32 error; hf_be16 message_length; };
NBD_LAYOUT(struct nbd_chunk_error, 6);

struct nbd_extent { hf_be32 length, flags; };
NBD_LAYOUT(struct nbd_extent, 8);

struct nbd_extent_ext { hf_be64 length, flags; };
NBD_LAYOUT(struct nbd_extent_ext, 16);

#endif
