/* snapshots_hammer: many threads on one store of snapshots, for the thread sanitizer and its own checks.
 *
 *   local hammer = require "snapshots_hammer"
 *   hammer.run("files" | "memory", {threads = 4, operations = 1000, seed = 1})
 *       -> {published = n, read = n}, or raises
 *
 * A snapshot of index N is N, many times, so a reader sees whether it has a whole one, of the index that it asked for.
 * Meanwhile others publish newer ones, discard half of one, and remove the old ones. */
#include <lauxlib.h>
#include <lua.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "raft/storage/memory_snapshots.h"
#include "raft/storage/snapshot_files.h"
#include "sim/simdisk.h"

int luaopen_snapshots_hammer(lua_State *L);

enum { THREADS_MAX = 16, COPIES = 300, TERM = 1 };

struct hammer {
  struct snapshot_store *store;
  atomic_uint_fast64_t next_index;
  atomic_uint_fast64_t published;
  atomic_uint_fast64_t read;
  _Atomic(const char *) fault; /* one of them; static */
};

struct worker {
  pthread_t thread;
  struct hammer *hammer;
  uint64_t random;
  uint64_t operations;
};

static uint64_t next_random(struct worker *worker) {
  worker->random ^= worker->random << 13;
  worker->random ^= worker->random >> 7;
  worker->random ^= worker->random << 17;
  return worker->random;
}

static size_t copies_of(uint64_t index) {
  return COPIES + index % COPIES;
}

/* ---- what a worker does ---- */

static struct snapshot_writer *write_copies(struct hammer *hammer, uint64_t index, size_t copies) {
  struct snapshot_store *store = hammer->store;
  struct snapshot_writer *writer;
  if (store->ops->create(store, &writer, NULL) != STATUS_OK) {
    hammer->fault = "a snapshot cannot be created";
    return NULL;
  }
  for (size_t i = 0; i < copies; i++)
    if (store->ops->write(store, writer, bytes_make(&index, sizeof index), NULL) != STATUS_OK)
      hammer->fault = "a snapshot cannot be written";
  return writer;
}

static void publish(struct hammer *hammer) {
  uint64_t index = ++hammer->next_index;
  struct snapshot_writer *writer = write_copies(hammer, index, copies_of(index));
  if (writer == NULL) return;
  struct snapshot_mark mark = {index, TERM};
  if (hammer->store->ops->publish(hammer->store, writer, mark, NULL) != STATUS_OK)
    hammer->fault = "a snapshot cannot be published";
  struct snapshot_mark newest = {0};
  if (hammer->store->ops->newest(hammer->store, &newest, NULL) != STATUS_OK || newest.index < index)
    hammer->fault = "an older one than what was published is the newest";
  hammer->published++;
}

static void discard(struct hammer *hammer) {
  struct snapshot_writer *writer = write_copies(hammer, 0, COPIES / 2);
  if (writer != NULL) hammer->store->ops->discard(hammer->store, writer);
}

static void check_content(struct hammer *hammer, uint64_t index, const uint64_t *content, size_t bytes) {
  if (bytes != copies_of(index) * sizeof *content) hammer->fault = "a snapshot is not whole";
  for (size_t i = 0; i < bytes / sizeof *content; i++)
    if (content[i] != index) hammer->fault = "a snapshot is another one";
}

/* It may be gone before it is open, but not before it is closed. */
static void read_newest(struct hammer *hammer) {
  struct snapshot_store *store = hammer->store;
  struct snapshot_mark mark;
  struct snapshot_reader *reader;
  uint64_t bytes;
  if (store->ops->newest(store, &mark, NULL) != STATUS_OK) return;
  if (store->ops->open(store, mark, &reader, &bytes, NULL) != STATUS_OK) return;
  uint64_t content[2 * COPIES + 1];
  size_t got = 0;
  if (store->ops->read(store, reader, 0, content, sizeof content, &got, NULL) != STATUS_OK || got != bytes)
    hammer->fault = "an open snapshot cannot be read";
  check_content(hammer, mark.index, content, got);
  store->ops->close(store, reader);
  hammer->read++;
}

static void act(struct worker *worker) {
  struct hammer *hammer = worker->hammer;
  uint64_t choice = next_random(worker) % 100;
  if (choice < 30) {
    publish(hammer);
  } else if (choice < 40) {
    discard(hammer);
  } else if (choice < 60) {
    if (hammer->store->ops->remove_before(hammer->store, hammer->next_index, NULL) != STATUS_OK)
      hammer->fault = "old snapshots cannot be removed";
  } else {
    read_newest(hammer);
  }
}

static void *work(void *context) {
  struct worker *worker = context;
  for (uint64_t i = 0; i < worker->operations; i++)
    act(worker);
  return NULL;
}

/* ---- one run ---- */

static void run(struct hammer *hammer, uint64_t threads_count, uint64_t operations, uint64_t seed) {
  struct worker workers[THREADS_MAX];
  for (uint64_t i = 0; i < threads_count; i++) {
    workers[i] =
        (struct worker){.hammer = hammer, .random = (seed + i + 1) * 0x9e3779b97f4a7c15u, .operations = operations};
    CHECK(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
  }
  for (uint64_t i = 0; i < threads_count; i++)
    CHECK(pthread_join(workers[i].thread, NULL) == 0);
}

static void run_on_files(struct hammer *hammer, uint64_t threads_count, uint64_t operations, uint64_t seed) {
  struct simdisk *disk = simdisk_create(&(struct simdisk_config){.capacity_bytes = SIMDISK_UNLIMITED});
  struct snapshot_files *files;
  CHECK(snapshot_files_open(simdisk_base(disk), &files, NULL) == STATUS_OK);
  hammer->store = snapshot_files_base(files);
  run(hammer, threads_count, operations, seed);
  snapshot_files_close(files);
  simdisk_destroy(disk);
}

static void run_in_memory(struct hammer *hammer, uint64_t threads_count, uint64_t operations, uint64_t seed) {
  struct mem_snapshots *memory = mem_snapshots_create();
  hammer->store = mem_snapshots_base(memory);
  run(hammer, threads_count, operations, seed);
  mem_snapshots_destroy(memory);
}

static uint64_t check_option(lua_State *L, const char *option, lua_Integer max) {
  lua_getfield(L, 2, option);
  lua_Integer value = luaL_checkinteger(L, -1);
  lua_pop(L, 1);
  if (value < 1 || value > max) luaL_error(L, "%s: out of range", option);
  return (uint64_t)value;
}

static int hammer_run(lua_State *L) {
  bool files = strcmp(luaL_checkstring(L, 1), "files") == 0;
  luaL_checktype(L, 2, LUA_TTABLE);
  uint64_t threads_count = check_option(L, "threads", THREADS_MAX);
  uint64_t operations = check_option(L, "operations", 100000000);
  uint64_t seed = check_option(L, "seed", LUA_MAXINTEGER);
  struct hammer hammer = {0};
  (files ? run_on_files : run_in_memory)(&hammer, threads_count, operations, seed);
  if (hammer.fault != NULL) return luaL_error(L, "%s", hammer.fault);
  lua_createtable(L, 0, 2);
  lua_pushinteger(L, (lua_Integer)hammer.published);
  lua_setfield(L, -2, "published");
  lua_pushinteger(L, (lua_Integer)hammer.read);
  lua_setfield(L, -2, "read");
  return 1;
}

int luaopen_snapshots_hammer(lua_State *L) {
  static const luaL_Reg functions[] = {{"run", hammer_run}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
