/*
 * Bytes -> heads and body events, with limits; the only user of llhttp. llhttp
 * is lenient even when strict: what it lets through is refused here (table in
 * test_http_parse.c). One event per call, so that the owner may stop anywhere.
 * Pure.
 */
#ifndef WSGATE_HTTP_HTTP_PARSE_H
#define WSGATE_HTTP_HTTP_PARSE_H

#include "shared/err.h"
#include "shared/span.h"
#include "wsgate/http/http_message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_limits {
    size_t head_max; /* bytes of start line and fields: 431 */
    size_t field_max; /* number of fields: 431 */
    size_t target_max; /* bytes: 414 */
};
extern const struct http_limits http_limits_default; /* 32 KiB, 100, 8 KiB */

enum http_event {
    HTTP_EVENT_MORE, /* all bytes eaten; give more */
    HTTP_EVENT_HEAD, /* the head is complete: http_parser_request() ... */
    HTTP_EVENT_BODY, /* *data: body bytes, chunk framing removed */
    HTTP_EVENT_END, /* message complete; trailers are in the parser */
    HTTP_EVENT_ERROR /* *err; http_parser_status() says what to answer */
};

struct http_parser;

struct http_parser *http_parser_new_request(const struct http_limits *limits);
/* A response to a request with this method (HEAD has no body). */
struct http_parser *http_parser_new_response(const struct http_limits *limits);
void http_parser_free(struct http_parser *parser);

/*
 * Eats from `in`, answers at the first event; *eaten <= in.len. To be called
 * until it answers MORE, also when no bytes are left: END has none of its own,
 * and the data of BODY points into `in`. After END the
 * next message starts by itself (pipelining), bytes of it are not eaten before
 * the next call. After ERROR the parser answers ERROR only.
 */
enum http_event http_parser_feed(struct http_parser *parser, struct span in,
    size_t *eaten, struct span *data, struct err *err);

/* Response parsers, before each message: what was asked. `upgrade`: a 101 may
 * come (then END follows HEAD and the rest belongs to the tunnel). */
void http_parser_expect(
    struct http_parser *parser, enum http_method method, bool upgrade);
/* The peer ended: HTTP_EVENT_END for a body until close, MORE between
 * messages, ERROR in the middle of one. */
enum http_event http_parser_eof(struct http_parser *parser, struct err *err);

/* Head of the current message, borrowed until the next message's first byte;
 * NULL for the other kind of parser. */
struct http_request *http_parser_request(struct http_parser *parser);
struct http_response *http_parser_response(struct http_parser *parser);
/* Trailer fields, after END. */
const struct http_fields *
http_parser_trailers(const struct http_parser *parser);
/* 400, 414, 431, 501, 505 ...; for requests after ERROR. */
unsigned http_parser_status(const struct http_parser *parser);
/* Has the current message begun? False: between two messages. */
bool http_parser_in_message(const struct http_parser *parser);

#endif
