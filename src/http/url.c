#include "http/byte_class.h"
#include "http/message.h"

bool http_percent_decode(struct bytes raw, struct buffer *out) {
  size_t before = out->len;
  uint8_t *to = buffer_reserve(out, raw.len + 1); /* decoding never grows; never asks for nothing */
  for (size_t i = 0; i < raw.len; i++) {
    if (raw.data[i] != '%') {
      *to++ = raw.data[i];
      continue;
    }
    int high = raw.len - i > 2 ? http_hex_digit(raw.data[i + 1]) : -1;
    int low = high < 0 ? -1 : http_hex_digit(raw.data[i + 2]);
    if (low < 0) return false;
    *to++ = (uint8_t)(high << 4 | low);
    i += 2;
  }
  out->len = before + (size_t)(to - (out->data + before));
  return true;
}

void http_percent_encode(struct bytes text, struct buffer *out) {
  static const char digits[] = "0123456789ABCDEF";
  uint8_t *to = buffer_reserve(out, text.len * 3 + 1);
  for (size_t i = 0; i < text.len; i++) {
    uint8_t byte = text.data[i];
    if (http_byte_is(byte, HTTP_BYTE_UNRESERVED)) {
      *to++ = byte;
      continue;
    }
    *to++ = '%';
    *to++ = (uint8_t)digits[byte >> 4];
    *to++ = (uint8_t)digits[byte & 15];
  }
  out->len = (size_t)(to - out->data);
}

bool http_query_find(struct bytes query, const char *name, struct bytes *raw) {
  size_t name_len = strlen(name);
  size_t at = 0;
  while (at < query.len) {
    const uint8_t *from = query.data + at;
    const uint8_t *ampersand = memchr(from, '&', query.len - at);
    size_t len = ampersand == NULL ? query.len - at : (size_t)(ampersand - from);
    const uint8_t *equals = memchr(from, '=', len);
    size_t key_len = equals == NULL ? len : (size_t)(equals - from);
    if (key_len == name_len && memcmp(from, name, name_len) == 0) {
      *raw = equals == NULL ? bytes_make(from + len, 0) : bytes_make(equals + 1, len - key_len - 1);
      return true;
    }
    at += len + 1;
  }
  return false;
}
