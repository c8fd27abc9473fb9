/*
 * span: compare, cut, split, numbers and UTF-8, at every edge.
 * Input: tables of texts. Output: Check's report.
 */
#include "shared/span.h"

#include <check.h>
#include <stdlib.h>

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

/* ---- numbers -------------------------------------------------------------- */

static const struct {
    const char *text;
    uint64_t max;
    bool ok;
    uint64_t v;
} numbers[] = {
    {"0", 0, true, 0},
    {"1", 0, false, 0},
    {"007", 7, true, 7},
    {"8", 7, false, 0},
    {"65535", 65535, true, 65535},
    {"65536", 65535, false, 0},
    {"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
    {"18446744073709551616", UINT64_MAX, false, 0},
    {"99999999999999999999999", UINT64_MAX, false, 0},
    {"", 9, false, 0},
    {" 1", 9, false, 0},
    {"1 ", 9, false, 0},
    {"+1", 9, false, 0},
    {"-1", 9, false, 0},
    {"0x1", 99, false, 0},
    {"a", 99, false, 0},
    {"1a", 999, false, 0},
};

START_TEST(span_to_u64_takes_digits_up_to_a_maximum)
{
    uint64_t v = 77;

    ck_assert_int_eq(
        span_to_u64(span_str(numbers[_i].text), numbers[_i].max, &v),
        numbers[_i].ok);
    ck_assert_uint_eq(v, numbers[_i].ok ? numbers[_i].v : 77);
}
END_TEST

static const struct {
    const char *text;
    uint64_t max;
    bool ok;
    uint64_t v;
} hex[] = {
    {"ff", 255, true, 255},
    {"fF", 255, true, 255},
    {"100", 255, false, 0},
    {"g", 255, false, 0},
    {"", 255, false, 0},
    {"ffffffffffffffff", UINT64_MAX, true, UINT64_MAX},
    {"10000000000000000", UINT64_MAX, false, 0},
};

START_TEST(span_hex_to_u64_takes_hex_digits)
{
    uint64_t v = 77;

    ck_assert_int_eq(
        span_hex_to_u64(span_str(hex[_i].text), hex[_i].max, &v), hex[_i].ok);
    ck_assert_uint_eq(v, hex[_i].ok ? hex[_i].v : 77);
}
END_TEST

/* ---- comparing and cutting ------------------------------------------------ */

START_TEST(span_compares_bytes)
{
    ck_assert(span_eq(SPAN_EMPTY, span_str("")));
    ck_assert(span_eq(SPAN_LIT("a"), span_str("a")));
    ck_assert(!span_eq(SPAN_LIT("a"), SPAN_LIT("A")));
    ck_assert(!span_eq(SPAN_LIT("a"), SPAN_LIT("ab")));
    ck_assert(span_ieq(SPAN_LIT("aZ@[`{"), SPAN_LIT("Az@[`{")));
    ck_assert(!span_ieq(SPAN_LIT("@"), SPAN_LIT("`")));
    ck_assert(!span_ieq(SPAN_LIT("["), SPAN_LIT("{")));
    ck_assert(span_starts(SPAN_LIT("abc"), SPAN_LIT("ab")));
    ck_assert(span_starts(SPAN_LIT("abc"), SPAN_EMPTY));
    ck_assert(!span_starts(SPAN_LIT("a"), SPAN_LIT("ab")));
    ck_assert(span_istarts(SPAN_LIT("Abc"), SPAN_LIT("aB")));
    ck_assert(!span_istarts(SPAN_LIT("Abc"), SPAN_LIT("b")));
    ck_assert(span_ends(SPAN_LIT("abc"), SPAN_LIT("bc")));
    ck_assert(!span_ends(SPAN_LIT("c"), SPAN_LIT("bc")));
    ck_assert(span_ends(SPAN_EMPTY, SPAN_EMPTY));
    ck_assert_uint_eq(span_str(NULL).len, 0);
}
END_TEST

static const struct {
    size_t from;
    size_t len;
    const char *part;
} cuts[] = {
    {0, 3, "abc"},
    {0, 9, "abc"},
    {1, 1, "b"},
    {3, 1, ""},
    {4, 1, ""},
    {2, (size_t)-1, "c"},
    {(size_t)-1, (size_t)-1, ""},
    {1, 0, ""},
};

START_TEST(span_sub_is_clamped)
{
    ck_assert(span_eq(span_sub(SPAN_LIT("abc"), cuts[_i].from, cuts[_i].len),
        span_str(cuts[_i].part)));
    ck_assert_uint_eq(span_sub(SPAN_EMPTY, cuts[_i].from, cuts[_i].len).len, 0);
}
END_TEST

START_TEST(span_trim_drops_blanks_and_tabs_alone)
{
    ck_assert(span_eq(span_trim(SPAN_LIT(" \ta b\t ")), SPAN_LIT("a b")));
    ck_assert(span_eq(span_trim(SPAN_LIT(" \t ")), SPAN_EMPTY));
    ck_assert(span_eq(span_trim(SPAN_LIT("\na\r")), SPAN_LIT("\na\r")));
    ck_assert(span_eq(span_trim(SPAN_EMPTY), SPAN_EMPTY));
}
END_TEST

START_TEST(span_find_answers_the_length_for_nothing)
{
    ck_assert_uint_eq(span_find(SPAN_LIT("abcb"), 'b'), 1);
    ck_assert_uint_eq(span_find(SPAN_LIT("abc"), 'x'), 3);
    ck_assert_uint_eq(span_find(SPAN_EMPTY, 'x'), 0);
}
END_TEST

static const struct {
    const char *text;
    size_t count;
    const char *parts[4];
} splits[] = {
    {"a,,b", 3, {"a", "", "b"}},
    {"", 1, {""}},
    {",", 2, {"", ""}},
    {"a", 1, {"a"}},
    {"a,", 2, {"a", ""}},
    {",a", 2, {"", "a"}},
};

START_TEST(span_split_gives_every_part)
{
    struct span rest = span_str(splits[_i].text);
    struct span part = SPAN_LIT("untouched");
    size_t n = 0;

    while (span_split(&rest, ',', &part)) {
        ck_assert_uint_lt(n, splits[_i].count);
        ck_assert(span_eq(part, span_str(splits[_i].parts[n])));
        n++;
    }
    ck_assert_uint_eq(n, splits[_i].count);
    ck_assert(!span_split(&rest, ',', &part));
}
END_TEST

/* ---- copies --------------------------------------------------------------- */

START_TEST(span_to_cstr_refuses_a_nul_and_what_does_not_fit)
{
    char out[4] = "old";

    ck_assert(!span_to_cstr(SPAN_LIT("abcd"), out, sizeof(out)));
    ck_assert(!span_to_cstr(SPAN_LIT("a\0b"), out, sizeof(out)));
    ck_assert_str_eq(out, "old");
    ck_assert(span_to_cstr(SPAN_LIT("abc"), out, sizeof(out)));
    ck_assert_str_eq(out, "abc");
    ck_assert(span_to_cstr(SPAN_EMPTY, out, 1));
    ck_assert_str_eq(out, "");
    ck_assert(!span_to_cstr(SPAN_EMPTY, out, 0));
}
END_TEST

START_TEST(span_dup_ends_in_a_nul)
{
    char *a = span_dup(SPAN_LIT("ab"));
    char *empty = span_dup(SPAN_EMPTY);

    ck_assert_str_eq(a, "ab");
    ck_assert_str_eq(empty, "");
    free(a);
    free(empty);
}
END_TEST

/* ---- UTF-8 ---------------------------------------------------------------- */

static const struct {
    const char *bytes;
    size_t len; /* 0: refused */
    uint32_t code;
} utf8[] = {
    {"a", 1, 'a'},
    {"\x7f", 1, 0x7f},
    {"\xc2\x80", 2, 0x80},
    {"\xdf\xbf", 2, 0x7ff},
    {"\xe0\xa0\x80", 3, 0x800},
    {"\xed\x9f\xbf", 3, 0xd7ff},
    {"\xee\x80\x80", 3, 0xe000},
    {"\xef\xbf\xbf", 3, 0xffff},
    {"\xf0\x90\x80\x80", 4, 0x10000},
    {"\xf4\x8f\xbf\xbf", 4, 0x10ffff},
    {"", 0, 0},
    {"\x80", 0, 0},
    {"\xc0\x80", 0, 0},
    {"\xc1\xbf", 0, 0},
    {"\xc2", 0, 0},
    {"\xc2 ", 0, 0},
    {"\xe0\x9f\xbf", 0, 0},
    {"\xed\xa0\x80", 0, 0},
    {"\xef\xbf", 0, 0},
    {"\xf0\x8f\xbf\xbf", 0, 0},
    {"\xf4\x90\x80\x80", 0, 0},
    {"\xf5\x80\x80\x80", 0, 0},
    {"\xff", 0, 0},
};

START_TEST(span_utf8_takes_the_shortest_form_alone)
{
    uint32_t code = 0;

    ck_assert_uint_eq(span_utf8(span_str(utf8[_i].bytes), &code), utf8[_i].len);
    ck_assert_uint_eq(code, utf8[_i].code);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("span");
    TCase *all = tcase_create("all");
    SRunner *runner;
    int failed;

    tcase_add_loop_test(
        all, span_to_u64_takes_digits_up_to_a_maximum, 0, COUNT(numbers));
    tcase_add_loop_test(all, span_hex_to_u64_takes_hex_digits, 0, COUNT(hex));
    tcase_add_test(all, span_compares_bytes);
    tcase_add_loop_test(all, span_sub_is_clamped, 0, COUNT(cuts));
    tcase_add_test(all, span_trim_drops_blanks_and_tabs_alone);
    tcase_add_test(all, span_find_answers_the_length_for_nothing);
    tcase_add_loop_test(all, span_split_gives_every_part, 0, COUNT(splits));
    tcase_add_test(all, span_to_cstr_refuses_a_nul_and_what_does_not_fit);
    tcase_add_test(all, span_dup_ends_in_a_nul);
    tcase_add_loop_test(
        all, span_utf8_takes_the_shortest_form_alone, 0, COUNT(utf8));
    suite_add_tcase(suite, all);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
