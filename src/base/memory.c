#include "base/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* What malloc takes from the end of the heap and gets back at once is where it takes the next pieces from. */
void memory_warm(void) {
  uint8_t *block = malloc(MEMORY_WARM_BYTES);
  if (block == NULL) return;
  size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
  size_t skipped = (page_bytes - (uintptr_t)block % page_bytes) % page_bytes;
  size_t whole_pages = (MEMORY_WARM_BYTES - skipped) / page_bytes;
  (void)madvise(block + skipped, whole_pages * page_bytes, MADV_POPULATE_WRITE);
  free(block);
}
