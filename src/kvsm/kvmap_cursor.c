/* Search, and walks in byte order. Everything here only reads, so it serves the map and its snapshots alike. */
#include "kvsm/kvmap_node.h"

#include "base/check.h"

/* The first slot from `slot` on whose key is >= `key`. */
static uint32_t node_lower_bound(const struct kvmap_node *node, uint32_t slot, struct bytes key, bool *equal) {
  uint32_t end = node->count;
  *equal = false;
  while (slot < end) {
    uint32_t middle = (slot + end) / 2;
    int order = bytes_compare(entry_key(node->entry[middle]), key);
    if (order < 0) {
      slot = middle + 1;
    } else {
      end = middle;
      if (order == 0) {
        *equal = true;
        return middle;
      }
    }
  }
  return slot;
}

/* The child that holds `key`, if anything does. */
static uint32_t inner_slot(const struct kvmap_node *node, struct bytes key) {
  bool equal;
  uint32_t slot = node_lower_bound(node, 1, key, &equal);
  return equal ? slot : slot - 1;
}

bool tree_find(const struct kvmap_node *node, struct bytes key, struct kvmap_cursor *cursor, struct bytes *value) {
  cursor->depth = 0;
  cursor->found = false;
  if (node == NULL) return false;
  for (; node->level > 0; cursor->depth++) {
    uint32_t slot = inner_slot(node, key);
    cursor->node[cursor->depth] = node;
    cursor->slot[cursor->depth] = slot;
    node = node_child(node, slot);
  }
  uint32_t slot = node_lower_bound(node, 0, key, &cursor->found);
  cursor->node[cursor->depth] = node;
  cursor->slot[cursor->depth++] = slot;
  if (!cursor->found) return false;
  struct bytes stored_key;
  entry_view(node->entry[slot], &stored_key, value);
  return true;
}

void tree_find_end(const struct kvmap_node *node, struct kvmap_cursor *cursor) {
  cursor->depth = 0;
  cursor->found = false;
  if (node == NULL) return;
  for (; node->level > 0; node = node_child(node, node->count - 1u)) {
    cursor->node[cursor->depth] = node;
    cursor->slot[cursor->depth++] = node->count - 1u;
  }
  cursor->node[cursor->depth] = node;
  cursor->slot[cursor->depth++] = node->count;
}

/* From behind the last entry of a leaf to the first one of the next. */
static bool cursor_next_leaf(struct kvmap_cursor *cursor) {
  uint32_t depth = cursor->depth - 1;
  do {
    if (depth == 0) {
      cursor->depth = 0;
      return false;
    }
    depth--;
    cursor->slot[depth]++;
  } while (cursor->slot[depth] == cursor_node(cursor, depth)->count);
  for (; depth + 1 < cursor->depth; depth++) {
    cursor->node[depth + 1] = node_child(cursor_node(cursor, depth), cursor->slot[depth]);
    cursor->slot[depth + 1] = 0;
  }
  return true;
}

void kvmap_seek(const struct kvmap *map, struct bytes key, struct kvmap_cursor *cursor) {
  struct bytes value;
  tree_find(map->root, key, cursor, &value);
}

void kvmap_snapshot_seek(const struct kvmap_snapshot *snapshot, struct bytes key, struct kvmap_cursor *cursor) {
  struct bytes value;
  tree_find(snapshot->root, key, cursor, &value);
}

bool kvmap_next(struct kvmap_cursor *cursor, struct bytes *key, struct bytes *value) {
  if (cursor->depth == 0) return false;
  uint32_t leaf = cursor->depth - 1;
  if (cursor->slot[leaf] == cursor_node(cursor, leaf)->count && !cursor_next_leaf(cursor)) return false;
  entry_view(cursor_node(cursor, leaf)->entry[cursor->slot[leaf]++], key, value);
  return true;
}
