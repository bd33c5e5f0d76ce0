/* One log per process: a line per event on stderr, as logfmt or JSON. It never blocks the caller: what stderr does not
 * take at once (a full pipe) is dropped and counted, and the count is written when it takes lines again. The most
 * recent lines stay in memory, those that were dropped, too. Of one event, LOG_BURST_LINES are written within
 * LOG_WINDOW_MS and the rest is left out; how many that were, a line of the same event says later. Any thread.
 *
 *   LOG_INFO("server", "ready", LOG_STR("listen", text), LOG_U64("port", port));
 */
#ifndef KV_BASE_LOG_H
#define KV_BASE_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct buffer;

enum {
  LOG_RECENT_LINES_MAX = 1000,
  LOG_RECENT_BYTES_MAX = 1 << 18,
  LOG_BURST_LINES = 100,
  LOG_WINDOW_MS = 10000,
};

enum log_level {
  LOG_LEVEL_DEBUG,
  LOG_LEVEL_INFO,
  LOG_LEVEL_WARN,
  LOG_LEVEL_ERROR,
  LOG_LEVEL_NONE /* for log_configure: not a line */
};
enum log_format { LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON };

struct log_field {
  const char *key;  /* static, [a-z_]+ */
  const char *text; /* a C string, or NULL when the value is a number */
  uint64_t number;
};
#define LOG_STR(k, v) ((struct log_field){.key = (k), .text = (v)})
#define LOG_U64(k, v) ((struct log_field){.key = (k), .number = (uint64_t)(v)})

void log_configure(enum log_level level, enum log_format format);
/* Use the macros. `fields` is borrowed. */
void log_write(enum log_level level, const char *module, const char *event, const struct log_field *fields,
               size_t fields_count);

/* Appends the most recent lines, oldest first, each with its newline. */
void log_append_recent(struct buffer *out);
/* Lines that stderr did not take, and lines that were left out of a burst, since the process started. */
uint64_t log_dropped_total(void);
uint64_t log_suppressed_total(void);
/* Words for people, not an event: written as they are, line by line (each cut at 4 KiB), whatever the level is; as with
 * events, what stderr does not take at once is dropped. Borrows. */
void log_say(struct bytes text);

#define LOG_AT(level, module, event, ...)                                                                              \
  log_write((level), (module), (event), (struct log_field[]){__VA_ARGS__},                                             \
            sizeof((struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))
#define LOG_DEBUG(module, event, ...) LOG_AT(LOG_LEVEL_DEBUG, module, event, __VA_ARGS__)
#define LOG_INFO(module, event, ...)  LOG_AT(LOG_LEVEL_INFO, module, event, __VA_ARGS__)
#define LOG_WARN(module, event, ...)  LOG_AT(LOG_LEVEL_WARN, module, event, __VA_ARGS__)
#define LOG_ERROR(module, event, ...) LOG_AT(LOG_LEVEL_ERROR, module, event, __VA_ARGS__)

#endif
