/*
 * A worker's listeners on its loop: accepts in turns of bounded size, pauses
 * when the worker is full or descriptors run out.
 */
#ifndef WSGATE_PROCESS_ACCEPTOR_H
#define WSGATE_PROCESS_ACCEPTOR_H

#include "shared/err.h"
#include "wsgate/client/client.h"

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct acceptor; /* one per worker */

struct acceptor *
acceptor_new(uv_loop_t *loop, struct client_env *env, struct err *err);
/* Run the loop once more before freeing. */
void acceptor_close(struct acceptor *acceptor);
void acceptor_free(struct acceptor *acceptor);

/* fd is taken; accepting begins with acceptor_start(). */
bool acceptor_add(
    struct acceptor *acceptor, const char *address, int fd, struct err *err);
/* Takes what is queued, then closes. */
void acceptor_remove(struct acceptor *acceptor, const char *address);
void acceptor_start(struct acceptor *acceptor, size_t max_connections);
void acceptor_stop(struct acceptor *acceptor);
/* For good: our copies of the sockets are closed. Once the master closed its
 * own, new clients are refused and go elsewhere. */
void acceptor_end(struct acceptor *acceptor);
/* A connection ended: there may be room again. */
void acceptor_on_gone(struct acceptor *acceptor);

#endif
