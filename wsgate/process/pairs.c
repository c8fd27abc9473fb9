/*
 * Certificates on disk, taken over without a reload.
 * Input: inotify on the files and, while one waits, on the spool; a slow tick.
 * Output: releases with new bytes, and the operator's log lines.
 */
#include "wsgate/process/pairs.h"

#include "shared/file_watch.h"
#include "shared/log.h"
#include "shared/now.h"
#include "shared/watch.h"
#include "wsgate/process/pair_look.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <uthash.h>

enum {
    LOOK_DELAY_MS = 150, /* ours: a renewal writes several files */
    SETTLE_MS = 1500, /* ours: longer than a file system's clock ticks */
    TICK_MS = 10 * 1000,
    SWEEP_TICKS = 6, /* ours: the net under inotify, every minute */
    RETRY_MS = 60 * 1000, /* ours: after workers could not take it */
    REMIND_MS = 3600 * 1000 /* a lasting failure hourly */
};

/* What we know of a file since we last read it. */
struct known {
    struct stat st; /* zeroed: not there */
    bool is_settled; /* not changed since the look before: its times tell */
    bool differs; /* from the bytes in force */
    UT_hash_handle hh;
    char path[];
};

/* A row that waits, as last said. */
struct waiting {
    enum pair_verdict verdict; /* PAIR_STAYS: it does not */
    char why[ERR_TEXT_SIZE];
    int64_t said_ms;
};

/* The spool, while something waits for a staple. */
struct spool_watch {
    struct pairs *pairs; /* NULL: closing */
    struct watch *watch;
    uv_poll_t poll;
};

struct pairs {
    const struct pairs_events *events;
    void *ctx;
    uv_loop_t *loop;
    const struct release *release; /* borrowed; NULL: none yet */
    struct known *known;
    struct waiting *waiting; /* per row */
    size_t row_count;
    struct pair_look *going; /* what is being swapped in */
    int64_t retry_ms; /* no swap before; 0: at once */
    unsigned ticks;
    bool is_blind_said;
    struct file_watch *watch; /* NULL: inotify was refused */
    struct spool_watch *spool;
    uv_poll_t poll;
    uv_timer_t look_timer, tick;
};

static void on_look(uv_timer_t *timer);

static void
look_in(struct pairs *p, uint64_t ms)
{
    if (p->release == NULL || (uv_is_active((uv_handle_t *)&p->look_timer) &&
                                  uv_timer_get_due_in(&p->look_timer) <= ms))
        return;
    (void)uv_timer_start(&p->look_timer, on_look, ms, 0);
}

/* ---- what the operator reads -------------------------------------------------- */

static void
time_text(int64_t unix_s, char out[32])
{
    time_t t = (time_t)unix_s;
    struct tm tm;

    if (unix_s == 0 || gmtime_r(&t, &tm) == NULL ||
        strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        (void)snprintf(out, 32, "unknown");
}

static void
say_waiting(struct waiting *w, const struct pair_row *row)
{
    int64_t now_ms = now_boot_ms();
    char until[32];

    if (w->verdict == row->verdict && strcmp(w->why, row->why) == 0 &&
        now_ms - w->said_ms < REMIND_MS)
        return;
    w->verdict = row->verdict;
    (void)snprintf(w->why, sizeof(w->why), "%s", row->why);
    w->said_ms = now_ms;
    time_text(row->old_not_after, until);
    log_warn("new certificate waits, the old pair stays",
        LOG_S("site", row->site), LOG_S("file", row->row->chain),
        LOG_S("waits_for", row->why), LOG_S("old_until", until));
}

static void
say_rows(struct pairs *p, const struct pair_look *look)
{
    for (size_t i = 0; i < look->count; i++) {
        const struct pair_row *row = &look->rows[i];
        struct waiting *w = &p->waiting[i];

        if (pair_is_waiting(row->verdict)) {
            say_waiting(w, row);
            continue;
        }
        if (w->verdict != PAIR_STAYS && row->verdict == PAIR_STAYS)
            log_info("nothing waits any more: the files are those in force",
                LOG_S("site", row->site), LOG_S("file", row->row->chain));
        if (row->verdict == PAIR_STAYS)
            w->verdict = PAIR_STAYS;
    }
}

static void
say_taken(const struct pair_look *look, uint64_t generation)
{
    for (size_t i = 0; i < look->count; i++) {
        const struct pair_row *row = &look->rows[i];
        char until[32];

        if (row->verdict != PAIR_TAKEN)
            continue;
        time_text(row->not_after, until);
        log_info("certificate replaced", LOG_S("site", row->site),
            LOG_S("file", row->row->chain),
            LOG_SPAN("fingerprint", span_sub(span_str(row->fp), 0, 16)),
            LOG_S("until", until), LOG_I("generation", generation));
        pair_files_warn_open(
            row->row->key != NULL ? row->row->key : row->row->chain);
    }
}

/* ---- which files to read --------------------------------------------------------- */

static struct known *
known_of(struct pairs *p, const char *path)
{
    size_t len = strlen(path);
    struct known *k = NULL;

    HASH_FIND(hh, p->known, path, len, k);
    if (k != NULL)
        return k;
    k = calloc(1, sizeof(*k) + len + 1);
    if (k == NULL)
        return NULL;
    memcpy(k->path, path, len);
    k->differs = true; /* for all we know */
    HASH_ADD_KEYPTR(hh, p->known, k->path, len, k);
    return k;
}

static bool
same_stat(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
           a->st_size == b->st_size && a->st_mode == b->st_mode &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
           a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Written twice within one tick of the file system's clock, a file looks the
 * same: what has just changed is read once more. */
static bool
is_suspect(void *ctx, const char *path)
{
    struct pairs *p = ctx;
    struct known *k = known_of(p, path);
    struct stat st = {0};
    bool was_settled;

    if (k == NULL)
        return true;
    if (stat(path, &st) != 0)
        st = (struct stat){0};
    was_settled = k->is_settled;
    k->is_settled = same_stat(&st, &k->st);
    k->st = st;
    if (!k->is_settled)
        look_in(p, SETTLE_MS);
    return !was_settled || !k->is_settled || k->differs;
}

static void
forget_known(struct pairs *p)
{
    struct known *k, *next;

    HASH_ITER(hh, p->known, k, next)
    {
        HASH_DEL(p->known, k);
        free(k);
    }
}

static void
note_files(struct pairs *p, const struct pair_look *look)
{
    struct known *k, *next;

    HASH_ITER(hh, p->known, k, next)
    {
        const struct pair_file *f = pair_files_get(look->files, k->path);

        k->differs = f == NULL || f->is_changed;
    }
}

/* ---- watching ---------------------------------------------------------------------- */

static void
on_files(uv_poll_t *poll, int status, int events)
{
    struct pairs *p = poll->data;

    (void)status;
    (void)events;
    if (!file_watch_take(p->watch))
        return;
    p->retry_ms = 0;
    look_in(p, LOOK_DELAY_MS);
}

struct path_list {
    const char **paths;
    size_t count;
};

static bool
add_paths(
    void *ctx, const struct gate_site *site, const struct gate_certificate *row)
{
    const char *paths[PAIR_ROW_FILES];
    struct path_list *list = ctx;

    (void)site;
    pair_row_paths(row, paths);
    for (size_t i = 0; i < PAIR_ROW_FILES; i++)
        if (paths[i] != NULL)
            list->paths[list->count++] = paths[i];
    return true;
}

/* Before each look: links may lead elsewhere now. */
static void
watch_files(struct pairs *p)
{
    struct path_list list = {.paths = calloc(PAIR_ROW_FILES * p->row_count + 1,
                                 sizeof(*list.paths))};
    struct err err = {0};
    bool ok = false;

    if (list.paths == NULL)
        return;
    (void)pair_each_row(release_config(p->release), add_paths, &list);
    if (p->watch != NULL)
        ok = file_watch_set(p->watch, list.paths, list.count, &err);
    else
        (void)err_set(&err, ERR_SYSTEM, "inotify was refused");
    if (!ok && list.count > 0 && !p->is_blind_said)
        log_warn("certificates on disk are looked at every minute only",
            LOG_ERR(&err));
    p->is_blind_said = !ok;
    free(list.paths);
}

static void
on_spool(uv_poll_t *poll, int status, int events)
{
    struct spool_watch *s = poll->data;
    struct watch_event event;
    bool found = false;

    (void)status;
    (void)events;
    while (watch_next(s->watch, &event))
        found = true;
    if (found)
        look_in(s->pairs, LOOK_DELAY_MS);
}

static void
on_spool_closed(uv_handle_t *handle)
{
    struct spool_watch *s = handle->data;

    watch_free(s->watch);
    free(s);
}

static void
close_spool(struct pairs *p)
{
    if (p->spool == NULL)
        return;
    (void)uv_poll_stop(&p->spool->poll);
    uv_close((uv_handle_t *)&p->spool->poll, on_spool_closed);
    p->spool = NULL;
}

/* Without it the tick looks. Its first event makes us look once more: nothing
 * falls between. */
static void
open_spool(struct pairs *p)
{
    const char *path = release_config(p->release)->spool;
    struct spool_watch *s;
    struct err err;

    if (p->spool != NULL || path == NULL)
        return;
    s = calloc(1, sizeof(*s));
    if (s == NULL)
        return;
    s->watch = watch_new(path, &err);
    if (s->watch == NULL ||
        uv_poll_init(p->loop, &s->poll, watch_fd(s->watch)) != 0) {
        watch_free(s->watch);
        free(s);
        return;
    }
    s->pairs = p;
    s->poll.data = s;
    (void)uv_poll_start(&s->poll, UV_READABLE, on_spool);
    p->spool = s;
}

static bool
waits_for_staple(const struct pair_look *look)
{
    for (size_t i = 0; i < look->count; i++)
        if (look->rows[i].verdict == PAIR_WAITS_FOR_STAPLE)
            return true;
    return false;
}

/* ---- a look ---------------------------------------------------------------------------- */

static bool
take_look(struct pairs *p, struct pair_look **out, struct bundle **old,
    struct err *err)
{
    return release_open_bundle(p->release, old, err) &&
           pair_look_new(release_config(p->release), *old, is_suspect, p,
               PAIR_ASKED_BY_CHANGE, now_wall(), out, err);
}

static void
drop_going(struct pairs *p)
{
    pair_look_free(p->going);
    p->going = NULL;
}

/* The keys it read are not kept: the release has them. */
static void
swap(struct pairs *p, struct pair_look *found)
{
    struct pair_files *files = found->files;
    struct err err = {0};

    found->files = NULL;
    drop_going(p);
    p->going = found;
    if (!p->events->swap(p->ctx, pair_files_source, files, &err)) {
        log_error(
            "certificate not replaced, the old pair stays", LOG_ERR(&err));
        p->retry_ms = now_boot_ms() + RETRY_MS;
        drop_going(p);
    }
    pair_files_free(files);
}

static void
on_look(uv_timer_t *timer)
{
    struct pairs *p = timer->data;
    struct pair_look *found = NULL;
    struct bundle *old = NULL;
    struct err err = {0};

    if (p->release == NULL || !p->events->may_swap(p->ctx))
        return;
    watch_files(p);
    if (!take_look(p, &found, &old, &err)) {
        log_error("cannot look at the certificates on disk", LOG_ERR(&err));
        bundle_free(old);
        return;
    }
    note_files(p, found);
    say_rows(p, found);
    if (waits_for_staple(found))
        open_spool(p);
    else
        close_spool(p);
    if (found->taken > 0 && now_boot_ms() >= p->retry_ms)
        swap(p, found);
    else
        pair_look_free(found);
    bundle_free(old);
}

static bool
is_any_waiting(const struct pairs *p)
{
    for (size_t i = 0; i < p->row_count; i++)
        if (p->waiting[i].verdict != PAIR_STAYS)
            return true;
    return false;
}

/* What waits is looked at with each tick: dates come to pass. */
static void
on_tick(uv_timer_t *timer)
{
    struct pairs *p = timer->data;

    if (p->spool != NULL) {
        watch_verify(p->spool->watch);
        on_spool(&p->spool->poll, 0, UV_READABLE);
    }
    if (++p->ticks % SWEEP_TICKS == 0 || is_any_waiting(p))
        look_in(p, 0);
}

/* ---- what the master tells --------------------------------------------------------------- */

void
pairs_follow(struct pairs *p, const struct release *release)
{
    drop_going(p);
    forget_known(p);
    close_spool(p);
    free(p->waiting);
    p->row_count = pair_row_count(release_config(release));
    p->waiting = calloc(p->row_count + 1, sizeof(*p->waiting));
    p->release = p->waiting == NULL ? NULL : release;
    if (p->waiting == NULL)
        log_error("certificates on disk are not followed: no memory");
    p->retry_ms = 0;
    look_in(p, LOOK_DELAY_MS);
}

void
pairs_swapped(struct pairs *p, const struct release *release, bool is_committed,
    const char *why)
{
    p->release = release;
    if (is_committed && p->going != NULL) {
        say_taken(p->going, release->id);
        for (size_t i = 0; i < p->going->count; i++)
            if (p->going->rows[i].verdict == PAIR_TAKEN)
                p->waiting[i].verdict = PAIR_STAYS;
        p->retry_ms = 0;
    } else {
        p->retry_ms = now_boot_ms() + RETRY_MS;
        log_error("certificate not replaced, the old pair stays",
            LOG_S("error", why));
    }
    drop_going(p);
    look_in(p, LOOK_DELAY_MS);
}

void
pairs_resume(struct pairs *p)
{
    look_in(p, LOOK_DELAY_MS);
}

void
pairs_stop(struct pairs *p)
{
    p->release = NULL;
    (void)uv_timer_stop(&p->look_timer);
    (void)uv_timer_stop(&p->tick);
}

/* ---- life ----------------------------------------------------------------------------------- */

struct pairs *
pairs_new(uv_loop_t *loop, const struct pairs_events *events, void *ctx)
{
    struct pairs *p = calloc(1, sizeof(*p));
    struct err err;

    if (p == NULL)
        return NULL;
    p->events = events;
    p->ctx = ctx;
    p->loop = loop;
    (void)uv_timer_init(loop, &p->look_timer);
    (void)uv_timer_init(loop, &p->tick);
    p->look_timer.data = p;
    p->tick.data = p;
    (void)uv_timer_start(&p->tick, on_tick, TICK_MS, TICK_MS);
    p->watch = file_watch_new(&err);
    if (p->watch != NULL &&
        uv_poll_init(loop, &p->poll, file_watch_fd(p->watch)) != 0) {
        file_watch_free(p->watch);
        p->watch = NULL;
    }
    if (p->watch != NULL) {
        p->poll.data = p;
        (void)uv_poll_start(&p->poll, UV_READABLE, on_files);
    }
    return p;
}

void
pairs_close(struct pairs *p)
{
    if (p == NULL)
        return;
    close_spool(p);
    uv_close((uv_handle_t *)&p->look_timer, NULL);
    uv_close((uv_handle_t *)&p->tick, NULL);
    if (p->watch != NULL)
        uv_close((uv_handle_t *)&p->poll, NULL);
}

void
pairs_free(struct pairs *p)
{
    if (p == NULL)
        return;
    drop_going(p);
    forget_known(p);
    file_watch_free(p->watch);
    free(p->waiting);
    free(p);
}
