/* The names of a simulated disk: what a caller sees, what the disk holds, and the changes between the two, each durable
 * once its directory is synced. The root is "." and always there. Names are valid and not longer than
 * DISK_NAME_BYTES_MAX. One thread. */
#ifndef KV_SIM_SIMDISK_NAMES_H
#define KV_SIM_SIMDISK_NAMES_H

#include "raft/storage/disk.h"
#include "sim/simdisk_file.h"

struct simname {
  struct simfile *file;
  char name[DISK_NAME_BYTES_MAX + 1];
};

struct simname_table {
  struct simname *entries; /* owned, in no order */
  size_t count;
  size_t capacity;
};

struct simname_change;

struct simnames { /* zeroed memory is an empty disk */
  struct simname_table seen;
  struct simname_table durable;
  struct simname_change *changes; /* owned; in order */
  size_t changes_count;
  size_t changes_capacity;
};

void simnames_deinit(struct simnames *names);
/* All that `from` shows, durable; `names` is empty before. */
void simnames_clone(struct simnames *names, const struct simnames *from);

/* Borrowed; NULL when there is none. */
struct simfile *simnames_find(const struct simnames *names, const char *name);
bool simnames_is_directory(const struct simnames *names, const char *name);
/* True when `name` is directly in `directory`; *base is then its last part. */
bool simnames_in(const char *name, const char *directory, const char **base);
/* The directory of `name`, "." for the root. In place, too. */
void simnames_parent(const char *name, char parent[DISK_NAME_BYTES_MAX + 1]);

/* Keeps the file. The name must be free. */
void simnames_add(struct simnames *names, const char *name, struct simfile *file);
void simnames_rename(struct simnames *names, const char *from, const char *to);
void simnames_remove(struct simnames *names, const char *name);
void simnames_sync(struct simnames *names, const char *directory);
/* Some first changes of the directory become durable; the others still wait. */
void simnames_fail_sync(struct simnames *names, const char *directory, struct prng *prng);
/* Of each directory's changes, any first ones survive. What is in a directory that is lost is lost. */
void simnames_crash(struct simnames *names, struct prng *prng);

#endif
