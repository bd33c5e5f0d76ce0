/* UTF-8 (RFC 3629): no surrogates, no overlong forms, nothing above U+10FFFF. NUL is legal here. */
#ifndef KV_BASE_UTF8_H
#define KV_BASE_UTF8_H

#include "base/bytes.h"

bool utf8_valid(struct bytes view);

#endif
