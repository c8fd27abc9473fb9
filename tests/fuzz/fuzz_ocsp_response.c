/*
 * Any bytes as an OCSP response, for a fixed certificate of a fixed issuer.
 * Input: the fuzzer, seeded from corpus/ocsp_response. Output: a crash, or not.
 */
#include "shared/ocsp_response.h"
#include "tests/fuzz/fuzz_ocsp_certs.h"

#include <assert.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not constants: parsed once. */
static struct cert_ids ids;
static struct ocsp_trust trust;

static X509 *
fixed(const unsigned char *der, size_t len)
{
    X509 *cert = d2i_X509(NULL, &der, (long)len);

    assert(cert != NULL);
    return cert;
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    X509 *leaf = fixed(leaf_der, sizeof(leaf_der));
    STACK_OF(X509) *listed = sk_X509_new_null();
    struct err err;
    bool ok;

    (void)argc;
    (void)argv;
    sk_X509_push(listed, fixed(listed_der, sizeof(listed_der)));
    trust.issuer = fixed(issuer_der, sizeof(issuer_der));
    trust.signers = listed;
    ok = cert_ids_make(leaf, trust.issuer, &ids, &err);
    assert(ok);
    (void)ok;
    X509_free(leaf);
    return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const int64_t at = 1767225600; /* within the life of the seeds */
    struct ocsp_response *resp = NULL;
    struct ocsp_single single;
    struct ocsp_signer signer;
    struct err err = {0};
    int64_t until;

    if (!ocsp_response_parse(span_make(data, size), &resp, &err)) {
        assert(err.text[0] != 0);
        return 0;
    }
    (void)ocsp_response_match(resp, &ids, &single, &err);
    (void)ocsp_response_check_signature(resp, &trust, at, &signer, &err);
    ocsp_response_free(resp);
    if (ocsp_response_usable(
            span_make(data, size), &ids, &trust, at, &single, &until, &err))
        assert(until > at && until <= single.next_update);
    return 0;
}
