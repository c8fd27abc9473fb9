/*
 * How a client connection begins: who it is, its streams, its parser.
 * Input: an accepted socket and the listener's address. Output: a client in its
 * first state, or a closed socket.
 */
#include "wsgate/client/client_state.h"

#include "shared/log.h"
#include "wsgate/net/tcp_stream.h"
#include "wsgate/tls/tls_stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* False: reset before we came. Nobody's words must not pass for those of a unix
 * socket's peer, which is believed what it forwards. */
static bool
read_addresses(struct client *c, int fd)
{
    struct sockaddr_storage own = {0};
    socklen_t len = sizeof(c->peer_address);
    socklen_t own_len = sizeof(own);
    const struct sockaddr_in *in = (const void *)&c->peer_address;
    const struct sockaddr_in6 *in6 = &c->peer_address;
    unsigned port = 0;

    if (getpeername(fd, (struct sockaddr *)&c->peer_address, &len) != 0)
        return false;
    (void)getsockname(fd, (struct sockaddr *)&own, &own_len);
    if (in6->sin6_family == AF_INET) {
        (void)inet_ntop(AF_INET, &in->sin_addr, c->peer_ip, sizeof(c->peer_ip));
        port = ntohs(in->sin_port);
    } else if (in6->sin6_family == AF_INET6) {
        (void)inet_ntop(
            AF_INET6, &in6->sin6_addr, c->peer_ip, sizeof(c->peer_ip));
        port = ntohs(in6->sin6_port);
    }
    (void)snprintf(c->peer, sizeof(c->peer),
        in6->sin6_family == AF_INET6 ? "[%s]:%u" : "%s:%u",
        c->peer_ip[0] != 0 ? c->peer_ip : "unix", port);
    if (own.ss_family == AF_INET)
        c->origin.port = ntohs(((const struct sockaddr_in *)&own)->sin_port);
    else if (own.ss_family == AF_INET6)
        c->origin.port = ntohs(((const struct sockaddr_in6 *)&own)->sin6_port);
    return true;
}

static bool
open_stream(struct client *c, int fd)
{
    struct net_loop *net = c->env->backend.net;
    struct err err = {0};
    struct stream *stream =
        tcp_stream_open(net, fd, &client_stream_events, c, &err);

    if (stream != NULL && c->listener->tls)
        stream = tls_stream_accept(net, stream, c->listener->tls_context,
            &client_stream_events, c, &err);
    c->stream = stream;
    if (stream == NULL)
        log_warn("connection refused", LOG_S("peer", c->peer), LOG_ERR(&err));
    return stream != NULL;
}

static struct http_parser *
new_parser(const struct client *c)
{
    const struct gate_limits *limits = client_limits(c);
    struct http_limits http = http_limits_default;

    http.head_max = (size_t)limits->header_size;
    http.field_max = (size_t)limits->header_count;
    return http_parser_new_request(&http);
}

static struct client *
client_new(struct client_env *env, const struct generation_listener *listener)
{
    struct client *c = calloc(1, sizeof(*c));

    if (c == NULL)
        return NULL;
    c->env = env;
    c->id = ++env->next_id;
    c->generation = generation_ref(env->current);
    c->listener = listener;
    c->end = "";
    c->origin.peer = c->peer;
    c->origin.peer_ip = c->peer_ip;
    c->origin.peer_address = (const struct sockaddr *)&c->peer_address;
    c->origin.is_tls = listener->tls;
    deadline_init(&c->deadline, client_on_deadline, c);
    list_add_last(&env->clients, &c->node);
    env->count++;
    return c;
}

void
client_accept(struct client_env *env, int fd, const char *listen_address)
{
    const struct generation_listener *listener =
        env->current == NULL
            ? NULL
            : generation_find_listener(env->current, listen_address);
    struct client *c = listener == NULL ? NULL : client_new(env, listener);

    if (c == NULL) {
        (void)close(fd);
        return;
    }
    c->listen_address = listen_address;
    c->origin.listen_address = listen_address;
    if (read_addresses(c, fd))
        c->parser = new_parser(c);
    if (c->parser == NULL)
        (void)close(fd);
    if (c->parser == NULL || !open_stream(c, fd)) {
        client_free(c);
        return;
    }
    client_enter(c, listener->tls ? CLIENT_HANDSHAKE : CLIENT_HEAD);
    stream_resume(c->stream);
}
