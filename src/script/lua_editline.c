/* kvserver.editline: lines edited at the terminal, while the loop and the tasks on it go on (script/line_editor.h).
 *
 *   width(text) -> columns that a text takes on a terminal
 *   size() -> columns and rows of the terminal that is standard output; nothing when it is none
 *   lock(fd) -> true when no other process holds the file; or nil and why not. Ends when the file is closed
 *   open{complete =, hint =} -> editor; or nil and why not
 *     complete(before) -> how many characters before the cursor go, what takes their place, lines to show below or nil
 *     hint(text) -> what is shown in grey behind the text, or nil
 *
 *   editor:read(prompt) -> the line; or nil and "interrupt" (Ctrl-C) or "end" (Ctrl-D on an empty line). Waits
 *   editor:feed(bytes)         what the terminal sent, from the loop; nil: it will send no more
 *   editor:set_prompt(text)    at once, also while a line is read; sequences without width stand between two "\1"
 *   editor:print(lines)        above the line that is read
 *   editor:resize(), editor:add_history(text), editor:close()
 *
 * The functions that are given are called below libedit, whose frames nothing may jump over: an error in one counts as
 * no answer. */
#include <errno.h>
#include <lauxlib.h>
#include <string.h>
#include <sys/file.h>

#include "base/memory.h"
#include "script/bindings.h"
#include "script/hook.h"
#include "script/line_editor.h"
#include "script/lua_buffer.h"
#include "script/pending.h"
#include "script/scheduler.h"

static const char *const metatable_name = "kvserver.editline";

enum { SLOT_COMPLETE = 1, SLOT_HINT = 2, SLOTS_COUNT = 2 };
enum { CALL_STACK_SLOTS = 8 };

struct editor {
  struct line_editor *line; /* owned; NULL when closed */
  struct line_editor_host host;
  lua_State *L; /* that reads, while it does; the editor is at index 1 */
  bool fed;
};

static struct bytes check_bytes(lua_State *L, int index) {
  size_t len;
  const char *text = luaL_checklstring(L, index, &len);
  return bytes_make(text, len);
}

static struct editor *check_editor(lua_State *L) {
  struct editor *editor = luaL_checkudata(L, 1, metatable_name);
  luaL_argcheck(L, editor->line != NULL, 1, "the editor is closed");
  return editor;
}

/* ---- what libedit asks ---- */

static bool wait_for_input(void *context) {
  struct editor *editor = context;
  struct script_vm *vm = script_vm_of(editor->L);
  editor->fed = false;
  vm->nesting++;
  bool fed = scheduler_run_until(vm, editor->L, &editor->fed);
  vm->nesting--;
  hook_restart_slice(vm);
  return fed;
}

/* Calls the function in a slot with a text; its results are on the stack when it returns true. */
static bool call_slot(struct editor *editor, int slot, struct bytes text, int results_count) {
  lua_State *L = editor->L;
  if (!lua_checkstack(L, CALL_STACK_SLOTS)) return false;
  lua_getiuservalue(L, 1, slot);
  lua_pushlstring(L, (const char *)text.data, text.len);
  if (lua_pcall(L, 1, results_count, 0) == LUA_OK) return true;
  lua_pop(L, 1);
  return false;
}

static void append_string(lua_State *L, int index, struct buffer *out) {
  size_t len;
  const char *text = lua_type(L, index) == LUA_TSTRING ? lua_tolstring(L, index, &len) : NULL;
  if (text != NULL) buffer_append(out, text, len);
}

static void ask_completion(void *context, struct bytes before, struct line_completion *out) {
  struct editor *editor = context;
  if (!call_slot(editor, SLOT_COMPLETE, before, 3)) return;
  lua_Integer erase = lua_tointeger(editor->L, -3);
  out->erase_chars = erase > 0 ? (size_t)erase : 0;
  append_string(editor->L, -2, &out->insert);
  append_string(editor->L, -1, &out->list);
  lua_pop(editor->L, 3);
}

static void ask_hint(void *context, struct bytes text, struct buffer *out) {
  struct editor *editor = context;
  if (!call_slot(editor, SLOT_HINT, text, 1)) return;
  append_string(editor->L, -1, out);
  lua_pop(editor->L, 1);
}

/* ---- methods ---- */

static int push_line(lua_State *L, enum line_outcome outcome, const struct buffer *text) {
  if (outcome == LINE_READ) {
    lua_buffer_push_string(L, text);
    return 1;
  }
  luaL_pushfail(L);
  lua_pushstring(L, outcome == LINE_INTERRUPTED ? "interrupt" : "end");
  return 2;
}

static int editor_read(lua_State *L) {
  struct editor *editor = check_editor(L);
  struct bytes prompt = check_bytes(L, 2);
  luaL_argcheck(L, !line_editor_is_reading(editor->line), 1, "a line is being read");
  script_check_wait(L);
  struct buffer *text = lua_buffer_push(L);
  line_editor_set_prompt(editor->line, prompt);
  editor->L = L;
  enum line_outcome outcome = line_editor_read(editor->line, text);
  editor->L = NULL;
  return push_line(L, outcome, text);
}

static int editor_feed(lua_State *L) {
  struct editor *editor = check_editor(L);
  if (lua_isnoneornil(L, 2))
    line_editor_end_input(editor->line);
  else
    line_editor_feed(editor->line, check_bytes(L, 2));
  editor->fed = true;
  return 0;
}

static int editor_set_prompt(lua_State *L) {
  line_editor_set_prompt(check_editor(L)->line, check_bytes(L, 2));
  return 0;
}

static int editor_print(lua_State *L) {
  line_editor_print(check_editor(L)->line, check_bytes(L, 2));
  return 0;
}

static int editor_resize(lua_State *L) {
  line_editor_resize(check_editor(L)->line);
  return 0;
}

static int editor_add_history(lua_State *L) {
  line_editor_add_history(check_editor(L)->line, check_bytes(L, 2));
  return 0;
}

/* As the program ends it may be called below line_editor_read, which then never goes on. */
static int editor_close(lua_State *L) {
  struct editor *editor = luaL_checkudata(L, 1, metatable_name);
  if (editor->line != NULL) line_editor_destroy(editor->line);
  editor->line = NULL;
  return 0;
}

/* ---- functions ---- */

static void push_metatable(lua_State *L) {
  static const luaL_Reg methods[] = {{"read", editor_read},
                                     {"feed", editor_feed},
                                     {"set_prompt", editor_set_prompt},
                                     {"print", editor_print},
                                     {"resize", editor_resize},
                                     {"add_history", editor_add_history},
                                     {"close", editor_close},
                                     {NULL, NULL}};
  if (!luaL_newmetatable(L, metatable_name)) return;
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, editor_close);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, editor_close);
  lua_setfield(L, -2, "__close");
}

static void keep_function(lua_State *L, const char *name, int slot) {
  if (lua_getfield(L, 1, name) != LUA_TFUNCTION) luaL_error(L, "open: expected a function as %s", name);
  lua_setiuservalue(L, -2, slot);
}

static int open_editor(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  struct editor *editor = lua_newuserdatauv(L, sizeof *editor, SLOTS_COUNT);
  *editor = (struct editor){
      .host = {.context = editor, .wait = wait_for_input, .complete = ask_completion, .hint = ask_hint}};
  push_metatable(L);
  lua_setmetatable(L, -2);
  keep_function(L, "complete", SLOT_COMPLETE);
  keep_function(L, "hint", SLOT_HINT);
  editor->line = line_editor_create(&editor->host);
  if (editor->line != NULL) return 1;
  luaL_pushfail(L);
  lua_pushliteral(L, "this terminal cannot be used to edit lines");
  return 2;
}

static int width(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)line_editor_width(check_bytes(L, 1)));
  return 1;
}

static int size(lua_State *L) {
  int columns;
  int rows;
  if (!line_editor_terminal_size(&columns, &rows)) return 0;
  lua_pushinteger(L, columns);
  lua_pushinteger(L, rows);
  return 2;
}

static int lock(lua_State *L) {
  int fd = (int)luaL_checkinteger(L, 1);
  int result;
  do
    result = flock(fd, LOCK_EX | LOCK_NB);
  while (result != 0 && errno == EINTR);
  if (result == 0) {
    lua_pushboolean(L, true);
    return 1;
  }
  luaL_pushfail(L);
  lua_pushstring(L, strerror(errno));
  return 2;
}

int luaopen_kvserver_editline(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"width", width}, {"size", size}, {"lock", lock}, {"open", open_editor}, {NULL, NULL}};
  line_editor_use_utf8();
  luaL_newlib(L, functions);
  return 1;
}
