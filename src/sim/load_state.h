/* The inside of the load, for load.c (the clients) and attempt.c (their requests at the nodes). */
#ifndef KV_SIM_LOAD_STATE_H
#define KV_SIM_LOAD_STATE_H

#include "sim/world_state.h"

/* What a client wants; read by each attempt. */
struct sim_operation {
  bool is_read;
  enum linear_kind kind;
  enum write_mode mode; /* of a write */
  uint64_t seq;         /* 0: a nameless client's */
  uint32_t keys[SIM_MGET_MAX];
  uint32_t keys_count;
  uint64_t value;    /* what it writes; a number that is written once */
  uint64_t expected; /* cas; 0: no value */
};

/* One request under way, in its own memory, since it may outlive the client's interest in it. */
struct sim_attempt {
  struct dkv_request request; /* first */
  struct sim_attempt *next_free;
  struct sim_attempt *next_all;
  struct sim_world *world;
  uint32_t client;
  uint64_t number; /* of the client's attempts */
  uint8_t node;
  struct sim_operation operation;
  uint64_t command;     /* a write: hash of its bytes */
  bool asks;            /* only for the outcome of op_id */
  struct op_id op_id;   /* an asynchronous write: out, or what is asked for */
  bool pending;         /* the answer to such a one: its outcome is not known yet */
  uint64_t acked_index; /* a read: what was acknowledged when it began */
  enum status status;   /* the answer, and what follows */
  uint8_t leader;       /* NOT_LEADER: who is */
  struct apply_result result;
  uint64_t saw[SIM_MGET_MAX];
};

struct sim_client {
  bool nameless;
  bool busy;        /* an operation is under way */
  uint64_t wake;    /* number of the event that wakes it; older ones are void */
  uint64_t attempt; /* number of the newest */
  uint64_t next_seq;
  uint8_t leader; /* where writes go first */
  struct sim_operation operation;
  bool asking; /* for the outcome of op_id, which `asked` has taken; `command` is the hash of its bytes */
  struct op_id op_id;
  uint8_t asked;
  uint64_t command;
  bool waiting; /* for an answer; else it pauses before the next attempt */
  uint64_t called_us;
  uint64_t seen[SIM_KEYS_MAX]; /* newest value of each key it knows of */
};

struct sim_clients {
  struct sim_load_options options;
  bool stopped;
  struct sim_client clients[SIM_CLIENTS_MAX];
  struct sim_attempt *attempts_free;
  struct sim_attempt *attempts_all; /* owned */
  uint64_t attempts_count;          /* under way */
  struct linear_op *history;        /* owned */
  size_t history_count, history_capacity;
  uint64_t next_value;
  uint64_t acked_writes;
  uint64_t async_writes; /* of those */
  uint64_t answered_reads;
  uint64_t operations;
  struct buffer scratch; /* bytes of a value */
  struct buffer command;
};

struct sim_attempt *sim_attempt_make(struct sim_world *world);
void sim_attempt_free(struct sim_attempt *attempt);
/* The answer leaves for the client. */
void sim_attempt_answer(struct sim_attempt *attempt, enum status status);

#endif
