/*
 * The admin socket on the master's loop: requests of operators, one JSON object
 * a line, answered in order. It knows nothing of workers: what is asked goes to
 * its owner, the outcome of a reload comes back from there.
 *
 *     {"do":"reload"}  ->  {"ok":true,"generation":7}
 *                          {"ok":false,"error":"...","exit":78}
 *     {"do":"status"}  ->  {"ok":true,"generation":7,"sites":1,...}
 *
 * A peer that sends rubbish, half a line or nothing, or reads nothing, costs
 * its own connection; nobody waits for it.
 */
#ifndef WSGATE_ADMIN_ADMIN_H
#define WSGATE_ADMIN_ADMIN_H

#include "shared/err.h"
#include "wsgate/gate_config.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

struct admin_worker {
    pid_t pid; /* 0: none at the moment, a successor will be started */
    const char *state; /* one word, borrowed */
    int64_t since; /* Unix seconds: when this process was started */
};

/* What the owner knows. */
struct admin_status {
    const char *state; /* "starting", "serving", borrowed */
    uint64_t generation; /* 0: none yet */
    uint64_t sites;
    int worker_count;
    const char *config; /* path, borrowed; NULL: not from a file */
};

struct admin_ops {
    /*
     * Begin a reload, or one more after the one that is under way. Each that
     * begins is told with admin_reload_begun(), each end with
     * admin_reload_over() and, if good, admin_all_switched(), all maybe before
     * this returns. False: none will be.
     */
    bool (*reload)(void *ctx, struct err *err);
    void (*status)(void *ctx, struct admin_status *out);
    void (*worker)(void *ctx, int index, struct admin_worker *out);
    int64_t idle_ms; /* a peer's time to ask and to read; 0: 60 s */
};

struct admin;

/* `ops` is borrowed for ever. New; nobody listens yet. */
struct admin *
admin_new(uv_loop_t *loop, const struct admin_ops *ops, void *ctx);

/*
 * What `admin:` says; without it, admin.sock in the folder that systemd made
 * for us (RUNTIME_DIRECTORY), else nothing. Opens the socket unless it is open.
 * False: nothing has changed. A default that cannot be opened is a warning
 * only: nobody asked for it.
 */
bool admin_prepare(
    struct admin *admin, const struct gate_config *config, struct err *err);
/* The prepared socket is the one, the former is closed; who is connected stays.
 * Without admin_prepare() it does nothing. */
void admin_commit(struct admin *admin);
/* What was opened by admin_prepare() is closed again. */
void admin_abort(struct admin *admin);

/* From here on whoever asked for a reload so far waits for the end of this one:
 * one that was under way before may not have seen what they wrote. */
void admin_reload_begun(struct admin *admin);
/* `why` NULL: it went well, and who waits for it is answered once the workers
 * have switched. Else they are answered now. */
void admin_reload_over(struct admin *admin, const struct err *why);
/* Every worker does what the reloads that are over told it. */
void admin_all_switched(struct admin *admin);

/* No more requests: removes the socket, answers `why` to those who wait, closes
 * all. */
void admin_end(struct admin *admin, const char *why);
/* Ends, closes handles; run the loop once more before admin_free(). */
void admin_close(struct admin *admin);
void admin_free(struct admin *admin);

#endif
