/*
 * Which site a server name belongs to, and what a site is to TLS. Pure.
 */
#ifndef WSGATE_TLS_TLS_SITE_H
#define WSGATE_TLS_TLS_SITE_H

#include "shared/span.h"
#include "wsgate/tls/tls_cert.h"
#include "wsgate/tls/tls_context.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    TLS_SITE_SNI_MAX = 255, /* RFC 1035 2.3.4: octets of a name */
    TLS_SITE_CERTS_MAX = 16 /* ours: kinds of keys are three */
};

/* A copy of struct tls_site. */
struct tls_site_rules {
    char **hosts; /* owned, lower case */
    size_t host_count;
    struct tls_cert *
        *certs; /* references; room for all, filled by the caller */
    size_t cert_count;
    bool tls13_only;
    unsigned char identity[EVP_MAX_MD_SIZE]; /* session id context */
    unsigned identity_len;
};

/* False: memory; tls_site_fini() also then. */
bool tls_site_init(struct tls_site_rules *site, const struct tls_site *from);
void tls_site_fini(struct tls_site_rules *site);

/* Exact before wildcard before "*"; the longer wildcard wins, then order. -1:
 * none. The name is lower case. */
int tls_site_find(
    const struct tls_site_rules *sites, size_t count, struct span name);
/* For a client without SNI: the "*" site, else the first with a certificate. */
int tls_site_without_name(const struct tls_site_rules *sites, size_t count);

/* The host_name of a server_name extension (RFC 6066 3); false: malformed. */
bool tls_site_parse_sni(struct span ext, struct span *name);
/* New: lower case, without the root's dot; NULL: memory or a NUL within. */
char *tls_site_copy_name(struct span name);

#endif
