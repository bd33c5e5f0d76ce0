#include "io/unix_socket.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { SOCKET_MODE = 0600, REASON_CHARS = 128 };

static enum status failed(struct error *err, const char *path, int code) {
  char reason[REASON_CHARS];
  return error_set(err, STATUS_IO, "%s: %s", path, strerror_r(code, reason, sizeof reason));
}

static int open_socket(void) {
  return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* A socket to which nobody listens refuses; one whose owner is only busy does not. */
static bool is_stale(const struct sockaddr_un *address) {
  int fd = open_socket();
  if (fd < 0) return false;
  int result = connect(fd, (const struct sockaddr *)address, sizeof *address);
  bool refused = result != 0 && errno == ECONNREFUSED;
  close(fd);
  return refused;
}

static enum status remove_stale(const struct sockaddr_un *address, struct error *err) {
  const char *path = address->sun_path;
  struct stat about;
  if (lstat(path, &about) != 0) return failed(err, path, errno);
  if (!S_ISSOCK(about.st_mode)) return error_set(err, STATUS_IO, "%s: something that is no socket is there", path);
  if (!is_stale(address)) return error_set(err, STATUS_IO, "%s: another process listens there", path);
  return unlink(path) == 0 ? STATUS_OK : failed(err, path, errno);
}

/* Linux gives a socket's file the mode of the socket, less the umask: so there is no moment at which others could
 * connect, and the umask, which is the whole process's, stays as it is. */
static enum status bind_private(int fd, const struct sockaddr_un *address, struct error *err) {
  if (fchmod(fd, SOCKET_MODE) != 0) return failed(err, address->sun_path, errno);
  if (bind(fd, (const struct sockaddr *)address, sizeof *address) == 0) return STATUS_OK;
  if (errno != EADDRINUSE) return failed(err, address->sun_path, errno);
  enum status status = remove_stale(address, err);
  if (status != STATUS_OK) return status;
  if (bind(fd, (const struct sockaddr *)address, sizeof *address) == 0) return STATUS_OK;
  return failed(err, address->sun_path, errno);
}

enum status io_unix_bind(const char *path, int *out, struct error *err) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  _Static_assert(sizeof address.sun_path == IO_UNIX_PATH_BYTES_MAX + 1, "what is said of paths is the system's limit");
  size_t len = strlen(path);
  if (len > IO_UNIX_PATH_BYTES_MAX)
    return error_set(err, STATUS_TOO_LARGE, "%s: a socket's path has up to %d bytes", path, IO_UNIX_PATH_BYTES_MAX);
  memcpy(address.sun_path, path, len);
  int fd = open_socket();
  if (fd < 0) return failed(err, path, errno);
  enum status status = bind_private(fd, &address, err);
  if (status == STATUS_OK)
    *out = fd;
  else
    close(fd);
  return status;
}
