/*
 * One look at the spool for one certificate.
 * Input: its .der and its side file. Output: live, revoked, or why not yet.
 */
#include "ocspd/verb_wait_look.h"

#include "ocspd/round.h"
#include "ocspd/verify.h"
#include "shared/buf.h"

#include <errno.h>
#include <string.h>
#include <time.h>

enum { OVERDUE_S = 120 /* ours: a busy daemon may be late by a minute */ };

/* What the bytes alone say. The signature makes them the CA's word, whoever
 * wrote the file. */
static void
verify(struct span der, const struct target *target, int64_t now,
    struct verify_result *checked, struct err *err)
{
    struct ocsp_trust trust = {
        target->issuer->cert, target->issuer->signers, target->rule.allow_weak};
    struct verify_policy policy = round_policy(target);

    verify_response(
        der, &target->ids, &trust, &policy, now, checked, NULL, NULL, err);
}

/* A response near its end is not worth fetching, but servers staple it. */
static bool
is_stapled(const struct verify_result *checked, int64_t now)
{
    return checked->single.status == OCSP_CERT_GOOD &&
           (checked->verdict == VERDICT_GOOD ||
               (checked->verdict == VERDICT_LIFE_TOO_SHORT &&
                   checked->life_end > now));
}

static void
set_revoked(struct wait_look *out, int64_t at, int reason)
{
    time_t t = (time_t)at;
    char text[32] = "an unknown time";
    struct tm tm;

    if (at != 0 && gmtime_r(&t, &tm) != NULL)
        (void)strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm);
    out->word = WAIT_REVOKED;
    (void)err_set(&out->why, ERR_REJECTED,
        "revoked at %s (%s): get a new certificate with a new key", text,
        ocsp_reason_word(reason));
}

static bool
says_revoked(const struct spool_meta *meta)
{
    return meta->status != NULL && strcmp(meta->status, "revoked") == 0;
}

/* Nothing lies there: the side file knows why. */
static void
explain(const struct spool_meta *meta, struct wait_look *out)
{
    if (meta->last_error != NULL)
        (void)err_set(&out->why, ERR_REJECTED, "%s: %s",
            meta->last_error_kind != NULL ? meta->last_error_kind : "failed",
            meta->last_error);
    else if (out->is_neglected)
        (void)err_set(
            &out->why, ERR_REJECTED, "ocspd has not asked about it yet");
    else
        (void)err_set(&out->why, ERR_REJECTED, "no response yet");
}

static void
judge_bytes(const struct spool_meta *meta, struct span der,
    const struct target *target, int64_t now, struct wait_look *out)
{
    struct verify_result checked;
    struct err err = {0};

    verify(der, target, now, &checked, &err);
    if (checked.verdict == VERDICT_REVOKED) {
        set_revoked(
            out, checked.single.revoked_at, checked.single.revoked_reason);
    } else if (says_revoked(meta) &&
               checked.single.this_update <= meta->this_update) {
        set_revoked(out, meta->revoked_at, meta->revoked_reason);
    } else if (is_stapled(&checked, now)) {
        out->word = WAIT_LIVE;
        out->until = checked.life_end;
    } else {
        out->why = err;
        (void)err_context(&out->why, "what lies in the spool is refused, %s",
            verdict_word(checked.verdict));
    }
}

void
verb_wait_look(const struct spool *spool, const struct target *target,
    int64_t now, struct wait_look *out)
{
    struct spool_meta meta = {0};
    bool known = spool_load_meta(spool, target->fp, &meta, NULL);
    struct buf der;
    struct err err = {0};

    *out = (struct wait_look){.word = WAIT_NOT_YET};
    out->is_neglected = !known || meta.next_attempt < now - OVERDUE_S;
    buf_init(&der, OCSP_RESPONSE_MAX);
    if (spool_load(spool, target->fp, &der, &err))
        judge_bytes(&meta, buf_span(&der), target, now, out);
    else if (says_revoked(&meta))
        set_revoked(out, meta.revoked_at, meta.revoked_reason);
    else if (err.kind == ERR_SYSTEM && err.sys_errno == ENOENT)
        explain(&meta, out);
    else
        out->why = err;
    buf_fini(&der);
    spool_meta_fini(&meta);
}
