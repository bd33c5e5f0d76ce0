#include "base/arena.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum {
  ALIGNMENT = alignof(max_align_t),
  BLOCK_BYTES = 65536, /* of a block from the heap */
  PIECE_BYTES_MAX = BLOCK_BYTES / 16,
};

/* In front of each allocation. */
struct head {
  alignas(max_align_t) struct list link; /* in arena->heap; NULL in a piece of a block */
  size_t bytes;                          /* as rounded up */
};

static struct head *head_of(void *memory) {
  return (struct head *)memory - 1;
}

static size_t round_up(size_t bytes) {
  CHECK(bytes <= SIZE_MAX / 2);
  return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static bool is_piece(const struct head *head) {
  return head->link.next == NULL;
}

static bool fits(const struct arena *arena, size_t bytes) {
  return sizeof(struct head) + bytes <= arena->capacity - arena->len;
}

static void *take_piece(struct arena *arena, size_t bytes) {
  struct head *head = (struct head *)(arena->block + arena->len);
  arena->len += sizeof *head + bytes;
  *head = (struct head){.bytes = bytes};
  return head + 1;
}

static void *take_heap(struct arena *arena, struct head *old, size_t bytes) {
  struct head *head = xrealloc(old, sizeof *head + bytes);
  list_push_back(&arena->heap, &head->link);
  head->bytes = bytes;
  return head + 1;
}

/* Grows or shrinks a piece where it is, when it is the last one. */
static bool resize_in_place(struct arena *arena, struct head *head, size_t bytes) {
  if ((uint8_t *)(head + 1) + head->bytes != arena->block + arena->len) return false;
  size_t without = arena->len - head->bytes;
  if (bytes > arena->capacity - without) return false;
  arena->len = without + bytes;
  head->bytes = bytes;
  return true;
}

void arena_init(struct arena *arena, void *block, size_t block_bytes) {
  CHECK((uintptr_t)block % ALIGNMENT == 0);
  *arena = (struct arena){.block = block, .capacity = block_bytes};
  list_init(&arena->heap);
}

void arena_deinit(struct arena *arena) {
  struct list *link;
  while ((link = list_pop_front(&arena->heap)) != NULL)
    free((struct head *)link);
}

void *arena_alloc(struct arena *arena, size_t bytes) {
  bytes = round_up(bytes);
  if (fits(arena, bytes)) return take_piece(arena, bytes);
  if (bytes > PIECE_BYTES_MAX) return take_heap(arena, NULL, bytes);
  arena->block = take_heap(arena, NULL, BLOCK_BYTES);
  arena->len = 0;
  arena->capacity = BLOCK_BYTES;
  return take_piece(arena, bytes);
}

void *arena_realloc(struct arena *arena, void *memory, size_t bytes) {
  if (memory == NULL) return arena_alloc(arena, bytes);
  struct head *head = head_of(memory);
  bytes = round_up(bytes);
  if (!is_piece(head)) {
    list_remove(&head->link);
    return take_heap(arena, head, bytes);
  }
  if (resize_in_place(arena, head, bytes)) return memory;
  void *moved = arena_alloc(arena, bytes);
  return memcpy(moved, memory, head->bytes < bytes ? head->bytes : bytes);
}

void arena_free(struct arena *arena, void *memory) {
  if (memory == NULL) return;
  struct head *head = head_of(memory);
  if (is_piece(head)) {
    resize_in_place(arena, head, 0);
    return;
  }
  list_remove(&head->link);
  free(head);
}
