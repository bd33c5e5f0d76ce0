#include "server/fault_undo.h"

#include "base/buffer.h"
#include "base/check.h"
#include "base/list.h"
#include "io/disk.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char hidden_prefix[] = "lost-";
static const char hidden_suffix[] = ".tmp";

/* A name, which may be that of a file that waits. */
struct name {
  char text[DISK_NAME_BYTES_MAX + 1];
};

/* What happened to bytes of a file. */
struct edit {
  struct list link; /* first member; in undo_file.edits, the oldest first */
  uint64_t number;  /* among all changes */
  bool is_write;    /* else a new size, which is `offset` */
  uint64_t offset;
  uint64_t size_before; /* of the file */
  uint64_t len;         /* of a write */
  size_t old_bytes;     /* what was overwritten, or cut off: from `offset` on */
  uint8_t old[];
};

struct undo_file {
  struct list link; /* first member; in undo.files */
  struct name name; /* by which the disk knows it now */
  bool gone;        /* it has none any more, and nobody can get it back */
  unsigned handles;
  struct list edits;
};

enum change_kind { CHANGE_CREATE, CHANGE_MAKE, CHANGE_RENAME, CHANGE_REMOVE };

/* What happened to a name. */
struct change {
  struct list link; /* first member; in undo.changes, the oldest first */
  uint64_t number;
  enum change_kind kind;
  struct name name;
  struct name to;   /* CHANGE_RENAME */
  struct name kept; /* of the file that was replaced or removed; "": none */
};

struct undo {
  struct disk *disk;
  struct list files;
  struct list changes;
  uint64_t number;      /* of the next change */
  uint64_t kept_number; /* of the next file that waits */
  size_t count;
};

static struct name name_of(const char *text) {
  struct name name;
  size_t len = strlen(text);
  CHECK(len <= DISK_NAME_BYTES_MAX);
  memcpy(name.text, text, len + 1);
  return name;
}

bool undo_is_hidden(const char *name) {
  size_t len = strlen(name), suffix = sizeof hidden_suffix - 1;
  return strncmp(name, hidden_prefix, sizeof hidden_prefix - 1) == 0 && len > suffix &&
         strcmp(name + len - suffix, hidden_suffix) == 0;
}

uint64_t undo_mark(const struct undo *undo) {
  return undo->number;
}

size_t undo_count(const struct undo *undo) {
  return undo->count;
}

/* ---- files ---- */

static struct undo_file *file_of(struct list *link) {
  return (struct undo_file *)(void *)link;
}

static struct undo_file *find_file(struct undo *undo, const char *name) {
  for (struct list *at = undo->files.next; at != &undo->files; at = at->next) {
    if (!file_of(at)->gone && strcmp(file_of(at)->name.text, name) == 0) return file_of(at);
  }
  return NULL;
}

static void free_first_edit(struct undo *undo, struct undo_file *file) {
  free(list_pop_front(&file->edits));
  undo->count--;
}

static void forget_edits(struct undo *undo, struct undo_file *file) {
  while (!list_empty(&file->edits))
    free_first_edit(undo, file);
}

static void free_if_idle(struct undo_file *file) {
  if (file->handles > 0 || !list_empty(&file->edits)) return;
  list_remove(&file->link);
  free(file);
}

static void name_became(struct undo *undo, const char *from, const char *to) {
  struct undo_file *file = find_file(undo, from);
  if (file != NULL) file->name = name_of(to);
}

static void name_went(struct undo *undo, const char *name) {
  struct undo_file *file = find_file(undo, name);
  if (file == NULL) return;
  file->gone = true;
  forget_edits(undo, file);
  free_if_idle(file);
}

struct undo_file *undo_open(struct undo *undo, const char *name) {
  struct undo_file *file = find_file(undo, name);
  if (file == NULL) {
    file = xcalloc(1, sizeof *file);
    file->name = name_of(name);
    list_init(&file->edits);
    list_push_back(&undo->files, &file->link);
  }
  file->handles++;
  return file;
}

void undo_close(struct undo *undo, struct undo_file *file) {
  (void)undo;
  CHECK(file->handles > 0);
  file->handles--;
  free_if_idle(file);
}

/* ---- noting edits ---- */

/* With what stands in the file from `offset` on, `old_bytes` of it. */
static enum status note_edit(struct undo *undo, struct undo_file *file, struct disk_file *open,
                             const struct edit *about, struct error *err) {
  struct edit *edit = xmalloc(sizeof *edit + about->old_bytes);
  *edit = *about;
  size_t got = 0;
  enum status status =
      edit->old_bytes > 0 ? undo->disk->ops->read(undo->disk, open, edit->offset, edit->old, edit->old_bytes, &got, err)
                          : STATUS_OK;
  if (status == STATUS_OK && got < edit->old_bytes)
    status = error_set(err, STATUS_IO, "read %s: shorter than its size", file->name.text);
  if (status != STATUS_OK) {
    free(edit);
    return status;
  }
  edit->number = undo->number++;
  list_push_back(&file->edits, &edit->link);
  undo->count++;
  return STATUS_OK;
}

static size_t behind(uint64_t offset, uint64_t size, uint64_t most) {
  uint64_t bytes = offset < size ? size - offset : 0;
  return (size_t)(bytes < most ? bytes : most);
}

enum status undo_write(struct undo *undo, struct undo_file *file, struct disk_file *open, uint64_t offset, size_t len,
                       struct error *err) {
  uint64_t size;
  if (file->gone) return STATUS_OK;
  enum status status = undo->disk->ops->size(undo->disk, open, &size, err);
  if (status != STATUS_OK) return status;
  struct edit about = {
      .is_write = true, .offset = offset, .size_before = size, .len = len, .old_bytes = behind(offset, size, len)};
  return note_edit(undo, file, open, &about, err);
}

enum status undo_truncate(struct undo *undo, struct undo_file *file, struct disk_file *open, uint64_t size,
                          struct error *err) {
  uint64_t size_before;
  if (file->gone) return STATUS_OK;
  enum status status = undo->disk->ops->size(undo->disk, open, &size_before, err);
  if (status != STATUS_OK) return status;
  struct edit about = {.offset = size, .size_before = size_before, .old_bytes = behind(size, size_before, UINT64_MAX)};
  return note_edit(undo, file, open, &about, err);
}

void undo_synced(struct undo *undo, struct undo_file *file, uint64_t mark) {
  while (!list_empty(&file->edits) && ((struct edit *)(void *)file->edits.next)->number < mark)
    free_first_edit(undo, file);
}

/* ---- noting changes of names ---- */

static void note_change(struct undo *undo, enum change_kind kind, const char *name, const char *to,
                        const struct name *kept) {
  struct change *change = xcalloc(1, sizeof *change);
  change->number = undo->number++;
  change->kind = kind;
  change->name = name_of(name);
  change->to = name_of(to);
  if (kept != NULL) change->kept = *kept;
  list_push_back(&undo->changes, &change->link);
  undo->count++;
}

void undo_created(struct undo *undo, const char *name) {
  note_change(undo, CHANGE_CREATE, name, "", NULL);
}

void undo_made(struct undo *undo, const char *name) {
  note_change(undo, CHANGE_MAKE, name, "", NULL);
}

/* Gives the file of this name, if there is one, a second name: *kept, else "". */
static enum status keep(struct undo *undo, const char *name, struct name *kept, struct error *err) {
  *kept = name_of("");
  struct name second;
  snprintf(second.text, sizeof second.text, "%s%" PRIu64 "%s", hidden_prefix, undo->kept_number++, hidden_suffix);
  enum status status = io_disk_link(undo->disk, name, second.text, err);
  if (status == STATUS_NOT_FOUND) return STATUS_OK;
  if (status == STATUS_OK) *kept = second;
  return status;
}

/* Its first name went; or the change was not made, and it waits for nothing. */
static void keep_or_drop(struct undo *undo, enum status status, const char *name, const struct name *kept) {
  if (kept->text[0] == '\0') return;
  if (status == STATUS_OK)
    name_became(undo, name, kept->text);
  else
    (void)undo->disk->ops->remove(undo->disk, kept->text, NULL);
}

enum status undo_rename(struct undo *undo, const char *from, const char *to, struct error *err) {
  struct name kept;
  enum status status = keep(undo, to, &kept, err);
  if (status != STATUS_OK) return status;
  status = undo->disk->ops->rename(undo->disk, from, to, err);
  keep_or_drop(undo, status, to, &kept);
  if (status != STATUS_OK) return status;
  name_became(undo, from, to);
  note_change(undo, CHANGE_RENAME, from, to, &kept);
  return STATUS_OK;
}

enum status undo_remove(struct undo *undo, const char *name, struct error *err) {
  struct name kept;
  enum status status = keep(undo, name, &kept, err);
  if (status != STATUS_OK) return status;
  status = undo->disk->ops->remove(undo->disk, name, err);
  keep_or_drop(undo, status, name, &kept);
  if (status == STATUS_OK) note_change(undo, CHANGE_REMOVE, name, "", &kept);
  return status;
}

/* ---- what is durable ---- */

static struct change *change_of(struct list *link) {
  return (struct change *)(void *)link;
}

static void free_change(struct undo *undo, struct change *change) {
  list_remove(&change->link);
  free(change);
  undo->count--;
}

static void drop_kept(struct undo *undo, const struct name *kept) {
  if (kept->text[0] == '\0') return;
  name_went(undo, kept->text);
  (void)undo->disk->ops->remove(undo->disk, kept->text, NULL); /* what is left is removed by the next start */
}

static bool is_in(const char *name, const char *directory) {
  const char *slash = strrchr(name, '/');
  if (slash == NULL) return strcmp(directory, ".") == 0;
  size_t len = (size_t)(slash - name);
  return strlen(directory) == len && memcmp(name, directory, len) == 0;
}

void undo_directory_synced(struct undo *undo, const char *directory, uint64_t mark) {
  for (struct list *at = undo->changes.next; at != &undo->changes;) {
    struct change *change = change_of(at);
    at = at->next;
    if (change->number >= mark || !is_in(change->name.text, directory)) continue;
    drop_kept(undo, &change->kept);
    free_change(undo, change);
  }
}

/* ---- taking back names ---- */

static void append_name(void *context, const char *name) {
  buffer_append(context, name, strlen(name) + 1);
}

/* A directory, with the files in it: it never was. */
static enum status take_directory_back(struct undo *undo, const char *directory, struct error *err) {
  struct buffer names;
  buffer_init(&names);
  enum status status = undo->disk->ops->list(undo->disk, directory, append_name, &names, err);
  for (size_t at = 0; status == STATUS_OK && at < names.len;) {
    struct name name;
    const char *last = (const char *)names.data + at;
    CHECK(snprintf(name.text, sizeof name.text, "%s/%s", directory, last) < (int)sizeof name.text);
    name_went(undo, name.text);
    status = undo->disk->ops->remove(undo->disk, name.text, err);
    at += strlen(last) + 1;
  }
  buffer_deinit(&names);
  return status == STATUS_OK ? io_disk_remove_directory(undo->disk, directory, err) : status;
}

static enum status move(struct undo *undo, const char *from, const char *to, struct error *err) {
  enum status status = undo->disk->ops->rename(undo->disk, from, to, err);
  if (status == STATUS_OK) name_became(undo, from, to);
  return status;
}

static enum status take_change_back(struct undo *undo, const struct change *change, struct error *err) {
  enum status status = STATUS_OK;
  const char *gone = change->kind == CHANGE_RENAME ? change->to.text : change->name.text;
  switch (change->kind) {
  case CHANGE_CREATE:
    name_went(undo, change->name.text);
    return undo->disk->ops->remove(undo->disk, change->name.text, err);
  case CHANGE_MAKE:
    return take_directory_back(undo, change->name.text, err);
  case CHANGE_RENAME:
    status = move(undo, change->to.text, change->name.text, err);
    break;
  case CHANGE_REMOVE:
    break;
  }
  return status == STATUS_OK && change->kept.text[0] != '\0' ? move(undo, change->kept.text, gone, err) : status;
}

static enum status take_changes_back(struct undo *undo, struct error *err) {
  enum status status = STATUS_OK;
  while (status == STATUS_OK && !list_empty(&undo->changes)) {
    struct change *last = change_of(undo->changes.prev);
    status = take_change_back(undo, last, err);
    free_change(undo, last);
  }
  return status;
}

/* ---- taking back edits ---- */

static struct edit *last_edit(const struct undo_file *file) {
  return (struct edit *)(void *)file->edits.prev;
}

static enum status take_edit_back(struct disk *disk, struct disk_file *open, const struct edit *edit,
                                  struct error *err) {
  enum status status = STATUS_OK;
  uint64_t end = edit->is_write ? edit->offset + edit->len : edit->offset;
  if (edit->old_bytes > 0)
    status = disk->ops->write(disk, open, edit->offset, bytes_make(edit->old, edit->old_bytes), err);
  bool grew = end > edit->size_before;
  return status == STATUS_OK && grew ? disk->ops->truncate(disk, open, edit->size_before, err) : status;
}

/* What survives of a write, although nothing says so. */
struct torn {
  const struct undo_file *file; /* NULL: nothing */
  uint64_t offset;
  struct buffer bytes;
};

static enum status take_edits_back(struct undo *undo, struct undo_file *file, struct disk_file *open,
                                   const struct torn *torn, struct error *err) {
  enum status status = STATUS_OK;
  while (status == STATUS_OK && !list_empty(&file->edits)) {
    struct edit *last = last_edit(file);
    status = take_edit_back(undo->disk, open, last, err);
    list_remove(&last->link);
    free(last);
    undo->count--;
  }
  if (status != STATUS_OK || torn->file != file) return status;
  return undo->disk->ops->write(undo->disk, open, torn->offset, buffer_view(&torn->bytes), err);
}

static enum status with_open(struct undo *undo, struct undo_file *file, const struct torn *torn, struct error *err) {
  struct disk_file *open;
  enum status status = undo->disk->ops->open(undo->disk, file->name.text, DISK_OPEN_WRITE, &open, err);
  if (status != STATUS_OK) return status;
  status = take_edits_back(undo, file, open, torn, err);
  undo->disk->ops->close(undo->disk, open);
  return status;
}

static enum status take_all_edits_back(struct undo *undo, const struct torn *torn, struct error *err) {
  enum status status = STATUS_OK;
  for (struct list *at = undo->files.next; status == STATUS_OK && at != &undo->files;) {
    struct undo_file *file = file_of(at);
    at = at->next;
    if (!list_empty(&file->edits)) status = with_open(undo, file, torn, err);
    if (status == STATUS_OK) free_if_idle(file);
  }
  return status;
}

/* ---- what is torn ---- */

/* The file whose last change is the last of all writes; NULL when there is none. */
static const struct undo_file *last_written(const struct undo *undo) {
  const struct undo_file *found = NULL;
  for (struct list *at = undo->files.next; at != &undo->files; at = at->next) {
    const struct undo_file *file = file_of(at);
    if (list_empty(&file->edits) || !last_edit(file)->is_write || last_edit(file)->len < 2) continue;
    if (found == NULL || last_edit(file)->number > last_edit(found)->number) found = file;
  }
  return found;
}

static enum status read_torn(struct undo *undo, const struct edit *edit, struct torn *torn, struct prng *prng,
                             struct error *err) {
  struct disk *disk = undo->disk;
  size_t bytes = 1 + (size_t)prng_below(prng, edit->len - 1), got = 0;
  struct disk_file *open;
  enum status status = disk->ops->open(disk, torn->file->name.text, DISK_OPEN_READ, &open, err);
  if (status != STATUS_OK) return status;
  torn->offset = edit->offset;
  status = disk->ops->read(disk, open, edit->offset, buffer_reserve(&torn->bytes, bytes), bytes, &got, err);
  disk->ops->close(disk, open);
  torn->bytes.len = got;
  return status;
}

/* Names first: then files that stay have their old names, and those that never were are gone. */
enum status undo_all(struct undo *undo, bool torn_wanted, struct prng *prng, struct error *err) {
  struct torn torn = {.file = NULL};
  buffer_init(&torn.bytes);
  enum status status = take_changes_back(undo, err);
  if (status == STATUS_OK && torn_wanted) torn.file = last_written(undo);
  if (torn.file != NULL) status = read_torn(undo, last_edit(torn.file), &torn, prng, err);
  if (status == STATUS_OK) status = take_all_edits_back(undo, &torn, err);
  buffer_deinit(&torn.bytes);
  return status;
}

/* ---- life ---- */

struct undo *undo_create(struct disk *disk) {
  struct undo *undo = xcalloc(1, sizeof *undo);
  undo->disk = disk;
  list_init(&undo->files);
  list_init(&undo->changes);
  return undo;
}

void undo_destroy(struct undo *undo) {
  while (!list_empty(&undo->changes)) {
    struct change *first = change_of(undo->changes.next);
    drop_kept(undo, &first->kept);
    free_change(undo, first);
  }
  while (!list_empty(&undo->files)) {
    struct undo_file *file = file_of(undo->files.next);
    CHECK(file->handles == 0);
    forget_edits(undo, file);
    free_if_idle(file);
  }
  free(undo);
}

static void append_hidden(void *context, const char *name) {
  if (undo_is_hidden(name)) append_name(context, name);
}

enum status undo_clean(struct undo *undo, struct error *err) {
  struct buffer names;
  buffer_init(&names);
  enum status status = undo->disk->ops->list(undo->disk, ".", append_hidden, &names, err);
  for (size_t at = 0; status == STATUS_OK && at < names.len;) {
    const char *name = (const char *)names.data + at;
    status = undo->disk->ops->remove(undo->disk, name, err);
    at += strlen(name) + 1;
  }
  buffer_deinit(&names);
  return status;
}
