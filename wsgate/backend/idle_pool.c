/*
 * Kept-alive backend connections of a worker, by server.
 * Input: connections whose exchange is complete. Output: the newest one to the
 * next exchange with that server; those that wait too long or speak are closed.
 */
#include "wsgate/backend/idle_pool.h"

#include "shared/list.h"
#include "wsgate/net/deadline.h"

#include <stdlib.h>
#include <string.h>

/* A server with at least one connection. */
struct idle_server {
    struct list node;
    struct idle_pool *pool;
    struct list streams; /* newest first */
    size_t count;
    char name[];
};

struct idle_stream {
    struct list node;
    struct idle_server *server;
    struct stream *stream;
    struct deadline deadline;
};

struct idle_pool {
    struct net_loop *net;
    struct list servers; /* few: as many as the configuration names */
};

struct idle_pool *
idle_pool_new(struct net_loop *net, struct err *err)
{
    struct idle_pool *pool = calloc(1, sizeof(*pool));

    if (pool == NULL) {
        (void)err_memory(err);
        return NULL;
    }
    pool->net = net;
    list_init(&pool->servers);
    return pool;
}

static void
drop_if_empty(struct idle_server *server)
{
    if (server->count > 0)
        return;
    list_remove(&server->node);
    free(server);
}

static struct idle_stream *
newest(const struct idle_server *server)
{
    return LIST_ENTRY(server->streams.next, struct idle_stream, node);
}

/* Out of the pool; the server stays, be it empty. */
static struct stream *
detach(struct idle_stream *idle)
{
    struct stream *stream = idle->stream;

    deadline_clear(&idle->server->pool->net->deadlines, &idle->deadline);
    list_remove(&idle->node);
    idle->server->count--;
    free(idle);
    return stream;
}

static void
discard(struct idle_stream *idle)
{
    struct idle_server *server = idle->server;

    stream_discard(detach(idle));
    drop_if_empty(server);
}

static size_t
on_data(void *ctx, struct span bytes)
{
    discard(ctx);
    return bytes.len;
}

static void
on_end(void *ctx)
{
    discard(ctx);
}

static void
on_drain(void *ctx)
{
    (void)ctx;
}

static void
on_error(void *ctx, const struct err *err)
{
    (void)err;
    discard(ctx);
}

static const struct stream_events idle_events = {
    .on_data = on_data,
    .on_eof = on_end,
    .on_drain = on_drain,
    .on_error = on_error,
};

static struct idle_server *
find_server(struct idle_pool *pool, const char *name)
{
    LIST_EACH(&pool->servers, node)
    {
        struct idle_server *server = LIST_ENTRY(node, struct idle_server, node);

        if (strcmp(server->name, name) == 0)
            return server;
    }
    return NULL;
}

static struct idle_server *
add_server(struct idle_pool *pool, const char *name)
{
    size_t size = strlen(name) + 1;
    struct idle_server *server = calloc(1, sizeof(*server) + size);

    if (server == NULL)
        return NULL;
    memcpy(server->name, name, size);
    server->pool = pool;
    list_init(&server->streams);
    list_add_last(&pool->servers, &server->node);
    return server;
}

void
idle_pool_free(struct idle_pool *pool)
{
    if (pool == NULL)
        return;
    LIST_EACH(&pool->servers, node)
    {
        struct idle_server *server = LIST_ENTRY(node, struct idle_server, node);

        LIST_EACH(&server->streams, it)
        stream_discard(detach(LIST_ENTRY(it, struct idle_stream, node)));
        free(server);
    }
    free(pool);
}

/* The newest: it is the least likely to be closing at the other end. */
struct stream *
idle_pool_take(struct idle_pool *pool, const char *name)
{
    struct idle_server *server = find_server(pool, name);
    struct stream *stream;

    if (server == NULL)
        return NULL;
    stream = detach(newest(server));
    drop_if_empty(server);
    stream_pause(stream);
    return stream;
}

static bool
put(struct idle_pool *pool, struct idle_server *server, struct stream *stream)
{
    struct idle_stream *idle = calloc(1, sizeof(*idle));

    if (idle == NULL)
        return false;
    idle->server = server;
    idle->stream = stream;
    server->count++;
    list_add_first(&server->streams, &idle->node);
    deadline_init(&idle->deadline, on_end, idle);
    deadline_arm(&pool->net->deadlines, &idle->deadline, IDLE_POOL_MS);
    stream_set_owner(stream, &idle_events, idle);
    stream_resume(stream); /* an end or a stray byte is to be seen */
    return true;
}

void
idle_pool_put(struct idle_pool *pool, const char *name, struct stream *stream)
{
    struct idle_server *server = find_server(pool, name);

    if (server == NULL)
        server = add_server(pool, name);
    if (server == NULL) {
        stream_discard(stream);
        return;
    }
    if (server->count == IDLE_POOL_PER_SERVER)
        discard(LIST_ENTRY(server->streams.prev, struct idle_stream, node));
    if (!put(pool, server, stream)) {
        stream_discard(stream);
        drop_if_empty(server);
    }
}
