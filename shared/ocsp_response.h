/*
 * One OCSP response: parsed, matched to a certificate, its signature and the
 * signer's right to sign checked (RFC 6960 4.2.2.2). Pure: the time is an
 * argument. Both daemons use it: ocspd before writing, wsgate before stapling.
 *
 * OpenSSL's own calls accept forged, foreign and expired responses in most of
 * their usual forms; the form used here, and why, stands in the source.
 */
#ifndef SHARED_OCSP_RESPONSE_H
#define SHARED_OCSP_RESPONSE_H

#include "shared/cert.h"
#include "shared/err.h"
#include "shared/span.h"

#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    OCSP_RESPONSE_MAX =
        64 * 1024, /* ours: bytes; usual ones have 500 to 2,500 */
    OCSP_SKEW_S = 300 /* ours: a responder's clock may run ahead */
};

/* RFC 6960 4.2.1 OCSPResponseStatus. */
enum ocsp_outer_status {
    OCSP_OUTER_SUCCESSFUL = 0,
    OCSP_OUTER_MALFORMED_REQUEST = 1,
    OCSP_OUTER_INTERNAL_ERROR = 2,
    OCSP_OUTER_TRY_LATER = 3,
    OCSP_OUTER_SIG_REQUIRED = 5,
    OCSP_OUTER_UNAUTHORIZED = 6
};
/* "tryLater" ...; "unknown status" for others. */
const char *ocsp_outer_status_word(long status);

enum ocsp_cert_status { OCSP_CERT_GOOD, OCSP_CERT_REVOKED, OCSP_CERT_UNKNOWN };
const char *ocsp_cert_status_word(enum ocsp_cert_status status);

struct ocsp_response; /* opaque: the parsed DER */

/*
 * DER -> response, every byte eaten. ERR_FORMAT: not an OCSPResponse, or bytes
 * behind it. A response that is not "successful" parses too: ask _outer().
 */
bool ocsp_response_parse(
    struct span der, struct ocsp_response **out, struct err *err);
void ocsp_response_free(struct ocsp_response *resp);
long ocsp_response_outer(const struct ocsp_response *resp);

/* What the response says of one certificate. Times are Unix seconds. */
struct ocsp_single {
    enum ocsp_cert_status status;
    int digest_nid; /* of the CertID that matched */
    int64_t produced_at;
    int64_t this_update;
    int64_t next_update; /* 0: absent */
    int64_t revoked_at; /* 0 unless revoked */
    int revoked_reason; /* CRLReason, -1: not given */
};
/* "keyCompromise" ...; "unspecified" for -1 and unknown numbers. */
const char *ocsp_reason_word(int reason);

enum ocsp_match {
    OCSP_MATCH_ONE, /* *out is filled */
    OCSP_MATCH_NONE, /* no SingleResponse is for this certificate */
    OCSP_MATCH_CONFLICT, /* several, and they differ; *out = revoked if any */
    OCSP_MATCH_BAD_TIME, /* a time not written YYYYMMDDHHMMSSZ */
    OCSP_MATCH_NOT_BASIC /* not successful, or no BasicOCSPResponse inside */
};

/* Finds the SingleResponse whose CertID is in `ids`, whatever its digest. */
enum ocsp_match ocsp_response_match(const struct ocsp_response *resp,
    const struct cert_ids *ids, struct ocsp_single *out, struct err *err);

enum ocsp_signer_kind {
    OCSP_SIGNER_ISSUER, /* the CA itself */
    OCSP_SIGNER_DELEGATE, /* issued by the CA, OCSPSigning EKU */
    OCSP_SIGNER_LISTED /* in the operator's signers: file */
};
struct ocsp_signer {
    enum ocsp_signer_kind kind;
    int64_t not_after; /* the signer certificate's, Unix seconds */
    bool has_nocheck; /* id-pkix-ocsp-nocheck (true for the issuer) */
};

enum ocsp_signature {
    OCSP_SIGNATURE_OK,
    OCSP_SIGNATURE_NOT_BASIC, /* nothing signed inside */
    OCSP_SIGNATURE_WEAK, /* SHA-1, MD5, RSA below 2048 */
    OCSP_SIGNATURE_BAD, /* the bytes are not what was signed */
    OCSP_SIGNATURE_NO_SIGNER_CERT, /* signer's certificate missing */
    OCSP_SIGNATURE_NOT_AUTHORISED, /* a signer without the right to sign */
    OCSP_SIGNATURE_EXPIRED_SIGNER /* signer's certificate out of date */
};
/* "bad signature", "signer not authorised" ... for logs and tables. */
const char *ocsp_signature_word(enum ocsp_signature verdict);

struct ocsp_trust {
    X509 *issuer; /* borrowed, required */
    const STACK_OF(X509) * signers; /* borrowed, may be NULL: signers: FILE */
    bool allow_weak; /* issuer listed as legacy */
};

/*
 * Is the signature good at time `at` (Unix seconds) and may the signer sign for
 * the issuer? `signers` count only when the normal check failed for want of an
 * authorised or included signer.
 */
enum ocsp_signature ocsp_response_check_signature(
    const struct ocsp_response *resp, const struct ocsp_trust *trust,
    int64_t at, struct ocsp_signer *out, struct err *err);

/*
 * All of it at once for a consumer: successful, for this certificate, signed by
 * the right party, valid at `at`. *valid_until gets min(nextUpdate, signer's
 * notAfter); a response without nextUpdate is refused (ERR_REJECTED).
 */
bool ocsp_response_usable(struct span der, const struct cert_ids *ids,
    const struct ocsp_trust *trust, int64_t at, struct ocsp_single *single,
    int64_t *valid_until, struct err *err);

#endif
