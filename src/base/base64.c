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

/* Per letter, its six bits and a bit that no other byte has. */
enum { IS_LETTER = 64 };

static const uint8_t letters[256] = {
    ['A'] = 64,  ['B'] = 65,  ['C'] = 66,  ['D'] = 67,  ['E'] = 68,  ['F'] = 69,  ['G'] = 70,  ['H'] = 71,
    ['I'] = 72,  ['J'] = 73,  ['K'] = 74,  ['L'] = 75,  ['M'] = 76,  ['N'] = 77,  ['O'] = 78,  ['P'] = 79,
    ['Q'] = 80,  ['R'] = 81,  ['S'] = 82,  ['T'] = 83,  ['U'] = 84,  ['V'] = 85,  ['W'] = 86,  ['X'] = 87,
    ['Y'] = 88,  ['Z'] = 89,  ['a'] = 90,  ['b'] = 91,  ['c'] = 92,  ['d'] = 93,  ['e'] = 94,  ['f'] = 95,
    ['g'] = 96,  ['h'] = 97,  ['i'] = 98,  ['j'] = 99,  ['k'] = 100, ['l'] = 101, ['m'] = 102, ['n'] = 103,
    ['o'] = 104, ['p'] = 105, ['q'] = 106, ['r'] = 107, ['s'] = 108, ['t'] = 109, ['u'] = 110, ['v'] = 111,
    ['w'] = 112, ['x'] = 113, ['y'] = 114, ['z'] = 115, ['0'] = 116, ['1'] = 117, ['2'] = 118, ['3'] = 119,
    ['4'] = 120, ['5'] = 121, ['6'] = 122, ['7'] = 123, ['8'] = 124, ['9'] = 125, ['+'] = 126, ['/'] = 127,
};

/* Decodes the group of four letters at `from`, of which `padding` (0 to 2) are `=`, into 3 - padding bytes. */
static bool decode_group(const uint8_t *from, unsigned padding, uint8_t *to) {
  uint32_t a = letters[from[0]];
  uint32_t b = letters[from[1]];
  uint32_t c = padding < 2 ? letters[from[2]] : IS_LETTER;
  uint32_t d = padding < 1 ? letters[from[3]] : IS_LETTER;
  if ((a & b & c & d & IS_LETTER) == 0) return false;
  uint32_t group = (a ^ IS_LETTER) << 18 | (b ^ IS_LETTER) << 12 | (c ^ IS_LETTER) << 6 | (d ^ IS_LETTER);
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
