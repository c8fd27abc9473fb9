/*
 * What an operator reads of one certificate.
 * Input: a change of its state. Output: log lines, not more than needed.
 */
#include "ocspd/care_log.h"

#include "shared/log.h"

#include <time.h>

enum { AGAIN_S = 3600 /* ours: a lasting failure is said hourly */ };

void
care_time_text(int64_t unix_s, char out[CARE_TIME_SIZE])
{
    time_t t = (time_t)unix_s;
    struct tm tm;

    if (unix_s == 0 || gmtime_r(&t, &tm) == NULL ||
        strftime(out, CARE_TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) {
        out[0] = '-';
        out[1] = '\0';
    }
}

static bool
is_due(int64_t *logged_at, int64_t now)
{
    if (*logged_at != 0 && now - *logged_at < AGAIN_S && now >= *logged_at)
        return false;
    *logged_at = now;
    return true;
}

void
care_log_revoked(struct care *care, int64_t now)
{
    static const char *const policies[] = {
        [ON_REVOKED_WITHDRAW] = "withdraw",
        [ON_REVOKED_PUBLISH] = "publish",
        [ON_REVOKED_KEEP] = "keep",
    };
    const struct target *target = care->target;
    char at[CARE_TIME_SIZE];

    if (!is_due(&care->revoked_logged_at, now))
        return;
    care_time_text(target->state.revoked_at, at);
    log_error("certificate revoked", LOG_S("target", target->label),
        LOG_S("path", target->path), LOG_S("revoked_at", at),
        LOG_S("reason", ocsp_reason_word(target->state.revoked_reason)),
        LOG_S("source", care->source),
        LOG_S("on_revoked", policies[target->rule.on_revoked]),
        LOG_S("fp", target->fp));
}

void
care_log_conflict(
    struct care *care, const struct round_result *result, int64_t now)
{
    const struct target *target = care->target;
    const struct ocsp_single *single = &result->checked.single;
    char at[CARE_TIME_SIZE];

    if (!is_due(&care->revoked_logged_at, now))
        return;
    care_time_text(single->revoked_at, at);
    log_error("certificate revoked, by a response that contradicts itself and "
              "is not published",
        LOG_S("target", target->label), LOG_S("path", target->path),
        LOG_S("revoked_at", at),
        LOG_S("reason", ocsp_reason_word(single->revoked_reason)),
        LOG_S("source", result->url), LOG_S("fp", target->fp));
}

void
care_log_failure(
    struct care *care, const struct round_result *result, int64_t now)
{
    const struct target *target = care->target;
    const struct target_state *state = &target->state;
    bool is_verify = verdict_class(result->verdict) == VERDICT_CLASS_VERIFY;

    if (care->failing_since == 0)
        care->failing_since = now;
    if (!is_due(&care->failure_logged_at, now)) {
        log_debug("fetch failed", LOG_S("target", target->label),
            LOG_S("verdict", verdict_word(result->verdict)),
            LOG_S("url", result->url), LOG_I("try", state->failures),
            LOG_I("next_s", state->next_attempt - now), LOG_ERR(&result->err));
        return;
    }
    /* a response that does not verify needs somebody's eyes (contrib/doc/ocsp-rules.md 4) */
    LOG_AT(is_verify ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, "fetch failed",
        LOG_S("target", target->label),
        LOG_S("verdict", verdict_word(result->verdict)),
        LOG_S("url", result->url), LOG_I("try", state->failures),
        LOG_I("next_s", state->next_attempt - now), LOG_ERR(&result->err));
}

void
care_log_recovery(struct care *care, int64_t now)
{
    if (care->failing_since == 0)
        return;
    log_info("fetch works again", LOG_S("target", care->target->label),
        LOG_I("failures", care->target->state.failures),
        LOG_I("after_s", now - care->failing_since));
    care->failing_since = 0;
    care->failure_logged_at = 0;
}

void
care_log_success(const struct care *care, const struct verify_result *checked,
    enum care_write write, int64_t now)
{
    const struct target *target = care->target;
    char end[CARE_TIME_SIZE];

    care_time_text(target->state.life_end, end);
    if (checked->warn_no_nocheck && write == CARE_WRITE_STORE)
        log_warn("the responder's certificate has no ocsp-nocheck",
            LOG_S("target", target->label), LOG_S("source", care->source));
    if (write == CARE_WRITE_META) {
        log_debug("no newer response", LOG_S("target", target->label),
            LOG_S("until", end),
            LOG_I("next_s", target->state.next_attempt - now));
        return;
    }
    log_info(
        write == CARE_WRITE_STORE ? "response accepted" : "staple withdrawn",
        LOG_S("target", target->label),
        LOG_S("status", ocsp_cert_status_word(target->state.status)),
        LOG_S("until", end), LOG_S("source", care->source),
        LOG_I("next_s", target->state.next_attempt - now));
}

static enum log_level
alert_level(enum schedule_alert alert)
{
    switch (alert) {
    case ALERT_NONE:
    case ALERT_LATE:
        return LOG_LEVEL_INFO;
    case ALERT_WARN:
        return LOG_LEVEL_WARN;
    case ALERT_CRIT:
    case ALERT_DOWN:
        break;
    }
    return LOG_LEVEL_ERROR;
}

void
care_log_alert(struct care *care, int64_t now)
{
    const struct target *target = care->target;
    enum schedule_alert alert = schedule_alert(target, now);
    enum log_level level = alert_level(alert);
    char end[CARE_TIME_SIZE];

    if (alert != care->alert)
        care->alert_logged_at = 0;
    else if (level == LOG_LEVEL_INFO)
        return;
    care->alert = alert;
    if (!is_due(&care->alert_logged_at, now))
        return;
    care_time_text(care->spooled_life_end, end);
    LOG_AT(level, "staple health", LOG_S("target", target->label),
        LOG_S("alert", schedule_alert_word(alert)),
        LOG_S("must_staple", target->must_staple ? "yes" : "no"),
        LOG_S("until", end),
        LOG_S("verdict", verdict_word(target->state.last_verdict)),
        LOG_S(care->last_error == NULL ? NULL : "error", care->last_error));
}

void
care_log_mode(const struct care *care)
{
    const struct target *target = care->target;
    enum log_level level =
        target->must_staple ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO;
    const char *must = target->must_staple ? "yes" : "no";

    switch (target->mode) {
    case TARGET_OCSP:
        log_debug("certificate under care", LOG_S("target", target->label),
            LOG_S("path", target->path), LOG_S("fp", target->fp));
        return;
    case TARGET_NO_URL:
        LOG_AT(level, "nothing to staple: the certificate has no OCSP URL",
            LOG_S("target", target->label), LOG_S("path", target->path),
            LOG_S("must_staple", must));
        return;
    case TARGET_EXPIRED:
        log_warn("certificate expired: not asked about any more",
            LOG_S("target", target->label), LOG_S("path", target->path));
        return;
    case TARGET_NO_ISSUER: /* said by discover */
        return;
    case TARGET_DISABLED:
        LOG_AT(level, "not asked about: responder is \"\"",
            LOG_S("target", target->label), LOG_S("path", target->path),
            LOG_S("must_staple", must));
        return;
    }
}

void
care_log_new_mode(const struct care *care, enum target_mode old)
{
    if (old == TARGET_EXPIRED && care->target->mode == TARGET_OCSP)
        log_warn("certificate is in date again: asked about as before",
            LOG_S("target", care->target->label),
            LOG_S("path", care->target->path));
    else
        care_log_mode(care);
}
