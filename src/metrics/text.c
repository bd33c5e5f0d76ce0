#include "metrics/text.h"

#include "base/check.h"

#include <stdio.h>

enum { SECONDS_CHARS_MAX = 32, US_PER_S = 1000000 };

static const char *type_name(enum metric_type type) {
  switch (type) {
  case METRIC_COUNTER:
    return "counter";
  case METRIC_GAUGE:
    return "gauge";
  case METRIC_HISTOGRAM:
    return "histogram";
  }
  return "untyped";
}

void metrics_family(struct buffer *out, const char *name, enum metric_type type, const char *help) {
  buffer_append_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type_name(type));
}

static void put_escaped(struct buffer *out, const char *text) {
  for (; *text != '\0'; text++) {
    switch (*text) {
    case '\\':
      buffer_append_text(out, "\\\\");
      break;
    case '"':
      buffer_append_text(out, "\\\"");
      break;
    case '\n':
      buffer_append_text(out, "\\n");
      break;
    default:
      buffer_append_byte(out, (uint8_t)*text);
    }
  }
}

static void put_labels(struct buffer *out, const struct metric_label *labels) {
  if (labels == NULL || labels->name == NULL) return;
  char before = '{';
  for (; labels->name != NULL; labels++) {
    buffer_append_byte(out, (uint8_t)before);
    buffer_append_text(out, labels->name);
    buffer_append_text(out, "=\"");
    put_escaped(out, labels->value);
    buffer_append_byte(out, '"');
    before = ',';
  }
  buffer_append_byte(out, '}');
}

static void put_sample(struct buffer *out, const char *name, const char *suffix, const struct metric_label *labels,
                       const char *value) {
  buffer_append_text(out, name);
  buffer_append_text(out, suffix);
  put_labels(out, labels);
  buffer_append_byte(out, ' ');
  buffer_append_text(out, value);
  buffer_append_byte(out, '\n');
}

static void put_number(struct buffer *out, const char *name, const char *suffix, const struct metric_label *labels,
                       uint64_t value) {
  char text[SECONDS_CHARS_MAX];
  snprintf(text, sizeof text, "%llu", (unsigned long long)value);
  put_sample(out, name, suffix, labels, text);
}

/* Exact, and without zeros at the end: 1500 is 0.0015. */
static const char *seconds_text(uint64_t us, char text[SECONDS_CHARS_MAX]) {
  int len =
      snprintf(text, SECONDS_CHARS_MAX, "%llu.%06u", (unsigned long long)(us / US_PER_S), (unsigned)(us % US_PER_S));
  while (text[len - 1] == '0')
    text[--len] = '\0';
  if (text[len - 1] == '.') text[--len] = '\0';
  return text;
}

void metrics_value(struct buffer *out, const char *name, const struct metric_label *labels, uint64_t value) {
  put_number(out, name, "", labels, value);
}

void metrics_seconds(struct buffer *out, const char *name, const struct metric_label *labels, uint64_t us) {
  char text[SECONDS_CHARS_MAX];
  put_sample(out, name, "", labels, seconds_text(us, text));
}

/* Returns where `le` goes: behind the copy of the others. */
static struct metric_label *copy_labels(struct metric_label *to, const struct metric_label *labels) {
  size_t count = 0;
  for (; labels != NULL && labels[count].name != NULL; count++) {
    CHECK(count < METRIC_LABELS_MAX);
    to[count] = labels[count];
  }
  to[count + 1] = (struct metric_label){NULL, NULL};
  return &to[count];
}

void metrics_histogram(struct buffer *out, const char *name, const struct metric_label *labels,
                       const struct histogram *histogram) {
  struct metric_label with_bound[METRIC_LABELS_MAX + 2];
  struct metric_label *bound = copy_labels(with_bound, labels);
  char text[SECONDS_CHARS_MAX];
  uint64_t cumulative = 0;
  bound->name = "le";
  for (size_t i = 0; i < HISTOGRAM_BOUNDS_COUNT; i++) {
    cumulative += histogram->buckets[i];
    bound->value = seconds_text(histogram_bounds_us[i], text);
    put_number(out, name, "_bucket", with_bound, cumulative);
  }
  bound->value = "+Inf";
  put_number(out, name, "_bucket", with_bound, histogram->count);
  put_sample(out, name, "_sum", labels, seconds_text(histogram->sum_us, text));
  put_number(out, name, "_count", labels, histogram->count);
}

void metrics_counter(struct buffer *out, const char *name, const char *help, uint64_t value) {
  metrics_family(out, name, METRIC_COUNTER, help);
  metrics_value(out, name, NULL, value);
}

void metrics_gauge(struct buffer *out, const char *name, const char *help, uint64_t value) {
  metrics_family(out, name, METRIC_GAUGE, help);
  metrics_value(out, name, NULL, value);
}

void metrics_durations(struct buffer *out, const char *name, const char *help, const struct histogram *histogram) {
  metrics_family(out, name, METRIC_HISTOGRAM, help);
  metrics_histogram(out, name, NULL, histogram);
}
