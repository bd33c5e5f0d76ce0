/* For ThreadSanitizer alone. libuv closes descriptors by syscall(SYS_close), which the sanitizer does not see, and it
 * knows openat as little: a number that one thread closed and another opened again is then a data race to it. With this
 * in the way it sees the close. */
#include "base/check.h"

#ifdef __SANITIZE_THREAD__
#include <dlfcn.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

long syscall(long number, ...) {
  long args[6];
  va_list list;
  va_start(list, number);
  for (size_t i = 0; i < 6; i++)
    args[i] = va_arg(list, long);
  va_end(list);
  if (number == SYS_close) return close((int)args[0]);
  long (*real)(long, ...);
  *(void **)&real = dlsym(RTLD_NEXT, "syscall");
  CHECK(real != NULL);
  return real(number, args[0], args[1], args[2], args[3], args[4], args[5]);
}
#endif
