/*
 * A connection to one server of a pool, with retry and deadlines.
 * Input: a pool, the kept connections, what dial and the stream report.
 * Output: the events of one connection to the kind of backend that uses it.
 */
#include "wsgate/backend/backend_link.h"

#include "wsgate/backend/idle_pool.h"

static const struct stream_events link_stream_events;

static struct deadline_set *
deadlines(const struct backend_link *link)
{
    return &link->core->env.net->deadlines;
}

/* Written, but still here. */
static uint64_t
gone_now(const struct backend_link *link)
{
    uint64_t queued = stream_queued(link->stream);

    return queued > link->written ? 0 : link->written - queued;
}

static void
link_lost(
    struct backend_link *link, enum backend_failure why, const struct err *err)
{
    backend_link_close(link);
    link->events->on_fail(link->core, why, err);
}

/*
 * One deadline watches both directions: while bytes are queued they must move
 * within send_timeout, and once the answer is due something must come within
 * read_timeout. A client that is slow with its body is not the server's fault.
 */
static void
on_deadline(void *ctx)
{
    struct backend_link *link = ctx;
    struct backend_core *core = link->core;
    struct err err;

    if (link->stream == NULL)
        return;
    if (stream_queued(link->stream) > 0 && gone_now(link) > link->gone) {
        link->gone = gone_now(link);
        deadline_arm(
            deadlines(link), &link->deadline, link->up->send_timeout_ms);
        return;
    }
    if (stream_queued(link->stream) == 0 && (!link->awaits || link->is_paused))
        return; /* it is the client that everybody waits for */
    (void)err_set(&err, ERR_TIMEOUT, "%s: no %s in time",
        backend_link_server(link), link->awaits ? "answer" : "progress");
    backend_core_pin(core);
    link_lost(link, BACKEND_FAILED_TIMEOUT, &err);
    backend_core_unpin(core);
}

void
backend_link_init(struct backend_link *link, struct backend_core *core,
    const struct gate_upstream *up, const struct backend_link_events *events)
{
    *link = (struct backend_link){.core = core, .events = events, .up = up};
    deadline_init(&link->deadline, on_deadline, link);
}

static void
watch_answer(struct backend_link *link)
{
    if (link->awaits && !link->is_paused)
        deadline_arm(
            deadlines(link), &link->deadline, link->up->read_timeout_ms);
}

static void
attach(struct backend_link *link, struct stream *stream, bool is_reused)
{
    stream_set_owner(stream, &link_stream_events, link);
    link->stream = stream;
    link->is_reused = is_reused;
    link->awaits = false;
    link->written = 0;
    link->gone = 0;
    link->events->on_open(link->core);
    if (link->stream != NULL && !link->is_paused)
        stream_resume(link->stream);
}

static void
dial_failed(struct backend_link *link, const struct err *reason)
{
    struct err err = *reason;

    backend_pick_failed(link->server, uv_now(link->core->env.net->uv));
    if (err.kind == ERR_TIMEOUT)
        link->timed_out++;
    (void)err_context(&err, "%s", link->server->name);
    if (backend_link_open(link, false, &err))
        return;
    /* 504 only if time was all that was missing. */
    link->events->on_fail(link->core,
        link->timed_out == link->tried ? BACKEND_FAILED_TIMEOUT
                                       : BACKEND_FAILED_CONNECT,
        &err);
}

static void
on_dialled(void *ctx, struct stream *stream, const struct err *err)
{
    struct backend_link *link = ctx;
    struct backend_core *core = link->core;

    link->dial = NULL;
    backend_core_pin(core);
    if (stream == NULL) {
        dial_failed(link, err);
    } else {
        backend_pick_worked(link->server);
        attach(link, stream, false);
    }
    backend_core_unpin(core);
}

/* A kept connection to that server? */
static bool
attach_idle(struct backend_link *link)
{
    struct stream *stream =
        idle_pool_take(link->core->env.idle, link->server->name);

    if (stream == NULL)
        return false;
    attach(link, stream, true);
    return true;
}

bool
backend_link_open(struct backend_link *link, bool reuse, struct err *err)
{
    struct net_loop *net = link->core->env.net;
    struct backend_server *server =
        backend_pick(link->core->request.pool, link->tried, uv_now(net->uv));

    if (server == NULL)
        return false;
    link->server = server;
    if (reuse && link->core->env.idle != NULL && attach_idle(link))
        return true;
    link->tried++;
    link->dial = dial_start(
        net, &server->address, link->up->connect_timeout_ms, on_dialled, link);
    return link->dial != NULL || err_memory(err);
}

void
backend_link_start(struct backend_link *link, bool reuse)
{
    if (!backend_link_open(link, reuse, NULL))
        backend_core_fail_later(link->core, BACKEND_FAILED_CONNECT, ERR_SYSTEM,
            "no server to send to");
}

void
backend_link_write(struct backend_link *link, struct span bytes)
{
    if (link->stream == NULL || bytes.len == 0)
        return;
    link->written += bytes.len;
    stream_write(link->stream, bytes);
    if (link->stream == NULL || link->deadline.at_ms != 0)
        return;
    link->gone = gone_now(link);
    deadline_arm(deadlines(link), &link->deadline, link->up->send_timeout_ms);
}

void
backend_link_await(struct backend_link *link)
{
    link->awaits = true;
    if (link->stream != NULL)
        watch_answer(link);
}

void
backend_link_pause(struct backend_link *link)
{
    link->is_paused = true;
    deadline_clear(deadlines(link), &link->deadline);
    if (link->stream != NULL && !link->is_feeding)
        stream_pause(link->stream);
}

void
backend_link_resume(struct backend_link *link)
{
    struct backend_core *core = link->core;

    if (!link->is_paused)
        return;
    link->is_paused = false;
    if (link->stream == NULL)
        return;
    watch_answer(link);
    if (link->is_feeding)
        return;
    backend_core_pin(core);
    stream_resume(link->stream);
    backend_core_unpin(core);
}

bool
backend_link_has_room(const struct backend_link *link)
{
    return link->stream == NULL ||
           stream_queued(link->stream) <= STREAM_HIGH_MARK;
}

const char *
backend_link_server(const struct backend_link *link)
{
    return link->server == NULL ? "-" : link->server->name;
}

void
backend_link_close(struct backend_link *link)
{
    struct stream *stream = backend_link_take(link);

    if (link->dial != NULL)
        dial_cancel(link->dial);
    link->dial = NULL;
    stream_discard(stream);
}

void
backend_link_keep(struct backend_link *link)
{
    struct stream *stream = backend_link_take(link);

    if (stream == NULL)
        return;
    if (link->core->env.idle == NULL)
        stream_discard(stream);
    else
        idle_pool_put(link->core->env.idle, link->server->name, stream);
}

struct stream *
backend_link_take(struct backend_link *link)
{
    struct stream *stream = link->stream;

    deadline_clear(deadlines(link), &link->deadline);
    link->stream = NULL;
    link->awaits = false;
    if (stream != NULL)
        stream_set_owner(stream, &stream_no_owner, NULL);
    return stream;
}

/* ---- events of the stream ------------------------------------------------ */

static size_t
on_data(void *ctx, struct span in)
{
    struct backend_link *link = ctx;
    struct backend_core *core = link->core;
    size_t used;

    backend_core_pin(core);
    if (!link->only_awaited)
        watch_answer(link);
    link->is_feeding = true;
    used = link->events->on_data(core, in);
    link->is_feeding = false;
    if (link->stream == NULL)
        used = in.len; /* closed, kept or given away: nothing is left here */
    else if (link->is_paused)
        stream_pause(link->stream);
    backend_core_unpin(core);
    return used;
}

static void
on_eof(void *ctx)
{
    struct backend_core *core = ((struct backend_link *)ctx)->core;

    backend_core_pin(core);
    ((struct backend_link *)ctx)->events->on_eof(core);
    backend_core_unpin(core);
}

static void
on_drain(void *ctx)
{
    struct backend_core *core = ((struct backend_link *)ctx)->core;

    backend_core_pin(core);
    ((struct backend_link *)ctx)->events->on_drain(core);
    backend_core_unpin(core);
}

static void
on_error(void *ctx, const struct err *reason)
{
    struct backend_link *link = ctx;
    struct backend_core *core = link->core;
    struct err err = *reason;

    backend_core_pin(core);
    (void)err_context(&err, "%s", backend_link_server(link));
    link_lost(link, BACKEND_FAILED_PROTOCOL, &err);
    backend_core_unpin(core);
}

static const struct stream_events link_stream_events = {
    .on_data = on_data,
    .on_eof = on_eof,
    .on_drain = on_drain,
    .on_error = on_error,
};
