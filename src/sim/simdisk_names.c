#include "sim/simdisk_names.h"

#include <stdlib.h>

#include "base/check.h"

enum { CAPACITY_MIN = 8 };

enum change_kind { CHANGE_ADD, CHANGE_RENAME, CHANGE_REMOVE };

struct simname_change {
  enum change_kind kind;
  struct simfile *file; /* one user; NULL but for CHANGE_ADD */
  char name[DISK_NAME_BYTES_MAX + 1];
  char to[DISK_NAME_BYTES_MAX + 1]; /* CHANGE_RENAME */
};

static void copy_name(char to[DISK_NAME_BYTES_MAX + 1], const char *name) {
  size_t len = strlen(name);
  CHECK(len <= DISK_NAME_BYTES_MAX);
  memmove(to, name, len + 1); /* they may overlap */
}

/* ---- a table ---- */

static struct simname *table_find(const struct simname_table *table, const char *name) {
  for (size_t i = 0; i < table->count; i++) {
    if (strcmp(table->entries[i].name, name) == 0) return &table->entries[i];
  }
  return NULL;
}

static void table_remove(struct simname_table *table, const char *name) {
  struct simname *entry = table_find(table, name);
  if (entry == NULL) return;
  simfile_drop(entry->file);
  *entry = table->entries[--table->count];
}

static void table_add(struct simname_table *table, const char *name, struct simfile *file) {
  if (table->count == table->capacity) {
    table->capacity = table->capacity == 0 ? CAPACITY_MIN : 2 * table->capacity;
    table->entries = xrealloc(table->entries, table->capacity * sizeof *table->entries);
  }
  struct simname *entry = &table->entries[table->count++];
  copy_name(entry->name, name);
  entry->file = file;
  simfile_keep(file);
}

static void table_rename(struct simname_table *table, const char *from, const char *to) {
  table_remove(table, to);
  struct simname *entry = table_find(table, from);
  CHECK(entry != NULL); /* changes become durable in order: it was added before */
  copy_name(entry->name, to);
}

static void table_clear(struct simname_table *table) {
  for (size_t i = 0; i < table->count; i++)
    simfile_drop(table->entries[i].file);
  table->count = 0;
}

static void table_deinit(struct simname_table *table) {
  table_clear(table);
  free(table->entries);
  *table = (struct simname_table){0};
}

/* ---- changes ---- */

static void apply(struct simname_table *table, const struct simname_change *change) {
  switch (change->kind) {
  case CHANGE_ADD:
    table_add(table, change->name, change->file);
    break;
  case CHANGE_RENAME:
    table_rename(table, change->name, change->to);
    break;
  case CHANGE_REMOVE:
    table_remove(table, change->name);
    break;
  }
}

static void add_change(struct simnames *names, enum change_kind kind, const char *name, const char *to,
                       struct simfile *file) {
  if (names->changes_count == names->changes_capacity) {
    names->changes_capacity = names->changes_capacity == 0 ? CAPACITY_MIN : 2 * names->changes_capacity;
    names->changes = xrealloc(names->changes, names->changes_capacity * sizeof *names->changes);
  }
  struct simname_change *change = &names->changes[names->changes_count++];
  change->kind = kind;
  copy_name(change->name, name);
  copy_name(change->to, to);
  change->file = file;
  if (file != NULL) simfile_keep(file);
  apply(&names->seen, change);
}

static void drop_change(const struct simname_change *change) {
  if (change->file != NULL) simfile_drop(change->file);
}

/* The first `count` changes of the directory become durable; the others still wait, or are lost. */
static void settle(struct simnames *names, const char *directory, size_t count, bool others_wait) {
  size_t left = 0;
  const char *base;
  for (size_t i = 0; i < names->changes_count; i++) {
    const struct simname_change *change = &names->changes[i];
    bool here = simnames_in(change->name, directory, &base), durable = here && count > 0;
    if (durable) {
      apply(&names->durable, change);
      count--;
    }
    if (durable || (here && !others_wait)) {
      drop_change(change);
    } else {
      if (left < i) names->changes[left] = *change;
      left++;
    }
  }
  names->changes_count = left;
}

static size_t changes_in(const struct simnames *names, const char *directory) {
  size_t count = 0;
  const char *base;
  for (size_t i = 0; i < names->changes_count; i++)
    count += simnames_in(names->changes[i].name, directory, &base) ? 1 : 0;
  return count;
}

static void forget_changes(struct simnames *names) {
  for (size_t i = 0; i < names->changes_count; i++)
    drop_change(&names->changes[i]);
  names->changes_count = 0;
}

/* ---- use ---- */

void simnames_deinit(struct simnames *names) {
  forget_changes(names);
  free(names->changes);
  table_deinit(&names->seen);
  table_deinit(&names->durable);
  *names = (struct simnames){0};
}

static void copy_table(struct simname_table *to, const struct simname_table *from) {
  for (size_t i = 0; i < from->count; i++)
    table_add(to, from->entries[i].name, from->entries[i].file);
}

void simnames_clone(struct simnames *names, const struct simnames *from) {
  for (size_t i = 0; i < from->seen.count; i++) {
    struct simfile *file = simfile_clone(from->seen.entries[i].file);
    table_add(&names->seen, from->seen.entries[i].name, file);
    simfile_drop(file);
  }
  copy_table(&names->durable, &names->seen);
}

struct simfile *simnames_find(const struct simnames *names, const char *name) {
  struct simname *entry = table_find(&names->seen, name);
  return entry == NULL ? NULL : entry->file;
}

bool simnames_is_directory(const struct simnames *names, const char *name) {
  if (strcmp(name, ".") == 0) return true;
  struct simfile *file = simnames_find(names, name);
  return file != NULL && simfile_is_directory(file);
}

void simnames_parent(const char *name, char parent[DISK_NAME_BYTES_MAX + 1]) {
  const char *slash = strrchr(name, '/');
  copy_name(parent, slash == NULL ? "." : name);
  if (slash != NULL) parent[slash - name] = '\0';
}

bool simnames_in(const char *name, const char *directory, const char **base) {
  const char *slash = strrchr(name, '/');
  *base = slash == NULL ? name : slash + 1;
  if (slash == NULL) return strcmp(directory, ".") == 0;
  size_t len = (size_t)(slash - name);
  return strlen(directory) == len && memcmp(name, directory, len) == 0;
}

void simnames_add(struct simnames *names, const char *name, struct simfile *file) {
  add_change(names, CHANGE_ADD, name, "", file);
}

void simnames_rename(struct simnames *names, const char *from, const char *to) {
  if (strcmp(from, to) != 0) add_change(names, CHANGE_RENAME, from, to, NULL);
}

void simnames_remove(struct simnames *names, const char *name) {
  add_change(names, CHANGE_REMOVE, name, "", NULL);
}

void simnames_sync(struct simnames *names, const char *directory) {
  settle(names, directory, SIZE_MAX, true);
}

void simnames_fail_sync(struct simnames *names, const char *directory, struct prng *prng) {
  settle(names, directory, (size_t)prng_below(prng, changes_in(names, directory) + 1), true);
}

/* Takes out what is in a directory that is not there. True when it found any: that may have been a directory. */
static bool drop_lost(struct simname_table *table) {
  char parent[DISK_NAME_BYTES_MAX + 1];
  for (size_t i = 0; i < table->count; i++) {
    simnames_parent(table->entries[i].name, parent);
    if (strcmp(parent, ".") == 0 || table_find(table, parent) != NULL) continue;
    table_remove(table, table->entries[i].name);
    return true;
  }
  return false;
}

void simnames_crash(struct simnames *names, struct prng *prng) {
  char directory[DISK_NAME_BYTES_MAX + 1];
  while (names->changes_count > 0) {
    simnames_parent(names->changes[0].name, directory);
    settle(names, directory, (size_t)prng_below(prng, changes_in(names, directory) + 1), false);
  }
  while (drop_lost(&names->durable))
    continue;
  table_clear(&names->seen);
  copy_table(&names->seen, &names->durable);
}
