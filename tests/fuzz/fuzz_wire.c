// SPDX-License-Identifier: MIT
/*
 * fuzz_wire - the decoders of format/wire.c. First byte: which message, or a frame's header; the rest are its bytes,
 * checksums put right unless the header's flag says not to.
 *
 * Every field of every message is either taken over or refused, so what is decoded encodes to the same bytes; what is
 * refused leaves the output alone.
 */
#include <stdlib.h>

#include "codec/csum.h"
#include "format/wire.h"
#include "fuzz/fuzz.h"

#define UNTOUCHED 0xa5

static uint8_t encoded[HF_WIRE_META_MAX];

static void untouched(const void *out, size_t size)
{
	const uint8_t *p = out;

	for (size_t i = 0; i < size; i++)
		hf_assert(p[i] == UNTOUCHED);
}

static void same(const void *meta, uint32_t len, uint32_t encoded_len)
{
	hf_assert(encoded_len == len && memcmp(encoded, meta, len) == 0);
}

#define MESSAGE(name, type) \
	static void try_##name(const void *meta, uint32_t len) \
	{ \
		static struct type m; \
		memset(&m, UNTOUCHED, sizeof(m)); \
		if (hf_wire_##name##_decode(meta, len, &m)) \
			untouched(&m, sizeof(m)); \
		else \
			same(meta, len, hf_wire_##name##_encode(encoded, &m)); \
	}

MESSAGE(hello, hf_hello)
MESSAGE(prepare, hf_prepare)
MESSAGE(promise, hf_promise)
MESSAGE(adopt, hf_adopt)
MESSAGE(adopted, hf_adopted)
MESSAGE(ack, hf_ack)
MESSAGE(read, hf_wire_read)
MESSAGE(read_data, hf_wire_read_data)
MESSAGE(fetch, hf_wire_fetch)
MESSAGE(map, hf_wire_map)
MESSAGE(map_data, hf_wire_map_data)
MESSAGE(format, hf_wire_format)
MESSAGE(done, hf_wire_done)

static void try_entries(const void *meta, uint32_t len)
{
	uint32_t pos = 0, before, out = 0;
	static struct hf_entry e;

	for (;;) {
		before = pos;
		memset(&e, UNTOUCHED, sizeof(e));
		if (hf_wire_entry_decode(meta, len, &pos, &e))
			break;
		hf_assert(pos == before + hf_wire_entry_size(&e) && pos <= len);
		out += hf_wire_entry_encode(encoded + out, &e);
	}
	hf_assert(pos == before);
	untouched(&e, sizeof(e));
	same(meta, pos, out);
}

static void try_frame(const void *bytes, uint32_t len)
{
	struct fuzz_in in = { bytes, len };
	uint8_t flags = fuzz_u8(&in), head[HF_WIRE_HEADER], again[HF_WIRE_HEADER];
	struct hf_wire_header h;
	hf_le32 x;

	fuzz_take(&in, head, sizeof(head));
	if (flags & 1) {
		x = hf_put_le32(HF_WIRE_MAGIC);
		memcpy(head, &x, 4);
		head[4] = HF_WIRE_VERSION;
		x = hf_put_le32((uint32_t)in.left);
		memcpy(head + 8, &x, 4);
		x = hf_put_le32(hf_crc32c(in.p, in.left));
		memcpy(head + 16, &x, 4);
	}
	if (flags & 2) {
		x = hf_put_le32(hf_crc32c(head, HF_WIRE_HEADER - 4));
		memcpy(head + HF_WIRE_HEADER - 4, &x, 4);
	}
	if (hf_wire_header_check(head))
		return;
	hf_wire_header_decode(head, &h);
	hf_assert(h.meta_len <= HF_WIRE_META_MAX && h.data_len <= HF_FRAME_PAYLOAD_MAX && hf_wire_type_name(h.type));
	if (h.meta_len > in.left || !hf_wire_meta_check(head, in.p))
		return;
	hf_wire_header_encode(again, &h, in.p);
	hf_assert(memcmp(again, head, sizeof(head)) == 0);
}

static void (*const tries[])(const void *meta, uint32_t len) = {
	try_frame, try_hello, try_prepare, try_promise, try_adopt, try_adopted, try_ack, try_entries,
	try_read, try_read_data, try_fetch, try_map, try_map_data, try_format, try_done,
};

void fuzz_one(const uint8_t *data, size_t len)
{
	uint8_t *meta;

	if (len < 1 || len > HF_WIRE_META_MAX)
		return;
	meta = malloc(len - 1 ? len - 1 : 1);
	hf_assert(meta);
	memcpy(meta, data + 1, len - 1);
	tries[data[0] % (sizeof(tries) / sizeof(tries[0]))](meta, (uint32_t)len - 1);
	free(meta);
}
