/* The replicated state machine: keys and values, and the dedupe table (seed: KVStateMachine).
 *
 * Deterministic: no time, randomness, I/O, hash order or pointer order; the same commands at the same indices give the
 * same state, digest and snapshot bytes on every node. A mutex guards it (seed: mu), so any thread may call; in a node
 * only the loop does. Values are bytes; keys are UTF-8 without NUL.
 *
 * Dedupe: with a client_id and seq != 0, a seq at or below the client's last one returns the stored reply and changes
 * nothing; else the reply is stored with the seq and the index. A bad_request is not stored (does not use up the seq);
 * cas_failed is. At most DEDUPE_CLIENTS_MAX clients: beyond, the one with the smallest last-applied index is forgotten.
 */
#ifndef KV_KVSM_KVSM_H
#define KV_KVSM_KVSM_H

#include "base/buffer.h"
#include "base/hash.h"
#include "base/status.h"
#include "kvsm/kvmap.h"
#include "types/command.h"
#include "types/result.h"

struct kvsm;

struct kvsm *kvsm_create(void); /* returns owned; index 0, empty */
void kvsm_destroy(struct kvsm *sm);

/* For specs only: a smaller bound of the dedupe table (a node never changes it). */
void kvsm_set_clients_max(struct kvsm *sm, uint64_t clients_max);

/* Applies a command at `index`, which must be greater than the last one (CHECKed). Borrows `command`. */
struct apply_result kvsm_apply(struct kvsm *sm, uint64_t index, const struct command *command);
/* Moves last_applied without a command (a leader's no-op). */
void kvsm_apply_noop(struct kvsm *sm, uint64_t index);

/* Appends the value to `out`; false when there is no such key. */
bool kvsm_get(struct kvsm *sm, struct bytes key, struct buffer *out);
/* Calls `found` under the lock for each of the keys that exist, in the order given. Views are borrowed until it
 * returns. */
typedef void kvsm_found(void *context, struct bytes key, struct bytes value);
void kvsm_mget(struct kvsm *sm, const struct bytes *keys, size_t keys_count, kvsm_found *found, void *context);
/* Calls `found` for keys that start with `prefix` and are > `after` (all when `after` is empty), in byte order, at most
 * `limit` of them and not so many that their key and value bytes exceed `bytes_max` (but at least one).
 * Returns whether more follow. */
bool kvsm_scan(struct kvsm *sm, struct bytes prefix, struct bytes after, size_t limit, size_t bytes_max,
               kvsm_found *found, void *context);

/* The client's last seq; false when it is unknown. */
bool kvsm_last_seen(struct kvsm *sm, struct bytes client_id, uint64_t *seq);

/* What the dedupe table knows of a client: its last seq, where that was applied, and the reply it would get again. */
struct kvsm_client {
  struct bytes client_id; /* borrowed until the visitor returns */
  uint64_t last_seq;
  uint64_t last_index;
  struct apply_result reply;
};
/* Calls `found` under the lock for clients whose id starts with `prefix`, in byte order, at most `limit` of them.
 * Returns whether more follow. */
typedef void kvsm_found_client(void *context, const struct kvsm_client *client);
bool kvsm_clients(struct kvsm *sm, struct bytes prefix, size_t limit, kvsm_found_client *found, void *context);

/* Numbers that describe one moment. */
struct kvsm_stats {
  uint64_t last_applied;
  uint64_t keys;
  uint64_t clients;
  uint64_t bytes;        /* key and value bytes */
  struct hash128 digest; /* of exactly that moment */
};
void kvsm_stats(struct kvsm *sm, struct kvsm_stats *out);

/* ---- snapshots (CONTRACT.md section 3): stable JSON Lines, see kvsm/kvsm_snapshot.c for the format ---- */

struct kvsm_snapshot; /* an immutable view of one moment */

/* O(1). Returns owned; give back with kvsm_snapshot_release. */
struct kvsm_snapshot *kvsm_snapshot_take(struct kvsm *sm);
void kvsm_snapshot_release(struct kvsm *sm, struct kvsm_snapshot *snapshot);
uint64_t kvsm_snapshot_index(const struct kvsm_snapshot *snapshot);

/* Writes the snapshot's bytes in order, in chunks of at most 256 KiB, to `sink`; may run on any thread while applies go
 * on. Stops with the sink's status when that is not STATUS_OK. Memory is bounded by one chunk and one entry. */
typedef enum status kvsm_sink(void *context, struct bytes chunk);
enum status kvsm_snapshot_write(const struct kvsm_snapshot *snapshot, kvsm_sink *sink, void *context);

/* A restore under construction: a new state that nobody sees yet. Any one thread. */
struct kvsm_restore;
struct kvsm_restore *kvsm_restore_begin(void); /* returns owned */
/* Feeds the next bytes, in pieces of any size. STATUS_CORRUPT with a message that names the line ("line 17: ...");
 * after an error only _abort is legal. */
enum status kvsm_restore_feed(struct kvsm_restore *restore, struct bytes chunk, struct error *err);
/* Checks that the trailer came and agrees (counts, digest), then replaces the state of `sm` as a whole: takes `restore`
 * in every case; on error `sm` is as before. The old state is freed in bounded steps by kvsm_reclaim. */
enum status kvsm_restore_finish(struct kvsm_restore *restore, struct kvsm *sm, struct error *err);
void kvsm_restore_abort(struct kvsm_restore *restore); /* takes */
/* The trailer came and agreed: _finish will succeed. */
bool kvsm_restore_complete(const struct kvsm_restore *restore);
/* That of the header; 0 until it came. */
uint64_t kvsm_restore_index(const struct kvsm_restore *restore);

/* Frees about `steps_max` pieces (entries, nodes) of what released snapshots and restores left behind; true while there
 * is more to do now. Deletes and overwrites that no snapshot sees are freed at once. */
bool kvsm_reclaim(struct kvsm *sm, size_t steps_max);

#endif
