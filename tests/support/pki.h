/*
 * Certificates and OCSP responses made on the spot, good and bad ones, for unit
 * tests. ECDSA P-256 unless asked otherwise. Whatever fails aborts the test
 * program: a failure here is no test result.
 */
#ifndef TESTS_SUPPORT_PKI_H
#define TESTS_SUPPORT_PKI_H

#include "shared/buf.h"
#include "shared/cert.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A time inside every default validity: 2026-01-01 00:00:00 UTC. */
#define PKI_NOW INT64_C(1767225600)
#define PKI_DAY INT64_C(86400)

struct pki_cert {
    X509 *cert;
    EVP_PKEY *key;
};

enum pki_key { PKI_EC, PKI_RSA2048, PKI_RSA1024 };

/* Zero is the usual choice everywhere but for cn. */
struct pki_spec {
    const char *cn;
    const struct pki_cert *issuer; /* NULL: self-signed */
    enum pki_key key;
    const struct pki_cert *same_key_as; /* a renewed or cross-signed twin */
    const char *digest; /* "SHA256" by default */
    int64_t not_before; /* PKI_NOW - 30 days by default */
    int64_t not_after; /* PKI_NOW + 60 days (CAs: ten years) by default */
    long serial; /* 0: a new one each time */
    const char *san; /* OpenSSL's form: "DNS:a.example,DNS:b.example" */
    const char *aia; /* "OCSP;URI:http://ocsp.example/" */
    const char *crldp; /* "URI:http://crl.example/a.crl" */
    bool is_ca;
    bool is_ocsp_signer; /* EKU OCSPSigning */
    bool has_nocheck;
    bool is_must_staple;
};

/* New. */
struct pki_cert *pki_issue(const struct pki_spec *spec);
void pki_free(struct pki_cert *cert);

/* Root, intermediate and leaf, and everybody who may or may not sign. */
struct pki {
    struct pki_cert *root;
    struct pki_cert *ca; /* the issuer, below root */
    struct pki_cert *leaf; /* RSA-free, OCSP URL, two names */
    struct pki_cert *staple_leaf; /* the same with must-staple */
    struct pki_cert *sibling; /* another CA below root */
    struct pki_cert *sibling_leaf;
    struct pki_cert *delegate; /* of ca: EKU, nocheck */
    struct pki_cert *delegate_bare; /* of ca: EKU, no nocheck */
    struct pki_cert *delegate_noeku; /* of ca: neither */
    struct pki_cert *delegate_old; /* of ca: EKU, expired at PKI_NOW */
    struct pki_cert *delegate_ca; /* of ca: EKU, but a CA itself */
    struct pki_cert *delegate_sibling; /* EKU, but issued by sibling */
    struct pki_cert *va; /* outside: self-signed, EKU */
    struct pki_cert *va_old; /* outside, expired at PKI_NOW */
};
void pki_init(struct pki *pki);
void pki_fini(struct pki *pki);

enum pki_status { PKI_GOOD, PKI_REVOKED, PKI_UNKNOWN };

struct pki_single {
    const struct pki_cert *leaf;
    const struct pki_cert *issuer;
    enum pki_status status;
    const char *id_digest; /* "SHA1" by default */
    int reason; /* with PKI_REVOKED; -1: none */
    int64_t revoked_at; /* PKI_NOW - 1 day by default */
    int64_t this_update; /* PKI_NOW - 1 hour by default */
    int64_t next_update; /* PKI_NOW + 6 days by default; -1: absent */
    const char *this_update_text; /* these bytes as they are */
    const char *next_update_text;
};

struct pki_response {
    const struct pki_cert *signer;
    const struct pki_single *singles;
    size_t single_count;
    const char *digest; /* "SHA256" by default */
    bool omit_cert; /* the signer's certificate is not included */
    bool is_by_key; /* responderID byKey instead of byName */
    const struct pki_cert *extra; /* one more certificate to include */
    int64_t produced_at; /* PKI_NOW - 1 hour by default */
    const char *produced_at_text;
};

/* DER into *out, which is emptied first. */
void pki_respond(const struct pki_response *spec, struct buf *out);
/* The usual one: `leaf` of `issuer` is good, signed by `signer`. */
void
pki_respond_good(const struct pki_cert *signer, const struct pki_cert *leaf,
    const struct pki_cert *issuer, struct buf *out);
/* A response without content: tryLater is 3. */
void pki_respond_outer(int outer_status, struct buf *out);

/* Appends PEM. */
void pki_add_pem(const struct pki_cert *cert, struct buf *out);
void pki_add_key_pem(const struct pki_cert *cert, struct buf *out);
void pki_add_der(const struct pki_cert *cert, struct buf *out);

#endif
