#include "raft/storage/entry.h"

#include "base/little_endian.h"

void log_entry_encode(struct buffer *out, uint64_t term, struct bytes command) {
  uint8_t *head = buffer_reserve(out, LOG_ENTRY_HEAD_BYTES);
  le_store(head, term, 8);
  le_store(head + 8, command.len, 4);
  out->len += LOG_ENTRY_HEAD_BYTES;
  buffer_append_bytes(out, command);
}

bool log_entry_next(struct bytes *encoded, struct log_entry *entry) {
  if (encoded->len < LOG_ENTRY_HEAD_BYTES) return false;
  uint64_t command_bytes = le_load(encoded->data + 8, 4);
  if (command_bytes > encoded->len - LOG_ENTRY_HEAD_BYTES) return false;
  entry->term = le_load(encoded->data, 8);
  entry->command = bytes_make(encoded->data + LOG_ENTRY_HEAD_BYTES, (size_t)command_bytes);
  size_t taken = LOG_ENTRY_HEAD_BYTES + (size_t)command_bytes;
  *encoded = bytes_make(encoded->data + taken, encoded->len - taken);
  return true;
}
