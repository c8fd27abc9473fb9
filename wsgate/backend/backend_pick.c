/*
 * Which server of a group comes next.
 * Input: the configured names; what connecting to them gave.
 * Output: servers in turn, those that failed left out for a while.
 */
#include "wsgate/backend/backend_pick.h"

#include <stdlib.h>

struct backend_pool {
    size_t count;
    size_t next; /* whose turn it is */
    struct backend_server servers[];
};

static bool
fill(struct backend_pool *pool, const struct config_strings *servers,
    struct err *err)
{
    for (size_t i = 0; i < pool->count; i++) {
        struct backend_server *server = &pool->servers[i];

        server->name = servers->items[i];
        if (!dial_address_parse(span_str(server->name), &server->address, err))
            return err_context(err, "server %s", server->name);
    }
    return true;
}

bool
backend_pool_new(const struct config_strings *servers,
    struct backend_pool **out, struct err *err)
{
    struct backend_pool *pool;

    if (servers->count == 0)
        return err_set(err, ERR_CONFIG, "no servers");
    pool = calloc(1, sizeof(*pool) + servers->count * sizeof(pool->servers[0]));
    if (pool == NULL)
        return err_memory(err);
    pool->count = servers->count;
    if (!fill(pool, servers, err)) {
        free(pool);
        return false;
    }
    *out = pool;
    return true;
}

void
backend_pool_free(struct backend_pool *pool)
{
    free(pool);
}

size_t
backend_pool_count(const struct backend_pool *pool)
{
    return pool->count;
}

static bool
is_left_out(const struct backend_server *server, uint64_t now_ms)
{
    return server->failed_at_ms != 0 &&
           now_ms < server->failed_at_ms + BACKEND_FAIL_MS;
}

/* When all are left out the turn decides alone: a guess beats a refusal. */
struct backend_server *
backend_pick(struct backend_pool *pool, size_t tried, uint64_t now_ms)
{
    size_t count = pool->count;
    size_t chosen = pool->next;

    if (count == 0 || tried >= count)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t at = (pool->next + i) % count;

        if (!is_left_out(&pool->servers[at], now_ms)) {
            chosen = at;
            break;
        }
    }
    pool->next = (chosen + 1) % count;
    return &pool->servers[chosen];
}

void
backend_pick_failed(struct backend_server *server, uint64_t now_ms)
{
    server->failed_at_ms = now_ms == 0 ? 1 : now_ms;
}

void
backend_pick_worked(struct backend_server *server)
{
    server->failed_at_ms = 0;
}
