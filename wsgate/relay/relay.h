/*
 * Two streams joined byte for byte: watermarks, half-close, no copy kept. The
 * relay owns both streams from start to the end and closes them.
 */
#ifndef WSGATE_RELAY_RELAY_H
#define WSGATE_RELAY_RELAY_H

#include "shared/err.h"
#include "shared/span.h"
#include "wsgate/net/net_loop.h"
#include "wsgate/net/stream.h"

#include <stdbool.h>
#include <stdint.h>

enum relay_side { RELAY_CLIENT, RELAY_BACKEND };

/* Why it ended: a closed list, also the log's word. */
enum relay_end {
    RELAY_END_CLIENT_CLOSED, /* the client ended first, then all was sent */
    RELAY_END_BACKEND_CLOSED,
    RELAY_END_CLIENT_ERROR,
    RELAY_END_BACKEND_ERROR,
    RELAY_END_LINGER, /* half-closed for too long */
    RELAY_END_SEND_TIMEOUT, /* a side took nothing of what waits for it */
    RELAY_END_STOPPED /* relay_stop() */
};
const char *relay_end_word(enum relay_end end);

struct relay_result {
    enum relay_end end;
    uint64_t from_client; /* bytes */
    uint64_t from_backend;
    struct err err; /* for the two _ERROR ends */
};

struct relay_settings {
    int64_t linger_ms; /* after one side ended, the other has this long */
    int64_t send_ms; /* not one byte leaves for so long, while above the high
                        mark: the end; 0: never */
};

struct relay;
typedef void relay_done(void *ctx, const struct relay_result *result);

/*
 * Takes both streams; the spans are bytes read beyond the handshake on either
 * side, copied or sent at once, and come first. `done` is called once both
 * streams are closed; the relay is freed behind it. NULL: memory (the streams
 * are closed then).
 */
struct relay *relay_start(struct net_loop *net, struct stream *client,
    struct span client_rest, struct stream *backend, struct span backend_rest,
    const struct relay_settings *settings, relay_done *done, void *ctx);
/* Ends it at once; `done` still comes. */
void relay_stop(struct relay *relay);
/* Live figures for status. */
void relay_bytes(
    const struct relay *relay, uint64_t *from_client, uint64_t *from_backend);

#endif
