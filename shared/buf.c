/*
 * Growable bytes with a hard maximum given at birth.
 * Input: bytes and formats. Output: a span, a C string or the bytes themselves.
 */
#include "shared/buf.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUF_FIRST = 256 /* ours: one line */ };

void
buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void
buf_fini(struct buf *b)
{
    free(b->data);
    buf_init(b, b->max);
}

bool
buf_reserve(struct buf *b, size_t more)
{
    size_t room = b->room ? b->room : BUF_FIRST;
    unsigned char *grown;

    if (b->len > b->max || more > b->max - b->len)
        return false;
    if (b->data != NULL && b->room - b->len > more)
        return true;
    /* One byte more than max: buf_cstr() keeps a NUL behind the contents. */
    while (room - b->len <= more && room <= b->max)
        room = room > b->max / 2 ? b->max + 1 : room * 2;
    grown = realloc(b->data, room);
    if (grown == NULL)
        return false;
    b->data = grown;
    b->room = room;
    return true;
}

void
buf_grew(struct buf *b, size_t more)
{
    assert(more <= b->room - b->len);
    b->len += more;
}

bool
buf_add(struct buf *b, struct span bytes)
{
    if (!buf_reserve(b, bytes.len))
        return false;
    if (bytes.len > 0)
        memcpy(b->data + b->len, bytes.data, bytes.len);
    b->len += bytes.len;
    return true;
}

bool
buf_add_str(struct buf *b, const char *text)
{
    return buf_add(b, span_str(text));
}

bool
buf_add_byte(struct buf *b, unsigned char byte)
{
    return buf_add(b, span_make(&byte, 1));
}

bool
buf_add_vfmt(struct buf *b, const char *fmt, va_list ap)
{
    va_list again;
    int need;

    va_copy(again, ap);
    need = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (need < 0 || !buf_reserve(b, (size_t)need))
        return false;
    /* buf_reserve() leaves room for the NUL. */
    (void)vsnprintf((char *)b->data + b->len, (size_t)need + 1, fmt, ap);
    b->len += (size_t)need;
    return true;
}

bool
buf_add_fmt(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    bool ok;

    va_start(ap, fmt);
    ok = buf_add_vfmt(b, fmt, ap);
    va_end(ap);
    return ok;
}

void
buf_consume(struct buf *b, size_t n)
{
    if (n >= b->len) {
        b->len = 0;
        return;
    }
    b->len -= n;
    memmove(b->data, b->data + n, b->len);
}

void
buf_clear(struct buf *b)
{
    b->len = 0;
}

struct span
buf_span(const struct buf *b)
{
    return span_make(b->data, b->len);
}

const char *
buf_cstr(struct buf *b)
{
    if (b->data == NULL)
        return "";
    b->data[b->len] = 0;
    return (const char *)b->data;
}

unsigned char *
buf_take(struct buf *b, size_t *len)
{
    unsigned char *bytes = b->data;

    *len = b->len;
    buf_init(b, b->max);
    return bytes;
}
