/*
 * Chunked framing (RFC 9112 7.1), strict: says which bytes are size lines,
 * extensions and data, for any split. Pure.
 */
#ifndef WSGATE_HTTP_HTTP_PARSE_CHUNKS_H
#define WSGATE_HTTP_HTTP_PARSE_CHUNKS_H

#include "shared/err.h"
#include "shared/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum http_parse_chunk_state {
    CHUNK_SIZE,
    CHUNK_EXTENSION,
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    CHUNK_TRAILER /* the last chunk was there: lines follow */
};

struct http_parse_chunks {
    enum http_parse_chunk_state state;
    uint64_t left; /* of the chunk, or the size while it is read */
    unsigned digits;
    size_t extension; /* bytes of extensions in this message */
};

enum http_parse_chunk_kind {
    CHUNK_RUN_FRAMING, /* size, CR, LF */
    CHUNK_RUN_DROPPED, /* extension: allowed, bounded, not passed on */
    CHUNK_RUN_DATA
};

/*
 * Length of the first run of `in` (not empty) that is of one kind; not to be
 * called in CHUNK_TRAILER. ERR_FORMAT or ERR_LIMIT: 400.
 */
bool http_parse_chunks_run(struct http_parse_chunks *chunks, struct span in,
    size_t *len, enum http_parse_chunk_kind *kind, struct err *err);

#endif
