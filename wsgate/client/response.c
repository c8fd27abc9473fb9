/*
 * What a client is told: heads in the framing it understands, bodies, our own
 * replies.
 * Input: events of the exchange. Output: bytes on the client's stream.
 */
#include "wsgate/client/client_state.h"

#include "shared/now.h"
#include "wsgate/http/http_write.h"

enum { HEAD_OUT_MAX = 128 * 1024 /* ours: twice the largest head we take */ };

static void
write_buf(struct client *c, struct buf *out, bool ok)
{
    if (ok)
        stream_write(c->stream, buf_span(out));
    buf_fini(out);
    if (!ok)
        client_close(c, "response_too_large");
}

/* Only HTTP/1.1 knows interim responses (RFC 9110 15.2). */
static void
on_interim(void *ctx, const struct http_response *head)
{
    struct client *c = ctx;
    struct http_framing framing = {HTTP_BODY_NONE, 0};
    struct buf out;

    if (c->request_minor == 0)
        return;
    buf_init(&out, HEAD_OUT_MAX);
    write_buf(c, &out,
        http_write_response(
            &out, head, c->request_minor, &framing, c->keep_alive, now_wall()));
}

static bool
never_has_body(unsigned status)
{
    return status < 200 || status == 204 || status == 304;
}

static struct http_framing
framing_for(struct client *c, const struct http_response *head)
{
    struct http_framing framing = {head->body, head->length};

    /* HEAD and 304 keep the Content-Length that came (RFC 9110 8.6). */
    if (c->request_is_head || never_has_body(head->status))
        return (struct http_framing){HTTP_BODY_NONE, 0};
    if (head->body == HTTP_BODY_NONE)
        return (struct http_framing){HTTP_BODY_LENGTH, 0};
    if (head->body == HTTP_BODY_LENGTH)
        return framing;
    framing.body = HTTP_BODY_CHUNKED;
    if (c->request_minor == 0) {
        framing.body = HTTP_BODY_UNTIL_CLOSE;
        c->keep_alive = false;
    }
    return framing;
}

static void
on_head(void *ctx, const struct http_response *head)
{
    struct client *c = ctx;
    struct http_framing framing = framing_for(c, head);
    struct buf out;

    c->response_begun = true;
    c->out_framing = c->request_is_head || never_has_body(head->status)
                         ? HTTP_BODY_NONE
                         : framing.body;
    if (c->request_has_body && !c->request_done)
        c->keep_alive = false; /* answered early: the body is not awaited */
    buf_init(&out, HEAD_OUT_MAX);
    write_buf(c, &out,
        http_write_response(
            &out, head, c->request_minor, &framing, c->keep_alive, now_wall()));
}

static void
write_chunk(struct client *c, struct span bytes)
{
    struct buf head;

    buf_init(&head, HTTP_CHUNK_HEAD_MAX);
    if (http_write_chunk_head(&head, bytes.len)) {
        stream_write(c->stream, buf_span(&head));
        stream_write(c->stream, bytes);
        stream_write(c->stream, SPAN_LIT("\r\n"));
    }
    buf_fini(&head);
}

static void
on_body(void *ctx, struct span bytes)
{
    struct client *c = ctx;

    if (bytes.len == 0 || c->out_framing == HTTP_BODY_NONE)
        return;
    c->bytes_out += bytes.len;
    if (c->out_framing == HTTP_BODY_CHUNKED)
        write_chunk(c, bytes);
    else
        stream_write(c->stream, bytes);
    if (c->exchange != NULL && stream_queued(c->stream) > STREAM_HIGH_MARK)
        exchange_pause(c->exchange);
}

static void
on_end(void *ctx, const struct http_fields *trailers)
{
    struct client *c = ctx;
    struct buf out;

    if (c->out_framing == HTTP_BODY_CHUNKED) {
        buf_init(&out, HEAD_OUT_MAX);
        write_buf(c, &out, http_write_last_chunk(&out, trailers));
    }
    client_response_done(c);
}

static void
write_reply(
    struct client *c, unsigned status, const char *text, const char *extra)
{
    struct buf out;

    c->response_begun = true;
    buf_init(&out, HEAD_OUT_MAX);
    write_buf(c, &out,
        http_write_reply(&out, status, text, extra, c->keep_alive,
            c->request_is_head, now_wall()));
}

static void
on_reply(void *ctx, unsigned status, const char *text, const char *extra)
{
    struct client *c = ctx;

    if (c->request_has_body && !c->request_done)
        c->keep_alive = false;
    write_reply(c, status, text, extra);
    client_response_done(c);
}

static void
on_cut(void *ctx)
{
    client_close(ctx, "response_cut");
}

static void
on_continue(void *ctx)
{
    struct client *c = ctx;

    if (c->request_minor > 0 && c->request_has_body)
        stream_write(c->stream, SPAN_LIT("HTTP/1.1 100 Continue\r\n\r\n"));
}

static void
on_writable(void *ctx)
{
    client_resume_body(ctx);
}

static void
on_upgraded(void *ctx, const struct http_response *head, struct stream *stream,
    struct span rest)
{
    struct client *c = ctx;
    struct http_framing framing = {HTTP_BODY_NONE, 0};
    struct buf out;

    buf_init(&out, HEAD_OUT_MAX);
    if (c->has_eof || !http_write_response(&out, head, c->request_minor,
                          &framing, true, now_wall())) {
        buf_fini(&out);
        stream_close(stream);
        client_close(c, c->has_eof ? "client_gone" : "response_too_large");
        return;
    }
    write_buf(c, &out, true);
    client_tunnel_open(c, stream, rest);
}

const struct exchange_events client_exchange_events = {
    .on_interim = on_interim,
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_end,
    .on_reply = on_reply,
    .on_cut = on_cut,
    .on_continue = on_continue,
    .on_writable = on_writable,
    .on_upgraded = on_upgraded,
};

/* What never became an exchange is in the log all the same. */
static void
log_refusal(const struct client *c, unsigned status)
{
    struct access_record record = {
        .kind = ACCESS_EXCHANGE,
        .wall_ms = now_wall_ms(),
        .peer = c->peer,
        .client = c->peer_ip,
        .status = status,
        .tls_version = c->origin.tls_version,
        .staple = c->origin.staple,
        .end = c->end,
    };

    access_log_write(c->env->log, &record);
}

/* For what no exchange answers: bad heads, late heads and bodies. */
void
client_refuse(struct client *c, unsigned status, const char *text)
{
    if (c->exchange == NULL)
        log_refusal(c, status);
    else
        exchange_answered(c->exchange, status);
    c->keep_alive = false;
    c->request_done = true;
    write_reply(c, status, text, "");
    client_response_done(c);
}
