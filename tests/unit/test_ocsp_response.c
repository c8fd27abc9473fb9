/*
 * The rules of OCSP responses, one sentence per case: who may sign, for whom,
 * when; what is refused however OpenSSL would answer.
 */
#include "shared/ocsp_response.h"
#include "tests/support/pki.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Not constants: made once, read by every test. */
static struct pki pki;
static struct cert_ids ids;
static struct buf der;

static void
setup(void)
{
    struct err err;

    pki_init(&pki);
    buf_init(&der, 2 * OCSP_RESPONSE_MAX);
    ck_assert(cert_ids_make(pki.leaf->cert, pki.ca->cert, &ids, &err));
}

static void
teardown(void)
{
    buf_fini(&der);
    pki_fini(&pki);
}

static struct ocsp_response *
parsed(void)
{
    struct ocsp_response *resp = NULL;
    struct err err = {0};

    ck_assert_msg(
        ocsp_response_parse(buf_span(&der), &resp, &err), "%s", err.text);
    return resp;
}

/* The verdict on what is in `der`. */
static enum ocsp_signature
verdict_at(
    const struct ocsp_trust *trust, int64_t at, struct ocsp_signer *signer)
{
    struct ocsp_response *resp = parsed();
    struct err err = {0};
    enum ocsp_signature verdict =
        ocsp_response_check_signature(resp, trust, at, signer, &err);

    if (verdict != OCSP_SIGNATURE_OK)
        ck_assert_str_ne(err.text, "");
    ocsp_response_free(resp);
    return verdict;
}

static enum ocsp_match
match(struct ocsp_single *single)
{
    struct ocsp_response *resp = parsed();
    struct err err = {0};
    enum ocsp_match found = ocsp_response_match(resp, &ids, single, &err);

    ocsp_response_free(resp);
    return found;
}

static bool
usable(const struct ocsp_trust *trust, int64_t *until)
{
    struct ocsp_single single;
    struct err err = {0};
    bool ok = ocsp_response_usable(
        buf_span(&der), &ids, trust, PKI_NOW, &single, until, &err);

    ck_assert(ok || err.text[0] != 0);
    return ok;
}

/* ---- the matrix of signers --------------------------------------------------- */

struct signer_case {
    const char *sentence;
    size_t signer; /* offset in struct pki */
    bool omit_cert;
    enum ocsp_signature verdict;
    enum ocsp_signer_kind kind;
};
#define BY(member) offsetof(struct pki, member)

static const struct signer_case signer_cases[] = {
    {"the issuer signs, its certificate included", BY(ca), false,
        OCSP_SIGNATURE_OK, OCSP_SIGNER_ISSUER},
    {"the issuer signs, its certificate left out", BY(ca), true,
        OCSP_SIGNATURE_OK, OCSP_SIGNER_ISSUER},
    {"a delegate signs, its certificate included", BY(delegate), false,
        OCSP_SIGNATURE_OK, OCSP_SIGNER_DELEGATE},
    {"a delegate without nocheck signs", BY(delegate_bare), false,
        OCSP_SIGNATURE_OK, OCSP_SIGNER_DELEGATE},
    {"a delegate signs, its certificate left out", BY(delegate), true,
        OCSP_SIGNATURE_NO_SIGNER_CERT, 0},
    {"a delegate without the EKU signs", BY(delegate_noeku), false,
        OCSP_SIGNATURE_NOT_AUTHORISED, 0},
    {"the leaf signs for itself", BY(leaf), false,
        OCSP_SIGNATURE_NOT_AUTHORISED, 0},
    {"a sibling CA signs", BY(sibling), false, OCSP_SIGNATURE_NOT_AUTHORISED,
        0},
    {"the root above the issuer signs", BY(root), false,
        OCSP_SIGNATURE_NOT_AUTHORISED, 0},
    {"a delegate of the sibling CA signs", BY(delegate_sibling), false,
        OCSP_SIGNATURE_NOT_AUTHORISED, 0},
    {"a CA below the issuer with the EKU signs", BY(delegate_ca), false,
        OCSP_SIGNATURE_NOT_AUTHORISED, 0},
    {"an expired delegate signs", BY(delegate_old), false,
        OCSP_SIGNATURE_EXPIRED_SIGNER, 0},
    {"a stranger with the EKU signs", BY(va), false,
        OCSP_SIGNATURE_NOT_AUTHORISED, 0},
    {"a stranger signs, its certificate left out", BY(va), true,
        OCSP_SIGNATURE_NO_SIGNER_CERT, 0},
};
enum { SIGNER_CASES = sizeof(signer_cases) / sizeof(signer_cases[0]) };

static const struct pki_cert *
member(size_t offset)
{
    struct pki_cert *cert;

    memcpy(&cert, (char *)&pki + offset, sizeof(cert));
    return cert;
}

static void
check_case(const struct signer_case *c, bool is_by_key)
{
    struct pki_single single = {.leaf = pki.leaf, .issuer = pki.ca};
    struct ocsp_trust trust = {.issuer = pki.ca->cert};
    struct ocsp_signer signer = {0};
    enum ocsp_signature verdict;

    pki_respond(&(struct pki_response){.signer = member(c->signer),
                    .singles = &single,
                    .single_count = 1,
                    .omit_cert = c->omit_cert,
                    .is_by_key = is_by_key},
        &der);
    verdict = verdict_at(&trust, PKI_NOW, &signer);
    ck_assert_msg(verdict == c->verdict, "%s (by %s): %s", c->sentence,
        is_by_key ? "key" : "name", ocsp_signature_word(verdict));
    if (verdict == OCSP_SIGNATURE_OK)
        ck_assert_msg(signer.kind == c->kind, "%s: kind", c->sentence);
}

START_TEST(only_the_issuer_and_its_delegates_may_sign)
{
    check_case(&signer_cases[_i], false);
    check_case(&signer_cases[_i], true);
}
END_TEST

START_TEST(any_byte_changed_is_refused)
{
    struct ocsp_trust trust = {.issuer = pki.ca->cert};
    struct pki_single single = {.leaf = pki.leaf, .issuer = pki.ca};
    int64_t until;

    /* Without a certificate inside, signed bytes and signature are all. */
    pki_respond(&(struct pki_response){.signer = pki.ca,
                    .singles = &single,
                    .single_count = 1,
                    .omit_cert = true},
        &der);
    ck_assert(usable(&trust, &until));
    for (size_t i = 0; i < der.len; i++) {
        der.data[i] ^= 1;
        ck_assert_msg(!usable(&trust, &until), "byte %zu of %zu", i, der.len);
        der.data[i] ^= 1;
    }
}
END_TEST

START_TEST(bytes_that_were_not_signed_are_a_bad_signature)
{
    struct ocsp_trust trust = {.issuer = pki.ca->cert};
    struct ocsp_signer signer;
    const char *when = "20251231230000Z"; /* thisUpdate */
    unsigned char *at;

    pki_respond_good(pki.ca, pki.leaf, pki.ca, &der);
    at = memmem(der.data, der.len, when, strlen(when));
    ck_assert_ptr_nonnull(at);
    at[9] = '2';
    ck_assert_int_eq(verdict_at(&trust, PKI_NOW, &signer), OCSP_SIGNATURE_BAD);
}
END_TEST

START_TEST(the_signer_is_judged_at_the_given_time)
{
    struct ocsp_trust trust = {.issuer = pki.ca->cert};
    struct ocsp_signer signer = {0};

    pki_respond_good(pki.delegate, pki.leaf, pki.ca, &der);
    ck_assert_int_eq(
        verdict_at(&trust, PKI_NOW + 59 * PKI_DAY, &signer), OCSP_SIGNATURE_OK);
    ck_assert_int_eq(signer.not_after, PKI_NOW + 60 * PKI_DAY);
    ck_assert(signer.has_nocheck);
    ck_assert_int_eq(verdict_at(&trust, PKI_NOW + 60 * PKI_DAY, &signer),
        OCSP_SIGNATURE_EXPIRED_SIGNER);
    ck_assert_int_eq(verdict_at(&trust, PKI_NOW - 31 * PKI_DAY, &signer),
        OCSP_SIGNATURE_EXPIRED_SIGNER);
    pki_respond_good(pki.delegate_old, pki.leaf, pki.ca, &der);
    ck_assert_int_eq(
        verdict_at(&trust, PKI_NOW - 2 * PKI_DAY, &signer), OCSP_SIGNATURE_OK);
    pki_respond_good(pki.delegate_bare, pki.leaf, pki.ca, &der);
    ck_assert_int_eq(verdict_at(&trust, PKI_NOW, &signer), OCSP_SIGNATURE_OK);
    ck_assert(!signer.has_nocheck);
}
END_TEST

START_TEST(two_cas_of_one_name_are_told_apart)
{
    struct pki_cert *twin = pki_issue(&(struct pki_spec){
        .cn = "Issuing CA", .issuer = pki.root, .is_ca = true});
    struct ocsp_trust trust = {.issuer = pki.ca->cert};
    struct ocsp_signer signer;

    pki_respond_good(twin, pki.leaf, pki.ca, &der);
    ck_assert_int_ne(verdict_at(&trust, PKI_NOW, &signer), OCSP_SIGNATURE_OK);
    pki_free(twin);
}
END_TEST

/* ---- listed signers ----------------------------------------------------------- */

START_TEST(a_listed_signer_is_accepted)
{
    STACK_OF(X509) *listed = sk_X509_new_null();
    struct ocsp_trust trust = {.issuer = pki.ca->cert, .signers = listed};
    struct ocsp_signer signer = {0};
    struct pki_single single = {.leaf = pki.leaf, .issuer = pki.ca};

    sk_X509_push(listed, pki.va->cert);
    for (int omit = 0; omit < 2; omit++) {
        pki_respond(&(struct pki_response){.signer = pki.va,
                        .singles = &single,
                        .single_count = 1,
                        .omit_cert = omit == 1},
            &der);
        ck_assert_int_eq(
            verdict_at(&trust, PKI_NOW, &signer), OCSP_SIGNATURE_OK);
        ck_assert_int_eq(signer.kind, OCSP_SIGNER_LISTED);
    }
    pki_respond_good(pki.sibling, pki.leaf, pki.ca, &der);
    ck_assert_int_eq(
        verdict_at(&trust, PKI_NOW, &signer), OCSP_SIGNATURE_NOT_AUTHORISED);
    pki_respond_good(pki.delegate, pki.leaf, pki.ca, &der);
    ck_assert_int_eq(verdict_at(&trust, PKI_NOW, &signer), OCSP_SIGNATURE_OK);
    ck_assert_int_eq(signer.kind, OCSP_SIGNER_DELEGATE);
    sk_X509_free(listed);
}
END_TEST

START_TEST(a_delegate_left_out_is_accepted_when_listed)
{
    STACK_OF(X509) *listed = sk_X509_new_null();
    struct ocsp_trust trust = {.issuer = pki.ca->cert, .signers = listed};
    struct pki_single single = {.leaf = pki.leaf, .issuer = pki.ca};
    struct ocsp_signer signer = {0};

    sk_X509_push(listed, pki.delegate->cert);
    pki_respond(&(struct pki_response){.signer = pki.delegate,
                    .singles = &single,
                    .single_count = 1,
                    .omit_cert = true},
        &der);
    ck_assert_int_eq(verdict_at(&trust, PKI_NOW, &signer), OCSP_SIGNATURE_OK);
    ck_assert_int_eq(signer.kind, OCSP_SIGNER_LISTED);
    sk_X509_free(listed);
}
END_TEST

START_TEST(a_listed_signer_of_another_issuers_certificate_is_refused)
{
    STACK_OF(X509) *listed = sk_X509_new_null();
    struct ocsp_trust trust = {.issuer = pki.ca->cert, .signers = listed};
    struct ocsp_single single;
    int64_t until;

    sk_X509_push(listed, pki.va->cert);
    pki_respond_good(pki.va, pki.sibling_leaf, pki.sibling, &der);
    ck_assert_int_eq(match(&single), OCSP_MATCH_NONE);
    ck_assert(!usable(&trust, &until));
    sk_X509_free(listed);
}
END_TEST

START_TEST(an_expired_listed_signer_is_refused)
{
    STACK_OF(X509) *listed = sk_X509_new_null();
    struct ocsp_trust trust = {.issuer = pki.ca->cert, .signers = listed};
    struct ocsp_signer signer;

    sk_X509_push(listed, pki.va_old->cert);
    pki_respond_good(pki.va_old, pki.leaf, pki.ca, &der);
    ck_assert_int_eq(
        verdict_at(&trust, PKI_NOW, &signer), OCSP_SIGNATURE_EXPIRED_SIGNER);
    ck_assert_int_eq(
        verdict_at(&trust, PKI_NOW - 2 * PKI_DAY, &signer), OCSP_SIGNATURE_OK);
    sk_X509_free(listed);
}
END_TEST

START_TEST(an_expired_delegate_stays_refused_when_others_are_listed)
{
    STACK_OF(X509) *listed = sk_X509_new_null();
    struct ocsp_trust trust = {.issuer = pki.ca->cert, .signers = listed};
    struct ocsp_signer signer;

    sk_X509_push(listed, pki.va->cert);
    pki_respond_good(pki.delegate_old, pki.leaf, pki.ca, &der);
    ck_assert_int_eq(
        verdict_at(&trust, PKI_NOW, &signer), OCSP_SIGNATURE_EXPIRED_SIGNER);
    sk_X509_free(listed);
}
END_TEST

/* ---- strength ------------------------------------------------------------------ */

static void
check_weak(const struct pki_cert *signer, const char *digest)
{
    struct pki_single single = {.leaf = pki.leaf, .issuer = pki.ca};
    struct ocsp_trust trust = {.issuer = pki.ca->cert};
    struct ocsp_signer who;

    pki_respond(&(struct pki_response){.signer = signer,
                    .singles = &single,
                    .single_count = 1,
                    .digest = digest},
        &der);
    ck_assert_int_eq(verdict_at(&trust, PKI_NOW, &who), OCSP_SIGNATURE_WEAK);
    trust.allow_weak = true;
    ck_assert_int_eq(verdict_at(&trust, PKI_NOW, &who), OCSP_SIGNATURE_OK);
}

START_TEST(weak_algorithms_are_refused_unless_the_issuer_is_legacy)
{
    struct pki_spec spec = {.cn = "Weak",
        .issuer = pki.ca,
        .is_ocsp_signer = true,
        .key = PKI_RSA1024};
    struct pki_cert *small = pki_issue(&spec), *sha1, *rsa;

    spec.key = PKI_EC;
    spec.digest = "SHA1";
    sha1 = pki_issue(&spec);
    spec.digest = NULL;
    spec.key = PKI_RSA2048;
    rsa = pki_issue(&spec);
    check_weak(pki.ca, "SHA1");
    check_weak(pki.delegate, "SHA1");
    check_weak(rsa, "MD5");
    check_weak(small, "SHA256");
    check_weak(sha1, "SHA256");
    pki_free(small);
    pki_free(sha1);
    pki_free(rsa);
}
END_TEST

START_TEST(strong_rsa_is_accepted)
{
    struct pki_cert *rsa = pki_issue(&(struct pki_spec){.cn = "RSA",
        .issuer = pki.ca,
        .is_ocsp_signer = true,
        .key = PKI_RSA2048});
    struct ocsp_trust trust = {.issuer = pki.ca->cert};
    struct ocsp_signer signer;

    pki_respond_good(rsa, pki.leaf, pki.ca, &der);
    ck_assert_int_eq(verdict_at(&trust, PKI_NOW, &signer), OCSP_SIGNATURE_OK);
    pki_free(rsa);
}
END_TEST

/* ---- parsing -------------------------------------------------------------------- */

static bool
parses(struct span bytes)
{
    struct ocsp_response *resp = NULL;
    struct err err = {0};
    bool ok = ocsp_response_parse(bytes, &resp, &err);

    ck_assert(ok == (resp != NULL) && ok == (err.text[0] == 0));
    ocsp_response_free(resp);
    return ok;
}

START_TEST(trailing_bytes_and_every_truncation_are_refused)
{
    pki_respond_good(pki.ca, pki.leaf, pki.ca, &der);
    for (size_t len = 0; len < der.len; len++)
        ck_assert(!parses(span_make(der.data, len)));
    ck_assert(parses(buf_span(&der)));
    ck_assert(buf_add_byte(&der, 0));
    ck_assert(!parses(buf_span(&der)));
}
END_TEST

/* A byte inside the OCTET STRING but behind the BasicOCSPResponse. */
START_TEST(trailing_bytes_inside_are_refused)
{
    static const unsigned at[] = {2, 9, 13, 28};

    pki_respond_good(pki.delegate, pki.leaf, pki.ca, &der);
    /* Four nested lengths, each in two bytes behind 0x82: one more in all. */
    for (size_t i = 0; i < 4; i++) {
        ck_assert_uint_eq(der.data[at[i] - 1], 0x82);
        der.data[at[i] + 1]++;
        ck_assert_uint_ne(der.data[at[i] + 1], 0);
    }
    ck_assert(buf_add_byte(&der, 0));
    ck_assert(!parses(buf_span(&der)));
}
END_TEST

START_TEST(a_response_above_the_limit_is_refused)
{
    unsigned char *big = calloc(1, OCSP_RESPONSE_MAX + 1);
    struct ocsp_response *resp = NULL;
    struct err err = {0};

    ck_assert(!ocsp_response_parse(
        span_make(big, OCSP_RESPONSE_MAX + 1), &resp, &err));
    ck_assert_int_eq(err.kind, ERR_LIMIT);
    ck_assert(
        !ocsp_response_parse(span_make(big, OCSP_RESPONSE_MAX), &resp, &err));
    ck_assert_int_eq(err.kind, ERR_FORMAT);
    free(big);
}
END_TEST

START_TEST(an_error_response_of_five_bytes_is_told_by_name)
{
    static const struct {
        int status;
        const char *word;
    } cases[] = {{1, "malformedRequest"}, {2, "internalError"}, {3, "tryLater"},
        {5, "sigRequired"}, {6, "unauthorized"}};
    struct ocsp_trust trust = {.issuer = pki.ca->cert};
    struct ocsp_signer signer;
    struct ocsp_single single;
    int64_t until;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ocsp_response *resp;

        pki_respond_outer(cases[i].status, &der);
        ck_assert_uint_eq(der.len, 5);
        resp = parsed();
        ck_assert_int_eq(ocsp_response_outer(resp), cases[i].status);
        ck_assert_str_eq(
            ocsp_outer_status_word(ocsp_response_outer(resp)), cases[i].word);
        ocsp_response_free(resp);
        ck_assert_int_eq(match(&single), OCSP_MATCH_NOT_BASIC);
        ck_assert_int_eq(
            verdict_at(&trust, PKI_NOW, &signer), OCSP_SIGNATURE_NOT_BASIC);
        ck_assert(!usable(&trust, &until));
    }
}
END_TEST

START_TEST(successful_without_content_is_not_basic)
{
    struct ocsp_single single;

    pki_respond_outer(0, &der);
    ck_assert_int_eq(match(&single), OCSP_MATCH_NOT_BASIC);
}
END_TEST

/* ---- matching -------------------------------------------------------------------- */

static enum ocsp_match
match_singles(
    const struct pki_single *singles, size_t count, struct ocsp_single *out)
{
    pki_respond(
        &(struct pki_response){
            .signer = pki.ca, .singles = singles, .single_count = count},
        &der);
    return match(out);
}

START_TEST(every_digest_of_the_certid_is_matched)
{
    static const struct {
        const char *digest;
        int nid;
    } cases[] = {
        {"SHA1", NID_sha1}, {"SHA256", NID_sha256}, {"SHA384", NID_sha384}};

    for (size_t i = 0; i < 3; i++) {
        struct pki_single single = {
            .leaf = pki.leaf, .issuer = pki.ca, .id_digest = cases[i].digest};
        struct ocsp_single out = {0};

        ck_assert_int_eq(match_singles(&single, 1, &out), OCSP_MATCH_ONE);
        ck_assert_int_eq(out.digest_nid, cases[i].nid);
        ck_assert_int_eq(out.status, OCSP_CERT_GOOD);
        ck_assert_int_eq(out.this_update, PKI_NOW - 3600);
        ck_assert_int_eq(out.produced_at, PKI_NOW - 3600);
        ck_assert_int_eq(out.next_update, PKI_NOW + 6 * PKI_DAY);
        ck_assert_int_eq(out.revoked_at, 0);
    }
}
END_TEST

START_TEST(an_unknown_digest_is_no_match)
{
    struct pki_single single = {
        .leaf = pki.leaf, .issuer = pki.ca, .id_digest = "SHA512"};
    struct ocsp_single out;

    ck_assert_int_eq(match_singles(&single, 1, &out), OCSP_MATCH_NONE);
}
END_TEST

START_TEST(another_certificate_is_no_match)
{
    struct pki_single singles[] = {
        {.leaf = pki.staple_leaf, .issuer = pki.ca},
        {.leaf = pki.sibling_leaf, .issuer = pki.sibling},
    };
    struct pki_cert *same_serial = pki_issue(&(struct pki_spec){.cn = "x",
        .issuer = pki.sibling,
        .serial = ASN1_INTEGER_get(X509_get0_serialNumber(pki.leaf->cert))});
    struct ocsp_single out;

    ck_assert_int_eq(match_singles(singles, 2, &out), OCSP_MATCH_NONE);
    singles[0] =
        (struct pki_single){.leaf = same_serial, .issuer = pki.sibling};
    ck_assert_int_eq(match_singles(singles, 2, &out), OCSP_MATCH_NONE);
    ck_assert_int_eq(match_singles(singles, 0, &out), OCSP_MATCH_NONE);
    singles[0] = (struct pki_single){.leaf = pki.leaf, .issuer = pki.ca};
    ck_assert_int_eq(match_singles(singles, 2, &out), OCSP_MATCH_ONE);
    pki_free(same_serial);
}
END_TEST

START_TEST(revocation_is_read_with_its_time_and_reason)
{
    struct pki_single single = {
        .leaf = pki.leaf, .issuer = pki.ca, .status = PKI_REVOKED, .reason = 1};
    struct ocsp_single out = {0};

    ck_assert_int_eq(match_singles(&single, 1, &out), OCSP_MATCH_ONE);
    ck_assert_int_eq(out.status, OCSP_CERT_REVOKED);
    ck_assert_int_eq(out.revoked_at, PKI_NOW - PKI_DAY);
    ck_assert_str_eq(ocsp_reason_word(out.revoked_reason), "keyCompromise");
    single.reason = -1;
    ck_assert_int_eq(match_singles(&single, 1, &out), OCSP_MATCH_ONE);
    ck_assert_int_eq(out.revoked_reason, -1);
    ck_assert_str_eq(ocsp_reason_word(-1), "unspecified");
    ck_assert_str_eq(ocsp_reason_word(99), "unspecified");
}
END_TEST

START_TEST(equal_answers_for_two_digests_are_one_match)
{
    struct pki_single singles[] = {
        {.leaf = pki.leaf, .issuer = pki.ca, .id_digest = "SHA256"},
        {.leaf = pki.leaf, .issuer = pki.ca},
    };
    struct ocsp_single out;

    ck_assert_int_eq(match_singles(singles, 2, &out), OCSP_MATCH_ONE);
}
END_TEST

START_TEST(conflicting_duplicates_are_refused_and_revoked_wins)
{
    struct pki_single singles[] = {
        {.leaf = pki.leaf, .issuer = pki.ca},
        {.leaf = pki.leaf, .issuer = pki.ca, .status = PKI_REVOKED},
        {.leaf = pki.leaf, .issuer = pki.ca, .id_digest = "SHA256"},
    };
    struct ocsp_trust trust = {.issuer = pki.ca->cert};
    struct ocsp_single out = {0};
    int64_t until;

    for (int i = 0; i < 3; i++) {
        struct pki_single first = singles[0];

        out.status = OCSP_CERT_GOOD;
        ck_assert_int_eq(match_singles(singles, 3, &out), OCSP_MATCH_CONFLICT);
        ck_assert_int_eq(out.status, OCSP_CERT_REVOKED);
        ck_assert(!usable(&trust, &until));
        singles[0] = singles[1];
        singles[1] = singles[2];
        singles[2] = first;
    }
}
END_TEST

/* ---- times ------------------------------------------------------------------------ */

START_TEST(only_the_one_form_of_time_is_taken)
{
    static const char *const bad[] = {"20200101000000.5Z",
        "20200101000000.500Z", "20200101000000+0000", "20990101000000+0000",
        "209901010000Z", "20990101000000", "20990101000000z", "2099010100000Z",
        "20991301000000Z", "20990230000000Z", "20990101240000Z",
        "20990101006000Z", "20990101000060Z", "2099010100000aZ",
        "-0990101000000Z", "990101000000Z", ""};
    struct ocsp_trust trust = {.issuer = pki.ca->cert};
    struct ocsp_single out;
    int64_t until;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct pki_single single = {
            .leaf = pki.leaf, .issuer = pki.ca, .next_update_text = bad[i]};

        ck_assert_msg(match_singles(&single, 1, &out) == OCSP_MATCH_BAD_TIME,
            "nextUpdate %s", bad[i]);
        ck_assert(!usable(&trust, &until));
        single.next_update_text = NULL;
        single.this_update_text = bad[i];
        ck_assert_msg(match_singles(&single, 1, &out) == OCSP_MATCH_BAD_TIME,
            "thisUpdate %s", bad[i]);
    }
}
END_TEST

START_TEST(a_badly_written_produced_at_is_refused)
{
    struct pki_single single = {.leaf = pki.leaf, .issuer = pki.ca};
    struct ocsp_single out;

    pki_respond(&(struct pki_response){.signer = pki.ca,
                    .singles = &single,
                    .single_count = 1,
                    .produced_at_text = "20260101000000.0Z"},
        &der);
    ck_assert_int_eq(match(&out), OCSP_MATCH_BAD_TIME);
}
END_TEST

static const struct {
    const char *sentence;
    int64_t this_update, next_update, produced_at;
    enum pki_status status;
    bool is_usable;
} time_cases[] = {
    {"in the middle of its life", 0, 0, 0, PKI_GOOD, true},
    {"revoked is an answer", 0, 0, 0, PKI_REVOKED, true},
    {"unknown is none", 0, 0, 0, PKI_UNKNOWN, false},
    {"without nextUpdate", 0, -1, 0, PKI_GOOD, false},
    {"one second to live", 0, PKI_NOW + 1, 0, PKI_GOOD, true},
    {"expired this second", 0, PKI_NOW, 0, PKI_GOOD, false},
    {"thisUpdate ahead by the skew", PKI_NOW + OCSP_SKEW_S, 0, 0, PKI_GOOD,
        true},
    {"thisUpdate ahead by more", PKI_NOW + OCSP_SKEW_S + 1, 0, 0, PKI_GOOD,
        false},
    {"producedAt ahead by more", 0, 0, PKI_NOW + OCSP_SKEW_S + 1, PKI_GOOD,
        false},
    {"nextUpdate not behind thisUpdate", PKI_NOW + 100, PKI_NOW + 100, 0,
        PKI_GOOD, false},
};

START_TEST(a_response_is_usable_in_its_time_only)
{
    struct pki_single single = {.leaf = pki.leaf,
        .issuer = pki.ca,
        .this_update = time_cases[_i].this_update,
        .next_update = time_cases[_i].next_update,
        .status = time_cases[_i].status};
    struct ocsp_trust trust = {.issuer = pki.ca->cert};
    int64_t until;

    pki_respond(&(struct pki_response){.signer = pki.ca,
                    .singles = &single,
                    .single_count = 1,
                    .produced_at = time_cases[_i].produced_at},
        &der);
    ck_assert_msg(usable(&trust, &until) == time_cases[_i].is_usable, "%s",
        time_cases[_i].sentence);
}
END_TEST

START_TEST(the_signers_end_shortens_the_life)
{
    struct pki_cert *brief = pki_issue(&(struct pki_spec){.cn = "Brief",
        .issuer = pki.ca,
        .is_ocsp_signer = true,
        .not_after = PKI_NOW + PKI_DAY});
    struct ocsp_trust trust = {.issuer = pki.ca->cert};
    int64_t until = 0;

    pki_respond_good(brief, pki.leaf, pki.ca, &der);
    ck_assert(usable(&trust, &until));
    ck_assert_int_eq(until, PKI_NOW + PKI_DAY);
    pki_respond_good(pki.delegate, pki.leaf, pki.ca, &der);
    ck_assert(usable(&trust, &until));
    ck_assert_int_eq(until, PKI_NOW + 6 * PKI_DAY);
    pki_free(brief);
}
END_TEST

static void
add_signature_tests(TCase *t)
{
    tcase_add_loop_test(
        t, only_the_issuer_and_its_delegates_may_sign, 0, SIGNER_CASES);
    tcase_add_test(t, any_byte_changed_is_refused);
    tcase_add_test(t, bytes_that_were_not_signed_are_a_bad_signature);
    tcase_add_test(t, the_signer_is_judged_at_the_given_time);
    tcase_add_test(t, two_cas_of_one_name_are_told_apart);
    tcase_add_test(t, a_listed_signer_is_accepted);
    tcase_add_test(t, a_delegate_left_out_is_accepted_when_listed);
    tcase_add_test(
        t, a_listed_signer_of_another_issuers_certificate_is_refused);
    tcase_add_test(t, an_expired_listed_signer_is_refused);
    tcase_add_test(t, an_expired_delegate_stays_refused_when_others_are_listed);
    tcase_add_test(t, weak_algorithms_are_refused_unless_the_issuer_is_legacy);
    tcase_add_test(t, strong_rsa_is_accepted);
}

static void
add_content_tests(TCase *t)
{
    tcase_add_test(t, trailing_bytes_and_every_truncation_are_refused);
    tcase_add_test(t, trailing_bytes_inside_are_refused);
    tcase_add_test(t, a_response_above_the_limit_is_refused);
    tcase_add_test(t, an_error_response_of_five_bytes_is_told_by_name);
    tcase_add_test(t, successful_without_content_is_not_basic);
    tcase_add_test(t, every_digest_of_the_certid_is_matched);
    tcase_add_test(t, an_unknown_digest_is_no_match);
    tcase_add_test(t, another_certificate_is_no_match);
    tcase_add_test(t, revocation_is_read_with_its_time_and_reason);
    tcase_add_test(t, equal_answers_for_two_digests_are_one_match);
    tcase_add_test(t, conflicting_duplicates_are_refused_and_revoked_wins);
    tcase_add_test(t, only_the_one_form_of_time_is_taken);
    tcase_add_test(t, a_badly_written_produced_at_is_refused);
    tcase_add_loop_test(t, a_response_is_usable_in_its_time_only, 0,
        sizeof(time_cases) / sizeof(time_cases[0]));
    tcase_add_test(t, the_signers_end_shortens_the_life);
}

int
main(void)
{
    Suite *suite = suite_create("ocsp_response");
    TCase *t = tcase_create("rules");
    SRunner *runner;
    int failed;

    tcase_add_unchecked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    add_signature_tests(t);
    add_content_tests(t);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
