/*
 * Borrowed bytes: a pointer and a length, never owned, not ended by NUL.
 * Parsers read through these helpers and do no pointer arithmetic of their own.
 */
#ifndef SHARED_SPAN_H
#define SHARED_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
    const unsigned char *data; /* may be NULL when len is 0 */
    size_t len;
};

#define SPAN_LIT(text)                                                         \
    ((struct span){(const unsigned char *)(text), sizeof(text) - 1})
#define SPAN_EMPTY ((struct span){NULL, 0})
/* For printf's "%.*s". */
#define SPAN_FMT(s) (int)(s).len, (const char *)(s).data

static inline struct span
span_make(const void *data, size_t len)
{
    return (struct span){data, len};
}

/* The bytes of a C string; NULL gives the empty span. */
struct span span_str(const char *text);

bool span_eq(struct span a, struct span b);
/* ASCII letters compare without case. */
bool span_ieq(struct span a, struct span b);
bool span_starts(struct span s, struct span prefix);
bool span_istarts(struct span s, struct span prefix);
bool span_ends(struct span s, struct span suffix);

/* Sub-span; from and len are clamped to what is there. */
struct span span_sub(struct span s, size_t from, size_t len);
struct span span_from(struct span s, size_t from);

/* Without leading and trailing space and tab (OWS of RFC 9110 5.6.3). */
struct span span_trim(struct span s);

/* Index of the first c, or s.len. */
size_t span_find(struct span s, unsigned char c);

/*
 * Cuts the part before the first c off *rest and puts it into *part; *rest goes
 * on behind c. Answers false, leaving *part alone, when *rest was used up (its
 * data is then NULL). "a,,b" gives "a", "", "b"; "" gives one empty part.
 */
bool span_split(struct span *rest, unsigned char c, struct span *part);

/* A whole decimal number, digits only, at most max; false otherwise. */
bool span_to_u64(struct span text, uint64_t max, uint64_t *v);
/* The same in base 16, without 0x. */
bool span_hex_to_u64(struct span text, uint64_t max, uint64_t *v);

/*
 * Length of the UTF-8 sequence at the front, 1 to 4, and its code point; 0 when
 * s is empty or does not begin with one (RFC 3629 section 4: no overlong forms,
 * no surrogates).
 */
size_t span_utf8(struct span s, uint32_t *code);

/* Copies into a C string; false when it does not fit or holds a NUL. */
bool span_to_cstr(struct span s, char *out, size_t out_size);

/* New, NUL-ended heap copy, or NULL when memory is gone. */
char *span_dup(struct span s);

#endif
