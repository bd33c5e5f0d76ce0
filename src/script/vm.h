/* The VM's own state, for the files of script/ alone. One per process; the loop's thread.
 *
 * Lua code is entered in two ways only, both protected and both in vm.c: script_enter (a call on the main state: libuv
 * callbacks, the start) and script_resume (a step of a task). Between them runs the loop: tasks go on between
 * turns, never inside a callback, so that a turn never nests in another. */
#ifndef KV_SCRIPT_VM_H
#define KV_SCRIPT_VM_H

#include "base/list.h"
#include "io/loop.h"

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct task;

/* What a task that runs the code of a person at a console is held to, beside the slices of every task: it is stopped
 * sooner where it cannot be preempted, it cannot turn the loop itself, and allocations fail beyond its cap. Each of
 * those costs a whole collection, so it is stopped, too, when it goes on in spite of some. */
struct script_limits {
  size_t memory_bytes_max; /* of all that Lua holds */
  uint32_t refusals;       /* allocations that failed */
};

struct script_vm {
  lua_State *L; /* main state: callbacks run here, tasks do not */
  struct io_loop *loop;

  /* scheduler.c */
  struct list tasks;            /* every task that has not ended */
  struct list ready;            /* those that can go on, in order */
  struct list unclaimed;        /* failed ones that nobody joined, until joined, reported or collected */
  struct list pendings;         /* every pending operation, see pending.c */
  struct task *current;         /* whose code runs, NULL outside tasks */
  lua_State *running;           /* the state that turns the loop: what nested resumes come from */
  uint64_t pass;                /* number of the latest pass over the ready tasks */
  int nesting;                  /* waits that turn the loop themselves, now on the C stack */
  struct script_limits *limits; /* of the task whose code runs, NULL when it has none */

  /* hook.c */
  uint64_t slice_start_ns;       /* CPU time of this thread when Lua was last entered */
  uint64_t slice_start_clock_ns; /* the clock's, which is quicker to look at */
  bool killing;                  /* an error that pcall cannot swallow is on its way up */

  /* memory.c */
  size_t memory_bytes;     /* what Lua holds */
  size_t memory_bytes_max; /* 0: no limit */
  bool memory_capped;      /* the limit applies: inside protected Lua code only */

  /* vm.c */
  bool exiting;    /* os.exit, a failed callback or SIGINT: ends after this turn */
  bool closing;    /* shutdown has begun: no callback, no wait, no new task */
  bool finalizing; /* lua_close runs: what a finalizer begins now, nobody would end */
  bool failed;     /* something was reported: exit code 0 becomes 1 */
  int exit_code;   /* when exiting */
};

/* The VM of any of its states. */
static inline struct script_vm *script_vm_of(lua_State *L) {
  return *(struct script_vm **)lua_getextraspace(L);
}

/* lua_pcall on `L` with a traceback, the budget and the memory cap. Returns its status. */
int script_enter(struct script_vm *vm, lua_State *L, int args_count, int results_count);
/* lua_pcall on the main state without the memory cap, for functions of the VM's own that may meet user code in passing
 * (a __tostring). No results; an error is dropped, and false returned. */
bool script_call(struct script_vm *vm, int args_count);
/* lua_resume of a task's coroutine with the same; *results_count as lua_resume sets it. */
int script_resume(struct script_vm *vm, lua_State *co, int args_count, int *results_count);
/* One turn of the loop, outside the memory cap; as io_loop_turn. */
bool script_turn(struct script_vm *vm, enum io_turn mode);

/* Prints "kvserver: <message>" for the error value at the top of the main state's stack, pops it, and remembers that
 * something failed. */
void script_report(struct script_vm *vm);
/* The text of any error value, as `lua` shows it: pushes a string. */
const char *script_error_text(lua_State *L, int index);

/* Ends the program after this turn, with this code (the first one asked for counts). */
void script_request_exit(struct script_vm *vm, int code);
/* Closes everything and ends the process. Only between turns. */
_Noreturn void script_exit(struct script_vm *vm);
/* os.exit: at once between turns; inside a callback by an error that pcall cannot swallow. */
int script_os_exit(lua_State *L);

/* memory.c: counts, and refuses what exceeds the cap. */
void script_memory_install(struct script_vm *vm);

#endif
