/*
 * Growable bytes with a hard maximum given at birth. Full is an answer
 * (back-pressure or a limit), never a silent cut.
 */
#ifndef SHARED_BUF_H
#define SHARED_BUF_H

#include "shared/span.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct buf {
    unsigned char *data; /* owned; NULL while nothing was ever put in */
    size_t len;
    size_t room; /* bytes allocated */
    size_t max; /* len never passes it */
};

/* The caller owns the struct; nothing is allocated before the first byte. */
void buf_init(struct buf *b, size_t max);
/* Frees the bytes; the struct is as after buf_init and may be used again. */
void buf_fini(struct buf *b);

/*
 * These answer false when max would be passed or memory is gone, and then leave
 * the contents as they were.
 */
bool buf_add(struct buf *b, struct span bytes);
bool buf_add_str(struct buf *b, const char *text);
bool buf_add_byte(struct buf *b, unsigned char byte);
bool buf_add_fmt(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
bool buf_add_vfmt(struct buf *b, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));
/* Makes room for `more` bytes behind len; write there, then buf_grew(). */
bool buf_reserve(struct buf *b, size_t more);
void buf_grew(struct buf *b, size_t more);

/* Drops n bytes from the front; n is clamped to len. */
void buf_consume(struct buf *b, size_t n);
/* Forgets the contents, keeps the memory. */
void buf_clear(struct buf *b);

/* The contents, borrowed until the next change. */
struct span buf_span(const struct buf *b);
/* The contents as a C string (a NUL is kept behind them); "" when empty. */
const char *buf_cstr(struct buf *b);
/* The bytes become the caller's (free()); *len gets their number. */
unsigned char *buf_take(struct buf *b, size_t *len);

#endif
