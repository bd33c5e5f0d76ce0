/* The configuration of one node, checked and complete. Lua (lua/kvserver/config.lua) makes it from flags and file; C
 * only reads it. Defaults and ranges stand in the option table of lua/kvserver/options.lua. */
#ifndef KV_TYPES_CONFIG_H
#define KV_TYPES_CONFIG_H

#include <stdint.h>

#include "types/limits.h"
#include "types/policy.h"

enum { ADDRESS_BYTES_MAX = 255, VERSION_BYTES_MAX = 31 };

struct config {
  char id[NODE_ID_BYTES_MAX + 1];
  char version[VERSION_BYTES_MAX + 1];     /* of the program, as /status shows it */
  char listen_host[ADDRESS_BYTES_MAX + 1]; /* a literal address or a name */
  uint16_t listen_port;                    /* 0: the system picks a free one */
  enum read_policy read_policy;
  enum write_mode write_mode;
  uint64_t body_bytes_max;     /* --max-body-bytes */
  uint64_t key_bytes_max;      /* --max-key-bytes */
  uint64_t value_bytes_max;    /* --max-value-bytes */
  uint32_t connections_max;    /* --max-connections */
  uint32_t request_timeout_ms; /* --request-timeout-ms: arrival of one request, and its answer */
  uint32_t idle_timeout_ms;    /* a keep-alive connection without a request */
};

#endif
