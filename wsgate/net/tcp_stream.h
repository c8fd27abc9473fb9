/*
 * struct stream over a TCP or Unix socket of the loop (uv_tcp_t, uv_pipe_t).
 * Reads go through the loop's buffer, writes are gathered in the loop's write
 * buffer, sent by uv_try_write, and only what the kernel refused is copied.
 *
 * When a write fails while the stream is being read, on_error waits until what
 * the peer had sent before is read: a server may answer and close early.
 */
#ifndef WSGATE_NET_TCP_STREAM_H
#define WSGATE_NET_TCP_STREAM_H

#include "shared/err.h"
#include "wsgate/net/net_loop.h"
#include "wsgate/net/stream.h"

#include <stdbool.h>
#include <sys/socket.h>

/* An accepted or connected socket; fd is taken (closed on failure too). The
 * stream starts paused: stream_resume() begins. */
struct stream *tcp_stream_open(struct net_loop *net, int fd,
    const struct stream_events *events, void *ctx, struct err *err);

/* 0 or a libuv code; comes once, from the loop, unless closed before. */
typedef void tcp_stream_connected(void *ctx, int status);

/* Begins to connect over TCP (IPv4, IPv6), with NODELAY. Paused and without
 * owner; on_connected decides what becomes of it. For net/dial. */
struct stream *
tcp_stream_connect(struct net_loop *net, const struct sockaddr *to,
    tcp_stream_connected *on_connected, void *ctx, struct err *err);

#endif
