/*
 * Resolve and connect with one deadline.
 * Input: an address of the configuration. Output: a connected stream, or why
 * not, through one callback.
 */
#include "wsgate/net/dial.h"

#include "shared/reach.h"
#include "wsgate/net/tcp_stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    DIAL_ADDRESSES_MAX = 16 /* ours: of one name, in the resolver's order */
};

struct dial {
    struct net_loop *net;
    struct dial_address address;
    dial_done *done;
    void *ctx;
    struct deadline deadline; /* of the address that is being tried */
    uint64_t end_ms; /* of uv_now(): all of it */
    struct net_task task; /* the first step, never within dial_start() */
    uv_getaddrinfo_t resolve;
    bool is_resolving; /* libuv holds `resolve`: we must live on */
    bool is_over; /* done was called, or nobody wants it */
    struct stream *stream; /* connecting */
    struct sockaddr_storage found[DIAL_ADDRESSES_MAX];
    size_t found_count;
    size_t next;
    struct err err; /* of the last address */
};

/* ---- address -------------------------------------------------------------- */

static bool
parse_port(struct span text, char out[6])
{
    uint64_t port;

    if (!span_to_u64(text, 65535, &port) || port == 0)
        return false;
    (void)snprintf(out, 6, "%u", (unsigned)port);
    return true;
}

static bool
parse_unix(struct span path, struct dial_address *out, struct err *err)
{
    struct dial_address address = {.is_unix = true};

    if (path.len == 0)
        return err_set(err, ERR_CONFIG, "a path must follow unix:");
    if (path.len >= sizeof(((struct sockaddr_un *)NULL)->sun_path) ||
        !span_to_cstr(path, address.host, sizeof(address.host)))
        return err_set(
            err, ERR_CONFIG, "the path of a unix socket has at most 107 bytes");
    *out = address;
    return true;
}

/* Cuts "host" and "port" apart; brackets are dropped. */
static bool
split_host(struct span text, struct span *host, struct span *port)
{
    size_t end;

    if (text.len > 0 && text.data[0] == '[') {
        end = span_find(text, ']');
        if (end + 1 >= text.len || text.data[end + 1] != ':')
            return false;
        *host = span_sub(text, 1, end - 1);
        *port = span_from(text, end + 2);
        return true;
    }
    end = span_find(text, ':');
    if (end == text.len)
        return false;
    *host = span_sub(text, 0, end);
    *port = span_from(text, end + 1);
    return true;
}

bool
dial_address_parse(struct span text, struct dial_address *out, struct err *err)
{
    struct dial_address address = {.is_unix = false};
    struct span host, port;

    if (span_starts(text, SPAN_LIT("unix:")))
        return parse_unix(span_from(text, 5), out, err);
    if (!split_host(text, &host, &port) || host.len == 0)
        return err_set(err, ERR_CONFIG,
            "\"%.*s\" is no address: write HOST:PORT, \"[IPv6]:PORT\" or "
            "unix:PATH",
            SPAN_FMT(text));
    if (span_find(port, ':') < port.len)
        return err_set(err, ERR_CONFIG,
            "put the IPv6 address of \"%.*s\" in brackets: \"[::1]:9000\"",
            SPAN_FMT(text));
    if (!parse_port(port, address.port))
        return err_set(err, ERR_CONFIG, "\"%.*s\" needs a port from 1 to 65535",
            SPAN_FMT(text));
    if (!span_to_cstr(host, address.host, sizeof(address.host)))
        return err_set(err, ERR_CONFIG, "the name of \"%.*s\" is too long",
            SPAN_FMT(text));
    *out = address;
    return true;
}

/* For error texts: as the operator wrote it. */
static const char *
label(const struct dial *d, char *out, size_t size)
{
    bool is_ipv6 = strchr(d->address.host, ':') != NULL;

    if (d->address.is_unix)
        (void)snprintf(out, size, "unix:%s", d->address.host);
    else
        (void)snprintf(out, size, is_ipv6 ? "[%s]:%s" : "%s:%s",
            d->address.host, d->address.port);
    return out;
}

/* ---- the end -------------------------------------------------------------- */

static void
release(struct dial *d)
{
    deadline_clear(&d->net->deadlines, &d->deadline);
    net_task_cancel(&d->task);
    stream_discard(d->stream);
    d->stream = NULL;
    d->is_over = true;
    if (d->is_resolving)
        (void)uv_cancel((uv_req_t *)&d->resolve); /* on_resolved() frees */
    else
        free(d);
}

static void
fail(struct dial *d)
{
    struct err err = d->err;
    dial_done *done = d->done;
    void *ctx = d->ctx;
    char text[300];

    (void)err_context(&err, "connect to %s", label(d, text, sizeof(text)));
    release(d);
    done(ctx, NULL, &err);
}

static void
succeed(struct dial *d)
{
    struct stream *stream = d->stream;
    dial_done *done = d->done;
    void *ctx = d->ctx;

    d->stream = NULL;
    release(d);
    done(ctx, stream, NULL);
}

/* ---- one address after the other ------------------------------------------ */

static void try_next(struct dial *d);

static int64_t
left_ms(const struct dial *d)
{
    uint64_t now = uv_now(d->net->uv);

    return d->end_ms > now ? (int64_t)(d->end_ms - now) : 0;
}

static void
on_connected(void *ctx, int status)
{
    struct dial *d = ctx;

    if (status == 0) {
        succeed(d);
        return;
    }
    (void)err_set(&d->err, status == UV_ETIMEDOUT ? ERR_TIMEOUT : ERR_SYSTEM,
        "%s", uv_strerror(status));
    d->err.sys_errno = -status;
    stream_discard(d->stream);
    d->stream = NULL;
    try_next(d);
}

/* The time that is left is shared by the addresses that are left. */
static void
arm_share(struct dial *d)
{
    int64_t share = left_ms(d) / (int64_t)(d->found_count - d->next);

    deadline_arm(&d->net->deadlines, &d->deadline, share > 0 ? share : 1);
}

static void
try_next(struct dial *d)
{
    while (d->next < d->found_count && left_ms(d) > 0) {
        arm_share(d);
        d->stream = tcp_stream_connect(d->net,
            (const struct sockaddr *)&d->found[d->next++], on_connected, d,
            &d->err);
        if (d->stream != NULL)
            return;
    }
    fail(d);
}

static void
on_deadline(void *ctx)
{
    struct dial *d = ctx;

    (void)err_set(&d->err, ERR_TIMEOUT, "%s",
        d->is_resolving ? "no answer from the name servers in time"
                        : "no answer in time");
    stream_discard(d->stream);
    d->stream = NULL;
    if (d->is_resolving)
        fail(d);
    else
        try_next(d);
}

/* ---- names ---------------------------------------------------------------- */

static void
take_addresses(struct dial *d, const struct addrinfo *list)
{
    for (; list != NULL && d->found_count < DIAL_ADDRESSES_MAX;
         list = list->ai_next)
        memcpy(&d->found[d->found_count++], list->ai_addr, list->ai_addrlen);
}

static void
on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    struct dial *d = req->data;

    d->is_resolving = false;
    if (status == 0)
        take_addresses(d, list);
    uv_freeaddrinfo(list);
    if (d->is_over) {
        free(d);
        return;
    }
    (void)err_set(&d->err, ERR_SYSTEM, "%s",
        status == 0 ? "the name has no address" : uv_strerror(status));
    try_next(d);
}

static void
resolve(struct dial *d)
{
    /* No AI_ADDRCONFIG: it knows no "localhost" where only lo is up. */
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    int rc;

    d->resolve.data = d;
    rc = uv_getaddrinfo(d->net->uv, &d->resolve, on_resolved, d->address.host,
        d->address.port, &hints);
    if (rc == 0) {
        d->is_resolving = true;
        deadline_arm(&d->net->deadlines, &d->deadline, left_ms(d));
        return;
    }
    (void)err_set(&d->err, ERR_SYSTEM, "%s", uv_strerror(rc));
    fail(d);
}

/* No thread and no name server for what is an address already. */
static bool
take_literal(struct dial *d)
{
    uint64_t number = 0;
    int port;

    (void)span_to_u64(span_str(d->address.port), 65535, &number);
    port = (int)number;
    if (uv_ip4_addr(
            d->address.host, port, (struct sockaddr_in *)&d->found[0]) != 0 &&
        uv_ip6_addr(
            d->address.host, port, (struct sockaddr_in6 *)&d->found[0]) != 0)
        return false;
    d->found_count = 1;
    return true;
}

/* ---- unix ----------------------------------------------------------------- */

/* Answers at once: a full queue is EAGAIN, there is nothing to wait for. */
static int
connect_unix(const char *path, struct err *err)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int saved;

    memcpy(to.sun_path, path, strlen(path) + 1);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
        return fd;
    saved = errno;
    (void)err_set(err, ERR_SYSTEM, "%s",
        saved == EAGAIN ? "its queue of connections is full" : strerror(saved));
    err->sys_errno = saved;
    (void)reach_explain(path, REACH_SOCKET, err);
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

static void
dial_unix(struct dial *d)
{
    int fd = connect_unix(d->address.host, &d->err);

    if (fd >= 0)
        d->stream =
            tcp_stream_open(d->net, fd, &stream_no_owner, NULL, &d->err);
    if (d->stream != NULL)
        succeed(d);
    else
        fail(d);
}

/* ---- life ----------------------------------------------------------------- */

static void
first_step(struct net_task *task)
{
    struct dial *d = LIST_ENTRY(task, struct dial, task.node);

    if (d->address.is_unix)
        dial_unix(d);
    else if (take_literal(d))
        try_next(d);
    else
        resolve(d);
}

struct dial *
dial_start(struct net_loop *net, const struct dial_address *address,
    int64_t timeout_ms, dial_done *done, void *ctx)
{
    struct dial *d = calloc(1, sizeof(*d));

    if (d == NULL)
        return NULL;
    d->net = net;
    d->address = *address;
    d->done = done;
    d->ctx = ctx;
    d->end_ms = uv_now(net->uv) + (uint64_t)(timeout_ms > 0 ? timeout_ms : 1);
    (void)err_set(&d->err, ERR_TIMEOUT, "no time left");
    deadline_init(&d->deadline, on_deadline, d);
    net_task_init(&d->task, first_step);
    net_task_defer(net, &d->task);
    return d;
}

void
dial_cancel(struct dial *dial)
{
    if (dial != NULL)
        release(dial);
}
