/* The seed's two calls of a SnapshotStore, on top of the interface of storage.h. */
#include "raft/storage/storage.h"

enum { READ_BYTES = 262144 };

enum status snapshot_save(struct snapshot_store *store, struct snapshot_mark mark, struct bytes data,
                          struct error *err) {
  struct snapshot_writer *writer;
  enum status status = store->ops->create(store, &writer, err);
  if (status != STATUS_OK) return status;
  status = store->ops->write(store, writer, data, err);
  if (status == STATUS_OK) return store->ops->publish(store, writer, mark, err);
  store->ops->discard(store, writer);
  return status;
}

static enum status read_all(struct snapshot_store *store, struct snapshot_reader *reader, struct buffer *data,
                            struct error *err) {
  for (uint64_t offset = 0;;) {
    size_t got;
    enum status status =
        store->ops->read(store, reader, offset, buffer_reserve(data, READ_BYTES), READ_BYTES, &got, err);
    if (status != STATUS_OK) return status;
    data->len += got;
    offset += got;
    if (got < READ_BYTES) return STATUS_OK;
  }
}

enum status snapshot_load(struct snapshot_store *store, struct snapshot_mark *mark, struct buffer *data,
                          struct error *err) {
  struct snapshot_reader *reader;
  uint64_t bytes;
  struct snapshot_mark newest;
  enum status status = store->ops->newest(store, &newest, err);
  if (status == STATUS_OK) status = store->ops->open(store, newest, &reader, &bytes, err);
  if (status != STATUS_OK) return status;
  status = read_all(store, reader, data, err);
  store->ops->close(store, reader);
  if (status == STATUS_OK) *mark = newest;
  return status;
}
