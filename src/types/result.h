/* What applying a command gave, and the error codes that clients see (CONTRACT.md section 2).
 * Plain values; messages are static strings, so that equal commands give equal replies on every node. */
#ifndef KV_TYPES_RESULT_H
#define KV_TYPES_RESULT_H

#include <stdbool.h>
#include <stdint.h>

enum err_code {
  ERR_NONE = 0,
  ERR_BAD_REQUEST,
  ERR_CAS_FAILED,
  ERR_NOT_FOUND,
  ERR_METHOD_NOT_ALLOWED,
  ERR_NOT_LEADER,
  ERR_NOT_OWNER,
  ERR_NO_LEADER,
  ERR_NOT_READY,
  ERR_REQUEST_TIMEOUT,
  ERR_TOO_LARGE,
  ERR_OVERLOADED,
  ERR_TIMEOUT,
  ERR_DISK_FULL,
  ERR_INTERNAL
};

/* "bad_request", ...; "" for ERR_NONE. Static. */
const char *err_code_name(enum err_code code);
/* The inverse; false when no code has that name. */
bool err_code_parse(const char *name, enum err_code *out);

enum replay {
  REPLAY_NONE = 0, /* the command was applied */
  REPLAY_SAME,     /* the client's last seq again: its stored reply */
  REPLAY_OLDER     /* a smaller seq: the stored reply, which says nothing about that older request */
};

struct apply_result {
  bool ok;
  bool has_deleted; /* delete and mdelete: `deleted` is part of the reply */
  uint64_t deleted; /* keys that existed and are gone */
  enum err_code err_code;
  const char *err_msg; /* static, "" when ok */
  enum replay replay;
};

#endif
