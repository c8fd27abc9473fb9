/*
 * The interface that each kind of backend implements: one call = one request
 * and its response. The caller pushes the request body, the call pushes the
 * response. Marks work in both directions.
 */
#ifndef WSGATE_BACKEND_BACKEND_H
#define WSGATE_BACKEND_BACKEND_H

#include "shared/err.h"
#include "shared/span.h"
#include "wsgate/gate_config.h"
#include "wsgate/http/http_headers.h"
#include "wsgate/http/http_message.h"
#include "wsgate/net/net_loop.h"
#include "wsgate/net/stream.h"

#include <stdbool.h>
#include <stdint.h>

struct idle_pool; /* kept-alive connections of a worker */
struct backend_pool; /* servers of one group and their health (backend_pick) */

/* Why there is no (whole) response. */
enum backend_failure {
    BACKEND_FAILED_CONNECT, /* 502 */
    BACKEND_FAILED_TIMEOUT, /* 504 */
    BACKEND_FAILED_PROTOCOL, /* 502: not HTTP, wrong Accept, closed early ... */
    BACKEND_FAILED_LIMIT, /* 413 when the body was too large to buffer */
    BACKEND_FAILED_INTERNAL /* 500 */
};
const char *backend_failure_word(enum backend_failure why);

/* No event comes from within backend_start(). After on_end, on_upgraded or
 * on_fail nothing more comes, and the caller still has to backend_release(). */
struct backend_events {
    /* 100..199 but 101; 100 itself is swallowed. */
    void (*on_interim)(void *ctx, const struct http_response *head);
    /* Head of the response; its `body` and `length` say what follows (HEAD and
     * 304: BODY_NONE). Borrowed until on_end. */
    void (*on_head)(void *ctx, const struct http_response *head);
    /* Takes it all (it writes to a stream); when the client lags it calls
     * backend_pause(). */
    void (*on_body)(void *ctx, struct span bytes);
    /* trailers may be NULL. */
    void (*on_end)(void *ctx, const struct http_fields *trailers);
    /* The request body may go on (after backend_send() answered false). */
    void (*on_writable)(void *ctx);
    /* A right 101: the stream is the callee's now (paused), `rest` are bytes
     * read beyond the 101, borrowed until the callback returns. */
    void (*on_upgraded)(void *ctx, const struct http_response *head,
        struct stream *stream, struct span rest);
    /* May come after on_head too: the response is cut then. */
    void (*on_fail)(void *ctx, enum backend_failure why, const struct err *err);
};

/* What a call may use; outlives it. */
struct backend_env {
    struct net_loop *net;
    struct idle_pool *idle;
};

struct backend_request {
    const struct http_request *head; /* borrowed until release */
    const struct http_peer *peer; /* borrowed until release */
    const struct gate_location *location; /* borrowed; the generation lives */
    struct backend_pool *pool; /* borrowed; NULL for files */
    int64_t max_body; /* bytes */
};

struct backend_call;
struct backend_ops {
    bool (*send)(struct backend_call *call, struct span bytes);
    void (*finish)(struct backend_call *call);
    void (*pause)(struct backend_call *call);
    void (*resume)(struct backend_call *call);
    void (*release)(struct backend_call *call);
    const char *(*server)(const struct backend_call *call);
};
struct backend_call {
    const struct backend_ops *ops;
    const struct backend_events *events;
    void *ctx;
};

/* One per kind; NULL: out of memory. */
struct backend_call *backend_http_start(const struct backend_env *env,
    const struct backend_request *request, const struct backend_events *events,
    void *ctx);
struct backend_call *backend_ws_start(const struct backend_env *env,
    const struct backend_request *request, const struct backend_events *events,
    void *ctx);
struct backend_call *backend_fastcgi_start(const struct backend_env *env,
    const struct backend_request *request, const struct backend_events *events,
    void *ctx);
struct backend_call *backend_files_start(const struct backend_env *env,
    const struct backend_request *request, const struct backend_events *events,
    void *ctx);

/* Body bytes; always taken. False: pause the client until on_writable. */
static inline bool
backend_send(struct backend_call *call, struct span bytes)
{
    return call->ops->send(call, bytes);
}
/* The request is complete (also when it has no body: then call it once). */
static inline void
backend_finish(struct backend_call *call)
{
    call->ops->finish(call);
}
static inline void
backend_pause(struct backend_call *call)
{
    call->ops->pause(call);
}
static inline void
backend_resume(struct backend_call *call)
{
    call->ops->resume(call);
}
/* Ends it, whatever it was doing: the connection is kept only when the
 * exchange is complete on both sides. */
static inline void
backend_release(struct backend_call *call)
{
    call->ops->release(call);
}
/* "127.0.0.1:9000", "unix:/run/x.sock", "files"; for the log. */
static inline const char *
backend_server(const struct backend_call *call)
{
    return call->ops->server(call);
}

#endif
