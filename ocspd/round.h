/*
 * One round for one target: its URLs in order (the one that answered last
 * comes first), GET then POST, the other CertID digest where the first is not
 * known, past a cache that answers stale; until a response is accepted or
 * nothing is left (contrib/doc/ocsp-rules.md 2). Carries request, fetch and verify.
 */
#ifndef OCSPD_ROUND_H
#define OCSPD_ROUND_H

#include "ocspd/fetch.h"
#include "ocspd/target.h"
#include "ocspd/verdict.h"
#include "ocspd/verify.h"
#include "shared/err.h"
#include "shared/span.h"

#include <stdbool.h>
#include <stdint.h>

/* One request as it goes out. */
struct round_attempt {
    const char *url; /* whole GET URL, or the base for POST */
    struct span der; /* the OCSPRequest */
    bool is_post;
    bool no_cache;
    int digest_nid; /* of the CertID */
};

/* What `ocspd check` listens to; every function may be NULL. */
struct round_watch {
    void (*on_attempt)(void *ctx, const struct round_attempt *attempt);
    void (*on_answer)(void *ctx, const struct fetch_result *answer);
    verify_trace *on_step;
    void *ctx;
};

/* The most telling failure, or the accepted response. Borrowed till the
 * callback returns. */
struct round_result {
    enum verdict verdict;
    struct span body; /* accepted: the exact bytes */
    struct verify_result checked; /* accepted, or as far as verify came */
    const char *url; /* base URL it is from */
    int64_t retry_after_s; /* 0: not asked for */
    int64_t max_age_s; /* 0: not given */
    struct err err; /* why, unless accepted */
};

typedef void round_done(void *ctx, const struct round_result *result);

struct round;

/*
 * For a target in mode TARGET_OCSP, which must outlive the round or its
 * cancelling. What was learnt (which URL, method, digest) is written into the
 * target. `watch` is copied and may be NULL. The callback comes once, later.
 */
struct round *round_start(struct fetch *fetch, struct target *target,
    const struct round_watch *watch, round_done *done, void *ctx,
    struct err *err);
void round_cancel(struct round *round);

/* Refused, but rightly signed, and one of its answers is "revoked". */
bool round_says_revoked(const struct round_result *result);
/* Is it one of the three verdicts of an accepted response? */
bool round_is_accepted(enum verdict verdict);
/* How this target's responses are to be checked. */
struct verify_policy round_policy(const struct target *target);

#endif
