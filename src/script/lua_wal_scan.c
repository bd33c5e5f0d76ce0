/* wal.scan(disk): what a write-ahead log holds, read-only (raft/storage/wal_recover.h), as a report
 *
 *   {verdict =, state =, segments = {{sequence, bytes}, ...}, spares = {...}, fillings = {...}, end_offset =,
 *    heads = {{file =, bytes =, life =, sequence =, previous_check =, check =, state =}, ...},
 *    batches = {{sequence =, offset =, bytes =, previous =, check =}, ...},      bytes: of the payload
 *    records = {{sequence =, offset =, type =, index =, term =, count =, hard_state =, state =}, ...},
 *    file =, offset =, cut_bytes =, what =, error = message}                     where it is torn or damaged
 *
 * state = {last_index =, last_term =, snapshot_index =, snapshot_term =, hard_state = {term =, voted_for =, proven =}}.
 * A disk that fails: nil, status, message. */
#include <lauxlib.h>

#include "raft/storage/wal_recover.h"
#include "script/lua_buffer.h"
#include "script/lua_disk.h"
#include "script/lua_raft.h"
#include "script/lua_wal.h"

/* Collected while the scan runs, which must not be left by a jump; made into tables behind it. */
struct seen_head {
  struct wal_name file;
  uint64_t bytes;
  struct wal_head head;
};
struct seen_batch {
  uint64_t sequence;
  uint64_t offset;
  uint64_t bytes;
  uint64_t previous;
  uint64_t check;
};
struct seen_record {
  uint64_t sequence;
  uint64_t offset;
  struct wal_record record;
  struct wal_state state;
};
struct seen {
  struct buffer *heads;
  struct buffer *batches;
  struct buffer *records;
};

static void on_head(void *context, const struct wal_name *file, uint64_t file_bytes, const struct wal_head *head) {
  const struct seen *seen = context;
  struct seen_head item = {*file, file_bytes, *head};
  buffer_append(seen->heads, &item, sizeof item);
}

static void on_batch(void *context, uint64_t sequence, uint64_t offset, const struct wal_batch_head *batch) {
  const struct seen *seen = context;
  struct seen_batch item = {sequence, offset, batch->payload.len, batch->previous, batch->check};
  buffer_append(seen->batches, &item, sizeof item);
}

static void on_record(void *context, uint64_t sequence, uint64_t offset, const struct wal_record *record,
                      const struct wal_state *state) {
  const struct seen *seen = context;
  struct seen_record item = {sequence, offset, *record, *state};
  buffer_append(seen->records, &item, sizeof item);
}

/* ---- tables: each sets a field of the table at the top ---- */

static void set_text(lua_State *L, const char *field, const char *text) {
  lua_pushstring(L, text);
  lua_setfield(L, -2, field);
}

static void set_hard_state(lua_State *L, const struct raft_hard_state *state) {
  lua_raft_push_hard_state(L, state);
  lua_setfield(L, -2, "hard_state");
}

static void set_state(lua_State *L, const struct wal_state *state) {
  lua_newtable(L);
  lua_raft_set_integer(L, "last_index", state->last_index);
  lua_raft_set_integer(L, "last_term", state->last_term);
  lua_raft_set_integer(L, "snapshot_index", state->snapshot_index);
  lua_raft_set_integer(L, "snapshot_term", state->snapshot_term);
  set_hard_state(L, &state->hard_state);
  lua_setfield(L, -2, "state");
}

static void set_heads(lua_State *L, const struct buffer *heads) {
  const struct seen_head *items = (const struct seen_head *)(void *)heads->data;
  lua_newtable(L);
  for (size_t i = 0; i < heads->len / sizeof *items; i++) {
    lua_newtable(L);
    set_text(L, "file", items[i].file.text);
    lua_raft_set_integer(L, "bytes", items[i].bytes);
    lua_raft_set_integer(L, "life", items[i].head.life);
    lua_raft_set_integer(L, "sequence", items[i].head.sequence);
    lua_raft_set_integer(L, "previous_check", items[i].head.previous_check);
    lua_raft_set_integer(L, "check", items[i].head.check);
    set_state(L, &items[i].head.start);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, -2, "heads");
}

static void set_batches(lua_State *L, const struct buffer *batches) {
  const struct seen_batch *items = (const struct seen_batch *)(void *)batches->data;
  lua_newtable(L);
  for (size_t i = 0; i < batches->len / sizeof *items; i++) {
    lua_newtable(L);
    lua_raft_set_integer(L, "sequence", items[i].sequence);
    lua_raft_set_integer(L, "offset", items[i].offset);
    lua_raft_set_integer(L, "bytes", items[i].bytes);
    lua_raft_set_integer(L, "previous", items[i].previous);
    lua_raft_set_integer(L, "check", items[i].check);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, -2, "batches");
}

static void set_records(lua_State *L, const struct buffer *records) {
  static const char *const types[] = {NULL, "hard_state", "entries", "snapshot", "reset", "seal"};
  const struct seen_record *items = (const struct seen_record *)(void *)records->data;
  lua_newtable(L);
  for (size_t i = 0; i < records->len / sizeof *items; i++) {
    const struct wal_record *record = &items[i].record;
    lua_newtable(L);
    lua_raft_set_integer(L, "sequence", items[i].sequence);
    lua_raft_set_integer(L, "offset", items[i].offset);
    set_text(L, "type", types[record->type]);
    lua_raft_set_integer(L, "index", record->index);
    lua_raft_set_integer(L, "term", record->term);
    lua_raft_set_integer(L, "count", record->count);
    if (record->type == WAL_HARD_STATE) set_hard_state(L, &record->hard_state);
    set_state(L, &items[i].state);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, -2, "records");
}

/* ---- the report ---- */

/* What the scan owns, copied for the time behind it. */
struct found {
  struct wal_scan scan; /* its owned members are gone */
  struct buffer *segments;
  struct buffer *spares;
  struct buffer *fillings;
};

static void keep(struct found *found, struct wal_scan *scan) {
  buffer_append(found->segments, scan->segments, scan->segments_count * sizeof scan->segments[0]);
  buffer_append(found->spares, scan->spares, scan->spares_count * sizeof scan->spares[0]);
  buffer_append(found->fillings, scan->fillings, scan->fillings_count * sizeof scan->fillings[0]);
  found->scan = *scan;
  wal_scan_deinit(scan);
}

/* A list of the first u64 (sequence, number) of each item. */
static void set_numbers(lua_State *L, const char *field, const struct buffer *items, size_t item_bytes) {
  lua_newtable(L);
  for (size_t i = 0; i < items->len / item_bytes; i++) {
    uint64_t number;
    memcpy(&number, items->data + i * item_bytes, sizeof number);
    lua_pushinteger(L, (lua_Integer)number);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, -2, field);
}

static void set_found(lua_State *L, const struct found *found) {
  const struct wal_scan *scan = &found->scan;
  set_text(L, "verdict", wal_verdict_name(scan->verdict));
  set_state(L, &scan->end.state);
  lua_raft_set_integer(L, "end_offset", scan->end.offset);
  set_numbers(L, "segments", found->segments, sizeof(struct wal_segment_found));
  set_numbers(L, "spares", found->spares, sizeof(struct wal_spare_found));
  set_numbers(L, "fillings", found->fillings, sizeof(uint64_t));
  if (scan->verdict != WAL_TORN && scan->verdict != WAL_DAMAGED) return;
  set_text(L, "file", scan->file.text);
  lua_raft_set_integer(L, "offset", scan->offset);
  lua_raft_set_integer(L, "cut_bytes", scan->cut_bytes);
  set_text(L, "what", scan->what);
}

int lua_wal_scan(lua_State *L) {
  struct lua_disk *disk = lua_disk_check(L, 1);
  struct seen seen = {lua_buffer_push(L), lua_buffer_push(L), lua_buffer_push(L)};
  struct found found = {.segments = lua_buffer_push(L), .spares = lua_buffer_push(L), .fillings = lua_buffer_push(L)};
  struct wal_visitor visitor = {&seen, on_head, on_batch, on_record};
  struct wal_scan scan;
  struct error err = {""};
  enum status status = wal_scan_run(disk->base, &visitor, &scan, &err);
  keep(&found, &scan);
  if (status != STATUS_OK && status != STATUS_CORRUPT) {
    lua_raft_push_status(L, status);
    lua_pushstring(L, err.text);
    return 3;
  }
  lua_newtable(L);
  set_found(L, &found);
  if (status != STATUS_OK) set_text(L, "error", err.text);
  set_heads(L, seen.heads);
  set_batches(L, seen.batches);
  set_records(L, seen.records);
  return 1;
}
