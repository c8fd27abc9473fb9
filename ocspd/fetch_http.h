/*
 * The few HTTP header fields that a fetch cares about, read line by line as
 * they come. Pure; used by fetch alone.
 */
#ifndef OCSPD_FETCH_HTTP_H
#define OCSPD_FETCH_HTTP_H

#include "ocspd/verdict.h"
#include "shared/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FETCH_HEADER_MAX = 64 * 1024, /* ours: all header lines of a hop */
    FETCH_DELTA_MAX = 10 * 24 * 60 * 60 /* ours: BR's longest response */
};

struct fetch_headers {
    size_t seen; /* bytes */
    int64_t max_age_s;
    int64_t age_s;
    int64_t date; /* Unix seconds; 0: not given or malformed */
    bool is_html;
};

/* One line with its end, a status line begins a new message. False: more than
 * FETCH_HEADER_MAX in all. */
bool fetch_headers_line(struct fetch_headers *headers, struct span line);
/* How long the answer stays fresh from now; 0: not given (RFC 9111 4.2). */
int64_t fetch_headers_freshness(const struct fetch_headers *headers);
/* The responder's clock as the answer tells: its Date, and how long a cache had
 * it since; 0: unknown. */
int64_t fetch_headers_clock(const struct fetch_headers *headers);

#endif
