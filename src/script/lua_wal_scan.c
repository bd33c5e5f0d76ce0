/* wal.scan(disk [, visit]): what a write-ahead log holds, read-only (raft/storage/wal_recover.h), as a report
 *
 *   {verdict =, state =, segments = {{sequence, bytes}, ...}, spares = {...}, fillings = {...}, end_offset =,
 *    heads = {{file =, bytes =, life =, sequence =, previous_check =, check =, state =}, ...},
 *    batches = {{sequence =, offset =, bytes =, previous =, check =}, ...},      bytes: of the payload
 *    records = {{sequence =, offset =, type =, index =, term =, count =, bytes =, first_term =, hard_state =, state =},
 *               ...},                                       bytes: of the entries; first_term: of the first of them
 *    file =, offset =, cut_bytes =, what =, error = message}                     where it is torn or damaged
 *
 * state = {last_index =, last_term =, snapshot_index =, snapshot_term =, hard_state = {term =, voted_for =, proven =}}.
 * With `visit`, it is called for each as the scan comes to it, visit("head" | "batch" | "record", item), and the report
 * has no such lists: a log of any length is seen in little memory. What it raises is raised when the scan is over.
 * A disk that fails: nil, status, message. */
#include <lauxlib.h>

#include "raft/storage/wal_recover.h"
#include "script/lua_buffer.h"
#include "script/lua_disk.h"
#include "script/lua_raft.h"
#include "script/lua_wal.h"

/* What the scan must not be left for, by a jump: items are copied while it runs, and made into tables behind it, or in
 * a protected call. */
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
  uint64_t first_term; /* ENTRIES */
  struct wal_state state;
};

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

/* ---- items: each pushes a table ---- */

static void push_head(lua_State *L, const void *item) {
  const struct seen_head *seen = item;
  lua_newtable(L);
  set_text(L, "file", seen->file.text);
  lua_raft_set_integer(L, "bytes", seen->bytes);
  lua_raft_set_integer(L, "life", seen->head.life);
  lua_raft_set_integer(L, "sequence", seen->head.sequence);
  lua_raft_set_integer(L, "previous_check", seen->head.previous_check);
  lua_raft_set_integer(L, "check", seen->head.check);
  set_state(L, &seen->head.start);
}

static void push_batch(lua_State *L, const void *item) {
  const struct seen_batch *seen = item;
  lua_newtable(L);
  lua_raft_set_integer(L, "sequence", seen->sequence);
  lua_raft_set_integer(L, "offset", seen->offset);
  lua_raft_set_integer(L, "bytes", seen->bytes);
  lua_raft_set_integer(L, "previous", seen->previous);
  lua_raft_set_integer(L, "check", seen->check);
}

static void push_record(lua_State *L, const void *item) {
  static const char *const types[] = {NULL, "hard_state", "entries", "snapshot", "reset", "seal"};
  const struct seen_record *seen = item;
  const struct wal_record *record = &seen->record;
  lua_newtable(L);
  lua_raft_set_integer(L, "sequence", seen->sequence);
  lua_raft_set_integer(L, "offset", seen->offset);
  set_text(L, "type", types[record->type]);
  lua_raft_set_integer(L, "index", record->index);
  lua_raft_set_integer(L, "term", record->term);
  lua_raft_set_integer(L, "count", record->count);
  lua_raft_set_integer(L, "bytes", record->entries.len);
  lua_raft_set_integer(L, "first_term", seen->first_term);
  if (record->type == WAL_HARD_STATE) set_hard_state(L, &record->hard_state);
  set_state(L, &seen->state);
}

enum item_kind { ITEM_HEAD, ITEM_BATCH, ITEM_RECORD, ITEM_KINDS };

static const struct {
  const char *name;
  const char *list; /* in the report */
  size_t bytes;
  void (*push)(lua_State *L, const void *item);
} kinds[ITEM_KINDS] = {{"head", "heads", sizeof(struct seen_head), push_head},
                       {"batch", "batches", sizeof(struct seen_batch), push_batch},
                       {"record", "records", sizeof(struct seen_record), push_record}};

/* ---- what the scan says ---- */

struct seen {
  lua_State *L;
  bool visits;                      /* the visitor is at index 2; else the items are kept: */
  bool raised;                      /* its error is at the top, and nobody visits any more */
  struct buffer *lists[ITEM_KINDS]; /* of items */
};

struct visit {
  enum item_kind kind;
  const void *item;
};

/* The visitor, and what to show it. */
static int call_visitor(lua_State *L) {
  const struct visit *visit = lua_touserdata(L, 2);
  lua_settop(L, 1);
  lua_pushstring(L, kinds[visit->kind].name);
  kinds[visit->kind].push(L, visit->item);
  lua_call(L, 2, 0);
  return 0;
}

static void see(struct seen *seen, enum item_kind kind, const void *item) {
  if (!seen->visits) {
    buffer_append(seen->lists[kind], item, kinds[kind].bytes);
  } else if (!seen->raised) {
    struct visit visit = {kind, item};
    lua_pushcfunction(seen->L, call_visitor);
    lua_pushvalue(seen->L, 2);
    lua_pushlightuserdata(seen->L, &visit);
    seen->raised = lua_pcall(seen->L, 2, 0, 0) != LUA_OK;
  }
}

static void on_head(void *context, const struct wal_name *file, uint64_t file_bytes, const struct wal_head *head) {
  struct seen_head item = {*file, file_bytes, *head};
  see(context, ITEM_HEAD, &item);
}

static void on_batch(void *context, uint64_t sequence, uint64_t offset, const struct wal_batch_head *batch) {
  struct seen_batch item = {sequence, offset, batch->payload.len, batch->previous, batch->check};
  see(context, ITEM_BATCH, &item);
}

static void on_record(void *context, uint64_t sequence, uint64_t offset, const struct wal_record *record,
                      const struct wal_state *state) {
  struct seen_record item = {.sequence = sequence, .offset = offset, .record = *record, .state = *state};
  struct bytes entries = record->entries;
  struct log_entry first;
  if (record->type == WAL_ENTRIES && log_entry_next(&entries, &first)) item.first_term = first.term;
  see(context, ITEM_RECORD, &item);
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

static void set_lists(lua_State *L, const struct seen *seen) {
  for (size_t kind = 0; kind < ITEM_KINDS; kind++) {
    const struct buffer *list = seen->lists[kind];
    lua_newtable(L);
    for (size_t at = 0, place = 1; at < list->len; at += kinds[kind].bytes, place++) {
      kinds[kind].push(L, list->data + at);
      lua_rawseti(L, -2, (lua_Integer)place);
    }
    lua_setfield(L, -2, kinds[kind].list);
  }
}

int lua_wal_scan(lua_State *L) {
  struct lua_disk *disk = lua_disk_check(L, 1);
  bool visits = !lua_isnoneornil(L, 2);
  if (visits) luaL_checktype(L, 2, LUA_TFUNCTION);
  struct seen seen = {.L = L, .visits = visits, .lists = {lua_buffer_push(L), lua_buffer_push(L), lua_buffer_push(L)}};
  struct found found = {.segments = lua_buffer_push(L), .spares = lua_buffer_push(L), .fillings = lua_buffer_push(L)};
  struct wal_visitor visitor = {&seen, on_head, on_batch, on_record};
  struct wal_scan scan;
  struct error err = {""};
  enum status status = wal_scan_run(disk->base, &visitor, &scan, &err);
  keep(&found, &scan);
  if (seen.raised) return lua_error(L);
  if (status != STATUS_OK && status != STATUS_CORRUPT) {
    lua_raft_push_status(L, status);
    lua_pushstring(L, err.text);
    return 3;
  }
  lua_newtable(L);
  set_found(L, &found);
  if (status != STATUS_OK) set_text(L, "error", err.text);
  if (!visits) set_lists(L, &seen);
  return 1;
}
