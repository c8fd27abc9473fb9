/*
 * The steps of contrib/doc/ocsp-rules.md between a body and a verdict; the first that
 * fails is named. Input: bytes from a responder or the spool, and what is known
 * of the certificate. Output: struct verify_result; nothing else is touched.
 */
#include "ocspd/verify.h"

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/ocsp.h>
#include <stdio.h>
#include <string.h>

enum {
    NO_NEXT_UPDATE_MAX_S = 14 * 86400, /* thisUpdate may be no older than that
                                          without nextUpdate */
    LIFE_MIN_S = 300 /* less than min(300 s, W/4): not worth publishing */
};

/* One response on its way through the steps. */
struct run {
    struct span body;
    const struct cert_ids *ids;
    const struct ocsp_trust *trust;
    const struct verify_policy *policy;
    int64_t now;
    struct ocsp_response *resp; /* owned; from step_parse on */
    struct verify_result *result;
    struct err *err;
    enum verdict signer; /* of the signer, found by step_signature */
    char detail[160]; /* of a step that passed */
};

/* A step answers VERDICT_GOOD, or fills err and names what is wrong. */
typedef enum verdict step(struct run *run);

static enum verdict
refuse(
    struct run *run, enum verdict verdict, enum err_kind kind, const char *text)
{
    (void)err_set(run->err, kind, "%s", text);
    return verdict;
}

/* ---- parse, status ------------------------------------------------------- */

/* Is the body a whole response with something behind it? */
static bool
has_trailing_bytes(struct span body)
{
    const unsigned char *p = body.data;
    struct ocsp_response *resp = NULL;
    long len = 0;
    int tag = 0, class = 0;
    size_t whole = 0;
    bool found = false;

    if (ASN1_get_object(&p, &len, &tag, &class, (long)body.len) !=
            V_ASN1_CONSTRUCTED ||
        len < 0)
        return false;
    whole = (size_t)(p - body.data) + (size_t)len;
    found = whole < body.len &&
            ocsp_response_parse(span_sub(body, 0, whole), &resp, NULL);
    ocsp_response_free(resp);
    return found;
}

static enum verdict
step_parse(struct run *run)
{
    if (run->body.len == 0)
        return refuse(run, VERDICT_EMPTY, ERR_FORMAT, "empty body");
    if (run->body.len > OCSP_RESPONSE_MAX)
        return refuse(
            run, VERDICT_TOO_LARGE, ERR_LIMIT, "body larger than 64 KiB");
    if (!ocsp_response_parse(run->body, &run->resp, run->err)) {
        bool trailing = has_trailing_bytes(run->body);

        ERR_clear_error(); /* ASN1_get_object() leaves its own there */
        return trailing ? VERDICT_TRAILING_BYTES : VERDICT_NOT_OCSP;
    }
    (void)snprintf(
        run->detail, sizeof(run->detail), "%zu bytes of DER", run->body.len);
    return VERDICT_GOOD;
}

static enum verdict
outer_verdict(long status)
{
    switch (status) {
    case OCSP_OUTER_SUCCESSFUL:
        return VERDICT_GOOD;
    case OCSP_OUTER_MALFORMED_REQUEST:
        return VERDICT_MALFORMED_REQUEST;
    case OCSP_OUTER_INTERNAL_ERROR:
        return VERDICT_INTERNAL_ERROR;
    case OCSP_OUTER_TRY_LATER:
        return VERDICT_TRY_LATER;
    case OCSP_OUTER_SIG_REQUIRED:
        return VERDICT_SIG_REQUIRED;
    case OCSP_OUTER_UNAUTHORIZED:
        return VERDICT_UNAUTHORIZED;
    default:
        return VERDICT_NOT_OCSP;
    }
}

static enum verdict
step_status(struct run *run)
{
    long status = ocsp_response_outer(run->resp);
    enum verdict verdict = outer_verdict(status);

    (void)snprintf(
        run->detail, sizeof(run->detail), "%s", ocsp_outer_status_word(status));
    if (verdict != VERDICT_GOOD)
        (void)err_set(run->err, ERR_REJECTED, "the responder answers %s (%ld)",
            ocsp_outer_status_word(status), status);
    return verdict;
}

/* ---- signature, signer --------------------------------------------------- */

static enum verdict
signature_verdict(enum ocsp_signature signature)
{
    switch (signature) {
    case OCSP_SIGNATURE_OK:
        return VERDICT_GOOD;
    case OCSP_SIGNATURE_NOT_BASIC:
        return VERDICT_NOT_OCSP;
    case OCSP_SIGNATURE_WEAK:
        return VERDICT_WEAK_SIGNATURE;
    case OCSP_SIGNATURE_BAD:
        return VERDICT_BAD_SIGNATURE;
    case OCSP_SIGNATURE_NO_SIGNER_CERT:
        return VERDICT_NO_SIGNER_CERT;
    case OCSP_SIGNATURE_NOT_AUTHORISED:
        return VERDICT_NOT_AUTHORISED;
    case OCSP_SIGNATURE_EXPIRED_SIGNER:
        return VERDICT_SIGNER_EXPIRED;
    }
    return VERDICT_BAD_SIGNATURE;
}

static const char *
signer_words(enum ocsp_signer_kind kind)
{
    switch (kind) {
    case OCSP_SIGNER_ISSUER:
        return "the issuer";
    case OCSP_SIGNER_DELEGATE:
        return "a delegate of the issuer";
    case OCSP_SIGNER_LISTED:
        return "a signer listed by the operator";
    }
    return "unknown";
}

/* A verdict about the signer rather than the bytes is step_signer's to give. */
static bool
is_about_signer(enum verdict verdict)
{
    return verdict == VERDICT_NOT_AUTHORISED ||
           verdict == VERDICT_SIGNER_EXPIRED;
}

/* One call answers for both steps; its words stay in run->err meanwhile. */
static enum verdict
step_signature(struct run *run)
{
    struct ocsp_trust trust = *run->trust;
    enum verdict verdict;

    trust.allow_weak = trust.allow_weak || run->policy->allow_weak;
    verdict = signature_verdict(ocsp_response_check_signature(
        run->resp, &trust, run->now, &run->result->signer, run->err));
    run->signer = verdict;
    (void)snprintf(run->detail, sizeof(run->detail), "the bytes are as signed");
    return is_about_signer(verdict) ? VERDICT_GOOD : verdict;
}

/* No SingleResponse inside? */
static bool
answers_nothing(struct span body)
{
    const unsigned char *p = body.data;
    OCSP_RESPONSE *resp = d2i_OCSP_RESPONSE(NULL, &p, (long)body.len);
    OCSP_BASICRESP *basic =
        resp == NULL ? NULL : OCSP_response_get1_basic(resp);
    bool is_empty = basic != NULL && OCSP_resp_count(basic) == 0;

    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(resp);
    ERR_clear_error();
    return is_empty;
}

/* OpenSSL grants a signer the right to sign by what is answered: of an empty
 * response it refuses every signer, and that is not the signer's fault. */
static enum verdict
step_signer(struct run *run)
{
    const struct ocsp_signer *signer = &run->result->signer;

    if (run->signer != VERDICT_GOOD && answers_nothing(run->body))
        return refuse(run, VERDICT_WRONG_CERT, ERR_REJECTED,
            "the response answers for no certificate at all");
    if (run->signer != VERDICT_GOOD)
        return run->signer;
    if (!signer->has_nocheck && run->policy->strict)
        return refuse(run, VERDICT_NO_NOCHECK, ERR_REJECTED,
            "the signer's certificate lacks ocsp-nocheck (strict)");
    run->result->warn_no_nocheck = !signer->has_nocheck;
    (void)snprintf(run->detail, sizeof(run->detail), "%s%s",
        signer_words(signer->kind),
        signer->has_nocheck ? "" : ", without ocsp-nocheck");
    return VERDICT_GOOD;
}

/* ---- certificate --------------------------------------------------------- */

static enum verdict
match_verdict(enum ocsp_match match)
{
    switch (match) {
    case OCSP_MATCH_ONE:
        return VERDICT_GOOD;
    case OCSP_MATCH_NONE:
        return VERDICT_WRONG_CERT;
    case OCSP_MATCH_CONFLICT:
        return VERDICT_CONFLICT;
    case OCSP_MATCH_BAD_TIME:
        return VERDICT_BAD_TIME;
    case OCSP_MATCH_NOT_BASIC:
        return VERDICT_NOT_OCSP;
    }
    return VERDICT_WRONG_CERT;
}

static enum verdict
step_certificate(struct run *run)
{
    struct ocsp_single *single = &run->result->single;
    enum verdict verdict = match_verdict(
        ocsp_response_match(run->resp, run->ids, single, run->err));

    if (verdict == VERDICT_GOOD)
        (void)snprintf(run->detail, sizeof(run->detail), "%s by its %s CertID",
            ocsp_cert_status_word(single->status),
            OBJ_nid2sn(single->digest_nid));
    return verdict;
}

/* ---- times, life --------------------------------------------------------- */

static int64_t
min_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* RFC 6960 4.2.2.1 lets nextUpdate be absent; a response that is good for ever
 * could be replayed for ever. max_age counts from thisUpdate. */
static int64_t
max_age(const struct verify_policy *policy)
{
    return min_of(policy->max_age_s, NO_NEXT_UPDATE_MAX_S);
}

static enum verdict
check_no_next_update(struct run *run)
{
    if (run->policy->max_age_s <= 0)
        return refuse(run, VERDICT_NO_NEXT_UPDATE, ERR_REJECTED,
            "no nextUpdate, and max_age is off");
    if (run->result->single.this_update <= run->now - max_age(run->policy))
        return refuse(run, VERDICT_TOO_OLD, ERR_REJECTED,
            "thisUpdate is older than max_age allows");
    return VERDICT_GOOD;
}

/* The skew is granted to thisUpdate and producedAt alone: clients grant none
 * behind nextUpdate. */
static enum verdict
step_times(struct run *run)
{
    const struct ocsp_single *single = &run->result->single;

    if (single->this_update > run->now + OCSP_SKEW_S)
        return refuse(run, VERDICT_NOT_YET_VALID, ERR_REJECTED,
            "thisUpdate is in the future");
    if (single->produced_at > run->now + OCSP_SKEW_S)
        return refuse(run, VERDICT_NOT_YET_VALID, ERR_REJECTED,
            "producedAt is in the future");
    (void)snprintf(run->detail, sizeof(run->detail), "%lld s old",
        (long long)(run->now - single->this_update));
    if (single->next_update == 0)
        return check_no_next_update(run);
    if (single->next_update <= single->this_update)
        return refuse(run, VERDICT_BAD_TIME, ERR_REJECTED,
            "nextUpdate is not behind thisUpdate");
    if (single->next_update <= run->now)
        return refuse(
            run, VERDICT_EXPIRED, ERR_REJECTED, "nextUpdate has passed");
    return VERDICT_GOOD;
}

static int64_t
end_of_window(const struct run *run)
{
    const struct ocsp_single *single = &run->result->single;

    return single->next_update != 0
               ? single->next_update
               : single->this_update + max_age(run->policy);
}

static int64_t
life_end(const struct run *run)
{
    int64_t end = min_of(end_of_window(run), run->result->signer.not_after);

    return run->policy->not_after != 0 ? min_of(end, run->policy->not_after)
                                       : end;
}

static enum verdict
step_life(struct run *run)
{
    struct verify_result *result = run->result;
    int64_t window = end_of_window(run) - result->single.this_update;
    int64_t left = 0;

    result->life_end = life_end(run);
    left = result->life_end - run->now;
    if (left <= 0 || left < min_of(LIFE_MIN_S, window / 4)) {
        (void)err_set(run->err, ERR_REJECTED,
            "only %lld s are left of the response, its signer or the "
            "certificate",
            (long long)left);
        return VERDICT_LIFE_TOO_SHORT;
    }
    result->warn_short_life = left < LIFE_MIN_S;
    (void)snprintf(run->detail, sizeof(run->detail), "%lld s left%s",
        (long long)left,
        result->life_end < end_of_window(run)
            ? ", cut by the end of signer or certificate"
            : "");
    return VERDICT_GOOD;
}

/* ---- rollback, answer ---------------------------------------------------- */

/* CDN nodes regress, and a revocation must not be undone by replaying an older
 * or equally old "good". */
static enum verdict
step_rollback(struct run *run)
{
    const struct ocsp_single *single = &run->result->single;
    int64_t stored = run->policy->stored_this_update;

    (void)snprintf(run->detail, sizeof(run->detail), "%s",
        stored == 0                     ? "nothing held yet"
        : single->this_update == stored ? "the one that is held"
                                        : "newer than the one that is held");
    if (stored == 0 || single->this_update > stored)
        return VERDICT_GOOD;
    if (single->this_update < stored)
        return refuse(run, VERDICT_OLDER_THAN_STORED, ERR_REJECTED,
            "older than the response that is held");
    if (run->policy->stored_revoked && single->status == OCSP_CERT_GOOD)
        return refuse(run, VERDICT_OLDER_THAN_STORED, ERR_REJECTED,
            "good, but no newer than the response that said revoked");
    return VERDICT_GOOD;
}

static enum verdict
step_answer(struct run *run)
{
    const struct ocsp_single *single = &run->result->single;

    (void)snprintf(run->detail, sizeof(run->detail), "%s",
        ocsp_cert_status_word(single->status));
    if (single->status == OCSP_CERT_UNKNOWN)
        return refuse(run, VERDICT_UNKNOWN, ERR_REJECTED,
            "the responder does not know this certificate");
    return VERDICT_GOOD;
}

/* ---- the walk ------------------------------------------------------------ */

static const struct {
    const char *name;
    step *check;
} steps[] = {
    {"parse", step_parse},
    {"status", step_status},
    {"signature", step_signature},
    {"signer", step_signer},
    {"certificate", step_certificate},
    {"times", step_times},
    {"life", step_life},
    {"rollback", step_rollback},
    {"answer", step_answer},
};

/* What an accepted response means for whoever holds one already. */
static enum verdict
accepted(const struct run *run)
{
    const struct verify_policy *policy = run->policy;
    const struct ocsp_single *single = &run->result->single;
    bool is_revoked = single->status == OCSP_CERT_REVOKED;

    if (policy->stored_this_update != 0 &&
        single->this_update == policy->stored_this_update &&
        is_revoked == policy->stored_revoked)
        return VERDICT_UNCHANGED;
    return is_revoked ? VERDICT_REVOKED : VERDICT_GOOD;
}

static enum verdict
walk(struct run *run, verify_trace *trace, void *ctx)
{
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        enum verdict verdict = VERDICT_NONE;

        run->detail[0] = '\0';
        verdict = steps[i].check(run);
        if (trace != NULL)
            trace(ctx, steps[i].name, verdict == VERDICT_GOOD,
                verdict == VERDICT_GOOD ? run->detail : run->err->text);
        if (verdict != VERDICT_GOOD)
            return verdict;
    }
    return accepted(run);
}

void
verify_response(struct span body, const struct cert_ids *ids,
    const struct ocsp_trust *trust, const struct verify_policy *policy,
    int64_t now, struct verify_result *result, verify_trace *trace, void *ctx,
    struct err *err)
{
    struct err own = {0}; /* the caller's may be NULL; the trace needs one */
    struct run run = {
        .body = body,
        .ids = ids,
        .trust = trust,
        .policy = policy,
        .now = now,
        .result = result,
        .err = &own,
    };

    *result = (struct verify_result){0};
    result->verdict = walk(&run, trace, ctx);
    if (err != NULL && verdict_class(result->verdict) != VERDICT_CLASS_ACCEPTED)
        *err = own;
    ocsp_response_free(run.resp);
}
