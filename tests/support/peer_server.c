/*
 * A TCP server that plays a script.
 * Input: connections of the module under test. Output: scripted bytes, and
 * what came in.
 */
#include "tests/support/peer_server.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

enum { GOT_MAX = 64 * 1024 * 1024 };

struct peer_connection {
    uv_tcp_t tcp;
    struct peer_server *server;
    size_t index;
    size_t seen; /* bytes that earlier steps took */
    const struct peer_step *step;
    char read_buffer[65536];
};

struct sending {
    uv_write_t req;
    unsigned char bytes[];
};

static void
on_closed(uv_handle_t *handle)
{
    struct peer_connection *c = handle->data;

    c->server->open--;
    c->server->connections[c->index] = NULL;
    free(c);
}

static void
close_connection(struct peer_connection *c)
{
    if (!uv_is_closing((uv_handle_t *)&c->tcp))
        uv_close((uv_handle_t *)&c->tcp, on_closed);
}

static void
on_sent(uv_write_t *req, int status)
{
    (void)status;
    free(req);
}

static void
send_bytes(struct peer_connection *c, struct span bytes)
{
    struct sending *sending;
    uv_buf_t buf;

    if (bytes.len == 0)
        return;
    sending = malloc(sizeof(*sending) + bytes.len);
    ck_assert_ptr_nonnull(sending);
    memcpy(sending->bytes, bytes.data, bytes.len);
    buf = uv_buf_init((char *)sending->bytes, (unsigned)bytes.len);
    ck_assert_int_eq(
        uv_write(&sending->req, (uv_stream_t *)&c->tcp, &buf, 1, on_sent), 0);
}

static void
on_shut(uv_shutdown_t *req, int status)
{
    struct peer_connection *c = req->data;

    free(req);
    if (status != UV_ECANCELED)
        close_connection(c);
}

static void
finish_step(struct peer_connection *c)
{
    uv_shutdown_t *req;

    if (c->step->then == PEER_RESET) {
        (void)uv_tcp_close_reset(&c->tcp, on_closed);
        return;
    }
    if (c->step->then != PEER_FIN)
        return;
    req = calloc(1, sizeof(*req));
    ck_assert_ptr_nonnull(req);
    req->data = c;
    ck_assert_int_eq(uv_shutdown(req, (uv_stream_t *)&c->tcp, on_shut), 0);
}

static void
play(struct peer_connection *c)
{
    struct span got;
    const unsigned char *hit;

    while (!uv_is_closing((uv_handle_t *)&c->tcp) && c->step != NULL &&
           c->step->await != NULL) {
        size_t len = strlen(c->step->await);

        got = span_from(buf_span(&c->server->got[c->index]), c->seen);
        hit = len == 0 || got.len < len
                  ? NULL
                  : memmem(got.data, got.len, c->step->await, len);
        if (hit == NULL && len > 0)
            return;
        if (len > 0)
            c->seen += (size_t)(hit - got.data) + len;
        send_bytes(c, c->step->reply);
        finish_step(c);
        c->step++;
    }
}

static void
on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct peer_connection *c = handle->data;

    (void)suggested;
    *buf = uv_buf_init(c->read_buffer, sizeof(c->read_buffer));
}

static void
on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
    struct peer_connection *c = stream->data;

    if (nread > 0) {
        ck_assert(buf_add(
            &c->server->got[c->index], span_make(buf->base, (size_t)nread)));
        play(c);
    } else if (nread < 0) {
        c->server->had_eof[c->index] = true;
        close_connection(c);
    }
}

static void
on_connection(uv_stream_t *listener, int status)
{
    struct peer_server *server = listener->data;
    struct peer_connection *c = calloc(1, sizeof(*c));

    ck_assert_int_eq(status, 0);
    ck_assert_ptr_nonnull(c);
    ck_assert_uint_lt(server->accepted, PEER_CONNECTIONS);
    c->server = server;
    c->index = server->accepted++;
    c->step = server->scripts[c->index];
    server->connections[c->index] = c;
    server->open++;
    ck_assert_int_eq(uv_tcp_init(listener->loop, &c->tcp), 0);
    c->tcp.data = c;
    ck_assert_int_eq(uv_accept(listener, (uv_stream_t *)&c->tcp), 0);
    (void)uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
    play(c);
}

void
peer_server_init(struct peer_server *server, uv_loop_t *loop)
{
    struct sockaddr_in address;
    int len = sizeof(address);

    memset(server, 0, sizeof(*server));
    for (size_t i = 0; i < PEER_CONNECTIONS; i++)
        buf_init(&server->got[i], GOT_MAX);
    ck_assert_int_eq(uv_ip4_addr("127.0.0.1", 0, &address), 0);
    ck_assert_int_eq(uv_tcp_init(loop, &server->listener), 0);
    server->listener.data = server;
    ck_assert_int_eq(
        uv_tcp_bind(&server->listener, (const struct sockaddr *)&address, 0),
        0);
    ck_assert_int_eq(
        uv_listen((uv_stream_t *)&server->listener, 16, on_connection), 0);
    ck_assert_int_eq(uv_tcp_getsockname(
                         &server->listener, (struct sockaddr *)&address, &len),
        0);
    (void)snprintf(server->address, sizeof(server->address), "127.0.0.1:%u",
        (unsigned)ntohs(address.sin_port));
}

void
peer_server_close(struct peer_server *server)
{
    for (size_t i = 0; i < PEER_CONNECTIONS; i++)
        if (server->connections[i] != NULL)
            close_connection(server->connections[i]);
    uv_close((uv_handle_t *)&server->listener, NULL);
}

void
peer_server_fini(struct peer_server *server)
{
    for (size_t i = 0; i < PEER_CONNECTIONS; i++)
        buf_fini(&server->got[i]);
}

void
peer_server_send(
    struct peer_server *server, size_t connection, struct span bytes)
{
    ck_assert_ptr_nonnull(server->connections[connection]);
    send_bytes(server->connections[connection], bytes);
}

void
peer_server_stop_reading(struct peer_server *server, size_t connection)
{
    ck_assert_ptr_nonnull(server->connections[connection]);
    (void)uv_read_stop((uv_stream_t *)&server->connections[connection]->tcp);
}

bool
peer_server_has(
    const struct peer_server *server, size_t connection, const char *text)
{
    struct span got = buf_span(&server->got[connection]);

    return got.len > 0 && memmem(got.data, got.len, text, strlen(text)) != NULL;
}
