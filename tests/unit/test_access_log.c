/* wsgate/client/access_log: whole lines, escaped, as text and JSON. */
#include "wsgate/client/access_log.h"

#include <check.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int file;
static struct access_log *log_under_test;

static void
set_up(void)
{
    file = memfd_create("log", MFD_CLOEXEC);
    log_under_test = access_log_new();
}

static void
tear_down(void)
{
    access_log_free(log_under_test);
    (void)close(file);
}

static const char *
written(void)
{
    static char text[64 * 1024];
    ssize_t n = pread(file, text, sizeof(text) - 1, 0);

    text[n < 0 ? 0 : n] = 0;
    return text;
}

static const struct access_record record = {
    .kind = ACCESS_EXCHANGE,
    .wall_ms = 1789000000123,
    .peer = "192.0.2.1:40000",
    .client = "198.51.100.1",
    .host = {(const unsigned char *)"a.example", 9},
    .method = {(const unsigned char *)"GET", 3},
    .target = {(const unsigned char *)"/\"\n\x80", 4},
    .status = 200,
    .bytes_out = 12,
    .duration_ms = 5,
    .handler = "proxy",
    .server = "127.0.0.1:1",
    .request_id = "id",
    .end = "",
};

START_TEST(json_lines_parse_and_carry_the_fields)
{
    json_t *line;

    access_log_set(log_under_test, file, LOG_FORMAT_JSON);
    access_log_write(log_under_test, &record);
    ck_assert_str_eq(written(), "");
    access_log_flush(log_under_test);
    line = json_loads(written(), 0, NULL);
    ck_assert_ptr_nonnull(line);
    ck_assert_int_eq(json_integer_value(json_object_get(line, "status")), 200);
    ck_assert_str_eq(
        json_string_value(json_object_get(line, "event")), "request");
    ck_assert_str_eq(json_string_value(json_object_get(line, "time")),
        "2026-09-10T00:26:40.123Z");
    ck_assert_ptr_null(json_object_get(line, "end"));
    json_decref(line);
}
END_TEST

START_TEST(text_lines_escape_what_comes_from_outside)
{
    access_log_set(log_under_test, file, LOG_FORMAT_TEXT);
    access_log_write(log_under_test, &record);
    access_log_flush(log_under_test);
    ck_assert_ptr_nonnull(
        strstr(written(), " target=\"/\\\"\\u000a\\u0080\" status=200 "));
    ck_assert_ptr_eq(
        strchr(written(), '\n'), written() + strlen(written()) - 1);
}
END_TEST

START_TEST(without_a_descriptor_nothing_is_kept)
{
    access_log_write(log_under_test, &record);
    access_log_set(log_under_test, file, LOG_FORMAT_TEXT);
    access_log_flush(log_under_test);
    ck_assert_str_eq(written(), "");
}
END_TEST

START_TEST(a_full_pipe_is_not_waited_for)
{
    int ends[2];

    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    access_log_set(log_under_test, ends[1], LOG_FORMAT_TEXT);
    for (int i = 0; i < 20000; i++)
        access_log_write(log_under_test, &record);
    access_log_set(log_under_test, -1, LOG_FORMAT_TEXT);
    (void)close(ends[0]);
    (void)close(ends[1]);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("access_log");
    TCase *tcase = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, json_lines_parse_and_carry_the_fields);
    tcase_add_test(tcase, text_lines_escape_what_comes_from_outside);
    tcase_add_test(tcase, without_a_descriptor_nothing_is_kept);
    tcase_add_test(tcase, a_full_pipe_is_not_waited_for);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
