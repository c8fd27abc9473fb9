/*
 * struct stream with TLS (server side) over another stream, through memory BIOs
 * on the loop's shared buffers: ciphertext of one turn leaves in one write, an
 * idle connection owns no buffer.
 */
#ifndef WSGATE_TLS_TLS_STREAM_H
#define WSGATE_TLS_TLS_STREAM_H

#include "shared/err.h"
#include "wsgate/net/net_loop.h"
#include "wsgate/net/stream.h"
#include "wsgate/tls/tls_context.h"

#include <stdbool.h>

struct tls_info {
    const char *version; /* "TLSv1.3" */
    const char *cipher;
    const char *sni; /* NULL: none was sent */
    int site; /* tls_context_site() */
    bool resumed;
    enum tls_staple_result staple;
};

/*
 * `lower` is taken (its owner becomes the TLS stream) also on failure; no event
 * comes then. The handshake begins by itself, and data follows on_ready by
 * itself: stream_pause() before or in on_ready holds it back. What is written
 * before on_ready leaves behind the handshake.
 *
 * on_ready comes when the handshake is complete; on_error names a failed one in
 * the operator's words ("client does not trust the certificate (alert 48)",
 * "plain HTTP on a TLS port": then ERR_FORMAT; the stream has answered the
 * client with a plain 400 before). A FIN without close_notify is on_eof once
 * the handshake is complete, an error before. stream_close() sends the
 * close_notify that is still due.
 */
struct stream *tls_stream_accept(struct net_loop *net, struct stream *lower,
    struct tls_context *context, const struct stream_events *events, void *ctx,
    struct err *err);
/* Borrowed strings, till the stream is closed. Valid from on_ready on. */
void tls_stream_info(const struct stream *s, struct tls_info *out);

#endif
