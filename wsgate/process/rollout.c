/*
 * Commit everywhere or nowhere.
 * Input: a release, and what workers answer. Output: messages to the workers;
 * one release in force; the end of each attempt.
 */
#include "wsgate/process/rollout.h"

#include "shared/log.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    COMMIT_TIMEOUT_MS = 30 * 1000 /* ours: then the attempt is off */
};

struct rollout {
    uv_loop_t *loop;
    rollout_ended *on_end;
    void *ctx;
    struct workforce *force; /* borrowed */
    struct ports *ports;
    struct release *current; /* NULL before the first commit */
    struct release *pending; /* NULL: nothing is under way */
    bool is_stopped;
    uv_timer_t timer;
};

/* ---- giving it to the workers --------------------------------------------------- */

static void
send_log(struct rollout *r, int slot, const struct release *release)
{
    (void)workforce_send(r->force, slot, CHANNEL_REOPEN, 0, SPAN_EMPTY,
        &release->log_fd, release->log_fd >= 0 ? 1 : 0);
}

static void
send_bundle(struct rollout *r, int slot, const struct release *release)
{
    (void)workforce_send(r->force, slot, CHANNEL_BUNDLE, release->id,
        SPAN_EMPTY, &release->bundle, 1);
}

static void
send_all(struct rollout *r, enum channel_type type, uint64_t id)
{
    for (int i = 0; i < workforce_slots(r->force); i++)
        if (workforce_is_up(r->force, i))
            (void)workforce_send(r->force, i, type, id, SPAN_EMPTY, NULL, 0);
}

static void
send_log_to_all(struct rollout *r, const struct release *release)
{
    for (int i = 0; i < workforce_slots(r->force); i++)
        if (workforce_is_up(r->force, i))
            send_log(r, i, release);
}

static void
send_port(void *ctx, int slot, const char *address, int fd)
{
    struct rollout *r = ctx;

    (void)workforce_send(r->force, slot, CHANNEL_LISTENERS, 0,
        span_make(address, strlen(address) + 1), &fd, 1);
}

static void
send_new_port(void *ctx, const char *address, const int *fds, int fd_count)
{
    struct rollout *r = ctx;

    for (int i = 0; i < workforce_slots(r->force); i++)
        if (workforce_is_up(r->force, i))
            send_port(r, i, address, fds[fd_count == 1 ? 0 : i]);
}

static void
send_old_port(void *ctx, const char *address, const int *fds, int fd_count)
{
    struct rollout *r = ctx;

    (void)fds;
    (void)fd_count;
    for (int i = 0; i < workforce_slots(r->force); i++)
        if (workforce_is_up(r->force, i))
            (void)workforce_send(r->force, i, CHANNEL_UNLISTEN, 0,
                span_make(address, strlen(address) + 1), NULL, 0);
}

/* A successor that still builds what is in force gets the pending one behind
 * it (on_ready): if that is called off, it has something to serve. */
void
rollout_send(struct rollout *r)
{
    for (int i = 0; i < workforce_slots(r->force); i++)
        if (workforce_is_up(r->force, i) &&
            (r->current == NULL || r->current->ready[i]))
            send_bundle(r, i, r->pending);
}

/* ---- its end ---------------------------------------------------------------- */

static void
commit(struct rollout *r)
{
    bool is_first = r->current == NULL;

    (void)uv_timer_stop(&r->timer);
    if (!is_first)
        send_log_to_all(r, r->pending);
    /* What waits at an address that goes is still the old one's to serve. */
    ports_drop_old(r->ports, send_old_port, r);
    send_all(r, CHANNEL_COMMIT, r->pending->id);
    ports_commit(r->ports, is_first ? NULL : send_new_port, r);
    release_free(r->current);
    r->current = r->pending;
    r->pending = NULL;
    r->on_end(r->ctx, true, "");
}

void
rollout_cancel(struct rollout *r, const char *why)
{
    if (r->pending == NULL)
        return;
    (void)uv_timer_stop(&r->timer);
    if (r->force != NULL)
        send_all(r, CHANNEL_ABORT, r->pending->id);
    ports_abort(r->ports);
    release_free(r->pending);
    r->pending = NULL;
    r->on_end(r->ctx, false, why);
}

static void
on_timeout(uv_timer_t *timer)
{
    rollout_cancel(timer->data, "workers did not get ready within 30 s");
}

/* A worker that is down will get the new one when it is back. */
static bool
everybody_is_ready(const struct rollout *r)
{
    int up = 0;

    for (int i = 0; i < workforce_slots(r->force); i++) {
        if (workforce_is_up(r->force, i) && !r->pending->ready[i])
            return false;
        up += workforce_is_up(r->force, i);
    }
    return up == workforce_slots(r->force) || (up > 0 && r->current != NULL);
}

/* ---- what workers say ----------------------------------------------------------- */

static void
on_hello(void *ctx, int slot)
{
    struct rollout *r = ctx;
    const struct release *release =
        r->current != NULL ? r->current : r->pending;

    if (release == NULL || r->is_stopped)
        return;
    ports_each(r->ports, slot, r->current == NULL, send_port, r);
    send_log(r, slot, release);
    send_bundle(r, slot, release);
}

/* To a worker that is through with what is in force. */
static void
send_missed(struct rollout *r, int slot)
{
    bool is_first = !r->current->ready[slot];

    r->current->ready[slot] = true;
    if (is_first && r->pending != NULL)
        send_bundle(r, slot, r->pending);
}

static void
on_ready(void *ctx, int slot, uint64_t id)
{
    struct rollout *r = ctx;

    if (r->is_stopped)
        return;
    if (r->pending != NULL && id == r->pending->id) {
        r->pending->ready[slot] = true;
        if (everybody_is_ready(r))
            commit(r);
    } else if (r->current != NULL && id == r->current->id) {
        (void)workforce_send(
            r->force, slot, CHANNEL_COMMIT, id, SPAN_EMPTY, NULL, 0);
        send_missed(r, slot);
    }
}

static void
on_failed(void *ctx, int slot, uint64_t id, const char *text)
{
    struct rollout *r = ctx;

    if (r->is_stopped)
        return;
    if (r->pending != NULL && id == r->pending->id) {
        rollout_cancel(r, text);
        return;
    }
    log_error("worker cannot use the configuration", LOG_I("slot", slot),
        LOG_S("error", text));
    if (r->current != NULL && id == r->current->id)
        send_missed(r, slot);
}

static void
on_lost(void *ctx, int slot)
{
    struct rollout *r = ctx;

    if (r->current != NULL)
        r->current->ready[slot] = false;
    if (r->is_stopped || r->pending == NULL)
        return;
    r->pending->ready[slot] = false;
    if (r->current == NULL)
        rollout_cancel(r, "a worker ended while starting");
    else if (everybody_is_ready(r))
        commit(r);
}

static void
on_all_gone(void *ctx)
{
    struct rollout *r = ctx;

    uv_stop(r->loop);
}

const struct workforce_events rollout_workforce_events = {
    .on_hello = on_hello,
    .on_ready = on_ready,
    .on_failed = on_failed,
    .on_lost = on_lost,
    .on_all_gone = on_all_gone,
};

/* ---- begin, log, stop ----------------------------------------------------------- */

bool
rollout_begin(
    struct rollout *r, struct release *release, int slots, struct err *err)
{
    bool ok;

    release->ready = calloc((size_t)slots, sizeof(*release->ready));
    ok = release->ready == NULL
             ? err_memory(err)
             : release_open_log(release, err) &&
                   ports_prepare(r->ports, release_config(release), slots, err);
    if (!ok) {
        release_free(release);
        return false;
    }
    r->pending = release;
    (void)uv_timer_start(&r->timer, on_timeout, COMMIT_TIMEOUT_MS, 0);
    return true;
}

static bool
reopen(struct release *release, struct err *err)
{
    int old = release->log_fd;

    release->log_fd = -1;
    if (!release_open_log(release, err)) {
        release->log_fd = old;
        return false;
    }
    if (old >= 0)
        (void)close(old);
    return true;
}

/* The pending one's, too: opened before the name was another file's. */
bool
rollout_reopen_log(struct rollout *r, struct err *err)
{
    if (r->current == NULL)
        return true;
    if (!reopen(r->current, err))
        return false;
    send_log_to_all(r, r->current);
    return r->pending == NULL || reopen(r->pending, err);
}

void
rollout_stop(struct rollout *r)
{
    r->is_stopped = true;
    rollout_cancel(r, "the service is stopping");
    ports_end(r->ports);
}

/* ---- life ----------------------------------------------------------------------- */

struct rollout *
rollout_new(uv_loop_t *loop, rollout_ended *on_end, void *ctx)
{
    struct rollout *r = calloc(1, sizeof(*r));

    if (r == NULL || (r->ports = ports_new()) == NULL) {
        free(r);
        return NULL;
    }
    r->loop = loop;
    r->on_end = on_end;
    r->ctx = ctx;
    (void)uv_timer_init(loop, &r->timer);
    r->timer.data = r;
    return r;
}

void
rollout_set_force(struct rollout *r, struct workforce *force)
{
    r->force = force;
}

void
rollout_close(struct rollout *r)
{
    if (r != NULL)
        uv_close((uv_handle_t *)&r->timer, NULL);
}

void
rollout_free(struct rollout *r)
{
    if (r == NULL)
        return;
    ports_free(r->ports);
    release_free(r->current);
    release_free(r->pending);
    free(r);
}

struct release *
rollout_current(const struct rollout *r)
{
    return r->current;
}

struct release *
rollout_pending(const struct rollout *r)
{
    return r->pending;
}
