/* Single messages, by hand: dropped, or held until they are released. What is held is under way: it outlives a crash of
 * its sender, and cuts and losses that come later do not touch it. */
#include "base/check.h"
#include "sim/world_state.h"

static struct sim_direction *direction_of(struct sim_world *world, uint8_t from, uint8_t to) {
  CHECK(from < world->config.nodes_count && to < world->config.nodes_count);
  return &world->directions[from][to];
}

/* ---- a message leaves ---- */

/* One that was asked for by its type is taken before one of any. */
static bool take_drop(struct sim_intercept *intercept, enum raft_message_type type) {
  uint32_t *count =
      intercept->drop_next[type] > 0 ? &intercept->drop_next[type] : &intercept->drop_next[SIM_MESSAGE_TYPES];
  if (*count == 0) return false;
  --*count;
  return true;
}

static void keep(struct sim_intercept *intercept, struct sim_packet *packet) {
  packet->next = NULL;
  if (intercept->held_last == NULL) {
    intercept->held_first = packet;
  } else {
    intercept->held_last->next = packet;
  }
  intercept->held_last = packet;
}

bool sim_intercepted(struct sim_world *world, const struct raft_message *message, struct bytes entries) {
  struct sim_intercept *intercept = &world->directions[message->from][message->to].intercept;
  if (take_drop(intercept, message->type)) {
    sim_fault_count(world, SIM_FAULT_DROPPED, message->to, message->from, message->type);
    return true;
  }
  uint32_t types = UINT32_C(1) << message->type | UINT32_C(1) << SIM_MESSAGE_TYPES;
  if ((intercept->held_types & types) == 0) return false;
  keep(intercept, sim_packet_make(world, message, entries));
  sim_fault_count(world, SIM_FAULT_HELD, message->to, message->from, message->type);
  return true;
}

/* ---- by hand ---- */

void sim_world_drop_next(struct sim_world *world, uint8_t from, uint8_t to, uint32_t type) {
  CHECK(type <= SIM_MESSAGE_TYPES);
  direction_of(world, from, to)->intercept.drop_next[type]++;
}

void sim_world_hold(struct sim_world *world, uint8_t from, uint8_t to, uint32_t type) {
  CHECK(type <= SIM_MESSAGE_TYPES);
  direction_of(world, from, to)->intercept.held_types |= UINT32_C(1) << type;
}

static void let_go(struct sim_world *world, struct sim_intercept *intercept) {
  struct sim_packet *packet = intercept->held_first;
  intercept->held_types = 0;
  intercept->held_first = NULL;
  intercept->held_last = NULL;
  while (packet != NULL) {
    struct sim_packet *next = packet->next;
    sim_packet_post(world, packet, true);
    packet = next;
  }
}

void sim_world_release(struct sim_world *world, uint8_t from, uint8_t to) {
  let_go(world, &direction_of(world, from, to)->intercept);
}

void sim_intercept_end(struct sim_world *world, struct sim_direction *direction) {
  let_go(world, &direction->intercept);
  direction->intercept = (struct sim_intercept){0};
}
