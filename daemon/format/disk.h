#ifndef LDB_H
#define LDB_H
#include <errno.h>
#include <string.h>
#include "base/le.h"
#include "codec/csum.h"
#include "core/types.h"
#define HF_DISK_VERSION 1u
#define HF_DISK_PAGE 4096u
#define HF_DISK_LOG_OFF 65536u
#define HF_DISK_SECTOR 512u
#define HF_DISK_SECTOR_DATA 504u
#define HF_DISK_BATCH_HEAD 64u
#define HF_DISK_ENTRY_HEAD 72u
#define HF_DISK_CHUNKS_PER_PAGE 26u
struct hf_disk_checkpoint { hf_seq applied; hf_epoch epoch; uint32_t chain; hf_seq commit; uint64_t size_blocks, batch; uint32_t log_pos; uint64_t dw, digest; };
struct hf_disk_super { uint64_t generation; struct hf_leg_identity id; uint64_t log_off, dw_off, table_off, data_off; uint32_t log_bytes, dw_pages; uint64_t chunks_max; struct hf_disk_checkpoint checkpoint; struct hf_leg_state state; };
static inline void hf_disk_super_encode(void *page, const struct hf_disk_super *s) { uint32_t c; memset(page, 0, 4096); memcpy(page, s, sizeof(*s)); c = hf_crc32c(page, 4092); memcpy((char *)page + 4092, &c, 4); }
static inline int hf_disk_super_decode(const void *page, struct hf_disk_super *out, const char **why) { uint32_t c; memcpy(&c, (const char *)page + 4092, 4); *why = "no superblock"; if (c != hf_crc32c(page, 4092)) return -EUCLEAN; memcpy(out, page, sizeof(*out)); return out->generation ? 0 : -EUCLEAN; }
static inline uint32_t hf_disk_salt(const struct hf_uuid *leg) { return hf_crc32c(leg->b, 16); }
static inline uint64_t hf_disk_stamp(uint32_t salt, uint64_t batch, uint32_t sector) { return (uint64_t)(uint32_t)batch << 32 | (salt ^ (sector * 0x9e3779b1u) ^ (uint32_t)(batch >> 32)); }
struct hf_disk_batch { uint64_t no; uint32_t stream_len, pages, count; hf_seq commit; };
static inline void hf_disk_batch_encode(void *head, uint32_t salt, const struct hf_disk_batch *b) { uint32_t c; memset(head, 0, 64); memcpy(head, &salt, 4); memcpy((char *)head + 8, b, sizeof(*b)); c = hf_crc32c(head, 60); memcpy((char *)head + 60, &c, 4); }
static inline int hf_disk_batch_decode(const void *head, uint32_t salt, struct hf_disk_batch *b) { uint32_t c; memcpy(&c, (const char *)head + 60, 4); if (c != hf_crc32c(head, 60) || memcmp(head, &salt, 4)) return -EBADMSG; memcpy(b, (const char *)head + 8, sizeof(*b)); return 0; }
struct eh { uint32_t crc; uint8_t type, pad[3]; uint32_t nblocks, prev_chain; uint64_t epoch, seq, lba, ver; uint32_t chain, pad2; uint64_t skip, zero; };
_Static_assert(sizeof(struct eh) == 72, "eh");
static inline uint32_t hf_disk_entry_size(uint8_t type, uint32_t nblocks) { return 72 + (type == HF_OP_WRITE || type == HF_OP_RESYNC ? 8 * nblocks : 0); }
static inline uint32_t hf_disk_entry_encode(void *out, uint32_t salt, const struct hf_entry *e) { struct eh *h = out; uint32_t size = hf_disk_entry_size(e->type, e->nblocks), *crc = (uint32_t *)(h + 1); *h = (struct eh){ .type = e->type, .nblocks = e->nblocks, .prev_chain = e->prev_chain, .epoch = e->epoch, .seq = e->seq, .lba = e->lba, .ver = e->ver, .chain = e->chain, .skip = e->skip, .zero = e->zero }; for (uint32_t i = 0; hf_entry_has_payload(e) && i < e->nblocks; i++) { crc[2 * i] = e->block_crc[i]; crc[2 * i + 1] = e->frag_crc[i]; } h->crc = hf_crc32c_extend(salt, (char *)h + 4, size - 4); return size; }
static inline uint32_t hf_disk_entry_peek(const void *head) { const struct eh *h = head; if (h->type < 1 || h->type > 5 || h->nblocks > 1024) return 0; if ((h->type == 1 || h->type == 5) && (h->nblocks < 1 || h->nblocks > 64)) return 0; return hf_disk_entry_size(h->type, h->nblocks); }
static inline int hf_disk_entry_decode(const void *in, uint32_t salt, struct hf_entry *o) { const struct eh *h = in; const uint32_t *crc = (const uint32_t *)(h + 1); uint32_t size = hf_disk_entry_peek(in); if (!size || h->crc != hf_crc32c_extend(salt, (const char *)h + 4, size - 4)) return -EBADMSG; o->type = h->type; o->nblocks = h->nblocks; o->epoch = h->epoch; o->seq = h->seq; o->lba = h->lba; o->ver = h->ver; o->prev_chain = h->prev_chain; o->chain = h->chain; o->skip = h->skip; o->zero = h->zero; for (uint32_t i = 0; hf_entry_has_payload(o) && i < o->nblocks; i++) { o->block_crc[i] = crc[2 * i]; o->frag_crc[i] = crc[2 * i + 1]; } return 0; }
struct hf_disk_chunk { uint32_t phys; uint16_t present, flags; hf_epoch epoch; hf_seq seq; uint32_t frag_crc[16], block_crc[16]; };
_Static_assert(sizeof(struct hf_disk_chunk) == 152, "chunk");
static inline uint32_t hf_disk_page_encode(void *page, uint32_t salt, uint64_t number, const struct hf_disk_chunk c[26]) { uint32_t crc; memset(page, 0, 4096); memcpy(page, &number, 8); memcpy((char *)page + 16, c, 26 * 152); crc = hf_crc32c_extend(salt, page, 4092); if (!crc) crc = 1; memcpy((char *)page + 4092, &crc, 4); return crc; }
static inline int hf_disk_page_decode(const void *page, uint32_t salt, uint64_t number, struct hf_disk_chunk c[26], uint32_t *crc) { const char *p = page; uint64_t n; uint32_t k; if (p[0] == 0 && !memcmp(p, p + 1, 4095)) return 0; memcpy(&k, p + 4092, 4); *crc = hf_crc32c_extend(salt, page, 4092); if (!*crc) *crc = 1; memcpy(&n, p, 8); if (k != *crc || n != number) return -EBADMSG; memcpy(c, p + 16, 26 * 152); return 1; }
struct hf_disk_dw { uint64_t no, digest; uint32_t count, content_crc; uint64_t off[500]; };
static inline void hf_disk_dw_encode(void *page, uint32_t salt, const struct hf_disk_dw *d) { uint32_t c; memset(page, 0, 4096); memcpy(page, d, sizeof(*d)); c = hf_crc32c_extend(salt, page, 4092); memcpy((char *)page + 4092, &c, 4); }
static inline int hf_disk_dw_decode(const void *page, uint32_t salt, struct hf_disk_dw *d) { uint32_t c; memcpy(&c, (const char *)page + 4092, 4); if (c != hf_crc32c_extend(salt, page, 4092)) return -EBADMSG; memcpy(d, page, sizeof(*d)); return d->no && d->count <= 500 ? 0 : -EBADMSG; }
#endif
