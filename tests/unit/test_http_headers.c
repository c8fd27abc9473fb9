/*
 * http_headers: lookup, tokens, hop-by-hop, the forwarded family, dates.
 * Input: fields by hand. Output: Check.
 */
#include "wsgate/http/http_headers.h"

#include <check.h>
#include <stdlib.h>

static struct http_fields fields;

static void
add(const char *name, const char *value)
{
    ck_assert(http_fields_add(&fields, span_str(name), span_str(value)));
}

static void
setup(void)
{
    fields = (struct http_fields){.items = NULL};
    add("Host", "a");
    add("connection", "close, X-Hop ,Cookie");
    add("Connection", "Content-Length");
    add("Cookie", "a=b");
    add("X-Empty", "");
}

static void
teardown(void)
{
    free(fields.items);
}

START_TEST(names_have_no_case)
{
    ck_assert(span_eq(http_field_value(&fields, "HOST"), SPAN_LIT("a")));
    ck_assert_uint_eq(http_field_count(&fields, "CONNECTION"), 2);
    ck_assert_uint_eq(http_field_count(&fields, "Hos"), 0);
    ck_assert_uint_eq(http_field_value(&fields, "X-None").len, 0);
    ck_assert_ptr_null(http_field_find(&fields, SPAN_LIT("X-None")));
    ck_assert_ptr_nonnull(http_field_find(&fields, SPAN_LIT("x-empty")));
}
END_TEST

START_TEST(tokens_are_found_in_every_list)
{
    ck_assert(http_field_has_token(&fields, "Connection", "CLOSE"));
    ck_assert(http_field_has_token(&fields, "Connection", "x-hop"));
    ck_assert(http_field_has_token(&fields, "Connection", "content-length"));
    ck_assert(!http_field_has_token(&fields, "Connection", "clos"));
    ck_assert(!http_field_has_token(&fields, "Connection", "x-hop,cookie"));
    ck_assert(!http_field_has_token(&fields, "X-None", ""));
    ck_assert(!http_field_has_token(&fields, "X-Empty", "a"));
}
END_TEST

START_TEST(many_fields_fit)
{
    for (int i = 0; i < 1000; i++)
        add("A", "b");
    ck_assert_uint_eq(http_field_count(&fields, "a"), 1000);
}
END_TEST

static const struct {
    const char *name;
    bool is_hop;
} hops[] = {
    {"Connection", true},
    {"keep-alive", true},
    {"TE", true},
    {"Trailer", true},
    {"Transfer-Encoding", true},
    {"Upgrade", true},
    {"Proxy-Authorization", true},
    {"Proxy-Connection", true},
    {"Proxy-Anything", true},
    {"Proxy", true},
    {"HTTP2-Settings", true},
    {"X-Hop", true},
    {"Cookie", false}, /* named by Connection, but for the last recipient */
    {"Content-Length", false},
    {"Host", false},
    {"X-Other", false},
};
enum { HOPS = sizeof(hops) / sizeof(hops[0]) };

START_TEST(hop_by_hop)
{
    ck_assert_msg(http_field_is_hop_by_hop(&fields, span_str(hops[_i].name)) ==
                      hops[_i].is_hop,
        "%s", hops[_i].name);
}
END_TEST

static const struct {
    const char *name;
    bool is_forwarded;
} forwarded[] = {
    {"Forwarded", true},
    {"x-forwarded-for", true},
    {"X-Forwarded-Anything", true},
    {"X_Forwarded_For", true},
    {"X-Forwarded_Proto", true},
    {"X-Real-IP", true},
    {"x_real_ip", true},
    {"X-Request-Id", true},
    {"X-Forwarded", false},
    {"Forwarded-For", false},
    {"traceparent", false},
};
enum { FORWARDED = sizeof(forwarded) / sizeof(forwarded[0]) };

START_TEST(forwarded_family)
{
    ck_assert_msg(http_field_is_forwarded(span_str(forwarded[_i].name)) ==
                      forwarded[_i].is_forwarded,
        "%s", forwarded[_i].name);
}
END_TEST

static const struct {
    const char *text;
    int64_t unix_s; /* -1: refused */
} dates[] = {
    {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
    {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
    {"Sun Nov  6 08:49:37 1994", 784111777},
    {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
    {"Tue, 29 Feb 2028 23:59:59 GMT", 1835481599},
    {"Wednesday, 06-Nov-24 08:49:37 GMT", 1730882977},
    {"Sun Nov 16 08:49:37 1994", 784975777},
    {"Sun, 06 Nov 1994 08:49:37 CET", -1},
    {"Sun, 06 Nov 1994 24:49:37 GMT", -1},
    {"Sun, 06 Nov 1969 08:49:37 GMT", -1},
    {"Sun, 00 Nov 1994 08:49:37 GMT", -1},
    {"Sun, 06 Nox 1994 08:49:37 GMT", -1},
    {"Sun, 6 Nov 1994 08:49:37 GMT", -1},
    {"Sun, 06 Nov 1994 08:49:37 GMT ", -1},
    {"784111777", -1},
    {"", -1},
};
enum { DATES = sizeof(dates) / sizeof(dates[0]) };

START_TEST(dates_are_read)
{
    int64_t at = -1;
    bool ok = http_date_parse(span_str(dates[_i].text), &at);

    ck_assert_msg(ok == (dates[_i].unix_s >= 0), "%s", dates[_i].text);
    if (ok)
        ck_assert_int_eq(at, dates[_i].unix_s);
}
END_TEST

START_TEST(dates_are_written)
{
    char text[30];

    http_date_write(784111777, text);
    ck_assert_str_eq(text, "Sun, 06 Nov 1994 08:49:37 GMT");
    http_date_write(0, text);
    ck_assert_str_eq(text, "Thu, 01 Jan 1970 00:00:00 GMT");
    http_date_write(-1, text);
    ck_assert_str_eq(text, "Thu, 01 Jan 1970 00:00:00 GMT");
    http_date_write(INT64_MAX, text);
    ck_assert_str_eq(text, "Thu, 01 Jan 1970 00:00:00 GMT");
    http_date_write(253402300799, text);
    ck_assert_str_eq(text, "Fri, 31 Dec 9999 23:59:59 GMT");
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("http_headers");
    TCase *tc = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failures;

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, names_have_no_case);
    tcase_add_test(tc, tokens_are_found_in_every_list);
    tcase_add_test(tc, many_fields_fit);
    tcase_add_loop_test(tc, hop_by_hop, 0, HOPS);
    tcase_add_loop_test(tc, forwarded_family, 0, FORWARDED);
    tcase_add_loop_test(tc, dates_are_read, 0, DATES);
    tcase_add_test(tc, dates_are_written);
    srunner_run_all(runner, CK_NORMAL);
    failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures > 0 ? 1 : 0;
}
