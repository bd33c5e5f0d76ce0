#include "server/storage.h"

#include "base/check.h"
#include "raft/storage/memory.h"

#include <stdlib.h>

struct storage {
  struct durable *durable;    /* either this */
  struct mem_storage *memory; /* or that */
};

static void on_sync(void *context, uint64_t number) {
  (void)context;
  (void)number;
}

struct storage *storage_create(const struct config *config) {
  struct storage *storage = xcalloc(1, sizeof *storage);
  if (config->data[0] != '\0')
    storage->durable = durable_create();
  else
    storage->memory = mem_storage_create(on_sync, NULL);
  return storage;
}

enum status storage_open(struct storage *storage, const struct config *config, struct kvsm *sm, struct error *err) {
  return storage->durable != NULL ? durable_open(storage->durable, config, sm, err) : STATUS_OK;
}

void storage_stop_opening(struct storage *storage) {
  if (storage->durable != NULL) durable_stop_opening(storage->durable);
}

uint64_t storage_opening_bytes(const struct storage *storage) {
  return storage->durable != NULL ? durable_opening_bytes(storage->durable) : 0;
}

void storage_start(struct storage *storage, struct io_loop *loop) {
  if (storage->durable != NULL) durable_start(storage->durable, loop);
}

struct raft_storage *storage_base(struct storage *storage) {
  return storage->durable != NULL ? durable_base(storage->durable) : mem_storage_base(storage->memory);
}

bool storage_complete(struct storage *storage, uint64_t *number, uint64_t *last_index) {
  return storage->durable != NULL ? durable_complete(storage->durable, number, last_index)
                                  : mem_storage_complete(storage->memory, number, last_index);
}

struct fault_disk *storage_fault_disk(struct storage *storage) {
  return storage->durable != NULL ? durable_fault_disk(storage->durable) : NULL;
}

const struct wal_figures *storage_figures(const struct storage *storage) {
  return storage->durable != NULL ? durable_figures(storage->durable) : NULL;
}

const char *storage_failure(const struct storage *storage) {
  return storage->durable != NULL ? durable_failure(storage->durable) : NULL;
}

void storage_close(struct storage *storage, bool clean) {
  if (storage->durable != NULL) durable_close(storage->durable, clean);
  if (storage->memory != NULL) mem_storage_destroy(storage->memory);
  free(storage);
}
