/*
 * Fields: lookup, tokens in lists, which are hop-by-hop, and the forwarded
 * family rebuilt from the real peer. Pure.
 */
#ifndef WSGATE_HTTP_HTTP_HEADERS_H
#define WSGATE_HTTP_HTTP_HEADERS_H

#include "shared/buf.h"
#include "shared/span.h"
#include "wsgate/http/http_message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* First field of that name (any case) or NULL. */
const struct http_field *
http_field_find(const struct http_fields *fields, struct span name);
/* Its value, or the empty span. */
struct span
http_field_value(const struct http_fields *fields, const char *name);
size_t http_field_count(const struct http_fields *fields, const char *name);
/* Is `token` (any case) an element of the comma list(s) of that name? */
bool http_field_has_token(
    const struct http_fields *fields, const char *name, const char *token);
bool http_fields_add(
    struct http_fields *fields, struct span name, struct span value);

/* Never forwarded: the fixed list (RFC 9110 7.6.1, Proxy-*, TE, Trailer,
 * Keep-Alive ...) and what Connection names. */
bool
http_field_is_hop_by_hop(const struct http_fields *fields, struct span name);

/* The family that is rebuilt from the real peer and never passed on: Forwarded,
 * X-Forwarded-*, X-Real-IP, X-Request-Id; "_" counts as "-", as in CGI. */
bool http_field_is_forwarded(struct span name);

/* Who really asks; strings borrowed. */
struct http_peer {
    const char *client; /* real client's address, after trusted_proxies */
    const char *forwarded_for; /* chain to put into X-Forwarded-For, ends with
                                  the direct peer */
    const char *request_id;
    bool is_tls;
    const char *host; /* as asked for, with port */
    unsigned port; /* ours, that was connected to */
};

/* RFC 9110 5.6.7 date, for Date and Last-Modified; out holds 30 bytes. */
void http_date_write(int64_t unix_s, char out[30]);
bool http_date_parse(struct span text, int64_t *unix_s);

#endif
