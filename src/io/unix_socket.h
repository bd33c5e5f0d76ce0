/* Unix sockets. One to listen on is made safely: for its owner alone from the first moment, in the place of one that a
 * dead process left behind, never in the place of anything else. One datagram goes to a socket of somebody else's. Any
 * thread. */
#ifndef KV_IO_UNIX_SOCKET_H
#define KV_IO_UNIX_SOCKET_H

#include "base/bytes.h"
#include "base/status.h"

enum { IO_UNIX_PATH_BYTES_MAX = 107 }; /* of a path, without NUL: what the system's address has room for */

/* Makes the socket at `path` with mode 0600, bound but not listening; *out is owned: close it, and unlink the path.
 * STATUS_TOO_LARGE: the path is longer than IO_UNIX_PATH_BYTES_MAX; STATUS_IO: something else is there, or somebody
 * listens there, or the system refused; `err` says which. */
enum status io_unix_bind(const char *path, int *out, struct error *err);

/* Sends `text` as one datagram to the socket at `address`: an absolute path, or "@" and a name that no file has
 * (unix(7), "abstract"). Waits for room in its queue, for at most a second. STATUS_INVALID: the address is neither;
 * STATUS_TOO_LARGE: it is longer than IO_UNIX_PATH_BYTES_MAX; STATUS_IO: nobody is there, or the system refused; `err`
 * says which. Borrows. */
enum status io_unix_send(const char *address, struct bytes text, struct error *err);

#endif
