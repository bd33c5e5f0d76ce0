/* Every reply is made here: JSON, raw values, and the one mapping from what went wrong to what a client sees. */
#include "base/utf8.h"
#include "httpapi/api.h"
#include "types/json.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum { UNREADY_TEXT_MAX = 256, BEHIND_TEXT_MAX = 48 };

static const char json_type[] = "application/json";
static const char raw_type[] = "application/octet-stream";
static const char retry_after[] = "Retry-After: 1\r\n";
static const char ok_body[] = "{\"ok\":true}";

bool fault_set(struct fault *fault, enum err_code code, const char *format, ...) {
  va_list arguments;
  fault->code = code;
  va_start(arguments, format);
  vsnprintf(fault->why.text, sizeof fault->why.text, format, arguments);
  va_end(arguments);
  return false;
}

static int http_status_of(enum err_code code) {
  switch (code) {
  case ERR_NONE:
    return 200;
  case ERR_BAD_REQUEST:
    return 400;
  case ERR_CAS_FAILED:
    return 409;
  case ERR_NOT_FOUND:
    return 404;
  case ERR_METHOD_NOT_ALLOWED:
    return 405;
  case ERR_NOT_LEADER:
    return 307;
  case ERR_NO_LEADER:
  case ERR_NOT_READY:
  case ERR_OVERLOADED:
    return 503;
  case ERR_REQUEST_TIMEOUT:
    return 408;
  case ERR_TOO_LARGE:
    return 413;
  case ERR_TIMEOUT:
    return 504;
  case ERR_DISK_FULL:
    return 507;
  case ERR_INTERNAL:
    return 500;
  }
  return 500;
}

/* The inverse, for what the connection answers on its own. */
static enum err_code code_of_http_status(int status) {
  switch (status) {
  case 408:
    return ERR_REQUEST_TIMEOUT;
  case 413:
  case 431:
    return ERR_TOO_LARGE;
  case 503:
    return ERR_OVERLOADED;
  default:
    return status < 500 || status == 501 || status == 505 ? ERR_BAD_REQUEST : ERR_INTERNAL;
  }
}

static void append_index(struct buffer *extra, uint64_t index) {
  if (index == 0) return;
  buffer_append_text(extra, "X-Raft-Index: ");
  buffer_append_u64_decimal(extra, index);
  buffer_append_text(extra, "\r\n");
}

void api_write_json(struct httpapi *api, struct http_exchange *exchange, int status, uint64_t index, const char *extra,
                    struct bytes body) {
  buffer_clear(&api->extra);
  append_index(&api->extra, index);
  buffer_append_text(&api->extra, extra);
  http_exchange_reply(exchange, status, json_type, buffer_view(&api->extra), body);
}

void api_write_raw(struct httpapi *api, struct http_exchange *exchange, uint64_t index, struct bytes body) {
  buffer_clear(&api->extra);
  append_index(&api->extra, index);
  http_exchange_reply(exchange, 200, raw_type, buffer_view(&api->extra), body);
}

void api_write_text(struct http_exchange *exchange, const char *content_type, struct bytes body) {
  http_exchange_reply(exchange, 200, content_type, bytes_of(""), body);
}

/* A message that was cut may end in the middle of a character. */
static struct bytes whole_characters(const char *text) {
  struct bytes view = bytes_of(text);
  while (!utf8_valid(view))
    view.len--;
  return view;
}

static void append_error(struct buffer *out, enum err_code code, const char *text) {
  buffer_append_text(out, "{\"ok\":false,\"err_code\":\"");
  buffer_append_text(out, err_code_name(code));
  buffer_append_text(out, "\",\"err_msg\":");
  json_write_string(out, whole_characters(text));
}

static void append_hint(struct buffer *out, const struct leader_hint *hint) {
  buffer_append_text(out, ",\"leader_hint\":{\"leader_id\":");
  json_write_string(out, bytes_of(hint->leader_id));
  buffer_append_text(out, ",\"leader_addr\":");
  json_write_string(out, bytes_of(hint->leader_addr));
  buffer_append_byte(out, '}');
}

static void append_error_headers(struct buffer *extra, enum err_code code, const struct leader_hint *hint,
                                 const struct buffer *target) {
  if (code == ERR_NOT_LEADER && hint != NULL && target != NULL) {
    buffer_append_text(extra, "Location: http://");
    buffer_append_text(extra, hint->leader_addr);
    buffer_append_bytes(extra, buffer_view(target));
    buffer_append_text(extra, "\r\n");
  }
  if (code == ERR_NO_LEADER || code == ERR_OVERLOADED) buffer_append_text(extra, retry_after);
}

void api_write_error(struct httpapi *api, struct http_exchange *exchange, enum err_code code, const char *text,
                     uint64_t index, const struct leader_hint *hint, const struct buffer *target) {
  buffer_clear(&api->reply);
  append_error(&api->reply, code, text);
  if (hint != NULL) append_hint(&api->reply, hint);
  buffer_append_byte(&api->reply, '}');
  buffer_clear(&api->extra);
  append_index(&api->extra, index);
  append_error_headers(&api->extra, code, hint, target);
  http_exchange_reply(exchange, http_status_of(code), json_type, buffer_view(&api->extra), buffer_view(&api->reply));
}

void api_write_not_ready(struct httpapi *api, struct http_exchange *exchange, const struct raft_unready *unready,
                         uint64_t behind) {
  char text[UNREADY_TEXT_MAX];
  char by[BEHIND_TEXT_MAX] = "";
  if (behind > 0) snprintf(by, sizeof by, ", %" PRIu64 " entries behind", behind);
  snprintf(text, sizeof text, "%s%s; %s", unready->text, by, unready->action);
  buffer_clear(&api->reply);
  append_error(&api->reply, ERR_NOT_READY, text);
  buffer_append_format(&api->reply, ",\"reason\":\"%s\"", unready->code);
  if (behind > 0) buffer_append_format(&api->reply, ",\"behind\":%" PRIu64, behind);
  buffer_append_byte(&api->reply, '}');
  api_write_json(api, exchange, http_status_of(ERR_NOT_READY), 0, "", buffer_view(&api->reply));
}

void api_write_not_allowed(struct httpapi *api, struct http_exchange *exchange, struct bytes allow) {
  buffer_clear(&api->reply);
  append_error(&api->reply, ERR_METHOD_NOT_ALLOWED, "method: not one that this path has, see Allow");
  buffer_append_byte(&api->reply, '}');
  buffer_clear(&api->extra);
  buffer_append_text(&api->extra, "Allow: ");
  buffer_append_bytes(&api->extra, allow);
  buffer_append_text(&api->extra, "\r\n");
  http_exchange_reply(exchange, http_status_of(ERR_METHOD_NOT_ALLOWED), json_type, buffer_view(&api->extra),
                      buffer_view(&api->reply));
}

/* A write is sent to the leader when that is known. A read never is: it can be asked again anywhere. */
static void write_leaderless(struct call *call, bool redirect) {
  struct leader_hint hint = {.leader_id = "", .leader_addr = ""};
  if (redirect) dkv_leader_hint(call->api->dkv, &hint);
  if (hint.leader_addr[0] != '\0') {
    api_write_error(call->api, call->exchange, ERR_NOT_LEADER,
                    "this node does not lead; send the request to the leader", 0, &hint, &call->text);
    return;
  }
  hint.leader_id[0] = '\0';
  api_write_error(call->api, call->exchange, ERR_NO_LEADER, "no leader is known; nothing was done, try again", 0, &hint,
                  NULL);
}

static void write_timeout(struct call *call) {
  const char *text;
  if (call->finish != NULL)
    text = call->request.min_index > 0 ? "the index to wait for was not reached in time; nothing was done"
                                       : "the read was not confirmed in time; nothing was done";
  else
    text = call->deduped ? "the outcome is unknown; a retry with the same client_id and seq is safe"
                         : "the outcome is unknown; a retry may apply it twice";
  api_write_error(call->api, call->exchange, ERR_TIMEOUT, text, 0, NULL, NULL);
}

void api_write_status(struct call *call, enum status status, const char *why) {
  bool is_write = call->finish == NULL;
  enum err_code code = ERR_INTERNAL;
  const char *text = status_name(status);
  switch (status) {
  case STATUS_NOT_LEADER:
    write_leaderless(call, is_write);
    return;
  case STATUS_NO_LEADER:
    write_leaderless(call, false);
    return;
  case STATUS_TIMEOUT:
    write_timeout(call);
    return;
  case STATUS_CLOSED:
    if (is_write) {
      write_timeout(call);
      return;
    }
    code = ERR_NOT_READY;
    text = "the node is stopping; nothing was done";
    break;
  case STATUS_INVALID:
    code = ERR_BAD_REQUEST;
    text = why != NULL ? why : "the command is not valid";
    break;
  case STATUS_TOO_LARGE:
    code = ERR_TOO_LARGE;
    text = "the command is larger than the log can take; nothing was done";
    break;
  case STATUS_OVERLOADED:
    code = ERR_OVERLOADED;
    text = "the queue of requests is full; nothing was done, try again";
    break;
  case STATUS_DISK_FULL:
    code = ERR_DISK_FULL;
    text = "no reserved log space is left; nothing was done, reads go on";
    break;
  case STATUS_OK:
  case STATUS_NOT_FOUND:
  case STATUS_CORRUPT:
  case STATUS_IO:
    break;
  }
  api_write_error(call->api, call->exchange, code, text, 0, NULL, NULL);
}

static const char *replay_header(enum replay replay) {
  switch (replay) {
  case REPLAY_NONE:
    return "";
  case REPLAY_SAME:
    return "X-Replay: same\r\n";
  case REPLAY_OLDER:
    return "X-Replay: older\r\n";
  }
  return "";
}

void api_write_result(struct call *call, const struct apply_result *result) {
  struct httpapi *api = call->api;
  struct bytes body = bytes_make(ok_body, sizeof ok_body - 1);
  if (!result->ok || result->has_deleted) {
    buffer_clear(&api->reply);
    if (result->ok) {
      buffer_append_text(&api->reply, "{\"ok\":true,\"deleted\":");
      buffer_append_u64_decimal(&api->reply, result->deleted);
    } else {
      append_error(&api->reply, result->err_code, result->err_msg);
    }
    buffer_append_byte(&api->reply, '}');
    body = buffer_view(&api->reply);
  }
  api_write_json(api, call->exchange, http_status_of(result->err_code), call->request.index,
                 replay_header(result->replay), body);
}

void api_connection_error(void *context, int status, const char *text, struct buffer *out) {
  (void)context;
  append_error(out, code_of_http_status(status), text);
  buffer_append_byte(out, '}');
}
