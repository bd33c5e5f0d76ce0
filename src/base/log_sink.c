/* How a write never blocks. A socket is sent to with MSG_DONTWAIT. O_NONBLOCK would do for all else, but it belongs to
 * the open file, which other processes share, and they do not expect it: so a pipe or a terminal is opened once more,
 * which makes an open file of our own. (To ask poll first is not enough there: another process that shares the pipe may
 * fill it in between.) Where that cannot be opened, and for anything else (files do not make us wait): poll.
 *
 * A pipe takes a line as a whole or not at all. Of one that is torn elsewhere, by a terminal or a full disk, the rest
 * is dropped, and the next one starts anew. */
#include "base/log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(LOG_LINE_BYTES_MAX <= PIPE_BUF, "a pipe must take a line as a whole");

/* What stderr was at the last line: it may become another file. */
static struct {
  bool known;
  dev_t device;
  ino_t inode;
  int fd;    /* of the open file of our own; -1: none */
  bool torn; /* the last line went out in part */
} sink = {.fd = -1};

static void look_at(const struct stat *about) {
  if (sink.known && sink.device == about->st_dev && sink.inode == about->st_ino) return;
  if (sink.fd >= 0) close(sink.fd);
  sink.known = true;
  sink.device = about->st_dev;
  sink.inode = about->st_ino;
  sink.fd = -1;
  sink.torn = false;
}

static bool open_own(mode_t mode) {
  bool may_block = S_ISFIFO(mode) || (S_ISCHR(mode) && isatty(STDERR_FILENO));
  if (may_block && sink.fd < 0) sink.fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  return sink.fd >= 0;
}

static ssize_t write_polled(struct bytes data) {
  struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
  if (poll(&ready, 1, 0) != 1 || (ready.revents & POLLOUT) == 0) return 0;
  return write(STDERR_FILENO, data.data, data.len);
}

/* Returns how much of it was taken, or -1. */
static ssize_t put(mode_t mode, struct bytes data) {
  if (S_ISSOCK(mode)) return send(STDERR_FILENO, data.data, data.len, MSG_DONTWAIT | MSG_NOSIGNAL);
  return open_own(mode) ? write(sink.fd, data.data, data.len) : write_polled(data);
}

bool log_sink_write(struct bytes line) {
  struct stat about;
  if (fstat(STDERR_FILENO, &about) != 0) return false;
  look_at(&about);
  if (sink.torn && put(about.st_mode, bytes_of("\n")) != 1) return false;
  ssize_t taken = put(about.st_mode, line);
  sink.torn = taken > 0 && (size_t)taken < line.len;
  return taken == (ssize_t)line.len;
}
