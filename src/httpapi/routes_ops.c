/* The route of asynchronous writes: GET /ops/{op_id} tells what became of one. Answered at once.
 *
 * An id names the member that knows. Any other one redirects there, once: what was redirected already is redirected no
 * further, so that members that have wrong addresses of each other send nobody around in circles. */
#include "httpapi/api.h"
#include "types/json.h"

enum { ID_PATH_BYTES = sizeof "/ops/" - 1 };

static const char redirected[] = "redirected";

static const char *why_not_found(enum op_found found) {
  switch (found) {
  case OP_EXPIRED:
    return "op_id: its result is not kept any longer (--async-result-ttl); the outcome is unknown";
  case OP_OF_OTHER_START:
    return "op_id: of another start of this node, what it knew then is lost; the outcome is unknown";
  case OP_OF_OTHER_NODE:
    return "op_id: of a node that is not known here; the outcome is unknown";
  case OP_NEVER:
  case OP_FOUND:
    break;
  }
  return "op_id: this node has not given it to anyone";
}

/* Appends the fields in front of what is known. */
static void append_id(const struct op_id *id, struct buffer *out) {
  buffer_append_text(out, "{\"op_id\":\"");
  op_id_write(id, out);
  buffer_append_text(out, "\",\"ready\":");
}

static void write_operation(struct httpapi *api, struct http_exchange *exchange, const struct op_id *id,
                            const struct op_result *operation) {
  struct buffer *out = &api->reply;
  buffer_clear(out);
  append_id(id, out);
  if (operation->ready) {
    buffer_append_text(out, "true,\"result\":");
    api_append_result(api, &operation->result, out);
    buffer_append_byte(out, '}');
  } else {
    buffer_append_text(out, "false}");
  }
  const char *extra = operation->ready ? api_replay_header(operation->result.replay) : "";
  api_write_json(api, exchange, 200, operation->index, extra, buffer_view(out));
}

static const struct config_member *find_member(const struct config *config, const char *id) {
  for (uint8_t i = 0; i < config->members_count; i++)
    if (strcmp(config->members[i].id, id) == 0) return &config->members[i];
  return NULL;
}

/* Appends an id's path at a member, with a mark that it came from here. */
static void append_location(const struct config_member *member, const struct op_id *id, struct buffer *out) {
  bool is_ipv6 = strchr(member->host, ':') != NULL;
  buffer_append_format(out, is_ipv6 ? "http://[%s]:%u/ops/" : "http://%s:%u/ops/", member->host, member->port);
  op_id_write(id, out);
  buffer_append_byte(out, '?');
  buffer_append_text(out, redirected);
  buffer_append_text(out, "=1");
}

static void send_to_owner(struct httpapi *api, const struct http_message *request, struct http_exchange *exchange,
                          const struct op_id *id) {
  const struct config_member *owner = find_member(api->config, id->node);
  struct bytes mark;
  bool was_sent = http_query_find(request->query, redirected, &mark);
  if (owner == NULL || was_sent) {
    api_write_error(api, exchange, ERR_NOT_FOUND,
                    owner == NULL ? why_not_found(OP_OF_OTHER_NODE)
                                  : "op_id: of another node, whose address led here; the outcome is unknown",
                    0, NULL, NULL);
    return;
  }
  buffer_clear(&api->value);
  append_location(owner, id, &api->value);
  api_write_redirect(api, exchange, ERR_NOT_OWNER, "op_id: of another node, which may know what became of it",
                     buffer_view(&api->value));
}

/* The id in the path, decoded. What cannot be an id is as unknown as one that nobody was given. */
static bool read_id(struct httpapi *api, const struct http_message *request, struct op_id *out, struct fault *fault) {
  struct bytes raw = bytes_make(request->path.data + ID_PATH_BYTES, request->path.len - ID_PATH_BYTES);
  buffer_clear(&api->key);
  if (!http_percent_decode(raw, &api->key))
    return fault_set(fault, ERR_BAD_REQUEST, "op_id: malformed percent-encoding, expected %% and two hex digits");
  if (!op_id_parse(buffer_view(&api->key), out))
    return fault_set(fault, ERR_NOT_FOUND, "op_id: expected one that an asynchronous write was answered with");
  return true;
}

void route_ops_get(struct httpapi *api, const struct http_message *request, struct http_exchange *exchange) {
  struct op_id id;
  struct op_result operation;
  struct fault fault;
  if (!read_id(api, request, &id, &fault)) {
    api_write_error(api, exchange, fault.code, fault.why.text, 0, NULL, NULL);
    return;
  }
  enum op_found found = dkv_find_operation(api->dkv, &id, &operation);
  if (found == OP_FOUND) {
    write_operation(api, exchange, &id, &operation);
  } else if (found == OP_OF_OTHER_NODE) {
    send_to_owner(api, request, exchange, &id);
  } else {
    api_write_error(api, exchange, ERR_NOT_FOUND, why_not_found(found), 0, NULL, NULL);
  }
}
