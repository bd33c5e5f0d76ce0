/* The configuration of one node, checked and complete. Lua (lua/kvserver/config.lua) makes it from flags and file; C
 * only reads it. Defaults and ranges stand in the option table of lua/kvserver/options.lua. */
#ifndef KV_TYPES_CONFIG_H
#define KV_TYPES_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "types/limits.h"
#include "types/policy.h"

enum { ADDRESS_BYTES_MAX = 255, VERSION_BYTES_MAX = 31, DATA_PATH_BYTES_MAX = 4095 };

/* A member of the cluster and where the others reach it. */
struct config_member {
  char id[NODE_ID_BYTES_MAX + 1];
  char host[ADDRESS_BYTES_MAX + 1];
  uint16_t port;
};

struct config {
  char id[NODE_ID_BYTES_MAX + 1];
  char version[VERSION_BYTES_MAX + 1];       /* of the program, as /status shows it */
  char listen_host[ADDRESS_BYTES_MAX + 1];   /* a literal address or a name */
  uint16_t listen_port;                      /* 0: the system picks a free one */
  struct config_member members[MEMBERS_MAX]; /* this node among them, in any order */
  uint8_t members_count;                     /* 1: the node alone, whose port may be 0 as in listen_port */
  char fixed_leader[NODE_ID_BYTES_MAX + 1];  /* "": elections */
  char data[DATA_PATH_BYTES_MAX + 1];        /* --data; "": everything in memory */
  uint64_t segment_bytes;                    /* --segment-bytes */
  uint64_t snapshot_threshold;               /* --snapshot-threshold: entries; 0: never */
  uint32_t heartbeat_ms;                     /* --heartbeat-ms */
  uint32_t election_min_ms;                  /* --election-ms: timeouts are drawn from this range */
  uint32_t election_max_ms;
  uint64_t seed;      /* --seed: of every random choice of this node */
  bool enable_faults; /* --enable-faults: its network and its disk can be made to fail */
  enum read_policy read_policy;
  enum write_mode write_mode;
  uint32_t async_result_ttl_seconds; /* --async-result-ttl: for which the result of an asynchronous write is kept */
  uint32_t async_ops_max;            /* asynchronous writes that it knows of at a time, up to ASYNC_OPS_MAX */
  uint64_t body_bytes_max;           /* --max-body-bytes */
  uint64_t key_bytes_max;            /* --max-key-bytes */
  uint64_t value_bytes_max;          /* --max-value-bytes */
  uint32_t connections_max;          /* --max-connections */
  uint32_t request_timeout_ms;       /* --request-timeout-ms: arrival of one request, and its answer */
  uint32_t idle_timeout_ms;          /* a keep-alive connection without a request */
};

#endif
