/* Operations by hand in a simulated world: one request at one node, without retries, and what came of it. What their
 * calls are is in sim/world.h. */
#ifndef KV_SIM_MANUAL_H
#define KV_SIM_MANUAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "distributedkv/distributedkv.h"
#include "types/command.h"
#include "types/policy.h"
#include "types/result.h"

enum sim_request_kind { SIM_WRITE, SIM_GET, SIM_MGET, SIM_SCAN, SIM_OPERATION };

/* Borrowed until the call returns. */
struct sim_request {
  enum sim_request_kind kind;
  struct command command;   /* of a write; what is not valid is refused by the node */
  enum write_mode mode;     /* of a write */
  struct op_id op_id;       /* of an asynchronous write that is asked for */
  enum read_policy policy;  /* of a read, like what follows */
  uint64_t min_index;       /* 0: any */
  const struct bytes *keys; /* of a get, one; of a mget, one or more; of a scan, two: prefix and after, either may be
                               empty */
  size_t keys_count;
  size_t limit;         /* of a scan: 1 .. SCAN_LIMIT_MAX */
  uint64_t deadline_ms; /* from its arrival, by the node's clock; and by virtual time, nobody waits any longer */
};

enum sim_silence {
  SIM_ANSWERED,
  SIM_REFUSED, /* the node was down: nothing was done */
  SIM_BROKEN,  /* the node went down meanwhile */
  SIM_LATE     /* no answer in time: the node may still be at it */
};

struct sim_outcome {
  enum sim_silence silence;
  enum status status;         /* as DistributedKV said; without an answer CLOSED, or TIMEOUT for a late one */
  const char *why;            /* of STATUS_INVALID; static */
  struct apply_result result; /* of a synchronous write with STATUS_OK */
  struct op_id op_id;         /* of an asynchronous one with STATUS_OK, and of one that was asked for */
  enum op_found op_found;     /* of one that was asked for, as the next */
  struct op_result operation;
  uint64_t index;          /* of a write, or of what a read has seen; 0: unknown */
  struct leader_hint hint; /* with STATUS_NOT_LEADER */
  enum sim_request_kind kind;
  enum write_mode mode; /* of a write */
  /* What a read found. get, mget: per key in the order of the request u32 0 when there is none, else its length + 1 and
   * the value. scan: per entry u32 length and key, u32 length and value. Little endian. */
  struct bytes found;
  bool more; /* a scan: there are more entries behind these */
};

#endif
