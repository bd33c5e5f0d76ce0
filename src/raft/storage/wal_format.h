/* The write-ahead log on disk: the Raft log and the hard state as one ordered stream, in segment files.
 *
 * Files, in the directory wal/:
 *   SEQUENCE.wal   a segment; SEQUENCE is 16 lower-case hex digits, consecutive and rising, the first ever is 1
 *   spare-N.wal    zeros (or an earlier segment's bytes), durable, waiting to become the next segment
 *   filling-N.tmp  a spare while it is being filled; recovery removes it
 *   other names    refused: somebody else's directory
 *
 * A segment (all integers little endian):
 *   head, 512 bytes (one sector): "KVWAL" 0 0 1 | u64 life | u64 sequence | u64 previous_check | u64 last_index |
 *       u64 last_term | u64 snapshot_index | u64 snapshot_term | u64 term | u8 voted_for (255: nobody) | u8 proven |
 *       zeros | u64 check = XXH3-64 of all before it
 *   batches, each at a multiple of 8, the first at 512; between and behind them, zeros or bytes of an earlier life.
 *
 *   life            64 bits, new each time a file becomes a segment: a record of the file's earlier life carries
 *                   another one and never replays. A hash of a random draw, the sequence and previous_check: even a
 *                   process that draws what an earlier one drew (a fixed seed) never has a life twice. Its low half,
 *                   the tag of batches, is not 0, so that zeros are no batch
 *   previous_check  the check of the last batch of the segment before; of its head when it has no batch; 0 for the
 *                   first segment ever. What lies behind that batch there was cut, and is ignored for good
 *   last_index      where the log ends as the segment starts; last_term is that entry's
 *   snapshot_*      the newest durable snapshot: entries up to it may be missing in the segments before
 *   term ...        the hard state as the segment starts: dropping the segments before must not drop term and vote
 *
 * A batch is what one job wrote, with one write and one fdatasync: u64 check | u32 bytes (of the payload, not 0) |
 *   u32 tag | u64 previous (the check of the batch before; of the head, for the first) | payload | zeros up to a
 *   multiple of 8. check = XXH3-64, seeded by life, from `bytes` to the end of the payload.
 *   The payload is a sequence of records, each u8 type and then:
 *     1 hard state   u64 term | u8 voted_for | u8 proven
 *     2 entries      u64 first index | u64 term of the entry before | u32 count | that many entries as in
 *                    raft/storage/entry.h. The log is first cut to end before `first`; count 0 only cuts. The term lets
 *                    a reader follow a cut without the entries, which may be in segments that are gone
 *     3 snapshot     u64 index | u64 term: a durable snapshot covers entries up to there
 *     4 reset        u64 index | u64 term: the log is empty and ends at index, which a durable snapshot covers (an
 *                    installed one that the log did not match)
 *     5 seal         nothing more: a clean stop. Alone in its batch, the last one: so every batch of records has a
 * valid one behind it, and damage in any of them shows
 *
 * Segments have `segment_bytes`, or more if one batch needs more; the first of a directory may have less. They are
 * filled with zeros ahead of time (a growing file costs a journal commit per fdatasync, an overwritten block does not),
 * by a worker, as spares; a segment that is not needed any more becomes a spare. A batch is never written beyond the
 * filled bytes: a full disk shows while a spare is made, when nothing depends on it yet.
 *
 * A spare is made like this: create filling-N.tmp, write zeros and fdatasync, piece by piece; rename to spare-N.wal. No
 * directory fsync: the one of the job that uses it covers it. (These fdatasyncs are for speed: that of a job is not to
 * wait for a whole file of zeros. Every other one in this directory is for safety.)
 *
 * A job does, in this order, and stops at the first error, which is the node's end:
 *   - when the batch fits: write it, fdatasync. A crash before that leaves none, all, or a torn one;
 *   - when it does not: write a head and the batch into a spare, fdatasync it, rename it to the next SEQUENCE.wal,
 * fsync the directory. A crash before the rename is durable leaves a spare; after it, a whole segment. Jobs run one at
 * a time, so of all batches only the last may be torn, and only in the last segment.
 *
 * Recovery (wal_recover.c, which only reads) goes through the segments in order:
 *   - sequences without a gap, heads valid, each head's previous_check reached in the segment before it, and its state
 *     equal to the one there; else damage. A last segment whose head is invalid is damage, too: a head is durable
 *     before the name is.
 *   - in the last segment, batches up to the first that is not valid. If it or any offset behind it, at a multiple of
 *     8, holds a batch of this life that is valid under the previous check that it names itself, it is damage: that
 *     batch was written after the invalid one had been synced. Else, what is there of this life is torn; it is cut as a
 *     whole, which is logged. Nothing may stand behind a seal.
 *   - a payload that contradicts itself or the state before it (unknown type, cut short, a gap, a cut at or below the
 *     snapshot, a term that goes back) is damage in spite of its check.
 *   - the first segment may not start behind what the newest snapshot covers: entries between would be missing.
 *   Damage is STATUS_CORRUPT with file, offset and advice. Rot in the very last batch of an unsealed log cannot be told
 *   from a torn one; it is cut.
 * Then wal_open makes what was read the truth, before anything is built on it: it fsyncs the directory, and starts a
 * fresh segment as a job does, with a copy of the last batch, and with a previous_check that names the batch before
 * that one.
 *   - After a kill, the name of a spare may not be on the disk yet, where it is still a segment: writing into it before
 *     that fsync would be damage to that segment after the next power cut.
 *   - After a kill, or a fdatasync that failed, the last batch may have been read from the page cache without being on
 *     the disk, and a second fdatasync could lie about it; a head that names it would be damage after the next power
 * cut. The batch before it was synced, for a job was begun after it. A seal is not copied.
 *   - What was cut cannot come back: it is behind what previous_check names.
 *   - Crash points: before the rename, the same recovery happens again; after it, the chain goes on.
 *   - A spare with the head of a segment to come is removed first: the fdatasync that failed may have been its own.
 *   - Last, it truncates the segment before to what counts there, so that many starts do not cost a whole segment each.
 *     If a crash undoes this, nothing is lost.
 *
 * Segments wholly at or below the truncated prefix (the next one's last_index <= what the owner truncated, and <= a
 * durable snapshot record) become spares, or are removed, oldest first, each followed by a directory fsync before the
 * next one, and before its bytes are used again: a crash in between leaves a consecutive rest. Truncating a prefix is
 * no record: entries of segments that are left come back after a restart. */
#ifndef KV_RAFT_STORAGE_WAL_FORMAT_H
#define KV_RAFT_STORAGE_WAL_FORMAT_H

#include "base/buffer.h"
#include "raft/core/raft.h"
#include "raft/storage/entry.h"

enum {
  WAL_HEAD_BYTES = 512,
  WAL_BATCH_HEAD_BYTES = 24,
  WAL_ALIGN = 8,
  WAL_ENTRIES_HEAD_BYTES = 21, /* of a record of entries, before the first */
  WAL_VERSION = 1,
  WAL_SEGMENT_BYTES_MAX = 1 << 30 /* a larger file is no segment */
};

enum wal_record_type { WAL_HARD_STATE = 1, WAL_ENTRIES, WAL_SNAPSHOT, WAL_RESET, WAL_SEAL };

/* Where the stream stands: what all records up to a place make. */
struct wal_state {
  uint64_t last_index;
  uint64_t last_term;
  uint64_t snapshot_index; /* 0: none */
  uint64_t snapshot_term;
  struct raft_hard_state hard_state;
};

struct wal_head {
  uint64_t life;
  uint64_t sequence;
  uint64_t previous_check;
  struct wal_state start;
  uint64_t check; /* set by encode and decode */
};

struct wal_record {
  enum wal_record_type type;
  uint64_t index;                    /* ENTRIES: of the first; SNAPSHOT, RESET */
  uint64_t term;                     /* ENTRIES: of the entry before the first; SNAPSHOT, RESET */
  uint32_t count;                    /* ENTRIES */
  struct bytes entries;              /* ENTRIES, encoded; borrows from the payload */
  struct raft_hard_state hard_state; /* HARD_STATE */
};

static inline uint64_t wal_align(uint64_t bytes) {
  return (bytes + WAL_ALIGN - 1) / WAL_ALIGN * WAL_ALIGN;
}

bool wal_state_equal(const struct wal_state *a, const struct wal_state *b);

/* ---- heads ---- */

/* Draws are mixed with what makes this segment unique; see `life` above. */
uint64_t wal_life(uint64_t random, uint64_t sequence, uint64_t previous_check);
void wal_head_encode(struct wal_head *head, uint8_t out[WAL_HEAD_BYTES]);
/* False when `in` is no head. */
bool wal_head_decode(const uint8_t in[WAL_HEAD_BYTES], struct wal_head *head);

/* ---- batches ---- */

/* A batch under construction: room for its head; then records are appended; then it is padded (its length is then a
 * multiple of WAL_ALIGN, and its address stays), and closed: the head is filled in. */
void wal_batch_open(struct buffer *batch);
/* Returns the bytes of the payload. */
uint32_t wal_batch_pad(struct buffer *batch);
/* Returns the check. */
uint64_t wal_batch_close(struct buffer *batch, uint32_t payload_bytes, uint64_t life, uint64_t previous);

struct wal_batch_head {
  uint64_t check;
  uint64_t previous;
  struct bytes payload; /* borrows */
};
/* How long a batch of this life would be, padding not included, by its head; 0: it is none. Anything up to 4 GiB. */
uint64_t wal_batch_bytes(const uint8_t head[WAL_BATCH_HEAD_BYTES], uint64_t life);
/* The batch at the front of `at`: false when it is none of this life, cut short, or its check is wrong. */
bool wal_batch_decode(struct bytes at, uint64_t life, struct wal_batch_head *out);
/* For an invalid batch: how many bytes it claims, padded, when its head shows that it belongs to this life or behind a
 * batch with check `previous`; 0: nothing is here. */
uint64_t wal_batch_claims(struct bytes at, uint64_t life, uint64_t previous);

/* ---- records ---- */

void wal_put_hard_state(struct buffer *batch, const struct raft_hard_state *state);
/* The head of a record of `count` entries; then follow the entries (log_entry_encode). */
void wal_put_entries_head(struct buffer *batch, uint64_t first, uint64_t term_before, uint32_t count);
void wal_put_mark(struct buffer *batch, enum wal_record_type type, uint64_t index, uint64_t term);
void wal_put_seal(struct buffer *batch);

/* Takes the next record off the front of `payload`. False when there is none or it is malformed; `payload` is then
 * where it was. */
bool wal_record_next(struct bytes *payload, struct wal_record *record);
/* Brings `state` behind the record. NULL, or what is wrong (static text; `state` is then half changed). */
const char *wal_state_apply(struct wal_state *state, const struct wal_record *record);

#endif
