/*
 * A target under care and what the daemon knows beside it: what really lies in
 * the spool, bytes that could not be written yet, what was logged when. Facts
 * change here; the cycle acts on them.
 */
#ifndef OCSPD_CARE_H
#define OCSPD_CARE_H

#include "ocspd/round.h"
#include "ocspd/schedule.h"
#include "ocspd/target.h"
#include "shared/buf.h"
#include "shared/spool.h"

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

enum care_write {
    CARE_WRITE_META, /* the side file alone */
    CARE_WRITE_STORE, /* new bytes */
    CARE_WRITE_REMOVE /* the staple is withdrawn */
};

struct care {
    struct target *target; /* owned; found by its fp */
    struct round *round; /* NULL: none under way */
    char *source; /* URL of the newest response; NULL: unknown */
    char *last_error; /* NULL: none */
    void *owner; /* the cycle, for callbacks */
    bool is_attempted; /* a round ended since start */
    int64_t asked_at; /* when the newest round began */

    /* the .der that consumers see (target->state.has_staple) */
    int64_t spooled_this_update;
    int64_t spooled_life_end;

    /* a change not yet in the spool; CARE_WRITE_META: none */
    enum care_write pending;
    struct buf pending_der;
    int64_t pending_this_update;
    int64_t pending_life_end;
    unsigned generation; /* of the newest change */
    unsigned writing; /* changes on their way to the spool */
    int64_t retry_write_ms; /* boot time: not again before; 0: now */

    int64_t failing_since;
    int64_t failure_logged_at;
    int64_t revoked_logged_at;
    int64_t alert_logged_at;
    enum schedule_alert alert;
    unsigned scan; /* the last one that found it */
    unsigned der_scan; /* the last one that saw its .der */
    int64_t gone_at; /* boot ms; 0: still configured */
    int64_t gone_look_ms; /* boot ms: successors are looked for again */
    int64_t leave_ms; /* boot ms: outputs were asked to let go of its staple; 0:
                         not */
    UT_hash_handle hh;
};

/* Takes the target; NULL for lack of memory (the target is freed). */
struct care *care_new(struct target *target);
/* Cancels a round under way. */
void care_free(struct care *care);

/*
 * Reads and verifies what the spool holds, anew from nothing. Answers
 * CARE_WRITE_REMOVE when a .der lies there that may not be stapled (and logs
 * why), else CARE_WRITE_META.
 */
enum care_write
care_load(struct care *care, const struct spool *spool, int64_t now);

/*
 * The same certificate was found again: takes over what the configuration says
 * of it now. True when another answer may come of it: ask now. `found` is
 * freed. A round under way is cancelled.
 */
bool care_adopt(struct care *care, struct target *found);

/* A round that began at asked_at ended; the next attempt is planned. Answers
 * what to write. */
enum care_write
care_accept(struct care *care, const struct round_result *result,
    const struct schedule_limits *limits, int64_t now);
void care_fail(struct care *care, const struct round_result *result,
    const struct schedule_limits *limits, int64_t now, double random);

/* When the .der must be gone; 0: there is none. */
int64_t care_removal_at(const struct care *care);
/* Is a valid staple of a good certificate in the spool? */
bool care_is_live(const struct care *care, int64_t now);

/* Lasting states are logged when they begin, hourly, and when they end. */
void care_log_alert(struct care *care, int64_t now);
/* Once, when a certificate comes under care. */
void care_log_mode(const struct care *care);
/* Once, when its mode changes. */
void care_log_new_mode(const struct care *care, enum target_mode old);

#endif
