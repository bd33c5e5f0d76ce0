/* Linearizability of a history of operations on registers, one register per key (Wing and Gong's search, just in time
 * as Lowe describes it, with a memo of dead ends). Values are numbers; 0 is "no value". Pure, any thread. */
#ifndef KV_SIM_LINEAR_H
#define KV_SIM_LINEAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum linear_kind {
  LINEAR_GET,   /* saw: the value */
  LINEAR_PUT,   /* wrote `value` */
  LINEAR_CAS,   /* saw: 1 when it found `expected` and wrote `value`, else 0 */
  LINEAR_DELETE /* saw: 1 when there was a value, else 0 */
};

enum linear_outcome {
  LINEAR_OK,
  LINEAR_FAIL,   /* never took effect: not looked at */
  LINEAR_UNKNOWN /* may take effect at any time from its call on, or never */
};

struct linear_op {
  uint32_t client;
  uint32_t key;
  enum linear_kind kind;
  enum linear_outcome outcome;
  uint64_t value;
  uint64_t expected;
  uint64_t saw;
  uint64_t called;   /* time; an operation is before another when it returned before that was called */
  uint64_t returned; /* of LINEAR_OK */
};

enum linear_verdict { LINEAR_PASS, LINEAR_VIOLATED, LINEAR_UNDECIDED };

enum { LINEAR_STATES_MAX = 8, LINEAR_PENDING_MAX = 256, LINEAR_STEPS_DEFAULT = 4000000 };

/* Where the search got furthest and had to give up: every order of what came before leaves the register in one of
 * `states` (at most LINEAR_STATES_MAX of them), none of which explains `op`. */
struct linear_report {
  size_t op; /* its place in the history */
  uint64_t states[LINEAR_STATES_MAX];
  size_t states_count;
  uint64_t steps; /* of the search, all keys together */
};

/* UNDECIDED after `steps_max` steps, or when more than LINEAR_PENDING_MAX operations of a key overlap. `report` is
 * complete for VIOLATED. */
enum linear_verdict linear_check(const struct linear_op *ops, size_t ops_count, uint64_t steps_max,
                                 struct linear_report *report);

#endif
