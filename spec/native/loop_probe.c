/* loop_probe: a loop of its own (src/io/loop.h), turned by a spec.
 *
 *   local loop = require("loop_probe").create()
 *   local hook = loop:hook(function() ... end)      hook:remove()
 *   local timer = loop:timer(function() ... end)    timer:arm(ms) timer:disarm()
 *   loop:work(function() ... end)                   a job that does nothing, then the function
 *   local thread = loop:thread()                    thread:ran() -> jobs that ended on it
 *   thread:run(ms, function() ... end)              a job that takes so long, then the function; thread:close()
 *   loop:wake()   loop:hook_wake(hook)   loop:now_ms()   loop:in_turn()
 *   loop:turn(block)                                -> true while there is something to wait for
 *   loop:close()                                    after hooks and timers are removed
 *
 * An error of a function is printed and fails the process: it cannot go up through the loop. */
#include <lauxlib.h>
#include <lua.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "io/loop.h"
#include "io/thread.h"

int luaopen_loop_probe(lua_State *L);

static const char loop_type[] = "loop_probe.loop";
static const char hook_type[] = "loop_probe.hook";
static const char timer_type[] = "loop_probe.timer";
static const char thread_type[] = "loop_probe.thread";

struct probe {
  struct io_loop *loop; /* NULL when closed */
};

/* Where a Lua function stands, to be called from C. */
struct function {
  lua_State *L;
  int reference;
};

struct hook {
  struct io_hook hook; /* first */
  struct function function;
};

struct thread {
  struct io_thread *thread; /* NULL when closed */
  atomic_int ran;
};

struct thread_job {
  struct io_job job; /* first */
  struct thread *thread;
  long ms;
  struct function function;
};

struct timer {
  struct io_timer *timer; /* NULL when removed */
  struct function function;
};

static struct io_loop *check_loop(lua_State *L) {
  struct probe *probe = luaL_checkudata(L, 1, loop_type);
  luaL_argcheck(L, probe->loop != NULL, 1, "the loop is closed");
  return probe->loop;
}

static struct function take_function(lua_State *L, int index) {
  luaL_checktype(L, index, LUA_TFUNCTION);
  lua_pushvalue(L, index);
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  lua_State *main_state = lua_tothread(L, -1);
  lua_pop(L, 1);
  return (struct function){main_state, luaL_ref(L, LUA_REGISTRYINDEX)};
}

static void call(const struct function *function) {
  lua_rawgeti(function->L, LUA_REGISTRYINDEX, function->reference);
  if (lua_pcall(function->L, 0, 0, 0) == LUA_OK) return;
  fprintf(stderr, "loop_probe: %s\n", lua_tostring(function->L, -1));
  CHECK(false);
}

/* ---- hooks ---- */

static void run_hook(struct io_hook *hook) {
  call(&((struct hook *)hook)->function);
}

static int loop_hook(lua_State *L) {
  struct io_loop *loop = check_loop(L);
  struct function function = take_function(L, 2);
  struct hook *hook = lua_newuserdatauv(L, sizeof *hook, 0);
  hook->hook.run = run_hook;
  hook->function = function;
  luaL_setmetatable(L, hook_type);
  io_hook_add(loop, &hook->hook);
  return 1;
}

static int hook_remove(lua_State *L) {
  struct hook *hook = luaL_checkudata(L, 1, hook_type);
  io_hook_remove(&hook->hook);
  return 0;
}

/* ---- timers ---- */

static void on_timer(void *context) {
  call(&((struct timer *)context)->function);
}

static int loop_timer(lua_State *L) {
  struct io_loop *loop = check_loop(L);
  struct function function = take_function(L, 2);
  struct timer *timer = lua_newuserdatauv(L, sizeof *timer, 0);
  timer->function = function;
  timer->timer = io_timer_create(loop, on_timer, timer);
  luaL_setmetatable(L, timer_type);
  return 1;
}

static int timer_arm(lua_State *L) {
  struct timer *timer = luaL_checkudata(L, 1, timer_type);
  io_timer_arm(timer->timer, (uint64_t)luaL_checkinteger(L, 2));
  return 0;
}

static int timer_disarm(lua_State *L) {
  struct timer *timer = luaL_checkudata(L, 1, timer_type);
  io_timer_disarm(timer->timer);
  return 0;
}

static int timer_remove(lua_State *L) {
  struct timer *timer = luaL_checkudata(L, 1, timer_type);
  if (timer->timer != NULL) io_timer_destroy(timer->timer);
  timer->timer = NULL;
  return 0;
}

/* ---- threads ---- */

static void run_thread_job(struct io_job *base) {
  struct thread_job *job = (struct thread_job *)base;
  struct timespec pause = {job->ms / 1000, job->ms % 1000 * 1000000};
  nanosleep(&pause, NULL);
  atomic_fetch_add(&job->thread->ran, 1);
}

static void on_thread_job(struct io_job *base) {
  call(&((struct thread_job *)base)->function);
}

static int loop_thread(lua_State *L) {
  struct io_loop *loop = check_loop(L);
  struct thread *thread = lua_newuserdatauv(L, sizeof *thread, 1);
  atomic_init(&thread->ran, 0);
  thread->thread = io_thread_create(loop);
  luaL_setmetatable(L, thread_type);
  lua_newtable(L); /* its jobs */
  lua_setiuservalue(L, -2, 1);
  return 1;
}

static int thread_run(lua_State *L) {
  struct thread *thread = luaL_checkudata(L, 1, thread_type);
  long ms = (long)luaL_checkinteger(L, 2);
  struct function function = take_function(L, 3);
  lua_getiuservalue(L, 1, 1);
  struct thread_job *job = lua_newuserdatauv(L, sizeof *job, 0);
  luaL_ref(L, -2);
  *job = (struct thread_job){.job = {.work = run_thread_job, .done = on_thread_job}, thread, ms, function};
  io_thread_run(thread->thread, &job->job);
  return 0;
}

static int thread_ran(lua_State *L) {
  struct thread *thread = luaL_checkudata(L, 1, thread_type);
  lua_pushinteger(L, atomic_load(&thread->ran));
  return 1;
}

static int thread_close(lua_State *L) {
  struct thread *thread = luaL_checkudata(L, 1, thread_type);
  if (thread->thread != NULL) io_thread_destroy(thread->thread);
  thread->thread = NULL;
  return 0;
}

/* ---- the loop ---- */

static void do_nothing(void *context) {
  (void)context;
}

static void on_work_done(void *context) {
  struct function *function = context;
  call(function);
  free(function);
}

static int loop_work(lua_State *L) {
  struct io_loop *loop = check_loop(L);
  struct function function = take_function(L, 2);
  struct function *kept = xmalloc(sizeof *kept);
  *kept = function;
  io_work(loop, do_nothing, on_work_done, kept);
  return 0;
}

static int loop_turn(lua_State *L) {
  lua_pushboolean(L, io_loop_turn(check_loop(L), lua_toboolean(L, 2) ? IO_TURN_BLOCK : IO_TURN_NOWAIT));
  return 1;
}

static int loop_wake(lua_State *L) {
  io_loop_wake(check_loop(L));
  return 0;
}

static int loop_hook_wake(lua_State *L) {
  struct hook *hook = luaL_checkudata(L, 2, hook_type);
  io_hook_wake(check_loop(L), &hook->hook);
  return 0;
}

static int loop_now_ms(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)io_loop_now_ms(check_loop(L)));
  return 1;
}

static int loop_in_turn(lua_State *L) {
  lua_pushboolean(L, io_loop_in_turn(check_loop(L)));
  return 1;
}

static int loop_close(lua_State *L) {
  struct probe *probe = luaL_checkudata(L, 1, loop_type);
  if (probe->loop != NULL) io_loop_destroy(probe->loop);
  probe->loop = NULL;
  return 0;
}

static int create(lua_State *L) {
  struct probe *probe = lua_newuserdatauv(L, sizeof *probe, 0);
  luaL_setmetatable(L, loop_type);
  probe->loop = io_loop_create();
  return 1;
}

static void new_type(lua_State *L, const char *name, const luaL_Reg *methods) {
  luaL_newmetatable(L, name);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

int luaopen_loop_probe(lua_State *L) {
  static const luaL_Reg loop_methods[] = {
      {"hook", loop_hook},       {"timer", loop_timer},   {"work", loop_work},           {"thread", loop_thread},
      {"turn", loop_turn},       {"wake", loop_wake},     {"hook_wake", loop_hook_wake}, {"now_ms", loop_now_ms},
      {"in_turn", loop_in_turn}, {"__close", loop_close}, {"close", loop_close},         {NULL, NULL}};
  static const luaL_Reg hook_methods[] = {{"remove", hook_remove}, {"__close", hook_remove}, {NULL, NULL}};
  static const luaL_Reg timer_methods[] = {
      {"arm", timer_arm}, {"disarm", timer_disarm}, {"remove", timer_remove}, {"__close", timer_remove}, {NULL, NULL}};
  static const luaL_Reg thread_methods[] = {
      {"run", thread_run}, {"ran", thread_ran}, {"close", thread_close}, {"__close", thread_close}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"create", create}, {NULL, NULL}};
  new_type(L, thread_type, thread_methods);
  new_type(L, loop_type, loop_methods);
  new_type(L, hook_type, hook_methods);
  new_type(L, timer_type, timer_methods);
  luaL_newlib(L, functions);
  return 1;
}
