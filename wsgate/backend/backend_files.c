/*
 * Files below a root: GET and HEAD.
 * Input: the client's request; files. Output: the response as events, at most
 * 64 KiB in one turn of the loop.
 */
#include "wsgate/backend/backend.h"

#include "shared/log.h"
#include "wsgate/backend/backend_answer.h"
#include "wsgate/backend/file_open.h"
#include "wsgate/backend/file_range.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    FILES_TURN = NET_BUFFER_SIZE,
    FILES_HEAD_ROOM = 1024 /* all fields but Location */
};

struct files_call {
    struct backend_core core; /* first */
    uv_idle_t idle; /* runs while there is something to do; a pin */
    uv_fs_t read; /* in the pool, when the cache has nothing; a pin */
    bool is_reading;
    bool is_begun; /* the head was given */
    bool is_paused;
    struct file_open file;
    char etag[64];
    uint64_t offset;
    uint64_t left;
    unsigned char *buffer; /* for reads in the pool; NULL between them */
    struct http_response head;
};

static struct files_call *
call_of(struct backend_core *core)
{
    return (struct files_call *)(void *)core;
}

/* ---- the head ------------------------------------------------------------ */

/* Time and size tell two versions apart; a compressed one is another
 * representation (RFC 9110 8.8.3). */
static struct file_version
describe(struct files_call *call)
{
    const struct stat *st = &call->file.st;

    (void)snprintf(call->etag, sizeof(call->etag), "\"%llx%08lx-%llx%s%s\"",
        (unsigned long long)st->st_mtim.tv_sec,
        (unsigned long)st->st_mtim.tv_nsec, (unsigned long long)st->st_size,
        call->file.encoding == NULL ? "" : "-",
        call->file.encoding == NULL ? "" : call->file.encoding);
    return (struct file_version){
        call->etag, st->st_mtim.tv_sec, (uint64_t)st->st_size};
}

static bool
add_validators(struct files_call *call, const struct file_version *version)
{
    struct http_response *head = &call->head;
    bool varies = call->core.request.location->files.precompressed.count > 0;
    char date[30];

    http_date_write(version->modified_at, date);
    return backend_answer_field(head, "ETag", "%s", version->etag) &&
           backend_answer_field(head, "Last-Modified", "%s", date) &&
           (!varies ||
               backend_answer_field(head, "Vary", "%s", "Accept-Encoding"));
}

static bool
add_content(struct files_call *call, const struct file_range *range,
    const struct file_version *version)
{
    struct http_response *head = &call->head;
    const char *encoding = call->file.encoding;

    return backend_answer_field(head, "Content-Type", "%s", call->file.type) &&
           backend_answer_field(
               head, "X-Content-Type-Options", "%s", "nosniff") &&
           backend_answer_field(head, "Accept-Ranges", "%s", "bytes") &&
           (encoding == NULL || backend_answer_field(head, "Content-Encoding",
                                    "%s", encoding)) &&
           (range->status != 206 ||
               backend_answer_field(head, "Content-Range",
                   "bytes %llu-%llu/%llu", (unsigned long long)range->from,
                   (unsigned long long)(range->from + range->len - 1),
                   (unsigned long long)version->size)) &&
           backend_answer_length(
               head, range->len, call->core.request.head->method);
}

static void
fail(struct files_call *call, const struct err *err)
{
    (void)uv_idle_stop(&call->idle);
    backend_core_fail(&call->core, BACKEND_FAILED_INTERNAL, err);
}

static void
finish(struct files_call *call)
{
    (void)uv_idle_stop(&call->idle);
    backend_core_end(&call->core, NULL);
}

static void
answer_range_error(struct files_call *call, uint64_t size)
{
    char value[40];

    (void)snprintf(
        value, sizeof(value), "bytes */%llu", (unsigned long long)size);
    backend_answer_text(&call->core, &call->head, 416, "Content-Range", value);
}

static void
answer_file(struct files_call *call)
{
    struct file_version version = describe(call);
    struct file_range range =
        file_range_find(call->core.request.head, &version);
    struct err err;

    if (range.status == 416) {
        answer_range_error(call, version.size);
        return;
    }
    if (!backend_answer_begin(&call->head, range.status, FILES_HEAD_ROOM) ||
        !add_validators(call, &version) ||
        (range.status != 304 && !add_content(call, &range, &version))) {
        (void)err_memory(&err);
        fail(call, &err);
        return;
    }
    call->offset = range.from;
    call->left = call->head.body == HTTP_BODY_LENGTH ? range.len : 0;
    backend_core_head(&call->core, &call->head);
    if (call->left == 0)
        finish(call);
}

/* RFC 9110 15.4.2; the query stays. */
static void
answer_folder(struct files_call *call)
{
    const struct http_request *asked = call->core.request.head;
    struct buf where;

    buf_init(&where, asked->path.len + asked->query.len + 2);
    if (buf_add(&where, asked->path) && buf_add_byte(&where, '/') &&
        (asked->query.data == NULL ||
            (buf_add_byte(&where, '?') && buf_add(&where, asked->query))))
        backend_answer_text(
            &call->core, &call->head, 301, "Location", buf_cstr(&where));
    else
        backend_answer_text(&call->core, &call->head, 404, NULL, NULL);
    buf_fini(&where);
}

static void
begin(struct files_call *call)
{
    const struct backend_request *request = &call->core.request;
    struct err err;

    if (request->head->method != HTTP_GET &&
        request->head->method != HTTP_HEAD) {
        backend_answer_text(
            &call->core, &call->head, 405, "Allow", "GET, HEAD");
        return;
    }
    switch (file_open(request->location, request->head, &call->file, &err)) {
    case FILE_FOUND:
        answer_file(call);
        return;
    case FILE_IS_FOLDER:
        answer_folder(call);
        return;
    case FILE_NONE:
        backend_answer_text(&call->core, &call->head, 404, NULL, NULL);
        return;
    case FILE_FORBIDDEN:
        log_warn("file not served",
            LOG_S("location", request->location->prefix), LOG_ERR(&err));
        backend_answer_text(&call->core, &call->head, 403, NULL, NULL);
        return;
    case FILE_FAILED:
        fail(call, &err);
        return;
    }
}

/* ---- the body ------------------------------------------------------------ */

/* `len` bytes are here; none: somebody made the file shorter. */
static void
deliver(struct files_call *call, const unsigned char *bytes, ssize_t len)
{
    struct err err;

    if (len == 0)
        (void)err_set(&err, ERR_FORMAT, "file became shorter");
    else if (len < 0)
        (void)err_sys(&err, "read a file");
    if (len <= 0) {
        fail(call, &err);
        return;
    }
    call->offset += (uint64_t)len;
    call->left -= (uint64_t)len;
    backend_core_body(&call->core, span_make(bytes, (size_t)len));
    if (call->left == 0)
        finish(call);
}

static size_t
next_len(const struct files_call *call)
{
    return call->left < FILES_TURN ? (size_t)call->left : FILES_TURN;
}

static void on_idle(uv_idle_t *idle);

static void
go_on(struct files_call *call)
{
    if (backend_core_is_live(&call->core) && !call->is_paused &&
        !call->is_reading)
        (void)uv_idle_start(&call->idle, on_idle);
}

static void
on_read(uv_fs_t *read)
{
    struct files_call *call = LIST_ENTRY(read, struct files_call, read);
    ssize_t len = read->result;

    uv_fs_req_cleanup(read);
    call->is_reading = false;
    if (len < 0) {
        errno = (int)-len;
        len = -1;
    }
    if (backend_core_is_live(&call->core))
        deliver(call, call->buffer, len);
    free(call->buffer);
    call->buffer = NULL;
    go_on(call);
    backend_core_unpin(&call->core);
}

/* Bytes that are not in the page cache are waited for in libuv's pool. */
static void
read_in_pool(struct files_call *call)
{
    uv_buf_t buf;
    struct err err;

    (void)uv_idle_stop(&call->idle);
    call->buffer = malloc(next_len(call));
    buf = uv_buf_init((char *)call->buffer, (unsigned)next_len(call));
    if (call->buffer == NULL ||
        uv_fs_read(call->core.env.net->uv, &call->read, call->file.fd, &buf, 1,
            (int64_t)call->offset, on_read) != 0) {
        free(call->buffer);
        call->buffer = NULL;
        (void)err_memory(&err);
        fail(call, &err);
        return;
    }
    call->is_reading = true;
    backend_core_pin(&call->core);
}

/* The loop's read buffer is free here: we are not within a read callback. */
static void
read_now(struct files_call *call)
{
    struct iovec part = {call->core.env.net->read_buffer, next_len(call)};
    ssize_t len =
        preadv2(call->file.fd, &part, 1, (off_t)call->offset, RWF_NOWAIT);

    if (len < 0 && (errno == EAGAIN || errno == EOPNOTSUPP))
        read_in_pool(call);
    else if (len >= 0 || errno != EINTR)
        deliver(call, part.iov_base, len);
}

static void
on_idle(uv_idle_t *idle)
{
    struct files_call *call = LIST_ENTRY(idle, struct files_call, idle);

    backend_core_pin(&call->core);
    if (!backend_core_is_live(&call->core)) {
        (void)uv_idle_stop(idle);
    } else if (!call->is_begun) {
        call->is_begun = true;
        begin(call);
    } else {
        read_now(call);
    }
    if (!call->core.is_released && call->core.is_over)
        (void)uv_idle_stop(idle);
    backend_core_unpin(&call->core);
}

/* ---- the interface ------------------------------------------------------- */

/* A body with GET has no meaning (RFC 9110 9.3.1); others are refused. */
static bool
files_send(struct backend_call *base, struct span bytes)
{
    (void)base;
    (void)bytes;
    return true;
}

static void
files_finish(struct backend_call *base)
{
    (void)base;
}

static void
files_pause(struct backend_call *base)
{
    struct files_call *call = call_of(backend_core_of(base));

    call->is_paused = true;
    (void)uv_idle_stop(&call->idle);
}

static void
files_resume(struct backend_call *base)
{
    struct files_call *call = call_of(backend_core_of(base));

    call->is_paused = false;
    go_on(call);
}

static void
on_idle_closed(uv_handle_t *handle)
{
    struct files_call *call =
        LIST_ENTRY((uv_idle_t *)handle, struct files_call, idle);

    backend_core_unpin(&call->core);
}

/* The memory goes when the handle is closed and no read is under way. */
static void
files_release(struct backend_call *base)
{
    struct files_call *call = call_of(backend_core_of(base));

    uv_close((uv_handle_t *)&call->idle, on_idle_closed);
    if (call->is_reading)
        (void)uv_cancel((uv_req_t *)&call->read);
    backend_core_release(&call->core);
}

static const char *
files_server(const struct backend_call *base)
{
    (void)base;
    return "files";
}

static const struct backend_ops files_ops = {
    .send = files_send,
    .finish = files_finish,
    .pause = files_pause,
    .resume = files_resume,
    .release = files_release,
    .server = files_server,
};

static void
files_free(struct backend_core *core)
{
    struct files_call *call = call_of(core);

    if (call->file.fd >= 0)
        (void)close(call->file.fd);
    http_response_fini(&call->head);
    free(call);
}

struct backend_call *
backend_files_start(const struct backend_env *env,
    const struct backend_request *request, const struct backend_events *events,
    void *ctx)
{
    struct files_call *call = calloc(1, sizeof(*call));

    if (call == NULL)
        return NULL;
    backend_core_init(
        &call->core, &files_ops, env, request, events, ctx, files_free);
    call->file.fd = -1;
    http_response_init(&call->head);
    (void)uv_idle_init(env->net->uv, &call->idle);
    backend_core_pin(&call->core); /* until on_idle_closed() */
    (void)uv_idle_start(&call->idle, on_idle);
    return &call->core.call;
}
