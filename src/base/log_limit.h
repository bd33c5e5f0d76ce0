/* So that a storm of one event neither hides the others nor costs much: of each (module, event), a window of time lets
 * LOG_BURST_LINES through and counts the rest; when it is over, the count is told. For base/log.c only, under its
 * lock. */
#ifndef KV_BASE_LOG_LIMIT_H
#define KV_BASE_LOG_LIMIT_H

#include "base/log.h"

#include <stdbool.h>

enum {
  LOG_LIMIT_EVENTS = 256,  /* that are counted; of two that meet in one place, the newer one is */
  LOG_LIMIT_NAME_MAX = 48, /* longer names are cut */
};

/* What was left out of one event in a window that is over. */
struct log_suppressed {
  char module[LOG_LIMIT_NAME_MAX];
  char event[LOG_LIMIT_NAME_MAX];
  enum log_level level; /* of its last line */
  uint64_t count;
};

/* Whether a line of this event may be written now (monotonic). Where it takes the place of another event of which lines
 * were left out, those are in *evicted, else its count is 0. */
bool log_limit_pass(enum log_level level, const char *module, const char *event, uint64_t now_ms,
                    struct log_suppressed *evicted);
/* Windows that are over, of which lines were left out, one by one; false: no more. */
bool log_limit_take(uint64_t now_ms, struct log_suppressed *out);

#endif
