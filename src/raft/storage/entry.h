/* A log entry and its one encoding, which goes to the log, the disk and the peers alike:
 *   u64 term | u32 command bytes | command (types/command.h; empty: a leader's no-op), little endian.
 * The index is not part of it: entries stand in order behind a known index. Any thread. */
#ifndef KV_RAFT_STORAGE_ENTRY_H
#define KV_RAFT_STORAGE_ENTRY_H

#include "base/buffer.h"

enum { LOG_ENTRY_HEAD_BYTES = 12 };

struct log_entry {
  uint64_t index; /* 1-based */
  uint64_t term;
  struct bytes command; /* empty: no-op */
};

void log_entry_encode(struct buffer *out, uint64_t term, struct bytes command);
/* Takes the next entry off the front of `encoded`. False when there is none or it is cut short. entry->index is
 * untouched. */
bool log_entry_next(struct bytes *encoded, struct log_entry *entry);

#endif
