/*
 * What the fields of a head mean, and which heads are ambiguous.
 * Input: fields as llhttp split them. Output: the rest of the head's struct.
 */
#include "wsgate/http/http_parse_check.h"

#include "wsgate/http/http_headers.h"
#include "wsgate/http/url_path.h"

#include <arpa/inet.h>

/* ---- authority (RFC 3986 3.2, RFC 9110 7.2) ------------------------------ */

static bool
is_host_char(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
           (c >= 'a' && c <= 'z') || c == '-' || c == '_' || c == '~';
}

/* Stricter than reg-name: no escapes, no sub-delims, no empty label but a last
 * one, which is the root's. No real host needs more. */
static bool
is_name(struct span host)
{
    struct span rest = host;
    struct span label = SPAN_EMPTY;

    if (host.len == 0 || host.data[0] == '.')
        return false;
    while (span_split(&rest, '.', &label)) {
        if (label.len == 0 && rest.data != NULL)
            return false;
        for (size_t i = 0; i < label.len; i++)
            if (!is_host_char(label.data[i]))
                return false;
    }
    return true;
}

static bool
is_ipv6(struct span host)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;

    return span_to_cstr(host, text, sizeof(text)) &&
           inet_pton(AF_INET6, text, &address) == 1;
}

/* *host: no port, no brackets, no last dot. */
static bool
split_authority(struct span authority, struct span *host)
{
    struct span port;
    size_t at;
    uint64_t number;

    if (authority.len > 0 && authority.data[0] == '[') {
        at = span_find(authority, ']');
        *host = span_sub(authority, 1, at - 1);
        port = span_from(authority, at + 1);
        if (at == authority.len || !is_ipv6(*host))
            return false;
    } else {
        at = span_find(authority, ':');
        *host = span_sub(authority, 0, at);
        port = span_from(authority, at);
        if (!is_name(*host))
            return false;
        if (host->data[host->len - 1] == '.')
            host->len--;
    }
    if (port.len == 0)
        return true;
    return port.data[0] == ':' &&
           span_to_u64(span_from(port, 1), 65535, &number) && number > 0;
}

static bool
bad(unsigned *status, struct err *err, const char *text)
{
    *status = 400;
    return err_set(err, ERR_FORMAT, "%s", text);
}

static bool
store_host(struct http_request *head, struct span host, unsigned *status,
    struct err *err)
{
    size_t at = head->arena.len;

    for (size_t i = 0; i < host.len; i++) {
        unsigned char c = host.data[i];

        if (c >= 'A' && c <= 'Z')
            c = (unsigned char)(c | 0x20);
        if (!buf_add_byte(&head->arena, c)) {
            *status = 500;
            return err_memory(err);
        }
    }
    head->host = span_from(buf_span(&head->arena), at);
    return true;
}

/* RFC 9112 3.2: one Host, always valid, even where the target's authority
 * outranks it; only HTTP/1.0 may come without. */
static bool
check_host(struct http_request *head, unsigned *status, struct err *err)
{
    size_t count = http_field_count(&head->fields, "Host");
    struct span host = http_field_value(&head->fields, "Host");
    struct span name = SPAN_EMPTY;

    if (count > 1)
        return bad(status, err, "more than one Host");
    if (count == 0 && head->minor > 0)
        return bad(status, err, "no Host");
    if (count == 1 && !split_authority(host, &name))
        return bad(status, err, "Host is not a host with an optional port");
    if (head->authority.len == 0)
        head->authority = host;
    else if (!split_authority(head->authority, &name))
        return bad(status, err, "target's authority is not valid");
    return store_host(head, name, status, err);
}

/* ---- target (RFC 9112 3.2) ----------------------------------------------- */

static bool
is_absolute(struct span target, struct span *rest)
{
    static const char *const schemes[] = {"http://", "https://"};

    for (size_t i = 0; i < 2; i++)
        if (span_istarts(target, span_str(schemes[i]))) {
            *rest = span_from(target, strlen(schemes[i]));
            return true;
        }
    return false;
}

static size_t
authority_len(struct span text)
{
    size_t slash = span_find(text, '/');
    size_t query = span_find(text, '?');

    return slash < query ? slash : query;
}

/* *raw: path and query, maybe without a leading slash. */
static bool
split_target(struct http_request *head, struct span *raw, unsigned *status,
    struct err *err)
{
    struct span rest = SPAN_EMPTY;
    size_t len;

    *raw = head->target;
    if (span_starts(head->target, SPAN_LIT("/")))
        return true;
    if (span_eq(head->target, SPAN_LIT("*"))) {
        if (head->method == HTTP_OPTIONS)
            return true;
        return bad(status, err, "target * is for OPTIONS only");
    }
    if (!is_absolute(head->target, &rest))
        return bad(status, err, "target is neither a path nor an http URL");
    len = authority_len(rest);
    head->authority = span_sub(rest, 0, len);
    *raw = span_from(rest, len);
    if (len == 0)
        return bad(status, err, "target without host");
    return true;
}

static bool
store_path(struct http_request *head, struct span raw, unsigned *status,
    struct err *err)
{
    size_t len = span_find(raw, '?');
    size_t at = head->arena.len;
    struct span path = len == 0 ? SPAN_LIT("/") : span_sub(raw, 0, len);

    head->query = len < raw.len ? span_from(raw, len + 1) : SPAN_EMPTY;
    *status = 400;
    if (!url_path_normalise(path, &head->arena, err))
        return false;
    head->path = span_from(buf_span(&head->arena), at);
    return true;
}

/* ---- framing (RFC 9112 6) ------------------------------------------------ */

struct framing {
    bool has_length;
    bool is_chunked;
    uint64_t length;
};

/*
 * RFC 9112 6.1, 6.3: Transfer-Encoding together with Content-Length, in
 * HTTP/1.0, or other than "chunked" once is how requests are smuggled. Two
 * Content-Lengths are refused even when equal.
 */
static bool
read_framing(const struct http_fields *fields, unsigned minor,
    struct framing *out, unsigned *status, struct err *err)
{
    size_t lengths = http_field_count(fields, "Content-Length");
    size_t codings = http_field_count(fields, "Transfer-Encoding");
    struct span coding = http_field_value(fields, "Transfer-Encoding");

    *out = (struct framing){.has_length = lengths > 0};
    if (lengths > 1)
        return bad(status, err, "more than one Content-Length");
    if (lengths > 0 && codings > 0)
        return bad(status, err, "Content-Length and Transfer-Encoding");
    if (lengths > 0 && !span_to_u64(http_field_value(fields, "Content-Length"),
                           INT64_MAX, &out->length))
        return bad(status, err, "Content-Length is not a number");
    if (codings == 0)
        return true;
    if (minor == 0)
        return bad(status, err, "Transfer-Encoding in HTTP/1.0");
    if (codings > 1 || !span_ieq(coding, SPAN_LIT("chunked")))
        return bad(status, err, "Transfer-Encoding other than chunked");
    out->is_chunked = true;
    return true;
}

static bool
lives_on(const struct http_fields *fields, unsigned minor)
{
    if (http_field_has_token(fields, "Connection", "close"))
        return false;
    return minor > 0 ||
           http_field_has_token(fields, "Connection", "keep-alive");
}

bool
http_parse_check_request(
    struct http_request *head, unsigned *status, struct err *err)
{
    struct span raw = SPAN_EMPTY;
    struct framing framing;

    if (!split_target(head, &raw, status, err) ||
        !check_host(head, status, err) || !store_path(head, raw, status, err) ||
        !read_framing(&head->fields, head->minor, &framing, status, err))
        return false;
    head->body = framing.is_chunked   ? HTTP_BODY_CHUNKED
                 : framing.has_length ? HTTP_BODY_LENGTH
                                      : HTTP_BODY_NONE;
    head->length = framing.length;
    head->keep_alive = lives_on(&head->fields, head->minor);
    /* RFC 9110 7.8, 10.1.1: neither means anything in HTTP/1.0. */
    head->expects_continue =
        head->minor > 0 &&
        http_field_has_token(&head->fields, "Expect", "100-continue");
    head->is_upgrade =
        head->minor > 0 && http_field_count(&head->fields, "Upgrade") > 0 &&
        http_field_has_token(&head->fields, "Connection", "upgrade");
    *status = 200;
    return true;
}

/* RFC 9110 15.2, 15.3.5: these have no body; saying otherwise is a trap. */
static bool
check_bodyless(unsigned status, const struct framing *framing, struct err *err)
{
    if (status >= 200 && status != 204)
        return true;
    if (framing->is_chunked || framing->length > 0)
        return err_set(err, ERR_FORMAT, "body on a response %u", status);
    return true;
}

bool
http_parse_check_is_bodyless(enum http_method method, unsigned status)
{
    return method == HTTP_HEAD || status < 200 || status == 204 ||
           status == 304;
}

bool
http_parse_check_response(struct http_response *head, enum http_method method,
    bool upgrade, struct err *err)
{
    unsigned ignored = 0;
    struct framing framing;

    if (head->status == 101 && !upgrade)
        return err_set(err, ERR_FORMAT, "101 that was not asked for");
    if (!read_framing(&head->fields, head->minor, &framing, &ignored, err) ||
        !check_bodyless(head->status, &framing, err))
        return false;
    head->length = framing.length;
    if (http_parse_check_is_bodyless(method, head->status))
        head->body = HTTP_BODY_NONE;
    else if (framing.is_chunked)
        head->body = HTTP_BODY_CHUNKED;
    else
        head->body =
            framing.has_length ? HTTP_BODY_LENGTH : HTTP_BODY_UNTIL_CLOSE;
    head->keep_alive = lives_on(&head->fields, head->minor) &&
                       head->body != HTTP_BODY_UNTIL_CLOSE;
    return true;
}

bool
http_parse_check_trailers(const struct http_fields *trailers, struct err *err)
{
    static const char *const refused[] = {
        "Content-Length", "Transfer-Encoding", "Host"};

    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        if (http_field_count(trailers, refused[i]) > 0)
            return err_set(err, ERR_FORMAT, "%s in a trailer", refused[i]);
    return true;
}
