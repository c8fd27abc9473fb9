/*
 * JSON lines in any split, and lines that are none.
 */
#include "shared/control.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* Takes all lines out: "<value of k>" for an object, "!" for a bad line. */
static void
drain(struct control_reader *reader, struct buf *seen)
{
    for (;;) {
        struct err err = {0};
        json_t *object = NULL;

        if (!control_reader_next(reader, &object, &err)) {
            ck_assert_int_eq(err.kind, ERR_FORMAT);
            ck_assert(buf_add_str(seen, "! "));
            continue;
        }
        if (object == NULL)
            return;
        ck_assert(buf_add_fmt(
            seen, "%s ", json_string_value(json_object_get(object, "k"))));
        json_decref(object);
    }
}

static const char stream[] = "{\"k\":\"one\"}\n\r\n \n{\"k\": \"two\"}\r\n"
                             "nonsense\n[1]\n{\"k\":\"a\",\"k\":\"b\"}\n"
                             "{\"k\":\"three\"} {}\n{\"k\":\"four\"}\n{\"k\"";

START_TEST(lines_come_out_whole_whatever_the_split)
{
    size_t total = strlen(stream);

    for (size_t step = 1; step <= total; step++) {
        struct control_reader reader;
        struct buf seen;
        struct err err;

        control_reader_init(&reader);
        buf_init(&seen, 1000);
        for (size_t at = 0; at < total; at += step) {
            ck_assert(control_reader_feed(
                &reader, span_sub(span_str(stream), at, step), &err));
            drain(&reader, &seen);
        }
        ck_assert_str_eq(buf_cstr(&seen), "one two ! ! ! ! four ");
        ck_assert(control_reader_feed(&reader, SPAN_LIT(":\"five\"}\n"), &err));
        drain(&reader, &seen);
        ck_assert_str_eq(buf_cstr(&seen), "one two ! ! ! ! four five ");
        control_reader_fini(&reader);
        buf_fini(&seen);
    }
}
END_TEST

START_TEST(a_line_at_the_limit_passes_and_one_above_does_not)
{
    char *line = malloc(CONTROL_LINE_MAX + 2);
    struct control_reader reader;
    struct err err = {0};
    json_t *object = NULL;

    ck_assert_ptr_nonnull(line);
    memset(line, ' ', CONTROL_LINE_MAX + 2);
    line[0] = '{';
    line[CONTROL_LINE_MAX - 1] = '}';
    control_reader_init(&reader);
    ck_assert(
        control_reader_feed(&reader, span_make(line, CONTROL_LINE_MAX), &err));
    ck_assert(control_reader_feed(&reader, SPAN_LIT("\n{}\n"), &err));
    for (int i = 0; i < 2; i++) {
        ck_assert(control_reader_next(&reader, &object, &err));
        ck_assert(json_is_object(object));
        json_decref(object);
    }
    ck_assert(
        control_reader_feed(&reader, span_make(line, CONTROL_LINE_MAX), &err));
    ck_assert(!control_reader_feed(&reader, SPAN_LIT("x"), &err));
    ck_assert_int_eq(err.kind, ERR_LIMIT);
    control_reader_fini(&reader);
    control_reader_init(&reader);
    ck_assert(!control_reader_feed(
        &reader, span_make(line, CONTROL_LINE_MAX + 1), &err));
    control_reader_fini(&reader);
    free(line);
}
END_TEST

START_TEST(unread_lines_are_bounded_too)
{
    struct control_reader reader;
    struct err err = {0};
    size_t fed = 0;

    control_reader_init(&reader);
    while (control_reader_feed(
        &reader, SPAN_LIT("{\"k\":\"0123456789\"}\n"), &err))
        ck_assert_uint_lt(fed++, CONTROL_LINE_MAX);
    ck_assert_int_eq(err.kind, ERR_LIMIT);
    control_reader_fini(&reader);
}
END_TEST

START_TEST(an_object_is_written_as_one_line)
{
    json_t *object = json_pack("{s:s,s:i}", "k", "a\nb", "n", 1);
    struct err err = {0};
    struct buf out;

    buf_init(&out, 30);
    ck_assert(control_write(&out, object, &err));
    ck_assert_str_eq(buf_cstr(&out), "{\"k\":\"a\\nb\",\"n\":1}\n");
    ck_assert(!control_write(&out, object, &err));
    ck_assert_int_eq(err.kind, ERR_LIMIT);
    ck_assert_str_eq(buf_cstr(&out), "{\"k\":\"a\\nb\",\"n\":1}\n");
    ck_assert(!control_write(&out, NULL, &err));
    buf_fini(&out);
    json_decref(object);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("control");
    TCase *t = tcase_create("control");
    SRunner *runner;
    int failed;

    tcase_add_test(t, lines_come_out_whole_whatever_the_split);
    tcase_add_test(t, a_line_at_the_limit_passes_and_one_above_does_not);
    tcase_add_test(t, unread_lines_are_bounded_too);
    tcase_add_test(t, an_object_is_written_as_one_line);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
