/*
 * What a target's care makes of the spool at start and of each result.
 * Input: real certificates and responses. Output: Check's report.
 */
#include "ocspd/care.h"
#include "shared/log.h"
#include "tests/support/pki.h"
#include "tests/support/temp_folder.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static const struct schedule_limits limits = {12 * 3600, 60};
static struct pki pki;
static struct temp_folder folder;
static struct spool spool;
static struct care *care;

static struct target *
make(void)
{
    struct target *target = calloc(1, sizeof(*target));

    ck_assert_ptr_nonnull(target);
    list_init(&target->node);
    ck_assert(cert_fingerprint(pki.leaf->cert, target->fp, NULL));
    target->label = strdup("a.example");
    target->path = strdup("/etc/a.pem");
    target->mode = TARGET_OCSP;
    target->not_after = PKI_NOW + 60 * PKI_DAY;
    target->issuer = calloc(1, sizeof(*target->issuer));
    target->issuer->refs = 1;
    target->issuer->cert = pki.ca->cert;
    (void)X509_up_ref(pki.ca->cert);
    target->urls = calloc(2, sizeof(*target->urls));
    target->urls[0] = strdup("http://one.example/");
    target->urls[1] = strdup("http://two.example/");
    target->url_count = 2;
    ck_assert(cert_ids_make(pki.leaf->cert, pki.ca->cert, &target->ids, NULL));
    return target;
}

static void
setup(void)
{
    log_init("test", LOG_FORMAT_TEXT, LOG_LEVEL_ERROR);
    pki_init(&pki);
    temp_folder_init(&folder);
    ck_assert(spool_open(&spool, folder.path, NULL));
    care = care_new(make());
    ck_assert_ptr_nonnull(care);
}

static void
teardown(void)
{
    care_free(care);
    spool_close(&spool);
    temp_folder_fini(&folder);
    pki_fini(&pki);
}

static struct target_state *
state(void)
{
    return &care->target->state;
}

static void
respond(enum pki_status status, int64_t this_update, int64_t next_update,
    const struct pki_cert *signer, struct buf *der)
{
    struct pki_single single = {.leaf = pki.leaf,
        .issuer = pki.ca,
        .status = status,
        .reason = -1,
        .this_update = this_update,
        .next_update = next_update};
    struct pki_response response = {
        .signer = signer, .singles = &single, .single_count = 1};

    buf_init(der, OCSP_RESPONSE_MAX);
    pki_respond(&response, der);
}

static void
put(enum pki_status status, int64_t this_update, int64_t next_update,
    const struct pki_cert *signer)
{
    struct buf der;
    bool changed;

    respond(status, this_update, next_update, signer, &der);
    ck_assert(
        spool_store(&spool, care->target->fp, buf_span(&der), &changed, NULL));
    buf_fini(&der);
}

static void
put_meta(const char *status, int64_t this_update, int64_t failures)
{
    char status_text[16], source[] = "http://two.example/";
    struct spool_meta meta = {.source = source,
        .status = status_text,
        .this_update = this_update,
        .next_update = PKI_NOW + PKI_DAY,
        .life_end = PKI_NOW + PKI_DAY,
        .next_attempt = PKI_NOW + 7777,
        .failures = failures,
        .revoked_reason = -1};

    ck_assert(span_to_cstr(span_str(status), status_text, sizeof(status_text)));
    ck_assert(spool_store_meta(&spool, care->target->fp, &meta, NULL));
}

/* ---- at start ----------------------------------------------------------- */

START_TEST(an_empty_spool_is_a_beginning)
{
    ck_assert_int_eq(care_load(care, &spool, PKI_NOW), CARE_WRITE_META);
    ck_assert(!state()->has_staple);
    ck_assert_int_eq(care_removal_at(care), 0);
    ck_assert(!care_is_live(care, PKI_NOW));
}
END_TEST

START_TEST(a_verified_staple_serves_again)
{
    put(PKI_GOOD, PKI_NOW - 3600, PKI_NOW + PKI_DAY, pki.ca);
    ck_assert_int_eq(care_load(care, &spool, PKI_NOW), CARE_WRITE_META);
    ck_assert(care_is_live(care, PKI_NOW));
    ck_assert(!care_is_live(care, PKI_NOW + PKI_DAY));
    ck_assert_int_eq(state()->this_update, PKI_NOW - 3600);
    ck_assert_int_eq(care_removal_at(care), PKI_NOW + PKI_DAY - 60);
    ck_assert_uint_eq(strlen(state()->der_sha256), 64);
}
END_TEST

START_TEST(a_staple_near_its_end_serves_on)
{
    put(PKI_GOOD, PKI_NOW - PKI_DAY, PKI_NOW + 100, pki.ca);
    ck_assert_int_eq(care_load(care, &spool, PKI_NOW), CARE_WRITE_META);
    ck_assert(state()->has_staple);
    ck_assert_int_eq(care_removal_at(care), PKI_NOW + 40);
}
END_TEST

START_TEST(what_does_not_verify_goes)
{
    const struct {
        enum pki_status status;
        int64_t next_update;
        const struct pki_cert *signer;
    } cases[] = {{PKI_GOOD, PKI_NOW - 1, pki.ca},
        {PKI_GOOD, PKI_NOW + PKI_DAY, pki.sibling},
        {PKI_REVOKED, PKI_NOW + PKI_DAY, pki.ca},
        {PKI_UNKNOWN, PKI_NOW + PKI_DAY, pki.ca},
        {PKI_UNKNOWN, PKI_NOW + 100, pki.ca}};

    put(cases[_i].status, PKI_NOW - 3600, cases[_i].next_update,
        cases[_i].signer);
    ck_assert_int_eq(care_load(care, &spool, PKI_NOW), CARE_WRITE_REMOVE);
    ck_assert(!state()->has_staple);
    ck_assert_int_eq(care_removal_at(care), 0);
}
END_TEST

START_TEST(what_is_too_large_goes)
{
    static unsigned char bytes[OCSP_RESPONSE_MAX + 1];
    bool changed;

    ck_assert(spool_store(&spool, care->target->fp,
        span_make(bytes, sizeof(bytes)), &changed, NULL));
    ck_assert_int_eq(care_load(care, &spool, PKI_NOW), CARE_WRITE_REMOVE);
}
END_TEST

START_TEST(a_remembered_revocation_outlives_an_older_good)
{
    put(PKI_GOOD, PKI_NOW - 7200, PKI_NOW + PKI_DAY, pki.ca);
    put_meta("revoked", PKI_NOW - 3600, 0);
    ck_assert_int_eq(care_load(care, &spool, PKI_NOW), CARE_WRITE_REMOVE);
    ck_assert_int_eq(state()->status, OCSP_CERT_REVOKED);
    ck_assert_int_eq(state()->this_update, PKI_NOW - 3600);
    ck_assert(round_policy(care->target).stored_revoked);
    /* with `keep` the last good one stays, and the memory, too */
    care->target->rule.on_revoked = ON_REVOKED_KEEP;
    ck_assert_int_eq(care_load(care, &spool, PKI_NOW), CARE_WRITE_META);
    ck_assert(state()->has_staple);
    ck_assert_int_eq(state()->status, OCSP_CERT_REVOKED);
    ck_assert(!care_is_live(care, PKI_NOW));
}
END_TEST

START_TEST(the_side_file_tells_url_and_plan)
{
    put(PKI_GOOD, PKI_NOW - 3600, PKI_NOW + PKI_DAY, pki.ca);
    put_meta("good", PKI_NOW - 3600, 0);
    (void)care_load(care, &spool, PKI_NOW);
    ck_assert_uint_eq(care->target->url_good, 1);
    ck_assert_int_eq(state()->next_attempt, PKI_NOW + 7777);
    put_meta("good", PKI_NOW - 3600, 3);
    (void)care_load(care, &spool, PKI_NOW);
    ck_assert_int_eq(state()->next_attempt, 0);
}
END_TEST

START_TEST(without_an_issuer_the_side_file_speaks_for_the_bytes)
{
    put(PKI_GOOD, PKI_NOW - 3600, PKI_NOW + PKI_DAY, pki.ca);
    issuer_unref(care->target->issuer);
    care->target->issuer = NULL;
    care->target->mode = TARGET_NO_ISSUER;
    ck_assert_int_eq(care_load(care, &spool, PKI_NOW), CARE_WRITE_REMOVE);
}
END_TEST

/* ---- results ------------------------------------------------------------ */

static struct round_result
result_of(
    enum verdict verdict, enum ocsp_cert_status status, int64_t this_update)
{
    return (struct round_result){.verdict = verdict,
        .body = SPAN_LIT("bytes"),
        .url = "http://two.example/",
        .checked = {.verdict = verdict,
            .single = {.status = status,
                .this_update = this_update,
                .next_update = this_update + PKI_DAY,
                .revoked_reason = -1},
            .life_end = this_update + PKI_DAY}};
}

/* As on_written() of the cycle does. */
static void
stored(void)
{
    state()->has_staple = true;
    care->spooled_this_update = state()->this_update;
    care->spooled_life_end = state()->life_end;
}

static enum care_write
answer(enum verdict verdict, enum ocsp_cert_status status, int64_t this_update)
{
    struct round_result result = result_of(verdict, status, this_update);

    care->asked_at = this_update;
    return care_accept(care, &result, &limits, this_update + 1);
}

START_TEST(a_good_response_is_stored_once)
{
    ck_assert_int_eq(
        answer(VERDICT_GOOD, OCSP_CERT_GOOD, PKI_NOW), CARE_WRITE_STORE);
    stored();
    ck_assert_int_eq(state()->last_attempt, PKI_NOW);
    ck_assert_int_gt(state()->next_attempt, PKI_NOW);
    ck_assert_int_eq(
        answer(VERDICT_UNCHANGED, OCSP_CERT_GOOD, PKI_NOW), CARE_WRITE_META);
    ck_assert_int_eq(
        answer(VERDICT_GOOD, OCSP_CERT_GOOD, PKI_NOW + 100), CARE_WRITE_STORE);
}
END_TEST

START_TEST(unchanged_is_stored_when_the_staple_is_lost)
{
    (void)answer(VERDICT_GOOD, OCSP_CERT_GOOD, PKI_NOW);
    ck_assert_int_eq(
        answer(VERDICT_UNCHANGED, OCSP_CERT_GOOD, PKI_NOW), CARE_WRITE_STORE);
}
END_TEST

/* The newest could not be kept for lack of memory; an older one serves. */
START_TEST(unchanged_is_stored_when_the_spool_holds_an_older_one)
{
    struct round_result result =
        result_of(VERDICT_UNCHANGED, OCSP_CERT_GOOD, PKI_NOW + 60);

    (void)answer(VERDICT_GOOD, OCSP_CERT_GOOD, PKI_NOW);
    stored();
    (void)answer(VERDICT_GOOD, OCSP_CERT_GOOD, PKI_NOW + 60);
    /* a signer's end cuts both */
    result.checked.life_end = PKI_NOW + PKI_DAY;
    ck_assert_int_eq(
        care_accept(care, &result, &limits, PKI_NOW + 120), CARE_WRITE_STORE);
}
END_TEST

/* A CA may sign the same word again and move nextUpdate alone. */
START_TEST(of_two_with_one_this_update_the_longer_serves)
{
    struct round_result result =
        result_of(VERDICT_UNCHANGED, OCSP_CERT_GOOD, PKI_NOW);

    (void)answer(VERDICT_GOOD, OCSP_CERT_GOOD, PKI_NOW);
    stored();
    result.checked.life_end += PKI_DAY;
    ck_assert_int_eq(
        care_accept(care, &result, &limits, PKI_NOW + 1), CARE_WRITE_STORE);
    stored();
    ck_assert_int_eq(
        answer(VERDICT_UNCHANGED, OCSP_CERT_GOOD, PKI_NOW), CARE_WRITE_META);
    ck_assert_int_eq(state()->life_end, PKI_NOW + 2 * PKI_DAY);
}
END_TEST

START_TEST(revoked_follows_the_policy)
{
    static const struct {
        int policy;
        enum care_write write;
    } cases[] = {{ON_REVOKED_WITHDRAW, CARE_WRITE_REMOVE},
        {ON_REVOKED_PUBLISH, CARE_WRITE_STORE},
        {ON_REVOKED_KEEP, CARE_WRITE_META}};
    int64_t old_end;

    care->target->rule.on_revoked = cases[_i].policy;
    (void)answer(VERDICT_GOOD, OCSP_CERT_GOOD, PKI_NOW);
    stored();
    old_end = state()->life_end;
    ck_assert_int_eq(answer(VERDICT_REVOKED, OCSP_CERT_REVOKED, PKI_NOW + 60),
        cases[_i].write);
    ck_assert_int_eq(state()->status, OCSP_CERT_REVOKED);
    ck_assert(!care_is_live(care, PKI_NOW + 60));
    if (cases[_i].policy == ON_REVOKED_KEEP)
        ck_assert_int_eq(state()->life_end, old_end);
}
END_TEST

START_TEST(a_failure_keeps_what_is_known)
{
    struct round_result result = {.verdict = VERDICT_TRY_LATER,
        .url = "http://one.example/",
        .retry_after_s = 600};

    (void)answer(VERDICT_GOOD, OCSP_CERT_GOOD, PKI_NOW);
    stored();
    (void)err_set(&result.err, ERR_REJECTED, "later");
    care->asked_at = PKI_NOW + 50;
    care_fail(care, &result, &limits, PKI_NOW + 60, 0.5);
    ck_assert_uint_eq(state()->failures, 1);
    ck_assert_int_eq(state()->last_attempt, PKI_NOW + 50);
    ck_assert_int_eq(state()->next_attempt, PKI_NOW + 660);
    ck_assert_str_eq(care->last_error, "later");
    ck_assert(care_is_live(care, PKI_NOW + 60));
    (void)answer(VERDICT_UNCHANGED, OCSP_CERT_GOOD, PKI_NOW);
    ck_assert_uint_eq(state()->failures, 0);
    ck_assert_ptr_null(care->last_error);
}
END_TEST

/* Nothing of it is believed but that somebody says revoked. */
START_TEST(a_conflict_keeps_what_is_known_and_is_loud)
{
    struct round_result result =
        result_of(VERDICT_CONFLICT, OCSP_CERT_REVOKED, PKI_NOW + 60);

    (void)answer(VERDICT_GOOD, OCSP_CERT_GOOD, PKI_NOW);
    stored();
    care_fail(care, &result, &limits, PKI_NOW + 60, 0.5);
    ck_assert_int_eq(care->revoked_logged_at, PKI_NOW + 60);
    ck_assert_int_eq(state()->status, OCSP_CERT_GOOD);
    ck_assert(care_is_live(care, PKI_NOW + 60));
    care_fail(care, &result, &limits, PKI_NOW + 120, 0.5);
    ck_assert_int_eq(care->revoked_logged_at, PKI_NOW + 60);
    (void)answer(VERDICT_GOOD, OCSP_CERT_GOOD, PKI_NOW + 180);
    ck_assert_int_eq(care->revoked_logged_at, 0);
}
END_TEST

/* ---- found again -------------------------------------------------------- */

START_TEST(found_again_as_it_was_changes_nothing)
{
    char *url = care->target->urls[0];

    care->target->url_good = 1;
    state()->failures = 5;
    ck_assert(!care_adopt(care, make()));
    ck_assert_uint_eq(care->target->url_good, 1);
    ck_assert_uint_eq(state()->failures, 5);
    /* a round under way borrows them */
    ck_assert_ptr_eq(care->target->urls[0], url);
}
END_TEST

START_TEST(another_configuration_asks_anew)
{
    struct target *found = make();

    switch (_i) {
    case 0:
        found->mode = TARGET_DISABLED;
        break;
    case 1:
        found->urls[0][7] = 'x';
        break;
    case 2:
        found->rule.on_revoked = ON_REVOKED_KEEP;
        break;
    case 3:
        X509_free(found->issuer->cert);
        found->issuer->cert = pki.sibling->cert;
        (void)X509_up_ref(pki.sibling->cert);
        break;
    default:
        found->rule.allow_weak = true;
        break;
    }
    ck_assert(care_adopt(care, found));
}
END_TEST

/* ---- the clock ---------------------------------------------------------- */

START_TEST(a_mode_follows_the_clock_both_ways)
{
    struct target *target = care->target;
    int64_t end = target->not_after;

    target->mode = (enum target_mode)_i;
    if (_i == TARGET_NO_URL)
        target->url_count = 0;
    if (_i == TARGET_NO_ISSUER) {
        issuer_unref(target->issuer);
        target->issuer = NULL;
    }
    ck_assert(!target_judge_time(target, end - 1));
    ck_assert(target_judge_time(target, end));
    ck_assert_int_eq(target->mode, TARGET_EXPIRED);
    ck_assert(!target_judge_time(target, end + 1));
    ck_assert(target_judge_time(target, end - 1));
    ck_assert_int_eq(target->mode, _i);
    if (_i == TARGET_NO_URL)
        target->url_count = 2;
}
END_TEST

START_TEST(what_is_not_asked_about_has_no_end)
{
    care->target->mode = TARGET_DISABLED;
    ck_assert(!target_judge_time(care->target, care->target->not_after));
    ck_assert_int_eq(care->target->mode, TARGET_DISABLED);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("care");
    TCase *t = tcase_create("care");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, an_empty_spool_is_a_beginning);
    tcase_add_test(t, a_verified_staple_serves_again);
    tcase_add_test(t, a_staple_near_its_end_serves_on);
    tcase_add_loop_test(t, what_does_not_verify_goes, 0, 5);
    tcase_add_test(t, what_is_too_large_goes);
    tcase_add_test(t, a_remembered_revocation_outlives_an_older_good);
    tcase_add_test(t, the_side_file_tells_url_and_plan);
    tcase_add_test(t, without_an_issuer_the_side_file_speaks_for_the_bytes);
    tcase_add_test(t, a_good_response_is_stored_once);
    tcase_add_test(t, unchanged_is_stored_when_the_staple_is_lost);
    tcase_add_test(t, unchanged_is_stored_when_the_spool_holds_an_older_one);
    tcase_add_test(t, of_two_with_one_this_update_the_longer_serves);
    tcase_add_loop_test(t, revoked_follows_the_policy, 0, 3);
    tcase_add_test(t, a_failure_keeps_what_is_known);
    tcase_add_test(t, a_conflict_keeps_what_is_known_and_is_loud);
    tcase_add_test(t, found_again_as_it_was_changes_nothing);
    tcase_add_loop_test(t, another_configuration_asks_anew, 0, 5);
    tcase_add_test(t, what_is_not_asked_about_has_no_end);
    for (int i = TARGET_OCSP; i <= TARGET_NO_ISSUER; i++)
        if (i != TARGET_EXPIRED)
            tcase_add_loop_test(
                t, a_mode_follows_the_clock_both_ways, i, i + 1);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
