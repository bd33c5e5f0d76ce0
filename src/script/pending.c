#include "script/pending_state.h"

#include "base/check.h"
#include "script/hook.h"
#include "script/scheduler.h"

#include <lauxlib.h>
#include <stdlib.h>

static const char *const metatable_name = "kvserver.pending";

static void release_results(struct script_pending *pending) {
  if (!pending->has_results) return;
  pending->has_results = false;
  if (pending->release != NULL) pending->release(pending->data);
}

static void free_if_done(struct script_pending *pending) {
  if (!pending->completed || !pending->collected) return;
  release_results(pending);
  list_remove(&pending->link);
  free(pending);
}

static int collect(lua_State *L) {
  struct script_pending **box = lua_touserdata(L, 1);
  struct script_pending *pending = *box;
  if (pending == NULL) return 0;
  *box = NULL;
  pending->collected = true;
  free_if_done(pending);
  return 0;
}

struct script_pending *script_pending_push(lua_State *L) {
  struct script_pending **box = lua_newuserdatauv(L, sizeof(struct script_pending *), 0);
  *box = NULL;
  if (luaL_newmetatable(L, metatable_name)) {
    lua_pushcfunction(L, collect);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  struct script_pending *pending = xcalloc(1, sizeof *pending);
  pending->vm = script_vm_of(L);
  list_push_back(&pending->vm->pendings, &pending->link);
  *box = pending;
  return pending;
}

void script_pending_complete(struct script_pending *pending, script_push_results *push, void *data,
                             void (*release)(void *data)) {
  CHECK(!pending->completed);
  pending->completed = true;
  pending->has_results = true;
  pending->push = push;
  pending->data = data;
  pending->release = release;
  struct task *waiter = pending->waiter;
  if (waiter != NULL) task_wake(waiter);
  free_if_done(pending);
}

void script_pending_drop(struct script_pending *pending) {
  CHECK(!pending->completed);
  pending->completed = true;
  free_if_done(pending);
}

/* If push raises, the userdata releases the results when it is collected. */
static int push_results(lua_State *L, struct script_pending *pending) {
  CHECK(pending->has_results);
  int count = pending->push != NULL ? pending->push(L, pending->data) : 0;
  release_results(pending);
  return count;
}

static int on_resumed(lua_State *L, int status, lua_KContext context) {
  (void)status;
  struct script_pending *pending = (struct script_pending *)context; // NOLINT(performance-no-int-to-ptr): Lua's type
  if (!pending->has_results) {
    return luaL_error(L, "waiting for ever: every task waits, and nothing is left on the loop that could wake one");
  }
  return push_results(L, pending);
}

static int wait_in_place(lua_State *L, struct script_vm *vm, struct script_pending *pending) {
  vm->nesting++;
  bool completed = scheduler_run_until(vm, L, &pending->completed);
  vm->nesting--;
  hook_restart_slice(vm);
  if (!completed || !pending->has_results) {
    return luaL_error(L, "waiting for ever: nothing is left on the loop that could end this wait");
  }
  return push_results(L, pending);
}

void script_check_wait(lua_State *L) {
  const struct script_vm *vm = script_vm_of(L);
  if (vm->closing) luaL_error(L, "cannot wait: the program is ending");
  if (io_loop_in_turn(vm->loop))
    luaL_error(L, "cannot wait inside a libuv callback: start a task there (task.spawn) and wait in it");
  if (vm->limits != NULL && !task_can_yield(vm, L))
    luaL_error(L,
               "cannot wait here: below a function of C that calls back (load), or in a __close of what is cancelled");
  if (vm->nesting >= WAIT_NESTING_MAX && !task_can_yield(vm, L))
    luaL_error(L, "too many waits inside each other (%d): wait in a task, not in a coroutine or callback of its own",
               WAIT_NESTING_MAX);
}

int script_await(lua_State *L, struct script_pending *pending) {
  struct script_vm *vm = script_vm_of(L);
  if (pending->has_results) return push_results(L, pending);
  script_check_wait(L);
  if (task_can_yield(vm, L)) return task_wait(L, pending, on_resumed);
  return wait_in_place(L, vm, pending);
}

struct io_loop *script_loop(lua_State *L) {
  struct script_vm *vm = script_vm_of(L);
  if (vm->finalizing) luaL_error(L, "nothing can be started any more: the program is ending");
  return vm->loop;
}

void pending_free_all(struct script_vm *vm) {
  struct list *item;
  while ((item = list_pop_front(&vm->pendings)) != NULL) {
    struct script_pending *pending = (struct script_pending *)item;
    release_results(pending);
    free(pending);
  }
}
