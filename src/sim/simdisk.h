/* A disk in memory that a seed decides: the interface of raft/storage/disk.h, taken at its word. A crash leaves exactly
 * what was synced, and of the rest what luck leaves; calls fail when told to; bytes rot.
 *
 * Equal calls and equal seeds give equal disks. Any thread may call the disk's operations; what this header declares is
 * for the thread that plays the world, with no operation under way. */
#ifndef KV_SIM_SIMDISK_H
#define KV_SIM_SIMDISK_H

#include "base/buffer.h"
#include "raft/storage/disk.h"

struct simdisk;

enum {
  SIMDISK_TORN_PPM = 125000,         /* a fit value for torn_ppm */
  SIMDISK_TRACE_BYTES_MAX = 1 << 20, /* the trace ends there */
};
#define SIMDISK_FILE_BYTES_MAX (UINT64_C(1) << 32) /* a larger file is STATUS_DISK_FULL */
#define SIMDISK_UNLIMITED      UINT64_MAX

struct simdisk_config {
  uint64_t seed;           /* for what failed calls leave */
  uint64_t capacity_bytes; /* of all files together; or SIMDISK_UNLIMITED */
  uint32_t torn_ppm;       /* of a million surviving sectors, how many are torn (0: a sector is atomic) */
};

/* Calls by kind; close never fails and is none. */
enum simdisk_call {
  SIMDISK_OPEN,
  SIMDISK_CREATE, /* open with DISK_CREATE */
  SIMDISK_READ,
  SIMDISK_WRITE,
  SIMDISK_SYNC,
  SIMDISK_SIZE,
  SIMDISK_TRUNCATE,
  SIMDISK_RENAME,
  SIMDISK_REMOVE,
  SIMDISK_MAKE_DIRECTORY,
  SIMDISK_SYNC_DIRECTORY,
  SIMDISK_LIST,
  SIMDISK_FREE_BYTES,
  SIMDISK_CALLS /* their number; where a kind is asked for: any */
};
const char *simdisk_call_name(enum simdisk_call call); /* "open", "sync_directory", ...; static */

struct simdisk *simdisk_create(const struct simdisk_config *config); /* returns owned */
void simdisk_destroy(struct simdisk *disk);                          /* every file must be closed */
/* A disk of its own with the same files, all of them durable; no faults, counters at 0. Returns owned. */
struct simdisk *simdisk_clone(const struct simdisk *disk);
struct disk *simdisk_base(struct simdisk *disk);

/* The power goes and comes back. Files that are open are only good for closing: other calls with them are
 * STATUS_CLOSED. Faults stay. */
void simdisk_crash(struct simdisk *disk, uint64_t seed);

/* ---- faults ---- */

struct simdisk_fault {
  enum simdisk_call call; /* which calls count; SIMDISK_CALLS: all */
  uint64_t after;         /* so many of them still succeed */
  enum status status;     /* what the next one returns: STATUS_IO or STATUS_DISK_FULL */
  bool once;              /* only that one; else all that count, from then on */
};

/* Takes the place of the fault before. A call that fails does nothing, but a write leaves a part, a sync any subset
 * (and later syncs of the file lie), a directory sync some first changes. */
void simdisk_fail(struct simdisk *disk, const struct simdisk_fault *fault);
void simdisk_heal(struct simdisk *disk); /* no fault */
/* True when the fault has struck. */
bool simdisk_failed(const struct simdisk *disk);
/* Writes over what is there always fit. */
void simdisk_set_capacity(struct simdisk *disk, uint64_t capacity_bytes);

/* Damage to the disk's bytes, unsynced or not. False when there is no such byte. */
bool simdisk_flip(struct simdisk *disk, const char *name, uint64_t offset, uint8_t bit);
/* The file ends at `size`, all before is durable. False when it is not that long. */
bool simdisk_cut(struct simdisk *disk, const char *name, uint64_t size);

/* ---- what one may see ---- */

uint64_t simdisk_calls(const struct simdisk *disk, enum simdisk_call call); /* SIMDISK_CALLS: of all kinds */
/* Changes of names and files with changes of content that a crash could undo. */
size_t simdisk_unsynced(const struct simdisk *disk);
uint64_t simdisk_used_bytes(const struct simdisk *disk); /* of the capacity */
size_t simdisk_memory_bytes(const struct simdisk *disk); /* roughly */
/* Every file as a caller would find it, in no order; none of this is a call. */
typedef void simdisk_visit(void *context, const char *name, uint64_t bytes);
void simdisk_files(const struct simdisk *disk, simdisk_visit *visit, void *context);
/* False when there is no such file. */
bool simdisk_file_bytes(const struct simdisk *disk, const char *name, uint64_t *bytes);

/* From now on each call is a line: its name, what it is about, and the status when it is not ok, such as
 * "write wal/spare-1.wal 0 512" or "rename a b: io". Starts anew. */
void simdisk_trace_start(struct simdisk *disk);
struct bytes simdisk_trace(const struct simdisk *disk); /* borrowed until the next call */

#endif
