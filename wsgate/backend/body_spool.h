/*
 * A request body held back until its length is known: the first bytes in
 * memory, the rest in a file without a name.
 */
#ifndef WSGATE_BACKEND_BODY_SPOOL_H
#define WSGATE_BACKEND_BODY_SPOOL_H

#include "shared/buf.h"
#include "shared/err.h"
#include "shared/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BODY_SPOOL_MEMORY = 64 * 1024 /* ours: most forms fit */ };

struct body_spool {
    struct buf memory;
    int fd; /* -1: no file yet */
    uint64_t len; /* all bytes */
    uint64_t max; /* 0: none */
};

void body_spool_init(struct body_spool *spool, uint64_t max);
void body_spool_fini(struct body_spool *spool);

/* ERR_LIMIT: the body would pass `max`. */
bool
body_spool_add(struct body_spool *spool, struct span bytes, struct err *err);
/* *got bytes from `offset`, fewer than `room` only where memory and file meet
 * or at the end. */
bool body_spool_read(const struct body_spool *spool, uint64_t offset,
    unsigned char *out, size_t room, size_t *got, struct err *err);

#endif
