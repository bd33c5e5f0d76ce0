#include "sim/events.h"

#include <stdlib.h>

#include "base/check.h"

enum { CAPACITY_MIN = 256 };

void sim_events_init(struct sim_events *events) {
  *events = (struct sim_events){0};
}

void sim_events_deinit(struct sim_events *events) {
  free(events->heap);
  sim_events_init(events);
}

static bool before(const struct sim_event *a, const struct sim_event *b) {
  return a->at_us != b->at_us ? a->at_us < b->at_us : a->sequence < b->sequence;
}

uint64_t sim_events_push(struct sim_events *events, const struct sim_event *event) {
  if (events->count == events->capacity) {
    events->capacity = events->capacity == 0 ? CAPACITY_MIN : 2 * events->capacity;
    events->heap = xrealloc(events->heap, events->capacity * sizeof events->heap[0]);
  }
  struct sim_event item = *event;
  item.sequence = ++events->sequence;
  size_t place = events->count++;
  while (place > 0) {
    size_t parent = (place - 1) / 2;
    if (!before(&item, &events->heap[parent])) break;
    events->heap[place] = events->heap[parent];
    place = parent;
  }
  events->heap[place] = item;
  return item.sequence;
}

const struct sim_event *sim_events_first(const struct sim_events *events) {
  return events->count == 0 ? NULL : &events->heap[0];
}

struct sim_event sim_events_pop(struct sim_events *events) {
  CHECK(events->count > 0);
  struct sim_event first = events->heap[0];
  struct sim_event last = events->heap[--events->count];
  size_t place = 0;
  for (;;) {
    size_t child = 2 * place + 1;
    if (child >= events->count) break;
    if (child + 1 < events->count && before(&events->heap[child + 1], &events->heap[child])) child++;
    if (!before(&events->heap[child], &last)) break;
    events->heap[place] = events->heap[child];
    place = child;
  }
  if (events->count > 0) events->heap[place] = last;
  return first;
}
