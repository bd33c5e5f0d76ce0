/* Checks on the program itself: they stay on in release, print what failed, and abort.
 * Never use them on input bytes, peers or disks: those get a status. Any thread. */
#ifndef KV_BASE_CHECK_H
#define KV_BASE_CHECK_H

#include <stddef.h>

_Noreturn void check_failed(const char *file, int line, const char *what);

#define CHECK(condition)                                                                                               \
  do {                                                                                                                 \
    if (__builtin_expect(!(condition), 0)) check_failed(__FILE__, __LINE__, #condition);                               \
  } while (0)

/* Allocation that cannot fail: running out of memory is terminal for the process (it is never
 * decided by input: all input sizes are limited at admission). Returns owned; free with free(). */
void *xmalloc(size_t bytes);
void *xcalloc(size_t count, size_t bytes);
void *xrealloc(void *memory, size_t bytes);

#endif
