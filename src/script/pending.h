/* How blocking verbs wait: a pending operation is a Lua userdata that C completes later.
 *
 *   static int verb(lua_State *L) {
 *     ... read and check all arguments (luaL_check* may longjmp) ...
 *     script_check_wait(L);
 *     struct script_pending *pending = script_pending_push(L);   // pushed on the stack, anchored until completed
 *     start_something(..., on_done, pending);                    // on_done calls script_pending_complete
 *     return script_await(L, pending);                           // `return` it: it may yield
 *   }
 *
 * In a task (a coroutine of the scheduler, lua/kvserver/task.lua) waiting yields to the scheduler; elsewhere it turns
 * the loop itself; inside a libuv callback it is an error that says so. Results are pushed when the waiter goes on,
 * never inside the callback, so that an error of memory cannot jump through libuv. The loop's thread. */
#ifndef KV_SCRIPT_PENDING_H
#define KV_SCRIPT_PENDING_H

#include <lua.h>

struct script_pending;

/* Pushes a new pending operation. Valid until completed, even if Lua forgets it. */
struct script_pending *script_pending_push(lua_State *L);

/* Pushes the results and returns their count, or raises. Runs in the waiter, at most once. */
typedef int script_push_results(lua_State *L, void *data);

/* Ends it, exactly once, from any callback on the loop. `data` is owned by the pending operation from here on;
 * `release` (may be NULL) frees it after the results were pushed, or when nobody waits any more. */
void script_pending_complete(struct script_pending *pending, script_push_results *push, void *data,
                             void (*release)(void *data));

/* Instead of completing it: the operation was never started, or is given up. A waiter stays asleep until its task is
 * cancelled. */
void script_pending_drop(struct script_pending *pending);

/* Raises where script_await could not wait. A verb that cannot take back what it starts asks before it starts. */
void script_check_wait(lua_State *L);

/* Waits for the pending operation at the top of the stack and returns its results; use as `return script_await(L,
 * pending)`. */
int script_await(lua_State *L, struct script_pending *pending);

/* The loop that this VM lives on, to start something there: raises an error in finalizers that run as the VM ends. */
struct io_loop;
struct io_loop *script_loop(lua_State *L);

#endif
