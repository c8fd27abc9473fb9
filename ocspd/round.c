/*
 * One round for one target: URLs, methods and digests in order.
 * Input: a target that is due. Output: an accepted response or a verdict.
 */
#include "ocspd/round.h"

#include "ocspd/request.h"
#include "ocspd/verify_clock.h"
#include "shared/buf.h"
#include "shared/now.h"

#include <openssl/objects.h>
#include <stdlib.h>
#include <string.h>

enum { ROUND_HTTP_TOO_MANY = 429 /* RFC 6585 4 */ };

struct round {
    struct target *target;
    struct fetch *fetch;
    struct fetch_job *job;
    struct round_watch watch;
    round_done *done;
    void *ctx;
    unsigned step; /* 0: url_good; then the others in order */
    /* the attempt under way */
    bool is_post;
    bool no_cache;
    bool is_other_digest;
    int digest_nid;
    /* what this URL was asked already */
    bool tried_post;
    bool tried_no_cache;
    bool tried_digest;
    bool get_failed;
    struct round_result at_url; /* this URL's word so far */
    struct round_result best; /* the most telling of the URLs done */
};

bool
round_is_accepted(enum verdict verdict)
{
    return verdict_class(verdict) == VERDICT_CLASS_ACCEPTED;
}

bool
round_says_revoked(const struct round_result *result)
{
    return result->verdict == VERDICT_CONFLICT &&
           result->checked.single.status == OCSP_CERT_REVOKED;
}

struct verify_policy
round_policy(const struct target *target)
{
    const struct target_state *state = &target->state;

    return (struct verify_policy){
        .allow_weak = target->rule.allow_weak,
        .strict = target->rule.strict,
        .max_age_s = target->rule.max_age_ms / 1000,
        .not_after = target->not_after,
        .stored_this_update = state->this_update,
        .stored_revoked =
            state->this_update != 0 && state->status == OCSP_CERT_REVOKED,
    };
}

/* url_good first, then 0, 1, 2 ... without it. */
static unsigned
url_index(const struct round *round)
{
    unsigned good = round->target->url_good;

    if (round->step == 0)
        return good < round->target->url_count ? good : 0;
    return round->step <= good ? round->step - 1 : round->step;
}

static const char *
base_url(const struct round *round)
{
    return round->target->urls[url_index(round)];
}

static void
begin_url(struct round *round)
{
    const struct target *target = round->target;

    round->is_post = target->use_post;
    round->digest_nid = target->use_sha256 ? NID_sha256 : NID_sha1;
    round->no_cache = false;
    round->is_other_digest = false;
    round->tried_post = round->is_post;
    round->tried_no_cache = false;
    round->tried_digest = false;
    round->get_failed = false;
    memset(&round->at_url, 0, sizeof(round->at_url));
}

static void
round_free(struct round *round)
{
    fetch_cancel(round->job);
    free(round);
}

void
round_cancel(struct round *round)
{
    if (round != NULL)
        round_free(round);
}

/* ---- asking ------------------------------------------------------------- */

static void on_answer(void *ctx, const struct fetch_result *answer);

static bool
send_request(
    struct round *round, const char *url, struct span der, struct err *err)
{
    const struct target *target = round->target;
    struct round_attempt attempt = {.url = url,
        .der = der,
        .is_post = round->is_post,
        .no_cache = round->no_cache,
        .digest_nid = round->digest_nid};
    struct fetch_request request = {.url = url,
        .body = round->is_post ? der : SPAN_EMPTY,
        .proxy = target->rule.proxy,
        .screen = target->rule.responder == NULL,
        .no_cache = round->no_cache};

    if (round->watch.on_attempt != NULL)
        round->watch.on_attempt(round->watch.ctx, &attempt);
    round->job = fetch_start(round->fetch, &request, on_answer, round);
    return round->job != NULL || err_memory(err);
}

static bool
ask(struct round *round, struct err *err)
{
    struct buf der, url;
    bool ok;

    buf_init(&der, REQUEST_DER_MAX);
    buf_init(&url, 4096);
    ok = request_write(&round->target->ids, round->digest_nid, &der, err);
    if (ok && !round->is_post &&
        !request_get_url(base_url(round), buf_span(&der), &url, NULL))
        round->is_post = round->tried_post = true; /* too long for GET */
    if (ok)
        ok = send_request(round,
            round->is_post ? base_url(round) : buf_cstr(&url), buf_span(&der),
            err);
    buf_fini(&der);
    buf_fini(&url);
    return ok;
}

/* ---- judging ------------------------------------------------------------ */

static void
judge(struct round *round, const struct fetch_result *answer,
    struct round_result *out)
{
    const struct target *target = round->target;
    struct ocsp_trust trust = {
        target->issuer->cert, target->issuer->signers, target->rule.allow_weak};
    struct verify_policy policy = round_policy(target);
    struct verify_clock clock = {now_wall(), answer->clock};

    out->verdict = answer->verdict;
    out->url = base_url(round);
    out->retry_after_s = answer->retry_after_s;
    out->max_age_s = answer->max_age_s;
    out->err = answer->err;
    if (answer->verdict != VERDICT_GOOD)
        return;
    verify_response(answer->body, &target->ids, &trust, &policy, clock.now,
        &out->checked, round->watch.on_step, round->watch.ctx, &out->err);
    out->verdict = out->checked.verdict;
    out->body = answer->body;
    (void)verify_blames_clock(&clock, out->verdict, answer->body, &target->ids,
        &trust, &policy, &out->err);
    if (out->verdict == VERDICT_NOT_OCSP && answer->is_html)
        (void)err_context(&out->err, "an HTML page (a captive portal?)");
}

/* Any bad GET may be the fault of a cache, a router or of "/" in the path; but
 * who asks us to wait is not asked again at once. */
static bool
wants_post(const struct round_result *result, const struct fetch_result *answer)
{
    static const enum verdict bad_gets[] = {VERDICT_HTTP_STATUS, VERDICT_EMPTY,
        VERDICT_TOO_LARGE, VERDICT_NOT_OCSP, VERDICT_TRAILING_BYTES,
        VERDICT_MALFORMED_REQUEST};

    if (answer->retry_after_s > 0 || answer->http_status == ROUND_HTTP_TOO_MANY)
        return false;
    for (size_t i = 0; i < sizeof(bad_gets) / sizeof(bad_gets[0]); i++)
        if (result->verdict == bad_gets[i])
            return true;
    return false;
}

static bool
is_unknown_digest(enum verdict verdict)
{
    return verdict == VERDICT_UNAUTHORIZED || verdict == VERDICT_WRONG_CERT;
}

/* One more request to the same URL? Sets the attempt up. */
static bool
choose_retry(struct round *round, const struct round_result *result,
    const struct fetch_result *answer)
{
    round->is_other_digest = false;
    if (is_unknown_digest(result->verdict) && !round->tried_digest) {
        round->tried_digest = round->is_other_digest = true;
        round->digest_nid =
            round->digest_nid == NID_sha1 ? NID_sha256 : NID_sha1;
        return true;
    }
    if (result->verdict == VERDICT_EXPIRED && !round->tried_no_cache) {
        round->tried_no_cache = round->no_cache = true;
        return true;
    }
    if (!round->tried_post && wants_post(result, answer)) {
        round->tried_post = round->is_post = round->get_failed = true;
        return true;
    }
    return false;
}

/* verdict_class is in the order of what it tells an operator; nothing tells more
 * than a revocation. */
static bool
tells_more(const struct round_result *a, const struct round_result *b)
{
    enum verdict_class class_a = verdict_class(a->verdict);
    enum verdict_class class_b = verdict_class(b->verdict);

    if (round_says_revoked(a) != round_says_revoked(b))
        return round_says_revoked(a);
    return class_a > class_b;
}

/*
 * The last word of a URL counts, but for the other digest's failure: the first
 * answer was to the usual question.
 */
static void
remember_failure(struct round *round, const struct round_result *result,
    bool was_other_digest)
{
    if (was_other_digest && !tells_more(result, &round->at_url))
        return;
    round->at_url = *result;
    round->at_url.body = SPAN_EMPTY;
}

static void
leave_url(struct round *round)
{
    if (tells_more(&round->at_url, &round->best))
        round->best = round->at_url;
}

static void
finish(struct round *round, const struct round_result *result)
{
    round->done(round->ctx, result);
    round_free(round);
}

static void
learn(struct round *round)
{
    struct target *target = round->target;

    target->url_good = url_index(round);
    if (round->get_failed)
        target->use_post = true;
    target->use_sha256 = round->digest_nid == NID_sha256;
}

static void
fail(struct round *round)
{
    round->target->use_post = false; /* the next round tries GET again */
    if (round->best.verdict == VERDICT_NONE)
        leave_url(round); /* memory went in the middle of the URL */
    finish(round, &round->best);
}

static void
on_answer(void *ctx, const struct fetch_result *answer)
{
    struct round *round = ctx;
    struct round_result result = {.verdict = VERDICT_NONE};
    bool was_other_digest = round->is_other_digest;
    struct err err;
    bool again;

    round->job = NULL;
    if (round->watch.on_answer != NULL)
        round->watch.on_answer(round->watch.ctx, answer);
    judge(round, answer, &result);
    if (round_is_accepted(result.verdict)) {
        learn(round);
        finish(round, &result);
        return;
    }
    remember_failure(round, &result, was_other_digest);
    again = choose_retry(round, &result, answer);
    if (!again) {
        leave_url(round);
        again = ++round->step < round->target->url_count;
        if (again)
            begin_url(round);
    }
    if (!again || !ask(round, &err))
        fail(round);
}

struct round *
round_start(struct fetch *fetch, struct target *target,
    const struct round_watch *watch, round_done *done, void *ctx,
    struct err *err)
{
    struct round *round = calloc(1, sizeof(*round));

    if (round == NULL)
        return err_memory(err), NULL;
    round->fetch = fetch;
    round->target = target;
    round->done = done;
    round->ctx = ctx;
    if (watch != NULL)
        round->watch = *watch;
    begin_url(round);
    if (!ask(round, err)) {
        round_free(round);
        return NULL;
    }
    return round;
}
