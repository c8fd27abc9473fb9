/*
 * struct stream with TLS over another stream.
 * Input: the lower stream's events and the owner's calls. Output: plaintext to
 * the owner, records to the lower stream.
 *
 * The owner is never called from within an OpenSSL function, and never from
 * within its own calls: what it must hear then waits for the end of the turn.
 */
#include "wsgate/tls/tls_stream.h"

#include "shared/buf.h"
#include "wsgate/tls/tls_bio.h"
#include "wsgate/tls/tls_error.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

enum { METHOD_MAX = 8 /* "OPTIONS " */ };

struct tls_stream {
    struct stream base;
    struct net_loop *net;
    struct stream *lower; /* owned */
    SSL *ssl; /* owned */
    struct tls_wire wire;
    struct net_task task; /* what waits for the end of the turn */
    struct buf early; /* written before the handshake was complete */
    unsigned char *kept; /* plaintext that the owner did not take */
    size_t kept_len;
    unsigned char first[METHOD_MAX]; /* while it may be plain HTTP */
    unsigned char first_len;
    bool is_tls; /* the first bytes are no HTTP method */
    bool is_ready; /* handshake complete */
    bool is_paused;
    bool was_resumed; /* within the owner's on_data */
    bool must_end; /* stream_end() before the handshake was complete */
    bool is_ended; /* our close_notify is out */
    bool lower_eof;
    bool had_eof; /* on_eof was called */
    bool has_failed; /* in a write: to be told at the end of the turn */
    bool is_dead; /* on_error was called */
    bool is_closing;
    bool is_pumping;
};

/* ---- errors --------------------------------------------------------------- */

static void
report(struct tls_stream *s, const struct err *err)
{
    if (s->is_dead || s->is_closing)
        return;
    s->is_dead = true;
    s->base.events->on_error(s->base.ctx, err);
}

static void
fail(struct tls_stream *s, enum err_kind kind, const char *text)
{
    struct err err;

    (void)err_set(&err, kind, "%s", text);
    report(s, &err);
}

/* ---- input ---------------------------------------------------------------- */

static bool
is_held(const struct tls_stream *s)
{
    return s->is_ready && (s->is_paused || s->kept != NULL);
}

static bool
may_go_on(const struct tls_stream *s)
{
    return !s->is_dead && !s->is_closing && !s->had_eof && !is_held(s);
}

static void
tell_eof(struct tls_stream *s)
{
    s->had_eof = true;
    s->base.events->on_eof(s->base.ctx);
}

static bool
keep_plain(struct tls_stream *s, struct span rest)
{
    s->kept = malloc(rest.len);
    if (s->kept == NULL) {
        fail(s, ERR_MEMORY, "out of memory");
        return false;
    }
    memcpy(s->kept, rest.data, rest.len);
    s->kept_len = rest.len;
    return true;
}

static void
deliver(struct tls_stream *s, struct span bytes)
{
    size_t taken;

    s->was_resumed = false;
    taken = s->base.events->on_data(s->base.ctx, bytes);
    if (s->is_closing || s->is_dead || taken >= bytes.len)
        return;
    if (!keep_plain(s, span_from(bytes, taken)))
        return;
    if (s->was_resumed) /* by a new owner, who wants the rest */
        net_task_defer(s->net, &s->task);
    else
        s->is_paused = true;
}

static void
write_plain(struct tls_stream *s, struct span bytes)
{
    while (bytes.len > 0) {
        size_t n = 0;

        ERR_clear_error();
        if (SSL_write_ex(s->ssl, bytes.data, bytes.len, &n) != 1) {
            ERR_clear_error();
            s->has_failed = true;
            net_task_defer(s->net, &s->task);
            return;
        }
        bytes = span_from(bytes, n);
    }
}

static void
send_end(struct tls_stream *s)
{
    s->is_ended = true;
    ERR_clear_error();
    (void)SSL_shutdown(s->ssl);
    stream_end(s->lower);
}

/* Handshake leftovers are dropped: no buffer while idle. */
static void
become_ready(struct tls_stream *s)
{
    s->is_ready = true;
    SSL_certs_clear(s->ssl);
    (void)SSL_set_tlsext_status_ocsp_resp(s->ssl, NULL, 0);
    write_plain(s, buf_span(&s->early));
    buf_fini(&s->early);
    if (s->must_end)
        send_end(s);
    if (s->base.events->on_ready != NULL)
        s->base.events->on_ready(s->base.ctx);
}

/* Each step answers whether another may follow. */
static bool
step_handshake(struct tls_stream *s)
{
    struct err err;
    int rc;

    ERR_clear_error();
    rc = SSL_do_handshake(s->ssl);
    if (rc == 1) {
        become_ready(s);
        return true;
    }
    if (SSL_get_error(s->ssl, rc) == SSL_ERROR_WANT_READ)
        return false;
    (void)tls_error(s->ssl, &err);
    report(s, &err);
    return false;
}

/* As many records as fit: the owner then writes them on in one call. */
static int
read_batch(struct tls_stream *s, size_t *len)
{
    unsigned char *out = s->net->plain_buffer;
    int rc = 1;

    *len = 0;
    ERR_clear_error();
    while (rc == 1 && *len < NET_BUFFER_SIZE) {
        size_t n = 0;

        rc = SSL_read_ex(s->ssl, out + *len, NET_BUFFER_SIZE - *len, &n);
        *len += rc == 1 ? n : 0;
    }
    return rc == 1 ? SSL_ERROR_NONE : SSL_get_error(s->ssl, rc);
}

static bool
step_read(struct tls_stream *s)
{
    struct err err = {.kind = ERR_NONE};
    size_t len;
    int why = read_batch(s, &len);

    if (why != SSL_ERROR_NONE && why != SSL_ERROR_WANT_READ &&
        why != SSL_ERROR_ZERO_RETURN)
        (void)tls_error(s->ssl, &err);
    if (len > 0)
        deliver(s, span_make(s->net->plain_buffer, len));
    if (err.kind != ERR_NONE)
        report(s, &err);
    else if (why == SSL_ERROR_ZERO_RETURN && may_go_on(s))
        tell_eof(s); /* else OpenSSL says it again after the pause */
    return why == SSL_ERROR_NONE;
}

static void
pump(struct tls_stream *s)
{
    bool again = true;

    s->is_pumping = true;
    while (again && may_go_on(s))
        again = s->is_ready ? step_read(s) : step_handshake(s);
    s->is_pumping = false;
}

/* Answers how much of it is used up. */
static size_t
feed(struct tls_stream *s, struct span bytes)
{
    size_t left;

    s->wire.in = bytes;
    pump(s);
    left = s->wire.in.len;
    s->wire.in = SPAN_EMPTY;
    if (s->is_dead || s->is_closing || s->had_eof)
        return bytes.len; /* nobody wants the rest */
    return bytes.len - left;
}

/* ---- plain HTTP ----------------------------------------------------------- */

enum guess { GUESS_NO, GUESS_MAYBE, GUESS_YES };

/* No TLS record begins with a capital letter (RFC 8446 5.1). */
static enum guess
guess_http(struct span first)
{
    static const char *const methods[] = {"GET ", "HEAD ", "POST ", "PUT ",
        "DELETE ", "OPTIONS ", "PATCH ", "CONNECT ", "TRACE ", "PRI "};
    enum guess guess = GUESS_NO;

    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        struct span method = span_str(methods[i]);

        if (span_starts(first, method))
            return GUESS_YES;
        if (span_starts(method, first))
            guess = GUESS_MAYBE;
    }
    return guess;
}

static void
answer_http(struct tls_stream *s)
{
    stream_write(s->lower,
        SPAN_LIT("HTTP/1.1 400 Bad Request\r\n"
                 "Content-Type: text/plain\r\n"
                 "Content-Length: 51\r\n"
                 "Connection: close\r\n\r\n"
                 "This port speaks HTTPS: ask again with https://...\n"));
    stream_end(s->lower);
    fail(s, ERR_FORMAT, "plain HTTP on a TLS port");
}

/* The first bytes, before OpenSSL sees any; answers how many are used up. */
static size_t
feed_first(struct tls_stream *s, struct span bytes)
{
    size_t before = s->first_len;
    struct span more = span_sub(bytes, 0, METHOD_MAX - before);

    memcpy(s->first + before, more.data, more.len);
    s->first_len = (unsigned char)(before + more.len);
    switch (guess_http(span_make(s->first, s->first_len))) {
    case GUESS_YES:
        answer_http(s);
        return bytes.len;
    case GUESS_MAYBE:
        return more.len;
    case GUESS_NO:
        break;
    }
    s->is_tls = true;
    if (before > 0)
        (void)feed(s, span_make(s->first, before));
    return s->is_dead || s->is_closing ? bytes.len : feed(s, bytes);
}

/* ---- the lower stream ----------------------------------------------------- */

static size_t
on_lower_data(void *ctx, struct span bytes)
{
    struct tls_stream *s = ctx;
    size_t used;

    if (s->is_dead || s->is_closing || s->had_eof)
        return bytes.len;
    used = s->is_tls ? feed(s, bytes) : feed_first(s, bytes);
    if (is_held(s) && !s->is_closing)
        stream_pause(s->lower);
    return used;
}

static void
on_lower_eof(void *ctx)
{
    struct tls_stream *s = ctx;

    s->lower_eof = true;
    if (s->is_dead || s->had_eof)
        return;
    if (!s->is_ready)
        fail(
            s, ERR_SYSTEM, "client closed the connection during the handshake");
    else if (!is_held(s))
        tell_eof(s); /* no close_notify: HTTP and frames have own lengths */
}

static void
on_lower_drain(void *ctx)
{
    struct tls_stream *s = ctx;

    if (!s->is_dead)
        s->base.events->on_drain(s->base.ctx);
}

static void
on_lower_error(void *ctx, const struct err *err)
{
    struct tls_stream *s = ctx;
    struct err copy = *err;

    if (!s->is_ready)
        (void)err_context(&copy, "during the handshake");
    report(s, &copy);
}

static void
on_lower_ended(void *ctx)
{
    struct tls_stream *s = ctx;

    if (!s->is_dead && s->base.events->on_ended != NULL)
        s->base.events->on_ended(s->base.ctx);
}

static void
stream_free(struct tls_stream *s)
{
    SSL_free(s->ssl);
    if (s->kept != NULL)
        OPENSSL_cleanse(s->kept, s->kept_len);
    free(s->kept);
    buf_fini(&s->early);
    free(s);
}

static void
on_lower_closed(void *ctx)
{
    struct tls_stream *s = ctx;

    if (s->base.events->on_closed != NULL)
        s->base.events->on_closed(s->base.ctx);
    stream_free(s);
}

static const struct stream_events lower_events = {
    .on_data = on_lower_data,
    .on_eof = on_lower_eof,
    .on_drain = on_lower_drain,
    .on_error = on_lower_error,
    .on_closed = on_lower_closed,
    .on_ended = on_lower_ended,
};

/* ---- the end of the turn -------------------------------------------------- */

static void
deliver_kept(struct tls_stream *s)
{
    unsigned char *bytes = s->kept;
    size_t len = s->kept_len;

    if (bytes == NULL || s->is_paused)
        return;
    s->kept = NULL;
    deliver(s, span_make(bytes, len));
    OPENSSL_cleanse(bytes, len);
    free(bytes);
}

static void
run_task(struct net_task *task)
{
    struct tls_stream *s = LIST_ENTRY(task, struct tls_stream, task.node);

    if (s->has_failed) {
        fail(s, ERR_SYSTEM, "TLS write failed");
        return;
    }
    deliver_kept(s);
    if (s->is_ready)
        pump(s); /* OpenSSL may hold the rest of a record */
    if (s->lower_eof && may_go_on(s))
        tell_eof(s);
    if (!s->is_dead && !s->is_closing && !is_held(s))
        stream_resume(s->lower);
}

/* ---- the owner's calls ---------------------------------------------------- */

static void
tls_write(struct stream *base, struct span bytes)
{
    struct tls_stream *s = (struct tls_stream *)base;

    if (s->is_dead || s->is_closing || s->is_ended || s->must_end ||
        s->has_failed)
        return;
    if (s->is_ready) {
        write_plain(s, bytes);
    } else if (!buf_add(&s->early, bytes)) {
        s->has_failed = true;
        net_task_defer(s->net, &s->task);
    }
}

static void
tls_end(struct stream *base)
{
    struct tls_stream *s = (struct tls_stream *)base;

    if (s->is_dead || s->is_closing || s->is_ended)
        return;
    if (s->is_ready)
        send_end(s);
    else
        s->must_end = true;
}

static void
tls_pause(struct stream *base)
{
    struct tls_stream *s = (struct tls_stream *)base;

    s->is_paused = true;
    s->was_resumed = false;
    /* While we pump, on_lower_data() looks to it. */
    if (s->is_ready && !s->is_pumping && !s->is_closing && !s->is_dead)
        stream_pause(s->lower);
}

static void
tls_resume(struct stream *base)
{
    struct tls_stream *s = (struct tls_stream *)base;

    s->was_resumed = true;
    if (!s->is_paused)
        return;
    s->is_paused = false;
    if (s->is_ready && !s->is_closing && !s->is_dead)
        net_task_defer(s->net, &s->task);
}

static size_t
tls_queued(const struct stream *base)
{
    const struct tls_stream *s = (const struct tls_stream *)base;

    return stream_queued(s->lower) + s->early.len;
}

static void
tls_close(struct stream *base)
{
    struct tls_stream *s = (struct tls_stream *)base;

    if (s->is_closing)
        return;
    s->is_closing = true;
    if (s->is_ready && !s->is_ended && !s->is_dead) {
        ERR_clear_error();
        (void)SSL_shutdown(s->ssl);
    }
    net_task_cancel(&s->task);
    stream_close(s->lower);
}

static const struct stream_ops ops = {
    .write = tls_write,
    .end = tls_end,
    .pause = tls_pause,
    .resume = tls_resume,
    .queued = tls_queued,
    .close = tls_close,
};

/* ---- life ----------------------------------------------------------------- */

static bool
make_ssl(struct tls_stream *s, struct tls_context *context, struct err *err)
{
    BIO *bio;

    s->ssl = tls_context_accept(context, err);
    if (s->ssl == NULL)
        return false;
    bio = tls_bio_new(&s->wire);
    if (bio == NULL)
        return err_openssl(err, ERR_MEMORY, "TLS connection");
    SSL_set_bio(s->ssl, bio, bio);
    return true;
}

struct stream *
tls_stream_accept(struct net_loop *net, struct stream *lower,
    struct tls_context *context, const struct stream_events *events, void *ctx,
    struct err *err)
{
    struct tls_stream *s = calloc(1, sizeof(*s));

    if (s == NULL || !make_ssl(s, context, err)) {
        if (s == NULL)
            (void)err_memory(err);
        else
            stream_free(s);
        stream_discard(lower);
        return NULL;
    }
    s->base = (struct stream){&ops, events, ctx};
    s->net = net;
    s->lower = lower;
    s->wire.lower = lower;
    buf_init(&s->early, SIZE_MAX / 2);
    net_task_init(&s->task, run_task);
    stream_set_owner(lower, &lower_events, s);
    net_task_defer(net, &s->task); /* the owner does not know us yet */
    return &s->base;
}

void
tls_stream_info(const struct stream *base, struct tls_info *out)
{
    const struct tls_stream *s = (const struct tls_stream *)base;

    *out = (struct tls_info){
        .version = SSL_get_version(s->ssl),
        .cipher = SSL_get_cipher_name(s->ssl),
        .sni = tls_context_sni(s->ssl),
        .site = tls_context_site(s->ssl),
        .resumed = SSL_session_reused(s->ssl) == 1,
        .staple = tls_context_staple_result(s->ssl),
    };
}
