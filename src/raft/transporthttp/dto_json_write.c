#include "raft/transporthttp/dto_json.h"

#include <inttypes.h>

#include "base/base64.h"
#include "raft/storage/entry.h"
#include "types/command.h"
#include "types/json.h"

static void begin_field(struct buffer *out, const char *name) {
  if (out->data[out->len - 1] != '{') buffer_append_byte(out, ',');
  buffer_append_byte(out, '"');
  buffer_append_text(out, name);
  buffer_append_text(out, "\":");
}

static void write_number(struct buffer *out, const char *name, uint64_t value) {
  begin_field(out, name);
  buffer_append_u64_decimal(out, value);
}

static void write_text(struct buffer *out, const char *name, struct bytes value) {
  begin_field(out, name);
  json_write_string(out, value);
}

/* A field that may have to be its twin. */
static void write_bytes(struct buffer *out, const char *name, struct bytes value) {
  buffer_append_byte(out, ',');
  json_write_bytes_field(out, name, value);
}

/* ---- commands ---- */

static void write_items(struct buffer *out, const struct command *command) {
  bool put = command->op == OP_BATCH_PUT;
  struct bytes cursor = command->items;
  struct bytes key;
  struct bytes value;
  begin_field(out, put ? "entries" : "keys");
  buffer_append_byte(out, '[');
  for (bool first = true; command_next_item(command->op, &cursor, &key, &value); first = false) {
    if (!first) buffer_append_byte(out, ',');
    if (!put) {
      json_write_string(out, key);
      continue;
    }
    buffer_append_byte(out, '{');
    write_text(out, "key", key);
    write_bytes(out, "value", value);
    buffer_append_byte(out, '}');
  }
  buffer_append_byte(out, ']');
}

static void write_command(struct buffer *out, const struct command *command) {
  buffer_append_byte(out, '{');
  write_text(out, "client_id", command->client_id);
  write_number(out, "seq", command->seq);
  write_text(out, "op", bytes_of(op_type_name(command->op)));
  if (command->op == OP_BATCH_PUT || command->op == OP_BATCH_DELETE) {
    write_items(out, command);
  } else {
    write_text(out, "key", command->key);
    if (command->op == OP_CAS) write_bytes(out, "expected", command->expected);
    if (command->op != OP_DELETE) write_bytes(out, "value", command->value);
  }
  buffer_append_byte(out, '}');
}

/* False when it is none. */
static bool write_encoded_command(struct buffer *out, struct bytes encoded) {
  struct command command;
  begin_field(out, "cmd");
  if (encoded.len == 0) {
    buffer_append_text(out, "null");
    return true;
  }
  if (command_decode(encoded, &command) != STATUS_OK || command_validate(&command) != NULL) return false;
  write_command(out, &command);
  return true;
}

static bool write_entries(struct buffer *out, const struct dto *dto) {
  struct bytes rest = dto->entries;
  struct log_entry entry;
  uint64_t index = dto->message.as.append.prev_index;
  begin_field(out, "entries");
  buffer_append_byte(out, '[');
  while (log_entry_next(&rest, &entry)) {
    if (out->data[out->len - 1] != '[') buffer_append_byte(out, ',');
    buffer_append_byte(out, '{');
    write_number(out, "index", ++index);
    write_number(out, "term", entry.term);
    if (!write_encoded_command(out, entry.command)) return false;
    buffer_append_byte(out, '}');
  }
  buffer_append_byte(out, ']');
  return true;
}

/* ---- messages ---- */

static void write_data(struct buffer *out, struct bytes piece) {
  begin_field(out, "data");
  buffer_append_byte(out, '"');
  base64_encode(piece, out);
  buffer_append_byte(out, '"');
}

static void write_sender(struct buffer *out, const struct dto_shape *shape, const struct dto *dto) {
  write_text(out, shape->sender_name, bytes_of(dto->from));
  if (dto->message.type == RAFT_APPEND && dto->from_address != NULL)
    write_text(out, "leader_addr", bytes_of(dto->from_address));
}

static void write_fields(struct buffer *out, const struct dto_shape *shape, const struct raft_message *message) {
  for (size_t i = 0; i < shape->fields_count; i++) {
    const struct dto_field *field = &shape->fields[i];
    uint64_t value = dto_get(message, field);
    if (field->kind == DTO_FLAG) {
      begin_field(out, field->name);
      buffer_append_text(out, value == 1 ? "true" : "false");
    } else {
      write_number(out, field->name, value);
    }
  }
}

static void write_identity(struct buffer *out, const struct dto *dto) {
  if (dto->has_cluster) {
    begin_field(out, "cluster");
    buffer_append_format(out, "\"%016" PRIx64 "\"", dto->cluster);
  }
  if (dto->to[0] != '\0') write_text(out, "to", bytes_of(dto->to));
}

enum status dto_json_encode(const struct dto *dto, struct buffer *out) {
  const struct dto_shape *shape = dto_shape_of(dto->message.type);
  bool is_request = shape->sender_name != NULL;
  buffer_clear(out);
  buffer_append_byte(out, '{');
  if (is_request) write_sender(out, shape, dto);
  write_fields(out, shape, &dto->message);
  if (dto->message.type == RAFT_APPEND && !write_entries(out, dto)) return STATUS_INVALID;
  if (dto->message.type == RAFT_INSTALL) write_data(out, dto->entries);
  if (is_request) write_identity(out, dto);
  buffer_append_byte(out, '}');
  return STATUS_OK;
}
