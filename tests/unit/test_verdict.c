/*
 * Verdicts: every one has its own word, a class and, where there is something
 * to do, a sentence. Input: the list itself. Output: Check's report.
 */
#include "ocspd/verdict.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

START_TEST(verdict_words_are_there_lower_case_and_parse_back)
{
    const char *word = verdict_word((enum verdict)_i);

    ck_assert_ptr_nonnull(word);
    ck_assert_uint_gt(strlen(word), 0);
    ck_assert_uint_eq(
        strspn(word, "abcdefghijklmnopqrstuvwxyz-"), strlen(word));
    ck_assert_int_eq(verdict_parse(word), _i);
}
END_TEST

START_TEST(verdict_class_is_none_for_none_alone)
{
    ck_assert_int_eq(verdict_class((enum verdict)_i) == VERDICT_CLASS_NONE,
        _i == VERDICT_NONE);
}
END_TEST

START_TEST(verdict_mend_is_one_sentence_for_every_failure)
{
    const char *mend = verdict_mend((enum verdict)_i);

    if (_i == VERDICT_NONE || _i == VERDICT_GOOD || _i == VERDICT_UNCHANGED) {
        ck_assert_ptr_null(mend);
        return;
    }
    ck_assert_ptr_nonnull(mend);
    ck_assert_int_eq(mend[strlen(mend) - 1], '.');
}
END_TEST

START_TEST(verdict_parse_knows_no_other_words)
{
    ck_assert_int_eq(verdict_parse(""), VERDICT_NONE);
    ck_assert_int_eq(verdict_parse("GOOD"), VERDICT_NONE);
    ck_assert_int_eq(verdict_parse("good "), VERDICT_NONE);
    ck_assert_int_eq(verdict_parse(NULL), VERDICT_NONE);
}
END_TEST

static const struct {
    enum verdict verdict;
    enum verdict_class class;
    const char *word;
} known[] = {
    {VERDICT_GOOD, VERDICT_CLASS_ACCEPTED, "good"},
    {VERDICT_REVOKED, VERDICT_CLASS_ACCEPTED, "revoked"},
    {VERDICT_UNCHANGED, VERDICT_CLASS_ACCEPTED, "unchanged"},
    {VERDICT_DNS, VERDICT_CLASS_TRANSPORT, "dns"},
    {VERDICT_EMPTY, VERDICT_CLASS_TRANSPORT, "empty"},
    {VERDICT_MALFORMED_REQUEST, VERDICT_CLASS_REFUSAL, "malformed-request"},
    {VERDICT_SIG_REQUIRED, VERDICT_CLASS_REFUSAL, "sig-required"},
    {VERDICT_UNAUTHORIZED, VERDICT_CLASS_UNAUTHORIZED, "unauthorized"},
    {VERDICT_UNKNOWN, VERDICT_CLASS_UNAUTHORIZED, "unknown"},
    {VERDICT_NOT_OCSP, VERDICT_CLASS_VERIFY, "not-ocsp"},
    {VERDICT_OLDER_THAN_STORED, VERDICT_CLASS_VERIFY, "older-than-stored"},
};

START_TEST(verdict_edges_of_each_class)
{
    ck_assert_int_eq(verdict_class(known[_i].verdict), known[_i].class);
    ck_assert_str_eq(verdict_word(known[_i].verdict), known[_i].word);
}
END_TEST

START_TEST(verdict_outside_the_list_is_none)
{
    ck_assert_str_eq(verdict_word(VERDICT_COUNT), "none");
    ck_assert_int_eq(verdict_class(VERDICT_COUNT), VERDICT_CLASS_NONE);
    ck_assert_ptr_null(verdict_mend(VERDICT_COUNT));
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("verdict");
    TCase *tc = tcase_create("all");
    SRunner *runner;
    int failures;

    tcase_add_loop_test(tc, verdict_words_are_there_lower_case_and_parse_back,
        0, VERDICT_COUNT);
    tcase_add_loop_test(
        tc, verdict_class_is_none_for_none_alone, 0, VERDICT_COUNT);
    tcase_add_loop_test(
        tc, verdict_mend_is_one_sentence_for_every_failure, 0, VERDICT_COUNT);
    tcase_add_test(tc, verdict_parse_knows_no_other_words);
    tcase_add_loop_test(tc, verdict_edges_of_each_class, 0,
        (int)(sizeof(known) / sizeof(known[0])));
    tcase_add_test(tc, verdict_outside_the_list_is_none);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures ? 1 : 0;
}
