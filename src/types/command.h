/* A command of the replicated log, and its one encoding: the bytes that go to the log, the disk and the peers.
 *
 * Encoding, little endian, version 1:
 *   u8 version = 1 | u8 op | u16 client_id bytes | u64 seq | client_id | operands
 *   operands: put      u32 n, key   u32 n, value
 *             delete   u32 n, key
 *             cas      u32 n, key   u32 n, expected   u32 n, value
 *             mput     u32 count, then count x (u32 n, key  u32 n, value)
 *             mdelete  u32 count, then count x (u32 n, key)
 * Decoding checks every length and that nothing follows; it never allocates: a decoded command is a view of
 * the encoded bytes. Whether the command makes sense is command_validate's business. Any thread. */
#ifndef KV_TYPES_COMMAND_H
#define KV_TYPES_COMMAND_H

#include "base/buffer.h"
#include "base/status.h"
#include "types/limits.h"
#include "types/result.h"

enum op_type { OP_PUT = 1, OP_DELETE, OP_CAS, OP_BATCH_PUT, OP_BATCH_DELETE };

/* "put", "delete", "cas", "mput", "mdelete"; "unknown" otherwise. Static. */
const char *op_type_name(enum op_type op);

struct command {
  struct bytes client_id; /* at most CLIENT_ID_BYTES_MAX; empty: no dedupe */
  uint64_t seq;           /* 0: no dedupe; at most 2^63-1 */
  enum op_type op;
  struct bytes key;      /* put, delete, cas */
  struct bytes value;    /* put, cas */
  struct bytes expected; /* cas */
  uint32_t items_count;  /* mput, mdelete */
  struct bytes items;    /* mput, mdelete: the encoded items; walk with command_next_item */
};

/* Appends the encoding of `command`, whose batch items (if any) are already encoded in command->items. */
void command_encode(const struct command *command, struct buffer *out);
/* Appends one item of a batch to a buffer that becomes command.items. `value` is ignored for OP_BATCH_DELETE. */
void command_append_item(struct buffer *items, enum op_type op, struct bytes key, struct bytes value);

/* STATUS_INVALID when the bytes are not exactly one command. `out` borrows `encoded`. */
enum status command_decode(struct bytes encoded, struct command *out);

/* Walks the items of a batch: `cursor` starts as command->items and shrinks. False at the end.
 * `value` is set for OP_BATCH_PUT only. */
bool command_next_item(enum op_type op, struct bytes *cursor, struct bytes *key, struct bytes *value);

/* The rules that do not depend on options: a key has 1 to KEY_BYTES_CAP bytes, is UTF-8 without NUL; values at most
 * VALUE_BYTES_CAP; client_id at most CLIENT_ID_BYTES_MAX bytes of UTF-8; seq at most 2^63-1; a batch holds 1 to
 * BATCH_ITEMS_MAX items. Returns NULL when valid, else a static message that names the field
 * ("key: must not be empty"). */
const char *command_validate(const struct command *command);
/* The same rule for one key. */
const char *key_validate(struct bytes key);

#endif
