/* metrics_probe: histograms, and figures as text, for specs.
 *
 *   local histogram = probe.histogram()
 *   histogram:add(us [, times])  histogram:quantile(permille) -> us
 *   histogram:figures() -> {count =, sum_us =, max_us =, buckets = {...}}
 *   histogram:text(name [, labels]) -> what metrics_histogram writes; labels: {{name, value}, ...}
 *   probe.bounds() -> {us, ...}
 *   probe.value(name, labels, n), probe.seconds(name, labels, us), probe.family(name, type, help) -> text
 * labels may be nil; type: "counter", "gauge" or "histogram". */
#include <lauxlib.h>
#include <lua.h>

#include "metrics/text.h"
#include "script/lua_buffer.h"

int luaopen_metrics_probe(lua_State *L);

static const char type_name[] = "metrics_probe.histogram";

static struct histogram *check_histogram(lua_State *L) {
  return luaL_checkudata(L, 1, type_name);
}

static int new_histogram(lua_State *L) {
  struct histogram *histogram = lua_newuserdatauv(L, sizeof *histogram, 0);
  *histogram = (struct histogram){.count = 0};
  luaL_setmetatable(L, type_name);
  return 1;
}

static int add(lua_State *L) {
  histogram_add_times(check_histogram(L), (uint64_t)luaL_checkinteger(L, 2), (uint64_t)luaL_optinteger(L, 3, 1));
  return 0;
}

static int quantile(lua_State *L) {
  uint64_t us = histogram_quantile_us(check_histogram(L), (uint32_t)luaL_checkinteger(L, 2));
  lua_pushinteger(L, (lua_Integer)us);
  return 1;
}

static void set_integer(lua_State *L, const char *field, uint64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, field);
}

static int figures(lua_State *L) {
  const struct histogram *histogram = check_histogram(L);
  lua_newtable(L);
  set_integer(L, "count", histogram->count);
  set_integer(L, "sum_us", histogram->sum_us);
  set_integer(L, "max_us", histogram->max_us);
  lua_newtable(L);
  for (int i = 0; i <= HISTOGRAM_BOUNDS_COUNT; i++) {
    lua_pushinteger(L, (lua_Integer)histogram->buckets[i]);
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "buckets");
  return 1;
}

static int bounds(lua_State *L) {
  lua_newtable(L);
  for (int i = 0; i < HISTOGRAM_BOUNDS_COUNT; i++) {
    lua_pushinteger(L, histogram_bounds_us[i]);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

/* ---- text ---- */

/* The strings stay on the stack. */
static const struct metric_label *check_labels(lua_State *L, int index, struct metric_label *labels) {
  if (lua_isnoneornil(L, index)) return NULL;
  int count = (int)luaL_len(L, index);
  luaL_argcheck(L, count <= METRIC_LABELS_MAX, index, "too many labels");
  for (int i = 0; i < count; i++) {
    lua_rawgeti(L, index, i + 1);
    int pair = lua_gettop(L);
    lua_rawgeti(L, pair, 1);
    lua_rawgeti(L, pair, 2);
    labels[i] = (struct metric_label){luaL_checkstring(L, -2), luaL_checkstring(L, -1)};
  }
  labels[count] = (struct metric_label){NULL, NULL};
  return labels;
}

static int push_text(lua_State *L, const struct buffer *out) {
  lua_pushlstring(L, (const char *)out->data, out->len);
  return 1;
}

static int text(lua_State *L) {
  struct metric_label labels[METRIC_LABELS_MAX + 1];
  const struct histogram *histogram = check_histogram(L);
  const char *name = luaL_checkstring(L, 2);
  const struct metric_label *with = check_labels(L, 3, labels);
  struct buffer *out = lua_buffer_push(L);
  metrics_histogram(out, name, with, histogram);
  return push_text(L, out);
}

static int sample(lua_State *L, void (*write)(struct buffer *, const char *, const struct metric_label *, uint64_t)) {
  struct metric_label labels[METRIC_LABELS_MAX + 1];
  const char *name = luaL_checkstring(L, 1);
  uint64_t number = (uint64_t)luaL_checkinteger(L, 3);
  const struct metric_label *with = check_labels(L, 2, labels);
  struct buffer *out = lua_buffer_push(L);
  write(out, name, with, number);
  return push_text(L, out);
}

static int value(lua_State *L) {
  return sample(L, metrics_value);
}

static int seconds(lua_State *L) {
  return sample(L, metrics_seconds);
}

static int family(lua_State *L) {
  static const char *const types[] = {"counter", "gauge", "histogram", NULL}; /* as enum metric_type */
  const char *name = luaL_checkstring(L, 1);
  enum metric_type type = (enum metric_type)luaL_checkoption(L, 2, NULL, types);
  const char *help = luaL_checkstring(L, 3);
  struct buffer *out = lua_buffer_push(L);
  metrics_family(out, name, type, help);
  return push_text(L, out);
}

int luaopen_metrics_probe(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"add", add}, {"quantile", quantile}, {"figures", figures}, {"text", text}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"histogram", new_histogram}, {"bounds", bounds}, {"value", value},
                                       {"seconds", seconds},         {"family", family}, {NULL, NULL}};
  luaL_newmetatable(L, type_name);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  luaL_newlib(L, functions);
  return 1;
}
