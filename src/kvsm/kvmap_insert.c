#include "kvsm/kvmap_node.h"

#include "base/check.h"

/* Whether the next insert at this depth goes to the right edge of the whole tree: then a split leaves a full node
 * behind, so that ascending keys fill their leaves. */
static bool at_right_edge(const struct kvmap_cursor *cursor, uint32_t depth, uint32_t slot) {
  if (slot != cursor_node(cursor, depth)->count) return false;
  for (uint32_t above = 0; above < depth; above++) {
    if (cursor->slot[above] + 1 != cursor_node(cursor, above)->count) return false;
  }
  return true;
}

/* Inserts into a full node: gives its upper slots to a new right neighbour, which is returned. */
static struct kvmap_node *node_split_insert(const struct kvmap *map, struct kvmap_node *left, uint32_t slot,
                                            uint32_t keep, struct kvmap_entry *entry, struct kvmap_node *child) {
  struct kvmap_node *right = node_create(map, left->level);
  right->count = (uint8_t)(left->count - keep);
  node_move_slots(right, 0, left, keep, right->count);
  left->count = (uint8_t)keep;
  node_refresh_heads(left);
  node_refresh_heads(right);
  if (slot > keep || keep == NODE_SLOTS) {
    node_insert_slot(right, slot - keep, entry, child);
  } else {
    node_insert_slot(left, slot, entry, child);
  }
  return right;
}

/* What separates the two halves of a split: made for leaves, taken out of the right half of inner nodes. */
static struct kvmap_entry *take_separator(const struct kvmap *map, struct kvmap_node *left, struct kvmap_node *right) {
  if (left->level == 0) return separator_create(map, left->entry[left->count - 1], right->entry[0]);
  struct kvmap_entry *separator = right->entry[0];
  right->entry[0] = NULL;
  node_refresh_heads(right);
  return separator;
}

static void grow_root(struct kvmap *map, struct kvmap_entry *separator, struct kvmap_node *right) {
  CHECK(map->root->level + 1 < KVMAP_DEPTH_MAX);
  struct kvmap_node *root = node_create(map, (uint8_t)(map->root->level + 1));
  node_insert_slot(root, 0, NULL, map->root);
  node_insert_slot(root, 1, separator, right);
  map->root = root;
}

void kvmap_insert_at(struct kvmap *map, struct kvmap_cursor *cursor, struct kvmap_entry *entry) {
  if (cursor->depth == 0) {
    map->root = node_create(map, 0);
    node_insert_slot(map->root, 0, entry, NULL);
    return;
  }
  kvmap_own_path(map, cursor);
  struct kvmap_node *child = NULL;
  for (uint32_t depth = cursor->depth; depth-- > 0;) {
    struct kvmap_node *node = cursor_node(cursor, depth);
    uint32_t slot = cursor->slot[depth] + (child == NULL ? 0 : 1);
    if (node->count < NODE_SLOTS) {
      node_insert_slot(node, slot, entry, child);
      return;
    }
    uint32_t keep = at_right_edge(cursor, depth, slot) ? NODE_SLOTS : NODE_SLOTS / 2;
    child = node_split_insert(map, node, slot, keep, entry, child);
    entry = take_separator(map, node, child);
  }
  grow_root(map, entry, child);
}
