/* What a complete head says: how its body is framed (RFC 9112 6), whether it is well formed where llhttp does not care
 * (Host, target forms, Expect). Pure functions over the collected fields; http/parser.c is the user. */
#ifndef KV_HTTP_HEAD_H
#define KV_HTTP_HEAD_H

#include "http/guard.h"

/* Why a message is refused. */
struct http_fault {
  int status;       /* 400, 413, 417, 501 */
  const char *text; /* static; NULL for 413, whose text needs numbers */
};

struct http_framing {
  enum http_body_kind kind;
  uint64_t length;       /* of the body, for HTTP_BODY_LENGTH; also set when a 413 is the fault */
  bool expects_continue; /* requests: "Expect: 100-continue", and a body follows */
};

/* Reads the header fields of a request. False and *fault when they are ambiguous or unsupported. */
bool http_frame_request(const struct http_message *request, uint64_t body_bytes_max, struct http_framing *out,
                        struct http_fault *fault);
/* The same for a response; `bodyless`: whatever it says, no body follows (the answer to HEAD, 1xx, 204, 304). */
bool http_frame_response(const struct http_message *response, bool bodyless, uint64_t body_bytes_max,
                         struct http_framing *out, struct http_fault *fault);

/* Sets path and query from a request target in origin-form ("/a?b"), absolute-form ("http://host/a?b", whose authority
 * is ignored), or "*" for OPTIONS (RFC 9112 3.2). */
bool http_split_target(struct bytes target, struct http_message *request, struct http_fault *fault);

#endif
