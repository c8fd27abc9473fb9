/*
 * The words of `ocspd check`, on stdout. Everything from certificates and
 * responders is printed without control characters.
 */
#ifndef OCSPD_VERB_CHECK_PRINT_H
#define OCSPD_VERB_CHECK_PRINT_H

#include "ocspd/fetch.h"
#include "ocspd/round.h"
#include "ocspd/target.h"
#include "shared/cert.h"

#include <openssl/x509.h>
#include <stdbool.h>

void check_print_certificate(
    const char *path, const struct cert_facts *facts, const X509 *leaf);
void check_print_issuer(X509 *issuer, const char *where);
void check_print_no_issuer(const char *configured);
void check_print_urls(const struct target *target);
void check_print_no_url(const struct target *target);
void check_print_attempt(const struct round_attempt *attempt);
void check_print_answer(const struct fetch_result *answer);
void check_print_step(const char *step, bool passed, const char *detail);
void check_print_verdict(const struct round_result *result);

#endif
