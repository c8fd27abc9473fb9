/*
 * Commit everywhere or nowhere: a release goes to every worker, and when all
 * are ready it is the one in force; else nothing has changed.
 */
#ifndef WSGATE_PROCESS_ROLLOUT_H
#define WSGATE_PROCESS_ROLLOUT_H

#include "shared/err.h"
#include "wsgate/process/ports.h"
#include "wsgate/process/release.h"
#include "wsgate/process/workforce.h"

#include <stdbool.h>
#include <uv.h>

/*
 * Exactly once after each rollout_begin() that answered true: the release is in
 * force, or it is freed and `why` says what was in the way. May begin another.
 */
typedef void rollout_ended(void *ctx, bool is_committed, const char *why);

struct rollout;

struct rollout *rollout_new(uv_loop_t *loop, rollout_ended *on_end, void *ctx);
/* Closes handles; run the loop once more before rollout_free(). */
void rollout_close(struct rollout *rollout);
/* Frees the releases, too. */
void rollout_free(struct rollout *rollout);
/* For workforce_new(), with the rollout as ctx; its on_all_gone stops the loop.
 * The force is borrowed and set before the first rollout_send(). */
extern const struct workforce_events rollout_workforce_events;
void rollout_set_force(struct rollout *rollout, struct workforce *force);

/*
 * Makes `release` (taken in any case) the pending one: its log and its ports
 * are opened. On failure nothing has changed and the release is freed.
 */
bool rollout_begin(struct rollout *rollout, struct release *release, int slots,
    struct err *err);
/* To all workers that are up; one that comes later gets it when it is here. */
void rollout_send(struct rollout *rollout);
/* The pending one, if any, is off. */
void rollout_cancel(struct rollout *rollout, const char *why);
/* The service ends: what is pending is off, workers' news are of no interest,
 * ports are closed. */
void rollout_stop(struct rollout *rollout);
/* USR1: the access log of the release in force, for all. */
bool rollout_reopen_log(struct rollout *rollout, struct err *err);

/* Borrowed; NULL: none. */
struct release *rollout_current(const struct rollout *rollout);
struct release *rollout_pending(const struct rollout *rollout);

#endif
