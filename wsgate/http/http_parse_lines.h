/*
 * The lines of a head or trailer: collected byte by byte into a buffer, each
 * checked against the strict grammar of RFC 9112 before llhttp sees any. Pure.
 */
#ifndef WSGATE_HTTP_HTTP_PARSE_LINES_H
#define WSGATE_HTTP_HTTP_PARSE_LINES_H

#include "shared/buf.h"
#include "shared/err.h"
#include "shared/span.h"
#include "wsgate/http/http_message.h"
#include "wsgate/http/http_parse.h"

#include <stdbool.h>
#include <stddef.h>

struct http_parse_lines {
    struct buf *to; /* borrowed: every byte of the block, CRLFs too */
    size_t start; /* where the line begins that is being collected */
    size_t max; /* bytes of the block */
    size_t first_max; /* bytes of the first line, with its CRLF */
    size_t count; /* complete lines */
};

/* What a start line says; offsets into the block. */
struct http_parse_start {
    enum http_method method;
    size_t method_len;
    size_t target_len; /* behind the method and a space */
    unsigned minor;
    unsigned status;
    size_t reason_at;
    size_t reason_len;
};

void http_parse_lines_init(struct http_parse_lines *lines, struct buf *to,
    size_t max, size_t first_max);
/*
 * Takes bytes to the end of one line at most. *complete: *line is it, without
 * CRLF. ERR_LIMIT: the block is too long; ERR_FORMAT: a bare CR or LF, a
 * control byte; ERR_MEMORY.
 */
bool http_parse_lines_take(struct http_parse_lines *lines, struct span in,
    size_t *eaten, bool *complete, struct span *line, struct err *err);

enum http_parse_block {
    HTTP_PARSE_REQUEST,
    HTTP_PARSE_RESPONSE,
    HTTP_PARSE_TRAILER
};
/* The line that was just completed: *start for a start line, *status with what
 * a client is to be told when it is refused. */
bool
http_parse_lines_check(const struct http_parse_lines *lines, struct span line,
    enum http_parse_block block, const struct http_limits *limits,
    struct http_parse_start *start, unsigned *status, struct err *err);

#endif
