/*
 * One configuration with all that workers need of it: checked, bundled, its log
 * open. The master has one in force and, during a reload, one pending.
 */
#ifndef WSGATE_PROCESS_RELEASE_H
#define WSGATE_PROCESS_RELEASE_H

#include "shared/err.h"
#include "wsgate/client/generation.h"
#include "wsgate/process/master.h"

#include <stdbool.h>
#include <stdint.h>

struct release {
    uint64_t id;
    struct generation *generation; /* ours: built to check it; has the config */
    int bundle; /* sealed memfd */
    int log_fd; /* access log; -1: off */
    bool *ready; /* per worker slot, while pending; owned, may be NULL */
};

/*
 * Loads, reads every file, bundles, and builds what a worker will build from
 * the same bytes: a pair that does not fit is found here. Writes nothing: -t
 * by root must not leave a log that the service cannot open. New;
 * release_free().
 */
bool release_make(master_load *load, void *ctx, uint64_t id,
    struct release **out, struct err *err);
void release_free(struct release *release);
/* Opens the access log (again); log_fd is set on success only. */
bool release_open_log(struct release *release, struct err *err);
/* Borrowed. */
const struct gate_config *release_config(const struct release *release);

#endif
