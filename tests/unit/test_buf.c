/*
 * buf: grows up to its maximum and never past it.
 * Input: bytes and formats. Output: Check's report.
 */
#include "shared/buf.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct buf b;

static void
teardown(void)
{
    buf_fini(&b);
}

static const size_t maxima[] = {0, 1, 2, 255, 256, 257, 511, 512, 513, 5000};

START_TEST(buf_holds_exactly_its_maximum)
{
    size_t max = maxima[_i];

    buf_init(&b, max);
    for (size_t i = 0; i < max; i++)
        ck_assert(buf_add_byte(&b, (unsigned char)i));
    ck_assert(!buf_add_byte(&b, 'x'));
    ck_assert_uint_eq(b.len, max);
    for (size_t i = 0; i < max; i++)
        ck_assert_uint_eq(b.data[i], (unsigned char)i);
    ck_assert(buf_add(&b, SPAN_EMPTY));
    ck_assert_uint_le(strlen(buf_cstr(&b)), max);
}
END_TEST

START_TEST(buf_takes_all_of_a_span_or_nothing)
{
    buf_init(&b, 5);
    ck_assert(buf_add_str(&b, "abc"));
    ck_assert(!buf_add_str(&b, "def"));
    ck_assert(!buf_add_fmt(&b, "%s", "def"));
    ck_assert(!buf_reserve(&b, 3));
    ck_assert_str_eq(buf_cstr(&b), "abc");
    ck_assert(buf_add_fmt(&b, "%d", 42));
    ck_assert_str_eq(buf_cstr(&b), "abc42");
    ck_assert(!buf_reserve(&b, (size_t)-1));
}
END_TEST

START_TEST(buf_past_a_lowered_maximum_takes_nothing)
{
    buf_init(&b, 10);
    ck_assert(buf_add_str(&b, "abcdef"));
    b.max = 4;
    ck_assert(!buf_add_byte(&b, 'x'));
    ck_assert(!buf_reserve(&b, 0));
    b.max = 10;
    ck_assert(buf_add_str(&b, "ghij"));
    ck_assert_str_eq(buf_cstr(&b), "abcdefghij");
}
END_TEST

START_TEST(buf_fmt_needs_no_room_for_its_nul)
{
    buf_init(&b, 3);
    ck_assert(buf_add_fmt(&b, "%s", "abc"));
    ck_assert_str_eq(buf_cstr(&b), "abc");
    ck_assert(buf_add_fmt(&b, "%s", ""));
}
END_TEST

START_TEST(buf_reserve_gives_room_to_write_into)
{
    buf_init(&b, 1000);
    ck_assert(buf_reserve(&b, 1000));
    memset(b.data, 'x', 1000);
    buf_grew(&b, 1000);
    ck_assert_uint_eq(strlen(buf_cstr(&b)), 1000);
}
END_TEST

START_TEST(buf_consume_drops_from_the_front)
{
    buf_init(&b, 10);
    buf_consume(&b, 3);
    ck_assert(buf_add_str(&b, "abcdef"));
    buf_consume(&b, 0);
    buf_consume(&b, 2);
    ck_assert_str_eq(buf_cstr(&b), "cdef");
    buf_consume(&b, 4);
    ck_assert_str_eq(buf_cstr(&b), "");
    ck_assert(buf_add_str(&b, "0123456789"));
    buf_consume(&b, 11);
    ck_assert_uint_eq(b.len, 0);
}
END_TEST

START_TEST(buf_is_empty_before_and_after)
{
    size_t len = 1;
    unsigned char *bytes;

    buf_init(&b, 10);
    ck_assert_str_eq(buf_cstr(&b), "");
    ck_assert_uint_eq(buf_span(&b).len, 0);
    ck_assert_ptr_null(buf_take(&b, &len));
    ck_assert_uint_eq(len, 0);
    ck_assert(buf_add_str(&b, "abc"));
    ck_assert(span_eq(buf_span(&b), SPAN_LIT("abc")));
    buf_clear(&b);
    ck_assert_uint_eq(b.len, 0);
    ck_assert(buf_add_str(&b, "de"));
    bytes = buf_take(&b, &len);
    ck_assert_uint_eq(len, 2);
    ck_assert_mem_eq(bytes, "de", 2);
    free(bytes);
    ck_assert_ptr_null(b.data);
    ck_assert_uint_eq(b.max, 10);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("buf");
    TCase *all = tcase_create("all");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(all, NULL, teardown);
    tcase_add_loop_test(all, buf_holds_exactly_its_maximum, 0,
        (int)(sizeof(maxima) / sizeof(maxima[0])));
    tcase_add_test(all, buf_takes_all_of_a_span_or_nothing);
    tcase_add_test(all, buf_past_a_lowered_maximum_takes_nothing);
    tcase_add_test(all, buf_fmt_needs_no_room_for_its_nul);
    tcase_add_test(all, buf_reserve_gives_room_to_write_into);
    tcase_add_test(all, buf_consume_drops_from_the_front);
    tcase_add_test(all, buf_is_empty_before_and_after);
    suite_add_tcase(suite, all);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
