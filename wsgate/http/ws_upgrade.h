/*
 * Is this a correct WebSocket upgrade, and a correct answer to one? (RFC 6455
 * 4.2, 4.1). Pure.
 */
#ifndef WSGATE_HTTP_WS_UPGRADE_H
#define WSGATE_HTTP_WS_UPGRADE_H

#include "shared/err.h"
#include "shared/span.h"
#include "wsgate/http/http_message.h"

#include <stdbool.h>

enum { WS_ACCEPT_SIZE = 29 /* base64 of SHA-1, and a NUL */ };

/* Does the request want a WebSocket at all (GET, an Upgrade list with the token
 * websocket, Connection: upgrade)? Others are ordinary requests. */
bool ws_upgrade_is_wanted(const struct http_request *head);

/*
 * False: *status is what to answer (400; 426 with Sec-WebSocket-Version: 13 for
 * another version) and *err what is missing.
 */
bool ws_upgrade_check_request(
    const struct http_request *head, unsigned *status, struct err *err);

/* Sec-WebSocket-Accept for a Sec-WebSocket-Key. */
bool ws_upgrade_accept(struct span key, char out[WS_ACCEPT_SIZE]);

/* Is the 101 a right answer: Upgrade and Connection tokens, Accept, a
 * subprotocol that was offered, no extension that was not? */
bool ws_upgrade_check_response(const struct http_request *request,
    const struct http_response *response, struct err *err);

#endif
