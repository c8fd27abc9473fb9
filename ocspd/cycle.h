/*
 * The daemon's story: finds certificates, carries whatever is due through the
 * stations, keeps the spool true, follows files, signals and clock jumps.
 */
#ifndef OCSPD_CYCLE_H
#define OCSPD_CYCLE_H

#include "ocspd/ocspd_config.h"
#include "ocspd/target.h"

#include <stdbool.h>

/* For `ocspd fetch`, one call per certificate at the end. `error` is NULL when
 * there is none. */
typedef void cycle_report(
    void *ctx, const struct target *target, bool is_live, const char *error);
/* Is this one of the certificates that `ocspd fetch` was asked for? */
typedef bool cycle_wants(void *ctx, const struct target *target);

struct cycle_options {
    struct ocspd_config *config; /* taken */
    const char *config_path; /* read again on HUP; NULL: no file */
    bool once; /* ask about each certificate once, then end */
    cycle_wants *wants; /* once: NULL means all */
    cycle_report *report; /* once: may be NULL */
    void *ctx;
};

/*
 * Runs until TERM or INT, or until everything was asked once. Answers the exit
 * code: 0; when it cannot start that of sysexits.h, logged; once: 75 when a
 * certificate that can have a staple has no living one.
 */
int cycle_run(const struct cycle_options *options);

#endif
