/* Asynchronous writes as clients know them (seed: OpID, OpResult): the name of one, and what became of it.
 *
 * An id is `<node>-<incarnation>-<number>`: the member that took the write, its incarnation (one start of the program)
 * in 16 lower-case hex digits, and which of its asynchronous writes it is, in decimal from 1. A node's name may hold
 * '-', so an id is read from its right end. Every operation has exactly one spelling. Plain values; any thread. */
#ifndef KV_TYPES_OPERATION_H
#define KV_TYPES_OPERATION_H

#include "base/buffer.h"
#include "types/limits.h"
#include "types/result.h"

enum {
  OP_INCARNATION_CHARS = 16,
  OP_NUMBER_CHARS_MAX = 20,
  OP_ID_BYTES_MAX = NODE_ID_BYTES_MAX + 1 + OP_INCARNATION_CHARS + 1 + OP_NUMBER_CHARS_MAX
};

struct op_id {
  char node[NODE_ID_BYTES_MAX + 1];
  uint64_t incarnation;
  uint64_t number; /* from 1 */
};

struct op_result {
  bool ready;                 /* the outcome is known, or known never to be; else nothing below counts */
  struct apply_result result; /* what a synchronous write would have been answered */
  uint64_t index;             /* of the log; 0: unknown, or it is in none */
};

/* Appends at most OP_ID_BYTES_MAX bytes, all of a-z A-Z 0-9 . _ - */
void op_id_write(const struct op_id *id, struct buffer *out);
/* False, with `out` untouched, when `text` is not an id. */
bool op_id_parse(struct bytes text, struct op_id *out);

#endif
