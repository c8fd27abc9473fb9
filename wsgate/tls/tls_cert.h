/*
 * A certificate with its key, parsed once per content and shared between
 * generations; counted.
 */
#ifndef WSGATE_TLS_TLS_CERT_H
#define WSGATE_TLS_TLS_CERT_H

#include "shared/cert.h"
#include "shared/err.h"
#include "shared/span.h"
#include "wsgate/tls/staple.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>

enum tls_staple_mode { TLS_STAPLE_PREFER, TLS_STAPLE_REQUIRE };

struct tls_cert {
    struct cert_chain chain;
    EVP_PKEY *key;
    STACK_OF(X509) * sent; /* what clients get behind the leaf: issuers in
                               * order, no root */
    X509 *issuer; /* NULL: unknown, no staple can be checked */
    STACK_OF(X509) * signers; /* NULL: none listed */
    char fp[CERT_FINGERPRINT_SIZE];
    struct cert_facts facts;
    enum tls_staple_mode staple_mode;
    struct staple_set *staples; /* borrowed; NULL when no spool is used */
    struct staple_entry *staple; /* NULL: nothing is tracked */
    unsigned refs;
};

struct tls_cert_source {
    const char *chain_name; /* for errors: the path */
    const char *key_name;
    struct span chain_pem;
    struct span key_pem; /* may be the chain file itself */
    struct span issuer_pem; /* empty: the issuer is in the chain, or unknown */
    struct span signers_pem; /* empty: none */
    enum tls_staple_mode staple_mode;
};

/* ERR_CONFIG: unreadable, no certificate, key does not fit, key encrypted,
 * expired is a warning of the caller's (look at facts). `staples` may be NULL
 * (config check). */
bool
tls_cert_new(const struct tls_cert_source *source, struct staple_set *staples,
    int64_t now, struct tls_cert **out, struct err *err);
struct tls_cert *tls_cert_ref(struct tls_cert *cert);
void tls_cert_unref(struct tls_cert *cert);

/* The certificate's own staple now; empty: none (staple_current). */
struct span tls_cert_staple(const struct tls_cert *cert, int64_t now);
/* May it be shown to a client that asks for a staple? `require` says no while
 * there is none or it says "revoked". */
bool tls_cert_may_serve(const struct tls_cert *cert, int64_t now);

#endif
