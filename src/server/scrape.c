#include "server/scrape.h"

#include "base/log.h"
#include "metrics/text.h"
#include "raft/node.h"
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

static void write_elections(const struct raftnode_figures *raft, struct buffer *out) {
  metrics_counter(out, "kvserver_raft_elections_started_total", "Elections in which this node stood.",
                  raft->elections_started);
  metrics_counter(out, "kvserver_raft_elections_won_total", "Elections that it won.", raft->elections_won);
  metrics_counter(out, "kvserver_raft_leader_changes_total", "Times that another leader became known here.",
                  raft->leader_changes);
}

static void write_refused(const struct raftnode_figures *raft, struct buffer *out) {
  static const char name[] = "kvserver_raft_refused_total";
  const struct {
    const char *kind;
    const char *reason;
    uint64_t count;
  } rows[] = {{"write", "overloaded", raft->proposals_overloaded},
              {"write", "disk_full", raft->proposals_disk_full},
              {"read", "overloaded", raft->reads_overloaded}};
  metrics_family(out, name, METRIC_COUNTER, "Requests refused before anything was done.");
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    const struct metric_label labels[] = {{"kind", rows[i].kind}, {"reason", rows[i].reason}, {NULL, NULL}};
    metrics_value(out, name, labels, rows[i].count);
  }
}

static void write_work(const struct raftnode *node, struct buffer *out) {
  const struct raftnode_figures *raft = raftnode_figures(node);
  metrics_counter(out, "kvserver_raft_proposals_total", "Writes taken by this node as leader.", raft->proposals);
  metrics_counter(out, "kvserver_raft_applied_total", "Entries applied since the start.", raft->applied);
  write_refused(raft, out);
  metrics_gauge(out, "kvserver_raft_writes_waiting", "Writes whose outcome is still owed.",
                raftnode_writes_waiting(node));
  metrics_gauge(out, "kvserver_raft_reads_waiting", "Reads that wait for their index, or for it to be applied.",
                raftnode_reads_waiting(node));
  metrics_durations(out, "kvserver_raft_commit_duration_seconds",
                    "Leader only: from the append of an entry to its commit.", &raft->commit);
  metrics_durations(out, "kvserver_raft_apply_duration_seconds", "To apply one batch of committed entries.",
                    &raft->apply);
}

static void write_snapshots(const struct raftnode *node, struct buffer *out) {
  const struct raftnode_figures *raft = raftnode_figures(node);
  struct raftnode_snapshot_counts counts;
  raftnode_snapshot_counts(node, &counts);
  metrics_gauge(out, "kvserver_snapshot_bytes", "Size of the newest snapshot.", raftnode_snapshot_bytes(node));
  metrics_counter(out, "kvserver_snapshot_taken_total", "Snapshots that this node took.", counts.taken);
  metrics_counter(out, "kvserver_snapshot_received_total", "Snapshots of a leader that took the place of the state.",
                  counts.installed);
  metrics_counter(out, "kvserver_snapshot_sent_total", "Snapshots sent to another member, whole.", counts.sent);
  metrics_counter(out, "kvserver_snapshot_received_bytes_total", "Bytes of snapshots received.",
                  raft->snapshot_received_bytes);
  metrics_counter(out, "kvserver_snapshot_sent_bytes_total", "Bytes of snapshots sent.", raft->snapshot_sent_bytes);
  metrics_durations(out, "kvserver_snapshot_duration_seconds", "To take a snapshot and put it on disk.",
                    &raft->snapshot);
}

/* ---- the log on disk, and the loop ---- */

static void write_log(const struct wal_figures *log, struct buffer *out) {
  metrics_counter(out, "kvserver_wal_batches_total", "Batches written to the log, each with one fdatasync.",
                  log->batches);
  metrics_counter(out, "kvserver_wal_written_bytes_total", "Bytes written to the log.", log->bytes);
  metrics_counter(out, "kvserver_wal_segments_total", "Segments of the log started.", log->segments);
  metrics_durations(out, "kvserver_wal_append_duration_seconds", "To write and sync one batch.", &log->append);
  metrics_durations(out, "kvserver_wal_fsync_duration_seconds", "One fdatasync of the log.", &log->sync);
}

static void write_process(const struct scrape *scrape, struct buffer *out) {
  metrics_durations(out, "kvserver_loop_turn_duration_seconds", "A turn of the event loop, without its waiting.",
                    io_loop_turns(scrape->loop));
  metrics_counter(out, "kvserver_log_lines_dropped_total", "Lines of the log that stderr did not take.",
                  log_dropped_total());
  metrics_counter(out, "kvserver_log_lines_suppressed_total", "Lines of the log left out of bursts of one event.",
                  log_suppressed_total());
  process_figures_write(out);
}

static void write_raft(const struct scrape *scrape, struct buffer *out) {
  struct raft_status raft;
  struct kvsm_stats state;
  struct leader_hint leader;
  dkv_status(scrape->dkv, &raft, &state);
  dkv_leader_hint(scrape->dkv, &leader);
  bool leader_known = leader.leader_id[0] != '\0';
  metrics_gauge(out, "kvserver_ready", "1 when /readyz says 200.",
                leader_known && raft.unready == NULL && !scrape->stopping);
  write_role(&raft, leader_known, out);
  write_indices(&raft, out);
  write_peers(&raft, out);
  metrics_gauge(out, "kvserver_state_keys", "Keys in the state.", state.keys);
  metrics_gauge(out, "kvserver_state_bytes", "Bytes of all keys and values in the state.", state.bytes);
  metrics_gauge(out, "kvserver_state_clients", "Clients whose last request the state remembers.", state.clients);
}

static void write_operations(struct distributedkv *dkv, struct buffer *out) {
  static const char name[] = "kvserver_async_operations";
  const struct metric_label pending[] = {{"state", "pending"}, {NULL, NULL}};
  const struct metric_label finished[] = {{"state", "finished"}, {NULL, NULL}};
  struct opcache_stats operations;
  dkv_operations(dkv, &operations);
  metrics_family(out, name, METRIC_GAUGE, "Asynchronous writes in memory: those without an outcome, and results.");
  metrics_value(out, name, pending, operations.pending);
  metrics_value(out, name, finished, operations.finished);
  metrics_gauge(out, "kvserver_async_operations_bytes", "Memory of these.", operations.bytes);
  metrics_counter(out, "kvserver_async_operations_taken_total", "Asynchronous writes that were taken.",
                  operations.taken - operations.released);
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
  write_operations(scrape->dkv, out);
  const struct wal_figures *log = scrape->storage != NULL ? storage_figures(scrape->storage) : NULL;
  if (scrape->member != NULL) {
    const struct raftnode *node = member_node(scrape->member);
    write_elections(raftnode_figures(node), out);
    write_work(node, out);
    write_snapshots(node, out);
  }
  if (log != NULL) write_log(log, out);
  write_connections(scrape, out);
  write_process(scrape, out);
}
