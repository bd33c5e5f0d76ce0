/* What happened in a simulated world: each record is folded into a digest of everything so far, and the newest ones are
 * kept, to be read when a check has failed. Equal digests mean equal histories. One thread. */
#ifndef KV_SIM_TRACE_H
#define KV_SIM_TRACE_H

#include "base/buffer.h"
#include "raft/core/message.h"

enum { SIM_TRACE_RECORDS = 4096, SIM_TRACE_RECORDS_MAX = 1 << 24 };
enum { SIM_MESSAGE_TYPES = RAFT_INSTALL_REPLY + 1 }; /* where a type of message is asked for: any */

enum sim_trace_kind {
  SIM_TRACE_MESSAGE, /* received; `what` is the message's type */
  SIM_TRACE_SYNCED,
  SIM_TRACE_TURN,
  SIM_TRACE_PEER_DOWN,
  SIM_TRACE_REQUEST,
  SIM_TRACE_RESPONSE,
  SIM_TRACE_STATE, /* a node's role, term or leader changed */
  SIM_TRACE_COMMIT,
  SIM_TRACE_FAULT /* `what` is an enum sim_fault */
};

struct sim_trace_record {
  uint64_t at_us;
  uint64_t event; /* the number of the event that it belongs to, or came behind; no part of the digest */
  uint8_t kind;
  uint8_t what;
  uint8_t node;
  uint8_t peer;        /* RAFT_NODE_NONE: none */
  uint64_t numbers[4]; /* as the kind says: trace.c */
};

struct sim_trace {
  uint64_t low, high;               /* the digest */
  uint64_t event;                   /* that happens, or did last */
  uint64_t count;                   /* records ever */
  struct sim_trace_record *records; /* owned; a ring */
  size_t capacity;                  /* of the ring: SIM_TRACE_RECORDS, or as sim_trace_keep says */
};

void sim_trace_init(struct sim_trace *trace);
void sim_trace_deinit(struct sim_trace *trace);
/* From now on so many records are kept: SIM_TRACE_RECORDS .. SIM_TRACE_RECORDS_MAX, and not less than before. */
void sim_trace_keep(struct sim_trace *trace, size_t records);
uint64_t sim_trace_kept(const struct sim_trace *trace); /* how many of `count` are still there */
void sim_trace_add(struct sim_trace *trace, const struct sim_trace_record *record);
/* Folds numbers into the digest only. */
void sim_trace_fold(struct sim_trace *trace, uint64_t a, uint64_t b);
const char *sim_message_name(uint32_t type); /* an enum raft_message_type: "append", "vote_reply", ...; static */
/* A received message as a record. */
struct sim_trace_record sim_trace_message(uint64_t at_us, const struct raft_message *message);
/* Record `number`, from 1; borrowed until the next one. NULL: it is gone, or there is none yet. */
const struct sim_trace_record *sim_trace_record_at(const struct sim_trace *trace, uint64_t number);
/* "append", "turn", "crash", ...: of a fault, which one; static. */
const char *sim_trace_record_name(const struct sim_trace_record *record);
/* Appends it without its time, such as "n2 <- n1 append term=1 prev=7 entries=1 commit=7". */
void sim_trace_record_text(const struct sim_trace_record *record, struct buffer *out);
/* Appends the newest `records_max` records, a line each, oldest first. */
void sim_trace_text(const struct sim_trace *trace, size_t records_max, struct buffer *out);

#endif
