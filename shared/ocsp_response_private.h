/*
 * What ocsp_response.c and ocsp_signature.c share and nobody else sees.
 */
#ifndef SHARED_OCSP_RESPONSE_PRIVATE_H
#define SHARED_OCSP_RESPONSE_PRIVATE_H

#include <openssl/ocsp.h>

struct ocsp_response {
    OCSP_RESPONSE *outer; /* owned */
    OCSP_BASICRESP *basic; /* owned; NULL when there is none inside */
};

#endif
