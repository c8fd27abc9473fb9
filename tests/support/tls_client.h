/*
 * A TLS client in memory, talking to a stream over a fake one: no socket, no
 * time, any split of bytes.
 */
#ifndef TESTS_SUPPORT_TLS_CLIENT_H
#define TESTS_SUPPORT_TLS_CLIENT_H

#include "shared/buf.h"
#include "tests/support/fake_stream.h"
#include "wsgate/net/net_loop.h"

#include <openssl/ssl.h>
#include <stdbool.h>

/* Zero is the usual: any version, no SNI, no ALPN, nothing verified. */
struct tls_client_spec {
    int version; /* TLS1_2_VERSION, TLS1_3_VERSION; 0: any */
    const char *sni;
    const char *alpn; /* wire form: "\x08http/1.1" */
    const char *sigalgs; /* OpenSSL's list */
    const char *ciphers; /* TLS 1.2 */
    const char *groups;
    bool asks_staple;
    SSL_SESSION *session; /* borrowed: try to resume */
};

struct tls_client {
    SSL_CTX *ctx;
    SSL *ssl;
    BIO *in; /* owned by ssl */
    BIO *out; /* owned by ssl */
    bool is_connected;
    bool has_failed;
    unsigned long error; /* first of OpenSSL's queue when it failed */
    bool had_eof; /* close_notify from the server */
    struct buf received;
    SSL_SESSION *session; /* the last ticket; owned */
};

struct tls_client *tls_client_new(const struct tls_client_spec *spec);
void tls_client_free(struct tls_client *client);

/* Carries bytes both ways until nothing moves; answers is_connected. */
bool tls_client_run(struct tls_client *client, struct fake_stream *server,
    struct net_loop *net);
/* Encrypts; tls_client_run() carries it over. */
void tls_client_write(struct tls_client *client, struct span bytes);
/* close_notify. */
void tls_client_end(struct tls_client *client);
/* The alert that ended it: SSL_AD_..., or -1. */
int tls_client_alert(const struct tls_client *client);
/* The stapled response, borrowed; empty: none. */
struct span tls_client_staple(const struct tls_client *client);

#endif
