/* Figures as text, in the exposition format of Prometheus (version 0.0.4):
 *
 *   metrics_family(out, "kvserver_wal_batches_total", METRIC_COUNTER, "Batches written to the log.");
 *   metrics_value(out, "kvserver_wal_batches_total", NULL, 17);
 *
 * A family, then its samples, before the next one. Names and the names of labels are the caller's constants; the values
 * of labels may be any UTF-8. Everything is an integer here; durations come in microseconds and are written in
 * seconds. */
#ifndef KV_METRICS_TEXT_H
#define KV_METRICS_TEXT_H

#include "base/buffer.h"
#include "metrics/histogram.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric_label {
  const char *name;  /* [a-z_]+ */
  const char *value; /* as it is; escaped when it is written */
};

/* HELP and TYPE. `help` is one sentence, without line breaks and backslashes. */
void metrics_family(struct buffer *out, const char *name, enum metric_type type, const char *help);
/* A sample. `labels`: an array whose last element has no name, or NULL for none. */
void metrics_value(struct buffer *out, const char *name, const struct metric_label *labels, uint64_t value);
/* The same, of a duration. */
void metrics_seconds(struct buffer *out, const char *name, const struct metric_label *labels, uint64_t us);
/* All samples of a histogram: cumulative buckets up to +Inf, sum and count; at most METRIC_LABELS_MAX labels. */
enum { METRIC_LABELS_MAX = 4 };
void metrics_histogram(struct buffer *out, const char *name, const struct metric_label *labels,
                       const struct histogram *histogram);

/* Families of one sample, or one histogram. */
void metrics_durations(struct buffer *out, const char *name, const char *help, const struct histogram *histogram);
void metrics_counter(struct buffer *out, const char *name, const char *help, uint64_t value);
void metrics_gauge(struct buffer *out, const char *name, const char *help, uint64_t value);

#endif
