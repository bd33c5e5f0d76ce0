/* kvserver.coroutine: coroutines inside a task that let it be preempted, and wait, as if they were not there.
 *
 *   resume(co, ...) -> true, values... | false, error        as coroutine.resume
 *   wrap(f) -> function                                      as coroutine.wrap
 *   close(co) -> true | false, error                         as coroutine.close
 *
 * A coroutine that the hook stops, or that waits, yields to whoever resumed it; these two do not return then, but yield
 * on, as far as the scheduler, and take it up again when the task goes on. What a script itself yields ends a resume as
 * ever. Where a C function that cannot yield stands in between (table.sort) it is as with Lua's own. The coroutine of a
 * task is none that a script can resume or close, even where it waits. */
#include "script/bindings.h"

#include "script/scheduler.h"

#include <lauxlib.h>
#include <lualib.h>

/* What `resume` and `wrap` have in common: the coroutine, and what becomes of how it ended. */
struct kind {
  int coroutine; /* index */
  int (*finish)(lua_State *L, lua_State *co, int status, int results_count);
};

static int step(lua_State *L, const struct kind *kind, int args_count);

static int again(lua_State *L, int status, lua_KContext context) {
  (void)status;
  return step(L, (const struct kind *)context, 0); // NOLINT(performance-no-int-to-ptr): Lua's type
}

static int step(lua_State *L, const struct kind *kind, int args_count) {
  struct script_vm *vm = script_vm_of(L);
  lua_State *co = lua_tothread(L, kind->coroutine);
  lua_State *outer = task_descend(vm, L, co);
  int results_count = 0;
  int status = lua_resume(co, L, args_count, &results_count);
  task_ascend(vm, outer);
  if (status != LUA_YIELD || !task_passes(vm)) return kind->finish(L, co, status, results_count);
  lua_pop(co, results_count);
  return lua_yieldk(L, 0, (lua_KContext)kind, again);
}

/* Moves the arguments at the top of L's stack to `co`. False, and why not is pushed, when it cannot go on. */
static bool hand_over(lua_State *L, lua_State *co, int args_count) {
  const char *why = NULL;
  if (!lua_checkstack(co, args_count)) {
    why = "too many arguments to resume";
  } else if (task_owns(L, co)) {
    why = "cannot resume non-suspended coroutine";
  } else if (lua_status(co) == LUA_OK) {
    lua_Debug activation;
    if (co == L || lua_getstack(co, 0, &activation))
      why = "cannot resume non-suspended coroutine";
    else if (lua_gettop(co) == 0)
      why = "cannot resume dead coroutine";
  } else if (lua_status(co) != LUA_YIELD) {
    why = "cannot resume dead coroutine";
  }
  if (why == NULL) {
    lua_xmove(L, co, args_count);
    return true;
  }
  lua_pushstring(L, why);
  return false;
}

/* ---- resume ---- */

static int finish_resume(lua_State *L, lua_State *co, int status, int results_count) {
  bool ok = status == LUA_OK || status == LUA_YIELD;
  int count = ok ? results_count : 1;
  if (!lua_checkstack(L, count + 1)) {
    lua_pop(co, count);
    return luaL_error(L, "too many results to resume");
  }
  lua_pushboolean(L, ok);
  lua_xmove(co, L, count);
  return count + 1;
}

static const struct kind by_resume = {1, finish_resume};

static int coroutine_resume(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  luaL_argexpected(L, co != NULL, 1, "thread");
  int args_count = lua_gettop(L) - 1;
  if (hand_over(L, co, args_count)) return step(L, &by_resume, args_count);
  lua_pushboolean(L, false);
  lua_insert(L, -2);
  return 2;
}

/* ---- wrap ---- */

/* The error at the top of the stack goes on, with the place of whoever called, as Lua's own does it. */
static int raise_on(lua_State *L) {
  if (lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

static int finish_wrap(lua_State *L, lua_State *co, int status, int results_count) {
  if (status == LUA_OK || status == LUA_YIELD) {
    luaL_checkstack(L, results_count, "too many results to resume");
    lua_xmove(co, L, results_count);
    return results_count;
  }
  lua_resetthread(co); /* closes its pending variables; leaves the error */
  lua_xmove(co, L, 1);
  return raise_on(L);
}

static const struct kind by_wrap = {lua_upvalueindex(1), finish_wrap};

static int call_wrapped(lua_State *L) {
  int args_count = lua_gettop(L);
  if (hand_over(L, lua_tothread(L, lua_upvalueindex(1)), args_count)) return step(L, &by_wrap, args_count);
  return raise_on(L);
}

static int coroutine_wrap(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_State *co = lua_newthread(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  lua_pushcclosure(L, call_wrapped, 1);
  return 1;
}

/* ---- close ---- */

/* Upvalue: Lua's own. */
static int coroutine_close(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  luaL_argexpected(L, co != NULL, 1, "thread");
  if (task_owns(L, co)) return luaL_error(L, "cannot close a running coroutine");
  lua_settop(L, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, 1, LUA_MULTRET);
  return lua_gettop(L);
}

int luaopen_kvserver_coroutine(lua_State *L) {
  static const luaL_Reg functions[] = {{"resume", coroutine_resume}, {"wrap", coroutine_wrap}, {NULL, NULL}};
  luaL_newlib(L, functions);
  lua_getglobal(L, LUA_COLIBNAME);
  lua_getfield(L, -1, "close");
  lua_remove(L, -2);
  lua_pushcclosure(L, coroutine_close, 1);
  lua_setfield(L, -2, "close");
  return 1;
}
