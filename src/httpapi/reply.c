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
  case ERR_NOT_OWNER:
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

void api_write_redirect(struct httpapi *api, struct http_exchange *exchange, enum err_code code, const char *text,
                        struct bytes location) {
  buffer_clear(&api->reply);
  append_error(&api->reply, code, text);
  buffer_append_byte(&api->reply, '}');
  buffer_clear(&api->extra);
  buffer_append_text(&api->extra, "Location: ");
  buffer_append_bytes(&api->extra, location);
  buffer_append_text(&api->extra, "\r\n");
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
  bool known = hint.leader_addr[0] != '\0';
  if (!known) hint.leader_id[0] = '\0';
  struct apply_result failure = dkv_write_failure(known ? STATUS_NOT_LEADER : STATUS_NO_LEADER, call->deduped);
  api_write_error(call->api, call->exchange, failure.err_code, failure.err_msg, 0, &hint, known ? &call->text : NULL);
}

/* What a read that ended so tells its client, where it is not what a write would. */
static struct apply_result read_failure(const struct call *call, enum status status) {
  struct apply_result failure = dkv_write_failure(status, false);
  if (status == STATUS_TIMEOUT) {
    failure.err_msg = call->request.min_index > 0 ? "the index to wait for was not reached in time; nothing was done"
                                                  : "the read was not confirmed in time; nothing was done";
  } else if (status == STATUS_CLOSED) {
    failure.err_code = ERR_NOT_READY;
    failure.err_msg = "the node is stopping; nothing was done";
  }
  return failure;
}

void api_write_status(struct call *call, enum status status, const char *why) {
  bool is_write = call->finish == NULL;
  if (status == STATUS_NOT_LEADER || status == STATUS_NO_LEADER) {
    write_leaderless(call, is_write && status == STATUS_NOT_LEADER);
    return;
  }
  struct apply_result failure = is_write ? dkv_write_failure(status, call->deduped) : read_failure(call, status);
  api_write_error(call->api, call->exchange, failure.err_code, why != NULL ? why : failure.err_msg, 0, NULL, NULL);
}

const char *api_replay_header(enum replay replay) {
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

/* Whether an error says where the leader is. */
static bool has_hint(enum err_code code) {
  return code == ERR_NOT_LEADER || code == ERR_NO_LEADER;
}

static void append_known_leader(struct httpapi *api, struct buffer *out) {
  struct leader_hint hint;
  dkv_leader_hint(api->dkv, &hint);
  append_hint(out, &hint);
}

void api_append_result(struct httpapi *api, const struct apply_result *result, struct buffer *out) {
  if (!result->ok) {
    append_error(out, result->err_code, result->err_msg);
    if (has_hint(result->err_code)) append_known_leader(api, out);
  } else {
    buffer_append_text(out, "{\"ok\":true");
    if (result->has_deleted) {
      buffer_append_text(out, ",\"deleted\":");
      buffer_append_u64_decimal(out, result->deleted);
    }
  }
  buffer_append_byte(out, '}');
}

void api_write_result(struct call *call, const struct apply_result *result) {
  struct httpapi *api = call->api;
  buffer_clear(&api->reply);
  api_append_result(api, result, &api->reply);
  api_write_json(api, call->exchange, http_status_of(result->err_code), call->request.index,
                 api_replay_header(result->replay), buffer_view(&api->reply));
}

void api_write_accepted(struct call *call) {
  struct httpapi *api = call->api;
  buffer_clear(&api->value);
  op_id_write(&call->request.op_id, &api->value);
  buffer_clear(&api->reply);
  buffer_append_text(&api->reply, "{\"ok\":true,\"op_id\":\"");
  buffer_append_bytes(&api->reply, buffer_view(&api->value));
  buffer_append_text(&api->reply, "\"}");
  buffer_clear(&api->extra);
  buffer_append_text(&api->extra, "Location: /ops/");
  buffer_append_bytes(&api->extra, buffer_view(&api->value));
  buffer_append_text(&api->extra, "\r\n");
  http_exchange_reply(call->exchange, 202, json_type, buffer_view(&api->extra), buffer_view(&api->reply));
}

void api_connection_error(void *context, int status, const char *text, struct buffer *out) {
  (void)context;
  append_error(out, code_of_http_status(status), text);
  buffer_append_byte(out, '}');
}
