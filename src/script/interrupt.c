#include "script/interrupt.h"

#include "base/check.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <uv.h>

static volatile sig_atomic_t interrupts; /* SIGINTs so far */
static uv_async_t *wake_up;              /* makes a blocked loop look; NULL outside open and close */

static void on_sigint(int number) {
  (void)number;
  if (interrupts++ > 0) _exit(EXIT_INTERRUPTED);
  if (wake_up != NULL) uv_async_send(wake_up);
}

static void on_wake_up(uv_async_t *async) {
  script_request_exit(async->data, EXIT_INTERRUPTED);
}

void interrupt_open(struct script_vm *vm) {
  struct sigaction inherited;
  if (sigaction(SIGINT, NULL, &inherited) == 0 && inherited.sa_handler == SIG_IGN) return; /* as nohup wants it */
  wake_up = xmalloc(sizeof *wake_up);
  CHECK(uv_async_init(io_loop_uv(vm->loop), wake_up, on_wake_up) == 0);
  wake_up->data = vm;
  uv_unref((uv_handle_t *)wake_up);
  struct sigaction action = {.sa_handler = on_sigint, .sa_flags = SA_RESTART};
  sigemptyset(&action.sa_mask);
  CHECK(sigaction(SIGINT, &action, NULL) == 0);
}

static void free_handle(uv_handle_t *handle) {
  free(handle);
}

void interrupt_close(void) {
  if (wake_up == NULL) return;
  uv_async_t *async = wake_up;
  wake_up = NULL;
  uv_close((uv_handle_t *)async, free_handle);
}

bool interrupt_pending(void) {
  return interrupts > 0;
}

void parent_follow(void) {
  const char *wanted = getenv("KVSERVER_PARENT_PID");
  if (wanted == NULL) return;
  long parent = strtol(wanted, NULL, 10);
  unsetenv("KVSERVER_PARENT_PID"); /* it is about this process, not about its children */
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return;
  if (getppid() != parent) _exit(1); /* it died before the request */
}
