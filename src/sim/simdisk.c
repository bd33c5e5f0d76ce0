/* Each operation: counted and traced, refused when its fault strikes, else done on the names and the content. One mutex
 * around all of it, so that a node's threads may share the disk as they share a real one. */
#include "sim/simdisk.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "sim/simdisk_names.h"

struct disk_file {
  struct simfile *content; /* one user; NULL after a crash */
  bool writable;
  struct disk_file *next; /* of the disk's open files */
  char name[DISK_NAME_BYTES_MAX + 1];
};

struct simdisk {
  struct disk base;
  pthread_mutex_t lock;
  struct simnames names;
  struct disk_file *open; /* borrowed: their openers own them */
  struct prng prng;
  struct simdisk_config config;
  struct simdisk_fault fault;
  bool faulty; /* there is a fault */
  bool failed; /* and it has struck */
  uint64_t calls[SIMDISK_CALLS + 1];
  bool tracing;
  struct buffer trace;
};

const char *simdisk_call_name(enum simdisk_call call) {
  static const char *const names[] = {"open",           "create",   "read",      "write",  "sync",
                                      "size",           "truncate", "rename",    "remove", "make_directory",
                                      "sync_directory", "list",     "free_bytes"};
  CHECK(call < SIMDISK_CALLS);
  return names[call];
}

static struct simdisk *simdisk_of(struct disk *disk) {
  return (struct simdisk *)disk; /* its first member */
}

/* ---- a call ---- */

/* What it is about is put into words only for a trace or an error. */
struct call {
  struct simdisk *disk;
  enum simdisk_call kind;
  struct error *err;
  const char *name;
  const char *to; /* of a rename; else NULL */
  uint64_t numbers[2];
  int numbers_count;
};

/* Locks the disk until call_end. */
static struct call call_begin(struct disk *base, enum simdisk_call kind, const char *name, struct error *err) {
  struct simdisk *disk = simdisk_of(base);
  pthread_mutex_lock(&disk->lock);
  disk->calls[kind]++;
  disk->calls[SIMDISK_CALLS]++;
  return (struct call){.disk = disk, .kind = kind, .err = err, .name = name};
}

static void call_number(struct call *call, uint64_t number) {
  call->numbers[call->numbers_count++] = number;
}

static void append_about(struct buffer *out, const struct call *call) {
  buffer_append_format(out, "%s %s", simdisk_call_name(call->kind), call->name);
  if (call->to != NULL) buffer_append_format(out, " %s", call->to);
  for (int i = 0; i < call->numbers_count; i++)
    buffer_append_format(out, " %llu", (unsigned long long)call->numbers[i]);
}

static void trace(struct simdisk *disk, const struct call *call, enum status status) {
  if (!disk->tracing) return;
  append_about(&disk->trace, call);
  if (status != STATUS_OK) buffer_append_format(&disk->trace, ": %s", status_name(status));
  buffer_append_byte(&disk->trace, '\n');
  if (disk->trace.len >= SIMDISK_TRACE_BYTES_MAX) disk->tracing = false;
}

static void tell(const struct call *call, enum status status, const char *why) {
  struct buffer about;
  buffer_init(&about);
  append_about(&about, call);
  error_set(call->err, status, "%.*s: %s", (int)about.len, (const char *)about.data, why);
  buffer_deinit(&about);
}

/* The last thing before an operation returns. `why` only when it failed. */
static enum status call_end(const struct call *call, enum status status, const char *why) {
  trace(call->disk, call, status);
  if (status != STATUS_OK) tell(call, status, why);
  pthread_mutex_unlock(&call->disk->lock);
  return status;
}

/* True when the call has to fail, with *status. */
static bool fault_strikes(const struct call *call, enum status *status) {
  struct simdisk *disk = call->disk;
  struct simdisk_fault *fault = &disk->fault;
  if (!disk->faulty || (fault->call != SIMDISK_CALLS && fault->call != call->kind)) return false;
  if (fault->after > 0) {
    fault->after--;
    return false;
  }
  if (disk->failed && fault->once) return false;
  disk->failed = true;
  *status = fault->status;
  return true;
}

static enum status call_fail(const struct call *call, enum status status) {
  return call_end(call, status, status == STATUS_DISK_FULL ? "no space left (simulated)" : "it failed (simulated)");
}

/* The name is not there; nor can it be, when a file is in a directory's place. */
static enum status end_not_found(const struct call *call, const char *name) {
  char parent[DISK_NAME_BYTES_MAX + 1];
  for (simnames_parent(name, parent); strcmp(parent, ".") != 0; simnames_parent(parent, parent)) {
    struct simfile *file = simnames_find(&call->disk->names, parent);
    if (file != NULL && !simfile_is_directory(file)) return call_end(call, STATUS_IO, "its directory is a file");
  }
  return call_end(call, STATUS_NOT_FOUND, "there is none");
}

/* ---- files ---- */

static bool has_parent(const struct simnames *names, const char *name) {
  char parent[DISK_NAME_BYTES_MAX + 1];
  simnames_parent(name, parent);
  return simnames_is_directory(names, parent);
}

static struct disk_file *file_opened(struct simdisk *disk, const char *name, struct simfile *content, bool writable) {
  struct disk_file *file = xcalloc(1, sizeof *file);
  memcpy(file->name, name, strlen(name) + 1);
  file->content = content;
  file->writable = writable;
  simfile_keep(content);
  file->next = disk->open;
  disk->open = file;
  return file;
}

static enum status create_file(const struct call *call, const char *name, struct disk_file **out) {
  struct simnames *names = &call->disk->names;
  if (!has_parent(names, name)) return end_not_found(call, name);
  if (simnames_find(names, name) != NULL) return call_end(call, STATUS_IO, "it is there already");
  struct simfile *content = simfile_create(false);
  simnames_add(names, name, content);
  *out = file_opened(call->disk, name, content, true);
  simfile_drop(content);
  return call_end(call, STATUS_OK, NULL);
}

static enum status open_file(struct disk *disk, const char *name, enum disk_open how, struct disk_file **out,
                             struct error *err) {
  CHECK(strlen(name) <= DISK_NAME_BYTES_MAX);
  enum status status;
  struct call call = call_begin(disk, how == DISK_CREATE ? SIMDISK_CREATE : SIMDISK_OPEN, name, err);
  if (fault_strikes(&call, &status)) return call_fail(&call, status);
  if (how == DISK_CREATE) return create_file(&call, name, out);
  struct simfile *content = simnames_find(&call.disk->names, name);
  if (content == NULL) return end_not_found(&call, name);
  if (simfile_is_directory(content)) return call_end(&call, STATUS_IO, "it is a directory");
  *out = file_opened(call.disk, name, content, how == DISK_OPEN_WRITE);
  return call_end(&call, STATUS_OK, NULL);
}

static void close_file(struct disk *base, struct disk_file *file) {
  struct simdisk *disk = simdisk_of(base);
  pthread_mutex_lock(&disk->lock);
  struct disk_file **link = &disk->open;
  while (*link != file)
    link = &(*link)->next;
  *link = file->next;
  if (file->content != NULL) simfile_drop(file->content);
  pthread_mutex_unlock(&disk->lock);
  free(file);
}

static enum status end_closed(const struct call *call) {
  return call_end(call, STATUS_CLOSED, "it was open when the power went");
}

static enum status read_file(struct disk *disk, struct disk_file *file, uint64_t offset, void *data, size_t len,
                             size_t *got, struct error *err) {
  enum status status;
  struct call call = call_begin(disk, SIMDISK_READ, file->name, err);
  call_number(&call, offset);
  call_number(&call, len);
  if (file->content == NULL) return end_closed(&call);
  if (fault_strikes(&call, &status)) return call_fail(&call, status);
  *got = simfile_read(file->content, offset, data, len);
  return call_end(&call, STATUS_OK, NULL);
}

static uint64_t used_bytes(const struct simdisk *disk) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < disk->names.seen.count; i++)
    bytes += simfile_size(disk->names.seen.entries[i].file);
  return bytes;
}

static uint64_t free_bytes(const struct simdisk *disk) {
  uint64_t used = used_bytes(disk);
  return used < disk->config.capacity_bytes ? disk->config.capacity_bytes - used : 0;
}

/* How many bytes of a write (or a longer file) up to `end` find room. The file may have been removed since. */
static uint64_t room_until(const struct simdisk *disk, const struct simfile *content, uint64_t end) {
  uint64_t size = simfile_size(content), most = SIMDISK_FILE_BYTES_MAX;
  if (end <= size) return end;
  if (disk->config.capacity_bytes != SIMDISK_UNLIMITED && most - size > free_bytes(disk))
    most = size + free_bytes(disk);
  return end < most ? end : most;
}

static enum status write_file(struct disk *disk, struct disk_file *file, uint64_t offset, struct bytes data,
                              struct error *err) {
  CHECK(file->writable && offset + data.len >= offset);
  enum status status;
  struct call call = call_begin(disk, SIMDISK_WRITE, file->name, err);
  call_number(&call, offset);
  call_number(&call, data.len);
  if (file->content == NULL) return end_closed(&call);
  uint64_t end = room_until(call.disk, file->content, offset + data.len);
  struct bytes fits = bytes_make(data.data, end > offset ? (size_t)(end - offset) : 0);
  if (fault_strikes(&call, &status)) {
    fits.len = (size_t)prng_below(&call.disk->prng, (uint64_t)fits.len + 1);
  } else {
    status = fits.len < data.len ? STATUS_DISK_FULL : STATUS_OK;
  }
  simfile_write(file->content, offset, fits);
  return status == STATUS_OK ? call_end(&call, STATUS_OK, NULL) : call_fail(&call, status);
}

static enum status sync_file(struct disk *disk, struct disk_file *file, struct error *err) {
  enum status status;
  struct call call = call_begin(disk, SIMDISK_SYNC, file->name, err);
  if (file->content == NULL) return end_closed(&call);
  if (fault_strikes(&call, &status)) {
    simfile_fail_sync(file->content, &call.disk->prng, call.disk->config.torn_ppm);
    return call_fail(&call, status);
  }
  simfile_sync(file->content);
  return call_end(&call, STATUS_OK, NULL);
}

static enum status size_of_file(struct disk *disk, struct disk_file *file, uint64_t *out, struct error *err) {
  enum status status;
  struct call call = call_begin(disk, SIMDISK_SIZE, file->name, err);
  if (file->content == NULL) return end_closed(&call);
  if (fault_strikes(&call, &status)) return call_fail(&call, status);
  *out = simfile_size(file->content);
  return call_end(&call, STATUS_OK, NULL);
}

static enum status truncate_file(struct disk *disk, struct disk_file *file, uint64_t size, struct error *err) {
  CHECK(file->writable);
  enum status status;
  struct call call = call_begin(disk, SIMDISK_TRUNCATE, file->name, err);
  call_number(&call, size);
  if (file->content == NULL) return end_closed(&call);
  if (fault_strikes(&call, &status)) return call_fail(&call, status);
  if (room_until(call.disk, file->content, size) < size) return call_fail(&call, STATUS_DISK_FULL);
  simfile_truncate(file->content, size);
  return call_end(&call, STATUS_OK, NULL);
}

/* ---- names ---- */

static enum status rename_file(struct disk *disk, const char *from, const char *to, struct error *err) {
  char parent[DISK_NAME_BYTES_MAX + 1];
  const char *base;
  simnames_parent(from, parent);
  CHECK(simnames_in(to, parent, &base) && strlen(to) <= DISK_NAME_BYTES_MAX);
  enum status status;
  struct call call = call_begin(disk, SIMDISK_RENAME, from, err);
  call.to = to;
  if (fault_strikes(&call, &status)) return call_fail(&call, status);
  struct simnames *names = &call.disk->names;
  if (simnames_find(names, from) == NULL) return end_not_found(&call, from);
  if (simnames_is_directory(names, from) || simnames_is_directory(names, to))
    return call_end(&call, STATUS_IO, "it is a directory");
  simnames_rename(names, from, to);
  return call_end(&call, STATUS_OK, NULL);
}

static enum status remove_file(struct disk *disk, const char *name, struct error *err) {
  enum status status;
  struct call call = call_begin(disk, SIMDISK_REMOVE, name, err);
  if (fault_strikes(&call, &status)) return call_fail(&call, status);
  struct simnames *names = &call.disk->names;
  if (simnames_find(names, name) == NULL) return end_not_found(&call, name);
  if (simnames_is_directory(names, name)) return call_end(&call, STATUS_IO, "it is a directory");
  simnames_remove(names, name);
  return call_end(&call, STATUS_OK, NULL);
}

static enum status make_directory(struct disk *disk, const char *name, struct error *err) {
  CHECK(strlen(name) <= DISK_NAME_BYTES_MAX);
  enum status status;
  struct call call = call_begin(disk, SIMDISK_MAKE_DIRECTORY, name, err);
  if (fault_strikes(&call, &status)) return call_fail(&call, status);
  struct simnames *names = &call.disk->names;
  if (simnames_is_directory(names, name)) return call_end(&call, STATUS_OK, NULL);
  if (!has_parent(names, name)) return end_not_found(&call, name);
  if (simnames_find(names, name) != NULL) return call_end(&call, STATUS_IO, "a file is in its place");
  struct simfile *directory = simfile_create(true);
  simnames_add(names, name, directory);
  simfile_drop(directory);
  return call_end(&call, STATUS_OK, NULL);
}

/* What is wrong with a name that should be a directory's. */
static enum status end_no_directory(const struct call *call, const char *name) {
  if (simnames_find(&call->disk->names, name) == NULL) return end_not_found(call, name);
  return call_end(call, STATUS_IO, "it is no directory");
}

static enum status sync_directory(struct disk *disk, const char *name, struct error *err) {
  enum status status;
  struct call call = call_begin(disk, SIMDISK_SYNC_DIRECTORY, name, err);
  struct simnames *names = &call.disk->names;
  if (!simnames_is_directory(names, name)) return end_no_directory(&call, name);
  if (fault_strikes(&call, &status)) {
    simnames_fail_sync(names, name, &call.disk->prng);
    return call_fail(&call, status);
  }
  simnames_sync(names, name);
  return call_end(&call, STATUS_OK, NULL);
}

/* Copied under the lock, told without it: the visitor may use the disk. */
static enum status list_directory(struct disk *disk, const char *name, disk_name *visit, void *context,
                                  struct error *err) {
  enum status status;
  struct call call = call_begin(disk, SIMDISK_LIST, name, err);
  if (fault_strikes(&call, &status)) return call_fail(&call, status);
  const struct simnames *names = &call.disk->names;
  if (!simnames_is_directory(names, name)) return end_no_directory(&call, name);
  struct buffer found;
  buffer_init(&found);
  for (size_t i = 0; i < names->seen.count; i++) {
    const char *base;
    if (simnames_in(names->seen.entries[i].name, name, &base)) buffer_append(&found, base, strlen(base) + 1);
  }
  status = call_end(&call, STATUS_OK, NULL);
  for (size_t at = 0; at < found.len; at += strlen((const char *)found.data + at) + 1)
    visit(context, (const char *)found.data + at);
  buffer_deinit(&found);
  return status;
}

static enum status tell_free_bytes(struct disk *disk, uint64_t *out, struct error *err) {
  enum status status;
  struct call call = call_begin(disk, SIMDISK_FREE_BYTES, ".", err);
  if (fault_strikes(&call, &status)) return call_fail(&call, status);
  *out = free_bytes(call.disk);
  return call_end(&call, STATUS_OK, NULL);
}

/* ---- life ---- */

struct simdisk *simdisk_create(const struct simdisk_config *config) {
  static const struct disk_ops ops = {
      .open = open_file,
      .close = close_file,
      .read = read_file,
      .write = write_file,
      .sync = sync_file,
      .size = size_of_file,
      .truncate = truncate_file,
      .rename = rename_file,
      .remove = remove_file,
      .make_directory = make_directory,
      .sync_directory = sync_directory,
      .list = list_directory,
      .free_bytes = tell_free_bytes,
  };
  struct simdisk *disk = xcalloc(1, sizeof *disk);
  disk->base.ops = &ops;
  disk->config = *config;
  CHECK(pthread_mutex_init(&disk->lock, NULL) == 0);
  prng_init(&disk->prng, config->seed);
  buffer_init(&disk->trace);
  return disk;
}

void simdisk_destroy(struct simdisk *disk) {
  CHECK(disk->open == NULL);
  simnames_deinit(&disk->names);
  buffer_deinit(&disk->trace);
  pthread_mutex_destroy(&disk->lock);
  free(disk);
}

struct simdisk *simdisk_clone(const struct simdisk *disk) {
  struct simdisk *clone = simdisk_create(&disk->config);
  simnames_clone(&clone->names, &disk->names);
  return clone;
}

struct disk *simdisk_base(struct simdisk *disk) {
  return &disk->base;
}

void simdisk_crash(struct simdisk *disk, uint64_t seed) {
  struct prng prng;
  prng_init(&prng, seed);
  for (struct disk_file *file = disk->open; file != NULL; file = file->next) {
    if (file->content != NULL) simfile_drop(file->content);
    file->content = NULL;
  }
  simnames_crash(&disk->names, &prng);
  for (size_t i = 0; i < disk->names.seen.count; i++)
    simfile_crash(disk->names.seen.entries[i].file, &prng, disk->config.torn_ppm);
}

/* ---- faults ---- */

void simdisk_fail(struct simdisk *disk, const struct simdisk_fault *fault) {
  disk->fault = *fault;
  disk->faulty = true;
  disk->failed = false;
}

void simdisk_heal(struct simdisk *disk) {
  disk->faulty = false;
}

bool simdisk_failed(const struct simdisk *disk) {
  return disk->failed;
}

void simdisk_set_capacity(struct simdisk *disk, uint64_t capacity_bytes) {
  disk->config.capacity_bytes = capacity_bytes;
}

bool simdisk_flip(struct simdisk *disk, const char *name, uint64_t offset, uint8_t bit) {
  struct simfile *content = simnames_find(&disk->names, name);
  return content != NULL && simfile_flip(content, offset, bit);
}

bool simdisk_cut(struct simdisk *disk, const char *name, uint64_t size) {
  struct simfile *content = simnames_find(&disk->names, name);
  if (content == NULL || size > simfile_size(content)) return false;
  simfile_cut(content, size);
  return true;
}

/* ---- what one may see ---- */

uint64_t simdisk_calls(const struct simdisk *disk, enum simdisk_call call) {
  return disk->calls[call];
}

size_t simdisk_unsynced(const struct simdisk *disk) {
  size_t count = disk->names.changes_count;
  for (size_t i = 0; i < disk->names.seen.count; i++)
    count += simfile_unsynced(disk->names.seen.entries[i].file) ? 1 : 0;
  return count;
}

uint64_t simdisk_used_bytes(const struct simdisk *disk) {
  return used_bytes(disk);
}

size_t simdisk_memory_bytes(const struct simdisk *disk) {
  size_t bytes = sizeof *disk;
  for (size_t i = 0; i < disk->names.seen.count; i++)
    bytes += simfile_memory(disk->names.seen.entries[i].file);
  return bytes;
}

void simdisk_files(const struct simdisk *disk, simdisk_visit *visit, void *context) {
  for (size_t i = 0; i < disk->names.seen.count; i++) {
    const struct simname *entry = &disk->names.seen.entries[i];
    if (!simfile_is_directory(entry->file)) visit(context, entry->name, simfile_size(entry->file));
  }
}

bool simdisk_file_bytes(const struct simdisk *disk, const char *name, uint64_t *bytes) {
  const struct simfile *content = simnames_find(&disk->names, name);
  if (content == NULL || simfile_is_directory(content)) return false;
  *bytes = simfile_size(content);
  return true;
}

void simdisk_trace_start(struct simdisk *disk) {
  buffer_clear(&disk->trace);
  disk->tracing = true;
}

struct bytes simdisk_trace(const struct simdisk *disk) {
  return buffer_view(&disk->trace);
}
