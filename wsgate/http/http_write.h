/*
 * Heads -> bytes. A message is written anew from its normal form, nothing
 * ambiguous is forwarded; hop-by-hop fields are left out, the forwarded family
 * is set. Also our own replies. Pure.
 */
#ifndef WSGATE_HTTP_HTTP_WRITE_H
#define WSGATE_HTTP_HTTP_WRITE_H

#include "shared/buf.h"
#include "wsgate/http/http_headers.h"
#include "wsgate/http/http_message.h"

#include <stdbool.h>
#include <stdint.h>

enum { HTTP_CHUNK_HEAD_MAX = 20 };

/* How the body of the written message is framed. */
struct http_framing {
    enum http_body body;
    uint64_t length;
};

/*
 * A request towards a backend. `upgrade`: Connection/Upgrade: websocket are
 * written and Sec-WebSocket-* pass; otherwise Upgrade is dropped. Expect is
 * never forwarded. keep_alive false: Connection: close.
 */
bool http_write_request(struct buf *out, const struct http_request *head,
    const struct http_peer *peer, const struct http_framing *framing,
    bool upgrade, bool keep_alive);

/*
 * A response towards a client of HTTP/1.minor: status line, fields without
 * hop-by-hop; framing as given; Connection as needed; a Date where none came
 * (RFC 9110 6.6.1), `now` in Unix seconds.
 * 1xx and 101 heads too (101: Connection: Upgrade, Upgrade: websocket).
 */
bool http_write_response(struct buf *out, const struct http_response *head,
    unsigned client_minor, const struct http_framing *framing, bool keep_alive,
    int64_t now);

/* "1a\r\n" before and "\r\n" behind each chunk; "0\r\n" trailers "\r\n" last. */
bool http_write_chunk_head(struct buf *out, size_t len);
bool http_write_last_chunk(struct buf *out, const struct http_fields *trailers);

/* Our own reply with a one-line text body; extra ("Allow: GET\r\n") may be "".
 * head_only: for HEAD. 426 names the protocol by itself (RFC 9110 15.5.22). */
bool http_write_reply(struct buf *out, unsigned status, const char *text,
    const char *extra, bool keep_alive, bool head_only, int64_t now);
const char *http_status_reason(unsigned status);

#endif
