/*
 * Changes reach the spool in order, and failures come back.
 * Input: changes for made-up targets. Output: Check's report.
 */
#include "ocspd/publish.h"
#include "tests/support/temp_folder.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct temp_folder folder;
static uv_loop_t loop;
static struct publish *publish;
static struct target target;
static char spool_path[PATH_MAX];
static int calls, failures, changes;
static char kinds[64]; /* 'k' ok, 'f' failed, in order */

static void
setup(void)
{
    temp_folder_init(&folder);
    (void)temp_folder_path(&folder, "spool", spool_path);
    ck_assert_int_eq(mkdir(spool_path, 0755), 0);
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    publish = publish_new(&loop, spool_path, true, NULL);
    ck_assert_ptr_nonnull(publish);
    memset(&target, 0, sizeof(target));
    memset(target.fp, 'a', 64);
    target.label = (char *)(uintptr_t) "a.example";
    target.path = (char *)(uintptr_t) "/etc/a.pem";
    calls = failures = changes = 0;
    memset(kinds, 0, sizeof(kinds));
}

static void
teardown(void)
{
    publish_free(publish);
    publish = NULL;
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    temp_folder_fini(&folder);
}

static void
on_done(void *ctx, const char *fp, bool ok, bool changed, const struct err *err)
{
    (void)ctx;
    ck_assert_str_eq(fp, target.fp);
    ck_assert(ok || err->text[0] != '\0');
    kinds[calls++] = ok ? 'k' : 'f';
    failures += !ok;
    changes += changed;
}

static void
change(const char *der, bool remove_der)
{
    ck_assert(publish_change(publish, &target, span_str(der), remove_der,
        "http://o.example/", NULL, on_done, NULL));
}

static void
turn(void)
{
    (void)uv_run(&loop, UV_RUN_DEFAULT);
}

static bool
holds(const char *text)
{
    struct buf der;
    bool same;

    buf_init(&der, 64 * 1024);
    same = spool_load(publish_spool(publish), target.fp, &der, NULL) &&
           span_eq(buf_span(&der), span_str(text));
    buf_fini(&der);
    return same;
}

START_TEST(changes_of_one_certificate_keep_their_order)
{
    change("one", false);
    change("two", false);
    change("", true);
    change("three", false);
    turn();
    ck_assert_int_eq(calls, 4);
    ck_assert_int_eq(failures, 0);
    ck_assert(holds("three"));
}
END_TEST

START_TEST(equal_bytes_are_no_change)
{
    change("one", false);
    turn();
    change("one", false);
    turn();
    ck_assert_int_eq(calls, 2);
    ck_assert_int_eq(changes, 1);
}
END_TEST

START_TEST(the_side_file_tells_the_state)
{
    struct spool_meta meta = {0};
    char digest[65];

    target.state.this_update = 1800000000;
    target.state.status = OCSP_CERT_REVOKED;
    target.state.failures = 3;
    target.state.last_verdict = VERDICT_TIMEOUT;
    target.must_staple = true;
    ck_assert(publish_change(publish, &target, span_str("one"), false,
        "http://o.example/", "too slow", on_done, NULL));
    turn();
    ck_assert(spool_load_meta(publish_spool(publish), target.fp, &meta, NULL));
    spool_digest(span_str("one"), digest);
    ck_assert_str_eq(meta.der_sha256, digest);
    ck_assert_str_eq(meta.status, "revoked");
    ck_assert_str_eq(meta.source, "http://o.example/");
    ck_assert_str_eq(meta.last_error, "too slow");
    ck_assert_str_eq(meta.last_error_kind, "timeout");
    ck_assert_str_eq(meta.cert_path, "/etc/a.pem");
    ck_assert_int_eq(meta.failures, 3);
    ck_assert(meta.must_staple);
    spool_meta_fini(&meta);
}
END_TEST

START_TEST(a_withdrawn_staple_leaves_its_side_file)
{
    struct spool_meta meta = {0};

    change("one", false);
    change("", true);
    turn();
    ck_assert(!holds("one"));
    ck_assert(spool_load_meta(publish_spool(publish), target.fp, &meta, NULL));
    ck_assert_ptr_null(meta.der_sha256);
    spool_meta_fini(&meta);
}
END_TEST

START_TEST(a_retired_certificate_leaves_nothing)
{
    struct spool_meta meta = {0};

    change("one", false);
    ck_assert(publish_retire(publish, target.fp, on_done, NULL));
    turn();
    ck_assert_str_eq(kinds, "kk");
    ck_assert(!holds("one"));
    ck_assert(!spool_load_meta(publish_spool(publish), target.fp, &meta, NULL));
}
END_TEST

START_TEST(a_failure_comes_back_and_the_next_try_works)
{
    char away[PATH_MAX];

    /* a folder that was removed takes no file */
    ck_assert_int_eq(
        rename(spool_path, temp_folder_path(&folder, "away", away)), 0);
    ck_assert_int_eq(rmdir(away), 0);
    change("one", false);
    turn();
    ck_assert_str_eq(kinds, "f");
    ck_assert_int_eq(mkdir(spool_path, 0755), 0);
    change("one", false);
    turn();
    ck_assert_str_eq(kinds, "fk");
    ck_assert(holds("one"));
}
END_TEST

START_TEST(a_replaced_folder_is_followed)
{
    char away[PATH_MAX];

    change("one", false);
    turn();
    ck_assert_int_eq(
        rename(spool_path, temp_folder_path(&folder, "away", away)), 0);
    ck_assert_int_eq(mkdir(spool_path, 0755), 0);
    change("two", false);
    turn();
    ck_assert_int_eq(failures, 0);
    ck_assert(holds("two"));
}
END_TEST

START_TEST(the_end_waits_for_the_disk)
{
    struct spool spool = {NULL, -1};
    struct buf der;

    for (int i = 0; i < 20; i++)
        change(i == 19 ? "last" : "one", false);
    publish_free(publish);
    publish = NULL;
    ck_assert_int_eq(calls, 20);
    ck_assert(spool_open(&spool, spool_path, NULL));
    buf_init(&der, 64);
    ck_assert(spool_load(&spool, target.fp, &der, NULL));
    ck_assert_str_eq(buf_cstr(&der), "last");
    buf_fini(&der);
    spool_close(&spool);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("publish");
    TCase *t = tcase_create("publish");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, changes_of_one_certificate_keep_their_order);
    tcase_add_test(t, equal_bytes_are_no_change);
    tcase_add_test(t, the_side_file_tells_the_state);
    tcase_add_test(t, a_withdrawn_staple_leaves_its_side_file);
    tcase_add_test(t, a_retired_certificate_leaves_nothing);
    tcase_add_test(t, a_failure_comes_back_and_the_next_try_works);
    tcase_add_test(t, a_replaced_folder_is_followed);
    tcase_add_test(t, the_end_waits_for_the_disk);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
