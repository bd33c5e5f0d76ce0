#include "server/fresh.h"

#include <sys/random.h>

#include "base/check.h"

uint64_t fresh_number(void) {
  uint64_t number;
  CHECK(getrandom(&number, sizeof number, 0) == (ssize_t)sizeof number);
  return number | 1;
}
