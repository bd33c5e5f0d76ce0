/* Snapshot files, looked at without changing anything:
 *
 *   snapshots.parse(name) -> "whole", index, term | "writing" | "foreign"     a name in snap/
 *   snapshots.check(disk, name) -> {bytes =, index =, keys =, clients =, digest =}    a whole file name; the content is
 *     restored as a start does it. When that refuses it: {bytes =, what = why}. A disk that fails: nil, status,
 * message.
 */
#include "script/lua_snapshots.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "base/check.h"
#include "kvsm/kvsm.h"
#include "raft/storage/snapshot_files.h"
#include "script/lua_disk.h"
#include "script/lua_raft.h"

enum { READ_BYTES = 1 << 20 };

int lua_snapshot_parse(lua_State *L) {
  static const char *const names[] = {"whole", "writing", "foreign"};
  struct snapshot_mark mark;
  enum snapshot_file_kind kind = snapshot_name_parse(luaL_checkstring(L, 1), &mark);
  lua_pushstring(L, names[kind]);
  if (kind != SNAPSHOT_FILE_WHOLE) return 1;
  lua_pushinteger(L, (lua_Integer)mark.index);
  lua_pushinteger(L, (lua_Integer)mark.term);
  return 3;
}

/* STATUS_CORRUPT: the content is refused. *bytes is what the file has, in every case. */
static enum status read_whole(struct disk *disk, struct disk_file *file, struct kvsm_restore *restore, uint64_t *bytes,
                              struct error *err) {
  enum status status = disk->ops->size(disk, file, bytes, err);
  if (status != STATUS_OK) return status;
  size_t len = *bytes < READ_BYTES ? (size_t)*bytes + 1 : READ_BYTES;
  uint8_t *piece = xmalloc(len);
  size_t got = len;
  for (uint64_t offset = 0; status == STATUS_OK && got == len; offset += got) {
    status = disk->ops->read(disk, file, offset, piece, len, &got, err);
    if (status == STATUS_OK) status = kvsm_restore_feed(restore, bytes_make(piece, got), err);
  }
  free(piece);
  return status;
}

static enum status restore_file(struct disk *disk, const char *name, struct kvsm *sm, uint64_t *bytes,
                                struct error *err) {
  struct disk_file *file;
  enum status status = disk->ops->open(disk, name, DISK_OPEN_READ, &file, err);
  if (status != STATUS_OK) return status;
  struct kvsm_restore *restore = kvsm_restore_begin();
  status = read_whole(disk, file, restore, bytes, err);
  disk->ops->close(disk, file);
  if (status == STATUS_OK) return kvsm_restore_finish(restore, sm, err);
  kvsm_restore_abort(restore);
  return status;
}

static void push_stats(lua_State *L, const struct kvsm_stats *stats) {
  char digest[HASH128_HEX_CHARS + 1];
  hash128_hex(stats->digest, digest);
  lua_raft_set_integer(L, "index", stats->last_applied);
  lua_raft_set_integer(L, "keys", stats->keys);
  lua_raft_set_integer(L, "clients", stats->clients);
  lua_pushstring(L, digest);
  lua_setfield(L, -2, "digest");
}

int lua_snapshot_check(lua_State *L) {
  struct disk *disk = lua_disk_check(L, 1)->base;
  const char *name = lua_disk_check_name(L, 2);
  struct kvsm *sm = kvsm_create();
  struct kvsm_stats stats;
  uint64_t bytes = 0;
  struct error err = {""};
  enum status status = restore_file(disk, name, sm, &bytes, &err);
  kvsm_stats(sm, &stats);
  kvsm_destroy(sm);
  if (status != STATUS_OK && status != STATUS_CORRUPT) {
    lua_raft_push_status(L, status);
    lua_pushstring(L, err.text);
    return 3;
  }
  lua_newtable(L);
  lua_raft_set_integer(L, "bytes", bytes);
  if (status == STATUS_OK) {
    push_stats(L, &stats);
  } else {
    lua_pushstring(L, err.text);
    lua_setfield(L, -2, "what");
  }
  return 1;
}
