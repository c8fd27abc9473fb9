/*
 * Certificates come and go.
 * Input: what discover finds, the spool's folder, inotify. Output: cares.
 */
#include "ocspd/cycle_private.h"

#include "shared/log.h"
#include "shared/now.h"
#include "shared/watch.h"

#include <stdlib.h>
#include <string.h>

enum {
    SCAN_DELAY_MS = 300, /* ours: a renewal writes several files */
    /* ours: the net under inotify; closer where it cannot help */
    SCAN_NET_MS = 10 * 60 * 1000,
    SCAN_BLIND_MS = 60 * 1000,
    SCAN_AGAIN_MS = 2 * 1000, /* ours: a snippet is on its way out */
    WATCHES_MAX = 64 /* ours: half of the usual max_user_instances */
};

struct cycle_watch {
    struct cycle *cycle;
    struct watch *watch;
    char *folder;
    uv_poll_t poll;
    unsigned scan;
    struct list node;
};

/* ---- watches ------------------------------------------------------------ */

void
cycle_scan_soon(struct cycle *c)
{
    int64_t at = now_boot_ms() + SCAN_DELAY_MS;

    if (c->scan_at_ms == 0 || c->scan_at_ms > at)
        c->scan_at_ms = at;
    cycle_wake_ms(c, c->scan_at_ms);
}

/* The spool may be in a folder of certificates: our own writes are no news. */
static bool
is_news(const struct watch_event *event)
{
    char fp[CERT_FINGERPRINT_SIZE];
    struct span name = span_str(event->name);

    if (event->kind != WATCH_NAME)
        return true;
    return !spool_is_der_name(name, fp) &&
           !(name.len == 64 + 5 && span_ends(name, SPAN_LIT(".json")));
}

static void
on_watch(uv_poll_t *poll, int status, int events)
{
    struct cycle_watch *w = poll->data;
    struct watch_event event;

    (void)status;
    (void)events;
    while (watch_next(w->watch, &event))
        if (is_news(&event))
            cycle_scan_soon(w->cycle);
}

static void
on_watch_closed(uv_handle_t *handle)
{
    struct cycle_watch *w = handle->data;

    watch_free(w->watch);
    free(w->folder);
    free(w);
}

static void
close_watch(struct cycle_watch *w)
{
    list_remove(&w->node);
    (void)uv_poll_stop(&w->poll);
    uv_close((uv_handle_t *)&w->poll, on_watch_closed);
}

void
cycle_close_watches(struct cycle *c)
{
    LIST_EACH(&c->watches, it)
    close_watch(LIST_ENTRY(it, struct cycle_watch, node));
}

void
cycle_verify_watches(struct cycle *c)
{
    LIST_EACH(&c->watches, it)
    {
        struct cycle_watch *w = LIST_ENTRY(it, struct cycle_watch, node);

        watch_verify(w->watch);
        on_watch(&w->poll, 0, UV_READABLE);
    }
}

static struct cycle_watch *
find_watch(struct cycle *c, const char *folder)
{
    LIST_EACH(&c->watches, it)
    {
        struct cycle_watch *w = LIST_ENTRY(it, struct cycle_watch, node);

        if (strcmp(w->folder, folder) == 0)
            return w;
    }
    return NULL;
}

static bool
open_watch(struct cycle *c, const char *folder, struct err *err)
{
    struct cycle_watch *w = calloc(1, sizeof(*w));

    if (w == NULL || (w->folder = strdup(folder)) == NULL) {
        free(w);
        return err_memory(err);
    }
    w->watch = watch_new(folder, err);
    if (w->watch == NULL ||
        uv_poll_init(&c->loop, &w->poll, watch_fd(w->watch)) != 0) {
        watch_free(w->watch);
        free(w->folder);
        free(w);
        return false;
    }
    w->cycle = c;
    w->scan = c->scan;
    w->poll.data = w;
    list_init(&w->node);
    list_add_last(&c->watches, &w->node);
    (void)uv_poll_start(&w->poll, UV_READABLE, on_watch);
    return true;
}

/* False: some folders are not watched. */
static bool
update_watches(struct cycle *c, const struct discover_result *found)
{
    bool all = found->folder_count <= WATCHES_MAX;
    struct err err = {0};

    for (size_t i = 0; i < found->folder_count && i < WATCHES_MAX; i++) {
        struct cycle_watch *w = find_watch(c, found->folders[i]);

        if (w != NULL)
            w->scan = c->scan;
        else if (!open_watch(c, found->folders[i], &err)) {
            if (c->scan == 1)
                log_warn("cannot watch a folder, looking at it every minute",
                    LOG_S("folder", found->folders[i]), LOG_ERR(&err));
            all = false;
        }
    }
    LIST_EACH(&c->watches, it)
    {
        struct cycle_watch *w = LIST_ENTRY(it, struct cycle_watch, node);

        if (w->scan != c->scan)
            close_watch(w);
    }
    return all;
}

/* ---- cares -------------------------------------------------------------- */

static struct care *
find_care(const struct cycle *c, const char *fp)
{
    struct care *care = NULL;

    HASH_FIND(hh, c->cares, fp, strlen(fp), care);
    return care;
}

/* What the spool holds of it, before anything is asked. */
static void
load_care(struct cycle *c, struct care *care, int64_t now)
{
    enum care_write write = care_load(care, publish_spool(c->publish), now);

    care->target->state.next_attempt =
        schedule_at_start(care->target, &c->limits, now);
    if (write != CARE_WRITE_META)
        cycle_write(c, care, write, SPAN_EMPTY);
}

void
cycle_reload_spool(struct cycle *c)
{
    struct care *care, *next;

    HASH_ITER(hh, c->cares, care, next)
    load_care(c, care, now_wall());
}

void
cycle_read_again(struct cycle *c, const char *fp, int64_t now)
{
    struct care *care = find_care(c, fp);

    if (care == NULL || care->gone_at != 0 || care->round != NULL ||
        care->writing > 0 || care->pending != CARE_WRITE_META)
        return;
    log_info("the spool has other bytes than were written, looking at them",
        LOG_S("target", care->target->label), LOG_S("fp", fp));
    load_care(c, care, now);
    c->want_tick = true;
}

/* It had been replaced, and the side file says so. */
static void
use_again(struct cycle *c, struct care *care)
{
    if (care->target->state.replaced_at == 0)
        return;
    care->target->state.replaced_at = 0;
    cycle_write(c, care, CARE_WRITE_META, SPAN_EMPTY);
}

static bool
add_care(struct cycle *c, struct target *target, int64_t now)
{
    struct care *care = care_new(target);

    if (care == NULL)
        return false;
    care->owner = c;
    care->scan = care->der_scan = c->scan;
    HASH_ADD_KEYPTR(
        hh, c->cares, care->target->fp, strlen(care->target->fp), care);
    care_log_mode(care);
    load_care(c, care, now);
    use_again(c, care);
    return true;
}

static void
update_care(
    struct cycle *c, struct care *care, struct target *found, int64_t now)
{
    enum target_mode old_mode = care->target->mode;

    care->scan = c->scan;
    care->gone_at = 0;
    use_again(c, care);
    if (!care_adopt(care, found))
        return;
    if (care->target->mode != old_mode)
        care_log_new_mode(care, old_mode);
    if (care->pending == CARE_WRITE_META && care->writing == 0)
        load_care(c, care, now);
    use_again(c, care);
    care->target->state.next_attempt = now;
}

static bool
take_targets(struct cycle *c, struct discover_result *found, int64_t now)
{
    const struct cycle_options *options = c->options;

    LIST_EACH(&found->targets, it)
    {
        struct target *target = LIST_ENTRY(it, struct target, node);
        struct care *care = find_care(c, target->fp);

        if (options->wants != NULL && !options->wants(options->ctx, target))
            continue;
        list_remove(it);
        if (care != NULL)
            update_care(c, care, target, now);
        else if (!add_care(c, target, now))
            return false;
    }
    return true;
}

/*
 * The row of what stays on doubt was of the old configuration: the defaults
 * hold. Its URLs may be the certificate's own, whatever the defaults say of a
 * responder: they are screened then.
 */
static void
follow_defaults(const struct cycle *c, struct target *target)
{
    const char *responder = c->config->defaults.responder;

    target->rule = c->config->defaults;
    if (responder == NULL || target->url_count != 1 ||
        strcmp(target->urls[0], responder) != 0)
        target->rule.responder = NULL;
}

/* Not found is not gone when its file or folder could not be read. */
static void
mark_gone(struct cycle *c, const struct discover_result *found)
{
    bool is_reloaded = c->scanned != c->config;
    struct care *care, *next;

    HASH_ITER(hh, c->cares, care, next)
    {
        if (care->scan == c->scan)
            continue;
        if (is_reloaded)
            follow_defaults(c, care->target);
        if (care->gone_at == 0 &&
            !discover_is_doubtful(found, care->target->path))
            care->gone_at = now_boot_ms();
    }
    c->scanned = c->config;
}

/* ---- the spool's folder ------------------------------------------------- */

struct strangers {
    struct cycle *cycle;
    char (*fps)[CERT_FINGERPRINT_SIZE];
    size_t count;
};

static bool
on_entry(void *ctx, const char *fp, bool has_der)
{
    struct strangers *strangers = ctx;
    struct care *care = find_care(strangers->cycle, fp);
    char(*fps)[CERT_FINGERPRINT_SIZE];

    if (care != NULL) {
        if (has_der)
            care->der_scan = strangers->cycle->scan;
        return true;
    }
    fps = realloc(strangers->fps, (strangers->count + 1) * sizeof(*fps));
    if (fps == NULL)
        return false;
    strangers->fps = fps;
    return span_to_cstr(
        span_str(fp), fps[strangers->count++], CERT_FINGERPRINT_SIZE);
}

static void
retire_stranger(struct cycle *c, const char *fp,
    const struct discover_result *found, int64_t now)
{
    struct spool_meta meta = {0};
    bool known = spool_load_meta(publish_spool(c->publish), fp, &meta, NULL);

    if (!discover_is_doubtful(found, known ? meta.cert_path : NULL) &&
        !(known && cycle_adopt_stranger(c, fp, &meta, now))) {
        if (cycle_may_retire(c, fp, known ? meta.cert_path : NULL)) {
            log_info("certificate no longer configured, its spool files go",
                LOG_S("fp", fp), LOG_S("path", known ? meta.cert_path : NULL));
            cycle_retire(c, fp);
        } else {
            c->has_waiting_strangers = true;
        }
    }
    spool_meta_fini(&meta);
}

/* Somebody removed a staple of ours: asked for anew. */
static void
notice_lost(struct cycle *c, int64_t now)
{
    struct care *care, *next;

    HASH_ITER(hh, c->cares, care, next)
    {
        if (!care->target->state.has_staple || care->writing > 0 ||
            care->der_scan == c->scan)
            continue;
        log_warn("staple vanished from the spool",
            LOG_S("target", care->target->label),
            LOG_S("fp", care->target->fp));
        care->target->state.has_staple = false;
        care->target->state.der_sha256[0] = '\0';
        care->target->state.next_attempt = now;
    }
}

static void
look_into_spool(
    struct cycle *c, const struct discover_result *found, int64_t now)
{
    struct strangers strangers = {c, NULL, 0};

    if (spool_each(publish_spool(c->publish), on_entry, &strangers, NULL)) {
        for (size_t i = 0; i < strangers.count; i++)
            retire_stranger(c, strangers.fps[i], found, now);
        notice_lost(c, now);
    }
    free(strangers.fps);
}

/* ---- one scan ----------------------------------------------------------- */

static bool
was_noted(const struct discover_result *old, const char *text)
{
    for (size_t i = 0; i < old->note_count; i++)
        if (old->notes[i].text != NULL && strcmp(old->notes[i].text, text) == 0)
            return true;
    return false;
}

static void
log_notes(struct cycle *c, const struct discover_result *found)
{
    for (size_t i = 0; i < found->note_count; i++) {
        const struct discover_note *n = &found->notes[i];

        if (n->text == NULL || was_noted(&c->found, n->text))
            continue;
        LOG_AT(n->is_error ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN,
            "certificate not usable", LOG_S("error", n->text));
    }
}

static void
follow_files(struct cycle *c, struct discover_result *found, int64_t now)
{
    bool all = update_watches(c, found);

    mark_gone(c, found);
    c->has_waiting_strangers = false;
    look_into_spool(c, found, now);
    c->scan_at_ms = now_boot_ms() + (c->has_waiting_strangers ? SCAN_AGAIN_MS
                                        : all                 ? SCAN_NET_MS
                                                              : SCAN_BLIND_MS);
    cycle_wake_ms(c, c->scan_at_ms);
}

bool
cycle_scan(struct cycle *c, struct err *err)
{
    struct discover_result found;
    int64_t now = now_wall();

    if (!discover_run(c->config, c->host_seed, now, &found, err))
        return false;
    c->scan++;
    log_notes(c, &found);
    if (!take_targets(c, &found, now)) {
        discover_result_fini(&found);
        return err_memory(err);
    }
    cycle_bind_outputs(c);
    if (!c->options->once)
        follow_files(c, &found, now);
    discover_result_fini(&c->found);
    c->found = found;
    /* the head of an empty list points at itself */
    list_init(&c->found.targets);
    LIST_EACH(&found.targets, it)
    {
        list_remove(it);
        target_free(LIST_ENTRY(it, struct target, node));
    }
    c->want_tick = true;
    return true;
}
