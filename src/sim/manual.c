/* Operations by hand, for scripted scenarios. One that is submitted reaches its node at once, or when the node is no
 * longer paused. It ends once: with the node's answer, with the node, or when nobody waits any longer; the node may
 * then still be at it, or begin with it when it goes on.
 *
 * Its memory goes when it was forgotten and no node holds it. */
#include "sim/manual.h"

#include <stdlib.h>

#include "base/check.h"
#include "sim/manual_state.h"

enum { BUCKETS_MIN = 64, US_PER_MS = 1000 };

struct sim_manual {
  struct sim_manual_request **buckets; /* owned; of those that are not forgotten, by number */
  size_t buckets_count;                /* a power of two */
  size_t known_count;                  /* in the buckets */
  uint64_t submitted;                  /* ever, like what follows */
  uint64_t ended_count;                /* but those that were forgotten before */
  uint64_t noticed_count;              /* of those, by runs and by whoever asked for them */
  struct list all;                     /* owned */
  struct list ended;                   /* in the order of their ends, as far as nobody was told */
};

/* ---- the table ---- */

static struct sim_manual_request **bucket_of(const struct sim_manual *manual, uint64_t number) {
  return &manual->buckets[number & (manual->buckets_count - 1)];
}

static void insert(struct sim_manual *manual, struct sim_manual_request *request) {
  struct sim_manual_request **bucket = bucket_of(manual, request->number);
  request->next = *bucket;
  *bucket = request;
}

static void grow(struct sim_manual *manual) {
  struct sim_manual_request **old = manual->buckets;
  size_t old_count = manual->buckets_count;
  manual->buckets_count = old_count == 0 ? BUCKETS_MIN : 2 * old_count;
  manual->buckets = xcalloc(manual->buckets_count, sizeof manual->buckets[0]);
  for (size_t i = 0; i < old_count; i++) {
    while (old[i] != NULL) {
      struct sim_manual_request *request = old[i];
      old[i] = request->next;
      insert(manual, request);
    }
  }
  free(old);
}

static struct sim_manual_request *find(const struct sim_world *world, uint64_t number) {
  CHECK(number >= 1 && number <= sim_world_submitted(world));
  struct sim_manual_request *request = *bucket_of(world->manual, number);
  while (request != NULL && request->number != number)
    request = request->next;
  return request;
}

static void take_out(struct sim_manual *manual, const struct sim_manual_request *request) {
  struct sim_manual_request **link = bucket_of(manual, request->number);
  while (*link != request)
    link = &(*link)->next;
  *link = request->next;
  manual->known_count--;
}

static struct sim_manual *make_manual(void) {
  struct sim_manual *manual = xcalloc(1, sizeof *manual);
  list_init(&manual->all);
  list_init(&manual->ended);
  grow(manual);
  return manual;
}

static struct sim_manual_request *add_request(struct sim_world *world) {
  if (world->manual == NULL) world->manual = make_manual();
  struct sim_manual *manual = world->manual;
  if (manual->known_count == manual->buckets_count) grow(manual);
  struct sim_manual_request *request = xcalloc(1, sizeof *request);
  request->world = world;
  request->number = ++manual->submitted;
  list_push_back(&manual->all, &request->all);
  list_init(&request->ended);
  insert(manual, request);
  manual->known_count++;
  return request;
}

static struct sim_manual_request *of_link(struct list *link, size_t offset) {
  return (struct sim_manual_request *)(void *)((char *)link - offset);
}

static void free_request(struct sim_manual_request *request) {
  list_remove(&request->all);
  buffer_deinit(&request->body);
  buffer_deinit(&request->found);
  free(request);
}

/* ---- ends ---- */

/* The first end is the one that counts. */
static void end(struct sim_manual_request *request) {
  if (request->has_ended) return;
  request->has_ended = true;
  if (request->forgotten) return;
  struct sim_manual *manual = request->world->manual;
  manual->ended_count++;
  list_push_back(&manual->ended, &request->ended);
}

static void end_without_answer(struct sim_manual_request *request, enum sim_silence silence) {
  if (request->has_ended) return;
  request->outcome.silence = silence;
  request->outcome.status = silence == SIM_LATE ? STATUS_TIMEOUT : STATUS_CLOSED;
  end(request);
}

static void let_go(struct sim_manual_request *request) {
  request->held = false;
  if (request->forgotten) free_request(request);
}

static void answered(struct sim_manual_request *request, enum status status, const struct apply_result *result) {
  if (!request->has_ended) sim_manual_answer(request, status, result);
  end(request);
  let_go(request);
}

void sim_manual_done(struct dkv_request *request, enum status status, const struct apply_result *result) {
  answered((struct sim_manual_request *)(void *)request, status, result);
}

/* ---- ways to the node ---- */

static void reach(struct sim_node *node, struct sim_manual_request *request) {
  enum status status = sim_manual_call(node, request);
  if (status == STATUS_OK) return;
  answered(request, status, NULL);
}

uint64_t sim_world_submit(struct sim_world *world, uint8_t number, const struct sim_request *request) {
  CHECK(number < world->config.nodes_count);
  struct sim_node *node = &world->nodes[number];
  struct sim_manual_request *manual = add_request(world);
  manual->node = number;
  manual->incarnation = node->incarnation;
  manual->acked_index = world->check.acked_index;
  sim_manual_keep(manual, request);
  sim_push(world, world->now_us + request->deadline_ms * US_PER_MS, SIM_MANUAL_END, number, manual->number, NULL);
  if (!node->up) {
    end_without_answer(manual, SIM_REFUSED);
    return manual->number;
  }
  manual->held = true;
  if (node->paused) {
    sim_push(world, world->now_us, SIM_MANUAL, number, manual->number, manual);
  } else {
    reach(node, manual);
    sim_push(world, world->now_us, SIM_TURN, number, node->incarnation, NULL);
  }
  return manual->number;
}

void sim_manual_request(struct sim_node *node, void *data) {
  struct sim_manual_request *request = data;
  if (request->incarnation == node->incarnation) {
    reach(node, request);
  } else {
    sim_manual_lost(request);
  }
}

void sim_manual_lost(void *data) {
  struct sim_manual_request *request = data;
  end_without_answer(request, SIM_BROKEN);
  let_go(request);
}

void sim_manual_end(struct sim_world *world, uint64_t number) {
  struct sim_manual_request *request = find(world, number);
  if (request != NULL) end_without_answer(request, SIM_LATE);
}

/* ---- for the run ---- */

bool sim_manual_news(const struct sim_world *world) {
  return world->manual != NULL && world->manual->ended_count != world->manual->noticed_count;
}

void sim_manual_notice(struct sim_world *world) {
  if (world->manual != NULL) world->manual->noticed_count = world->manual->ended_count;
}

/* ---- for whoever submitted ---- */

uint64_t sim_world_submitted(const struct sim_world *world) {
  return world->manual == NULL ? 0 : world->manual->submitted;
}

bool sim_world_outcome(const struct sim_world *world, uint64_t number, struct sim_outcome *out) {
  const struct sim_manual_request *request = find(world, number);
  if (request == NULL || !request->has_ended) return false;
  *out = request->outcome;
  out->found = buffer_view(&request->found);
  return true;
}

void sim_world_forget(struct sim_world *world, uint64_t number) {
  struct sim_manual_request *request = find(world, number);
  if (request == NULL) return;
  take_out(world->manual, request);
  list_remove(&request->ended);
  request->forgotten = true;
  if (!request->held) free_request(request);
}

uint64_t sim_world_answered(struct sim_world *world) {
  struct list *first = world->manual == NULL ? NULL : list_pop_front(&world->manual->ended);
  if (first != NULL) return of_link(first, offsetof(struct sim_manual_request, ended))->number;
  sim_manual_notice(world);
  return 0;
}

void sim_manual_destroy(struct sim_manual *manual) {
  if (manual == NULL) return;
  while (!list_empty(&manual->all))
    free_request(of_link(manual->all.next, offsetof(struct sim_manual_request, all)));
  free(manual->buckets);
  free(manual);
}
