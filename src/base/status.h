/* How a call can end when the world (bytes, disks, peers, clients) is at fault.
 *
 * A call returns one of these; results travel through out-parameters, which stay
 * untouched unless the call returned STATUS_OK. Faults of the program itself are not statuses:
 * they end in CHECK (base/check.h). Pure, any thread. */
#ifndef KV_BASE_STATUS_H
#define KV_BASE_STATUS_H

enum status {
  STATUS_OK = 0,
  STATUS_INVALID,    /* malformed or out of range input */
  STATUS_TOO_LARGE,  /* a named limit was exceeded */
  STATUS_NOT_FOUND,  /* no such key, file, operation */
  STATUS_NOT_LEADER, /* this node does not lead, but knows who does */
  STATUS_NO_LEADER,  /* no leader is known */
  STATUS_OVERLOADED, /* a bounded queue is full; nothing was done */
  STATUS_TIMEOUT,    /* the deadline passed; for a write the outcome is unknown */
  STATUS_DISK_FULL,  /* refused at admission, nothing was done */
  STATUS_CORRUPT,    /* stored bytes contradict themselves */
  STATUS_IO,         /* the operating system refused */
  STATUS_CLOSED      /* the other side, or the owner, is gone */
};

/* The constant's name in lower case without prefix, for logs ("not_leader"). Static. */
const char *status_name(enum status status);

/* A message for people, made only at the edges (open, config, recovery, decode).
 * Always NUL-terminated; longer text is cut. */
enum { ERROR_TEXT_MAX = 512 };
struct error {
  char text[ERROR_TEXT_MAX];
};

/* Formats into err->text; err may be NULL. Returns `status`, so that callers can `return error_set(...)`. */
enum status error_set(struct error *err, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
