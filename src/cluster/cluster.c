#include "cluster/cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

static bool id_valid(const char *id) {
  size_t length = strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
  return length >= 1 && length <= NODE_ID_BYTES_MAX && id[length] == '\0';
}

static int by_id(const void *a, const void *b) {
  return strcmp(((const struct cluster_member *)a)->id, ((const struct cluster_member *)b)->id);
}

/* Ids hold no NUL, so their NUL-terminated concatenation is unambiguous. */
static uint64_t identity_of(const struct cluster *cluster) {
  char text[RAFT_NODES_MAX * (NODE_ID_BYTES_MAX + 1)];
  size_t len = 0;
  for (uint8_t i = 0; i < cluster->members_count; i++) {
    size_t id_bytes = strlen(cluster->members[i].id) + 1;
    memcpy(text + len, cluster->members[i].id, id_bytes);
    len += id_bytes;
  }
  return hash128_of(bytes_make(text, len), 0).low;
}

static enum status check_ids(const struct cluster *cluster, struct error *err) {
  for (uint8_t i = 0; i < cluster->members_count; i++) {
    const char *id = cluster->members[i].id;
    if (!id_valid(id)) {
      return error_set(err, STATUS_INVALID, "member \"%s\": an id is 1 to %d of a-z A-Z 0-9 . _ -", id,
                       NODE_ID_BYTES_MAX);
    }
    if (i > 0 && strcmp(id, cluster->members[i - 1].id) == 0) {
      return error_set(err, STATUS_INVALID, "member \"%s\" is listed twice", id);
    }
  }
  return STATUS_OK;
}

enum status cluster_init(struct cluster *cluster, const struct cluster_member *members, size_t members_count,
                         const char *self_id, struct error *err) {
  if (members_count < 1 || members_count > RAFT_NODES_MAX) {
    return error_set(err, STATUS_INVALID, "%zu members: expected 1 to %d", members_count, RAFT_NODES_MAX);
  }
  struct cluster sorted = {.members_count = (uint8_t)members_count};
  memcpy(sorted.members, members, members_count * sizeof *members);
  qsort(sorted.members, members_count, sizeof *members, by_id);
  enum status status = check_ids(&sorted, err);
  if (status != STATUS_OK) return status;
  sorted.self = cluster_find(&sorted, self_id);
  if (sorted.self == RAFT_NODE_NONE) return error_set(err, STATUS_INVALID, "\"%s\" is not among the members", self_id);
  sorted.identity = identity_of(&sorted);
  *cluster = sorted;
  return STATUS_OK;
}

uint8_t cluster_find(const struct cluster *cluster, const char *id) {
  for (uint8_t i = 0; i < cluster->members_count; i++) {
    if (strcmp(cluster->members[i].id, id) == 0) return i;
  }
  return RAFT_NODE_NONE;
}

void cluster_address(const struct cluster *cluster, uint8_t number, char *out, size_t out_bytes) {
  const struct cluster_member *member = &cluster->members[number];
  bool ipv6 = strchr(member->host, ':') != NULL;
  snprintf(out, out_bytes, ipv6 ? "[%s]:%u" : "%s:%u", member->host, (unsigned)member->port);
}

uint32_t cluster_quorum(const struct cluster *cluster) {
  return cluster->members_count / 2u + 1;
}
