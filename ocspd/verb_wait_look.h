/*
 * One look at the spool for one certificate: may a server staple for it now?
 * Used by `ocspd wait` alone.
 */
#ifndef OCSPD_VERB_WAIT_LOOK_H
#define OCSPD_VERB_WAIT_LOOK_H

#include "ocspd/target.h"
#include "shared/err.h"
#include "shared/spool.h"

#include <stdbool.h>
#include <stdint.h>

enum wait_word {
    WAIT_LIVE, /* verified here, good, in date */
    WAIT_REVOKED,
    WAIT_NOT_YET
};

struct wait_look {
    enum wait_word word;
    int64_t until; /* live: when the response ends */
    bool is_neglected; /* nobody seems to care for it: no side file, or its
                          next attempt is overdue */
    struct err why; /* unless live */
};

/* For a target in mode TARGET_OCSP. */
void verb_wait_look(const struct spool *spool, const struct target *target,
    int64_t now, struct wait_look *out);

#endif
