/*
 * One request and its response over FastCGI (role responder).
 * Input: the client's request, its body held back until it is whole; the
 * application's records. Output: records; the response as events.
 */
#include "wsgate/backend/backend.h"

#include "shared/log.h"
#include "wsgate/backend/backend_answer.h"
#include "wsgate/backend/backend_link.h"
#include "wsgate/backend/body_spool.h"
#include "wsgate/backend/cgi_head.h"
#include "wsgate/backend/fcgi_params.h"
#include "wsgate/backend/fcgi_record.h"

#include <stdlib.h>

enum {
    STDIN_PART = 32 * 1024, /* ours: two fit below the high mark */
    STDERR_LINE_MAX = 1024, /* ours: what a log line takes of it */
    STDERR_LINES_MAX = 32, /* ours: of a request, so that an application in a
                              loop does not fill the disk */
    STDERR_MAX = 16 * 1024 /* ours: bytes of a request, as above */
};

struct fcgi_call {
    struct backend_core core; /* first */
    struct backend_link link;
    struct net_task refusal; /* an answer of our own, at the turn's end */
    struct fcgi_script script;
    struct body_spool body;
    uint64_t body_sent;
    bool is_finished; /* the client's request is complete */
    bool is_stdin_done;
    struct fcgi_reader reader;
    struct buf head_bytes; /* until the head is whole */
    struct buf stderr_line;
    unsigned stderr_lines; /* logged */
    size_t stderr_len; /* taken for the log */
    uint64_t stderr_dropped; /* bytes beyond */
    struct http_response head;
    uint64_t body_left; /* HTTP_BODY_LENGTH: bytes to come */
};

static struct fcgi_call *
call_of(struct backend_core *core)
{
    return (struct fcgi_call *)(void *)core;
}

static void
fail(struct fcgi_call *call, enum backend_failure why, struct err *err)
{
    (void)err_context(err, "%s", backend_link_server(&call->link));
    backend_link_close(&call->link);
    backend_core_fail(&call->core, why, err);
}

/* ---- the request --------------------------------------------------------- */

static bool
write_stdin_part(struct fcgi_call *call, struct err *err)
{
    unsigned char part[STDIN_PART];
    struct buf out;
    size_t len;
    bool ok;

    if (!body_spool_read(
            &call->body, call->body_sent, part, sizeof(part), &len, err))
        return false;
    buf_init(&out, sizeof(part) + FCGI_HEADER_SIZE);
    /* At the end: len is 0, and the record ends the stream. */
    ok = fcgi_write_stream(&out, FCGI_STDIN, span_make(part, len));
    if (ok)
        backend_link_write(&call->link, buf_span(&out));
    buf_fini(&out);
    call->body_sent += len;
    call->is_stdin_done = len == 0;
    return ok || err_memory(err);
}

static void
pump_stdin(struct fcgi_call *call)
{
    struct err err;

    while (!call->is_stdin_done && backend_link_is_open(&call->link) &&
           backend_link_has_room(&call->link)) {
        if (write_stdin_part(call, &err))
            continue;
        backend_link_close(&call->link);
        (void)err_context(&err, "%s", backend_link_server(&call->link));
        backend_core_fail(&call->core, BACKEND_FAILED_INTERNAL, &err);
        return;
    }
}

static bool
write_head(struct fcgi_call *call)
{
    struct buf params;
    struct buf out;
    bool ok;

    buf_init(&params, FCGI_PARAMS_MAX);
    buf_init(&out, FCGI_PARAMS_MAX + 1024);
    ok = fcgi_params_write(
             &params, &call->core.request, &call->script, call->body.len) &&
         fcgi_write_begin(&out) &&
         fcgi_write_stream(&out, FCGI_PARAMS, buf_span(&params)) &&
         fcgi_write_stream(&out, FCGI_PARAMS, SPAN_EMPTY);
    if (ok)
        backend_link_write(&call->link, buf_span(&out));
    buf_fini(&params);
    buf_fini(&out);
    return ok;
}

static void
on_open(struct backend_core *core)
{
    struct fcgi_call *call = call_of(core);
    struct err err;

    if (!write_head(call)) {
        (void)err_set(&err, ERR_LIMIT, "request head: too large, or no memory");
        fail(call, BACKEND_FAILED_INTERNAL, &err);
        return;
    }
    backend_link_await(&call->link);
    pump_stdin(call);
}

static void
on_drain(struct backend_core *core)
{
    pump_stdin(call_of(core));
}

/* ---- stderr -------------------------------------------------------------- */

static void
log_stderr(struct fcgi_call *call)
{
    struct span line = span_trim(buf_span(&call->stderr_line));

    if (line.len > 0)
        log_warn("fastcgi stderr",
            LOG_S("server", backend_link_server(&call->link)),
            LOG_SPAN("script", buf_span(&call->script.name)),
            LOG_S("id", call->core.request.peer->request_id),
            LOG_SPAN("text", line));
    call->stderr_lines += line.len > 0 ? 1 : 0;
    buf_clear(&call->stderr_line);
}

/* No more comes: the last line, and how much is not in the log. */
static void
end_stderr(struct fcgi_call *call)
{
    log_stderr(call);
    if (call->stderr_dropped > 0)
        log_warn("fastcgi stderr is cut",
            LOG_S("server", backend_link_server(&call->link)),
            LOG_SPAN("script", buf_span(&call->script.name)),
            LOG_S("id", call->core.request.peer->request_id),
            LOG_I("dropped", call->stderr_dropped));
    call->stderr_dropped = 0;
}

static void
take_stderr_byte(struct fcgi_call *call, unsigned char c)
{
    call->stderr_len++;
    if (c == '\n' || c == '\r') {
        log_stderr(call);
        return;
    }
    if (call->stderr_line.len == STDERR_LINE_MAX)
        log_stderr(call);
    (void)buf_add_byte(&call->stderr_line, c); /* memory: it is only a log */
}

/* What the application says there is for the operator, never for the client. */
static void
take_stderr(struct fcgi_call *call, struct span bytes)
{
    size_t at = 0;

    while (at < bytes.len && call->stderr_len < STDERR_MAX &&
           call->stderr_lines < STDERR_LINES_MAX)
        take_stderr_byte(call, bytes.data[at++]);
    call->stderr_dropped += bytes.len - at;
}

/* ---- the response -------------------------------------------------------- */

static bool
take_body(struct fcgi_call *call, struct span bytes, struct err *err)
{
    switch (call->head.body) {
    case HTTP_BODY_NONE:
        return true; /* HEAD, 204, 304: a body is dropped */
    case HTTP_BODY_LENGTH:
        if (bytes.len > call->body_left)
            return err_set(err, ERR_FORMAT, "body longer than Content-Length");
        call->body_left -= bytes.len;
        break;
    case HTTP_BODY_CHUNKED:
    case HTTP_BODY_UNTIL_CLOSE:
        break;
    }
    backend_core_body(&call->core, bytes);
    return true;
}

/* Body bytes may follow the head in the same record. */
static bool
take_head(struct fcgi_call *call, struct span bytes, struct err *err)
{
    size_t before = call->head_bytes.len;
    struct span part = span_sub(bytes, 0, CGI_HEAD_MAX - before);
    size_t len;

    if (!buf_add(&call->head_bytes, part))
        return err_memory(err);
    len = cgi_head_find_end(buf_span(&call->head_bytes), before);
    if (len == 0)
        return call->head_bytes.len < CGI_HEAD_MAX ||
               err_set(err, ERR_LIMIT, "response head is too large");
    if (!cgi_head_parse(span_sub(buf_span(&call->head_bytes), 0, len),
            call->core.request.head->method, &call->head, err))
        return false;
    buf_fini(&call->head_bytes);
    call->body_left = call->head.length;
    backend_core_head(&call->core, &call->head);
    bytes = span_from(bytes, len - before);
    return bytes.len == 0 || take_body(call, bytes, err);
}

static bool
take_stdout(struct fcgi_call *call, struct span bytes, struct err *err)
{
    return call->core.has_head ? take_body(call, bytes, err)
                               : take_head(call, bytes, err);
}

static bool
is_whole(const struct fcgi_call *call)
{
    return call->core.has_head &&
           (call->head.body != HTTP_BODY_LENGTH || call->body_left == 0);
}

static bool
take_end(struct fcgi_call *call, struct err *err)
{
    if (call->reader.protocol_status != 0)
        return err_set(err, ERR_REJECTED, "application refused: %s",
            fcgi_protocol_word(call->reader.protocol_status));
    if (!call->core.has_head)
        return err_set(err, ERR_FORMAT, "ended without a response");
    if (!is_whole(call))
        return err_set(err, ERR_FORMAT, "body shorter than Content-Length");
    end_stderr(call);
    backend_link_close(&call->link);
    backend_core_end(&call->core, NULL);
    return true;
}

static bool
take_event(struct fcgi_call *call, enum fcgi_event event, struct span data,
    struct err *err)
{
    switch (event) {
    case FCGI_EVENT_MORE:
        return true;
    case FCGI_EVENT_STDOUT:
        backend_link_await(&call->link); /* it lives; stderr is no answer */
        return take_stdout(call, data, err);
    case FCGI_EVENT_STDERR:
        take_stderr(call, data);
        return true;
    case FCGI_EVENT_END:
        return take_end(call, err);
    case FCGI_EVENT_ERROR:
        return false;
    }
    return true;
}

static size_t
on_data(struct backend_core *core, struct span in)
{
    struct fcgi_call *call = call_of(core);
    size_t used = 0;
    struct err err;

    while (
        backend_core_is_live(core) && !call->link.is_paused && used < in.len) {
        struct span data = SPAN_EMPTY;
        size_t eaten;
        enum fcgi_event event =
            fcgi_read(&call->reader, span_from(in, used), &eaten, &data, &err);

        used += eaten;
        if (!take_event(call, event, data, &err)) {
            end_stderr(call);
            fail(call, BACKEND_FAILED_PROTOCOL, &err);
        }
    }
    return used;
}

/* Some applications close without an end record: enough when the length says
 * that nothing is missing. */
static void
on_eof(struct backend_core *core)
{
    struct fcgi_call *call = call_of(core);
    struct err err;

    end_stderr(call);
    if (is_whole(call) && call->head.body == HTTP_BODY_LENGTH) {
        backend_link_close(&call->link);
        backend_core_end(core, NULL);
        return;
    }
    (void)err_set(&err, ERR_FORMAT, "closed before the response was complete");
    fail(call, BACKEND_FAILED_PROTOCOL, &err);
}

/* Nothing is sent twice: a script may have run. */
static void
on_link_fail(
    struct backend_core *core, enum backend_failure why, const struct err *err)
{
    end_stderr(call_of(core));
    backend_core_fail(core, why, err);
}

static const struct backend_link_events fcgi_link_events = {
    .on_open = on_open,
    .on_data = on_data,
    .on_eof = on_eof,
    .on_drain = on_drain,
    .on_fail = on_link_fail,
};

/* ---- the interface ------------------------------------------------------- */

static bool
fcgi_send(struct backend_call *base, struct span bytes)
{
    struct fcgi_call *call = call_of(backend_core_of(base));
    struct err err;

    if (!backend_core_is_live(&call->core) || call->script.name.len == 0 ||
        call->is_finished)
        return true;
    if (body_spool_add(&call->body, bytes, &err))
        return true;
    call->is_finished = true; /* nobody is to be connected to any more */
    backend_core_fail_later(&call->core,
        err.kind == ERR_LIMIT ? BACKEND_FAILED_LIMIT : BACKEND_FAILED_INTERNAL,
        err.kind,
        err.kind == ERR_LIMIT ? "request body is larger than max_body"
                              : "request body cannot be buffered");
    return false;
}

/* No child of the application waits for a slow client. */
static void
fcgi_finish(struct backend_call *base)
{
    struct fcgi_call *call = call_of(backend_core_of(base));

    if (call->is_finished || !backend_core_is_live(&call->core) ||
        call->script.name.len == 0)
        return;
    call->is_finished = true;
    backend_core_pin(&call->core);
    backend_link_start(&call->link, false);
    backend_core_unpin(&call->core);
}

static void
fcgi_pause(struct backend_call *base)
{
    backend_link_pause(&call_of(backend_core_of(base))->link);
}

static void
fcgi_resume(struct backend_call *base)
{
    backend_link_resume(&call_of(backend_core_of(base))->link);
}

/* Closing tells the application that nobody wants the answer any more. */
static void
fcgi_release(struct backend_call *base)
{
    struct fcgi_call *call = call_of(backend_core_of(base));

    net_task_cancel(&call->refusal);
    end_stderr(call);
    backend_link_close(&call->link);
    backend_core_release(&call->core);
}

static const char *
fcgi_server(const struct backend_call *base)
{
    return backend_link_server(
        &((const struct fcgi_call *)(const void *)base)->link);
}

static const struct backend_ops fcgi_ops = {
    .send = fcgi_send,
    .finish = fcgi_finish,
    .pause = fcgi_pause,
    .resume = fcgi_resume,
    .release = fcgi_release,
    .server = fcgi_server,
};

static void
fcgi_free(struct backend_core *core)
{
    struct fcgi_call *call = call_of(core);

    fcgi_script_fini(&call->script);
    body_spool_fini(&call->body);
    buf_fini(&call->head_bytes);
    buf_fini(&call->stderr_line);
    http_response_fini(&call->head);
    free(call);
}

static void
on_refusal(struct net_task *task)
{
    struct fcgi_call *call = LIST_ENTRY(task, struct fcgi_call, refusal);

    backend_core_pin(&call->core);
    backend_answer_text(&call->core, &call->head, 404, NULL, NULL);
    backend_core_unpin(&call->core);
}

/* Without a name nothing is sent; the answer is our own. */
static void
find_script(struct fcgi_call *call)
{
    const struct gate_location *location = call->core.request.location;
    struct span path = call->core.request.head->path;

    if (!fcgi_script_find(location, path, &call->script, NULL)) {
        net_task_defer(call->core.env.net, &call->refusal);
        return;
    }
    if (!fcgi_script_is_trap(location->fastcgi.root, &call->script))
        return;
    fcgi_script_fini(&call->script);
    net_task_defer(call->core.env.net, &call->refusal);
}

struct backend_call *
backend_fastcgi_start(const struct backend_env *env,
    const struct backend_request *request, const struct backend_events *events,
    void *ctx)
{
    struct fcgi_call *call = calloc(1, sizeof(*call));

    if (call == NULL)
        return NULL;
    backend_core_init(
        &call->core, &fcgi_ops, env, request, events, ctx, fcgi_free);
    backend_link_init(&call->link, &call->core, &request->location->fastcgi.up,
        &fcgi_link_events);
    call->link.only_awaited = true;
    net_task_init(&call->refusal, on_refusal);
    body_spool_init(
        &call->body, request->max_body > 0 ? (uint64_t)request->max_body : 0);
    buf_init(&call->head_bytes, CGI_HEAD_MAX);
    buf_init(&call->stderr_line, STDERR_LINE_MAX);
    http_response_init(&call->head);
    find_script(call);
    return &call->core.call;
}
