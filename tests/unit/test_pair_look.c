/*
 * wsgate/process/pair_look: what a look at real files finds, and which bytes the
 * next release gets.
 * Input: pairs on disk and in force, a spool. Output: verdicts and bytes.
 */
#include "wsgate/process/pair_look.h"

#include "shared/log.h"
#include "shared/spool.h"
#include "tests/support/pki.h"
#include "tests/support/temp_folder.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct pki pki;
static struct temp_folder folder;
static struct pki_cert *next; /* the renewed leaf, with a key of its own */
static struct gate_config *config;
static struct bundle *in_force;
static char chain[PATH_MAX], key[PATH_MAX];

static void
put_chain(const struct pki_cert *leaf)
{
    struct buf pem;

    buf_init(&pem, 100000);
    pki_add_pem(leaf, &pem);
    pki_add_pem(pki.ca, &pem);
    temp_folder_put(&folder, "chain.pem", buf_cstr(&pem));
    buf_fini(&pem);
}

static void
put_key(const struct pki_cert *leaf)
{
    struct buf pem;

    buf_init(&pem, 100000);
    pki_add_key_pem(leaf, &pem);
    temp_folder_put(&folder, "key.pem", buf_cstr(&pem));
    buf_fini(&pem);
}

static void
put_staple(const struct pki_cert *leaf, enum pki_status status)
{
    const struct pki_single single = {
        .leaf = leaf, .issuer = pki.ca, .status = status};
    const struct pki_response spec = {
        .signer = pki.ca, .singles = &single, .single_count = 1};
    char fp[CERT_FINGERPRINT_SIZE];
    struct spool spool;
    struct buf der;
    bool changed;

    buf_init(&der, 100000);
    pki_respond(&spec, &der);
    ck_assert(cert_fingerprint(leaf->cert, fp, NULL));
    ck_assert(spool_open(&spool, folder.path, NULL));
    ck_assert(spool_store(&spool, fp, buf_span(&der), &changed, NULL));
    spool_close(&spool);
    buf_fini(&der);
}

static void
configure(const char *staple)
{
    struct err err = {0};
    char text[4 * PATH_MAX];

    (void)snprintf(text, sizeof(text),
        "spool: %s\n"
        "sites:\n"
        "  - hosts: [a.example]\n"
        "    listen: [\"127.0.0.1:1443\"]\n"
        "    certificates: [{chain: %s, key: %s, staple: %s}]\n"
        "    locations: {/: {proxy: \"127.0.0.1:1\"}}\n",
        folder.path, chain, key, staple);
    gate_config_free(config);
    ck_assert_msg(
        gate_config_parse(span_str(text), &config, &err), "%s", err.text);
}

static struct pair_look *
look_at(int64_t now, enum pair_asker asker)
{
    struct pair_look *look = NULL;
    struct err err = {0};

    ck_assert_msg(
        pair_look_new(config, in_force, NULL, NULL, asker, now, &look, &err),
        "%s", err.text);
    ck_assert_uint_eq(look->count, 1);
    return look;
}

/* What is on disk is in force now. */
static void
put_in_force(void)
{
    struct err err = {0};
    struct pair_look *look;
    int fd = -1;

    bundle_free(in_force);
    in_force = NULL;
    look = look_at(PKI_NOW, PAIR_ASKED_BY_OPERATOR);
    ck_assert_int_eq(look->rows[0].verdict, PAIR_TAKEN);
    ck_assert_msg(
        bundle_write(config, 1, pair_files_source, look->files, &fd, &err),
        "%s", err.text);
    ck_assert(bundle_open(fd, &in_force, &err));
    pair_look_free(look);
}

static void
set_up(void)
{
    log_init("test", LOG_FORMAT_TEXT, LOG_LEVEL_ERROR);
    pki_init(&pki);
    next = pki_issue(&(struct pki_spec){.cn = "a.example", .issuer = pki.ca});
    temp_folder_init(&folder);
    (void)temp_folder_path(&folder, "chain.pem", chain);
    (void)temp_folder_path(&folder, "key.pem", key);
    put_chain(pki.leaf);
    put_key(pki.leaf);
    configure("prefer");
    put_in_force();
}

static void
tear_down(void)
{
    bundle_free(in_force);
    in_force = NULL;
    gate_config_free(config);
    config = NULL;
    pki_free(next);
    temp_folder_fini(&folder);
    pki_fini(&pki);
}

/* One look: its verdict, a word of its reason, and whether the next release
 * gets the disk's chain or the one in force. */
static void
expect_at(int64_t now, enum pair_asker asker, enum pair_verdict verdict,
    const char *why)
{
    struct pair_look *look = look_at(now, asker);
    struct span bytes;
    bool is_old;

    ck_assert_msg(look->rows[0].verdict == verdict, "%d: %s",
        (int)look->rows[0].verdict, look->rows[0].why);
    if (pair_is_waiting(verdict))
        ck_assert_msg(
            strstr(look->rows[0].why, why) != NULL, "%s", look->rows[0].why);
    ck_assert_uint_eq(look->taken, verdict == PAIR_TAKEN);
    ck_assert(pair_files_source(look->files, chain, &bytes, NULL));
    is_old = span_eq(bytes, bundle_get(in_force, chain));
    ck_assert_int_eq(is_old, verdict != PAIR_TAKEN);
    pair_look_free(look);
}

static void
expect(enum pair_verdict verdict, const char *why)
{
    expect_at(PKI_NOW, PAIR_ASKED_BY_CHANGE, verdict, why);
}

START_TEST(the_same_bytes_are_nothing_new)
{
    expect(PAIR_STAYS, "");
    put_chain(pki.leaf);
    expect(PAIR_STAYS, "");
}
END_TEST

START_TEST(a_pair_is_taken_when_both_files_fit)
{
    put_chain(next);
    expect(PAIR_WAITS_TO_FIT, "does not fit the certificate");
    put_key(next);
    expect(PAIR_TAKEN, "");
}
END_TEST

START_TEST(what_is_no_certificate_waits)
{
    temp_folder_put(&folder, "chain.pem", "garbage");
    expect(PAIR_WAITS_TO_FIT, chain);
    temp_folder_put(&folder, "chain.pem", "");
    expect(PAIR_WAITS_TO_FIT, chain);
    (void)unlink(chain);
    expect(PAIR_WAITS_TO_FIT, "No such file");
}
END_TEST

START_TEST(a_required_staple_is_waited_for)
{
    configure("require");
    put_chain(next);
    put_key(next);
    expect(PAIR_WAITS_FOR_STAPLE, "is ocspd running");
    put_staple(pki.leaf, PKI_GOOD); /* another's */
    expect(PAIR_WAITS_FOR_STAPLE, "is ocspd running");
    put_staple(next, PKI_REVOKED);
    expect(PAIR_WAITS_FOR_STAPLE, "revoked");
    put_staple(next, PKI_GOOD);
    expect(PAIR_TAKEN, "");
}
END_TEST

START_TEST(an_old_pair_that_is_over_keeps_nothing_waiting)
{
    configure("require");
    pki_free(next);
    next = pki_issue(&(struct pki_spec){.cn = "a.example",
        .issuer = pki.ca,
        .not_after = PKI_NOW + 300 * PKI_DAY});
    put_chain(next);
    put_key(next);
    expect(PAIR_WAITS_FOR_STAPLE, "");
    expect_at(PKI_NOW + 200 * PKI_DAY, PAIR_ASKED_BY_CHANGE, PAIR_TAKEN, "");
    put_staple(pki.leaf, PKI_REVOKED);
    expect(PAIR_TAKEN, "");
}
END_TEST

START_TEST(a_reload_keeps_what_waits_for_its_staple_only)
{
    configure("require");
    put_chain(next);
    expect_at(PKI_NOW, PAIR_ASKED_BY_OPERATOR, PAIR_TAKEN, "");
    put_key(next);
    expect_at(PKI_NOW, PAIR_ASKED_BY_OPERATOR, PAIR_WAITS_FOR_STAPLE, "");
    configure("prefer");
    expect_at(PKI_NOW, PAIR_ASKED_BY_OPERATOR, PAIR_TAKEN, "");
}
END_TEST

START_TEST(a_reload_tells_which_file_is_missing)
{
    struct err err = {0};
    struct pair_look *look;
    int fd = -1;

    (void)unlink(key);
    look = look_at(PKI_NOW, PAIR_ASKED_BY_OPERATOR);
    ck_assert(
        !bundle_write(config, 2, pair_files_source, look->files, &fd, &err));
    ck_assert_int_eq(err.kind, ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.text, key));
    pair_look_free(look);
}
END_TEST

static bool
nothing_is_suspect(void *ctx, const char *path)
{
    (void)path;
    ++*(int *)ctx;
    return false;
}

START_TEST(a_file_beyond_suspicion_is_not_read)
{
    struct pair_look *look = NULL;
    struct err err = {0};
    int asked = 0;

    put_chain(next);
    put_key(next);
    ck_assert(pair_look_new(config, in_force, nothing_is_suspect, &asked,
        PAIR_ASKED_BY_CHANGE, PKI_NOW, &look, &err));
    ck_assert_int_eq(look->rows[0].verdict, PAIR_STAYS);
    ck_assert_int_eq(asked, 2);
    pair_look_free(look);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("pair_look");
    TCase *tcase = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, the_same_bytes_are_nothing_new);
    tcase_add_test(tcase, a_pair_is_taken_when_both_files_fit);
    tcase_add_test(tcase, what_is_no_certificate_waits);
    tcase_add_test(tcase, a_required_staple_is_waited_for);
    tcase_add_test(tcase, an_old_pair_that_is_over_keeps_nothing_waiting);
    tcase_add_test(tcase, a_reload_keeps_what_waits_for_its_staple_only);
    tcase_add_test(tcase, a_reload_tells_which_file_is_missing);
    tcase_add_test(tcase, a_file_beyond_suspicion_is_not_read);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
