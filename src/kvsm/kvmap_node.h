/* Inside the map: entries, nodes, and who may change or free them. Private to kvmap*.c.
 *
 * An entry is one allocation: birth, the two lengths, the key, the value. A leaf holds up to 64 pointers to entries in
 * byte order. An inner node holds as many children, and in front of each but the first a separator: an entry without a
 * value whose key is <= all keys below that child and > all keys below the child before it. The inner node owns it.
 *
 * Entries lie all over the heap, so looking at one costs a cache miss, often a TLB miss. A node therefore keeps of each
 * key the four bytes behind the prefix that all its keys share: a search runs over these, and looks at one entry.
 *
 * Shared is what the newest live snapshot may see: everything born no later than it. Shared things are never written.
 * A shared node's children are shared as well, so a change copies a path from the root down, and stops copying where
 * it meets its own generation. */
#ifndef KV_KVSM_KVMAP_NODE_H
#define KV_KVSM_KVMAP_NODE_H

#include "base/list.h"
#include "kvsm/kvmap.h"

enum {
  NODE_SLOTS = 64,      /* entries of a leaf, children of an inner node */
  NODE_SLOTS_LOW = 16,  /* with fewer after a delete, a node merges or borrows */
  NODE_MERGED_MAX = 48, /* two nodes with no more than this together become one: room for inserts stays */
  LENGTH_VARINT_MAX = 5 /* bytes of a length of up to 32 bits, 7 bits in each byte */
};

struct kvmap_entry {
  uint32_t birth;  /* first member of entry and node alike: see kvmap_retire */
  uint8_t bytes[]; /* varint key length, varint value length, key, value */
};

struct kvmap_node {
  uint32_t birth;
  uint8_t count;                         /* slots in use */
  uint8_t level;                         /* 0: a leaf */
  uint16_t skip;                         /* leading bytes that all keys here share; the true number may be larger */
  uint32_t head[NODE_SLOTS];             /* of each key, the four bytes behind `skip`: big endian, padded with zeros */
  struct kvmap_entry *entry[NODE_SLOTS]; /* leaf: the entries; inner: the separators, entry[0] is NULL */
};

struct kvmap_inner {
  struct kvmap_node node;
  struct kvmap_node *child[NODE_SLOTS];
};

/* Things that left the map but that a snapshot may still see. */
struct dead_chunk {
  struct dead_chunk *next;
  uint32_t count;
  void *item[509]; /* entries and nodes; one chunk is 4 KiB */
};

struct kvmap_snapshot {
  struct list link;              /* kvmap.snapshots, or kvmap.released */
  const struct kvmap_node *root; /* NULL when empty */
  uint64_t count;
  uint32_t generation;     /* sees what was born in this generation or before */
  struct dead_chunk *dead; /* the owner's: what this snapshot sees and the next newer one (or the map) does not */
};

struct kvmap {
  struct kvmap_node *root; /* NULL when empty */
  uint64_t count;
  uint64_t bytes;
  uint32_t generation;   /* of what is born now; 2^32 snapshots are one a second for 136 years */
  uint32_t shared;       /* generation of the newest live snapshot, 0 without one */
  struct list snapshots; /* live, oldest first */
  struct list released;  /* with dead still to be freed or handed to an older live one */
};

static inline struct kvmap_node **node_children(struct kvmap_node *node) {
  return ((struct kvmap_inner *)node)->child;
}

static inline struct kvmap_node *node_child(const struct kvmap_node *node, uint32_t slot) {
  return ((const struct kvmap_inner *)node)->child[slot];
}

static inline const uint8_t *length_read(const uint8_t *at, size_t *out) {
  size_t byte = *at++;
  size_t length = byte & 0x7f;
  for (unsigned shift = 7; (byte & 0x80) != 0; shift += 7) {
    byte = *at++;
    length |= (byte & 0x7f) << shift;
  }
  *out = length;
  return at;
}

static inline void entry_view(const struct kvmap_entry *entry, struct bytes *key, struct bytes *value) {
  const uint8_t *data = length_read(length_read(entry->bytes, &key->len), &value->len);
  key->data = data;
  value->data = data + key->len;
}

static inline struct bytes entry_key(const struct kvmap_entry *entry) {
  struct bytes key, value;
  entry_view(entry, &key, &value);
  return key;
}

/* The first slot with a key. */
static inline uint32_t node_first_key(const struct kvmap_node *node) {
  return node->level == 0 ? 0 : 1;
}

/* Equal heads say nothing; different ones are in the order of their keys, when these share the first `skip` bytes. */
static inline uint32_t key_head(struct bytes key, size_t skip) {
  uint32_t head = 0;
  for (size_t at = skip; at < skip + sizeof(head); at++)
    head = head << 8 | (at < key.len ? key.data[at] : 0u);
  return head;
}

/* ---- kvmap_node.c ---- */

struct kvmap_entry *entry_create(const struct kvmap *map, struct bytes key, struct bytes value);
/* The shortest key that is > `before` and <= `after`. */
struct kvmap_entry *separator_create(const struct kvmap *map, const struct kvmap_entry *before,
                                     const struct kvmap_entry *after);
struct kvmap_node *node_create(const struct kvmap *map, uint8_t level);
/* Moves slots between or within nodes of one level; counts and, between nodes, heads are the caller's business. */
void node_move_slots(struct kvmap_node *to, uint32_t to_slot, struct kvmap_node *from, uint32_t from_slot,
                     uint32_t count);
/* `child` is NULL in a leaf. */
void node_insert_slot(struct kvmap_node *node, uint32_t slot, struct kvmap_entry *entry, struct kvmap_node *child);
void node_remove_slot(struct kvmap_node *node, uint32_t slot);
/* Computes skip and heads anew, after slots came from elsewhere or a key was replaced. */
void node_refresh_heads(struct kvmap_node *node);
/* The child in that slot of a parent that is ours to change, made ours to change. */
struct kvmap_node *node_own_child(struct kvmap *map, struct kvmap_node *parent, uint32_t slot);
/* Makes all nodes of the path ours to change. */
void kvmap_own_path(struct kvmap *map, struct kvmap_cursor *cursor);

static inline struct kvmap_node *cursor_node(const struct kvmap_cursor *cursor, uint32_t depth) {
  return (struct kvmap_node *)cursor->node[depth];
}

/* ---- kvmap_cursor.c ---- */

bool tree_find(const struct kvmap_node *root, struct bytes key, struct kvmap_cursor *cursor, struct bytes *value);
/* Places the cursor behind the last entry. */
void tree_find_end(const struct kvmap_node *root, struct kvmap_cursor *cursor);

/* ---- kvmap_insert.c, kvmap_delete.c ---- */

/* Puts a new entry (taken) where the cursor stands. */
void kvmap_insert_at(struct kvmap *map, struct kvmap_cursor *cursor, struct kvmap_entry *entry);
/* Takes the entry at the cursor out of the tree (it is not freed). */
void kvmap_remove_at(struct kvmap *map, struct kvmap_cursor *cursor);

/* ---- kvmap_snapshot.c ---- */

static inline bool kvmap_is_shared(const struct kvmap *map, uint32_t birth) {
  return birth <= map->shared;
}

/* An entry or node that just left the tree: frees it, or keeps it for the snapshots that see it. NULL is legal. */
void kvmap_retire(struct kvmap *map, void *item);

#endif
