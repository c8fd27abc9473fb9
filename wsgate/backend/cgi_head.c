/*
 * The head of a CGI response.
 * Input: the first bytes of a FastCGI application's output. Output: the head
 * of an HTTP response.
 */
#include "wsgate/backend/cgi_head.h"

#include "wsgate/http/http_headers.h"
#include "wsgate/http/http_write.h"

enum { STATUS_DEFAULT = 200, STATUS_REDIRECT = 302 };

/* RFC 3875 6: a line ends with LF or CRLF. */
size_t
cgi_head_find_end(struct span bytes, size_t from)
{
    for (size_t i = from < 2 ? 0 : from - 2; i < bytes.len; i++) {
        struct span rest = span_from(bytes, i);

        if (span_starts(rest, SPAN_LIT("\n\n")))
            return i + 2;
        if (span_starts(rest, SPAN_LIT("\n\r\n")))
            return i + 3;
    }
    return 0;
}

/* A token (RFC 9110 5.6.2). */
static bool
is_name(struct span name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.data[i] <= ' ' || name.data[i] >= 0x7f ||
            strchr("\"(),/:;<=>?@[\\]{}", name.data[i]) != NULL)
            return false;
    return name.len > 0;
}

static bool
is_value(struct span value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = value.data[i];

        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* "404" or "404 Not Found" */
static bool
take_status(struct span value, struct http_response *out, struct err *err)
{
    uint64_t status;

    if (!span_to_u64(span_sub(value, 0, 3), 599, &status) || status < 200 ||
        (value.len > 3 && value.data[3] != ' '))
        return err_set(err, ERR_FORMAT, "bad Status \"%.*s\"",
            (int)span_sub(value, 0, 40).len, (const char *)value.data);
    if (out->status != 0)
        return err_set(err, ERR_FORMAT, "two Status fields");
    out->status = (unsigned)status;
    out->reason = span_trim(span_from(value, 3));
    return true;
}

static bool
take_length(struct span value, struct http_response *out, struct err *err)
{
    uint64_t length;

    if (!span_to_u64(value, INT64_MAX, &length))
        return err_set(err, ERR_FORMAT, "bad Content-Length");
    if (out->body == HTTP_BODY_LENGTH)
        return err_set(err, ERR_FORMAT, "two Content-Length fields");
    out->body = HTTP_BODY_LENGTH;
    out->length = length;
    return true;
}

static bool
add_field(struct http_response *out, struct span name, struct span value,
    struct err *err)
{
    if (out->fields.count == CGI_FIELDS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d fields", CGI_FIELDS_MAX);
    return http_fields_add(&out->fields, name, value) || err_memory(err);
}

static bool
take_line(struct span line, struct http_response *out, struct err *err)
{
    size_t colon = span_find(line, ':');
    struct span name = span_sub(line, 0, colon);
    struct span value = span_trim(span_from(line, colon + 1));

    if (colon == line.len || !is_name(name) || !is_value(value))
        return err_set(err, ERR_FORMAT, "bad field in a CGI response");
    if (span_ieq(name, SPAN_LIT("Status")))
        return take_status(value, out, err);
    /* The framing towards the client is ours. */
    if (span_ieq(name, SPAN_LIT("Transfer-Encoding")))
        return true;
    if (span_ieq(name, SPAN_LIT("Content-Length")) &&
        !take_length(value, out, err))
        return false;
    return add_field(out, name, value, err);
}

/* The copy in the arena stays where it is: all spans point into it. */
static bool
take_lines(struct http_response *out, struct err *err)
{
    struct span rest = buf_span(&out->arena);
    struct span line;

    while (span_split(&rest, '\n', &line)) {
        if (span_ends(line, SPAN_LIT("\r")))
            line.len--;
        if (line.len == 0)
            break;
        if (!take_line(line, out, err))
            return false;
    }
    if (out->fields.count > 0 || out->status != 0)
        return true;
    /* RFC 3875 6.3: at least one field. */
    return err_set(err, ERR_FORMAT, "CGI response without a head");
}

/* RFC 3875 6.2.4: Location without Status is a redirect. */
static void
set_status(struct http_response *out)
{
    if (out->status == 0)
        out->status = http_field_value(&out->fields, "Location").len > 0
                          ? STATUS_REDIRECT
                          : STATUS_DEFAULT;
    if (out->reason.len == 0)
        out->reason = span_str(http_status_reason(out->status));
}

static void
set_body(struct http_response *out, enum http_method asked)
{
    if (asked == HTTP_HEAD || out->status == 204 || out->status == 304)
        out->body = HTTP_BODY_NONE;
    else if (out->body != HTTP_BODY_LENGTH)
        out->body = HTTP_BODY_CHUNKED;
}

bool
cgi_head_parse(struct span head, enum http_method asked,
    struct http_response *out, struct err *err)
{
    out->status = 0;
    out->body = HTTP_BODY_NONE;
    if (!buf_add(&out->arena, head))
        return err_memory(err);
    if (!take_lines(out, err))
        return false;
    set_status(out);
    set_body(out, asked);
    return true;
}
