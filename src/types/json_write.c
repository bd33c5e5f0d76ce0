#include "types/json.h"

#include "base/base64.h"
#include "base/utf8.h"

enum { ESCAPE_CHARS_MAX = 6 };

#define EACH_BYTE(b) (UINT64_C(0x0101010101010101) * (b))

/* True when one of the 8 bytes may have to be escaped. Subtracting n from every byte borrows from its top bit when the
 * byte is below n; a borrow may also run on into the next byte, so this may say true too often, never too seldom. */
static bool escapes8(const uint8_t *at) {
  uint64_t word;
  memcpy(&word, at, sizeof word);
  uint64_t quote = word ^ EACH_BYTE('"');
  uint64_t backslash = word ^ EACH_BYTE('\\');
  uint64_t below = ((word - EACH_BYTE(0x20)) & ~word) | ((quote - EACH_BYTE(1)) & ~quote) |
                   ((backslash - EACH_BYTE(1)) & ~backslash);
  return (below & EACH_BYTE(0x80)) != 0;
}

static bool must_escape(uint8_t c) {
  return c < 0x20 || c == '"' || c == '\\';
}

/* Bytes at the front that stand for themselves. */
static size_t plain_len(const uint8_t *data, size_t len) {
  size_t at = 0;
  for (; len - at >= 8; at += 8) {
    if (escapes8(data + at)) break;
  }
  while (at < len && !must_escape(data[at]))
    at++;
  return at;
}

static void append_escape(struct buffer *out, uint8_t c) {
  static const char digits[] = "0123456789abcdef";
  static const char letters[0x20] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
  char letter = c < 0x20 ? letters[c] : (char)c;
  if (letter != 0) {
    buffer_append(out, (char[]){'\\', letter}, 2);
  } else {
    buffer_append(out, (char[]){'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]}, ESCAPE_CHARS_MAX);
  }
}

bool json_number_u64(struct bytes text, uint64_t max, uint64_t *out) {
  if (text.len == 0 || (text.len > 1 && text.data[0] == '0')) return false;
  uint64_t value = 0;
  for (size_t i = 0; i < text.len; i++) {
    if (text.data[i] < '0' || text.data[i] > '9') return false;
    uint64_t digit = (uint64_t)(text.data[i] - '0');
    if (value > max / 10 || digit > max - value * 10) return false;
    value = value * 10 + digit;
  }
  *out = value;
  return true;
}

void json_write_string(struct buffer *out, struct bytes value) {
  buffer_reserve(out, value.len + 2);
  buffer_append_byte(out, '"');
  while (value.len > 0) {
    size_t plain = plain_len(value.data, value.len);
    buffer_append(out, value.data, plain);
    if (plain < value.len) append_escape(out, value.data[plain++]);
    value.data += plain;
    value.len -= plain;
  }
  buffer_append_byte(out, '"');
}

void json_write_bytes_field(struct buffer *out, const char *name, struct bytes value) {
  buffer_append_byte(out, '"');
  buffer_append_text(out, name);
  if (utf8_valid(value)) {
    buffer_append_text(out, "\":");
    json_write_string(out, value);
    return;
  }
  buffer_append_text(out, "_base64\":\"");
  base64_encode(value, out);
  buffer_append_byte(out, '"');
}
