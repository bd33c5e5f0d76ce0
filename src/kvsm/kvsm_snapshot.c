/* Snapshots as bytes: JSON Lines, each line ended by one newline, no spaces, strings as json_write_string writes them.
 *
 *   {"format":"kvserver-snapshot","version":1,"last_index":N}
 *   {"key":"..","value":".."}                                   one per key, in byte order
 *   {"client_id":"..","last_seq":N,"last_index":N,"reply":R}    one per client, in byte order
 *   {"keys":N,"clients":N,"last_index":N,"digest":"32 hex digits"}
 *
 * A value that is not UTF-8 stands as "value_base64" instead. R is {"ok":true}, {"ok":true,"deleted":N} or
 * {"ok":false,"err_code":"cas_failed"}. The digest is that of kvsm_state.h. Every state has exactly one form: a restore
 * refuses any other. The trailer repeats the index, so that no single byte can change without being noticed. */
#include "kvsm/kvsm.h"

#include "kvsm/kvsm_state.h"
#include "types/json.h"

enum { SNAPSHOT_CHUNK_BYTES = 262144 };

struct writer {
  struct buffer buffer; /* what is not with the sink yet: less than a chunk between two lines */
  kvsm_sink *sink;
  void *context;
};

/* Hands whole chunks to the sink. */
static enum status flush_chunks(struct writer *writer) {
  size_t done = 0;
  for (; writer->buffer.len - done >= SNAPSHOT_CHUNK_BYTES; done += SNAPSHOT_CHUNK_BYTES) {
    enum status status = writer->sink(writer->context, bytes_make(writer->buffer.data + done, SNAPSHOT_CHUNK_BYTES));
    if (status != STATUS_OK) return status;
  }
  if (done > 0) buffer_consume(&writer->buffer, done);
  return STATUS_OK;
}

static enum status flush_rest(struct writer *writer) {
  enum status status = flush_chunks(writer);
  if (status != STATUS_OK || writer->buffer.len == 0) return status;
  return writer->sink(writer->context, buffer_view(&writer->buffer));
}

static void append_number(struct buffer *out, const char *text_before, uint64_t number) {
  buffer_append_text(out, text_before);
  buffer_append_u64_decimal(out, number);
}

static void append_header(struct buffer *out, const struct kvsm_snapshot *snapshot) {
  append_number(out, "{\"format\":\"kvserver-snapshot\",\"version\":1,\"last_index\":", snapshot->index);
  buffer_append_text(out, "}\n");
}

static void append_entry(struct buffer *out, struct bytes key, struct bytes value) {
  buffer_append_text(out, "{\"key\":");
  json_write_string(out, key);
  buffer_append_byte(out, ',');
  json_write_bytes_field(out, "value", value);
  buffer_append_text(out, "}\n");
}

static void append_reply(struct buffer *out, const struct client_record *record) {
  switch (record->reply) {
  case CLIENT_REPLY_OK:
    buffer_append_text(out, "{\"ok\":true}");
    return;
  case CLIENT_REPLY_DELETED:
    append_number(out, "{\"ok\":true,\"deleted\":", record->deleted);
    buffer_append_byte(out, '}');
    return;
  case CLIENT_REPLY_CAS_FAILED:
    buffer_append_text(out, "{\"ok\":false,\"err_code\":\"cas_failed\"}");
    return;
  }
}

static void append_client(struct buffer *out, struct bytes client_id, struct bytes encoded) {
  struct client_record record = client_record_decode(encoded);
  buffer_append_text(out, "{\"client_id\":");
  json_write_string(out, client_id);
  append_number(out, ",\"last_seq\":", record.last_seq);
  append_number(out, ",\"last_index\":", record.last_index);
  buffer_append_text(out, ",\"reply\":");
  append_reply(out, &record);
  buffer_append_text(out, "}\n");
}

static void append_trailer(struct buffer *out, const struct kvsm_snapshot *snapshot) {
  char digest[HASH128_HEX_CHARS + 1];
  hash128_hex(snapshot->digest, digest);
  append_number(out, "{\"keys\":", kvmap_snapshot_count(snapshot->entries));
  append_number(out, ",\"clients\":", kvmap_snapshot_count(snapshot->clients));
  append_number(out, ",\"last_index\":", snapshot->index);
  buffer_append_text(out, ",\"digest\":\"");
  buffer_append_text(out, digest);
  buffer_append_text(out, "\"}\n");
}

static enum status write_table(struct writer *writer, const struct kvmap_snapshot *table,
                               void (*append)(struct buffer *out, struct bytes key, struct bytes value)) {
  struct kvmap_cursor cursor;
  struct bytes key, value;
  kvmap_snapshot_seek(table, bytes_make(NULL, 0), &cursor);
  while (kvmap_next(&cursor, &key, &value)) {
    append(&writer->buffer, key, value);
    if (writer->buffer.len < SNAPSHOT_CHUNK_BYTES) continue;
    enum status status = flush_chunks(writer);
    if (status != STATUS_OK) return status;
  }
  return STATUS_OK;
}

static enum status write_all(struct writer *writer, const struct kvsm_snapshot *snapshot) {
  append_header(&writer->buffer, snapshot);
  enum status status = write_table(writer, snapshot->entries, append_entry);
  if (status == STATUS_OK) status = write_table(writer, snapshot->clients, append_client);
  if (status != STATUS_OK) return status;
  append_trailer(&writer->buffer, snapshot);
  return flush_rest(writer);
}

enum status kvsm_snapshot_write(const struct kvsm_snapshot *snapshot, kvsm_sink *sink, void *context) {
  struct writer writer = {.sink = sink, .context = context};
  buffer_init(&writer.buffer);
  buffer_reserve(&writer.buffer, (size_t)SNAPSHOT_CHUNK_BYTES * 2);
  enum status status = write_all(&writer, snapshot);
  buffer_deinit(&writer.buffer);
  return status;
}
