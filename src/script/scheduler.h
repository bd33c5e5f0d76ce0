/* Tasks: coroutines that the loop runs. A task is a Lua userdata (its handle), anchored in the registry until it ends.
 *
 *   spawn -> ready -> running -> waiting (for a pending operation) -> ready ... -> done, failed or cancelled
 *
 * A task that waits in the open yields. One that waits where it cannot yield (inside a coroutine of its own, below a C
 * function) turns the loop itself, and the other tasks run on top of it meanwhile; this nesting is bounded. */
#ifndef KV_SCRIPT_SCHEDULER_H
#define KV_SCRIPT_SCHEDULER_H

#include "script/pending.h"
#include "script/vm.h"

enum { WAIT_NESTING_MAX = 16 }; /* each level costs C stack of Lua, which has 200 */

/* A task from the function and the `args_count` values at the top of L's stack; leaves its handle there instead. */
struct task *task_spawn(lua_State *L, int args_count);
/* The same with limits, which are copied. */
struct task *task_spawn_limited(lua_State *L, const struct script_limits *limits, int args_count);
/* The coroutine. */
lua_State *task_state(const struct task *task);
/* True when it is the coroutine of a task that has not ended: the scheduler alone resumes and closes it. */
bool task_owns(lua_State *L, lua_State *co);
/* True when L may yield to the scheduler: it is the running task itself, or a coroutine of it below resumes that pass
 * yields on (lua_coroutine.c), and no C function that cannot yield stands in between. */
bool task_can_yield(const struct script_vm *vm, lua_State *L);
/* Where it can: the yield that follows is for the scheduler. */
void task_pass(const struct script_vm *vm);
/* What a resume got was such a yield. */
bool task_passes(const struct script_vm *vm);
/* Around a resume of `co` by L that passes yields on: the result of the one is for the other. */
lua_State *task_descend(const struct script_vm *vm, lua_State *L, lua_State *co);
void task_ascend(const struct script_vm *vm, lua_State *outer);
/* Ended: done, failed or cancelled. */
bool task_ended(const struct task *task);
/* Pushes the error of a failed task, with its traceback; false, and nothing pushed, when it did not fail. */
bool task_push_failure(lua_State *L, int handle_index);
/* The running task yields until `pending` is completed; `return` it from a lua_CFunction. */
int task_wait(lua_State *L, struct script_pending *pending, lua_KFunction on_resumed);
/* The waiter may go on. */
void task_wake(struct task *task);

/* Runs tasks and turns until *done. False when nothing is left that could ever set it. */
bool scheduler_run_until(struct script_vm *vm, lua_State *L, const bool *done);
/* Runs what is ready, and one turn that does not block. */
void scheduler_run_once(struct script_vm *vm, lua_State *L);
/* Runs `task` and the others until it has ended. */
void scheduler_run_task(struct script_vm *vm, struct task *task);
/* Cancels what is not running, and reports failures that nobody asked for. */
void scheduler_close(struct script_vm *vm);

/* Pushes the metatable of handles: join, cancel, status. */
void task_push_metatable(lua_State *L);

#endif
