/*
 * The response of an HTTP server, from bytes to events; for plain exchanges and
 * for upgrades.
 */
#ifndef WSGATE_BACKEND_BACKEND_REPLY_H
#define WSGATE_BACKEND_BACKEND_REPLY_H

#include "wsgate/backend/backend_link.h"
#include "wsgate/http/http_parse.h"

enum {
    BACKEND_INTERIM_MAX = 32 /* ours: 1xx of one exchange; each starts the wait
                                for the answer anew */
};

enum backend_reply_step {
    BACKEND_REPLY_MORE, /* all eaten, or paused, or the call is over */
    BACKEND_REPLY_DONE, /* complete; on_end is the kind's to give */
    BACKEND_REPLY_UPGRADED, /* a 101; the rest belongs to the tunnel */
    BACKEND_REPLY_BROKEN
};

struct backend_reply {
    struct backend_link *link;
    struct http_parser *parser; /* owned */
    bool is_upgrade; /* a 101 may come */
    bool is_interim; /* the present head is a 1xx */
    unsigned interims; /* of this exchange */
    bool is_begun; /* a byte has come */
};

/* False: out of memory. */
bool backend_reply_init(
    struct backend_reply *reply, struct backend_link *link, bool is_upgrade);
void backend_reply_fini(struct backend_reply *reply);

/* Gives on_interim, on_head and on_body. */
enum backend_reply_step backend_reply_feed(
    struct backend_reply *reply, struct span in, size_t *used, struct err *err);
/* The server ended its side: DONE or BROKEN. */
enum backend_reply_step
backend_reply_eof(struct backend_reply *reply, struct err *err);

#endif
