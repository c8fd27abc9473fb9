/*
 * log: one event, one line; escaping, levels, the journal, long lines.
 * Input: events. Output: what came out of stderr, and Check's report.
 */
#include "shared/log.h"

#include "shared/err.h"
#include "shared/now.h"

#include <check.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static FILE *file;
static int saved_fd;
static char text[16384];

/* stderr goes into an unlinked file while a test runs. */
static void
setup(void)
{
    file = tmpfile();
    ck_assert_ptr_nonnull(file);
    saved_fd = dup(STDERR_FILENO);
    ck_assert_int_ge(dup2(fileno(file), STDERR_FILENO), 0);
    (void)unsetenv("JOURNAL_STREAM");
    now_set_wall(1700000000);
    log_init("test", LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
}

static void
teardown(void)
{
    (void)dup2(saved_fd, STDERR_FILENO);
    (void)close(saved_fd);
    (void)fclose(file);
    now_set_wall(-1);
}

/* What was written since the last call. */
static const char *
written(void)
{
    ssize_t n = pread(fileno(file), text, sizeof(text) - 1, 0);

    ck_assert_int_ge(n, 0);
    text[n] = 0;
    ck_assert_int_eq(ftruncate(fileno(file), 0), 0);
    ck_assert_int_eq(lseek(fileno(file), 0, SEEK_SET), 0);
    return text;
}

START_TEST(log_writes_the_event_then_its_fields)
{
    struct err err = {.text = "no \"space\""};

    log_warn("fetch failed", LOG_S("target", "www.example.org"),
        LOG_I("try", 3), LOG_ERR(&err));
    ck_assert_str_eq(written(), "warning: fetch failed target=www.example.org "
                                "try=3 error=\"no \\\"space\\\"\"\n");
}
END_TEST

static const struct {
    const char *value;
    const char *shown;
} values[] = {
    {"plain", "plain"},
    {"", "\"\""},
    {"two words", "\"two words\""},
    {"a=b", "\"a=b\""},
    {"a\nerror: forged", "\"a\\u000aerror: forged\""},
    {"\x1b[31m", "\"\\u001b[31m\""},
    {"\\", "\"\\\\\""},
    {"\x7f", "\"\\u007f\""},
    {"m\xc3\xbcller", "\"m\\u00fcller\""},
    {"\xe2\x80\xae", "\"\\u202e\""},
    {"\xf0\x9f\x98\x80", "\"\\ud83d\\ude00\""},
    {"\xff\xc3", "\"\\u00ff\\u00c3\""},
};

START_TEST(log_escapes_text_from_outside)
{
    char line[128];

    log_error("e", LOG_S("k", values[_i].value));
    (void)snprintf(line, sizeof(line), "error: e k=%s\n", values[_i].shown);
    ck_assert_str_eq(written(), line);
}
END_TEST

START_TEST(log_json_reads_back_as_the_same_text)
{
    json_error_t error;
    json_t *line;

    log_init("test", LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    log_info("e", LOG_S("k", "m\xc3\xbc \"\\\n \xf0\x9f\x98\x80"),
        LOG_I("n", INT64_MIN));
    line = json_loads(written(), 0, &error);
    ck_assert_msg(line != NULL, "%s", error.text);
    ck_assert_str_eq(json_string_value(json_object_get(line, "k")),
        "m\xc3\xbc \"\\\n \xf0\x9f\x98\x80");
    ck_assert_int_eq(json_integer_value(json_object_get(line, "n")), INT64_MIN);
    ck_assert_str_eq(json_string_value(json_object_get(line, "time")),
        "2023-11-14T22:13:20.000Z");
    ck_assert_str_eq(json_string_value(json_object_get(line, "level")), "info");
    ck_assert_str_eq(
        json_string_value(json_object_get(line, "daemon")), "test");
    ck_assert_str_eq(json_string_value(json_object_get(line, "event")), "e");
    json_decref(line);
}
END_TEST

START_TEST(log_says_nothing_below_its_level)
{
    log_debug("hidden", LOG_I("n", 1));
    ck_assert_str_eq(written(), "");
    ck_assert(!log_is_debug());
    log_init("test", LOG_FORMAT_TEXT, LOG_LEVEL_DEBUG);
    ck_assert(log_is_debug());
    log_debug("shown", LOG_I("n", 1));
    ck_assert_str_eq(written(), "debug: shown n=1\n");
    log_init("test", LOG_FORMAT_TEXT, LOG_LEVEL_ERROR);
    log_warn("hidden", LOG_I("n", 1));
    ck_assert_str_eq(written(), "");
}
END_TEST

START_TEST(log_skips_a_field_without_a_key)
{
    log_info("e", LOG_S(NULL, "x"), LOG_SPAN("k", SPAN_LIT("y")));
    ck_assert_str_eq(written(), "info: e k=y\n");
}
END_TEST

START_TEST(log_leaves_out_a_field_that_is_too_long)
{
    static char longest[9000];
    json_t *line;

    memset(longest, 'x', sizeof(longest) - 1);
    log_info("e", LOG_S("long", longest), LOG_I("n", 1));
    ck_assert_str_eq(written(), "info: e n=1\n");
    log_init("test", LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    longest[8000] = 0;
    for (size_t len = 8000; len < 8192; len++) {
        log_info("e", LOG_S("long", longest));
        line = json_loads(written(), 0, NULL);
        ck_assert_ptr_nonnull(line);
        json_decref(line);
        longest[len] = 'x';
        longest[len + 1] = 0;
    }
}
END_TEST

START_TEST(log_gives_the_journal_its_priority)
{
    struct stat st;
    char stream[64];

    ck_assert_int_eq(fstat(STDERR_FILENO, &st), 0);
    (void)snprintf(stream, sizeof(stream), "%llu:%llu",
        (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
    ck_assert_int_eq(setenv("JOURNAL_STREAM", stream, 1), 0);
    log_init("test", LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
    log_error("e", LOG_I("n", 1));
    ck_assert_str_eq(written(), "<3>error: e n=1\n");
    ck_assert_int_eq(setenv("JOURNAL_STREAM", "1:2", 1), 0);
    log_init("test", LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
    log_error("e", LOG_I("n", 1));
    ck_assert_str_eq(written(), "error: e n=1\n");
}
END_TEST

START_TEST(log_keeps_errno)
{
    errno = ENOSPC;
    log_error("e", LOG_I("n", 1));
    ck_assert_int_eq(errno, ENOSPC);
}
END_TEST

START_TEST(log_level_words_go_both_ways)
{
    enum log_level level;

    for (int i = LOG_LEVEL_ERROR; i <= LOG_LEVEL_DEBUG; i++) {
        const char *word = log_level_word((enum log_level)i);

        ck_assert(log_level_parse(span_str(word), &level));
        ck_assert_int_eq((int)level, i);
    }
    ck_assert(!log_level_parse(SPAN_LIT("loud"), &level));
    ck_assert(!log_level_parse(SPAN_EMPTY, &level));
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("log");
    TCase *all = tcase_create("all");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_test(all, log_writes_the_event_then_its_fields);
    tcase_add_loop_test(all, log_escapes_text_from_outside, 0,
        (int)(sizeof(values) / sizeof(values[0])));
    tcase_add_test(all, log_json_reads_back_as_the_same_text);
    tcase_add_test(all, log_says_nothing_below_its_level);
    tcase_add_test(all, log_skips_a_field_without_a_key);
    tcase_add_test(all, log_leaves_out_a_field_that_is_too_long);
    tcase_add_test(all, log_gives_the_journal_its_priority);
    tcase_add_test(all, log_keeps_errno);
    tcase_add_test(all, log_level_words_go_both_ways);
    suite_add_tcase(suite, all);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
