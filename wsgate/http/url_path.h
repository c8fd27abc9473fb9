/*
 * One normal path for routing, access rules and forwarding: unreserved escapes
 * decoded, dot segments removed (RFC 3986 5.2.4, 6.2.2); %2F, %5C, "//" and case
 * kept; %00, a bad escape, a raw backslash or control byte refused. Nothing
 * leaves the root. Pure.
 */
#ifndef WSGATE_HTTP_URL_PATH_H
#define WSGATE_HTTP_URL_PATH_H

#include "shared/buf.h"
#include "shared/err.h"
#include "shared/span.h"

#include <stdbool.h>

/* `raw` is the target's path ("/a/%7Eb/../c"), "*" for OPTIONS passes. Appends
 * to out; ERR_FORMAT otherwise. */
bool url_path_normalise(struct span raw, struct buf *out, struct err *err);

/* For files: every escape decoded; refuses what decodes to "/" or NUL. */
bool url_path_decode(struct span path, struct buf *out, struct err *err);

#endif
