/* Request bodies: JSON objects whose fields a table describes. One decoder for all routes; a route says which fields it
 * knows and which it needs. The loop's thread. */
#ifndef KV_HTTPAPI_BODY_H
#define KV_HTTPAPI_BODY_H

#include "base/buffer.h"
#include "types/command.h"
#include "types/config.h"

enum body_field {
  BODY_CLIENT_ID,
  BODY_SEQ,
  BODY_KEY,
  BODY_VALUE,
  BODY_VALUE_BASE64,
  BODY_EXPECTED,
  BODY_EXPECTED_BASE64,
  BODY_KEYS,
  BODY_ENTRIES,
  BODY_FIELDS_COUNT,
  BODY_UNKNOWN = BODY_FIELDS_COUNT
};
#define BODY_BIT(field) (1u << (field))
enum { FIELDS_CLIENT = BODY_BIT(BODY_CLIENT_ID) | BODY_BIT(BODY_SEQ) };

/* A decoded body. Views point into `text` (strings, unescaped or base64-decoded), until the next decoding. */
struct body {
  unsigned present; /* BODY_BIT of each field that came */
  struct bytes client_id;
  uint64_t seq;
  struct bytes key;
  struct bytes value;    /* of value or value_base64 */
  struct bytes expected; /* of expected or expected_base64 */
  struct buffer items;   /* of keys or entries, as command_append_item makes them */
  uint32_t items_count;
  struct buffer text;
};

void body_init(struct body *body);
void body_deinit(struct body *body);
/* As if an empty object had been decoded. */
void body_clear(struct body *body);
/* Gives memory back, content is lost. */
void body_shrink(struct body *body, size_t keep_bytes);

struct fault;
/* Decodes `json` into `body`. Fields outside `known` are ignored with all they hold. `required` fields must be there;
 * the twin (value_base64 for value) does as well. False with a fault: bad_request, or too_large for a key or value over
 * the limits of `config`. */
bool api_decode_json(struct body *body, struct bytes json, unsigned known, unsigned required,
                     const struct config *config, struct fault *fault);

#endif
