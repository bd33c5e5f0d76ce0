/* The socket reads only while somebody receives: so a spec that does not receive is a client that does not read. What
 * the kernel does not take of a send waits here and leaves as the loop turns. */
#include "script/lua_rawsocket.h"

#include "base/buffer.h"
#include "base/check.h"
#include "io/tcp.h"
#include "script/lua_buffer.h"
#include "script/pending.h"

#include <lauxlib.h>
#include <stdlib.h>

static const char *const raw_type = "kvserver.httpclient.raw";

enum {
  RECEIVED_BYTES_MAX = 67108864, /* what one receive collects; then it ends with "too_large" */
  RECEIVE_TIMEOUT_MS = 5000      /* default */
};

/* What a receive waits for. */
struct goal {
  struct script_pending *waiter; /* NULL when nobody receives */
  bool to_end;                   /* everything until the end */
  size_t bytes;                  /* so many, when there is no text */
  uint8_t *text;                 /* owned; up to and including this */
  size_t text_len;
  size_t searched; /* the text does not begin before this offset */
};

/* A userdata: its address is the context of the callbacks, which end with io_tcp_close. */
struct raw {
  struct io_tcp *tcp;     /* NULL after close */
  struct io_timer *timer; /* NULL after close; the deadline of a receive */
  bool connected;
  bool shutdown_after_out; /* half-close once `out` is gone */
  const char *over;        /* why nothing more comes: "end", "closed"; NULL while it may */
  const char *over_text;
  struct buffer in;  /* received, not yet handed out */
  struct buffer out; /* accepted by send, not yet taken by the kernel */
  struct goal goal;
};

/* The result of a receive. */
struct received {
  const char *reason; /* NULL: the goal was reached */
  const char *text;
  size_t len;
  uint8_t bytes[];
};

static int push_received(lua_State *L, void *data) {
  const struct received *received = data;
  lua_pushlstring(L, (const char *)received->bytes, received->len);
  if (received->reason == NULL) return 1;
  lua_pushstring(L, received->reason);
  lua_pushstring(L, received->text); /* nil for NULL */
  return 3;
}

/* Ends the receive with the first `len` bytes. */
static void receive_end(struct raw *raw, size_t len, const char *reason, const char *text) {
  struct received *received = xmalloc(sizeof *received + len);
  received->reason = reason;
  received->text = text;
  received->len = len;
  if (len > 0) memcpy(received->bytes, raw->in.data, len);
  buffer_consume(&raw->in, len);
  free(raw->goal.text);
  struct script_pending *waiter = raw->goal.waiter;
  raw->goal = (struct goal){0};
  if (raw->tcp != NULL) {
    io_tcp_read(raw->tcp, false);
    io_timer_disarm(raw->timer);
  }
  script_pending_complete(waiter, push_received, received, free);
}

/* How many bytes reach the goal; 0 when it is not reached. */
static size_t goal_reached(struct raw *raw) {
  struct goal *goal = &raw->goal;
  if (goal->to_end) return 0;
  if (goal->text == NULL) return raw->in.len >= goal->bytes ? goal->bytes : 0;
  if (raw->in.len < goal->text_len) return 0;
  const uint8_t *from = raw->in.data + goal->searched;
  const uint8_t *found = memmem(from, raw->in.len - goal->searched, goal->text, goal->text_len);
  if (found != NULL) return (size_t)(found - raw->in.data) + goal->text_len;
  goal->searched = raw->in.len - goal->text_len + 1;
  return 0;
}

static void receive_progress(struct raw *raw) {
  if (raw->goal.waiter == NULL) return;
  size_t len = goal_reached(raw);
  if (len > 0)
    receive_end(raw, len, NULL, NULL);
  else if (raw->over != NULL)
    receive_end(raw, raw->in.len, raw->over, raw->over_text);
  else if (raw->in.len >= RECEIVED_BYTES_MAX)
    receive_end(raw, raw->in.len, "too_large", NULL);
}

static void on_data(void *context, struct bytes data) {
  struct raw *raw = context;
  buffer_append_bytes(&raw->in, data);
  receive_progress(raw);
}

static void on_end(void *context) {
  struct raw *raw = context;
  raw->over = "end";
  receive_progress(raw);
}

static void raw_release(struct raw *raw, void (*close)(struct io_tcp *tcp), const char *why) {
  if (raw->tcp == NULL) return;
  close(raw->tcp);
  raw->tcp = NULL;
  io_timer_destroy(raw->timer);
  if (raw->over == NULL) raw->over = "closed";
  raw->over_text = why;
  receive_progress(raw);
}

static void on_closed(void *context, const char *why) {
  struct raw *raw = context;
  raw->over = "closed";
  raw_release(raw, io_tcp_close, why);
}

static void send_out(struct raw *raw) {
  buffer_consume(&raw->out, io_tcp_write(raw->tcp, buffer_view(&raw->out)));
  if (raw->out.len == 0 && raw->shutdown_after_out) io_tcp_shutdown(raw->tcp);
}

static void on_writable(void *context) {
  struct raw *raw = context;
  if (!raw->connected) io_tcp_read(raw->tcp, raw->goal.waiter != NULL);
  raw->connected = true;
  send_out(raw);
}

static void on_deadline(void *context) {
  struct raw *raw = context;
  receive_end(raw, raw->in.len, "timeout", NULL);
}

static struct raw *check_raw(lua_State *L) {
  return luaL_checkudata(L, 1, raw_type);
}

/* send(bytes): queues; true, or nil and "closed" when the connection is gone. */
static int raw_send(lua_State *L) {
  struct raw *raw = check_raw(L);
  size_t len;
  const char *data = luaL_checklstring(L, 2, &len);
  if (raw->tcp == NULL || raw->shutdown_after_out) {
    luaL_pushfail(L);
    lua_pushliteral(L, "closed");
    lua_pushstring(L, raw->over_text);
    return 3;
  }
  buffer_append(&raw->out, data, len);
  if (raw->connected) send_out(raw);
  lua_pushboolean(L, true);
  return 1;
}

/* Reads field until_ of the table at 2; the text stays borrowed from the Lua stack. */
static struct goal read_goal(lua_State *L, struct bytes *text) {
  struct goal goal = {0};
  *text = bytes_make(NULL, 0);
  int type = lua_getfield(L, 2, "until_");
  if (type == LUA_TNIL) {
    goal.to_end = true;
  } else if (type == LUA_TNUMBER) {
    lua_Integer bytes = luaL_checkinteger(L, -1);
    luaL_argcheck(L, bytes > 0 && bytes <= RECEIVED_BYTES_MAX, 2, "until_: expected 1 to 67108864 bytes");
    goal.bytes = (size_t)bytes;
  } else {
    text->data = (const uint8_t *)lua_tolstring(L, -1, &text->len);
    luaL_argcheck(L, text->len > 0, 2, "until_: expected a text or a number of bytes");
  }
  return goal;
}

/* receive{until_ = text or number of bytes, timeout_ms =}: the bytes up to the goal; when it is not reached, what came
 * so far and "end" (the peer's FIN), "closed" (and why), "timeout" or "too_large". Without until_: all until the end.
 */
static int raw_receive(lua_State *L) {
  struct raw *raw = check_raw(L);
  lua_settop(L, 2);
  if (lua_isnil(L, 2)) {
    lua_newtable(L);
    lua_replace(L, 2);
  }
  luaL_checktype(L, 2, LUA_TTABLE);
  if (raw->goal.waiter != NULL) return luaL_error(L, "receive: another one waits on this socket");
  lua_getfield(L, 2, "timeout_ms");
  lua_Integer timeout_ms = luaL_optinteger(L, -1, RECEIVE_TIMEOUT_MS);
  luaL_argcheck(L, timeout_ms >= 0, 2, "timeout_ms: expected 0 or more");
  struct bytes text;
  struct goal goal = read_goal(L, &text);
  script_check_wait(L);
  goal.waiter = script_pending_push(L); /* nothing raises from here on */
  if (text.len > 0) {
    goal.text = memcpy(xmalloc(text.len), text.data, text.len);
    goal.text_len = text.len;
  }
  raw->goal = goal;
  if (raw->tcp != NULL) {
    io_tcp_read(raw->tcp, true);
    io_timer_arm(raw->timer, (uint64_t)timeout_ms);
  }
  receive_progress(raw);
  return script_await(L, goal.waiter);
}

/* shutdown(): half-close, after what was sent. */
static int raw_shutdown(lua_State *L) {
  struct raw *raw = check_raw(L);
  raw->shutdown_after_out = true;
  if (raw->tcp != NULL && raw->connected) send_out(raw);
  return 0;
}

/* unsent(): bytes that the kernel did not take yet. */
static int raw_unsent(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)check_raw(L)->out.len);
  return 1;
}

static int raw_close(lua_State *L) {
  raw_release(check_raw(L), io_tcp_close, "closed by this side");
  return 0;
}

/* reset(): closes with a TCP reset. */
static int raw_reset(lua_State *L) {
  raw_release(check_raw(L), io_tcp_reset, "reset by this side");
  return 0;
}

static int raw_gc(lua_State *L) {
  struct raw *raw = check_raw(L);
  raw_close(L);
  buffer_deinit(&raw->in);
  buffer_deinit(&raw->out);
  return 0;
}

static const luaL_Reg raw_methods[] = {{"send", raw_send},     {"receive", raw_receive}, {"shutdown", raw_shutdown},
                                       {"unsent", raw_unsent}, {"close", raw_close},     {"reset", raw_reset},
                                       {"__gc", raw_gc},       {"__close", raw_close},   {NULL, NULL}};

static const struct io_tcp_events raw_events = {
    .on_data = on_data, .on_end = on_end, .on_closed = on_closed, .on_writable = on_writable};

int script_rawsocket_open(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_getfield(L, 1, "host");
  const char *host = luaL_optstring(L, -1, "127.0.0.1");
  lua_getfield(L, 1, "port");
  lua_Integer port = luaL_checkinteger(L, -1);
  luaL_argcheck(L, port > 0 && port <= UINT16_MAX, 1, "port: expected 1 to 65535");
  struct raw *raw = lua_newuserdatauv(L, sizeof *raw, 0);
  memset(raw, 0, sizeof *raw);
  if (luaL_newmetatable(L, raw_type)) {
    luaL_setfuncs(L, raw_methods, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
  }
  lua_setmetatable(L, -2);
  struct io_loop *loop = script_loop(L);
  raw->timer = io_timer_create(loop, on_deadline, raw);
  raw->tcp = io_connect(loop, host, (uint16_t)port, &raw_events, raw);
  return 1;
}
