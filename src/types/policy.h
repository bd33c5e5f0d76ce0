/* Read policies and write modes (seed: ReadPolicy, WriteMode). */
#ifndef KV_TYPES_POLICY_H
#define KV_TYPES_POLICY_H

#include "base/bytes.h"

enum read_policy { READ_POLICY_STALE, READ_POLICY_READINDEX };
enum write_mode { WRITE_MODE_SYNC, WRITE_MODE_ASYNC };

const char *read_policy_name(enum read_policy policy); /* "stale", "readindex" */
const char *write_mode_name(enum write_mode mode);     /* "sync", "async" */
bool read_policy_parse(struct bytes text, enum read_policy *out);
bool write_mode_parse(struct bytes text, enum write_mode *out);

#endif
