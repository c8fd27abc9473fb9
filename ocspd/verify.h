/*
 * Signature, right of the responder to sign, status, freshness -> verdict: the
 * steps of contrib/doc/ocsp-rules.md in order, the first failure is named. Pure:
 * the time is an argument. Called before anything is published, and again at load.
 */
#ifndef OCSPD_VERIFY_H
#define OCSPD_VERIFY_H

#include "ocspd/verdict.h"
#include "shared/cert.h"
#include "shared/err.h"
#include "shared/ocsp_response.h"
#include "shared/span.h"

#include <stdbool.h>
#include <stdint.h>

struct verify_policy {
    bool allow_weak; /* legacy issuer */
    bool strict; /* refuse a delegate without ocsp-nocheck */
    int64_t max_age_s; /* for a missing nextUpdate; 0: refuse */
    int64_t not_after; /* of the leaf */
    int64_t stored_this_update; /* 0: nothing stored (anti-rollback) */
    bool stored_revoked; /* a later good needs a newer thisUpdate */
};

struct verify_result {
    enum verdict verdict;
    struct ocsp_single single; /* filled from step 6 on */
    struct ocsp_signer signer; /* filled from step 5 on */
    int64_t life_end; /* min(nextUpdate, signer, leaf) */
    bool warn_no_nocheck;
    bool warn_short_life; /* below 300 s: HAProxy will not serve it */
};

/*
 * One line per step, for `ocspd check`: called in order with the verdict of the
 * step (VERDICT_GOOD = passed). May be NULL.
 */
typedef void
verify_trace(void *ctx, const char *step, bool passed, const char *detail);

/*
 * The answer is result->verdict: GOOD or REVOKED when every step passed (also
 * UNCHANGED when thisUpdate equals the stored one and the status too). *err
 * gets the reason for every other verdict.
 */
void verify_response(struct span body, const struct cert_ids *ids,
    const struct ocsp_trust *trust, const struct verify_policy *policy,
    int64_t now, struct verify_result *result, verify_trace *trace, void *ctx,
    struct err *err);

#endif
