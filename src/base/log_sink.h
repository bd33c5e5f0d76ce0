/* Where lines of the log go: stderr, without ever waiting for it. For base/log.c only, under its lock. */
#ifndef KV_BASE_LOG_SINK_H
#define KV_BASE_LOG_SINK_H

#include "base/bytes.h"

#include <stdbool.h>

enum { LOG_LINE_BYTES_MAX = 4096 }; /* with the newline; what a pipe takes as a whole, or not at all */

/* False: stderr does not take it now, or only a part of it. */
bool log_sink_write(struct bytes line);

#endif
