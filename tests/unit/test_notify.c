/*
 * What outputs should have, when a staple may leave the spool, touches that are
 * joined. Input: a station over real files, offers made by hand. Output: Check's
 * report.
 */
#include "ocspd/notify.h"
#include "ocspd/notify_mark.h"
#include "ocspd/notify_trouble.h"
#include "shared/atomic_file.h"
#include "shared/log.h"
#include "shared/now.h"
#include "shared/spool.h"
#include "tests/support/temp_folder.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY 86400
#define NOW 1800000000

static struct temp_folder folder;
static char spool_path[PATH_MAX], marks_path[PATH_MAX], config_path[PATH_MAX];
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
    (void)temp_folder_path(&folder, "marks", marks_path);
    (void)temp_folder_path(&folder, "ocspd.yaml", config_path);
    ck_assert_int_eq(mkdir(spool_path, 0755), 0);
    ck_assert(spool_open(&spool, spool_path, NULL));
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    notify = notify_new(&loop, on_changed, NULL);
    ck_assert_ptr_nonnull(notify);
    config = NULL;
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
    char text[2 * PATH_MAX];
    struct err err = {0};

    (void)snprintf(text, sizeof(text),
        "spool: spool\nchanged_dir: marks\nchanged_interval: 1h\n%s", rows);
    temp_folder_put(&folder, "ocspd.yaml", text);
    ocspd_config_free(config);
    config = NULL;
    ck_assert_msg(
        ocspd_config_load(config_path, &config, &err), "%s", err.text);
}

/* One certificate of a test, by its letter. */
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

/* The spool has these bytes for a day. */
static void
staple(struct cert *cert, const char *bytes)
{
    bool changed;

    ck_assert(spool_store(&spool, cert->fp, span_str(bytes), &changed, NULL));
    spool_digest(span_str(bytes), cert->digest);
    cert->offer.in_spool = true;
    cert->offer.der = SPAN_EMPTY;
    cert->offer.this_update = now_wall();
    cert->offer.life_end = now_wall() + DAY;
    cert->offer.removal_at = now_wall() + DAY - 60;
}

static void
bind_one(struct cert *cert)
{
    const struct ocspd_cert_row *rows = config->certificates.items;
    struct target target = {.path = cert->path, .rule = rows[0].rule};

    ck_assert(notify_bind(notify, &target));
}

static void
bind_to(struct cert *cert)
{
    ck_assert(notify_bind_begin(notify, config));
    if (cert != NULL)
        bind_one(cert);
    notify_bind_end(notify, config);
}

/* Until nothing is under way; the file step and the marks have a turn each. */
static int64_t
tend(struct cert *a, struct cert *b)
{
    int64_t next = 0;

    for (int i = 0; i < 5; i++) {
        if (a != NULL)
            notify_offer(notify, &a->offer);
        if (b != NULL)
            notify_offer(notify, &b->offer);
        next = notify_tend(notify, now_wall());
        (void)uv_run(&loop, UV_RUN_DEFAULT);
    }
    return next;
}

static const char *
text_of(const char *name)
{
    static char text[8192];
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

static bool
is_marked(const char *name)
{
    char path[PATH_MAX + 64];

    (void)snprintf(path, sizeof(path), "%s/%.60s", marks_path, name);
    return access(path, F_OK) == 0;
}

static void
unmark(const char *name)
{
    char path[PATH_MAX + 64];

    (void)snprintf(path, sizeof(path), "%s/%.60s", marks_path, name);
    ck_assert_int_eq(unlink(path), 0);
}

/* ---- files -------------------------------------------------------------- */

#define FILE_ROW                                                               \
    "certificates: [{path: site.pem, publish: {type: file, file: out}}]\n"

START_TEST(a_file_has_the_bytes_that_the_spool_has)
{
    struct cert cert;

    configure(FILE_ROW);
    make_cert(&cert, 'a', "site.pem");
    bind_to(&cert);
    staple(&cert, "one");
    (void)tend(&cert, NULL);
    ck_assert_str_eq(text_of("out"), "one");
    staple(&cert, "two");
    (void)tend(&cert, NULL);
    ck_assert_str_eq(text_of("out"), "two");
    ck_assert(notify_may_remove(notify, cert.fp)); /* it has its own */
}
END_TEST

START_TEST(a_file_takes_bytes_that_the_spool_could_not)
{
    struct cert cert;

    configure(FILE_ROW);
    make_cert(&cert, 'a', "site.pem");
    bind_to(&cert);
    staple(&cert, "one");
    cert.offer.der = SPAN_LIT("two");
    spool_digest(cert.offer.der, cert.digest);
    (void)tend(&cert, NULL);
    ck_assert_str_eq(text_of("out"), "two");
}
END_TEST

START_TEST(a_file_never_takes_other_bytes_than_were_verified)
{
    struct cert cert;
    bool changed;

    configure(FILE_ROW);
    make_cert(&cert, 'a', "site.pem");
    bind_to(&cert);
    staple(&cert, "one");
    ck_assert(spool_store(&spool, cert.fp, SPAN_LIT("forged"), &changed, NULL));
    (void)tend(&cert, NULL);
    ck_assert_ptr_null(text_of("out"));
}
END_TEST

START_TEST(a_file_goes_when_the_staple_goes_and_not_a_second_earlier)
{
    struct cert cert;

    configure(FILE_ROW);
    make_cert(&cert, 'a', "site.pem");
    bind_to(&cert);
    staple(&cert, "one");
    now_set_wall(cert.offer.removal_at - 1);
    (void)tend(&cert, NULL);
    ck_assert_ptr_nonnull(text_of("out"));
    now_set_wall(cert.offer.removal_at);
    (void)tend(&cert, NULL);
    ck_assert_ptr_null(text_of("out"));
}
END_TEST

START_TEST(a_file_stays_when_its_row_goes_and_goes_with_its_certificate)
{
    struct cert cert;

    configure(
        "certificates: [{path: certs, publish: {type: file, file: out}}]");
    make_cert(&cert, 'a', "certs/site.pem");
    bind_to(&cert);
    staple(&cert, "one");
    (void)tend(&cert, NULL);
    bind_to(NULL); /* the row is there */
    (void)tend(NULL, NULL);
    ck_assert_ptr_null(text_of("out"));
    bind_to(&cert);
    (void)tend(&cert, NULL);
    ck_assert_ptr_nonnull(text_of("out"));
    configure("certificates: [site.pem]");
    bind_to(NULL);
    (void)tend(NULL, NULL);
    ck_assert_ptr_nonnull(text_of("out"));
}
END_TEST

START_TEST(a_file_of_a_certificate_in_doubt_stays)
{
    struct cert cert;

    configure(FILE_ROW);
    make_cert(&cert, 'a', "site.pem");
    bind_to(&cert);
    staple(&cert, "one");
    (void)tend(&cert, NULL);
    ck_assert(notify_bind_begin(notify, config));
    notify_bind_keep(notify, cert.path);
    notify_bind_end(notify, config);
    (void)tend(&cert, NULL);
    ck_assert_str_eq(text_of("out"), "one");
}
END_TEST

/* ---- a renewed certificate ---------------------------------------------- */

START_TEST(a_renewed_certificate_takes_over_when_it_is_stapled)
{
    struct cert old, new;

    configure(FILE_ROW);
    make_cert(&old, 'a', "site.pem");
    make_cert(&new, 'b', "site.pem");
    bind_to(&old);
    staple(&old, "old");
    (void)tend(&old, NULL);
    old.offer.is_gone = true;
    bind_to(&new);
    (void)tend(&new, &old);
    ck_assert_str_eq(text_of("out"), "old");
    staple(&new, "new");
    (void)tend(&old, &new);
    ck_assert_str_eq(text_of("out"), "new");
}
END_TEST

START_TEST(a_renewed_certificate_may_come_in_another_file)
{
    struct cert old, new;

    configure(
        "certificates: [{path: certs, publish: {type: file, file: out}}]");
    make_cert(&old, 'a', "certs/site-1.pem");
    make_cert(&new, 'b', "certs/site-2.pem");
    bind_to(&old);
    staple(&old, "old");
    (void)tend(&old, NULL);
    old.offer.is_gone = true;
    bind_to(&new);
    (void)tend(&old, &new);
    ck_assert_str_eq(text_of("out"), "old");
    staple(&new, "new");
    (void)tend(&old, &new);
    ck_assert_str_eq(text_of("out"), "new");
}
END_TEST

START_TEST(one_file_for_two_certificates_has_the_first_one_s)
{
    struct cert one, two;

    configure(
        "certificates: [{path: certs, publish: {type: file, file: out}}]");
    make_cert(&one, 'a', "certs/one.pem");
    make_cert(&two, 'b', "certs/two.pem");
    staple(&one, "one");
    staple(&two, "two");
    ck_assert(notify_bind_begin(notify, config));
    bind_one(&one);
    bind_one(&two);
    notify_bind_end(notify, config);
    (void)tend(&two, &one);
    ck_assert_str_eq(text_of("out"), "one");
}
END_TEST

/* ---- nginx -------------------------------------------------------------- */

#define NGINX_ROW                                                              \
    "certificates: [{path: site.pem, publish: {type: nginx, file: "            \
    "\"%n.conf\","                                                             \
    " changed: web}}]\n"

START_TEST(a_snippet_names_the_spool_s_file_and_each_change_is_told)
{
    struct cert cert;

    configure(NGINX_ROW);
    make_cert(&cert, 'a', "site.pem");
    bind_to(&cert);
    (void)tend(&cert, NULL);
    ck_assert_ptr_null(text_of("site.conf"));
    ck_assert(!is_marked("web"));
    staple(&cert, "one");
    (void)tend(&cert, NULL);
    ck_assert_ptr_nonnull(strstr(text_of("site.conf"), cert.fp));
    ck_assert(is_marked("web"));
}
END_TEST

START_TEST(a_snippet_waits_while_new_bytes_wait_for_the_spool)
{
    struct cert cert;

    configure(NGINX_ROW);
    make_cert(&cert, 'a', "site.pem");
    bind_to(&cert);
    staple(&cert, "one");
    (void)tend(&cert, NULL);
    cert.offer.der = SPAN_LIT("two");
    spool_digest(cert.offer.der, cert.digest);
    (void)tend(&cert, NULL);
    ck_assert_ptr_nonnull(text_of("site.conf"));
    cert.offer.in_spool = false; /* what it names went */
    (void)tend(&cert, NULL);
    ck_assert_ptr_null(text_of("site.conf"));
}
END_TEST

static const struct {
    const char *why;
    int64_t life;
    int64_t lead;
} leads[] = {
    {"a day: 90 seconds", DAY, 90},
    {"ten minutes: a tenth", 600, 60},
    {"900 seconds: both the same", 900, 90},
};

START_TEST(a_snippet_goes_some_time_before_the_file)
{
    struct cert cert;

    configure(NGINX_ROW);
    make_cert(&cert, 'a', "site.pem");
    bind_to(&cert);
    staple(&cert, "one");
    cert.offer.life_end = cert.offer.this_update + leads[_i].life;
    cert.offer.removal_at = cert.offer.life_end - 30;
    (void)tend(&cert, NULL);
    now_set_wall(cert.offer.removal_at - leads[_i].lead - 1);
    (void)tend(&cert, NULL);
    ck_assert_msg(text_of("site.conf") != NULL, "%s", leads[_i].why);
    now_set_wall(cert.offer.removal_at - leads[_i].lead);
    (void)tend(&cert, NULL);
    ck_assert_msg(text_of("site.conf") == NULL, "%s", leads[_i].why);
}
END_TEST

START_TEST(a_staple_may_not_leave_before_its_snippet_and_a_moment)
{
    struct cert cert, other;

    configure(NGINX_ROW);
    make_cert(&cert, 'a', "site.pem");
    make_cert(&other, 'b', "other.pem");
    ck_assert(!notify_may_remove(notify, cert.fp)); /* nothing is known yet */
    bind_to(&cert);
    ck_assert(!notify_may_remove(notify, other.fp));
    (void)tend(&cert, NULL);
    ck_assert(notify_may_remove(notify, other.fp));
    staple(&cert, "one");
    (void)tend(&cert, NULL);
    ck_assert(notify_may_remove(notify, other.fp));
    ck_assert(!notify_may_remove(notify, cert.fp));
    cert.offer.is_leaving = true;
    (void)tend(&cert, NULL);
    ck_assert_ptr_null(text_of("site.conf"));
    ck_assert(!notify_may_remove(notify, cert.fp));
}
END_TEST

START_TEST(a_snippet_of_an_earlier_run_may_name_any_staple)
{
    struct cert cert, other;

    configure(NGINX_ROW);
    make_cert(&cert, 'a', "site.pem");
    make_cert(&other, 'b', "other.pem");
    temp_folder_put(&folder, "site.conf", "ssl_stapling_file ...");
    bind_to(&cert);
    (void)tend(&cert, NULL);
    ck_assert_ptr_null(text_of("site.conf"));
    ck_assert(is_marked("web"));
    ck_assert(!notify_may_remove(notify, other.fp));
}
END_TEST

START_TEST(a_snippet_whose_row_goes_goes_too)
{
    struct cert cert;

    configure(NGINX_ROW);
    make_cert(&cert, 'a', "site.pem");
    bind_to(&cert);
    staple(&cert, "one");
    (void)tend(&cert, NULL);
    configure("certificates: [site.pem]");
    bind_to(NULL);
    (void)tend(&cert, NULL);
    ck_assert_ptr_null(text_of("site.conf"));
}
END_TEST

/* ---- touches ------------------------------------------------------------ */

START_TEST(the_first_touch_is_at_once_and_the_next_waits)
{
    struct cert cert;
    int64_t next;

    configure("certificates: [{path: site.pem, publish: {type: changed, "
              "changed: web}}]\n");
    make_cert(&cert, 'a', "site.pem");
    bind_to(&cert);
    staple(&cert, "one");
    (void)tend(&cert, NULL);
    ck_assert(is_marked("web"));
    unmark("web");
    staple(&cert, "two");
    next = tend(&cert, NULL);
    ck_assert(!is_marked("web"));
    ck_assert_int_gt(next, now_boot_ms());
    notify_free(notify); /* none is lost */
    notify = NULL;
    ck_assert(is_marked("web"));
}
END_TEST

START_TEST(a_mark_waits_out_what_an_earlier_run_touched)
{
    struct notify_marks *marks = notify_marks_new(&loop, on_changed, NULL);

    ck_assert_ptr_nonnull(marks);
    ck_assert_int_eq(mkdir(marks_path, 0755), 0);
    temp_folder_put(&folder, "marks/web", "as it was");
    ck_assert(notify_marks_configure(marks, marks_path, 3600 * 1000));
    ck_assert(notify_marks_want(marks, "web", false));
    ck_assert_int_eq(notify_marks_tend(marks), 0);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_gt(notify_marks_tend(marks), now_boot_ms() + 3000 * 1000);
    notify_marks_free(marks);
}
END_TEST

START_TEST(a_trouble_is_logged_first_and_hourly_and_tried_less_and_less)
{
    struct notify_trouble trouble = {0};
    int64_t before = 0;

    ck_assert_int_eq(notify_trouble_over(&trouble), -1);
    ck_assert(notify_trouble_failed(&trouble));
    for (int i = 0; i < 6; i++) {
        int64_t pause = trouble.retry_ms - now_boot_ms();

        ck_assert_int_gt(pause, before);
        before = pause;
        ck_assert(!notify_trouble_failed(&trouble));
    }
    ck_assert_int_le(trouble.retry_ms - now_boot_ms(), 330 * 1000);
    now_set_wall(NOW + 3600);
    ck_assert(notify_trouble_failed(&trouble));
    ck_assert(!notify_trouble_failed(&trouble));
    ck_assert_int_eq(notify_trouble_over(&trouble), 3600);
    ck_assert_int_eq(trouble.retry_ms, 0);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("notify");
    TCase *tc = tcase_create("all");
    SRunner *runner;
    int failures;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, a_file_has_the_bytes_that_the_spool_has);
    tcase_add_test(tc, a_file_takes_bytes_that_the_spool_could_not);
    tcase_add_test(tc, a_file_never_takes_other_bytes_than_were_verified);
    tcase_add_test(
        tc, a_file_goes_when_the_staple_goes_and_not_a_second_earlier);
    tcase_add_test(
        tc, a_file_stays_when_its_row_goes_and_goes_with_its_certificate);
    tcase_add_test(tc, a_file_of_a_certificate_in_doubt_stays);
    tcase_add_test(tc, a_renewed_certificate_takes_over_when_it_is_stapled);
    tcase_add_test(tc, a_renewed_certificate_may_come_in_another_file);
    tcase_add_test(tc, one_file_for_two_certificates_has_the_first_one_s);
    tcase_add_test(
        tc, a_snippet_names_the_spool_s_file_and_each_change_is_told);
    tcase_add_test(tc, a_snippet_waits_while_new_bytes_wait_for_the_spool);
    tcase_add_loop_test(tc, a_snippet_goes_some_time_before_the_file, 0,
        (int)(sizeof(leads) / sizeof(leads[0])));
    tcase_add_test(tc, a_staple_may_not_leave_before_its_snippet_and_a_moment);
    tcase_add_test(tc, a_snippet_of_an_earlier_run_may_name_any_staple);
    tcase_add_test(tc, a_snippet_whose_row_goes_goes_too);
    tcase_add_test(tc, the_first_touch_is_at_once_and_the_next_waits);
    tcase_add_test(tc, a_mark_waits_out_what_an_earlier_run_touched);
    tcase_add_test(
        tc, a_trouble_is_logged_first_and_hourly_and_tried_less_and_less);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures ? 1 : 0;
}
