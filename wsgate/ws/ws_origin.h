/*
 * May this page open this socket? Requests without Origin may, foreign Origins
 * may not unless listed (RFC 6455 10.2). Pure.
 */
#ifndef WSGATE_WS_WS_ORIGIN_H
#define WSGATE_WS_WS_ORIGIN_H

#include "shared/span.h"

#include <stdbool.h>
#include <stddef.h>

struct ws_origin_policy {
    bool any; /* origins: [any] */
    bool same; /* "same": scheme, host and port of the request */
    const char *const *listed; /* "https://admin.example.org"; borrowed */
    size_t listed_count;
};

/* `origin` empty with has_origin false: no Origin field. `authority` is the
 * request's Host, `port` ours when it names none. */
bool ws_origin_allowed(const struct ws_origin_policy *policy, bool has_origin,
    struct span origin, bool is_tls, struct span authority);

#endif
