/* The names that are there are kept in memory, so that asking for the newest does not touch the disk. `mutex` guards
 * them, for moments only. `naming` is held while names change on the disk, so that whoever asks never waits for it. */
#include "raft/storage/snapshot_files.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

enum { NUMBER_CHARS = 16, DECIMAL_CHARS_MAX = 20 };

#define WRITING_PREFIX "writing-"
#define WRITING_SUFFIX ".tmp"
#define WHOLE_SUFFIX   ".snap"

struct snapshot_writer {
  struct snapshot_name name;
  struct disk_file *file;
  uint64_t bytes;
  uint64_t unsynced_bytes;
  bool failed;
};

struct snapshot_reader {
  struct disk_file *file;
};

struct snapshot_files {
  struct snapshot_store base; /* first */
  struct disk *disk;
  pthread_mutex_t naming; /* taken before `mutex` */
  pthread_mutex_t mutex;
  struct snapshot_mark *marks; /* owned, rising */
  size_t marks_count;
  uint64_t next_writing;
};

static struct snapshot_files *files_of(struct snapshot_store *store) {
  return (struct snapshot_files *)(void *)store;
}

static void lock(pthread_mutex_t *mutex) {
  CHECK(pthread_mutex_lock(mutex) == 0);
}

static void unlock(pthread_mutex_t *mutex) {
  CHECK(pthread_mutex_unlock(mutex) == 0);
}

/* ---- names ---- */

struct snapshot_name snapshot_name_of(struct snapshot_mark mark) {
  struct snapshot_name name;
  snprintf(name.text, sizeof name.text, SNAPSHOT_DIRECTORY "/%016" PRIx64 "-%016" PRIx64 WHOLE_SUFFIX, mark.index,
           mark.term);
  return name;
}

static struct snapshot_name writing_name(uint64_t number) {
  struct snapshot_name name;
  snprintf(name.text, sizeof name.text, SNAPSHOT_DIRECTORY "/" WRITING_PREFIX "%" PRIu64 WRITING_SUFFIX, number);
  return name;
}

/* A number from 1 to 2^63-1 at `text`, in its one spelling. */
static bool parse_number(const char *text, uint64_t *number) {
  static const char digits[] = "0123456789abcdef";
  uint64_t value = 0;
  for (int at = 0; at < NUMBER_CHARS; at++) {
    const char *digit = text[at] == '\0' ? NULL : strchr(digits, text[at]);
    if (digit == NULL) return false;
    value = value << 4 | (uint64_t)(digit - digits);
  }
  *number = value;
  return value >= 1 && value <= INT64_MAX;
}

static bool is_writing_name(const char *name) {
  static const char prefix[] = WRITING_PREFIX;
  if (strncmp(name, prefix, sizeof prefix - 1) != 0) return false;
  const char *number = name + sizeof prefix - 1;
  size_t len = strspn(number, "0123456789");
  return len > 0 && len <= DECIMAL_CHARS_MAX && number[0] != '0' && strcmp(number + len, WRITING_SUFFIX) == 0;
}

enum snapshot_file_kind snapshot_name_parse(const char *name, struct snapshot_mark *mark) {
  struct snapshot_mark found;
  if (is_writing_name(name)) return SNAPSHOT_FILE_WRITING;
  bool whole = parse_number(name, &found.index) && name[NUMBER_CHARS] == '-' &&
               parse_number(name + NUMBER_CHARS + 1, &found.term) &&
               strcmp(name + NUMBER_CHARS + 1 + NUMBER_CHARS, WHOLE_SUFFIX) == 0;
  if (!whole) return SNAPSHOT_FILE_FOREIGN;
  *mark = found;
  return SNAPSHOT_FILE_WHOLE;
}

/* ---- the marks that are there; with the mutex, or while nobody else knows the store ---- */

/* Of the first one at or above `index`. */
static size_t place_of(const struct snapshot_files *files, uint64_t index) {
  size_t place = files->marks_count;
  while (place > 0 && files->marks[place - 1].index >= index)
    place--;
  return place;
}

/* NULL when there is none of that index. */
static const struct snapshot_mark *find(const struct snapshot_files *files, uint64_t index) {
  size_t place = place_of(files, index);
  bool found = place < files->marks_count && files->marks[place].index == index;
  return found ? &files->marks[place] : NULL;
}

static void add_mark(struct snapshot_files *files, struct snapshot_mark mark) {
  size_t place = place_of(files, mark.index), behind = files->marks_count - place;
  files->marks = xrealloc(files->marks, (files->marks_count + 1) * sizeof files->marks[0]);
  memmove(files->marks + place + 1, files->marks + place, behind * sizeof files->marks[0]);
  files->marks[place] = mark;
  files->marks_count++;
}

static void drop_first_mark(struct snapshot_files *files) {
  lock(&files->mutex);
  files->marks_count--;
  memmove(files->marks, files->marks + 1, files->marks_count * sizeof files->marks[0]);
  unlock(&files->mutex);
}

/* ---- writing ---- */

static enum status create(struct snapshot_store *store, struct snapshot_writer **out, struct error *err) {
  struct snapshot_files *files = files_of(store);
  lock(&files->mutex);
  struct snapshot_name name = writing_name(files->next_writing++);
  unlock(&files->mutex);
  struct disk_file *file;
  enum status status = files->disk->ops->open(files->disk, name.text, DISK_CREATE, &file, err);
  if (status != STATUS_OK) return status;
  struct snapshot_writer *writer = xcalloc(1, sizeof *writer);
  writer->name = name;
  writer->file = file;
  *out = writer;
  return STATUS_OK;
}

static enum status sync_writer(struct disk *disk, struct snapshot_writer *writer, struct error *err) {
  if (writer->unsynced_bytes == 0) return STATUS_OK;
  writer->unsynced_bytes = 0;
  return disk->ops->sync(disk, writer->file, err);
}

/* Up to where the next fdatasync is due. Takes what it wrote from `rest`. */
static enum status write_piece(struct disk *disk, struct snapshot_writer *writer, struct bytes *rest,
                               struct error *err) {
  uint64_t due = SNAPSHOT_SYNC_BYTES - writer->unsynced_bytes;
  size_t len = rest->len < due ? rest->len : (size_t)due;
  enum status status = disk->ops->write(disk, writer->file, writer->bytes, bytes_make(rest->data, len), err);
  if (status != STATUS_OK) return status;
  writer->bytes += len;
  writer->unsynced_bytes += len;
  *rest = bytes_make(rest->data + len, rest->len - len);
  return len == due ? sync_writer(disk, writer, err) : STATUS_OK;
}

static enum status write(struct snapshot_store *store, struct snapshot_writer *writer, struct bytes chunk,
                         struct error *err) {
  struct disk *disk = files_of(store)->disk;
  enum status status = STATUS_OK;
  while (chunk.len > 0 && status == STATUS_OK)
    status = write_piece(disk, writer, &chunk, err);
  if (status != STATUS_OK) writer->failed = true;
  return status;
}

static void abandon(struct snapshot_store *store, struct snapshot_writer *writer) {
  struct disk *disk = files_of(store)->disk;
  disk->ops->close(disk, writer->file);
  free(writer);
}

/* What cannot be removed waits for the next opening. */
static void discard(struct snapshot_store *store, struct snapshot_writer *writer) {
  struct disk *disk = files_of(store)->disk;
  (void)disk->ops->remove(disk, writer->name.text, NULL);
  abandon(store, writer);
}

/* ---- publishing ---- */

static enum status check_mark(struct snapshot_files *files, struct snapshot_mark mark, bool *replaces,
                              struct error *err) {
  if (mark.index == 0 || mark.index > INT64_MAX || mark.term == 0 || mark.term > INT64_MAX)
    return error_set(err, STATUS_INVALID, "a snapshot covers an entry of an index and a term");
  lock(&files->mutex);
  const struct snapshot_mark *there = find(files, mark.index);
  *replaces = there != NULL;
  bool contradicts = there != NULL && there->term != mark.term;
  unlock(&files->mutex);
  if (contradicts) return error_set(err, STATUS_INVALID, "there is a snapshot of the same index and another term");
  return STATUS_OK;
}

/* The file is whole and durable; gives it its name, which then is, too. The caller removes what is left of the old one
 * when this fails. */
static enum status put_in_place(struct snapshot_files *files, const struct snapshot_name *from,
                                struct snapshot_mark mark, struct error *err) {
  struct disk *disk = files->disk;
  struct snapshot_name to = snapshot_name_of(mark);
  bool replaces = false;
  enum status status = check_mark(files, mark, &replaces, err);
  if (status == STATUS_OK) status = disk->ops->rename(disk, from->text, to.text, err);
  if (status != STATUS_OK) return status;
  status = disk->ops->sync_directory(disk, SNAPSHOT_DIRECTORY, err);
  if (status != STATUS_OK && !replaces) (void)disk->ops->remove(disk, to.text, NULL);
  if (status != STATUS_OK || replaces) return status;
  lock(&files->mutex);
  add_mark(files, mark);
  unlock(&files->mutex);
  return STATUS_OK;
}

static enum status publish(struct snapshot_store *store, struct snapshot_writer *writer, struct snapshot_mark mark,
                           struct error *err) {
  struct snapshot_files *files = files_of(store);
  enum status status = STATUS_OK;
  if (writer->failed) status = error_set(err, STATUS_IO, "publish %s: a write failed", writer->name.text);
  if (status == STATUS_OK) status = sync_writer(files->disk, writer, err);
  if (status == STATUS_OK) {
    lock(&files->naming);
    status = put_in_place(files, &writer->name, mark, err);
    unlock(&files->naming);
  }
  if (status == STATUS_OK)
    abandon(store, writer);
  else
    discard(store, writer);
  return status;
}

/* ---- reading ---- */

static enum status newest(struct snapshot_store *store, struct snapshot_mark *out, struct error *err) {
  struct snapshot_files *files = files_of(store);
  lock(&files->mutex);
  bool found = files->marks_count > 0;
  if (found) *out = files->marks[files->marks_count - 1];
  unlock(&files->mutex);
  return found ? STATUS_OK : error_set(err, STATUS_NOT_FOUND, "there is no snapshot");
}

/* One that is removed in between is not found on the disk either. */
static enum status open(struct snapshot_store *store, struct snapshot_mark mark, struct snapshot_reader **out,
                        uint64_t *bytes, struct error *err) {
  struct snapshot_files *files = files_of(store);
  struct disk *disk = files->disk;
  lock(&files->mutex);
  const struct snapshot_mark *there = find(files, mark.index);
  bool found = there != NULL && there->term == mark.term;
  unlock(&files->mutex);
  if (!found) return error_set(err, STATUS_NOT_FOUND, "there is no such snapshot");
  struct disk_file *file;
  enum status status = disk->ops->open(disk, snapshot_name_of(mark).text, DISK_OPEN_READ, &file, err);
  if (status != STATUS_OK) return status;
  uint64_t size;
  status = disk->ops->size(disk, file, &size, err);
  if (status != STATUS_OK) {
    disk->ops->close(disk, file);
    return status;
  }
  struct snapshot_reader *reader = xmalloc(sizeof *reader);
  reader->file = file;
  *out = reader;
  *bytes = size;
  return STATUS_OK;
}

static enum status read(struct snapshot_store *store, struct snapshot_reader *reader, uint64_t offset, void *data,
                        size_t len, size_t *got, struct error *err) {
  struct disk *disk = files_of(store)->disk;
  return disk->ops->read(disk, reader->file, offset, data, len, got, err);
}

static void close(struct snapshot_store *store, struct snapshot_reader *reader) {
  struct disk *disk = files_of(store)->disk;
  disk->ops->close(disk, reader->file);
  free(reader);
}

/* ---- removing ---- */

/* The oldest one, unless it is the newest or not below `index`. */
static bool next_to_remove(struct snapshot_files *files, uint64_t index, struct snapshot_mark *mark) {
  lock(&files->mutex);
  bool any = files->marks_count > 1 && files->marks[0].index < index;
  if (any) *mark = files->marks[0];
  unlock(&files->mutex);
  return any;
}

static enum status remove_before(struct snapshot_store *store, uint64_t index, struct error *err) {
  struct snapshot_files *files = files_of(store);
  struct disk *disk = files->disk;
  struct snapshot_mark mark;
  enum status status = STATUS_OK;
  lock(&files->naming);
  while (status == STATUS_OK && next_to_remove(files, index, &mark)) {
    status = disk->ops->remove(disk, snapshot_name_of(mark).text, err);
    if (status == STATUS_NOT_FOUND) status = STATUS_OK; /* as wanted, whoever did it */
    if (status == STATUS_OK) drop_first_mark(files);
  }
  unlock(&files->naming);
  return status;
}

static const struct snapshot_store_ops ops = {create, write, publish, discard, abandon,
                                              newest, open,  read,    close,   remove_before};

/* ---- opening ---- */

struct listing {
  struct snapshot_files *files;
  struct buffer writing;             /* names, each with its NUL */
  char bad[DISK_NAME_BYTES_MAX + 1]; /* the first one that may not be there; "": none */
  const char *what;                  /* is wrong with it; static */
};

static void refuse_name(struct listing *listing, const char *name, const char *what) {
  if (listing->what != NULL) return;
  snprintf(listing->bad, sizeof listing->bad, "%s", name);
  listing->what = what;
}

static void on_name(void *context, const char *name) {
  struct listing *listing = context;
  struct snapshot_mark mark;
  switch (snapshot_name_parse(name, &mark)) {
  case SNAPSHOT_FILE_WRITING:
    buffer_append(&listing->writing, name, strlen(name) + 1);
    return;
  case SNAPSHOT_FILE_FOREIGN:
    refuse_name(listing, name, "a file of somebody else in the snapshots' directory; move it elsewhere");
    return;
  case SNAPSHOT_FILE_WHOLE:
    break;
  }
  if (find(listing->files, mark.index) == NULL)
    add_mark(listing->files, mark);
  else
    refuse_name(listing, name,
                "there is another snapshot of the same index with another term; restore the data directory from a "
                "copy, or, if the other members are well, remove it and let this one start anew");
}

static enum status remove_unfinished(struct disk *disk, const struct buffer *names, struct error *err) {
  enum status status = STATUS_OK;
  for (size_t at = 0; at < names->len && status == STATUS_OK;) {
    const char *found = (const char *)names->data + at;
    char name[sizeof SNAPSHOT_DIRECTORY + DISK_NAME_BYTES_MAX + 1];
    snprintf(name, sizeof name, SNAPSHOT_DIRECTORY "/%s", found);
    status = disk->ops->remove(disk, name, err);
    at += strlen(found) + 1;
  }
  return status;
}

static enum status look(struct snapshot_files *files, struct error *err) {
  struct disk *disk = files->disk;
  struct listing listing = {.files = files};
  enum status status = disk->ops->list(disk, SNAPSHOT_DIRECTORY, on_name, &listing, err);
  if (status == STATUS_OK && listing.what != NULL)
    status = error_set(err, STATUS_CORRUPT, SNAPSHOT_DIRECTORY "/%s: %s", listing.bad, listing.what);
  if (status == STATUS_OK) status = remove_unfinished(disk, &listing.writing, err);
  buffer_deinit(&listing.writing);
  return status == STATUS_OK ? disk->ops->sync_directory(disk, SNAPSHOT_DIRECTORY, err) : status;
}

static enum status make_directory(struct disk *disk, struct error *err) {
  enum status status = disk->ops->make_directory(disk, SNAPSHOT_DIRECTORY, err);
  return status == STATUS_OK ? disk->ops->sync_directory(disk, ".", err) : status;
}

enum status snapshot_files_open(struct disk *disk, struct snapshot_files **out, struct error *err) {
  enum status status = make_directory(disk, err);
  if (status != STATUS_OK) return status;
  struct snapshot_files *files = xcalloc(1, sizeof *files);
  files->base.ops = &ops;
  files->disk = disk;
  files->next_writing = 1;
  CHECK(pthread_mutex_init(&files->naming, NULL) == 0);
  CHECK(pthread_mutex_init(&files->mutex, NULL) == 0);
  status = look(files, err);
  if (status == STATUS_OK)
    *out = files;
  else
    snapshot_files_close(files);
  return status;
}

void snapshot_files_close(struct snapshot_files *files) {
  CHECK(pthread_mutex_destroy(&files->mutex) == 0);
  CHECK(pthread_mutex_destroy(&files->naming) == 0);
  free(files->marks);
  free(files);
}

struct snapshot_store *snapshot_files_base(struct snapshot_files *files) {
  return &files->base;
}
