/* The write-ahead log on disk: the Raft log and the hard state as one ordered stream, in segment files.
 *
 * Files, in the directory wal/:
 *   SEQUENCE.wal   a segment; SEQUENCE is 16 lower-case hex digits, consecutive and rising
 *   spare-N.wal    zeros (or an earlier segment's bytes), waiting to become the next segment
 *   other names    refused: somebody else's directory
 *
 * A segment (all integers little endian):
 *   head, 512 bytes (one sector): "KVWAL" 0 0 1 | u64 life | u64 sequence | u64 previous_check | u64 first_index |
 *       u64 previous_term | u64 snapshot_index | u64 snapshot_term | u64 term | u8 voted_for (255: nobody) |
 *       u8 proven | zeros | u64 check = XXH3-64 of all before it
 *   batches, each at a multiple of 8, the first at 512; between and behind them, zeros or bytes of an earlier life.
 *
 *   life            64 random bits, new each time a file becomes a segment: a record of the file's earlier life carries
 *                   another one and never replays
 *   previous_check  the check of the last batch of the segment before; of its head when it has no batch; 0 for the
 *                   first segment ever. What lies behind that batch there was cut, and is ignored for good
 *   first_index     of the next entry to come: the log ends at first_index - 1 where the segment starts
 *   previous_term   the term of entry first_index - 1
 *   snapshot_*      the newest durable snapshot: entries up to it may be missing in the segments before
 *   term ...        the hard state where the segment starts: dropping the segments before must not drop term and vote
 *
 * A batch is what one job wrote, with one write and one fdatasync: u32 bytes (of the payload) | u32 tag (low half of
 *   life) | u64 previous (the check of the batch before; of the head, for the first) | u64 check | payload.
 *   check = XXH3-64, seeded by life, over bytes, tag, previous and payload.
 *   The payload is a sequence of records, each u8 type and then:
 *     1 hard state   u64 term | u8 voted_for | u8 proven
 *     2 entries      u64 first index | u32 count | that many entries as in raft/storage/entry.h. A first index at or
 *                    below the last one cuts the log there first
 *     3 cut          u64 index: entries from there on go
 *     4 snapshot     u64 index | u64 term: a durable snapshot covers entries up to there
 *     5 reset        u64 index | u64 term: the log is empty and ends at index, which a snapshot covers (an installed
 *                    one that the log did not match)
 *     6 seal         nothing more: a clean stop. The last record of the last batch
 *
 * Segments have `segment_bytes`, or more if the first batch needs more. They are filled with zeros ahead of time (a
 * growing file costs a journal commit per fdatasync, an overwritten block does not), by a worker, as spares; a segment
 * that is not needed any more becomes a spare.
 *
 * A job does, in this order, and stops at the first error, which is the node's end (except STATUS_DISK_FULL while
 * making a spare):
 *   1. when the batch does not fit: write the head of a spare, fdatasync it, rename it to the next SEQUENCE.wal, fsync
 *      the directory. A crash before the rename is durable leaves a spare; after it, a segment without batches;
 *   2. write the batch, fdatasync. A crash before that leaves none, all, or a torn one.
 *   Jobs run one at a time, so of all batches only the last may be torn.
 *
 * Recovery (wal_recover.c) reads the segments in order:
 *   - sequences without a gap, heads valid, each head's previous_check reached in the segment before it; else damage.
 *     A last segment whose head is invalid is damage, too: a head is durable before the name is.
 *   - in the last segment, batches up to the first that is not valid. If any offset behind it, at a multiple of 8,
 *     holds a batch of this life that is valid under the previous check that it names itself, it is damage: that batch
 *     was written after the invalid one had been synced. Else the invalid one is torn; it is cut as a whole, which is
 *     logged. Nothing may stand behind a seal.
 *   - a payload that contradicts itself (unknown type, cut short, index gap, a cut at or below the snapshot, a term
 *     that goes back) is damage in spite of its check.
 *   Damage is STATUS_CORRUPT with file, offset and advice. Rot in the very last batch of an unsealed log cannot be told
 *   from a torn one; it is cut.
 *   - it ends by starting a fresh segment (as in 1), whose previous_check names the last valid batch: what was cut
 *     cannot come back. Crash points: before the rename, the same recovery happens again; after it, the chain goes on.
 *
 * Segments wholly at or below the snapshot (the next segment's first_index - 1 <= snapshot index minus the tail that is
 * kept) become spares, oldest first, each rename followed by a directory fsync before the next one: a crash in between
 * leaves a consecutive rest. */
#ifndef KV_RAFT_STORAGE_WAL_FORMAT_H
#define KV_RAFT_STORAGE_WAL_FORMAT_H

#include "base/buffer.h"
#include "raft/core/raft.h"

enum {
  WAL_HEAD_BYTES = 512,
  WAL_BATCH_HEAD_BYTES = 24,
  WAL_ALIGN = 8,
  WAL_SEQUENCE_CHARS = 16,
  WAL_VERSION = 1
};

enum wal_record {
  WAL_HARD_STATE = 1,
  WAL_ENTRIES,
  WAL_CUT,
  WAL_SNAPSHOT,
  WAL_RESET,
  WAL_SEAL
};

struct wal_head {
  uint64_t life;
  uint64_t sequence;
  uint64_t previous_check;
  uint64_t first_index;
  uint64_t previous_term;
  uint64_t snapshot_index;
  uint64_t snapshot_term;
  struct raft_hard_state hard_state;
  uint64_t check; /* set by encode and decode */
};

struct wal_batch_head {
  uint32_t bytes; /* of the payload */
  uint64_t previous;
  uint64_t check;
};

void wal_head_encode(struct wal_head *head, uint8_t out[WAL_HEAD_BYTES]);
/* False when it is no valid head. STATUS-free: the caller knows file and offset. */
bool wal_head_decode(const uint8_t in[WAL_HEAD_BYTES], struct wal_head *head);

/* A batch under construction: room for its head, then records are appended, then it is closed: head filled in, padded
 * to WAL_ALIGN. Returns the check. */
void wal_batch_open(struct buffer *batch);
uint64_t wal_batch_close(struct buffer *batch, uint64_t life, uint64_t previous);

/* The batch at the front of `at` (the rest of a segment): false when it is none of this life, cut short, or its check
 * is wrong. The length is believed only within `at`. */
bool wal_batch_decode(struct bytes at, uint64_t life, struct wal_batch_head *head, struct bytes *payload);

#endif
