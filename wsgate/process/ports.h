/*
 * The master's listeners over reloads: what a new configuration adds is opened
 * before anybody is told, what it drops is closed after everybody agreed.
 */
#ifndef WSGATE_PROCESS_PORTS_H
#define WSGATE_PROCESS_PORTS_H

#include "shared/err.h"
#include "wsgate/gate_config.h"

#include <stdbool.h>

struct ports;

struct ports *ports_new(void);
/* Closes all; sockets in the file system that we made are removed. */
void ports_free(struct ports *ports);
/* The same, but for the memory: no more connections are wanted. Inherited
 * sockets stay open with whoever passed them. */
void ports_end(struct ports *ports);

/* Opens what is not open yet; on failure nothing has changed. */
bool ports_prepare(struct ports *ports, const struct gate_config *config,
    int slots, struct err *err);
typedef void
ports_change(void *ctx, const char *address, const int *fds, int fd_count);
/* The prepared set is the one; on_new may be NULL. */
void ports_commit(struct ports *ports, ports_change *on_new, void *ctx);
/* Before it: what the prepared set no longer names is closed. */
void ports_drop_old(struct ports *ports, ports_change *on_old, void *ctx);
/* What was opened by ports_prepare() is closed again. */
void ports_abort(struct ports *ports);

/* Every open one, with the descriptor for a worker slot; those of
 * ports_prepare() only with_new: else ports_commit() tells of them. */
void ports_each(const struct ports *ports, int slot, bool with_new,
    void (*on_port)(void *ctx, int slot, const char *address, int fd),
    void *ctx);

#endif
