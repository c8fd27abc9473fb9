/*
 * Staples from a spool folder that comes, changes and goes.
 * Input: responses of all sorts in files, the clock by hand. Output: what would
 * be stapled, and why not.
 */
#include "wsgate/tls/staple.h"

#include "shared/buf.h"
#include "shared/log.h"
#include "shared/spool.h"
#include "tests/support/pki.h"
#include "tests/support/temp_folder.h"

#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct pki pki;
static struct temp_folder folder;
static struct staple_set *set;
static char fp[CERT_FINGERPRINT_SIZE];
static struct cert_ids ids;
static struct buf good;

static void
setup(void)
{
    log_init("test", LOG_FORMAT_TEXT, LOG_LEVEL_ERROR);
    pki_init(&pki);
    temp_folder_init(&folder);
    ck_assert(cert_fingerprint(pki.leaf->cert, fp, NULL));
    ck_assert(cert_ids_make(pki.leaf->cert, pki.ca->cert, &ids, NULL));
    buf_init(&good, 100000);
    pki_respond_good(pki.delegate, pki.leaf, pki.ca, &good);
    set = NULL;
}

static void
teardown(void)
{
    staple_set_free(set);
    buf_fini(&good);
    temp_folder_fini(&folder);
    pki_fini(&pki);
}

static void
put_into(const char *path, struct span der)
{
    struct spool spool;
    bool changed;
    struct err err;

    ck_assert_msg(spool_open(&spool, path, &err), "%s", err.text);
    ck_assert_msg(spool_store(&spool, fp, der, &changed, &err), "%s", err.text);
    spool_close(&spool);
}

static void
put(struct span der)
{
    put_into(folder.path, der);
}

static void
open_set(const char *path)
{
    set = staple_set_new(path, NULL);
    ck_assert_ptr_nonnull(set);
}

static struct staple_entry *
track(int64_t now)
{
    const struct ocsp_trust trust = {.issuer = pki.ca->cert};
    struct staple_entry *entry =
        staple_track(set, fp, &ids, &trust, "leaf", now, NULL);

    ck_assert_ptr_nonnull(entry);
    return entry;
}

/* inotify has something to say; then the set has heard it. */
static void
hear(int64_t now)
{
    struct pollfd fd = {.fd = staple_set_fd(set), .events = POLLIN};

    ck_assert_int_eq(poll(&fd, 1, 5000), 1);
    staple_set_on_readable(set, now);
}

static void
ck_staple(const struct staple_entry *entry, int64_t now, struct span der)
{
    ck_assert(span_eq(staple_current(entry, now), der));
    if (der.len > 0)
        ck_assert_str_eq(staple_problem(entry), "");
    else
        ck_assert_str_ne(staple_problem(entry), "");
}

START_TEST(staple_loads_what_is_there_and_follows_changes)
{
    struct staple_entry *entry;
    struct buf newer;
    const struct pki_single single = {.leaf = pki.leaf,
        .issuer = pki.ca,
        .this_update = PKI_NOW - 60,
        .next_update = PKI_NOW + 7 * PKI_DAY};
    const struct pki_response spec = {
        .signer = pki.ca, .singles = &single, .single_count = 1};

    buf_init(&newer, 100000);
    pki_respond(&spec, &newer);
    put(buf_span(&good));
    open_set(folder.path);
    entry = track(PKI_NOW);
    ck_staple(entry, PKI_NOW, buf_span(&good));
    staple_set_on_readable(set, PKI_NOW);
    ck_staple(entry, PKI_NOW, buf_span(&good));
    put(buf_span(&newer));
    hear(PKI_NOW);
    ck_staple(entry, PKI_NOW, buf_span(&newer));
    ck_assert_int_eq(staple_valid_until(entry), PKI_NOW + 7 * PKI_DAY);
    staple_untrack(set, entry);
    buf_fini(&newer);
}
END_TEST

START_TEST(staple_appears_when_the_file_does)
{
    struct staple_entry *entry;

    open_set(folder.path);
    entry = track(PKI_NOW);
    ck_staple(entry, PKI_NOW, SPAN_EMPTY);
    staple_set_on_readable(set, PKI_NOW);
    put(buf_span(&good));
    hear(PKI_NOW);
    ck_staple(entry, PKI_NOW, buf_span(&good));
    staple_untrack(set, entry);
}
END_TEST

START_TEST(staple_is_withdrawn_with_its_file)
{
    struct staple_entry *entry;
    struct spool spool;

    put(buf_span(&good));
    open_set(folder.path);
    entry = track(PKI_NOW);
    staple_set_on_readable(set, PKI_NOW);
    ck_assert(spool_open(&spool, folder.path, NULL));
    ck_assert(spool_remove_der(&spool, fp, NULL));
    spool_close(&spool);
    hear(PKI_NOW);
    ck_staple(entry, PKI_NOW, SPAN_EMPTY);
    staple_untrack(set, entry);
}
END_TEST

/* nextUpdate is PKI_NOW + 6 days; nothing has to happen for it to stop. */
START_TEST(staple_is_never_given_out_of_date)
{
    struct staple_entry *entry;
    int64_t end = PKI_NOW + 6 * PKI_DAY;

    put(buf_span(&good));
    open_set(folder.path);
    entry = track(PKI_NOW);
    ck_assert_uint_gt(staple_current(entry, end - 1).len, 0);
    ck_assert_uint_eq(staple_current(entry, end).len, 0);
    ck_assert_uint_eq(staple_current(entry, PKI_NOW - 2 * PKI_DAY).len, 0);
    staple_set_on_tick(set, end);
    ck_staple(entry, end, SPAN_EMPTY);
    staple_untrack(set, entry);
}
END_TEST

static void
make_bad(int which, struct buf *out)
{
    struct pki_single single = {.leaf = pki.leaf, .issuer = pki.ca};
    struct pki_response spec = {
        .signer = pki.ca, .singles = &single, .single_count = 1};

    switch (which) {
    case 0: /* another certificate's */
        single.leaf = pki.staple_leaf;
        break;
    case 1: /* signed by somebody without the right */
        spec.signer = pki.delegate_noeku;
        break;
    case 2:
        single.this_update = PKI_NOW - 9 * PKI_DAY;
        single.next_update = PKI_NOW - PKI_DAY;
        break;
    case 3:
        single.next_update = -1;
        break;
    case 4:
        single.status = PKI_UNKNOWN;
        break;
    case 5:
        pki_respond_outer(3, out);
        return;
    case 6:
        ck_assert(buf_add_str(out, "not DER"));
        return;
    case 7:
        return; /* an empty file */
    }
    pki_respond(&spec, out);
}

START_TEST(staple_refuses_bad_responses_and_keeps_the_good_one)
{
    struct staple_entry *entry;
    struct buf bad;
    char path[PATH_MAX];

    buf_init(&bad, 100000);
    make_bad(_i, &bad);
    if (_i == 7) { /* the spool writes none such: somebody else did */
        char name[80];

        (void)snprintf(name, sizeof(name), "%s.der", fp);
        temp_folder_put(&folder, name, "");
        (void)temp_folder_path(&folder, name, path);
    } else {
        put(buf_span(&bad));
    }
    open_set(folder.path);
    entry = track(PKI_NOW);
    ck_staple(entry, PKI_NOW, SPAN_EMPTY);
    staple_set_on_readable(set, PKI_NOW);
    put(buf_span(&good));
    hear(PKI_NOW);
    ck_staple(entry, PKI_NOW, buf_span(&good));
    if (_i != 7) {
        put(buf_span(&bad));
        hear(PKI_NOW);
        ck_staple(entry, PKI_NOW, buf_span(&good));
    }
    staple_untrack(set, entry);
    buf_fini(&bad);
}
END_TEST

START_TEST(staple_tells_a_revoked_one)
{
    const struct pki_single single = {.leaf = pki.leaf,
        .issuer = pki.ca,
        .status = PKI_REVOKED,
        .reason = -1};
    const struct pki_response spec = {
        .signer = pki.ca, .singles = &single, .single_count = 1};
    struct staple_entry *entry;
    struct buf revoked;

    buf_init(&revoked, 100000);
    pki_respond(&spec, &revoked);
    put(buf_span(&revoked));
    open_set(folder.path);
    entry = track(PKI_NOW);
    ck_staple(entry, PKI_NOW, buf_span(&revoked));
    ck_assert(staple_is_revoked(entry));
    staple_untrack(set, entry);
    buf_fini(&revoked);
}
END_TEST

/* Missing at start, made later, moved away and made again. */
START_TEST(staple_survives_its_folder)
{
    char path[PATH_MAX], away[PATH_MAX];
    struct staple_entry *entry;

    (void)temp_folder_path(&folder, "spool", path);
    (void)temp_folder_path(&folder, "away", away);
    open_set(path);
    entry = track(PKI_NOW);
    ck_staple(entry, PKI_NOW, SPAN_EMPTY);
    staple_set_on_readable(set, PKI_NOW);
    ck_assert_int_eq(mkdir(path, 0755), 0);
    hear(PKI_NOW);
    put_into(path, buf_span(&good));
    while (staple_current(entry, PKI_NOW).len == 0)
        hear(PKI_NOW);
    ck_assert_int_eq(rename(path, away), 0);
    staple_set_on_tick(set, PKI_NOW);
    ck_staple(entry, PKI_NOW, buf_span(&good)); /* till it runs out */
    staple_untrack(set, entry);
}
END_TEST

START_TEST(staple_is_tracked_once_and_counted)
{
    struct staple_entry *first, *second;

    put(buf_span(&good));
    open_set(folder.path);
    first = track(PKI_NOW);
    second = track(PKI_NOW);
    ck_assert_ptr_eq(first, second);
    staple_untrack(set, first);
    ck_staple(second, PKI_NOW, buf_span(&good));
    staple_untrack(set, second);
    staple_untrack(set, NULL);
    ck_assert_uint_eq(staple_current(NULL, PKI_NOW).len, 0);
    staple_set_on_tick(set, PKI_NOW);
}
END_TEST

/* A reload may list a signer, or take one off the list: the entries of both
 * configurations live side by side, and each follows the file. */
START_TEST(staple_is_judged_by_the_trust_it_is_tracked_with)
{
    STACK_OF(X509) *signers = sk_X509_new_null();
    const struct ocsp_trust trust = {
        .issuer = pki.ca->cert, .signers = signers};
    struct staple_entry *old, *listed;
    struct buf der;

    ck_assert(sk_X509_push(signers, pki.va->cert) > 0);
    buf_init(&der, 100000);
    pki_respond_good(pki.va, pki.leaf, pki.ca, &der);
    put(buf_span(&der));
    open_set(folder.path);
    old = track(PKI_NOW);
    ck_staple(old, PKI_NOW, SPAN_EMPTY);
    listed = staple_track(set, fp, &ids, &trust, "leaf", PKI_NOW, NULL);
    ck_assert_ptr_nonnull(listed);
    ck_staple(listed, PKI_NOW, buf_span(&der));
    ck_assert_ptr_eq(
        staple_track(set, fp, &ids, &trust, "leaf", PKI_NOW, NULL), listed);
    put(buf_span(&good));
    hear(PKI_NOW);
    ck_staple(old, PKI_NOW, buf_span(&good));
    ck_staple(listed, PKI_NOW, buf_span(&good));
    staple_untrack(set, old);
    staple_untrack(set, listed);
    staple_untrack(set, listed);
    sk_X509_free(signers);
    buf_fini(&der);
}
END_TEST

/* Of a certificate that is not in use: as a worker would find it. */
START_TEST(staple_is_probed_without_being_tracked)
{
    const struct ocsp_trust trust = {.issuer = pki.ca->cert};
    const struct pki_single single = {
        .leaf = pki.leaf, .issuer = pki.ca, .status = PKI_REVOKED};
    const struct pki_response spec = {
        .signer = pki.ca, .singles = &single, .single_count = 1};
    bool is_revoked = true;
    struct err err = {0};
    struct buf revoked;

    ck_assert(!staple_probe(
        folder.path, fp, &ids, &trust, PKI_NOW, &is_revoked, &err));
    ck_assert_str_ne(err.text, "");
    put(buf_span(&good));
    ck_assert(staple_probe(
        folder.path, fp, &ids, &trust, PKI_NOW, &is_revoked, &err));
    ck_assert(!is_revoked);
    ck_assert(!staple_probe(folder.path, fp, &ids, &trust,
        PKI_NOW + 400 * PKI_DAY, &is_revoked, &err));
    buf_init(&revoked, 100000);
    pki_respond(&spec, &revoked);
    put(buf_span(&revoked));
    ck_assert(staple_probe(
        folder.path, fp, &ids, &trust, PKI_NOW, &is_revoked, &err));
    ck_assert(is_revoked);
    put(SPAN_LIT("no response"));
    ck_assert(!staple_probe(
        folder.path, fp, &ids, &trust, PKI_NOW, &is_revoked, &err));
    ck_assert(!staple_probe(
        "/nowhere", fp, &ids, &trust, PKI_NOW, &is_revoked, &err));
    buf_fini(&revoked);
}
END_TEST

START_TEST(staple_loads_in_a_tick_what_was_not_told)
{
    struct staple_entry *entry;

    open_set(folder.path);
    entry = track(PKI_NOW);
    put(buf_span(&good));
    for (int64_t t = 0; t < 70; t += 10)
        staple_set_on_tick(set, PKI_NOW + t);
    ck_staple(entry, PKI_NOW, buf_span(&good));
    staple_untrack(set, entry);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("staple");
    TCase *tc = tcase_create("staple");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tc);
    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, staple_loads_what_is_there_and_follows_changes);
    tcase_add_test(tc, staple_appears_when_the_file_does);
    tcase_add_test(tc, staple_is_withdrawn_with_its_file);
    tcase_add_test(tc, staple_is_never_given_out_of_date);
    tcase_add_loop_test(
        tc, staple_refuses_bad_responses_and_keeps_the_good_one, 0, 8);
    tcase_add_test(tc, staple_tells_a_revoked_one);
    tcase_add_test(tc, staple_survives_its_folder);
    tcase_add_test(tc, staple_is_tracked_once_and_counted);
    tcase_add_test(tc, staple_is_judged_by_the_trust_it_is_tracked_with);
    tcase_add_test(tc, staple_loads_in_a_tick_what_was_not_told);
    tcase_add_test(tc, staple_is_probed_without_being_tracked);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
