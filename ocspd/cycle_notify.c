/*
 * Cares and the outputs of `publish:`: who is published where, and when a
 * staple may leave the spool.
 * Input: cares, the configuration. Output: offers, a word for the spool.
 */
#include "ocspd/cycle_private.h"

#include "ocspd/notify.h"
#include "shared/log.h"
#include "shared/now.h"

#include <stdlib.h>
#include <string.h>

enum { LEAVE_LOOK_MS = 250 };

static void
on_changed(void *ctx)
{
    struct cycle *c = ctx;

    c->want_tick = true;
}

bool
cycle_open_outputs(struct cycle *c, struct err *err)
{
    if (c->options->once)
        return true; /* fills the spool alone: a daemon may be publishing */
    c->notify = notify_new(&c->loop, on_changed, c);
    return c->notify != NULL || err_memory(err);
}

/* ---- which rows are in force -------------------------------------------- */

static int
compare_pointers(const void *a, const void *b)
{
    const char *const *left = a;
    const char *const *right = b;

    return (*left > *right) - (*left < *right);
}

static void
warn_of_row(const struct ocspd_cert_row *row, size_t number)
{
    if (row->rule.publish.count == 0 || strpbrk(row->path, "*?[") != NULL)
        return;
    log_warn("publish: is not in force: the certificate was not found, or an "
             "earlier row cares for it under another path",
        LOG_I("certificates", number), LOG_S("path", row->path));
}

/* A certificate that two rows reach belongs to the first: what the second says
 * of publishing is easily missed. */
static void
warn_of_idle_rows(const struct cycle *c)
{
    const struct ocspd_cert_row *rows = c->config->certificates.items;
    const void **used = calloc(HASH_COUNT(c->cares) + 1, sizeof(*used));
    const struct care *care;
    size_t count = 0;

    if (used == NULL)
        return;
    for (care = c->cares; care != NULL; care = care->hh.next)
        if (care->scan == c->scan)
            used[count++] = care->target->rule.publish.items;
    qsort(used, count, sizeof(*used), compare_pointers);
    for (size_t i = 0; i < c->config->certificates.count; i++) {
        const void *items = rows[i].rule.publish.items;

        if (bsearch(&items, used, count, sizeof(*used), compare_pointers) ==
            NULL)
            warn_of_row(&rows[i], i + 1);
    }
    free(used);
}

void
cycle_bind_outputs(struct cycle *c)
{
    struct care *care, *next;
    bool ok;

    if (c->notify == NULL)
        return;
    ok = notify_bind_begin(c->notify, c->config);
    HASH_ITER(hh, c->cares, care, next)
    if (care->scan == c->scan)
        ok = ok && notify_bind(c->notify, care->target);
    HASH_ITER(hh, c->cares, care, next)
    if (care->scan != c->scan)
        notify_bind_keep(c->notify, care->target->path);
    if (ok)
        notify_bind_end(c->notify, c->config);
    else
        log_error("no memory for all that is to be published",
            LOG_I("certificates", HASH_COUNT(c->cares)));
    if (c->scanned != c->config)
        warn_of_idle_rows(c);
}

/* ---- offers ------------------------------------------------------------- */

/* Whatever it was to go for is over. */
static void
stay(struct care *care, int64_t now)
{
    if (care->gone_at == 0 && care->pending != CARE_WRITE_REMOVE &&
        care_removal_at(care) > now)
        care->leave_ms = 0;
}

static void
offer(struct cycle *c, struct care *care)
{
    bool is_pending = care->pending == CARE_WRITE_STORE;
    struct target_state bytes = {.this_update = is_pending
                                                    ? care->pending_this_update
                                                    : care->spooled_this_update,
        .life_end =
            is_pending ? care->pending_life_end : care->spooled_life_end};
    struct notify_offer made = {.fp = care->target->fp,
        .label = care->target->label,
        .path = care->target->path,
        .digest = care->target->state.der_sha256,
        .der = is_pending ? buf_span(&care->pending_der) : SPAN_EMPTY,
        .in_spool = care->target->state.has_staple,
        .is_leaving = care->leave_ms != 0 || care->pending == CARE_WRITE_REMOVE,
        .is_gone = care->gone_at != 0,
        .this_update = bytes.this_update,
        .life_end = bytes.life_end,
        .removal_at = schedule_removal(&bytes)};

    notify_offer(c->notify, &made);
}

void
cycle_tend_outputs(struct cycle *c, int64_t now)
{
    char stranger[CERT_FINGERPRINT_SIZE];
    struct care *care, *next;
    int64_t next_ms;

    if (c->notify == NULL)
        return;
    if (notify_take_stranger(c->notify, stranger))
        cycle_read_again(c, stranger, now);
    HASH_ITER(hh, c->cares, care, next)
    {
        stay(care, now);
        offer(c, care);
    }
    next_ms = notify_tend(c->notify, now);
    if (next_ms != 0)
        cycle_wake_ms(c, next_ms);
}

/* ---- what leaves the spool ---------------------------------------------- */

bool
cycle_may_remove(struct cycle *c, struct care *care, int64_t limit_ms)
{
    int64_t now_ms = now_boot_ms();

    if (c->notify == NULL || notify_may_remove(c->notify, care->target->fp))
        return true;
    if (care->leave_ms == 0)
        care->leave_ms = now_ms;
    if (now_ms - care->leave_ms >= limit_ms)
        return true;
    cycle_wake_ms(c, now_ms + LEAVE_LOOK_MS);
    return false;
}

bool
cycle_may_retire(struct cycle *c, const char *fp, const char *cert_path)
{
    if (c->notify == NULL)
        return true;
    if (cert_path != NULL)
        notify_bind_lost(c->notify, c->config, cert_path);
    return notify_may_remove(c->notify, fp);
}
