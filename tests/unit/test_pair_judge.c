/* wsgate/process/pair_judge: what is taken and what waits, as a table. */
#include "wsgate/process/pair_judge.h"

#include <check.h>
#include <stdlib.h>

enum { ROWS_MAX = 4 };

#define NONE                                                                   \
    {                                                                          \
        -1, -1, -1, -1                                                         \
    }
#define FILE_0                                                                 \
    {                                                                          \
        0, -1, -1, -1                                                          \
    }
#define FILE_1                                                                 \
    {                                                                          \
        1, -1, -1, -1                                                          \
    }
#define FILES_0_AND_1                                                          \
    {                                                                          \
        0, 1, -1, -1                                                           \
    }

#define SAME                                                                   \
    {                                                                          \
        PAIR_SAME, false, true, false, NONE                                    \
    }
#define FITS(f)                                                                \
    {                                                                          \
        PAIR_FITS, false, true, false, f                                       \
    }
#define UNFIT(f)                                                               \
    {                                                                          \
        PAIR_UNFIT, false, true, false, f                                      \
    }
#define NOT_YET(f)                                                             \
    {                                                                          \
        PAIR_NOT_YET, false, true, false, f                                    \
    }
#define NO_STAPLE(f)                                                           \
    {                                                                          \
        PAIR_FITS, true, true, false, f                                        \
    }
#define NO_STAPLE_OLD_OVER(f)                                                  \
    {                                                                          \
        PAIR_FITS, true, true, true, f                                         \
    }
#define NO_STAPLE_NO_OLD(f)                                                    \
    {                                                                          \
        PAIR_FITS, true, false, false, f                                       \
    }

static const struct {
    const char *what;
    enum pair_asker asker;
    size_t count;
    struct pair_facts rows[ROWS_MAX];
    enum pair_verdict wanted[ROWS_MAX];
} cases[] = {
    {"nothing new", PAIR_ASKED_BY_CHANGE, 1, {SAME}, {PAIR_STAYS}},
    {"a complete new pair is taken", PAIR_ASKED_BY_CHANGE, 2,
        {FITS(FILE_0), SAME}, {PAIR_TAKEN, PAIR_STAYS}},
    {"a chain whose key is not there yet waits", PAIR_ASKED_BY_CHANGE, 1,
        {UNFIT(FILE_0)}, {PAIR_WAITS_TO_FIT}},
    {"an expired one waits", PAIR_ASKED_BY_CHANGE, 1, {NOT_YET(FILE_0)},
        {PAIR_WAITS_FOR_DATE}},
    {"no staple: it waits", PAIR_ASKED_BY_CHANGE, 1, {NO_STAPLE(FILE_0)},
        {PAIR_WAITS_FOR_STAPLE}},
    {"no staple, but the old one is over: taken", PAIR_ASKED_BY_CHANGE, 1,
        {NO_STAPLE_OLD_OVER(FILE_0)}, {PAIR_TAKEN}},
    {"the old one is over, the new one does not fit: it waits",
        PAIR_ASKED_BY_CHANGE, 1, {{PAIR_UNFIT, false, true, true, FILE_0}},
        {PAIR_WAITS_TO_FIT}},
    {"one waits, another with files of its own is taken", PAIR_ASKED_BY_CHANGE,
        2, {UNFIT(FILE_0), FITS(FILE_1)}, {PAIR_WAITS_TO_FIT, PAIR_TAKEN}},
    {"rows that share a changed file wait together", PAIR_ASKED_BY_CHANGE, 2,
        {NO_STAPLE(FILE_0), FITS(FILES_0_AND_1)},
        {PAIR_WAITS_FOR_STAPLE, PAIR_WAITS_FOR_OTHER}},
    {"... over a third, too", PAIR_ASKED_BY_CHANGE, 4,
        {FITS(FILE_1), FITS(FILES_0_AND_1), UNFIT(FILE_0), SAME},
        {PAIR_WAITS_FOR_OTHER, PAIR_WAITS_FOR_OTHER, PAIR_WAITS_TO_FIT,
            PAIR_STAYS}},
    {"all of a group are of use: all are taken", PAIR_ASKED_BY_CHANGE, 3,
        {FITS(FILE_1), FITS(FILES_0_AND_1), FITS(FILE_0)},
        {PAIR_TAKEN, PAIR_TAKEN, PAIR_TAKEN}},
    {"a reload with a pair that does not fit is not hidden",
        PAIR_ASKED_BY_OPERATOR, 1, {UNFIT(FILE_0)}, {PAIR_TAKEN}},
    {"a reload takes an expired one as it is", PAIR_ASKED_BY_OPERATOR, 1,
        {NOT_YET(FILE_0)}, {PAIR_TAKEN}},
    {"a reload keeps the old pair until there is a staple",
        PAIR_ASKED_BY_OPERATOR, 1, {NO_STAPLE(FILE_0)},
        {PAIR_WAITS_FOR_STAPLE}},
    {"a reload with nothing to keep takes the new one", PAIR_ASKED_BY_OPERATOR,
        1, {NO_STAPLE_NO_OLD(FILE_0)}, {PAIR_TAKEN}},
    {"a reload whose old pair is over takes the new one",
        PAIR_ASKED_BY_OPERATOR, 1, {NO_STAPLE_OLD_OVER(FILE_0)}, {PAIR_TAKEN}},
    {"a reload holds what shares the file", PAIR_ASKED_BY_OPERATOR, 2,
        {NO_STAPLE(FILE_0), FITS(FILE_0)},
        {PAIR_WAITS_FOR_STAPLE, PAIR_WAITS_FOR_OTHER}},
    {"a reload: a new row with the file has nothing to keep: all is taken",
        PAIR_ASKED_BY_OPERATOR, 2,
        {NO_STAPLE(FILE_0), {PAIR_FITS, false, false, false, FILE_0}},
        {PAIR_TAKEN, PAIR_TAKEN}},
    {"a reload: one that does not fit is not hidden by one that waits",
        PAIR_ASKED_BY_OPERATOR, 2, {NO_STAPLE(FILE_0), UNFIT(FILE_0)},
        {PAIR_TAKEN, PAIR_TAKEN}},
    {"no rows at all", PAIR_ASKED_BY_CHANGE, 0, {SAME}, {PAIR_STAYS}},
};

START_TEST(each_row_gets_its_verdict)
{
    enum pair_verdict verdicts[ROWS_MAX];
    struct err err = {0};

    ck_assert(pair_judge(
        cases[_i].rows, cases[_i].count, 2, cases[_i].asker, verdicts, &err));
    for (size_t i = 0; i < cases[_i].count; i++)
        ck_assert_msg(verdicts[i] == cases[_i].wanted[i],
            "%s: row %zu is %d, not %d", cases[_i].what, i, (int)verdicts[i],
            (int)cases[_i].wanted[i]);
}
END_TEST

START_TEST(waiting_is_every_kind_of_waiting)
{
    ck_assert(!pair_is_waiting(PAIR_STAYS));
    ck_assert(!pair_is_waiting(PAIR_TAKEN));
    ck_assert(pair_is_waiting(PAIR_WAITS_TO_FIT));
    ck_assert(pair_is_waiting(PAIR_WAITS_FOR_DATE));
    ck_assert(pair_is_waiting(PAIR_WAITS_FOR_STAPLE));
    ck_assert(pair_is_waiting(PAIR_WAITS_FOR_OTHER));
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("pair_judge");
    TCase *tcase = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_loop_test(tcase, each_row_gets_its_verdict, 0,
        (int)(sizeof(cases) / sizeof(cases[0])));
    tcase_add_test(tcase, waiting_is_every_kind_of_waiting);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
