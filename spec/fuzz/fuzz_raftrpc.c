/* libFuzzer target of the two encodings of Raft RPC. The first byte says which encoding and which type of message. What
 * is accepted holds the rules of dto_check, and comes back the same when it is encoded and decoded again; in binary,
 * whose checksum is put right first, there is one text for each message. */
#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "raft/transporthttp/dto_binary.h"
#include "raft/transporthttp/dto_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TYPES_COUNT = RAFT_INSTALL_REPLY + 1, CHECKSUM_BYTES = 8 };

static void check_refusal(const struct error *err) {
  CHECK(err->text[0] != '\0');
}

static void try_binary(enum raft_message_type type, struct bytes input) {
  struct buffer body = {0};
  struct buffer again = {0};
  struct dto dto;
  struct error err = {""};
  buffer_append_bytes(&body, input);
  if (body.len >= CHECKSUM_BYTES) {
    uint64_t sum = hash128_of(bytes_make(body.data + CHECKSUM_BYTES, body.len - CHECKSUM_BYTES), 0).low;
    for (int i = 0; i < CHECKSUM_BYTES; i++)
      body.data[i] = (uint8_t)(sum >> (8 * i));
  }
  if (dto_binary_decode(buffer_view(&body), type, &dto, &err) == STATUS_OK) {
    CHECK(dto_check(&dto, &err) == STATUS_OK);
    dto_binary_encode(&dto, &again);
    CHECK(bytes_equal(buffer_view(&body), buffer_view(&again)));
  } else {
    check_refusal(&err);
  }
  buffer_deinit(&body);
  buffer_deinit(&again);
}

static void try_json(enum raft_message_type type, struct bytes input) {
  struct dto_json_scratch scratch;
  struct buffer first = {0};
  struct buffer second = {0};
  struct dto dto;
  struct error err = {""};
  dto_json_scratch_init(&scratch);
  if (dto_json_decode(input, type, &scratch, &dto, &err) != STATUS_OK) {
    check_refusal(&err);
  } else {
    CHECK(dto_check(&dto, &err) == STATUS_OK);
    CHECK(dto_json_encode(&dto, &first) == STATUS_OK);
    CHECK(dto_json_decode(buffer_view(&first), type, &scratch, &dto, &err) == STATUS_OK);
    CHECK(dto_json_encode(&dto, &second) == STATUS_OK);
    CHECK(bytes_equal(buffer_view(&first), buffer_view(&second)));
  }
  dto_json_scratch_deinit(&scratch);
  buffer_deinit(&first);
  buffer_deinit(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  enum raft_message_type type = (enum raft_message_type)(data[0] / 2 % TYPES_COUNT);
  struct bytes input = bytes_make(data + 1, size - 1);
  if (data[0] % 2 == 0) {
    try_binary(type, input);
  } else {
    try_json(type, input);
  }
  return 0;
}
