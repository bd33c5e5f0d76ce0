#include "script/scheduler.h"

#include "base/check.h"
#include "base/log.h"
#include "script/hook.h"
#include "script/pending_state.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

enum task_phase { TASK_READY, TASK_RUNNING, TASK_WAITING, TASK_CANCELLING, TASK_DONE, TASK_FAILED, TASK_CANCELLED };

static const char *const phase_names[] = {"ready", "running", "waiting", "cancelling", "done", "failed", "cancelled"};

enum { SLOT_COROUTINE = 1, SLOT_TRACEBACK = 2, SLOTS_COUNT = 2 }; /* user values of a handle */

struct task {
  struct list link; /* in vm->ready or vm->unclaimed */
  struct list all;  /* in vm->tasks until ended */
  struct script_vm *vm;
  lua_State *co;  /* kept alive by the handle */
  lua_State *top; /* while it runs: the innermost state whose yields reach the scheduler, NULL when none's do */
  bool passes;    /* a yield to the scheduler is on its way */
  enum task_phase phase;
  bool ended;
  bool claimed;          /* somebody asked for its outcome */
  bool cancel_requested; /* while it could not be closed: it turns the loop below us */
  int args_count;        /* on co's stack for the first resume */
  int results_count;     /* on co's stack when done */
  bool limited;
  struct script_limits limits;    /* when limited */
  uint64_t ready_pass;            /* vm->pass when it became ready */
  struct script_pending *waiting; /* what it yielded for */
  struct list joiners;            /* struct joiner */
};

struct joiner {
  struct list link;
  struct script_pending *pending;
};

static const char *const metatable_name = "kvserver.task";

lua_State *task_state(const struct task *task) {
  return task->co;
}

bool task_owns(lua_State *L, lua_State *co) {
  bool owned = lua_rawgetp(L, LUA_REGISTRYINDEX, co) != LUA_TNIL;
  lua_pop(L, 1);
  return owned;
}

bool task_ended(const struct task *task) {
  return task->ended;
}

bool task_can_yield(const struct script_vm *vm, lua_State *L) {
  return vm->current != NULL && vm->current->top == L && lua_isyieldable(L);
}

void task_pass(const struct script_vm *vm) {
  vm->current->passes = true;
}

bool task_passes(const struct script_vm *vm) {
  return vm->current != NULL && vm->current->passes;
}

lua_State *task_descend(const struct script_vm *vm, lua_State *L, lua_State *co) {
  struct task *task = vm->current;
  if (task == NULL) return NULL;
  lua_State *outer = task->top;
  task->top = task_can_yield(vm, L) ? co : NULL;
  return outer;
}

void task_ascend(const struct script_vm *vm, lua_State *outer) {
  if (vm->current != NULL) vm->current->top = outer;
}

static void make_ready(struct task *task) {
  task->phase = TASK_READY;
  task->ready_pass = task->vm->pass;
  list_push_back(&task->vm->ready, &task->link);
}

static void stop_waiting(struct task *task) {
  if (task->waiting == NULL) return;
  task->waiting->waiter = NULL;
  task->waiting = NULL;
}

void task_wake(struct task *task) {
  stop_waiting(task);
  /* Still running when the operation ended between task_wait and the yield itself: step looks at `waiting`. */
  if (task->phase == TASK_WAITING) make_ready(task);
}

int task_wait(lua_State *L, struct script_pending *pending, lua_KFunction on_resumed) {
  struct task *task = pending->vm->current;
  task->waiting = pending;
  pending->waiter = task;
  task_pass(pending->vm);
  return lua_yieldk(L, 0, (lua_KContext)pending, on_resumed);
}

/* Ending */

static void push_handle(lua_State *L, struct task *task) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, task);
}

static void complete_joiners(struct task *task);

static void end(struct task *task, enum task_phase phase) {
  struct script_vm *vm = task->vm;
  task->phase = phase;
  task->ended = true;
  list_remove(&task->link);
  list_remove(&task->all);
  complete_joiners(task);
  lua_pushnil(vm->L);
  lua_rawsetp(vm->L, LUA_REGISTRYINDEX, task); /* existing slots: no allocation */
  lua_pushnil(vm->L);
  lua_rawsetp(vm->L, LUA_REGISTRYINDEX, task->co);
  if (phase != TASK_FAILED || task->claimed) return;
  /* A handle that nobody kept is found by a full collection and reports the failure at once; one that was kept may
   * still be joined, and reports at the end if it was not. */
  list_push_back(&vm->unclaimed, &task->link);
  lua_gc(vm->L, LUA_GCCOLLECT);
}

/* (task, error value): keeps the traceback in the handle, while the coroutine's stack still shows where it happened. */
static int record_traceback(lua_State *L) {
  struct task *task = lua_touserdata(L, 1);
  push_handle(L, task);
  luaL_traceback(L, task->co, script_error_text(L, 2), 0);
  lua_setiuservalue(L, 3, SLOT_TRACEBACK);
  return 0;
}

static struct script_limits *limits_of(struct task *task) {
  return task->limited ? &task->limits : NULL;
}

/* Runs the pending close handlers of a task, as far as it lets them. Returns Lua's status. */
static int close_coroutine(struct task *task) {
  struct script_vm *vm = task->vm;
  struct script_limits *limits = vm->limits;
  vm->limits = limits_of(task);
  int status = lua_resetthread(task->co);
  vm->limits = limits;
  return status;
}

/* The same of a task that is at its end already, with a slice for it: a kill that strikes there is of no interest. */
static void close_ended(struct task *task) {
  struct script_vm *vm = task->vm;
  bool killing = vm->killing; /* then it is somebody else who is killed, and stays so */
  task->limits.refusals = 0;
  hook_restart_slice(vm);
  close_coroutine(task);
  if (!killing && hook_end_kill(vm)) lua_pop(vm->L, 1);
}

/* The error value is on the coroutine's stack; there it stays while the pending close handlers run. */
static void end_failed(struct task *task) {
  lua_State *L = task->vm->L;
  lua_pushcfunction(L, record_traceback);
  lua_pushlightuserdata(L, task);
  lua_pushvalue(task->co, -1);
  lua_xmove(task->co, L, 1);
  script_call(task->vm, 2);
  if (lua_status(task->co) != LUA_OK) close_ended(task); /* else its close handlers are what failed */
  end(task, TASK_FAILED);
}

/* The message of the kill stands on the main state; it takes the place of whatever error arrived. */
static void end_killed(struct task *task) {
  lua_State *L = task->vm->L;
  push_handle(L, task);
  lua_pushvalue(L, -2);
  lua_setiuservalue(L, -2, SLOT_TRACEBACK);
  lua_pop(L, 1);
  close_ended(task);
  lua_settop(task->co, 0);
  lua_xmove(L, task->co, 1);
  end(task, TASK_FAILED);
}

static void cancel(struct task *task) {
  struct script_vm *vm = task->vm;
  bool killing = vm->killing; /* then it is the canceller who is killed, and stays so */
  stop_waiting(task);
  list_remove(&task->link);
  task->phase = TASK_CANCELLING;
  int status = close_coroutine(task);
  if (!killing && hook_end_kill(vm)) {
    end_killed(task);
  } else if (status == LUA_OK) {
    end(task, TASK_CANCELLED);
  } else {
    end_failed(task);
  }
}

/* Running */

static void after_yield(struct task *task, int values_count) {
  lua_pop(task->co, values_count);
  if (task->cancel_requested) {
    cancel(task);
  } else if (task->waiting != NULL) {
    task->phase = TASK_WAITING;
  } else {
    make_ready(task); /* preempted, task.yield, or a bare coroutine.yield: others first */
  }
}

static void step(struct script_vm *vm, struct task *task) {
  struct task *previous = vm->current;
  struct script_limits *previous_limits = vm->limits;
  vm->current = task;
  vm->limits = limits_of(task);
  task->phase = TASK_RUNNING;
  task->top = task->co;
  task->passes = false;
  int results_count = 0;
  int args_count = task->args_count;
  task->args_count = 0;
  int status = script_resume(vm, task->co, args_count, &results_count);
  vm->current = previous;
  vm->limits = previous_limits;
  if (hook_end_kill(vm)) {
    stop_waiting(task);
    end_killed(task);
  } else if (status == LUA_YIELD) {
    after_yield(task, results_count);
  } else if (status == LUA_OK) {
    task->results_count = results_count;
    end(task, TASK_DONE);
  } else {
    end_failed(task);
  }
}

/* Each once, but for one slice in all: the loop must turn, however many tasks compute. */
static void run_ready(struct script_vm *vm) {
  uint64_t pass = ++vm->pass;
  uint64_t end_ns = io_clock_ns() + (uint64_t)SLICE_MS * NS_PER_MS;
  while (!vm->exiting && !list_empty(&vm->ready)) {
    struct task *task = (struct task *)vm->ready.next;
    if (task->ready_pass >= pass) break; /* the rest became ready in this pass */
    list_remove(&task->link);
    step(vm, task);
    if (io_clock_ns() >= end_ns) break;
  }
}

/* One round: tasks, then a turn unless they set *done. False when the loop has nothing to wait for and no task is
 * ready. */
static bool run_round(struct script_vm *vm, lua_State *L, enum io_turn mode, const bool *done) {
  lua_State *outer = vm->running;
  struct task *current = vm->current;
  vm->running = L;
  run_ready(vm);
  bool alive = true;
  if (!vm->exiting && !*done) alive = script_turn(vm, list_empty(&vm->ready) ? mode : IO_TURN_NOWAIT);
  vm->running = outer;
  vm->current = current;
  return alive || !list_empty(&vm->ready);
}

bool scheduler_run_until(struct script_vm *vm, lua_State *L, const bool *done) {
  bool alive = true;
  while (!*done && alive) {
    alive = run_round(vm, L, IO_TURN_BLOCK, done);
    if (vm->exiting) script_exit(vm);
  }
  return *done;
}

void scheduler_run_once(struct script_vm *vm, lua_State *L) {
  const bool never = false;
  if (vm->nesting >= WAIT_NESTING_MAX) {
    script_turn(vm, IO_TURN_NOWAIT);
  } else {
    vm->nesting++;
    run_round(vm, L, IO_TURN_NOWAIT, &never);
    vm->nesting--;
  }
  hook_restart_slice(vm);
  if (vm->exiting) script_exit(vm);
}

void scheduler_run_task(struct script_vm *vm, struct task *task) {
  task->claimed = true;
  while (!scheduler_run_until(vm, vm->L, &task->ended)) {
    CHECK(task->phase == TASK_WAITING);
    task_wake(task); /* without a result: it raises the error that says so */
  }
}

void scheduler_close(struct script_vm *vm) {
  struct list *item = vm->tasks.next;
  while (item != &vm->tasks) {
    struct task *task = (struct task *)((char *)item - offsetof(struct task, all));
    item = item->next;
    if (task->phase == TASK_READY || task->phase == TASK_WAITING) {
      cancel(task);
      item = vm->tasks.next; /* close handlers may have changed the list */
    }
  }
  lua_gc(vm->L, LUA_GCCOLLECT);
}

bool task_push_failure(lua_State *L, int handle_index) {
  struct task *task = lua_touserdata(L, handle_index);
  if (task->phase != TASK_FAILED) return false;
  if (lua_getiuservalue(L, handle_index, SLOT_TRACEBACK) == LUA_TSTRING) return true;
  lua_pop(L, 1);
  lua_pushliteral(L, "not enough memory");
  return true;
}

/* Joining */

static int push_outcome(lua_State *L, void *data) {
  struct task *task = data;
  if (task->phase == TASK_CANCELLED) return luaL_error(L, "the task was cancelled");
  int count = task->phase == TASK_DONE ? task->results_count : 1;
  luaL_checkstack(L, count, "too many results of a task");
  if (!lua_checkstack(task->co, count)) return luaL_error(L, "too many results of a task");
  int first = lua_gettop(task->co) - count + 1;
  for (int i = 0; i < count; i++)
    lua_pushvalue(task->co, first + i);
  lua_xmove(task->co, L, count);
  return task->phase == TASK_DONE ? count : lua_error(L);
}

static void complete_joiners(struct task *task) {
  struct list *item;
  while ((item = list_pop_front(&task->joiners)) != NULL) {
    struct joiner *joiner = (struct joiner *)item;
    script_pending_complete(joiner->pending, push_outcome, task, NULL);
    free(joiner);
  }
}

static struct task *check_task(lua_State *L) {
  return luaL_checkudata(L, 1, metatable_name);
}

/* handle:join() -> what the function returned; raises its error. */
static int handle_join(lua_State *L) {
  struct task *task = check_task(L);
  if (task == task->vm->current) return luaL_error(L, "a task cannot join itself");
  lua_settop(L, 1); /* the handle stays there, and with it the results, until they are pushed */
  if (!task->ended) script_check_wait(L);
  task->claimed = true;
  if (task->ended) {
    list_remove(&task->link);
    return push_outcome(L, task);
  }
  struct script_pending *pending = script_pending_push(L);
  struct joiner *joiner = xcalloc(1, sizeof *joiner);
  joiner->pending = pending;
  list_push_back(&task->joiners, &joiner->link);
  return script_await(L, pending);
}

/* handle:cancel(): closes the coroutine (its <close> variables run); a task that has ended stays as it is. */
static int handle_cancel(lua_State *L) {
  struct task *task = check_task(L);
  if (task->ended || task->phase == TASK_CANCELLING) return 0;
  if (task == task->vm->current) return luaL_error(L, "a task cannot cancel itself: return, or raise an error");
  if (task->phase == TASK_RUNNING) {
    task->cancel_requested = true;
  } else {
    cancel(task);
  }
  return 0;
}

static int handle_status(lua_State *L) {
  lua_pushstring(L, phase_names[check_task(L)->phase]);
  return 1;
}

static void report_unclaimed(lua_State *L, struct task *task) {
  if (task->claimed || !task_push_failure(L, 1)) return;
  size_t len;
  lua_pushfstring(L, "kvserver: a task failed: %s", lua_tostring(L, -1));
  const char *text = lua_tolstring(L, -1, &len);
  log_say(bytes_make(text, len)); /* a node that serves goes on, and must not wait for who reads this */
  task->vm->failed = true;
  lua_pop(L, 2);
}

static int handle_collect(lua_State *L) {
  struct task *task = check_task(L);
  report_unclaimed(L, task);
  list_remove(&task->link);
  list_remove(&task->all);
  complete_joiners(task);
  return 0;
}

void task_push_metatable(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"join", handle_join}, {"cancel", handle_cancel}, {"status", handle_status}, {NULL, NULL}};
  if (!luaL_newmetatable(L, metatable_name)) return;
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, handle_collect);
  lua_setfield(L, -2, "__gc");
}

struct task *task_spawn(lua_State *L, int args_count) {
  struct script_vm *vm = script_vm_of(L);
  if (vm->closing) luaL_error(L, "cannot start a task: the program is ending");
  struct task *task = lua_newuserdatauv(L, sizeof *task, SLOTS_COUNT);
  memset(task, 0, sizeof *task);
  list_init(&task->link);
  list_init(&task->all);
  list_init(&task->joiners);
  task->vm = vm;
  task_push_metatable(L);
  lua_setmetatable(L, -2);
  task->co = lua_newthread(L);
  lua_setiuservalue(L, -2, SLOT_COROUTINE);
  lua_insert(L, -(args_count + 2));
  if (!lua_checkstack(task->co, args_count + 1)) luaL_error(L, "too many arguments of a task");
  lua_xmove(L, task->co, args_count + 1);
  task->args_count = args_count;
  hook_install(task->co);
  lua_pushboolean(L, true);
  lua_rawsetp(L, LUA_REGISTRYINDEX, task->co);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, task);
  list_push_back(&vm->tasks, &task->all);
  make_ready(task);
  return task;
}

struct task *task_spawn_limited(lua_State *L, const struct script_limits *limits, int args_count) {
  struct task *task = task_spawn(L, args_count);
  task->limited = true;
  task->limits = *limits;
  hook_install_limited(task->co);
  return task;
}
