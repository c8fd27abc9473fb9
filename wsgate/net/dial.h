/*
 * Resolve and connect with one deadline -> stream. All addresses of a name are
 * tried in turn within it.
 */
#ifndef WSGATE_NET_DIAL_H
#define WSGATE_NET_DIAL_H

#include "shared/err.h"
#include "shared/span.h"
#include "wsgate/net/net_loop.h"
#include "wsgate/net/stream.h"

#include <stdbool.h>
#include <stdint.h>

/* "127.0.0.1:9000" "[::1]:9000" "name:9000" "unix:/run/x.sock". */
struct dial_address {
    bool is_unix;
    char host[256]; /* name or literal without brackets; or the path */
    char port[6];
};
/* ERR_CONFIG says what would be right. */
bool
dial_address_parse(struct span text, struct dial_address *out, struct err *err);

struct dial;
/* stream NULL: failed, err says why (kind ERR_TIMEOUT or ERR_SYSTEM). The
 * stream is the callee's, paused, without owner: stream_set_owner() first. */
typedef void dial_done(void *ctx, struct stream *stream, const struct err *err);

/* The callback comes once, never before dial_start() returned. NULL: memory. */
struct dial *
dial_start(struct net_loop *net, const struct dial_address *address,
    int64_t timeout_ms, dial_done *done, void *ctx);
/* No callback comes any more. */
void dial_cancel(struct dial *dial);

#endif
