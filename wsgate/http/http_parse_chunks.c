/*
 * Chunked framing, byte by byte around the data.
 * Input: a body from the wire. Output: runs of framing, extension and data.
 */
#include "wsgate/http/http_parse_chunks.h"

enum {
    CHUNK_DIGITS_MAX = 16, /* ours: leading zeros are no way to stall us */
    CHUNK_EXTENSION_MAX = 1024, /* ours, per message: nobody uses them but
                                   attackers (CVE-2023-39326) */
};
static const uint64_t chunk_size_max = INT64_MAX;

static bool
take_digit(struct http_parse_chunks *c, struct span in, struct err *err)
{
    uint64_t digit = 0;

    if (!span_hex_to_u64(span_sub(in, 0, 1), 15, &digit))
        return err_set(err, ERR_FORMAT, "chunk size is not a number");
    if (++c->digits > CHUNK_DIGITS_MAX || c->left > chunk_size_max >> 4)
        return err_set(err, ERR_LIMIT, "chunk size too large");
    c->left = c->left << 4 | digit;
    return true;
}

static bool
step_size(struct http_parse_chunks *c, struct span in, struct err *err)
{
    if (c->digits > 0 && in.data[0] == '\r') {
        c->state = CHUNK_SIZE_LF;
        return true;
    }
    return take_digit(c, in, err);
}

static bool
step_extension(
    struct http_parse_chunks *c, struct span in, size_t *len, struct err *err)
{
    size_t n = 0;

    while (n < in.len && in.data[n] != '\r') {
        unsigned char byte = in.data[n++];

        if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
            return err_set(err, ERR_FORMAT, "control byte in chunk extension");
        if (++c->extension > CHUNK_EXTENSION_MAX)
            return err_set(err, ERR_LIMIT, "chunk extensions too long");
    }
    *len = n;
    return true;
}

static bool
step_byte(struct http_parse_chunks *c, struct span in, unsigned char wanted,
    enum http_parse_chunk_state next, struct err *err)
{
    if (in.data[0] != wanted)
        return err_set(err, ERR_FORMAT, "chunk does not end in CRLF");
    c->state = next;
    return true;
}

static void
step_data(struct http_parse_chunks *c, struct span in, size_t *len)
{
    *len = c->left < in.len ? (size_t)c->left : in.len;
    c->left -= *len;
    if (c->left == 0) {
        c->digits = 0;
        c->state = CHUNK_DATA_CR;
    }
}

bool
http_parse_chunks_run(struct http_parse_chunks *c, struct span in, size_t *len,
    enum http_parse_chunk_kind *kind, struct err *err)
{
    *len = 1;
    *kind = CHUNK_RUN_FRAMING;
    if (c->state == CHUNK_SIZE && c->digits > 0 && in.data[0] == ';')
        c->state = CHUNK_EXTENSION;
    if (c->state == CHUNK_EXTENSION && in.data[0] == '\r')
        c->state = CHUNK_SIZE;
    switch (c->state) {
    case CHUNK_SIZE:
        return step_size(c, in, err);
    case CHUNK_EXTENSION:
        *kind = CHUNK_RUN_DROPPED;
        return step_extension(c, in, len, err);
    case CHUNK_SIZE_LF:
        return step_byte(
            c, in, '\n', c->left == 0 ? CHUNK_TRAILER : CHUNK_DATA, err);
    case CHUNK_DATA:
        *kind = CHUNK_RUN_DATA;
        step_data(c, in, len);
        return true;
    case CHUNK_DATA_CR:
        return step_byte(c, in, '\r', CHUNK_DATA_LF, err);
    case CHUNK_DATA_LF:
        return step_byte(c, in, '\n', CHUNK_SIZE, err);
    case CHUNK_TRAILER:
        break;
    }
    *len = 0;
    return true;
}
