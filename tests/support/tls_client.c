/*
 * A TLS client in memory.
 * Input: the records that the server wrote into the fake stream. Output: the
 * client's records fed to it; plaintext and the outcome for the test.
 */
#include "tests/support/tls_client.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

static void
must(bool ok)
{
    if (!ok)
        abort();
}

static int
on_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_client *c = SSL_get_app_data(ssl);

    SSL_SESSION_free(c->session);
    c->session = session;
    return 1;
}

static SSL_CTX *
new_ctx(const struct tls_client_spec *spec)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    must(ctx != NULL);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
    (void)SSL_CTX_set_session_cache_mode(
        ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_session);
    SSL_CTX_set_security_level(ctx, 0); /* old versions, to be refused */
    if (spec->version != 0) {
        must(SSL_CTX_set_min_proto_version(ctx, spec->version) == 1);
        must(SSL_CTX_set_max_proto_version(ctx, spec->version) == 1);
    }
    if (spec->ciphers != NULL)
        must(SSL_CTX_set_cipher_list(ctx, spec->ciphers) == 1);
    if (spec->sigalgs != NULL)
        must(SSL_CTX_set1_sigalgs_list(ctx, spec->sigalgs) == 1);
    if (spec->groups != NULL)
        must(SSL_CTX_set1_groups_list(ctx, spec->groups) == 1);
    return ctx;
}

struct tls_client *
tls_client_new(const struct tls_client_spec *spec)
{
    struct tls_client *c = calloc(1, sizeof(*c));

    must(c != NULL);
    c->ctx = new_ctx(spec);
    c->ssl = SSL_new(c->ctx);
    c->in = BIO_new(BIO_s_mem());
    c->out = BIO_new(BIO_s_mem());
    must(c->ssl != NULL && c->in != NULL && c->out != NULL);
    buf_init(&c->received, SIZE_MAX / 2);
    SSL_set_bio(c->ssl, c->in, c->out);
    SSL_set_connect_state(c->ssl);
    SSL_set_app_data(c->ssl, c);
    if (spec->sni != NULL)
        must(SSL_set_tlsext_host_name(c->ssl, spec->sni) == 1);
    if (spec->alpn != NULL)
        must(SSL_set_alpn_protos(c->ssl, (const unsigned char *)spec->alpn,
                 (unsigned)strlen(spec->alpn)) == 0);
    if (spec->asks_staple)
        must(SSL_set_tlsext_status_type(c->ssl, TLSEXT_STATUSTYPE_ocsp) == 1);
    if (spec->session != NULL)
        must(SSL_set_session(c->ssl, spec->session) == 1);
    return c;
}

void
tls_client_free(struct tls_client *c)
{
    if (c == NULL)
        return;
    SSL_SESSION_free(c->session);
    /* A connection that just stops would spoil its ticket. */
    SSL_set_shutdown(c->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(c->ssl);
    SSL_CTX_free(c->ctx);
    buf_fini(&c->received);
    free(c);
}

static void
note_failure(struct tls_client *c, int rc)
{
    int why = SSL_get_error(c->ssl, rc);

    if (why == SSL_ERROR_ZERO_RETURN)
        c->had_eof = true;
    if (why == SSL_ERROR_SSL || why == SSL_ERROR_SYSCALL) {
        c->has_failed = true;
        c->error = ERR_peek_error();
    }
    ERR_clear_error();
}

static void
step(struct tls_client *c)
{
    unsigned char bytes[4096];
    int rc;

    ERR_clear_error();
    if (!c->is_connected) {
        rc = SSL_do_handshake(c->ssl);
        if (rc != 1) {
            note_failure(c, rc);
            return;
        }
        c->is_connected = true;
    }
    while ((rc = SSL_read(c->ssl, bytes, sizeof(bytes))) > 0)
        (void)buf_add(&c->received, span_make(bytes, (size_t)rc));
    note_failure(c, rc);
}

/* Both answer whether something moved. */
static bool
to_server(struct tls_client *c, struct fake_stream *server)
{
    char *data;
    long len = BIO_get_mem_data(c->out, &data);
    struct buf copy;

    if (len <= 0)
        return false;
    buf_init(&copy, (size_t)len);
    must(buf_add(&copy, span_make(data, (size_t)len)));
    (void)BIO_reset(c->out);
    fake_stream_feed(server, buf_span(&copy));
    buf_fini(&copy);
    return true;
}

static bool
to_client(struct tls_client *c, struct fake_stream *server)
{
    if (server->written.len == 0)
        return false;
    must(BIO_write(c->in, server->written.data, (int)server->written.len) ==
         (int)server->written.len);
    buf_clear(&server->written);
    return true;
}

bool
tls_client_run(
    struct tls_client *c, struct fake_stream *server, struct net_loop *net)
{
    bool moved = true;

    while (moved) {
        net_loop_flush(net);
        if (!c->has_failed)
            step(c);
        moved = to_server(c, server);
        net_loop_flush(net);
        moved = to_client(c, server) || moved;
    }
    return c->is_connected;
}

void
tls_client_write(struct tls_client *c, struct span bytes)
{
    must(SSL_write(c->ssl, bytes.data, (int)bytes.len) == (int)bytes.len);
}

void
tls_client_end(struct tls_client *c)
{
    (void)SSL_shutdown(c->ssl);
}

int
tls_client_alert(const struct tls_client *c)
{
    int reason = ERR_GET_REASON(c->error);

    if (!c->has_failed || reason < SSL_AD_REASON_OFFSET)
        return -1;
    return reason - SSL_AD_REASON_OFFSET;
}

struct span
tls_client_staple(const struct tls_client *c)
{
    const unsigned char *der = NULL;
    long len = SSL_get_tlsext_status_ocsp_resp(c->ssl, &der);

    return len > 0 ? span_make(der, (size_t)len) : SPAN_EMPTY;
}
