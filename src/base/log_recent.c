/* A ring of bytes; lines are told apart by their newlines. */
#include "base/log_recent.h"

#include "base/check.h"

#include <string.h>

static struct {
  char bytes[LOG_RECENT_BYTES_MAX];
  size_t first; /* of the oldest line */
  size_t len;   /* of all lines, from there on and around the end */
  size_t lines_count;
} ring;

static void drop_oldest(void) {
  bool ended = false;
  while (!ended) {
    ended = ring.bytes[ring.first] == '\n';
    ring.first = (ring.first + 1) % LOG_RECENT_BYTES_MAX;
    ring.len--;
  }
  ring.lines_count--;
}

void log_recent_keep(struct bytes line) {
  CHECK(line.len > 0 && line.len <= LOG_RECENT_BYTES_MAX);
  while (ring.lines_count == LOG_RECENT_LINES_MAX || ring.len + line.len > LOG_RECENT_BYTES_MAX)
    drop_oldest();
  size_t at = (ring.first + ring.len) % LOG_RECENT_BYTES_MAX;
  size_t before_end = LOG_RECENT_BYTES_MAX - at;
  size_t first_part = line.len < before_end ? line.len : before_end;
  memcpy(ring.bytes + at, line.data, first_part);
  memcpy(ring.bytes, line.data + first_part, line.len - first_part);
  ring.len += line.len;
  ring.lines_count++;
}

void log_recent_append_to(struct buffer *out) {
  size_t before_end = LOG_RECENT_BYTES_MAX - ring.first;
  size_t first_part = ring.len < before_end ? ring.len : before_end;
  buffer_append(out, ring.bytes + ring.first, first_part);
  buffer_append(out, ring.bytes, ring.len - first_part);
}
