/* Which bytes may stand where in a head or URL. Pure, any thread. */
#ifndef KV_HTTP_BYTE_CLASS_H
#define KV_HTTP_BYTE_CLASS_H

#include "base/bytes.h"

enum http_byte_class {
  HTTP_BYTE_TOKEN = 1,       /* RFC 9110 5.6.2: letters, digits and !#$%&'*+-.^_`|~ */
  HTTP_BYTE_TEXT = 2,        /* RFC 9110 5.5: visible characters, blanks, and anything above ASCII */
  HTTP_BYTE_TARGET = 4,      /* visible but '#' (a fragment is never sent), and anything above ASCII: curl sends raw
                              * UTF-8 when its user typed it */
  HTTP_BYTE_HOST = 8,        /* RFC 3986 3.2.2: a name, address or "[address]", and perhaps a port */
  HTTP_BYTE_UNRESERVED = 16, /* RFC 3986 2.3 */
};

extern const uint8_t http_byte_classes[256];

static inline bool http_byte_is(uint8_t byte, enum http_byte_class class) {
  return (http_byte_classes[byte] & class) != 0;
}

/* The first byte at or behind `at` that is not of the class; `end` when there is none. */
static inline const uint8_t *http_skip_bytes(const uint8_t *at, const uint8_t *end, enum http_byte_class class) {
  while (at < end && http_byte_is(*at, class))
    at++;
  return at;
}

/* The value of a hexadecimal digit; -1 for any other byte. */
static inline int http_hex_digit(uint8_t byte) {
  if (byte >= '0' && byte <= '9') return byte - '0';
  uint8_t letter = byte | 0x20;
  return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

#endif
