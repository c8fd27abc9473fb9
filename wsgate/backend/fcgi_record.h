/*
 * FastCGI 1.0 records to bytes and back: one request per connection, the web
 * server's side. Pure.
 */
#ifndef WSGATE_BACKEND_FCGI_RECORD_H
#define WSGATE_BACKEND_FCGI_RECORD_H

#include "shared/buf.h"
#include "shared/err.h"
#include "shared/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FCGI_HEADER_SIZE = 8,
    FCGI_CONTENT_MAX = 65528, /* 65535 by the format; of whole 8 bytes: ours */
    FCGI_ID = 1 /* 0 is for management records */
};

/* Specification 8, "Types and Constants". */
enum fcgi_type {
    FCGI_BEGIN_REQUEST = 1,
    FCGI_ABORT_REQUEST = 2,
    FCGI_END_REQUEST = 3,
    FCGI_PARAMS = 4,
    FCGI_STDIN = 5,
    FCGI_STDOUT = 6,
    FCGI_STDERR = 7
};

/* The request is a responder's, the connection ends with it. */
bool fcgi_write_begin(struct buf *out);
/* Bytes of a stream as records; no bytes: the record that ends the stream. */
bool fcgi_write_stream(struct buf *out, enum fcgi_type type, struct span bytes);
/* One name and value as they stand in PARAMS, without a record around them. */
bool fcgi_write_pair(struct buf *out, struct span name, struct span value);
/* The next pair off *rest. False: *rest is empty, or its bytes are no pair
 * (then *rest is left as it was). */
bool fcgi_read_pair(struct span *rest, struct span *name, struct span *value);

enum fcgi_event {
    FCGI_EVENT_MORE, /* all eaten */
    FCGI_EVENT_STDOUT, /* *data */
    FCGI_EVENT_STDERR, /* *data */
    FCGI_EVENT_END, /* the request is over: reader->protocol_status */
    FCGI_EVENT_ERROR /* no record of an application; *err */
};

/* Caller's storage, zeroed at birth. */
struct fcgi_reader {
    unsigned char header[FCGI_HEADER_SIZE];
    size_t header_len;
    unsigned char end[8]; /* body of END_REQUEST */
    size_t end_len;
    size_t content_left;
    size_t padding_left;
    uint32_t app_status;
    uint8_t protocol_status; /* 0: complete */
};

/* Eats from `in`, answers at the first event; data lies within `in`. After
 * ERROR the reader is of no more use. */
enum fcgi_event fcgi_read(struct fcgi_reader *reader, struct span in,
    size_t *eaten, struct span *data, struct err *err);
/* Why an END with protocol_status says the request was not carried out. */
const char *fcgi_protocol_word(uint8_t protocol_status);

#endif
