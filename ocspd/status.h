/*
 * State per target, for operators and monitoring, as text and as JSON: read
 * from the spool's files, no daemon needed.
 */
#ifndef OCSPD_STATUS_H
#define OCSPD_STATUS_H

#include "ocspd/target.h"
#include "shared/buf.h"
#include "shared/err.h"
#include "shared/spool.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct status_row {
    struct target *target; /* owned; its state is filled from the side file */
    struct spool_meta meta;
    bool has_meta; /* a side file that can be read */
    bool has_der;
    bool is_match; /* the side file speaks of that .der */
    const char *alert; /* the caller's word, a constant; "" at first */
};

struct status {
    struct status_row *rows; /* owned */
    size_t count;
};

/*
 * Adds one target (taken). `spool` NULL: there is none, nothing is stapled.
 * False for lack of memory.
 */
bool status_add(struct status *status, struct target *target,
    const struct spool *spool, struct err *err);
/* Everything in the spool, for when no configuration says what should be. */
bool status_add_spool(
    struct status *status, const struct spool *spool, struct err *err);
void status_fini(struct status *status);

/* "live" "revoked" "expired" "missing", else the target's mode word. */
const char *status_word(const struct status_row *row, int64_t now);

bool
status_write_text(const struct status *status, int64_t now, struct buf *out);
bool status_write_json(const struct status *status, const char *spool,
    int64_t now, struct buf *out);

#endif
