/* Every fixed limit that users or peers can meet, in one place. Limits with an option stand in types/config.h. */
#ifndef KV_TYPES_LIMITS_H
#define KV_TYPES_LIMITS_H

enum {
  NODE_ID_BYTES_MAX = 63,       /* CONTRACT: 1 to 63 of a-z A-Z 0-9 . _ - */
  MEMBERS_MAX = 16,             /* of a cluster */
  CLIENT_ID_BYTES_MAX = 256,    /* dedupe key */
  DEDUPE_CLIENTS_MAX = 1000000, /* a constant of the protocol: all nodes forget alike */
  ASYNC_OPS_MAX = 1000000,      /* asynchronous writes that a node knows of: pending, or with a result that it keeps */
  ASYNC_BYTES_MAX = 1 << 27,    /* its memory for them, that of their commands aside */
  ASYNC_WAIT_MS = 30000,        /* after so long without an outcome a pending one is unknown */
  KEY_BYTES_CAP = 65535,        /* no option can raise a key limit above this */
  VALUE_BYTES_CAP = 16777215,   /* nor a value limit above this */
  BODY_BYTES_CAP = 67108864,    /* nor a body limit above this */
  /* Body of a message between members. The largest command takes no more bytes than the largest body that brings it,
   * and in JSON at most six times as many (control characters); the rest is for what stands around it. */
  RAFT_BODY_BYTES_MAX = 6 * BODY_BYTES_CAP + 1048576,
  RAFT_PIECE_BYTES_MAX = 4194304, /* of a snapshot, in one message between members */
  BATCH_ITEMS_MAX = 100000,       /* entries of one mput, keys of one mdelete or mget */
  SCAN_LIMIT_MAX = 10000,         /* entries of one GET /kv */
  SCAN_LIMIT_DEFAULT = 100,
  SCAN_BYTES_MAX = 4194304,       /* its keys and values; the rest is reached with `next` */
  JSON_DEPTH_MAX = 32,            /* nesting of a request body */
  JSON_FIELDS_MAX = 131072,       /* fields of one JSON object together with those of the objects around it */
  HTTP_HEAD_BYTES_MAX = 32768,    /* request line and headers; 431 beyond (a 4096-byte key percent-encoded is 12 kB) */
  HTTP_HEADERS_MAX = 100,         /* header fields of one message; 431 beyond */
  HTTP_PIPELINE_MAX = 64,         /* requests of one connection in flight; then reading pauses */
  HTTP_OUTPUT_BYTES_MAX = 4194304 /* unsent reply bytes of one connection; then reading pauses */
};

#endif
