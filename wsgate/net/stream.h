/*
 * A two-way byte stream: TCP, Unix socket, TLS and the tests' fakes implement
 * it. Bytes are pushed to the owner; what the owner does not take is kept and
 * reading pauses. Writes always take everything: the owner looks at
 * stream_queued() and stops its source above STREAM_HIGH_MARK.
 *
 * The owner calls stream_close() exactly once in a stream's life, also after
 * on_error; after on_closed the stream is freed. No event comes after stream_close() but
 * on_closed, which comes later from the loop, never from within the call.
 */
#ifndef WSGATE_NET_STREAM_H
#define WSGATE_NET_STREAM_H

#include "shared/err.h"
#include "shared/span.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    STREAM_HIGH_MARK = 64 * 1024, /* ours: one buffer's worth */
    STREAM_LOW_MARK = 16 * 1024
};

struct stream;

/* Called from the loop. Any of them may call stream_close(). */
struct stream_events {
    /* Answers how many bytes it took (0 .. len). Fewer than len: reading is
     * paused as by stream_pause(), the rest comes again after stream_resume().
     * The bytes are borrowed until the callback returns. */
    size_t (*on_data)(void *ctx, struct span bytes);
    /* The peer sends no more (FIN, close_notify); comes after all data. */
    void (*on_eof)(void *ctx);
    /* Output fell below STREAM_LOW_MARK after having been above
     * STREAM_HIGH_MARK. */
    void (*on_drain)(void *ctx);
    /* The stream is dead (reset, TLS alert, write failed): close it. Once. */
    void (*on_error)(void *ctx, const struct err *err);
    /* Last of all; may be NULL. */
    void (*on_closed)(void *ctx);
    /* TLS only: the handshake is complete; may be NULL. */
    void (*on_ready)(void *ctx);
    /* What stream_end() asked for is done: all output is with the kernel, the
     * FIN behind it. For owners that close as soon as they may; may be NULL. */
    void (*on_ended)(void *ctx);
};

struct stream_ops {
    void (*write)(struct stream *s, struct span bytes);
    void (*end)(struct stream *s);
    void (*pause)(struct stream *s);
    void (*resume)(struct stream *s);
    size_t (*queued)(const struct stream *s);
    void (*close)(struct stream *s);
};

struct stream {
    const struct stream_ops *ops;
    const struct stream_events *events;
    void *ctx;
};

/* Gathered; leaves at the end of the loop turn or when 64 KiB are together. */
static inline void
stream_write(struct stream *s, struct span bytes)
{
    s->ops->write(s, bytes);
}

/* Half-close: FIN (after close_notify) once all output is out. No write may
 * follow; data still comes in. */
static inline void
stream_end(struct stream *s)
{
    s->ops->end(s);
}

static inline void
stream_pause(struct stream *s)
{
    s->ops->pause(s);
}

/* Kept bytes come first, from the loop or from within this call. */
static inline void
stream_resume(struct stream *s)
{
    s->ops->resume(s);
}

/* Bytes written but not yet taken by the kernel. */
static inline size_t
stream_queued(const struct stream *s)
{
    return s->ops->queued(s);
}

/* At once: output that the kernel does not take now is dropped. Graceful:
 * stream_end(), wait for on_eof or a deadline, then this. */
static inline void
stream_close(struct stream *s)
{
    s->ops->close(s);
}

/* Hands a stream to another owner; bytes on their way go to the new one. */
static inline void
stream_set_owner(
    struct stream *s, const struct stream_events *events, void *ctx)
{
    s->events = events;
    s->ctx = ctx;
}

/* Closes a stream that nobody wants events of; NULL is accepted. */
void stream_discard(struct stream *s);
/* The owner of such a stream: takes all bytes, does nothing. */
extern const struct stream_events stream_no_owner;

#endif
