/* The compact body between nodes (Content-Type application/x-kvserver-raft), little endian, version 1:
 *
 *   u64 checksum (XXH3, of all that follows) | u8 version = 1 | u8 type | u64 cluster
 *   u8 n, sender's id | u8 n, receiver's id | the type's fields in the order of its table: u64, or u8 for a flag
 *   append only: u32 count, then that many entries exactly as they stand in the log (raft/storage/entry.h)
 *   install only: u32 bytes, then that many bytes of the snapshot
 *
 * Any thread. */
#ifndef KV_RAFT_TRANSPORTHTTP_DTO_BINARY_H
#define KV_RAFT_TRANSPORTHTTP_DTO_BINARY_H

#include "base/buffer.h"
#include "raft/transporthttp/dto.h"

#define DTO_BINARY_TYPE "application/x-kvserver-raft"

/* Replaces the content of `out`. */
void dto_binary_encode(const struct dto *dto, struct buffer *out);
/* STATUS_INVALID with a message when the body is not exactly one message of this type, or against dto_check.
 * out->entries is a view of the body. */
enum status dto_binary_decode(struct bytes body, enum raft_message_type type, struct dto *out, struct error *err);

#endif
