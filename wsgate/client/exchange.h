/*
 * One request and its response, whatever the transport carries it: finds the
 * rule, refuses what must be refused, runs the backend call, writes the log
 * line. It knows no socket; the transport (client) gets events.
 */
#ifndef WSGATE_CLIENT_EXCHANGE_H
#define WSGATE_CLIENT_EXCHANGE_H

#include "shared/err.h"
#include "shared/span.h"
#include "wsgate/backend/backend.h"
#include "wsgate/client/access_log.h"
#include "wsgate/client/generation.h"
#include "wsgate/http/http_message.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* What is known of the connection; borrowed for the exchange's life. */
struct exchange_origin {
    const char *listen_address;
    const char *peer; /* "192.0.2.1:40000" */
    const char *peer_ip; /* "192.0.2.1"; "" on unix sockets */
    const struct sockaddr *peer_address;
    unsigned port; /* ours */
    bool is_tls;
    bool is_redirect; /* plain listener that answers 308 */
    const char *sni; /* NULL: none */
    const char *tls_version; /* NULL: plain */
    const char *staple; /* word; NULL: plain */
};

/* Any of them may come from within exchange_begin(). */
struct exchange_events {
    void (*on_interim)(void *ctx, const struct http_response *head);
    void (*on_head)(void *ctx, const struct http_response *head);
    void (*on_body)(void *ctx, struct span bytes);
    void (*on_end)(void *ctx, const struct http_fields *trailers);
    /* Our own answer instead of a backend's; extra are whole field lines. */
    void (*on_reply)(
        void *ctx, unsigned status, const char *text, const char *extra);
    /* The response is broken off: the peer must notice. */
    void (*on_cut)(void *ctx);
    /* Send 100 (Continue) if the client waits for it. */
    void (*on_continue)(void *ctx);
    /* The request body may go on. */
    void (*on_writable)(void *ctx);
    /* The transport writes the 101 and joins the streams. */
    void (*on_upgraded)(void *ctx, const struct http_response *head,
        struct stream *stream, struct span rest);
};

struct exchange;

/* `generation` is referenced, `head` borrowed until exchange_free(). NULL: out
 * of memory. */
struct exchange *
exchange_new(const struct backend_env *env, struct generation *generation,
    const struct exchange_origin *origin, const struct http_request *head,
    struct access_log *log, const struct exchange_events *events, void *ctx);
void exchange_begin(struct exchange *exchange);

/* Request body. False: wait for on_writable. After on_reply they do nothing. */
bool exchange_send(struct exchange *exchange, struct span bytes);
void exchange_finish(struct exchange *exchange);
/* The transport has answered by itself: a late or a broken body. */
void exchange_answered(struct exchange *exchange, unsigned status);
/* The client lags behind, and has caught up. */
void exchange_pause(struct exchange *exchange);
void exchange_resume(struct exchange *exchange);

/* Ends it, whatever it was doing, and writes the log line. `end` is a closed
 * word why ("" as it should); bytes are body bytes in and out. */
void exchange_free(struct exchange *exchange, const char *end,
    uint64_t bytes_in, uint64_t bytes_out);

/* A tunnel outlives its exchange: what its log records need, copied. */
struct tunnel_note;
/* Writes the open record; NULL: memory. */
struct tunnel_note *exchange_tunnel_open(struct exchange *exchange);
void exchange_tunnel_close(struct tunnel_note *note, const char *end,
    uint64_t bytes_in, uint64_t bytes_out);
/* The site's limits for the tunnel. */
int64_t exchange_linger_ms(const struct exchange *exchange);
int64_t exchange_send_ms(const struct exchange *exchange);

#endif
