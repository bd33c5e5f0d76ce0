#include "io/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/check.h"

enum { DIRECTORY_MODE = 0700, FILE_MODE = 0600, REASON_CHARS = 128, PID_CHARS = 16 };

#define LOCK_NAME "LOCK"

struct io_disk {
  struct disk base;
  int root;                    /* the directory */
  int lock;                    /* the file LOCK while it is locked, else -1 */
  struct io_disk_watch *watch; /* or NULL */
};

struct disk_file {
  int fd;
  char name[]; /* for messages */
};

static struct io_disk *io_disk_of(struct disk *disk) {
  return (struct io_disk *)disk; /* its first member */
}

static int root_of(struct disk *disk) {
  return io_disk_of(disk)->root;
}

/* What errno says about `what` done to `name`. */
static enum status failed(struct error *err, const char *what, const char *name) {
  int code = errno;
  enum status status = STATUS_IO;
  if (code == ENOENT) status = STATUS_NOT_FOUND;
  if (code == ENOSPC || code == EDQUOT || code == EFBIG) status = STATUS_DISK_FULL;
  char reason[REASON_CHARS];
  return error_set(err, status, "%s %s: %s", what, name, strerror_r(code, reason, sizeof reason));
}

/* openat, again when a signal came between. */
static int open_at(int directory, const char *name, int flags) {
  int fd;
  do
    fd = openat(directory, name, flags | O_CLOEXEC, FILE_MODE);
  while (fd < 0 && errno == EINTR);
  return fd;
}

/* ---- files ---- */

static enum status take_file(int fd, const char *name, struct disk_file **out, struct error *err) {
  struct stat about;
  if (fstat(fd, &about) != 0) {
    enum status status = failed(err, "open", name);
    close(fd);
    return status;
  }
  if (!S_ISREG(about.st_mode)) {
    close(fd);
    return error_set(err, STATUS_IO, "open %s: not a file", name);
  }
  struct disk_file *file = xmalloc(sizeof *file + strlen(name) + 1);
  file->fd = fd;
  memcpy(file->name, name, strlen(name) + 1);
  *out = file;
  return STATUS_OK;
}

static enum status open_file(struct disk *disk, const char *name, enum disk_open how, struct disk_file **out,
                             struct error *err) {
  int flags = O_RDONLY;
  if (how == DISK_OPEN_WRITE) flags = O_RDWR;
  if (how == DISK_CREATE) flags = O_RDWR | O_CREAT | O_EXCL;
  int fd = open_at(root_of(disk), name, flags | O_NONBLOCK); /* a pipe in the file's place must not hold us up */
  if (fd < 0) return failed(err, how == DISK_CREATE ? "create" : "open", name);
  return take_file(fd, name, out, err);
}

/* Not again after a signal: the descriptor is gone all the same. */
static void close_file(struct disk *disk, struct disk_file *file) {
  (void)disk;
  close(file->fd);
  free(file);
}

static enum status check_watch(struct disk *disk, const char *what, const char *name, struct error *err) {
  const struct io_disk_watch *watch = io_disk_of(disk)->watch;
  if (watch == NULL || !atomic_load_explicit(&watch->stop, memory_order_relaxed)) return STATUS_OK;
  return error_set(err, STATUS_CLOSED, "%s %s: the disk is being closed", what, name);
}

static void count_got(struct disk *disk, size_t bytes) {
  struct io_disk_watch *watch = io_disk_of(disk)->watch;
  if (watch != NULL) atomic_fetch_add_explicit(&watch->got_bytes, bytes, memory_order_relaxed);
}

static enum status read_file(struct disk *disk, struct disk_file *file, uint64_t offset, void *data, size_t len,
                             size_t *got, struct error *err) {
  enum status status = check_watch(disk, "read", file->name, err);
  if (status != STATUS_OK) return status;
  size_t done = 0;
  while (done < len) {
    ssize_t count = pread(file->fd, (uint8_t *)data + done, len - done, (off_t)(offset + done));
    if (count == 0) break;
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failed(err, "read", file->name);
    done += (size_t)count;
  }
  count_got(disk, done);
  *got = done;
  return STATUS_OK;
}

static enum status write_file(struct disk *disk, struct disk_file *file, uint64_t offset, struct bytes data,
                              struct error *err) {
  enum status status = check_watch(disk, "write", file->name, err);
  if (status != STATUS_OK) return status;
  for (size_t done = 0; done < data.len;) {
    ssize_t count = pwrite(file->fd, data.data + done, data.len - done, (off_t)(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failed(err, "write", file->name);
    if (count == 0) return error_set(err, STATUS_IO, "write %s: nothing was written", file->name);
    done += (size_t)count;
  }
  return STATUS_OK;
}

static enum status sync_file(struct disk *disk, struct disk_file *file, struct error *err) {
  (void)disk;
  int result;
  do
    result = fdatasync(file->fd);
  while (result != 0 && errno == EINTR);
  return result == 0 ? STATUS_OK : failed(err, "sync", file->name);
}

static enum status size_of_file(struct disk *disk, struct disk_file *file, uint64_t *out, struct error *err) {
  (void)disk;
  struct stat about;
  if (fstat(file->fd, &about) != 0) return failed(err, "size", file->name);
  *out = (uint64_t)about.st_size;
  return STATUS_OK;
}

static enum status truncate_file(struct disk *disk, struct disk_file *file, uint64_t size, struct error *err) {
  (void)disk;
  int result;
  do
    result = ftruncate(file->fd, (off_t)size);
  while (result != 0 && errno == EINTR);
  return result == 0 ? STATUS_OK : failed(err, "truncate", file->name);
}

/* ---- names ---- */

static enum status rename_file(struct disk *disk, const char *from, const char *to, struct error *err) {
  int root = root_of(disk);
  return renameat(root, from, root, to) == 0 ? STATUS_OK : failed(err, "rename", from);
}

static enum status remove_file(struct disk *disk, const char *name, struct error *err) {
  return unlinkat(root_of(disk), name, 0) == 0 ? STATUS_OK : failed(err, "remove", name);
}

enum status io_disk_link(struct disk *disk, const char *name, const char *second, struct error *err) {
  int root = root_of(disk);
  return linkat(root, name, root, second, 0) == 0 ? STATUS_OK : failed(err, "link", name);
}

enum status io_disk_remove_directory(struct disk *disk, const char *name, struct error *err) {
  return unlinkat(root_of(disk), name, AT_REMOVEDIR) == 0 ? STATUS_OK : failed(err, "remove", name);
}

/* EEXIST may also mean that a file is in its place. */
static bool is_directory(int root, const char *name) {
  struct stat about;
  return fstatat(root, name, &about, 0) == 0 && S_ISDIR(about.st_mode);
}

static enum status make_directory(struct disk *disk, const char *name, struct error *err) {
  if (mkdirat(root_of(disk), name, DIRECTORY_MODE) == 0) return STATUS_OK;
  if (errno != EEXIST) return failed(err, "make_directory", name);
  if (is_directory(root_of(disk), name)) return STATUS_OK;
  return error_set(err, STATUS_IO, "make_directory %s: a file is in its place", name);
}

/* fsync of the directory `name` below `root`. */
static enum status sync_directory_at(int root, const char *name, struct error *err) {
  int fd = open_at(root, name, O_RDONLY | O_DIRECTORY);
  if (fd < 0) return failed(err, "sync_directory", name);
  int result;
  do
    result = fsync(fd);
  while (result != 0 && errno == EINTR);
  enum status status = result == 0 ? STATUS_OK : failed(err, "sync_directory", name);
  close(fd);
  return status;
}

static enum status sync_directory(struct disk *disk, const char *name, struct error *err) {
  return sync_directory_at(root_of(disk), name, err);
}

static enum status visit_names(DIR *directory, const char *name, disk_name *visit, void *context, struct error *err) {
  for (;;) {
    errno = 0;
    const struct dirent *entry = readdir(directory);
    if (entry == NULL) return errno == 0 ? STATUS_OK : failed(err, "list", name);
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) visit(context, entry->d_name);
  }
}

static enum status list_directory(struct disk *disk, const char *name, disk_name *visit, void *context,
                                  struct error *err) {
  int fd = open_at(root_of(disk), name, O_RDONLY | O_DIRECTORY);
  if (fd < 0) return failed(err, "list", name);
  DIR *directory = fdopendir(fd);
  if (directory == NULL) {
    enum status status = failed(err, "list", name);
    close(fd);
    return status;
  }
  enum status status = visit_names(directory, name, visit, context, err);
  closedir(directory); /* and fd */
  return status;
}

static enum status tell_free_bytes(struct disk *disk, uint64_t *out, struct error *err) {
  struct statvfs about;
  int result;
  do
    result = fstatvfs(root_of(disk), &about);
  while (result != 0 && errno == EINTR);
  if (result != 0) return failed(err, "free_bytes", ".");
  *out = (uint64_t)about.f_bavail * about.f_frsize;
  return STATUS_OK;
}

/* ---- life ---- */

static enum status open_root(const char *root, enum io_disk_root how, int *out, struct error *err) {
  bool made = how == IO_DISK_MADE && mkdir(root, DIRECTORY_MODE) == 0;
  if (how == IO_DISK_MADE && !made && errno != EEXIST) return failed(err, "make_directory", root);
  int fd = open_at(AT_FDCWD, root, O_RDONLY | O_DIRECTORY);
  if (fd < 0) return failed(err, "open", root);
  enum status status = made ? sync_directory_at(fd, "..", err) : STATUS_OK;
  if (status != STATUS_OK) {
    close(fd);
    return status;
  }
  *out = fd;
  return STATUS_OK;
}

enum status io_disk_open(const char *root, enum io_disk_root how, struct disk **out, struct error *err) {
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
  signal(SIGXFSZ, SIG_IGN); /* a limit on the size of files is an error of write, not the end of the process */
  int fd = -1;
  enum status status = open_root(root, how, &fd, err);
  if (status != STATUS_OK) return status;
  struct io_disk *disk = xmalloc(sizeof *disk);
  *disk = (struct io_disk){.base = {.ops = &ops}, .root = fd, .lock = -1};
  *out = &disk->base;
  return STATUS_OK;
}

void io_disk_close(struct disk *disk) {
  struct io_disk *system = io_disk_of(disk);
  if (system->lock >= 0) close(system->lock);
  close(system->root);
  free(system);
}

void io_disk_watch(struct disk *disk, struct io_disk_watch *watch) {
  io_disk_of(disk)->watch = watch;
}

/* ---- the lock ---- */

/* Who wrote into LOCK. */
static enum status locked_by_another(int fd, struct error *err) {
  char pid[PID_CHARS + 1];
  ssize_t len = pread(fd, pid, PID_CHARS, 0);
  pid[len < 0 ? 0 : len] = '\0';
  pid[strspn(pid, "0123456789")] = '\0';
  return error_set(err, STATUS_IO, "in use by process %s", pid[0] == '\0' ? "(not known yet)" : pid);
}

/* For people only: neither a full disk nor a crash that loses it does harm. Always as long, so that it is written over
 * without new space. */
static void write_pid(int fd) {
  char pid[PID_CHARS + 1];
  int len = snprintf(pid, sizeof pid, "%-*d\n", PID_CHARS - 1, (int)getpid());
  ssize_t written = pwrite(fd, pid, (size_t)len, 0);
  (void)written;
}

/* flock, not fcntl: a lock of fcntl would go with any descriptor of the file that this process closes. */
enum status io_disk_lock(struct disk *disk, struct error *err) {
  struct io_disk *system = io_disk_of(disk);
  CHECK(system->lock < 0);
  int fd = open_at(system->root, LOCK_NAME, O_RDWR | O_CREAT);
  if (fd < 0) return failed(err, "open", LOCK_NAME);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    enum status status = errno == EWOULDBLOCK ? locked_by_another(fd, err) : failed(err, "lock", LOCK_NAME);
    close(fd);
    return status;
  }
  write_pid(fd);
  system->lock = fd;
  return STATUS_OK;
}
