/* How bytes become a message: the guard (http/guard.h) follows the framing and says how far a stretch of bytes belongs
 * together; llhttp gets exactly that stretch and hands its parts to the callbacks below, which collect them; at the end
 * of the head http/head.h reads what the fields say about the body and the guard is told. A message is complete when
 * guard and llhttp say so at the same byte; if they ever disagree, the message is refused.
 *
 * llhttp never sees the method of a request: it knows a fixed list and leaves HTTP for some of them (CONNECT, PRI, the
 * verbs of RTSP). The guard collects the token, and llhttp gets STAND_IN_METHOD. And llhttp is reset for each message,
 * so none of its states outlives one: an Upgrade, which it would follow, is never taken.
 *
 * Failure modes: the guard's (fail_status of the guard), llhttp's (400 with its reason), the head's (a fault of
 * http/head.h). Whichever is first in the byte stream wins, so the outcome does not depend on how it was cut. */
#include "http/parser.h"

#include <inttypes.h>
#include <llhttp.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "http/head.h"
#include "types/limits.h"

enum {
  KEEP_BYTES = 4096,    /* of each buffer of an idle parser */
  HEADERS_INITIAL = 16, /* header fields that need no second allocation */
  FAIL_TEXT_MAX = 128
};

#define STAND_IN_METHOD "POST "

struct http_parser {
  llhttp_t llhttp;
  struct http_guard guard;
  uint64_t body_bytes_max; /* --max-body-bytes; the guard has the limit of the message at hand */
  http_body_limit *limit;  /* NULL: the same for all */
  void *limit_context;
  struct buffer head; /* method, target, then name and value of each field, without anything between */
  struct buffer body;
  struct http_header *headers; /* owned; until the head is complete only the lengths are set */
  size_t headers_capacity;
  size_t method_bytes; /* first part of `head` */
  size_t target_bytes; /* second part of `head` */
  bool in_name;        /* the last field's name may go on */
  bool head_complete;  /* http/head.h has accepted it */
  bool complete;       /* llhttp has seen the whole message */
  bool answers_head;   /* responses: the next one has no body whatever it says */
  int fail_status;     /* 0 while all is well */
  char fail_text[FAIL_TEXT_MAX];
  struct http_framing framing;
  struct http_message message;
};

static void fail(struct http_parser *parser, int status, const char *text) {
  parser->fail_status = status;
  snprintf(parser->fail_text, sizeof parser->fail_text, "%s", text);
}

static void fail_too_large(struct http_parser *parser, const char *about, uint64_t bytes) {
  uint64_t bytes_max = parser->guard.body_bytes_max;
  parser->fail_status = 413;
  snprintf(parser->fail_text, sizeof parser->fail_text, "body of %s%" PRIu64 " bytes is over %s %" PRIu64, about, bytes,
           bytes_max == parser->body_bytes_max ? "--max-body-bytes" : "the limit of this path,", bytes_max);
}

/* ---- llhttp's callbacks: collecting ---- */

static int on_target(llhttp_t *llhttp, const char *at, size_t len) {
  struct http_parser *parser = llhttp->data;
  buffer_append(&parser->head, at, len);
  parser->target_bytes += len;
  return 0;
}

static void add_header(struct http_parser *parser) {
  size_t count = parser->message.headers_count;
  if (count == parser->headers_capacity) {
    parser->headers_capacity = count == 0 ? HEADERS_INITIAL : count * 2;
    parser->headers = xrealloc(parser->headers, parser->headers_capacity * sizeof *parser->headers);
  }
  parser->headers[count] = (struct http_header){0};
  parser->message.headers_count = count + 1;
}

static int on_name(llhttp_t *llhttp, const char *at, size_t len) {
  struct http_parser *parser = llhttp->data;
  if (parser->head_complete) return 0; /* a trailer */
  if (!parser->in_name) add_header(parser);
  parser->in_name = true;
  buffer_append(&parser->head, at, len);
  parser->headers[parser->message.headers_count - 1].name.len += len;
  return 0;
}

static int on_name_complete(llhttp_t *llhttp) {
  struct http_parser *parser = llhttp->data;
  parser->in_name = false;
  return 0;
}

static int on_value(llhttp_t *llhttp, const char *at, size_t len) {
  struct http_parser *parser = llhttp->data;
  if (parser->head_complete) return 0;
  buffer_append(&parser->head, at, len);
  parser->headers[parser->message.headers_count - 1].value.len += len;
  return 0;
}

static int on_body(llhttp_t *llhttp, const char *at, size_t len) {
  struct http_parser *parser = llhttp->data;
  buffer_append(&parser->body, at, len);
  return 0;
}

/* ---- llhttp's callbacks: the end of the head, the end of the message ---- */

static struct bytes trim_blanks(struct bytes text) {
  while (text.len > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
    text.data++;
    text.len--;
  }
  while (text.len > 0 && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t'))
    text.len--;
  return text;
}

/* Sets the views of headers into `head`, which does not move any more. */
static void place_headers(struct http_parser *parser) {
  if (parser->message.headers_count == 0) return;
  const uint8_t *at = parser->head.data + parser->method_bytes + parser->target_bytes;
  for (size_t i = 0; i < parser->message.headers_count; i++) {
    struct http_header *header = &parser->headers[i];
    header->name.data = at;
    at += header->name.len;
    struct bytes value = bytes_make(at, header->value.len);
    at += value.len;
    header->value = trim_blanks(value);
  }
  CHECK(at == parser->head.data + parser->head.len);
  parser->message.headers = parser->headers;
}

static enum http_method method_of(struct bytes name) {
  static const struct {
    const char *name;
    enum http_method method;
  } known[] = {{"GET", HTTP_METHOD_GET},
               {"PUT", HTTP_METHOD_PUT},
               {"POST", HTTP_METHOD_POST},
               {"HEAD", HTTP_METHOD_HEAD},
               {"DELETE", HTTP_METHOD_DELETE}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (bytes_equal(name, bytes_of(known[i].name))) return known[i].method;
  }
  return HTTP_METHOD_OTHER;
}

static bool read_request_head(struct http_parser *parser, struct http_fault *fault) {
  struct http_message *message = &parser->message;
  message->method_name = bytes_make(parser->head.data, parser->method_bytes);
  message->method = method_of(message->method_name);
  struct bytes target = bytes_make(parser->head.data + parser->method_bytes, parser->target_bytes);
  if (!http_split_target(target, message, fault)) return false;
  if (parser->limit != NULL) parser->guard.body_bytes_max = parser->limit(parser->limit_context, message->path);
  return http_frame_request(message, parser->guard.body_bytes_max, &parser->framing, fault);
}

static bool read_response_head(struct http_parser *parser, struct http_fault *fault) {
  struct http_message *message = &parser->message;
  message->status = llhttp_get_status_code(&parser->llhttp);
  if (llhttp_get_http_major(&parser->llhttp) != 1 || message->status < 100 || message->status > 599) {
    *fault = (struct http_fault){400, "status line: neither HTTP/1.1 nor HTTP/1.0, or no known status"};
    return false;
  }
  bool bodyless = parser->answers_head || message->status < 200 || message->status == 204 || message->status == 304;
  return http_frame_response(message, bodyless, parser->guard.body_bytes_max, &parser->framing, fault);
}

/* RFC 9112 9.3. */
static bool may_carry_another(const struct http_parser *parser) {
  uint16_t flags = parser->llhttp.flags;
  if ((flags & F_CONNECTION_CLOSE) != 0 || parser->framing.kind == HTTP_BODY_OPEN) return false;
  return !parser->message.http_1_0 || (flags & F_CONNECTION_KEEP_ALIVE) != 0;
}

/* Returns 0 to go on to the body, 1 when there is none, -1 to fail. */
static int on_head_complete(llhttp_t *llhttp) {
  struct http_parser *parser = llhttp->data;
  struct http_fault fault;
  if (parser->message.headers_count != parser->guard.fields_count) {
    fail(parser, 400, "header: ambiguous");
    return -1;
  }
  place_headers(parser);
  parser->message.http_1_0 = llhttp_get_http_minor(llhttp) == 0;
  bool readable = parser->guard.requests ? read_request_head(parser, &fault) : read_response_head(parser, &fault);
  if (!readable) {
    if (fault.status == 413) fail_too_large(parser, "", parser->framing.length);
    if (fault.status != 413) fail(parser, fault.status, fault.text);
    return -1;
  }
  parser->message.keep_alive = may_carry_another(parser);
  parser->head_complete = true;
  return parser->framing.kind == HTTP_BODY_NONE ? 1 : 0;
}

static int on_complete(llhttp_t *llhttp) {
  struct http_parser *parser = llhttp->data;
  parser->complete = true;
  return HPE_PAUSED;
}

static const llhttp_settings_t settings = {.on_url = on_target,
                                           .on_header_field = on_name,
                                           .on_header_field_complete = on_name_complete,
                                           .on_header_value = on_value,
                                           .on_headers_complete = on_head_complete,
                                           .on_body = on_body,
                                           .on_message_complete = on_complete};

/* ---- guard and llhttp side by side ---- */

static void begin_message(struct http_parser *parser) {
  http_guard_begin(&parser->guard);
  llhttp_reset(&parser->llhttp);
  buffer_clear(&parser->head);
  buffer_clear(&parser->body);
  parser->method_bytes = 0;
  parser->target_bytes = 0;
  parser->in_name = false;
  parser->head_complete = false;
  parser->complete = false;
  parser->framing = (struct http_framing){0};
  parser->message = (struct http_message){0};
}

/* Gives a stretch to llhttp. It must come to the same end as the guard. */
static void run_llhttp(struct http_parser *parser, const void *from, size_t len) {
  if (len == 0) return;
  llhttp_errno_t outcome = llhttp_execute(&parser->llhttp, from, len);
  if (parser->fail_status != 0) return;
  if (parser->complete) {
    if (llhttp_get_error_pos(&parser->llhttp) != (const char *)from + len) fail(parser, 400, "framing: ambiguous");
  } else if (outcome != HPE_OK) {
    const char *reason = llhttp_get_error_reason(&parser->llhttp);
    fail(parser, 400, reason != NULL && *reason != '\0' ? reason : llhttp_errno_name(outcome));
  }
}

/* Bytes of the request's method; when it is complete llhttp begins with the stand-in. */
static void take_method(struct http_parser *parser, const uint8_t *from, size_t len) {
  bool whole = parser->guard.state == HTTP_GUARD_METHOD_END;
  size_t method_bytes = whole ? len - 1 : len; /* the blank is not part of it */
  buffer_append(&parser->head, from, method_bytes);
  parser->method_bytes += method_bytes;
  if (whole) run_llhttp(parser, STAND_IN_METHOD, sizeof STAND_IN_METHOD - 1);
}

static void take_guard_failure(struct http_parser *parser) {
  if (parser->guard.fail_status == 413) {
    fail_too_large(parser, "at least ", parser->guard.body_bytes);
  } else {
    fail(parser, parser->guard.fail_status, parser->guard.fail_text);
  }
}

/* Lets the guard run once, and llhttp behind it. Returns how far they came. */
static const uint8_t *advance(struct http_parser *parser, const uint8_t *from, const uint8_t *end) {
  struct http_guard *guard = &parser->guard;
  bool blank_lines = http_guard_between_messages(guard);
  bool method = guard->state == HTTP_GUARD_METHOD;
  const uint8_t *reached =
      blank_lines ? http_guard_skip_blank_lines(guard, from, end) : http_guard_run(guard, from, end);
  size_t len = (size_t)(reached - from);
  if (method) {
    take_method(parser, from, len);
  } else if (!blank_lines) {
    run_llhttp(parser, from, len);
  }
  if (parser->fail_status == 0 && guard->state == HTTP_GUARD_FAILED) take_guard_failure(parser);
  return reached;
}

static enum http_progress finish_message(struct http_parser *parser) {
  parser->message.body = buffer_view(&parser->body);
  if (parser->message.status >= 200) parser->answers_head = false; /* 1xx comes before the answer */
  return HTTP_MESSAGE;
}

/* What the guard's resting place means; HTTP_NEED_MORE to run on. */
static enum http_progress settle(struct http_parser *parser) {
  struct http_guard *guard = &parser->guard;
  if (parser->fail_status == 0 && guard->state == HTTP_GUARD_HEAD_END) {
    if (parser->head_complete) {
      http_guard_expect_body(guard, parser->framing.kind, parser->framing.length);
    } else {
      fail(parser, 400, "head: ambiguous end");
    }
  }
  bool ended = guard->state == HTTP_GUARD_MESSAGE_END;
  if (parser->fail_status == 0 && ended != parser->complete) fail(parser, 400, "framing: ambiguous end");
  if (parser->fail_status != 0) return HTTP_FAILED;
  if (ended) return finish_message(parser);
  if (!parser->framing.expects_continue) return HTTP_NEED_MORE;
  parser->framing.expects_continue = false;
  return HTTP_HEAD_COMPLETE;
}

struct http_parser *http_parser_create(enum http_kind kind, uint64_t body_bytes_max) {
  struct http_parser *parser = xcalloc(1, sizeof *parser);
  llhttp_init(&parser->llhttp, kind == HTTP_REQUESTS ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
  parser->llhttp.data = parser;
  parser->body_bytes_max = body_bytes_max;
  http_guard_init(&parser->guard, kind == HTTP_REQUESTS, body_bytes_max);
  buffer_init(&parser->head);
  buffer_init(&parser->body);
  return parser;
}

void http_parser_limit_by_path(struct http_parser *parser, http_body_limit *limit, void *context) {
  CHECK(parser->guard.requests);
  parser->limit = limit;
  parser->limit_context = context;
}

void http_parser_destroy(struct http_parser *parser) {
  if (parser == NULL) return;
  buffer_deinit(&parser->head);
  buffer_deinit(&parser->body);
  free(parser->headers);
  free(parser);
}

enum http_progress http_parser_feed(struct http_parser *parser, struct bytes in, size_t *consumed) {
  *consumed = 0;
  if (parser->fail_status != 0) return HTTP_FAILED;
  if (in.len == 0) return HTTP_NEED_MORE;
  if (parser->complete) {
    if (!parser->message.keep_alive) {
      fail(parser, 400, "bytes behind a message that ended the connection");
      return HTTP_FAILED;
    }
    begin_message(parser);
  }
  const uint8_t *at = in.data;
  const uint8_t *end = in.data + in.len;
  enum http_progress progress = HTTP_NEED_MORE;
  while (at < end && progress == HTTP_NEED_MORE) {
    at = advance(parser, at, end);
    progress = settle(parser);
  }
  *consumed = (size_t)(at - in.data);
  return progress;
}

enum http_progress http_parser_finish(struct http_parser *parser) {
  if (parser->fail_status != 0) return HTTP_FAILED;
  if (!http_parser_in_message(parser)) return HTTP_NEED_MORE;
  if (parser->guard.state == HTTP_GUARD_BODY_OPEN) {
    llhttp_finish(&parser->llhttp);
    if (parser->complete) return finish_message(parser);
  }
  fail(parser, 400, "the connection ended inside a message");
  return HTTP_FAILED;
}

const struct http_message *http_parser_message(const struct http_parser *parser) {
  CHECK(parser->complete);
  return &parser->message;
}

int http_parser_fail_status(const struct http_parser *parser) {
  return parser->fail_status;
}

const char *http_parser_fail_text(const struct http_parser *parser) {
  return parser->fail_text;
}

bool http_parser_in_message(const struct http_parser *parser) {
  return parser->fail_status == 0 && !parser->complete && !http_guard_between_messages(&parser->guard);
}

void http_parser_expect_head(struct http_parser *parser) {
  parser->answers_head = true;
}

void http_parser_trim(struct http_parser *parser) {
  if (http_parser_in_message(parser)) return;
  buffer_shrink(&parser->head, KEEP_BYTES);
  buffer_shrink(&parser->body, KEEP_BYTES);
  if (parser->headers_capacity <= HEADERS_INITIAL) return;
  free(parser->headers);
  parser->headers = NULL;
  parser->headers_capacity = 0;
}
