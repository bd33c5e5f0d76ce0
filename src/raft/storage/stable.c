/* The seed's four calls of a StableStore, on top of the one record. */
#include "raft/storage/storage.h"

uint64_t stable_get_current_term(struct stable_store *store) {
  struct raft_hard_state state;
  store->ops->load(store, &state);
  return state.term;
}

enum status stable_set_current_term(struct stable_store *store, uint64_t term) {
  struct raft_hard_state state;
  store->ops->load(store, &state);
  if (term < state.term) return STATUS_INVALID;
  if (term == state.term) return STATUS_OK;
  state.term = term;
  state.voted_for = RAFT_NODE_NONE;
  return store->ops->save(store, &state);
}

bool stable_get_voted_for(struct stable_store *store, uint8_t *node) {
  struct raft_hard_state state;
  store->ops->load(store, &state);
  if (state.voted_for == RAFT_NODE_NONE) return false;
  *node = state.voted_for;
  return true;
}

enum status stable_set_voted_for(struct stable_store *store, uint8_t node) {
  struct raft_hard_state state;
  store->ops->load(store, &state);
  if (state.voted_for != RAFT_NODE_NONE && state.voted_for != node) return STATUS_INVALID;
  state.voted_for = node;
  return store->ops->save(store, &state);
}
