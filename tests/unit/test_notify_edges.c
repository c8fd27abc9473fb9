/*
 * Renewals in a row, full disks, names that hit what is not ours, touches that
 * may not wait. Input: a station over real files, offers made by hand. Output:
 * Check's report.
 */
#include "ocspd/notify.h"
#include "shared/atomic_file.h"
#include "shared/log.h"
#include "shared/now.h"
#include "shared/spool.h"
#include "tests/support/temp_folder.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY 86400
#define NOW 1800000000

static struct temp_folder folder;
static char spool_path[PATH_MAX], config_path[PATH_MAX];
static struct spool spool;
static struct ocspd_config *config;
static struct notify *notify;
static uv_loop_t loop;

static void
on_changed(void *ctx)
{
    (void)ctx;
}

static void
setup(void)
{
    log_init("test", LOG_FORMAT_TEXT, LOG_LEVEL_ERROR);
    (void)now_init();
    now_set_wall(NOW);
    temp_folder_init(&folder);
    (void)temp_folder_path(&folder, "spool", spool_path);
    (void)temp_folder_path(&folder, "ocspd.yaml", config_path);
    ck_assert_int_eq(mkdir(spool_path, 0755), 0);
    ck_assert(spool_open(&spool, spool_path, NULL));
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    notify = notify_new(&loop, on_changed, NULL);
    ck_assert_ptr_nonnull(notify);
}

static void
teardown(void)
{
    notify_free(notify);
    ocspd_config_free(config);
    spool_close(&spool);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    temp_folder_fini(&folder);
    now_set_wall(-1);
}

static void
configure(const char *rows)
{
    char text[2048];
    struct err err = {0};

    (void)snprintf(text, sizeof(text),
        "spool: spool\nchanged_dir: marks\nchanged_interval: 1h\n%s\n", rows);
    temp_folder_put(&folder, "ocspd.yaml", text);
    ck_assert_msg(
        ocspd_config_load(config_path, &config, &err), "%s", err.text);
}

struct cert {
    char fp[CERT_FINGERPRINT_SIZE];
    char path[PATH_MAX];
    char digest[65];
    struct notify_offer offer;
};

static void
make_cert(struct cert *cert, char letter, const char *name)
{
    memset(cert, 0, sizeof(*cert));
    memset(cert->fp, letter, sizeof(cert->fp) - 1);
    (void)temp_folder_path(&folder, name, cert->path);
    cert->offer = (struct notify_offer){.fp = cert->fp,
        .label = "a.example",
        .path = cert->path,
        .digest = cert->digest};
}

static void
staple(struct cert *cert, const char *bytes)
{
    bool changed;

    ck_assert(spool_store(&spool, cert->fp, span_str(bytes), &changed, NULL));
    spool_digest(span_str(bytes), cert->digest);
    cert->offer.in_spool = true;
    cert->offer.this_update = now_wall();
    cert->offer.life_end = now_wall() + DAY;
    cert->offer.removal_at = now_wall() + DAY - 60;
}

static void
bind_to(struct cert *cert)
{
    const struct ocspd_cert_row *rows = config->certificates.items;
    struct target target = {.path = cert->path, .rule = rows[0].rule};

    ck_assert(notify_bind_begin(notify, config));
    ck_assert(notify_bind(notify, &target));
    notify_bind_end(notify, config);
}

static int64_t
tend(struct cert *const *certs)
{
    int64_t next = 0;

    for (int i = 0; i < 5; i++) {
        for (int k = 0; certs[k] != NULL; k++)
            notify_offer(notify, &certs[k]->offer);
        next = notify_tend(notify, now_wall());
        (void)uv_run(&loop, UV_RUN_DEFAULT);
    }
    return next;
}

static const char *
text_of(const char *name)
{
    static char text[4096];
    struct buf bytes;

    buf_init(&bytes, sizeof(text) - 1);
    if (!atomic_file_read(folder.dirfd, name, &bytes, NULL)) {
        buf_fini(&bytes);
        return NULL;
    }
    (void)snprintf(text, sizeof(text), "%s", buf_cstr(&bytes));
    buf_fini(&bytes);
    return text;
}

/* ---- renewals ----------------------------------------------------------- */

START_TEST(of_two_that_were_replaced_the_one_that_was_published_stays)
{
    struct cert first, second, third;
    struct cert *const all[] = {&first, &second, &third, NULL};

    configure(
        "certificates: [{path: site.pem, publish: {type: file, file: out}}]");
    make_cert(&first, 'a', "site.pem");
    make_cert(&second, 'b', "site.pem");
    make_cert(&third, 'c', "site.pem");
    staple(&first, "first");
    staple(&second, "second");
    first.offer.is_gone = true;
    bind_to(&second);
    (void)tend(all);
    ck_assert_str_eq(text_of("out"), "second");
    second.offer.is_gone = true;
    (void)tend(all);
    ck_assert_str_eq(text_of("out"), "second");
    staple(&third, "third");
    (void)tend(all);
    ck_assert_str_eq(text_of("out"), "third");
}
END_TEST

/* ---- full disks --------------------------------------------------------- */

static void
limit_files(rlim_t size)
{
    struct rlimit limit = {size, RLIM_INFINITY};

    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Also when it stays so for longer than the old file is kept. */
START_TEST(a_snippet_that_cannot_be_renewed_names_no_file_that_goes)
{
    struct cert old, new;
    struct cert *const all[] = {&old, &new, NULL};

    configure("certificates: [{path: site.pem, publish: {type: nginx, file: "
              "site.conf, changed: web}}]");
    make_cert(&old, 'a', "site.pem");
    make_cert(&new, 'b', "site.pem");
    staple(&old, "old");
    bind_to(&old);
    (void)tend(all);
    ck_assert_ptr_nonnull(strstr(text_of("site.conf"), old.fp));
    old.offer.is_gone = true;
    staple(&new, "new");
    (void)signal(SIGXFSZ, SIG_IGN);
    limit_files(0);
    (void)tend(all);
    limit_files(RLIM_INFINITY);
    ck_assert_ptr_null(text_of("site.conf"));
    ck_assert(!notify_may_remove(notify, old.fp));
}
END_TEST

/* ---- names -------------------------------------------------------------- */

START_TEST(a_certificate_is_not_overwritten_with_its_response)
{
    struct cert cert;
    struct cert *const all[] = {&cert, NULL};

    configure("certificates: [{path: certs, publish: {type: file, file: "
              "\"certs/%n.pem\"}}]");
    make_cert(&cert, 'a', "certs/site.pem");
    (void)mkdirat(folder.dirfd, "certs", 0755);
    temp_folder_put(&folder, "certs/site.pem", "chain and key");
    staple(&cert, "response");
    bind_to(&cert);
    (void)tend(all);
    ck_assert_str_eq(text_of("certs/site.pem"), "chain and key");
}
END_TEST

/* deploy-pair puts the renewed chain there until it is stapled: a snippet of
 * its would be included beside the one in use. */
START_TEST(a_chain_that_waits_to_be_put_in_use_is_not_published)
{
    struct cert old, new;
    struct cert *const all[] = {&old, &new, NULL};

    configure("certificates: [{path: certs, publish: {type: nginx, file: "
              "\"%n.conf\"}}]");
    make_cert(&old, 'a', "certs/site.pem");
    make_cert(&new, 'b', "certs/site.new.pem");
    staple(&old, "old");
    staple(&new, "new");
    bind_to(&new);
    (void)tend(all);
    ck_assert_ptr_null(text_of("site.new.conf"));
    new.offer.path = old.path;
    old.offer.is_gone = true;
    bind_to(&old);
    (void)tend(all);
    ck_assert_ptr_nonnull(strstr(text_of("site.conf"), new.fp));
}
END_TEST

/* ---- touches ------------------------------------------------------------ */

START_TEST(an_end_is_told_within_a_minute_whatever_the_interval)
{
    struct cert cert;
    struct cert *const all[] = {&cert, NULL};
    int64_t next;

    configure("certificates: [{path: site.pem, publish: {type: nginx, file: "
              "site.conf, changed: web}}]");
    make_cert(&cert, 'a', "site.pem");
    staple(&cert, "one");
    bind_to(&cert);
    (void)tend(all);
    staple(&cert, "two");
    next = tend(all) - now_boot_ms();
    ck_assert_int_gt(next, 50 * 60 * 1000);
    if (_i == 0)
        now_set_wall(cert.offer.removal_at - 90);
    else
        cert.offer.is_leaving = true; /* revoked */
    next = tend(all) - now_boot_ms();
    ck_assert_ptr_null(text_of("site.conf"));
    ck_assert_int_gt(next, 0);
    ck_assert_int_le(next, 60 * 1000);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("notify_edges");
    TCase *tc = tcase_create("all");
    SRunner *runner = srunner_create(s);
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add_tcase(s, tc);
    tcase_add_test(
        tc, of_two_that_were_replaced_the_one_that_was_published_stays);
    tcase_add_test(
        tc, a_snippet_that_cannot_be_renewed_names_no_file_that_goes);
    tcase_add_test(tc, a_certificate_is_not_overwritten_with_its_response);
    tcase_add_test(tc, a_chain_that_waits_to_be_put_in_use_is_not_published);
    tcase_add_loop_test(
        tc, an_end_is_told_within_a_minute_whatever_the_interval, 0, 2);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
