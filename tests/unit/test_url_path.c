/*
 * url_path: the normal form, what is refused, what files get.
 * Input: a table of paths. Output: Check.
 */
#include "wsgate/http/url_path.h"

#include <check.h>
#include <stdlib.h>

struct row {
    const char *name;
    const char *in;
    const char *out; /* NULL: refused */
};

static const struct row normal[] = {
    {"root", "/", "/"},
    {"plain", "/a/b.c", "/a/b.c"},
    {"asterisk", "*", "*"},
    {"unreserved_escapes_decoded", "/%41%7e%2d%5F%2E1", "/A~-_.1"},
    {"other_escapes_kept_as_written", "/%20%2f%2F%5c%5C%3f%c3%A4",
        "/%20%2f%2F%5c%5C%3f%c3%A4"},
    {"case_kept", "/AbC", "/AbC"},
    {"double_slash_kept", "//a//b//", "//a//b//"},
    {"dot", "/a/./b", "/a/b"},
    {"dot_last", "/a/.", "/a/"},
    {"dot_only", "/.", "/"},
    {"dots", "/a/b/../c", "/a/c"},
    {"dots_last", "/a/b/..", "/a/"},
    {"dots_at_root", "/../a", "/a"},
    {"dots_only", "/..", "/"},
    {"many_dots_at_root", "/../../../../etc/passwd", "/etc/passwd"},
    {"escaped_dots", "/a/%2e%2E/b", "/b"},
    {"half_escaped_dots", "/a/.%2e/b", "/b"},
    {"escaped_dot", "/a/%2e/b", "/a/b"},
    {"dots_over_empty_segment", "/a//../b", "/a/b"},
    {"three_dots_are_a_name", "/a/.../b", "/a/.../b"},
    {"dots_with_tail_are_a_name", "/a/..b/.c", "/a/..b/.c"},
    {"dots_with_escaped_slash_are_a_name", "/a/..%2fb", "/a/..%2fb"},
    {"double_escape_is_not_decoded_twice", "/%252e%252e/a", "/%252e%252e/a"},
    {"sub_delims_kept", "/a;b=c,d!$&'()*+:@", "/a;b=c,d!$&'()*+:@"},
    {"empty", "", NULL},
    {"no_slash", "a", NULL},
    {"nul", "/a%00b", NULL},
    {"cut_escape", "/a%4", NULL},
    {"lone_percent", "/a%", NULL},
    {"bad_escape", "/a%4g", NULL},
    {"escape_with_sign", "/a%+1", NULL},
    {"backslash", "/a\\b", NULL},
    {"control", "/a\x01", NULL},
    {"space", "/a b", NULL},
    {"delete", "/a\x7f", NULL},
    {"high_byte", "/\xc3\xa4", NULL},
    {"query", "/a?b", NULL},
    {"fragment", "/a#b", NULL},
};
enum { NORMAL = sizeof(normal) / sizeof(normal[0]) };

static const struct row decoded[] = {
    {"plain", "/a/b", "/a/b"},
    {"escapes", "/%20%c3%a4%5C", "/ \xc3\xa4\\"},
    {"percent", "/100%25", "/100%"},
    {"slash", "/a%2fb", NULL},
    {"slash_upper", "/a%2Fb", NULL},
    {"nul", "/a%00", NULL},
    {"cut", "/a%2", NULL},
};
enum { DECODED = sizeof(decoded) / sizeof(decoded[0]) };

static void
check_row(
    const struct row *row, bool (*run)(struct span, struct buf *, struct err *))
{
    struct err err = {.kind = ERR_NONE};
    struct buf out;
    bool ok;

    buf_init(&out, 4096);
    ck_assert(buf_add_str(&out, "before"));
    ok = run(span_str(row->in), &out, &err);
    ck_assert_msg(ok == (row->out != NULL), "%s", row->name);
    if (!ok)
        ck_assert_int_eq(err.kind, ERR_FORMAT);
    ck_assert_msg(strcmp(buf_cstr(&out) + 6, ok ? row->out : "") == 0, "%s: %s",
        row->name, buf_cstr(&out));
    buf_fini(&out);
}

START_TEST(normal_form)
{
    check_row(&normal[_i], url_path_normalise);
}
END_TEST

START_TEST(normal_form_is_stable)
{
    struct row again = {normal[_i].name, normal[_i].out, normal[_i].out};

    if (again.in != NULL)
        check_row(&again, url_path_normalise);
}
END_TEST

START_TEST(decode_for_files)
{
    check_row(&decoded[_i], url_path_decode);
}
END_TEST

START_TEST(full_buffer_is_an_error)
{
    struct err err = {.kind = ERR_NONE};
    struct buf out;

    buf_init(&out, 3);
    ck_assert(!url_path_normalise(SPAN_LIT("/abc"), &out, &err));
    ck_assert_int_eq(err.kind, ERR_MEMORY);
    ck_assert_uint_eq(out.len, 0);
    buf_fini(&out);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("url_path");
    TCase *tc = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failures;

    suite_add_tcase(suite, tc);
    tcase_add_loop_test(tc, normal_form, 0, NORMAL);
    tcase_add_loop_test(tc, normal_form_is_stable, 0, NORMAL);
    tcase_add_loop_test(tc, decode_for_files, 0, DECODED);
    tcase_add_test(tc, full_buffer_is_an_error);
    srunner_run_all(runner, CK_NORMAL);
    failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures > 0 ? 1 : 0;
}
