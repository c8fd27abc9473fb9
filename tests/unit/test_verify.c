/*
 * Every step of the verification order as rows of one table: what comes in and
 * which verdict comes out. Input: responses signed on the spot.
 * Output: Check's report.
 */
#include "ocspd/verify.h"

#include "tests/support/pki.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MIN = 60, H = 3600 };
#define DAY PKI_DAY

static struct pki pki;

/* Who signs; an index, because certificates exist at run time only. */
enum signer {
    BY_CA,
    BY_DELEGATE,
    BY_BARE,
    BY_NOEKU,
    BY_OLD,
    BY_DELEGATE_CA,
    BY_SIBLING,
    BY_SIBLING_DELEGATE,
    BY_ROOT,
    BY_LEAF,
    BY_VA,
    BY_VA_OLD
};

static const struct pki_cert *
signer_of(enum signer signer)
{
    const struct pki_cert *const table[] = {
        [BY_CA] = pki.ca,
        [BY_DELEGATE] = pki.delegate,
        [BY_BARE] = pki.delegate_bare,
        [BY_NOEKU] = pki.delegate_noeku,
        [BY_OLD] = pki.delegate_old,
        [BY_DELEGATE_CA] = pki.delegate_ca,
        [BY_SIBLING] = pki.sibling,
        [BY_SIBLING_DELEGATE] = pki.delegate_sibling,
        [BY_ROOT] = pki.root,
        [BY_LEAF] = pki.leaf,
        [BY_VA] = pki.va,
        [BY_VA_OLD] = pki.va_old,
    };

    return table[signer];
}

/* What is broken on the way, after signing. */
enum damage {
    WHOLE,
    ONE_MORE_BYTE,
    ONE_BYTE_LESS,
    FLIPPED_SIGNATURE,
    NO_BYTES,
    TOO_MANY_BYTES,
    HTML
};

/* Zero is a good answer of the CA itself, PKI_NOW is now. */
struct row {
    const char *name;
    enum verdict verdict;
    const char *failed_step; /* NULL: none */
    enum signer signer;
    enum pki_status status;
    int outer; /* not 0: no content, this status */
    enum damage damage;
    const char *id_digest;
    const char *digest;
    int64_t this_at; /* all from PKI_NOW; 0: the usual */
    int64_t next_at;
    int64_t produced_at;
    int64_t leaf_end; /* 0: 60 days */
    int64_t life_end; /* expected; 0: not looked at */
    int64_t stored_at;
    int64_t max_age;
    const char *this_text;
    const char *next_text;
    const char *produced_text;
    bool no_next_update;
    bool of_other; /* another certificate is answered for */
    bool of_sibling; /* one of another CA */
    bool twice; /* a second SingleResponse says revoked */
    bool empty; /* no SingleResponse */
    bool both; /* a second one with a SHA-256 id says the same */
    bool omit_cert;
    bool lists_va;
    bool lists_delegate;
    bool allow_weak;
    bool strict;
    bool stored_revoked;
    bool warns_nocheck;
    bool warns_short;
};

static const struct row rows[] = {
    {"the CA itself says good", VERDICT_GOOD, .life_end = 6 * DAY},
    {"a delegate says good", VERDICT_GOOD, .signer = BY_DELEGATE,
        .life_end = 6 * DAY},
    {"revoked", VERDICT_REVOKED, .status = PKI_REVOKED, .life_end = 6 * DAY},
    /* 1: body */
    {"an empty body", VERDICT_EMPTY, "parse", .damage = NO_BYTES},
    {"a body over 64 KiB", VERDICT_TOO_LARGE, "parse",
        .damage = TOO_MANY_BYTES},
    {"a captive portal's page", VERDICT_NOT_OCSP, "parse", .damage = HTML},
    /* 2: parse */
    {"one byte behind the response", VERDICT_TRAILING_BYTES, "parse",
        .damage = ONE_MORE_BYTE},
    {"one byte missing", VERDICT_NOT_OCSP, "parse", .damage = ONE_BYTE_LESS},
    /* 3: the responder's own refusals */
    {"malformedRequest", VERDICT_MALFORMED_REQUEST, "status", .outer = 1},
    {"internalError", VERDICT_INTERNAL_ERROR, "status", .outer = 2},
    {"tryLater", VERDICT_TRY_LATER, "status", .outer = 3},
    {"sigRequired", VERDICT_SIG_REQUIRED, "status", .outer = 5},
    {"unauthorized", VERDICT_UNAUTHORIZED, "status", .outer = 6},
    {"a status nobody defined", VERDICT_NOT_OCSP, "status", .outer = 9},
    {"a byte behind tryLater", VERDICT_TRAILING_BYTES, "parse", .outer = 3,
        .damage = ONE_MORE_BYTE},
    /* 4: strength */
    {"signed with SHA-1", VERDICT_WEAK_SIGNATURE, "signature",
        .digest = "SHA1"},
    {"signed with SHA-1 by a legacy CA", VERDICT_GOOD, .digest = "SHA1",
        .allow_weak = true},
    /* 5: signature and signer */
    {"one bit of the signature flipped", VERDICT_BAD_SIGNATURE, "signature",
        .damage = FLIPPED_SIGNATURE},
    {"signed by a delegate whose certificate is left out",
        VERDICT_NO_SIGNER_CERT, "signature", .signer = BY_DELEGATE,
        .omit_cert = true},
    {"the same with the delegate listed", VERDICT_GOOD, .signer = BY_DELEGATE,
        .omit_cert = true, .lists_delegate = true},
    {"signed by a delegate without EKU", VERDICT_NOT_AUTHORISED, "signer",
        .signer = BY_NOEKU},
    {"signed by an expired delegate", VERDICT_SIGNER_EXPIRED, "signer",
        .signer = BY_OLD},
    {"signed by a delegate that is a CA", VERDICT_NOT_AUTHORISED, "signer",
        .signer = BY_DELEGATE_CA},
    {"signed by the CA's sibling", VERDICT_NOT_AUTHORISED, "signer",
        .signer = BY_SIBLING},
    {"signed by the sibling's delegate", VERDICT_NOT_AUTHORISED, "signer",
        .signer = BY_SIBLING_DELEGATE},
    {"signed by the root", VERDICT_NOT_AUTHORISED, "signer", .signer = BY_ROOT},
    {"signed by the leaf itself", VERDICT_NOT_AUTHORISED, "signer",
        .signer = BY_LEAF},
    {"signed by a stranger", VERDICT_NOT_AUTHORISED, "signer", .signer = BY_VA},
    {"the stranger is listed", VERDICT_GOOD, .signer = BY_VA, .lists_va = true},
    {"another stranger is listed", VERDICT_NOT_AUTHORISED, "signer",
        .signer = BY_SIBLING, .lists_va = true},
    {"a delegate without nocheck", VERDICT_GOOD, .signer = BY_BARE,
        .warns_nocheck = true},
    {"a delegate without nocheck, strict", VERDICT_NO_NOCHECK, "signer",
        .signer = BY_BARE, .strict = true},
    {"a delegate with nocheck, strict", VERDICT_GOOD, .signer = BY_DELEGATE,
        .strict = true},
    {"the issuer needs no nocheck, strict", VERDICT_GOOD, .strict = true},
    /* 6: certificate */
    {"another certificate of the same CA", VERDICT_WRONG_CERT, "certificate",
        .of_other = true},
    {"a certificate of a CA that is not the signer", VERDICT_NOT_AUTHORISED,
        "signer", .of_sibling = true},
    {"no certificate at all", VERDICT_WRONG_CERT, "signer", .empty = true},
    {"none at all, by a delegate", VERDICT_WRONG_CERT, "signer",
        .signer = BY_DELEGATE, .empty = true},
    {"none at all, by a signer that is listed", VERDICT_WRONG_CERT,
        "certificate", .signer = BY_VA, .lists_va = true, .empty = true},
    {"none at all, and one bit of the signature flipped", VERDICT_BAD_SIGNATURE,
        "signature", .empty = true, .damage = FLIPPED_SIGNATURE},
    {"a SHA-256 CertID", VERDICT_GOOD, .id_digest = "SHA256"},
    {"a SHA-384 CertID", VERDICT_GOOD, .id_digest = "SHA384"},
    {"a CertID with a digest nobody asked for", VERDICT_WRONG_CERT,
        "certificate", .id_digest = "SHA512"},
    {"SHA-1 and SHA-256 say the same", VERDICT_GOOD, .both = true},
    {"good and revoked at once", VERDICT_CONFLICT, "certificate",
        .twice = true},
    /* 7: times */
    {"thisUpdate 300 s ahead", VERDICT_GOOD, .this_at = 300},
    {"thisUpdate 301 s ahead", VERDICT_NOT_YET_VALID, "times", .this_at = 301},
    {"producedAt 300 s ahead", VERDICT_GOOD, .produced_at = 300},
    {"producedAt 301 s ahead", VERDICT_NOT_YET_VALID, "times",
        .produced_at = 301},
    {"nextUpdate now", VERDICT_EXPIRED, "times",
        .next_text = "20260101000000Z"},
    {"nextUpdate a second ago", VERDICT_EXPIRED, "times", .next_at = -1},
    {"nextUpdate is thisUpdate", VERDICT_BAD_TIME, "times", .this_at = 100,
        .next_at = 100},
    {"nextUpdate before thisUpdate", VERDICT_BAD_TIME, "times", .this_at = 200,
        .next_at = 100},
    {"thisUpdate with a fraction", VERDICT_BAD_TIME, "certificate",
        .this_text = "20251231230000.5Z"},
    {"nextUpdate with an offset", VERDICT_BAD_TIME, "certificate",
        .next_text = "20260107000000+0000"},
    {"nextUpdate of 2020 with a fraction", VERDICT_BAD_TIME, "certificate",
        .next_text = "20200107000000.5Z"},
    {"producedAt without seconds", VERDICT_BAD_TIME, "certificate",
        .produced_text = "202512312300Z"},
    {"a thirteenth month", VERDICT_BAD_TIME, "certificate",
        .next_text = "20261301000000Z"},
    {"no nextUpdate", VERDICT_NO_NEXT_UPDATE, "times", .no_next_update = true},
    {"no nextUpdate, max_age 12 h", VERDICT_GOOD, .no_next_update = true,
        .max_age = 12 * H, .life_end = 11 * H},
    {"no nextUpdate, as old as max_age", VERDICT_TOO_OLD, "times",
        .no_next_update = true, .max_age = 12 * H, .this_at = -12 * H},
    {"no nextUpdate, not quite as old, but hardly any life",
        VERDICT_LIFE_TOO_SHORT, "life", .no_next_update = true,
        .max_age = 12 * H, .this_at = -12 * H + 299},
    {"no nextUpdate, 14 d whatever max_age says", VERDICT_TOO_OLD, "times",
        .no_next_update = true, .max_age = 40 * DAY, .this_at = -14 * DAY},
    {"an old thisUpdate with nextUpdate", VERDICT_GOOD, .this_at = -20 * DAY},
    /* 8: life */
    {"the leaf's end cuts it", VERDICT_GOOD, .leaf_end = 2 * DAY,
        .life_end = 2 * DAY},
    {"the signer's end cuts it", VERDICT_GOOD, .signer = BY_DELEGATE,
        .next_at = 70 * DAY, .leaf_end = 90 * DAY, .life_end = 60 * DAY},
    {"300 s left of a long one", VERDICT_GOOD, .next_at = 300, .life_end = 300},
    {"299 s left of a long one", VERDICT_LIFE_TOO_SHORT, "life",
        .next_at = 299},
    {"299 s left of the leaf", VERDICT_LIFE_TOO_SHORT, "life", .leaf_end = 299},
    {"the leaf has ended", VERDICT_LIFE_TOO_SHORT, "life", .leaf_end = -1},
    {"a window of five minutes, fresh", VERDICT_GOOD, .this_at = -10,
        .next_at = 290, .life_end = 290, .warns_short = true},
    {"a window of five minutes, a quarter left", VERDICT_GOOD, .this_at = -225,
        .next_at = 75, .life_end = 75, .warns_short = true},
    {"a window of five minutes, less than that", VERDICT_LIFE_TOO_SHORT, "life",
        .this_at = -226, .next_at = 74},
    /* 9: rollback */
    {"newer than stored", VERDICT_GOOD, .stored_at = -H - 1},
    {"as stored", VERDICT_UNCHANGED, .stored_at = -H, .life_end = 6 * DAY},
    {"a second older than stored", VERDICT_OLDER_THAN_STORED, "rollback",
        .stored_at = -H + 1},
    {"revoked, as stored", VERDICT_UNCHANGED, .status = PKI_REVOKED,
        .stored_at = -H, .stored_revoked = true},
    {"revoked, as old as the good one", VERDICT_REVOKED, .status = PKI_REVOKED,
        .stored_at = -H},
    {"revoked, but older than the good one", VERDICT_OLDER_THAN_STORED,
        "rollback", .status = PKI_REVOKED, .stored_at = -H + 1},
    {"good again, no newer than revoked", VERDICT_OLDER_THAN_STORED, "rollback",
        .stored_at = -H, .stored_revoked = true},
    {"good again and newer: the hold ended", VERDICT_GOOD, .stored_at = -H - 1,
        .stored_revoked = true},
    /* 10: status */
    {"unknown", VERDICT_UNKNOWN, "answer", .status = PKI_UNKNOWN},
    {"unknown, as old as the stored one", VERDICT_UNKNOWN, "answer",
        .status = PKI_UNKNOWN, .stored_at = -H},
    /* the first failure is the one that is named */
    {"a forged and expired one", VERDICT_NOT_AUTHORISED, "signer",
        .signer = BY_LEAF, .next_at = -1},
    {"an expired one about somebody else", VERDICT_WRONG_CERT, "certificate",
        .of_other = true, .next_at = -1},
};

static struct pki_single
single_of(const struct row *row)
{
    struct pki_single single = {
        .leaf = row->of_sibling ? pki.sibling_leaf
                : row->of_other ? pki.staple_leaf
                                : pki.leaf,
        .issuer = row->of_sibling ? pki.sibling : pki.ca,
        .status = row->status,
        .id_digest = row->id_digest,
        .reason = -1,
        .this_update_text = row->this_text,
        .next_update_text = row->next_text,
    };

    if (row->this_at != 0)
        single.this_update = PKI_NOW + row->this_at;
    if (row->next_at != 0)
        single.next_update = PKI_NOW + row->next_at;
    if (row->no_next_update)
        single.next_update = -1;
    return single;
}

static void
damage(enum damage damage, struct buf *body)
{
    switch (damage) {
    case WHOLE:
        return;
    case ONE_MORE_BYTE:
        ck_assert(buf_add_byte(body, 0));
        return;
    case ONE_BYTE_LESS:
        body->len--;
        return;
    case FLIPPED_SIGNATURE:
        /* Issuer-signed and without certificates: the signature is last. */
        body->data[body->len - 1] ^= 1;
        return;
    case NO_BYTES:
        buf_clear(body);
        return;
    case TOO_MANY_BYTES:
        while (body->len <= OCSP_RESPONSE_MAX)
            ck_assert(buf_add_byte(body, 0));
        return;
    case HTML:
        buf_clear(body);
        ck_assert(buf_add_str(body, "<!DOCTYPE html><title>Log in</title>"));
        return;
    }
}

static void
make_body(const struct row *row, struct buf *body)
{
    struct pki_single singles[2] = {single_of(row), single_of(row)};
    struct pki_response spec = {
        .signer = signer_of(row->signer),
        .singles = singles,
        .single_count = row->empty                ? 0
                        : row->twice || row->both ? 2
                                                  : 1,
        .digest = row->digest,
        .omit_cert = row->omit_cert || row->damage == FLIPPED_SIGNATURE,
        .produced_at_text = row->produced_text,
    };

    if (row->twice)
        singles[1].status = PKI_REVOKED;
    if (row->both)
        singles[1].id_digest = "SHA256";
    if (row->produced_at != 0)
        spec.produced_at = PKI_NOW + row->produced_at;
    if (row->outer != 0)
        pki_respond_outer(row->outer, body);
    else
        pki_respond(&spec, body);
    damage(row->damage, body);
}

/* What the trace said. */
struct trace {
    char passed[128]; /* "parse status ..." */
    char failed[32];
    unsigned calls;
};

static void
on_step(void *ctx, const char *step, bool passed, const char *detail)
{
    struct trace *trace = ctx;
    size_t used = strlen(trace->passed);

    ck_assert_ptr_nonnull(detail);
    ck_assert_msg(detail[0] != '\0', "%s says nothing", step);
    ck_assert_str_eq(trace->failed, ""); /* nothing behind a failure */
    trace->calls++;
    if (passed)
        (void)snprintf(
            trace->passed + used, sizeof(trace->passed) - used, "%s ", step);
    else
        (void)snprintf(trace->failed, sizeof(trace->failed), "%s", step);
}

static const char all_steps[] =
    "parse status signature signer certificate times life rollback answer ";

static void
check_result(const struct row *row, const struct verify_result *result,
    const struct trace *trace, const struct err *err)
{
    ck_assert_msg(result->verdict == row->verdict,
        "%s: %s instead of %s (%s: %s)", row->name,
        verdict_word(result->verdict), verdict_word(row->verdict),
        trace->failed, err->text);
    ck_assert_str_eq(
        trace->failed, row->failed_step != NULL ? row->failed_step : "");
    if (row->failed_step == NULL) {
        ck_assert_str_eq(trace->passed, all_steps);
        ck_assert_int_eq(err->kind, ERR_NONE);
    } else {
        /* A prefix of the order, and the failed one comes right behind. */
        size_t n = strlen(trace->passed);

        ck_assert_mem_eq(trace->passed, all_steps, n);
        ck_assert_mem_eq(
            all_steps + n, row->failed_step, strlen(row->failed_step));
        ck_assert_int_ne(err->kind, ERR_NONE);
        ck_assert_str_ne(err->text, "");
    }
    if (row->life_end != 0)
        ck_assert_int_eq(result->life_end, PKI_NOW + row->life_end);
    if (row->failed_step == NULL) {
        ck_assert_int_eq(result->warn_no_nocheck, row->warns_nocheck);
        ck_assert_int_eq(result->warn_short_life, row->warns_short);
    }
}

static void
run_row(const struct row *row, const struct cert_ids *ids, struct buf *body)
{
    STACK_OF(X509) *signers = sk_X509_new_null();
    struct ocsp_trust trust = {.issuer = pki.ca->cert, .signers = signers};
    struct verify_policy policy = {
        .allow_weak = row->allow_weak,
        .strict = row->strict,
        .max_age_s = row->max_age,
        .not_after = PKI_NOW + (row->leaf_end != 0 ? row->leaf_end : 60 * DAY),
        .stored_this_update =
            row->stored_at != 0 ? PKI_NOW + row->stored_at : 0,
        .stored_revoked = row->stored_revoked,
    };
    struct verify_result result;
    struct trace trace = {0};
    struct err err = {0};

    if (row->lists_va)
        ck_assert_int_gt(sk_X509_push(signers, pki.va->cert), 0);
    if (row->lists_delegate)
        ck_assert_int_gt(sk_X509_push(signers, pki.delegate->cert), 0);
    make_body(row, body);
    verify_response(buf_span(body), ids, &trust, &policy, PKI_NOW, &result,
        on_step, &trace, &err);
    check_result(row, &result, &trace, &err);
    /* Without anybody listening the verdict is the same. */
    verify_response(buf_span(body), ids, &trust, &policy, PKI_NOW, &result,
        NULL, NULL, NULL);
    ck_assert_int_eq(result.verdict, row->verdict);
    sk_X509_free(signers);
}

START_TEST(verify_gives_the_verdict_of_the_table)
{
    struct cert_ids ids;
    struct err err = {0};
    struct buf body;

    buf_init(&body, 2 * OCSP_RESPONSE_MAX);
    ck_assert(cert_ids_make(pki.leaf->cert, pki.ca->cert, &ids, &err));
    run_row(&rows[_i], &ids, &body);
    buf_fini(&body);
}
END_TEST

START_TEST(verify_tells_what_the_response_says)
{
    struct row row = {.status = PKI_REVOKED, .signer = BY_DELEGATE};
    struct ocsp_trust trust = {.issuer = pki.ca->cert};
    struct verify_policy policy = {.not_after = PKI_NOW + 60 * DAY};
    struct verify_result result;
    struct cert_ids ids;
    struct err err = {0};
    struct buf body;

    buf_init(&body, OCSP_RESPONSE_MAX);
    ck_assert(cert_ids_make(pki.leaf->cert, pki.ca->cert, &ids, &err));
    make_body(&row, &body);
    verify_response(buf_span(&body), &ids, &trust, &policy, PKI_NOW, &result,
        NULL, NULL, &err);
    ck_assert_int_eq(result.verdict, VERDICT_REVOKED);
    ck_assert_int_eq(result.single.status, OCSP_CERT_REVOKED);
    ck_assert_int_eq(result.single.this_update, PKI_NOW - H);
    ck_assert_int_eq(result.single.next_update, PKI_NOW + 6 * DAY);
    ck_assert_int_eq(result.single.revoked_at, PKI_NOW - DAY);
    ck_assert_int_eq(result.single.digest_nid, NID_sha1);
    ck_assert_int_eq(result.signer.kind, OCSP_SIGNER_DELEGATE);
    buf_fini(&body);
}
END_TEST

/* Cut anywhere, a response is refused and nothing is read behind its end. */
START_TEST(verify_refuses_every_prefix)
{
    struct row row = {.signer = BY_DELEGATE};
    struct ocsp_trust trust = {.issuer = pki.ca->cert};
    struct verify_policy policy = {.not_after = PKI_NOW + 60 * DAY};
    struct cert_ids ids;
    struct buf body;

    buf_init(&body, OCSP_RESPONSE_MAX);
    ck_assert(cert_ids_make(pki.leaf->cert, pki.ca->cert, &ids, NULL));
    make_body(&row, &body);
    for (size_t n = 1; n < body.len; n++) {
        unsigned char *copy = malloc(n); /* its end is the sanitizer's */
        struct verify_result result;

        if (copy == NULL)
            ck_abort_msg("no memory");
        memcpy(copy, body.data, n);
        verify_response(span_make(copy, n), &ids, &trust, &policy, PKI_NOW,
            &result, NULL, NULL, NULL);
        if (result.verdict != VERDICT_NOT_OCSP)
            ck_abort_msg("%zu bytes: %s", n, verdict_word(result.verdict));
        free(copy);
    }
    buf_fini(&body);
}
END_TEST

static void
setup(void)
{
    pki_init(&pki);
}

static void
teardown(void)
{
    pki_fini(&pki);
}

int
main(void)
{
    Suite *suite = suite_create("verify");
    TCase *tc = tcase_create("all");
    SRunner *runner;
    int failures;

    tcase_add_unchecked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, verify_gives_the_verdict_of_the_table, 0,
        (int)(sizeof(rows) / sizeof(rows[0])));
    tcase_add_test(tc, verify_tells_what_the_response_says);
    tcase_add_test(tc, verify_refuses_every_prefix);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures ? 1 : 0;
}
