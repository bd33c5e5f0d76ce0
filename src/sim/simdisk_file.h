/* The content of one file of a simulated disk: what a reader sees, what the disk holds, and every change between the
 * two since the last sync. Pages that never held anything but zeros take no memory. One thread. */
#ifndef KV_SIM_SIMDISK_FILE_H
#define KV_SIM_SIMDISK_FILE_H

#include "base/bytes.h"
#include "base/prng.h"

struct simfile;

struct simfile *simfile_create(bool directory); /* with one user */
/* The same content for a reader, all of it durable. With one user. */
struct simfile *simfile_clone(const struct simfile *file);
void simfile_keep(struct simfile *file); /* one user more */
void simfile_drop(struct simfile *file); /* one less; the last one frees it */

bool simfile_is_directory(const struct simfile *file); /* a directory has no content */
uint64_t simfile_size(const struct simfile *file);
/* Bytes of memory that it takes, roughly. */
size_t simfile_memory(const struct simfile *file);
bool simfile_unsynced(const struct simfile *file);

/* How many bytes were there. */
size_t simfile_read(const struct simfile *file, uint64_t offset, void *data, size_t len);
void simfile_write(struct simfile *file, uint64_t offset, struct bytes data);
void simfile_truncate(struct simfile *file, uint64_t size); /* or extends it by zeros */
void simfile_sync(struct simfile *file);

/* Any subset of the unsynced sectors gets to the disk, torn ones among them (so many of a million); of what changed the
 * size, any number of the first changes counts. A reader sees no difference. From then on the disk takes nothing more
 * of this file until the crash: a later sync that succeeds would lie. */
void simfile_fail_sync(struct simfile *file, struct prng *prng, uint32_t torn_ppm);
/* As above, and a reader sees what the disk holds. */
void simfile_crash(struct simfile *file, struct prng *prng, uint32_t torn_ppm);

/* ---- damage, for readers and on the disk ---- */

/* False when `offset` is not below the size. */
bool simfile_flip(struct simfile *file, uint64_t offset, uint8_t bit);
/* Everything is durable, then the file ends at `size`, if that is below its own. */
void simfile_cut(struct simfile *file, uint64_t size);

#endif
