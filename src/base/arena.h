/* Memory for the length of one call: cut from the front of a block that the caller lends (usually on its stack); when
 * that is used up, small pieces from bigger blocks of the heap, big ones from the heap itself; all of it is given back
 * at once. One thread. */
#ifndef KV_BASE_ARENA_H
#define KV_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

struct arena {
  uint8_t *block;   /* where small pieces come from now: the caller's, then one of `heap`; aligned for anything */
  size_t len;       /* bytes in use at its front */
  size_t capacity;  /* its size */
  struct list heap; /* what came from the heap, owned */
};

void arena_init(struct arena *arena, void *block, size_t block_bytes); /* keeps `block` until arena_deinit */
void arena_deinit(struct arena *arena);                                /* frees everything that came from it */

/* Cannot fail (see xmalloc). Aligned for anything; stays where it is until freed, resized or arena_deinit. */
void *arena_alloc(struct arena *arena, size_t bytes);
/* `memory` NULL allocates. Takes `memory`, keeps its content up to the smaller size. */
void *arena_realloc(struct arena *arena, void *memory, size_t bytes);
/* Optional: gives heap memory back early. NULL is legal. */
void arena_free(struct arena *arena, void *memory);

#endif
