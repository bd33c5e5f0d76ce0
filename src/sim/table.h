/* A hash table from one 64-bit number (already well mixed, not 0) to another. Grows; nothing is ever taken out. One
 * thread. */
#ifndef KV_SIM_TABLE_H
#define KV_SIM_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct sim_table {
  struct sim_slot {
    uint64_t key; /* 0: free */
    uint64_t value;
  } * slots;       /* owned */
  size_t capacity; /* a power of two, or 0 */
  size_t count;
};

void sim_table_deinit(struct sim_table *table); /* zeroed memory is an empty table */
/* The value of `key`, in place, made 0 when it is new. Valid until the next call. */
uint64_t *sim_table_at(struct sim_table *table, uint64_t key);

#endif
