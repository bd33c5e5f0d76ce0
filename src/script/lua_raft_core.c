/* The pure core in Lua, over a log that holds terms only; what a step says of the log is carried out at once.
 *
 *   local core = raft.core{nodes = 3, self = 1, heartbeat_ms = 50, election_min_ms = 300, election_max_ms = 600,
 *                          inflight_max = 8, message_bytes_max = 10, entry_bytes = 1, fixed_leader = nil,
 *                          hard_state = {term = 1, voted_for = nil, proven = true}, log = {1, 1},
 *                          log_base = 0, log_base_term = 0, now = 0, random = 0, life = 1}
 *     log_base: that many entries of log_base_term lie before those of `log`; entry_bytes: the size of each entry
 *   core:step{type = "timeout" | "message" | "propose" | "read" | "flush" | "synced" | "peer_down" | "transfer" |
 *             "learn" | "snapshot" | "disk", now =, random =, message =, count =, peer =, sync =, index =, term =,
 *             disk_full =}
 *     -> {sync =, hard_state = | nil, truncate_from = | nil, append = {source =, index =, count =, skip =, term =} |
 * nil, messages = {...}, commit_index =, accepted =, read_round =, read_index =, confirmed_round =, leader_changed =,
 * deadline =}; an append message lists the `terms` of its entries core:state() -> every field of struct raft that
 * matters, and peers[n] core:log() -> the terms behind log_base          core:term_at(index) -> term | nil */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "script/lua_raft.h"

#define CORE_TYPE "kvserver.raft.core"

struct core_handle {
  struct raft raft;
  struct raft_output out;
  uint64_t base; /* entries before terms[0] */
  uint64_t base_term;
  uint64_t *terms;
  size_t count;
  size_t capacity;
  uint64_t entry_bytes;
};

static struct core_handle *check_core(lua_State *L) {
  return luaL_checkudata(L, 1, CORE_TYPE);
}

/* ---- the log ---- */

static uint64_t log_last(const struct core_handle *core) {
  return core->base + core->count;
}

static uint64_t log_first(void *context) {
  const struct core_handle *core = context;
  return core->base + 1;
}

static uint64_t log_term_at(void *context, uint64_t index) {
  const struct core_handle *core = context;
  CHECK(index >= 1 && index <= log_last(core));
  return index <= core->base ? core->base_term : core->terms[index - core->base - 1];
}

static uint64_t log_batch_end(void *context, uint64_t lo, uint64_t last, uint64_t bytes_max) {
  const struct core_handle *core = context;
  uint64_t fit = bytes_max / core->entry_bytes;
  if (fit == 0) fit = 1;
  return last - lo < fit ? last : lo + fit - 1;
}

static void log_append(struct core_handle *core, uint64_t term) {
  if (core->count == core->capacity) {
    core->capacity = core->capacity == 0 ? 16 : core->capacity * 2;
    core->terms = xrealloc(core->terms, core->capacity * sizeof core->terms[0]);
  }
  core->terms[core->count++] = term;
}

static void carry_out(struct core_handle *core, const struct raft_message *message) {
  const struct raft_output *out = &core->out;
  if (out->truncate_from != 0) {
    CHECK(out->truncate_from > core->base && out->truncate_from <= log_last(core));
    core->count = (size_t)(out->truncate_from - core->base - 1);
  }
  if (out->install == RAFT_INSTALL_RESET) {
    core->count = 0;
    core->base = core->raft.last_index;
    core->base_term = core->raft.last_term;
  }
  if (out->append == RAFT_APPEND_NONE) return;
  CHECK(out->append_index == log_last(core) + 1);
  bool received = out->append == RAFT_APPEND_RECEIVED;
  CHECK(!received || message != NULL);
  for (uint32_t i = 0; i < out->append_count; i++) {
    log_append(core, received ? message->as.append.terms[out->append_skip + i] : out->append_term);
  }
}

/* ---- making one ---- */

static struct raft_config check_config(lua_State *L) {
  struct raft_config config = {.nodes_count = (uint8_t)lua_raft_integer_or(L, 1, "nodes", 3),
                               .self = lua_raft_node(L, 1, "self"),
                               .fixed_leader = lua_raft_node(L, 1, "fixed_leader"),
                               .heartbeat_ms = (uint32_t)lua_raft_integer_or(L, 1, "heartbeat_ms", 50),
                               .election_min_ms = (uint32_t)lua_raft_integer_or(L, 1, "election_min_ms", 300),
                               .election_max_ms = (uint32_t)lua_raft_integer_or(L, 1, "election_max_ms", 600),
                               .inflight_max = (uint32_t)lua_raft_integer_or(L, 1, "inflight_max", 8),
                               .message_bytes_max = lua_raft_integer_or(L, 1, "message_bytes_max", 10)};
  bool nodes = config.nodes_count >= 1 && config.nodes_count <= RAFT_NODES_MAX && config.self < config.nodes_count;
  bool times = config.heartbeat_ms > 0 && config.election_min_ms > config.heartbeat_ms &&
               config.election_max_ms > config.election_min_ms;
  bool window = config.inflight_max >= 1 && config.inflight_max <= RAFT_INFLIGHT_MAX;
  if (!nodes || !times || !window) luaL_error(L, "no core can be made of these numbers");
  return config;
}

static void read_log(lua_State *L, struct core_handle *core) {
  core->base = lua_raft_integer(L, 1, "log_base");
  core->base_term = lua_raft_integer(L, 1, "log_base_term");
  core->entry_bytes = lua_raft_integer_or(L, 1, "entry_bytes", 1);
  if (core->entry_bytes == 0) luaL_error(L, "entry_bytes: expected a positive number");
  lua_getfield(L, 1, "log");
  lua_Integer count = lua_isnil(L, -1) ? 0 : luaL_len(L, -1);
  for (lua_Integer i = 1; i <= count; i++) {
    lua_geti(L, -1, i);
    log_append(core, (uint64_t)luaL_checkinteger(L, -1));
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

static struct raft_start check_start(lua_State *L, struct core_handle *core) {
  struct raft_start start = {.hard_state = {.voted_for = RAFT_NODE_NONE},
                             .snapshot_index = lua_raft_integer(L, 1, "snapshot_index"),
                             .last_index = log_last(core),
                             .life = lua_raft_integer_or(L, 1, "life", 1)};
  start.unsynced = lua_raft_boolean(L, 1, "unsynced");
  if (start.snapshot_index > start.last_index) luaL_error(L, "snapshot_index: beyond the log");
  if (start.life == 0) luaL_error(L, "life: expected a number that is not 0");
  if (start.last_index > 0) start.last_term = log_term_at(core, start.last_index);
  if (lua_getfield(L, 1, "hard_state") != LUA_TNIL) start.hard_state = lua_raft_check_hard_state(L, lua_gettop(L));
  lua_pop(L, 1);
  return start;
}

int lua_raft_core(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  struct raft_config config = check_config(L);
  uint64_t now_ms = lua_raft_integer(L, 1, "now"), random = lua_raft_integer(L, 1, "random");
  struct core_handle *core = lua_newuserdatauv(L, sizeof *core, 0);
  memset(core, 0, sizeof *core);
  luaL_setmetatable(L, CORE_TYPE);
  read_log(L, core);
  struct raft_start start = check_start(L, core);
  config.log = (struct raft_log_view){core, log_first, log_term_at, log_batch_end};
  raft_init(&core->raft, &config, &start, now_ms, random);
  return 1;
}

static int core_gc(lua_State *L) {
  struct core_handle *core = check_core(L);
  free(core->terms);
  core->terms = NULL;
  return 0;
}

/* ---- steps ---- */

static const char *const event_names[] = {
    [RAFT_EVENT_TIMEOUT] = "timeout",     [RAFT_EVENT_MESSAGE] = "message",   [RAFT_EVENT_PROPOSE] = "propose",
    [RAFT_EVENT_READ] = "read",           [RAFT_EVENT_FLUSH] = "flush",       [RAFT_EVENT_SYNCED] = "synced",
    [RAFT_EVENT_PEER_DOWN] = "peer_down", [RAFT_EVENT_TRANSFER] = "transfer", [RAFT_EVENT_LEARN] = "learn",
    [RAFT_EVENT_SNAPSHOT] = "snapshot",   [RAFT_EVENT_DISK] = "disk",         NULL};

static enum raft_event_type check_event_type(lua_State *L) {
  lua_getfield(L, 2, "type");
  int type = luaL_checkoption(L, -1, NULL, event_names);
  lua_pop(L, 1);
  return (enum raft_event_type)type;
}

/* Pushes the memory of the terms. */
static void push_terms(lua_State *L, int table, struct raft_append *append) {
  if (lua_getfield(L, table, "terms") == LUA_TNIL) return;
  luaL_checktype(L, -1, LUA_TTABLE);
  lua_Integer count = luaL_len(L, -1);
  uint64_t *terms = lua_newuserdatauv(L, (size_t)(count + 1) * sizeof *terms, 0);
  for (lua_Integer i = 0; i < count; i++) {
    lua_rawgeti(L, -2, i + 1);
    terms[i] = (uint64_t)luaL_checkinteger(L, -1);
    lua_pop(L, 1);
  }
  append->terms = terms;
  append->entries_count = (uint32_t)count;
}

static void check_message(lua_State *L, const struct core_handle *core, struct raft_message *out) {
  lua_getfield(L, 2, "message");
  int table = lua_gettop(L);
  lua_raft_check_message(L, table, out);
  bool stranger = out->from >= core->raft.config.nodes_count || out->from == core->raft.config.self;
  if (stranger) luaL_error(L, "from: expected another member");
  if (out->type == RAFT_READ || out->type == RAFT_READ_REPLY) luaL_error(L, "reads are the node's business");
  if (out->type == RAFT_APPEND) push_terms(L, table, &out->as.append);
}

static void check_event(lua_State *L, const struct core_handle *core, struct raft_event *event) {
  const struct raft *raft = &core->raft;
  *event = (struct raft_event){.type = check_event_type(L),
                               .now_ms = lua_raft_integer_or(L, 2, "now", raft->now_ms),
                               .random = lua_raft_integer(L, 2, "random"),
                               .count = (uint32_t)lua_raft_integer_or(L, 2, "count", 1),
                               .peer = lua_raft_node(L, 2, "peer"),
                               .sync = lua_raft_integer(L, 2, "sync"),
                               .index = lua_raft_integer(L, 2, "index"),
                               .term = lua_raft_integer(L, 2, "term"),
                               .disk_full = lua_raft_boolean(L, 2, "disk_full")};
  if (event->now_ms < raft->now_ms) luaL_error(L, "now: time does not go back");
  if (event->type == RAFT_EVENT_SYNCED && event->sync >= raft->sync_next) luaL_error(L, "sync: no such disk work");
  bool to_peer = event->type == RAFT_EVENT_PEER_DOWN || event->type == RAFT_EVENT_TRANSFER;
  if (to_peer && event->peer >= raft->config.nodes_count) luaL_error(L, "peer: no such node");
}

static void set_terms(lua_State *L, struct core_handle *core, const struct raft_append *append) {
  lua_createtable(L, (int)append->entries_count, 0);
  for (uint32_t i = 1; i <= append->entries_count; i++) {
    lua_pushinteger(L, (lua_Integer)log_term_at(core, append->prev_index + i));
    lua_rawseti(L, -2, i);
  }
  lua_setfield(L, -2, "terms");
}

static void set_messages(lua_State *L, struct core_handle *core) {
  lua_createtable(L, (int)core->out.messages_count, 0);
  for (uint32_t i = 0; i < core->out.messages_count; i++) {
    const struct raft_message *message = &core->out.messages[i];
    lua_raft_push_message(L, message);
    if (message->type == RAFT_APPEND) set_terms(L, core, &message->as.append);
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "messages");
}

static void set_append(lua_State *L, const struct raft_output *out) {
  static const char *const sources[] = {
      [RAFT_APPEND_NONE] = NULL,
      [RAFT_APPEND_NOOP] = "noop",
      [RAFT_APPEND_PROPOSED] = "proposed",
      [RAFT_APPEND_RECEIVED] = "received",
  };
  if (out->append == RAFT_APPEND_NONE) return;
  lua_createtable(L, 0, 5);
  lua_pushstring(L, sources[out->append]);
  lua_setfield(L, -2, "source");
  lua_raft_set_integer(L, "index", out->append_index);
  lua_raft_set_integer(L, "count", out->append_count);
  lua_raft_set_integer(L, "skip", out->append_skip);
  lua_raft_set_integer(L, "term", out->append_term);
  lua_setfield(L, -2, "append");
}

static void set_install(lua_State *L, enum raft_install_action action) {
  static const char *const names[] = {[RAFT_INSTALL_NONE] = NULL,
                                      [RAFT_INSTALL_TAKE] = "take",
                                      [RAFT_INSTALL_KEEP] = "keep",
                                      [RAFT_INSTALL_RESET] = "reset"};
  if (action == RAFT_INSTALL_NONE) return;
  lua_pushstring(L, names[action]);
  lua_setfield(L, -2, "install");
}

static void push_output(lua_State *L, struct core_handle *core) {
  const struct raft_output *out = &core->out;
  lua_createtable(L, 0, 12);
  lua_raft_set_integer(L, "sync", out->sync);
  if (out->hard_state_changed) {
    lua_raft_push_hard_state(L, &out->hard_state);
    lua_setfield(L, -2, "hard_state");
  }
  if (out->truncate_from != 0) lua_raft_set_integer(L, "truncate_from", out->truncate_from);
  set_append(L, out);
  set_install(L, out->install);
  set_messages(L, core);
  lua_raft_set_integer(L, "commit_index", out->commit_index);
  lua_raft_set_boolean(L, "accepted", out->accepted);
  lua_raft_set_integer(L, "read_round", out->read_round);
  lua_raft_set_integer(L, "read_index", out->read_index);
  lua_raft_set_integer(L, "confirmed_round", out->confirmed_round);
  lua_raft_set_boolean(L, "leader_changed", out->leader_changed);
  lua_raft_set_integer(L, "deadline", out->deadline_ms);
}

static int core_step(lua_State *L) {
  struct core_handle *core = check_core(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  struct raft_event event;
  struct raft_message message;
  check_event(L, core, &event);
  if (event.type == RAFT_EVENT_MESSAGE) {
    check_message(L, core, &message);
    event.message = &message;
  }
  raft_step(&core->raft, &event, &core->out);
  carry_out(core, event.message);
  push_output(L, core);
  return 1;
}

/* ---- what one may see ---- */

static int core_state(lua_State *L) {
  lua_raft_push_core(L, &check_core(L)->raft);
  return 1;
}

static int core_log(lua_State *L) {
  const struct core_handle *core = check_core(L);
  lua_createtable(L, (int)core->count, 0);
  for (size_t i = 0; i < core->count; i++) {
    lua_pushinteger(L, (lua_Integer)core->terms[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

static int core_term_at(lua_State *L) {
  struct core_handle *core = check_core(L);
  uint64_t index = (uint64_t)luaL_checkinteger(L, 2);
  if (index < 1 || index > log_last(core)) return 0;
  lua_pushinteger(L, (lua_Integer)log_term_at(core, index));
  return 1;
}

/* core:truncate_prefix(index): entries up to there are a snapshot's, and gone from the log. */
static int core_truncate_prefix(lua_State *L) {
  struct core_handle *core = check_core(L);
  uint64_t index = (uint64_t)luaL_checkinteger(L, 2);
  if (index < core->base || index > log_last(core)) return luaL_error(L, "no such prefix");
  if (index == core->base) return 0;
  size_t gone = (size_t)(index - core->base);
  core->base_term = core->terms[gone - 1];
  memmove(core->terms, core->terms + gone, (core->count - gone) * sizeof core->terms[0]);
  core->count -= gone;
  core->base = index;
  return 0;
}

static const luaL_Reg core_methods[] = {{"truncate_prefix", core_truncate_prefix},
                                        {"step", core_step},
                                        {"state", core_state},
                                        {"log", core_log},
                                        {"term_at", core_term_at},
                                        {"__gc", core_gc},
                                        {NULL, NULL}};

void lua_raft_register_core(lua_State *L) {
  luaL_newmetatable(L, CORE_TYPE);
  luaL_setfuncs(L, core_methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}
