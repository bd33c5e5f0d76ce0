/* An ordered map from bytes to bytes with snapshots in O(1): a copy-on-write B+tree.
 *
 * Every node and entry carries the generation in which it was born. Taking a snapshot hands out the root and starts a
 * new generation; from then on whatever is older than the newest snapshot is copied before it changes, and what a
 * snapshot may still see is put on that snapshot's list of the dead instead of being freed. Releasing a snapshot makes
 * its dead free: at once what nobody else sees, in bounded steps (kvmap_reclaim), so that no caller pays for a million
 * keys in one go. There are no reference counts: reading costs nothing and copying a leaf touches none of its entries.
 *
 * Threads: all calls on the map belong to its owner (who has a lock or is one thread). A snapshot's reading calls
 * (kvmap_snapshot_*, cursors on it) may run on another thread, concurrently with changes of the map; taking and
 * releasing it belong to the owner. */
#ifndef KV_KVSM_KVMAP_H
#define KV_KVSM_KVMAP_H

#include "base/bytes.h"

struct kvmap;
struct kvmap_snapshot;

struct kvmap *kvmap_create(void);      /* returns owned, empty */
void kvmap_destroy(struct kvmap *map); /* frees all; no snapshot may be live */

uint64_t kvmap_count(const struct kvmap *map);
/* Key and value bytes of the live entries. */
uint64_t kvmap_bytes(const struct kvmap *map);

/* Views of the found entry; borrowed until the next change of the map. False when absent. In every view that the map
 * hands out, the bytes of the key stand directly before those of the value (kvmap_content). */
bool kvmap_get(const struct kvmap *map, struct bytes key, struct bytes *value);
/* Inserts or overwrites. Key at most KEY_BYTES_CAP, value at most VALUE_BYTES_CAP bytes (CHECKed). */
void kvmap_put(struct kvmap *map, struct bytes key, struct bytes value);
/* False when it was not there. */
bool kvmap_delete(struct kvmap *map, struct bytes key);
/* The entry with the greatest key; false when the map is empty. */
bool kvmap_last(const struct kvmap *map, struct bytes *key, struct bytes *value);

/* Key and value in one view, given a value that the map handed out and the length of its key. */
static inline struct bytes kvmap_content(size_t key_bytes, struct bytes value) {
  return (struct bytes){value.data - key_bytes, key_bytes + value.len};
}

struct kvmap_snapshot *kvmap_snapshot_take(struct kvmap *map);
void kvmap_snapshot_release(struct kvmap *map, struct kvmap_snapshot *snapshot);
uint64_t kvmap_snapshot_count(const struct kvmap_snapshot *snapshot);

/* Frees up to `steps_max` dead nodes and entries of released snapshots; true while there is more. */
bool kvmap_reclaim(struct kvmap *map, size_t steps_max);
/* Whether kvmap_reclaim has something to do. */
bool kvmap_reclaimable(const struct kvmap *map);
/* kvmap_destroy in bounded steps: frees up to `steps_max` entries, true while there is more. After the first call only
 * this and kvmap_destroy are legal; no snapshot may be live. */
bool kvmap_dismantle(struct kvmap *map, size_t steps_max);

/* A walk in byte order. It holds no memory; any change of the map (not of a snapshot) ends its validity. */
enum { KVMAP_DEPTH_MAX = 12 };
struct kvmap_cursor {
  const void *node[KVMAP_DEPTH_MAX];
  uint32_t slot[KVMAP_DEPTH_MAX];
  uint32_t depth; /* 0: at the end */
  bool found;     /* the key that was looked for is there */
};
/* Places the cursor before the first key >= `key`. */
void kvmap_seek(const struct kvmap *map, struct bytes key, struct kvmap_cursor *cursor);
void kvmap_snapshot_seek(const struct kvmap_snapshot *snapshot, struct bytes key, struct kvmap_cursor *cursor);
/* The entry at the cursor, and one step on. False at the end. */
bool kvmap_next(struct kvmap_cursor *cursor, struct bytes *key, struct bytes *value);

/* Look first, then change, with one descent: places the cursor at `key`, or where it would stand. The calls below take
 * that cursor before anything else changes the map, and end its validity. */
bool kvmap_find(const struct kvmap *map, struct bytes key, struct kvmap_cursor *cursor, struct bytes *value);
/* As kvmap_put, for the key that was looked for. Returns the stored value, borrowed as by kvmap_get. */
struct bytes kvmap_put_at(struct kvmap *map, struct kvmap_cursor *cursor, struct bytes key, struct bytes value);
/* As kvmap_delete, for a key that was found (CHECKed). */
void kvmap_delete_at(struct kvmap *map, struct kvmap_cursor *cursor);

/* Fast path of a restore: puts a key that is greater than all others (CHECKed) and leaves full leaves behind. Returns
 * the stored value, borrowed as by kvmap_get. */
struct bytes kvmap_append(struct kvmap *map, struct bytes key, struct bytes value);

#endif
