/* The inside of a pending operation, for pending.c and scheduler.c alone. */
#ifndef KV_SCRIPT_PENDING_STATE_H
#define KV_SCRIPT_PENDING_STATE_H

#include "script/pending.h"
#include "script/vm.h"

/* Shared by two owners that let go in any order: the operation (until it completes or drops it) and the Lua userdata
 * (until it is collected). */
struct script_pending {
  struct list link; /* in vm->pendings */
  struct script_vm *vm;
  struct task *waiter; /* yielded for it, or NULL */
  bool completed;      /* the operation let go */
  bool collected;      /* the userdata let go */
  bool has_results;    /* push and release are still to be run */
  script_push_results *push;
  void *data;
  void (*release)(void *data);
};

/* Frees what is left when the VM ends: operations that were never completed. */
void pending_free_all(struct script_vm *vm);

#endif
