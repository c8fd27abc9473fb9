/*
 * struct stream over a TCP or Unix socket of the loop (uv_tcp_t, uv_pipe_t).
 * Reads go through the loop's buffer, writes are gathered in the loop's write
 * buffer, sent by uv_try_write, and only what the kernel refused is copied.
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

#endif
