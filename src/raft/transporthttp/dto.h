/* The data transfer objects of Raft RPC (seed: AppendEntriesRequest and so on): a message, its entries, and who sent it
 * to whom. Each type's fields stand in one table, which both encodings (dto_json.h, dto_binary.h) walk: what one can
 * carry, the other can. Pure, any thread. */
#ifndef KV_RAFT_TRANSPORTHTTP_DTO_H
#define KV_RAFT_TRANSPORTHTTP_DTO_H

#include "base/bytes.h"
#include "base/status.h"
#include "cluster/cluster.h"
#include "raft/core/message.h"

#define DTO_NUMBER_MAX ((uint64_t)INT64_MAX) /* terms and indices: far from wrapping around */

struct dto {
  struct raft_message message; /* `from` and `to` are dto_identify's business; append.terms and after_sync no one's */
  /* RAFT_APPEND: append.entries_count of them, as raft/storage/entry.h says; RAFT_INSTALL: the piece of the snapshot;
   * borrowed */
  struct bytes entries;
  bool has_cluster;                 /* JSON may leave it out */
  uint64_t cluster;                 /* the sender's cluster.identity */
  char from[NODE_ID_BYTES_MAX + 1]; /* "": not said (replies in JSON) */
  char to[NODE_ID_BYTES_MAX + 1];   /* "": not said (JSON) */
  const char *from_address;         /* HOST:PORT, for people who read the JSON; NULL: left out; borrowed */
};

enum dto_kind {
  DTO_NUMBER, /* uint64_t up to DTO_NUMBER_MAX */
  DTO_WORD,   /* any uint64_t */
  DTO_FLAG    /* bool */
};

struct dto_field {
  const char *name;
  enum dto_kind kind;
  bool required; /* in JSON; others are 0 when absent */
  size_t offset; /* in struct raft_message */
};

struct dto_shape {
  const char *path;        /* the request's route; NULL for replies */
  const char *sender_name; /* the JSON field that holds `from`; NULL for replies */
  bool has_reply;
  enum raft_message_type reply;
  size_t fields_count;
  const struct dto_field *fields; /* in the order of the wire */
};

const struct dto_shape *dto_shape_of(enum raft_message_type type);
/* The request that is sent to `path`; false when there is none. */
bool dto_type_of_path(struct bytes path, enum raft_message_type *type);

uint64_t dto_get(const struct raft_message *message, const struct dto_field *field);
/* False when the value is out of the field's range. */
bool dto_set(struct raft_message *message, const struct dto_field *field, uint64_t value);

/* Copies what looks like a node id (CONTRACT: 1 to 63 of a-z A-Z 0-9 . _ -); false when it does not. */
bool dto_set_id(char id[NODE_ID_BYTES_MAX + 1], struct bytes text);

/* A message of this cluster as a DTO; borrows `entries`. */
void dto_fill(struct dto *dto, const struct cluster *cluster, const struct raft_message *message, struct bytes entries);

/* What must hold of a request or reply in any encoding: exactly the entries that it says, with terms that a leader's
 * log can have; a piece of a snapshot that there can be, of at most RAFT_PIECE_BYTES_MAX. STATUS_INVALID with a message
 * that names the field. */
enum status dto_check(const struct dto *dto, struct error *err);

/* Fills message.from and message.to. STATUS_NOT_FOUND with a message when the sender belongs to another cluster, is no
 * member or claims to be this node, or when the message is meant for another node. */
enum status dto_identify(struct dto *dto, const struct cluster *cluster, struct error *err);

#endif
