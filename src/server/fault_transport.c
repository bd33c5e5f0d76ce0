/* The happy path: the node sends -> nothing is set for the direction -> the real transport. With faults: the message is
 * lost, or each copy of it gets the time at which it leaves. One that cannot leave at once waits, as a parcel, in the
 * direction's list, by that time; one timer stands on the earliest of all directions. */
#include "server/fault_transport.h"

#include "base/check.h"
#include "base/list.h"
#include "base/prng.h"
#include "io/loop.h"

#include <stdlib.h>

/* A message that waits. */
struct parcel {
  struct list link; /* first member */
  uint64_t due_ms;  /* loop time at which it leaves */
  void *token;      /* of the request that it answers; NULL: it is a request itself */
  struct raft_message message;
  size_t entries_bytes;
  uint8_t entries[];
};

/* An answer that must not leave while the direction is cut. */
struct owed {
  struct list link; /* first member */
  void *token;
};

struct direction {
  struct fault_link link;
  bool held;
  uint32_t drop_next[FAULT_TYPES + 1];
  uint64_t ordered_ms; /* before this, nothing that keeps the order may leave */
  struct list waiting; /* struct parcel, by due_ms */
  uint32_t waiting_count;
  uint64_t waiting_bytes; /* of entries */
  struct list owed;       /* struct owed, oldest first */
  uint32_t owed_count;
};

struct fault_transport {
  struct raft_transport base; /* first member */
  struct io_loop *loop;
  const struct cluster *cluster;
  struct raft_transport *inner;
  struct io_timer *timer;
  struct prng prng;
  struct fault_counts counts;
  struct direction directions[RAFT_NODES_MAX];
};

static struct fault_transport *transport_of(struct raft_transport *base) {
  return (struct fault_transport *)(void *)base;
}

static struct direction *direction_to(struct fault_transport *transport, uint8_t peer) {
  CHECK(peer < transport->cluster->members_count && peer != transport->cluster->self);
  return &transport->directions[peer];
}

/* ---- what is lost ---- */

static void settle(struct fault_transport *transport, void *token) {
  transport->inner->ops->reply(transport->inner, token, NULL);
}

static void settle_oldest(struct fault_transport *transport, struct direction *direction) {
  struct owed *owed = (struct owed *)(void *)list_pop_front(&direction->owed);
  direction->owed_count--;
  settle(transport, owed->token);
  free(owed);
}

static void settle_all(struct fault_transport *transport, struct direction *direction) {
  while (direction->owed_count > 0)
    settle_oldest(transport, direction);
}

/* The oldest of too many belongs to a connection that the peer gave up long ago. */
static void owe(struct fault_transport *transport, struct direction *direction, void *token) {
  struct owed *owed = xmalloc(sizeof *owed);
  owed->token = token;
  list_push_back(&direction->owed, &owed->link);
  direction->owed_count++;
  if (direction->owed_count > FAULT_OWED_MAX) settle_oldest(transport, direction);
}

/* `token` as in struct parcel. */
static void drop(struct fault_transport *transport, struct direction *direction, void *token) {
  transport->counts.dropped++;
  if (token == NULL) return;
  if (direction->link.cut)
    owe(transport, direction, token);
  else
    settle(transport, token);
}

static bool chance(struct fault_transport *transport, uint32_t ppm) {
  return ppm > 0 && prng_below(&transport->prng, FAULT_MILLION) < ppm;
}

static bool take_count(uint32_t *count) {
  if (*count == 0) return false;
  (*count)--;
  return true;
}

static bool is_lost(struct fault_transport *transport, struct direction *direction, enum raft_message_type type) {
  return take_count(&direction->drop_next[type]) || take_count(&direction->drop_next[FAULT_TYPES]) ||
         direction->link.cut || chance(transport, direction->link.drop_ppm);
}

/* ---- what leaves ---- */

static void forward(struct fault_transport *transport, const struct raft_message *message, struct bytes entries,
                    void *token) {
  if (token == NULL)
    transport->inner->ops->send(transport->inner, message, entries);
  else
    transport->inner->ops->reply(transport->inner, token, message);
}

static struct parcel *take_first(struct direction *direction) {
  struct parcel *parcel = (struct parcel *)(void *)list_pop_front(&direction->waiting);
  direction->waiting_count--;
  direction->waiting_bytes -= parcel->entries_bytes;
  return parcel;
}

static struct parcel *first_of(const struct direction *direction) {
  return (struct parcel *)(void *)direction->waiting.next;
}

/* Those whose time has come, unless they are held. */
static void let_go(struct fault_transport *transport, struct direction *direction, uint64_t now_ms) {
  while (!direction->held && !list_empty(&direction->waiting) && first_of(direction)->due_ms <= now_ms) {
    struct parcel *parcel = take_first(direction);
    if (direction->link.cut)
      drop(transport, direction, parcel->token);
    else
      forward(transport, &parcel->message, bytes_make(parcel->entries, parcel->entries_bytes), parcel->token);
    free(parcel);
  }
}

static void arm(struct fault_transport *transport, uint64_t now_ms) {
  uint64_t due_ms = UINT64_MAX;
  for (uint8_t peer = 0; peer < transport->cluster->members_count; peer++) {
    const struct direction *direction = &transport->directions[peer];
    if (direction->held || list_empty(&direction->waiting)) continue;
    if (first_of(direction)->due_ms < due_ms) due_ms = first_of(direction)->due_ms;
  }
  if (due_ms == UINT64_MAX)
    io_timer_disarm(transport->timer);
  else
    io_timer_arm(transport->timer, due_ms > now_ms ? due_ms - now_ms : 0);
}

static void let_all_go(struct fault_transport *transport) {
  uint64_t now_ms = io_loop_now_ms(transport->loop);
  for (uint8_t peer = 0; peer < transport->cluster->members_count; peer++)
    let_go(transport, &transport->directions[peer], now_ms);
  arm(transport, now_ms);
}

static void on_timer(void *context) {
  let_all_go(context);
}

/* After a change of a direction: what leaves now must be flushed at the end of a turn. */
static void let_go_after_change(struct fault_transport *transport) {
  let_all_go(transport);
  io_loop_wake(transport->loop);
}

/* ---- what waits ---- */

static void drop_oldest(struct fault_transport *transport, struct direction *direction) {
  struct parcel *parcel = take_first(direction);
  drop(transport, direction, parcel->token);
  free(parcel);
}

/* Behind all that leave no later. */
static void insert(struct fault_transport *transport, struct direction *direction, struct parcel *parcel) {
  struct list *behind = &direction->waiting;
  while (behind->prev != &direction->waiting && ((struct parcel *)(void *)behind->prev)->due_ms > parcel->due_ms)
    behind = behind->prev;
  if (behind != &direction->waiting) transport->counts.overtaking++;
  list_push_back(behind, &parcel->link);
  direction->waiting_count++;
  direction->waiting_bytes += parcel->entries_bytes;
}

static void wait(struct fault_transport *transport, struct direction *direction, const struct raft_message *message,
                 struct bytes entries, void *token, uint64_t due_ms) {
  struct parcel *parcel = xmalloc(sizeof *parcel + entries.len);
  parcel->due_ms = due_ms;
  parcel->token = token;
  parcel->message = *message;
  parcel->entries_bytes = entries.len;
  if (entries.len > 0) memcpy(parcel->entries, entries.data, entries.len);
  insert(transport, direction, parcel);
  while (direction->waiting_count > FAULT_WAITING_MAX ||
         (direction->waiting_bytes > FAULT_WAITING_BYTES_MAX && direction->waiting_count > 1))
    drop_oldest(transport, direction);
}

/* ---- from the node ---- */

/* When a message that comes now leaves. */
static uint64_t draw_due(struct fault_transport *transport, struct direction *direction, bool is_request,
                         uint64_t now_ms) {
  const struct fault_link *link = &direction->link;
  uint64_t due_ms = now_ms + link->delay_ms;
  if (link->jitter_ms > 0) due_ms += prng_below(&transport->prng, (uint64_t)link->jitter_ms + 1);
  if (is_request && chance(transport, link->reorder_ppm)) return due_ms;
  if (due_ms < direction->ordered_ms) due_ms = direction->ordered_ms;
  direction->ordered_ms = due_ms;
  return due_ms;
}

static void post(struct fault_transport *transport, struct direction *direction, const struct raft_message *message,
                 struct bytes entries, void *token) {
  uint64_t now_ms = io_loop_now_ms(transport->loop);
  uint64_t due_ms = draw_due(transport, direction, token == NULL, now_ms);
  if (due_ms <= now_ms && !direction->held && list_empty(&direction->waiting)) {
    forward(transport, message, entries, token);
    return;
  }
  if (due_ms > now_ms) transport->counts.delayed++;
  if (direction->held) transport->counts.held++;
  wait(transport, direction, message, entries, token, due_ms);
  arm(transport, now_ms);
}

static void transport_send(struct raft_transport *base, const struct raft_message *message, struct bytes entries) {
  struct fault_transport *transport = transport_of(base);
  struct direction *direction = direction_to(transport, message->to);
  if (is_lost(transport, direction, message->type)) {
    drop(transport, direction, NULL);
    return;
  }
  post(transport, direction, message, entries, NULL);
  if (!chance(transport, direction->link.dup_ppm)) return;
  transport->counts.duplicated++;
  post(transport, direction, message, entries, NULL);
}

static void transport_reply(struct raft_transport *base, void *token, const struct raft_message *message) {
  struct fault_transport *transport = transport_of(base);
  if (message == NULL) {
    settle(transport, token);
    return;
  }
  struct direction *direction = direction_to(transport, message->to);
  if (is_lost(transport, direction, message->type))
    drop(transport, direction, token);
  else
    post(transport, direction, message, bytes_make(NULL, 0), token);
}

/* ---- what is set ---- */

/* Their order stays: the later ones have later times already, or get the same. */
static void hasten(struct direction *direction, uint64_t latest_ms) {
  for (struct list *at = direction->waiting.next; at != &direction->waiting; at = at->next) {
    struct parcel *parcel = (struct parcel *)(void *)at;
    if (parcel->due_ms > latest_ms) parcel->due_ms = latest_ms;
  }
  if (direction->ordered_ms > latest_ms) direction->ordered_ms = latest_ms;
}

void fault_transport_link(struct fault_transport *transport, uint8_t peer, const struct fault_link *link) {
  struct direction *direction = direction_to(transport, peer);
  if (link == NULL) {
    direction->held = false;
    memset(direction->drop_next, 0, sizeof direction->drop_next);
  }
  direction->link = link != NULL ? *link : (struct fault_link){.cut = false};
  uint64_t longest_ms = (uint64_t)direction->link.delay_ms + direction->link.jitter_ms;
  hasten(direction, io_loop_now_ms(transport->loop) + longest_ms);
  if (!direction->link.cut) settle_all(transport, direction);
  let_go_after_change(transport);
}

void fault_transport_drop_next(struct fault_transport *transport, uint8_t peer, unsigned kind, uint32_t count) {
  CHECK(kind <= FAULT_TYPES);
  direction_to(transport, peer)->drop_next[kind] = count;
}

void fault_transport_hold(struct fault_transport *transport, uint8_t peer) {
  direction_to(transport, peer)->held = true;
  arm(transport, io_loop_now_ms(transport->loop));
}

void fault_transport_release(struct fault_transport *transport, uint8_t peer) {
  direction_to(transport, peer)->held = false;
  let_go_after_change(transport);
}

/* ---- what can be seen ---- */

void fault_transport_view(const struct fault_transport *transport, uint8_t peer, struct fault_link_view *out) {
  CHECK(peer < transport->cluster->members_count && peer != transport->cluster->self);
  const struct direction *direction = &transport->directions[peer];
  *out = (struct fault_link_view){.link = direction->link,
                                  .held = direction->held,
                                  .waiting = direction->waiting_count,
                                  .owed = direction->owed_count};
  memcpy(out->drop_next, direction->drop_next, sizeof out->drop_next);
}

struct fault_counts fault_transport_counts(const struct fault_transport *transport) {
  return transport->counts;
}

/* ---- life ---- */

struct fault_transport *fault_transport_create(struct io_loop *loop, const struct cluster *cluster,
                                               struct raft_transport *inner, uint64_t seed) {
  static const struct raft_transport_ops ops = {.send = transport_send, .reply = transport_reply};
  struct fault_transport *transport = xcalloc(1, sizeof *transport);
  transport->base.ops = &ops;
  transport->loop = loop;
  transport->cluster = cluster;
  transport->inner = inner;
  transport->timer = io_timer_create(loop, on_timer, transport);
  prng_init(&transport->prng, seed);
  for (int peer = 0; peer < RAFT_NODES_MAX; peer++) {
    list_init(&transport->directions[peer].waiting);
    list_init(&transport->directions[peer].owed);
  }
  return transport;
}

void fault_transport_destroy(struct fault_transport *transport) {
  io_timer_destroy(transport->timer);
  for (uint8_t peer = 0; peer < transport->cluster->members_count; peer++) {
    struct direction *direction = &transport->directions[peer];
    while (direction->waiting_count > 0)
      drop_oldest(transport, direction);
    settle_all(transport, direction);
  }
  free(transport);
}

struct raft_transport *fault_transport_base(struct fault_transport *transport) {
  return &transport->base;
}

const struct cluster *fault_transport_cluster(const struct fault_transport *transport) {
  return transport->cluster;
}
