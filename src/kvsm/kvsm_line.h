/* Reads one line of a snapshot: JSON, but only in its canonical form, so that every state has one text. Private to the
 * restore. A reader that returned false stands anywhere; nothing is read beyond `end`. Pure. */
#ifndef KV_KVSM_KVSM_LINE_H
#define KV_KVSM_KVSM_LINE_H

#include "base/buffer.h"

struct line {
  const uint8_t *at;
  const uint8_t *end; /* the newline is not part of it */
};

/* Exactly this text. Without it the line does not move. */
bool line_take_text(struct line *line, const char *text);
bool line_at_end(const struct line *line);
/* Digits without a leading zero, at most `max`. */
bool line_take_number(struct line *line, uint64_t max, uint64_t *out);
/* A quoted string of valid UTF-8 in which exactly `"`, `\` and control characters are escaped, in the one form that
 * json_write_string gives them. `out` is a view of the line, or of `scratch` when there were escapes. */
bool line_take_string(struct line *line, struct buffer *scratch, struct bytes *out);
/* A quoted base64 string of bytes that are not UTF-8 (else they have no business in base64), into `scratch`. */
bool line_take_base64(struct line *line, struct buffer *scratch, struct bytes *out);

#endif
