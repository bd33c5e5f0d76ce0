/* What the WAL and the snapshot files need of a disk. It belongs to them; implementations: the system's files
 * (io/disk.c) and a simulated disk with crashes, torn sectors and failures (sim/simdisk.c).
 *
 * Calls block until they are done and come from one thread at a time per file: a node's WAL thread, a worker, or its
 * loop while it starts. Names are relative to the disk's root directory, with '/' between their parts.
 *
 * What survives a power cut (and what the simulated disk takes at its word):
 *   - bytes written before a disk_sync of their file that returned STATUS_OK. Of others, any subset of sectors of 512
 *     bytes may be there, each as a whole or torn.
 *   - a creation, rename or removal before a disk_sync_directory of its directory that returned STATUS_OK. Of others,
 *     any prefix in their order.
 *
 * Errors: STATUS_NOT_FOUND, STATUS_DISK_FULL (also EDQUOT and EFBIG), else STATUS_IO (a simulated disk also says
 * STATUS_CLOSED: the file was open when the power went); `err` (may be NULL) names the operation, the file and the
 * reason. After a failed disk_sync nothing is known about what was written: the caller must not go on. */
#ifndef KV_RAFT_STORAGE_DISK_H
#define KV_RAFT_STORAGE_DISK_H

#include "base/bytes.h"
#include "base/status.h"

enum {
  DISK_SECTOR_BYTES = 512,
  DISK_NAME_BYTES_MAX = 255 /* of a whole relative name, without NUL */
};

struct disk;
struct disk_file; /* an open file; owned by who opened it */

enum disk_open {
  DISK_OPEN_READ,  /* must exist */
  DISK_OPEN_WRITE, /* must exist; read and write */
  DISK_CREATE      /* must not exist; read and write, empty */
};

typedef void disk_name(void *context, const char *name); /* borrowed until it returns */

struct disk_ops {
  enum status (*open)(struct disk *disk, const char *name, enum disk_open how, struct disk_file **out,
                      struct error *err);
  void (*close)(struct disk *disk, struct disk_file *file);
  /* Short only at the end of the file: *got < len. */
  enum status (*read)(struct disk *disk, struct disk_file *file, uint64_t offset, void *data, size_t len, size_t *got,
                      struct error *err);
  /* All of it, or an error: then any part of it may be there. */
  enum status (*write)(struct disk *disk, struct disk_file *file, uint64_t offset, struct bytes data,
                       struct error *err);
  enum status (*sync)(struct disk *disk, struct disk_file *file, struct error *err); /* fdatasync */
  enum status (*size)(struct disk *disk, struct disk_file *file, uint64_t *out, struct error *err);
  enum status (*truncate)(struct disk *disk, struct disk_file *file, uint64_t size, struct error *err);
  /* A file, within its directory. Takes the place of `to`, if there is one. */
  enum status (*rename)(struct disk *disk, const char *from, const char *to, struct error *err);
  /* A file. Who has it open may go on with it. */
  enum status (*remove)(struct disk *disk, const char *name, struct error *err);
  /* STATUS_OK also when it is there. The parent must exist. */
  enum status (*make_directory)(struct disk *disk, const char *name, struct error *err);
  enum status (*sync_directory)(struct disk *disk, const char *name, struct error *err); /* "." is the root */
  /* The names in a directory, without its own, in no order; the visitor may not change the directory. */
  enum status (*list)(struct disk *disk, const char *name, disk_name *visit, void *context, struct error *err);
  /* Bytes that can still be written. */
  enum status (*free_bytes)(struct disk *disk, uint64_t *out, struct error *err);
};

struct disk {
  const struct disk_ops *ops;
};

#endif
