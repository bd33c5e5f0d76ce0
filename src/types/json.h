/* JSON, strict (RFC 8259), behind a header that hides the library.
 *
 * Reading is streaming: events over a complete text. Beyond the RFC, refused are: invalid UTF-8, lone surrogates,
 * duplicate fields of one object, nesting deeper than JSON_DEPTH_MAX, anything behind the value. Numbers arrive as
 * their text, so that integers stay exact. Writing appends to a buffer. Any thread, no state between calls. */
#ifndef KV_TYPES_JSON_H
#define KV_TYPES_JSON_H

#include "base/buffer.h"
#include "base/status.h"

/* Each callback returns NULL to go on, or a static or context-owned message that ends reading with STATUS_INVALID and
 * stands in the error as it is. Views are borrowed until the callback returns. NULL callbacks are skipped. */
struct json_events {
  const char *(*null)(void *context);
  const char *(*boolean)(void *context, bool value);
  const char *(*number)(void *context, struct bytes text);
  const char *(*string)(void *context, struct bytes value); /* unescaped, UTF-8, may hold NUL */
  const char *(*object_begin)(void *context);
  const char *(*field)(void *context, struct bytes name); /* unescaped; its value follows */
  const char *(*object_end)(void *context);
  const char *(*array_begin)(void *context);
  const char *(*array_end)(void *context);
};

/* STATUS_INVALID with a message ("line 1, column 14: ..." or the callback's own). Events up to the fault have happened
 * by then; a duplicate field may be reported only when its object ends. Lines and columns count from 1, columns count
 * characters. */
enum status json_read(struct bytes text, const struct json_events *events, void *context, struct error *err);

/* The exact unsigned integer in `text`: digits only (no sign, fraction, exponent, leading zero); false when it is not
 * one or exceeds `max`. */
bool json_number_u64(struct bytes text, uint64_t max, uint64_t *out);

/* Appends a quoted string. Only `"`, `\` and control characters are escaped (\b \t \n \f \r, else \u00xx in lower
 * case): the canonical form of CONTRACT.md section 3. `value` must be valid UTF-8. */
void json_write_string(struct buffer *out, struct bytes value);
/* Appends `"name":"value"` or, when the value is not UTF-8, `"name_base64":"..."`. `name` needs no escapes. */
void json_write_bytes_field(struct buffer *out, const char *name, struct bytes value);

#endif
