/* kvsm_hammer: many threads on one state machine, for the thread sanitizer and its own checks.
 *
 *   local hammer = require "kvsm_hammer"
 *   hammer.run{threads = 4, operations = 20000, seed = 1}   -> {snapshots = n, restores = n}, or raises
 *
 * Writers put pairs: "a<i>" and "b<i>" get the same value in one mput. A third kind of key, "n", is counted up by cas.
 * So at any moment, in every mget and in every snapshot, the two of a pair are equal; and at the end "n" is the number
 * of cas that succeeded. Snapshots are taken under fire, written by other threads from views that wait in a mailbox,
 * restored into machines of their own, and compared with the digest that the restore checks. */
#include <inttypes.h>
#include <lauxlib.h>
#include <lua.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "kvsm/kvsm.h"

int luaopen_kvsm_hammer(lua_State *L);

enum { PAIRS = 200, THREADS_MAX = 16, NAME_BYTES = 16, VIEWS_MAX = 4, RECLAIM_STEPS = 50 };

struct hammer {
  struct kvsm *sm;
  pthread_mutex_t mutex; /* guards what follows, and makes an index and its apply one step */
  uint64_t next_index;
  uint64_t swaps;
  uint64_t snapshots;
  uint64_t restores;
  struct kvsm_snapshot *views[VIEWS_MAX]; /* taken, not yet written */
  const char *fault;                      /* the first one; static */
};

struct worker {
  pthread_t thread;
  struct hammer *hammer;
  uint64_t random;
  uint64_t number;
  uint64_t seq;
  uint64_t operations;
};

static uint64_t next_random(struct worker *worker) {
  worker->random ^= worker->random << 13;
  worker->random ^= worker->random >> 7;
  worker->random ^= worker->random << 17;
  return worker->random;
}

static void report(struct hammer *hammer, const char *fault) {
  CHECK(pthread_mutex_lock(&hammer->mutex) == 0);
  if (hammer->fault == NULL) hammer->fault = fault;
  CHECK(pthread_mutex_unlock(&hammer->mutex) == 0);
}

static struct bytes name(char out[NAME_BYTES], char kind, uint64_t number) {
  return bytes_make(out, (size_t)snprintf(out, NAME_BYTES, "%c%" PRIu64, kind, number));
}

static struct apply_result apply(struct hammer *hammer, const struct command *command) {
  CHECK(pthread_mutex_lock(&hammer->mutex) == 0);
  struct apply_result result = kvsm_apply(hammer->sm, ++hammer->next_index, command);
  if (command->op == OP_CAS && result.ok) hammer->swaps++;
  CHECK(pthread_mutex_unlock(&hammer->mutex) == 0);
  return result;
}

/* ---- what a worker does ---- */

static void put_pair(struct worker *worker) {
  char a[NAME_BYTES], b[NAME_BYTES], value[NAME_BYTES], client[NAME_BYTES];
  uint64_t pair = next_random(worker) % PAIRS;
  struct bytes text = name(value, 'v', next_random(worker) % 100000);
  struct buffer items;
  buffer_init(&items);
  command_append_item(&items, OP_BATCH_PUT, name(a, 'a', pair), text);
  command_append_item(&items, OP_BATCH_PUT, name(b, 'b', pair), text);
  struct command command = {.op = OP_BATCH_PUT,
                            .client_id = name(client, 'c', worker->number),
                            .seq = ++worker->seq,
                            .items_count = 2,
                            .items = buffer_view(&items)};
  if (!apply(worker->hammer, &command).ok) report(worker->hammer, "an mput was refused");
  if (apply(worker->hammer, &command).replay != REPLAY_SAME) report(worker->hammer, "a retry was applied");
  buffer_deinit(&items);
}

static void delete_pair(struct worker *worker) {
  char a[NAME_BYTES], b[NAME_BYTES];
  uint64_t pair = next_random(worker) % PAIRS;
  struct buffer items;
  buffer_init(&items);
  command_append_item(&items, OP_BATCH_DELETE, name(a, 'a', pair), bytes_make(NULL, 0));
  command_append_item(&items, OP_BATCH_DELETE, name(b, 'b', pair), bytes_make(NULL, 0));
  struct command command = {.op = OP_BATCH_DELETE, .items_count = 2, .items = buffer_view(&items)};
  if (apply(worker->hammer, &command).deleted == 1) report(worker->hammer, "half a pair was there");
  buffer_deinit(&items);
}

static void count_up(struct worker *worker) {
  char next[NAME_BYTES + 8];
  struct buffer current;
  buffer_init(&current);
  kvsm_get(worker->hammer->sm, bytes_of("n"), &current);
  buffer_append_byte(&current, 0);
  uint64_t number = strtoull((const char *)current.data, NULL, 10);
  size_t len = (size_t)snprintf(next, sizeof(next), "%" PRIu64, number + 1);
  struct command command = {.op = OP_CAS,
                            .key = bytes_of("n"),
                            .expected = bytes_make(current.data, current.len - 1),
                            .value = bytes_make(next, len)};
  apply(worker->hammer, &command);
  buffer_deinit(&current);
}

struct pair_check {
  struct buffer first;
  size_t found;
  bool equal;
};

static void check_one(void *context, struct bytes key, struct bytes value) {
  struct pair_check *check = context;
  (void)key;
  if (check->found++ == 0) {
    buffer_append_bytes(&check->first, value);
  } else {
    check->equal = bytes_equal(buffer_view(&check->first), value);
  }
}

static void check_pair(struct hammer *hammer, struct kvsm *sm, uint64_t pair) {
  char a[NAME_BYTES], b[NAME_BYTES];
  struct bytes keys[] = {name(a, 'a', pair), name(b, 'b', pair)};
  struct pair_check check = {.equal = true};
  kvsm_mget(sm, keys, 2, check_one, &check);
  buffer_deinit(&check.first);
  if (check.found == 1 || !check.equal) report(hammer, "the two of a pair differ");
}

/* ---- snapshots: taken by one worker, written by whoever comes next ---- */

static enum status feed(void *context, struct bytes chunk) {
  return kvsm_restore_feed(context, chunk, NULL);
}

static void check_view(struct worker *worker, struct kvsm_snapshot *view) {
  struct hammer *hammer = worker->hammer;
  struct kvsm *copy = kvsm_create();
  struct kvsm_restore *restore = kvsm_restore_begin();
  if (kvsm_snapshot_write(view, feed, restore) != STATUS_OK) {
    report(hammer, "a snapshot is not what a restore takes");
    kvsm_restore_abort(restore);
  } else if (kvsm_restore_finish(restore, copy, NULL) != STATUS_OK) {
    report(hammer, "a snapshot does not restore");
  }
  struct kvsm_stats stats;
  kvsm_stats(copy, &stats);
  if (stats.last_applied != kvsm_snapshot_index(view)) report(hammer, "a snapshot has another index");
  for (uint64_t pair = 0; pair < PAIRS; pair += 7)
    check_pair(hammer, copy, pair);
  kvsm_destroy(copy);
}

/* Leaves a new view in the mailbox and takes what was there. */
static struct kvsm_snapshot *exchange_view(struct worker *worker) {
  struct hammer *hammer = worker->hammer;
  struct kvsm_snapshot *view = kvsm_snapshot_take(hammer->sm);
  uint64_t slot = next_random(worker) % VIEWS_MAX;
  CHECK(pthread_mutex_lock(&hammer->mutex) == 0);
  struct kvsm_snapshot *other = hammer->views[slot];
  hammer->views[slot] = view;
  hammer->snapshots++;
  CHECK(pthread_mutex_unlock(&hammer->mutex) == 0);
  return other;
}

static void snapshot(struct worker *worker) {
  struct kvsm_snapshot *view = exchange_view(worker);
  if (view == NULL) return;
  check_view(worker, view);
  kvsm_snapshot_release(worker->hammer->sm, view);
}

/* Replaces the state by an equal one, while others hold views of the old one. */
static void restore_itself(struct worker *worker) {
  struct hammer *hammer = worker->hammer;
  CHECK(pthread_mutex_lock(&hammer->mutex) == 0);
  struct kvsm_snapshot *view = kvsm_snapshot_take(hammer->sm);
  struct kvsm_restore *restore = kvsm_restore_begin();
  CHECK(kvsm_snapshot_write(view, feed, restore) == STATUS_OK);
  CHECK(kvsm_restore_finish(restore, hammer->sm, NULL) == STATUS_OK);
  hammer->restores++;
  CHECK(pthread_mutex_unlock(&hammer->mutex) == 0);
  kvsm_snapshot_release(hammer->sm, view);
}

static void act(struct worker *worker) {
  uint64_t choice = next_random(worker) % 1000;
  if (choice < 350) {
    put_pair(worker);
  } else if (choice < 450) {
    delete_pair(worker);
  } else if (choice < 550) {
    count_up(worker);
  } else if (choice < 990) {
    check_pair(worker->hammer, worker->hammer->sm, next_random(worker) % PAIRS);
    kvsm_reclaim(worker->hammer->sm, RECLAIM_STEPS);
  } else if (choice < 999) {
    snapshot(worker);
  } else {
    restore_itself(worker);
  }
}

static void *work(void *context) {
  struct worker *worker = context;
  for (uint64_t i = 0; i < worker->operations; i++)
    act(worker);
  return NULL;
}

/* ---- one run ---- */

static void check_swaps(struct hammer *hammer) {
  struct buffer value;
  buffer_init(&value);
  kvsm_get(hammer->sm, bytes_of("n"), &value);
  buffer_append_byte(&value, 0);
  if (strtoull((const char *)value.data, NULL, 10) != hammer->swaps) report(hammer, "a swap was lost");
  buffer_deinit(&value);
}

static void run(struct hammer *hammer, uint64_t threads_count, uint64_t operations, uint64_t seed) {
  struct worker workers[THREADS_MAX];
  for (uint64_t i = 0; i < threads_count; i++) {
    workers[i] = (struct worker){
        .hammer = hammer, .random = (seed + i + 1) * 0x9e3779b97f4a7c15u, .number = i, .operations = operations};
    CHECK(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
  }
  for (uint64_t i = 0; i < threads_count; i++)
    CHECK(pthread_join(workers[i].thread, NULL) == 0);
  check_swaps(hammer);
  for (uint64_t pair = 0; pair < PAIRS; pair++)
    check_pair(hammer, hammer->sm, pair);
  for (size_t i = 0; i < VIEWS_MAX; i++) {
    if (hammer->views[i] != NULL) kvsm_snapshot_release(hammer->sm, hammer->views[i]);
  }
  while (kvsm_reclaim(hammer->sm, RECLAIM_STEPS)) {
  }
}

static lua_Integer check_option(lua_State *L, const char *option, lua_Integer min, lua_Integer max) {
  lua_getfield(L, 1, option);
  lua_Integer value = luaL_checkinteger(L, -1);
  lua_pop(L, 1);
  if (value < min || value > max) luaL_error(L, "%s: out of range", option);
  return value;
}

static int hammer_run(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  uint64_t threads_count = (uint64_t)check_option(L, "threads", 1, THREADS_MAX);
  uint64_t operations = (uint64_t)check_option(L, "operations", 1, 100000000);
  uint64_t seed = (uint64_t)check_option(L, "seed", 1, LUA_MAXINTEGER);
  struct hammer hammer = {.sm = kvsm_create()};
  CHECK(pthread_mutex_init(&hammer.mutex, NULL) == 0);
  run(&hammer, threads_count, operations, seed);
  kvsm_destroy(hammer.sm);
  CHECK(pthread_mutex_destroy(&hammer.mutex) == 0);
  if (hammer.fault != NULL) return luaL_error(L, "%s", hammer.fault);
  lua_createtable(L, 0, 2);
  lua_pushinteger(L, (lua_Integer)hammer.snapshots);
  lua_setfield(L, -2, "snapshots");
  lua_pushinteger(L, (lua_Integer)hammer.restores);
  lua_setfield(L, -2, "restores");
  return 1;
}

int luaopen_kvsm_hammer(lua_State *L) {
  static const luaL_Reg functions[] = {{"run", hammer_run}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
