/*
 * What OpenSSL says of a failed connection, in the operator's words.
 */
#ifndef WSGATE_TLS_TLS_ERROR_H
#define WSGATE_TLS_TLS_ERROR_H

#include "shared/err.h"

#include <openssl/ssl.h>
#include <stdbool.h>

/*
 * Reads and empties OpenSSL's error queue. ERR_REJECTED: one side did not want
 * the other; ERR_FORMAT: bytes that are not TLS, or damaged. Answers false.
 */
bool tls_error(const SSL *ssl, struct err *err);

#endif
