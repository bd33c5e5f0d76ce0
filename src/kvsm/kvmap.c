#include "kvsm/kvmap.h"

#include <stdlib.h>

#include "base/check.h"
#include "kvsm/kvmap_node.h"
#include "types/limits.h"

struct kvmap *kvmap_create(void) {
  struct kvmap *map = xmalloc(sizeof(*map));
  *map = (struct kvmap){.generation = 1}; /* so that 0 can mean: no snapshot */
  list_init(&map->snapshots);
  list_init(&map->released);
  return map;
}

void kvmap_destroy(struct kvmap *map) {
  kvmap_reclaim(map, SIZE_MAX);
  kvmap_dismantle(map, SIZE_MAX);
  free(map);
}

uint64_t kvmap_count(const struct kvmap *map) {
  return map->count;
}

uint64_t kvmap_bytes(const struct kvmap *map) {
  return map->bytes;
}

bool kvmap_get(const struct kvmap *map, struct bytes key, struct bytes *value) {
  struct kvmap_cursor cursor;
  return tree_find(map->root, key, &cursor, value);
}

void kvmap_put(struct kvmap *map, struct bytes key, struct bytes value) {
  struct kvmap_cursor cursor;
  struct bytes old;
  tree_find(map->root, key, &cursor, &old);
  kvmap_put_at(map, &cursor, key, value);
}

bool kvmap_delete(struct kvmap *map, struct bytes key) {
  struct kvmap_cursor cursor;
  struct bytes old;
  if (!tree_find(map->root, key, &cursor, &old)) return false;
  kvmap_delete_at(map, &cursor);
  return true;
}

bool kvmap_last(const struct kvmap *map, struct bytes *key, struct bytes *value) {
  if (map->root == NULL) return false;
  struct kvmap_cursor cursor;
  tree_find_end(map->root, &cursor);
  uint32_t leaf = cursor.depth - 1;
  entry_view(cursor_node(&cursor, leaf)->entry[cursor.slot[leaf] - 1], key, value);
  return true;
}

/* Frees from the right edge on; true when the node itself is gone as well. Recursion is as deep as the tree. */
static bool node_dismantle(struct kvmap_node *node, size_t *steps) {
  for (; node->count > 0; node->count--) {
    uint32_t slot = node->count - 1u;
    if (node->level > 0 && !node_dismantle(node_child(node, slot), steps)) return false;
    if (node->level == 0) {
      if (*steps == 0) return false;
      (*steps)--;
    }
    free(node->entry[slot]);
  }
  free(node);
  return true;
}

bool kvmap_dismantle(struct kvmap *map, size_t steps_max) {
  CHECK(list_empty(&map->snapshots));
  if (map->root == NULL) return false;
  if (!node_dismantle(map->root, &steps_max)) return true;
  map->root = NULL;
  return false;
}

bool kvmap_find(const struct kvmap *map, struct bytes key, struct kvmap_cursor *cursor, struct bytes *value) {
  return tree_find(map->root, key, cursor, value);
}

static struct bytes stored_value(const struct kvmap_entry *entry) {
  struct bytes key, value;
  entry_view(entry, &key, &value);
  return value;
}

static struct bytes overwrite_at(struct kvmap *map, struct kvmap_cursor *cursor, struct bytes key, struct bytes value) {
  uint32_t leaf = cursor->depth - 1;
  uint32_t slot = cursor->slot[leaf];
  struct kvmap_entry *old = cursor_node(cursor, leaf)->entry[slot];
  struct bytes old_value = stored_value(old);
  map->bytes += value.len;
  map->bytes -= old_value.len;
  if (old_value.len == value.len && !kvmap_is_shared(map, old->birth)) {
    if (value.len > 0) memmove((uint8_t *)old_value.data, value.data, value.len);
    return old_value;
  }
  struct kvmap_entry *entry = entry_create(map, key, value);
  kvmap_own_path(map, cursor);
  cursor_node(cursor, leaf)->entry[slot] = entry;
  kvmap_retire(map, old);
  return stored_value(entry);
}

static struct bytes insert_at(struct kvmap *map, struct kvmap_cursor *cursor, struct bytes key, struct bytes value) {
  struct kvmap_entry *entry = entry_create(map, key, value);
  kvmap_insert_at(map, cursor, entry);
  map->count++;
  map->bytes += key.len + value.len;
  return stored_value(entry);
}

struct bytes kvmap_put_at(struct kvmap *map, struct kvmap_cursor *cursor, struct bytes key, struct bytes value) {
  CHECK(key.len <= KEY_BYTES_CAP && value.len <= VALUE_BYTES_CAP);
  return cursor->found ? overwrite_at(map, cursor, key, value) : insert_at(map, cursor, key, value);
}

void kvmap_delete_at(struct kvmap *map, struct kvmap_cursor *cursor) {
  CHECK(cursor->found);
  uint32_t leaf = cursor->depth - 1;
  struct kvmap_entry *entry = cursor_node(cursor, leaf)->entry[cursor->slot[leaf]];
  struct bytes key, value;
  entry_view(entry, &key, &value);
  map->count--;
  map->bytes -= key.len + value.len;
  kvmap_remove_at(map, cursor);
  kvmap_retire(map, entry);
}

struct bytes kvmap_append(struct kvmap *map, struct bytes key, struct bytes value) {
  CHECK(key.len <= KEY_BYTES_CAP && value.len <= VALUE_BYTES_CAP);
  struct bytes last_key, last_value;
  if (kvmap_last(map, &last_key, &last_value)) CHECK(bytes_compare(last_key, key) < 0);
  struct kvmap_cursor cursor;
  tree_find_end(map->root, &cursor);
  return insert_at(map, &cursor, key, value);
}
