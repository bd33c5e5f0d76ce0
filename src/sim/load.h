/* The clients of a simulated world: what they do, how they retry, and what they saw. A client has one operation under
 * way; an operation is sent in attempts, each to one node. A definite refusal (not the leader, no leader, overloaded)
 * sends it elsewhere after a pause; after an unknown end a client with an id retries the same seq elsewhere until it
 * has a definite answer, one without gives up and counts the operation as unknown. The outcome of an asynchronous write
 * is asked for at the node that took it, until it is known; when that node cannot tell, that is an unknown end. */
#ifndef KV_SIM_LOAD_H
#define KV_SIM_LOAD_H

#include <stdbool.h>
#include <stdint.h>

enum { SIM_CLIENTS_MAX = 64, SIM_KEYS_MAX = 256, SIM_MGET_MAX = 4, SIM_VALUE_BYTES_MAX = 16384 };

/* Weights of operations; a weight is a share of their sum. */
struct sim_mix_weights {
  uint32_t put, get, cas, del, mget;
};

struct sim_load_options {
  uint32_t clients_count;   /* 1 .. SIM_CLIENTS_MAX */
  uint32_t nameless_count;  /* of them without client id: their writes are not retried */
  uint32_t keys_count;      /* 1 .. SIM_KEYS_MAX */
  uint32_t think_us;        /* pause between operations: 0 .. 2 * think_us */
  uint32_t timeout_ms;      /* of one attempt at the node; the client waits half as long or up to twice as long */
  uint32_t async_ppm;       /* of the writes are asynchronous */
  uint32_t value_bytes_max; /* 8 .. SIM_VALUE_BYTES_MAX */
  struct sim_mix_weights mix;
};

struct sim_load_options sim_load_default(void);

#endif
