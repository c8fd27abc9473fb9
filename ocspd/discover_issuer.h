/*
 * Files and folders of CA certificates, each read once per round, and the
 * issuers that targets share. Blocking; used by discover alone.
 */
#ifndef OCSPD_DISCOVER_ISSUER_H
#define OCSPD_DISCOVER_ISSUER_H

#include "ocspd/target.h"
#include "shared/cert.h"
#include "shared/err.h"
#include "shared/list.h"

#include <openssl/x509.h>
#include <stdbool.h>

struct discover_issuers {
    struct list stores; /* files and folders read */
    struct list shared; /* issuers handed out */
};

void discover_issuers_init(struct discover_issuers *issuers);
/* Targets keep their own references. */
void discover_issuers_fini(struct discover_issuers *issuers);

/*
 * The certificates of a file or a folder, borrowed; NULL with *err when it
 * cannot be read. *is_new: this call read it (so that a failure is said once).
 */
const STACK_OF(X509) * discover_issuers_store(struct discover_issuers *issuers,
                           const char *path, bool *is_new, struct err *err);

/* The shared issuer for `cert` with these signers (NULL: none), one reference
 * for the caller; NULL for lack of memory. */
struct issuer *discover_issuers_share(struct discover_issuers *issuers,
    X509 *cert, const STACK_OF(X509) * signers);

/* Does the name end like a certificate file (.pem .crt .cer .cert)? */
bool discover_is_cert_name(const char *name);

#endif
