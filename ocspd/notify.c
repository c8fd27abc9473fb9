/*
 * The outputs of `publish:` brought up to date, each for itself.
 * Input: what each should have, what each has. Output: tasks in worker threads,
 * touches, log lines.
 */
#include "ocspd/notify_private.h"

#include "shared/log.h"
#include "shared/now.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* ours: libuv has four threads; files have one of them, and the spool
     * always finds another */
    SOCKET_TASKS_MAX = 2,
    FILES_MAX = 64, /* ours: written in one go, less than a second */
    STALE_PAUSE_MS = 500, /* newer bytes are on their way */
    STALE_MAX = 3, /* ours: so often; then they are somebody else's */
};

/* One step on its way through a worker thread. */
struct job {
    uv_work_t work;
    struct notify *notify;
    struct output *output;
    struct lane *lane; /* NULL: a file */
    struct job *next; /* the file written after this one */
    unsigned form; /* of the output */
    struct content content;
    struct notify_task task;
};

/* ---- lines -------------------------------------------------------------- */

static void
log_step(enum log_level level, const char *event, const struct output *output,
    const struct notify_task *task, struct log_field last)
{
    LOG_AT(level, event, LOG_S("type", publish_kind_words[output->word]),
        LOG_S(task->label != NULL ? "target" : NULL, task->label),
        LOG_S(output->file != NULL ? "file" : NULL, output->file), last);
}

static void
failed(struct output *output, struct notify_trouble *trouble,
    const struct notify_task *task)
{
    if (notify_trouble_failed(trouble))
        log_step(LOG_LEVEL_ERROR, "cannot publish, trying again", output, task,
            LOG_ERR(&task->err));
}

static void
works(struct output *output, struct notify_trouble *trouble,
    const struct notify_task *task)
{
    int64_t lasted = notify_trouble_over(trouble);

    if (lasted >= 0)
        log_step(LOG_LEVEL_INFO, "published again", output, task,
            LOG_I("after_s", lasted));
}

/* ---- what came of a step ------------------------------------------------ */

static void
want_mark(struct notify *notify, const struct output *output, bool is_urgent)
{
    if (output->changed != NULL &&
        !notify_marks_want(notify->marks, output->changed, is_urgent))
        log_error("no memory to tell that a response changed",
            LOG_S("changed", output->changed));
}

/* Would whoever reads it serve what it had beyond its end, were it told at the
 * end of a long interval? */
static bool
must_tell_soon(const struct notify *notify, const struct output *output)
{
    int64_t interval_s = notify_marks_interval_ms(notify->marks) / 1000;

    return !output->is_known ||
           (output->has.fp[0] != '\0' &&
               output->has.ends_at - now_wall() < interval_s);
}

static void
note_applied(struct job *job)
{
    struct output *output = job->output;
    bool is_urgent;

    works(output, &output->writing, &job->task);
    if (job->form != output->form)
        return; /* its row changed meanwhile */
    if (output->is_known ? output->has.fp[0] != '\0' &&
                               strcmp(output->has.fp, job->content.fp) != 0
                         : job->task.is_changed) {
        memcpy(output->left_fp, output->has.fp, sizeof(output->left_fp));
        output->left_ms = now_boot_ms();
    }
    is_urgent =
        job->content.fp[0] == '\0' || must_tell_soon(job->notify, output);
    output->has = job->content;
    output->is_known = true;
    if (!job->task.is_changed)
        return;
    log_step(LOG_LEVEL_INFO,
        job->content.fp[0] != '\0' ? "published" : "withdrawn", output,
        &job->task,
        LOG_S(job->content.fp[0] != '\0' ? "fp" : NULL, job->content.fp));
    want_mark(job->notify, output, is_urgent);
}

static void
found_stale(struct job *job)
{
    struct output *output = job->output;

    output->wait_ms = now_boot_ms() + STALE_PAUSE_MS;
    output->stale++;
    if (output->stale % STALE_MAX == 0)
        memcpy(job->notify->stranger, job->content.fp,
            sizeof(job->notify->stranger));
}

static void
end_apply(struct job *job)
{
    struct output *output = job->output;

    if (job->task.end != NOTIFY_STALE)
        output->stale = 0;
    switch (job->task.end) {
    case NOTIFY_DONE:
        note_applied(job);
        break;
    case NOTIFY_FAILED:
        failed(output, &output->writing, &job->task);
        if (job->task.is_changed)
            want_mark(job->notify, output, true);
        break;
    case NOTIFY_STALE:
        found_stale(job);
        break;
    }
}

/* Nobody there, or nobody who answers: that is the socket's trouble, and not
 * each certificate's. */
static void
note_socket(struct job *job)
{
    struct lane *lane = job->lane;
    const struct err *err = &job->task.err;
    bool is_dead = job->task.end == NOTIFY_FAILED &&
                   (err->kind == ERR_SYSTEM || err->kind == ERR_TIMEOUT);
    int64_t lasted;

    if (is_dead) {
        if (notify_trouble_failed(&lane->trouble))
            log_error("socket does not answer, trying again",
                LOG_S("socket", lane->socket), LOG_ERR(err));
        return;
    }
    lasted = notify_trouble_over(&lane->trouble);
    if (lasted >= 0)
        log_info("socket answers again", LOG_S("socket", lane->socket),
            LOG_I("after_s", lasted));
    if (job->task.end == NOTIFY_FAILED)
        failed(job->output, &job->output->telling, &job->task);
}

static void
end_tell(struct job *job)
{
    struct output *output = job->output;

    job->notify->socket_tasks--;
    job->lane->is_busy = false;
    if (job->task.end == NOTIFY_STALE)
        found_stale(job);
    else
        note_socket(job);
    if (job->task.end != NOTIFY_DONE)
        return;
    works(output, &output->telling, &job->task);
    if (job->form == output->form)
        memcpy(output->told, job->content.digest, sizeof(output->told));
    log_step(LOG_LEVEL_INFO, "taken by the server", output, &job->task,
        LOG_S("socket", job->lane->socket));
}

/* ---- a step ------------------------------------------------------------- */

static void
on_tell_work(uv_work_t *work)
{
    struct job *job = work->data;

    job->task.kind->tell(&job->task);
}

static void
on_files_work(uv_work_t *work)
{
    struct job *job;

    for (job = work->data; job != NULL; job = job->next)
        job->task.kind->apply(&job->task);
}

static void
job_free(struct job *job)
{
    notify_task_fini(&job->task);
    free(job);
}

static void
on_told(uv_work_t *work, int status)
{
    struct job *job = work->data;

    (void)status; /* never cancelled */
    job->output->is_busy = false;
    end_tell(job);
    job->notify->changed(job->notify->ctx);
    job_free(job);
}

static void
on_files_written(uv_work_t *work, int status)
{
    struct job *job = work->data, *next;
    struct notify *notify = job->notify;

    (void)status; /* never cancelled */
    notify->is_writing = false;
    for (; job != NULL; job = next) {
        next = job->next;
        job->output->is_busy = false;
        end_apply(job);
        job_free(job);
    }
    notify->changed(notify->ctx);
}

static bool
copy_text(char **to, const char *from)
{
    *to = from == NULL ? NULL : strdup(from);
    return from == NULL || *to != NULL;
}

static bool
copy_bytes(struct notify_task *task, struct span der)
{
    if (der.len == 0)
        return true;
    task->der = malloc(der.len);
    if (task->der == NULL)
        return false;
    memcpy(task->der, der.data, der.len);
    task->der_len = der.len;
    return true;
}

static bool
make_mark(struct notify_task *task, const struct notify *notify,
    const struct output *output)
{
    return output->changed == NULL ||
           asprintf(&task->mark, "%s/%s", notify_marks_dir(notify->marks),
               output->changed) >= 0 ||
           (task->mark = NULL, false);
}

static struct job *
job_new(struct notify *notify, struct output *output,
    const struct notify_offer *offer, const struct content *content)
{
    struct job *job = calloc(1, sizeof(*job));
    struct notify_task *task;

    if (job == NULL)
        return NULL;
    job->notify = notify;
    job->output = output;
    job->form = output->form;
    job->content = *content;
    job->work.data = job;
    task = &job->task;
    task->kind = output->kind;
    task->mode = output->mode;
    task->ends_at = content->ends_at;
    task->is_first = !output->is_known;
    memcpy(task->fp, content->fp, sizeof(task->fp));
    memcpy(task->digest, content->digest, sizeof(task->digest));
    if (copy_text(&task->file, output->file) &&
        copy_text(&task->socket, output->socket) &&
        copy_text(&task->spool, notify->spool) &&
        copy_text(&task->label, offer != NULL ? offer->label : NULL) &&
        make_mark(task, notify, output) &&
        (content->fp[0] == '\0' || offer == NULL ||
            copy_bytes(task, offer->der)))
        return job;
    job_free(job);
    return NULL;
}

/* No memory: later. */
static struct job *
begin(struct notify *notify, struct output *output,
    const struct notify_offer *offer, const struct content *content)
{
    struct job *job = job_new(notify, output, offer, content);

    if (job == NULL)
        output->wait_ms = now_boot_ms() + NOTIFY_STUCK_MS;
    else
        output->is_busy = true;
    return job;
}

/* ---- what is due -------------------------------------------------------- */

struct round_of_outputs {
    int64_t now;
    int64_t now_ms;
    int64_t next_ms; /* 0: none */
    struct job *files; /* to be written */
    struct job **last;
    unsigned file_count;
};

/* Not yet: remembered when. */
static bool
must_wait(struct round_of_outputs *round, int64_t until_ms)
{
    if (until_ms <= round->now_ms)
        return false;
    if (round->next_ms == 0 || until_ms < round->next_ms)
        round->next_ms = until_ms;
    return true;
}

static struct lane *
need_lane(struct notify *notify, const char *socket)
{
    struct lane *lane = NULL;

    HASH_FIND_STR(notify->lanes, socket, lane);
    if (lane != NULL)
        return lane;
    lane = calloc(1, sizeof(*lane));
    if (lane == NULL || (lane->socket = strdup(socket)) == NULL) {
        free(lane);
        return NULL;
    }
    HASH_ADD_KEYPTR(hh, notify->lanes, lane->socket, strlen(socket), lane);
    return lane;
}

static void
warn_of_short_life(const struct output *output, const struct content *content,
    const struct notify_offer *offer, int64_t now)
{
    if (output->told[0] != '\0' || output->kind->least_life_s == 0 ||
        offer->life_end - now > output->kind->least_life_s)
        return;
    log_warn("the server staples nothing in the last minutes of a response",
        LOG_S("type", publish_kind_words[output->word]),
        LOG_S("file", output->file), LOG_S("fp", content->fp),
        LOG_I("left_s", offer->life_end - now),
        LOG_I("needs_s", output->kind->least_life_s));
}

static void
tell(struct notify *notify, struct output *output,
    const struct notify_offer *offer, const struct content *content,
    struct round_of_outputs *round)
{
    struct lane *lane;
    struct job *job;

    if (output->kind->tell == NULL || output->socket == NULL ||
        strcmp(output->told, content->digest) == 0)
        return;
    lane = need_lane(notify, output->socket);
    if (lane == NULL || lane->is_busy ||
        notify->socket_tasks >= SOCKET_TASKS_MAX ||
        must_wait(round, lane->trouble.retry_ms) ||
        must_wait(round, output->telling.retry_ms))
        return;
    warn_of_short_life(output, content, offer, round->now);
    job = begin(notify, output, offer, content);
    if (job == NULL)
        return;
    job->lane = lane;
    lane->is_busy = true;
    notify->socket_tasks++;
    (void)uv_queue_work(notify->loop, &job->work, on_tell_work, on_told);
}

/* Into the next go. */
static void
write_file(struct notify *notify, struct output *output,
    const struct notify_offer *offer, const struct content *content,
    struct round_of_outputs *round)
{
    struct job *job;

    if (notify->is_writing || round->file_count == FILES_MAX)
        return;
    job = begin(notify, output, offer, content);
    if (job == NULL)
        return;
    *round->last = job;
    round->last = &job->next;
    round->file_count++;
}

static void
start_files(struct notify *notify, struct round_of_outputs *round)
{
    if (round->files == NULL)
        return;
    notify->is_writing = true;
    (void)uv_queue_work(
        notify->loop, &round->files->work, on_files_work, on_files_written);
}

static bool
is_same(const struct content *a, const struct content *b)
{
    return strcmp(a->fp, b->fp) == 0 && strcmp(a->digest, b->digest) == 0;
}

/* Its row is gone, and so is what had to go. Without its certificate alone it
 * stays: the next scan would ask for it anew. */
static bool
is_finished(const struct output *output)
{
    if (output->is_busy || !output->is_dropped)
        return false;
    return output->kind->pace != NOTIFY_BEFORE_SPOOL ||
           (output->is_known && output->has.fp[0] == '\0');
}

/* A socket is told also when the file cannot be written. */
static void
tend_output(struct notify *notify, struct output *output,
    struct round_of_outputs *round)
{
    const struct notify_offer *offer =
        output->is_dropped || output->is_orphan ? NULL : notify_choose(output);
    struct content content;
    enum notify_wish wish = notify_wish(output, offer, round->now, &content);
    bool is_due;

    if (is_finished(output))
        return;
    if (content.ends_at > round->now)
        (void)must_wait(
            round, round->now_ms + (content.ends_at - round->now) * 1000);
    if (output->is_busy || wish == WISH_AS_IS ||
        must_wait(round, output->wait_ms))
        return;
    is_due = (!output->is_known || !is_same(&output->has, &content)) &&
             !must_wait(round, output->writing.retry_ms);
    if (is_due) {
        write_file(notify, output, offer, &content, round);
        return;
    }
    output->has.ends_at =
        is_same(&output->has, &content) ? content.ends_at : output->has.ends_at;
    if (wish == WISH_NONE)
        output->told[0] = '\0';
    else
        tell(notify, output, offer, &content, round);
}

static void
end_offers(struct notify *notify)
{
    struct source *source, *after;
    struct output *output, *next;

    HASH_ITER(hh, notify->outputs, output, next)
    {
        output->has_old = false;
        if (is_finished(output))
            notify_drop(notify, output);
    }
    HASH_ITER(hh, notify->sources, source, after)
    {
        source->has_offer = false;
        if (list_is_empty(&source->outputs)) {
            HASH_DEL(notify->sources, source);
            free(source->path);
            free(source);
        }
    }
}

int64_t
notify_tend(struct notify *notify, int64_t now)
{
    struct round_of_outputs round = {.now = now, .now_ms = now_boot_ms()};
    struct output *output, *next;
    int64_t marks_ms;

    round.last = &round.files;
    HASH_ITER(hh, notify->outputs, output, next)
    tend_output(notify, output, &round);
    start_files(notify, &round);
    end_offers(notify);
    marks_ms = notify_marks_tend(notify->marks);
    if (marks_ms != 0)
        (void)must_wait(&round, marks_ms);
    return round.next_ms;
}

/* ---- life --------------------------------------------------------------- */

static void
on_mark(void *ctx)
{
    struct notify *notify = ctx;

    notify->changed(notify->ctx);
}

struct notify *
notify_new(uv_loop_t *loop, notify_changed *changed, void *ctx)
{
    struct notify *notify = calloc(1, sizeof(*notify));

    if (notify == NULL)
        return NULL;
    notify->loop = loop;
    notify->changed = changed;
    notify->ctx = ctx;
    notify->bind = NOTIFY_NEVER_BOUND;
    notify->marks = notify_marks_new(loop, on_mark, notify);
    if (notify->marks != NULL)
        return notify;
    free(notify);
    return NULL;
}

static void
free_lanes(struct notify *notify)
{
    struct lane *lane, *next;

    HASH_ITER(hh, notify->lanes, lane, next)
    {
        HASH_DEL(notify->lanes, lane);
        free(lane->socket);
        free(lane);
    }
}

/* Called between two turns of the loop, never from a callback. */
void
notify_free(struct notify *notify)
{
    struct output *output, *next;

    if (notify == NULL)
        return;
    while (notify->is_writing || notify->socket_tasks > 0)
        (void)uv_run(notify->loop, UV_RUN_ONCE);
    notify_marks_free(notify->marks);
    notify->marks = NULL;
    HASH_ITER(hh, notify->outputs, output, next)
    notify_drop(notify, output);
    end_offers(notify);
    free_lanes(notify);
    free(notify->spool);
    free(notify);
}
