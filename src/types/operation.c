#include "types/operation.h"

#include <inttypes.h>

void op_id_write(const struct op_id *id, struct buffer *out) {
  buffer_append_format(out, "%s-%016" PRIx64 "-%" PRIu64, id->node, id->incarnation, id->number);
}

static bool is_digit(uint8_t c) {
  return c >= '0' && c <= '9';
}

/* Takes what stands behind the last '-' off `text`; false when there is none. */
static bool take_last(struct bytes *text, struct bytes *last) {
  size_t at = text->len;
  while (at > 0 && text->data[at - 1] != '-')
    at--;
  if (at == 0) return false;
  *last = bytes_make(text->data + at, text->len - at);
  text->len = at - 1;
  return true;
}

static bool parse_number(struct bytes text, uint64_t *out) {
  uint64_t number = 0;
  if (text.len == 0 || text.len > OP_NUMBER_CHARS_MAX || text.data[0] == '0') return false;
  for (size_t i = 0; i < text.len; i++) {
    if (!is_digit(text.data[i])) return false;
    uint64_t digit = (uint64_t)(text.data[i] - '0');
    if (number > (UINT64_MAX - digit) / 10) return false;
    number = number * 10 + digit;
  }
  *out = number;
  return true;
}

static bool parse_incarnation(struct bytes text, uint64_t *out) {
  uint64_t incarnation = 0;
  if (text.len != OP_INCARNATION_CHARS) return false;
  for (size_t i = 0; i < text.len; i++) {
    uint8_t c = text.data[i];
    if (!is_digit(c) && (c < 'a' || c > 'f')) return false;
    incarnation = incarnation << 4 | (uint64_t)(is_digit(c) ? c - '0' : c - 'a' + 10);
  }
  *out = incarnation;
  return true;
}

static bool is_node(struct bytes text) {
  if (text.len == 0 || text.len > NODE_ID_BYTES_MAX) return false;
  for (size_t i = 0; i < text.len; i++) {
    uint8_t c = text.data[i];
    bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!is_letter && !is_digit(c) && c != '.' && c != '_' && c != '-') return false;
  }
  return true;
}

bool op_id_parse(struct bytes text, struct op_id *out) {
  struct op_id id = {.number = 0};
  struct bytes number, incarnation;
  if (!take_last(&text, &number) || !take_last(&text, &incarnation) || !parse_number(number, &id.number) ||
      !parse_incarnation(incarnation, &id.incarnation) || !is_node(text))
    return false;
  memcpy(id.node, text.data, text.len);
  *out = id;
  return true;
}
