/* The terminal as it was found, whatever becomes of this process: restored at exit, and by the signals that end it. One
 * per process; the loop's thread. */
#ifndef KV_SCRIPT_TERMINAL_GUARD_H
#define KV_SCRIPT_TERMINAL_GUARD_H

/* Remembers how the terminal `fd` is set, once; takes the signals that would end the process, unless they are ignored;
 * they do afterwards what they did before. */
void terminal_guard_open(int fd);
/* From here on it is set otherwise, and `undo` (a constant) is to be written to it when the process ends. */
void terminal_guard_arm(const char *undo);
/* It is as it was. */
void terminal_guard_disarm(void);

#endif
