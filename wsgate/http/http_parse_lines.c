/*
 * The strict grammar of heads: lines, start lines, fields (RFC 9112 2 to 5).
 * Input: bytes from the wire. Output: a block of lines fit for llhttp.
 */
#include "wsgate/http/http_parse_lines.h"

#include <string.h>

/*
 * Methods that are passed on: the registered ones that llhttp 8.1 and 9 both
 * know, without CONNECT, PRI and those of RTSP and ICE.
 */
static const struct {
    const char *name;
    enum http_method method;
} methods[] = {
    {"GET", HTTP_GET},
    {"HEAD", HTTP_HEAD},
    {"POST", HTTP_POST},
    {"PUT", HTTP_PUT},
    {"DELETE", HTTP_DELETE},
    {"OPTIONS", HTTP_OPTIONS},
    {"PATCH", HTTP_PATCH},
    {"TRACE", HTTP_TRACE},
    {"COPY", HTTP_OTHER},
    {"LOCK", HTTP_OTHER},
    {"MKCOL", HTTP_OTHER},
    {"MOVE", HTTP_OTHER},
    {"PROPFIND", HTTP_OTHER},
    {"PROPPATCH", HTTP_OTHER},
    {"SEARCH", HTTP_OTHER},
    {"UNLOCK", HTTP_OTHER},
    {"BIND", HTTP_OTHER},
    {"REBIND", HTTP_OTHER},
    {"UNBIND", HTTP_OTHER},
    {"ACL", HTTP_OTHER},
    {"REPORT", HTTP_OTHER},
    {"MKACTIVITY", HTTP_OTHER},
    {"CHECKOUT", HTTP_OTHER},
    {"MERGE", HTTP_OTHER},
    {"MKCALENDAR", HTTP_OTHER},
    {"LINK", HTTP_OTHER},
    {"UNLINK", HTTP_OTHER},
};

void
http_parse_lines_init(struct http_parse_lines *lines, struct buf *to,
    size_t max, size_t first_max)
{
    *lines =
        (struct http_parse_lines){.to = to, .max = max, .first_max = first_max};
}

/*
 * RFC 9112 2.2: a lone CR must not count as anything, and a lone LF may not
 * either here, because the next hop may see it otherwise. RFC 9110 5.5: the
 * other control bytes never.
 */
static const char *
byte_fault(unsigned char last, unsigned char c)
{
    if (last == '\r' && c != '\n')
        return "carriage return without line feed";
    if (last != '\r' && c == '\n')
        return "line feed without carriage return";
    if ((c < 0x20 && c != '\t' && c != '\r' && c != '\n') || c == 0x7f)
        return "control byte in head";
    return NULL;
}

/* Length of the part of `in` that belongs to this line; 0: refused. */
static size_t
scan(const struct http_parse_lines *lines, struct span in, struct err *err)
{
    size_t held = lines->to->len;
    size_t max = lines->count == 0 && lines->first_max < lines->max
                     ? lines->first_max
                     : lines->max;
    unsigned char last = held > lines->start ? lines->to->data[held - 1] : 0;

    for (size_t i = 0; i < in.len; i++) {
        const char *fault = byte_fault(last, in.data[i]);

        if (held + i >= max) {
            err_set(err, ERR_LIMIT, "head of more than %zu bytes", max);
            return 0;
        }
        if (fault != NULL) {
            err_set(err, ERR_FORMAT, "%s", fault);
            return 0;
        }
        last = in.data[i];
        if (last == '\n')
            return i + 1;
    }
    return in.len;
}

bool
http_parse_lines_take(struct http_parse_lines *lines, struct span in,
    size_t *eaten, bool *complete, struct span *line, struct err *err)
{
    size_t len = in.len == 0 ? 0 : scan(lines, in, err);

    *eaten = len;
    *complete = false;
    if (in.len == 0)
        return true;
    if (len == 0)
        return false;
    if (!buf_add(lines->to, span_sub(in, 0, len)))
        return err_memory(err);
    if (in.data[len - 1] != '\n')
        return true;
    *complete = true;
    *line = span_from(buf_span(lines->to), lines->start);
    line->len -= 2;
    lines->start = lines->to->len;
    lines->count++;
    return true;
}

static bool
is_tchar(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
           (c >= 'a' && c <= 'z') ||
           (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool
is_token(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_tchar(text.data[i]))
            return false;
    return text.len > 0;
}

static bool
refuse(unsigned *status, unsigned code, struct err *err, const char *text)
{
    *status = code;
    return err_set(
        err, code == 400 || code >= 500 ? ERR_FORMAT : ERR_LIMIT, "%s", text);
}

/* "HTTP/1.0" and "HTTP/1.1" only: 2.0 has another form on the wire, and of
 * 1.2 nobody knows what it means. */
static bool
parse_version(
    struct span text, unsigned *minor, unsigned *status, struct err *err)
{
    if (span_eq(text, SPAN_LIT("HTTP/1.1")) ||
        span_eq(text, SPAN_LIT("HTTP/1.0"))) {
        *minor = text.data[7] == '1';
        return true;
    }
    if (text.len == 8 && span_starts(text, SPAN_LIT("HTTP/")) &&
        text.data[5] >= '0' && text.data[5] <= '9' && text.data[6] == '.' &&
        text.data[7] >= '0' && text.data[7] <= '9')
        return refuse(status, 505, err, "HTTP version not supported");
    return refuse(status, 400, err, "no HTTP version");
}

static bool
parse_method(struct span text, enum http_method *method, unsigned *status,
    struct err *err)
{
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (span_eq(text, span_str(methods[i].name))) {
            *method = methods[i].method;
            return true;
        }
    if (!is_token(text))
        return refuse(status, 400, err, "method is not a token");
    if (span_eq(text, SPAN_LIT("CONNECT")))
        return refuse(status, 501, err, "CONNECT is not offered");
    return refuse(status, 501, err, "unknown method");
}

/* RFC 3986 2: visible ASCII; a fragment is never sent (RFC 9112 3.2). */
static bool
is_target(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] <= 0x20 || text.data[i] >= 0x7f || text.data[i] == '#')
            return false;
    return text.len > 0;
}

/* method SP target SP version: single spaces, nothing else (RFC 9112 3). */
static bool
parse_request(struct span line, size_t target_max, struct http_parse_start *out,
    unsigned *status, struct err *err)
{
    struct http_parse_start start = {.method = HTTP_GET};
    struct span method = SPAN_EMPTY;
    struct span target = SPAN_EMPTY;
    struct span version = SPAN_EMPTY;
    struct span more = SPAN_EMPTY;

    if (!span_split(&line, ' ', &method) || !span_split(&line, ' ', &target) ||
        !span_split(&line, ' ', &version) || span_split(&line, ' ', &more))
        return refuse(
            status, 400, err, "request line is not method, target and version");
    if (!is_target(target))
        return refuse(status, 400, err, "request target has forbidden bytes");
    if (!parse_version(version, &start.minor, status, err) ||
        !parse_method(method, &start.method, status, err))
        return false;
    if (target.len > target_max)
        return refuse(status, 414, err, "request target too long");
    start.method_len = method.len;
    start.target_len = target.len;
    *out = start;
    return true;
}

/* version SP 3DIGIT [SP reason] (RFC 9112 4). */
static bool
parse_status(struct span line, struct http_parse_start *out, unsigned *status,
    struct err *err)
{
    struct http_parse_start start = {.reason_at = 13};
    uint64_t code = 0;

    if (line.len < 12 || line.data[8] != ' ' ||
        (line.len > 12 && line.data[12] != ' '))
        return refuse(status, 400, err, "not a status line");
    if (!parse_version(span_sub(line, 0, 8), &start.minor, status, err))
        return false;
    if (!span_to_u64(span_sub(line, 9, 3), 599, &code) || code < 100)
        return refuse(status, 400, err, "status is not in 100 to 599");
    start.status = (unsigned)code;
    start.reason_len = line.len > 13 ? line.len - 13 : 0;
    *out = start;
    return true;
}

/*
 * RFC 9112 5: a name and at once a colon. A line that begins with space is an
 * obsolete fold (5.2) and refused, like a space before the colon (5.1).
 */
static bool
parse_field(struct span line, unsigned *status, struct err *err)
{
    size_t colon = span_find(line, ':');

    if (line.len > 0 && (line.data[0] == ' ' || line.data[0] == '\t'))
        return refuse(status, 400, err, "folded header field");
    if (colon == line.len)
        return refuse(status, 400, err, "header field without colon");
    if (!is_token(span_sub(line, 0, colon)))
        return refuse(status, 400, err, "header field name is not a token");
    return true;
}

bool
http_parse_lines_check(const struct http_parse_lines *lines, struct span line,
    enum http_parse_block block, const struct http_limits *limits,
    struct http_parse_start *start, unsigned *status, struct err *err)
{
    size_t fields =
        block == HTTP_PARSE_TRAILER ? lines->count : lines->count - 1;

    *status = 400;
    if (fields == 0 && block == HTTP_PARSE_RESPONSE)
        return parse_status(line, start, status, err);
    if (fields == 0)
        return parse_request(line, limits->target_max, start, status, err);
    if (fields <= limits->field_max)
        return parse_field(line, status, err);
    *status = 431;
    return err_set(
        err, ERR_LIMIT, "more than %zu header fields", limits->field_max);
}
