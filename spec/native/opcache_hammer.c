/* opcache_hammer: many threads on one cache of operations, for the thread sanitizer and its own checks.
 *
 *   local hammer = require "opcache_hammer"
 *   hammer.run{threads = 4, operations = 20000, seed = 1}   -> {taken = n, refused = n, finished = n}, or raises
 *
 * Each thread reserves, releases and finishes operations of its own, and looks for its own and for those of others. The
 * result of an operation says its number, so one that is told to somebody else shows; a pending one is never gone. The
 * cache is small, so that it is full at times, and results expire under everybody's eyes. */
#include <lauxlib.h>
#include <lua.h>
#include <pthread.h>

#include "base/check.h"
#include "base/prng.h"
#include "opcache/opcache.h"

int luaopen_opcache_hammer(lua_State *L);

/* However the threads are scheduled, those that stand still leave room for the others (THREADS x OWN_MAX < OPS_MAX),
 * and even one alone finds the cache full at times (TTL_MS + OWN_MAX > OPS_MAX). */
enum { THREADS_MAX = 8, OWN_MAX = 4, OPS_MAX = 48, TTL_MS = 46 };

struct hammer {
  struct opcache *cache;
  pthread_mutex_t mutex; /* guards what follows; makes the clock and the call that is told of it one step */
  uint64_t now_ms;
  uint64_t refused;
  uint64_t finished;
  const char *fault; /* the first one; static */
};

struct worker {
  pthread_t thread;
  struct hammer *hammer;
  struct prng prng;
  uint64_t operations;
  uint64_t own[OWN_MAX]; /* numbers of pending ones */
  size_t own_count;
};

static void report(struct hammer *hammer, const char *fault) {
  CHECK(pthread_mutex_lock(&hammer->mutex) == 0);
  if (hammer->fault == NULL) hammer->fault = fault;
  CHECK(pthread_mutex_unlock(&hammer->mutex) == 0);
}

static uint64_t look_at_clock(struct hammer *hammer) {
  CHECK(pthread_mutex_lock(&hammer->mutex) == 0);
  uint64_t now_ms = hammer->now_ms;
  CHECK(pthread_mutex_unlock(&hammer->mutex) == 0);
  return now_ms;
}

static void reserve(struct worker *worker) {
  struct hammer *hammer = worker->hammer;
  uint64_t number;
  if (opcache_reserve(hammer->cache, look_at_clock(hammer), &number) == STATUS_OK) {
    worker->own[worker->own_count++] = number;
    return;
  }
  CHECK(pthread_mutex_lock(&hammer->mutex) == 0);
  hammer->refused++;
  hammer->now_ms++; /* who is refused waits, and results expire meanwhile */
  CHECK(pthread_mutex_unlock(&hammer->mutex) == 0);
}

static uint64_t take_own(struct worker *worker) {
  size_t at = prng_below(&worker->prng, worker->own_count);
  uint64_t number = worker->own[at];
  worker->own[at] = worker->own[--worker->own_count];
  return number;
}

/* The order of results is that of the clock, so both move together. */
static void finish(struct worker *worker) {
  struct hammer *hammer = worker->hammer;
  uint64_t number = take_own(worker);
  struct apply_result result = {.ok = true, .has_deleted = true, .deleted = number, .err_msg = ""};
  CHECK(pthread_mutex_lock(&hammer->mutex) == 0);
  opcache_finish(hammer->cache, number, &result, number + 1, hammer->now_ms++);
  hammer->finished++;
  CHECK(pthread_mutex_unlock(&hammer->mutex) == 0);
}

static void find_own(struct worker *worker) {
  struct op_result outcome;
  uint64_t number = worker->own[prng_below(&worker->prng, worker->own_count)];
  struct hammer *hammer = worker->hammer;
  if (opcache_find(hammer->cache, number, look_at_clock(hammer) + TTL_MS, &outcome) != OPCACHE_FOUND)
    report(hammer, "a pending operation is gone");
  else if (outcome.ready)
    report(hammer, "a pending operation has a result");
}

static void find_any(struct worker *worker) {
  struct op_result outcome;
  struct opcache_stats stats;
  struct hammer *hammer = worker->hammer;
  opcache_stats(hammer->cache, &stats);
  uint64_t number = stats.taken + 1 - prng_below(&worker->prng, stats.taken < OPS_MAX ? stats.taken + 1 : OPS_MAX);
  if (opcache_find(hammer->cache, number, look_at_clock(hammer), &outcome) != OPCACHE_FOUND || !outcome.ready) return;
  if (outcome.result.deleted != number || outcome.index != number + 1) report(hammer, "another operation's result");
}

static void act(struct worker *worker) {
  uint64_t choice = prng_below(&worker->prng, 100);
  bool has_own = worker->own_count > 0;
  if (choice < 35 && worker->own_count < OWN_MAX)
    reserve(worker);
  else if (choice < 60 && has_own)
    finish(worker);
  else if (choice < 65 && has_own)
    opcache_release(worker->hammer->cache, take_own(worker));
  else if (choice < 75 && has_own)
    find_own(worker);
  else if (choice < 80)
    opcache_expire(worker->hammer->cache, look_at_clock(worker->hammer), 4);
  else
    find_any(worker);
}

static void *work(void *context) {
  struct worker *worker = context;
  for (uint64_t i = 0; i < worker->operations; i++)
    act(worker);
  while (worker->own_count > 0)
    finish(worker);
  return NULL;
}

/* Once all have expired there is nothing left but the table. */
static void check_end(struct hammer *hammer) {
  struct opcache_stats stats;
  opcache_stats(hammer->cache, &stats);
  if (stats.pending != 0) report(hammer, "operations are pending that nobody has");
  opcache_expire(hammer->cache, hammer->now_ms + TTL_MS, stats.finished);
  opcache_stats(hammer->cache, &stats);
  if (stats.finished != 0) report(hammer, "results are left that have expired");
}

static void run(struct hammer *hammer, uint64_t threads_count, uint64_t operations, uint64_t seed) {
  struct worker workers[THREADS_MAX];
  for (uint64_t i = 0; i < threads_count; i++) {
    workers[i] = (struct worker){.hammer = hammer, .operations = operations};
    prng_init(&workers[i].prng, seed + i);
    CHECK(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
  }
  for (uint64_t i = 0; i < threads_count; i++)
    CHECK(pthread_join(workers[i].thread, NULL) == 0);
  check_end(hammer);
}

static uint64_t check_option(lua_State *L, const char *option, lua_Integer max) {
  lua_getfield(L, 1, option);
  lua_Integer value = luaL_checkinteger(L, -1);
  lua_pop(L, 1);
  if (value < 1 || value > max) luaL_error(L, "%s: out of range", option);
  return (uint64_t)value;
}

static void set_number(lua_State *L, const char *name, uint64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, name);
}

static int hammer_run(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  uint64_t threads_count = check_option(L, "threads", THREADS_MAX);
  uint64_t operations = check_option(L, "operations", 100000000);
  uint64_t seed = check_option(L, "seed", LUA_MAXINTEGER);
  const struct opcache_limits limits = {.ops_max = OPS_MAX, .bytes_max = 1 << 20, .ttl_ms = TTL_MS};
  struct hammer hammer = {.cache = opcache_create(&limits)};
  struct opcache_stats stats;
  CHECK(pthread_mutex_init(&hammer.mutex, NULL) == 0);
  run(&hammer, threads_count, operations, seed);
  opcache_stats(hammer.cache, &stats);
  opcache_destroy(hammer.cache);
  CHECK(pthread_mutex_destroy(&hammer.mutex) == 0);
  if (hammer.fault != NULL) return luaL_error(L, "%s", hammer.fault);
  lua_createtable(L, 0, 3);
  set_number(L, "taken", stats.taken);
  set_number(L, "refused", hammer.refused);
  set_number(L, "finished", hammer.finished);
  return 1;
}

int luaopen_opcache_hammer(lua_State *L) {
  static const luaL_Reg functions[] = {{"run", hammer_run}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
