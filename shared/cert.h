/*
 * Certificates: a PEM (or DER) file -> leaf, issuer, names, OCSP URLs and the
 * CertIDs that a response must carry. Private keys in the file are skipped
 * unread. Pure but for cert_file_*: no socket, loop or clock.
 */
#ifndef SHARED_CERT_H
#define SHARED_CERT_H

#include "shared/err.h"
#include "shared/span.h"

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CERT_FINGERPRINT_SIZE = 65, /* 64 lowercase hex digits and a NUL */
    CERT_SERIAL_MAX = 64, /* RFC 5280 4.1.2.2 says 20; be lenient */
    CERT_HASH_MAX = 48, /* SHA-384 */
    CERT_FILE_MAX = 1024 * 1024, /* ours: a chain file, read whole */
    CERT_CHAIN_MAX = 64 /* ours: certificates in one file */
};

/* A file's certificates. The leaf is in no particular place in the file: it is
 * the first certificate that issued none of the others and is no CA; in a file
 * of CAs alone, the first that issued none of the others. */
struct cert_chain {
    X509 *leaf; /* owned */
    STACK_OF(X509) * others; /* owned; file order, without the leaf */
};

/* New; free with cert_chain_free(). ERR_FORMAT names what is wrong ("no
 * certificate found", "3rd certificate: ..."). */
bool
cert_chain_parse(struct span bytes, struct cert_chain *out, struct err *err);
/* The same bytes as a plain list in file order; also the certificates of a DER
 * PKCS#7 bundle, which is what an AIA "CA Issuers" URL may give. */
bool
cert_stack_parse(struct span bytes, STACK_OF(X509) * *out, struct err *err);
/* Reads and parses; the error names the path. */
bool cert_file_load(const char *path, struct cert_chain *out, struct err *err);
/* Every certificate of a file, in file order (issuer: and signers: files). */
bool
cert_file_load_all(const char *path, STACK_OF(X509) * *out, struct err *err);
void cert_chain_fini(struct cert_chain *chain);
void cert_stack_free(STACK_OF(X509) * certs);

/*
 * Did `issuer` issue `leaf`? By name, key usage and AKI (X509_check_issued) and
 * by signature: two CAs of the same name are told apart.
 */
bool cert_is_issued_by(X509 *leaf, X509 *issuer);
/* The one among `candidates` that issued leaf, borrowed; NULL when none. */
X509 *cert_find_issuer(X509 *leaf, const STACK_OF(X509) * candidates);

/* SHA-256 of the certificate's DER: the name of everything in the spool. */
bool cert_fingerprint(
    const X509 *cert, char out[CERT_FINGERPRINT_SIZE], struct err *err);
bool cert_is_fingerprint(struct span text);

/* One digest's half of a CertID (RFC 6960 4.1.1). */
struct cert_id_hashes {
    int digest_nid; /* NID_sha1, NID_sha256, NID_sha384 */
    unsigned hash_len;
    unsigned char name_hash[CERT_HASH_MAX];
    unsigned char key_hash[CERT_HASH_MAX];
};

enum { CERT_ID_DIGESTS = 3 };

/* Who the certificate is for an OCSP responder; plain data, copied freely. */
struct cert_ids {
    struct cert_id_hashes by_digest[CERT_ID_DIGESTS]; /* SHA-1, -256, -384 */
    unsigned serial_len;
    unsigned char serial[CERT_SERIAL_MAX]; /* content bytes of the INTEGER */
};

bool cert_ids_make(const X509 *leaf, const X509 *issuer, struct cert_ids *out,
    struct err *err);

/* Content bytes of an INTEGER, for comparison; false when longer than the
 * maximum. */
bool cert_serial_read(const ASN1_INTEGER *serial,
    unsigned char out[CERT_SERIAL_MAX], unsigned *len);

/* What a certificate says of itself. Unix seconds; strings owned. */
struct cert_facts {
    int64_t not_before;
    int64_t not_after;
    bool must_staple; /* TLS feature 5 (RFC 7633) */
    bool is_ca;
    char **ocsp_urls; /* http and https only, file order */
    size_t ocsp_url_count;
    char **crl_urls; /* http and https only */
    size_t crl_url_count;
    char **names; /* DNS names of the SAN, else the subject's CN */
    size_t name_count;
    char *subject; /* one line, RFC 2253 */
    char *issuer; /* one line */
    char serial_hex[2 * CERT_SERIAL_MAX + 1];
};

bool cert_facts_read(X509 *cert, struct cert_facts *out, struct err *err);
void cert_facts_fini(struct cert_facts *facts);
/* First name, else subject, for logs; borrowed from facts. */
const char *cert_facts_label(const struct cert_facts *facts);

/* X.509 time -> Unix seconds; false for one that is not written exactly
 * YYMMDDHHMMSSZ (UTCTime) or YYYYMMDDHHMMSSZ (RFC 5280 4.1.2.5). */
bool cert_time_read(const ASN1_TIME *time, int64_t *unix_s);

#endif
