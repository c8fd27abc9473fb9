/*
 * SSL_CTX per policy; the site is chosen in the ClientHello callback (before
 * resumption), the certificate in the certificate callback (ECDSA or RSA by
 * what the client offers, a stapled one first where a staple is required).
 */
#ifndef WSGATE_TLS_TLS_CONTEXT_H
#define WSGATE_TLS_TLS_CONTEXT_H

#include "shared/err.h"
#include "wsgate/tls/tls_cert.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

struct tls_site {
    const char *const *hosts; /* "a.example", "*.example", "*"; borrowed */
    size_t host_count;
    struct tls_cert *const *certs; /* borrowed; the context takes references */
    size_t cert_count;
    bool tls13_only; /* min_version: "1.3" */
};

struct tls_context; /* of one generation; counted */

/* Fails (ERR_CONFIG) only for what the operator wrote; sites may be 0. A site
 * without certificates ends its handshakes. No SNI: the "*" site, else the
 * first that has a certificate. */
bool tls_context_new(const struct tls_site *sites, size_t count,
    struct tls_context **out, struct err *err);
struct tls_context *tls_context_ref(struct tls_context *context);
void tls_context_unref(struct tls_context *context);

/* New SSL in accept state; the site index chosen by SNI is told later. */
SSL *tls_context_accept(struct tls_context *context, struct err *err);
/* Index into `sites` for a connection whose ClientHello was seen, or -1. */
int tls_context_site(const SSL *ssl);
/* Was a staple sent / missing / not asked for? For the log. */
enum tls_staple_result {
    TLS_STAPLE_NOT_ASKED,
    TLS_STAPLE_SENT,
    TLS_STAPLE_NONE
};
enum tls_staple_result tls_context_staple_result(const SSL *ssl);
const char *tls_staple_result_word(enum tls_staple_result result);
/* The name the client asked for, lower case, or NULL; borrowed from ssl. */
const char *tls_context_sni(const SSL *ssl);
/* Why we ended the handshake ourselves, in the operator's words; "" when it was
 * not us. Borrowed from ssl. */
const char *tls_context_refusal(const SSL *ssl);
/* For tls/ticket_keys. Borrowed. */
SSL_CTX *tls_context_ssl_ctx(struct tls_context *context);

#endif
