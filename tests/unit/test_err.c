/*
 * err: kind, text, context, and the exit code of a failure at start.
 * Input: made-up failures. Output: Check's report.
 */
#include "shared/err.h"

#include <check.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

START_TEST(err_reads_from_the_outside_in)
{
    struct err err = {0};

    ck_assert(!err_set(&err, ERR_FORMAT, "byte %d", 7));
    ck_assert(!err_context(&err, "read %s", "x.der"));
    ck_assert(!err_context(&err, "publish"));
    ck_assert_str_eq(err.text, "publish: read x.der: byte 7");
    ck_assert_int_eq(err.kind, ERR_FORMAT);
    ck_assert_int_eq(err.sys_errno, 0);
}
END_TEST

START_TEST(err_sys_adds_the_kernels_words_and_keeps_errno)
{
    struct err err = {0};

    errno = ENOSPC;
    ck_assert(!err_sys(&err, "write %s", "x"));
    ck_assert_str_eq(err.text, "write x: No space left on device");
    ck_assert_int_eq(err.kind, ERR_SYSTEM);
    ck_assert_int_eq(err.sys_errno, ENOSPC);
    ck_assert_int_eq(errno, ENOSPC);
    ck_assert(!err_set(&err, ERR_TIMEOUT, "late"));
    ck_assert_int_eq(err.sys_errno, 0);
}
END_TEST

START_TEST(err_openssl_adds_the_reason_and_empties_the_queue)
{
    struct err err = {0};

    ERR_raise(ERR_LIB_EVP, EVP_R_BAD_DECRYPT);
    ck_assert(!err_openssl(&err, ERR_FORMAT, "key %s", "a"));
    ck_assert_str_eq(err.text, "key a: bad decrypt");
    ck_assert_uint_eq(ERR_peek_error(), 0);
    ck_assert(!err_openssl(&err, ERR_FORMAT, "nothing queued"));
    ck_assert_str_eq(err.text, "nothing queued");
    ERR_raise(ERR_LIB_EVP, EVP_R_BAD_DECRYPT);
    ck_assert(!err_openssl(NULL, ERR_FORMAT, "x"));
    ck_assert_uint_eq(ERR_peek_error(), 0);
}
END_TEST

START_TEST(err_takes_its_own_text_as_an_argument)
{
    struct err err = {0};

    (void)err_set(&err, ERR_FORMAT, "inner");
    (void)err_set(&err, ERR_CONFIG, "outer (%s)", err.text);
    ck_assert_str_eq(err.text, "outer (inner)");
    (void)err_context(&err, "again %s", err.text);
    ck_assert_str_eq(err.text, "again outer (inner): outer (inner)");
}
END_TEST

START_TEST(err_cuts_what_is_too_long)
{
    struct err err = {0};
    char text[2 * ERR_TEXT_SIZE];

    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = 0;
    (void)err_set(&err, ERR_FORMAT, "%s", text);
    ck_assert_uint_eq(strlen(err.text), ERR_TEXT_SIZE - 1);
    (void)err_context(&err, "outer");
    ck_assert_uint_eq(strlen(err.text), ERR_TEXT_SIZE - 1);
    ck_assert_int_eq(strncmp(err.text, "outer: xxx", 10), 0);
    (void)err_context(&err, "%s", text);
    ck_assert_uint_eq(strlen(err.text), ERR_TEXT_SIZE - 1);
}
END_TEST

START_TEST(err_may_be_null)
{
    ck_assert(!err_set(NULL, ERR_FORMAT, "x"));
    ck_assert(!err_context(NULL, "x"));
    ck_assert(!err_sys(NULL, "x"));
    ck_assert(!err_memory(NULL));
}
END_TEST

static const struct {
    enum err_kind kind;
    int sys_errno;
    const char *word;
    int code;
} kinds[] = {
    {ERR_NONE, 0, "none", 70},
    {ERR_SYSTEM, ENOENT, "system", 71},
    {ERR_SYSTEM, EACCES, "system", 77},
    {ERR_SYSTEM, EPERM, "system", 77},
    {ERR_TIMEOUT, 0, "timeout", 75},
    {ERR_LIMIT, 0, "limit", 70},
    {ERR_FORMAT, 0, "format", 70},
    {ERR_REJECTED, 0, "rejected", 70},
    {ERR_CONFIG, 0, "config", 78},
    {ERR_MEMORY, 0, "memory", 70},
};

START_TEST(err_kind_has_a_word_and_an_exit_code)
{
    struct err err = {.kind = kinds[_i].kind, .sys_errno = kinds[_i].sys_errno};

    ck_assert_str_eq(err_kind_word(kinds[_i].kind), kinds[_i].word);
    ck_assert_int_eq(err_exit_code(&err), kinds[_i].code);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("err");
    TCase *all = tcase_create("all");
    SRunner *runner;
    int failed;

    tcase_add_test(all, err_reads_from_the_outside_in);
    tcase_add_test(all, err_sys_adds_the_kernels_words_and_keeps_errno);
    tcase_add_test(all, err_openssl_adds_the_reason_and_empties_the_queue);
    tcase_add_test(all, err_takes_its_own_text_as_an_argument);
    tcase_add_test(all, err_cuts_what_is_too_long);
    tcase_add_test(all, err_may_be_null);
    tcase_add_loop_test(all, err_kind_has_a_word_and_an_exit_code, 0,
        (int)(sizeof(kinds) / sizeof(kinds[0])));
    suite_add_tcase(suite, all);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
