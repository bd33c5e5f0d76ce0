#include "kvsm/kvsm_line.h"

#include "base/base64.h"
#include "base/utf8.h"

enum { CONTROL_END = 0x20 }; /* bytes below are escaped */

bool line_take_text(struct line *line, const char *text) {
  size_t len = strlen(text);
  if ((size_t)(line->end - line->at) < len || memcmp(line->at, text, len) != 0) return false;
  line->at += len;
  return true;
}

bool line_at_end(const struct line *line) {
  return line->at == line->end;
}

bool line_take_number(struct line *line, uint64_t max, uint64_t *out) {
  const uint8_t *first = line->at;
  uint64_t number = 0;
  for (; line->at < line->end && *line->at >= '0' && *line->at <= '9'; line->at++) {
    uint64_t digit = *line->at - (uint64_t)'0';
    if (digit > max || number > (max - digit) / 10) return false;
    number = number * 10 + digit;
  }
  size_t digits = (size_t)(line->at - first);
  if (digits == 0 || (digits > 1 && *first == '0')) return false;
  *out = number;
  return true;
}

/* The high bit of each byte that is zero, and perhaps of some above one that is. */
static uint64_t zero_bytes(uint64_t word) {
  return (word - 0x0101010101010101u) & ~word & 0x8080808080808080u;
}

/* The first byte that ends a run of plain ones: a quote, a backslash, a control character, the end. */
static const uint8_t *skip_plain(const uint8_t *at, const uint8_t *end) {
  for (; end - at >= 8; at += 8) {
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    uint64_t quotes = zero_bytes(word ^ 0x2222222222222222u);
    uint64_t backslashes = zero_bytes(word ^ 0x5c5c5c5c5c5c5c5cu);
    uint64_t controls = zero_bytes(word & 0xe0e0e0e0e0e0e0e0u);
    if ((quotes | backslashes | controls) != 0) break;
  }
  while (at < end && *at != '"' && *at != '\\' && *at >= CONTROL_END)
    at++;
  return at;
}

/* The control character with a short escape of its own, else 0. */
static uint8_t short_escape(uint8_t letter) {
  switch (letter) {
  case 'b':
    return '\b';
  case 't':
    return '\t';
  case 'n':
    return '\n';
  case 'f':
    return '\f';
  case 'r':
    return '\r';
  case '"':
  case '\\':
    return letter;
  default:
    return 0;
  }
}

static bool has_short_escape(uint8_t control) {
  return control >= '\b' && control <= '\r' && control != '\v';
}

/* The two digits of \u00xx, in lower case. */
static bool take_control(struct line *line, uint8_t *out) {
  if (!line_take_text(line, "00") || line->end - line->at < 2) return false;
  uint8_t high = line->at[0];
  uint8_t low = line->at[1];
  bool decimal = low >= '0' && low <= '9';
  if ((high != '0' && high != '1') || (!decimal && (low < 'a' || low > 'f'))) return false;
  line->at += 2;
  *out = (uint8_t)((high - '0') * 16 + (decimal ? low - '0' : low - 'a' + 10));
  return !has_short_escape(*out);
}

/* What follows a backslash. */
static bool take_escape(struct line *line, struct buffer *out) {
  if (line->at == line->end) return false;
  uint8_t letter = *line->at++;
  uint8_t byte = short_escape(letter);
  if (byte == 0 && (letter != 'u' || !take_control(line, &byte))) return false;
  buffer_append_byte(out, byte);
  return true;
}

/* The rest of a string whose plain beginning is `head`, which a backslash ended. */
static bool take_escaped(struct line *line, struct bytes head, struct buffer *scratch) {
  buffer_clear(scratch);
  buffer_append_bytes(scratch, head);
  while (line->at < line->end && *line->at == '\\') {
    line->at++;
    if (!take_escape(line, scratch)) return false;
    const uint8_t *plain = line->at;
    line->at = skip_plain(plain, line->end);
    buffer_append(scratch, plain, (size_t)(line->at - plain));
  }
  return line_take_text(line, "\"");
}

bool line_take_string(struct line *line, struct buffer *scratch, struct bytes *out) {
  if (!line_take_text(line, "\"")) return false;
  const uint8_t *first = line->at;
  line->at = skip_plain(first, line->end);
  struct bytes text = bytes_make(first, (size_t)(line->at - first));
  if (!line_take_text(line, "\"")) {
    if (!take_escaped(line, text, scratch)) return false;
    text = buffer_view(scratch);
  }
  if (!utf8_valid(text)) return false;
  *out = text;
  return true;
}

bool line_take_base64(struct line *line, struct buffer *scratch, struct bytes *out) {
  if (!line_take_text(line, "\"")) return false;
  const uint8_t *first = line->at;
  line->at = skip_plain(first, line->end);
  struct bytes text = bytes_make(first, (size_t)(line->at - first));
  if (!line_take_text(line, "\"")) return false;
  buffer_clear(scratch);
  if (base64_decode(text, scratch) != STATUS_OK || utf8_valid(buffer_view(scratch))) return false;
  *out = buffer_view(scratch);
  return true;
}
