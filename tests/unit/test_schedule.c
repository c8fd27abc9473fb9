/*
 * The rules of the schedule as tables, with every boundary.
 * Input: targets made up here. Output: Check's report.
 */
#include "ocspd/schedule.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MIN = 60, H = 3600, D = 86400 };
#define T INT64_C(1800000000) /* thisUpdate of all tables */

/* For millions of checks: Check's own ones each write into a pipe. */
#define HOLDS(what)                                                            \
    do {                                                                       \
        if (!(what))                                                           \
            ck_abort_msg("%s", #what);                                         \
    } while (0)

static const struct schedule_limits usual = {12 * H, 60};
static const struct schedule_limits no_probe = {100 * D, 60};

static struct target
make(int64_t w, double jitter)
{
    struct target target = {.mode = TARGET_OCSP, .jitter = jitter};

    target.state.has_staple = true;
    target.state.this_update = T;
    target.state.next_update = T + w;
    target.state.life_end = T + w;
    target.state.last_verdict = VERDICT_GOOD;
    return target;
}

/* ---- after success ------------------------------------------------------- */

static const struct {
    const char *rule;
    int64_t w;
    double jitter;
    int64_t now; /* all times from T */
    int64_t due;
    int64_t life_end; /* 0: W */
    int64_t max_age_until;
    bool must_staple;
    bool probes;
} success[] = {
    /* refresh point */
    {"half-life without jitter", 7 * D, 0.0, 0, 84 * H, 0, 0, false, false},
    {"six tenths with all of it", 7 * D, 1.0, 0, 362880, 0, 0, false, false},
    {"in between", 10 * D, 0.5, H, 475200, 0, 0, false, false},
    {"one second before it", 10 * D, 0.0, 5 * D - 301, 5 * D, 0, 0, false,
        false},
    {"floor of five minutes before it", 10 * D, 0.0, 5 * D - 299, 5 * D + 1, 0,
        0, false, false},
    /* probe */
    {"probe_interval caps it", 7 * D, 0.0, 0, 12 * H, 0, 0, false, true},
    {"must-staple: one hour", 7 * D, 0.0, 0, H, 0, 0, true, true},
    {"must-staple: one hour whatever probe_interval says", 7 * D, 0.0, 0, H, 0,
        0, true, false},
    {"a probe does not move a nearer refresh", 16 * H, 0.0, 0, 8 * H, 0, 0,
        false, true},
    /* max-age */
    {"max-age moves it later", 7 * D, 0.0, 0, 2 * D, 0, 2 * D, false, true},
    {"max-age never past six tenths", 7 * D, 0.0, 0, 362880, 0, 6 * D, false,
        true},
    {"max-age never makes it earlier", 7 * D, 0.0, 0, 12 * H, 0, H, false,
        true},
    /* end of life before nextUpdate */
    {"not in the last quarter of a clipped life", 7 * D, 0.0, 0, 18 * H, D, 0,
        false, false},
    {"nor by max-age", 7 * D, 0.0, 0, 18 * H, D, 2 * D, false, false},
    {"in that quarter: R/4", 7 * D, 0.0, 18 * H, 18 * H + 90 * MIN, D, 0, false,
        false},
    /* floor */
    {"short window: floor is W/8", 40 * MIN, 0.0, 20 * MIN - 1, 25 * MIN - 1, 0,
        0, false, true},
    {"very short window: min_interval", 5 * MIN, 0.0, 149, 209, 0, 0, false,
        true},
    {"five-minute window: half-life", 5 * MIN, 0.0, 0, 150, 0, 0, false, true},
    /* unchanged behind half-life */
    {"W 7 d: the BR promise at 4 d", 7 * D, 0.0, 84 * H, 4 * D, 0, 0, false,
        true},
    {"W 7 d: promise passed, 30 min", 7 * D, 0.0, 4 * D, 4 * D + 30 * MIN, 0, 0,
        false, true},
    {"W 10 d: at 5 d the promise of 4 d is passed", 10 * D, 0.0, 5 * D,
        5 * D + 30 * MIN, 0, 0, false, true},
    {"W 24 h: at most R/4", D, 0.0, 12 * H, 15 * H, 0, 0, false, true},
    {"W 24 h: then the promise at 16 h", D, 0.0, 15 * H, 16 * H, 0, 0, false,
        true},
    {"W 16 h: promise at 8 h, which is half-life", 16 * H, 0.0, 8 * H,
        8 * H + 30 * MIN, 0, 0, false, true},
    {"W below 16 h: promise at half-life", 15 * H, 0.0, 27000, 28800, 0, 0,
        false, true},
    {"late rule: jitter up to 30 min", 7 * D, 1.0, 362880, 362880 + 60 * MIN, 0,
        0, false, true},
    {"late rule: R/4 when little is left", 8 * H, 0.0, 7 * H, 7 * H + 15 * MIN,
        0, 0, false, true},
    {"late rule: floor when less is left", 8 * H, 0.0, 8 * H - 10 * MIN,
        8 * H - 5 * MIN, 0, 0, false, true},
    {"late rule: must-staple within the hour", 7 * D, 0.0, 84 * H, 85 * H, 0, 0,
        true, true},
};

START_TEST(schedule_after_success_follows_the_table)
{
    struct target target = make(success[_i].w, success[_i].jitter);
    const struct schedule_limits *limits =
        success[_i].probes ? &usual : &no_probe;
    int64_t due;

    target.must_staple = success[_i].must_staple;
    if (success[_i].life_end != 0)
        target.state.life_end = T + success[_i].life_end;
    if (success[_i].max_age_until != 0)
        target.state.max_age_until = T + success[_i].max_age_until;
    due = schedule_after_success(&target, limits, T + success[_i].now) - T;
    ck_assert_msg(due == success[_i].due, "%s: %lld instead of %lld",
        success[_i].rule, (long long)due, (long long)success[_i].due);
}
END_TEST

START_TEST(schedule_without_next_update_uses_the_life_as_window)
{
    struct target target = make(12 * H, 0.0);

    target.state.next_update = 0;
    ck_assert_int_eq(schedule_after_success(&target, &usual, T), T + 6 * H);
    ck_assert_int_eq(schedule_removal(&target.state), T + 12 * H - 60);
}
END_TEST

/* The same response at a later time is never due earlier. */
START_TEST(schedule_after_success_is_monotonic_in_time)
{
    static const int64_t windows[] = {
        60, 300, H, 8 * H, 15 * H, 16 * H, D, 3 * D, 7 * D, 10 * D, 90 * D};
    int64_t w = windows[_i];

    for (int j = 0; j < 4; j++)
        for (int a = 0; a <= 10; a++) {
            struct target target = make(w, j / 4.0);
            int64_t before = 0;

            target.state.max_age_until = T + w * a / 10;
            target.must_staple = (a & 1) != 0;
            for (int64_t i = 0; i <= 1000; i++) {
                int64_t now = T + w * i / 1000;
                int64_t due = schedule_after_success(&target, &usual, now);

                HOLDS(due >= before);
                HOLDS(due >= now + 60);
                before = due;
            }
        }
}
END_TEST

/* ---- after failure ------------------------------------------------------- */

static const struct {
    const char *rule;
    enum verdict verdict;
    unsigned failures;
    int64_t left; /* R; 0 expired, -1 never had one */
    double random;
    int64_t wait;
    int64_t retry_after; /* from now */
    int64_t seen; /* seconds ago */
} failure[] = {
    /* back-off */
    {"first: a minute", VERDICT_CONNECT, 1, 6 * D, 0.5, 60, 0, D},
    {"second: two", VERDICT_TIMEOUT, 2, 6 * D, 0.5, 120, 0, D},
    {"third: four", VERDICT_TRY_LATER, 3, 6 * D, 0.5, 240, 0, D},
    {"sixth: 32", VERDICT_HTTP_STATUS, 6, 6 * D, 0.5, 1920, 0, D},
    {"seventh: an hour caps 64 min", VERDICT_DNS, 7, 6 * D, 0.5, H, 0, D},
    {"hundredth: an hour", VERDICT_DNS, 100, 6 * D, 0.5, H, 0, D},
    {"many with little luck", VERDICT_DNS, 7, 6 * D, 0.0, 1920, 0, D},
    {"spread downwards ends at the floor", VERDICT_TLS, 1, 6 * D, 0.0, 60, 0,
        D},
    {"spread downwards by half", VERDICT_TLS, 2, 6 * D, 0.0, 60, 0, D},
    {"spread upwards by half", VERDICT_TLS, 2, 6 * D, 1.0, 180, 0, D},
    /* caps by what is left */
    {"R/8 caps", VERDICT_DNS, 9, 4 * H, 0.5, 30 * MIN, 0, D},
    {"R of 8 h: still an hour", VERDICT_DNS, 9, 8 * H, 0.5, H, 0, D},
    {"R of an hour: R/8", VERDICT_DNS, 9, H, 0.5, 450, 0, D},
    {"R below an hour: five minutes", VERDICT_DNS, 9, H - 1, 0.5, 300, 0, D},
    {"R below forty minutes: R/8 again", VERDICT_DNS, 9, 16 * MIN, 0.5, 120, 0,
        D},
    {"R of a minute: the floor", VERDICT_DNS, 9, MIN, 0.5, 60, 0, D},
    {"expired: a quarter of an hour", VERDICT_DNS, 9, 0, 0.5, 15 * MIN, 0, D},
    {"never had one: the same", VERDICT_DNS, 9, -1, 0.5, 15 * MIN, 0, D},
    {"expired, first: a minute", VERDICT_DNS, 1, 0, 0.5, 60, 0, D},
    /* Retry-After */
    {"Retry-After is honoured", VERDICT_HTTP_STATUS, 1, 6 * D, 0.5, 2 * H,
        2 * H, D},
    {"a shorter one does not hurry", VERDICT_HTTP_STATUS, 3, 6 * D, 0.5, 240,
        10, D},
    {"up to a day", VERDICT_HTTP_STATUS, 1, 6 * D, 0.5, D, 3 * D, D},
    {"up to R/4", VERDICT_HTTP_STATUS, 1, 2 * D, 0.5, 12 * H, 3 * D, D},
    {"expired: up to an hour", VERDICT_HTTP_STATUS, 1, 0, 0.5, H, 3 * D, D},
    {"also with tryLater", VERDICT_TRY_LATER, 1, 6 * D, 0.5, H, H, D},
    /* unauthorized, unknown */
    {"new certificate: three minutes", VERDICT_UNAUTHORIZED, 1, -1, 0.5, 180, 0,
        H - 1},
    {"also the tenth time", VERDICT_UNKNOWN, 10, -1, 0.5, 180, 0, 30 * MIN},
    {"after an hour: an hour", VERDICT_UNAUTHORIZED, 1, -1, 0.5, H, 0, H},
    {"with a staple: an hour", VERDICT_UNKNOWN, 1, 6 * D, 0.5, H, 0, D},
    {"spread by a tenth", VERDICT_UNKNOWN, 1, 6 * D, 0.0, 3240, 0, D},
    /* verification */
    {"verification: an hour", VERDICT_BAD_SIGNATURE, 1, 6 * D, 0.5, H, 0, D},
    {"verification, nothing held: an hour", VERDICT_NOT_OCSP, 1, -1, 0.5, H, 0,
        D},
    {"verification, new certificate: an hour", VERDICT_WRONG_CERT, 1, -1, 0.5,
        H, 0, 1},
    {"verification, 2 h left: R/8", VERDICT_EXPIRED, 1, 2 * H, 0.5, 15 * MIN, 0,
        D},
};

START_TEST(schedule_after_failure_follows_the_table)
{
    struct target target = make(7 * D, 0.3);
    int64_t now = T + 7 * D - failure[_i].left, due;

    if (failure[_i].left < 0)
        target.state = (struct target_state){0};
    target.state.last_verdict = failure[_i].verdict;
    target.state.failures = failure[_i].failures;
    if (failure[_i].retry_after != 0)
        target.state.retry_after = now + failure[_i].retry_after;
    target.first_seen = now - failure[_i].seen;
    due =
        schedule_after_failure(&target, &usual, now, failure[_i].random) - now;
    ck_assert_msg(due == failure[_i].wait, "%s: %lld instead of %lld",
        failure[_i].rule, (long long)due, (long long)failure[_i].wait);
}
END_TEST

START_TEST(schedule_after_failure_never_hurries_and_never_sleeps_long)
{
    for (int v = 0; v < VERDICT_COUNT; v++)
        for (unsigned n = 0; n < 80; n++)
            for (int64_t r = -1; r < 8 * D; r = r * 2 + 2) {
                struct target target = make(7 * D, 0.0);
                int64_t now = T + 7 * D - r, due;

                target.state.last_verdict = (enum verdict)v;
                target.state.failures = n;
                due = schedule_after_failure(
                    &target, &usual, now, (n % 10) / 10.0);
                HOLDS(due >= now + 60);
                HOLDS(due <= now + 66 * MIN);
            }
}
END_TEST

/* ---- at start ------------------------------------------------------------ */

static const struct {
    const char *rule;
    bool has_staple;
    bool is_revoked;
    bool must_staple;
    int64_t now; /* all from T; W is 7 d */
    int64_t next_attempt;
    int64_t last_attempt;
    int64_t due;
    enum verdict last_verdict; /* NONE: it was accepted */
    int on_revoked;
} start[] = {
    {"nothing in the spool: now", false, false, false, H, 5 * H, 0, H,
        VERDICT_NONE, 0},
    {"but not a minute after a try that failed", false, false, false, H, 5 * H,
        H - 10, H + 50, .last_verdict = VERDICT_CONNECT},
    {"nor after a response that was refused", false, false, false, H, 5 * H,
        H - 10, H + 50, .last_verdict = VERDICT_BAD_SIGNATURE},
    {"a try that worked does not delay it", false, false, false, H, 5 * H,
        H - 10, H, VERDICT_NONE, 0},
    {"not even as a live process remembers it", false, false, false, H, 5 * H,
        H - 10, H, .last_verdict = VERDICT_UNCHANGED},
    {"a last try in the future is a wrong clock", false, false, false, H, 5 * H,
        2 * H, H, .last_verdict = VERDICT_CONNECT},
    {"a staple that is overdue, a minute after the last try", true, false, true,
        90 * H, 85 * H, 90 * H - 10, 90 * H + 50, VERDICT_NONE, 0},
    {"the side file's plan holds", true, false, false, H, 5 * H, 0, 5 * H,
        VERDICT_NONE, 0},
    {"without a plan: half-life, capped by the probe", true, false, false, H, 0,
        0, 13 * H, VERDICT_NONE, 0},
    {"without a plan: half-life", true, false, false, 80 * H, 0, 0, 84 * H,
        VERDICT_NONE, 0},
    {"a plan beyond the probe is cut", true, false, false, H, 6 * D, 0, 13 * H,
        VERDICT_NONE, 0},
    {"must-staple: within an hour", true, false, true, H, 5 * H, 0, 2 * H,
        VERDICT_NONE, 0},
    {"overdue: spread over ten minutes", true, false, false, 90 * H, 85 * H, 0,
        90 * H + 5 * MIN, VERDICT_NONE, 0},
    {"overdue must-staple: now", true, false, true, 90 * H, 85 * H, 0, 90 * H,
        VERDICT_NONE, 0},
    {"overdue with little left: now", true, false, false, 6 * D, 85 * H, 0,
        6 * D, VERDICT_NONE, 0},
    {"expired: now", true, false, false, 8 * D, 9 * D, 0, 8 * D, VERDICT_NONE,
        0},
    {"revoked and withdrawn: the plan holds", false, true, false, H, 5 * H, 0,
        5 * H, VERDICT_NONE, 0},
    {"revoked and to be published, but lost: now", false, true, false, H, 5 * H,
        0, H, .on_revoked = ON_REVOKED_PUBLISH},
    {"revoked and published: the plan holds", true, true, false, H, 5 * H, 0,
        5 * H, .on_revoked = ON_REVOKED_PUBLISH},
};

START_TEST(schedule_at_start_follows_the_table)
{
    struct target target = make(7 * D, 0.5);
    int64_t due;

    target.jitter = start[_i].next_attempt == 0 ? 0.0 : 0.5;
    target.must_staple = start[_i].must_staple;
    target.state.has_staple = start[_i].has_staple;
    if (start[_i].is_revoked)
        target.state.status = OCSP_CERT_REVOKED;
    if (start[_i].next_attempt != 0)
        target.state.next_attempt = T + start[_i].next_attempt;
    if (start[_i].last_attempt != 0)
        target.state.last_attempt = T + start[_i].last_attempt;
    target.state.last_verdict = start[_i].last_verdict;
    target.rule.on_revoked = start[_i].on_revoked;
    due = schedule_at_start(&target, &usual, T + start[_i].now) - T;
    ck_assert_msg(due == start[_i].due, "%s: %lld instead of %lld",
        start[_i].rule, (long long)due, (long long)start[_i].due);
}
END_TEST

START_TEST(schedule_at_start_of_an_unknown_target_is_now)
{
    struct target target = {.mode = TARGET_OCSP, .jitter = 0.9};

    ck_assert_int_eq(schedule_at_start(&target, &usual, T), T);
}
END_TEST

/* ---- removal, order, alerts ---------------------------------------------- */

START_TEST(schedule_removal_comes_before_the_end)
{
    static const int64_t table[][2] = {{7 * D, 60}, {1200, 60}, {1199, 59},
        {300, 15}, {20, 1}, {19, 1}, {1, 1}};

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct target target = make(table[i][0], 0.0);

        ck_assert_int_eq(schedule_removal(&target.state),
            target.state.life_end - table[i][1]);
    }
    ck_assert_int_eq(schedule_removal(&(struct target_state){0}), 0);
}
END_TEST

START_TEST(schedule_removal_uses_the_clipped_end_and_the_whole_window)
{
    struct target target = make(7 * D, 0.0);

    target.state.life_end = T + H;
    ck_assert_int_eq(schedule_removal(&target.state), T + H - 60);
}
END_TEST

START_TEST(schedule_order_is_must_staple_then_least_left)
{
    struct target none = {.fp = "0", .mode = TARGET_OCSP};
    struct target half = make(7 * D, 0.0);
    struct target short_life = make(D, 0.0);
    struct target must = make(10 * D, 0.0);
    int64_t now = T + 12 * H;

    must.must_staple = true;
    half.fp[0] = 'a';
    ck_assert_int_lt(schedule_compare(&must, &none, now), 0);
    ck_assert_int_gt(schedule_compare(&none, &must, now), 0);
    ck_assert_int_lt(schedule_compare(&none, &short_life, now), 0);
    ck_assert_int_lt(schedule_compare(&short_life, &half, now), 0);
    ck_assert_int_gt(schedule_compare(&half, &short_life, now), 0);
    ck_assert_int_eq(schedule_compare(&half, &half, now), 0);
    short_life = half;
    short_life.fp[0] = 'b';
    ck_assert_int_lt(schedule_compare(&half, &short_life, now), 0);
}
END_TEST

static const struct {
    const char *rule;
    int64_t w;
    int64_t now;
    int64_t last_attempt;
    enum schedule_alert alert;
} alerts[] = {
    {"fresh", 7 * D, 0, 0, ALERT_NONE},
    {"promise not yet passed", 7 * D, 4 * D, 4 * D, ALERT_NONE},
    {"asked behind the promise", 7 * D, 4 * D + 1, 4 * D, ALERT_LATE},
    {"not asked since the promise", 7 * D, 4 * D + 1, 3 * D, ALERT_NONE},
    {"not asked for long", 7 * D, 4 * D + H + 1, 3 * D, ALERT_LATE},
    {"a quarter left", 7 * D, 453600, 453600, ALERT_LATE},
    {"less than a quarter", 7 * D, 453601, 0, ALERT_WARN},
    {"6 h left of 7 d", 7 * D, 7 * D - 6 * H, 0, ALERT_WARN},
    {"less than 6 h", 7 * D, 7 * D - 6 * H + 1, 0, ALERT_CRIT},
    {"an eighth of 8 h", 8 * H, 7 * H, 0, ALERT_WARN},
    {"less than an eighth of 8 h", 8 * H, 7 * H + 1, 0, ALERT_CRIT},
    {"the last second", 8 * H, 8 * H - 1, 0, ALERT_CRIT},
    {"expired", 8 * H, 8 * H, 0, ALERT_DOWN},
};

START_TEST(schedule_alert_follows_the_table)
{
    struct target target = make(alerts[_i].w, 0.0);
    enum schedule_alert alert;

    target.state.last_attempt = T + alerts[_i].last_attempt;
    alert = schedule_alert(&target, T + alerts[_i].now);
    ck_assert_msg(alert == alerts[_i].alert, "%s: %s", alerts[_i].rule,
        schedule_alert_word(alert));
}
END_TEST

START_TEST(schedule_alert_of_one_that_never_had_a_response)
{
    struct target target = {.mode = TARGET_OCSP};

    ck_assert_int_eq(schedule_alert(&target, T), ALERT_NONE);
    target.state.failures = 2;
    ck_assert_int_eq(schedule_alert(&target, T), ALERT_NONE);
    target.state.failures = 3;
    ck_assert_int_eq(schedule_alert(&target, T), ALERT_DOWN);
    target.mode = TARGET_NO_URL;
    ck_assert_int_eq(schedule_alert(&target, T), ALERT_NONE);
}
END_TEST

START_TEST(schedule_alert_words)
{
    ck_assert_str_eq(schedule_alert_word(ALERT_NONE), "none");
    ck_assert_str_eq(schedule_alert_word(ALERT_LATE), "late");
    ck_assert_str_eq(schedule_alert_word(ALERT_WARN), "warn");
    ck_assert_str_eq(schedule_alert_word(ALERT_CRIT), "crit");
    ck_assert_str_eq(schedule_alert_word(ALERT_DOWN), "down");
}
END_TEST

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

int
main(void)
{
    Suite *suite = suite_create("schedule");
    TCase *tc = tcase_create("tables");
    SRunner *runner;
    int failures;

    tcase_add_loop_test(
        tc, schedule_after_success_follows_the_table, 0, COUNT(success));
    tcase_add_test(tc, schedule_without_next_update_uses_the_life_as_window);
    tcase_add_loop_test(tc, schedule_after_success_is_monotonic_in_time, 0, 11);
    tcase_add_loop_test(
        tc, schedule_after_failure_follows_the_table, 0, COUNT(failure));
    tcase_add_test(
        tc, schedule_after_failure_never_hurries_and_never_sleeps_long);
    tcase_add_loop_test(
        tc, schedule_at_start_follows_the_table, 0, COUNT(start));
    tcase_add_test(tc, schedule_at_start_of_an_unknown_target_is_now);
    tcase_add_test(tc, schedule_removal_comes_before_the_end);
    tcase_add_test(
        tc, schedule_removal_uses_the_clipped_end_and_the_whole_window);
    tcase_add_test(tc, schedule_order_is_must_staple_then_least_left);
    tcase_add_loop_test(tc, schedule_alert_follows_the_table, 0, COUNT(alerts));
    tcase_add_test(tc, schedule_alert_of_one_that_never_had_a_response);
    tcase_add_test(tc, schedule_alert_words);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures ? 1 : 0;
}
