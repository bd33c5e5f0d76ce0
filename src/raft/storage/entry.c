#include "raft/storage/entry.h"

static void store_le(uint8_t *at, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; i++)
    at[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t load_le(const uint8_t *at, int bytes) {
  uint64_t value = 0;
  for (int i = 0; i < bytes; i++)
    value |= (uint64_t)at[i] << (8 * i);
  return value;
}

void log_entry_encode(struct buffer *out, uint64_t term, struct bytes command) {
  uint8_t *head = buffer_reserve(out, LOG_ENTRY_HEAD_BYTES);
  store_le(head, term, 8);
  store_le(head + 8, command.len, 4);
  out->len += LOG_ENTRY_HEAD_BYTES;
  buffer_append_bytes(out, command);
}

bool log_entry_next(struct bytes *encoded, struct log_entry *entry) {
  if (encoded->len < LOG_ENTRY_HEAD_BYTES) return false;
  uint64_t command_bytes = load_le(encoded->data + 8, 4);
  if (command_bytes > encoded->len - LOG_ENTRY_HEAD_BYTES) return false;
  entry->term = load_le(encoded->data, 8);
  entry->command = bytes_make(encoded->data + LOG_ENTRY_HEAD_BYTES, (size_t)command_bytes);
  size_t taken = LOG_ENTRY_HEAD_BYTES + (size_t)command_bytes;
  *encoded = bytes_make(encoded->data + taken, encoded->len - taken);
  return true;
}
