/*
 * ThreadSanitizer keeps a stack of its own of the functions that run, and cuts it back in longjmp. Debian's liblua is
 * fortified: it unwinds by __longjmp_chk, which the sanitizer does not know. Each error and each yield would then leave
 * the frames that it jumped over on that stack for good, and every allocation a longer trace to keep: gigabytes within
 * minutes. So in that flavour the call goes where the sanitizer sees it.
 */
#include <setjmp.h>

#ifdef __SANITIZE_THREAD__
/* The name is the C library's. */
// NOLINTNEXTLINE(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)
_Noreturn void __longjmp_chk(jmp_buf where, int value);

_Noreturn void __longjmp_chk(jmp_buf where, int value) {
  longjmp(where, value);
}
#else
/* A file of C declares something. */
typedef int nothing_to_do_without_thread_sanitizer;
#endif
