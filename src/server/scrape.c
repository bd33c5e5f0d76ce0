#include "server/scrape.h"

#include "base/log.h"
#include "metrics/text.h"
#include "server/process_figures.h"

#include <string.h>

enum { US_PER_MS = 1000 };

static void write_build(const struct config *config, struct buffer *out) {
  const struct metric_label version[] = {{"version", config->version}, {NULL, NULL}};
  const struct metric_label id[] = {{"id", config->id}, {NULL, NULL}};
  metrics_family(out, "kvserver_build_info", METRIC_GAUGE, "1; which version this is.");
  metrics_value(out, "kvserver_build_info", version, 1);
  metrics_family(out, "kvserver_node_info", METRIC_GAUGE, "1; which node this is.");
  metrics_value(out, "kvserver_node_info", id, 1);
}

/* ---- Raft ---- */

static void write_role(const struct raft_status *raft, bool leader_known, struct buffer *out) {
  static const char *const roles[] = {"leader", "follower", "candidate"};
  metrics_family(out, "kvserver_raft_role", METRIC_GAUGE, "1 for the role that this node has, 0 for the others.");
  for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
    const struct metric_label labels[] = {{"role", roles[i]}, {NULL, NULL}};
    metrics_value(out, "kvserver_raft_role", labels, strcmp(raft->role, roles[i]) == 0);
  }
  metrics_gauge(out, "kvserver_raft_leader_known", "1 when this node knows a leader.", leader_known);
  metrics_gauge(out, "kvserver_raft_ready", "1 when /readyz says 200.", leader_known && raft->not_ready == NULL);
}

static void write_indices(const struct raft_status *raft, struct buffer *out) {
  metrics_gauge(out, "kvserver_raft_term", "Current term.", raft->term);
  metrics_gauge(out, "kvserver_raft_commit_index", "Last entry known to be committed.", raft->commit_index);
  metrics_gauge(out, "kvserver_raft_applied_index", "Last entry applied to the state.", raft->last_applied);
  metrics_gauge(out, "kvserver_raft_first_index", "First entry that the log still holds.", raft->first_index);
  metrics_gauge(out, "kvserver_raft_last_index", "Last entry of the log.", raft->last_index);
  metrics_gauge(out, "kvserver_raft_snapshot_index", "Last entry that the newest snapshot covers.",
                raft->snapshot_index);
}

/* A follower knows nothing of the others. */
static void write_peers(const struct raft_status *raft, struct buffer *out) {
  static const char lag[] = "kvserver_raft_peer_match_lag_entries";
  static const char contact[] = "kvserver_raft_peer_last_contact_seconds";
  if (raft->peers_count == 0) return;
  metrics_family(out, lag, METRIC_GAUGE, "Leader only: entries of its log not known to be durable at that member.");
  for (uint32_t i = 0; i < raft->peers_count; i++) {
    const struct metric_label labels[] = {{"peer", raft->peers[i].id}, {NULL, NULL}};
    metrics_value(out, lag, labels, raft->last_index - raft->peers[i].match_index);
  }
  metrics_family(out, contact, METRIC_GAUGE, "Leader only: since the last answer of that member.");
  for (uint32_t i = 0; i < raft->peers_count; i++) {
    const struct metric_label labels[] = {{"peer", raft->peers[i].id}, {NULL, NULL}};
    metrics_seconds(out, contact, labels, raft->peers[i].last_contact_ms * US_PER_MS);
  }
}

static void write_raft(const struct scrape *scrape, struct buffer *out) {
  struct raft_status raft;
  struct kvsm_stats state;
  struct leader_hint leader;
  dkv_status(scrape->dkv, &raft, &state);
  dkv_leader_hint(scrape->dkv, &leader);
  write_role(&raft, leader.leader_id[0] != '\0', out);
  write_indices(&raft, out);
  write_peers(&raft, out);
  metrics_gauge(out, "kvserver_state_keys", "Keys in the state.", state.keys);
  metrics_gauge(out, "kvserver_state_bytes", "Bytes of all keys and values in the state.", state.bytes);
  metrics_gauge(out, "kvserver_state_clients", "Clients whose last request the state remembers.", state.clients);
}

/* ---- HTTP ---- */

static void write_connections(const struct scrape *scrape, struct buffer *out) {
  metrics_gauge(out, "kvserver_http_connections", "Open connections.", http_server_connections(scrape->http));
  metrics_gauge(out, "kvserver_http_connections_max", "Connections that clients may have open.",
                scrape->config->connections_max);
  metrics_counter(out, "kvserver_http_connections_accepted_total", "Connections that were let in.",
                  http_server_accepted(scrape->http));
  metrics_counter(out, "kvserver_http_connections_refused_total", "Connections beyond the limit, answered 503.",
                  http_server_refused(scrape->http));
}

void scrape_write(const struct scrape *scrape, struct buffer *out) {
  write_build(scrape->config, out);
  write_raft(scrape, out);
  write_connections(scrape, out);
  process_figures_write(out);
}
