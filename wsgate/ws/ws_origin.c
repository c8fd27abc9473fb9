/*
 * The Origin policy of a WebSocket location.
 * Input: the request's Origin and Host, the location's policy. Output: may it?
 */
#include "wsgate/ws/ws_origin.h"

struct origin {
    struct span scheme;
    struct span host; /* with brackets */
    uint64_t port;
};

static bool
default_port(struct span scheme, uint64_t *port)
{
    if (span_ieq(scheme, SPAN_LIT("https")))
        *port = 443;
    else if (span_ieq(scheme, SPAN_LIT("http")))
        *port = 80;
    else
        return false;
    return true;
}

/* "host[:port]"; out->port stands when there is none. */
static bool
parse_authority(struct span authority, struct origin *out)
{
    size_t from = authority.len > 0 && authority.data[0] == '['
                      ? span_find(authority, ']')
                      : 0;
    size_t colon = from + span_find(span_from(authority, from), ':');

    out->host = span_sub(authority, 0, colon);
    if (out->host.len == 0)
        return false;
    return colon == authority.len ||
           span_to_u64(span_from(authority, colon + 1), 65535, &out->port);
}

/* scheme "://" host [ ":" port ], nothing behind it (RFC 6454 6.2). */
static bool
parse_origin(struct span text, struct origin *out)
{
    static const char forbidden[] = "/?#@, ";
    size_t colon = span_find(text, ':');
    struct span rest = span_from(text, colon);

    out->scheme = span_sub(text, 0, colon);
    if (!span_starts(rest, SPAN_LIT("://")) ||
        !default_port(out->scheme, &out->port))
        return false;
    rest = span_from(rest, 3);
    for (size_t i = 0; i < sizeof(forbidden) - 1; i++)
        if (span_find(rest, (unsigned char)forbidden[i]) < rest.len)
            return false;
    return parse_authority(rest, out);
}

static bool
is_same(const struct origin *a, const struct origin *b)
{
    return span_ieq(a->scheme, b->scheme) && span_ieq(a->host, b->host) &&
           a->port == b->port;
}

static bool
is_own(const struct origin *origin, bool is_tls, struct span authority)
{
    struct origin own = {
        .scheme = is_tls ? SPAN_LIT("https") : SPAN_LIT("http"),
        .port = is_tls ? 443 : 80};

    return parse_authority(authority, &own) && is_same(origin, &own);
}

static bool
is_listed(const struct ws_origin_policy *policy, const struct origin *origin)
{
    struct origin listed;

    for (size_t i = 0; i < policy->listed_count; i++)
        if (parse_origin(span_str(policy->listed[i]), &listed) &&
            is_same(origin, &listed))
            return true;
    return false;
}

/* "null" is what sandboxed and local pages send: only by its name. */
static bool
is_null_listed(const struct ws_origin_policy *policy)
{
    for (size_t i = 0; i < policy->listed_count; i++)
        if (span_eq(span_str(policy->listed[i]), SPAN_LIT("null")))
            return true;
    return false;
}

bool
ws_origin_allowed(const struct ws_origin_policy *policy, bool has_origin,
    struct span origin, bool is_tls, struct span authority)
{
    struct origin parsed;

    if (policy->any || !has_origin)
        return true;
    if (span_eq(origin, SPAN_LIT("null")))
        return is_null_listed(policy);
    if (!parse_origin(origin, &parsed))
        return false;
    return (policy->same && is_own(&parsed, is_tls, authority)) ||
           is_listed(policy, &parsed);
}
