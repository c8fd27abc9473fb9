/*
 * A target under care: what responses and the spool say of it.
 * Input: results of rounds, the spool at start. Output: what to write, logs.
 */
#include "ocspd/care.h"

#include "ocspd/care_log.h"
#include "shared/log.h"

#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

struct care *
care_new(struct target *target)
{
    struct care *care = calloc(1, sizeof(*care));

    if (care == NULL) {
        target_free(target);
        return NULL;
    }
    care->target = target;
    buf_init(&care->pending_der, OCSP_RESPONSE_MAX);
    return care;
}

void
care_free(struct care *care)
{
    if (care == NULL)
        return;
    round_cancel(care->round);
    target_free(care->target);
    buf_fini(&care->pending_der);
    free(care->source);
    free(care->last_error);
    free(care);
}

static void
replace_text(char **to, const char *text)
{
    char *copy = text == NULL ? NULL : strdup(text);

    free(*to);
    *to = copy;
}

/* ---- at start ----------------------------------------------------------- */

static void
forget(struct care *care)
{
    memset(&care->target->state, 0, sizeof(care->target->state));
    care->spooled_this_update = 0;
    care->spooled_life_end = 0;
    replace_text(&care->source, NULL);
    replace_text(&care->last_error, NULL);
}

/* "good" after "revoked" needs a newer response, also after a restart. */
static void
recall(struct care *care, const struct spool_meta *meta)
{
    struct target_state *state = &care->target->state;

    replace_text(&care->source, meta->source);
    replace_text(&care->last_error, meta->last_error);
    state->last_attempt = meta->last_attempt;
    state->fetched_at = meta->fetched_at;
    state->replaced_at = meta->replaced_at;
    /* after failures a restart is a wish to try at once */
    state->next_attempt = meta->failures > 0 ? 0 : meta->next_attempt;
    state->last_verdict = meta->last_error_kind == NULL
                              ? VERDICT_NONE
                              : verdict_parse(meta->last_error_kind);
    if (meta->status == NULL || strcmp(meta->status, "revoked") != 0)
        return;
    state->status = OCSP_CERT_REVOKED;
    state->this_update = meta->this_update;
    state->next_update = meta->next_update;
    state->life_end = meta->life_end;
    state->revoked_at = meta->revoked_at;
    state->revoked_reason = meta->revoked_reason;
}

static void
recall_url(struct care *care)
{
    struct target *target = care->target;

    for (unsigned i = 0; care->source != NULL && i < target->url_count; i++)
        if (strcmp(target->urls[i], care->source) == 0)
            target->url_good = i;
}

static void
take_single(struct target_state *state, const struct verify_result *checked)
{
    state->status = checked->single.status;
    state->this_update = checked->single.this_update;
    state->next_update = checked->single.next_update;
    state->revoked_at = checked->single.revoked_at;
    state->revoked_reason = checked->single.revoked_reason;
    state->life_end = checked->life_end;
}

static void
refused(const struct care *care, const char *verdict, const char *why)
{
    log_warn("staple in the spool refused",
        LOG_S("target", care->target->label), LOG_S("fp", care->target->fp),
        LOG_S("verdict", verdict), LOG_S("error", why));
}

/* A response near its end is no news worth taking, but one that is there
 * serves until its removal. A revocation that is remembered outlives bytes
 * that still say good. */
static bool
may_stay(const struct care *care, const struct verify_result *checked)
{
    const struct target_state *state = &care->target->state;
    int on_revoked = care->target->rule.on_revoked;

    if (!round_is_accepted(checked->verdict) &&
        (checked->verdict != VERDICT_LIFE_TOO_SHORT ||
            checked->single.status == OCSP_CERT_UNKNOWN))
        return false;
    if (checked->single.status == OCSP_CERT_REVOKED)
        return on_revoked == ON_REVOKED_PUBLISH;
    return state->status != OCSP_CERT_REVOKED ||
           state->this_update < checked->single.this_update ||
           on_revoked == ON_REVOKED_KEEP;
}

/* False: the bytes may not be stapled. */
static bool
load_verified(struct care *care, struct span der, int64_t now)
{
    struct target *target = care->target;
    struct ocsp_trust trust = {
        target->issuer->cert, target->issuer->signers, target->rule.allow_weak};
    struct verify_policy policy = round_policy(target);
    struct verify_result checked = {.verdict = VERDICT_NONE};
    struct err err = {0};

    policy.stored_this_update = 0;
    policy.stored_revoked = false;
    verify_response(
        der, &target->ids, &trust, &policy, now, &checked, NULL, NULL, &err);
    if (!may_stay(care, &checked)) {
        refused(care, verdict_word(checked.verdict), err.text);
        return false;
    }
    care->spooled_this_update = checked.single.this_update;
    care->spooled_life_end = checked.life_end;
    if (target->state.this_update < checked.single.this_update)
        take_single(&target->state, &checked);
    return true;
}

/* Without the issuer the side file's word must do, when it is about these
 * bytes. */
static bool
load_unverified(struct care *care, struct span der,
    const struct spool_meta *meta, int64_t now)
{
    struct target_state *state = &care->target->state;
    char digest[65];

    spool_digest(der, digest);
    if (meta->der_sha256 == NULL || strcmp(meta->der_sha256, digest) != 0 ||
        meta->life_end <= now) {
        refused(care, target_mode_word(care->target->mode),
            "it cannot be verified, and no side file speaks for it");
        return false;
    }
    care->spooled_this_update = meta->this_update;
    care->spooled_life_end = meta->life_end;
    if (state->this_update != 0)
        return true; /* a revocation that is remembered */
    state->this_update = meta->this_update;
    state->next_update = meta->next_update;
    state->life_end = meta->life_end;
    return true;
}

enum care_write
care_load(struct care *care, const struct spool *spool, int64_t now)
{
    struct target_state *state = &care->target->state;
    struct spool_meta meta = {0};
    enum care_write answer = CARE_WRITE_META;
    struct buf der;
    struct err err = {0};
    bool ok;

    forget(care);
    buf_init(&der, OCSP_RESPONSE_MAX);
    if (spool_load_meta(spool, care->target->fp, &meta, NULL))
        recall(care, &meta);
    recall_url(care);
    if (spool_load(spool, care->target->fp, &der, &err)) {
        ok = care->target->issuer != NULL
                 ? load_verified(care, buf_span(&der), now)
                 : load_unverified(care, buf_span(&der), &meta, now);
        state->has_staple = ok;
        if (ok)
            spool_digest(buf_span(&der), state->der_sha256);
        else
            answer = CARE_WRITE_REMOVE;
    } else if (err.kind == ERR_LIMIT) { /* no response, whoever wrote it */
        refused(care, verdict_word(VERDICT_TOO_LARGE), err.text);
        answer = CARE_WRITE_REMOVE;
    }
    spool_meta_fini(&meta);
    buf_fini(&der);
    return answer;
}

/* ---- found again -------------------------------------------------------- */

static bool
same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool
same_urls(const struct target *a, const struct target *b)
{
    if (a->url_count != b->url_count)
        return false;
    for (unsigned i = 0; i < a->url_count; i++)
        if (strcmp(a->urls[i], b->urls[i]) != 0)
            return false;
    return true;
}

static bool
same_signers(const STACK_OF(X509) * a, const STACK_OF(X509) * b)
{
    int count = a == NULL ? 0 : sk_X509_num(a);

    if (count != (b == NULL ? 0 : sk_X509_num(b)))
        return false;
    for (int i = 0; i < count; i++)
        if (X509_cmp(sk_X509_value(a, i), sk_X509_value(b, i)) != 0)
            return false;
    return true;
}

static bool
same_issuer(const struct issuer *a, const struct issuer *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    return X509_cmp(a->cert, b->cert) == 0 &&
           same_signers(a->signers, b->signers);
}

static bool
same_rule(const struct ocspd_rule *a, const struct ocspd_rule *b)
{
    return same_text(a->proxy, b->proxy) && a->on_revoked == b->on_revoked &&
           a->allow_weak == b->allow_weak && a->strict == b->strict &&
           a->max_age_ms == b->max_age_ms;
}

#define SWAP(type, a, b)                                                       \
    do {                                                                       \
        type swapped = (a);                                                    \
        (a) = (b);                                                             \
        (b) = swapped;                                                         \
    } while (0)

bool
care_adopt(struct care *care, struct target *found)
{
    struct target *target = care->target;
    bool is_same = target->mode == found->mode && same_urls(target, found) &&
                   same_issuer(target->issuer, found->issuer) &&
                   same_rule(&target->rule, &found->rule);

    if (!is_same) {
        round_cancel(care->round);
        care->round = NULL;
        target->is_busy = false;
        target->url_good = 0;
    }
    SWAP(char *, target->label, found->label);
    SWAP(char *, target->path, found->path);
    SWAP(struct issuer *, target->issuer, found->issuer);
    if (!is_same) { /* a round under way borrows them */
        SWAP(char **, target->urls, found->urls);
        SWAP(unsigned, target->url_count, found->url_count);
    }
    target->mode = found->mode;
    target->not_before = found->not_before;
    if (target->first_seen == 0)
        target->first_seen = found->first_seen;
    target->jitter = found->jitter;
    target->ids = found->ids;
    target->rule = found->rule;
    target_free(found);
    return !is_same;
}

/* ---- after a round ------------------------------------------------------ */

/* A CA that signs the same word anew may move nextUpdate, or its signer's end:
 * of two with one thisUpdate the one that lives longer serves. */
static bool
is_held(const struct care *care, const struct round_result *result)
{
    bool is_pending = care->pending == CARE_WRITE_STORE;
    int64_t this_update =
        is_pending ? care->pending_this_update : care->spooled_this_update;
    int64_t end = is_pending ? care->pending_life_end : care->spooled_life_end;

    return result->verdict == VERDICT_UNCHANGED &&
           (care->target->state.has_staple || is_pending) &&
           result->checked.single.this_update == this_update &&
           result->checked.life_end <= end;
}

static enum care_write
accept_good(struct care *care, const struct round_result *result)
{
    care->revoked_logged_at = 0;
    if (is_held(care, result))
        return CARE_WRITE_META;
    take_single(&care->target->state, &result->checked);
    return CARE_WRITE_STORE;
}

static enum care_write
accept_revoked(
    struct care *care, const struct round_result *result, int64_t now)
{
    struct target_state *state = &care->target->state;
    int64_t old_end = care->spooled_life_end;
    bool has_old = state->has_staple || care->pending == CARE_WRITE_STORE;
    bool was_held = is_held(care, result);

    if (!was_held)
        take_single(state, &result->checked);
    care_log_revoked(care, now);
    switch ((enum on_revoked)care->target->rule.on_revoked) {
    case ON_REVOKED_PUBLISH:
        return was_held ? CARE_WRITE_META : CARE_WRITE_STORE;
    case ON_REVOKED_KEEP:
        if (state->has_staple)
            state->life_end = old_end;
        return CARE_WRITE_META;
    case ON_REVOKED_WITHDRAW:
        break;
    }
    return has_old ? CARE_WRITE_REMOVE : CARE_WRITE_META;
}

static void
note_success(struct care *care, const struct round_result *result, int64_t now)
{
    struct target_state *state = &care->target->state;

    if (result->verdict != VERDICT_UNCHANGED || state->fetched_at == 0)
        state->fetched_at = now;
    state->last_attempt = care->asked_at;
    state->last_verdict = result->verdict;
    state->failures = 0;
    state->retry_after = 0;
    state->max_age_until = result->max_age_s > 0 ? now + result->max_age_s : 0;
    replace_text(&care->source, result->url);
    replace_text(&care->last_error, NULL);
}

enum care_write
care_accept(struct care *care, const struct round_result *result,
    const struct schedule_limits *limits, int64_t now)
{
    struct target_state *state = &care->target->state;
    enum care_write answer;

    care_log_recovery(care, now);
    note_success(care, result, now);
    answer = result->checked.single.status == OCSP_CERT_REVOKED
                 ? accept_revoked(care, result, now)
                 : accept_good(care, result);
    if (answer == CARE_WRITE_STORE)
        spool_digest(result->body, state->der_sha256);
    if (answer == CARE_WRITE_REMOVE)
        state->der_sha256[0] = '\0';
    state->next_attempt = schedule_after_success(care->target, limits, now);
    care_log_success(care, &result->checked, answer, now);
    return answer;
}

void
care_fail(struct care *care, const struct round_result *result,
    const struct schedule_limits *limits, int64_t now, double random)
{
    struct target_state *state = &care->target->state;

    state->failures++;
    state->last_attempt = care->asked_at;
    state->last_verdict = result->verdict;
    state->retry_after =
        result->retry_after_s > 0 ? now + result->retry_after_s : 0;
    replace_text(&care->last_error, result->err.text);
    state->next_attempt =
        schedule_after_failure(care->target, limits, now, random);
    if (round_says_revoked(result))
        care_log_conflict(care, result, now);
    care_log_failure(care, result, now);
}

/* ---- questions ---------------------------------------------------------- */

int64_t
care_removal_at(const struct care *care)
{
    struct target_state spooled = care->target->state;

    if (!spooled.has_staple)
        return 0;
    spooled.this_update = care->spooled_this_update;
    spooled.life_end = care->spooled_life_end;
    spooled.next_update = 0; /* the window is the life of these bytes */
    return schedule_removal(&spooled);
}

bool
care_is_live(const struct care *care, int64_t now)
{
    const struct target_state *state = &care->target->state;

    return care->target->mode == TARGET_OCSP && state->has_staple &&
           state->status == OCSP_CERT_GOOD && care->spooled_life_end > now;
}
