/*
 * Two streams joined byte for byte.
 * Input: what either side sends. Output: the other side, and one relay_result
 * when both are closed.
 */
#include "wsgate/relay/relay.h"

#include <stdlib.h>

struct side {
    struct relay *relay;
    struct side *peer;
    struct stream *stream; /* owned */
    enum relay_side which;
    uint64_t bytes; /* passed on from it */
    struct deadline stall; /* set while its output is above the high mark */
    int64_t gone_before; /* see gone(); when `stall` was set */
    bool is_over; /* nothing more is taken from it: EOF or error of a side */
    bool is_ended; /* all that we had for it is sent */
    bool is_closing;
    bool is_closed;
};

struct relay {
    struct net_loop *net;
    struct relay_settings settings;
    relay_done *done;
    void *ctx;
    struct side sides[2];
    struct deadline linger;
    bool has_reason;
    struct relay_result result;
};

const char *
relay_end_word(enum relay_end end)
{
    switch (end) {
    case RELAY_END_CLIENT_CLOSED:
        return "client_closed";
    case RELAY_END_BACKEND_CLOSED:
        return "backend_closed";
    case RELAY_END_CLIENT_ERROR:
        return "client_error";
    case RELAY_END_BACKEND_ERROR:
        return "backend_error";
    case RELAY_END_LINGER:
        return "linger";
    case RELAY_END_SEND_TIMEOUT:
        return "send_timeout";
    case RELAY_END_STOPPED:
        return "stopped";
    }
    return "unknown";
}

static void
close_side(struct side *side)
{
    if (side->is_closing)
        return;
    side->is_closing = true;
    deadline_clear(&side->relay->net->deadlines, &side->stall);
    stream_close(side->stream);
}

static void
close_both(struct relay *r)
{
    close_side(&r->sides[RELAY_CLIENT]);
    close_side(&r->sides[RELAY_BACKEND]);
}

/* The first reason stands. */
static void
set_reason(struct relay *r, enum relay_end end)
{
    if (r->has_reason)
        return;
    r->has_reason = true;
    r->result.end = end;
}

/* A deadline says more than who closed first, but less than an error. */
static void
cut(struct relay *r, enum relay_end end)
{
    if (r->result.end != RELAY_END_CLIENT_ERROR &&
        r->result.end != RELAY_END_BACKEND_ERROR)
        r->result.end = end;
    r->has_reason = true;
    close_both(r);
}

/* A side is let go when neither direction needs it any more. */
static void
close_when_done(struct side *side)
{
    if (side->is_closing || !side->is_over || !side->peer->is_over)
        return;
    if (side->is_ended || stream_queued(side->stream) == 0)
        close_side(side);
}

static void
arm_linger(struct relay *r)
{
    if (r->linger.at_ms == 0)
        deadline_arm(&r->net->deadlines, &r->linger, r->settings.linger_ms);
}

/* `side` sends no more: the other learns it behind the last byte. */
static void
side_over(struct side *side)
{
    struct side *peer = side->peer;

    if (side->is_over)
        return;
    side->is_over = true;
    if (!peer->is_closing)
        stream_end(peer->stream);
    arm_linger(side->relay);
    close_when_done(side);
    close_when_done(peer);
}

/* Bytes that left towards it, from some zero on: those written less those that
 * wait. TLS makes more of them, so it may be below zero. */
static int64_t
gone(const struct side *side)
{
    return (int64_t)side->peer->bytes - (int64_t)stream_queued(side->stream);
}

static void
arm_stall(struct side *side)
{
    struct relay *r = side->relay;

    side->gone_before = gone(side);
    deadline_arm(&r->net->deadlines, &side->stall, r->settings.send_ms);
}

/* A slow reader is not cut while it reads. */
static void
on_stall(void *ctx)
{
    struct side *side = ctx;

    if (gone(side) > side->gone_before) {
        arm_stall(side);
        return;
    }
    cut(side->relay, RELAY_END_SEND_TIMEOUT);
}

/* Nothing more is read for `side` until it has taken what waits. */
static void
hold_peer(struct side *side)
{
    stream_pause(side->peer->stream);
    if (side->stall.at_ms == 0)
        arm_stall(side);
}

static size_t
on_data(void *ctx, struct span bytes)
{
    struct side *side = ctx;
    struct side *peer = side->peer;

    if (peer->is_closing)
        return bytes.len; /* nobody is left to read it */
    side->bytes += bytes.len;
    stream_write(peer->stream, bytes);
    if (stream_queued(peer->stream) > STREAM_HIGH_MARK)
        hold_peer(peer);
    return bytes.len;
}

static void
on_eof(void *ctx)
{
    struct side *side = ctx;

    set_reason(side->relay, side->which == RELAY_CLIENT
                                ? RELAY_END_CLIENT_CLOSED
                                : RELAY_END_BACKEND_CLOSED);
    side_over(side);
}

static void
on_drain(void *ctx)
{
    struct side *side = ctx;

    deadline_clear(&side->relay->net->deadlines, &side->stall);
    if (!side->peer->is_closing)
        stream_resume(side->peer->stream);
}

/* The other side still gets what came before, within the linger time. Nothing
 * more is read from it: whatever it sends, nobody would get. */
static void
on_error(void *ctx, const struct err *err)
{
    struct side *side = ctx;
    struct side *peer = side->peer;
    struct relay *r = side->relay;

    if (!r->has_reason)
        r->result.err = *err;
    set_reason(r, side->which == RELAY_CLIENT ? RELAY_END_CLIENT_ERROR
                                              : RELAY_END_BACKEND_ERROR);
    close_side(side);
    side->is_over = true;
    peer->is_over = true;
    if (peer->is_closing)
        return;
    stream_pause(peer->stream);
    stream_end(peer->stream);
    arm_linger(r);
    close_when_done(peer);
}

static void
on_ended(void *ctx)
{
    struct side *side = ctx;

    side->is_ended = true;
    close_when_done(side);
}

static void
on_linger(void *ctx)
{
    struct relay *r = ctx;

    if (r->sides[RELAY_CLIENT].is_closing && r->sides[RELAY_BACKEND].is_closing)
        return; /* on their way */
    cut(r, RELAY_END_LINGER);
}

static void
on_closed(void *ctx)
{
    struct side *side = ctx;
    struct relay *r = side->relay;

    side->is_closed = true;
    if (!side->peer->is_closed)
        return;
    deadline_clear(&r->net->deadlines, &r->linger);
    relay_bytes(r, &r->result.from_client, &r->result.from_backend);
    r->done(r->ctx, &r->result);
    free(r);
}

static const struct stream_events events = {
    .on_data = on_data,
    .on_eof = on_eof,
    .on_drain = on_drain,
    .on_error = on_error,
    .on_closed = on_closed,
    .on_ended = on_ended,
};

static void
init_side(struct relay *r, enum relay_side which, struct stream *stream)
{
    struct side *side = &r->sides[which];

    side->relay = r;
    side->which = which;
    side->stream = stream;
    deadline_init(&side->stall, on_stall, side);
    side->peer =
        &r->sides[which == RELAY_CLIENT ? RELAY_BACKEND : RELAY_CLIENT];
    stream_set_owner(stream, &events, side);
}

static void
start_side(struct side *side)
{
    if (!side->is_closing &&
        (side->peer->is_closing ||
            stream_queued(side->peer->stream) <= STREAM_HIGH_MARK))
        stream_resume(side->stream);
}

struct relay *
relay_start(struct net_loop *net, struct stream *client,
    struct span client_rest, struct stream *backend, struct span backend_rest,
    const struct relay_settings *settings, relay_done *done, void *ctx)
{
    struct relay *r = calloc(1, sizeof(*r));

    if (r == NULL) {
        stream_discard(client);
        stream_discard(backend);
        return NULL;
    }
    r->net = net;
    r->settings = *settings;
    r->done = done;
    r->ctx = ctx;
    deadline_init(&r->linger, on_linger, r);
    init_side(r, RELAY_CLIENT, client);
    init_side(r, RELAY_BACKEND, backend);
    if (client_rest.len > 0)
        (void)on_data(&r->sides[RELAY_CLIENT], client_rest);
    if (backend_rest.len > 0)
        (void)on_data(&r->sides[RELAY_BACKEND], backend_rest);
    start_side(&r->sides[RELAY_CLIENT]);
    start_side(&r->sides[RELAY_BACKEND]);
    return r;
}

void
relay_stop(struct relay *relay)
{
    if (relay == NULL)
        return;
    set_reason(relay, RELAY_END_STOPPED);
    close_both(relay);
}

void
relay_bytes(
    const struct relay *relay, uint64_t *from_client, uint64_t *from_backend)
{
    *from_client = relay->sides[RELAY_CLIENT].bytes;
    *from_backend = relay->sides[RELAY_BACKEND].bytes;
}
