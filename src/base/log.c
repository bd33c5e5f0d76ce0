/* The way of a line: its level, the limit of its event, formatting on the stack, and under the lock, which is held for
 * no longer than that, into memory and to stderr. */
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "base/log_limit.h"
#include "base/log_line.h"
#include "base/log_recent.h"
#include "base/log_sink.h"

static _Atomic(enum log_level) level_min = LOG_LEVEL_INFO;
static _Atomic(enum log_format) line_format = LOG_FORMAT_LOGFMT;
static atomic_uint_fast64_t dropped_total;
static atomic_uint_fast64_t suppressed_total;

/* Guards all below, and the files of the log beside this one. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t dropped; /* since the last event that got through, and said so */

static uint64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool is_json(void) {
  return atomic_load_explicit(&line_format, memory_order_relaxed) == LOG_FORMAT_JSON;
}

/* ---- under the lock ---- */

static bool emit(struct bytes line) {
  log_recent_keep(line);
  if (log_sink_write(line)) return true;
  dropped++;
  atomic_fetch_add(&dropped_total, 1);
  return false;
}

/* An event says how many lines before it were dropped. */
static void end_and_emit(struct log_line *line) {
  log_line_end(line, dropped);
  if (emit(bytes_make(line->data, line->len))) dropped = 0;
}

static void tell_suppressed(const struct log_suppressed *what) {
  if (what->count == 0) return;
  struct log_line line;
  log_line_begin(&line, is_json(), what->level, what->module, what->event);
  log_line_add(&line, &LOG_U64("suppressed_lines", what->count));
  end_and_emit(&line);
}

static bool pass(enum log_level level, const char *module, const char *event) {
  uint64_t now = now_ms();
  struct log_suppressed what;
  while (log_limit_take(now, &what))
    tell_suppressed(&what);
  bool passes = log_limit_pass(level, module, event, now, &what);
  tell_suppressed(&what);
  if (!passes) atomic_fetch_add(&suppressed_total, 1);
  return passes;
}

/* ---- any thread ---- */

void log_configure(enum log_level level, enum log_format format) {
  atomic_store(&level_min, level);
  atomic_store(&line_format, format);
}

uint64_t log_dropped_total(void) {
  return atomic_load(&dropped_total);
}

uint64_t log_suppressed_total(void) {
  return atomic_load(&suppressed_total);
}

void log_append_recent(struct buffer *out) {
  pthread_mutex_lock(&lock);
  log_recent_append_to(out);
  pthread_mutex_unlock(&lock);
}

void log_write(enum log_level level, const char *module, const char *event, const struct log_field *fields,
               size_t fields_count) {
  if (level < atomic_load_explicit(&level_min, memory_order_relaxed)) return;
  int errno_before = errno; /* whoever logs a failure may still want to look at it */
  pthread_mutex_lock(&lock);
  bool passes = pass(level, module, event);
  pthread_mutex_unlock(&lock);
  if (passes) {
    struct log_line line;
    log_line_begin(&line, is_json(), level, module, event);
    for (size_t i = 0; i < fields_count; i++)
      log_line_add(&line, &fields[i]);
    pthread_mutex_lock(&lock);
    end_and_emit(&line);
    pthread_mutex_unlock(&lock);
  }
  errno = errno_before;
}

/* One of its lines, without its newline; of one that is too long, the start. */
static void say_line(struct bytes text) {
  char line[LOG_LINE_BYTES_MAX];
  size_t len = text.len < sizeof line - 1 ? text.len : sizeof line - 1;
  memcpy(line, text.data, len);
  line[len] = '\n';
  emit(bytes_make(line, len + 1));
}

void log_say(struct bytes text) {
  pthread_mutex_lock(&lock);
  for (size_t start = 0, end; start < text.len; start = end + 1) {
    const uint8_t *newline = memchr(text.data + start, '\n', text.len - start);
    end = newline != NULL ? (size_t)(newline - text.data) : text.len;
    say_line(bytes_make(text.data + start, end - start));
  }
  pthread_mutex_unlock(&lock);
}
