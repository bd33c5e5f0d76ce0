#include "raft/transporthttp/routes.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "base/utf8.h"
#include "io/loop.h"
#include "raft/transporthttp/dto_binary.h"
#include "raft/transporthttp/dto_json.h"
#include "types/json.h"
#include "types/result.h"

enum {
  SCRATCH_KEEP_BYTES = 65536, /* of each buffer between requests */
  STRANGER_LOG_MS = 1000      /* refusals are logged once in so long: a stranger may ask often */
};

static const char json_type[] = "application/json";
static const char prefix[] = "/raft/";

/* A request that the node has not answered yet: the token. */
struct inbound {
  struct http_exchange *exchange;
  enum raft_message_type type;
  bool json;
};

struct raft_routes {
  struct io_loop *loop;
  const struct cluster *cluster;
  struct raft_routes_events events;
  struct dto_json_scratch json;
  struct buffer reply; /* scratch */
  size_t inbound_count;
  uint64_t stranger_log_ms; /* loop time from which a refusal is logged again */
};

/* ---- answers without the node ---- */

/* A message that was cut may end in the middle of a character. */
static struct bytes whole_characters(const char *text) {
  struct bytes view = bytes_of(text);
  view.len = utf8_valid_prefix(view);
  return view;
}

static void refuse(struct raft_routes *routes, struct http_exchange *exchange, int status, const char *code,
                   const char *extra, const char *text) {
  struct buffer *body = &routes->reply;
  buffer_clear(body);
  buffer_append_text(body, "{\"ok\":false,\"err_code\":\"");
  buffer_append_text(body, code);
  buffer_append_text(body, "\",\"err_msg\":");
  json_write_string(body, whole_characters(text));
  buffer_append_byte(body, '}');
  http_exchange_reply(exchange, status, json_type, bytes_of(extra), buffer_view(body));
}

static void refuse_stranger(struct raft_routes *routes, struct http_exchange *exchange, const struct dto *dto,
                            const char *why) {
  uint64_t now_ms = io_loop_now_ms(routes->loop);
  if (now_ms >= routes->stranger_log_ms) {
    routes->stranger_log_ms = now_ms + STRANGER_LOG_MS;
    LOG_WARN("raft", "sender_refused", LOG_STR("sender", dto->from), LOG_STR("why", why));
  }
  refuse(routes, exchange, 403, "forbidden", "", why);
}

/* ---- requests ---- */

static bool is_binary(const struct http_message *request) {
  struct bytes type;
  return http_header_find(request, "content-type", &type) && http_text_equal(type, DTO_BINARY_TYPE);
}

static void hand_over(struct raft_routes *routes, const struct dto *dto, bool json, struct http_exchange *exchange) {
  struct inbound *inbound = xmalloc(sizeof *inbound);
  *inbound = (struct inbound){exchange, dto->message.type, json};
  routes->inbound_count++;
  routes->events.request(routes->events.context, &dto->message, dto->entries, inbound);
}

static void take_request(struct raft_routes *routes, enum raft_message_type type, const struct http_message *request,
                         struct http_exchange *exchange) {
  bool json = !is_binary(request);
  struct dto dto;
  struct error err;
  enum status status = json ? dto_json_decode(request->body, type, &routes->json, &dto, &err)
                            : dto_binary_decode(request->body, type, &dto, &err);
  if (status != STATUS_OK) {
    refuse(routes, exchange, 400, err_code_name(ERR_BAD_REQUEST), "", err.text);
  } else if (dto_identify(&dto, routes->cluster, &err) != STATUS_OK) {
    refuse_stranger(routes, exchange, &dto, err.text);
  } else {
    hand_over(routes, &dto, json, exchange);
  }
  if (json) dto_json_scratch_shrink(&routes->json, SCRATCH_KEEP_BYTES);
}

bool raft_routes_match(struct bytes path) {
  return path.len >= sizeof prefix - 1 && memcmp(path.data, prefix, sizeof prefix - 1) == 0;
}

void raft_routes_handle(struct raft_routes *routes, const struct http_message *request,
                        struct http_exchange *exchange) {
  enum raft_message_type type;
  if (!dto_type_of_path(request->path, &type)) {
    refuse(routes, exchange, 404, err_code_name(ERR_NOT_FOUND), "", "path: no such route");
  } else if (request->method != HTTP_METHOD_POST) {
    refuse(routes, exchange, 405, err_code_name(ERR_METHOD_NOT_ALLOWED), "Allow: POST\r\n",
           "method: not one that this path has, see Allow");
  } else {
    take_request(routes, type, request, exchange);
  }
}

/* ---- the node's answers ---- */

static void reply_nothing(struct raft_routes *routes, const struct inbound *inbound) {
  if (!inbound->json) {
    http_exchange_reply(inbound->exchange, 204, NULL, bytes_make(NULL, 0), bytes_make(NULL, 0));
  } else if (inbound->type == RAFT_TIMEOUT_NOW) {
    http_exchange_reply(inbound->exchange, 200, json_type, bytes_make(NULL, 0), bytes_of("{\"ok\":true}"));
  } else {
    refuse(routes, inbound->exchange, 503, err_code_name(ERR_NOT_READY), "", "the node has no answer to this message");
  }
}

static void reply_message(struct raft_routes *routes, const struct inbound *inbound,
                          const struct raft_message *message) {
  struct dto dto;
  dto_fill(&dto, routes->cluster, message, bytes_make(NULL, 0));
  if (inbound->json) {
    CHECK(dto_json_encode(&dto, &routes->reply) == STATUS_OK); /* a reply has no entries */
  } else {
    dto_binary_encode(&dto, &routes->reply);
  }
  http_exchange_reply(inbound->exchange, 200, inbound->json ? json_type : DTO_BINARY_TYPE, bytes_make(NULL, 0),
                      buffer_view(&routes->reply));
}

void raft_routes_reply(struct raft_routes *routes, void *token, const struct raft_message *reply) {
  struct inbound *inbound = token;
  if (reply == NULL) {
    reply_nothing(routes, inbound);
  } else {
    const struct dto_shape *shape = dto_shape_of(inbound->type);
    CHECK(shape->has_reply && shape->reply == reply->type);
    reply_message(routes, inbound, reply);
  }
  routes->inbound_count--;
  free(inbound);
}

/* ---- life ---- */

struct raft_routes *raft_routes_create(struct io_loop *loop, const struct cluster *cluster,
                                       const struct raft_routes_events *events) {
  struct raft_routes *routes = xcalloc(1, sizeof *routes);
  routes->loop = loop;
  routes->cluster = cluster;
  routes->events = *events;
  dto_json_scratch_init(&routes->json);
  buffer_init(&routes->reply);
  return routes;
}

void raft_routes_destroy(struct raft_routes *routes) {
  CHECK(routes->inbound_count == 0);
  dto_json_scratch_deinit(&routes->json);
  buffer_deinit(&routes->reply);
  free(routes);
}
