/*
 * The workers as the master sees them: started by exec of our own binary,
 * pinged, replaced with back-off when they die, drained at the end.
 */
#ifndef WSGATE_PROCESS_WORKFORCE_H
#define WSGATE_PROCESS_WORKFORCE_H

#include "shared/err.h"
#include "shared/span.h"
#include "wsgate/process/channel.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

struct workforce_events {
    /* A worker is up and spoke our version: send it all that it needs. */
    void (*on_hello)(void *ctx, int slot);
    void (*on_ready)(void *ctx, int slot, uint64_t id);
    void (*on_failed)(void *ctx, int slot, uint64_t id, const char *text);
    /* A worker is gone (it will be replaced unless draining). */
    void (*on_lost)(void *ctx, int slot);
    /* After workforce_drain() or workforce_kill(): nobody is left. */
    void (*on_all_gone)(void *ctx);
};

struct workforce;

/* `user`: workers become that user (only for a start as root); NULL: as us. */
struct workforce *workforce_new(uv_loop_t *loop, int slots, const char *user,
    const struct workforce_events *events, void *ctx, struct err *err);
/* Closes handles; run the loop once more before workforce_free(). */
void workforce_close(struct workforce *force);
void workforce_free(struct workforce *force);

bool workforce_start(struct workforce *force, struct err *err);
int workforce_slots(const struct workforce *force);
/* Has the worker said hello (and not died since)? */
bool workforce_is_up(const struct workforce *force, int slot);
struct workforce_member {
    pid_t pid; /* 0: dead, its successor is about to be started */
    bool is_up;
    int64_t age_ms; /* since this process was started */
};
void workforce_look(
    const struct workforce *force, int slot, struct workforce_member *out);
/* False: the worker cannot be reached and will be replaced. */
bool workforce_send(struct workforce *force, int slot, enum channel_type type,
    uint64_t id, struct span payload, const int *fds, int fd_count);
/* Once every worker that is up has done what was sent to it so far, or is gone.
 * Asked again before that, only the last one is told. */
void workforce_catch_up(
    struct workforce *force, void (*on_caught_up)(void *ctx), void *ctx);
/* SIGCHLD came. */
void workforce_reap(struct workforce *force);
void workforce_drain(struct workforce *force, int64_t deadline_ms);
void workforce_kill(struct workforce *force);
/* Every worker answered its last ping, or is being replaced: the watchdog. */
bool workforce_is_well(const struct workforce *force);

#endif
