/*
 * One configuration with all that workers need of it: checked, bundled, its log
 * open. The master has one in force and, during a reload, one pending.
 */
#ifndef WSGATE_PROCESS_RELEASE_H
#define WSGATE_PROCESS_RELEASE_H

#include "shared/err.h"
#include "wsgate/process/bundle.h"
#include "wsgate/process/master.h"

#include <stdbool.h>
#include <stdint.h>

struct release {
    uint64_t id;
    struct release_config *config; /* counted: a release made again shares it */
    int bundle; /* sealed memfd */
    int log_fd; /* access log; -1: off */
    bool *ready; /* per worker slot: through with it; owned, NULL before */
};

/*
 * Loads, reads every file, bundles, and builds what a worker will build from
 * the same bytes: a pair that does not fit is found here. `old` (NULL: none) is
 * the release in force: where a new pair must wait for its staple, the old one
 * stays. Writes nothing: -t by root must not leave a log that the service
 * cannot open. New; release_free().
 */
bool release_make(master_load *load, void *ctx, uint64_t id,
    const struct release *old, struct release **out, struct err *err);
/* The same configuration and log as `old`, with other bytes, which the caller
 * has tried. New. */
bool release_make_again(const struct release *old, uint64_t id,
    bundle_source *source, void *ctx, struct release **out, struct err *err);
/* A reader of its bundle; new. */
bool release_open_bundle(
    const struct release *release, struct bundle **out, struct err *err);
void release_free(struct release *release);
/* Opens the access log unless it is open; log_fd is set on success only. */
bool release_open_log(struct release *release, struct err *err);
/* Borrowed. */
const struct gate_config *release_config(const struct release *release);

#endif
