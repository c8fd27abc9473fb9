/*
 * A struct stream without a socket: the test plays the peer. Events come from
 * within the fake_*() calls and from stream_resume(); on_closed from
 * fake_stream_finish().
 */
#ifndef TESTS_SUPPORT_FAKE_STREAM_H
#define TESTS_SUPPORT_FAKE_STREAM_H

#include "shared/buf.h"
#include "wsgate/net/stream.h"

#include <stdbool.h>
#include <stddef.h>

struct fake_stream {
    struct stream base; /* first: &fake->base is the stream */
    struct buf written; /* all that the owner wrote; the test may clear it */
    size_t queued; /* answer of stream_queued() */
    bool holds_output; /* set: writes stay queued until fake_stream_sends() */
    bool was_high;
    struct buf incoming; /* sent by the peer, not yet taken by the owner */
    bool has_eof; /* the peer ended; told behind the last byte */
    bool eof_told;
    bool is_paused;
    bool is_ended; /* the owner called stream_end() */
    bool is_closed; /* the owner called stream_close() */
    bool is_delivering;
    size_t chunk; /* bytes per on_data; 0: all at once */
    unsigned writes; /* calls of stream_write() */
    unsigned pauses;
};

/* New; without owner, reading (not paused). */
struct fake_stream *fake_stream_new(void);
/* on_closed, then frees; the owner must have closed it. */
void fake_stream_finish(struct fake_stream *fake);
/* Frees one that its owner never closed. */
void fake_stream_free(struct fake_stream *fake);

/* The peer sends; delivered at once unless paused. */
void fake_stream_feed(struct fake_stream *fake, struct span bytes);
void fake_stream_feed_eof(struct fake_stream *fake);
void fake_stream_feed_error(struct fake_stream *fake, const char *text);
/* The peer takes n queued bytes; on_drain and on_ended as due. */
void fake_stream_sends(struct fake_stream *fake, size_t n);
/* The lower TLS handshake is complete. */
void fake_stream_feed_ready(struct fake_stream *fake);

#endif
