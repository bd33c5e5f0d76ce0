/* What was answered: how often by route and status, and how long it took by route. A route is a row of the API's table,
 * named by its template (/kv/{key}), so there are as many as there are rows, whatever clients ask for. The loop's
 * thread. */
#ifndef KV_HTTPAPI_TRAFFIC_H
#define KV_HTTPAPI_TRAFFIC_H

#include "base/buffer.h"
#include "metrics/histogram.h"

enum {
  TRAFFIC_OTHER,       /* no row: unknown paths and methods, and what the connection itself answers */
  TRAFFIC_MEMBERS,     /* messages of other members */
  TRAFFIC_FIRST,       /* the API's first row */
  TRAFFIC_ROUTES = 24, /* at most */
  TRAFFIC_STATUSES = 24
};

struct traffic {
  uint64_t answers[TRAFFIC_ROUTES][TRAFFIC_STATUSES]; /* by the place of the status in a table */
  struct histogram durations[TRAFFIC_ROUTES];
};

struct traffic_route {
  const char *method; /* "" when there are several */
  const char *path;
};

void traffic_count(struct traffic *traffic, uint32_t route, int status, uint64_t duration_us);
/* Appends the families of both. `routes`: `count` of them, by number. */
void traffic_write(const struct traffic *traffic, const struct traffic_route *routes, size_t count, struct buffer *out);

#endif
