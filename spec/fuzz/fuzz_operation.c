/* libFuzzer target of the ids of asynchronous writes. Checked on every input:
 *
 *   - what is read as an id is written as the same bytes: an operation has one spelling;
 *   - what is refused leaves the result alone;
 *   - an id that is made of the input is read as what it was made of, whatever stands in the node's name. */
#include <stdlib.h>

#include "base/check.h"
#include "types/operation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same(const struct op_id *a, const struct op_id *b) {
  return strcmp(a->node, b->node) == 0 && a->incarnation == b->incarnation && a->number == b->number;
}

static void check_text(struct bytes text) {
  const struct op_id untouched = {.node = "untouched", .incarnation = 1, .number = 2};
  struct op_id id = untouched;
  struct buffer again;
  if (!op_id_parse(text, &id)) {
    CHECK(same(&id, &untouched));
    return;
  }
  buffer_init(&again);
  op_id_write(&id, &again);
  CHECK(again.len <= OP_ID_BYTES_MAX && bytes_equal(buffer_view(&again), text));
  buffer_deinit(&again);
}

/* The name of a node from any bytes. */
static void name_of(struct bytes in, char out[NODE_ID_BYTES_MAX + 1]) {
  static const char legal[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-----";
  size_t len = in.len == 0 ? 0 : 1 + (in.len - 1) % NODE_ID_BYTES_MAX;
  for (size_t i = 0; i < len; i++)
    out[i] = legal[in.data[i] % (sizeof legal - 1)];
  if (len == 0) out[len++] = 'n';
  out[len] = '\0';
}

static void check_made(struct bytes in) {
  struct op_id made = {.number = 1}, read;
  struct buffer text;
  if (in.len < sizeof made.incarnation + sizeof made.number) return;
  memcpy(&made.incarnation, in.data, sizeof made.incarnation);
  memcpy(&made.number, in.data + sizeof made.incarnation, sizeof made.number);
  if (made.number == 0) made.number = 1;
  name_of(bytes_make(in.data + 16, in.len - 16), made.node);
  buffer_init(&text);
  op_id_write(&made, &text);
  CHECK(op_id_parse(buffer_view(&text), &read) && same(&made, &read));
  buffer_deinit(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  /* A copy of exactly these bytes, so that the sanitizer sees a step beyond them. */
  uint8_t *copy = xmalloc(size + 1);
  if (size > 0) memcpy(copy, data, size);
  uint8_t *exact = xrealloc(copy, size > 0 ? size : 1);
  check_text(bytes_make(exact, size));
  check_made(bytes_make(exact, size));
  free(exact);
  return 0;
}
