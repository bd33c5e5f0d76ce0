#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

_Noreturn void check_failed(const char *file, int line, const char *what) {
  char text[512];
  int len = snprintf(text, sizeof text, "%s:%d: check failed: %s\n", file, line, what);
  size_t size = len < 0 ? 0 : (size_t)len < sizeof text ? (size_t)len : sizeof text - 1;
  /* Not stdio: its locks and buffers may be what is broken. Whether the text arrives changes nothing: abort follows. */
  ssize_t written = write(STDERR_FILENO, text, size);
  (void)written;
  abort();
}

void *xmalloc(size_t bytes) {
  void *memory = malloc(bytes > 0 ? bytes : 1);
  CHECK(memory != NULL);
  return memory;
}

void *xcalloc(size_t count, size_t bytes) {
  void *memory = calloc(count > 0 ? count : 1, bytes > 0 ? bytes : 1);
  CHECK(memory != NULL);
  return memory;
}

void *xrealloc(void *memory, size_t bytes) {
  void *moved = realloc(memory, bytes > 0 ? bytes : 1);
  CHECK(moved != NULL);
  return moved;
}
