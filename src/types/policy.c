#include "types/policy.h"

const char *read_policy_name(enum read_policy policy) {
  return policy == READ_POLICY_STALE ? "stale" : "readindex";
}

const char *write_mode_name(enum write_mode mode) {
  return mode == WRITE_MODE_SYNC ? "sync" : "async";
}

bool read_policy_parse(struct bytes text, enum read_policy *out) {
  for (enum read_policy policy = READ_POLICY_STALE; policy <= READ_POLICY_READINDEX; policy++) {
    if (bytes_equal(text, bytes_of(read_policy_name(policy)))) {
      *out = policy;
      return true;
    }
  }
  return false;
}

bool write_mode_parse(struct bytes text, enum write_mode *out) {
  for (enum write_mode mode = WRITE_MODE_SYNC; mode <= WRITE_MODE_ASYNC; mode++) {
    if (bytes_equal(text, bytes_of(write_mode_name(mode)))) {
      *out = mode;
      return true;
    }
  }
  return false;
}
