/*
 * One certificate under care: its counted issuer, its end, its words.
 * Input: discover makes targets. Output: the cycle frees them.
 */
#include "ocspd/target.h"

#include <openssl/x509.h>
#include <stdlib.h>

struct issuer *
issuer_ref(struct issuer *issuer)
{
    if (issuer != NULL)
        issuer->refs++;
    return issuer;
}

void
issuer_unref(struct issuer *issuer)
{
    if (issuer == NULL || --issuer->refs > 0)
        return;
    X509_free(issuer->cert);
    sk_X509_pop_free(issuer->signers, X509_free);
    free(issuer);
}

/* The list's node is not unlinked here: a target may die unlinked, and only the
 * list's owner knows. */
void
target_free(struct target *target)
{
    if (target == NULL)
        return;
    for (unsigned i = 0; i < target->url_count; i++)
        free(target->urls[i]);
    free(target->urls);
    issuer_unref(target->issuer);
    free(target->label);
    free(target->path);
    free(target);
}

void
target_choose_mode(struct target *target, int64_t now)
{
    if (target->rule.responder != NULL && target->rule.responder[0] == '\0')
        target->mode = TARGET_DISABLED;
    else if (target->not_after <= now)
        target->mode = TARGET_EXPIRED;
    else if (target->url_count == 0)
        target->mode = TARGET_NO_URL;
    else
        target->mode = target->issuer == NULL ? TARGET_NO_ISSUER : TARGET_OCSP;
}

/* Anything but the end stays as it was found: a target that is gone may have
 * another rule by now. */
bool
target_judge_time(struct target *target, int64_t now)
{
    enum target_mode old = target->mode;
    bool was_over = old == TARGET_EXPIRED;

    if (old == TARGET_DISABLED || was_over == (target->not_after <= now))
        return false;
    target_choose_mode(target, now);
    return target->mode != old;
}

const char *
target_mode_word(enum target_mode mode)
{
    switch (mode) {
    case TARGET_OCSP:
        return "ocsp";
    case TARGET_NO_URL:
        return "none";
    case TARGET_EXPIRED:
        return "expired";
    case TARGET_NO_ISSUER:
        return "no-issuer";
    case TARGET_DISABLED:
        return "disabled";
    }
    return "none";
}
