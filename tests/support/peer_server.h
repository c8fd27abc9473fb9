/*
 * A TCP server on the test's own loop that plays a script: await some bytes,
 * send some bytes, go on or close.
 */
#ifndef TESTS_SUPPORT_PEER_SERVER_H
#define TESTS_SUPPORT_PEER_SERVER_H

#include "shared/buf.h"
#include "shared/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

enum { PEER_CONNECTIONS = 8 };

enum peer_then { PEER_GO_ON, PEER_FIN, PEER_RESET };

struct peer_step {
    const char *await; /* "" at once; NULL ends the script */
    struct span reply;
    enum peer_then then;
};

struct peer_server {
    uv_tcp_t listener;
    char address[32]; /* "127.0.0.1:40001" */
    const struct peer_step *scripts[PEER_CONNECTIONS]; /* one a connection */
    size_t accepted;
    size_t open;
    struct buf got[PEER_CONNECTIONS]; /* all that came in */
    bool had_eof[PEER_CONNECTIONS];
    struct peer_connection *connections[PEER_CONNECTIONS];
};

void peer_server_init(struct peer_server *server, uv_loop_t *loop);
/* Closes everything; the loop must run once more. */
void peer_server_close(struct peer_server *server);
void peer_server_fini(struct peer_server *server);
/* Bytes out of turn. */
void peer_server_send(
    struct peer_server *server, size_t connection, struct span bytes);
/* Stops and starts reading: a peer that takes no more. */
void peer_server_stop_reading(struct peer_server *server, size_t connection);
bool peer_server_has(
    const struct peer_server *server, size_t connection, const char *text);

#endif
