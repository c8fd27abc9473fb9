/*
 * Any bytes as a certificate file: chain, facts, CertIDs, issuers.
 * Input: the fuzzer, seeded from corpus/cert. Output: a crash, or not.
 */
#include "shared/cert.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
use(X509 *cert, const STACK_OF(X509) * others)
{
    X509 *issuer = cert_find_issuer(cert, others);
    char fingerprint[CERT_FINGERPRINT_SIZE];
    struct cert_facts facts;
    struct cert_ids ids;
    struct err err = {0};

    if (cert_fingerprint(cert, fingerprint, &err))
        assert(cert_is_fingerprint(span_str(fingerprint)));
    (void)cert_ids_make(cert, issuer == NULL ? cert : issuer, &ids, &err);
    if (!cert_facts_read(cert, &facts, &err)) {
        assert(err.text[0] != 0);
        return;
    }
    (void)cert_facts_label(&facts);
    cert_facts_fini(&facts);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cert_chain chain = {NULL, NULL};
    struct err err = {0};

    if (!cert_chain_parse(span_make(data, size), &chain, &err)) {
        assert(err.text[0] != 0 && chain.leaf == NULL);
        return 0;
    }
    assert(chain.leaf != NULL);
    use(chain.leaf, chain.others);
    for (int i = 0; i < sk_X509_num(chain.others); i++)
        use(sk_X509_value(chain.others, i), chain.others);
    cert_chain_fini(&chain);
    return 0;
}
