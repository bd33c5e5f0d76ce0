#include "raft/transporthttp/dto.h"

#include "base/check.h"
#include "raft/storage/entry.h"
#include "types/limits.h"

/* ---- the tables ---- */

#define AT(member) offsetof(struct raft_message, member)

static const struct dto_field append_fields[] = {
    {"term", DTO_NUMBER, true, AT(term)},
    {"prev_log_index", DTO_NUMBER, true, AT(as.append.prev_index)},
    {"prev_log_term", DTO_NUMBER, true, AT(as.append.prev_term)},
    {"leader_commit", DTO_NUMBER, true, AT(as.append.commit_index)},
    {"round", DTO_WORD, false, AT(as.append.round)},
    {"life", DTO_WORD, false, AT(life)},
    {"to_life", DTO_WORD, false, AT(as.append.to_life)},
};
static const struct dto_field append_reply_fields[] = {
    {"term", DTO_NUMBER, true, AT(term)},
    {"success", DTO_FLAG, true, AT(as.append_reply.success)},
    {"conflict_index", DTO_NUMBER, false, AT(as.append_reply.conflict_index)},
    {"conflict_term", DTO_NUMBER, false, AT(as.append_reply.conflict_term)},
    {"match_index", DTO_NUMBER, false, AT(as.append_reply.match_index)},
    {"prev_log_index", DTO_NUMBER, false, AT(as.append_reply.prev_index)},
    {"round", DTO_WORD, false, AT(as.append_reply.round)},
    {"proven", DTO_FLAG, false, AT(as.append_reply.proven)},
    {"disk_full", DTO_FLAG, false, AT(as.append_reply.disk_full)},
    {"life", DTO_WORD, false, AT(life)},
};
static const struct dto_field vote_fields[] = {
    {"term", DTO_NUMBER, true, AT(term)},
    {"last_log_index", DTO_NUMBER, true, AT(as.vote.last_index)},
    {"last_log_term", DTO_NUMBER, true, AT(as.vote.last_term)},
    {"pre_vote", DTO_FLAG, false, AT(as.vote.pre)},
    {"transfer", DTO_FLAG, false, AT(as.vote.transfer)},
    {"life", DTO_WORD, false, AT(life)},
};
static const struct dto_field vote_reply_fields[] = {
    {"term", DTO_NUMBER, true, AT(term)},
    {"vote_granted", DTO_FLAG, true, AT(as.vote_reply.granted)},
    {"pre_vote", DTO_FLAG, false, AT(as.vote_reply.pre)},
    {"vote_term", DTO_NUMBER, false, AT(as.vote_reply.vote_term)},
    {"proven", DTO_FLAG, false, AT(as.vote_reply.proven)},
    {"life", DTO_WORD, false, AT(life)},
};
static const struct dto_field timeout_now_fields[] = {
    {"term", DTO_NUMBER, true, AT(term)},
    {"life", DTO_WORD, false, AT(life)},
};
static const struct dto_field read_fields[] = {
    {"id", DTO_WORD, true, AT(as.read.id)},
    {"term", DTO_NUMBER, false, AT(term)},
    {"life", DTO_WORD, false, AT(life)},
};
static const struct dto_field read_reply_fields[] = {
    {"ok", DTO_FLAG, true, AT(as.read_reply.ok)},  {"read_index", DTO_NUMBER, false, AT(as.read_reply.index)},
    {"id", DTO_WORD, false, AT(as.read_reply.id)}, {"to_life", DTO_WORD, false, AT(as.read_reply.to_life)},
    {"term", DTO_NUMBER, false, AT(term)},         {"life", DTO_WORD, false, AT(life)},
};

static const struct dto_field install_fields[] = {
    {"term", DTO_NUMBER, true, AT(term)},
    {"last_included_index", DTO_NUMBER, true, AT(as.install.index)},
    {"last_included_term", DTO_NUMBER, true, AT(as.install.term)},
    {"offset", DTO_NUMBER, false, AT(as.install.offset)},
    {"done", DTO_FLAG, true, AT(as.install.done)},
    {"life", DTO_WORD, false, AT(life)},
};
static const struct dto_field install_reply_fields[] = {
    {"term", DTO_NUMBER, true, AT(term)},
    {"last_included_index", DTO_NUMBER, false, AT(as.install_reply.index)},
    {"last_included_term", DTO_NUMBER, false, AT(as.install_reply.term)},
    {"offset", DTO_NUMBER, false, AT(as.install_reply.offset)},
    {"done", DTO_FLAG, false, AT(as.install_reply.done)},
    {"life", DTO_WORD, false, AT(life)},
};

#define FIELDS(table) .fields_count = sizeof(table) / sizeof(table)[0], .fields = (table)

static const struct dto_shape shapes[] = {
    [RAFT_APPEND] = {"/raft/append_entries", "leader_id", true, RAFT_APPEND_REPLY, FIELDS(append_fields)},
    [RAFT_APPEND_REPLY] = {FIELDS(append_reply_fields)},
    [RAFT_VOTE] = {"/raft/request_vote", "candidate_id", true, RAFT_VOTE_REPLY, FIELDS(vote_fields)},
    [RAFT_VOTE_REPLY] = {FIELDS(vote_reply_fields)},
    [RAFT_TIMEOUT_NOW] = {.path = "/raft/timeout_now", .sender_name = "leader_id", FIELDS(timeout_now_fields)},
    [RAFT_READ] = {"/raft/read_index", "node_id", true, RAFT_READ_REPLY, FIELDS(read_fields)},
    [RAFT_READ_REPLY] = {FIELDS(read_reply_fields)},
    [RAFT_INSTALL] = {"/raft/install_snapshot", "leader_id", true, RAFT_INSTALL_REPLY, FIELDS(install_fields)},
    [RAFT_INSTALL_REPLY] = {FIELDS(install_reply_fields)},
};
enum { SHAPES_COUNT = sizeof shapes / sizeof shapes[0] };

const struct dto_shape *dto_shape_of(enum raft_message_type type) {
  CHECK((size_t)type < SHAPES_COUNT);
  return &shapes[type];
}

bool dto_type_of_path(struct bytes path, enum raft_message_type *type) {
  for (size_t i = 0; i < SHAPES_COUNT; i++) {
    if (shapes[i].path == NULL || !bytes_equal(path, bytes_of(shapes[i].path))) continue;
    *type = (enum raft_message_type)i;
    return true;
  }
  return false;
}

/* ---- values ---- */

uint64_t dto_get(const struct raft_message *message, const struct dto_field *field) {
  const char *at = (const char *)message + field->offset;
  if (field->kind == DTO_FLAG) return *(const bool *)at;
  uint64_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

bool dto_set(struct raft_message *message, const struct dto_field *field, uint64_t value) {
  char *at = (char *)message + field->offset;
  if (field->kind == DTO_FLAG) {
    if (value > 1) return false;
    *(bool *)at = value == 1;
    return true;
  }
  if (field->kind == DTO_NUMBER && value > DTO_NUMBER_MAX) return false;
  memcpy(at, &value, sizeof value);
  return true;
}

bool dto_set_id(char id[NODE_ID_BYTES_MAX + 1], struct bytes text) {
  static const char alphabet[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  if (text.len == 0 || text.len > NODE_ID_BYTES_MAX) return false;
  for (size_t i = 0; i < text.len; i++) {
    if (memchr(alphabet, text.data[i], sizeof alphabet - 1) == NULL) return false;
  }
  memcpy(id, text.data, text.len);
  id[text.len] = '\0';
  return true;
}

void dto_fill(struct dto *dto, const struct cluster *cluster, const struct raft_message *message,
              struct bytes entries) {
  CHECK(message->from < cluster->members_count && message->to < cluster->members_count);
  *dto = (struct dto){.message = *message, .entries = entries, .has_cluster = true, .cluster = cluster->identity};
  memcpy(dto->from, cluster->members[message->from].id, sizeof dto->from);
  memcpy(dto->to, cluster->members[message->to].id, sizeof dto->to);
}

/* ---- rules ---- */

static enum status check_install(const struct dto *dto, struct error *err) {
  const struct raft_install *install = &dto->message.as.install;
  size_t len = dto->entries.len;
  if (install->index == 0) return error_set(err, STATUS_INVALID, "last_included_index: must not be 0");
  if (install->term == 0) return error_set(err, STATUS_INVALID, "last_included_term: must not be 0");
  if (install->term > dto->message.term)
    return error_set(err, STATUS_INVALID, "term: below that of the snapshot's last entry");
  if (len > RAFT_PIECE_BYTES_MAX)
    return error_set(err, STATUS_INVALID, "data: more than %d bytes", RAFT_PIECE_BYTES_MAX);
  if (len == 0 && !install->done) return error_set(err, STATUS_INVALID, "data: empty, and not the last piece");
  if (install->offset > DTO_NUMBER_MAX - len) return error_set(err, STATUS_INVALID, "offset: too large");
  return STATUS_OK;
}

static enum status check_append(const struct dto *dto, struct error *err) {
  const struct raft_append *append = &dto->message.as.append;
  if (append->prev_index > DTO_NUMBER_MAX - append->entries_count)
    return error_set(err, STATUS_INVALID, "prev_log_index: too large for so many entries");
  struct bytes rest = dto->entries;
  uint64_t term = append->prev_term;
  for (uint32_t i = 0; i < append->entries_count; i++) {
    struct log_entry entry;
    if (!log_entry_next(&rest, &entry)) return error_set(err, STATUS_INVALID, "entries[%u]: cut short", (unsigned)i);
    if (entry.term < term || entry.term == 0)
      return error_set(err, STATUS_INVALID, "entries[%u].term: below the one before it", (unsigned)i);
    term = entry.term;
  }
  if (rest.len > 0) return error_set(err, STATUS_INVALID, "entries: bytes behind the last one");
  if (term > dto->message.term) return error_set(err, STATUS_INVALID, "term: below that of an entry");
  return STATUS_OK;
}

enum status dto_check(const struct dto *dto, struct error *err) {
  if (dto->message.type == RAFT_APPEND) return check_append(dto, err);
  return dto->message.type == RAFT_INSTALL ? check_install(dto, err) : STATUS_OK;
}

enum status dto_identify(struct dto *dto, const struct cluster *cluster, struct error *err) {
  if (dto->has_cluster && dto->cluster != cluster->identity)
    return error_set(err, STATUS_NOT_FOUND, "cluster: the sender belongs to another one");
  uint8_t from = cluster_find(cluster, dto->from);
  if (from == RAFT_NODE_NONE) return error_set(err, STATUS_NOT_FOUND, "sender: not a member of this cluster");
  if (from == cluster->self) return error_set(err, STATUS_NOT_FOUND, "sender: has the id of this node itself");
  if (dto->to[0] != '\0' && cluster_find(cluster, dto->to) != cluster->self)
    return error_set(err, STATUS_NOT_FOUND, "to: another node is meant, this one is %s",
                     cluster->members[cluster->self].id);
  dto->message.from = from;
  dto->message.to = cluster->self;
  return STATUS_OK;
}
