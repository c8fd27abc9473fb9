/*
 * The one word for how a fetch ended: decides the retry (schedule), stands in
 * logs, status, side files and in the table of tests. A closed list.
 */
#ifndef OCSPD_VERDICT_H
#define OCSPD_VERDICT_H

#include <stdbool.h>

enum verdict {
    VERDICT_NONE, /* nothing tried yet */
    /* accepted */
    VERDICT_GOOD,
    VERDICT_REVOKED,
    VERDICT_UNCHANGED, /* same bytes or same thisUpdate as stored: a success */
    /* transport: next URL at once, then back-off */
    VERDICT_DNS,
    VERDICT_CONNECT,
    VERDICT_TIMEOUT,
    VERDICT_TLS,
    VERDICT_ADDRESS_REFUSED,
    VERDICT_REDIRECTS,
    VERDICT_TOO_LARGE,
    VERDICT_HTTP_STATUS,
    VERDICT_EMPTY,
    /* the responder's own refusal (RFC 6960 4.2.1) */
    VERDICT_MALFORMED_REQUEST,
    VERDICT_INTERNAL_ERROR,
    VERDICT_TRY_LATER,
    VERDICT_SIG_REQUIRED,
    VERDICT_UNAUTHORIZED,
    VERDICT_UNKNOWN, /* status "unknown" for this certificate */
    /* verification: next source at once, then 1 h, alert */
    VERDICT_NOT_OCSP,
    VERDICT_TRAILING_BYTES,
    VERDICT_WEAK_SIGNATURE,
    VERDICT_BAD_SIGNATURE,
    VERDICT_NO_SIGNER_CERT,
    VERDICT_NOT_AUTHORISED,
    VERDICT_SIGNER_EXPIRED,
    VERDICT_NO_NOCHECK,
    VERDICT_WRONG_CERT,
    VERDICT_CONFLICT,
    VERDICT_BAD_TIME,
    VERDICT_NOT_YET_VALID,
    VERDICT_TOO_OLD,
    VERDICT_NO_NEXT_UPDATE,
    VERDICT_EXPIRED,
    VERDICT_LIFE_TOO_SHORT,
    VERDICT_OLDER_THAN_STORED,
    VERDICT_COUNT
};

enum verdict_class {
    VERDICT_CLASS_NONE,
    VERDICT_CLASS_ACCEPTED,
    VERDICT_CLASS_TRANSPORT,
    VERDICT_CLASS_REFUSAL, /* tryLater, internalError ... */
    VERDICT_CLASS_UNAUTHORIZED, /* unauthorized, unknown: may be too new */
    VERDICT_CLASS_VERIFY
};

/* "good", "bad-signature" ... lower case with dashes. */
const char *verdict_word(enum verdict verdict);
/* VERDICT_NONE for a word that is not in the list. */
enum verdict verdict_parse(const char *word);
enum verdict_class verdict_class(enum verdict verdict);
/* What an operator can do about it, one sentence; NULL: nothing to do. */
const char *verdict_mend(enum verdict verdict);

#endif
