#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>

const char *status_name(enum status status) {
  switch (status) {
  case STATUS_OK:
    return "ok";
  case STATUS_INVALID:
    return "invalid";
  case STATUS_TOO_LARGE:
    return "too_large";
  case STATUS_NOT_FOUND:
    return "not_found";
  case STATUS_NOT_LEADER:
    return "not_leader";
  case STATUS_NO_LEADER:
    return "no_leader";
  case STATUS_OVERLOADED:
    return "overloaded";
  case STATUS_TIMEOUT:
    return "timeout";
  case STATUS_DISK_FULL:
    return "disk_full";
  case STATUS_CORRUPT:
    return "corrupt";
  case STATUS_IO:
    return "io";
  case STATUS_CLOSED:
    return "closed";
  }
  return "unknown";
}

/* Takes the last character off a text that was cut within it (or just behind it). */
static void drop_cut_character(char *text, size_t len) {
  while (len > 0 && (text[len - 1] & 0xC0) == 0x80)
    len--;
  if (len > 0 && (text[len - 1] & 0xC0) == 0xC0) len--;
  text[len] = '\0';
}

enum status error_set(struct error *err, enum status status, const char *format, ...) {
  if (err != NULL) {
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(err->text, sizeof err->text, format, arguments);
    va_end(arguments);
    if (len >= (int)sizeof err->text) drop_cut_character(err->text, sizeof err->text - 1);
  }
  return status;
}
