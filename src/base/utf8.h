/* UTF-8 (RFC 3629): no surrogates, no overlong forms, nothing above U+10FFFF. NUL is legal here. Pure, any thread. */
#ifndef KV_BASE_UTF8_H
#define KV_BASE_UTF8_H

#include "base/bytes.h"

bool utf8_valid(struct bytes view);
/* Bytes of the longest prefix that is valid: where a text goes wrong. */
size_t utf8_valid_prefix(struct bytes view);

#endif
