#include "http/message.h"

enum { LENGTH_DIGITS_MAX = 20 };

/* Equal but for bit 5, which tells the cases of a letter apart. */
static bool same_letter(uint8_t a, uint8_t b) {
  uint8_t letter = a | 0x20;
  return (a ^ b) == 0x20 && letter >= 'a' && letter <= 'z';
}

bool http_text_equal(struct bytes text, const char *wanted) {
  for (size_t i = 0; i < text.len; i++) {
    uint8_t byte = (uint8_t)wanted[i];
    if (byte == '\0' || (text.data[i] != byte && !same_letter(text.data[i], byte))) return false;
  }
  return wanted[text.len] == '\0';
}

bool http_header_find(const struct http_message *message, const char *name, struct bytes *value) {
  for (size_t i = 0; i < message->headers_count; i++) {
    if (!http_text_equal(message->headers[i].name, name)) continue;
    *value = message->headers[i].value;
    return true;
  }
  return false;
}

size_t http_header_count(const struct http_message *message, const char *name, struct bytes *first) {
  size_t count = 0;
  for (size_t i = 0; i < message->headers_count; i++) {
    if (!http_text_equal(message->headers[i].name, name)) continue;
    if (count++ == 0) *first = message->headers[i].value;
  }
  return count;
}

const char *http_reason(int status) {
  static const struct {
    int status;
    const char *reason;
  } reasons[] = {{200, "OK"},
                 {404, "Not Found"},
                 {409, "Conflict"},
                 {100, "Continue"},
                 {201, "Created"},
                 {202, "Accepted"},
                 {204, "No Content"},
                 {304, "Not Modified"},
                 {307, "Temporary Redirect"},
                 {400, "Bad Request"},
                 {403, "Forbidden"},
                 {405, "Method Not Allowed"},
                 {408, "Request Timeout"},
                 {413, "Content Too Large"},
                 {417, "Expectation Failed"},
                 {431, "Request Header Fields Too Large"},
                 {500, "Internal Server Error"},
                 {501, "Not Implemented"},
                 {503, "Service Unavailable"},
                 {504, "Gateway Timeout"},
                 {505, "HTTP Version Not Supported"},
                 {507, "Insufficient Storage"}};
  for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
    if (reasons[i].status == status) return reasons[i].reason;
  }
  return "Unknown";
}

/* Room was reserved; returns where the next part goes. */
static uint8_t *put(uint8_t *to, const void *from, size_t len) {
  if (len > 0) memcpy(to, from, len);
  return to + len;
}

static uint8_t *put_text(uint8_t *to, const char *text) {
  return put(to, text, strlen(text));
}

static uint8_t *put_decimal(uint8_t *to, uint64_t value) {
  uint8_t digits[LENGTH_DIGITS_MAX];
  size_t at = sizeof digits;
  do {
    digits[--at] = (uint8_t)('0' + value % 10);
    value /= 10;
  } while (value > 0);
  return put(to, digits + at, sizeof digits - at);
}

static const char head_status[] = "HTTP/1.1 ";
static const char head_type[] = "Content-Type: ";
static const char head_length[] = "Content-Length: ";
static const char head_close[] = "Connection: close\r\n";

void http_encode_response(struct buffer *out, int status, const char *content_type, struct bytes extra,
                          struct bytes body, bool head_only, bool close) {
  const char *reason = http_reason(status);
  bool bodyless = status < 200 || status == 204 || status == 304;
  size_t fixed = sizeof head_status + sizeof head_type + sizeof head_length + sizeof head_close;
  size_t lines = LENGTH_DIGITS_MAX + 4 * sizeof "\r\n";
  size_t texts = sizeof "200 " + strlen(reason) + (content_type == NULL ? 0 : strlen(content_type));
  uint8_t *to = buffer_reserve(out, fixed + lines + texts + extra.len + body.len);

  to = put(to, head_status, sizeof head_status - 1);
  to = put_decimal(to, (uint64_t)status);
  *to++ = ' ';
  to = put_text(to, reason);
  to = put(to, "\r\n", 2);
  if (content_type != NULL && !bodyless) {
    to = put(to, head_type, sizeof head_type - 1);
    to = put_text(to, content_type);
    to = put(to, "\r\n", 2);
  }
  if (!bodyless) {
    to = put(to, head_length, sizeof head_length - 1);
    to = put_decimal(to, body.len);
    to = put(to, "\r\n", 2);
  }
  to = put(to, extra.data, extra.len);
  if (close) to = put(to, head_close, sizeof head_close - 1);
  to = put(to, "\r\n", 2);
  if (!bodyless && !head_only) to = put(to, body.data, body.len);
  out->len = (size_t)(to - out->data);
}

void http_encode_request(struct buffer *out, const char *method, struct bytes target, struct bytes host,
                         struct bytes extra, struct bytes body) {
  bool announces = body.len > 0 || strcmp(method, "PUT") == 0 || strcmp(method, "POST") == 0;
  buffer_append_text(out, method);
  buffer_append_byte(out, ' ');
  buffer_append_bytes(out, target);
  buffer_append_text(out, " HTTP/1.1\r\nHost: ");
  buffer_append_bytes(out, host);
  buffer_append_text(out, "\r\n");
  if (announces) {
    buffer_append_text(out, head_length);
    buffer_append_u64_decimal(out, body.len);
    buffer_append_text(out, "\r\n");
  }
  buffer_append_bytes(out, extra);
  buffer_append_text(out, "\r\n");
  buffer_append_bytes(out, body);
}
