/*
 * The timing wheel, on the loop's own clock moved by hand.
 * Input: deadlines near and far. Output: who is called, and when.
 */
#include "wsgate/net/deadline.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static uv_loop_t uv;
static struct deadline_set set;
static int calls;

static void
count_call(void *ctx)
{
    (void)ctx;
    calls++;
}

/* As if the time had passed; uv_loop_t.time is what uv_now() answers. */
static void
pass(uint64_t ms)
{
    uv.time += ms;
    deadline_set_run(&set);
}

static void
setup(void)
{
    calls = 0;
    ck_assert_int_eq(uv_loop_init(&uv), 0);
    ck_assert_int_eq(deadline_set_init(&set, &uv), 0);
}

static void
teardown(void)
{
    deadline_set_close(&set);
    (void)uv_run(&uv, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&uv), 0);
}

static const int64_t spans_ms[] = {1, 249, 250, 251, 10000, 63999, 64000, 64001,
    64250, 127999, 128000, 3600000};

/* Never early, at most a tick late: also for those that go round the wheel. */
START_TEST(deadline_is_never_early_and_a_tick_late_at_most)
{
    int64_t ms = spans_ms[_i];

    for (uint64_t phase = 0; phase < DEADLINE_COARSE_MS; phase += 83) {
        struct deadline d;
        int64_t gone = 0;

        calls = 0;
        uv.time += phase;
        deadline_init(&d, count_call, NULL);
        deadline_arm(&set, &d, ms);
        while (calls == 0) {
            int64_t step = ms - gone > 300 ? 249 : 1;

            pass((uint64_t)step);
            gone += step;
        }
        ck_assert_int_ge(gone, ms);
        ck_assert_int_le(gone, ms + DEADLINE_COARSE_MS);
        ck_assert_uint_eq(set.count, 0);
    }
}
END_TEST

START_TEST(deadline_comes_after_a_long_sleep_of_the_loop)
{
    struct deadline near, far;

    deadline_init(&near, count_call, NULL);
    deadline_init(&far, count_call, NULL);
    deadline_arm(&set, &near, 10);
    deadline_arm(&set, &far, 10000000);
    pass(9000000);
    ck_assert_int_eq(calls, 1);
    pass(2000000);
    ck_assert_int_eq(calls, 2);
}
END_TEST

START_TEST(deadline_moves_and_clears)
{
    struct deadline d;

    deadline_init(&d, count_call, NULL);
    deadline_clear(&set, &d);
    deadline_arm(&set, &d, 1000);
    deadline_arm(&set, &d, 5000);
    ck_assert_uint_eq(set.count, 1);
    pass(2000);
    ck_assert_int_eq(calls, 0);
    deadline_arm(&set, &d, 0);
    ck_assert_uint_eq(set.count, 0);
    deadline_clear(&set, &d);
    pass(10000);
    ck_assert_int_eq(calls, 0);
    deadline_arm(&set, &d, -5); /* in the past: at the next tick */
    pass(DEADLINE_COARSE_MS);
    ck_assert_int_eq(calls, 1);
}
END_TEST

START_TEST(deadline_set_costs_nothing_while_empty)
{
    struct deadline d;

    ck_assert(!uv_is_active((uv_handle_t *)&set.timer));
    deadline_init(&d, count_call, NULL);
    deadline_arm(&set, &d, 100);
    ck_assert(uv_is_active((uv_handle_t *)&set.timer));
    deadline_clear(&set, &d);
    ck_assert(!uv_is_active((uv_handle_t *)&set.timer));
}
END_TEST

static struct deadline pair[2];

static void
clear_both_and_rearm(void *ctx)
{
    (void)ctx;
    calls++;
    deadline_clear(&set, &pair[0]);
    deadline_clear(&set, &pair[1]);
    deadline_arm(&set, &pair[0], 64000); /* the same slot, a round later */
}

START_TEST(deadline_callback_may_clear_others_of_its_tick)
{
    deadline_init(&pair[0], clear_both_and_rearm, NULL);
    deadline_init(&pair[1], clear_both_and_rearm, NULL);
    deadline_arm(&set, &pair[0], 100);
    deadline_arm(&set, &pair[1], 100);
    pass(400);
    ck_assert_int_eq(calls, 1);
    ck_assert_uint_eq(set.count, 1);
    pass(65000);
    ck_assert_int_eq(calls, 2);
    deadline_clear(&set, &pair[0]);
}
END_TEST

START_TEST(deadline_fires_from_the_loop)
{
    struct deadline d;
    uint64_t before = uv_now(&uv);

    deadline_init(&d, count_call, NULL);
    deadline_arm(&set, &d, 10);
    while (calls == 0)
        (void)uv_run(&uv, UV_RUN_ONCE);
    ck_assert_uint_ge(uv_now(&uv), before + 10);
}
END_TEST

START_TEST(deadline_holds_thousands)
{
    enum { MANY = 10000 };
    struct deadline *all = calloc(MANY, sizeof(*all));

    ck_assert_ptr_nonnull(all);
    for (int i = 0; i < MANY; i++) {
        deadline_init(&all[i], count_call, NULL);
        deadline_arm(&set, &all[i], 1 + i * 10);
    }
    for (int i = 0; i < MANY; i += 2)
        deadline_clear(&set, &all[i]);
    ck_assert_uint_eq(set.count, MANY / 2);
    for (int i = 0; i < 500; i++)
        pass(DEADLINE_COARSE_MS);
    ck_assert_int_eq(calls, MANY / 2);
    free(all);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("deadline");
    TCase *tc = tcase_create("deadline");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, deadline_is_never_early_and_a_tick_late_at_most, 0,
        (int)(sizeof(spans_ms) / sizeof(spans_ms[0])));
    tcase_add_test(tc, deadline_comes_after_a_long_sleep_of_the_loop);
    tcase_add_test(tc, deadline_moves_and_clears);
    tcase_add_test(tc, deadline_set_costs_nothing_while_empty);
    tcase_add_test(tc, deadline_callback_may_clear_others_of_its_tick);
    tcase_add_test(tc, deadline_fires_from_the_loop);
    tcase_add_test(tc, deadline_holds_thousands);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
