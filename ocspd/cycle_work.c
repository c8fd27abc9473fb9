/*
 * Rounds and writes: whatever is due now.
 * Input: the cares and the time. Output: rounds started, the spool kept true.
 */
#include "ocspd/cycle_private.h"

#include "shared/log.h"
#include "shared/now.h"

#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

enum {
    WRITE_RETRY_MS = 10 * 1000, /* ours: a full disk is looked at so often */
    ROUND_RETRY_S = 60, /* ours: memory was gone */
    LOG_AGAIN_S = 3600,
    LEAVE_SHARE_MS = 500 /* of each second between removal and end of life */
};

/* ---- writing ------------------------------------------------------------ */

/* One change on its way to the spool. */
struct writing {
    struct cycle *cycle;
    enum care_write kind;
    unsigned generation; /* 0: not the pending one */
    int64_t this_update;
    int64_t life_end;
};

/* In a unit a folder that was made anew cannot be written before a restart. */
static const char *
mend_for(const char *spool)
{
    struct statvfs disk;

    if (statvfs(spool, &disk) == 0 && disk.f_bavail == 0)
        return "make room on its disk";
    return "systemd-tmpfiles --create ocspd.conf && systemctl restart ocspd";
}

static void
disk_failed(struct cycle *c, const struct err *err)
{
    int64_t now = now_wall();

    if (c->disk_failing_since == 0)
        c->disk_failing_since = now;
    else if (now - c->disk_logged_at < LOG_AGAIN_S)
        return;
    c->disk_logged_at = now;
    log_error("the spool cannot be written, responses are kept in memory",
        LOG_S("spool", c->config->spool), LOG_ERR(err),
        LOG_S("mend", mend_for(c->config->spool)));
}

static void
disk_works(struct cycle *c)
{
    if (c->disk_failing_since == 0)
        return;
    log_info("the spool can be written again", LOG_S("spool", c->config->spool),
        LOG_I("after_s", now_wall() - c->disk_failing_since));
    c->disk_failing_since = 0;
}

static void
pending_clear(struct care *care)
{
    care->pending = CARE_WRITE_META;
    care->retry_write_ms = 0;
    buf_fini(&care->pending_der);
}

/* The clock went back while a staple was on its way out: the plan was made when
 * there seemed to be one. */
static void
plan_after_removal(struct cycle *c, struct care *care)
{
    struct target_state *state = &care->target->state;
    int64_t now = now_wall();

    if (state->status != OCSP_CERT_GOOD || state->life_end <= now)
        return;
    state->next_attempt = schedule_at_start(care->target, &c->limits, now);
    c->want_tick = true;
}

static void
note_written(struct cycle *c, struct care *care, const struct writing *w)
{
    struct target_state *state = &care->target->state;

    if (w->kind == CARE_WRITE_META)
        return;
    state->has_staple = w->kind == CARE_WRITE_STORE;
    care->spooled_this_update = w->this_update;
    care->spooled_life_end = w->life_end;
    care->leave_ms = 0;
    if (w->generation == care->generation)
        pending_clear(care);
    if (w->kind == CARE_WRITE_REMOVE)
        plan_after_removal(c, care);
}

static void
on_written(
    void *ctx, const char *fp, bool ok, bool changed, const struct err *err)
{
    struct writing *w = ctx;
    struct cycle *c = w->cycle;
    struct care *care = NULL;

    (void)changed;
    c->writing--;
    HASH_FIND(hh, c->cares, fp, strlen(fp), care);
    if (ok)
        disk_works(c);
    else
        disk_failed(c, err);
    if (care != NULL && care->writing > 0) {
        care->writing--;
        if (ok) {
            note_written(c, care, w);
        } else if (w->kind != CARE_WRITE_META) {
            care->retry_write_ms = now_boot_ms() + WRITE_RETRY_MS;
            cycle_wake_ms(c, care->retry_write_ms);
        }
        if (care->target->state.has_staple)
            cycle_wake_wall(c, care_removal_at(care));
    }
    c->want_tick |= c->options->once || ok;
    free(w);
}

static void
submit(struct cycle *c, struct care *care, struct writing want, struct span der)
{
    struct writing *w = malloc(sizeof(*w));

    if (w != NULL) {
        *w = want;
        w->cycle = c;
        if (publish_change(c->publish, care->target, der,
                want.kind == CARE_WRITE_REMOVE, care->source, care->last_error,
                on_written, w)) {
            c->writing++;
            care->writing++;
            return;
        }
    }
    free(w);
    care->retry_write_ms = now_boot_ms() + WRITE_RETRY_MS; /* no memory */
}

static void
submit_pending(struct cycle *c, struct care *care)
{
    struct writing want = {.kind = care->pending,
        .generation = care->generation,
        .this_update = care->pending_this_update,
        .life_end = care->pending_life_end};

    submit(c, care, want, buf_span(&care->pending_der));
}

/* No memory to keep the bytes: fetched again soon. What was there serves on,
 * and what waited for the disk still waits. */
static void
lose_bytes(struct care *care)
{
    struct target_state *state = &care->target->state;

    log_error("no memory to keep a response, asking again soon",
        LOG_S("target", care->target->label), LOG_S("fp", care->target->fp));
    state->der_sha256[0] = '\0'; /* no word about bytes that are not there */
    state->next_attempt = now_wall() + ROUND_RETRY_S;
}

static bool
keep_bytes(struct care *care, struct span der)
{
    struct buf copy;

    buf_init(&copy, OCSP_RESPONSE_MAX);
    if (!buf_add(&copy, der)) {
        buf_fini(&copy);
        return false;
    }
    buf_fini(&care->pending_der);
    care->pending_der = copy;
    care->pending_this_update = care->target->state.this_update;
    care->pending_life_end = care->target->state.life_end;
    return true;
}

/* The bytes stay in memory until the disk has them: a response that was
 * fetched is never lost to a full disk. */
void
cycle_write(
    struct cycle *c, struct care *care, enum care_write kind, struct span der)
{
    if (kind == CARE_WRITE_META) {
        submit(c, care, (struct writing){.kind = kind}, SPAN_EMPTY);
        return;
    }
    if (kind == CARE_WRITE_STORE && !keep_bytes(care, der)) {
        lose_bytes(care);
        return;
    }
    if (kind == CARE_WRITE_REMOVE) {
        buf_clear(&care->pending_der);
        care->pending_this_update = 0;
        care->pending_life_end = 0;
    }
    care->pending = kind;
    care->generation++;
    if (kind != CARE_WRITE_REMOVE || cycle_may_remove(c, care, CYCLE_LEAVE_MS))
        submit_pending(c, care);
}

/* A certificate that came back meanwhile took files for its staple that were
 * on their way out. Bytes of its own follow behind. */
static void
lose_retired(struct cycle *c, const char *fp)
{
    struct care *care = NULL;

    HASH_FIND(hh, c->cares, fp, strlen(fp), care);
    if (care == NULL)
        return;
    care->target->state.has_staple = false;
    if (care->pending == CARE_WRITE_STORE)
        return;
    log_info("certificate came back while its spool files went, asking anew",
        LOG_S("target", care->target->label), LOG_S("fp", fp));
    care->target->state.der_sha256[0] = '\0';
    care->target->state.next_attempt = now_wall();
    c->want_tick = true;
}

static void
on_retired(
    void *ctx, const char *fp, bool ok, bool changed, const struct err *err)
{
    struct cycle *c = ctx;

    (void)changed;
    c->writing--;
    lose_retired(c, fp);
    if (ok)
        log_debug("spool files removed", LOG_S("fp", fp));
    else
        disk_failed(c, err); /* the next scan finds them again */
}

void
cycle_retire(struct cycle *c, const char *fp)
{
    if (publish_retire(c->publish, fp, on_retired, c))
        c->writing++;
}

/* ---- rounds ------------------------------------------------------------- */

static double
random_share(void)
{
    uint64_t bits = 0;

    (void)uv_random(NULL, NULL, &bits, sizeof(bits), 0, NULL);
    return (double)(bits >> 11) / (double)(1ULL << 53);
}

static void
on_round(void *ctx, const struct round_result *result)
{
    struct care *care = ctx;
    struct cycle *c = care->owner;
    int64_t now = now_wall();
    enum care_write write = CARE_WRITE_META;

    care->round = NULL;
    care->target->is_busy = false;
    care->is_attempted = true;
    if (round_is_accepted(result->verdict))
        write = care_accept(care, result, &c->limits, now);
    else
        care_fail(care, result, &c->limits, now, random_share());
    cycle_write(c, care, write, result->body);
    cycle_wake_wall(c, care->target->state.next_attempt);
}

static void
start_round(struct cycle *c, struct care *care, int64_t now)
{
    struct err err;

    care->asked_at = now;
    care->round =
        round_start(c->fetch, care->target, NULL, on_round, care, &err);
    care->target->is_busy = care->round != NULL;
    if (care->round != NULL)
        return;
    log_error(
        "cannot ask", LOG_S("target", care->target->label), LOG_ERR(&err));
    care->is_attempted = true;
    care->target->state.next_attempt = now + ROUND_RETRY_S;
}

void
cycle_cancel_rounds(struct cycle *c)
{
    struct care *care, *next;

    HASH_ITER(hh, c->cares, care, next)
    {
        round_cancel(care->round);
        care->round = NULL;
        care->target->is_busy = false;
    }
}

/* After a jump or a resume a request under way is about another time, and its
 * connection most likely dead. */
void
cycle_replan(struct cycle *c, int64_t now)
{
    struct care *care, *next;

    cycle_cancel_rounds(c);
    HASH_ITER(hh, c->cares, care, next)
    care->target->state.next_attempt =
        schedule_at_start(care->target, &c->limits, now);
}

static int
by_urgency(const void *a, const void *b, void *ctx)
{
    const struct care *const *left = a;
    const struct care *const *right = b;

    return schedule_compare(
        (*left)->target, (*right)->target, *(const int64_t *)ctx);
}

/* Also one that is gone: as long as it is kept, it is kept from running out. */
static bool
is_askable(const struct cycle *c, const struct care *care)
{
    return care->target->mode == TARGET_OCSP && care->round == NULL &&
           !(c->options->once && care->is_attempted);
}

/* All that is due, the most urgent first: the limits are fetch's. */
static void
start_due(struct cycle *c, int64_t now)
{
    size_t count = 0;
    struct care **due = calloc(HASH_COUNT(c->cares) + 1, sizeof(*due));
    struct care *care, *next;

    if (due == NULL)
        return;
    HASH_ITER(hh, c->cares, care, next)
    {
        int64_t at = c->options->once ? now : care->target->state.next_attempt;

        if (!is_askable(c, care))
            continue;
        if (at <= now)
            due[count++] = care;
        else
            cycle_wake_wall(c, at);
    }
    qsort_r(due, count, sizeof(*due), by_urgency, &now);
    for (size_t i = 0; i < count; i++)
        start_round(c, due[i], now);
    free(due);
}

/* ---- what time does to a care ------------------------------------------- */

/* The certificate ended, or only seemed to: the clock was wrong for a while. */
static void
judge_mode(struct cycle *c, struct care *care, int64_t now)
{
    enum target_mode old = care->target->mode;

    if (!target_judge_time(care->target, now))
        return;
    round_cancel(care->round);
    care->round = NULL;
    care->target->is_busy = false;
    care_log_new_mode(care, old);
    care->target->state.next_attempt =
        schedule_at_start(care->target, &c->limits, now);
}

/* Bytes that wait for the disk stay: they are newer than what is removed. */
static void
remove_at_end(struct cycle *c, struct care *care, int64_t now)
{
    int64_t at = care_removal_at(care);

    if (at == 0 || care->pending == CARE_WRITE_REMOVE)
        return;
    if (at > now) {
        cycle_wake_wall(c, at);
        return;
    }
    if (!cycle_may_remove(
            c, care, (care->spooled_life_end - at) * LEAVE_SHARE_MS))
        return;
    log_error("staple removed at the end of its life",
        LOG_S("target", care->target->label), LOG_S("fp", care->target->fp),
        LOG_I("failures", care->target->state.failures));
    if (care->pending == CARE_WRITE_STORE) {
        submit(
            c, care, (struct writing){.kind = CARE_WRITE_REMOVE}, SPAN_EMPTY);
        return;
    }
    care->target->state.der_sha256[0] = '\0';
    cycle_write(c, care, CARE_WRITE_REMOVE, SPAN_EMPTY);
}

/* What waits for the disk does not wait beyond its life. */
static void
drop_dead(struct care *care, int64_t now)
{
    struct target_state waiting = {.this_update = care->pending_this_update,
        .life_end = care->pending_life_end};

    if (care->pending != CARE_WRITE_STORE || schedule_removal(&waiting) > now)
        return;
    log_error("response expired before it could be written",
        LOG_S("target", care->target->label), LOG_S("fp", care->target->fp));
    care->target->state.der_sha256[0] = '\0';
    pending_clear(care);
}

/* One change of a care at a time is on its way when the disk makes trouble. */
static void
tend_spool(struct cycle *c, struct care *care, int64_t now)
{
    if (care->writing > 0)
        return;
    drop_dead(care, now);
    if (care->retry_write_ms > now_boot_ms()) {
        cycle_wake_ms(c, care->retry_write_ms);
        return;
    }
    remove_at_end(c, care, now);
    if (care->writing > 0 || care->pending == CARE_WRITE_META ||
        (care->pending == CARE_WRITE_REMOVE &&
            !cycle_may_remove(c, care, CYCLE_LEAVE_MS)))
        return;
    submit_pending(c, care);
}

void
cycle_work(struct cycle *c, int64_t now)
{
    struct care *care, *next;

    HASH_ITER(hh, c->cares, care, next)
    {
        judge_mode(c, care, now);
        tend_spool(c, care, now);
        care_log_alert(care, now);
        if (care->gone_at != 0)
            cycle_tend_gone(c, care, now);
    }
    start_due(c, now);
    cycle_tend_outputs(c, now);
}
