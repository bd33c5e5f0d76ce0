#include "http/head.h"

#include "http/byte_class.h"

enum { CONTENT_LENGTH_DIGITS_MAX = 19 }; /* fits in 64 bits whatever the digits */

/* The fields that decide, as found. */
struct fields {
  size_t hosts;
  size_t lengths;
  size_t codings;
  size_t expectations;
  struct bytes host;
  struct bytes length;
  struct bytes coding;
  struct bytes expectation;
};

static bool refuse(struct http_fault *fault, int status, const char *text) {
  *fault = (struct http_fault){status, text};
  return false;
}

static void note(struct bytes *value, size_t *count, const struct http_header *header, const char *name) {
  if (!http_text_equal(header->name, name)) return;
  *value = header->value;
  ++*count;
}

/* Most fields are told apart by the length of their name. */
static void find_fields(const struct http_message *message, struct fields *out) {
  *out = (struct fields){0};
  for (size_t i = 0; i < message->headers_count; i++) {
    const struct http_header *header = &message->headers[i];
    switch (header->name.len) {
    case sizeof "host" - 1:
      note(&out->host, &out->hosts, header, "host");
      break;
    case sizeof "expect" - 1:
      note(&out->expectation, &out->expectations, header, "expect");
      break;
    case sizeof "content-length" - 1:
      note(&out->length, &out->lengths, header, "content-length");
      break;
    case sizeof "transfer-encoding" - 1:
      note(&out->coding, &out->codings, header, "transfer-encoding");
      break;
    default:
      break;
    }
  }
}

/* Digits only: no sign, no blank, no list, no hexadecimal. */
static bool read_length(struct bytes text, uint64_t *length, struct http_fault *fault) {
  uint64_t value = 0;
  if (text.len == 0) return refuse(fault, 400, "Content-Length: empty");
  if (text.len > CONTENT_LENGTH_DIGITS_MAX) return refuse(fault, 400, "Content-Length: more than 19 digits");
  for (size_t i = 0; i < text.len; i++) {
    if (text.data[i] < '0' || text.data[i] > '9') return refuse(fault, 400, "Content-Length: not only digits");
    value = value * 10 + (uint64_t)(text.data[i] - '0');
  }
  *length = value;
  return true;
}

/* True for a list like "gzip, chunked": clear framing, but a coding that is not spoken here (RFC 9112 6.1: 501). */
static bool ends_with_chunked(struct bytes coding) {
  static const char chunked[] = "chunked";
  size_t tail = sizeof chunked - 1;
  if (coding.len <= tail) return false;
  uint8_t before = coding.data[coding.len - tail - 1];
  struct bytes last = bytes_make(coding.data + coding.len - tail, tail);
  return (before == ' ' || before == '\t' || before == ',') && http_text_equal(last, chunked);
}

static bool frame_chunked(const struct fields *fields, bool http_1_0, struct http_framing *out,
                          struct http_fault *fault) {
  if (fields->lengths > 0) return refuse(fault, 400, "Transfer-Encoding beside Content-Length");
  if (http_1_0) return refuse(fault, 400, "Transfer-Encoding in HTTP/1.0");
  if (fields->codings > 1) return refuse(fault, 400, "Transfer-Encoding: more than one");
  if (ends_with_chunked(fields->coding)) return refuse(fault, 501, "Transfer-Encoding: only chunked is spoken here");
  if (!http_text_equal(fields->coding, "chunked")) return refuse(fault, 400, "Transfer-Encoding: not chunked");
  out->kind = HTTP_BODY_CHUNKED;
  return true;
}

static bool frame_length(const struct fields *fields, uint64_t body_bytes_max, struct http_framing *out,
                         struct http_fault *fault) {
  if (fields->lengths > 1) return refuse(fault, 400, "Content-Length: more than one");
  if (!read_length(fields->length, &out->length, fault)) return false;
  if (out->length > body_bytes_max) return refuse(fault, 413, NULL);
  out->kind = out->length > 0 ? HTTP_BODY_LENGTH : HTTP_BODY_NONE;
  return true;
}

/* What both kinds share: the body as the fields announce it, HTTP_BODY_NONE when they do not. */
static bool frame(const struct http_message *message, const struct fields *fields, uint64_t body_bytes_max,
                  struct http_framing *out, struct http_fault *fault) {
  *out = (struct http_framing){.kind = HTTP_BODY_NONE};
  if (fields->codings > 0) return frame_chunked(fields, message->http_1_0, out, fault);
  return fields->lengths == 0 || frame_length(fields, body_bytes_max, out, fault);
}

/* RFC 9112 3.2: exactly one in HTTP/1.1, at most one in 1.0. */
static bool check_host(const struct fields *fields, bool http_1_0, struct http_fault *fault) {
  if (fields->hosts > 1) return refuse(fault, 400, "Host: more than one");
  if (fields->hosts == 0) return http_1_0 || refuse(fault, 400, "Host: missing");
  const uint8_t *end = fields->host.data + fields->host.len;
  bool legal = http_skip_bytes(fields->host.data, end, HTTP_BYTE_HOST) == end;
  return legal || refuse(fault, 400, "Host: not a host and port");
}

/* RFC 9110 10.1.1. HTTP/1.0 clients cannot expect anything. */
static bool check_expect(const struct fields *fields, bool http_1_0, struct http_framing *out,
                         struct http_fault *fault) {
  if (fields->expectations == 0 || http_1_0) return true;
  bool known = fields->expectations == 1 && http_text_equal(fields->expectation, "100-continue");
  if (!known) return refuse(fault, 417, "Expect: only 100-continue is understood");
  out->expects_continue = out->kind != HTTP_BODY_NONE;
  return true;
}

bool http_frame_request(const struct http_message *request, uint64_t body_bytes_max, struct http_framing *out,
                        struct http_fault *fault) {
  struct fields fields;
  find_fields(request, &fields);
  return check_host(&fields, request->http_1_0, fault) && frame(request, &fields, body_bytes_max, out, fault) &&
         check_expect(&fields, request->http_1_0, out, fault);
}

bool http_frame_response(const struct http_message *response, bool bodyless, uint64_t body_bytes_max,
                         struct http_framing *out, struct http_fault *fault) {
  struct fields fields;
  find_fields(response, &fields);
  if (bodyless) {
    *out = (struct http_framing){.kind = HTTP_BODY_NONE};
    return true;
  }
  if (!frame(response, &fields, body_bytes_max, out, fault)) return false;
  if (fields.codings + fields.lengths == 0) out->kind = HTTP_BODY_OPEN;
  return true;
}

/* Cuts "http://authority" or "https://authority" off; false when there is no such thing. */
static bool cut_authority(struct bytes *target) {
  const uint8_t *colon = memchr(target->data, ':', target->len);
  if (colon == NULL) return false;
  struct bytes scheme = bytes_make(target->data, (size_t)(colon - target->data));
  if (!http_text_equal(scheme, "http") && !http_text_equal(scheme, "https")) return false;
  size_t at = scheme.len + 3;
  if (target->len <= at || memcmp(colon, "://", 3) != 0) return false;
  size_t authority_at = at;
  while (at < target->len && target->data[at] != '/' && target->data[at] != '?')
    at++;
  if (at == authority_at) return false;
  *target = bytes_make(target->data + at, target->len - at);
  return true;
}

bool http_split_target(struct bytes target, struct http_message *request, struct http_fault *fault) {
  bool star = target.len == 1 && target.data[0] == '*';
  if (star && !bytes_equal(request->method_name, bytes_of("OPTIONS"))) {
    return refuse(fault, 400, "request target: * is for OPTIONS only");
  }
  if (!star && target.data[0] != '/' && !cut_authority(&target)) {
    return refuse(fault, 400, "request target: neither a path nor an http URL");
  }
  const uint8_t *mark = target.len == 0 ? NULL : memchr(target.data, '?', target.len);
  size_t path_len = mark == NULL ? target.len : (size_t)(mark - target.data);
  request->path = path_len == 0 ? bytes_of("/") : bytes_make(target.data, path_len);
  request->query = mark == NULL ? (struct bytes){0} : bytes_make(mark + 1, target.len - path_len - 1);
  return true;
}
