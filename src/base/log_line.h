/* One line of the log, as logfmt or JSON, in the caller's memory. For base/log.c only. */
#ifndef KV_BASE_LOG_LINE_H
#define KV_BASE_LOG_LINE_H

#include "base/log.h"
#include "base/log_sink.h"

struct log_line {
  char data[LOG_LINE_BYTES_MAX];
  size_t len;
  size_t len_max; /* appending beyond sets `full` instead */
  bool full;
  bool json;
};

/* With the time, now. */
void log_line_begin(struct log_line *line, bool json, enum log_level level, const char *module, const char *event);
/* A field that does not fit is left out as a whole, so that the line stays well-formed. */
void log_line_add(struct log_line *line, const struct log_field *field);
/* `dropped`: lines before this one that stderr did not take; with that count, if there is one, the line always fits. */
void log_line_end(struct log_line *line, uint64_t dropped);

#endif
