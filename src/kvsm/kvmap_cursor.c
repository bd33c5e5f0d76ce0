/* Search, and walks in byte order. Everything here only reads, so it serves the map and its snapshots alike. */
#include "kvsm/kvmap_node.h"

/* Where `key` stands against the prefix that all keys of the node share: < 0, 0 or > 0. */
static int compare_to_prefix(struct bytes key, size_t skip, struct bytes any_key) {
  return bytes_compare(bytes_make(key.data, key.len < skip ? key.len : skip), bytes_make(any_key.data, skip));
}

/* The same as node_lower_bound, among slots whose heads are that of the key. */
static uint32_t tied_lower_bound(const struct kvmap_node *node, uint32_t slot, uint32_t head, struct bytes key,
                                 bool *equal) {
  for (; slot < node->count && node->head[slot] == head; slot++) {
    int order = bytes_compare(entry_key(node->entry[slot]), key);
    *equal = order == 0;
    if (order >= 0) return slot;
  }
  return slot;
}

/* The first slot whose key is >= `key`. */
static uint32_t node_lower_bound(const struct kvmap_node *node, struct bytes key, bool *equal) {
  uint32_t first = node_first_key(node);
  uint32_t slot = first;
  *equal = false;
  if (first == node->count) return first;
  uint32_t head = key_head(key, node->skip);
  for (uint32_t end = node->count; slot < end;) {
    uint32_t middle = (slot + end) / 2;
    if (node->head[middle] < head) {
      slot = middle + 1;
    } else {
      end = middle;
    }
  }
  uint32_t any = slot < node->count ? slot : node->count - 1u;
  int order = compare_to_prefix(key, node->skip, entry_key(node->entry[any]));
  if (order != 0) return order < 0 ? first : node->count;
  return tied_lower_bound(node, slot, head, key, equal);
}

/* The child that holds `key`, if anything does. */
static uint32_t inner_slot(const struct kvmap_node *node, struct bytes key) {
  bool equal;
  uint32_t slot = node_lower_bound(node, key, &equal);
  return equal ? slot : slot - 1;
}

bool tree_find(const struct kvmap_node *root, struct bytes key, struct kvmap_cursor *cursor, struct bytes *value) {
  cursor->depth = 0;
  cursor->found = false;
  if (root == NULL) return false;
  const struct kvmap_node *node = root;
  for (; node->level > 0; cursor->depth++) {
    uint32_t slot = inner_slot(node, key);
    cursor->node[cursor->depth] = node;
    cursor->slot[cursor->depth] = slot;
    node = node_child(node, slot);
  }
  uint32_t slot = node_lower_bound(node, key, &cursor->found);
  cursor->node[cursor->depth] = node;
  cursor->slot[cursor->depth++] = slot;
  if (!cursor->found) return false;
  struct bytes stored_key;
  entry_view(node->entry[slot], &stored_key, value);
  return true;
}

void tree_find_end(const struct kvmap_node *root, struct kvmap_cursor *cursor) {
  cursor->depth = 0;
  cursor->found = false;
  if (root == NULL) return;
  const struct kvmap_node *node = root;
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
