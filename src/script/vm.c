#include "script/vm.h"

#include "base/check.h"
#include "script/hook.h"
#include "script/interrupt.h"
#include "script/luv_bridge.h"
#include "script/pending_state.h"
#include "script/preload.h"
#include "script/scheduler.h"
#include "script/script.h"

#include <fcntl.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { CLOSING_TURNS_MAX = 8 }; /* for what the end of Lua objects left to the loop */

const char *script_error_text(lua_State *L, int index) {
  index = lua_absindex(L, index);
  if (luaL_getmetafield(L, index, "__tostring") != LUA_TNIL) {
    lua_pushvalue(L, index);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK)
      return lua_pushfstring(L, "(error object is a %s value, whose __tostring failed: %s)", luaL_typename(L, index),
                             lua_isstring(L, -1) ? lua_tostring(L, -1) : luaL_typename(L, -1));
    if (lua_type(L, -1) == LUA_TSTRING) return lua_tostring(L, -1);
  }
  if (lua_type(L, index) == LUA_TSTRING || lua_type(L, index) == LUA_TNUMBER) {
    lua_pushvalue(L, index);
    return lua_tostring(L, -1);
  }
  return lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, index));
}

static int add_traceback(lua_State *L) {
  luaL_traceback(L, L, script_error_text(L, 1), 1);
  return 1;
}

int script_enter(struct script_vm *vm, lua_State *L, int args_count, int results_count) {
  int handler = lua_gettop(L) - args_count;
  lua_pushcfunction(L, add_traceback);
  lua_insert(L, handler);
  bool capped = vm->memory_capped;
  vm->memory_capped = true;
  hook_restart_slice(vm);
  int status = lua_pcall(L, args_count, results_count, handler);
  vm->memory_capped = capped;
  lua_remove(L, handler);
  return status;
}

bool script_call(struct script_vm *vm, int args_count) {
  bool capped = vm->memory_capped;
  vm->memory_capped = false;
  hook_restart_slice(vm);
  int status = lua_pcall(vm->L, args_count, 0, 0);
  if (status != LUA_OK) lua_pop(vm->L, 1);
  if (hook_end_kill(vm)) lua_pop(vm->L, 1);
  vm->memory_capped = capped;
  return status == LUA_OK;
}

int script_resume(struct script_vm *vm, lua_State *co, int args_count, int *results_count) {
  bool capped = vm->memory_capped;
  vm->memory_capped = true;
  hook_restart_slice(vm);
  int status = lua_resume(co, vm->running, args_count, results_count);
  vm->memory_capped = capped;
  return status;
}

bool script_turn(struct script_vm *vm, enum io_turn mode) {
  bool capped = vm->memory_capped;
  vm->memory_capped = false;
  bool alive = io_loop_turn(vm->loop, mode);
  vm->memory_capped = capped;
  return alive;
}

static int print_error(lua_State *L) {
  const char *text = script_error_text(L, 1);
  fflush(stdout);
  fprintf(stderr, "kvserver: %s\n", text);
  return 0;
}

void script_report(struct script_vm *vm) {
  vm->failed = true;
  lua_pushcfunction(vm->L, print_error);
  lua_insert(vm->L, -2);
  if (!script_call(vm, 1)) fputs("kvserver: an error whose message could not be made\n", stderr);
}

void script_request_exit(struct script_vm *vm, int code) {
  if (vm->exiting) return;
  vm->exiting = true;
  vm->exit_code = code;
}

/* Frees everything. The order: tasks (their close handlers still work), luv's handles, Lua (bindings end what they
 * own), what that left to the loop, the loop. */
static int close_vm(struct script_vm *vm, int code) {
  vm->closing = true;
  vm->memory_bytes_max = 0;
  scheduler_close(vm);
  bool all_closed = luv_bridge_close(vm);
  interrupt_close();
  if (code == 0 && vm->failed) code = 1;
  if (!all_closed) {
    fflush(NULL);
    _exit(code);
  }
  vm->finalizing = true;
  lua_close(vm->L);
  if (code == 0 && vm->failed) code = 1; /* failures that only the collector found */
  for (int i = 0; i < CLOSING_TURNS_MAX && io_loop_turn(vm->loop, IO_TURN_NOWAIT); i++) {
  }
  io_loop_destroy(vm->loop);
  pending_free_all(vm);
  free(vm);
  return code;
}

void script_exit(struct script_vm *vm) {
  exit(close_vm(vm, vm->exit_code));
}

static int exit_code_argument(lua_State *L) {
  if (lua_isboolean(L, 1)) return lua_toboolean(L, 1) ? EXIT_SUCCESS : EXIT_FAILURE;
  return (int)luaL_optinteger(L, 1, EXIT_SUCCESS);
}

int script_os_exit(lua_State *L) {
  struct script_vm *vm = script_vm_of(L);
  int code = exit_code_argument(L);
  if (!lua_toboolean(L, 2) || vm->closing) exit(code);
  script_request_exit(vm, code);
  if (io_loop_in_turn(vm->loop)) return hook_kill(L, "os.exit");
  script_exit(vm);
}

/* Under protection, as the one below. */
static int boot(lua_State *L) {
  luaL_openlibs(L);
  preload_install(L);
  lua_getglobal(L, "os");
  lua_pushcfunction(L, script_os_exit);
  lua_setfield(L, -2, "exit");
  return 0;
}

/* (a chunk's text, argv or NULL) -> the handle of a task that runs it. */
static int spawn_main(lua_State *L) {
  static char *const nothing[] = {NULL};
  const char *text = lua_touserdata(L, 1);
  char *const *argv = lua_touserdata(L, 2);
  if (argv == NULL) argv = nothing;
  lua_settop(L, 0);
  if (luaL_loadstring(L, text) != LUA_OK) return lua_error(L);
  int args_count = 0;
  for (; argv[args_count] != NULL; args_count++) {
    luaL_checkstack(L, 2, "too many arguments");
    lua_pushstring(L, argv[args_count]);
  }
  task_spawn(L, args_count);
  return 1;
}

static struct script_vm *create_vm(void) {
  struct script_vm *vm = xcalloc(1, sizeof *vm);
  vm->L = luaL_newstate();
  CHECK(vm->L != NULL);
  *(struct script_vm **)lua_getextraspace(vm->L) = vm; /* coroutines inherit it */
  script_memory_install(vm);
  list_init(&vm->tasks);
  list_init(&vm->ready);
  list_init(&vm->unclaimed);
  list_init(&vm->pendings);
  vm->running = vm->L;
  vm->loop = io_loop_create();
  hook_install(vm->L);
  interrupt_open(vm);
  return vm;
}

/* A task to its end; vm->failed tells how it went. */
static void run_main(struct script_vm *vm, const char *text, char **argv) {
  lua_pushcfunction(vm->L, spawn_main);
  lua_pushlightuserdata(vm->L, (void *)text);
  lua_pushlightuserdata(vm->L, argv);
  if (script_enter(vm, vm->L, 2, 1) != LUA_OK) {
    script_report(vm);
    return;
  }
  scheduler_run_task(vm, lua_touserdata(vm->L, 1));
  if (task_push_failure(vm->L, 1)) script_report(vm);
  lua_settop(vm->L, 0);
}

static int run(struct script_vm *vm, char **argv) {
  static const char main_text[] = "return require('kvserver.cli').main(...)";
  static const char finish_text[] = "return require('kvserver.cli').finish()";
  lua_pushcfunction(vm->L, boot);
  if (script_enter(vm, vm->L, 0, 0) != LUA_OK) script_report(vm);
  if (!vm->failed) run_main(vm, main_text, argv);
  if (!vm->failed) run_main(vm, finish_text, NULL);
  return vm->failed ? 1 : 0;
}

/* Who started us with one of these closed meant "nowhere". Left free, its number would go to the next socket, and what
 * is printed to a client. */
static void hold_standard_descriptors(void) {
  int fd;
  do
    fd = open("/dev/null", O_RDWR);
  while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) close(fd);
}

int script_main(int argc, char **argv) {
  (void)argc;
  hold_standard_descriptors();
  parent_follow();
  struct script_vm *vm = create_vm();
  return close_vm(vm, run(vm, argv));
}
