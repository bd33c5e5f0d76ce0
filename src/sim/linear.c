/* Per key, the calls and returns in order of time make up a list. The search walks it with a value and the set of
 * pending operations that have taken effect already. A call makes an operation pending; at a return, the operation must
 * have taken effect: if it has not, some order of pending operations that ends with it must be found, and here the
 * search branches. What changes no state (a read, a failed cas) takes effect as soon as the value allows: that can
 * never be wrong, so only operations that change the state are branched on. A position that led nowhere is remembered.
 */
#include "sim/linear.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sim/mix.h"

enum { WORDS = LINEAR_PENDING_MAX / 64, TABLE_CAPACITY_MIN = 1024 };

/* A set of slots. */
struct slots {
  uint64_t words[WORDS];
};

struct point {
  uint64_t time;
  uint32_t op;   /* place in the history */
  uint32_t slot; /* of the pending operation */
  bool is_return;
};

/* What the search knows at a point. */
struct position {
  uint32_t point;
  uint64_t value;
  struct slots done; /* pending operations that have taken effect */
};

/* A position at a return, and the next slot to try there. */
struct branch {
  struct position position;
  uint32_t next_slot;
};

struct search {
  const struct linear_op *ops;
  struct point *points; /* owned */
  uint32_t points_count;
  uint32_t pending[LINEAR_PENDING_MAX]; /* slot -> operation, as of `pending_point` */
  struct slots pending_set;
  uint32_t pending_point;
  struct branch *branches; /* owned stack */
  size_t branches_count, branches_capacity;
  struct position *dead; /* owned hash set; `point` UINT32_MAX: free */
  size_t dead_count, dead_capacity;
  uint64_t steps_left;
  uint32_t furthest;
  struct linear_report *report;
};

static bool has(const struct slots *set, uint32_t slot) {
  return set->words[slot / 64] >> (slot % 64) & 1;
}

static void add(struct slots *set, uint32_t slot) {
  set->words[slot / 64] |= UINT64_C(1) << (slot % 64);
}

static void take_out(struct slots *set, uint32_t slot) {
  set->words[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
}

/* The first member from `slot` on; LINEAR_PENDING_MAX: none. */
static uint32_t next_member(const struct slots *set, uint32_t slot) {
  while (slot < LINEAR_PENDING_MAX) {
    uint64_t rest = set->words[slot / 64] >> (slot % 64);
    if (rest != 0) return slot + (uint32_t)__builtin_ctzll(rest);
    slot = (slot / 64 + 1) * 64;
  }
  return LINEAR_PENDING_MAX;
}

/* ---- what operations do ---- */

/* What the operation would do to the value, and whether that agrees with what it saw. */
static bool apply(const struct linear_op *op, uint64_t value, uint64_t *after) {
  bool known = op->outcome == LINEAR_OK;
  *after = value;
  switch (op->kind) {
  case LINEAR_GET:
    return !known || op->saw == value;
  case LINEAR_PUT:
    *after = op->value;
    return true;
  case LINEAR_CAS:
    if (value == op->expected) *after = op->value;
    return !known || op->saw == (value == op->expected);
  case LINEAR_DELETE:
    *after = 0;
    return !known || op->saw == (value != 0);
  }
  return false;
}

/* True when the operation, if it agrees with the value, cannot change any: a read in effect. */
static bool reads_only(const struct linear_op *op) {
  if (op->outcome != LINEAR_OK) return false;
  bool changes_nothing = op->kind == LINEAR_CAS && op->expected == op->value;
  return op->kind == LINEAR_GET || changes_nothing || (op->kind != LINEAR_PUT && op->saw == 0);
}

/* ---- the list of points ---- */

/* Calls come before returns of the same time: then the two overlap. */
static int by_time(const void *a, const void *b) {
  const struct point *x = a, *y = b;
  if (x->time != y->time) return x->time < y->time ? -1 : 1;
  if (x->is_return != y->is_return) return x->is_return ? 1 : -1;
  return (x->op > y->op) - (x->op < y->op);
}

static void add_points(struct search *search, uint32_t op) {
  const struct linear_op *item = &search->ops[op];
  if (item->outcome == LINEAR_FAIL || (item->outcome == LINEAR_UNKNOWN && item->kind == LINEAR_GET)) return;
  search->points[search->points_count++] = (struct point){.time = item->called, .op = op};
  if (item->outcome != LINEAR_OK) return;
  search->points[search->points_count++] = (struct point){.time = item->returned, .op = op, .is_return = true};
}

/* A slot per pending operation, given back at its return. False when there are too many. */
static bool give_slots(struct search *search, uint32_t *slot_of) {
  struct slots used = {{0}};
  for (uint32_t i = 0; i < search->points_count; i++) {
    struct point *point = &search->points[i];
    if (point->is_return) {
      point->slot = slot_of[point->op];
      take_out(&used, point->slot);
      continue;
    }
    uint32_t slot = 0;
    while (slot < LINEAR_PENDING_MAX && has(&used, slot))
      slot++;
    if (slot == LINEAR_PENDING_MAX) return false;
    add(&used, slot);
    point->slot = slot_of[point->op] = slot;
  }
  return true;
}

/* ---- the memo ---- */

static bool same(const struct position *a, const struct position *b) {
  return a->point == b->point && a->value == b->value && memcmp(&a->done, &b->done, sizeof a->done) == 0;
}

static struct position *dead_slot(const struct position *dead, size_t capacity, const struct position *position) {
  uint64_t hash = sim_mix(sim_mix(0, position->point), position->value);
  for (int i = 0; i < WORDS; i++)
    hash = sim_mix(hash, position->done.words[i]);
  size_t place = (size_t)hash & (capacity - 1);
  while (dead[place].point != UINT32_MAX && !same(&dead[place], position))
    place = (place + 1) & (capacity - 1);
  return (struct position *)&dead[place];
}

static void grow_dead(struct search *search) {
  size_t capacity = search->dead_capacity == 0 ? TABLE_CAPACITY_MIN : 2 * search->dead_capacity;
  struct position *larger = xmalloc(capacity * sizeof *larger);
  for (size_t i = 0; i < capacity; i++)
    larger[i].point = UINT32_MAX;
  for (size_t i = 0; i < search->dead_capacity; i++) {
    if (search->dead[i].point != UINT32_MAX) *dead_slot(larger, capacity, &search->dead[i]) = search->dead[i];
  }
  free(search->dead);
  search->dead = larger;
  search->dead_capacity = capacity;
}

/* True when the search has been here; from now on it has. */
static bool been_here(struct search *search, const struct position *position) {
  if (2 * search->dead_count >= search->dead_capacity) grow_dead(search);
  struct position *slot = dead_slot(search->dead, search->dead_capacity, position);
  if (slot->point != UINT32_MAX) return true;
  *slot = *position;
  search->dead_count++;
  return false;
}

/* ---- the search ---- */

static void step_pending(struct search *search, const struct point *point, bool enters) {
  if (enters) {
    search->pending[point->slot] = point->op;
    add(&search->pending_set, point->slot);
  } else {
    take_out(&search->pending_set, point->slot);
  }
}

/* Makes `pending` what it is just before the point, walking there and back. */
static void move_pending(struct search *search, uint32_t to) {
  while (search->pending_point < to) {
    const struct point *point = &search->points[search->pending_point++];
    step_pending(search, point, !point->is_return);
  }
  while (search->pending_point > to) {
    const struct point *point = &search->points[--search->pending_point];
    step_pending(search, point, point->is_return);
  }
}

/* Whatever is pending, reads only and agrees with the value takes effect. */
static void absorb(const struct search *search, struct position *position) {
  for (uint32_t slot = next_member(&search->pending_set, 0); slot < LINEAR_PENDING_MAX;
       slot = next_member(&search->pending_set, slot + 1)) {
    const struct linear_op *op = &search->ops[search->pending[slot]];
    uint64_t after;
    if (reads_only(op) && apply(op, position->value, &after)) add(&position->done, slot);
  }
}

/* Goes on to the next return whose operation has not taken effect. False at the end of the list. */
static bool advance(struct search *search, struct position *position) {
  for (; position->point < search->points_count; position->point++) {
    const struct point *point = &search->points[position->point];
    move_pending(search, position->point);
    if (point->is_return) {
      if (!has(&position->done, point->slot)) return true;
      take_out(&position->done, point->slot);
    } else {
      move_pending(search, position->point + 1);
      absorb(search, position);
    }
  }
  return false;
}

static void note_state(struct search *search, const struct position *position) {
  struct linear_report *report = search->report;
  if (position->point < search->furthest) return;
  if (position->point > search->furthest || report->states_count == 0) {
    search->furthest = position->point;
    report->op = search->points[position->point].op;
    report->states_count = 0;
  }
  for (size_t i = 0; i < report->states_count; i++) {
    if (report->states[i] == position->value) return;
  }
  if (report->states_count < LINEAR_STATES_MAX) report->states[report->states_count++] = position->value;
}

static void push(struct search *search, const struct position *position) {
  note_state(search, position);
  if (search->branches_count == search->branches_capacity) {
    search->branches_capacity = search->branches_capacity == 0 ? 64 : 2 * search->branches_capacity;
    search->branches = xrealloc(search->branches, search->branches_capacity * sizeof search->branches[0]);
  }
  search->branches[search->branches_count++] = (struct branch){*position, 0};
}

/* Lets the pending operation in `slot` take effect; false when it cannot, or need not: an unknown one that would change
 * nothing. */
static bool take_effect(const struct search *search, const struct position *from, uint32_t slot, struct position *to) {
  const struct linear_op *op = &search->ops[search->pending[slot]];
  uint64_t after;
  if (has(&from->done, slot) || !apply(op, from->value, &after)) return false;
  if (after == from->value && op->outcome == LINEAR_UNKNOWN) return false;
  *to = *from;
  to->value = after;
  add(&to->done, slot);
  absorb(search, to);
  return true;
}

/* The next way on from the newest branch: first the operation that must return, then the others. */
static bool next_way(struct search *search, struct position *to) {
  struct branch *branch = &search->branches[search->branches_count - 1];
  move_pending(search, branch->position.point);
  uint32_t due = search->points[branch->position.point].slot;
  while (branch->next_slot <= LINEAR_PENDING_MAX) {
    uint32_t slot = due;
    if (branch->next_slot > 0) slot = next_member(&search->pending_set, branch->next_slot - 1);
    branch->next_slot = branch->next_slot == 0 ? 1 : slot + 2;
    if (slot == LINEAR_PENDING_MAX) return false;
    if (slot == due && branch->next_slot > 1) continue;
    if (take_effect(search, &branch->position, slot, to)) return true;
  }
  return false;
}

static enum linear_verdict run(struct search *search) {
  struct position position = {0};
  if (!advance(search, &position)) return LINEAR_PASS;
  push(search, &position);
  while (search->branches_count > 0) {
    if (search->steps_left == 0) return LINEAR_UNDECIDED;
    search->steps_left--;
    if (!next_way(search, &position)) {
      search->branches_count--;
      continue;
    }
    if (!advance(search, &position)) return LINEAR_PASS;
    if (!been_here(search, &position)) push(search, &position);
  }
  return LINEAR_VIOLATED;
}

/* ---- keys ---- */

struct keyed {
  uint32_t key;
  uint32_t op;
};

static int by_key(const void *a, const void *b) {
  const struct keyed *x = a, *y = b;
  if (x->key != y->key) return x->key < y->key ? -1 : 1;
  return (x->op > y->op) - (x->op < y->op);
}

static enum linear_verdict check_key(struct search *search, const struct keyed *keyed, size_t count,
                                     uint32_t *slot_of) {
  search->points_count = 0;
  search->branches_count = 0;
  search->pending_set = (struct slots){{0}};
  search->pending_point = 0;
  search->furthest = 0;
  search->report->states_count = 0;
  search->dead_count = 0;
  for (size_t i = 0; i < search->dead_capacity; i++)
    search->dead[i].point = UINT32_MAX;
  for (size_t i = 0; i < count; i++)
    add_points(search, keyed[i].op);
  qsort(search->points, search->points_count, sizeof search->points[0], by_time);
  if (!give_slots(search, slot_of)) return LINEAR_UNDECIDED;
  return run(search);
}

static enum linear_verdict check_keys(struct search *search, const struct keyed *keyed, size_t count,
                                      uint32_t *slot_of) {
  enum linear_verdict verdict = LINEAR_PASS;
  for (size_t first = 0, end; first < count; first = end) {
    for (end = first; end < count && keyed[end].key == keyed[first].key; end++) {
    }
    enum linear_verdict one = check_key(search, keyed + first, end - first, slot_of);
    if (one == LINEAR_VIOLATED) return one;
    if (one == LINEAR_UNDECIDED) verdict = one;
  }
  return verdict;
}

enum linear_verdict linear_check(const struct linear_op *ops, size_t ops_count, uint64_t steps_max,
                                 struct linear_report *report) {
  CHECK(ops_count < UINT32_MAX / 2);
  *report = (struct linear_report){0};
  if (ops_count == 0) return LINEAR_PASS;
  struct keyed *keyed = xmalloc(ops_count * sizeof *keyed);
  for (size_t i = 0; i < ops_count; i++)
    keyed[i] = (struct keyed){ops[i].key, (uint32_t)i};
  qsort(keyed, ops_count, sizeof *keyed, by_key);
  uint32_t *slot_of = xmalloc(ops_count * sizeof *slot_of);
  struct search search = {.ops = ops, .steps_left = steps_max, .report = report};
  search.points = xmalloc(2 * ops_count * sizeof search.points[0]);
  enum linear_verdict verdict = check_keys(&search, keyed, ops_count, slot_of);
  report->steps = steps_max - search.steps_left;
  free(search.points);
  free(search.branches);
  free(search.dead);
  free(slot_of);
  free(keyed);
  return verdict;
}
