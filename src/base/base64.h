/* Base64 (RFC 4648 section 4): standard alphabet, padded, canonical (unused bits zero). */
#ifndef KV_BASE_BASE64_H
#define KV_BASE_BASE64_H

#include "base/buffer.h"
#include "base/status.h"

void base64_encode(struct bytes view, struct buffer *out);
/* Appends the decoded bytes to `out`. STATUS_INVALID (and `out` as before) for a wrong character, length, padding or
 * unused bits that are not zero. */
enum status base64_decode(struct bytes text, struct buffer *out);

#endif
