/* Signals of a script that has no handler of its own, and the tie to a parent. */
#ifndef KV_SCRIPT_INTERRUPT_H
#define KV_SCRIPT_INTERRUPT_H

#include "script/vm.h"

enum { EXIT_INTERRUPTED = 130 }; /* as shells report an end by SIGINT */

/* SIGINT ends the program with EXIT_INTERRUPTED and everything closed, a second one at once. A handler that a script
 * installs (luv's new_signal) takes its place. */
void interrupt_open(struct script_vm *vm);
void interrupt_close(void);
/* True once SIGINT came. */
bool interrupt_pending(void);

/* Dies with the parent that asked for it in KVSERVER_PARENT_PID (lua/kvserver/process.lua does). */
void parent_follow(void);

#endif
