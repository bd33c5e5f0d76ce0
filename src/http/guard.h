/* The framing guard: a state machine that sees every byte of a connection before llhttp does, and follows where a
 * message's head, body, chunks and trailer begin and end.
 *
 * llhttp forgives some things that two parsers in a row may read differently, which is how requests are smuggled: bare
 * LF, CR without LF, obs-fold, control bytes, blanks in odd places, endless chunk extensions. The guard refuses them
 * all, counts what is neither body nor chunk framing against HTTP_HEAD_BYTES_MAX and HTTP_HEADERS_MAX, and must agree
 * with llhttp on the end of every message (http/parser.c compares). What the header fields mean is not its business:
 * after the head it is told how the body is framed. Pure, no allocation; belongs to one parser. */
#ifndef KV_HTTP_GUARD_H
#define KV_HTTP_GUARD_H

#include "base/bytes.h"
#include "http/message.h"

enum http_guard_state {
  /* Bytes of these states count against HTTP_HEAD_BYTES_MAX. */
  HTTP_GUARD_START,           /* between messages; blank lines are skipped (RFC 9112 2.2) */
  HTTP_GUARD_START_LF,        /* inside such a blank line */
  HTTP_GUARD_METHOD,          /* request line */
  HTTP_GUARD_TARGET,          /* request line */
  HTTP_GUARD_VERSION,         /* request line */
  HTTP_GUARD_STATUS_LINE,     /* responses */
  HTTP_GUARD_LINE_LF,         /* LF of the first line or of a field */
  HTTP_GUARD_FIELD,           /* first byte of a field, or the CR of the line that ends the head */
  HTTP_GUARD_NAME,            /* of a field, up to the colon */
  HTTP_GUARD_VALUE,           /* of a field, up to the CR */
  HTTP_GUARD_END_LF,          /* last byte of the head or trailer */
  HTTP_GUARD_CHUNK_EXTENSION, /* behind ';', up to the CR */
  /* These do not count. */
  HTTP_GUARD_CHUNK_SIZE,
  HTTP_GUARD_CHUNK_SIZE_LF,
  HTTP_GUARD_CHUNK_DATA,
  HTTP_GUARD_CHUNK_DATA_CR,
  HTTP_GUARD_CHUNK_DATA_LF,
  HTTP_GUARD_BODY,      /* of known length */
  HTTP_GUARD_BODY_OPEN, /* until the connection ends */
  /* Resting states: http_guard_run returns here. */
  HTTP_GUARD_METHOD_END,  /* the method and its blank were read; just run on */
  HTTP_GUARD_HEAD_END,    /* http_guard_expect_body must follow */
  HTTP_GUARD_MESSAGE_END, /* http_guard_begin must follow */
  HTTP_GUARD_FAILED       /* fail_status and fail_text are set */
};

enum http_body_kind { HTTP_BODY_NONE, HTTP_BODY_LENGTH, HTTP_BODY_CHUNKED, HTTP_BODY_OPEN };

struct http_guard {
  enum http_guard_state state;
  bool requests;           /* else responses */
  bool in_trailer;         /* the field states serve the trailer of a chunked body */
  uint32_t counted_bytes;  /* of the head; after it of chunk extensions and trailer */
  uint32_t fields_count;   /* of the head; after it of the trailer */
  uint32_t token_bytes;    /* of the target, version, name or chunk size at hand */
  uint64_t body_left;      /* bytes still to come of the body or chunk; while a chunk size is read: its value */
  uint64_t body_bytes;     /* announced so far; after a 413: what would have been */
  uint64_t body_bytes_max; /* 413 beyond */
  int fail_status;         /* 400, 413, 431 or 505 */
  const char *fail_text;   /* static; NULL for 413, whose text needs numbers */
};

void http_guard_init(struct http_guard *guard, bool requests, uint64_t body_bytes_max);
/* Ready for the next message. */
void http_guard_begin(struct http_guard *guard);
/* Between messages: skips blank lines, up to the first byte of a message; as http_guard_run otherwise. */
const uint8_t *http_guard_skip_blank_lines(struct http_guard *guard, const uint8_t *at, const uint8_t *end);
/* Follows the bytes from `at` to `end` until they are used up or a resting state is reached; returns how far it came.
 * After HTTP_GUARD_FAILED that is the byte at fault, which is not consumed. */
const uint8_t *http_guard_run(struct http_guard *guard, const uint8_t *at, const uint8_t *end);
/* In HTTP_GUARD_HEAD_END: what follows. `length` (at most body_bytes_max) counts for HTTP_BODY_LENGTH. Goes to
 * HTTP_GUARD_MESSAGE_END when there is no body. */
void http_guard_expect_body(struct http_guard *guard, enum http_body_kind kind, uint64_t length);

static inline bool http_guard_between_messages(const struct http_guard *guard) {
  return guard->state == HTTP_GUARD_START || guard->state == HTTP_GUARD_START_LF;
}

#endif
