/* Snapshots and the dead. The dead of a snapshot are what it sees and its next newer neighbour (another snapshot, or
 * the map) does not. When it goes, those born after its next older neighbour are seen by nobody and are freed; the
 * others become the dead of that neighbour. Nothing else changes hands, so taking and releasing cost O(1), and
 * kvmap_reclaim does the work later, a few pieces at a time. Several released ones in a row need no order among
 * themselves: what counts is the nearest older one that lives. */
#include "kvsm/kvmap_node.h"

#include <stdlib.h>

#include "base/check.h"

static uint32_t birth_of(const void *item) {
  return *(const uint32_t *)item; /* entries and nodes begin with it */
}

static struct kvmap_snapshot *snapshot_of(struct list *link) {
  return (struct kvmap_snapshot *)link; /* its first member */
}

static void dead_push(struct kvmap_snapshot *snapshot, void *item) {
  struct dead_chunk *chunk = snapshot->dead;
  if (chunk == NULL || chunk->count == sizeof(chunk->item) / sizeof(chunk->item[0])) {
    chunk = xmalloc(sizeof(*chunk));
    chunk->next = snapshot->dead;
    chunk->count = 0;
    snapshot->dead = chunk;
  }
  chunk->item[chunk->count++] = item;
}

/* NULL when there is none. */
static void *dead_pop(struct kvmap_snapshot *snapshot) {
  struct dead_chunk *chunk = snapshot->dead;
  if (chunk == NULL) return NULL;
  void *item = chunk->item[--chunk->count];
  if (chunk->count == 0) {
    snapshot->dead = chunk->next;
    free(chunk);
  }
  return item;
}

void kvmap_retire(struct kvmap *map, void *item) {
  if (item == NULL) return;
  if (kvmap_is_shared(map, birth_of(item))) {
    dead_push(snapshot_of(map->snapshots.prev), item);
  } else {
    free(item);
  }
}

struct kvmap_snapshot *kvmap_snapshot_take(struct kvmap *map) {
  CHECK(map->generation < UINT32_MAX);
  struct kvmap_snapshot *snapshot = xmalloc(sizeof(*snapshot));
  *snapshot = (struct kvmap_snapshot){.root = map->root, .count = map->count, .generation = map->generation};
  list_push_back(&map->snapshots, &snapshot->link);
  map->shared = map->generation++;
  return snapshot;
}

void kvmap_snapshot_release(struct kvmap *map, struct kvmap_snapshot *snapshot) {
  list_remove(&snapshot->link);
  map->shared = list_empty(&map->snapshots) ? 0 : snapshot_of(map->snapshots.prev)->generation;
  if (snapshot->dead == NULL) {
    free(snapshot);
  } else {
    list_push_back(&map->released, &snapshot->link);
  }
}

uint64_t kvmap_snapshot_count(const struct kvmap_snapshot *snapshot) {
  return snapshot->count;
}

/* The newest live snapshot that is older than `snapshot`; NULL when there is none. */
static struct kvmap_snapshot *older_neighbour(struct kvmap *map, const struct kvmap_snapshot *snapshot) {
  for (struct list *link = map->snapshots.prev; link != &map->snapshots; link = link->prev) {
    if (snapshot_of(link)->generation < snapshot->generation) return snapshot_of(link);
  }
  return NULL;
}

/* Buries up to `steps_max` dead of a released snapshot; returns how many. */
static size_t bury(struct kvmap_snapshot *snapshot, struct kvmap_snapshot *older, size_t steps_max) {
  size_t steps = 0;
  for (; steps < steps_max; steps++) {
    void *item = dead_pop(snapshot);
    if (item == NULL) break;
    if (older != NULL && birth_of(item) <= older->generation) {
      dead_push(older, item);
    } else {
      free(item);
    }
  }
  return steps;
}

bool kvmap_reclaim(struct kvmap *map, size_t steps_max) {
  while (!list_empty(&map->released)) {
    struct kvmap_snapshot *snapshot = snapshot_of(map->released.next);
    steps_max -= bury(snapshot, older_neighbour(map, snapshot), steps_max);
    if (snapshot->dead != NULL) return true;
    list_remove(&snapshot->link);
    free(snapshot);
  }
  return false;
}

bool kvmap_reclaimable(const struct kvmap *map) {
  return !list_empty(&map->released);
}
