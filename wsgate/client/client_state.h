/*
 * What one client connection consists of; shared by client.c (states),
 * response.c (what is written) and tunnel.c (after a 101), nobody else.
 */
#ifndef WSGATE_CLIENT_CLIENT_STATE_H
#define WSGATE_CLIENT_CLIENT_STATE_H

#include "wsgate/client/client.h"
#include "wsgate/client/exchange.h"
#include "wsgate/http/http_parse.h"
#include "wsgate/net/deadline.h"
#include "wsgate/net/stream.h"
#include "wsgate/relay/relay.h"

#include <netinet/in.h>

enum client_state {
    CLIENT_HANDSHAKE, /* TLS */
    CLIENT_IDLE, /* between two requests */
    CLIENT_HEAD, /* a request head is arriving, or the first is awaited */
    CLIENT_BODY, /* an exchange runs, its request body is arriving */
    CLIENT_RESPONSE, /* an exchange runs, the request is complete */
    CLIENT_LINGER, /* our last byte is written; waiting for the peer's FIN */
    CLIENT_TUNNEL, /* the relay owns the stream */
    CLIENT_CLOSED /* waiting for on_closed */
};

struct client {
    struct list node;
    struct client_env *env;
    uint64_t id;
    enum client_state state;
    struct deadline deadline;
    int64_t gone_before; /* what had left when the deadline was armed */

    struct stream *stream; /* owned; NULL once the relay has it */
    struct http_parser *parser; /* owned; NULL in a tunnel */
    struct generation *generation; /* counted */
    const struct generation_listener *listener; /* of that generation */
    const char *listen_address; /* the worker's, lives as long as it */
    struct exchange *exchange; /* owned; NULL between two */
    struct relay *relay; /* CLIENT_TUNNEL */
    struct tunnel_note *note; /* CLIENT_TUNNEL */

    struct exchange_origin origin;
    struct sockaddr_in6 peer_address; /* holds sockaddr_in too */
    char peer_ip[INET6_ADDRSTRLEN];
    char peer[INET6_ADDRSTRLEN + 9];

    uint64_t bytes_in; /* body bytes of this exchange */
    uint64_t bytes_out;
    const char *end; /* why it does not end as it should; "" */
    enum http_body out_framing;
    unsigned request_minor;
    bool request_is_head;
    bool request_has_body;
    bool request_done;
    bool response_begun;
    bool response_done;
    bool keep_alive;
    bool has_eof;
    bool has_ended; /* our FIN is out */
    bool is_held; /* the backend does not take the body now */
    bool in_data; /* within on_data: nobody resumes the stream now */
};

extern const struct stream_events client_stream_events;
extern const struct exchange_events client_exchange_events;

/* client.c: the only writer of `state`; arms the deadline. */
void client_enter(struct client *c, enum client_state state);
/* The deadline of the state begins anew. */
void client_arm(struct client *c);
/* May be called twice; the memory goes in on_closed. */
void client_close(struct client *c, const char *reason);
/* Frees, and tells the worker; nothing of it may be open any more. */
void client_free(struct client *c);
/* The deadline of its state passed; ctx is the client. */
void client_on_deadline(void *ctx);
/* Before a head no site is known: those of the listener's first one. */
const struct gate_limits *client_limits(const struct client *c);
/* The response is written whole (to the stream, maybe not to the wire). */
void client_response_done(struct client *c);
void client_resume_body(struct client *c);

/* response.c: answers and closes. */
void client_refuse(struct client *c, unsigned status, const char *text);

/* tunnel.c: the 101 is written, both streams are joined. */
void
client_tunnel_open(struct client *c, struct stream *backend, struct span rest);

#endif
