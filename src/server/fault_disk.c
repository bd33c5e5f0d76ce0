#include "server/fault_disk.h"

#include "base/check.h"
#include "server/fault_undo.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { MS_PER_S = 1000, NS_PER_MS = 1000000, NS_PER_S = 1000000000 };

struct fault_disk {
  struct disk base; /* first member */
  struct disk *inner;
  pthread_mutex_t mutex; /* guards what follows, and the changes themselves */
  pthread_cond_t woken;  /* slow syncs look again */
  struct fault_disk_view view;
  bool hurried;
  struct undo *undo;
  struct prng prng;
};

/* An open file: of this disk, as everybody else sees it. */
struct disk_file {
  struct disk_file *inner; /* the inner disk's, which looks otherwise */
  struct undo_file *undo;
};

static struct fault_disk *disk_of(struct disk *base) {
  return (struct fault_disk *)(void *)base;
}

static void lock(struct fault_disk *disk) {
  CHECK(pthread_mutex_lock(&disk->mutex) == 0);
}

static void unlock(struct fault_disk *disk) {
  CHECK(pthread_mutex_unlock(&disk->mutex) == 0);
}

static enum status check_power(const struct fault_disk *disk, struct error *err) {
  return disk->view.lost ? error_set(err, STATUS_CLOSED, "disk: the power is gone") : STATUS_OK;
}

/* STATUS_OK, and locked; else not. */
static enum status enter(struct fault_disk *disk, struct error *err) {
  lock(disk);
  enum status status = check_power(disk, err);
  if (status != STATUS_OK) unlock(disk);
  return status;
}

static enum status leave(struct fault_disk *disk, enum status status) {
  unlock(disk);
  return status;
}

/* For calls that change nothing: they need not hold up the others. */
static enum status pass(struct fault_disk *disk, struct error *err) {
  enum status status = enter(disk, err);
  if (status == STATUS_OK) unlock(disk);
  return status;
}

static enum status refuse_full(struct fault_disk *disk, const char *what, const char *name, struct error *err) {
  disk->view.refused_full++;
  return error_set(err, STATUS_DISK_FULL, "%s %s: no space left, as a fault says", what, name);
}

/* ---- files ---- */

static enum status open_locked(struct fault_disk *disk, const char *name, enum disk_open how, struct disk_file **out,
                               struct error *err) {
  if (how == DISK_CREATE && disk->view.state.full) return refuse_full(disk, "create", name, err);
  struct disk_file *inner;
  enum status status = disk->inner->ops->open(disk->inner, name, how, &inner, err);
  if (status != STATUS_OK) return status;
  if (how == DISK_CREATE) undo_created(disk->undo, name);
  struct disk_file *file = xmalloc(sizeof *file);
  *file = (struct disk_file){inner, undo_open(disk->undo, name)};
  *out = file;
  return STATUS_OK;
}

static enum status open_file(struct disk *base, const char *name, enum disk_open how, struct disk_file **out,
                             struct error *err) {
  struct fault_disk *disk = disk_of(base);
  enum status status = enter(disk, err);
  return status == STATUS_OK ? leave(disk, open_locked(disk, name, how, out, err)) : status;
}

static void close_file(struct disk *base, struct disk_file *file) {
  struct fault_disk *disk = disk_of(base);
  lock(disk);
  undo_close(disk->undo, file->undo);
  unlock(disk);
  disk->inner->ops->close(disk->inner, file->inner);
  free(file);
}

static enum status read_file(struct disk *base, struct disk_file *file, uint64_t offset, void *data, size_t len,
                             size_t *got, struct error *err) {
  struct fault_disk *disk = disk_of(base);
  enum status status = pass(disk, err);
  return status == STATUS_OK ? disk->inner->ops->read(disk->inner, file->inner, offset, data, len, got, err) : status;
}

static enum status size_of_file(struct disk *base, struct disk_file *file, uint64_t *out, struct error *err) {
  struct fault_disk *disk = disk_of(base);
  enum status status = pass(disk, err);
  return status == STATUS_OK ? disk->inner->ops->size(disk->inner, file->inner, out, err) : status;
}

static enum status check_room(struct fault_disk *disk, struct disk_file *file, uint64_t end, struct error *err) {
  uint64_t size = 0;
  if (!disk->view.state.full) return STATUS_OK;
  enum status status = disk->inner->ops->size(disk->inner, file->inner, &size, err);
  return status == STATUS_OK && end > size ? refuse_full(disk, "write", "a file", err) : status;
}

static enum status write_file(struct disk *base, struct disk_file *file, uint64_t offset, struct bytes data,
                              struct error *err) {
  struct fault_disk *disk = disk_of(base);
  enum status status = enter(disk, err);
  if (status != STATUS_OK) return status;
  status = check_room(disk, file, offset + data.len, err);
  if (status == STATUS_OK) status = undo_write(disk->undo, file->undo, file->inner, offset, data.len, err);
  if (status == STATUS_OK) status = disk->inner->ops->write(disk->inner, file->inner, offset, data, err);
  return leave(disk, status);
}

static enum status truncate_file(struct disk *base, struct disk_file *file, uint64_t size, struct error *err) {
  struct fault_disk *disk = disk_of(base);
  enum status status = enter(disk, err);
  if (status != STATUS_OK) return status;
  status = undo_truncate(disk->undo, file->undo, file->inner, size, err);
  if (status == STATUS_OK) status = disk->inner->ops->truncate(disk->inner, file->inner, size, err);
  return leave(disk, status);
}

/* ---- syncs ---- */

static struct timespec after_ms(struct timespec since, uint32_t ms) {
  since.tv_sec += ms / MS_PER_S;
  since.tv_nsec += (long)(ms % MS_PER_S) * NS_PER_MS;
  if (since.tv_nsec >= NS_PER_S) {
    since.tv_sec++;
    since.tv_nsec -= NS_PER_S;
  }
  return since;
}

/* Locked. As long as the state says so, and the state may change meanwhile. */
static void be_slow(struct fault_disk *disk) {
  struct timespec start, now;
  CHECK(clock_gettime(CLOCK_MONOTONIC, &start) == 0);
  if (disk->view.state.slow_ms > 0) disk->view.slow_syncs++;
  for (;;) {
    uint32_t slow_ms = disk->view.lost || disk->hurried ? 0 : disk->view.state.slow_ms;
    struct timespec until = after_ms(start, slow_ms);
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    if (now.tv_sec > until.tv_sec || (now.tv_sec == until.tv_sec && now.tv_nsec >= until.tv_nsec)) return;
    (void)pthread_cond_timedwait(&disk->woken, &disk->mutex, &until); /* looks again in any case */
  }
}

/* Locked again, when STATUS_OK; *mark: what was there before is what the sync is about. */
static enum status begin_sync(struct fault_disk *disk, uint64_t *mark, struct error *err) {
  enum status status = enter(disk, err);
  if (status != STATUS_OK) return status;
  *mark = undo_mark(disk->undo);
  be_slow(disk);
  unlock(disk);
  return STATUS_OK;
}

/* Locked. The power may have gone, and the fault have come, while the disk was at it: then nothing is durable. */
static enum status end_sync(struct fault_disk *disk, enum status status, struct error *err) {
  if (disk->view.lost) return check_power(disk, err);
  if (status != STATUS_OK || !disk->view.state.fail_sync) return status;
  disk->view.failed_syncs++;
  return error_set(err, STATUS_IO, "sync: it failed, as a fault says");
}

static enum status sync_file(struct disk *base, struct disk_file *file, struct error *err) {
  struct fault_disk *disk = disk_of(base);
  uint64_t mark;
  enum status status = begin_sync(disk, &mark, err);
  if (status != STATUS_OK) return status;
  status = disk->inner->ops->sync(disk->inner, file->inner, err);
  lock(disk);
  status = end_sync(disk, status, err);
  if (status == STATUS_OK) undo_synced(disk->undo, file->undo, mark);
  return leave(disk, status);
}

static enum status sync_directory(struct disk *base, const char *name, struct error *err) {
  struct fault_disk *disk = disk_of(base);
  uint64_t mark;
  enum status status = begin_sync(disk, &mark, err);
  if (status != STATUS_OK) return status;
  status = disk->inner->ops->sync_directory(disk->inner, name, err);
  lock(disk);
  status = end_sync(disk, status, err);
  if (status == STATUS_OK) undo_directory_synced(disk->undo, name, mark);
  return leave(disk, status);
}

/* ---- names ---- */

static enum status rename_file(struct disk *base, const char *from, const char *to, struct error *err) {
  struct fault_disk *disk = disk_of(base);
  enum status status = enter(disk, err);
  return status == STATUS_OK ? leave(disk, undo_rename(disk->undo, from, to, err)) : status;
}

static enum status remove_file(struct disk *base, const char *name, struct error *err) {
  struct fault_disk *disk = disk_of(base);
  enum status status = enter(disk, err);
  return status == STATUS_OK ? leave(disk, undo_remove(disk->undo, name, err)) : status;
}

static void ignore_name(void *context, const char *name) {
  (void)context;
  (void)name;
}

static enum status make_locked(struct fault_disk *disk, const char *name, struct error *err) {
  if (disk->inner->ops->list(disk->inner, name, ignore_name, NULL, NULL) == STATUS_OK) return STATUS_OK;
  if (disk->view.state.full) return refuse_full(disk, "make_directory", name, err);
  enum status status = disk->inner->ops->make_directory(disk->inner, name, err);
  if (status == STATUS_OK) undo_made(disk->undo, name);
  return status;
}

static enum status make_directory(struct disk *base, const char *name, struct error *err) {
  struct fault_disk *disk = disk_of(base);
  enum status status = enter(disk, err);
  return status == STATUS_OK ? leave(disk, make_locked(disk, name, err)) : status;
}

struct visit {
  disk_name *visit;
  void *context;
};

static void visit_visible(void *context, const char *name) {
  const struct visit *visit = context;
  if (!undo_is_hidden(name)) visit->visit(visit->context, name);
}

static enum status list_directory(struct disk *base, const char *name, disk_name *visit, void *context,
                                  struct error *err) {
  struct fault_disk *disk = disk_of(base);
  struct visit visible = {visit, context};
  enum status status = pass(disk, err);
  return status == STATUS_OK ? disk->inner->ops->list(disk->inner, name, visit_visible, &visible, err) : status;
}

static enum status tell_free_bytes(struct disk *base, uint64_t *out, struct error *err) {
  struct fault_disk *disk = disk_of(base);
  enum status status = enter(disk, err);
  if (status != STATUS_OK) return status;
  bool full = disk->view.state.full;
  unlock(disk);
  if (!full) return disk->inner->ops->free_bytes(disk->inner, out, err);
  *out = 0;
  return STATUS_OK;
}

/* ---- what is set, and seen ---- */

static void wake_slow(struct fault_disk *disk) {
  CHECK(pthread_cond_broadcast(&disk->woken) == 0);
}

void fault_disk_set(struct fault_disk *disk, const struct fault_disk_state *state) {
  lock(disk);
  disk->view.state = *state;
  wake_slow(disk);
  unlock(disk);
}

void fault_disk_hurry(struct fault_disk *disk) {
  lock(disk);
  disk->hurried = true;
  wake_slow(disk);
  unlock(disk);
}

enum status fault_disk_lose(struct fault_disk *disk, struct error *err) {
  enum status status = enter(disk, err);
  if (status != STATUS_OK) return status;
  disk->view.lost = true;
  wake_slow(disk);
  return leave(disk, undo_all(disk->undo, disk->view.state.torn_next, &disk->prng, err));
}

void fault_disk_view(struct fault_disk *disk, struct fault_disk_view *out) {
  lock(disk);
  *out = disk->view;
  out->unsynced = undo_count(disk->undo);
  unlock(disk);
}

/* ---- life ---- */

static void init_condition(pthread_cond_t *condition) {
  pthread_condattr_t attributes;
  CHECK(pthread_condattr_init(&attributes) == 0);
  CHECK(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
  CHECK(pthread_cond_init(condition, &attributes) == 0);
  CHECK(pthread_condattr_destroy(&attributes) == 0);
}

enum status fault_disk_open(struct disk *inner, uint64_t seed, struct fault_disk **out, struct error *err) {
  static const struct disk_ops ops = {.open = open_file,
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
                                      .free_bytes = tell_free_bytes};
  struct undo *undo = undo_create(inner);
  enum status status = undo_clean(undo, err);
  if (status != STATUS_OK) {
    undo_destroy(undo);
    return status;
  }
  struct fault_disk *disk = xcalloc(1, sizeof *disk);
  disk->base.ops = &ops;
  disk->inner = inner;
  disk->undo = undo;
  CHECK(pthread_mutex_init(&disk->mutex, NULL) == 0);
  init_condition(&disk->woken);
  prng_init(&disk->prng, seed);
  *out = disk;
  return STATUS_OK;
}

void fault_disk_close(struct fault_disk *disk) {
  undo_destroy(disk->undo);
  CHECK(pthread_cond_destroy(&disk->woken) == 0);
  CHECK(pthread_mutex_destroy(&disk->mutex) == 0);
  free(disk);
}

struct disk *fault_disk_base(struct fault_disk *disk) {
  return &disk->base;
}
