/* wsgate/process/cpu_share: quotas become a number of workers. */
#include "wsgate/process/cpu_share.h"

#include <check.h>
#include <stdlib.h>

static const struct {
    const char *what;
    const char *text;
    int share;
} cases[] = {
    {"two whole CPUs", "200000 100000\n", 2},
    {"part of a CPU is rounded up", "150000 100000\n", 2},
    {"less than one CPU is one", "10000 100000\n", 1},
    {"no limit", "max 100000\n", 0},
    {"version 1's no limit", "-1 100000\n", 0},
    {"empty", "", 0},
    {"half a line", "200000\n", 0},
    {"no period", "200000 0\n", 0},
    {"garbage", "a b c\n", 0},
};

START_TEST(quota_becomes_workers)
{
    ck_assert_msg(
        cpu_share_from_max(span_str(cases[_i].text)) == cases[_i].share,
        "%s: %d", cases[_i].what, cpu_share_from_max(span_str(cases[_i].text)));
}
END_TEST

START_TEST(there_is_at_least_one_worker)
{
    ck_assert_int_ge(cpu_share(), 1);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("cpu_share");
    TCase *tcase = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_loop_test(tcase, quota_becomes_workers, 0,
        (int)(sizeof(cases) / sizeof(cases[0])));
    tcase_add_test(tcase, there_is_at_least_one_worker);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
