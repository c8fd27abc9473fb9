/*
 * Paths of targets in one normal form (RFC 3986 5.2.4, 6.2.2).
 * Input: a path from a client. Output: the path that everybody else uses.
 */
#include "wsgate/http/url_path.h"

/* The byte an escape stands for; -1: not "%" and two hex digits. */
static int
escaped(struct span text)
{
    uint64_t byte = 0;

    if (text.len < 3 || !span_hex_to_u64(span_sub(text, 1, 2), 255, &byte))
        return -1;
    return (int)byte;
}

/* RFC 3986 2.3. */
static bool
is_unreserved(int c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
           (c >= 'a' && c <= 'z') || c == '-' || c == '.' || c == '_' ||
           c == '~';
}

static bool
add(struct buf *out, struct span bytes, struct err *err)
{
    return buf_add(out, bytes) || err_memory(err);
}

static bool
is_forbidden(unsigned char c)
{
    return c <= 0x20 || c >= 0x7f || c == '\\' || c == '?' || c == '#';
}

/* One segment, its unreserved escapes decoded. */
static bool
add_segment(struct buf *out, struct span segment, struct err *err)
{
    while (segment.len > 0) {
        size_t len = segment.data[0] == '%' ? 3 : 1;
        int byte = len == 3 ? escaped(segment) : segment.data[0];
        unsigned char plain = (unsigned char)byte;
        struct span bytes = span_sub(segment, 0, len);

        if (byte < 0)
            return err_set(err, ERR_FORMAT, "path has a bad escape");
        if (byte == 0 || (len == 1 && is_forbidden(plain)))
            return err_set(err, ERR_FORMAT, "path has a forbidden byte");
        if (len == 3 && is_unreserved(byte))
            bytes = span_make(&plain, 1);
        if (!add(out, bytes, err))
            return false;
        segment = span_from(segment, len);
    }
    return true;
}

/* Drops the last segment and its slash; at the root there is none. */
static void
drop_segment(struct buf *out, size_t root)
{
    while (out->len > root && out->data[out->len - 1] != '/')
        out->len--;
    if (out->len > root)
        out->len--;
}

/* "." and ".." leave only a slash, and that only at the end. */
static bool
finish_segment(
    struct buf *out, size_t root, size_t at, bool is_last, struct err *err)
{
    struct span name = span_from(buf_span(out), at + 1);
    bool is_parent = span_eq(name, SPAN_LIT(".."));

    if (!is_parent && !span_eq(name, SPAN_LIT(".")))
        return true;
    out->len = at;
    if (is_parent)
        drop_segment(out, root);
    return !is_last || add(out, SPAN_LIT("/"), err);
}

static bool
normalise(struct span raw, struct buf *out, struct err *err)
{
    size_t root = out->len;
    struct span segment = SPAN_EMPTY;
    struct span rest = span_from(raw, 1);

    while (span_split(&rest, '/', &segment)) {
        size_t at = out->len;

        if (!add(out, SPAN_LIT("/"), err) || !add_segment(out, segment, err) ||
            !finish_segment(out, root, at, rest.data == NULL, err))
            return false;
    }
    return true;
}

bool
url_path_normalise(struct span raw, struct buf *out, struct err *err)
{
    size_t before = out->len;

    if (span_eq(raw, SPAN_LIT("*")))
        return add(out, raw, err);
    if (!span_starts(raw, SPAN_LIT("/")))
        return err_set(err, ERR_FORMAT, "path does not begin with a slash");
    if (normalise(raw, out, err))
        return true;
    out->len = before;
    return false;
}

static bool
decode(struct span path, struct buf *out, struct err *err)
{
    while (path.len > 0) {
        size_t len = path.data[0] == '%' ? 3 : 1;
        int byte = len == 3 ? escaped(path) : path.data[0];
        unsigned char plain = (unsigned char)byte;

        if (byte < 0)
            return err_set(err, ERR_FORMAT, "path has a bad escape");
        if (byte == 0 || (len == 3 && byte == '/'))
            return err_set(err, ERR_FORMAT, "path hides a slash or NUL");
        if (!add(out, span_make(&plain, 1), err))
            return false;
        path = span_from(path, len);
    }
    return true;
}

bool
url_path_decode(struct span path, struct buf *out, struct err *err)
{
    size_t before = out->len;

    if (decode(path, out, err))
        return true;
    out->len = before;
    return false;
}
