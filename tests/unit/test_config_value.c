/*
 * Scalars typed by hand, paths made absolute, and "did you mean".
 * Input: tables of texts. Output: Check's report.
 */
#include "shared/config_table.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

/* ---- scalars by hand ------------------------------------------------------ */

static const struct {
    const char *text;
    int64_t ms; /* -1: refused */
} durations[] = {
    {"0s", 0},
    {"500ms", 500},
    {"10s", 10000},
    {"5m", 300000},
    {"12h", 43200000},
    {"3d", 259200000},
    {"", -1},
    {"s", -1},
    {"5", -1},
    {"-5s", -1},
    {"5 s", -1},
    {"5S", -1},
    {"1h30m", -1},
    {"1.5s", -1},
    {"9223372036854775807ms", INT64_MAX},
    {"9223372036854775808ms", -1},
    {"9223372036854775s", 9223372036854775000},
    {"9223372036854776s", -1},
};

START_TEST(config_parse_duration_answers)
{
    int64_t ms = -1;

    ck_assert_int_eq(config_parse_duration(span_str(durations[_i].text), &ms),
        durations[_i].ms >= 0);
    ck_assert_int_eq(ms, durations[_i].ms);
}
END_TEST

static const struct {
    const char *text;
    int64_t bytes;
} sizes[] = {
    {"0", 0},
    {"512", 512},
    {"32K", 32768},
    {"8M", 8388608},
    {"1G", 1073741824},
    {"", -1},
    {"K", -1},
    {"1k", -1},
    {"1KB", -1},
    {"8589934591G", 9223372035781033984},
    {"8589934592G", -1},
};

START_TEST(config_parse_size_answers)
{
    int64_t bytes = -1;

    ck_assert_int_eq(config_parse_size(span_str(sizes[_i].text), &bytes),
        sizes[_i].bytes >= 0);
    ck_assert_int_eq(bytes, sizes[_i].bytes);
}
END_TEST

static const struct {
    const char *text;
    int64_t count;
    int64_t per_ms;
} rates[] = {
    {"5/s", 5, 1000},
    {"100/m", 100, 60000},
    {"0/h", 0, 3600000},
    {"4294967295/d", 4294967295, 86400000},
    {"4294967296/d", -1, -1},
    {"5/ms", -1, -1},
    {"5/", -1, -1},
    {"5", -1, -1},
    {"/s", -1, -1},
    {"5/2s", -1, -1},
    {"", -1, -1},
};

START_TEST(config_parse_rate_answers)
{
    struct config_rate rate = {-1, -1};

    ck_assert_int_eq(config_parse_rate(span_str(rates[_i].text), &rate),
        rates[_i].count >= 0);
    ck_assert_int_eq(rate.count, rates[_i].count);
    ck_assert_int_eq(rate.per_ms, rates[_i].per_ms);
}
END_TEST

START_TEST(config_parse_bool_knows_six_words)
{
    bool v = false;

    ck_assert(config_parse_bool(SPAN_LIT("true"), &v) && v);
    ck_assert(config_parse_bool(SPAN_LIT("false"), &v) && !v);
    ck_assert(config_parse_bool(SPAN_LIT("yes"), &v) && v);
    ck_assert(config_parse_bool(SPAN_LIT("no"), &v) && !v);
    ck_assert(config_parse_bool(SPAN_LIT("on"), &v) && v);
    ck_assert(config_parse_bool(SPAN_LIT("off"), &v) && !v);
    ck_assert(!config_parse_bool(SPAN_LIT("1"), &v));
    ck_assert(!config_parse_bool(SPAN_EMPTY, &v));
}
END_TEST

/* ---- paths and words ------------------------------------------------------ */

static const struct {
    const char *file;
    const char *path;
    const char *resolved; /* %: the working folder */
} paths[] = {
    {"/etc/w/w.yaml", "/a.pem", "/a.pem"},
    {"/etc/w/w.yaml", "a.pem", "/etc/w/a.pem"},
    {"/etc/w/w.yaml", "./a.pem", "/etc/w/a.pem"},
    {"/etc/w/w.yaml", "../a.pem", "/etc/w/../a.pem"},
    {"/w.yaml", "a.pem", "/a.pem"},
    {"w.yaml", "a.pem", "%/a.pem"},
    {"d/w.yaml", "a.pem", "%/d/a.pem"},
    {NULL, "a.pem", "%/a.pem"},
};

START_TEST(config_resolve_path_starts_at_the_naming_file)
{
    struct config_mark mark = {paths[_i].file, 1, 1};
    const char *want = paths[_i].resolved;
    char *got = config_resolve_path(&mark, paths[_i].path);
    char *cwd = getcwd(NULL, 0);
    size_t len = want[0] == '%' ? strlen(cwd) : 0;

    ck_assert_ptr_nonnull(got);
    ck_assert_int_eq(strncmp(got, cwd, len), 0);
    ck_assert_str_eq(got + len, want + (len > 0 ? 1 : 0));
    free(cwd);
    free(got);
}
END_TEST

static const struct {
    const char *typed;
    const char *near;
} words[] = {
    {"sever", "servers"},
    {"servres", "servers"},
    {"server", "servers"},
    {"locatoin", "locations"},
    {"ping", "ping"},
    {"pnig", "ping"},
    {"x", NULL},
    {"", NULL},
    {"zzzzzz", NULL},
    {"io", NULL},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL},
};

START_TEST(config_nearest_finds_slips_and_no_strangers)
{
    static const char *const known[] = {"servers", "locations", "ping", "tls"};
    const char *near = config_nearest(words[_i].typed, known, COUNT(known));

    if (words[_i].near == NULL)
        ck_assert_ptr_null(near);
    else
        ck_assert_str_eq(near, words[_i].near);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("config_value");
    TCase *all = tcase_create("all");
    SRunner *runner;
    int failed;

    tcase_add_loop_test(
        all, config_parse_duration_answers, 0, COUNT(durations));
    tcase_add_loop_test(all, config_parse_size_answers, 0, COUNT(sizes));
    tcase_add_loop_test(all, config_parse_rate_answers, 0, COUNT(rates));
    tcase_add_test(all, config_parse_bool_knows_six_words);
    tcase_add_loop_test(
        all, config_resolve_path_starts_at_the_naming_file, 0, COUNT(paths));
    tcase_add_loop_test(
        all, config_nearest_finds_slips_and_no_strangers, 0, COUNT(words));
    suite_add_tcase(suite, all);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
