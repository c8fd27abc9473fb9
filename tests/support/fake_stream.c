/*
 * A struct stream without a socket.
 * Input: the test, as the peer. Output: events for the owner, and what the
 * owner wrote.
 */
#include "tests/support/fake_stream.h"

#include <stdlib.h>

static void
deliver(struct fake_stream *f)
{
    if (f->is_delivering)
        return;
    f->is_delivering = true;
    while (f->incoming.len > 0 && !f->is_paused && !f->is_closed) {
        size_t n = f->incoming.len;
        struct buf piece;
        size_t taken;

        if (f->chunk > 0 && n > f->chunk)
            n = f->chunk;
        buf_init(&piece, n);
        (void)buf_add(&piece, span_sub(buf_span(&f->incoming), 0, n));
        taken = f->base.events->on_data(f->base.ctx, buf_span(&piece));
        buf_fini(&piece);
        buf_consume(&f->incoming, taken);
        if (taken < n)
            f->is_paused = true;
    }
    f->is_delivering = false;
    if (f->has_eof && !f->eof_told && f->incoming.len == 0 && !f->is_paused &&
        !f->is_closed) {
        f->eof_told = true;
        f->base.events->on_eof(f->base.ctx);
    }
}

static void
fake_write(struct stream *s, struct span bytes)
{
    struct fake_stream *f = (struct fake_stream *)s;

    if (f->is_closed || f->is_ended)
        return;
    f->writes++;
    (void)buf_add(&f->written, bytes);
    if (f->holds_output)
        f->queued += bytes.len;
    if (f->queued > STREAM_HIGH_MARK)
        f->was_high = true;
}

static void
fake_end(struct stream *s)
{
    ((struct fake_stream *)s)->is_ended = true;
}

static void
fake_pause(struct stream *s)
{
    struct fake_stream *f = (struct fake_stream *)s;

    f->is_paused = true;
    f->pauses++;
}

static void
fake_resume(struct stream *s)
{
    struct fake_stream *f = (struct fake_stream *)s;

    f->is_paused = false;
    deliver(f);
}

static size_t
fake_queued(const struct stream *s)
{
    return ((const struct fake_stream *)s)->queued;
}

static void
fake_close(struct stream *s)
{
    ((struct fake_stream *)s)->is_closed = true;
}

static const struct stream_ops ops = {
    .write = fake_write,
    .end = fake_end,
    .pause = fake_pause,
    .resume = fake_resume,
    .queued = fake_queued,
    .close = fake_close,
};

struct fake_stream *
fake_stream_new(void)
{
    struct fake_stream *f = calloc(1, sizeof(*f));

    if (f == NULL)
        abort();
    f->base = (struct stream){&ops, &stream_no_owner, NULL};
    buf_init(&f->written, SIZE_MAX / 2);
    buf_init(&f->incoming, SIZE_MAX / 2);
    return f;
}

void
fake_stream_free(struct fake_stream *f)
{
    if (f == NULL)
        return;
    buf_fini(&f->written);
    buf_fini(&f->incoming);
    free(f);
}

void
fake_stream_finish(struct fake_stream *f)
{
    if (!f->is_closed)
        abort();
    if (f->base.events->on_closed != NULL)
        f->base.events->on_closed(f->base.ctx);
    fake_stream_free(f);
}

void
fake_stream_feed(struct fake_stream *f, struct span bytes)
{
    (void)buf_add(&f->incoming, bytes);
    deliver(f);
}

void
fake_stream_feed_eof(struct fake_stream *f)
{
    f->has_eof = true;
    deliver(f);
}

void
fake_stream_feed_error(struct fake_stream *f, const char *text)
{
    struct err err;

    if (f->is_closed)
        return;
    (void)err_set(&err, ERR_SYSTEM, "%s", text);
    f->base.events->on_error(f->base.ctx, &err);
}

void
fake_stream_sends(struct fake_stream *f, size_t n)
{
    f->queued -= n < f->queued ? n : f->queued;
    if (f->was_high && f->queued < STREAM_LOW_MARK && !f->is_closed) {
        f->was_high = false;
        f->base.events->on_drain(f->base.ctx);
    }
    if (f->is_ended && f->queued == 0 && !f->is_closed &&
        f->base.events->on_ended != NULL)
        f->base.events->on_ended(f->base.ctx);
}

void
fake_stream_feed_ready(struct fake_stream *f)
{
    if (!f->is_closed && f->base.events->on_ready != NULL)
        f->base.events->on_ready(f->base.ctx);
}
