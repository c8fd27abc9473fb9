/*
 * OpenSSL's end of the wire: reads from borrowed bytes, writes into the lower
 * stream's gathered output. Holds nothing itself.
 */
#ifndef WSGATE_TLS_TLS_BIO_H
#define WSGATE_TLS_TLS_BIO_H

#include "shared/span.h"
#include "wsgate/net/stream.h"

#include <openssl/bio.h>

struct tls_wire {
    struct span in; /* ciphertext not read yet; borrowed */
    struct stream *lower; /* takes every write */
};

/* New; `wire` is borrowed for the BIO's life. NULL: memory. */
BIO *tls_bio_new(struct tls_wire *wire);

#endif
