/* A Unix socket to listen on, made safely: for its owner alone from the first moment, in the place of one that a dead
 * process left behind, never in the place of anything else. Any thread. */
#ifndef KV_IO_UNIX_SOCKET_H
#define KV_IO_UNIX_SOCKET_H

#include "base/status.h"

enum { IO_UNIX_PATH_BYTES_MAX = 107 }; /* of a path, without NUL: what the system's address has room for */

/* Makes the socket at `path` with mode 0600, bound but not listening; *out is owned: close it, and unlink the path.
 * STATUS_TOO_LARGE: the path is longer than IO_UNIX_PATH_BYTES_MAX; STATUS_IO: something else is there, or somebody
 * listens there, or the system refused; `err` says which. */
enum status io_unix_bind(const char *path, int *out, struct error *err);

#endif
