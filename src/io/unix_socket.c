#include "io/unix_socket.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { SOCKET_MODE = 0600, REASON_CHARS = 128, SEND_SECONDS = 1 };

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

static enum status send_datagram(int fd, const char *name, const struct sockaddr_un *address, socklen_t address_bytes,
                                 struct bytes text, struct error *err) {
  struct timeval patience = {.tv_sec = SEND_SECONDS};
  if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0) return failed(err, name, errno);
  ssize_t sent = sendto(fd, text.data, text.len, MSG_NOSIGNAL, (const struct sockaddr *)address, address_bytes);
  return sent < 0 ? failed(err, name, errno) : STATUS_OK;
}

enum status io_unix_send(const char *address, struct bytes text, struct error *err) {
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  size_t len = strlen(address);
  if (address[0] != '/' && address[0] != '@')
    return error_set(err, STATUS_INVALID, "%s: expected an absolute path, or @ and a name", address);
  if (len > IO_UNIX_PATH_BYTES_MAX)
    return error_set(err, STATUS_TOO_LARGE, "%s: a socket's address has up to %d bytes", address,
                     IO_UNIX_PATH_BYTES_MAX);
  memcpy(to.sun_path, address, len);
  if (address[0] == '@') to.sun_path[0] = '\0'; /* all bytes of such a name count, so its length has to be exact */
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return failed(err, address, errno);
  socklen_t to_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
  enum status status = send_datagram(fd, address, &to, to_bytes, text, err);
  close(fd);
  return status;
}
