#include "sim/table.h"

#include <stdlib.h>

#include "base/check.h"

enum { CAPACITY_MIN = 256 };

void sim_table_deinit(struct sim_table *table) {
  free(table->slots);
  *table = (struct sim_table){0};
}

static struct sim_slot *find(const struct sim_table *table, uint64_t key) {
  size_t place = (size_t)key & (table->capacity - 1);
  while (table->slots[place].key != 0 && table->slots[place].key != key)
    place = (place + 1) & (table->capacity - 1);
  return &table->slots[place];
}

static void grow(struct sim_table *table) {
  struct sim_table larger = {.capacity = table->capacity == 0 ? CAPACITY_MIN : 2 * table->capacity,
                             .count = table->count};
  larger.slots = xcalloc(larger.capacity, sizeof larger.slots[0]);
  for (size_t i = 0; i < table->capacity; i++) {
    if (table->slots[i].key != 0) *find(&larger, table->slots[i].key) = table->slots[i];
  }
  free(table->slots);
  *table = larger;
}

uint64_t *sim_table_at(struct sim_table *table, uint64_t key) {
  CHECK(key != 0);
  if (2 * table->count >= table->capacity) grow(table);
  struct sim_slot *slot = find(table, key);
  if (slot->key == 0) {
    slot->key = key;
    slot->value = 0;
    table->count++;
  }
  return &slot->value;
}
