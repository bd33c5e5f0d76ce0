/* What the system knows of this process, under the names that Prometheus' own clients give it. Linux: read from /proc,
 * which answers from memory. */
#ifndef KV_SERVER_PROCESS_FIGURES_H
#define KV_SERVER_PROCESS_FIGURES_H

#include "base/buffer.h"

/* Appends the families process_*; what cannot be read is left out. Any thread. */
void process_figures_write(struct buffer *out);

#endif
