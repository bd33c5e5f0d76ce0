/* HTTP/1.1 messages as values: what the parser yields and the encoder takes. No sockets, no state. */
#ifndef KV_HTTP_MESSAGE_H
#define KV_HTTP_MESSAGE_H

#include "base/buffer.h"

enum http_method {
  HTTP_METHOD_OTHER,
  HTTP_METHOD_GET,
  HTTP_METHOD_HEAD,
  HTTP_METHOD_PUT,
  HTTP_METHOD_POST,
  HTTP_METHOD_DELETE
};

struct http_header {
  struct bytes name;  /* as sent; compare with http_header_find, which ignores case */
  struct bytes value; /* without surrounding blanks */
};

/* A complete message. All views are borrowed from the parser until its next feed. */
struct http_message {
  enum http_method method;  /* requests */
  struct bytes method_name; /* requests: as sent */
  struct bytes path;        /* requests: raw, still percent-encoded, without query */
  struct bytes query;       /* requests: raw, behind the '?'; empty when absent */
  int status;               /* responses: 100 to 599 */
  const struct http_header *headers;
  size_t headers_count;
  struct bytes body; /* de-chunked */
  bool keep_alive;   /* the connection may carry another message */
  bool http_1_0;     /* sent as HTTP/1.0, not 1.1 */
};

/* ASCII case ignored. */
bool http_text_equal(struct bytes text, const char *wanted);
/* The value of the first header with that name (ASCII case ignored); false when absent. */
bool http_header_find(const struct http_message *message, const char *name, struct bytes *value);
/* How many headers have that name; *first is as http_header_find finds it, and untouched when there is none. */
size_t http_header_count(const struct http_message *message, const char *name, struct bytes *first);

/* Appends the percent-decoded text (RFC 3986 2.1); false (and `out` as before) for a malformed escape. '+' stays '+'.
 */
bool http_percent_decode(struct bytes raw, struct buffer *out);
/* Appends `text` with everything but unreserved characters percent-encoded. */
void http_percent_encode(struct bytes text, struct buffer *out);
/* The raw (still encoded) value of `name` in a query string "a=1&b=2"; false when absent. The first one wins. */
bool http_query_find(struct bytes query, const char *name, struct bytes *raw);

/* "OK", "Not Found", ...; "Unknown" otherwise. Static. */
const char *http_reason(int status);

/* Appends a response head and body: status line, Content-Type (when content_type is not NULL), Content-Length, `extra`
 * as complete "Name: value\r\n" lines, "Connection: close" when `close`, blank line, body. With `head_only` the body's
 * length is announced and the body left out. 1xx, 204 and 304 never have a body nor its length (RFC 9110 8.6). */
void http_encode_response(struct buffer *out, int status, const char *content_type, struct bytes extra,
                          struct bytes body, bool head_only, bool close);
/* Appends a request. `target` is the raw request target ("/kv/a?read=stale"), `host` the Host header, `extra` as above.
 * Content-Length is always sent when a body is there or the method is PUT or POST. */
void http_encode_request(struct buffer *out, const char *method, struct bytes target, struct bytes host,
                         struct bytes extra, struct bytes body);

#endif
