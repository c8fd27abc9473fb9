/*
 * Heads in their normal form -> bytes; our own replies.
 * Input: heads, who asked, how the body is framed. Output: bytes for a stream.
 */
#include "wsgate/http/http_write.h"

#include <inttypes.h>

static const struct {
    unsigned status;
    const char *reason;
} reasons[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {103, "Early Hints"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

const char *
http_status_reason(unsigned status)
{
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Status";
}

/* All or nothing: what a failed writer has begun is taken back. */
static bool
finish(struct buf *out, size_t before, bool ok)
{
    if (!ok)
        out->len = before;
    return ok;
}

/* Fields from http_parse cannot hold these; whoever makes some by hand shall
 * not split a head either. */
static bool
is_one_line(struct span text)
{
    return span_find(text, '\r') == text.len &&
           span_find(text, '\n') == text.len && span_find(text, 0) == text.len;
}

static bool
add_field(struct buf *out, struct span name, struct span value)
{
    return is_one_line(name) && is_one_line(value) && buf_add(out, name) &&
           buf_add(out, SPAN_LIT(": ")) && buf_add(out, value) &&
           buf_add(out, SPAN_LIT("\r\n"));
}

static bool
add_text(struct buf *out, const char *name, const char *value)
{
    return value == NULL || add_field(out, span_str(name), span_str(value));
}

static bool
add_framing(struct buf *out, const struct http_framing *framing)
{
    switch (framing->body) {
    case HTTP_BODY_LENGTH:
        return buf_add_fmt(
            out, "Content-Length: %" PRIu64 "\r\n", framing->length);
    case HTTP_BODY_CHUNKED:
        return buf_add_str(out, "Transfer-Encoding: chunked\r\n");
    case HTTP_BODY_NONE:
    case HTTP_BODY_UNTIL_CLOSE:
        break;
    }
    return true;
}

static bool
is_name(struct span name, const char *known)
{
    return span_ieq(name, span_str(known));
}

/* ---- requests ------------------------------------------------------------ */

/* RFC 7239 6: addresses of IPv6 in brackets and quotes; what is no address
 * (and came from outside) is "unknown". */
static bool
add_forwarded_for(struct buf *out, struct span node)
{
    bool is_v6 = span_find(node, ':') < node.len;

    for (size_t i = 0; i < node.len; i++)
        if (strchr("0123456789abcdefABCDEF:.", node.data[i]) == NULL ||
            node.data[i] == 0)
            return buf_add_str(out, "for=unknown");
    if (node.len == 0)
        return buf_add_str(out, "for=unknown");
    return buf_add_str(out, is_v6 ? "for=\"[" : "for=") && buf_add(out, node) &&
           buf_add_str(out, is_v6 ? "]\"" : "");
}

static bool
add_forwarded(struct buf *out, const struct http_peer *peer)
{
    struct span rest = span_str(
        peer->forwarded_for != NULL ? peer->forwarded_for : peer->client);
    struct span node = SPAN_EMPTY;
    const char *before = "Forwarded: ";

    while (span_split(&rest, ',', &node)) {
        if (!buf_add_str(out, before) ||
            !add_forwarded_for(out, span_trim(node)))
            return false;
        before = ", ";
    }
    if (peer->host != NULL &&
        span_find(span_str(peer->host), '"') == strlen(peer->host) &&
        *peer->host != 0 && !buf_add_fmt(out, ";host=\"%s\"", peer->host))
        return false;
    return buf_add_fmt(out, ";proto=%s\r\n", peer->is_tls ? "https" : "http");
}

static bool
add_peer(struct buf *out, const struct http_peer *peer)
{
    const char *chain =
        peer->forwarded_for != NULL ? peer->forwarded_for : peer->client;

    if (peer->client == NULL || !is_one_line(span_str(peer->host)))
        return false;
    return add_text(out, "X-Forwarded-For", chain) &&
           add_text(
               out, "X-Forwarded-Proto", peer->is_tls ? "https" : "http") &&
           add_text(out, "X-Forwarded-Host", peer->host) &&
           buf_add_fmt(out, "X-Forwarded-Port: %u\r\n", peer->port) &&
           add_forwarded(out, peer) &&
           add_text(out, "X-Real-IP", peer->client) &&
           add_text(out, "X-Request-Id", peer->request_id);
}

/* Fields that are written anew or not at all. */
static bool
is_left_out(const struct http_request *head, struct span name)
{
    return is_name(name, "Host") || is_name(name, "Content-Length") ||
           is_name(name, "Expect") || http_field_is_forwarded(name) ||
           http_field_is_hop_by_hop(&head->fields, name);
}

static bool
add_request_fields(struct buf *out, const struct http_request *head)
{
    for (size_t i = 0; i < head->fields.count; i++) {
        const struct http_field *field = &head->fields.items[i];

        if (!is_left_out(head, field->name) &&
            !add_field(out, field->name, field->value))
            return false;
    }
    return true;
}

static bool
add_request_line(struct buf *out, const struct http_request *head)
{
    return buf_add(out, head->method_text) && buf_add_byte(out, ' ') &&
           buf_add(out, head->path) &&
           (head->query.data == NULL ||
               (buf_add_byte(out, '?') && buf_add(out, head->query))) &&
           buf_add_str(out, " HTTP/1.1\r\n");
}

static bool
add_host(struct buf *out, const struct http_request *head,
    const struct http_peer *peer)
{
    struct span host =
        head->authority.len > 0 ? head->authority : span_str(peer->host);

    return add_field(out, SPAN_LIT("Host"), host);
}

bool
http_write_request(struct buf *out, const struct http_request *head,
    const struct http_peer *peer, const struct http_framing *framing,
    bool upgrade, bool keep_alive)
{
    size_t before = out->len;
    const char *connection =
        upgrade      ? "Connection: Upgrade\r\nUpgrade: websocket\r\n"
        : keep_alive ? ""
                     : "Connection: close\r\n";

    return finish(out, before,
        add_request_line(out, head) && add_host(out, head, peer) &&
            add_request_fields(out, head) && add_peer(out, peer) &&
            add_framing(out, framing) && buf_add_str(out, connection) &&
            buf_add_str(out, "\r\n"));
}

/* ---- responses ----------------------------------------------------------- */

/* To HEAD and in a 304 Content-Length is what GET would have got (RFC 9110
 * 8.6); http_parse has made sure that it is one number. */
static bool
keeps_length(unsigned status, const struct http_framing *framing)
{
    return framing->body == HTTP_BODY_NONE && status >= 200 && status != 204;
}

static bool
add_response_fields(struct buf *out, const struct http_response *head,
    const struct http_framing *framing)
{
    for (size_t i = 0; i < head->fields.count; i++) {
        const struct http_field *field = &head->fields.items[i];

        if (http_field_is_hop_by_hop(&head->fields, field->name) ||
            (is_name(field->name, "Content-Length") &&
                !keeps_length(head->status, framing)))
            continue;
        if (!add_field(out, field->name, field->value))
            return false;
    }
    return true;
}

/* RFC 9110 7.8: 426 must name the protocol that it wants. */
static bool
add_connection(
    struct buf *out, unsigned status, unsigned client_minor, bool keep_alive)
{
    if (status == 101)
        return buf_add_str(
            out, "Connection: Upgrade\r\nUpgrade: websocket\r\n");
    if (status < 200)
        return true;
    if (status == 426)
        return buf_add_fmt(out,
            "Connection: Upgrade%s\r\nUpgrade: websocket\r\n",
            keep_alive ? "" : ", close");
    if (!keep_alive)
        return buf_add_str(out, "Connection: close\r\n");
    return client_minor > 0 || buf_add_str(out, "Connection: keep-alive\r\n");
}

static bool
add_date(struct buf *out, const struct http_response *head, int64_t now)
{
    char date[30];

    if (http_field_find(&head->fields, SPAN_LIT("Date")) != NULL)
        return true;
    http_date_write(now, date);
    return buf_add_fmt(out, "Date: %s\r\n", date);
}

bool
http_write_response(struct buf *out, const struct http_response *head,
    unsigned client_minor, const struct http_framing *framing, bool keep_alive,
    int64_t now)
{
    size_t before = out->len;
    struct span reason = head->reason.len > 0
                             ? head->reason
                             : span_str(http_status_reason(head->status));
    bool has_end = framing->body != HTTP_BODY_UNTIL_CLOSE;
    bool is_final = head->status >= 200 && head->status != 204;

    return finish(out, before,
        is_one_line(reason) && buf_add_fmt(out, "HTTP/1.1 %u ", head->status) &&
            buf_add(out, reason) && buf_add_str(out, "\r\n") &&
            add_response_fields(out, head, framing) &&
            (head->status < 200 || add_date(out, head, now)) &&
            (!is_final || add_framing(out, framing)) &&
            add_connection(
                out, head->status, client_minor, keep_alive && has_end) &&
            buf_add_str(out, "\r\n"));
}

/* ---- chunks -------------------------------------------------------------- */

bool
http_write_chunk_head(struct buf *out, size_t len)
{
    return buf_add_fmt(out, "%zx\r\n", len);
}

/* RFC 9110 6.5.1: framing, routing and what is between two hops never travel
 * in trailers. */
static bool
is_trailer(const struct http_fields *trailers, struct span name)
{
    return !is_name(name, "Host") && !is_name(name, "Content-Length") &&
           !http_field_is_forwarded(name) &&
           !http_field_is_hop_by_hop(trailers, name);
}

static bool
add_trailers(struct buf *out, const struct http_fields *trailers)
{
    for (size_t i = 0; trailers != NULL && i < trailers->count; i++) {
        const struct http_field *field = &trailers->items[i];

        if (is_trailer(trailers, field->name) &&
            !add_field(out, field->name, field->value))
            return false;
    }
    return true;
}

bool
http_write_last_chunk(struct buf *out, const struct http_fields *trailers)
{
    size_t before = out->len;

    return finish(out, before,
        buf_add_str(out, "0\r\n") && add_trailers(out, trailers) &&
            buf_add_str(out, "\r\n"));
}

/* ---- our own replies ----------------------------------------------------- */

bool
http_write_reply(struct buf *out, unsigned status, const char *text,
    const char *extra, bool keep_alive, bool head_only, int64_t now)
{
    size_t before = out->len;
    const char *upgrade = status == 426 ? "Upgrade, " : "";
    char date[30];

    http_date_write(now, date);
    return finish(out, before,
        buf_add_fmt(out,
            "HTTP/1.1 %u %s\r\nDate: %s\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n"
            "Content-Length: %zu\r\nConnection: %s%s\r\n%s%s\r\n",
            status, http_status_reason(status), date, strlen(text) + 1, upgrade,
            keep_alive ? "keep-alive" : "close",
            status == 426 ? "Upgrade: websocket\r\n" : "", extra) &&
            (head_only || (buf_add_str(out, text) && buf_add_byte(out, '\n'))));
}
