/*
 * Kept-alive backend connections of a worker, by server. A connection that
 * sends or ends while idle is closed: bytes outside an exchange are never a
 * response.
 */
#ifndef WSGATE_BACKEND_IDLE_POOL_H
#define WSGATE_BACKEND_IDLE_POOL_H

#include "shared/err.h"
#include "wsgate/net/net_loop.h"
#include "wsgate/net/stream.h"

enum {
    IDLE_POOL_PER_SERVER = 64, /* ours */
    IDLE_POOL_MS = 15 * 1000 /* ours: below usual 60 s of backends */
};

struct idle_pool;

struct idle_pool *idle_pool_new(struct net_loop *net, struct err *err);
/* Closes all. */
void idle_pool_free(struct idle_pool *pool);
/* NULL: none. The stream is the callee's, paused; set an owner first. */
struct stream *idle_pool_take(struct idle_pool *pool, const char *server);
/* `stream` is taken. */
void idle_pool_put(
    struct idle_pool *pool, const char *server, struct stream *stream);

#endif
