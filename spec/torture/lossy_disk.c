/* A disk that loses what nobody synced, beneath a real process: preloaded (LD_PRELOAD), never linked into kvserver.
 *
 * What happens below one directory goes through, but first a record in a journal says how to undo it; an fdatasync or
 * fsync is a record, too, which tells what need not be undone any more. After the process was killed,
 * spec/torture/lossy.lua takes back what no sync covered: all of it, or what a seed chooses (raft/storage/disk.h says
 * what a power cut may leave). Nothing is really synced: what survives the kill is the page cache.
 *
 *   LOSSY_DISK_BELOW=DIR    an absolute path without symbolic links; names outside are none of our business
 *   LOSSY_DISK_SIDE=DIR     an existing directory of the same file system, for this process alone: DIR/journal, and a
 *                           hard link for each file that may have to be undone, named by its inode number, so that
 *                           removed files stay and numbers are not used again
 *   LOSSY_DISK_SYNC_US=N    a sync takes up to so long, 0 by default
 *   LOSSY_DISK_KILL=N       the process kills itself (SIGKILL) instead of its Nth call below DIR; 0: never
 *   LOSSY_DISK_KILL_NAMES=1 only calls that change names, or sync a directory, are counted for that
 *
 * A record, little endian: u32 bytes of the rest | u8 kind | u64 inode | u64 offset | u64 size | u64 size_before |
 * u16 length, name | u16 length, other name | u32 length, bytes. Names are relative to LOSSY_DISK_BELOW; the directory
 * itself is "". It is written before the call is made, with one write, under the lock that the call is made under: so
 * there is one call at a time, a record without a call is the last, and a torn record has no call.
 *   write      inode, offset, size (what is written), size_before (of the file), bytes (what is overwritten)
 *   truncate   inode, offset (the new size), size_before, bytes (what is cut off)
 *   sync       inode, offset: in the journal; what stands before it is durable
 *   create     name
 *   rename     name, other name, inode of the file that stood there, or 0
 *   remove     name, inode
 *   make       name (a directory)
 *   sync_directory  name, offset as sync
 *
 * Calls that the undoing does not know end the process, with a word. Thread-safe. The system is called without libc, so
 * that it does not matter who is loaded first. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { DIE_CODE = 99, LINK_CHARS = 64, JOURNAL_MODE = 0600, FIXED_BYTES = 45 };

enum kind { WRITE = 1, TRUNCATE, SYNC, CREATE, RENAME, REMOVE, MAKE, SYNC_DIRECTORY };

struct record {
  enum kind kind;
  uint64_t inode;
  uint64_t offset;
  uint64_t size;
  uint64_t size_before;
  const char *name;
  const char *other;
  uint64_t bytes; /* how many, from `bytes_offset` of `bytes_fd` */
  uint64_t bytes_offset;
  int bytes_fd;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char below[PATH_MAX]; /* "" while nothing is watched */
static char side[PATH_MAX];
static int journal = -1;
static uint64_t position; /* where the journal ends */
static uint64_t calls;
static uint64_t kill_at;
static bool kill_names;
static unsigned int sync_us;
static uint8_t *scratch;
static size_t scratch_capacity;

static void die(const char *what, const char *name) {
  dprintf(STDERR_FILENO, "lossy_disk: %s: %s\n", what, name);
  _exit(DIE_CODE);
}

/* ---- names ---- */

/* The part of an absolute path behind the watched directory; NULL when it is not below. */
static const char *watched(const char *path) {
  size_t len = strlen(below);
  if (len == 0 || strncmp(path, below, len) != 0) return NULL;
  if (path[len] == '\0') return path + len;
  return path[len] == '/' ? path + len + 1 : NULL;
}

static const char *watched_fd(int fd, char path[PATH_MAX]) {
  if (below[0] == '\0') return NULL;
  char link[LINK_CHARS];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t len = syscall(SYS_readlink, link, path, PATH_MAX - 1);
  if (len < 0) return NULL;
  path[len] = '\0';
  return watched(path);
}

static const char *watched_at(int directory, const char *name, char path[PATH_MAX]) {
  if (below[0] == '\0') return NULL;
  char base[PATH_MAX] = "";
  if (name[0] != '/') {
    if (directory == AT_FDCWD) {
      if (getcwd(base, sizeof base) == NULL) return NULL;
    } else {
      watched_fd(directory, base);
    }
  }
  int len = snprintf(path, PATH_MAX, "%s%s%s", base, name[0] == '/' ? "" : "/", name);
  if (len >= PATH_MAX) die("a long path", name);
  const char *place = watched(path);
  if (place != NULL && strstr(place, "..") != NULL) die("a path that goes back", path);
  return place;
}

static bool about(int directory, const char *name, struct stat *out) {
  return syscall(SYS_newfstatat, directory, name, out, name[0] == '\0' ? AT_EMPTY_PATH : AT_SYMLINK_NOFOLLOW) == 0;
}

/* ---- the journal ---- */

static uint8_t *put(uint8_t *at, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; i++)
    *at++ = (uint8_t)(value >> (8 * i));
  return at;
}

static uint8_t *put_name(uint8_t *at, const char *name) {
  size_t len = name == NULL ? 0 : strlen(name);
  at = put(at, len, 2);
  if (len > 0) memcpy(at, name, len);
  return at + len;
}

static void make_scratch(size_t bytes) {
  if (bytes <= scratch_capacity) return;
  scratch = realloc(scratch, bytes);
  if (scratch == NULL) die("out of memory", "journal");
  scratch_capacity = bytes;
}

static void read_old_bytes(const struct record *record, uint8_t *at) {
  for (uint64_t done = 0; done < record->bytes;) {
    ssize_t count =
        syscall(SYS_pread64, record->bytes_fd, at + done, record->bytes - done, (off_t)(record->bytes_offset + done));
    if (count <= 0) die("cannot read what is overwritten", strerror(errno));
    done += (uint64_t)count;
  }
}

/* Under the lock. The process may end here: that is its kill. */
static void note(const struct record *record) {
  bool counts = !kill_names || record->kind >= CREATE;
  if (counts && ++calls == kill_at) syscall(SYS_kill, getpid(), SIGKILL);
  size_t names = (record->name ? strlen(record->name) : 0) + (record->other ? strlen(record->other) : 0);
  size_t bytes = FIXED_BYTES + names + record->bytes;
  make_scratch(bytes);
  uint8_t *at = put(scratch, bytes - 4, 4);
  at = put(at, record->kind, 1);
  at = put(at, record->inode, 8);
  at = put(at, record->offset, 8);
  at = put(at, record->size, 8);
  at = put(at, record->size_before, 8);
  at = put_name(at, record->name);
  at = put_name(at, record->other);
  at = put(at, record->bytes, 4);
  read_old_bytes(record, at);
  if (syscall(SYS_write, journal, scratch, bytes) != (ssize_t)bytes) die("cannot write the journal", strerror(errno));
  position += bytes;
}

/* The file stays reachable by its number, whatever becomes of its name. */
static void keep(int directory, const char *name, uint64_t inode) {
  char to[PATH_MAX + LINK_CHARS];
  snprintf(to, sizeof to, "%s/%llu", side, (unsigned long long)inode);
  if (syscall(SYS_linkat, directory, name, AT_FDCWD, to, AT_SYMLINK_FOLLOW) == 0 || errno == EEXIST) return;
  if (errno != ENOENT) die("cannot link", to); /* ENOENT: it has no name any more, and nobody will miss it */
}

static void keep_fd(int fd, uint64_t inode) {
  char link[LINK_CHARS];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  keep(AT_FDCWD, link, inode);
}

/* A kill may have torn the last record of an earlier process: its call was never made. */
static void cut_torn_record(void) {
  uint8_t head[4];
  struct stat status;
  if (!about(journal, "", &status)) die("cannot see the journal", side);
  uint64_t end = (uint64_t)status.st_size;
  while (syscall(SYS_pread64, journal, head, sizeof head, (off_t)position) == sizeof head) {
    uint64_t next =
        position + 4 + head[0] + ((uint64_t)head[1] << 8) + ((uint64_t)head[2] << 16) + ((uint64_t)head[3] << 24);
    if (next > end) break;
    position = next;
  }
  if (position < end && syscall(SYS_ftruncate, journal, (off_t)position) != 0) die("cannot cut the journal", side);
}

static uint64_t number(const char *name) {
  const char *text = getenv(name);
  return text == NULL ? 0 : strtoull(text, NULL, 10);
}

__attribute__((constructor)) static void start(void) {
  const char *directory = getenv("LOSSY_DISK_BELOW");
  const char *beside = getenv("LOSSY_DISK_SIDE");
  if (directory == NULL || beside == NULL) return;
  snprintf(side, sizeof side, "%s", beside);
  char path[PATH_MAX + LINK_CHARS];
  snprintf(path, sizeof path, "%s/journal", side);
  journal = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, JOURNAL_MODE);
  if (journal < 0) die("cannot open", path);
  cut_torn_record();
  kill_at = number("LOSSY_DISK_KILL");
  kill_names = number("LOSSY_DISK_KILL_NAMES") != 0;
  sync_us = (unsigned int)number("LOSSY_DISK_SYNC_US");
  srand48((long)getpid());
  snprintf(below, sizeof below, "%s", directory);
}

/* ---- files ---- */

static int open_at(int directory, const char *name, int flags, mode_t mode) {
  char path[PATH_MAX];
  const char *place = (flags & (O_CREAT | O_TRUNC)) != 0 ? watched_at(directory, name, path) : NULL;
  if (place == NULL) return (int)syscall(SYS_openat, directory, name, flags, mode);
  if ((flags & O_TRUNC) != 0 && (flags & O_EXCL) == 0) die("O_TRUNC", path);
  pthread_mutex_lock(&mutex);
  struct stat status;
  if (!about(AT_FDCWD, path, &status)) note(&(struct record){.kind = CREATE, .name = place});
  int fd = (int)syscall(SYS_openat, directory, name, flags, mode);
  int code = errno;
  pthread_mutex_unlock(&mutex);
  errno = code;
  return fd;
}

static mode_t mode_of(int flags, va_list *arguments) {
  return (flags & O_CREAT) != 0 ? va_arg(*arguments, mode_t) : 0;
}

#define OPEN(function)                                                                                                 \
  int function(const char *name, int flags, ...) {                                                                     \
    va_list arguments;                                                                                                 \
    va_start(arguments, flags);                                                                                        \
    mode_t mode = mode_of(flags, &arguments);                                                                          \
    va_end(arguments);                                                                                                 \
    return open_at(AT_FDCWD, name, flags, mode);                                                                       \
  }
#define OPEN_AT(function)                                                                                              \
  int function(int directory, const char *name, int flags, ...) {                                                      \
    va_list arguments;                                                                                                 \
    va_start(arguments, flags);                                                                                        \
    mode_t mode = mode_of(flags, &arguments);                                                                          \
    va_end(arguments);                                                                                                 \
    return open_at(directory, name, flags, mode);                                                                      \
  }
OPEN(open)
OPEN(open64)
OPEN_AT(openat)
OPEN_AT(openat64)

static ssize_t write_at(int fd, const void *data, size_t len, off_t offset) {
  char path[PATH_MAX];
  struct stat status;
  if (watched_fd(fd, path) == NULL) return syscall(SYS_pwrite64, fd, data, len, offset);
  pthread_mutex_lock(&mutex);
  if (!about(fd, "", &status)) die("cannot see", path);
  uint64_t size = (uint64_t)status.st_size;
  uint64_t from = (uint64_t)offset;
  uint64_t over = from >= size ? 0 : size - from;
  keep_fd(fd, status.st_ino);
  note(&(struct record){.kind = WRITE,
                        .inode = status.st_ino,
                        .offset = from,
                        .size = len,
                        .size_before = size,
                        .bytes = over < len ? over : len,
                        .bytes_offset = from,
                        .bytes_fd = fd});
  ssize_t count = syscall(SYS_pwrite64, fd, data, len, offset);
  int code = errno;
  pthread_mutex_unlock(&mutex);
  errno = code;
  return count;
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset) {
  return write_at(fd, data, len, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t offset) {
  return write_at(fd, data, len, offset);
}

static int cut(int fd, off_t size) {
  char path[PATH_MAX];
  struct stat status;
  if (watched_fd(fd, path) == NULL) return (int)syscall(SYS_ftruncate, fd, size);
  pthread_mutex_lock(&mutex);
  if (!about(fd, "", &status)) die("cannot see", path);
  keep_fd(fd, status.st_ino);
  note(&(struct record){.kind = TRUNCATE,
                        .inode = status.st_ino,
                        .offset = (uint64_t)size,
                        .size_before = (uint64_t)status.st_size,
                        .bytes = status.st_size > size ? (uint64_t)(status.st_size - size) : 0,
                        .bytes_offset = (uint64_t)size,
                        .bytes_fd = fd});
  int result = (int)syscall(SYS_ftruncate, fd, size);
  int code = errno;
  pthread_mutex_unlock(&mutex);
  errno = code;
  return result;
}

int ftruncate(int fd, off_t size) {
  return cut(fd, size);
}

int ftruncate64(int fd, off64_t size) {
  return cut(fd, size);
}

/* What is there when it is called will be durable, not what comes while it takes its time. */
static int sync_now(int fd, long call) {
  char path[PATH_MAX];
  struct stat status;
  const char *place = watched_fd(fd, path);
  if (place == NULL) return (int)syscall(call, fd);
  if (!about(fd, "", &status)) die("cannot see", path);
  bool directory = S_ISDIR(status.st_mode);
  pthread_mutex_lock(&mutex);
  uint64_t covered = position;
  unsigned int wait_us = sync_us == 0 ? 0 : (unsigned int)lrand48() % sync_us;
  pthread_mutex_unlock(&mutex);
  if (wait_us > 0) usleep(wait_us);
  pthread_mutex_lock(&mutex);
  note(&(struct record){.kind = directory ? SYNC_DIRECTORY : SYNC,
                        .inode = status.st_ino,
                        .offset = covered,
                        .name = directory ? place : NULL});
  pthread_mutex_unlock(&mutex);
  return 0;
}

int fsync(int fd) {
  return sync_now(fd, SYS_fsync);
}

int fdatasync(int fd) {
  return sync_now(fd, SYS_fdatasync);
}

/* ---- names ---- */

static int rename_at(int from_directory, const char *from, int to_directory, const char *to) {
  char from_path[PATH_MAX];
  char to_path[PATH_MAX];
  struct stat status;
  const char *from_place = watched_at(from_directory, from, from_path);
  const char *to_place = watched_at(to_directory, to, to_path);
  if (from_place == NULL && to_place == NULL) return (int)syscall(SYS_renameat, from_directory, from, to_directory, to);
  if (from_place == NULL || to_place == NULL) die("a rename across the border", from_path);
  pthread_mutex_lock(&mutex);
  if (about(AT_FDCWD, from_path, &status)) {
    bool replaces = about(AT_FDCWD, to_path, &status);
    if (replaces) keep(AT_FDCWD, to_path, status.st_ino);
    note(
        &(struct record){.kind = RENAME, .inode = replaces ? status.st_ino : 0, .name = from_place, .other = to_place});
  }
  int result = (int)syscall(SYS_renameat, AT_FDCWD, from_path, AT_FDCWD, to_path);
  int code = errno;
  pthread_mutex_unlock(&mutex);
  errno = code;
  return result;
}

int renameat(int from_directory, const char *from, int to_directory, const char *to) {
  return rename_at(from_directory, from, to_directory, to);
}

int rename(const char *from, const char *to) {
  return rename_at(AT_FDCWD, from, AT_FDCWD, to);
}

static int remove_at(int directory, const char *name, int flags) {
  char path[PATH_MAX];
  struct stat status;
  const char *place = watched_at(directory, name, path);
  if (place == NULL) return (int)syscall(SYS_unlinkat, directory, name, flags);
  if ((flags & AT_REMOVEDIR) != 0) die("rmdir", path);
  pthread_mutex_lock(&mutex);
  if (about(AT_FDCWD, path, &status) && S_ISREG(status.st_mode)) {
    keep(AT_FDCWD, path, status.st_ino);
    note(&(struct record){.kind = REMOVE, .inode = status.st_ino, .name = place});
  }
  int result = (int)syscall(SYS_unlinkat, AT_FDCWD, path, flags);
  int code = errno;
  pthread_mutex_unlock(&mutex);
  errno = code;
  return result;
}

int unlinkat(int directory, const char *name, int flags) {
  return remove_at(directory, name, flags);
}

int unlink(const char *name) {
  return remove_at(AT_FDCWD, name, 0);
}

static int make_directory_at(int directory, const char *name, mode_t mode) {
  char path[PATH_MAX];
  struct stat status;
  const char *place = watched_at(directory, name, path);
  if (place == NULL) return (int)syscall(SYS_mkdirat, directory, name, mode);
  pthread_mutex_lock(&mutex);
  if (!about(AT_FDCWD, path, &status)) note(&(struct record){.kind = MAKE, .name = place});
  int result = (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
  int code = errno;
  pthread_mutex_unlock(&mutex);
  errno = code;
  return result;
}

int mkdirat(int directory, const char *name, mode_t mode) {
  return make_directory_at(directory, name, mode);
}

int mkdir(const char *name, mode_t mode) {
  return make_directory_at(AT_FDCWD, name, mode);
}

/* ---- what the undoing does not know ---- */

static void refuse(int fd, const char *call) {
  char path[PATH_MAX];
  if (watched_fd(fd, path) != NULL) die(call, path);
}

ssize_t write(int fd, const void *data, size_t len) {
  refuse(fd, "write");
  return syscall(SYS_write, fd, data, len);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  refuse(fd, "writev");
  return syscall(SYS_writev, fd, parts, count);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
  refuse(fd, "pwritev");
  return syscall(SYS_pwritev, fd, parts, count, offset, 0);
}

int posix_fallocate(int fd, off_t offset, off_t len) {
  refuse(fd, "posix_fallocate");
  return syscall(SYS_fallocate, fd, 0, offset, len) == 0 ? 0 : errno;
}

int fallocate(int fd, int mode, off_t offset, off_t len) {
  refuse(fd, "fallocate");
  return (int)syscall(SYS_fallocate, fd, mode, offset, len);
}

int link(const char *from, const char *to) {
  char path[PATH_MAX];
  if (watched_at(AT_FDCWD, to, path) != NULL) die("link", path);
  return (int)syscall(SYS_link, from, to);
}
