/* The system's files as a disk (raft/storage/disk.h): everything happens below one directory, held open. Blocking: for
 * threads that may wait, or while the loop does not run yet. Any thread; one at a time per file. */
#ifndef KV_IO_DISK_H
#define KV_IO_DISK_H

#include "raft/storage/disk.h"

#include <stdatomic.h>

enum io_disk_root {
  IO_DISK_EXISTING, /* the directory must exist: STATUS_NOT_FOUND */
  IO_DISK_MADE      /* it is made, durably, when it is not there; its parent must exist */
};

/* *out is owned: close it, when all its files are closed. Files and directories that it makes are for their owner
 * alone. */
enum status io_disk_open(const char *root, enum io_disk_root how, struct disk **out, struct error *err);
void io_disk_close(struct disk *disk);

/* How others see, and end, what goes on at a disk; from any thread. */
struct io_disk_watch {
  atomic_bool stop;               /* while it is set, reads and writes say STATUS_CLOSED */
  atomic_uint_fast64_t got_bytes; /* by reads */
};
/* Keeps `watch` until the disk is closed. Before anything else is done with the disk. */
void io_disk_watch(struct disk *disk, struct io_disk_watch *watch);

/* A second name for a file, anywhere on the disk; STATUS_IO when there is something of that name. */
enum status io_disk_link(struct disk *disk, const char *name, const char *second, struct error *err);
/* An empty one. */
enum status io_disk_remove_directory(struct disk *disk, const char *name, struct error *err);

/* Takes the directory for this disk until it is closed (or the process ends, however): an advisory lock on the file
 * LOCK, which tells the holder's pid. STATUS_IO when somebody else has it (also another disk in this process); `err`
 * says who. */
enum status io_disk_lock(struct disk *disk, struct error *err);

#endif
