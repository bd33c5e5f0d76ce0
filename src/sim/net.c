/* The simulated network. A message is lost, delayed, doubled or overtaken when it leaves; what is under way arrives
 * whatever happens meanwhile: it outlives a crash of its sender, and its receiver may be another incarnation. */
#include <stdlib.h>

#include "base/check.h"
#include "sim/world_state.h"

/* One lost message in so many is noticed by its sender as a broken link. */
enum { NOTICED_PPM = 60000, NOTICED_AFTER_US = 50000 };

void sim_net_init(struct sim_world *world) {
  for (uint8_t from = 0; from < world->config.nodes_count; from++) {
    for (uint8_t to = 0; to < world->config.nodes_count; to++)
      world->directions[from][to].net = world->config.net;
  }
}

void sim_net_deinit(struct sim_world *world) {
  while (world->packets_all != NULL) {
    struct sim_packet *packet = world->packets_all;
    world->packets_all = packet->next_all;
    buffer_deinit(&packet->entries);
    free(packet);
  }
}

struct sim_packet *sim_packet_make(struct sim_world *world, const struct raft_message *message, struct bytes entries) {
  struct sim_packet *packet = world->packets_free;
  if (packet == NULL) {
    packet = xcalloc(1, sizeof *packet);
    packet->next_all = world->packets_all;
    world->packets_all = packet;
  } else {
    world->packets_free = packet->next;
  }
  packet->message = *message;
  buffer_clear(&packet->entries);
  if (entries.len > 0) buffer_append_bytes(&packet->entries, entries);
  return packet;
}

void sim_packet_free(struct sim_world *world, struct sim_packet *packet) {
  packet->next = world->packets_free;
  world->packets_free = packet;
}

static void lose(struct sim_world *world, const struct raft_message *message, enum sim_fault why) {
  world->faults[why]++;
  if (!sim_chance(&world->net_random, NOTICED_PPM)) return;
  uint64_t at_us = world->now_us + prng_below(&world->net_random, NOTICED_AFTER_US);
  sim_push(world, at_us, SIM_PEER_DOWN, message->from, message->to, NULL);
}

static uint64_t arrival(struct sim_world *world, struct sim_direction *direction, bool ordered) {
  const struct sim_net *net = &direction->net;
  struct prng *random = &world->net_random;
  uint64_t at_us = world->now_us + net->delay_us + sim_below(random, net->jitter_us);
  if (sim_chance(random, net->tail_ppm)) {
    at_us += sim_below(random, net->tail_us);
    world->faults[SIM_FAULT_DELAYED]++;
  }
  if (ordered || !sim_chance(random, net->reorder_ppm)) {
    if (at_us < direction->ordered_at_us) at_us = direction->ordered_at_us;
    direction->ordered_at_us = at_us;
  }
  if (at_us < direction->newest_at_us) world->faults[SIM_FAULT_OVERTAKEN]++;
  if (at_us > direction->newest_at_us) direction->newest_at_us = at_us;
  return at_us;
}

void sim_packet_post(struct sim_world *world, struct sim_packet *packet, bool ordered) {
  uint8_t to = packet->message.to;
  struct sim_direction *direction = &world->directions[packet->message.from][to];
  sim_push(world, arrival(world, direction, ordered), SIM_MESSAGE, to, 0, packet);
}

static void leave(struct sim_world *world, const struct raft_message *message, struct bytes entries) {
  sim_check_sent(&world->check, message);
  struct sim_direction *direction = &world->directions[message->from][message->to];
  if (direction->cut) {
    lose(world, message, SIM_FAULT_BLOCKED);
    return;
  }
  if (sim_intercepted(world, message, entries)) return;
  if (sim_chance(&world->net_random, direction->net.loss_ppm)) {
    lose(world, message, SIM_FAULT_LOST);
    return;
  }
  sim_packet_post(world, sim_packet_make(world, message, entries), false);
  if (!sim_chance(&world->net_random, direction->net.duplicate_ppm)) return;
  world->faults[SIM_FAULT_DUPLICATED]++;
  sim_packet_post(world, sim_packet_make(world, message, entries), false);
}

static struct sim_node *sender(struct raft_transport *transport) {
  return (struct sim_node *)(void *)((char *)transport - offsetof(struct sim_node, transport));
}

static void transport_send(struct raft_transport *transport, const struct raft_message *message, struct bytes entries) {
  struct sim_node *node = sender(transport);
  CHECK(message->from == node->number);
  if (node->up) leave(node->world, message, entries);
}

/* A node that goes down answers what it still holds; nobody hears it. */
static void transport_reply(struct raft_transport *transport, void *token, const struct raft_message *message) {
  struct sim_node *node = sender(transport);
  CHECK(token != NULL && node->tokens > 0);
  node->tokens--;
  if (message == NULL || !node->up) return;
  CHECK(message->from == node->number && message->to + 1u == (uintptr_t)token);
  leave(node->world, message, bytes_make(NULL, 0));
}

const struct raft_transport_ops sim_transport_ops = {transport_send, transport_reply};
