/*
 * ws_origin: which pages may open a socket.
 * Input: a table of policies and origins. Output: Check.
 */
#include "wsgate/ws/ws_origin.h"

#include <check.h>
#include <stdlib.h>

static const char *const admin[] = {"https://admin.example:8443", "junk"};
static const char *const null_too[] = {"null"};

static const struct ws_origin_policy same = {.same = true};
static const struct ws_origin_policy any = {.any = true};
static const struct ws_origin_policy none = {.same = false};
static const struct ws_origin_policy listed = {
    .same = true, .listed = admin, .listed_count = 2};
static const struct ws_origin_policy with_null = {
    .listed = null_too, .listed_count = 1};

static const struct {
    const char *name;
    const struct ws_origin_policy *policy;
    const char *origin; /* NULL: no field */
    bool is_tls;
    const char *authority;
    bool allowed;
} rows[] = {
    {"no_origin", &same, NULL, true, "a.example", true},
    {"no_origin_and_no_rule", &none, NULL, true, "a.example", true},
    {"same", &same, "https://a.example", true, "a.example", true},
    {"same_any_case", &same, "HTTPS://A.Example", true, "a.eXample", true},
    {"same_default_port", &same, "https://a.example:443", true, "a.example",
        true},
    {"same_default_port_of_host", &same, "https://a.example", true,
        "a.example:443", true},
    {"same_port", &same, "https://a.example:8443", true, "a.example:8443",
        true},
    {"same_plain", &same, "http://a.example", false, "a.example:80", true},
    {"same_ipv6", &same, "https://[::1]:8443", true, "[::1]:8443", true},
    {"same_ipv6_without_port", &same, "https://[::1]", true, "[::1]", true},
    {"other_host", &same, "https://b.example", true, "a.example", false},
    {"longer_host", &same, "https://a.example.evil", true, "a.example", false},
    {"host_as_prefix", &same, "https://a.exampl", true, "a.example", false},
    {"other_port", &same, "https://a.example:8443", true, "a.example", false},
    {"other_scheme", &same, "http://a.example", true, "a.example", false},
    {"https_page_on_plain", &same, "https://a.example", false, "a.example",
        false},
    {"null_is_not_same", &same, "null", true, "a.example", false},
    {"empty_origin", &same, "", true, "a.example", false},
    {"no_scheme", &same, "a.example", true, "a.example", false},
    {"origin_with_path", &same, "https://a.example/", true, "a.example", false},
    {"origin_with_user", &same, "https://a.example@b", true, "a.example",
        false},
    {"two_origins", &same, "https://a.example https://b.example", true,
        "a.example", false},
    {"bad_port", &same, "https://a.example:x", true, "a.example", false},
    {"no_host_at_all", &same, "https://", true, "", false},
    {"listed", &listed, "https://admin.example:8443", true, "a.example", true},
    {"listed_other_port", &listed, "https://admin.example", true, "a.example",
        false},
    {"listed_and_same", &listed, "https://a.example", true, "a.example", true},
    {"not_listed", &listed, "https://b.example", true, "a.example", false},
    {"null_listed", &with_null, "null", true, "a.example", true},
    {"null_listed_is_not_same", &with_null, "https://a.example", true,
        "a.example", false},
    {"any", &any, "https://evil.example", true, "a.example", true},
    {"any_and_junk", &any, "junk", true, "a.example", true},
    {"none", &none, "https://a.example", true, "a.example", false},
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

START_TEST(origin_policy)
{
    ck_assert_msg(ws_origin_allowed(rows[_i].policy, rows[_i].origin != NULL,
                      span_str(rows[_i].origin), rows[_i].is_tls,
                      span_str(rows[_i].authority)) == rows[_i].allowed,
        "%s", rows[_i].name);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("ws_origin");
    TCase *tc = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failures;

    suite_add_tcase(suite, tc);
    tcase_add_loop_test(tc, origin_policy, 0, ROWS);
    srunner_run_all(runner, CK_NORMAL);
    failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures > 0 ? 1 : 0;
}
