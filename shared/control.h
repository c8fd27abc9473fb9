/*
 * Framing of JSON lines on a unix socket: bytes in, whole lines out; objects
 * in, bytes out. No loop and no socket inside.
 */
#ifndef SHARED_CONTROL_H
#define SHARED_CONTROL_H

#include "shared/buf.h"
#include "shared/err.h"
#include "shared/span.h"

#include <jansson.h>
#include <stdbool.h>

enum { CONTROL_LINE_MAX = 1024 * 1024 /* ours: one request or answer */ };

struct control_reader {
    struct buf bytes;
    size_t scanned; /* bytes at the front known to hold no newline */
};

void control_reader_init(struct control_reader *reader);
void control_reader_fini(struct control_reader *reader);
/* ERR_LIMIT when a line grows past CONTROL_LINE_MAX, or as much lies there
 * unread: close the connection. Take the lines out after each call. */
bool control_reader_feed(struct control_reader *reader, struct span bytes,
    struct err *err);
/*
 * The next whole line as a JSON object (new reference). True with *out NULL:
 * none yet. False: the line is not a JSON object (ERR_FORMAT); it is skipped
 * and the reader may go on.
 */
bool control_reader_next(struct control_reader *reader, json_t **out,
    struct err *err);

/* Adds one object and a newline. */
bool control_write(struct buf *out, const json_t *object, struct err *err);

#endif
