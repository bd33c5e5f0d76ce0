/* A line that is edited at the terminal: libedit with keys of our own, and a way to wait that lets the loop go on.
 *
 * line_editor_read blocks as libedit does; where it would wait for a key it calls host->wait, which turns the loop
 * until something was fed. Inside that wait the other functions here may be called: another prompt, a text above the
 * line, a new size. Columns are counted as libedit counts them, to know where on the screen the line begins.
 *
 * Text is UTF-8; what is not, among what was typed, becomes U+FFFD. The loop's thread. */
#ifndef KV_SCRIPT_LINE_EDITOR_H
#define KV_SCRIPT_LINE_EDITOR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"

struct line_editor;

/* What Tab comes to. Whoever is asked fills it in; empty at first. */
struct line_completion {
  size_t erase_chars;   /* so many before the cursor go */
  struct buffer insert; /* UTF-8, takes their place */
  struct buffer list;   /* UTF-8, lines to show below; empty: none */
};

struct line_editor_host {
  void *context;
  /* Turns the loop until something was fed. False: nothing ever will be. */
  bool (*wait)(void *context);
  /* Tab was pressed behind this text. Borrows it. */
  void (*complete)(void *context, struct bytes before, struct line_completion *out);
  /* The cursor is at the end of this text: appends what is shown in grey behind it to `out`, or nothing. */
  void (*hint)(void *context, struct bytes text, struct buffer *out);
};

enum line_outcome { LINE_READ, LINE_INTERRUPTED, LINE_ENDED };

/* `host` is kept. NULL when libedit cannot use this terminal. Returns owned. */
struct line_editor *line_editor_create(const struct line_editor_host *host);
void line_editor_destroy(struct line_editor *editor);

/* Reads a line; *text is what was typed, without the end of line, when LINE_READ. Ctrl-C interrupts, Ctrl-D on an empty
 * line ends. Never inside itself. */
enum line_outcome line_editor_read(struct line_editor *editor, struct buffer *text);
bool line_editor_is_reading(const struct line_editor *editor);

/* What the terminal sent. */
void line_editor_feed(struct line_editor *editor, struct bytes bytes);
/* It will send no more: the line that is read ends when the rest was read. */
void line_editor_end_input(struct line_editor *editor);
/* UTF-8 on one line; sequences that set colours stand between two \1. Shown at once when a line is being read. */
void line_editor_set_prompt(struct line_editor *editor, struct bytes prompt);
/* Writes whole lines above the line that is being read. */
void line_editor_print(struct line_editor *editor, struct bytes text);
/* The terminal has another size. */
void line_editor_resize(struct line_editor *editor);
/* Adds to what Up and Ctrl-R find. */
void line_editor_add_history(struct line_editor *editor, struct bytes text);

/* Columns and rows of the terminal that is standard output. False, and nothing set, when it is none. */
bool line_editor_terminal_size(int *columns, int *rows);
/* Columns of a UTF-8 text on a terminal; control characters and bytes that are not UTF-8 count as one. */
size_t line_editor_width(struct bytes text);
/* Makes wide characters known: the character set of the environment if it is UTF-8, else that of C.UTF-8. */
void line_editor_use_utf8(void);

#endif
