/* Bytes in, complete messages out: llhttp plus the framing rules that it leaves open. The only user of llhttp.
 *
 * Never lenient. Everything outside bodies must use CRLF, hold no NUL or other control byte, no obs-fold (RFC 9112
 * 5.2), no blank before a header's colon; Content-Length is digits only, never twice, never beside Transfer-Encoding,
 * which must be exactly "chunked", once, and not in HTTP/1.0. HTTP/1.0 and 1.1 only; a 1.1 request has exactly one Host
 * (RFC 9112 3.2). Any token is a method; Upgrade and CONNECT never leave HTTP. Blank lines before a message are
 * skipped, trailers are checked and dropped.
 *
 * The outcome never depends on how the bytes were cut into feeds. A parser belongs to one connection. Memory: at most
 * about twice HTTP_HEAD_BYTES_MAX + body_bytes_max, and http_parser_trim gives it back. */
#ifndef KV_HTTP_PARSER_H
#define KV_HTTP_PARSER_H

#include "base/status.h"
#include "http/message.h"

enum http_kind { HTTP_REQUESTS, HTTP_RESPONSES };

enum http_progress {
  HTTP_NEED_MORE,     /* all bytes consumed, no message yet */
  HTTP_MESSAGE,       /* one message is complete; bytes behind it were not consumed */
  HTTP_HEAD_COMPLETE, /* only for requests with "Expect: 100-continue" and a body to come: once, before the body */
  HTTP_FAILED         /* final: http_parser_fail_status and _text say why; the connection must close after the answer */
};

struct http_parser; /* opaque; http/parser.c */

struct http_parser *http_parser_create(enum http_kind kind, uint64_t body_bytes_max); /* returns owned */
void http_parser_destroy(struct http_parser *parser);

/* Requests: bodies are limited by what `limit` says of their path (as sent, without the query), instead. */
typedef uint64_t http_body_limit(void *context, struct bytes path);
void http_parser_limit_by_path(struct http_parser *parser, http_body_limit *limit, void *context);

/* Parses from `in`; *consumed is how many bytes were used (after HTTP_FAILED: up to and around the fault). Call again
 * with the rest (and after HTTP_MESSAGE at the next message's turn; when that one said the connection ends, more bytes
 * are HTTP_FAILED). */
enum http_progress http_parser_feed(struct http_parser *parser, struct bytes in, size_t *consumed);
/* The end of the stream: HTTP_MESSAGE for a response that ends with the connection; HTTP_NEED_MORE between messages;
 * else HTTP_FAILED. */
enum http_progress http_parser_finish(struct http_parser *parser);

/* After HTTP_MESSAGE: the message, borrowed until the next feed. */
const struct http_message *http_parser_message(const struct http_parser *parser);
/* Between messages: the last one is no longer needed; gives large buffers back. */
void http_parser_trim(struct http_parser *parser);
/* After HTTP_FAILED on requests: the status to answer (400, 413, 417, 431, 501, 505) and a static or parser-owned text
 * that says what is wrong. */
int http_parser_fail_status(const struct http_parser *parser);
const char *http_parser_fail_text(const struct http_parser *parser);
/* True when some bytes of the next message have arrived (so its deadline runs). */
bool http_parser_in_message(const struct http_parser *parser);
/* Responses only: the next response answers a HEAD request (has no body). */
void http_parser_expect_head(struct http_parser *parser);

#endif
