/*
 * What status says of each state of the spool, as text and as JSON.
 * Input: targets and a spool made up here. Output: Check's report.
 */
#include "ocspd/status.h"
#include "tests/support/temp_folder.h"

#include <check.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define NOW INT64_C(1800000000)

static struct temp_folder folder;
static struct spool spool;
static struct status status;

static void
setup(void)
{
    temp_folder_init(&folder);
    ck_assert(spool_open(&spool, folder.path, NULL));
    status = (struct status){NULL, 0};
}

static void
teardown(void)
{
    status_fini(&status);
    spool_close(&spool);
    temp_folder_fini(&folder);
}

static struct target *
make(char digit, enum target_mode mode)
{
    struct target *target = calloc(1, sizeof(*target));

    ck_assert_ptr_nonnull(target);
    memset(target->fp, digit, 64);
    target->label = strdup("a.example");
    target->path = strdup("/etc/a.pem");
    target->mode = mode;
    target->not_after = NOW + 86400;
    list_init(&target->node);
    return target;
}

/* What lies in the spool for one certificate. */
static void
store(const struct target *target, const char *der, const char *digest_of,
    const char *state, int64_t life_end)
{
    struct spool_meta meta = {.label = target->label,
        .cert_path = target->path,
        .this_update = NOW - 3600,
        .next_update = life_end,
        .life_end = life_end,
        .next_attempt = NOW + 90000,
        .not_after = target->not_after,
        .revoked_reason = -1};
    char digest[65], status_text[16];
    char error[] = "HTTP status 503\x1b[31m", kind[] = "http-status";
    bool changed;

    ck_assert(span_to_cstr(span_str(state), status_text, sizeof(status_text)));
    meta.status = status_text;
    meta.last_error = error;
    meta.last_error_kind = kind;
    if (strcmp(state, "revoked") == 0) {
        meta.revoked_at = NOW - 7200;
        meta.revoked_reason = 1;
    }
    spool_digest(span_str(digest_of), digest);
    meta.der_sha256 = digest;
    if (der != NULL)
        ck_assert(
            spool_store(&spool, target->fp, span_str(der), &changed, NULL));
    ck_assert(spool_store_meta(&spool, target->fp, &meta, NULL));
}

static const struct {
    const char *rule;
    enum target_mode mode;
    const char *der;
    const char *digest_of;
    const char *state; /* of the side file; NULL: there is none */
    int64_t life_end;
    const char *word;
} cases[] = {
    {"a staple that lives", TARGET_OCSP, "x", "x", "good", NOW + 1, "live"},
    {"its last second is over", TARGET_OCSP, "x", "x", "good", NOW, "expired"},
    {"removed at its end", TARGET_OCSP, NULL, "x", "good", NOW, "expired"},
    {"nothing yet", TARGET_OCSP, NULL, NULL, NULL, 0, "missing"},
    {"a side file of other bytes", TARGET_OCSP, "x", "y", "good", NOW + 9,
        "missing"},
    {"revoked, withdrawn", TARGET_OCSP, NULL, "x", "revoked", NOW + 9,
        "revoked"},
    {"revoked, published", TARGET_OCSP, "x", "x", "revoked", NOW + 9,
        "revoked"},
    {"no OCSP URL", TARGET_NO_URL, NULL, NULL, NULL, 0, "none"},
    {"certificate expired", TARGET_EXPIRED, NULL, NULL, NULL, 0, "expired"},
    {"no issuer", TARGET_NO_ISSUER, NULL, NULL, NULL, 0, "no-issuer"},
    {"switched off", TARGET_DISABLED, NULL, NULL, NULL, 0, "disabled"},
};

START_TEST(a_word_for_each_state)
{
    struct target *target = make('a', cases[_i].mode);

    if (cases[_i].state != NULL)
        store(target, cases[_i].der, cases[_i].digest_of, cases[_i].state,
            cases[_i].life_end);
    ck_assert(status_add(&status, target, &spool, NULL));
    ck_assert_msg(
        strcmp(status_word(&status.rows[0], NOW), cases[_i].word) == 0,
        "%s: %s", cases[_i].rule, status_word(&status.rows[0], NOW));
}
END_TEST

START_TEST(without_a_spool_all_is_missing)
{
    ck_assert(status_add(&status, make('a', TARGET_OCSP), NULL, NULL));
    ck_assert_str_eq(status_word(&status.rows[0], NOW), "missing");
}
END_TEST

START_TEST(text_is_safe_for_a_terminal)
{
    struct target *target = make('a', TARGET_OCSP);
    struct buf out;

    target->must_staple = true;
    store(target, "x", "x", "good", NOW + 2 * 86400 + 3 * 3600 + 5);
    ck_assert(status_add(&status, target, &spool, NULL));
    status.rows[0].alert = "warn";
    buf_init(&out, 65536);
    ck_assert(status_write_text(&status, NOW, &out));
    ck_assert_ptr_nonnull(strstr(buf_cstr(&out), "live      warn   2d03h"));
    ck_assert_ptr_nonnull(strstr(buf_cstr(&out), "must-staple"));
    ck_assert_ptr_nonnull(strstr(buf_cstr(&out), "503?[31m"));
    ck_assert_ptr_null(strchr(buf_cstr(&out), 0x1b));
    buf_fini(&out);
}
END_TEST

START_TEST(json_has_every_number)
{
    struct target *target = make('a', TARGET_OCSP);
    const json_t *row;
    struct buf out;
    json_t *root;

    store(target, "x", "x", "revoked", NOW + 60);
    ck_assert(status_add(&status, target, &spool, NULL));
    ck_assert(status_add(&status, make('b', TARGET_NO_URL), &spool, NULL));
    buf_init(&out, 65536);
    ck_assert(status_write_json(&status, "/spool", NOW, &out));
    root = json_loads(buf_cstr(&out), 0, NULL);
    ck_assert_ptr_nonnull(root);
    ck_assert_int_eq(json_integer_value(json_object_get(root, "time")), NOW);
    ck_assert_uint_eq(
        json_array_size(json_object_get(root, "certificates")), 2);
    row = json_array_get(json_object_get(root, "certificates"), 0);
    ck_assert_str_eq(
        json_string_value(json_object_get(row, "state")), "revoked");
    ck_assert_str_eq(json_string_value(json_object_get(row, "revoked_reason")),
        "keyCompromise");
    ck_assert_int_eq(
        json_integer_value(json_object_get(row, "life_end")), NOW + 60);
    ck_assert(json_is_true(json_object_get(row, "stapled")));
    row = json_array_get(json_object_get(root, "certificates"), 1);
    ck_assert(json_is_null(json_object_get(row, "life_end")));
    ck_assert_str_eq(json_string_value(json_object_get(row, "mode")), "none");
    json_decref(root);
    buf_fini(&out);
}
END_TEST

START_TEST(the_spool_alone_tells_what_is_there)
{
    struct target *a = make('a', TARGET_OCSP), *b = make('b', TARGET_OCSP);
    bool changed;

    store(a, "x", "x", "good", NOW + 60);
    ck_assert(spool_store(&spool, b->fp, span_str("y"), &changed, NULL));
    ck_assert(status_add_spool(&status, &spool, NULL));
    ck_assert_uint_eq(status.count, 2);
    for (size_t i = 0; i < 2; i++) {
        bool is_a = status.rows[i].target->fp[0] == 'a';

        ck_assert_str_eq(
            status_word(&status.rows[i], NOW), is_a ? "live" : "missing");
        ck_assert_str_eq(
            status.rows[i].target->path, is_a ? "/etc/a.pem" : "?");
    }
    target_free(a);
    target_free(b);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("status");
    TCase *t = tcase_create("status");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(
        t, a_word_for_each_state, 0, (int)(sizeof(cases) / sizeof(cases[0])));
    tcase_add_test(t, without_a_spool_all_is_missing);
    tcase_add_test(t, text_is_safe_for_a_terminal);
    tcase_add_test(t, json_has_every_number);
    tcase_add_test(t, the_spool_alone_tells_what_is_there);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
