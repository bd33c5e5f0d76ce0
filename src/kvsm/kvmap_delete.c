#include "kvsm/kvmap_node.h"

#include "base/check.h"

/* Makes one node of the children in slot - 1 and slot. The separator between them goes, or moves down. */
static void merge_children(struct kvmap *map, struct kvmap_node *parent, uint32_t slot) {
  struct kvmap_node *left = node_own_child(map, parent, slot - 1);
  struct kvmap_node *right = node_child(parent, slot);
  uint32_t left_count = left->count;
  node_move_slots(left, left_count, right, 0, right->count);
  left->count = (uint8_t)(left_count + right->count);
  if (left->level == 0) {
    kvmap_retire(map, parent->entry[slot]);
  } else {
    left->entry[left_count] = parent->entry[slot];
  }
  node_refresh_heads(left);
  node_remove_slot(parent, slot);
  kvmap_retire(map, right);
}

/* Moves slots over the border between two neighbours until both hold about the same. */
static void even_out(struct kvmap_node *left, struct kvmap_node *right) {
  uint32_t total = (uint32_t)left->count + right->count;
  uint32_t left_count = total / 2;
  uint32_t right_count = total - left_count;
  if (left->count > left_count) {
    uint32_t moved = left->count - left_count;
    node_move_slots(right, moved, right, 0, right->count);
    node_move_slots(right, 0, left, left_count, moved);
  } else {
    uint32_t moved = left_count - left->count;
    node_move_slots(left, left->count, right, 0, moved);
    node_move_slots(right, 0, right, moved, right_count);
  }
  left->count = (uint8_t)left_count;
  right->count = (uint8_t)right_count;
}

static void balance_children(struct kvmap *map, struct kvmap_node *parent, uint32_t slot) {
  struct kvmap_node *left = node_own_child(map, parent, slot - 1);
  struct kvmap_node *right = node_own_child(map, parent, slot);
  if (left->level == 0) {
    even_out(left, right);
    kvmap_retire(map, parent->entry[slot]);
    parent->entry[slot] = separator_create(map, left->entry[left->count - 1], right->entry[0]);
  } else {
    right->entry[0] = parent->entry[slot];
    even_out(left, right);
    parent->entry[slot] = right->entry[0];
    right->entry[0] = NULL;
  }
  node_refresh_heads(left);
  node_refresh_heads(right);
  node_refresh_heads(parent);
}

/* Takes an empty child out of its parent. The first child has no separator, so the next one loses its own. */
static void drop_child(struct kvmap *map, struct kvmap_node *parent, uint32_t slot) {
  struct kvmap_node *child = node_child(parent, slot);
  if (slot > 0) {
    kvmap_retire(map, parent->entry[slot]);
  } else if (parent->count > 1) {
    kvmap_retire(map, parent->entry[1]);
    parent->entry[1] = NULL;
  }
  node_remove_slot(parent, slot);
  kvmap_retire(map, child);
}

/* Repairs a node that lost a slot. Whether its parent lost one by that. */
static bool refill_child(struct kvmap *map, struct kvmap_node *parent, uint32_t slot) {
  if (node_child(parent, slot)->count == 0) {
    drop_child(map, parent, slot);
    return true;
  }
  if (node_child(parent, slot)->count >= NODE_SLOTS_LOW) return false;
  if (parent->count == 1) return true; /* no neighbour: let the parent find one */
  uint32_t right = slot > 0 ? slot : 1;
  if (node_child(parent, right - 1)->count + node_child(parent, right)->count <= NODE_MERGED_MAX) {
    merge_children(map, parent, right);
    return true;
  }
  balance_children(map, parent, right);
  return false;
}

static void shrink_root(struct kvmap *map) {
  struct kvmap_node *root = map->root;
  while (root->level > 0 && root->count == 1) {
    map->root = node_child(root, 0);
    kvmap_retire(map, root);
    root = map->root;
  }
  if (root->count == 0) {
    map->root = NULL;
    kvmap_retire(map, root);
  }
}

void kvmap_remove_at(struct kvmap *map, struct kvmap_cursor *cursor) {
  kvmap_own_path(map, cursor);
  uint32_t depth = cursor->depth - 1;
  node_remove_slot(cursor_node(cursor, depth), cursor->slot[depth]);
  while (depth > 0 && refill_child(map, cursor_node(cursor, depth - 1), cursor->slot[depth - 1]))
    depth--;
  shrink_root(map);
}
