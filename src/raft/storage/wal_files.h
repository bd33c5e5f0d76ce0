/* The files of the write-ahead log (wal_format.h): their names, and the two steps that bring a new one about. Used by
 * recovery on the loop's thread and by jobs on theirs. */
#ifndef KV_RAFT_STORAGE_WAL_FILES_H
#define KV_RAFT_STORAGE_WAL_FILES_H

#include "raft/storage/disk.h"
#include "raft/storage/wal_format.h"

#define WAL_DIRECTORY "wal"

enum wal_file_kind { WAL_FILE_SEGMENT, WAL_FILE_SPARE, WAL_FILE_FILLING, WAL_FILE_FOREIGN };

struct wal_name {
  char text[40]; /* relative to the disk's root */
};

/* `number` is a segment's sequence, or a spare's number. Not for foreign ones. */
struct wal_name wal_name_of(enum wal_file_kind kind, uint64_t number);
/* `name` as in the directory, without its path. */
enum wal_file_kind wal_name_parse(const char *name, uint64_t *number);

/* Makes spare-`number`.wal of `bytes` zeros, durable but for the name. STATUS_DISK_FULL leaves nothing behind, if it
 * can. */
enum status wal_spare_make(struct disk *disk, uint64_t number, uint64_t bytes, struct error *err);
/* The spare becomes the segment that `head` names, with `batch` (or none, when it is empty), durably. Returns the open
 * file, owned by the caller. */
enum status wal_segment_start(struct disk *disk, uint64_t spare, struct wal_head *head, struct bytes batch,
                              struct disk_file **out, struct error *err);

#endif
