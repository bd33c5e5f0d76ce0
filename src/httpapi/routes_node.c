/* What a node says of itself: /healthz, /livez, /readyz, /status, /metrics. Answered at once, whatever the log does. */
#include "httpapi/api.h"
#include "metrics/text.h"
#include "types/json.h"

static void append_text_field(struct buffer *out, const char *prefix, const char *value) {
  buffer_append_text(out, prefix);
  json_write_string(out, bytes_of(value));
}

static void append_number_field(struct buffer *out, const char *prefix, uint64_t value) {
  buffer_append_text(out, prefix);
  buffer_append_u64_decimal(out, value);
}

static void write_health(struct httpapi *api, struct http_exchange *exchange, const struct raft_status *raft,
                         const struct leader_hint *hint) {
  struct buffer *out = &api->reply;
  buffer_clear(out);
  append_text_field(out, "{\"ok\":true,\"id\":", api->config->id);
  append_text_field(out, ",\"role\":", raft->role);
  append_number_field(out, ",\"term\":", raft->term);
  append_text_field(out, ",\"leader_id\":", hint->leader_id);
  buffer_append_byte(out, '}');
  api_write_json(api, exchange, 200, 0, "", buffer_view(out));
}

void route_healthz(struct httpapi *api, const struct http_message *request, struct http_exchange *exchange) {
  struct raft_status raft;
  struct kvsm_stats stats;
  struct leader_hint hint;
  (void)request;
  dkv_status(api->dkv, &raft, &stats);
  dkv_leader_hint(api->dkv, &hint);
  write_health(api, exchange, &raft, &hint);
}

void route_readyz(struct httpapi *api, const struct http_message *request, struct http_exchange *exchange) {
  struct raft_status raft;
  struct kvsm_stats stats;
  struct leader_hint hint;
  (void)request;
  dkv_status(api->dkv, &raft, &stats);
  dkv_leader_hint(api->dkv, &hint);
  const char *not_ready = api->stopping ? "it is stopping" : raft.not_ready;
  if (not_ready == NULL && hint.leader_id[0] == '\0') not_ready = "no leader is known";
  if (not_ready == NULL)
    write_health(api, exchange, &raft, &hint);
  else
    api_write_error(api, exchange, ERR_NOT_READY, not_ready, 0, NULL, NULL);
}

static void append_raft(struct buffer *out, const struct raft_status *raft, const struct leader_hint *hint) {
  append_text_field(out, ",\"role\":", raft->role);
  append_number_field(out, ",\"term\":", raft->term);
  append_text_field(out, ",\"voted_for\":", raft->voted_for);
  append_text_field(out, ",\"leader_hint\":{\"leader_id\":", hint->leader_id);
  append_text_field(out, ",\"leader_addr\":", hint->leader_addr);
  append_number_field(out, "},\"commit_index\":", raft->commit_index);
  append_number_field(out, ",\"first_index\":", raft->first_index);
  append_number_field(out, ",\"last_index\":", raft->last_index);
  append_number_field(out, ",\"last_term\":", raft->last_term);
  append_number_field(out, ",\"snapshot_index\":", raft->snapshot_index);
  append_number_field(out, ",\"snapshot_term\":", raft->snapshot_term);
}

static void append_peers(struct buffer *out, const struct raft_status *raft) {
  buffer_append_text(out, ",\"peers\":{");
  for (uint32_t i = 0; i < raft->peers_count; i++) {
    const struct raft_peer_status *peer = &raft->peers[i];
    append_text_field(out, i == 0 ? "" : ",", peer->id);
    append_number_field(out, ":{\"match_index\":", peer->match_index);
    append_number_field(out, ",\"next_index\":", peer->next_index);
    append_number_field(out, ",\"inflight\":", peer->inflight);
    append_number_field(out, ",\"last_contact_ms\":", peer->last_contact_ms);
    buffer_append_byte(out, '}');
  }
  buffer_append_byte(out, '}');
}

/* last_applied and state_digest are of the same moment. */
static void append_state(struct buffer *out, const struct kvsm_stats *stats) {
  char digest[HASH128_HEX_CHARS + 1];
  hash128_hex(stats->digest, digest);
  append_number_field(out, ",\"last_applied\":", stats->last_applied);
  append_text_field(out, ",\"state_digest\":", digest);
  append_number_field(out, ",\"keys\":", stats->keys);
  append_number_field(out, ",\"clients\":", stats->clients);
}

void route_status(struct httpapi *api, const struct http_message *request, struct http_exchange *exchange) {
  struct raft_status raft;
  struct kvsm_stats stats;
  struct leader_hint hint;
  struct buffer *out = &api->reply;
  (void)request;
  dkv_status(api->dkv, &raft, &stats);
  dkv_leader_hint(api->dkv, &hint);
  buffer_clear(out);
  append_text_field(out, "{\"id\":", api->config->id);
  append_raft(out, &raft, &hint);
  append_state(out, &stats);
  append_peers(out, &raft);
  append_text_field(out, ",\"read_policy\":", read_policy_name(api->dkv->options.read_policy));
  append_number_field(out, ",\"uptime_ms\":", api->now_ms(api->now_context) - api->started_ms);
  append_text_field(out, ",\"version\":", api->config->version);
  buffer_append_byte(out, '}');
  api_write_json(api, exchange, 200, 0, "", buffer_view(out));
}

void route_metrics(struct httpapi *api, const struct http_message *request, struct http_exchange *exchange) {
  struct buffer *out = &api->reply;
  (void)request;
  buffer_clear(out);
  if (api->write_metrics != NULL) api->write_metrics(api->metrics_context, out);
  httpapi_write_metrics(api, out);
  api_write_text(exchange, METRICS_CONTENT_TYPE, buffer_view(out));
}
