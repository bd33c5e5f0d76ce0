/* GET /metrics: what all parts of a node counted, as text. Asked for now and then, so it may take a fraction of a
 * millisecond; nothing of it is done before. The loop's thread. */
#ifndef KV_SERVER_SCRAPE_H
#define KV_SERVER_SCRAPE_H

#include "distributedkv/distributedkv.h"
#include "io/http_server.h"
#include "io/loop.h"
#include "server/member.h"
#include "server/storage.h"
#include "types/config.h"

/* Whom to ask; borrowed. */
struct scrape {
  const struct config *config;
  struct io_loop *loop;
  struct distributedkv *dkv;
  const struct http_server *http;
  bool stopping;
  const struct member *member;   /* NULL: the node is the caller's (specs) */
  const struct storage *storage; /* NULL as well */
};

void scrape_write(const struct scrape *scrape, struct buffer *out);

#endif
