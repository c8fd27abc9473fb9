/*
 * Certificates that left the configuration: how long their staples stay.
 * Input: cares that a scan did not find, files of the spool without a care.
 * Output: their staples kept for a while, then removed.
 */
#include "ocspd/cycle_private.h"

#include "shared/log.h"
#include "shared/now.h"

#include <stdlib.h>
#include <string.h>

enum {
    SUCCESSOR_LOOK_MS = 5 * 1000, /* ours: it costs all pairs when many go */
    /* ours: a server takes up a renewed pair when its hook or its reload comes,
     * minutes after the file changed; until then it staples for the old one */
    RETIRE_GRACE_S = 10 * 60
};

enum successor {
    SUCCESSOR_NONE,
    SUCCESSOR_WAITS, /* for its first staple */
    SUCCESSOR_READY
};

/* In the same file, or a later one of the same name in another: some clients
 * number their files. */
static bool
is_successor(const struct care *care, const struct care *gone)
{
    const struct target *after = care->target;
    const struct target *before = gone->target;

    if (care == gone || care->gone_at != 0)
        return false;
    return strcmp(after->path, before->path) == 0 ||
           (strcmp(after->label, before->label) == 0 &&
               after->not_after > before->not_after);
}

static enum successor
find_successor(const struct cycle *c, const struct care *gone)
{
    enum successor found = SUCCESSOR_NONE;
    const struct care *care;

    for (care = c->cares; care != NULL; care = care->hh.next) {
        if (!is_successor(care, gone))
            continue;
        if (care->target->mode == TARGET_OCSP &&
            !care->target->state.has_staple)
            return SUCCESSOR_WAITS;
        found = SUCCESSOR_READY;
    }
    return found;
}

/* The side file carries the time over a restart. */
static bool
is_in_grace(struct cycle *c, struct care *care, int64_t now)
{
    struct target_state *state = &care->target->state;

    if (state->replaced_at <= 0 || state->replaced_at > now) {
        state->replaced_at = now;
        log_info("certificate replaced, its staple stays a while",
            LOG_S("target", care->target->label),
            LOG_S("path", care->target->path), LOG_S("fp", care->target->fp),
            LOG_I("stays_s", RETIRE_GRACE_S));
        cycle_write(c, care, CARE_WRITE_META, SPAN_EMPTY);
    }
    cycle_wake_wall(c, state->replaced_at + RETIRE_GRACE_S);
    return now - state->replaced_at < RETIRE_GRACE_S;
}

/* Without a successor nobody is expected to serve it. With one the old staple
 * stays until the new one is there, however long: a server that requires a
 * staple stays with the old pair so long. */
static bool
is_still_needed(struct cycle *c, struct care *care, int64_t now)
{
    if (care->target->mode == TARGET_EXPIRED)
        return false;
    switch (find_successor(c, care)) {
    case SUCCESSOR_NONE:
        return false;
    case SUCCESSOR_WAITS:
        return true;
    case SUCCESSOR_READY:
        break;
    }
    return is_in_grace(c, care, now);
}

void
cycle_tend_gone(struct cycle *c, struct care *care, int64_t now)
{
    int64_t now_ms = now_boot_ms();

    if (care->writing > 0)
        return; /* the answers are this one's, not its successor's */
    if (care->gone_look_ms > now_ms) {
        cycle_wake_ms(c, care->gone_look_ms);
        return;
    }
    care->gone_look_ms = now_ms + SUCCESSOR_LOOK_MS;
    if (is_still_needed(c, care, now)) {
        care->leave_ms = 0;
        return;
    }
    if (!cycle_may_remove(c, care, CYCLE_LEAVE_MS)) {
        care->gone_look_ms = now_ms;
        return;
    }
    log_info("certificate no longer under care",
        LOG_S("target", care->target->label), LOG_S("path", care->target->path),
        LOG_S("fp", care->target->fp));
    cycle_retire(c, care->target->fp);
    HASH_DEL(c->cares, care);
    care_free(care);
}

/* ---- what an earlier run left ------------------------------------------- */

/* Its certificate is away: what the side file says must do, and nobody can be
 * asked about it. */
static struct target *
target_of_meta(const char *fp, const struct spool_meta *meta)
{
    struct target *target = calloc(1, sizeof(*target));

    if (target == NULL)
        return NULL;
    list_init(&target->node);
    target->mode = TARGET_NO_ISSUER;
    target->not_after = meta->not_after;
    target->must_staple = meta->must_staple;
    target->label = strdup(meta->label);
    target->path = strdup(meta->cert_path);
    if (target->label != NULL && target->path != NULL &&
        span_to_cstr(span_str(fp), target->fp, sizeof(target->fp)))
        return target;
    target_free(target);
    return NULL;
}

bool
cycle_adopt_stranger(
    struct cycle *c, const char *fp, const struct spool_meta *meta, int64_t now)
{
    struct target *target;
    struct care *care;

    if (meta->label == NULL || meta->cert_path == NULL)
        return false;
    target = target_of_meta(fp, meta);
    care = target == NULL ? NULL : care_new(target);
    if (care == NULL)
        return false;
    care->owner = c;
    care->scan = care->der_scan = c->scan;
    care->gone_at = now_boot_ms();
    care->target->rule = c->config->defaults;
    if (find_successor(c, care) == SUCCESSOR_NONE ||
        care_load(care, publish_spool(c->publish), now) != CARE_WRITE_META ||
        !care->target->state.has_staple) {
        care_free(care);
        return false;
    }
    HASH_ADD_KEYPTR(
        hh, c->cares, care->target->fp, strlen(care->target->fp), care);
    return true;
}
