/*
 * Our clock against the responder's.
 * Input: a response that was refused for its times, both clocks. Output: words
 * that name the clock, when it is the one to mend.
 */
#include "ocspd/verify_clock.h"

#include <stdio.h>
#include <time.h>

/* Those that another time may turn into an acceptance. */
static bool
is_about_time(enum verdict verdict)
{
    static const enum verdict verdicts[] = {VERDICT_NOT_YET_VALID,
        VERDICT_EXPIRED, VERDICT_TOO_OLD, VERDICT_LIFE_TOO_SHORT,
        VERDICT_SIGNER_EXPIRED};

    for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++)
        if (verdict == verdicts[i])
            return true;
    return false;
}

static bool
is_good_then(const struct verify_clock *clock, struct span body,
    const struct cert_ids *ids, const struct ocsp_trust *trust,
    const struct verify_policy *policy)
{
    struct verify_result then;

    verify_response(
        body, ids, trust, policy, clock->theirs, &then, NULL, NULL, NULL);
    return verdict_class(then.verdict) == VERDICT_CLASS_ACCEPTED;
}

/* "6 days", "3 h", "12 min": the greatest unit of which there are two. */
static void
write_distance(int64_t s, char *out, size_t size)
{
    if (s >= 2 * 86400)
        (void)snprintf(out, size, "%lld days", (long long)(s / 86400));
    else if (s >= 2 * 3600)
        (void)snprintf(out, size, "%lld h", (long long)(s / 3600));
    else
        (void)snprintf(out, size, "%lld min", (long long)(s / 60));
}

static void
write_words(const struct verify_clock *clock, struct err *err)
{
    int64_t ahead = clock->now - clock->theirs;
    time_t theirs = (time_t)clock->theirs;
    char date[40] = "?", distance[32];
    struct err plain = *err;
    struct tm tm;

    if (gmtime_r(&theirs, &tm) != NULL)
        (void)strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
    write_distance(ahead < 0 ? -ahead : ahead, distance, sizeof(distance));
    (void)err_set(err, plain.kind,
        "%s: this host's clock is %s %s the responder's (Date: %s): check time "
        "synchronisation (timedatectl, chronyc tracking)",
        plain.text, distance, ahead < 0 ? "behind" : "ahead of", date);
}

bool
verify_blames_clock(const struct verify_clock *clock, enum verdict verdict,
    struct span body, const struct cert_ids *ids,
    const struct ocsp_trust *trust, const struct verify_policy *policy,
    struct err *err)
{
    int64_t ahead = clock->now - clock->theirs;

    if (clock->theirs == 0 || !is_about_time(verdict) ||
        (ahead >= -OCSP_SKEW_S && ahead <= OCSP_SKEW_S) ||
        !is_good_then(clock, body, ids, trust, policy))
        return false;
    write_words(clock, err);
    return true;
}
