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

static void on_signal(int number) {
  restore();
  raise(number); /* its handler is the default again */
}

static void take_signal(int number) {
  struct sigaction inherited;
  if (sigaction(number, NULL, &inherited) != 0 || inherited.sa_handler != SIG_DFL) return;
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
  sigemptyset(&action.sa_mask);
  sigaction(number, &action, NULL);
}

void terminal_guard_open(int fd) {
  static const int numbers[] = {SIGTERM, SIGHUP, SIGQUIT, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
  if (terminal_fd >= 0 || tcgetattr(fd, &found) != 0) return;
  terminal_fd = fd;
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
    take_signal(numbers[i]);
  atexit(restore);
}

void terminal_guard_arm(const char *undo) {
  if (terminal_fd >= 0) to_undo = undo;
}

void terminal_guard_disarm(void) {
  to_undo = NULL;
}
