/* A line is formatted on the stack and leaves in one write. How that never blocks: a socket is sent to with
 * MSG_DONTWAIT; anything else is written to only when poll says that it is writable, and then no more than PIPE_BUF
 * bytes, which a pipe that is writable takes whole. (O_NONBLOCK would do too, but it belongs to the open file, which
 * other processes share.) A lock keeps our own threads from filling the pipe between another's poll and write; it is
 * held for no longer than that. */
#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log_recent.h"
#include "base/utf8.h"

enum {
  LOG_LINE_BYTES_MAX = 4096,  /* with the newline; PIPE_BUF on Linux */
  LOG_TAIL_BYTES = 64,        /* kept free for what must still fit: a count of dropped lines, the closing brace */
  LOG_VALUE_BYTES_MAX = 1024, /* longer values are cut */
};
_Static_assert(LOG_LINE_BYTES_MAX <= PIPE_BUF, "a line must fit into a pipe that is writable");

static _Atomic(enum log_level) level_min = LOG_LEVEL_INFO;
static _Atomic(enum log_format) line_format = LOG_FORMAT_LOGFMT;
static atomic_uint_fast64_t lines_dropped; /* since the last line that got through */
static atomic_uint_fast64_t dropped_total;
static pthread_mutex_t output_lock = PTHREAD_MUTEX_INITIALIZER; /* of stderr, and of the recent lines */

struct line {
  char data[LOG_LINE_BYTES_MAX];
  size_t len;
  size_t len_max; /* appending beyond sets `full` instead */
  bool full;
  bool json;
};

static void put(struct line *line, const char *data, size_t len) {
  if (len > line->len_max - line->len) {
    line->full = true;
    return;
  }
  memcpy(line->data + line->len, data, len);
  line->len += len;
}

static void put_text(struct line *line, const char *text) {
  put(line, text, strlen(text));
}

static void put_u64(struct line *line, uint64_t number) {
  char text[24];
  int len = snprintf(text, sizeof text, "%llu", (unsigned long long)number);
  put(line, text, (size_t)len);
}

/* One byte inside quotes; bytes >= 0x80 are known to be parts of valid UTF-8. */
static void put_escaped(struct line *line, char c) {
  static const char digits[] = "0123456789abcdef";
  switch (c) {
  case '"':
    put_text(line, "\\\"");
    return;
  case '\\':
    put_text(line, "\\\\");
    return;
  case '\n':
    put_text(line, "\\n");
    return;
  case '\r':
    put_text(line, "\\r");
    return;
  case '\t':
    put_text(line, "\\t");
    return;
  default:
    break;
  }
  if ((unsigned char)c >= 0x20 && c != 0x7F) {
    put(line, &c, 1);
    return;
  }
  char escape[] = {'\\', 'u', '0', '0', digits[(unsigned char)c >> 4], digits[c & 15]};
  put(line, escape, sizeof escape);
}

/* The same quoted form serves both formats. Bytes that are not UTF-8 become U+FFFD, so that a reader never chokes. */
static void put_quoted(struct line *line, struct bytes text) {
  put_text(line, "\"");
  while (text.len > 0) {
    size_t valid = utf8_valid_prefix(text);
    for (size_t i = 0; i < valid; i++)
      put_escaped(line, (char)text.data[i]);
    if (valid < text.len) {
      put_text(line, "\xEF\xBF\xBD");
      valid++;
    }
    text.data += valid;
    text.len -= valid;
  }
  put_text(line, "\"");
}

static bool is_bare(struct bytes text) {
  for (size_t i = 0; i < text.len; i++) {
    uint8_t c = text.data[i];
    if (c <= ' ' || c >= 0x7F || c == '"' || c == '=' || c == '\\') return false;
  }
  return text.len > 0;
}

/* Cuts at the end of a character. */
static struct bytes cut(struct bytes text) {
  if (text.len <= LOG_VALUE_BYTES_MAX) return text;
  text.len = LOG_VALUE_BYTES_MAX;
  while (text.len > 0 && (text.data[text.len] & 0xC0) == 0x80)
    text.len--;
  return text;
}

static void put_value(struct line *line, const char *value) {
  struct bytes text = cut(bytes_of(value));
  if (!line->json && is_bare(text)) {
    put(line, (const char *)text.data, text.len);
  } else {
    put_quoted(line, text);
  }
}

static void put_key(struct line *line, const char *key) {
  if (line->json) {
    put_text(line, line->len == 0 ? "{\"" : ",\"");
    put_text(line, key);
    put_text(line, "\":");
    return;
  }
  if (line->len > 0) put_text(line, " ");
  put_text(line, key);
  put_text(line, "=");
}

/* A field that does not fit is left out as a whole, so that the line stays well-formed. */
static void put_field(struct line *line, const struct log_field *field) {
  size_t before = line->len;
  put_key(line, field->key);
  if (field->text != NULL) {
    put_value(line, field->text);
  } else {
    put_u64(line, field->number);
  }
  if (line->full) line->len = before;
}

static void put_time(struct line *line) {
  struct timespec now;
  struct tm utc;
  char text[40];
  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &utc);
  size_t len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  snprintf(text + len, sizeof text - len, ".%03dZ", (int)(now.tv_nsec / 1000000));
  put_field(line, &LOG_STR("ts", text));
}

static const char *level_name(enum log_level level) {
  static const char *const names[] = {"debug", "info", "warn", "error"};
  return names[level];
}

static void finish(struct line *line, uint64_t dropped) {
  line->len_max = LOG_LINE_BYTES_MAX;
  line->full = false;
  if (dropped > 0) put_field(line, &LOG_U64("dropped_lines", dropped));
  put_text(line, line->json ? "}\n" : "\n");
}

static bool write_now(const struct line *line) {
  ssize_t written = send(STDERR_FILENO, line->data, line->len, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (written < 0 && errno == ENOTSOCK) {
    struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&ready, 1, 0) != 1 || (ready.revents & POLLOUT) == 0) return false;
    written = write(STDERR_FILENO, line->data, line->len);
  }
  return written == (ssize_t)line->len;
}

void log_configure(enum log_level level, enum log_format format) {
  atomic_store(&level_min, level);
  atomic_store(&line_format, format);
}

/* `before`: those that this line would have told of. */
static void count_dropped(uint64_t before) {
  atomic_fetch_add(&lines_dropped, before + 1);
  atomic_fetch_add(&dropped_total, 1);
}

uint64_t log_dropped_total(void) {
  return atomic_load(&dropped_total);
}

void log_append_recent(struct buffer *out) {
  pthread_mutex_lock(&output_lock);
  log_recent_append_to(out);
  pthread_mutex_unlock(&output_lock);
}

void log_write(enum log_level level, const char *module, const char *event, const struct log_field *fields,
               size_t fields_count) {
  if (level < atomic_load_explicit(&level_min, memory_order_relaxed)) return;
  int errno_before = errno; /* whoever logs a failure may still want to look at it */
  struct line line;
  line.len = 0;
  line.len_max = LOG_LINE_BYTES_MAX - LOG_TAIL_BYTES;
  line.full = false;
  line.json = atomic_load_explicit(&line_format, memory_order_relaxed) == LOG_FORMAT_JSON;
  put_time(&line);
  put_field(&line, &LOG_STR("level", level_name(level)));
  put_field(&line, &LOG_STR("module", module));
  put_field(&line, &LOG_STR("event", event));
  for (size_t i = 0; i < fields_count; i++) {
    line.full = false;
    put_field(&line, &fields[i]);
  }
  uint64_t dropped = atomic_exchange(&lines_dropped, 0);
  finish(&line, dropped);
  pthread_mutex_lock(&output_lock);
  log_recent_keep(bytes_make(line.data, line.len));
  bool through = write_now(&line);
  pthread_mutex_unlock(&output_lock);
  if (!through) count_dropped(dropped);
  errno = errno_before;
}
