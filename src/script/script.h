/* The embedded Lua VM: one per process, on one loop that luv and the node share. */
#ifndef KV_SCRIPT_SCRIPT_H
#define KV_SCRIPT_SCRIPT_H

/* Runs the command line in the VM (kvserver.cli's main, as a task), closes everything and returns the exit code. A
 * script that calls os.exit ends the process from inside. */
int script_main(int argc, char **argv);

#endif
