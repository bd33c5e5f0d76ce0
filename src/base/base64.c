#include "base/base64.h"

static const char alphabet[64] = {'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', 'P',
                                  'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'a', 'b', 'c', 'd', 'e', 'f',
                                  'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v',
                                  'w', 'x', 'y', 'z', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '+', '/'};

static uint8_t letter(uint32_t group, unsigned shift) {
  return (uint8_t)alphabet[group >> shift & 63];
}

void base64_encode(struct bytes view, struct buffer *out) {
  size_t groups = view.len / 3 + (view.len % 3 != 0);
  uint8_t *to = buffer_reserve(out, groups * 4);
  out->len += groups * 4;
  size_t at = 0;
  for (; view.len - at >= 3; at += 3, to += 4) {
    uint32_t group = (uint32_t)view.data[at] << 16 | (uint32_t)view.data[at + 1] << 8 | view.data[at + 2];
    to[0] = letter(group, 18);
    to[1] = letter(group, 12);
    to[2] = letter(group, 6);
    to[3] = letter(group, 0);
  }
  if (at == view.len) return;
  bool two = view.len - at == 2;
  uint32_t group = (uint32_t)view.data[at] << 16 | (two ? (uint32_t)view.data[at + 1] << 8 : 0);
  to[0] = letter(group, 18);
  to[1] = letter(group, 12);
  to[2] = two ? letter(group, 6) : '=';
  to[3] = '=';
}

/* The six bits of a letter, or NOT_A_LETTER, which has bits that no letter has. */
enum { NOT_A_LETTER = 0x80 };

static uint32_t six_bits(uint8_t c) {
  if (c >= 'A' && c <= 'Z') return (uint32_t)(c - 'A');
  if (c >= 'a' && c <= 'z') return (uint32_t)(c - 'a' + 26);
  if (c >= '0' && c <= '9') return (uint32_t)(c - '0' + 52);
  if (c == '+') return 62;
  return c == '/' ? 63 : NOT_A_LETTER;
}

/* Decodes the group of four letters at `from`, of which `padding` (0 to 2) are `=`, into 3 - padding bytes. */
static bool decode_group(const uint8_t *from, unsigned padding, uint8_t *to) {
  uint32_t a = six_bits(from[0]);
  uint32_t b = six_bits(from[1]);
  uint32_t c = padding < 2 ? six_bits(from[2]) : 0;
  uint32_t d = padding < 1 ? six_bits(from[3]) : 0;
  if (((a | b | c | d) & NOT_A_LETTER) != 0) return false;
  uint32_t group = a << 18 | b << 12 | c << 6 | d;
  if ((group & ((UINT32_C(1) << (8 * padding)) - 1)) != 0) return false; /* unused bits: a second spelling */
  to[0] = (uint8_t)(group >> 16);
  if (padding < 2) to[1] = (uint8_t)(group >> 8);
  if (padding < 1) to[2] = (uint8_t)group;
  return true;
}

enum status base64_decode(struct bytes text, struct buffer *out) {
  if (text.len % 4 != 0) return STATUS_INVALID;
  if (text.len == 0) return STATUS_OK;
  const uint8_t *end = text.data + text.len;
  unsigned padding = end[-1] != '=' ? 0 : end[-2] != '=' ? 1 : 2;
  uint8_t *to = buffer_reserve(out, text.len / 4 * 3);
  for (const uint8_t *from = text.data; from < end; from += 4, to += 3) {
    if (!decode_group(from, from + 4 == end ? padding : 0, to)) return STATUS_INVALID;
  }
  out->len += text.len / 4 * 3 - padding;
  return STATUS_OK;
}
