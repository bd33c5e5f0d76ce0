/* A data directory (CONTRACT.md section 3): LOCK, so that nobody else has it; FORMAT, so that it is this node's; wal/
 * and snap/ are the business of who builds on it. FORMAT is one line of JSON:
 *
 *   {"format":1,"id":"n1","peers":["n1","n2","n3"],"fixed_leader":""}
 *
 * It is written (as FORMAT.tmp, fdatasync, rename) before anything but LOCK is there. So a
 * crash leaves a directory that is empty but for these, which is begun anew, or one that has a FORMAT. */
#ifndef KV_SERVER_DATADIR_H
#define KV_SERVER_DATADIR_H

#include "io/disk.h"
#include "types/config.h"

enum { DATADIR_FORMAT = 1 };

/* Opens config->data, which is made when it is not there (its parent must be), takes its lock, and checks that it
 * belongs to this node of this cluster, or makes it so when it is new. Keeps `watch`. Blocks. *out is owned: close it
 * with io_disk_close.
 *
 * STATUS_INVALID: refused (in use, foreign, another node's, another cluster's, a newer format); STATUS_CORRUPT: its
 * FORMAT is damaged; `err` names the file in the directory and says what to do. Else what the disk says. */
enum status datadir_open(const struct config *config, struct io_disk_watch *watch, struct disk **out,
                         struct error *err);

#endif
