/*
 * Borrowed bytes: compare, trim, split, read a bounded number.
 * Input: bytes somebody else owns. Output: views into them, and numbers.
 */
#include "shared/span.h"

#include <stdlib.h>

struct span
span_str(const char *text)
{
    return span_make(text, text == NULL ? 0 : strlen(text));
}

bool
span_eq(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static unsigned char
lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : c;
}

bool
span_ieq(struct span a, struct span b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.data[i]) != lower(b.data[i]))
            return false;
    return true;
}

bool
span_starts(struct span s, struct span prefix)
{
    return s.len >= prefix.len && span_eq(span_sub(s, 0, prefix.len), prefix);
}

bool
span_istarts(struct span s, struct span prefix)
{
    return s.len >= prefix.len && span_ieq(span_sub(s, 0, prefix.len), prefix);
}

bool
span_ends(struct span s, struct span suffix)
{
    return s.len >= suffix.len &&
           span_eq(span_from(s, s.len - suffix.len), suffix);
}

struct span
span_sub(struct span s, size_t from, size_t len)
{
    if (from > s.len)
        from = s.len;
    if (len > s.len - from)
        len = s.len - from;
    return span_make(s.data == NULL ? NULL : s.data + from, len);
}

struct span
span_from(struct span s, size_t from)
{
    return span_sub(s, from, s.len);
}

static bool
is_ows(unsigned char c)
{
    return c == ' ' || c == '\t';
}

struct span
span_trim(struct span s)
{
    while (s.len > 0 && is_ows(s.data[0]))
        s = span_from(s, 1);
    while (s.len > 0 && is_ows(s.data[s.len - 1]))
        s.len--;
    return s;
}

size_t
span_find(struct span s, unsigned char c)
{
    const unsigned char *hit = s.len == 0 ? NULL : memchr(s.data, c, s.len);

    return hit == NULL ? s.len : (size_t)(hit - s.data);
}

bool
span_split(struct span *rest, unsigned char c, struct span *part)
{
    size_t at;

    if (rest->data == NULL)
        return false;
    at = span_find(*rest, c);
    *part = span_sub(*rest, 0, at);
    *rest = at == rest->len ? SPAN_EMPTY : span_from(*rest, at + 1);
    return true;
}

static int
digit(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
}

static bool
to_u64(struct span text, unsigned base, uint64_t max, uint64_t *v)
{
    uint64_t sum = 0;

    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned d = (unsigned)digit(text.data[i]);

        if (d >= base || d > max || sum > (max - d) / base)
            return false;
        sum = sum * base + d;
    }
    *v = sum;
    return true;
}

bool
span_to_u64(struct span text, uint64_t max, uint64_t *v)
{
    return to_u64(text, 10, max, v);
}

bool
span_hex_to_u64(struct span text, uint64_t max, uint64_t *v)
{
    return to_u64(text, 16, max, v);
}

/* How long the sequence says it is; 0: not a first byte. */
static size_t
utf8_expected(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first < 0xc2)
        return 0;
    if (first < 0xe0)
        return 2;
    return first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
}

size_t
span_utf8(struct span s, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = s.len == 0 ? 0 : utf8_expected(s.data[0]);
    uint32_t sum;

    if (len == 0 || len > s.len)
        return 0;
    sum = len == 1 ? s.data[0] : s.data[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((s.data[i] & 0xc0) != 0x80)
            return 0;
        sum = sum << 6 | (s.data[i] & 0x3fu);
    }
    if (sum < least[len] || sum > 0x10ffff || (sum >= 0xd800 && sum < 0xe000))
        return 0;
    *code = sum;
    return len;
}

bool
span_to_cstr(struct span s, char *out, size_t out_size)
{
    if (s.len >= out_size || span_find(s, 0) != s.len)
        return false;
    if (s.len > 0)
        memcpy(out, s.data, s.len);
    out[s.len] = 0;
    return true;
}

char *
span_dup(struct span s)
{
    char *copy = malloc(s.len + 1);

    if (copy == NULL)
        return NULL;
    if (s.len > 0)
        memcpy(copy, s.data, s.len);
    copy[s.len] = 0;
    return copy;
}
