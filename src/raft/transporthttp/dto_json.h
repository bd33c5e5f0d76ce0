/* The seed's DTOs in snake_case JSON: what a person sends with curl, and what a link speaks when it is told to.
 *
 *   {"term":3,"leader_id":"n1","prev_log_index":0,"prev_log_term":0,"leader_commit":0,
 *    "entries":[{"index":1,"term":3,"cmd":{"client_id":"c","seq":1,"op":"put","key":"k","value":"v"}},
 *               {"index":2,"term":3,"cmd":null}]}
 *
 *   {"term":3,"leader_id":"n1","last_included_index":9,"last_included_term":2,"offset":0,"data":"base64","done":true}
 *
 * A no-op's cmd is null. Values that are not UTF-8 are base64 in the twin field (value_base64, expected_base64). What
 * the protocol needs beyond the seed (cluster, to, life, round, ...) may be absent: then it is 0, or unchecked.
 * Integers are exact over 64 bits. Unknown fields are ignored. Any thread. */
#ifndef KV_RAFT_TRANSPORTHTTP_DTO_JSON_H
#define KV_RAFT_TRANSPORTHTTP_DTO_JSON_H

#include "base/buffer.h"
#include "raft/transporthttp/dto.h"

/* Replaces the content of `out`. STATUS_INVALID when an entry holds no valid command. */
enum status dto_json_encode(const struct dto *dto, struct buffer *out);

/* What decoding works with; kept by its user from call to call. */
struct dto_json_scratch {
  struct buffer entries; /* what a decoded dto.entries is a view of */
  struct buffer command; /* one, encoded */
  struct buffer items;   /* of one command's batch */
  struct buffer text;    /* strings of one command */
};
void dto_json_scratch_init(struct dto_json_scratch *scratch);
void dto_json_scratch_deinit(struct dto_json_scratch *scratch);
/* Gives memory back, content is lost. */
void dto_json_scratch_shrink(struct dto_json_scratch *scratch, size_t keep_bytes);

/* STATUS_INVALID with a message that names the field ("entries[2].cmd.key: must not be empty"), for bad JSON with line
 * and column. out->entries is a view of `scratch`, until its next use. */
enum status dto_json_decode(struct bytes json, enum raft_message_type type, struct dto_json_scratch *scratch,
                            struct dto *out, struct error *err);

#endif
