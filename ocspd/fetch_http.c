/*
 * The few HTTP header fields that a fetch cares about.
 * Input: header lines from curl. Output: freshness and the kind of body.
 */
#include "ocspd/fetch_http.h"

#include <time.h>

enum { DATE_SIZE = 30 /* RFC 9110 5.6.7 IMF-fixdate: 29, and a NUL */ };

/* delta-seconds (RFC 9111 1.2.2), clamped to what makes sense for OCSP. */
static int64_t
read_seconds(struct span text)
{
    uint64_t v;

    if (!span_to_u64(span_trim(text), UINT32_MAX, &v))
        return 0;
    return v > FETCH_DELTA_MAX ? FETCH_DELTA_MAX : (int64_t)v;
}

static void
read_cache_control(struct fetch_headers *headers, struct span value)
{
    struct span part;

    while (span_split(&value, ',', &part)) {
        part = span_trim(part);
        if (span_istarts(part, SPAN_LIT("max-age=")))
            headers->max_age_s = read_seconds(span_from(part, 8));
        else if (span_ieq(part, SPAN_LIT("no-cache")) ||
                 span_ieq(part, SPAN_LIT("no-store"))) {
            headers->max_age_s = 0;
            return;
        }
    }
}

/* The obsolete forms are nobody's any more: they count as none. */
static int64_t
read_date(struct span text)
{
    char date[DATE_SIZE];
    struct tm tm = {0};
    const char *end;

    if (text.len != DATE_SIZE - 1 || !span_to_cstr(text, date, sizeof(date)))
        return 0;
    end = strptime(date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    return end != NULL && *end == '\0' ? (int64_t)timegm(&tm) : 0;
}

static struct span
without_newline(struct span line)
{
    while (line.len > 0 &&
           (line.data[line.len - 1] == '\n' || line.data[line.len - 1] == '\r'))
        line.len--;
    return line;
}

bool
fetch_headers_line(struct fetch_headers *headers, struct span line)
{
    size_t seen = headers->seen + line.len, colon;
    struct span name, value;

    if (seen > FETCH_HEADER_MAX)
        return false;
    if (span_istarts(line, SPAN_LIT("HTTP/")))
        *headers = (struct fetch_headers){0};
    headers->seen = seen;
    line = without_newline(line);
    colon = span_find(line, ':');
    name = span_sub(line, 0, colon);
    value = span_trim(span_from(line, colon + 1));
    if (span_ieq(name, SPAN_LIT("cache-control")))
        read_cache_control(headers, value);
    else if (span_ieq(name, SPAN_LIT("age")))
        headers->age_s = read_seconds(value);
    else if (span_ieq(name, SPAN_LIT("date")))
        headers->date = read_date(value);
    else if (span_ieq(name, SPAN_LIT("content-type")))
        headers->is_html = span_istarts(value, SPAN_LIT("text/html"));
    return true;
}

int64_t
fetch_headers_freshness(const struct fetch_headers *headers)
{
    return headers->max_age_s > headers->age_s
               ? headers->max_age_s - headers->age_s
               : 0;
}

int64_t
fetch_headers_clock(const struct fetch_headers *headers)
{
    return headers->date > 0 ? headers->date + headers->age_s : 0;
}
