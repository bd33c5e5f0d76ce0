/* One place per hash of the names; a collision only makes two events count less. */
#include "base/log_limit.h"

#include "base/hash.h"

#include <stdio.h>
#include <string.h>

struct window {
  char module[LOG_LIMIT_NAME_MAX]; /* "": unused */
  char event[LOG_LIMIT_NAME_MAX];
  enum log_level level;
  uint64_t end_ms;
  uint64_t lines;
  uint64_t suppressed;
};

static struct window windows[LOG_LIMIT_EVENTS];
static size_t suppressing; /* windows of which lines were left out */

static struct window *window_of(const char *module, const char *event) {
  uint64_t hash = hash64_of(bytes_of(event), hash64_of(bytes_of(module), 0));
  return &windows[hash % LOG_LIMIT_EVENTS];
}

static bool same_name(const char *kept, const char *name) {
  return strncmp(kept, name, LOG_LIMIT_NAME_MAX - 1) == 0;
}

static void take(struct window *window, struct log_suppressed *out) {
  memcpy(out->module, window->module, sizeof out->module);
  memcpy(out->event, window->event, sizeof out->event);
  out->level = window->level;
  out->count = window->suppressed;
  if (window->suppressed > 0) suppressing--;
  window->suppressed = 0;
}

static void begin(struct window *window, const char *module, const char *event, uint64_t now_ms) {
  *window = (struct window){.end_ms = now_ms + LOG_WINDOW_MS};
  snprintf(window->module, sizeof window->module, "%s", module);
  snprintf(window->event, sizeof window->event, "%s", event);
}

bool log_limit_pass(enum log_level level, const char *module, const char *event, uint64_t now_ms,
                    struct log_suppressed *evicted) {
  struct window *window = window_of(module, event);
  evicted->count = 0;
  bool same = same_name(window->module, module) && same_name(window->event, event);
  if (!same || now_ms >= window->end_ms) {
    take(window, evicted);
    begin(window, module, event, now_ms);
  }
  window->level = level;
  if (window->lines++ < LOG_BURST_LINES) return true;
  if (window->suppressed++ == 0) suppressing++;
  return false;
}

bool log_limit_take(uint64_t now_ms, struct log_suppressed *out) {
  for (size_t i = 0; suppressing > 0 && i < LOG_LIMIT_EVENTS; i++) {
    if (windows[i].suppressed == 0 || now_ms < windows[i].end_ms) continue;
    take(&windows[i], out);
    return true;
  }
  return false;
}
