/*
 * Certificates on disk: what changes there is on the wire without a reload, as
 * soon as it is of use (pair_judge); until then the pair in force stays. The
 * master has one.
 */
#ifndef WSGATE_PROCESS_PAIRS_H
#define WSGATE_PROCESS_PAIRS_H

#include "shared/err.h"
#include "wsgate/process/bundle.h"
#include "wsgate/process/release.h"

#include <stdbool.h>
#include <uv.h>

struct pairs_events {
    /* May a swap begin now, or is something else under way? Whoever says no
     * calls pairs_resume() when that is over. */
    bool (*may_swap)(void *ctx);
    /* A release like the one in force, with these bytes, is to be given to the
     * workers: pairs_swapped() when it is over, be it before this returns. The
     * source is used during the call only. False: nothing has begun. */
    bool (*swap)(
        void *ctx, bundle_source *source, void *source_ctx, struct err *err);
};

struct pairs;

struct pairs *
pairs_new(uv_loop_t *loop, const struct pairs_events *events, void *ctx);
/* Closes handles; run the loop once more before pairs_free(). */
void pairs_close(struct pairs *pairs);
void pairs_free(struct pairs *pairs);

/* Another configuration is in force (start, reload); the release is borrowed
 * until the next call of this or of pairs_swapped(). */
void pairs_follow(struct pairs *pairs, const struct release *release);
/* The swap is over; `release` is in force. */
void pairs_swapped(struct pairs *pairs, const struct release *release,
    bool is_committed, const char *why);
void pairs_resume(struct pairs *pairs);
/* The service ends: no more looks. */
void pairs_stop(struct pairs *pairs);

#endif
