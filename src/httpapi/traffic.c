#include "httpapi/traffic.h"

#include "base/check.h"
#include "metrics/text.h"

#include <stdio.h>

/* The last one stands for any other. */
static const int statuses[] = {200, 202, 204, 307, 400, 403, 404, 405, 408, 409,
                               413, 431, 500, 501, 503, 504, 505, 507, 0};
enum { STATUSES_COUNT = sizeof statuses / sizeof statuses[0], STATUS_CHARS_MAX = 12 };
_Static_assert((int)STATUSES_COUNT <= (int)TRAFFIC_STATUSES, "each status has a place");

static size_t place_of(int status) {
  size_t place = 0;
  while (place + 1 < STATUSES_COUNT && statuses[place] != status)
    place++;
  return place;
}

void traffic_count(struct traffic *traffic, uint32_t route, int status, uint64_t duration_us) {
  CHECK(route < TRAFFIC_ROUTES);
  traffic->answers[route][place_of(status)]++;
  histogram_add(&traffic->durations[route], duration_us);
}

static void write_answers(const uint64_t *answers, const struct traffic_route *route, struct buffer *out) {
  char status[STATUS_CHARS_MAX];
  struct metric_label labels[] = {{"method", route->method}, {"route", route->path}, {"status", status}, {NULL, NULL}};
  for (size_t i = 0; i < STATUSES_COUNT; i++) {
    if (answers[i] == 0) continue;
    if (statuses[i] != 0)
      snprintf(status, sizeof status, "%d", statuses[i]);
    else
      snprintf(status, sizeof status, "other");
    metrics_value(out, "kvserver_http_requests_total", labels, answers[i]);
  }
}

void traffic_write(const struct traffic *traffic, const struct traffic_route *routes, size_t count,
                   struct buffer *out) {
  metrics_family(out, "kvserver_http_requests_total", METRIC_COUNTER, "Requests answered, by route and status.");
  for (size_t i = 0; i < count; i++)
    write_answers(traffic->answers[i], &routes[i], out);
  metrics_family(out, "kvserver_http_request_duration_seconds", METRIC_HISTOGRAM,
                 "From when a request was taken up to its answer, by route.");
  for (size_t i = 0; i < count; i++) {
    const struct metric_label labels[] = {{"method", routes[i].method}, {"route", routes[i].path}, {NULL, NULL}};
    if (traffic->durations[i].count == 0) continue;
    metrics_histogram(out, "kvserver_http_request_duration_seconds", labels, &traffic->durations[i]);
  }
}
