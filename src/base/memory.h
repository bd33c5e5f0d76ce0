/* Hints about the memory behind malloc. Any thread. */
#ifndef KV_BASE_MEMORY_H
#define KV_BASE_MEMORY_H

/* For whoever is about to allocate a lot in small pieces, once per MEMORY_WARM_BYTES of them: asks the system for the
 * pages at the end of the heap in one go, because one page fault after the other can take longer than the work itself.
 * Only a hint: when the system cannot, or malloc finds room elsewhere, nothing is lost. */
void memory_warm(void);

/* Below the size from which malloc maps a block of its own, away from the heap. */
enum { MEMORY_WARM_BYTES = 122880 };

#endif
