/*
 * One request and its response over HTTP/1.1 to a server of the pool.
 * Input: the client's request, pushed; the server's bytes.
 * Output: the request, written anew, to the server; the response as events.
 */
#include "wsgate/backend/backend.h"

#include "wsgate/backend/backend_reply.h"
#include "wsgate/http/http_write.h"

#include <stdlib.h>

enum {
    HTTP_HEAD_OUT_MAX = 2 * 1024 * 1024, /* ours: twice the largest
                                            header_size */
    HTTP_EARLY_MAX = 4 * 1024 * 1024 /* ours: what a client that was told to
                                        pause may still have had in flight */
};

struct http_call {
    struct backend_core core; /* first */
    struct backend_link link;
    struct backend_reply reply;
    struct buf early; /* body bytes from before the connection stood */
    uint64_t body_len; /* bytes the client gave */
    bool is_finished; /* the request is complete */
    bool has_sent_body; /* a byte of the body was written: no second try */
    bool is_full; /* backend_send() answered false */
};

static struct http_call *
call_of(struct backend_core *core)
{
    return (struct http_call *)(void *)core;
}

static void
fail(struct http_call *call, enum backend_failure why, struct err *err)
{
    (void)err_context(err, "%s", backend_link_server(&call->link));
    backend_link_close(&call->link);
    backend_core_fail(&call->core, why, err);
}

/* ---- the request --------------------------------------------------------- */

static void
write_body(struct http_call *call, struct span bytes)
{
    struct buf head;

    if (bytes.len == 0)
        return; /* an empty chunk would be the last */
    call->has_sent_body = true;
    if (call->core.request.head->body != HTTP_BODY_CHUNKED) {
        backend_link_write(&call->link, bytes);
        return;
    }
    buf_init(&head, HTTP_CHUNK_HEAD_MAX);
    if (http_write_chunk_head(&head, bytes.len)) {
        backend_link_write(&call->link, buf_span(&head));
        backend_link_write(&call->link, bytes);
        backend_link_write(&call->link, SPAN_LIT("\r\n"));
    } else {
        /* The server must not take the rest for a whole body. */
        backend_link_close(&call->link);
        backend_core_fail_later(
            &call->core, BACKEND_FAILED_INTERNAL, ERR_MEMORY, "out of memory");
    }
    buf_fini(&head);
}

static void
write_end(struct http_call *call)
{
    if (call->core.request.head->body == HTTP_BODY_CHUNKED)
        backend_link_write(&call->link, SPAN_LIT("0\r\n\r\n"));
    backend_link_await(&call->link);
}

static bool
write_head(struct http_call *call)
{
    const struct backend_request *request = &call->core.request;
    struct http_framing framing = {request->head->body, request->head->length};
    struct buf out;
    bool ok;

    buf_init(&out, HTTP_HEAD_OUT_MAX);
    ok = http_write_request(
        &out, request->head, request->peer, &framing, false, true);
    if (ok)
        backend_link_write(&call->link, buf_span(&out));
    buf_fini(&out);
    return ok;
}

static void
on_open(struct backend_core *core)
{
    struct http_call *call = call_of(core);

    if (!write_head(call)) {
        backend_link_close(&call->link);
        backend_core_fail_later(core, BACKEND_FAILED_INTERNAL, ERR_MEMORY,
            "request head: out of memory");
        return;
    }
    write_body(call, buf_span(&call->early));
    buf_fini(&call->early);
    if (call->is_finished)
        write_end(call);
    if (call->is_full && backend_link_has_room(&call->link)) {
        call->is_full = false;
        backend_core_writable(core);
    }
}

static void
on_drain(struct backend_core *core)
{
    call_of(core)->is_full = false;
    backend_core_writable(core);
}

/* ---- the response -------------------------------------------------------- */

/* RFC 9110 9.2.2. A request of which the server saw all there was may have been
 * carried out, though its answer was lost. */
static bool
is_idempotent(enum http_method method)
{
    switch (method) {
    case HTTP_GET:
    case HTTP_HEAD:
    case HTTP_PUT:
    case HTTP_DELETE:
    case HTTP_OPTIONS:
    case HTTP_TRACE:
        return true;
    case HTTP_POST:
    case HTTP_PATCH:
    case HTTP_CONNECT:
    case HTTP_OTHER:
        return false;
    }
    return false;
}

/* The connection is lost. A kept one may have been closing already when we
 * wrote (RFC 9112 9.3.1): then once more on a new one. */
static void
lost(struct http_call *call, enum backend_failure why, const struct err *reason)
{
    struct err err = *reason;
    bool again = call->link.is_reused && !call->reply.is_begun &&
                 !call->has_sent_body && why == BACKEND_FAILED_PROTOCOL &&
                 is_idempotent(call->core.request.head->method);

    backend_link_close(&call->link);
    call->link.is_reused = false;
    if (again && backend_link_open(&call->link, false, &err))
        return;
    backend_core_fail(&call->core, why, &err);
}

/* A connection is kept only when nothing is left in it on either side. */
static void
complete(struct http_call *call, bool is_clean)
{
    const struct http_response *head = http_parser_response(call->reply.parser);

    if (is_clean && call->is_finished && head->keep_alive)
        backend_link_keep(&call->link);
    else
        backend_link_close(&call->link);
    backend_core_end(&call->core, http_parser_trailers(call->reply.parser));
}

static size_t
on_data(struct backend_core *core, struct span in)
{
    struct http_call *call = call_of(core);
    struct err err;
    size_t used;

    switch (backend_reply_feed(&call->reply, in, &used, &err)) {
    case BACKEND_REPLY_MORE:
        break;
    case BACKEND_REPLY_DONE:
        complete(call, used == in.len);
        break;
    case BACKEND_REPLY_UPGRADED: /* never: no upgrade was asked for */
    case BACKEND_REPLY_BROKEN:
        fail(call, BACKEND_FAILED_PROTOCOL, &err);
        break;
    }
    return used;
}

static void
on_eof(struct backend_core *core)
{
    struct http_call *call = call_of(core);
    struct err err;

    if (backend_reply_eof(&call->reply, &err) == BACKEND_REPLY_DONE) {
        complete(call, false);
        return;
    }
    (void)err_context(&err, "%s", backend_link_server(&call->link));
    lost(call, BACKEND_FAILED_PROTOCOL, &err);
}

static void
on_link_fail(
    struct backend_core *core, enum backend_failure why, const struct err *err)
{
    lost(call_of(core), why, err);
}

static const struct backend_link_events http_link_events = {
    .on_open = on_open,
    .on_data = on_data,
    .on_eof = on_eof,
    .on_drain = on_drain,
    .on_fail = on_link_fail,
};

/* ---- the interface ------------------------------------------------------- */

static bool
send_early(struct http_call *call, struct span bytes)
{
    if (!buf_add(&call->early, bytes)) {
        backend_link_close(&call->link);
        backend_core_fail_later(&call->core, BACKEND_FAILED_INTERNAL,
            ERR_MEMORY, "request body: out of memory");
        return false;
    }
    return call->early.len <= STREAM_HIGH_MARK;
}

static bool
http_send(struct backend_call *base, struct span bytes)
{
    struct http_call *call = call_of(backend_core_of(base));
    int64_t max = call->core.request.max_body;
    bool has_room;

    if (!backend_core_is_live(&call->core))
        return true;
    call->body_len += bytes.len;
    if (max > 0 && call->body_len > (uint64_t)max) {
        backend_link_close(&call->link);
        backend_core_fail_later(&call->core, BACKEND_FAILED_LIMIT, ERR_LIMIT,
            "request body is larger than max_body");
        return false;
    }
    if (backend_link_is_open(&call->link)) {
        write_body(call, bytes);
        has_room = backend_link_has_room(&call->link);
    } else {
        has_room = send_early(call, bytes);
    }
    call->is_full = !has_room;
    return has_room;
}

static void
http_finish(struct backend_call *base)
{
    struct http_call *call = call_of(backend_core_of(base));

    if (call->is_finished || !backend_core_is_live(&call->core))
        return;
    call->is_finished = true;
    if (backend_link_is_open(&call->link))
        write_end(call);
}

static void
http_pause(struct backend_call *base)
{
    backend_link_pause(&call_of(backend_core_of(base))->link);
}

static void
http_resume(struct backend_call *base)
{
    backend_link_resume(&call_of(backend_core_of(base))->link);
}

static void
http_release(struct backend_call *base)
{
    struct http_call *call = call_of(backend_core_of(base));

    backend_link_close(&call->link);
    backend_core_release(&call->core);
}

static const char *
http_server(const struct backend_call *base)
{
    return backend_link_server(
        &((const struct http_call *)(const void *)base)->link);
}

static const struct backend_ops http_ops = {
    .send = http_send,
    .finish = http_finish,
    .pause = http_pause,
    .resume = http_resume,
    .release = http_release,
    .server = http_server,
};

static void
http_free(struct backend_core *core)
{
    struct http_call *call = call_of(core);

    backend_reply_fini(&call->reply);
    buf_fini(&call->early);
    free(call);
}

struct backend_call *
backend_http_start(const struct backend_env *env,
    const struct backend_request *request, const struct backend_events *events,
    void *ctx)
{
    struct http_call *call = calloc(1, sizeof(*call));

    if (call == NULL)
        return NULL;
    backend_core_init(
        &call->core, &http_ops, env, request, events, ctx, http_free);
    backend_link_init(&call->link, &call->core, &request->location->proxy.up,
        &http_link_events);
    buf_init(&call->early, HTTP_EARLY_MAX);
    if (!backend_reply_init(&call->reply, &call->link, false)) {
        free(call);
        return NULL;
    }
    backend_core_pin(&call->core);
    backend_link_start(&call->link, true);
    backend_core_unpin(&call->core);
    return &call->core.call;
}
