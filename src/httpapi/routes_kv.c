/* The routes of keys and values. A route decodes, checks the limits of this node, and hands the call to DistributedKV;
 * a read then reads and answers in its `finish`. */
#include "base/base64.h"
#include "base/utf8.h"
#include "httpapi/api.h"
#include "types/json.h"

#include <stdlib.h>

enum {
  FIELDS_VALUE = BODY_BIT(BODY_VALUE) | BODY_BIT(BODY_VALUE_BASE64),
  FIELDS_EXPECTED = BODY_BIT(BODY_EXPECTED) | BODY_BIT(BODY_EXPECTED_BASE64)
};

/* ---- reads ---- */

/* The key in the path, as a read needs it: nothing behind it validates. */
static bool read_key(struct call *call, const struct http_message *request, struct fault *fault) {
  if (!params_key(call->api, request, &call->text, fault)) return false;
  const char *message = key_validate(buffer_view(&call->text));
  return message == NULL || fault_set(fault, ERR_BAD_REQUEST, "%s", message);
}

static void start_read(struct call *call, const struct http_message *request, void (*finish)(struct call *call)) {
  struct fault fault;
  enum read_policy policy;
  call->finish = finish;
  if (params_read(call->api, request, &policy, &call->request.min_index, &fault))
    call_read(call, policy);
  else
    call_refuse(call, &fault);
}

static void finish_get(struct call *call) {
  struct httpapi *api = call->api;
  buffer_clear(&api->value);
  if (!dkv_get(api->dkv, buffer_view(&call->text), &api->value)) {
    api_write_error(api, call->exchange, ERR_NOT_FOUND, "key: does not exist", call->request.index, NULL, NULL);
    return;
  }
  if (call->raw) {
    api_write_raw(api, call->exchange, call->request.index, buffer_view(&api->value));
    return;
  }
  buffer_clear(&api->reply);
  buffer_append_text(&api->reply, "{\"ok\":true,");
  json_write_bytes_field(&api->reply, "value", buffer_view(&api->value));
  buffer_append_byte(&api->reply, '}');
  api_write_json(api, call->exchange, 200, call->request.index, "", buffer_view(&api->reply));
}

void route_kv_get(struct httpapi *api, const struct http_message *request, struct http_exchange *exchange) {
  struct fault fault;
  struct call *call = call_begin(api, exchange);
  call->raw = params_wants_raw(request);
  if (read_key(call, request, &fault))
    start_read(call, request, finish_get);
  else
    call_refuse(call, &fault);
}

struct scan {
  struct httpapi *api;
  size_t count;
};

static void on_scan_entry(void *context, struct bytes key, struct bytes value) {
  struct scan *scan = context;
  struct buffer *out = &scan->api->reply;
  buffer_append_text(out, scan->count++ == 0 ? "{\"key\":" : ",{\"key\":");
  json_write_string(out, key);
  buffer_append_byte(out, ',');
  json_write_bytes_field(out, "value", value);
  buffer_append_byte(out, '}');
  buffer_clear(&scan->api->key);
  buffer_append_bytes(&scan->api->key, key);
}

static void finish_scan(struct call *call) {
  struct httpapi *api = call->api;
  struct scan scan = {.api = api};
  struct bytes prefix = bytes_make(call->text.data, call->prefix_bytes);
  struct bytes after = bytes_make(call->text.data + call->prefix_bytes, call->text.len - call->prefix_bytes);
  buffer_clear(&api->key);
  buffer_clear(&api->reply);
  buffer_append_text(&api->reply, "{\"ok\":true,\"entries\":[");
  bool more = dkv_scan(api->dkv, prefix, after, call->limit, SCAN_BYTES_MAX, on_scan_entry, &scan);
  buffer_append_text(&api->reply, "],\"next\":");
  json_write_string(&api->reply, more ? buffer_view(&api->key) : bytes_make(NULL, 0));
  buffer_append_byte(&api->reply, '}');
  api_write_json(api, call->exchange, 200, call->request.index, "", buffer_view(&api->reply));
}

void route_kv_scan(struct httpapi *api, const struct http_message *request, struct http_exchange *exchange) {
  struct fault fault;
  struct call *call = call_begin(api, exchange);
  if (params_scan(call, request, &fault))
    start_read(call, request, finish_scan);
  else
    call_refuse(call, &fault);
}

static int order_of_keys(const void *a, const void *b) {
  return bytes_compare(*(const struct bytes *)a, *(const struct bytes *)b);
}

/* The keys of an mget in byte order, each once: the reply is an object, whose fields must differ. They live in
 * api->key and point into call->text. */
static size_t sorted_keys(struct call *call) {
  struct buffer *keys = &call->api->key;
  struct bytes cursor = buffer_view(&call->text);
  struct bytes key;
  struct bytes value;
  buffer_clear(keys);
  while (command_next_item(OP_BATCH_DELETE, &cursor, &key, &value))
    buffer_append(keys, &key, sizeof key);
  struct bytes *list = (struct bytes *)(void *)keys->data;
  size_t count = keys->len / sizeof key;
  size_t kept = 0;
  if (count > 1) qsort(list, count, sizeof *list, order_of_keys);
  for (size_t i = 0; i < count; i++)
    if (kept == 0 || !bytes_equal(list[kept - 1], list[i])) list[kept++] = list[i];
  return kept;
}

struct mget {
  struct httpapi *api;
  size_t bytes; /* keys and values found, those beyond the limit too */
};

/* UTF-8 values become `values` in api->reply, the others `values_base64` in api->value. */
static void on_mget_entry(void *context, struct bytes key, struct bytes value) {
  struct mget *mget = context;
  bool is_text = utf8_valid(value);
  struct buffer *out = is_text ? &mget->api->reply : &mget->api->value;
  mget->bytes += key.len + value.len;
  if (mget->bytes > MGET_BYTES_MAX) return;
  if (out->data[out->len - 1] != '{') buffer_append_byte(out, ',');
  json_write_string(out, key);
  buffer_append_byte(out, ':');
  if (is_text) {
    json_write_string(out, value);
    return;
  }
  buffer_append_byte(out, '"');
  base64_encode(value, out);
  buffer_append_byte(out, '"');
}

static void finish_mget(struct call *call) {
  static const char binary_start[] = ",\"values_base64\":{";
  struct httpapi *api = call->api;
  struct mget mget = {.api = api};
  struct fault fault;
  size_t count = sorted_keys(call);
  buffer_clear(&api->reply);
  buffer_clear(&api->value);
  buffer_append_text(&api->reply, "{\"ok\":true,\"values\":{");
  buffer_append_text(&api->value, binary_start);
  dkv_mget(api->dkv, (const struct bytes *)(const void *)api->key.data, count, on_mget_entry, &mget);
  if (mget.bytes > MGET_BYTES_MAX) {
    fault_set(&fault, ERR_TOO_LARGE, "keys: %zu bytes of keys and values exceed the %d of one reply; ask for fewer",
              mget.bytes, MGET_BYTES_MAX);
    api_write_error(api, call->exchange, fault.code, fault.why.text, call->request.index, NULL, NULL);
    return;
  }
  buffer_append_byte(&api->reply, '}');
  if (api->value.len > sizeof binary_start - 1) {
    buffer_append_bytes(&api->reply, buffer_view(&api->value));
    buffer_append_byte(&api->reply, '}');
  }
  buffer_append_byte(&api->reply, '}');
  api_write_json(api, call->exchange, 200, call->request.index, "", buffer_view(&api->reply));
}

void route_kv_mget(struct httpapi *api, const struct http_message *request, struct http_exchange *exchange) {
  struct fault fault;
  struct call *call = call_begin(api, exchange);
  unsigned keys = BODY_BIT(BODY_KEYS);
  if (!api_decode_json(&api->body, request->body, keys, keys, api->config, &fault)) {
    call_refuse(call, &fault);
    return;
  }
  struct buffer items = api->body.items;
  api->body.items = call->text;
  call->text = items;
  start_read(call, request, finish_mget);
}

/* ---- writes ---- */

/* Begins a write whose JSON body has `fields` and needs `required`; NULL when it was refused. */
static struct call *begin_json_write(struct httpapi *api, const struct http_message *request,
                                     struct http_exchange *exchange, unsigned fields, unsigned required) {
  struct fault fault;
  struct call *call = call_begin(api, exchange);
  struct body *body = &api->body;
  if (!params_write(call, request, &fault) ||
      !api_decode_json(body, request->body, FIELDS_CLIENT | fields, required, api->config, &fault) ||
      !params_client(request, body, &fault)) {
    call_refuse(call, &fault);
    return NULL;
  }
  call_prepare_write(call, request, body->client_id.len > 0 && body->seq > 0);
  return call;
}

/* The body is the value, or nothing: only headers can name the client. */
static bool decode_raw(struct httpapi *api, const struct http_message *request, struct fault *fault) {
  struct body *body = &api->body;
  uint64_t max = api->config->value_bytes_max;
  body_clear(body);
  body->value = request->body;
  return body->value.len <= max ||
         fault_set(fault, ERR_TOO_LARGE, "value: %zu bytes exceed the limit of %llu (--max-value-bytes)",
                   body->value.len, (unsigned long long)max);
}

/* The key in the path goes to api->key, client and value to api->body, as if they had come as JSON in any case. */
static bool decode_key_write(struct call *call, const struct http_message *request, bool deletes, struct fault *fault) {
  struct httpapi *api = call->api;
  unsigned known = deletes ? FIELDS_CLIENT : FIELDS_CLIENT | FIELDS_VALUE;
  unsigned required = deletes ? 0 : BODY_BIT(BODY_VALUE);
  bool raw;
  buffer_clear(&api->key);
  if (!params_write(call, request, fault) || !params_key(api, request, &api->key, fault) ||
      !params_body_is_raw(request, &raw, fault))
    return false;
  if (deletes && raw && request->body.len > 0)
    return fault_set(fault, ERR_BAD_REQUEST,
                     "Content-Type: a DELETE takes no raw value, expected a JSON object or no body");
  bool decoded = raw || (deletes && request->body.len == 0)
                     ? decode_raw(api, request, fault)
                     : api_decode_json(&api->body, request->body, known, required, api->config, fault);
  return decoded && params_client(request, &api->body, fault);
}

static struct call *begin_key_write(struct httpapi *api, const struct http_message *request,
                                    struct http_exchange *exchange, bool deletes) {
  struct fault fault;
  struct call *call = call_begin(api, exchange);
  if (!decode_key_write(call, request, deletes, &fault)) {
    call_refuse(call, &fault);
    return NULL;
  }
  call_prepare_write(call, request, api->body.client_id.len > 0 && api->body.seq > 0);
  return call;
}

void route_kv_put(struct httpapi *api, const struct http_message *request, struct http_exchange *exchange) {
  const struct body *body = &api->body;
  const char *why = NULL;
  struct call *call = begin_key_write(api, request, exchange, false);
  if (call == NULL) return;
  enum status status =
      dkv_put(api->dkv, &call->request, body->client_id, body->seq, buffer_view(&api->key), body->value, &why);
  call_write(call, status, why);
}

void route_kv_delete(struct httpapi *api, const struct http_message *request, struct http_exchange *exchange) {
  const struct body *body = &api->body;
  const char *why = NULL;
  struct call *call = begin_key_write(api, request, exchange, true);
  if (call == NULL) return;
  enum status status = dkv_delete(api->dkv, &call->request, body->client_id, body->seq, buffer_view(&api->key), &why);
  call_write(call, status, why);
}

void route_kv_cas(struct httpapi *api, const struct http_message *request, struct http_exchange *exchange) {
  const struct body *body = &api->body;
  const char *why = NULL;
  unsigned fields = BODY_BIT(BODY_KEY) | FIELDS_VALUE | FIELDS_EXPECTED;
  unsigned required = BODY_BIT(BODY_KEY) | BODY_BIT(BODY_VALUE) | BODY_BIT(BODY_EXPECTED);
  struct call *call = begin_json_write(api, request, exchange, fields, required);
  if (call == NULL) return;
  enum status status =
      dkv_cas(api->dkv, &call->request, body->client_id, body->seq, body->key, body->expected, body->value, &why);
  call_write(call, status, why);
}

void route_kv_mput(struct httpapi *api, const struct http_message *request, struct http_exchange *exchange) {
  const struct body *body = &api->body;
  const char *why = NULL;
  unsigned entries = BODY_BIT(BODY_ENTRIES);
  struct call *call = begin_json_write(api, request, exchange, entries, entries);
  if (call == NULL) return;
  enum status status = dkv_mput(api->dkv, &call->request, body->client_id, body->seq, buffer_view(&body->items),
                                body->items_count, &why);
  call_write(call, status, why);
}

void route_kv_mdelete(struct httpapi *api, const struct http_message *request, struct http_exchange *exchange) {
  const struct body *body = &api->body;
  const char *why = NULL;
  unsigned keys = BODY_BIT(BODY_KEYS);
  struct call *call = begin_json_write(api, request, exchange, keys, keys);
  if (call == NULL) return;
  enum status status = dkv_mdelete(api->dkv, &call->request, body->client_id, body->seq, buffer_view(&body->items),
                                   body->items_count, &why);
  call_write(call, status, why);
}
