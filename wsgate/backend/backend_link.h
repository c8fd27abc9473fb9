/*
 * A connection to one server of a pool: which one, the next when it cannot be
 * reached, and how long to wait for it. Lives in the call that uses it.
 */
#ifndef WSGATE_BACKEND_BACKEND_LINK_H
#define WSGATE_BACKEND_BACKEND_LINK_H

#include "wsgate/backend/backend_core.h"
#include "wsgate/backend/backend_pick.h"
#include "wsgate/net/deadline.h"
#include "wsgate/net/dial.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The call is pinned around each of them. */
struct backend_link_events {
    /* Connected: write. The only one that may come from within open(). */
    void (*on_open)(struct backend_core *core);
    /* As in struct stream_events. */
    size_t (*on_data)(struct backend_core *core, struct span in);
    void (*on_eof)(struct backend_core *core);
    void (*on_drain)(struct backend_core *core);
    /* Nobody could be reached (CONNECT, TIMEOUT), or an open connection is
     * lost (PROTOCOL) or silent (TIMEOUT). The link is closed already. */
    void (*on_fail)(struct backend_core *core, enum backend_failure why,
        const struct err *err);
};

struct backend_link {
    struct backend_core *core;
    const struct backend_link_events *events;
    const struct gate_upstream *up;
    struct backend_server *server; /* the present or last one, or NULL */
    struct dial *dial;
    struct stream *stream;
    struct deadline deadline;
    size_t tried; /* servers dialled for this exchange */
    size_t timed_out; /* of them: no answer in time */
    uint64_t written; /* bytes given to the stream */
    uint64_t gone; /* of them known to have left */
    bool is_reused;
    bool awaits; /* an answer is due: silence is a failure */
    bool only_awaited; /* set by the kind: not every byte is a part of the
                          answer, await() says which one is */
    bool is_paused; /* the caller's wish */
    bool is_feeding; /* within on_data */
};

void backend_link_init(struct backend_link *link, struct backend_core *core,
    const struct gate_upstream *up, const struct backend_link_events *events);
/* To the next server; `reuse`: a kept connection will do. False: there is none
 * left to try, *err says why the last one failed if `err` came filled. */
bool backend_link_open(struct backend_link *link, bool reuse, struct err *err);
/* For start(): what fails at once is told from the loop. */
void backend_link_start(struct backend_link *link, bool reuse);

void backend_link_write(struct backend_link *link, struct span bytes);
/* The request is out: from now on (anew) the server's silence counts. */
void backend_link_await(struct backend_link *link);
void backend_link_pause(struct backend_link *link);
void backend_link_resume(struct backend_link *link);

static inline bool
backend_link_is_open(const struct backend_link *link)
{
    return link->stream != NULL;
}

/* Whether more may be written without being asked for on_drain. */
bool backend_link_has_room(const struct backend_link *link);
const char *backend_link_server(const struct backend_link *link);

/* The ends, of which one: closed, kept for the next exchange, given away. */
void backend_link_close(struct backend_link *link);
void backend_link_keep(struct backend_link *link);
struct stream *backend_link_take(struct backend_link *link);

#endif
