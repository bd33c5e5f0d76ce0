#include "base/log_line.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/utf8.h"

enum {
  LOG_TAIL_BYTES = 64,        /* kept free for what must still fit: a count of dropped lines, the closing brace */
  LOG_VALUE_BYTES_MAX = 1024, /* longer values are cut */
};

static void put(struct log_line *line, const char *data, size_t len) {
  if (len > line->len_max - line->len) {
    line->full = true;
    return;
  }
  memcpy(line->data + line->len, data, len);
  line->len += len;
}

static void put_text(struct log_line *line, const char *text) {
  put(line, text, strlen(text));
}

static void put_u64(struct log_line *line, uint64_t number) {
  char text[24];
  int len = snprintf(text, sizeof text, "%llu", (unsigned long long)number);
  put(line, text, (size_t)len);
}

/* One byte inside quotes; bytes >= 0x80 are known to be parts of valid UTF-8. */
static void put_escaped(struct log_line *line, char c) {
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
static void put_quoted(struct log_line *line, struct bytes text) {
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

static void put_value(struct log_line *line, const char *value) {
  struct bytes text = cut(bytes_of(value));
  if (!line->json && is_bare(text)) {
    put(line, (const char *)text.data, text.len);
  } else {
    put_quoted(line, text);
  }
}

static void put_key(struct log_line *line, const char *key) {
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

void log_line_add(struct log_line *line, const struct log_field *field) {
  line->full = false;
  size_t before = line->len;
  put_key(line, field->key);
  if (field->text != NULL) {
    put_value(line, field->text);
  } else {
    put_u64(line, field->number);
  }
  if (line->full) line->len = before;
}

static void put_time(struct log_line *line) {
  struct timespec now;
  struct tm utc;
  char text[40];
  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &utc);
  size_t len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  snprintf(text + len, sizeof text - len, ".%03dZ", (int)(now.tv_nsec / 1000000));
  log_line_add(line, &LOG_STR("ts", text));
}

static const char *level_name(enum log_level level) {
  static const char *const names[] = {"debug", "info", "warn", "error"};
  return names[level];
}

void log_line_begin(struct log_line *line, bool json, enum log_level level, const char *module, const char *event) {
  line->len = 0;
  line->len_max = LOG_LINE_BYTES_MAX - LOG_TAIL_BYTES;
  line->json = json;
  put_time(line);
  log_line_add(line, &LOG_STR("level", level_name(level)));
  log_line_add(line, &LOG_STR("module", module));
  log_line_add(line, &LOG_STR("event", event));
}

void log_line_end(struct log_line *line, uint64_t dropped) {
  line->len_max = LOG_LINE_BYTES_MAX;
  if (dropped > 0) log_line_add(line, &LOG_U64("dropped_lines", dropped));
  put_text(line, line->json ? "}\n" : "\n");
}
