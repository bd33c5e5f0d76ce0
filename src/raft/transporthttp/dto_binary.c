#include "raft/transporthttp/dto_binary.h"

#include "base/hash.h"
#include "base/little_endian.h"

enum { VERSION = 1, CHECKSUM_BYTES = 8 };

/* ---- writing ---- */

static void append_id(struct buffer *out, const char *id) {
  buffer_append_le(out, strlen(id), 1);
  buffer_append_text(out, id);
}

static size_t field_bytes(const struct dto_field *field) {
  return field->kind == DTO_FLAG ? 1 : 8;
}

static uint64_t checksum_of(struct bytes body) {
  return hash128_of(bytes_make(body.data + CHECKSUM_BYTES, body.len - CHECKSUM_BYTES), 0).low;
}

void dto_binary_encode(const struct dto *dto, struct buffer *out) {
  const struct raft_message *message = &dto->message;
  const struct dto_shape *shape = dto_shape_of(message->type);
  buffer_clear(out);
  buffer_append_le(out, 0, CHECKSUM_BYTES);
  buffer_append_le(out, VERSION, 1);
  buffer_append_le(out, (uint64_t)message->type, 1);
  buffer_append_le(out, dto->cluster, 8);
  append_id(out, dto->from);
  append_id(out, dto->to);
  for (size_t i = 0; i < shape->fields_count; i++)
    buffer_append_le(out, dto_get(message, &shape->fields[i]), field_bytes(&shape->fields[i]));
  if (message->type == RAFT_APPEND) buffer_append_le(out, message->as.append.entries_count, 4);
  if (message->type == RAFT_INSTALL) buffer_append_le(out, dto->entries.len, 4);
  buffer_append_bytes(out, dto->entries);
  le_store(out->data, checksum_of(buffer_view(out)), CHECKSUM_BYTES);
}

/* ---- reading: each take moves `rest` over what it read; false when too little is left ---- */

static bool take_le(struct bytes *rest, size_t bytes, uint64_t *out) {
  if (rest->len < bytes) return false;
  *out = le_load(rest->data, bytes);
  *rest = bytes_make(rest->data + bytes, rest->len - bytes);
  return true;
}

static bool take_id(struct bytes *rest, char id[NODE_ID_BYTES_MAX + 1]) {
  uint64_t len;
  if (!take_le(rest, 1, &len) || len > rest->len) return false;
  if (!dto_set_id(id, bytes_make(rest->data, (size_t)len))) return false;
  *rest = bytes_make(rest->data + len, rest->len - (size_t)len);
  return true;
}

static enum status take_head(struct bytes *rest, enum raft_message_type type, struct dto *out, struct error *err) {
  uint64_t checksum;
  uint64_t version;
  uint64_t number;
  struct bytes body = *rest;
  if (!take_le(rest, CHECKSUM_BYTES, &checksum)) return error_set(err, STATUS_INVALID, "body: cut short");
  if (checksum != checksum_of(body)) return error_set(err, STATUS_INVALID, "body: wrong checksum");
  if (!take_le(rest, 1, &version) || version != VERSION)
    return error_set(err, STATUS_INVALID, "body: not of version %d", VERSION);
  if (!take_le(rest, 1, &number) || number != (uint64_t)type)
    return error_set(err, STATUS_INVALID, "body: another type of message than the route's");
  out->message.type = type;
  out->has_cluster = true;
  if (!take_le(rest, 8, &out->cluster)) return error_set(err, STATUS_INVALID, "cluster: cut short");
  if (!take_id(rest, out->from)) return error_set(err, STATUS_INVALID, "sender: not a node id");
  return take_id(rest, out->to) ? STATUS_OK : error_set(err, STATUS_INVALID, "to: not a node id");
}

static enum status take_fields(struct bytes *rest, struct raft_message *message, struct error *err) {
  const struct dto_shape *shape = dto_shape_of(message->type);
  for (size_t i = 0; i < shape->fields_count; i++) {
    const struct dto_field *field = &shape->fields[i];
    uint64_t value;
    if (!take_le(rest, field_bytes(field), &value) || !dto_set(message, field, value))
      return error_set(err, STATUS_INVALID, "%s: cut short or out of range", field->name);
  }
  return STATUS_OK;
}

/* What travels beside the message: all that is left. */
static enum status take_entries(struct bytes rest, struct dto *out, struct error *err) {
  enum raft_message_type type = out->message.type;
  uint64_t count;
  if (type != RAFT_APPEND && type != RAFT_INSTALL)
    return rest.len == 0 ? STATUS_OK : error_set(err, STATUS_INVALID, "body: bytes behind its end");
  if (!take_le(&rest, 4, &count))
    return error_set(err, STATUS_INVALID, "%s: cut short", type == RAFT_APPEND ? "entries" : "data");
  if (type == RAFT_APPEND)
    out->message.as.append.entries_count = (uint32_t)count;
  else if (count != rest.len)
    return error_set(err, STATUS_INVALID, "data: not as long as it says");
  out->entries = rest;
  return STATUS_OK;
}

enum status dto_binary_decode(struct bytes body, enum raft_message_type type, struct dto *out, struct error *err) {
  struct dto dto;
  memset(&dto, 0, sizeof dto);
  enum status status = take_head(&body, type, &dto, err);
  if (status == STATUS_OK) status = take_fields(&body, &dto.message, err);
  if (status == STATUS_OK) status = take_entries(body, &dto, err);
  if (status == STATUS_OK) status = dto_check(&dto, err);
  if (status == STATUS_OK) *out = dto;
  return status;
}
