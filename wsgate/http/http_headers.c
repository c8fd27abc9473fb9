/*
 * Fields: lookup, list tokens, hop-by-hop, the forwarded family, dates.
 * Input: field lists of heads. Output: answers about them.
 */
#include "wsgate/http/http_headers.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

const struct http_field *
http_field_find(const struct http_fields *fields, struct span name)
{
    for (size_t i = 0; i < fields->count; i++)
        if (span_ieq(fields->items[i].name, name))
            return &fields->items[i];
    return NULL;
}

struct span
http_field_value(const struct http_fields *fields, const char *name)
{
    const struct http_field *field = http_field_find(fields, span_str(name));

    return field == NULL ? SPAN_EMPTY : field->value;
}

size_t
http_field_count(const struct http_fields *fields, const char *name)
{
    size_t count = 0;

    for (size_t i = 0; i < fields->count; i++)
        if (span_ieq(fields->items[i].name, span_str(name)))
            count++;
    return count;
}

static bool
list_has(struct span list, struct span token)
{
    struct span part = SPAN_EMPTY;

    while (span_split(&list, ',', &part))
        if (span_ieq(span_trim(part), token))
            return true;
    return false;
}

static bool
has_token(const struct http_fields *fields, const char *name, struct span token)
{
    for (size_t i = 0; i < fields->count; i++)
        if (span_ieq(fields->items[i].name, span_str(name)) &&
            list_has(fields->items[i].value, token))
            return true;
    return false;
}

bool
http_field_has_token(
    const struct http_fields *fields, const char *name, const char *token)
{
    return has_token(fields, name, span_str(token));
}

bool
http_fields_add(struct http_fields *fields, struct span name, struct span value)
{
    size_t room = fields->room == 0 ? 16 : fields->room * 2;

    if (fields->count == fields->room) {
        struct http_field *grown =
            realloc(fields->items, room * sizeof(*grown));

        if (grown == NULL)
            return false;
        fields->items = grown;
        fields->room = room;
    }
    fields->items[fields->count++] =
        (struct http_field){.name = name, .value = value};
    return true;
}

static bool
is_in(struct span name, const char *const *names)
{
    for (; *names != NULL; names++)
        if (span_ieq(name, span_str(*names)))
            return true;
    return false;
}

/*
 * RFC 9110 7.6.1. "Proxy" is no field of HTTP: CGI turns it into HTTP_PROXY,
 * which programs take for a setting (CVE-2016-5385).
 */
static const char *const hop_by_hop[] = {"Connection", "Keep-Alive", "TE",
    "Trailer", "Transfer-Encoding", "Upgrade", "HTTP2-Settings", "Proxy", NULL};

/* What Connection may not take away: these are for the last recipient, and a
 * sender that names them wants to mislead it. */
static const char *const end_to_end[] = {"Host", "Content-Length",
    "Content-Type", "Content-Encoding", "Content-Range", "Range",
    "Authorization", "Cookie", "Set-Cookie", "Cache-Control", "Origin",
    "Expect", NULL};

bool
http_field_is_hop_by_hop(const struct http_fields *fields, struct span name)
{
    return is_in(name, hop_by_hop) || span_istarts(name, SPAN_LIT("Proxy-")) ||
           (!is_in(name, end_to_end) && has_token(fields, "Connection", name));
}

/* CGI and WSGI make one variable of X-Real-IP and X_Real_IP. */
static bool
is_same_variable(struct span name, const char *other)
{
    struct span known = span_str(other);

    if (name.len != known.len)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = name.data[i] == '_' ? '-' : name.data[i];

        if (!span_ieq(span_make(&c, 1), span_sub(known, i, 1)))
            return false;
    }
    return true;
}

bool
http_field_is_forwarded(struct span name)
{
    static const char *const names[] = {
        "Forwarded", "X-Real-IP", "X-Request-Id"};
    static const char prefix[] = "X-Forwarded-";

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (is_same_variable(name, names[i]))
            return true;
    return is_same_variable(span_sub(name, 0, sizeof(prefix) - 1), prefix);
}

/* ---- dates (RFC 9110 5.6.7) ---------------------------------------------- */

static const char days[] = "SunMonTueWedThuFriSat";
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

void
http_date_write(int64_t unix_s, char out[30])
{
    time_t at = (time_t)unix_s;
    struct tm tm = {.tm_year = 70, .tm_mday = 1, .tm_wday = 4};

    /* Years of four digits only. */
    if (unix_s < 0 || unix_s > 253402300799 || gmtime_r(&at, &tm) == NULL)
        tm = (struct tm){.tm_year = 70, .tm_mday = 1, .tm_wday = 4};
    (void)snprintf(out, 30, "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT",
        days + 3 * tm.tm_wday, (unsigned)tm.tm_mday % 100,
        months + 3 * tm.tm_mon, (unsigned)(tm.tm_year + 1900) % 10000,
        (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
        (unsigned)tm.tm_sec % 100);
}

static bool
number_at(struct span text, size_t at, size_t len, int max, int *out)
{
    uint64_t value = 0;

    if (!span_to_u64(span_sub(text, at, len), (uint64_t)max, &value))
        return false;
    *out = (int)value;
    return true;
}

static bool
month_at(struct span text, size_t at, int *out)
{
    for (int i = 0; i < 12; i++)
        if (span_eq(span_sub(text, at, 3), span_make(months + 3 * i, 3))) {
            *out = i;
            return true;
        }
    return false;
}

static bool
time_at(struct span text, size_t at, struct tm *tm)
{
    struct span part = span_sub(text, at, 8);

    return part.len == 8 && part.data[2] == ':' && part.data[5] == ':' &&
           number_at(part, 0, 2, 23, &tm->tm_hour) &&
           number_at(part, 3, 2, 59, &tm->tm_min) &&
           number_at(part, 6, 2, 60, &tm->tm_sec);
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
static bool
parse_fixed(struct span text, struct tm *tm)
{
    return text.len == 29 && span_eq(span_sub(text, 3, 2), SPAN_LIT(", ")) &&
           number_at(text, 5, 2, 31, &tm->tm_mday) &&
           month_at(text, 8, &tm->tm_mon) &&
           number_at(text, 12, 4, 9999, &tm->tm_year) &&
           time_at(text, 17, tm) &&
           span_eq(span_from(text, 25), SPAN_LIT(" GMT"));
}

/* "Sunday, 06-Nov-94 08:49:37 GMT": years from 70 on are of last century. */
static bool
parse_rfc850(struct span text, struct tm *tm)
{
    struct span rest = span_from(text, span_find(text, ','));

    if (rest.len != 24 || !number_at(rest, 2, 2, 31, &tm->tm_mday) ||
        !month_at(rest, 5, &tm->tm_mon) ||
        !number_at(rest, 9, 2, 99, &tm->tm_year) || !time_at(rest, 12, tm) ||
        !span_eq(span_from(rest, 20), SPAN_LIT(" GMT")))
        return false;
    tm->tm_year += tm->tm_year < 70 ? 2000 : 1900;
    return true;
}

/* "Sun Nov  6 08:49:37 1994" */
static bool
parse_asctime(struct span text, struct tm *tm)
{
    bool short_day = text.len == 24 && text.data[8] == ' ';

    return text.len == 24 && month_at(text, 4, &tm->tm_mon) &&
           number_at(
               text, short_day ? 9 : 8, short_day ? 1 : 2, 31, &tm->tm_mday) &&
           time_at(text, 11, tm) && number_at(text, 20, 4, 9999, &tm->tm_year);
}

bool
http_date_parse(struct span text, int64_t *unix_s)
{
    struct tm tm = {.tm_mday = 0};

    if (!parse_fixed(text, &tm) && !parse_rfc850(text, &tm) &&
        !parse_asctime(text, &tm))
        return false;
    if (tm.tm_mday == 0 || tm.tm_year < 1970)
        return false;
    tm.tm_year -= 1900;
    *unix_s = (int64_t)timegm(&tm);
    return true;
}
