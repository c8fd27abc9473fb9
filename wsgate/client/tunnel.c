/*
 * A client connection that has become a tunnel.
 * Input: a stream after its 101 and the backend's. Output: a relay that owns
 * both, records in the access log.
 */
#include "wsgate/client/client_state.h"

static void
on_relay_done(void *ctx, const struct relay_result *result)
{
    struct client *c = ctx;

    exchange_tunnel_close(c->note, relay_end_word(result->end),
        result->from_client, result->from_backend);
    c->note = NULL;
    c->relay = NULL;
    client_enter(c, CLIENT_CLOSED);
    client_stream_events.on_closed(c);
}

void
client_tunnel_open(struct client *c, struct stream *backend, struct span rest)
{
    struct relay_settings settings = {
        .linger_ms = exchange_linger_ms(c->exchange),
        .send_ms = exchange_send_ms(c->exchange),
    };
    struct stream *client = c->stream;

    c->note = exchange_tunnel_open(c->exchange);
    exchange_free(c->exchange, "", 0, 0);
    c->exchange = NULL;
    http_parser_free(c->parser);
    c->parser = NULL;
    c->stream = NULL;
    client_enter(c, CLIENT_TUNNEL);
    c->relay = relay_start(c->env->backend.net, client, SPAN_EMPTY, backend,
        rest, &settings, on_relay_done, c);
    if (c->relay == NULL) {
        struct relay_result none = {.end = RELAY_END_STOPPED};

        on_relay_done(c, &none);
    }
}
