#include "types/result.h"

#include <stddef.h>
#include <string.h>

static const char *const names[] = {
    [ERR_NONE] = "",
    [ERR_BAD_REQUEST] = "bad_request",
    [ERR_CAS_FAILED] = "cas_failed",
    [ERR_NOT_FOUND] = "not_found",
    [ERR_METHOD_NOT_ALLOWED] = "method_not_allowed",
    [ERR_NOT_LEADER] = "not_leader",
    [ERR_NOT_OWNER] = "not_owner",
    [ERR_NO_LEADER] = "no_leader",
    [ERR_NOT_READY] = "not_ready",
    [ERR_REQUEST_TIMEOUT] = "request_timeout",
    [ERR_TOO_LARGE] = "too_large",
    [ERR_OVERLOADED] = "overloaded",
    [ERR_TIMEOUT] = "timeout",
    [ERR_DISK_FULL] = "disk_full",
    [ERR_INTERNAL] = "internal",
};

enum { NAMES_COUNT = sizeof names / sizeof names[0] };

const char *err_code_name(enum err_code code) {
  return (size_t)code < NAMES_COUNT ? names[code] : names[ERR_INTERNAL];
}

bool err_code_parse(const char *name, enum err_code *out) {
  for (size_t i = 0; i < NAMES_COUNT; i++) {
    if (strcmp(name, names[i]) == 0) {
      *out = (enum err_code)i;
      return true;
    }
  }
  return false;
}
