/* Bits that flip on a disk whose node is down. */
#include <string.h>

#include "base/check.h"
#include "raft/storage/wal_files.h"
#include "sim/disk.h"

enum {
  FLIPS_MAX = 3,
  FRONT_BYTES = 8192, /* where most of what matters is, in files that are mostly zeros */
  FRONT_ONE_IN = 2
};

struct names {
  struct buffer text; /* NUL-terminated, one after the other */
  const char *directory;
  size_t count;
};

static void add_name(void *context, const char *name) {
  struct names *names = context;
  buffer_append_format(&names->text, "%s/%s", names->directory, name);
  buffer_append_byte(&names->text, '\0');
  names->count++;
}

/* A directory that is not there has no files. */
static void add_directory(struct sim_disk *disk, struct names *names, const char *directory) {
  struct disk *base = simdisk_base(disk->files);
  names->directory = directory;
  (void)base->ops->list(base, directory, add_name, names, NULL);
}

static uint64_t size_of(struct sim_disk *disk, const char *name) {
  struct disk *base = simdisk_base(disk->files);
  struct disk_file *file;
  uint64_t bytes;
  CHECK(base->ops->open(base, name, DISK_OPEN_READ, &file, NULL) == STATUS_OK);
  CHECK(base->ops->size(base, file, &bytes, NULL) == STATUS_OK);
  base->ops->close(base, file);
  return bytes;
}

/* Where a bit flips, in a file of so many bytes. */
static uint64_t bytes_at_risk(struct sim_disk *disk, uint64_t bytes) {
  bool front = bytes > FRONT_BYTES && prng_below(&disk->random, FRONT_ONE_IN) == 0;
  return front ? FRONT_BYTES : bytes;
}

static void flip_in(struct sim_disk *disk, const char *name) {
  uint64_t bytes = bytes_at_risk(disk, size_of(disk, name));
  for (uint64_t flips = 1 + prng_below(&disk->random, FLIPS_MAX); flips > 0 && bytes > 0; flips--) {
    uint64_t offset = prng_below(&disk->random, bytes);
    CHECK(simdisk_flip(disk->files, name, offset, (uint8_t)prng_below(&disk->random, 8)));
  }
}

void sim_disk_rot(struct sim_disk *disk) {
  CHECK(disk->wal == NULL);
  struct names names = {0};
  add_directory(disk, &names, WAL_DIRECTORY);
  add_directory(disk, &names, SNAPSHOT_DIRECTORY);
  if (names.count > 0) {
    const char *name = (const char *)names.text.data;
    for (uint64_t skip = prng_below(&disk->random, names.count); skip > 0; skip--)
      name += strlen(name) + 1;
    flip_in(disk, name);
  }
  buffer_deinit(&names.text);
}

bool sim_disk_flip(struct sim_disk *disk, const char *name, uint64_t *offset) {
  CHECK(disk->wal == NULL);
  uint64_t bytes;
  if (!simdisk_file_bytes(disk->files, name, &bytes) || bytes == 0) return false;
  *offset = prng_below(&disk->random, bytes_at_risk(disk, bytes));
  CHECK(simdisk_flip(disk->files, name, *offset, (uint8_t)prng_below(&disk->random, 8)));
  disk->damaged = true;
  return true;
}
