/*
 * Which part of a file a request wants.
 * Input: conditional fields and Range of a request; size and validators of a
 * file. Output: the status to answer, and the bytes to send.
 */
#include "wsgate/backend/file_range.h"

#include "wsgate/http/http_headers.h"

/* RFC 9110 13.1.2: weak comparison, "W/" does not count. */
static bool
etag_in(struct span list, const char *etag)
{
    struct span part;

    while (span_split(&list, ',', &part)) {
        part = span_trim(part);
        if (span_eq(part, SPAN_LIT("*")))
            return true;
        if (span_starts(part, SPAN_LIT("W/")))
            part = span_from(part, 2);
        if (span_eq(part, span_str(etag)))
            return true;
    }
    return false;
}

static bool
any_etag_in(const struct http_fields *fields, const char *etag)
{
    for (size_t i = 0; i < fields->count; i++)
        if (span_ieq(fields->items[i].name, SPAN_LIT("If-None-Match")) &&
            etag_in(fields->items[i].value, etag))
            return true;
    return false;
}

/* RFC 9110 13.2.2: If-None-Match before If-Modified-Since. */
static bool
is_unchanged(
    const struct http_fields *fields, const struct file_version *version)
{
    int64_t since;

    if (http_field_find(fields, SPAN_LIT("If-None-Match")) != NULL)
        return any_etag_in(fields, version->etag);
    return http_date_parse(
               http_field_value(fields, "If-Modified-Since"), &since) &&
           version->modified_at <= since;
}

/* RFC 9110 13.1.5: strong comparison; a date must be the very one. */
static bool
range_counts(
    const struct http_fields *fields, const struct file_version *version)
{
    struct span value = http_field_value(fields, "If-Range");
    int64_t date;

    if (http_field_find(fields, SPAN_LIT("If-Range")) == NULL)
        return true;
    if (http_date_parse(value, &date))
        return date == version->modified_at;
    return span_eq(value, span_str(version->etag));
}

/* "-500": the last bytes. */
static bool
suffix_range(struct span last, uint64_t size, struct file_range *out)
{
    uint64_t len;

    if (!span_to_u64(last, INT64_MAX, &len))
        return false;
    if (len > size)
        len = size;
    *out = len == 0 ? (struct file_range){416, 0, 0}
                    : (struct file_range){206, size - len, len};
    return true;
}

/* One "first-last"; false: no range that we know, so the whole (14.2). */
static bool
one_range(struct span text, uint64_t size, struct file_range *out)
{
    size_t dash = span_find(text, '-');
    struct span first = span_trim(span_sub(text, 0, dash));
    struct span last = span_trim(span_from(text, dash + 1));
    uint64_t from;
    uint64_t to = INT64_MAX;

    if (dash == text.len)
        return false;
    if (first.len == 0)
        return suffix_range(last, size, out);
    if (!span_to_u64(first, INT64_MAX, &from) ||
        (last.len > 0 && !span_to_u64(last, INT64_MAX, &to)) || to < from)
        return false;
    if (from >= size) {
        *out = (struct file_range){416, 0, 0};
        return true;
    }
    if (to >= size)
        to = size - 1;
    *out = (struct file_range){206, from, to - from + 1};
    return true;
}

struct file_range
file_range_find(
    const struct http_request *head, const struct file_version *version)
{
    struct file_range whole = {200, 0, version->size};
    struct file_range range;
    struct span text = http_field_value(&head->fields, "Range");

    if (is_unchanged(&head->fields, version))
        return (struct file_range){304, 0, 0};
    /* 14.2: Range means something with GET only. Several ranges are answered
     * with the whole, as 14.2 lets a server do. */
    if (head->method != HTTP_GET || !span_istarts(text, SPAN_LIT("bytes=")) ||
        http_field_count(&head->fields, "Range") > 1 ||
        span_find(text, ',') < text.len ||
        !range_counts(&head->fields, version) ||
        !one_range(span_from(text, 6), version->size, &range))
        return whole;
    return range;
}
