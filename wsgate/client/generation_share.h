/*
 * Certificates that two generations have in common: parsing a key costs more
 * than a handshake, and a swap changes one of thousands.
 */
#ifndef WSGATE_CLIENT_GENERATION_SHARE_H
#define WSGATE_CLIENT_GENERATION_SHARE_H

#include "wsgate/client/generation.h"
#include "wsgate/tls/tls_cert.h"

#include <stdbool.h>

/* A digest of all that makes a certificate what it is; zeros: unknown. */
struct generation_content {
    unsigned char digest[32];
};

/* False: it cannot be told, nothing is shared. */
bool generation_content_make(
    const struct tls_cert_source *source, struct generation_content *out);

struct generation_share;

/* References `previous`, which may be NULL. NULL: nothing to share. */
struct generation_share *generation_share_new(struct generation *previous);
void generation_share_free(struct generation_share *share);
/* A new reference to the certificate of that content which uses these staples;
 * NULL: none. `share` may be NULL. */
struct tls_cert *generation_share_find(const struct generation_share *share,
    const struct generation_content *content, const struct staple_set *staples);

#endif
