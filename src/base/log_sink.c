/* How a write never blocks. A socket is sent to with MSG_DONTWAIT. O_NONBLOCK would do for all else, but it belongs to
 * the open file, which other processes share, and they do not expect it: so a pipe or a terminal is opened once more,
 * which makes an open file of our own. (To ask poll first is not enough there: another process that shares the pipe may
 * fill it in between.) A pipe takes a line as a whole or not at all; of a terminal's torn line the rest is dropped, and
 * the next one starts anew. Where that cannot be opened, and for anything else (files do not make us wait): poll. */
#include "base/log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(LOG_LINE_BYTES_MAX <= PIPE_BUF, "a pipe must take a line as a whole");

/* What stderr was when it was opened once more. */
static struct {
  bool open;
  int fd;
  dev_t device;
  ino_t inode;
  bool torn; /* the last line went out in part */
} own = {.fd = -1};

static bool send_now(struct bytes line) {
  return send(STDERR_FILENO, line.data, line.len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)line.len;
}

static bool write_polled(struct bytes line) {
  struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
  if (poll(&ready, 1, 0) != 1 || (ready.revents & POLLOUT) == 0) return false;
  return write(STDERR_FILENO, line.data, line.len) == (ssize_t)line.len;
}

/* Stderr may have become another file since. */
static bool open_own(const struct stat *about) {
  if (own.open && own.device == about->st_dev && own.inode == about->st_ino) return true;
  if (own.open) close(own.fd);
  own.fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  own.open = own.fd >= 0;
  own.device = about->st_dev;
  own.inode = about->st_ino;
  own.torn = false;
  return own.open;
}

static bool write_own(struct bytes line) {
  if (own.torn && write(own.fd, "\n", 1) != 1) return false;
  own.torn = false;
  ssize_t written = write(own.fd, line.data, line.len);
  own.torn = written > 0 && (size_t)written < line.len;
  return written == (ssize_t)line.len;
}

bool log_sink_write(struct bytes line) {
  struct stat about;
  if (fstat(STDERR_FILENO, &about) != 0) return false;
  if (S_ISSOCK(about.st_mode)) return send_now(line);
  bool may_block = S_ISFIFO(about.st_mode) || (S_ISCHR(about.st_mode) && isatty(STDERR_FILENO));
  return may_block && open_own(&about) ? write_own(line) : write_polled(line);
}
