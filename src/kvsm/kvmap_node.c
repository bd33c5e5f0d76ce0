#include "kvsm/kvmap_node.h"

#include <stdlib.h>

#include "base/check.h"

static uint8_t *length_write(uint8_t *at, size_t length) {
  for (; length >= 0x80; length >>= 7)
    *at++ = (uint8_t)(length | 0x80);
  *at++ = (uint8_t)length;
  return at;
}

static size_t length_bytes(size_t length) {
  uint8_t scratch[LENGTH_VARINT_MAX];
  return (size_t)(length_write(scratch, length) - scratch);
}

struct kvmap_entry *entry_create(const struct kvmap *map, struct bytes key, struct bytes value) {
  size_t head_bytes = sizeof(struct kvmap_entry) + length_bytes(key.len) + length_bytes(value.len);
  struct kvmap_entry *entry = xmalloc(head_bytes + key.len + value.len);
  entry->birth = map->generation;
  uint8_t *at = length_write(length_write(entry->bytes, key.len), value.len);
  if (key.len > 0) memcpy(at, key.data, key.len);
  if (value.len > 0) memcpy(at + key.len, value.data, value.len);
  return entry;
}

static size_t common_prefix(struct bytes a, struct bytes b) {
  size_t end = a.len < b.len ? a.len : b.len;
  size_t common = 0;
  while (common < end && a.data[common] == b.data[common])
    common++;
  return common;
}

struct kvmap_entry *separator_create(const struct kvmap *map, const struct kvmap_entry *before,
                                     const struct kvmap_entry *after) {
  struct bytes low = entry_key(before);
  struct bytes high = entry_key(after);
  return entry_create(map, bytes_make(high.data, common_prefix(low, high) + 1), bytes_make(NULL, 0));
}

static size_t node_bytes(uint8_t level) {
  return level == 0 ? sizeof(struct kvmap_node) : sizeof(struct kvmap_inner);
}

struct kvmap_node *node_create(const struct kvmap *map, uint8_t level) {
  struct kvmap_node *node = xmalloc(node_bytes(level));
  node->birth = map->generation;
  node->count = 0;
  node->level = level;
  node->skip = 0;
  return node;
}

static struct kvmap_node *node_copy(const struct kvmap *map, const struct kvmap_node *original) {
  struct kvmap_node *copy = node_create(map, original->level);
  copy->count = original->count;
  copy->skip = original->skip;
  memcpy(copy->head, original->head, original->count * sizeof(copy->head[0]));
  memcpy(copy->entry, original->entry, original->count * sizeof(copy->entry[0]));
  if (original->level > 0) {
    const struct kvmap_inner *inner = (const struct kvmap_inner *)original;
    memcpy(node_children(copy), inner->child, original->count * sizeof(inner->child[0]));
  }
  return copy;
}

void node_move_slots(struct kvmap_node *to, uint32_t to_slot, struct kvmap_node *from, uint32_t from_slot,
                     uint32_t count) {
  memmove(&to->head[to_slot], &from->head[from_slot], count * sizeof(to->head[0]));
  memmove(&to->entry[to_slot], &from->entry[from_slot], count * sizeof(to->entry[0]));
  if (to->level == 0) return;
  struct kvmap_node **child = node_children(to);
  memmove(&child[to_slot], &node_children(from)[from_slot], count * sizeof(child[0]));
}

void node_refresh_heads(struct kvmap_node *node) {
  uint32_t first = node_first_key(node);
  if (node->count <= first) return;
  /* The keys are in order: what the first and the last share, all share. */
  node->skip = (uint16_t)common_prefix(entry_key(node->entry[first]), entry_key(node->entry[node->count - 1]));
  for (uint32_t slot = first; slot < node->count; slot++) {
    node->head[slot] = key_head(entry_key(node->entry[slot]), node->skip);
  }
}

/* The head of a key that was just put into `slot`, which may break the prefix that the others share. */
static void set_head(struct kvmap_node *node, uint32_t slot) {
  struct bytes key = entry_key(node->entry[slot]);
  uint32_t neighbour = slot > node_first_key(node) ? slot - 1 : slot + 1;
  if (neighbour >= node->count || common_prefix(key, entry_key(node->entry[neighbour])) < node->skip) {
    node_refresh_heads(node);
  } else {
    node->head[slot] = key_head(key, node->skip);
  }
}

void node_insert_slot(struct kvmap_node *node, uint32_t slot, struct kvmap_entry *entry, struct kvmap_node *child) {
  node_move_slots(node, slot + 1, node, slot, node->count - slot);
  node->entry[slot] = entry;
  if (node->level > 0) node_children(node)[slot] = child;
  node->count++;
  if (entry != NULL) set_head(node, slot);
}

void node_remove_slot(struct kvmap_node *node, uint32_t slot) {
  node_move_slots(node, slot, node, slot + 1, node->count - slot - 1);
  node->count--;
}

/* Copies what a snapshot shares, and puts the copy in its place. */
static struct kvmap_node *own_link(struct kvmap *map, struct kvmap_node **link) {
  struct kvmap_node *node = *link;
  if (!kvmap_is_shared(map, node->birth)) return node;
  *link = node_copy(map, node);
  kvmap_retire(map, node);
  return *link;
}

struct kvmap_node *node_own_child(struct kvmap *map, struct kvmap_node *parent, uint32_t slot) {
  return own_link(map, &node_children(parent)[slot]);
}

void kvmap_own_path(struct kvmap *map, struct kvmap_cursor *cursor) {
  struct kvmap_node *node = own_link(map, &map->root);
  cursor->node[0] = node;
  for (uint32_t depth = 1; depth < cursor->depth; depth++) {
    node = node_own_child(map, node, cursor->slot[depth - 1]);
    cursor->node[depth] = node;
  }
}
