#include "server/datadir.h"

#include "base/buffer.h"
#include "types/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT_NAME      "FORMAT"
#define FORMAT_TEMPORARY "FORMAT.tmp"

enum { FORMAT_BYTES_MAX = 65536, LIST_CHARS_MAX = 200 };

static const char *const elsewhere = "choose another directory with --data";

struct format {
  uint64_t version;
  char id[NODE_ID_BYTES_MAX + 1];
  char peers[MEMBERS_MAX][NODE_ID_BYTES_MAX + 1]; /* sorted */
  uint8_t peers_count;
  char fixed_leader[NODE_ID_BYTES_MAX + 1]; /* "": elections */
};

/* ---- what is written ---- */

static int compare_ids(const void *a, const void *b) {
  return strcmp(a, b);
}

static void format_of(const struct config *config, struct format *out) {
  *out = (struct format){.version = DATADIR_FORMAT, .peers_count = config->members_count};
  snprintf(out->id, sizeof out->id, "%s", config->id);
  snprintf(out->fixed_leader, sizeof out->fixed_leader, "%s", config->fixed_leader);
  for (uint8_t i = 0; i < config->members_count; i++)
    snprintf(out->peers[i], sizeof out->peers[i], "%s", config->members[i].id);
  qsort(out->peers, out->peers_count, sizeof out->peers[0], compare_ids);
}

static void encode(const struct format *format, struct buffer *out) {
  buffer_append_text(out, "{\"format\":");
  buffer_append_u64_decimal(out, format->version);
  buffer_append_text(out, ",\"id\":");
  json_write_string(out, bytes_of(format->id));
  buffer_append_text(out, ",\"peers\":[");
  for (uint8_t i = 0; i < format->peers_count; i++) {
    if (i > 0) buffer_append_byte(out, ',');
    json_write_string(out, bytes_of(format->peers[i]));
  }
  buffer_append_text(out, "],\"fixed_leader\":");
  json_write_string(out, bytes_of(format->fixed_leader));
  buffer_append_text(out, "}\n");
}

static enum status write_temporary(struct disk *disk, struct bytes text, struct error *err) {
  struct disk_file *file;
  enum status status = disk->ops->remove(disk, FORMAT_TEMPORARY, err);
  if (status != STATUS_OK && status != STATUS_NOT_FOUND) return status;
  status = disk->ops->open(disk, FORMAT_TEMPORARY, DISK_CREATE, &file, err);
  if (status != STATUS_OK) return status;
  status = disk->ops->write(disk, file, 0, text, err);
  if (status == STATUS_OK) status = disk->ops->sync(disk, file, err);
  disk->ops->close(disk, file);
  return status;
}

static enum status write_format(struct disk *disk, const struct format *format, struct error *err) {
  struct buffer text = {0};
  encode(format, &text);
  enum status status = write_temporary(disk, buffer_view(&text), err);
  /* Its name is durable before that of anything else in the directory is: they come in this order, and who makes the
   * first of them syncs the directory. */
  if (status == STATUS_OK) status = disk->ops->rename(disk, FORMAT_TEMPORARY, FORMAT_NAME, err);
  buffer_deinit(&text);
  return status;
}

/* ---- what is read ---- */

/* The reader's place. Fields that this version does not know are passed over. */
struct decoding {
  struct format *format;
  int depth;
  char field[16]; /* of the outermost object */
  bool in_peers;
};

static bool is_field(const struct decoding *decoding, const char *name) {
  return decoding->depth == 1 && strcmp(decoding->field, name) == 0;
}

static const char *take_id(char out[NODE_ID_BYTES_MAX + 1], struct bytes value) {
  if (value.len > NODE_ID_BYTES_MAX || memchr(value.data, '\0', value.len) != NULL) return "an id that is none";
  memcpy(out, value.data, value.len);
  out[value.len] = '\0';
  return NULL;
}

static const char *on_string(void *context, struct bytes value) {
  struct decoding *decoding = context;
  struct format *format = decoding->format;
  if (is_field(decoding, "id")) return take_id(format->id, value);
  if (is_field(decoding, "fixed_leader")) return take_id(format->fixed_leader, value);
  if (!decoding->in_peers) return NULL;
  if (format->peers_count == MEMBERS_MAX) return "too many peers";
  return take_id(format->peers[format->peers_count++], value);
}

static const char *on_number(void *context, struct bytes text) {
  struct decoding *decoding = context;
  if (!is_field(decoding, "format")) return NULL;
  return json_number_u64(text, UINT64_MAX, &decoding->format->version) ? NULL : "a format that is no number";
}

static const char *on_field(void *context, struct bytes name) {
  struct decoding *decoding = context;
  if (decoding->depth != 1) return NULL;
  snprintf(decoding->field, sizeof decoding->field, "%.*s", (int)(name.len < 16 ? name.len : 16),
           (const char *)name.data);
  return NULL;
}

static const char *on_object_begin(void *context) {
  struct decoding *decoding = context;
  decoding->depth++;
  return NULL;
}

static const char *on_array_begin(void *context) {
  struct decoding *decoding = context;
  decoding->in_peers = is_field(decoding, "peers");
  decoding->depth++;
  return NULL;
}

static const char *on_end(void *context) {
  struct decoding *decoding = context;
  decoding->in_peers = false;
  decoding->depth--;
  return NULL;
}

static enum status damaged(const char *why, struct error *err) {
  return error_set(err, STATUS_CORRUPT,
                   FORMAT_NAME
                   ": %s; put a copy of it back, or move the directory away: in a cluster the node gets its "
                   "data back from the others",
                   why);
}

static enum status decode(struct bytes text, struct format *out, struct error *err) {
  static const struct json_events events = {.number = on_number,
                                            .string = on_string,
                                            .object_begin = on_object_begin,
                                            .field = on_field,
                                            .object_end = on_end,
                                            .array_begin = on_array_begin,
                                            .array_end = on_end};
  struct error why;
  *out = (struct format){0};
  struct decoding decoding = {.format = out};
  if (json_read(text, &events, &decoding, &why) != STATUS_OK) return damaged(why.text, err);
  if (out->version == 0) return damaged("it names no format", err);
  if (out->version > DATADIR_FORMAT)
    return error_set(err, STATUS_INVALID,
                     FORMAT_NAME ": the directory has format %" PRIu64 ", this version knows up to %d; use the version "
                                 "that wrote it, or %s",
                     out->version, DATADIR_FORMAT, elsewhere);
  if (out->id[0] == '\0' || out->peers_count == 0) return damaged("it names no node or no cluster", err);
  qsort(out->peers, out->peers_count, sizeof out->peers[0], compare_ids);
  return STATUS_OK;
}

static enum status read_format(struct disk *disk, struct format *out, struct error *err) {
  struct disk_file *file;
  enum status status = disk->ops->open(disk, FORMAT_NAME, DISK_OPEN_READ, &file, err);
  if (status != STATUS_OK) return status;
  struct buffer text = {0};
  uint8_t *room = buffer_reserve(&text, FORMAT_BYTES_MAX);
  size_t got = 0;
  status = disk->ops->read(disk, file, 0, room, FORMAT_BYTES_MAX, &got, err);
  disk->ops->close(disk, file);
  if (status == STATUS_OK) status = decode(bytes_make(room, got), out, err);
  buffer_deinit(&text);
  return status;
}

/* ---- whether it is this node's ---- */

/* Into `out`; cut, with dots, when it is long. */
static const char *list_peers(const struct format *format, char out[LIST_CHARS_MAX]) {
  size_t len = 0;
  out[0] = '\0';
  for (uint8_t i = 0; i < format->peers_count; i++) {
    size_t room = LIST_CHARS_MAX - len;
    int more = snprintf(out + len, room, "%s%s", i > 0 ? "," : "", format->peers[i]);
    if ((size_t)more >= room) {
      memcpy(out + LIST_CHARS_MAX - 4, "...", 4);
      break;
    }
    len += (size_t)more;
  }
  return out;
}

static bool same_peers(const struct format *a, const struct format *b) {
  if (a->peers_count != b->peers_count) return false;
  for (uint8_t i = 0; i < a->peers_count; i++)
    if (strcmp(a->peers[i], b->peers[i]) != 0) return false;
  return true;
}

static const char *leader_text(const struct format *format) {
  return format->fixed_leader[0] != '\0' ? format->fixed_leader : "none";
}

static enum status check_format(const struct format *found, const struct format *wanted, struct error *err) {
  char there[LIST_CHARS_MAX], here[LIST_CHARS_MAX];
  if (strcmp(found->id, wanted->id) != 0)
    return error_set(err, STATUS_INVALID,
                     FORMAT_NAME ": the directory belongs to node %s, not to %s; start it with --id %s, or %s",
                     found->id, wanted->id, found->id, elsewhere);
  if (!same_peers(found, wanted))
    return error_set(err, STATUS_INVALID,
                     FORMAT_NAME ": the directory belongs to the cluster of %s, not of %s; membership is for good: "
                                 "name these nodes in --peers, or %s",
                     list_peers(found, there), list_peers(wanted, here), elsewhere);
  if (strcmp(found->fixed_leader, wanted->fixed_leader) != 0)
    return error_set(err, STATUS_INVALID,
                     FORMAT_NAME
                     ": the directory was made with fixed leader %s, not %s; start it with --fixed-leader as "
                     "then, or %s",
                     leader_text(found), leader_text(wanted), elsewhere);
  return STATUS_OK;
}

/* ---- opening ---- */

struct names {
  bool has_format;
  char foreign[DISK_NAME_BYTES_MAX + 1]; /* one that an unfinished start, or the system, does not leave; or "" */
};

static void on_name(void *context, const char *name) {
  static const char *const ours[] = {"LOCK", FORMAT_TEMPORARY, "admin.sock", "lost+found"};
  struct names *names = context;
  for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
    if (strcmp(name, ours[i]) == 0) return;
  if (strcmp(name, FORMAT_NAME) == 0)
    names->has_format = true;
  else
    snprintf(names->foreign, sizeof names->foreign, "%s", name);
}

/* Before anything is written into it, the lock included. */
static enum status check_names(struct disk *disk, struct error *err) {
  struct names names = {.has_format = false};
  enum status status = disk->ops->list(disk, ".", on_name, &names, err);
  if (status != STATUS_OK || names.has_format || names.foreign[0] == '\0') return status;
  return error_set(err, STATUS_INVALID,
                   "%s: it is there, but no " FORMAT_NAME
                   ", so this is no data directory; name an empty or new one with "
                   "--data",
                   names.foreign);
}

static enum status take_lock(struct disk *disk, struct error *err) {
  struct error why;
  enum status status = io_disk_lock(disk, &why);
  if (status == STATUS_OK) return STATUS_OK;
  if (status == STATUS_IO) status = STATUS_INVALID;
  return error_set(err, status, "LOCK: %s; stop that process, or %s", why.text, elsewhere);
}

static enum status enter(struct disk *disk, const struct config *config, struct error *err) {
  struct format wanted, found;
  enum status status = check_names(disk, err);
  if (status == STATUS_OK) status = take_lock(disk, err);
  if (status != STATUS_OK) return status;
  format_of(config, &wanted);
  status = read_format(disk, &found, err);
  if (status == STATUS_NOT_FOUND) return write_format(disk, &wanted, err);
  return status == STATUS_OK ? check_format(&found, &wanted, err) : status;
}

enum status datadir_open(const struct config *config, struct io_disk_watch *watch, struct disk **out,
                         struct error *err) {
  struct disk *disk;
  enum status status = io_disk_open(config->data, IO_DISK_MADE, &disk, err);
  if (status != STATUS_OK) return status;
  io_disk_watch(disk, watch);
  status = enter(disk, config, err);
  if (status == STATUS_OK)
    *out = disk;
  else
    io_disk_close(disk);
  return status;
}
