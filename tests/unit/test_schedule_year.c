/*
 * A year of outages, late CAs and clock jumps in which no staple may outlive
 * its end and no responder is asked too often. Input: a PRNG with fixed seeds.
 * Output: Check's report.
 */
#include "ocspd/schedule.h"

#include <check.h>
#include <stdlib.h>

enum { MIN = 60, H = 3600, D = 86400 };
#define T INT64_C(1800000000) /* the first thisUpdate */

/* For millions of checks: Check's own ones each write into a pipe. */
#define HOLDS(what)                                                            \
    do {                                                                       \
        if (!(what))                                                           \
            ck_abort_msg("%s", #what);                                         \
    } while (0)

static const struct schedule_limits usual = {12 * H, 60};

/* One certificate, one CA, one host. Real time is the CA's; the host's clock is
 * real + offset and jumps. The host re-plans at a jump, as the cycle does. */
struct year {
    uint64_t prng;
    struct target target;
    int64_t w;
    int64_t real;
    int64_t offset;
    int64_t due; /* host's clock */
    int64_t last_real; /* of the last request */
    int64_t ca_this_update; /* of the response the CA serves now */
    int64_t ca_next_issue;
    int64_t fault_until;
    enum verdict fault;
    bool has_faults;
    bool jumped; /* since the last request */
    int64_t quiet_until; /* no request before: the floor after success */
    unsigned long requests;
    unsigned long removals;
    int64_t uncovered; /* seconds without a staple */
};

static uint64_t
next_random(struct year *y)
{
    y->prng ^= y->prng << 13; /* xorshift64 */
    y->prng ^= y->prng >> 7;
    y->prng ^= y->prng << 17;
    return y->prng;
}

static int64_t
pick(struct year *y, int64_t below)
{
    return (int64_t)(next_random(y) % (uint64_t)below);
}

static int64_t
host_now(const struct year *y)
{
    return y->real + y->offset;
}

/* New responses as the BR promise them, sometimes late. */
static void
ca_runs(struct year *y)
{
    int64_t every = y->w < 16 * H ? y->w / 2 : y->w - 8 * H;

    if (every > 4 * D)
        every = 4 * D;
    while (y->ca_next_issue <= y->real) {
        y->ca_this_update = y->ca_next_issue;
        y->ca_next_issue += every;
        if (y->has_faults && pick(y, 10) == 0)
            y->ca_next_issue += pick(y, y->w);
    }
}

static void
faults_run(struct year *y)
{
    static const enum verdict faults[] = {VERDICT_CONNECT, VERDICT_TRY_LATER,
        VERDICT_UNAUTHORIZED, VERDICT_BAD_SIGNATURE, VERDICT_HTTP_STATUS};

    if (!y->has_faults || y->real < y->fault_until)
        return;
    y->fault = VERDICT_NONE;
    if (pick(y, 20) == 0) {
        y->fault = faults[pick(y, 5)];
        y->fault_until = y->real + pick(y, 2 * y->w) + 1;
    } else {
        y->fault_until = y->real + y->w / 20 + 1;
    }
}

/* What verify would say of the CA's newest response on this host. */
static enum verdict
answer(const struct year *y)
{
    const struct target_state *state = &y->target.state;
    int64_t now = host_now(y);
    int64_t short_life = y->w / 4 < 300 ? y->w / 4 : 300;

    if (y->fault != VERDICT_NONE)
        return y->fault;
    if (y->ca_this_update > now + 300)
        return VERDICT_NOT_YET_VALID;
    if (y->ca_this_update + y->w <= now)
        return VERDICT_EXPIRED;
    if (y->ca_this_update + y->w - now < short_life)
        return VERDICT_LIFE_TOO_SHORT;
    if (state->this_update > y->ca_this_update)
        return VERDICT_OLDER_THAN_STORED;
    return state->this_update == y->ca_this_update ? VERDICT_UNCHANGED
                                                   : VERDICT_GOOD;
}

static void
accept(struct year *y)
{
    struct target_state *state = &y->target.state;

    state->has_staple = true;
    state->this_update = y->ca_this_update;
    state->next_update = y->ca_this_update + y->w;
    state->life_end = state->next_update;
    state->failures = 0;
    state->retry_after = 0;
}

static int64_t
least_floor(const struct year *y)
{
    int64_t floor = y->w / 8 < 300 ? y->w / 8 : 300;

    return floor > 60 ? floor : 60;
}

static void
check_allowed(struct year *y)
{
    if (y->jumped || y->last_real == 0)
        return; /* a jump may bring the next request forward, once */
    HOLDS(y->real >= y->last_real + 60);
    HOLDS(y->real >= y->quiet_until);
}

static void
ask(struct year *y)
{
    struct target_state *state = &y->target.state;
    int64_t now = host_now(y);

    check_allowed(y);
    y->requests++;
    y->last_real = y->real;
    y->jumped = false;
    state->last_attempt = now;
    state->last_verdict = answer(y);
    if (verdict_class(state->last_verdict) == VERDICT_CLASS_ACCEPTED) {
        accept(y);
        y->due = schedule_after_success(&y->target, &usual, now);
        y->quiet_until = y->real + least_floor(y);
        HOLDS(y->due >= now + least_floor(y));
    } else {
        state->failures++;
        if (state->last_verdict == VERDICT_HTTP_STATUS)
            state->retry_after = now + pick(y, 3 * D);
        y->due = schedule_after_failure(
            &y->target, &usual, now, (double)pick(y, 1000) / 1000.0);
        state->retry_after = 0;
        y->quiet_until = 0;
        HOLDS(y->due >= now + 60);
    }
    state->next_attempt = y->due;
}

static void
sweep(struct year *y)
{
    struct target_state *state = &y->target.state;

    if (!state->has_staple || host_now(y) < schedule_removal(state))
        return;
    state->has_staple = false;
    y->removals++;
}

static void
jump(struct year *y)
{
    int64_t reach = pick(y, 2) == 0 ? 2 * H : 3 * D;

    y->offset = pick(y, 3) == 0 ? 0 : pick(y, 2 * reach) - reach;
    y->jumped = true;
    sweep(y);
    y->due = schedule_at_start(&y->target, &usual, host_now(y));
}

/* To the host's next event: a request, a removal, a jump. */
static void
wait_for_event(struct year *y, int64_t next_jump)
{
    int64_t until = y->due - y->offset;
    int64_t removal = schedule_removal(&y->target.state) - y->offset;

    if (y->target.state.has_staple && removal < until)
        until = removal;
    if (y->has_faults && next_jump < until)
        until = next_jump;
    if (until < y->real)
        until = y->real;
    if (!y->target.state.has_staple)
        y->uncovered += until - y->real;
    y->real = until;
}

static void
run_year(struct year *y)
{
    int64_t end = T + 365 * D;
    int64_t next_jump = T + 10 * D;

    y->real = T + 1;
    y->ca_next_issue = T;
    y->target = (struct target){.mode = TARGET_OCSP,
        .first_seen = T,
        .jitter = (double)pick(y, 1000) / 1000.0};
    y->target.must_staple = pick(y, 4) == 0;
    y->due = schedule_at_start(&y->target, &usual, host_now(y));
    while (y->real < end) {
        int64_t before = y->real;

        wait_for_event(y, next_jump);
        HOLDS(y->real >= before);
        ca_runs(y);
        faults_run(y);
        sweep(y);
        if (y->has_faults && y->real >= next_jump) {
            next_jump = y->real + D + pick(y, 30 * D);
            jump(y);
        }
        if (host_now(y) >= y->due)
            ask(y);
        /* The one promise to clients. */
        HOLDS(!y->target.state.has_staple ||
              host_now(y) < y->target.state.life_end);
    }
}

static const int64_t year_windows[] = {
    5 * MIN, 30 * MIN, 2 * H, 8 * H, 16 * H, D, 3 * D, 7 * D, 10 * D};
enum { WINDOWS = sizeof(year_windows) / sizeof(year_windows[0]), SEEDS = 8 };

START_TEST(schedule_year_with_outages_and_jumps_never_leaves_a_dead_staple)
{
    struct year y = {.w = year_windows[_i % WINDOWS], .has_faults = true};

    y.prng = UINT64_C(0x9e3779b97f4a7c15) * (uint64_t)(_i + 1);
    run_year(&y);
    ck_assert_uint_gt(y.requests, 0);
}
END_TEST

/* Without faults there is never a gap, and few requests are needed. */
START_TEST(schedule_year_without_faults_is_covered_with_few_requests)
{
    struct year y = {.w = year_windows[_i % WINDOWS]};
    unsigned long windows = (unsigned long)(365 * D / y.w);
    unsigned long probes;

    y.prng = UINT64_C(0xd1342543de82ef95) * (uint64_t)(_i + 1);
    run_year(&y);
    probes = 365UL * 24 / (y.target.must_staple ? 1 : 12);
    ck_assert_uint_eq(y.removals, 0);
    ck_assert_int_eq(y.uncovered, 0);
    ck_assert_msg(y.requests <= probes + 8 * windows,
        "%lu requests, W %lld, jitter %.3f", y.requests, (long long)y.w,
        y.target.jitter);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("schedule_year");
    TCase *tc = tcase_create("all");
    SRunner *runner;
    int failures;

    tcase_add_loop_test(tc,
        schedule_year_with_outages_and_jumps_never_leaves_a_dead_staple, 0,
        WINDOWS * SEEDS);
    tcase_add_loop_test(tc,
        schedule_year_without_faults_is_covered_with_few_requests, 0,
        WINDOWS * SEEDS);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures ? 1 : 0;
}
