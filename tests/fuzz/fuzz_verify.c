/*
 * Fuzz target: the whole verification of a body, and the match alone, which a
 * mutated (so wrongly signed) response would not reach. Input: libFuzzer.
 * Output: a crash, or nothing. Both certificates are of a CA made for the
 * seeds in corpus/verify; its keys were thrown away.
 */
#include "ocspd/verify.h"

#include <openssl/pem.h>
#include <stdlib.h>

#define NOW INT64_C(1767225600) /* the seeds are valid at that time */

static const char ca_pem[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBdjCCAR2gAwIBAgICEAIwCgYIKoZIzj0EAwIwDzENMAsGA1UEAwwEUm9vdDAe\n"
    "Fw0yNTEyMDIwMDAwMDBaFw0zNTEyMzAwMDAwMDBaMBUxEzARBgNVBAMMCklzc3Vp\n"
    "bmcgQ0EwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATNO719jt4gHpkn/U+GnnLp\n"
    "Pn9630Sur+woCAROT/dVsv+hCS64En8jDh0AM8kvOfn9I/4qP0leV8lQox0sZ1Ui\n"
    "o2MwYTAdBgNVHQ4EFgQUX8kyKxgzA35xGAWYYtph73uexmYwHwYDVR0jBBgwFoAU\n"
    "fVnXxVDcfDoYYSOwnYOxOVud2CQwDwYDVR0TAQH/BAUwAwEB/zAOBgNVHQ8BAf8E\n"
    "BAMCAYYwCgYIKoZIzj0EAwIDRwAwRAIgYrsEjAr850A9/LLMSpEyBMCjPpGPoHC7\n"
    "UcA2nIG88r4CICTenS7lpdelXNmQ0OBp4VTL8j/CcGYheuyo4D1oibOv\n"
    "-----END CERTIFICATE-----\n";
static const char leaf_pem[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIB8TCCAZigAwIBAgICEAQwCgYIKoZIzj0EAwIwFTETMBEGA1UEAwwKSXNzdWlu\n"
    "ZyBDQTAeFw0yNTEyMDIwMDAwMDBaFw0yNjAzMDIwMDAwMDBaMBoxGDAWBgNVBAMM\n"
    "D3d3dy5leGFtcGxlLm9yZzBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABDmqchJm\n"
    "sJxPi234WeYSyxGrxiTxw3bR9bKnPvyFc97mkf+6ATJgaxMiCNPL0I3vGeYiyGh9\n"
    "IUYrdBWq71io3a2jgdIwgc8wHQYDVR0OBBYEFDwrRV92V050zU8WmHeu/cw5yK6Z\n"
    "MB8GA1UdIwQYMBaAFF/JMisYMwN+cRgFmGLaYe97nsZmMCcGA1UdEQQgMB6CD3d3\n"
    "dy5leGFtcGxlLm9yZ4ILZXhhbXBsZS5vcmcwNAYIKwYBBQUHAQEEKDAmMCQGCCsG\n"
    "AQUFBzABhhhodHRwOi8vb2NzcC5leGFtcGxlLm9yZy8wLgYDVR0fBCcwJTAjoCGg\n"
    "H4YdaHR0cDovL2NybC5leGFtcGxlLm9yZy9jYS5jcmwwCgYIKoZIzj0EAwIDRwAw\n"
    "RAIgbI300Nl8rSqr4oX3ymsQgM2Frab69EQpLbvea4GqsHgCIE2xlgaIvZY7hvjM\n"
    "LHGdfJKB1v9e/bOb2Ur441iJ1d46\n"
    "-----END CERTIFICATE-----\n";

static X509 *ca;
static struct cert_ids ids;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static X509 *
read_pem(const char *text)
{
    BIO *bio = BIO_new_mem_buf(text, -1);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);

    BIO_free(bio);
    return cert;
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    X509 *leaf = read_pem(leaf_pem);

    (void)argc;
    (void)argv;
    ca = read_pem(ca_pem);
    if (ca == NULL || leaf == NULL || !cert_ids_make(leaf, ca, &ids, NULL))
        abort();
    X509_free(leaf);
    return 0;
}

static void
check(struct span body, const struct verify_policy *policy)
{
    struct ocsp_trust trust = {.issuer = ca};
    struct verify_result result;
    struct err err = {0};

    verify_response(body, &ids, &trust, policy, NOW, &result, NULL, NULL, &err);
    if (result.verdict == VERDICT_NONE)
        abort();
    /* Whatever is accepted is alive now and ends. */
    if (verdict_class(result.verdict) == VERDICT_CLASS_ACCEPTED &&
        (result.life_end <= NOW || result.life_end > policy->not_after))
        abort();
    if (verdict_class(result.verdict) != VERDICT_CLASS_ACCEPTED &&
        err.kind == ERR_NONE)
        abort();
}

static void
check_match(struct span body)
{
    struct ocsp_response *resp = NULL;
    struct ocsp_single single;

    if (ocsp_response_parse(body, &resp, NULL))
        (void)ocsp_response_match(resp, &ids, &single, NULL);
    ocsp_response_free(resp);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct verify_policy usual = {.not_after = NOW + 86400};
    static const struct verify_policy lenient = {.allow_weak = true,
        .max_age_s = 86400,
        .not_after = NOW + 86400,
        .stored_this_update = NOW - 3600,
        .stored_revoked = true};

    check(span_make(data, size), &usual);
    check(span_make(data, size), &lenient);
    check_match(span_make(data, size));
    return 0;
}
