#include "script/hook.h"

#include "script/interrupt.h"
#include "script/scheduler.h"

#include <lauxlib.h>
#include <time.h>

static const char kill_message_key; /* its address is the registry key of the message */

static uint64_t cpu_now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (uint64_t)now.tv_sec * 1000 * NS_PER_MS + (uint64_t)now.tv_nsec;
}

void hook_restart_slice(struct script_vm *vm) {
  vm->slice_start_clock_ns = io_clock_ns();
  vm->slice_start_ns = cpu_now_ns();
}

static void on_count(lua_State *L, lua_Debug *activation);

static int raise_kill(lua_State *L) {
  /* From here on this state is interrupted at each instruction: a pcall that catches the error does not get further. */
  lua_sethook(L, on_count, LUA_MASKCOUNT, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &kill_message_key);
  return lua_error(L);
}

int hook_kill(lua_State *L, const char *why) {
  struct script_vm *vm = script_vm_of(L);
  struct script_limits *limits = vm->limits;
  vm->killing = true;
  vm->limits = NULL; /* the message is not the script's */
  luaL_traceback(L, L, why, 0);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &kill_message_key);
  vm->limits = limits;
  if (vm->current != NULL) lua_sethook(task_state(vm->current), on_count, LUA_MASKCOUNT, 1);
  return raise_kill(L);
}

bool hook_end_kill(struct script_vm *vm) {
  if (!vm->killing) return false;
  vm->killing = false;
  hook_install(vm->L);
  lua_rawgetp(vm->L, LUA_REGISTRYINDEX, &kill_message_key);
  return true;
}

/* What is over its slice but cannot yield here. The task that it belongs to yields as soon as it is back in control. */
static void over_slice(struct script_vm *vm, lua_State *L, uint64_t used_ns) {
  uint64_t budget_ms = vm->limits != NULL ? LIMITED_BUDGET_MS : BUDGET_MS;
  if (used_ns >= budget_ms * NS_PER_MS) {
    hook_kill(L, "script held the loop too long where it cannot be interrupted (in a coroutine of its own, a callback "
                 "or a C function such as table.sort); call task.yield() or run it as a task");
  }
  if (vm->current != NULL && task_state(vm->current) != L) {
    lua_sethook(task_state(vm->current), on_count, LUA_MASKCOUNT, 1);
  }
}

static bool wants_too_much(const struct script_vm *vm) {
  return vm->limits != NULL && vm->limits->refusals >= REFUSALS_MAX;
}

/* No hook may yield here: the next instruction's does, when the thread's own time says so, too. */
static void on_return(const struct script_vm *vm, lua_State *L) {
  bool over = io_clock_ns() - vm->slice_start_clock_ns >= (uint64_t)SLICE_MS * NS_PER_MS;
  if (over || wants_too_much(vm)) lua_sethook(L, on_count, LUA_MASKCOUNT, 1);
}

static void check_limits(struct script_vm *vm, lua_State *L) {
  hook_install_limited(L); /* on_return may have put a closer look in its place */
  if (wants_too_much(vm)) hook_kill(L, "not enough memory");
}

static void on_count(lua_State *L, lua_Debug *activation) {
  struct script_vm *vm = script_vm_of(L);
  if (activation->event == LUA_HOOKRET) {
    on_return(vm, L);
    return;
  }
  if (vm->killing) raise_kill(L);
  if (vm->limits != NULL) check_limits(vm, L);
  uint64_t used_ns = cpu_now_ns() - vm->slice_start_ns;
  if (interrupt_pending()) script_request_exit(vm, EXIT_INTERRUPTED);
  bool stop = vm->exiting && !vm->closing;
  if (!stop && used_ns < (uint64_t)SLICE_MS * NS_PER_MS) return;
  if (task_can_yield(vm, L)) {
    if (vm->limits == NULL) hook_install(L);
    task_pass(vm);
    lua_yield(L, 0);
    return;
  }
  if (stop) hook_kill(L, "interrupted");
  over_slice(vm, L, used_ns);
}

void hook_install_limited(lua_State *L) {
  lua_sethook(L, on_count, LUA_MASKCOUNT | LUA_MASKRET, HOOK_INSTRUCTIONS);
}

void hook_install(lua_State *L) {
  lua_sethook(L, on_count, LUA_MASKCOUNT, HOOK_INSTRUCTIONS);
}
