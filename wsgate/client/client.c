/*
 * The life of one client connection: handshake, heads, exchanges, the end.
 * Input: events of a stream and of an exchange. Output: bytes for the client,
 * body bytes for the exchange; tunnels go to tunnel.c.
 */
#include "wsgate/client/client_state.h"

#include "shared/log.h"
#include "shared/now.h"
#include "wsgate/tls/tls_stream.h"

#include <stdlib.h>

enum {
    LINGER_MS = 2 * 1000, /* ours: for the peer's FIN after our last byte, so
                             that a reset does not eat our answer */
    HANDSHAKE_LINES = 5, /* ours: log lines a second */
    FRESH_MS = 2 * 1000 /* ours: at a drain, for the first request of a
                           connection that has just come */
};

static size_t data_idle(struct client *c, struct span bytes);
static size_t data_head(struct client *c, struct span bytes);
static size_t data_wait(struct client *c, struct span bytes);
static size_t data_discard(struct client *c, struct span bytes);
static void late_close(struct client *c);
static void late_idle(struct client *c);
static void late_head(struct client *c);
static void late_body(struct client *c);
static void late_output(struct client *c);

#define LIMIT(field) offsetof(struct gate_limits, field)
#define NO_LIMIT ((size_t)-1)

static const struct {
    const char *waits_for; /* also the log's word when the deadline passes */
    size_t (*on_data)(struct client *c, struct span bytes);
    void (*on_late)(struct client *c);
    size_t limit; /* which of the site's gate_limits is the deadline */
} client_states[] = {
    [CLIENT_HANDSHAKE] = {"handshake_timeout", data_wait, late_close,
        LIMIT(handshake_timeout_ms)},
    [CLIENT_IDLE] = {"idle_timeout", data_idle, late_idle,
        LIMIT(idle_timeout_ms)},
    [CLIENT_HEAD] = {"header_timeout", data_head, late_head,
        LIMIT(header_timeout_ms)},
    [CLIENT_BODY] = {"body_timeout", data_head, late_body,
        LIMIT(body_timeout_ms)},
    /* The backend has its own deadlines; a client that does not read has
     * this one. */
    [CLIENT_RESPONSE] = {"send_timeout", data_wait, late_output,
        LIMIT(send_timeout_ms)},
    [CLIENT_LINGER] = {"linger", data_discard, late_output, NO_LIMIT},
    [CLIENT_TUNNEL] = {"tunnel", data_wait, late_close, NO_LIMIT},
    [CLIENT_CLOSED] = {"closed", data_discard, late_close, NO_LIMIT},
};

/* ---- deadlines ----------------------------------------------------------- */

/* The listener's first site: before a head, no other is known. */
const struct gate_limits *
client_limits(const struct client *c)
{
    const struct gate_site *sites = c->generation->config->sites.items;

    return &sites[c->listener->sites[0]].limits;
}

static int64_t
deadline_of(const struct client *c)
{
    size_t at = client_states[c->state].limit;

    /* The peer's FIN comes behind what it has still to read. */
    if (c->state == CLIENT_LINGER)
        return c->has_ended ? LINGER_MS : client_limits(c)->send_timeout_ms;
    if (at == NO_LIMIT)
        return 0;
    return *(
        const int64_t *)(const void *)((const char *)client_limits(c) + at);
}

/* Bytes that left, from some zero on: those written less those that wait. */
static int64_t
gone(const struct client *c)
{
    size_t queued = c->stream == NULL ? 0 : stream_queued(c->stream);

    return (int64_t)c->bytes_out - (int64_t)queued;
}

void
client_arm(struct client *c)
{
    c->gone_before = gone(c);
    deadline_arm(&c->env->backend.net->deadlines, &c->deadline, deadline_of(c));
}

void
client_enter(struct client *c, enum client_state state)
{
    c->state = state;
    client_arm(c);
}

void
client_on_deadline(void *ctx)
{
    struct client *c = ctx;

    client_states[c->state].on_late(c);
}

static void
late_close(struct client *c)
{
    client_close(c, client_states[c->state].waits_for);
}

/* 408 (RFC 9110 15.5.9), but only to a client that had begun to ask. */
static void
late_head(struct client *c)
{
    if (!http_parser_in_message(c->parser)) {
        late_close(c);
        return;
    }
    c->end = client_states[c->state].waits_for;
    client_refuse(c, 408, "The request took too long to arrive.");
}

/* While the backend takes nothing the client is not late: then it is only
 * looked after its own reading, and the backend has deadlines of its own. */
static void
late_body(struct client *c)
{
    if (c->is_held) {
        late_output(c);
        return;
    }
    c->end = client_states[c->state].waits_for;
    if (c->response_begun)
        late_close(c);
    else
        client_refuse(c, 408, "The request body took too long to arrive.");
}

/* Nothing leaves: closed when not one byte went out since the last look. */
static void
late_output(struct client *c)
{
    bool waits = c->state != CLIENT_LINGER && stream_queued(c->stream) == 0;

    if (waits || gone(c) > c->gone_before)
        client_arm(c);
    else
        late_close(c);
}

/* The last answer may still be on its way to a slow reader. */
static void
late_idle(struct client *c)
{
    if (stream_queued(c->stream) > 0)
        late_output(c);
    else
        late_close(c);
}

/* ---- the end ------------------------------------------------------------- */

void
client_free(struct client *c)
{
    struct client_env *env = c->env;

    list_remove(&c->node);
    env->count--;
    http_parser_free(c->parser);
    generation_unref(c->generation);
    free(c);
    if (env->on_gone != NULL)
        env->on_gone(env->ctx);
}

static void
on_closed(void *ctx)
{
    client_free(ctx);
}

void
client_close(struct client *c, const char *reason)
{
    struct exchange *x = c->exchange;

    if (c->state == CLIENT_CLOSED)
        return;
    if (c->state == CLIENT_TUNNEL) {
        relay_stop(c->relay);
        return; /* its `done` comes */
    }
    client_enter(c, CLIENT_CLOSED);
    c->exchange = NULL;
    exchange_free(
        x, c->end[0] != 0 ? c->end : reason, c->bytes_in, c->bytes_out);
    stream_close(c->stream);
}

/* After our last byte: FIN, then what still comes is thrown away. */
static void
client_linger(struct client *c)
{
    struct exchange *x = c->exchange;

    c->exchange = NULL;
    exchange_free(x, c->end, c->bytes_in, c->bytes_out);
    client_enter(c, CLIENT_LINGER);
    stream_end(c->stream);
    if (!c->in_data)
        stream_resume(c->stream);
}

/* Our FIN is out; closed when the peer's is here too. */
static void
on_ended(void *ctx)
{
    struct client *c = ctx;

    c->has_ended = true;
    if (c->state != CLIENT_LINGER)
        return;
    if (c->has_eof)
        client_close(c, "");
    else
        client_arm(c);
}

/* ---- one exchange after the other ----------------------------------------- */

static void
reset_exchange(struct client *c)
{
    c->request_done = false;
    c->is_held = false;
    c->response_begun = false;
    c->response_done = false;
    c->bytes_in = 0;
    c->bytes_out = 0;
    c->end = "";
}

/* Who does not read its answers is not asked for its next request: pipelining
 * must not fill our memory. */
static bool
is_full(const struct client *c)
{
    return stream_queued(c->stream) > STREAM_HIGH_MARK;
}

/* Both sides complete? Then the next request, or the end. */
static void
client_advance(struct client *c)
{
    struct exchange *x = c->exchange;

    if (!c->response_done || c->state == CLIENT_CLOSED)
        return;
    if (!c->request_done && c->request_has_body)
        c->keep_alive = false; /* the rest of the body is not worth reading */
    if (!c->keep_alive) {
        client_linger(c);
        return;
    }
    if (!c->request_done)
        return; /* END of a request without a body comes next */
    c->exchange = NULL;
    exchange_free(x, c->end, c->bytes_in, c->bytes_out);
    reset_exchange(c);
    client_enter(c, CLIENT_IDLE);
    if (c->env->is_draining)
        client_linger(c);
    else if (!c->in_data && !is_full(c))
        stream_resume(c->stream); /* pipelined bytes come first */
}

/* The newest generation serves the next request, if the address is still
 * served there; else this one is the connection's last. */
static void
take_current_generation(struct client *c)
{
    const struct generation_listener *listener;

    if (c->env->current == c->generation)
        return;
    listener = generation_find_listener(c->env->current, c->listen_address);
    if (listener == NULL || listener->tls != c->listener->tls) {
        c->keep_alive = false;
        return;
    }
    generation_unref(c->generation);
    c->generation = generation_ref(c->env->current);
    c->listener = listener;
}

static void
begin_exchange(struct client *c)
{
    const struct http_request *head = http_parser_request(c->parser);

    c->keep_alive = head->keep_alive && !c->env->is_draining && !c->has_eof;
    c->request_minor = head->minor;
    c->request_is_head = head->method == HTTP_HEAD;
    c->request_has_body = head->body != HTTP_BODY_NONE;
    take_current_generation(c);
    c->origin.is_redirect = c->listener->redirect;
    c->exchange = exchange_new(&c->env->backend, c->generation, &c->origin,
        head, c->env->log, &client_exchange_events, c);
    if (c->exchange == NULL) {
        client_close(c, "out_of_memory");
        return;
    }
    client_enter(c, c->request_has_body ? CLIENT_BODY : CLIENT_RESPONSE);
    exchange_begin(c->exchange);
}

static bool
take_body(struct client *c, struct span data)
{
    c->bytes_in += data.len;
    if (c->exchange == NULL)
        return true;
    if (exchange_send(c->exchange, data)) {
        if (c->state == CLIENT_BODY)
            client_arm(c);
        return true;
    }
    c->is_held = true;
    stream_pause(c->stream);
    return false;
}

static bool
finish_request(struct client *c)
{
    c->request_done = true;
    if (c->state == CLIENT_BODY)
        client_enter(c, CLIENT_RESPONSE);
    exchange_finish(c->exchange);
    client_advance(c);
    return c->state == CLIENT_IDLE && !is_full(c);
}

static bool
take_error(struct client *c, const struct err *err)
{
    unsigned status = http_parser_status(c->parser);

    log_debug("bad request", LOG_S("peer", c->peer), LOG_I("status", status),
        LOG_ERR(err));
    c->end = "bad_request";
    if (c->response_begun)
        client_close(c, c->end);
    else
        client_refuse(c, status, err->text);
    return false;
}

/* One parser event; false: no more bytes are wanted now. */
static bool
take_event(struct client *c, enum http_event event, struct span data,
    const struct err *err)
{
    switch (event) {
    case HTTP_EVENT_MORE:
        return false;
    case HTTP_EVENT_HEAD:
        begin_exchange(c);
        return c->state != CLIENT_CLOSED && c->state != CLIENT_LINGER;
    case HTTP_EVENT_BODY:
        return take_body(c, data) && c->state == CLIENT_BODY;
    case HTTP_EVENT_END:
        return finish_request(c);
    case HTTP_EVENT_ERROR:
        return take_error(c, err);
    }
    return false;
}

static size_t
data_head(struct client *c, struct span bytes)
{
    size_t used = 0;

    for (;;) {
        struct span data = SPAN_EMPTY;
        struct err err = {0};
        enum http_event event;
        size_t eaten = 0;

        event = http_parser_feed(
            c->parser, span_from(bytes, used), &eaten, &data, &err);
        used += eaten;
        if (c->state == CLIENT_IDLE && http_parser_in_message(c->parser))
            client_enter(c, CLIENT_HEAD);
        if (!take_event(c, event, data, &err))
            break;
    }
    return used;
}

static size_t
data_idle(struct client *c, struct span bytes)
{
    if (is_full(c))
        return 0; /* on_drain() asks for it again */
    client_enter(c, CLIENT_HEAD);
    return data_head(c, bytes);
}

/* Kept by the stream until there is a use for it. */
static size_t
data_wait(struct client *c, struct span bytes)
{
    (void)c;
    (void)bytes;
    return 0;
}

static size_t
data_discard(struct client *c, struct span bytes)
{
    (void)c;
    return bytes.len;
}

/* ---- events of the stream -------------------------------------------------- */

static size_t
on_data(void *ctx, struct span bytes)
{
    struct client *c = ctx;
    size_t used;

    c->in_data = true;
    used = client_states[c->state].on_data(c, bytes);
    /* The state may have become one that throws the rest away. */
    if (c->state == CLIENT_LINGER)
        used = bytes.len;
    c->in_data = false;
    return used;
}

static void
on_eof(void *ctx)
{
    struct client *c = ctx;

    c->has_eof = true;
    c->keep_alive = false;
    switch (c->state) {
    case CLIENT_RESPONSE:
        return; /* a half-close behind the request: the answer still goes out */
    case CLIENT_LINGER:
        if (!c->has_ended)
            return;
        break;
    case CLIENT_HANDSHAKE:
    case CLIENT_IDLE:
    case CLIENT_HEAD:
    case CLIENT_BODY:
    case CLIENT_TUNNEL:
    case CLIENT_CLOSED:
        break;
    }
    client_close(c, "client_gone");
}

static void
on_drain(void *ctx)
{
    struct client *c = ctx;

    if (c->exchange != NULL) {
        client_arm(c);
        exchange_resume(c->exchange);
    } else if (c->state == CLIENT_IDLE) {
        stream_resume(c->stream);
    }
}

/* A scanner's thousands of failures are one line in a while, with their number:
 * the journal is not theirs to fill. */
static void
log_handshake(struct client *c, const struct err *err)
{
    struct client_env *env = c->env;
    int64_t second = now_boot_ms() / 1000;

    if (second != env->handshake_second) {
        env->handshake_second = second;
        env->handshake_lines = 0;
    }
    if (env->handshake_lines == HANDSHAKE_LINES) {
        env->handshakes_unsaid++;
        return;
    }
    env->handshake_lines++;
    log_info("TLS handshake failed", LOG_S("peer", c->peer), LOG_ERR(err),
        LOG_I("others_unsaid", env->handshakes_unsaid));
    env->handshakes_unsaid = 0;
}

static void
on_error(void *ctx, const struct err *err)
{
    struct client *c = ctx;

    if (c->state == CLIENT_HANDSHAKE)
        log_handshake(c, err);
    else
        log_debug(
            "client connection failed", LOG_S("peer", c->peer), LOG_ERR(err));
    client_close(c, "client_gone");
}

static void
on_ready(void *ctx)
{
    struct client *c = ctx;
    struct tls_info info;

    tls_stream_info(c->stream, &info);
    c->origin.sni = info.sni;
    c->origin.tls_version = info.version;
    c->origin.staple = tls_staple_result_word(info.staple);
    client_enter(c, CLIENT_HEAD);
}

const struct stream_events client_stream_events = {
    .on_data = on_data,
    .on_eof = on_eof,
    .on_drain = on_drain,
    .on_error = on_error,
    .on_closed = on_closed,
    .on_ready = on_ready,
    .on_ended = on_ended,
};

/* ---- response side, called by response.c ----------------------------------- */

void
client_response_done(struct client *c)
{
    c->response_done = true;
    client_advance(c);
}

void
client_resume_body(struct client *c)
{
    if (c->state != CLIENT_BODY)
        return;
    c->is_held = false;
    client_arm(c);
    if (!c->in_data)
        stream_resume(c->stream);
}

/* ---- all of them ------------------------------------------------------------ */

void
client_env_init(struct client_env *env)
{
    *env = (struct client_env){0};
    list_init(&env->clients);
}

void
client_drain_all(struct client_env *env)
{
    env->is_draining = true;
    LIST_EACH(&env->clients, it)
    {
        struct client *c = LIST_ENTRY(it, struct client, node);

        c->keep_alive = false;
        if (c->state == CLIENT_IDLE)
            client_linger(c);
        else if (c->state == CLIENT_HEAD && !http_parser_in_message(c->parser))
            deadline_arm(&env->backend.net->deadlines, &c->deadline, FRESH_MS);
    }
}

void
client_stop_all(struct client_env *env)
{
    LIST_EACH(&env->clients, it)
    {
        client_close(LIST_ENTRY(it, struct client, node), "drain_deadline");
    }
}
