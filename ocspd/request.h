/*
 * Target -> OCSP request DER and its GET form (RFC 6960 App. A.1, RFC 9919).
 * One Request, no extensions, unsigned. Pure.
 */
#ifndef OCSPD_REQUEST_H
#define OCSPD_REQUEST_H

#include "shared/buf.h"
#include "shared/cert.h"
#include "shared/err.h"

#include <stdbool.h>

enum {
    REQUEST_GET_URL_MAX = 255, /* RFC 9919: GET up to this length, encoded */
    REQUEST_DER_MAX = 512 /* ours: one CertID with SHA-384 is below 200 */
};

/* digest_nid: NID_sha1 or NID_sha256. *der is initialised by the caller. */
bool request_write(const struct cert_ids *ids, int digest_nid, struct buf *der,
    struct err *err);

/*
 * base + exactly one "/" + base64 with + / = percent-encoded. False (ERR_LIMIT)
 * when the URL would pass REQUEST_GET_URL_MAX: use POST.
 */
bool request_get_url(
    const char *base, struct span der, struct buf *url, struct err *err);

#endif
