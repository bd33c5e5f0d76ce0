/* The hook: what came during the turn was stepped already, in the callbacks, but for what the disk has done meanwhile;
 * raftnode_turn does the rest. A sync that is done as soon as it is asked for (in memory) may release acknowledgements
 * and bring commands to be applied, so another round follows, until there is none. Then the links send, one write each,
 * while the disk still writes.
 *
 * One timer stands on the node's deadline. It does nothing by itself: it brings about the turn. */
#include "server/member.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/log.h"
#include "raft/node.h"
#include "raft/transporthttp/transporthttp.h"
#include "server/fresh.h"
#include "server/works.h"

#include <stdio.h>
#include <stdlib.h>

enum {
  INFLIGHT_MAX = HTTP_PIPELINE_MAX / 2, /* AppendEntries with entries per link: heartbeats and votes fit beside them */
  MESSAGE_BYTES_MAX = 1 << 20,          /* entries of one of them */
  INSTALL_BYTES = 1 << 18,              /* one piece of a snapshot on its way to another member */
  SNAPSHOT_TAIL_SHARE = 10,             /* a tenth of what leads to a snapshot stays in the log behind it */
  LINK_TIMEOUT_ELECTIONS = 5            /* a link without an answer is given up after so many election timeouts */
};

_Static_assert((int)MEMBERS_MAX == (int)RAFT_NODES_MAX, "a configuration holds as many members as a cluster");

struct member {
  struct io_loop *loop;
  struct cluster cluster;
  struct storage *storage; /* the server's */
  struct works *works;     /* the node's */
  struct transporthttp *transport;
  struct fault_transport *faults; /* NULL: not enabled */
  struct raftnode *node;
  struct io_hook hook;
  struct io_timer *timer;
  uint64_t timer_ms; /* what it stands on; UINT64_MAX: it does not */
  uint32_t election_max_ms;
  uint8_t told_leader; /* the leader that the log was told of last, RAFT_NODE_NONE: none */

  void (*left)(void *context); /* set while leaving */
  void *left_context;
  uint64_t leave_deadline_ms;
};

/* ---- leaving ---- */

/* Of those that were heard of within an election timeout, the one that holds most; proven ones come first. */
static uint8_t best_prepared(const struct raft *core) {
  uint8_t best = RAFT_NODE_NONE;
  for (uint8_t i = 0; i < core->config.nodes_count; i++) {
    const struct raft_peer *peer = &core->peers[i];
    if (i == core->config.self || core->now_ms - peer->contact_ms >= core->config.election_min_ms) continue;
    const struct raft_peer *other = best == RAFT_NODE_NONE ? NULL : &core->peers[best];
    bool is_better = other == NULL || peer->proven > other->proven ||
                     (peer->proven == other->proven && peer->match_index > other->match_index);
    if (is_better) best = i;
  }
  return best;
}

/* An unproven member may not campaign at once: then a later turn tries again. False: there is nothing to hand over, or
 * nobody. */
static bool hand_over(struct member *member, uint64_t now_ms) {
  const struct raft *core = raftnode_core(member->node);
  uint8_t peer = core->role == RAFT_LEADER ? best_prepared(core) : RAFT_NODE_NONE;
  if (peer == RAFT_NODE_NONE) return false;
  if (!core->peers[peer].proven || core->transfer_to != RAFT_NODE_NONE) return true;
  if (raftnode_transfer(member->node, peer, now_ms) == STATUS_OK)
    LOG_INFO("server", "leadership_handed_over", LOG_STR("to", member->cluster.members[peer].id));
  return true;
}

static void check_left(struct member *member, uint64_t now_ms) {
  if (member->left == NULL) return;
  bool handing_over = hand_over(member, now_ms) || raftnode_writes_waiting(member->node) > 0;
  if (handing_over && now_ms < member->leave_deadline_ms) return;
  void (*left)(void *) = member->left;
  member->left = NULL;
  left(member->left_context);
}

/* ---- the turn ---- */

static bool complete_syncs(struct member *member, uint64_t now_ms) {
  bool any = false;
  uint64_t number;
  uint64_t last_index;
  while (storage_complete(member->storage, &number, &last_index)) {
    raftnode_synced(member->node, number, last_index, now_ms);
    any = true;
  }
  return any;
}

static void arm_timer(struct member *member, uint64_t now_ms) {
  uint64_t deadline_ms = raftnode_deadline_ms(member->node);
  if (member->left != NULL && member->leave_deadline_ms < deadline_ms) deadline_ms = member->leave_deadline_ms;
  if (deadline_ms <= now_ms) {
    io_loop_wake(member->loop);
    return;
  }
  if (deadline_ms == member->timer_ms) return;
  member->timer_ms = deadline_ms;
  if (deadline_ms == UINT64_MAX)
    io_timer_disarm(member->timer);
  else
    io_timer_arm(member->timer, deadline_ms - now_ms);
}

/* A node alone has nobody else to follow. */
static void tell_leader(struct member *member) {
  const struct raft *core = raftnode_core(member->node);
  if (core->leader == member->told_leader || member->cluster.members_count == 1) return;
  if (core->leader == RAFT_NODE_NONE)
    LOG_WARN("raft", "leader_lost", LOG_STR("was", member->cluster.members[member->told_leader].id),
             LOG_U64("term", core->hard_state.term));
  else
    LOG_INFO("raft", "leader_known", LOG_STR("leader", member->cluster.members[core->leader].id),
             LOG_U64("term", core->hard_state.term));
  member->told_leader = core->leader;
}

static void on_turn_end(struct io_hook *hook) {
  struct member *member = (struct member *)(void *)((char *)hook - offsetof(struct member, hook));
  uint64_t now_ms = io_loop_now_ms(member->loop);
  complete_syncs(member, now_ms);
  do
    raftnode_turn(member->node, now_ms);
  while (complete_syncs(member, now_ms));
  transporthttp_flush(member->transport);
  tell_leader(member);
  check_left(member, now_ms);
  arm_timer(member, now_ms);
}

static void on_timer(void *context) {
  struct member *member = context;
  member->timer_ms = UINT64_MAX;
}

/* ---- from the transport ---- */

static void on_message(void *context, const struct raft_message *message, struct bytes entries, void *token,
                       uint64_t now_ms) {
  struct member *member = context;
  raftnode_receive(member->node, message, entries, token, now_ms);
}

static void on_peer_down(void *context, uint8_t peer, uint64_t now_ms) {
  struct member *member = context;
  raftnode_peer_down(member->node, peer, now_ms);
}

/* ---- work that takes long ---- */

static void run_work(void *subject) {
  struct raft_work *work = subject;
  work->run(work);
}

static void on_work_done(void *owner, void *subject) {
  struct member *member = owner;
  raftnode_work_done(member->node, subject);
}

static void submit_work(void *context, struct raft_work *work) {
  struct member *member = context;
  works_submit(member->works, run_work, on_work_done, member, work);
}

/* ---- life ---- */

static enum status init_cluster(struct cluster *cluster, const struct config *config, struct error *err) {
  struct cluster_member members[MEMBERS_MAX];
  for (uint8_t i = 0; i < config->members_count; i++) {
    const struct config_member *from = &config->members[i];
    snprintf(members[i].id, sizeof members[i].id, "%s", from->id);
    snprintf(members[i].host, sizeof members[i].host, "%s", from->host);
    members[i].port = from->port;
  }
  return cluster_init(cluster, members, config->members_count, config->id, err);
}

static void create_transport(struct member *member, const struct config *config, uint64_t seed) {
  struct transporthttp_options options = {.loop = member->loop,
                                          .cluster = &member->cluster,
                                          .timeout_ms = LINK_TIMEOUT_ELECTIONS * config->election_max_ms,
                                          .seed = seed};
  member->transport = transporthttp_create(&options);
  if (!config->enable_faults) return;
  struct hash128 seeds = hash128_of(bytes_of("faults"), seed);
  member->faults =
      fault_transport_create(member->loop, &member->cluster, transporthttp_base(member->transport), seeds.low);
}

static struct raft_transport *transport_of_node(struct member *member) {
  return member->faults != NULL ? fault_transport_base(member->faults) : transporthttp_base(member->transport);
}

static void create_node(struct member *member, const struct config *config, struct kvsm *sm, uint64_t seed) {
  struct raftnode_options options = {.cluster = &member->cluster,
                                     .fixed_leader = cluster_find(&member->cluster, config->fixed_leader),
                                     .heartbeat_ms = config->heartbeat_ms,
                                     .election_min_ms = config->election_min_ms,
                                     .election_max_ms = config->election_max_ms,
                                     .inflight_max = INFLIGHT_MAX,
                                     .message_bytes_max = MESSAGE_BYTES_MAX,
                                     .seed = seed,
                                     .life = fresh_number(),
                                     .snapshot_threshold = config->snapshot_threshold,
                                     .snapshot_tail = config->snapshot_threshold / SNAPSHOT_TAIL_SHARE,
                                     .install_bytes = INSTALL_BYTES,
                                     .worker = {member, submit_work},
                                     .clock_us = io_clock_us};
  struct transporthttp_events events = {member, on_message, on_peer_down};
  member->node = raftnode_create(&options, storage_base(member->storage), transport_of_node(member), sm,
                                 io_loop_now_ms(member->loop));
  transporthttp_start(member->transport, &events);
}

enum status member_create(struct io_loop *loop, const struct config *config, struct storage *storage, struct kvsm *sm,
                          struct member **out, struct error *err) {
  struct member *member = xcalloc(1, sizeof *member);
  member->loop = loop;
  member->storage = storage;
  enum status status = init_cluster(&member->cluster, config, err);
  if (status != STATUS_OK) {
    free(member);
    return status;
  }
  /* Members that were given the same seed must not draw the same timeouts. */
  struct hash128 seeds = hash128_of(bytes_of(config->id), config->seed);
  member->election_max_ms = config->election_max_ms;
  member->told_leader = RAFT_NODE_NONE;
  member->timer_ms = UINT64_MAX;
  member->timer = io_timer_create(loop, on_timer, member);
  member->hook.run = on_turn_end;
  member->hook.name = "raft";
  io_hook_add(loop, &member->hook);
  member->works = works_create(loop);
  storage_start(storage, loop);
  create_transport(member, config, seeds.low);
  create_node(member, config, sm, seeds.high);
  io_loop_wake(loop);
  *out = member;
  return STATUS_OK;
}

void member_destroy(struct member *member) {
  io_hook_remove(&member->hook);
  io_timer_destroy(member->timer);
  raftnode_stop_work(member->node);
  works_close(member->works);
  raftnode_destroy(member->node);
  if (member->faults != NULL) fault_transport_destroy(member->faults);
  transporthttp_destroy(member->transport);
  free(member);
}

void member_set_port(struct member *member, uint16_t port) {
  member->cluster.members[member->cluster.self].port = port;
}

struct raft_node *member_base(struct member *member) {
  return raftnode_base(member->node);
}

void member_handle(struct member *member, const struct http_message *request, struct http_exchange *exchange) {
  transporthttp_handle(member->transport, request, exchange);
}

enum status member_create_snapshot(struct member *member) {
  enum status status = raftnode_create_snapshot(member->node, io_loop_now_ms(member->loop));
  io_loop_wake(member->loop);
  return status;
}

enum status member_transfer(struct member *member, const char *id) {
  uint8_t peer = cluster_find(&member->cluster, id);
  if (peer == RAFT_NODE_NONE) return STATUS_NOT_FOUND;
  enum status status = raftnode_transfer(member->node, peer, io_loop_now_ms(member->loop));
  io_loop_wake(member->loop);
  return status;
}

struct fault_transport *member_fault_transport(struct member *member) {
  return member->faults;
}

const struct raftnode *member_node(const struct member *member) {
  return member->node;
}

const char *member_failure(const struct member *member) {
  if (!raftnode_failed(member->node)) return NULL;
  const char *why = storage_failure(member->storage);
  return why != NULL ? why : "a snapshot could not be written; the log says why";
}

bool member_pending(const struct member *member) {
  return raftnode_deadline_ms(member->node) <= io_loop_now_ms(member->loop);
}

bool member_leave(struct member *member, void (*left)(void *context), void *context) {
  CHECK(member->left == NULL);
  uint64_t now_ms = io_loop_now_ms(member->loop);
  if (!hand_over(member, now_ms)) return false;
  member->left = left;
  member->left_context = context;
  member->leave_deadline_ms = now_ms + member->election_max_ms;
  io_loop_wake(member->loop);
  return true;
}
