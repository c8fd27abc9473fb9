/*
 * The life of one client connection: TLS handshake, heads, exchanges, a tunnel,
 * the end. One table of states; client_enter() is the only writer of the state.
 */
#ifndef WSGATE_CLIENT_CLIENT_H
#define WSGATE_CLIENT_CLIENT_H

#include "shared/list.h"
#include "wsgate/backend/backend.h"
#include "wsgate/client/access_log.h"
#include "wsgate/client/generation.h"
#include "wsgate/net/net_loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the clients of one worker share; the worker owns it. */
struct client_env {
    struct backend_env backend; /* .net too */
    struct generation *current; /* NULL before the first configuration */
    struct access_log *log;
    struct list clients; /* struct client.node */
    size_t count;
    uint64_t next_id;
    bool is_draining;
    int64_t
        handshake_second; /* failed handshakes are logged so many a second */
    unsigned handshake_lines;
    unsigned handshakes_unsaid;
    void (*on_gone)(void *ctx); /* after each client's end: accept again, or
                                   exit when draining is done */
    void *ctx;
};

void client_env_init(struct client_env *env);

/* An accepted socket (taken) on a configured listener address. */
void client_accept(struct client_env *env, int fd, const char *listen_address);

/*
 * From now on: idle connections close, exchanges finish with Connection: close.
 * Tunnels stay until client_stop_all().
 */
void client_drain_all(struct client_env *env);
/* Ends every connection at once. */
void client_stop_all(struct client_env *env);

#endif
