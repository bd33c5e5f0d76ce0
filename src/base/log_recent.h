/* The most recent lines of the log, in memory: the newest LOG_RECENT_LINES_MAX, in at most LOG_RECENT_BYTES_MAX. For
 * base/log.c only, under its lock. */
#ifndef KV_BASE_LOG_RECENT_H
#define KV_BASE_LOG_RECENT_H

#include "base/buffer.h"
#include "base/log.h"

/* Each of its lines ends with a newline and has no other; at most LOG_RECENT_BYTES_MAX. */
void log_recent_keep(struct bytes line);
void log_recent_append_to(struct buffer *out);

#endif
