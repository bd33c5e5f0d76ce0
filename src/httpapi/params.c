/* What a request says outside its body: query parameters, headers, the key in the path. Unknown parameters are ignored;
 * a bad value of a known one is refused by name. */
#include "base/utf8.h"
#include "httpapi/api.h"
#include "types/json.h"

static const char octet_stream[] = "application/octet-stream";

enum { KEY_PATH_BYTES = sizeof "/kv/" - 1 }; /* what stands before a key */

bool params_read(const struct httpapi *api, const struct http_message *request, enum read_policy *policy,
                 uint64_t *min_index, struct fault *fault) {
  struct bytes raw;
  *policy = api->dkv->options.read_policy;
  *min_index = 0;
  if (request->query.len == 0) return true;
  if (http_query_find(request->query, "read", &raw) && !read_policy_parse(raw, policy))
    return fault_set(fault, ERR_BAD_REQUEST, "read: expected \"readindex\" or \"stale\"");
  if (http_query_find(request->query, "min_index", &raw) && !json_number_u64(raw, UINT64_MAX, min_index))
    return fault_set(fault, ERR_BAD_REQUEST, "min_index: expected an integer from 0 to 18446744073709551615");
  return true;
}

bool params_write(struct call *call, const struct http_message *request, struct fault *fault) {
  struct bytes raw;
  enum write_mode *mode = &call->request.mode;
  *mode = call->api->dkv->options.write_mode;
  if (request->query.len > 0 && http_query_find(request->query, "mode", &raw) && !write_mode_parse(raw, mode))
    return fault_set(fault, ERR_BAD_REQUEST, "mode: expected \"sync\" or \"async\"");
  return true;
}

/* Appends the decoded text of a parameter, nothing when it is absent. */
static bool decode_text(const struct http_message *request, const char *name, struct buffer *out, struct fault *fault) {
  struct bytes raw;
  size_t start = out->len;
  if (!http_query_find(request->query, name, &raw)) return true;
  if (!http_percent_decode(raw, out))
    return fault_set(fault, ERR_BAD_REQUEST, "%s: malformed percent-encoding, expected %% and two hex digits", name);
  struct bytes text = bytes_make(out->data + start, out->len - start);
  if (text.len == 0) return true;
  if (!utf8_valid(text) || memchr(text.data, '\0', text.len) != NULL)
    return fault_set(fault, ERR_BAD_REQUEST, "%s: expected UTF-8 without NUL", name);
  return true;
}

bool params_scan(struct call *call, const struct http_message *request, struct fault *fault) {
  struct bytes raw;
  uint64_t limit = SCAN_LIMIT_DEFAULT;
  if (!decode_text(request, "prefix", &call->text, fault)) return false;
  call->prefix_bytes = call->text.len;
  if (!decode_text(request, "after", &call->text, fault)) return false;
  if (http_query_find(request->query, "limit", &raw) && (!json_number_u64(raw, SCAN_LIMIT_MAX, &limit) || limit == 0))
    return fault_set(fault, ERR_BAD_REQUEST, "limit: expected an integer from 1 to %d", SCAN_LIMIT_MAX);
  call->limit = (size_t)limit;
  return true;
}

/* A header that decides something must not say two things. `value` stays as it is when there is none. */
static bool find_single(const struct http_message *request, const char *name, struct bytes *value, bool *found,
                        struct fault *fault) {
  size_t count = http_header_count(request, name, value);
  *found = count > 0;
  return count <= 1 || fault_set(fault, ERR_BAD_REQUEST, "%s: sent %zu times, expected once", name, count);
}

bool params_client(const struct http_message *request, struct body *body, struct fault *fault) {
  struct bytes client_id = {0};
  struct bytes text;
  bool has_client_id;
  bool has_seq;
  if (!find_single(request, "X-Client-Id", &client_id, &has_client_id, fault) ||
      !find_single(request, "X-Seq", &text, &has_seq, fault))
    return false;
  if (!has_client_id && !has_seq) return true;
  if ((body->present & FIELDS_CLIENT) != 0)
    return fault_set(fault, ERR_BAD_REQUEST, "%s: the body has a client_id or seq already; expected one of both",
                     has_client_id ? "X-Client-Id" : "X-Seq");
  body->client_id = client_id;
  if (has_seq && !json_number_u64(text, INT64_MAX, &body->seq))
    return fault_set(fault, ERR_BAD_REQUEST, "X-Seq: expected an integer from 0 to 9223372036854775807");
  return true;
}

bool params_key(const struct httpapi *api, const struct http_message *request, struct buffer *out,
                struct fault *fault) {
  uint64_t max = api->config->key_bytes_max;
  if (!http_percent_decode(bytes_make(request->path.data + KEY_PATH_BYTES, request->path.len - KEY_PATH_BYTES), out))
    return fault_set(fault, ERR_BAD_REQUEST, "key: malformed percent-encoding, expected %% and two hex digits");
  if (out->len > max)
    return fault_set(fault, ERR_TOO_LARGE, "key: %zu bytes exceed the limit of %llu (--max-key-bytes)", out->len,
                     (unsigned long long)max);
  return true;
}

static bool equal_ignoring_case(struct bytes text, const char *lower) {
  for (size_t i = 0; i < text.len; i++) {
    uint8_t c = text.data[i];
    if (c >= 'A' && c <= 'Z') c = (uint8_t)(c - 'A' + 'a');
    if (c != (uint8_t)lower[i]) return false;
  }
  return true;
}

/* Whether `text` is the media type application/octet-stream, whatever its parameters. */
static bool is_octet_stream(struct bytes text) {
  const uint8_t *semicolon = text.len == 0 ? NULL : memchr(text.data, ';', text.len);
  if (semicolon != NULL) text.len = (size_t)(semicolon - text.data);
  while (text.len > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
    text.data++;
    text.len--;
  }
  while (text.len > 0 && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t'))
    text.len--;
  return text.len == sizeof octet_stream - 1 && equal_ignoring_case(text, octet_stream);
}

bool params_body_is_raw(const struct http_message *request, bool *raw, struct fault *fault) {
  struct bytes type;
  if (!find_single(request, "Content-Type", &type, raw, fault)) return false;
  *raw = *raw && is_octet_stream(type);
  return true;
}

bool params_wants_raw(const struct http_message *request) {
  struct bytes list;
  if (!http_header_find(request, "Accept", &list)) return false;
  while (list.len > 0) {
    const uint8_t *comma = memchr(list.data, ',', list.len);
    size_t len = comma == NULL ? list.len : (size_t)(comma - list.data);
    if (is_octet_stream(bytes_make(list.data, len))) return true;
    if (comma == NULL) return false;
    list = bytes_make(comma + 1, list.len - len - 1);
  }
  return false;
}
