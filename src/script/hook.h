/* Runaway scripts: a count hook on every coroutine, so that Lua code cannot hold the loop.
 *
 * A task's own code is preempted: after a slice it yields to the scheduler, invisibly. What cannot yield to it (a
 * coroutine inside the task, a comparator of table.sort, a callback of libuv) may run for a budget and then gets an
 * error that pcall cannot swallow: it is raised again at every instruction until the task or callback is left. Both are
 * measured in CPU time of the thread, so that a busy machine does not count. C functions cannot be interrupted; a task
 * with limits (vm.h) is looked at when they return. */
#ifndef KV_SCRIPT_HOOK_H
#define KV_SCRIPT_HOOK_H

#include "script/vm.h"

enum { NS_PER_MS = 1000000 };

/* ThreadSanitizer makes C functions that a script calls, which nothing interrupts, slower by this. */
#ifdef __SANITIZE_THREAD__
enum { SLOWDOWN = 3 };
#else
enum { SLOWDOWN = 1 };
#endif

enum {
  HOOK_INSTRUCTIONS = 10000,         /* between two looks at the clock: about 0.1 ms */
  SLICE_MS = 4,                      /* a task yields after this */
  BUDGET_MS = 1000 * SLOWDOWN,       /* what cannot yield is stopped after this */
  LIMITED_BUDGET_MS = 50 * SLOWDOWN, /* and what belongs to a task with limits after this: a heartbeat's time */
  REFUSALS_MAX = 16                  /* allocations that may fail before a task with limits is stopped */
};

/* Sets the hook on a state; coroutines created from it inherit it. */
void hook_install(lua_State *L);
/* The same for a task with limits: it is looked at after each function that it calls, too. So one that calls functions
 * of C which take long, one after the other, yields between them. */
void hook_install_limited(lua_State *L);
/* Lua was entered, or went on after a wait: slice and budget begin anew. */
void hook_restart_slice(struct script_vm *vm);
/* Raises the error that pcall cannot swallow. */
int hook_kill(lua_State *L, const char *why);
/* The entry was left: forgets the kill. True when there was one; then its message (with the traceback of the place
 * where it struck) is pushed on the main state. */
bool hook_end_kill(struct script_vm *vm);

#endif
