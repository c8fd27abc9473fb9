/*
 * Is an OCSP response signed, and by somebody who may sign for the issuer?
 * Input: a parsed response, the issuer, the operator's listed signers, a time.
 * Output: one verdict (RFC 6960 4.2.2.2) and who the signer was.
 *
 * OCSP_basic_verify() accepts forged responses in most of its usual forms: with
 * OCSP_TRUSTOTHER every certificate handed over may sign for anybody, with
 * OCSP_NOVERIFY every certificate in the response may. The form used here is
 * {issuer} as both the extra certificates and the store, with
 * OCSP_PARTIAL_CHAIN; and the signer's right is then established once more,
 * without OpenSSL's chain building.
 */
#include "shared/ocsp_response.h"

#include "shared/ocsp_response_private.h"

#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

enum {
    RSA_BITS_MIN = 2048, /* ours, as the CA/Browser Forum's 6.1.5 */
    SECURITY_BITS_MIN = 112 /* the same strength for other kinds of key */
};

const char *
ocsp_signature_word(enum ocsp_signature verdict)
{
    switch (verdict) {
    case OCSP_SIGNATURE_OK:
        return "ok";
    case OCSP_SIGNATURE_NOT_BASIC:
        return "nothing signed inside";
    case OCSP_SIGNATURE_WEAK:
        return "weak algorithm";
    case OCSP_SIGNATURE_BAD:
        return "bad signature";
    case OCSP_SIGNATURE_NO_SIGNER_CERT:
        return "signer certificate missing";
    case OCSP_SIGNATURE_NOT_AUTHORISED:
        return "signer not authorised";
    case OCSP_SIGNATURE_EXPIRED_SIGNER:
        return "signer certificate out of date";
    }
    return "unknown";
}

static enum ocsp_signature
refuse(struct err *err, enum ocsp_signature verdict, const char *detail)
{
    if (detail == NULL)
        (void)err_openssl(
            err, ERR_REJECTED, "%s", ocsp_signature_word(verdict));
    else
        (void)err_set(
            err, ERR_REJECTED, "%s: %s", ocsp_signature_word(verdict), detail);
    ERR_clear_error();
    return verdict;
}

/* ---- strength --------------------------------------------------------------- */

static bool
is_weak_digest(int nid)
{
    return nid == NID_sha1 || nid == NID_md5 || nid == NID_md4 ||
           nid == NID_md5_sha1 || nid == NID_md2 || nid == NID_mdc2 ||
           nid == NID_ripemd160;
}

/* RSASSA-PSS names its digest in the parameters; the default is SHA-1. */
static bool
is_weak_pss(const X509_ALGOR *alg)
{
    RSA_PSS_PARAMS *pss =
        alg->parameter == NULL
            ? NULL
            : ASN1_TYPE_unpack_sequence(
                  ASN1_ITEM_rptr(RSA_PSS_PARAMS), alg->parameter);
    bool is_weak = pss == NULL || pss->hashAlgorithm == NULL ||
                   is_weak_digest(OBJ_obj2nid(pss->hashAlgorithm->algorithm));

    RSA_PSS_PARAMS_free(pss);
    return is_weak;
}

/* What we do not know is weak; Ed25519 and Ed448 have no digest of their own. */
static bool
is_weak_algorithm(const X509_ALGOR *alg)
{
    int nid = OBJ_obj2nid(alg->algorithm), digest = NID_undef, key = NID_undef;

    if (nid == NID_rsassaPss)
        return is_weak_pss(alg);
    if (nid == NID_ED25519 || nid == NID_ED448)
        return false;
    if (OBJ_find_sigid_algs(nid, &digest, &key) != 1)
        return true;
    return digest == NID_undef || is_weak_digest(digest);
}

static bool
is_weak_key(X509 *cert)
{
    EVP_PKEY *key = X509_get0_pubkey(cert);

    if (key == NULL)
        return true;
    if (EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS"))
        return EVP_PKEY_get_bits(key) < RSA_BITS_MIN;
    return EVP_PKEY_get_security_bits(key) < SECURITY_BITS_MIN;
}

/* The issuer is trusted as it stands: who signed it is not our question. */
static bool
is_weak_signer(X509 *signer, bool is_issuer)
{
    const X509_ALGOR *alg = NULL;

    X509_get0_signature(NULL, &alg, signer);
    return is_weak_key(signer) || (!is_issuer && is_weak_algorithm(alg));
}

/* ---- the signer's right ------------------------------------------------------ */

static bool
is_in_date(const X509 *cert, int64_t at, int64_t *not_after)
{
    int64_t from;

    return cert_time_read(X509_get0_notBefore(cert), &from) &&
           cert_time_read(X509_get0_notAfter(cert), not_after) && from <= at &&
           at < *not_after;
}

static void
describe(X509 *signer, enum ocsp_signer_kind kind, struct ocsp_signer *out)
{
    out->kind = kind;
    out->has_nocheck =
        kind == OCSP_SIGNER_ISSUER ||
        X509_get_ext_by_NID(signer, NID_id_pkix_OCSP_noCheck, -1) >= 0;
}

/* Issued by the very key that issued the certificate asked about, for this
 * purpose, and no CA itself (RFC 6960 4.2.2.2). NULL: it is. */
static const char *
why_no_delegate(X509 *signer, X509 *issuer)
{
    if (!cert_is_issued_by(signer, issuer))
        return "the signer is neither the issuer nor issued by it";
    if ((X509_get_extension_flags(signer) & EXFLAG_XKUSAGE) == 0 ||
        (X509_get_extended_key_usage(signer) & XKU_OCSP_SIGN) == 0)
        return "the signer's certificate is not for OCSP signing";
    if (X509_check_ca(signer) != 0)
        return "the signer is another CA";
    return NULL;
}

static enum ocsp_signature
check_right(X509 *signer, X509 *issuer, int64_t at, struct ocsp_signer *out,
    struct err *err)
{
    bool is_issuer = X509_cmp(signer, issuer) == 0;
    const char *why = is_issuer ? NULL : why_no_delegate(signer, issuer);

    if (why != NULL)
        return refuse(err, OCSP_SIGNATURE_NOT_AUTHORISED, why);
    if (!is_in_date(signer, at, &out->not_after))
        return refuse(err, OCSP_SIGNATURE_EXPIRED_SIGNER,
            is_issuer ? "the issuer's own" : "the delegate's");
    describe(
        signer, is_issuer ? OCSP_SIGNER_ISSUER : OCSP_SIGNER_DELEGATE, out);
    return OCSP_SIGNATURE_OK;
}

/* ---- OpenSSL's part ---------------------------------------------------------- */

static STACK_OF(X509) * stack_of_one(X509 *cert)
{
    STACK_OF(X509) *certs = sk_X509_new_null();

    if (certs != NULL && sk_X509_push(certs, cert) <= 0) {
        sk_X509_free(certs);
        return NULL;
    }
    return certs;
}

/* A store that trusts the issuer alone (none: NULL) at the time `at`. */
static X509_STORE *
store_new(X509 *issuer, int64_t at)
{
    X509_STORE *store = X509_STORE_new();

    if (store == NULL)
        return NULL;
    X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(store), (time_t)at);
    if (issuer != NULL && X509_STORE_add_cert(store, issuer) != 1) {
        X509_STORE_free(store);
        return NULL;
    }
    return store;
}

/* == 1: the call also answers below zero. */
static bool
basic_verify(OCSP_BASICRESP *basic, STACK_OF(X509) * certs, X509 *trusted,
    int64_t at, unsigned long flags)
{
    X509_STORE *store = store_new(trusted, at);
    bool ok;

    ERR_clear_error();
    ok = store != NULL && OCSP_basic_verify(basic, certs, store, flags) == 1;
    X509_STORE_free(store);
    return ok;
}

/* The signer among the issuer and the certificates inside the response. */
static enum ocsp_signature
check_normal(OCSP_BASICRESP *basic, const struct ocsp_trust *trust, int64_t at,
    struct ocsp_signer *out, struct err *err)
{
    STACK_OF(X509) *issuer = stack_of_one(trust->issuer);
    enum ocsp_signature verdict;
    X509 *signer = NULL;

    if (issuer == NULL || OCSP_resp_get0_signer(basic, &signer, issuer) != 1)
        verdict = refuse(err, OCSP_SIGNATURE_NO_SIGNER_CERT,
            "not in the response, and not the issuer");
    else if (!basic_verify(basic, issuer, trust->issuer, at, OCSP_NOVERIFY))
        /* NOVERIFY looks at the bytes alone; the right to sign comes next. */
        verdict = refuse(err, OCSP_SIGNATURE_BAD, NULL);
    else
        verdict = check_right(signer, trust->issuer, at, out, err);
    if (verdict == OCSP_SIGNATURE_OK && !trust->allow_weak &&
        is_weak_signer(signer, out->kind == OCSP_SIGNER_ISSUER))
        verdict = refuse(err, OCSP_SIGNATURE_WEAK, "the signer's certificate");
    if (verdict == OCSP_SIGNATURE_OK &&
        !basic_verify(basic, issuer, trust->issuer, at, OCSP_PARTIAL_CHAIN))
        verdict = refuse(err, OCSP_SIGNATURE_NOT_AUTHORISED, NULL);
    sk_X509_free(issuer);
    return verdict;
}

/*
 * The operator's list. Exactly these certificates are trusted, and none from
 * the response (OCSP_NOINTERN); the store stays empty.
 */
static enum ocsp_signature
check_listed(OCSP_BASICRESP *basic, const struct ocsp_trust *trust, int64_t at,
    struct ocsp_signer *out, struct err *err)
{
    STACK_OF(X509) *listed = sk_X509_dup(trust->signers);
    enum ocsp_signature verdict = OCSP_SIGNATURE_OK;
    X509 *signer = NULL;

    if (listed == NULL ||
        !basic_verify(
            basic, listed, NULL, at, OCSP_TRUSTOTHER | OCSP_NOINTERN) ||
        OCSP_resp_get0_signer(basic, &signer, listed) != 1)
        verdict = OCSP_SIGNATURE_NOT_AUTHORISED; /* the caller knows more */
    else if (!is_in_date(signer, at, &out->not_after))
        verdict = refuse(err, OCSP_SIGNATURE_EXPIRED_SIGNER, "the listed one");
    else if (!trust->allow_weak && is_weak_key(signer))
        verdict = refuse(err, OCSP_SIGNATURE_WEAK, "the listed signer's key");
    if (verdict == OCSP_SIGNATURE_OK)
        describe(signer, OCSP_SIGNER_LISTED, out);
    sk_X509_free(listed);
    ERR_clear_error();
    return verdict;
}

static enum ocsp_signature
check_signer(OCSP_BASICRESP *basic, const struct ocsp_trust *trust, int64_t at,
    struct ocsp_signer *out, struct err *err)
{
    enum ocsp_signature normal = check_normal(basic, trust, at, out, err);
    enum ocsp_signature listed;

    if (normal != OCSP_SIGNATURE_NO_SIGNER_CERT &&
        normal != OCSP_SIGNATURE_NOT_AUTHORISED)
        return normal;
    if (sk_X509_num(trust->signers) <= 0)
        return normal;
    listed = check_listed(basic, trust, at, out, err);
    return listed == OCSP_SIGNATURE_NOT_AUTHORISED ? normal : listed;
}

enum ocsp_signature
ocsp_response_check_signature(const struct ocsp_response *resp,
    const struct ocsp_trust *trust, int64_t at, struct ocsp_signer *out,
    struct err *err)
{
    struct ocsp_signer signer = {0};
    enum ocsp_signature verdict;

    ERR_clear_error();
    if (resp->basic == NULL)
        return refuse(err, OCSP_SIGNATURE_NOT_BASIC,
            ocsp_outer_status_word(ocsp_response_outer(resp)));
    if (!trust->allow_weak &&
        is_weak_algorithm(OCSP_resp_get0_tbs_sigalg(resp->basic)))
        return refuse(err, OCSP_SIGNATURE_WEAK, "the response's signature");
    verdict = check_signer(resp->basic, trust, at, &signer, err);
    ERR_clear_error();
    if (verdict == OCSP_SIGNATURE_OK)
        *out = signer;
    return verdict;
}
