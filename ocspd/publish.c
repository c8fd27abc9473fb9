/*
 * Accepted bytes -> spool, one batch at a time in a worker thread of libuv.
 * Input: changes queued by the cycle. Output: files, and a word per change.
 */
#include "ocspd/publish.h"

#include "shared/list.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PUBLISH_BATCH_MAX = 256 /* ours: one folder fsync for so many */ };

struct change {
    struct list node;
    char fp[CERT_FINGERPRINT_SIZE];
    unsigned char *der; /* NULL: none */
    size_t der_len;
    bool remove_der;
    bool is_retire;
    struct spool_meta meta;
    publish_done *done;
    void *ctx;
    bool ok; /* filled by the worker */
    bool changed;
    struct err err;
};

struct publish {
    uv_loop_t *loop;
    struct spool spool;
    uv_work_t work;
    struct list waiting; /* the loop's */
    struct list batch; /* the worker's while is_busy */
    bool is_busy;
    bool keeper;
};

static void
change_free(struct change *change)
{
    free(change->der);
    spool_meta_fini(&change->meta);
    free(change);
}

/* ---- in the worker ------------------------------------------------------ */

/* The .der before its side file: a consumer that finds the two apart ignores
 * the side file by its digest. */
static bool
apply(const struct spool *spool, struct change *change)
{
    struct err *err = &change->err;

    if (change->is_retire)
        return spool_remove(spool, change->fp, err);
    if (change->remove_der && !spool_remove_der(spool, change->fp, err))
        return false;
    if (change->der != NULL &&
        !spool_store(spool, change->fp, span_make(change->der, change->der_len),
            &change->changed, err))
        return false;
    return spool_store_meta(spool, change->fp, &change->meta, err);
}

static void
on_work(uv_work_t *work)
{
    struct publish *publish = work->data;
    struct err err;

    LIST_EACH(&publish->batch, it)
    {
        struct change *change = LIST_ENTRY(it, struct change, node);

        change->ok = apply(&publish->spool, change);
    }
    if (spool_sync(&publish->spool, &err))
        return;
    LIST_EACH(&publish->batch, it)
    {
        struct change *change = LIST_ENTRY(it, struct change, node);

        if (change->ok)
            change->err = err;
        change->ok = false;
    }
}

/* ---- on the loop -------------------------------------------------------- */

static void start_batch(struct publish *publish);

static void
on_worked(uv_work_t *work, int status)
{
    struct publish *publish = work->data;
    struct list done;

    (void)status; /* never cancelled */
    list_init(&done);
    LIST_EACH(&publish->batch, it)
    {
        list_remove(it);
        list_add_last(&done, it);
    }
    publish->is_busy = false;
    LIST_EACH(&done, it)
    {
        struct change *change = LIST_ENTRY(it, struct change, node);

        list_remove(it);
        if (change->done != NULL)
            change->done(change->ctx, change->fp, change->ok, change->changed,
                &change->err);
        change_free(change);
    }
    start_batch(publish);
}

/* The folder may have been replaced (a mount, an operator): a descriptor of
 * the old one would take our files out of everybody's sight. */
static void
follow_folder(struct publish *publish)
{
    struct stat by_fd, by_path;
    struct spool fresh;

    if (fstat(publish->spool.dirfd, &by_fd) == 0 &&
        stat(publish->spool.path, &by_path) == 0 &&
        by_fd.st_dev == by_path.st_dev && by_fd.st_ino == by_path.st_ino)
        return;
    if (!spool_open(&fresh, publish->spool.path, NULL))
        return; /* the batch fails and says why */
    if (publish->keeper)
        (void)spool_lock(&fresh, NULL);
    spool_close(&publish->spool);
    publish->spool = fresh;
}

static void
start_batch(struct publish *publish)
{
    int count = 0;

    if (publish->is_busy || list_is_empty(&publish->waiting))
        return;
    follow_folder(publish);
    LIST_EACH(&publish->waiting, it)
    {
        if (count++ == PUBLISH_BATCH_MAX)
            break;
        list_remove(it);
        list_add_last(&publish->batch, it);
    }
    publish->work.data = publish;
    publish->is_busy =
        uv_queue_work(publish->loop, &publish->work, on_work, on_worked) == 0;
}

struct publish *
publish_new(
    uv_loop_t *loop, const char *spool_path, bool keeper, struct err *err)
{
    struct publish *publish = calloc(1, sizeof(*publish));

    if (publish == NULL)
        return err_memory(err), NULL;
    if (!spool_open(&publish->spool, spool_path, err)) {
        free(publish);
        return NULL;
    }
    if (keeper && !spool_lock(&publish->spool, err)) {
        spool_close(&publish->spool);
        free(publish);
        return NULL;
    }
    publish->keeper = keeper;
    publish->loop = loop;
    list_init(&publish->waiting);
    list_init(&publish->batch);
    return publish;
}

/* Called between two turns of the loop, never from a callback. */
void
publish_free(struct publish *publish)
{
    if (publish == NULL)
        return;
    while (publish->is_busy)
        (void)uv_run(publish->loop, UV_RUN_ONCE);
    LIST_EACH(&publish->waiting, it)
    {
        list_remove(it);
        change_free(LIST_ENTRY(it, struct change, node));
    }
    spool_close(&publish->spool);
    free(publish);
}

static bool
copy_text(char **to, const char *from)
{
    if (from == NULL)
        return true;
    *to = strdup(from);
    return *to != NULL;
}

static const char *
status_word(const struct target *target)
{
    if (target->state.this_update == 0)
        return "none";
    return target->state.status == OCSP_CERT_REVOKED ? "revoked" : "good";
}

static void
fill_times(struct spool_meta *meta, const struct target *target)
{
    const struct target_state *state = &target->state;

    meta->this_update = state->this_update;
    meta->next_update = state->next_update;
    meta->life_end = state->life_end;
    meta->fetched_at = state->fetched_at;
    meta->last_attempt = state->last_attempt;
    meta->next_attempt = state->next_attempt;
    meta->failures = state->failures;
    meta->not_after = target->not_after;
    meta->replaced_at = state->replaced_at;
    meta->revoked_at = state->revoked_at;
    meta->revoked_reason = state->revoked_reason;
    meta->must_staple = target->must_staple;
}

/* Which bytes the side file speaks of: the new ones, none, or those there. */
static bool
fill_digest(struct change *change, const struct target *target)
{
    char digest[65];

    if (change->remove_der)
        return true;
    if (change->der == NULL)
        return copy_text(&change->meta.der_sha256,
            target->state.der_sha256[0] ? target->state.der_sha256 : NULL);
    spool_digest(span_make(change->der, change->der_len), digest);
    return copy_text(&change->meta.der_sha256, digest);
}

static bool
fill_change(struct change *change, const struct target *target, struct span der,
    const char *source, const char *error)
{
    struct spool_meta *meta = &change->meta;
    enum verdict last = target->state.last_verdict;

    if (der.len > 0) {
        change->der = malloc(der.len);
        if (change->der == NULL)
            return false;
        memcpy(change->der, der.data, der.len);
        change->der_len = der.len;
    }
    fill_times(meta, target);
    return fill_digest(change, target) &&
           copy_text(&meta->label, target->label) &&
           copy_text(&meta->cert_path, target->path) &&
           copy_text(&meta->source, source) &&
           copy_text(&meta->status, status_word(target)) &&
           copy_text(&meta->last_error, error) &&
           copy_text(&meta->last_error_kind,
               error == NULL ? NULL : verdict_word(last));
}

static struct change *
change_new(const char *fp, publish_done *done, void *ctx)
{
    struct change *change = calloc(1, sizeof(*change));

    if (change == NULL)
        return NULL;
    list_init(&change->node);
    (void)span_to_cstr(span_str(fp), change->fp, sizeof(change->fp));
    change->done = done;
    change->ctx = ctx;
    return change;
}

bool
publish_change(struct publish *publish, const struct target *target,
    struct span der, bool remove_der, const char *source, const char *error,
    publish_done *done, void *ctx)
{
    struct change *change = change_new(target->fp, done, ctx);

    if (change == NULL)
        return false;
    change->remove_der = remove_der;
    if (!fill_change(change, target, der, source, error)) {
        change_free(change);
        return false;
    }
    list_add_last(&publish->waiting, &change->node);
    start_batch(publish);
    return true;
}

bool
publish_retire(
    struct publish *publish, const char *fp, publish_done *done, void *ctx)
{
    struct change *change = change_new(fp, done, ctx);

    if (change == NULL)
        return false;
    change->is_retire = true;
    list_add_last(&publish->waiting, &change->node);
    start_batch(publish);
    return true;
}

const struct spool *
publish_spool(const struct publish *publish)
{
    return &publish->spool;
}
