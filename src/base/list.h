/* An intrusive circular doubly linked list, without macros: the link is the first member of the thing
 * that is linked, or the user subtracts its offset. A head links to itself when empty. One thread. */
#ifndef KV_BASE_LIST_H
#define KV_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
  struct list *next;
  struct list *prev;
};

static inline void list_init(struct list *head) {
  head->next = head;
  head->prev = head;
}

static inline bool list_empty(const struct list *head) {
  return head->next == head;
}

static inline void list_push_back(struct list *head, struct list *item) {
  item->next = head;
  item->prev = head->prev;
  head->prev->next = item;
  head->prev = item;
}

/* Unlinks; the item then links to itself, so that a second removal does no harm. */
static inline void list_remove(struct list *item) {
  item->prev->next = item->next;
  item->next->prev = item->prev;
  item->next = item;
  item->prev = item;
}

/* NULL when empty. */
static inline struct list *list_pop_front(struct list *head) {
  struct list *item = head->next;
  if (item == head) return NULL;
  list_remove(item);
  return item;
}

#endif
