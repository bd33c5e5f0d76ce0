/* closing_node: a Raft node that is destroyed while writes and a read wait, each of which at once asks again.
 *
 *   local ended, accepted = require("closing_node").run()
 *     ended: the waits that ended, all with STATUS_CLOSED; accepted: how many of their new questions were taken on */
#include <lauxlib.h>
#include <lua.h>

#include "base/check.h"
#include "raft/node.h"
#include "raft/storage/memory.h"

int luaopen_closing_node(lua_State *L);

struct asker {
  struct raft_wait wait; /* first */
  struct raft_wait more[3];
};

static struct raft_node *base;
static struct buffer command;
static lua_Integer ended;
static lua_Integer accepted;

static void on_more(struct raft_wait *wait, enum status status, const struct apply_result *result) {
  (void)wait;
  (void)status;
  (void)result;
}

static void on_done(struct raft_wait *wait, enum status status, const struct apply_result *result) {
  CHECK(status == STATUS_CLOSED && result == NULL);
  struct asker *asker = (struct asker *)(void *)wait;
  for (int i = 0; i < 3; i++)
    asker->more[i] = (struct raft_wait){.deadline_ms = UINT64_MAX, .done = on_more};
  ended++;
  accepted += base->ops->propose(base, buffer_view(&command), &asker->more[0]) == STATUS_OK;
  accepted += base->ops->read_index(base, &asker->more[1]) == STATUS_OK;
  accepted += base->ops->wait_applied(base, &asker->more[2]) == STATUS_OK;
}

static void on_sync(void *context, uint64_t number) {
  (void)context;
  (void)number;
}

static void turn(struct raftnode *node, struct mem_storage *storage, uint64_t now_ms) {
  uint64_t number;
  uint64_t last_index;
  do
    raftnode_turn(node, now_ms);
  while (mem_storage_complete(storage, &number, &last_index) &&
         (raftnode_synced(node, number, last_index, now_ms), true));
}

/* One write is in the log, one queued; the read waits for an index to come. */
static void ask(struct raftnode *node, struct asker *askers) {
  for (int i = 0; i < 3; i++)
    askers[i].wait = (struct raft_wait){.deadline_ms = UINT64_MAX, .index = 99, .done = on_done};
  CHECK(base->ops->propose(base, buffer_view(&command), &askers[0].wait) == STATUS_OK);
  raftnode_turn(node, 1000);
  CHECK(base->ops->propose(base, buffer_view(&command), &askers[1].wait) == STATUS_OK);
  CHECK(base->ops->wait_applied(base, &askers[2].wait) == STATUS_OK);
}

static int run(lua_State *L) {
  struct cluster_member member = {.id = "n1", .host = "127.0.0.1", .port = 1};
  struct cluster cluster;
  struct error err;
  CHECK(cluster_init(&cluster, &member, 1, "n1", &err) == STATUS_OK);
  struct mem_storage *storage = mem_storage_create(on_sync, NULL);
  struct kvsm *sm = kvsm_create();
  struct raft_transport transport = {NULL}; /* a node alone sends nothing */
  struct raftnode_options options = {.cluster = &cluster,
                                     .fixed_leader = RAFT_NODE_NONE,
                                     .heartbeat_ms = 50,
                                     .election_min_ms = 300,
                                     .election_max_ms = 600,
                                     .inflight_max = 8,
                                     .message_bytes_max = 1024,
                                     .seed = 1,
                                     .life = 1};
  struct raftnode *node = raftnode_create(&options, mem_storage_base(storage), &transport, sm, 0);
  struct command put = {.op = OP_PUT, .key = bytes_of("k"), .value = bytes_of("v")};
  struct asker askers[3];
  base = raftnode_base(node);
  ended = accepted = 0;
  buffer_init(&command);
  command_encode(&put, &command);
  turn(node, storage, 0);
  turn(node, storage, 1000);
  CHECK(base->ops->is_leader(base));
  ask(node, askers);
  raftnode_destroy(node);
  buffer_deinit(&command);
  kvsm_destroy(sm);
  mem_storage_destroy(storage);
  lua_pushinteger(L, ended);
  lua_pushinteger(L, accepted);
  return 2;
}

int luaopen_closing_node(lua_State *L) {
  const luaL_Reg functions[] = {{"run", run}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
