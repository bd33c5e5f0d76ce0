/* Work on the shared pool of threads whose owner may end it: once works_close has returned, none of it runs any more,
 * none begins, and nobody is told. The loop's thread. */
#ifndef KV_SERVER_WORKS_H
#define KV_SERVER_WORKS_H

#include "io/loop.h"

struct works;

struct works *works_create(struct io_loop *loop); /* returns owned */
/* `work` runs on a thread of the pool, then `done` on the loop; both get `subject`, which is lent in between. */
void works_submit(struct works *works, void (*work)(void *subject), void (*done)(void *owner, void *subject),
                  void *owner, void *subject);
/* Waits for those that run. Takes. */
void works_close(struct works *works);

#endif
