/*
 * When each target is due and when a failure is tried again (3 and 4 of
 * contrib/doc/ocsp-rules.md). Input: what is known of a target, limits, the time, the jitter.
 * Output: Unix seconds for the cycle's timer, order, alert level.
 */
#include "ocspd/schedule.h"

#include <string.h>

enum {
    MINUTE_S = 60,
    HOUR_S = 3600,
    DAY_S = 86400,
    FLOOR_MAX_S = 5 * MINUTE_S, /* 3.4: not before min(5 min, W/8) */
    MUST_STAPLE_PROBE_S = HOUR_S, /* 3.4 */
    UNCHANGED_S = 30 * MINUTE_S, /* 3.4: first look behind the promise */
    START_SPREAD_S = 10 * MINUTE_S, /* 3.4 */
    BR_SHORT_S = 16 * HOUR_S, /* BR 4.9.10: below, new at half-life */
    BR_MARGIN_S = 8 * HOUR_S, /* ... else 8 h before nextUpdate */
    BR_LATEST_S = 4 * DAY_S, /* ... and 4 d after thisUpdate */
    BACKOFF_DOUBLINGS = 6, /* 3.5 */
    RETRY_MAX_S = HOUR_S, /* 3.5 */
    RETRY_MAX_LAST_HOUR_S = 5 * MINUTE_S,
    RETRY_MAX_EXPIRED_S = 15 * MINUTE_S,
    RETRY_AFTER_MAX_S = DAY_S,
    RETRY_AFTER_EXPIRED_S = HOUR_S, /* ours: nothing is left to wait for */
    NEW_CERT_S = HOUR_S, /* 3.5: the CA may not know it yet */
    NEW_CERT_RETRY_S = 3 * MINUTE_S,
    REMOVAL_MARGIN_S = MINUTE_S, /* 3.6 */
    CRIT_MAX_S = 6 * HOUR_S,
    LATE_GRACE_S = HOUR_S, /* ours: covers UNCHANGED_S and spread */
    DOWN_FAILURES = 3 /* ours: "the first tries" */
};

static int64_t
min_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t
max_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t
share(int64_t whole, double part)
{
    return (int64_t)((double)whole * part);
}

/* ---- W, R and what follows from them ------------------------------------- */

/* W. Without nextUpdate (max_age) the life is the window. At least 1 s. */
static int64_t
window(const struct target_state *state)
{
    int64_t end =
        state->next_update != 0 ? state->next_update : state->life_end;

    return max_of(end - state->this_update, 1);
}

static bool
is_known(const struct target_state *state)
{
    return state->life_end != 0;
}

/* R; 0 when nothing is known or all of it is used up. */
static int64_t
left(const struct target_state *state, int64_t now)
{
    return is_known(state) ? max_of(state->life_end - now, 0) : 0;
}

/* E: the moment by which the BR promise a newer response. */
static int64_t
promised_at(const struct target_state *state)
{
    int64_t w = window(state);

    if (w < BR_SHORT_S)
        return state->this_update + w / 2;
    return state->this_update + min_of(BR_LATEST_S, w - BR_MARGIN_S);
}

static int64_t
probe_interval(
    const struct target *target, const struct schedule_limits *limits)
{
    if (!target->must_staple)
        return limits->probe_interval_s;
    return min_of(limits->probe_interval_s, MUST_STAPLE_PROBE_S);
}

/* No earlier than this after an accepted response. */
static int64_t
floor_after_success(
    const struct target *target, const struct schedule_limits *limits)
{
    return max_of(min_of(FLOOR_MAX_S, window(&target->state) / 8),
        max_of(limits->min_interval_s, 1));
}

/* The last quarter of a life is for failures, not for waiting. */
static int64_t
latest_plan(const struct target_state *state)
{
    return state->life_end - (state->life_end - state->this_update) / 4;
}

/* The refresh point, before anything bounds it. */
static int64_t
half_life(const struct target *target)
{
    const struct target_state *state = &target->state;

    return state->this_update +
           share(window(state), 0.50 + 0.10 * target->jitter);
}

/* ---- after an accepted response ------------------------------------------ */

/* The HTTP cache in between says that it would give the same bytes again. */
static int64_t
behind_max_age(const struct target_state *state, int64_t due)
{
    int64_t limit = state->this_update + share(window(state), 0.60);

    return max_of(due, min_of(state->max_age_until, limit));
}

/* When the target is refreshed if nothing is wrong: half-life, but never in the
 * last quarter of a life that a signer's or the leaf's end cuts short. */
static int64_t
refresh_point(const struct target *target)
{
    return min_of(half_life(target), latest_plan(&target->state));
}

static int64_t
plan_fresh(const struct target *target, const struct schedule_limits *limits,
    int64_t now)
{
    int64_t due =
        min_of(half_life(target), now + probe_interval(target, limits));

    due = behind_max_age(&target->state, due);
    return min_of(due, latest_plan(&target->state));
}

/*
 * Behind the refresh point with a response that is still the old one: no
 * failure, the CA may have no newer one yet. Look again when it must have one,
 * spread so that a fleet does not ask in that very second.
 */
static int64_t
plan_late(const struct target *target, const struct schedule_limits *limits,
    int64_t now)
{
    const struct target_state *state = &target->state;
    int64_t r = left(state, now);
    int64_t due = max_of(promised_at(state), now + UNCHANGED_S);

    due += share(min_of(UNCHANGED_S, r / 8), target->jitter);
    due = min_of(due, now + probe_interval(target, limits));
    due = behind_max_age(state, due);
    return min_of(due, now + r / 4);
}

int64_t
schedule_after_success(const struct target *target,
    const struct schedule_limits *limits, int64_t now)
{
    int64_t due = refresh_point(target) > now ? plan_fresh(target, limits, now)
                                              : plan_late(target, limits, now);

    return max_of(due, now + floor_after_success(target, limits));
}

/* ---- after a failure ----------------------------------------------------- */

/* The longest wait that still leaves several tries before the end. */
static int64_t
retry_cap(int64_t r)
{
    if (r <= 0)
        return RETRY_MAX_EXPIRED_S;
    if (r < HOUR_S)
        return min_of(RETRY_MAX_LAST_HOUR_S, r / 8);
    return min_of(RETRY_MAX_S, r / 8);
}

/* 60 s (min_interval), 2 min, 4 min ... spread by 0.5 .. 1.5. */
static int64_t
backoff(const struct target *target, const struct schedule_limits *limits,
    int64_t r, double random)
{
    unsigned n = target->state.failures > 0 ? target->state.failures - 1 : 0;
    int64_t base = max_of(limits->min_interval_s, 1)
                   << (n < BACKOFF_DOUBLINGS ? n : BACKOFF_DOUBLINGS);

    return min_of(share(base, 0.5 + random), retry_cap(r));
}

/* Waits with a fixed length: a tenth of spread is enough, nobody's outage
 * brings all targets there in the same second. */
static int64_t
about(int64_t wait, double random)
{
    return share(wait, 0.9 + 0.2 * random);
}

/* An hour, but never so long that a living staple dies of it. */
static int64_t
about_an_hour(int64_t r, double random)
{
    int64_t wait = about(HOUR_S, random);

    return r > 0 && r / 8 < HOUR_S ? min_of(wait, retry_cap(r)) : wait;
}

static int64_t
failure_wait(const struct target *target, const struct schedule_limits *limits,
    int64_t now, double random)
{
    int64_t r = left(&target->state, now);

    switch (verdict_class(target->state.last_verdict)) {
    case VERDICT_CLASS_VERIFY:
        return about_an_hour(r, random);
    case VERDICT_CLASS_UNAUTHORIZED:
        if (now - target->first_seen < NEW_CERT_S)
            return about(NEW_CERT_RETRY_S, random);
        return about_an_hour(r, random);
    case VERDICT_CLASS_NONE:
    case VERDICT_CLASS_ACCEPTED:
    case VERDICT_CLASS_TRANSPORT:
    case VERDICT_CLASS_REFUSAL:
        break;
    }
    return backoff(target, limits, r, random);
}

/* Retry-After is a wish that we grant within reason. */
static int64_t
retry_after(const struct target_state *state, int64_t now)
{
    int64_t r = left(state, now);
    int64_t limit =
        r > 0 ? min_of(RETRY_AFTER_MAX_S, r / 4) : RETRY_AFTER_EXPIRED_S;

    return min_of(state->retry_after, now + limit);
}

int64_t
schedule_after_failure(const struct target *target,
    const struct schedule_limits *limits, int64_t now, double random)
{
    int64_t due = now + failure_wait(target, limits, now, random);

    due = max_of(due, retry_after(&target->state, now));
    return max_of(due, now + max_of(limits->min_interval_s, 1));
}

/* ---- at start ------------------------------------------------------------ */

/* What the side file says, within what could have been written now: it may
 * come from a wrong clock or from other limits. */
static int64_t
remembered(const struct target *target, const struct schedule_limits *limits,
    int64_t now)
{
    const struct target_state *state = &target->state;
    int64_t latest = max_of(state->this_update + share(window(state), 0.60),
        now + left(state, now) / 4);

    if (state->next_attempt == 0)
        return min_of(
            refresh_point(target), now + probe_interval(target, limits));
    return min_of(state->next_attempt,
        min_of(latest, now + probe_interval(target, limits)));
}

/* Late starts of many targets at once: those that can wait are spread. */
static int64_t
start_spread(const struct target *target, int64_t now)
{
    int64_t r = left(&target->state, now);

    if (target->must_staple || r < window(&target->state) / 4)
        return 0;
    return share(min_of(START_SPREAD_S, r / 8), target->jitter);
}

/* What a plan was made for is still there. A revoked one whose staple is not
 * wanted has its answer without bytes. */
static bool
has_answer(const struct target *target, int64_t now)
{
    const struct target_state *state = &target->state;

    return left(state, now) > 0 &&
           (state->has_staple ||
               (state->status == OCSP_CERT_REVOKED &&
                   target->rule.on_revoked != ON_REVOKED_PUBLISH));
}

static bool
has_failed(const struct target_state *state)
{
    enum verdict_class class = verdict_class(state->last_verdict);

    return class != VERDICT_CLASS_NONE && class != VERDICT_CLASS_ACCEPTED;
}

/* Without a staple only a responder that failed is spared: of one that answered
 * the bytes are lost, and no plan was made for that. */
int64_t
schedule_at_start(const struct target *target,
    const struct schedule_limits *limits, int64_t now)
{
    const struct target_state *state = &target->state;
    bool is_answered = has_answer(target, now);
    int64_t due = now;

    if (is_answered)
        due = remembered(target, limits, now);
    if (is_answered && due <= now)
        due = now + start_spread(target, now);
    /* A daemon that restarts all the time must not ask all the time. */
    if ((is_answered || has_failed(state)) && state->last_attempt > 0 &&
        state->last_attempt <= now)
        due = max_of(due, state->last_attempt + limits->min_interval_s);
    return max_of(due, now);
}

/* ---- the end of a life, order, alerts ------------------------------------ */

int64_t
schedule_removal(const struct target_state *state)
{
    int64_t margin = min_of(REMOVAL_MARGIN_S, window(state) / 20);

    if (!is_known(state))
        return 0;
    /* At life_end itself it is expired: a second before at the least. */
    return state->life_end - max_of(margin, 1);
}

static double
life_share(const struct target *target, int64_t now)
{
    return (double)left(&target->state, now) / (double)window(&target->state);
}

int
schedule_compare(const struct target *a, const struct target *b, int64_t now)
{
    double share_a = life_share(a, now);
    double share_b = life_share(b, now);

    if (a->must_staple != b->must_staple)
        return a->must_staple ? -1 : 1;
    if (share_a < share_b)
        return -1;
    if (share_a > share_b)
        return 1;
    return strcmp(a->fp, b->fp);
}

/* Somebody asked behind the promised moment, or should have, and the old one
 * is still the newest. */
static bool
is_late(const struct target_state *state, int64_t now)
{
    int64_t promised = promised_at(state);

    return now > promised &&
           (state->last_attempt >= promised || now > promised + LATE_GRACE_S);
}

enum schedule_alert
schedule_alert(const struct target *target, int64_t now)
{
    const struct target_state *state = &target->state;
    int64_t r = left(state, now);
    int64_t w = window(state);

    if (target->mode != TARGET_OCSP)
        return ALERT_NONE;
    if (!is_known(state))
        return state->failures >= DOWN_FAILURES ? ALERT_DOWN : ALERT_NONE;
    if (r == 0)
        return ALERT_DOWN;
    if (r < min_of(w / 8, CRIT_MAX_S))
        return ALERT_CRIT;
    if (r < w / 4)
        return ALERT_WARN;
    return is_late(state, now) ? ALERT_LATE : ALERT_NONE;
}

const char *
schedule_alert_word(enum schedule_alert alert)
{
    switch (alert) {
    case ALERT_NONE:
        return "none";
    case ALERT_LATE:
        return "late";
    case ALERT_WARN:
        return "warn";
    case ALERT_CRIT:
        return "crit";
    case ALERT_DOWN:
        return "down";
    }
    return "none";
}
