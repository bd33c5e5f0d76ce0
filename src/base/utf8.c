#include "base/utf8.h"

/* True when all 8 bytes are ASCII. */
static bool ascii8(const uint8_t *at) {
  uint64_t word;
  memcpy(&word, at, sizeof word);
  return (word & UINT64_C(0x8080808080808080)) == 0;
}

static bool continues(uint8_t byte) {
  return (byte & 0xC0) == 0x80;
}

/* Bytes of the character at `at` (at most `left`), which does not begin with an ASCII byte; 0 when it is malformed.
 * RFC 3629, section 4: the first byte narrows the range of the second, which excludes overlong forms, surrogates and
 * what lies above U+10FFFF. */
static size_t multibyte_len(const uint8_t *at, size_t left) {
  uint8_t first = at[0];
  if (first < 0xC2 || first > 0xF4 || left < 2) return 0;
  if (first < 0xE0) return continues(at[1]) ? 2 : 0;
  uint8_t second_min = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
  uint8_t second_max = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
  if (at[1] < second_min || at[1] > second_max || left < 3 || !continues(at[2])) return 0;
  if (first < 0xF0) return 3;
  return left >= 4 && continues(at[3]) ? 4 : 0;
}

size_t utf8_valid_prefix(struct bytes view) {
  size_t at = 0;
  while (at < view.len) {
    if (view.len - at >= 8 && ascii8(view.data + at)) {
      at += 8;
      continue;
    }
    if (view.data[at] < 0x80) {
      at++;
      continue;
    }
    size_t len = multibyte_len(view.data + at, view.len - at);
    if (len == 0) return at;
    at += len;
  }
  return at;
}

bool utf8_valid(struct bytes view) {
  return utf8_valid_prefix(view) == view.len;
}
