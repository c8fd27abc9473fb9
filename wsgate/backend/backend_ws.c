/*
 * The handshake of a WebSocket with a server of the pool.
 * Input: the client's upgrade request; the server's bytes.
 * Output: after a right 101 the stream itself; any other answer as events.
 */
#include "wsgate/backend/backend.h"

#include "wsgate/backend/backend_reply.h"
#include "wsgate/http/http_write.h"
#include "wsgate/http/ws_upgrade.h"

#include <stdlib.h>

enum {
    WS_HEAD_OUT_MAX = 2 * 1024 * 1024 /* ours: twice the largest header_size */
};

struct ws_call {
    struct backend_core core; /* first */
    struct backend_link link;
    struct backend_reply reply;
};

static struct ws_call *
call_of(struct backend_core *core)
{
    return (struct ws_call *)(void *)core;
}

static void
fail(struct ws_call *call, enum backend_failure why, struct err *err)
{
    (void)err_context(err, "%s", backend_link_server(&call->link));
    backend_link_close(&call->link);
    backend_core_fail(&call->core, why, err);
}

static void
on_open(struct backend_core *core)
{
    struct ws_call *call = call_of(core);
    struct http_framing none = {HTTP_BODY_NONE, 0};
    struct err err;
    struct buf out;
    bool ok;

    buf_init(&out, WS_HEAD_OUT_MAX);
    ok = http_write_request(
        &out, core->request.head, core->request.peer, &none, true, true);
    if (ok)
        backend_link_write(&call->link, buf_span(&out));
    buf_fini(&out);
    if (ok) {
        backend_link_await(&call->link);
        return;
    }
    (void)err_memory(&err);
    fail(call, BACKEND_FAILED_INTERNAL, &err);
}

/* RFC 6455 4.1: only a right answer opens the tunnel. What came behind the 101
 * in the same read is the tunnel's already. */
static void
upgraded(struct ws_call *call, struct span rest)
{
    const struct http_response *head = http_parser_response(call->reply.parser);
    struct stream *stream;
    struct err err;

    if (!ws_upgrade_check_response(call->core.request.head, head, &err)) {
        fail(call, BACKEND_FAILED_PROTOCOL, &err);
        return;
    }
    stream = backend_link_take(&call->link);
    stream_pause(stream);
    backend_core_upgraded(&call->core, head, stream, rest);
}

/* Until a server has answered, the next one is asked: an upgrade is a GET. */
static void
lost(struct ws_call *call, enum backend_failure why, const struct err *reason)
{
    struct backend_core *core = &call->core;
    struct err err = *reason;
    bool again = why == BACKEND_FAILED_PROTOCOL && !call->reply.is_begun;

    backend_link_close(&call->link);
    if (again) {
        backend_pick_failed(call->link.server, uv_now(core->env.net->uv));
        if (backend_link_open(&call->link, false, &err))
            return;
    }
    backend_core_fail(core, why, &err);
}

static void
complete(struct ws_call *call)
{
    backend_link_close(&call->link);
    backend_core_end(&call->core, http_parser_trailers(call->reply.parser));
}

static size_t
on_data(struct backend_core *core, struct span in)
{
    struct ws_call *call = call_of(core);
    struct err err;
    size_t used;

    switch (backend_reply_feed(&call->reply, in, &used, &err)) {
    case BACKEND_REPLY_MORE:
        break;
    case BACKEND_REPLY_DONE:
        complete(call);
        break;
    case BACKEND_REPLY_UPGRADED:
        upgraded(call, span_from(in, used));
        break;
    case BACKEND_REPLY_BROKEN:
        fail(call, BACKEND_FAILED_PROTOCOL, &err);
        break;
    }
    return used;
}

static void
on_eof(struct backend_core *core)
{
    struct ws_call *call = call_of(core);
    struct err err;

    if (backend_reply_eof(&call->reply, &err) == BACKEND_REPLY_DONE) {
        complete(call);
        return;
    }
    (void)err_context(&err, "%s", backend_link_server(&call->link));
    lost(call, BACKEND_FAILED_PROTOCOL, &err);
}

/* The head is all we send: nobody waits for room. */
static void
on_drain(struct backend_core *core)
{
    (void)core;
}

static void
on_link_fail(
    struct backend_core *core, enum backend_failure why, const struct err *err)
{
    lost(call_of(core), why, err);
}

static const struct backend_link_events ws_link_events = {
    .on_open = on_open,
    .on_data = on_data,
    .on_eof = on_eof,
    .on_drain = on_drain,
    .on_fail = on_link_fail,
};

/* A handshake has no body; the client's first frames wait with the client. */
static bool
ws_send(struct backend_call *base, struct span bytes)
{
    (void)base;
    (void)bytes;
    return true;
}

static void
ws_finish(struct backend_call *base)
{
    (void)base;
}

static void
ws_pause(struct backend_call *base)
{
    backend_link_pause(&call_of(backend_core_of(base))->link);
}

static void
ws_resume(struct backend_call *base)
{
    backend_link_resume(&call_of(backend_core_of(base))->link);
}

static void
ws_release(struct backend_call *base)
{
    struct ws_call *call = call_of(backend_core_of(base));

    backend_link_close(&call->link);
    backend_core_release(&call->core);
}

static const char *
ws_server(const struct backend_call *base)
{
    return backend_link_server(
        &((const struct ws_call *)(const void *)base)->link);
}

static const struct backend_ops ws_ops = {
    .send = ws_send,
    .finish = ws_finish,
    .pause = ws_pause,
    .resume = ws_resume,
    .release = ws_release,
    .server = ws_server,
};

static void
ws_free(struct backend_core *core)
{
    backend_reply_fini(&call_of(core)->reply);
    free(call_of(core));
}

struct backend_call *
backend_ws_start(const struct backend_env *env,
    const struct backend_request *request, const struct backend_events *events,
    void *ctx)
{
    struct ws_call *call = calloc(1, sizeof(*call));

    if (call == NULL)
        return NULL;
    backend_core_init(&call->core, &ws_ops, env, request, events, ctx, ws_free);
    backend_link_init(&call->link, &call->core,
        &request->location->websocket.up, &ws_link_events);
    if (!backend_reply_init(&call->reply, &call->link, true)) {
        free(call);
        return NULL;
    }
    backend_core_pin(&call->core);
    backend_link_start(&call->link, false);
    backend_core_unpin(&call->core);
    return &call->core.call;
}
