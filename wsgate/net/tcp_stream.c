/*
 * struct stream over a socket: no buffer of its own while it is idle.
 * Input: libuv's callbacks and the owner's calls. Output: the owner's events,
 * and one uv_try_write per loop turn.
 */
#include "wsgate/net/tcp_stream.h"

#include "shared/buf.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct tcp_stream {
    struct stream base;
    struct net_loop *net;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    struct net_task task; /* unsent output, kept bytes, a late error */
    struct sending *sending; /* what libuv has; NULL: nothing */
    struct buf backlog; /* written while `sending` was under way */
    unsigned char *kept; /* read, but not taken by the owner */
    size_t kept_len;
    int error; /* libuv code of a failed write */
    bool is_paused;
    bool was_resumed; /* within the owner's on_data */
    bool was_high;
    bool is_ending; /* stream_end() was called */
    bool is_shut; /* uv_shutdown() was called */
    bool had_eof;
    bool must_report; /* `error` at the end of the turn */
    bool is_dead; /* on_error was called */
    bool is_closing;
};

/* One uv_write: the request and the bytes that the kernel did not take. */
struct sending {
    uv_write_t req;
    struct tcp_stream *t;
    unsigned char *data; /* owned */
};

struct connecting {
    uv_connect_t req;
    struct tcp_stream *t;
    tcp_stream_connected *on_connected;
    void *ctx;
};

static void maybe_shutdown(struct tcp_stream *t);

/* ---- errors --------------------------------------------------------------- */

static void
report_error(struct tcp_stream *t, int code, const char *doing)
{
    struct err err;

    if (t->is_dead || t->is_closing)
        return;
    t->is_dead = true;
    (void)uv_read_stop(&t->uv.stream);
    (void)net_err_uv(&err, code, "%s", doing);
    t->base.events->on_error(t->base.ctx, &err);
}

static void
drop_output(struct tcp_stream *t)
{
    if (t->net->write_owner == t) {
        t->net->write_owner = NULL;
        t->net->write_len = 0;
    }
    buf_fini(&t->backlog);
}

/* Never calls the owner: it may be the one who is writing. */
static void
write_failed(struct tcp_stream *t, int code)
{
    drop_output(t);
    if (t->error != 0 || t->is_dead)
        return;
    t->error = code;
    /* A reader comes to EOF or an error by itself, behind the last bytes. */
    if (!t->is_paused && !t->had_eof)
        return;
    t->must_report = true;
    net_task_defer(t->net, &t->task);
}

/* ---- output --------------------------------------------------------------- */

static size_t
gathered(const struct tcp_stream *t)
{
    return t->net->write_owner == t ? t->net->write_len : 0;
}

static size_t
tcp_queued(const struct stream *base)
{
    const struct tcp_stream *t = (const struct tcp_stream *)base;

    return uv_stream_get_write_queue_size(&t->uv.stream) + t->backlog.len +
           gathered(t);
}

static void on_sent(uv_write_t *req, int status);

/* data is taken. */
static void
send_later(struct tcp_stream *t, unsigned char *data, size_t len)
{
    struct sending *sending = calloc(1, sizeof(*sending));
    uv_buf_t bytes = {.base = (char *)data, .len = len};
    int rc;

    if (sending == NULL) {
        free(data);
        write_failed(t, UV_ENOMEM);
        return;
    }
    sending->t = t;
    sending->data = data;
    rc = uv_write(&sending->req, &t->uv.stream, &bytes, 1, on_sent);
    if (rc == 0) {
        t->sending = sending;
        return;
    }
    free(data);
    free(sending);
    write_failed(t, rc);
}

/* Copies what is left of two pieces once `sent` bytes of them are out. */
static void
keep_rest(
    struct tcp_stream *t, struct span first, struct span second, size_t sent)
{
    struct span a = span_from(first, sent);
    struct span b = span_from(second, sent - (first.len - a.len));
    unsigned char *data = malloc(a.len + b.len);

    if (data == NULL) {
        write_failed(t, UV_ENOMEM);
        return;
    }
    if (a.len > 0)
        memcpy(data, a.data, a.len);
    if (b.len > 0)
        memcpy(data + a.len, b.data, b.len);
    send_later(t, data, a.len + b.len);
}

/* What was gathered for this stream, and `more` behind it, in one call. */
static void
send_now(struct tcp_stream *t, struct span more)
{
    struct span first = span_make(t->net->write_buffer, gathered(t));
    uv_buf_t bufs[2] = {
        {.base = (char *)t->net->write_buffer, .len = first.len},
        {.base = (char *)(uintptr_t)more.data, .len = more.len}};
    unsigned skip = first.len == 0 ? 1 : 0;
    unsigned count = (more.len > 0 ? 2 : 1) - skip;
    int sent;

    if (first.len > 0) {
        t->net->write_owner = NULL;
        t->net->write_len = 0;
    }
    if (count == 0)
        return;
    sent = uv_try_write(&t->uv.stream, bufs + skip, count);
    if (sent < 0 && sent != UV_EAGAIN)
        write_failed(t, sent);
    else if (sent < 0)
        keep_rest(t, first, more, 0);
    else if ((size_t)sent < first.len + more.len)
        keep_rest(t, first, more, (size_t)sent);
}

/* The buffer is lent to one stream at a time. */
static void
take_write_buffer(struct tcp_stream *t)
{
    struct net_loop *net = t->net;

    if (net->write_owner != NULL && net->write_owner != t)
        send_now(net->write_owner, SPAN_EMPTY);
    net->write_owner = t;
}

static void
gather(struct tcp_stream *t, struct span bytes)
{
    struct net_loop *net = t->net;

    take_write_buffer(t);
    if (net->write_len + bytes.len > NET_BUFFER_SIZE) {
        send_now(t, bytes);
        net->write_owner = NULL;
        return;
    }
    memcpy(net->write_buffer + net->write_len, bytes.data, bytes.len);
    net->write_len += bytes.len;
    net_task_defer(net, &t->task);
}

static void
tcp_write(struct stream *base, struct span bytes)
{
    struct tcp_stream *t = (struct tcp_stream *)base;

    if (bytes.len == 0 || t->error != 0 || t->is_dead || t->is_ending ||
        t->is_closing)
        return;
    if (t->sending == NULL)
        gather(t, bytes);
    else if (!buf_add(&t->backlog, bytes))
        write_failed(t, UV_ENOMEM);
    if (tcp_queued(base) > STREAM_HIGH_MARK)
        t->was_high = true;
}

static void
send_backlog(struct tcp_stream *t)
{
    size_t len;
    unsigned char *data;

    if (t->backlog.len == 0)
        return;
    data = buf_take(&t->backlog, &len);
    send_later(t, data, len);
}

static void
tell_drain(struct tcp_stream *t)
{
    if (!t->was_high || t->is_dead || tcp_queued(&t->base) >= STREAM_LOW_MARK)
        return;
    t->was_high = false;
    t->base.events->on_drain(t->base.ctx);
}

static void
on_sent(uv_write_t *req, int status)
{
    struct sending *sending = (struct sending *)(void *)req;
    struct tcp_stream *t = sending->t;

    free(sending->data);
    free(sending);
    t->sending = NULL;
    if (t->is_closing)
        return;
    if (status < 0)
        write_failed(t, status);
    else
        send_backlog(t);
    maybe_shutdown(t);
    tell_drain(t);
}

static void
on_shut(uv_shutdown_t *req, int status)
{
    struct tcp_stream *t = req->data;

    free(req);
    if (t->is_closing)
        return;
    if (status < 0)
        write_failed(t, status);
    else if (!t->is_dead && t->base.events->on_ended != NULL)
        t->base.events->on_ended(t->base.ctx);
}

/* The FIN, once everything before it is with the kernel. */
static void
maybe_shutdown(struct tcp_stream *t)
{
    uv_shutdown_t *req;
    int rc;

    if (!t->is_ending || t->is_shut || t->error != 0 || t->sending != NULL ||
        gathered(t) > 0)
        return;
    t->is_shut = true;
    req = calloc(1, sizeof(*req));
    if (req == NULL) {
        write_failed(t, UV_ENOMEM);
        return;
    }
    req->data = t;
    rc = uv_shutdown(req, &t->uv.stream, on_shut);
    if (rc != 0) {
        free(req);
        write_failed(t, rc);
    }
}

static void
tcp_end(struct stream *base)
{
    struct tcp_stream *t = (struct tcp_stream *)base;

    if (t->is_ending || t->is_closing)
        return;
    t->is_ending = true;
    net_task_defer(t->net, &t->task);
}

/* ---- input ---------------------------------------------------------------- */

static void
on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct tcp_stream *t = handle->data;

    (void)suggested;
    buf->base = (char *)t->net->read_buffer;
    buf->len = NET_BUFFER_SIZE;
}

/* What the owner left behind goes to the heap until it resumes. */
static bool
keep_input(struct tcp_stream *t, struct span rest)
{
    unsigned char *copy = malloc(rest.len);

    if (copy == NULL) {
        report_error(t, UV_ENOMEM, "read");
        return false;
    }
    memcpy(copy, rest.data, rest.len);
    t->kept = copy;
    t->kept_len = rest.len;
    return true;
}

static void
tcp_pause(struct stream *base)
{
    struct tcp_stream *t = (struct tcp_stream *)base;

    t->is_paused = true;
    t->was_resumed = false;
    if (!t->is_closing)
        (void)uv_read_stop(&t->uv.stream);
}

static void
deliver(struct tcp_stream *t, struct span bytes)
{
    size_t taken;

    t->was_resumed = false;
    taken = t->base.events->on_data(t->base.ctx, bytes);
    if (t->is_closing || t->is_dead || taken >= bytes.len)
        return;
    if (!keep_input(t, span_from(bytes, taken)))
        return;
    if (t->was_resumed) /* by a new owner, who wants the rest */
        net_task_defer(t->net, &t->task);
    else
        t->is_paused = true;
    (void)uv_read_stop(&t->uv.stream);
}

/* libuv calls it an end, too, when a reset came right behind the last bytes:
 * the kernel still has the error. */
static int
pending_error(const struct tcp_stream *t)
{
    socklen_t len = sizeof(int);
    uv_os_fd_t fd;
    int error = 0;

    if (uv_fileno(&t->uv.handle, &fd) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        return 0;
    return uv_translate_sys_error(error);
}

static void
on_eof(struct tcp_stream *t)
{
    t->had_eof = true;
    if (t->error == 0 && (t->error = pending_error(t)) != 0) {
        report_error(t, t->error, "read");
        return;
    }
    if (t->error != 0)
        report_error(t, t->error, "write");
    else
        t->base.events->on_eof(t->base.ctx);
}

static void
on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
    struct tcp_stream *t = stream->data;

    if (nread > 0)
        deliver(t, span_make(buf->base, (size_t)nread));
    else if (nread == UV_EOF)
        on_eof(t);
    else if (nread < 0)
        report_error(t, (int)nread, "read");
}

static void
start_reading(struct tcp_stream *t)
{
    int rc;

    if (t->is_paused || t->had_eof || t->is_dead || t->is_closing)
        return;
    rc = uv_read_start(&t->uv.stream, on_alloc, on_read);
    if (rc == 0 || rc == UV_EALREADY)
        return;
    t->error = rc;
    t->must_report = true;
    net_task_defer(t->net, &t->task);
}

static void
tcp_resume(struct stream *base)
{
    struct tcp_stream *t = (struct tcp_stream *)base;

    t->is_paused = false;
    t->was_resumed = true;
    if (t->is_closing)
        return;
    if (t->kept != NULL)
        net_task_defer(t->net, &t->task);
    else
        start_reading(t);
}

static void
deliver_kept(struct tcp_stream *t)
{
    unsigned char *bytes = t->kept;

    if (bytes == NULL || t->is_paused || t->is_dead)
        return;
    t->kept = NULL;
    deliver(t, span_make(bytes, t->kept_len));
    free(bytes);
    if (t->kept == NULL)
        start_reading(t);
}

/* At the end of the loop turn. */
static void
run_task(struct net_task *task)
{
    struct tcp_stream *t = LIST_ENTRY(task, struct tcp_stream, task.node);

    send_now(t, SPAN_EMPTY);
    maybe_shutdown(t);
    if (t->must_report)
        report_error(t, t->error, "connection lost");
    else
        deliver_kept(t);
}

/* ---- life ----------------------------------------------------------------- */

static void
on_closed(uv_handle_t *handle)
{
    struct tcp_stream *t = handle->data;

    if (t->base.events->on_closed != NULL)
        t->base.events->on_closed(t->base.ctx);
    buf_fini(&t->backlog);
    free(t->kept);
    free(t);
}

static void
tcp_close(struct stream *base)
{
    struct tcp_stream *t = (struct tcp_stream *)base;

    if (t->is_closing)
        return;
    if (t->error == 0 && !t->is_dead)
        send_now(t, SPAN_EMPTY); /* a last alert or error page */
    t->is_closing = true;
    drop_output(t);
    net_task_cancel(&t->task);
    uv_close(&t->uv.handle, on_closed);
}

static const struct stream_ops ops = {
    .write = tcp_write,
    .end = tcp_end,
    .pause = tcp_pause,
    .resume = tcp_resume,
    .queued = tcp_queued,
    .close = tcp_close,
};

static struct tcp_stream *
stream_new(struct net_loop *net, bool is_unix, struct err *err)
{
    struct tcp_stream *t = calloc(1, sizeof(*t));

    if (t == NULL) {
        (void)err_memory(err);
        return NULL;
    }
    t->base = (struct stream){&ops, &stream_no_owner, NULL};
    t->net = net;
    t->is_paused = true;
    net_task_init(&t->task, run_task);
    buf_init(&t->backlog, SIZE_MAX / 2); /* marks hold it, not a limit */
    if (is_unix)
        (void)uv_pipe_init(net->uv, &t->uv.pipe, 0);
    else
        (void)uv_tcp_init(net->uv, &t->uv.tcp);
    t->uv.handle.data = t;
    return t;
}

/* AF_INET, AF_INET6, AF_UNIX; -1: not a socket. */
static int
family_of(int fd)
{
    int domain = AF_UNSPEC;
    socklen_t len = sizeof(domain);

    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) != 0)
        return -1;
    return domain;
}

static int
take_fd(struct tcp_stream *t, int fd, int family)
{
    if (family < 0)
        return UV_ENOTSOCK;
    if (family == AF_UNIX)
        return uv_pipe_open(&t->uv.pipe, fd);
    return uv_tcp_open(&t->uv.tcp, fd);
}

struct stream *
tcp_stream_open(struct net_loop *net, int fd,
    const struct stream_events *events, void *ctx, struct err *err)
{
    int family = family_of(fd);
    struct tcp_stream *t = stream_new(net, family == AF_UNIX, err);
    int rc;

    if (t == NULL) {
        (void)close(fd);
        return NULL;
    }
    rc = take_fd(t, fd, family);
    if (rc != 0) {
        (void)close(fd);
        stream_close(&t->base);
        (void)net_err_uv(err, rc, "take over a socket");
        return NULL;
    }
    stream_set_owner(&t->base, events, ctx);
    return &t->base;
}

static void
on_connect(uv_connect_t *req, int status)
{
    struct connecting *c = (struct connecting *)(void *)req;

    if (!c->t->is_closing)
        c->on_connected(c->ctx, status);
    free(c);
}

struct stream *
tcp_stream_connect(struct net_loop *net, const struct sockaddr *to,
    tcp_stream_connected *on_connected, void *ctx, struct err *err)
{
    struct tcp_stream *t = stream_new(net, false, err);
    struct connecting *c = calloc(1, sizeof(*c));
    int rc = UV_ENOMEM;

    if (t != NULL && c != NULL) {
        *c = (struct connecting){
            .t = t, .on_connected = on_connected, .ctx = ctx};
        (void)uv_tcp_nodelay(&t->uv.tcp, 1);
        rc = uv_tcp_connect(&c->req, &t->uv.tcp, to, on_connect);
    }
    if (rc == 0)
        return &t->base;
    free(c);
    if (t != NULL)
        stream_close(&t->base);
    (void)net_err_uv(err, rc, "connect");
    return NULL;
}
