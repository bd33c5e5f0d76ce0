/* What a write without a result tells its client: now, when it is a synchronous one, or when it is asked for. */
#include "distributedkv/distributedkv.h"

static struct apply_result failure(enum err_code code, const char *text) {
  return (struct apply_result){.err_code = code, .err_msg = text};
}

struct apply_result dkv_write_failure(enum status status, bool deduped) {
  switch (status) {
  case STATUS_NOT_LEADER:
    return failure(ERR_NOT_LEADER, "this node does not lead; send the request to the leader");
  case STATUS_NO_LEADER:
    return failure(ERR_NO_LEADER, "no leader is known; nothing was done, try again");
  case STATUS_TIMEOUT:
  case STATUS_CLOSED:
    return failure(ERR_TIMEOUT, deduped ? "the outcome is unknown; a retry with the same client_id and seq is safe"
                                        : "the outcome is unknown; a retry may apply it twice");
  case STATUS_INVALID:
    return failure(ERR_BAD_REQUEST, "the command is not valid");
  case STATUS_TOO_LARGE:
    return failure(ERR_TOO_LARGE, "the command is larger than the log can take; nothing was done");
  case STATUS_OVERLOADED:
    return failure(ERR_OVERLOADED, "the queue of requests is full; nothing was done, try again");
  case STATUS_DISK_FULL:
    return failure(ERR_DISK_FULL, "no reserved log space is left; nothing was done, reads go on");
  case STATUS_OK:
  case STATUS_NOT_FOUND:
  case STATUS_CORRUPT:
  case STATUS_IO:
    break;
  }
  return failure(ERR_INTERNAL, status_name(status));
}
