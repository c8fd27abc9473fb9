/*
 * Who really asks: the client's address behind trusted proxies, the chain to
 * forward, a request id. Rebuilt for every exchange, Upgrade included; what the
 * client itself claimed never passes.
 */
#ifndef WSGATE_CLIENT_FORWARDED_H
#define WSGATE_CLIENT_FORWARDED_H

#include "shared/cidr.h"
#include "wsgate/http/http_headers.h"
#include "wsgate/http/http_message.h"

#include <stddef.h>
#include <sys/socket.h>

enum {
    FORWARDED_CHAIN_MAX = 1024, /* ours: 20 hops of IPv6 */
    REQUEST_ID_MAX = 128 /* ours */
};

struct forwarded {
    struct http_peer peer; /* points into the rest */
    char client[64];
    char request_id[REQUEST_ID_MAX + 1];
    struct buf chain;
    struct buf host;
};

/* peer_ip: the direct peer's, "" for a unix socket (trusted then). The caller
 * sets peer.is_tls and peer.port. */
void forwarded_init(struct forwarded *f, const struct http_request *head,
    const char *peer_ip, const struct sockaddr *peer_address,
    const struct cidr *trusted, size_t trusted_count);
void forwarded_fini(struct forwarded *f);

#endif
