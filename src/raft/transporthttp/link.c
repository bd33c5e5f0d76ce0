/* The happy path: link_send() encodes into scratch, notes the request in the ring, hands it to the HTTP client; its
 * answer comes to on_answer() in the order of the requests, and goes to the node as a message.
 *
 * Failure modes, all one to the node: the peer cannot be reached, the connection breaks, an answer is late, refused
 * (403: misconfigured) or makes no sense. The first of them counts; until the backoff is over, whatever else fails
 * belongs to the same failure, and nothing is sent. */
#include "raft/transporthttp/link.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "base/prng.h"
#include "io/http_client.h"
#include "io/loop.h"
#include "raft/transporthttp/dto_binary.h"
#include "raft/transporthttp/dto_json.h"
#include "types/limits.h"

enum {
  REPLY_BYTES_MAX = 65536,
  SCRATCH_KEEP_BYTES = 65536 /* of the encoding buffer between messages */
};

struct sent {
  enum raft_message_type type;
  size_t bytes;
};

struct link {
  struct link_options options;
  struct link_events events;
  struct http_client *client;
  struct prng prng;
  struct buffer scratch; /* one encoded request */
  struct dto_json_scratch json;
  char address[264];                   /* this node's, for JSON */
  struct sent sent[HTTP_PIPELINE_MAX]; /* ring: in flight, oldest first */
  uint32_t sent_first;
  uint32_t sent_count;
  size_t sent_bytes;
  uint32_t failures; /* in a row */
  uint64_t retry_ms; /* loop time until which nothing is sent */
  bool closing;
};

/* ---- failures ---- */

static uint64_t backoff_ms(struct link *link) {
  uint64_t delay = LINK_BACKOFF_MIN_MS;
  for (uint32_t i = 1; i < link->failures && delay < LINK_BACKOFF_MAX_MS; i++)
    delay *= 2;
  return delay / 2 + 1 + prng_below(&link->prng, delay / 2);
}

static void fail(struct link *link, const char *why) {
  uint64_t now_ms = io_loop_now_ms(link->options.loop);
  if (link->closing || now_ms < link->retry_ms) return;
  const char *peer = link->options.cluster->members[link->options.peer].id;
  if (link->failures == 0) LOG_WARN("raft", "link_down", LOG_STR("peer", peer), LOG_STR("why", why));
  link->failures++;
  link->retry_ms = now_ms + backoff_ms(link);
  link->events.down(link->events.context, link->options.peer);
}

static void succeed(struct link *link) {
  if (link->failures == 0) return;
  link->failures = 0;
  link->retry_ms = 0;
  LOG_INFO("raft", "link_up", LOG_STR("peer", link->options.cluster->members[link->options.peer].id));
}

/* ---- answers ---- */

static enum status decode_reply(struct link *link, struct bytes body, enum raft_message_type type, struct dto *dto,
                                struct error *err) {
  const struct cluster *cluster = link->options.cluster;
  enum status status =
      link->options.json ? dto_json_decode(body, type, &link->json, dto, err) : dto_binary_decode(body, type, dto, err);
  if (status != STATUS_OK) return status;
  if (dto->from[0] == '\0') memcpy(dto->from, cluster->members[link->options.peer].id, sizeof dto->from);
  status = dto_identify(dto, cluster, err);
  if (status == STATUS_OK && dto->message.from != link->options.peer)
    status = error_set(err, STATUS_NOT_FOUND, "%s answers at this address", dto->from);
  return status;
}

static void take_reply(struct link *link, enum raft_message_type request, struct bytes body) {
  const struct dto_shape *shape = dto_shape_of(request);
  struct dto dto;
  struct error err;
  if (shape->has_reply && decode_reply(link, body, shape->reply, &dto, &err) != STATUS_OK) {
    fail(link, err.text);
    return;
  }
  succeed(link);
  if (shape->has_reply) link->events.reply(link->events.context, &dto.message);
}

/* 204 (503 in JSON): the peer is well and has nothing to say. */
static void on_answer(void *context, enum status status, const struct http_message *response, const char *why) {
  struct link *link = context;
  struct sent sent = link->sent[link->sent_first];
  link->sent_first = (link->sent_first + 1) % HTTP_PIPELINE_MAX;
  link->sent_count--;
  link->sent_bytes -= sent.bytes;
  if (status != STATUS_OK) {
    fail(link, why);
  } else if (response->status == 200) {
    take_reply(link, sent.type, response->body);
  } else if (response->status == 204 || (link->options.json && response->status == 503)) {
    succeed(link);
  } else {
    char text[48];
    snprintf(text, sizeof text, "refused with HTTP status %d", response->status);
    fail(link, text);
  }
}

/* ---- sending ---- */

static bool has_room(const struct link *link, size_t bytes) {
  if (link->sent_count == HTTP_PIPELINE_MAX) return false;
  return link->sent_count == 0 || link->sent_bytes + bytes <= LINK_INFLIGHT_BYTES_MAX;
}

static bool encode(struct link *link, const struct raft_message *message, struct bytes entries) {
  struct dto dto;
  dto_fill(&dto, link->options.cluster, message, entries);
  dto.from_address = link->address;
  if (link->options.json) return dto_json_encode(&dto, &link->scratch) == STATUS_OK;
  dto_binary_encode(&dto, &link->scratch);
  return true;
}

static void send_scratch(struct link *link, enum raft_message_type type) {
  static const char json_type[] = "Content-Type: application/json\r\n";
  static const char binary_type[] = "Content-Type: " DTO_BINARY_TYPE "\r\n";
  size_t bytes = link->scratch.len;
  uint64_t timeout_ms = link->options.timeout_ms + (link->sent_bytes + bytes) / LINK_BYTES_PER_MS_MIN;
  link->sent[(link->sent_first + link->sent_count) % HTTP_PIPELINE_MAX] = (struct sent){type, bytes};
  link->sent_count++;
  link->sent_bytes += bytes;
  enum status status = http_client_send(link->client, "POST", bytes_of(dto_shape_of(type)->path),
                                        bytes_of(link->options.json ? json_type : binary_type),
                                        buffer_view(&link->scratch), timeout_ms, on_answer, link);
  CHECK(status == STATUS_OK); /* the ring is as long as the client's pipeline */
}

void link_send(struct link *link, const struct raft_message *message, struct bytes entries) {
  if (io_loop_now_ms(link->options.loop) < link->retry_ms || !has_room(link, entries.len)) return;
  if (!encode(link, message, entries)) return;
  send_scratch(link, message->type);
  buffer_shrink(&link->scratch, SCRATCH_KEEP_BYTES);
}

void link_flush(struct link *link) {
  http_client_flush(link->client);
}

/* ---- life ---- */

struct link *link_create(const struct link_options *options, const struct link_events *events) {
  const struct cluster_member *peer = &options->cluster->members[options->peer];
  struct link *link = xcalloc(1, sizeof *link);
  link->options = *options;
  link->events = *events;
  link->client = http_client_create(options->loop, peer->host, peer->port, REPLY_BYTES_MAX);
  prng_init(&link->prng, options->seed);
  buffer_init(&link->scratch);
  dto_json_scratch_init(&link->json);
  cluster_address(options->cluster, options->cluster->self, link->address, sizeof link->address);
  return link;
}

void link_destroy(struct link *link) {
  link->closing = true;
  http_client_destroy(link->client);
  dto_json_scratch_deinit(&link->json);
  buffer_deinit(&link->scratch);
  free(link);
}
