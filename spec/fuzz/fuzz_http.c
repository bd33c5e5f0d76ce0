/* libFuzzer target of the HTTP reader. Checked on every input, as requests or as responses:
 *
 *   - the outcome (messages, failure, bytes consumed) does not depend on how the bytes are cut into feeds;
 *   - a request that was accepted, written again, is accepted as the same; so is its path, percent-coded;
 *   - a connection with a handler that answers now, later and in any order gives one well-formed answer per request, in
 *     their order, never lets a read pass a write, and comes to its end.
 *
 * The first byte says what the rest is; it also seeds the cuts and the handler's moods. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "http/connection.h"
#include "types/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BODY_BYTES_MAX = 4096, ANSWERS_MAX = 4096, REQUEST_TIMEOUT_MS = 100, IDLE_TIMEOUT_MS = 1000 };

/* A small generator: the same input must give the same run. */
static uint32_t draw(uint32_t *state, uint32_t below) {
  *state = *state * 1664525 + 1013904223;
  return (*state >> 8) % below;
}

enum cuts { CUT_NOWHERE, CUT_EVERYWHERE, CUT_SOMEWHERE };

static size_t next_cut(enum cuts cuts, uint32_t *random, size_t left) {
  if (cuts == CUT_EVERYWHERE) return 1;
  return cuts == CUT_NOWHERE ? left : 1 + draw(random, (uint32_t)left);
}

/* A copy of exactly these bytes, so that the sanitizer sees a step beyond them. */
static struct bytes lend(struct bytes piece) {
  void *copy = xmalloc(piece.len);
  memcpy(copy, piece.data, piece.len);
  return bytes_make(copy, piece.len);
}

/* ---- the parser ---- */

static bool is_framing(struct bytes name) {
  return http_text_equal(name, "content-length") || http_text_equal(name, "transfer-encoding");
}

static void log_message(struct buffer *log, const struct http_message *message) {
  buffer_append_format(log, "message %d %d %d%d\n", (int)message->method, message->status, message->keep_alive,
                       message->http_1_0);
  const struct bytes parts[] = {message->method_name, message->path, message->query, message->body};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    buffer_append_bytes(log, parts[i]);
    buffer_append_byte(log, '\n');
  }
  for (size_t i = 0; i < message->headers_count; i++) {
    if (is_framing(message->headers[i].name)) continue;
    buffer_append_bytes(log, message->headers[i].name);
    buffer_append_byte(log, ':');
    buffer_append_bytes(log, message->headers[i].value);
    buffer_append_byte(log, '\n');
  }
}

static void log_failure(struct buffer *log, const struct http_parser *parser) {
  CHECK(http_parser_fail_status(parser) >= 400 && http_parser_fail_status(parser) <= 599);
  CHECK(http_parser_fail_text(parser)[0] != '\0');
  buffer_append_format(log, "failure %d %s\n", http_parser_fail_status(parser), http_parser_fail_text(parser));
}

static void log_progress(struct buffer *log, const struct http_parser *parser, enum http_progress progress) {
  if (progress == HTTP_MESSAGE) {
    log_message(log, http_parser_message(parser));
  } else if (progress == HTTP_FAILED) {
    log_failure(log, parser);
  } else if (progress == HTTP_HEAD_COMPLETE) {
    buffer_append_text(log, "continue\n");
  }
}

static void write_again(const struct http_message *request, struct buffer *out) {
  buffer_append_bytes(out, request->method_name);
  buffer_append_byte(out, ' ');
  buffer_append_bytes(out, request->path);
  if (request->query.len > 0) buffer_append_byte(out, '?');
  buffer_append_bytes(out, request->query);
  buffer_append_format(out, " HTTP/1.%d\r\n", !request->http_1_0);
  for (size_t i = 0; i < request->headers_count; i++) {
    if (is_framing(request->headers[i].name)) continue;
    buffer_append_bytes(out, request->headers[i].name);
    buffer_append_byte(out, ':');
    buffer_append_bytes(out, request->headers[i].value);
    buffer_append_text(out, "\r\n");
  }
  if (request->body.len > 0) buffer_append_format(out, "Content-Length: %zu\r\n", request->body.len);
  buffer_append_text(out, "\r\n");
  buffer_append_bytes(out, request->body);
}

static void check_written_again(const struct http_message *request) {
  struct buffer wanted;
  struct buffer bytes;
  struct buffer got;
  buffer_init(&wanted);
  buffer_init(&bytes);
  buffer_init(&got);
  log_message(&wanted, request);
  write_again(request, &bytes);
  struct http_parser *parser = http_parser_create(HTTP_REQUESTS, BODY_BYTES_MAX);
  size_t at = 0;
  size_t used;
  while (http_parser_feed(parser, bytes_make(bytes.data + at, bytes.len - at), &used) == HTTP_HEAD_COMPLETE)
    at += used;
  CHECK(at + used == bytes.len);
  log_message(&got, http_parser_message(parser));
  CHECK(bytes_equal(buffer_view(&wanted), buffer_view(&got)));
  http_parser_destroy(parser);
  buffer_deinit(&wanted);
  buffer_deinit(&bytes);
  buffer_deinit(&got);
}

/* What decodes, encodes and decodes to the same; nothing is read beyond the end of a path. */
static void check_percent(struct bytes path) {
  struct buffer decoded;
  struct buffer encoded;
  struct buffer again;
  buffer_init(&decoded);
  buffer_init(&encoded);
  buffer_init(&again);
  struct bytes raw = lend(path);
  if (http_percent_decode(raw, &decoded)) {
    http_percent_encode(buffer_view(&decoded), &encoded);
    CHECK(http_percent_decode(buffer_view(&encoded), &again));
    CHECK(bytes_equal(buffer_view(&decoded), buffer_view(&again)));
  } else {
    CHECK(decoded.len == 0);
  }
  free((void *)raw.data);
  buffer_deinit(&decoded);
  buffer_deinit(&encoded);
  buffer_deinit(&again);
}

static void check_accepted(const struct http_message *request) {
  struct bytes raw;
  if (http_query_find(request->query, "read", &raw)) CHECK(raw.len <= request->query.len);
  check_percent(request->path);
  check_written_again(request);
}

/* Returns false when the parser failed. */
static bool feed_piece(struct http_parser *parser, struct bytes piece, size_t *consumed, struct buffer *log,
                       bool again) {
  size_t at = 0;
  enum http_progress progress;
  do {
    size_t used;
    progress = http_parser_feed(parser, bytes_make(piece.data + at, piece.len - at), &used);
    CHECK(used <= piece.len - at);
    at += used;
    CHECK(progress != HTTP_NEED_MORE || at == piece.len);
    if (progress == HTTP_MESSAGE) buffer_append_format(log, "at %zu: ", *consumed + at);
    log_progress(log, parser, progress);
    if (again && progress == HTTP_MESSAGE) check_accepted(http_parser_message(parser));
  } while (progress != HTTP_FAILED && at < piece.len);
  *consumed += at;
  return progress != HTTP_FAILED;
}

static void run_parser(enum http_kind kind, struct bytes in, enum cuts cuts, uint32_t random, struct buffer *log) {
  struct http_parser *parser = http_parser_create(kind, BODY_BYTES_MAX);
  bool again = kind == HTTP_REQUESTS && cuts == CUT_NOWHERE;
  size_t consumed = 0;
  bool alive = true;
  for (size_t at = 0; at < in.len && alive;) {
    size_t len = next_cut(cuts, &random, in.len - at);
    struct bytes piece = lend(bytes_make(in.data + at, len));
    alive = feed_piece(parser, piece, &consumed, log, again);
    free((void *)piece.data);
    at += len;
    if (cuts == CUT_SOMEWHERE && draw(&random, 4) == 0) http_parser_trim(parser);
  }
  buffer_append_format(log, "end %d: ", http_parser_in_message(parser));
  log_progress(log, parser, http_parser_finish(parser));
  http_parser_destroy(parser);
}

static void check_cuts(enum http_kind kind, struct bytes in, uint32_t random) {
  struct buffer logs[3];
  for (enum cuts cuts = CUT_NOWHERE; cuts <= CUT_SOMEWHERE; cuts++) {
    buffer_init(&logs[cuts]);
    run_parser(kind, in, cuts, random, &logs[cuts]);
    CHECK(bytes_equal(buffer_view(&logs[CUT_NOWHERE]), buffer_view(&logs[cuts])));
  }
  for (size_t i = 0; i < 3; i++)
    buffer_deinit(&logs[i]);
}

/* ---- the connection ---- */

struct world {
  struct http_connection *connection;
  uint32_t random;
  bool closed;               /* the client is gone: answers go nowhere */
  bool is_head[ANSWERS_MAX]; /* per answer that is due: the request was HEAD */
  size_t due_count;          /* answers that the client must get */
  struct http_exchange *waiting[HTTP_PIPELINE_MAX];
  enum http_effect waiting_effect;
  size_t waiting_count;
  size_t handled_count;
  struct buffer sent; /* what the client got */
};

static enum http_effect classify(void *context, const struct http_message *request) {
  (void)context;
  bool reads = request->method == HTTP_METHOD_GET || request->method == HTTP_METHOD_HEAD;
  return reads ? HTTP_EFFECT_READ : HTTP_EFFECT_WRITE;
}

static void answer(struct world *world, struct http_exchange *exchange) {
  static const int statuses[] = {200, 404, 503, 204};
  struct buffer body;
  buffer_init(&body);
  buffer_append_format(&body, "%*d", (int)draw(&world->random, 300), 1);
  http_exchange_reply(exchange, statuses[draw(&world->random, 4)], "text/plain", (struct bytes){0}, buffer_view(&body));
  buffer_deinit(&body);
}

static void answer_one_of_waiting(struct world *world) {
  size_t which = draw(&world->random, (uint32_t)world->waiting_count);
  struct http_exchange *exchange = world->waiting[which];
  world->waiting[which] = world->waiting[--world->waiting_count];
  CHECK(http_exchange_alive(exchange) == !world->closed);
  answer(world, exchange);
}

static void handle(void *context, const struct http_message *request, struct http_exchange *exchange) {
  struct world *world = context;
  enum http_effect effect = classify(context, request);
  CHECK(world->waiting_count == 0 || world->waiting_effect == effect);
  CHECK(world->waiting_count < HTTP_PIPELINE_MAX && world->due_count < ANSWERS_MAX);
  world->is_head[world->due_count++] = request->method == HTTP_METHOD_HEAD;
  world->handled_count++;
  if (draw(&world->random, 2) == 0) {
    answer(world, exchange);
  } else {
    world->waiting_effect = effect;
    world->waiting[world->waiting_count++] = exchange;
  }
  CHECK(http_connection_inflight(world->connection) == world->waiting_count);
  if (draw(&world->random, 64) == 0) http_connection_drain(world->connection);
}

static void error_body(void *context, int status, const char *text, struct buffer *out) {
  struct world *world = context;
  CHECK(world->due_count < ANSWERS_MAX);
  world->is_head[world->due_count++] = false;
  buffer_append_format(out, "%d %s", status, text);
}

static void take_output(struct world *world, size_t len) {
  struct bytes output = http_connection_output(world->connection);
  if (len > output.len) len = output.len;
  buffer_append(&world->sent, output.data, len);
  http_connection_sent(world->connection, len);
}

/* Whatever an owner may do between two reads. */
static void turn(struct world *world, uint64_t *now_ms) {
  while (world->waiting_count > 0 && draw(&world->random, 2) == 0)
    answer_one_of_waiting(world);
  *now_ms += draw(&world->random, REQUEST_TIMEOUT_MS / 4);
  http_connection_resume(world->connection, *now_ms);
  take_output(world, draw(&world->random, 2000));
  http_connection_tick(world->connection, *now_ms);
  CHECK(http_connection_deadline_ms(world->connection) > *now_ms);
}

static void check_answers(struct world *world) {
  struct http_parser *parser = http_parser_create(HTTP_RESPONSES, UINT32_MAX);
  size_t answers_count = 0;
  for (size_t at = 0; at < world->sent.len;) {
    size_t used;
    if (answers_count < world->due_count && world->is_head[answers_count]) http_parser_expect_head(parser);
    CHECK(http_parser_feed(parser, bytes_make(world->sent.data + at, world->sent.len - at), &used) == HTTP_MESSAGE);
    at += used;
    if (http_parser_message(parser)->status >= 200) answers_count++;
  }
  CHECK(answers_count == world->due_count);
  http_parser_destroy(parser);
}

static void finish_connection(struct world *world, uint64_t now_ms) {
  http_connection_end(world->connection, now_ms);
  while (!http_connection_finished(world->connection)) {
    size_t before = world->waiting_count + http_connection_output(world->connection).len;
    if (world->waiting_count > 0) answer_one_of_waiting(world);
    http_connection_resume(world->connection, now_ms);
    take_output(world, SIZE_MAX);
    CHECK(before > 0 || world->waiting_count > 0 || http_connection_wants_input(world->connection) ||
          http_connection_finished(world->connection));
  }
  check_answers(world);
}

static void run_connection(struct bytes in, uint32_t random) {
  static const struct http_limits limits = {
      .body_bytes_max = BODY_BYTES_MAX, .request_timeout_ms = REQUEST_TIMEOUT_MS, .idle_timeout_ms = IDLE_TIMEOUT_MS};
  struct world world = {.random = random};
  struct http_handler handler = {.context = &world, .classify = classify, .handle = handle, .error_body = error_body};
  uint64_t now_ms = 0;
  bool vanishes = draw(&world.random, 8) == 0;
  world.connection = http_connection_create(&handler, &limits, false, now_ms);
  for (size_t at = 0; at < in.len && http_connection_wants_input(world.connection);) {
    size_t len = next_cut(CUT_SOMEWHERE, &world.random, in.len - at);
    struct bytes piece = lend(bytes_make(in.data + at, len));
    http_connection_feed(world.connection, piece, now_ms);
    free((void *)piece.data);
    at += len;
    turn(&world, &now_ms);
  }
  if (!vanishes) finish_connection(&world, now_ms);
  http_connection_destroy(world.connection);
  world.closed = true;
  while (world.waiting_count > 0)
    answer_one_of_waiting(&world);
  buffer_deinit(&world.sent);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2) return 0;
  struct bytes in = bytes_make(data + 1, size - 1);
  if ((data[0] & 1) != 0) {
    check_cuts(HTTP_RESPONSES, in, data[0]);
  } else {
    check_cuts(HTTP_REQUESTS, in, data[0]);
    run_connection(in, data[0]);
  }
  return 0;
}
