#include "script/terminal_guard.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static struct termios found;         /* before anybody changed it */
static int terminal_fd = -1;         /* -1: not open */
static const char *volatile to_undo; /* NULL: not armed */

static void restore(void) {
  const char *undo = to_undo;
  if (undo == NULL) return;
  to_undo = NULL;
  tcsetattr(terminal_fd, TCSADRAIN, &found);
  ssize_t written = write(STDOUT_FILENO, undo, strlen(undo));
  (void)written;
}

static const int numbers[] = {SIGTERM, SIGHUP, SIGQUIT, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};

enum { SIGNALS_COUNT = sizeof numbers / sizeof numbers[0] };

static struct sigaction before[SIGNALS_COUNT]; /* what each did before */

/* Then it does what it did before: mostly, it ends the process. */
static void on_signal(int number) {
  restore();
  for (size_t i = 0; i < SIGNALS_COUNT; i++)
    if (numbers[i] == number) sigaction(number, &before[i], NULL);
  raise(number);
}

static void take_signal(size_t i) {
  if (sigaction(numbers[i], NULL, &before[i]) != 0 || before[i].sa_handler == SIG_IGN) return;
  struct sigaction action = {.sa_handler = on_signal};
  sigemptyset(&action.sa_mask);
  sigaction(numbers[i], &action, NULL);
}

void terminal_guard_open(int fd) {
  if (terminal_fd >= 0 || tcgetattr(fd, &found) != 0) return;
  terminal_fd = fd;
  for (size_t i = 0; i < SIGNALS_COUNT; i++)
    take_signal(i);
  atexit(restore);
}

void terminal_guard_arm(const char *undo) {
  if (terminal_fd >= 0) to_undo = undo;
}

void terminal_guard_disarm(void) {
  to_undo = NULL;
}
