/* What tells one start of a node from all others. Any thread. */
#ifndef KV_SERVER_FRESH_H
#define KV_SERVER_FRESH_H

#include <stdint.h>

/* A number that is not 0, from the system, never from the seed: a node that starts again with the same seed must not be
 * taken for the one that held what it has lost. */
uint64_t fresh_number(void);

#endif
