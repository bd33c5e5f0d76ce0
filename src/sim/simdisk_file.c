/* A reader sees `pages`. A page that differs from the disk has its durable bytes beside it (`dirty`), made when it is
 * first written to after a sync; a sync just drops those. `changes` are the writes and truncations since the sync, in
 * order: a crash takes the pages back to the durable bytes and plays the changes again; whenever a sector has changed,
 * it may be written back as it is then. So a sector may be on the disk as after any of its changes, and what a later
 * one did is never there without what an earlier one did to the same sector. */
#include "sim/simdisk_file.h"

#include <stdlib.h>

#include "base/check.h"
#include "raft/storage/disk.h"

enum { PAGE_BYTES = 4096, MILLION = 1000000, CAPACITY_MIN = 8 };

struct page {
  size_t dirty; /* place in the file's dirty list plus 1; 0: as on the disk */
  uint8_t bytes[PAGE_BYTES];
};

struct dirty {
  size_t index; /* of the page */
  uint8_t durable[PAGE_BYTES];
};

struct change {
  bool truncation;
  uint64_t offset; /* of a write */
  uint64_t len;    /* of a write */
  uint64_t size;   /* of the file, afterwards */
  uint8_t *data;   /* owned; NULL: zeros */
};

struct simfile {
  size_t users;
  bool directory;
  bool frozen; /* a sync failed: what is durable stays what it is */
  uint64_t size;
  uint64_t durable_size;
  struct page **pages; /* owned, NULL: zeros; so are the pages behind the table's end */
  size_t pages_count;
  struct dirty **dirty; /* owned */
  size_t dirty_count;
  size_t dirty_capacity;
  struct change *changes; /* owned */
  size_t changes_count;
  size_t changes_capacity;
};

static bool all_zero(const uint8_t *data, size_t len) {
  return len == 0 || (data[0] == 0 && memcmp(data, data + 1, len - 1) == 0);
}

static void *grow(void *array, size_t count, size_t *capacity, size_t element_bytes) {
  if (count < *capacity) return array;
  *capacity = *capacity == 0 ? CAPACITY_MIN : 2 * *capacity;
  return xrealloc(array, *capacity * element_bytes);
}

/* ---- life ---- */

struct simfile *simfile_create(bool directory) {
  struct simfile *file = xcalloc(1, sizeof *file);
  file->users = 1;
  file->directory = directory;
  return file;
}

void simfile_keep(struct simfile *file) {
  file->users++;
}

static void forget_changes(struct simfile *file) {
  for (size_t i = 0; i < file->changes_count; i++)
    free(file->changes[i].data);
  file->changes_count = 0;
}

/* The pages are as on the disk. */
static void forget_dirty(struct simfile *file) {
  for (size_t i = 0; i < file->dirty_count; i++) {
    file->pages[file->dirty[i]->index]->dirty = 0;
    free(file->dirty[i]);
  }
  file->dirty_count = 0;
}

void simfile_drop(struct simfile *file) {
  if (--file->users > 0) return;
  forget_changes(file);
  forget_dirty(file);
  for (size_t i = 0; i < file->pages_count; i++)
    free(file->pages[i]);
  free(file->pages);
  free(file->dirty);
  free(file->changes);
  free(file);
}

struct simfile *simfile_clone(const struct simfile *file) {
  struct simfile *clone = simfile_create(file->directory);
  clone->size = clone->durable_size = file->size;
  clone->pages_count = file->pages_count;
  clone->pages = xcalloc(file->pages_count + 1, sizeof *clone->pages);
  for (size_t i = 0; i < file->pages_count; i++) {
    if (file->pages[i] == NULL) continue;
    clone->pages[i] = xmalloc(sizeof *clone->pages[i]);
    *clone->pages[i] = *file->pages[i];
    clone->pages[i]->dirty = 0;
  }
  return clone;
}

bool simfile_is_directory(const struct simfile *file) {
  return file->directory;
}

uint64_t simfile_size(const struct simfile *file) {
  return file->size;
}

bool simfile_unsynced(const struct simfile *file) {
  return file->changes_count > 0;
}

size_t simfile_memory(const struct simfile *file) {
  size_t bytes = sizeof *file + file->pages_count * sizeof file->pages[0];
  for (size_t i = 0; i < file->pages_count; i++)
    bytes += file->pages[i] == NULL ? 0 : sizeof *file->pages[i];
  for (size_t i = 0; i < file->changes_count; i++)
    bytes += file->changes[i].data == NULL ? 0 : (size_t)file->changes[i].len;
  return bytes + file->dirty_count * sizeof *file->dirty[0] + file->changes_capacity * sizeof file->changes[0];
}

/* ---- pages ---- */

static struct page *page_at(const struct simfile *file, uint64_t index) {
  return index < file->pages_count ? file->pages[index] : NULL;
}

/* The page, made when it is not there. */
static struct page *page_made(struct simfile *file, size_t index) {
  if (index >= file->pages_count) {
    size_t count = file->pages_count == 0 ? CAPACITY_MIN : file->pages_count;
    while (count <= index)
      count *= 2;
    file->pages = xrealloc(file->pages, count * sizeof *file->pages);
    memset(file->pages + file->pages_count, 0, (count - file->pages_count) * sizeof *file->pages);
    file->pages_count = count;
  }
  if (file->pages[index] == NULL) file->pages[index] = xcalloc(1, sizeof *file->pages[index]);
  return file->pages[index];
}

/* The page, about to be changed. */
static struct page *page_dirtied(struct simfile *file, size_t index) {
  struct page *page = page_made(file, index);
  if (page->dirty != 0) return page;
  file->dirty = grow(file->dirty, file->dirty_count, &file->dirty_capacity, sizeof *file->dirty);
  struct dirty *dirty = file->dirty[file->dirty_count] = xmalloc(sizeof *dirty);
  dirty->index = index;
  memcpy(dirty->durable, page->bytes, PAGE_BYTES);
  page->dirty = ++file->dirty_count;
  return page;
}

/* Part of one page; `data` NULL: zeros. */
static void put_piece(struct simfile *file, uint64_t offset, const uint8_t *data, size_t len) {
  size_t index = (size_t)(offset / PAGE_BYTES);
  bool zeros = data == NULL || all_zero(data, len);
  if (zeros && page_at(file, index) == NULL) return;
  uint8_t *at = page_dirtied(file, index)->bytes + offset % PAGE_BYTES;
  if (zeros) {
    memset(at, 0, len);
  } else {
    memcpy(at, data, len);
  }
}

/* Where the page ends that `offset` is in, or `end` if that comes first. */
static uint64_t piece_end(uint64_t offset, uint64_t end) {
  uint64_t page_end = (offset / PAGE_BYTES + 1) * PAGE_BYTES;
  return page_end < end ? page_end : end;
}

static void put(struct simfile *file, uint64_t offset, const uint8_t *data, uint64_t len) {
  uint64_t end = offset + len;
  for (uint64_t at = offset, next; at < end; at = next) {
    next = piece_end(at, end);
    put_piece(file, at, data == NULL ? NULL : data + (at - offset), (size_t)(next - at));
  }
}

/* Nothing but zeros from `offset` on: what lies behind a file's end, should it grow again. */
static void clear_from(struct simfile *file, uint64_t offset) {
  uint64_t end = (uint64_t)file->pages_count * PAGE_BYTES;
  if (offset < end) put(file, offset, NULL, end - offset);
}

/* ---- use ---- */

size_t simfile_read(const struct simfile *file, uint64_t offset, void *data, size_t len) {
  if (offset >= file->size) return 0;
  uint64_t end = len < file->size - offset ? offset + len : file->size;
  uint8_t *out = data;
  for (uint64_t at = offset, next; at < end; at = next) {
    next = piece_end(at, end);
    const struct page *page = page_at(file, at / PAGE_BYTES);
    if (page == NULL) {
      memset(out + (at - offset), 0, (size_t)(next - at));
    } else {
      memcpy(out + (at - offset), page->bytes + at % PAGE_BYTES, (size_t)(next - at));
    }
  }
  return (size_t)(end - offset);
}

/* Takes data. */
static void add_change(struct simfile *file, struct change change) {
  if (file->frozen) {
    free(change.data);
    return;
  }
  file->changes = grow(file->changes, file->changes_count, &file->changes_capacity, sizeof *file->changes);
  file->changes[file->changes_count++] = change;
}

void simfile_write(struct simfile *file, uint64_t offset, struct bytes data) {
  if (data.len == 0) return;
  put(file, offset, data.data, data.len);
  if (offset + data.len > file->size) file->size = offset + data.len;
  struct change change = {.offset = offset, .len = data.len, .size = file->size};
  if (!all_zero(data.data, data.len)) {
    change.data = xmalloc(data.len);
    memcpy(change.data, data.data, data.len);
  }
  add_change(file, change);
}

void simfile_truncate(struct simfile *file, uint64_t size) {
  if (size < file->size) clear_from(file, size);
  file->size = size;
  add_change(file, (struct change){.truncation = true, .size = size});
}

void simfile_sync(struct simfile *file) {
  if (file->frozen) return;
  forget_changes(file);
  forget_dirty(file);
  file->durable_size = file->size;
}

/* ---- what survives ---- */

static void rewind_pages(struct simfile *file) {
  for (size_t i = 0; i < file->dirty_count; i++)
    memcpy(file->pages[file->dirty[i]->index]->bytes, file->dirty[i]->durable, PAGE_BYTES);
}

struct luck {
  struct prng *prng;
  uint32_t kept_ppm; /* sectors of a million that are written back */
  uint32_t torn_ppm; /* of those */
};

/* Nothing and everything are the likeliest cases in real life. */
static struct luck draw_luck(struct prng *prng, uint32_t torn_ppm) {
  switch (prng_below(prng, 4)) {
  case 0:
    return (struct luck){.prng = prng};
  case 1:
    return (struct luck){.prng = prng, .kept_ppm = MILLION};
  default:
    return (struct luck){.prng = prng, .kept_ppm = (uint32_t)prng_below(prng, MILLION + 1), .torn_ppm = torn_ppm};
  }
}

static void maybe_write_back(const struct luck *luck, uint8_t *durable, const uint8_t *sector) {
  if (prng_below(luck->prng, MILLION) >= luck->kept_ppm) return;
  size_t len = DISK_SECTOR_BYTES;
  if (prng_below(luck->prng, MILLION) < luck->torn_ppm) len = 1 + (size_t)prng_below(luck->prng, DISK_SECTOR_BYTES - 1);
  memcpy(durable, sector, len);
}

/* The sectors that a write has just changed. A page that is not dirty has nothing to write back: zeros went to it, and
 * zeros it held. */
static void write_back(struct simfile *file, const struct change *change, const struct luck *luck) {
  uint64_t end = change->offset + change->len, table_end = (uint64_t)file->pages_count * PAGE_BYTES;
  if (end > table_end) end = table_end;
  for (uint64_t at = change->offset / DISK_SECTOR_BYTES * DISK_SECTOR_BYTES; at < end; at += DISK_SECTOR_BYTES) {
    const struct page *page = page_at(file, at / PAGE_BYTES);
    if (page == NULL || page->dirty == 0) continue;
    size_t within = (size_t)(at % PAGE_BYTES);
    maybe_write_back(luck, file->dirty[page->dirty - 1]->durable + within, page->bytes + within);
  }
}

/* What is durable ends at `size`: the rest is zeros. */
static void clear_durable_from(struct simfile *file, uint64_t size) {
  for (size_t i = 0; i < file->dirty_count; i++) {
    uint64_t start = (uint64_t)file->dirty[i]->index * PAGE_BYTES;
    size_t kept = size <= start ? 0 : size - start >= PAGE_BYTES ? PAGE_BYTES : (size_t)(size - start);
    memset(file->dirty[i]->durable + kept, 0, PAGE_BYTES - kept);
  }
}

/* Decides which of the changes are durable. The pages are as they were, in the end. */
static void decide(struct simfile *file, struct prng *prng, uint32_t torn_ppm) {
  struct luck luck = draw_luck(prng, torn_ppm);
  size_t sizes_kept = (size_t)prng_below(prng, file->changes_count + 1);
  if (luck.kept_ppm == 0) sizes_kept = 0;
  if (luck.kept_ppm == MILLION) sizes_kept = file->changes_count;
  rewind_pages(file);
  for (size_t i = 0; i < file->changes_count; i++) {
    const struct change *change = &file->changes[i];
    if (change->truncation) {
      clear_from(file, change->size);
      if (i < sizes_kept) clear_durable_from(file, change->size);
    } else {
      put(file, change->offset, change->data, change->len);
      write_back(file, change, &luck);
    }
    if (i < sizes_kept) file->durable_size = change->size;
  }
  clear_durable_from(file, file->durable_size);
  forget_changes(file);
}

void simfile_fail_sync(struct simfile *file, struct prng *prng, uint32_t torn_ppm) {
  if (!file->frozen) decide(file, prng, torn_ppm);
  file->frozen = true;
}

void simfile_crash(struct simfile *file, struct prng *prng, uint32_t torn_ppm) {
  if (!file->frozen) decide(file, prng, torn_ppm);
  rewind_pages(file);
  forget_dirty(file);
  file->size = file->durable_size;
  file->frozen = false;
}

/* ---- damage ---- */

bool simfile_flip(struct simfile *file, uint64_t offset, uint8_t bit) {
  if (offset >= file->size) return false;
  struct page *page = page_made(file, (size_t)(offset / PAGE_BYTES));
  uint8_t mask = (uint8_t)(1U << bit);
  page->bytes[offset % PAGE_BYTES] ^= mask;
  if (page->dirty != 0) file->dirty[page->dirty - 1]->durable[offset % PAGE_BYTES] ^= mask;
  return true;
}

void simfile_cut(struct simfile *file, uint64_t size) {
  file->frozen = false;
  if (size < file->size) simfile_truncate(file, size);
  simfile_sync(file);
}
