#include "script/line_editor.h"

#include "base/check.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "script/terminal_guard.h"

#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

enum {
  HISTORY_ENTRIES_MAX = 5000,
  PROMPT_CHARS_MAX = 256,
  COLUMNS_DEFAULT = 80,
  TAB_COLUMNS = 8,
  REPLACEMENT = 0xfffd,
  PASTE_CHARS_MAX = 1 << 20,
};

static const char paste_on[] = "\033[?2004h";
static const char paste_off[] = "\033[?2004l";
static const wchar_t paste_end[] = L"\033[201~";
static const wchar_t escape_mark = L'\1'; /* around what has no width in a prompt */

struct line_editor {
  const struct line_editor_host *host; /* kept */
  EditLine *el;
  HistoryW *history;
  wchar_t prompt[PROMPT_CHARS_MAX]; /* with its marks */
  struct buffer input;              /* fed, not read yet */
  bool input_ended;                 /* nothing more will be fed */
  enum line_outcome outcome;        /* of the line being read */
  bool reading;
  bool hint_shown; /* right of the cursor */
  bool color;      /* the terminal is one that knows sequences */
};

/* ---- text ---- */

void line_editor_use_utf8(void) {
  if (setlocale(LC_CTYPE, "") != NULL && strcmp(nl_langinfo(CODESET), "UTF-8") == 0) return;
  setlocale(LC_CTYPE, "C.UTF-8");
}

/* Length of the character that begins with this byte; 0: none does. */
static size_t char_bytes(uint8_t first) {
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first < 0xe0) return 2;
  if (first >= 0xe0 && first < 0xf0) return 3;
  if (first >= 0xf0 && first < 0xf5) return 4;
  return 0;
}

/* The first character of a view that is not empty; *used is how many bytes it takes, 0 when its end is missing. */
static wchar_t first_char(struct bytes text, size_t *used) {
  size_t len = char_bytes(text.data[0]);
  *used = 1;
  if (len == 0) return REPLACEMENT;
  if (len == 1) return (wchar_t)text.data[0];
  if (text.len < len) {
    *used = 0;
    return REPLACEMENT;
  }
  if (!utf8_valid(bytes_make(text.data, len))) return REPLACEMENT;
  *used = len;
  wchar_t c = (wchar_t)(text.data[0] & (0xff >> (len + 1)));
  for (size_t i = 1; i < len; i++)
    c = (wchar_t)(c << 6) | (text.data[i] & 0x3f);
  return c;
}

static void append_char(struct buffer *out, wchar_t wide) {
  uint32_t c = (uint32_t)wide;
  if (c < 0x80) {
    buffer_append_byte(out, (uint8_t)c);
  } else if (c < 0x800) {
    buffer_append_byte(out, (uint8_t)(0xc0 | (c >> 6)));
    buffer_append_byte(out, (uint8_t)(0x80 | (c & 0x3f)));
  } else if (c < 0x10000) {
    buffer_append_byte(out, (uint8_t)(0xe0 | (c >> 12)));
    buffer_append_byte(out, (uint8_t)(0x80 | ((c >> 6) & 0x3f)));
    buffer_append_byte(out, (uint8_t)(0x80 | (c & 0x3f)));
  } else {
    buffer_append_byte(out, (uint8_t)(0xf0 | (c >> 18)));
    buffer_append_byte(out, (uint8_t)(0x80 | ((c >> 12) & 0x3f)));
    buffer_append_byte(out, (uint8_t)(0x80 | ((c >> 6) & 0x3f)));
    buffer_append_byte(out, (uint8_t)(0x80 | (c & 0x3f)));
  }
}

static void append_chars(struct buffer *out, const wchar_t *from, const wchar_t *to) {
  for (; from < to; from++)
    append_char(out, *from);
}

/* Returns owned, ended by a NUL; a NUL inside becomes U+FFFD. */
static wchar_t *to_wide(struct bytes text) {
  wchar_t *wide = xmalloc((text.len + 1) * sizeof *wide);
  size_t count = 0;
  while (text.len > 0) {
    size_t used;
    wchar_t c = first_char(text, &used);
    if (used == 0) used = text.len;
    wide[count++] = c != 0 ? c : REPLACEMENT;
    text.data += used;
    text.len -= used;
  }
  wide[count] = 0;
  return wide;
}

static int char_columns(wchar_t c) {
  int columns = wcwidth(c);
  return columns < 0 ? 1 : columns;
}

size_t line_editor_width(struct bytes text) {
  size_t columns = 0;
  while (text.len > 0) {
    size_t used;
    wchar_t c = first_char(text, &used);
    if (used == 0) used = text.len;
    columns += (size_t)char_columns(c);
    text.data += used;
    text.len -= used;
  }
  return columns;
}

/* ---- where things stand on the screen ---- */

bool line_editor_terminal_size(int *columns, int *rows) {
  struct winsize size;
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return false;
  *columns = size.ws_col;
  *rows = size.ws_row;
  return true;
}

static int terminal_columns(void) {
  int columns = COLUMNS_DEFAULT;
  int rows = 0;
  line_editor_terminal_size(&columns, &rows);
  return columns;
}

struct place {
  int row;
  int column;
};

static void advance(struct place *place, wchar_t c, int columns_max) {
  if (c == L'\n') {
    *place = (struct place){place->row + 1, 0};
    return;
  }
  int wide = char_columns(c);
  if (c == L'\t') {
    wide = TAB_COLUMNS - place->column % TAB_COLUMNS;
  } else if (c < L' ' || c == 0x7f) {
    wide = 2; /* as ^A */
  }
  if (place->column + wide > columns_max) *place = (struct place){place->row + 1, 0};
  place->column += wide;
  if (place->column >= columns_max) *place = (struct place){place->row + 1, 0};
}

/* Where the character before `to` ends, seen from where the prompt begins. */
static struct place place_of(const struct line_editor *editor, const wchar_t *from, const wchar_t *to) {
  struct place place = {0, 0};
  int columns_max = terminal_columns();
  bool shown = true;
  for (const wchar_t *c = editor->prompt; *c != 0; c++) {
    if (*c == escape_mark)
      shown = !shown;
    else if (shown)
      advance(&place, *c, columns_max);
  }
  for (; from < to; from++)
    advance(&place, *from, columns_max);
  return place;
}

/* The cursor goes to where the prompt begins; what was behind that is gone. */
static void clear_line(struct line_editor *editor) {
  const LineInfoW *line = el_wline(editor->el);
  struct place place = place_of(editor, line->buffer, line->cursor);
  fputs("\r", stdout);
  if (place.row > 0) printf("\033[%dA", place.row);
  fputs("\033[J", stdout);
  fflush(stdout);
  editor->hint_shown = false;
}

/* The cursor goes to the line below all of it. */
static void leave_line(struct line_editor *editor) {
  const LineInfoW *line = el_wline(editor->el);
  int below = place_of(editor, line->buffer, line->lastchar).row - place_of(editor, line->buffer, line->cursor).row;
  if (below > 0) printf("\033[%dB", below);
  fputs("\r\n\033[J", stdout);
  fflush(stdout);
}

static void show_line(struct line_editor *editor) {
  el_set(editor->el, EL_REFRESH);
  fflush(stdout);
}

/* ---- the hint ---- */

static void show_hint(struct line_editor *editor) {
  const LineInfoW *line = el_wline(editor->el);
  if (!editor->color || line->cursor != line->lastchar || line->lastchar == line->buffer) return;
  struct buffer text;
  struct buffer hint;
  buffer_init(&text);
  buffer_init(&hint);
  append_chars(&text, line->buffer, line->lastchar);
  editor->host->hint(editor->host->context, buffer_view(&text), &hint);
  int room = terminal_columns() - place_of(editor, line->buffer, line->cursor).column - 1;
  if (hint.len > 0 && room > 0 && line_editor_width(buffer_view(&hint)) <= (size_t)room) {
    printf("\0337\033[90m%.*s\033[0m\0338", (int)hint.len, (const char *)hint.data);
    fflush(stdout);
    editor->hint_shown = true;
  }
  buffer_deinit(&text);
  buffer_deinit(&hint);
}

static void hide_hint(struct line_editor *editor) {
  if (!editor->hint_shown) return;
  editor->hint_shown = false;
  fputs("\033[K", stdout);
  fflush(stdout);
}

/* ---- keys ---- */

static struct line_editor *editor_of(EditLine *el) {
  void *editor = NULL;
  el_get(el, EL_CLIENTDATA, &editor);
  return editor;
}

/* One character was fed. A beginning without its end waits for more. */
static bool take_char(struct line_editor *editor, wchar_t *out) {
  if (editor->input.len == 0) return false;
  size_t used;
  *out = first_char(buffer_view(&editor->input), &used);
  if (used == 0) return false;
  buffer_consume(&editor->input, used);
  return true;
}

/* libedit's way to a key: 1, or 0 when there will be none. */
static int read_char(EditLine *el, wchar_t *out) {
  struct line_editor *editor = editor_of(el);
  if (take_char(editor, out)) return 1;
  show_hint(editor);
  bool taken = false;
  while (!taken && !editor->input_ended && editor->host->wait(editor->host->context))
    taken = take_char(editor, out);
  hide_hint(editor);
  return taken ? 1 : 0;
}

static unsigned char on_interrupt(EditLine *el, int key) {
  (void)key;
  editor_of(el)->outcome = LINE_INTERRUPTED;
  return CC_EOF;
}

static void enter_editing(struct line_editor *editor) {
  terminal_guard_arm(paste_off);
  el_set(editor->el, EL_PREP_TERM, 1);
  fputs(paste_on, stdout);
  fflush(stdout);
}

static void leave_editing(struct line_editor *editor) {
  fputs(paste_off, stdout);
  fflush(stdout);
  el_set(editor->el, EL_PREP_TERM, 0);
  terminal_guard_disarm();
}

static unsigned char on_suspend(EditLine *el, int key) {
  (void)key;
  struct line_editor *editor = editor_of(el);
  leave_line(editor);
  leave_editing(editor);
  kill(0, SIGTSTP); /* the job that the shell knows; goes on here when it is continued */
  enter_editing(editor);
  show_line(editor);
  return CC_NORM;
}

/* What is pasted is text, its ends of lines, too; nothing in it is a key. */
static unsigned char on_paste(EditLine *el, int key) {
  (void)key;
  size_t end_length = wcslen(paste_end);
  wchar_t *text = xmalloc((PASTE_CHARS_MAX + 1) * sizeof *text);
  size_t count = 0;
  bool ended = false;
  wchar_t c;
  while (!ended && el_wgetc(el, &c) == 1) {
    if (count == PASTE_CHARS_MAX) continue; /* the rest is lost, up to its end */
    text[count++] = c == L'\r' ? L'\n' : c;
    ended = count >= end_length && wmemcmp(text + count - end_length, paste_end, end_length) == 0;
  }
  if (ended) count -= end_length;
  while (count > 0 && text[count - 1] == L'\n')
    count--;
  text[count] = 0;
  int failed = count > 0 ? el_winsertstr(el, text) : 0;
  free(text);
  return failed != 0 ? CC_ERROR : CC_REFRESH;
}

static void insert_completion(EditLine *el, const struct line_completion *found) {
  el_deletestr(el, (int)found->erase_chars);
  wchar_t *text = to_wide(buffer_view(&found->insert));
  if (text[0] != 0) el_winsertstr(el, text);
  free(text);
}

static unsigned char on_complete(EditLine *el, int key) {
  (void)key;
  struct line_editor *editor = editor_of(el);
  struct line_completion found = {.erase_chars = 0};
  struct buffer before;
  buffer_init(&before);
  buffer_init(&found.insert);
  buffer_init(&found.list);
  const LineInfoW *line = el_wline(el);
  append_chars(&before, line->buffer, line->cursor);
  editor->host->complete(editor->host->context, buffer_view(&before), &found);
  bool listed = found.list.len > 0;
  if (listed) {
    leave_line(editor);
    fwrite(found.list.data, 1, found.list.len, stdout);
    fflush(stdout);
  }
  bool nothing = found.erase_chars == 0 && found.insert.len == 0;
  if (!nothing) insert_completion(el, &found);
  if (listed) show_line(editor);
  buffer_deinit(&before);
  buffer_deinit(&found.insert);
  buffer_deinit(&found.list);
  if (listed) return CC_NORM;
  return nothing ? CC_ERROR : CC_REFRESH;
}

static wchar_t *prompt_text(EditLine *el) {
  return editor_of(el)->prompt;
}

struct key {
  const wchar_t *sequence;
  const wchar_t *command;
};

/* Beside what libedit's emacs keys are; terminals send arrows and the like in several ways. */
static const struct key keys[] = {
    {L"^C", L"kv-interrupt"},       {L"^Z", L"kv-suspend"},         {L"^I", L"kv-complete"},
    {L"\\e[200~", L"kv-paste"},     {L"^R", L"em-inc-search-prev"}, {L"^W", L"ed-delete-prev-word"},
    {L"^U", L"em-kill-region"},     {L"\\e[A", L"ed-prev-history"}, {L"\\e[B", L"ed-next-history"},
    {L"\\e[C", L"ed-next-char"},    {L"\\e[D", L"ed-prev-char"},    {L"\\eOA", L"ed-prev-history"},
    {L"\\eOB", L"ed-next-history"}, {L"\\eOC", L"ed-next-char"},    {L"\\eOD", L"ed-prev-char"},
    {L"\\e[H", L"ed-move-to-beg"},  {L"\\e[F", L"ed-move-to-end"},  {L"\\eOH", L"ed-move-to-beg"},
    {L"\\eOF", L"ed-move-to-end"},  {L"\\e[1~", L"ed-move-to-beg"}, {L"\\e[4~", L"ed-move-to-end"},
    {L"\\e[7~", L"ed-move-to-beg"}, {L"\\e[8~", L"ed-move-to-end"}, {L"\\e[3~", L"ed-delete-next-char"},
    {L"\\e[1;5C", L"em-next-word"}, {L"\\e[1;5D", L"ed-prev-word"}, {L"\\e[1;3C", L"em-next-word"},
    {L"\\e[1;3D", L"ed-prev-word"},
};

static void bind_keys(EditLine *el) {
  el_wset(el, EL_EDITOR, L"emacs");
  el_wset(el, EL_ADDFN, L"kv-interrupt", L"Leave this line", on_interrupt);
  el_wset(el, EL_ADDFN, L"kv-suspend", L"Suspend the console", on_suspend);
  el_wset(el, EL_ADDFN, L"kv-complete", L"Complete", on_complete);
  el_wset(el, EL_ADDFN, L"kv-paste", L"Insert what is pasted", on_paste);
  for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
    el_wset(el, EL_BIND, keys[i].sequence, keys[i].command, NULL);
  /* Ctrl-C and Ctrl-Z are keys while a line is edited. */
  el_wset(el, EL_SETTY, L"-d", L"-isig", NULL);
}

/* ---- the editor ---- */

struct line_editor *line_editor_create(const struct line_editor_host *host) {
  line_editor_use_utf8();
  terminal_guard_open(STDIN_FILENO);
  EditLine *el = el_init("kvserver", stdin, stdout, stderr);
  if (el == NULL) return NULL;
  struct line_editor *editor = xcalloc(1, sizeof *editor);
  editor->host = host;
  editor->el = el;
  const char *terminal = getenv("TERM");
  editor->color = terminal != NULL && strcmp(terminal, "dumb") != 0;
  buffer_init(&editor->input);
  editor->history = history_winit();
  CHECK(editor->history != NULL);
  HistEventW event;
  history_w(editor->history, &event, H_SETSIZE, HISTORY_ENTRIES_MAX);
  history_w(editor->history, &event, H_SETUNIQUE, 1);
  el_wset(el, EL_CLIENTDATA, editor);
  el_wset(el, EL_SIGNAL, 0);
  el_wset(el, EL_HIST, history_w, editor->history);
  el_wset(el, EL_PROMPT_ESC, prompt_text, escape_mark);
  el_wset(el, EL_GETCFN, read_char);
  bind_keys(el);
  return editor;
}

void line_editor_destroy(struct line_editor *editor) {
  if (editor->reading) leave_editing(editor);
  el_end(editor->el);
  history_wend(editor->history);
  buffer_deinit(&editor->input);
  free(editor);
}

enum line_outcome line_editor_read(struct line_editor *editor, struct buffer *text) {
  CHECK(!editor->reading);
  editor->reading = true;
  editor->outcome = LINE_READ;
  enter_editing(editor);
  int count = 0;
  const wchar_t *line = el_wgets(editor->el, &count);
  if (editor->outcome == LINE_READ && (line == NULL || count <= 0)) editor->outcome = LINE_ENDED;
  if (editor->outcome == LINE_READ) {
    if (line[count - 1] == L'\n') count--;
    append_chars(text, line, line + count);
  } else {
    leave_line(editor);
  }
  leave_editing(editor);
  editor->reading = false;
  return editor->outcome;
}

bool line_editor_is_reading(const struct line_editor *editor) {
  return editor->reading;
}

void line_editor_feed(struct line_editor *editor, struct bytes bytes) {
  buffer_append_bytes(&editor->input, bytes);
}

void line_editor_end_input(struct line_editor *editor) {
  editor->input_ended = true;
}

void line_editor_set_prompt(struct line_editor *editor, struct bytes prompt) {
  wchar_t *wide = to_wide(prompt);
  size_t len = wcslen(wide);
  if (len >= PROMPT_CHARS_MAX) len = PROMPT_CHARS_MAX - 1;
  wide[len] = 0;
  bool changed = wcscmp(wide, editor->prompt) != 0;
  bool show = changed && editor->reading && editor->color;
  if (show) clear_line(editor);
  wmemcpy(editor->prompt, wide, len + 1);
  free(wide);
  if (show) show_line(editor);
}

void line_editor_print(struct line_editor *editor, struct bytes text) {
  if (editor->reading) clear_line(editor);
  fwrite(text.data, 1, text.len, stdout);
  fflush(stdout);
  if (editor->reading) show_line(editor);
}

void line_editor_resize(struct line_editor *editor) {
  if (editor->reading) clear_line(editor);
  el_resize(editor->el);
  if (editor->reading) show_line(editor);
}

void line_editor_add_history(struct line_editor *editor, struct bytes text) {
  wchar_t *wide = to_wide(text);
  HistEventW event;
  if (wide[0] != 0) history_w(editor->history, &event, H_ENTER, wide);
  free(wide);
}
