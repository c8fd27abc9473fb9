/*
 * When is each target due and when is a failure tried again (3 and 4 of
 * contrib/doc/ocsp-rules.md)? Pure: the time and the jitter are arguments. Unix seconds.
 */
#ifndef OCSPD_SCHEDULE_H
#define OCSPD_SCHEDULE_H

#include "ocspd/target.h"

#include <stdbool.h>
#include <stdint.h>

struct schedule_limits {
    int64_t probe_interval_s; /* 12 h; must-staple uses at most 1 h */
    int64_t min_interval_s; /* 60 s */
};

/* After an accepted response (good, revoked or unchanged) at `now`. */
int64_t schedule_after_success(const struct target *target,
    const struct schedule_limits *limits, int64_t now);
/*
 * After a failed round (all URLs tried) at `now`; `random` is in [0,1) and
 * spreads by 0.5 .. 1.5. target->state.failures counts this one already.
 */
int64_t schedule_after_failure(const struct target *target,
    const struct schedule_limits *limits, int64_t now, double random);
/* At start: no staple -> now, but min_interval after a failure; else what the
 * state says, spread. */
int64_t schedule_at_start(const struct target *target,
    const struct schedule_limits *limits, int64_t now);
/* When the .der must leave the spool: life_end - min(60 s, W/20). */
int64_t schedule_removal(const struct target_state *state);
/* Order of the queue: must-staple first, then smallest R/W. As qsort. */
int
schedule_compare(const struct target *a, const struct target *b, int64_t now);

enum schedule_alert {
    ALERT_NONE,
    ALERT_LATE, /* a newer response is overdue by the BR rule */
    ALERT_WARN, /* R < W/4 */
    ALERT_CRIT, /* R < min(W/8, 6 h) */
    ALERT_DOWN /* expired, or never had one and the first tries failed */
};
enum schedule_alert schedule_alert(const struct target *target, int64_t now);
const char *schedule_alert_word(enum schedule_alert alert);

#endif
