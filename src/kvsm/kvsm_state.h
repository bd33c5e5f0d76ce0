/* Inside the state machine: one state (two tables, their digest, the index), and the record of a client.
 * Private to kvsm*.c. No locks here: a state belongs to its machine (under the mutex), or to the restore that builds
 * it.
 *
 * The digest is the sum modulo 2^128 of XXH3-128, with a seed, over
 *   each entry    the bytes of the key followed by those of the value    seed = 1 << 32 | bytes of the key
 *   each client   the bytes of the client_id followed by its record      seed = 2 << 32 | bytes of the client_id
 * so the seed tells the tables apart, and where the key ends. The map keeps key and value contiguous, so each is one
 * hash over memory as it lies. */
#ifndef KV_KVSM_KVSM_STATE_H
#define KV_KVSM_KVSM_STATE_H

#include "base/hash.h"
#include "base/list.h"
#include "kvsm/kvmap.h"
#include "kvsm/kvsm.h"
#include "types/result.h"

/* ---- the record of a client: what replies to its last command again ---- */

enum client_reply {
  CLIENT_REPLY_OK,      /* put, cas, mput */
  CLIENT_REPLY_DELETED, /* delete, mdelete */
  CLIENT_REPLY_CAS_FAILED
};

struct client_record {
  uint64_t last_seq;   /* 1 to 2^63-1 */
  uint64_t last_index; /* at which last_seq was applied */
  enum client_reply reply;
  uint64_t deleted; /* with CLIENT_REPLY_DELETED, else 0 */
};

/* Encoded, little endian: u64 last_seq | u64 last_index | u8 reply | u64 deleted. One size, so that most records are
 * overwritten in place. */
enum { CLIENT_RECORD_BYTES = 25 };

void client_record_encode(const struct client_record *record, uint8_t out[CLIENT_RECORD_BYTES]);
/* Of bytes that client_record_encode wrote. */
struct client_record client_record_decode(struct bytes encoded);
/* The reply of a result that uses up its seq. */
enum client_reply client_reply_of(const struct apply_result *result);
struct apply_result client_reply_result(enum client_reply reply, uint64_t deleted);

/* ---- one state ---- */

enum state_table { STATE_ENTRIES = 1, STATE_CLIENTS = 2 }; /* also the upper half of the digest's seed */

struct kvsm_state {
  struct list link;       /* of kvsm.retired, once replaced */
  struct kvmap *entries;  /* key -> value */
  struct kvmap *clients;  /* client_id -> encoded record */
  struct kvmap *by_index; /* last_index, big endian -> client_id: whom to forget first. Not part of snapshots */
  struct hash128 digest;  /* of entries and clients */
  uint64_t last_applied;
  uint64_t snapshots_count; /* live ones of this state */
};

struct kvsm_state *kvsm_state_create(void); /* returns owned */
void kvsm_state_destroy(struct kvsm_state *state);
/* Frees up to `steps_max` pieces that nobody sees any more; of a retired state without snapshots, everything. True
 * while there is more. */
bool kvsm_state_reclaim(struct kvsm_state *state, bool retired, size_t steps_max);

/* The only ways to change the two tables: they keep the digest. The cursor, and the old value if there is one, come
 * from kvmap_find. */
void kvsm_state_put(struct kvsm_state *state, enum state_table table, struct kvmap_cursor *cursor, struct bytes old,
                    struct bytes key, struct bytes value);
void kvsm_state_delete(struct kvsm_state *state, enum state_table table, struct kvmap_cursor *cursor, struct bytes old,
                       struct bytes key);
/* For a restore: the key is greater than all others of the table. */
void kvsm_state_append(struct kvsm_state *state, enum state_table table, struct bytes key, struct bytes value);

/* Keys of by_index. */
enum { INDEX_KEY_BYTES = 8 };
struct bytes kvsm_index_key(uint64_t index, uint8_t out[INDEX_KEY_BYTES]);

/* ---- the machine's side of snapshots and restores ---- */

struct kvsm_snapshot {
  struct kvsm_state *state; /* the owner's, for release; a writer does not touch it */
  struct kvmap_snapshot *entries;
  struct kvmap_snapshot *clients;
  struct hash128 digest;
  uint64_t index;
};

/* Replaces the state as a whole (takes `state`); the old one is retired. */
void kvsm_replace_state(struct kvsm *sm, struct kvsm_state *state);

#endif
