/*
 * What discover makes of files, folders and patterns.
 * Input: certificates in a temp folder. Output: Check's report.
 */
#include "ocspd/discover.h"
#include "tests/support/pki.h"
#include "tests/support/temp_folder.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct pki pki;
static struct temp_folder folder;
static struct discover_result found;

static void
setup(void)
{
    pki_init(&pki);
    temp_folder_init(&folder);
    memset(&found, 0, sizeof(found));
    list_init(&found.targets);
}

static void
teardown(void)
{
    discover_result_fini(&found);
    temp_folder_fini(&folder);
    pki_fini(&pki);
}

/* Up to three certificates in one file, in this order. */
static void
put(const char *name, const struct pki_cert *a, const struct pki_cert *b,
    const struct pki_cert *c)
{
    struct buf text;

    buf_init(&text, 65536);
    if (a != NULL)
        pki_add_pem(a, &text);
    if (b != NULL)
        pki_add_pem(b, &text);
    if (c != NULL)
        pki_add_pem(c, &text);
    temp_folder_put(&folder, name, buf_cstr(&text));
    buf_fini(&text);
}

static struct ocspd_config *
config_of(const char *name, const char *other)
{
    struct ocspd_config *config = NULL;
    char paths[2][PATH_MAX];
    char *certs[2];
    struct err err;

    certs[0] = (char *)(uintptr_t)temp_folder_path(&folder, name, paths[0]);
    certs[1] = other == NULL ? NULL
                             : (char *)(uintptr_t)temp_folder_path(
                                   &folder, other, paths[1]);
    ck_assert(ocspd_config_make(
        folder.path, certs, other == NULL ? 1 : 2, &config, &err));
    return config;
}

static void
run(const struct ocspd_config *config)
{
    struct err err;

    discover_result_fini(&found);
    ck_assert_msg(
        discover_run(config, 7, PKI_NOW, &found, &err), "%s", err.text);
}

static struct target *
target_at(int index)
{
    LIST_EACH(&found.targets, it)
    if (index-- == 0)
        return LIST_ENTRY(it, struct target, node);
    return NULL;
}

static int
count(void)
{
    int n = 0;

    while (target_at(n) != NULL)
        n++;
    return n;
}

static bool
noted(const char *text, bool is_error)
{
    for (size_t i = 0; i < found.note_count; i++)
        if (found.notes[i].is_error == is_error &&
            strstr(found.notes[i].text, text) != NULL)
            return true;
    return false;
}

START_TEST(the_issuer_is_in_the_file_in_any_order)
{
    const struct pki_cert *orders[][3] = {{pki.leaf, pki.ca, pki.root},
        {pki.root, pki.ca, pki.leaf}, {pki.sibling, pki.leaf, pki.ca}};
    struct ocspd_config *config = config_of("a.pem", NULL);
    struct target *target;

    put("a.pem", orders[_i][0], orders[_i][1], orders[_i][2]);
    run(config);
    ck_assert_int_eq(count(), 1);
    target = target_at(0);
    ck_assert_int_eq(target->mode, TARGET_OCSP);
    ck_assert_int_eq(X509_cmp(target->issuer->cert, pki.ca->cert), 0);
    ck_assert_uint_eq(target->url_count, 1);
    ck_assert_uint_gt(target->ids.serial_len, 0);
    ck_assert_int_eq(target->first_seen, PKI_NOW);
    ck_assert(target->jitter >= 0 && target->jitter < 1);
    ck_assert_uint_eq(found.note_count, 0);
    ocspd_config_free(config);
}
END_TEST

START_TEST(the_issuer_may_be_named_as_a_file)
{
    struct ocspd_config *config = config_of("a.pem", NULL);
    char path[PATH_MAX];

    put("a.pem", pki.leaf, NULL, NULL);
    put("cas.pem", pki.sibling, pki.root, pki.ca);
    config->defaults.issuer =
        strdup(temp_folder_path(&folder, "cas.pem", path));
    run(config);
    ck_assert_int_eq(target_at(0)->mode, TARGET_OCSP);
    ocspd_config_free(config);
}
END_TEST

START_TEST(the_issuer_may_be_in_a_folder)
{
    struct ocspd_config *config = config_of("a.pem", NULL);
    char path[PATH_MAX];

    put("a.pem", pki.leaf, NULL, NULL);
    ck_assert_int_eq(mkdir(temp_folder_path(&folder, "cas", path), 0755), 0);
    put("cas/1.pem", pki.sibling, NULL, NULL);
    put("cas/2.crt", pki.ca, NULL, NULL);
    temp_folder_put(&folder, "cas/3.pem", "no certificate");
    config->defaults.issuer = strdup(path);
    run(config);
    ck_assert_int_eq(target_at(0)->mode, TARGET_OCSP);
    ocspd_config_free(config);
}
END_TEST

START_TEST(the_issuer_may_be_beside)
{
    struct ocspd_config *config = config_of("a.pem", NULL);

    put("a.pem", pki.leaf, NULL, NULL);
    put("a.pem.issuer", pki.ca, NULL, NULL);
    run(config);
    ck_assert_int_eq(target_at(0)->mode, TARGET_OCSP);
    ocspd_config_free(config);
}
END_TEST

START_TEST(without_an_issuer_it_is_a_warning)
{
    struct ocspd_config *config = config_of("a.pem", NULL);

    put("a.pem", pki.leaf, pki.sibling, NULL);
    run(config);
    ck_assert_int_eq(target_at(0)->mode, TARGET_NO_ISSUER);
    ck_assert_ptr_null(target_at(0)->issuer);
    ck_assert(noted("issuer", false));
    ocspd_config_free(config);
}
END_TEST

START_TEST(an_issuer_file_that_is_missing_is_an_error)
{
    struct ocspd_config *config = config_of("a.pem", NULL);

    put("a.pem", pki.leaf, NULL, NULL);
    config->defaults.issuer = strdup("/nonexistent/ca.pem");
    run(config);
    ck_assert_int_eq(target_at(0)->mode, TARGET_NO_ISSUER);
    ck_assert(noted("/nonexistent/ca.pem", true));
    ocspd_config_free(config);
}
END_TEST

START_TEST(modes_say_why_nothing_is_asked)
{
    struct pki_spec plain = {
        .cn = "plain", .issuer = pki.ca, .san = "DNS:plain.example"};
    struct pki_spec old = {.cn = "old",
        .issuer = pki.ca,
        .san = "DNS:old.example",
        .aia = "OCSP;URI:http://o.example/",
        .not_after = PKI_NOW};
    struct pki_cert *no_url = pki_issue(&plain), *expired = pki_issue(&old);
    struct ocspd_config *config = config_of("a.pem", "b.pem");

    put("a.pem", no_url, pki.ca, NULL);
    put("b.pem", expired, pki.ca, NULL);
    run(config);
    ck_assert_int_eq(target_at(0)->mode, TARGET_NO_URL);
    ck_assert_str_eq(target_at(0)->label, "plain.example");
    ck_assert_int_eq(target_at(1)->mode, TARGET_EXPIRED);
    config->defaults.responder = strdup("");
    run(config);
    ck_assert_int_eq(target_at(0)->mode, TARGET_DISABLED);
    free(config->defaults.responder);
    config->defaults.responder = strdup("http://r.example/");
    run(config);
    ck_assert_int_eq(target_at(0)->mode, TARGET_OCSP);
    ck_assert_str_eq(target_at(0)->urls[0], "http://r.example/");
    ck_assert_int_eq(target_at(1)->mode, TARGET_EXPIRED);
    ocspd_config_free(config);
    pki_free(no_url);
    pki_free(expired);
}
END_TEST

START_TEST(a_folder_gives_its_leaves)
{
    struct ocspd_config *config = config_of("certs", NULL);
    char path[PATH_MAX];

    ck_assert_int_eq(mkdir(temp_folder_path(&folder, "certs", path), 0755), 0);
    put("certs/b.pem", pki.leaf, pki.ca, NULL);
    put("certs/a.crt", pki.staple_leaf, pki.ca, NULL);
    put("certs/ca.pem", pki.ca, NULL, NULL);
    put("certs/.hidden.pem", pki.sibling_leaf, pki.sibling, NULL);
    put("certs/notes.txt", pki.sibling_leaf, pki.sibling, NULL);
    run(config);
    ck_assert_int_eq(count(), 2);
    ck_assert(target_at(0)->must_staple);
    ck_assert(!target_at(1)->must_staple);
    ck_assert_ptr_eq(target_at(0)->issuer, target_at(1)->issuer);
    ck_assert_uint_eq(target_at(0)->issuer->refs, 2);
    ck_assert_uint_eq(found.folder_count, 1);
    ck_assert_str_eq(found.folders[0], path);
    ocspd_config_free(config);
}
END_TEST

START_TEST(a_pattern_gives_what_it_matches)
{
    struct ocspd_config *config = config_of("live/*/full.pem", NULL);
    char path[PATH_MAX];

    run(config);
    ck_assert(noted("matches nothing", false));
    ck_assert_int_eq(mkdir(temp_folder_path(&folder, "live", path), 0755), 0);
    ck_assert_int_eq(mkdir(temp_folder_path(&folder, "live/x", path), 0755), 0);
    put("live/x/full.pem", pki.leaf, pki.ca, NULL);
    put("live/x/other.pem", pki.sibling_leaf, pki.sibling, NULL);
    run(config);
    ck_assert_int_eq(count(), 1);
    ck_assert_uint_eq(found.folder_count, 2);
    ocspd_config_free(config);
}
END_TEST

START_TEST(one_certificate_at_two_paths_is_one_target)
{
    struct ocspd_config *config = config_of("a.pem", "b.pem");
    char path[PATH_MAX];

    put("a.pem", pki.leaf, pki.ca, NULL);
    put("b.pem", pki.leaf, pki.ca, NULL);
    run(config);
    ck_assert_int_eq(count(), 1);
    ck_assert_str_eq(
        target_at(0)->path, temp_folder_path(&folder, "a.pem", path));
    ck_assert_uint_eq(found.note_count, 0);
    ocspd_config_free(config);
}
END_TEST

START_TEST(what_cannot_be_read_is_no_reason_to_retire)
{
    struct ocspd_config *config = config_of("gone.pem", "certs");
    char gone[PATH_MAX], certs[PATH_MAX], below[PATH_MAX], other[PATH_MAX];

    (void)temp_folder_path(&folder, "gone.pem", gone);
    (void)temp_folder_path(&folder, "certs/x.pem", below);
    (void)temp_folder_path(&folder, "other.pem", other);
    ck_assert_int_eq(mkdir(temp_folder_path(&folder, "certs", certs), 0755), 0);
    put("certs/a.pem", pki.leaf, pki.ca, NULL);
    temp_folder_put(&folder, "certs/half.pem", "-----BEGIN CERTIFICATE-----\n");
    run(config);
    ck_assert(noted("gone.pem", true));
    ck_assert(discover_is_doubtful(&found, gone));
    ck_assert(discover_is_doubtful(&found, NULL));
    ck_assert(!discover_is_doubtful(&found, below));
    ck_assert(!discover_is_doubtful(&found, other));
    (void)temp_folder_path(&folder, "certs/half.pem", below);
    ck_assert(discover_is_doubtful(&found, below));
    ocspd_config_free(config);
}
END_TEST

START_TEST(a_folder_we_may_not_search_is_an_error)
{
    struct ocspd_config *config = config_of("live/*/full.pem", NULL);
    char path[PATH_MAX], below[PATH_MAX];

    ck_assert_int_eq(mkdir(temp_folder_path(&folder, "live", path), 0700), 0);
    (void)temp_folder_path(&folder, "live/x/full.pem", below);
    if (geteuid() == 0 && (chown(path, 1, 1) != 0 || seteuid(65534) != 0))
        ck_abort_msg("cannot become another user");
    if (chmod(path, 0000) != 0 && geteuid() != 65534)
        ck_abort_msg("chmod");
    run(config);
    if (getuid() == 0)
        ck_assert_int_eq(seteuid(0), 0);
    ck_assert(noted("may not search", true) || noted("Permission", true));
    ck_assert(noted(path, true));
    ck_assert(discover_is_doubtful(&found, below));
    ocspd_config_free(config);
}
END_TEST

START_TEST(jitter_is_stable_and_differs_between_hosts)
{
    double a = discover_jitter(1, "aa"), b = discover_jitter(2, "aa");

    ck_assert(a >= 0 && a < 1 && b >= 0 && b < 1);
    ck_assert(discover_jitter(1, "aa") == a);
    ck_assert(a != b);
    ck_assert(discover_jitter(1, "ab") != a);
    ck_assert_uint_eq(discover_host_seed(), discover_host_seed());
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("discover");
    TCase *t = tcase_create("discover");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, the_issuer_is_in_the_file_in_any_order, 0, 3);
    tcase_add_test(t, the_issuer_may_be_named_as_a_file);
    tcase_add_test(t, the_issuer_may_be_in_a_folder);
    tcase_add_test(t, the_issuer_may_be_beside);
    tcase_add_test(t, without_an_issuer_it_is_a_warning);
    tcase_add_test(t, an_issuer_file_that_is_missing_is_an_error);
    tcase_add_test(t, modes_say_why_nothing_is_asked);
    tcase_add_test(t, a_folder_gives_its_leaves);
    tcase_add_test(t, a_pattern_gives_what_it_matches);
    tcase_add_test(t, one_certificate_at_two_paths_is_one_target);
    tcase_add_test(t, what_cannot_be_read_is_no_reason_to_retire);
    tcase_add_test(t, a_folder_we_may_not_search_is_an_error);
    tcase_add_test(t, jitter_is_stable_and_differs_between_hosts);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
