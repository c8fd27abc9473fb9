/*
 * Which server of a group: in turn, one that failed is left out for a while
 * unless all did. One pool per handler and generation, per worker.
 */
#ifndef WSGATE_BACKEND_BACKEND_PICK_H
#define WSGATE_BACKEND_BACKEND_PICK_H

#include "shared/config_table.h"
#include "shared/err.h"
#include "wsgate/net/dial.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BACKEND_FAIL_MS = 10 * 1000 /* ours: as nginx's fail_timeout */ };

struct backend_server {
    const char *name; /* as configured; borrowed from the configuration */
    struct dial_address address;
    uint64_t failed_at_ms; /* of uv_now(); 0: healthy */
};

struct backend_pool;

bool backend_pool_new(const struct config_strings *servers,
    struct backend_pool **out, struct err *err);
void backend_pool_free(struct backend_pool *pool);
size_t backend_pool_count(const struct backend_pool *pool);

/* The next to try; `tried` counts attempts of this exchange: NULL when every
 * server was tried. */
struct backend_server *
backend_pick(struct backend_pool *pool, size_t tried, uint64_t now_ms);
void backend_pick_failed(struct backend_server *server, uint64_t now_ms);
void backend_pick_worked(struct backend_server *server);

#endif
