#include "base/arena.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { ALIGNMENT = alignof(max_align_t) };

/* In front of each allocation. */
struct head {
  alignas(max_align_t) struct list link; /* in arena->heap; to itself inside the block */
  size_t bytes;                          /* as rounded up */
};

static struct head *head_of(void *memory) {
  return (struct head *)memory - 1;
}

static size_t round_up(size_t bytes) {
  CHECK(bytes <= SIZE_MAX / 2);
  return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static bool in_block(const struct arena *arena, const struct head *head) {
  uintptr_t at = (uintptr_t)head;
  return at >= (uintptr_t)arena->block && at < (uintptr_t)arena->block + arena->len;
}

static bool is_last(const struct arena *arena, struct head *head) {
  return (uint8_t *)(head + 1) + head->bytes == arena->block + arena->len;
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
  struct head *head;
  if (sizeof *head + bytes <= arena->capacity - arena->len) {
    head = (struct head *)(arena->block + arena->len);
    arena->len += sizeof *head + bytes;
    list_init(&head->link);
  } else {
    head = xmalloc(sizeof *head + bytes);
    list_push_back(&arena->heap, &head->link);
  }
  head->bytes = bytes;
  return head + 1;
}

/* Grows or shrinks what lies last in the block where it is. */
static bool resize_in_place(struct arena *arena, struct head *head, size_t bytes) {
  if (!is_last(arena, head)) return false;
  size_t without = arena->len - head->bytes;
  if (bytes > arena->capacity - without) return false;
  arena->len = without + bytes;
  head->bytes = bytes;
  return true;
}

void *arena_realloc(struct arena *arena, void *memory, size_t bytes) {
  if (memory == NULL) return arena_alloc(arena, bytes);
  struct head *head = head_of(memory);
  bytes = round_up(bytes);
  if (!in_block(arena, head)) {
    list_remove(&head->link);
    head = xrealloc(head, sizeof *head + bytes);
    list_push_back(&arena->heap, &head->link);
    head->bytes = bytes;
    return head + 1;
  }
  if (resize_in_place(arena, head, bytes)) return memory;
  void *moved = arena_alloc(arena, bytes);
  return memcpy(moved, memory, head->bytes < bytes ? head->bytes : bytes);
}

void arena_free(struct arena *arena, void *memory) {
  if (memory == NULL) return;
  struct head *head = head_of(memory);
  if (in_block(arena, head)) return;
  list_remove(&head->link);
  free(head);
}
