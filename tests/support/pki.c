/*
 * Certificates and OCSP responses made on the spot.
 * Input: specifications of the tests. Output: X509 objects, keys, DER and PEM.
 */
#include "tests/support/pki.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUST(condition)                                                        \
    do {                                                                       \
        if (!(condition))                                                      \
            die(#condition, __LINE__);                                         \
    } while (0)

static _Noreturn void
die(const char *what, int line)
{
    (void)fprintf(stderr, "pki.c:%d: %s\n", line, what);
    ERR_print_errors_fp(stderr);
    abort();
}

/* ---- certificates ----------------------------------------------------------- */

static EVP_PKEY *
new_key(const struct pki_spec *spec)
{
    if (spec->same_key_as != NULL) {
        MUST(EVP_PKEY_up_ref(spec->same_key_as->key) == 1);
        return spec->same_key_as->key;
    }
    switch (spec->key) {
    case PKI_RSA1024:
        return EVP_RSA_gen(1024);
    case PKI_RSA2048:
        return EVP_RSA_gen(2048);
    case PKI_EC:
        break;
    }
    return EVP_EC_gen("P-256");
}

static void
add_ext(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509_EXTENSION *ext;
    X509V3_CTX ctx;

    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    MUST(ext != NULL);
    MUST(X509_add_ext(cert, ext, -1) == 1);
    X509_EXTENSION_free(ext);
}

static void
add_exts(X509 *cert, X509 *issuer, const struct pki_spec *spec)
{
    add_ext(cert, issuer, NID_subject_key_identifier, "hash");
    if (issuer != cert)
        add_ext(cert, issuer, NID_authority_key_identifier, "keyid");
    if (spec->is_ca) {
        add_ext(cert, issuer, NID_basic_constraints, "critical,CA:TRUE");
        add_ext(cert, issuer, NID_key_usage,
            "critical,keyCertSign,cRLSign,digitalSignature");
    }
    if (spec->is_ocsp_signer)
        add_ext(cert, issuer, NID_ext_key_usage, "OCSPSigning");
    if (spec->has_nocheck)
        add_ext(cert, issuer, NID_id_pkix_OCSP_noCheck, "NULL");
    if (spec->is_must_staple)
        add_ext(cert, issuer, NID_tlsfeature, "status_request");
    if (spec->san != NULL)
        add_ext(cert, issuer, NID_subject_alt_name, spec->san);
    if (spec->aia != NULL)
        add_ext(cert, issuer, NID_info_access, spec->aia);
    if (spec->crldp != NULL)
        add_ext(cert, issuer, NID_crl_distribution_points, spec->crldp);
}

static void
set_times(X509 *cert, const struct pki_spec *spec)
{
    int64_t from =
        spec->not_before == 0 ? PKI_NOW - 30 * PKI_DAY : spec->not_before;
    int64_t to = spec->not_after;

    if (to == 0)
        to = PKI_NOW + (spec->is_ca ? 3650 : 60) * PKI_DAY;
    MUST(ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)from) != NULL);
    MUST(ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)to) != NULL);
}

static const EVP_MD *
digest_or(const char *name, const char *fallback)
{
    const EVP_MD *md = EVP_get_digestbyname(name == NULL ? fallback : name);

    MUST(md != NULL);
    return md;
}

struct pki_cert *
pki_issue(const struct pki_spec *spec)
{
    /* Not a constant: serial numbers are unique within the program. */
    static long next_serial = 0x1001;
    struct pki_cert *out = calloc(1, sizeof(*out));
    X509 *issuer;
    X509_NAME *name;

    MUST(out != NULL);
    out->key = new_key(spec);
    out->cert = X509_new();
    MUST(out->key != NULL && out->cert != NULL);
    issuer = spec->issuer == NULL ? out->cert : spec->issuer->cert;
    name = X509_get_subject_name(out->cert);
    MUST(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
             (const unsigned char *)spec->cn, -1, -1, 0) == 1);
    MUST(X509_set_issuer_name(out->cert, X509_get_subject_name(issuer)) == 1);
    MUST(X509_set_version(out->cert, X509_VERSION_3) == 1);
    MUST(X509_set_pubkey(out->cert, out->key) == 1);
    MUST(ASN1_INTEGER_set(X509_get_serialNumber(out->cert),
             spec->serial != 0 ? spec->serial : next_serial++) == 1);
    set_times(out->cert, spec);
    add_exts(out->cert, issuer, spec);
    MUST(X509_sign(out->cert,
             spec->issuer == NULL ? out->key : spec->issuer->key,
             digest_or(spec->digest, "SHA256")) > 0);
    return out;
}

void
pki_free(struct pki_cert *cert)
{
    if (cert == NULL)
        return;
    X509_free(cert->cert);
    EVP_PKEY_free(cert->key);
    free(cert);
}

static struct pki_cert *
signer(const char *cn, const struct pki_cert *issuer, bool has_eku,
    bool is_expired)
{
    return pki_issue(&(struct pki_spec){.cn = cn,
        .issuer = issuer,
        .is_ocsp_signer = has_eku,
        .has_nocheck = has_eku,
        .not_after = is_expired ? PKI_NOW - PKI_DAY : 0});
}

static void
init_cas(struct pki *pki)
{
    pki->root = pki_issue(&(struct pki_spec){.cn = "Root", .is_ca = true});
    pki->ca = pki_issue(&(struct pki_spec){
        .cn = "Issuing CA", .issuer = pki->root, .is_ca = true});
    pki->sibling = pki_issue(&(struct pki_spec){
        .cn = "Sibling CA", .issuer = pki->root, .is_ca = true});
}

static void
init_leaves(struct pki *pki)
{
    struct pki_spec spec = {.cn = "www.example.org",
        .issuer = pki->ca,
        .san = "DNS:www.example.org,DNS:example.org",
        .aia = "OCSP;URI:http://ocsp.example.org/",
        .crldp = "URI:http://crl.example.org/ca.crl"};

    pki->leaf = pki_issue(&spec);
    spec.is_must_staple = true;
    pki->staple_leaf = pki_issue(&spec);
    spec.is_must_staple = false;
    spec.issuer = pki->sibling;
    pki->sibling_leaf = pki_issue(&spec);
}

void
pki_init(struct pki *pki)
{
    init_cas(pki);
    init_leaves(pki);
    pki->delegate = signer("Delegate", pki->ca, true, false);
    pki->delegate_noeku = signer("Delegate no EKU", pki->ca, false, false);
    pki->delegate_old = signer("Delegate expired", pki->ca, true, true);
    pki->delegate_sibling =
        signer("Delegate of sibling", pki->sibling, true, false);
    pki->delegate_bare = pki_issue(&(struct pki_spec){
        .cn = "Delegate bare", .issuer = pki->ca, .is_ocsp_signer = true});
    pki->delegate_ca = pki_issue(&(struct pki_spec){.cn = "Delegate CA",
        .issuer = pki->ca,
        .is_ocsp_signer = true,
        .is_ca = true});
    pki->va = signer("VA", NULL, true, false);
    pki->va_old = signer("VA expired", NULL, true, true);
}

void
pki_fini(struct pki *pki)
{
    struct pki_cert *all[] = {pki->root, pki->ca, pki->leaf, pki->staple_leaf,
        pki->sibling, pki->sibling_leaf, pki->delegate, pki->delegate_bare,
        pki->delegate_noeku, pki->delegate_old, pki->delegate_ca,
        pki->delegate_sibling, pki->va, pki->va_old};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        pki_free(all[i]);
    *pki = (struct pki){0};
}

/* ---- responses --------------------------------------------------------------- */

static ASN1_GENERALIZEDTIME *
new_time(int64_t at, int64_t fallback)
{
    ASN1_GENERALIZEDTIME *time;

    if (at < 0)
        return NULL;
    time = ASN1_GENERALIZEDTIME_set(NULL, (time_t)(at == 0 ? fallback : at));
    MUST(time != NULL);
    return time;
}

/* OpenSSL puts times into its own form: ours goes over it afterwards. */
static void
overwrite(const ASN1_GENERALIZEDTIME *time, const char *text)
{
    if (text != NULL)
        MUST(ASN1_STRING_set((ASN1_STRING *)(uintptr_t)time, text, -1) == 1);
}

static void
add_single(OCSP_BASICRESP *basic, const struct pki_single *s)
{
    static const int statuses[] = {V_OCSP_CERTSTATUS_GOOD,
        V_OCSP_CERTSTATUS_REVOKED, V_OCSP_CERTSTATUS_UNKNOWN};
    OCSP_CERTID *id = OCSP_cert_to_id(
        digest_or(s->id_digest, "SHA1"), s->leaf->cert, s->issuer->cert);
    ASN1_GENERALIZEDTIME *from = new_time(s->this_update, PKI_NOW - 3600);
    ASN1_GENERALIZEDTIME *to = new_time(s->next_update, PKI_NOW + 6 * PKI_DAY);
    ASN1_GENERALIZEDTIME *revoked = new_time(s->revoked_at, PKI_NOW - PKI_DAY);
    OCSP_SINGLERESP *single;
    ASN1_GENERALIZEDTIME *put_from = NULL, *put_to = NULL;

    MUST(id != NULL);
    single = OCSP_basic_add1_status(basic, id, statuses[s->status], s->reason,
        s->status == PKI_REVOKED ? revoked : NULL, from, to);
    MUST(single != NULL);
    (void)OCSP_single_get0_status(single, NULL, NULL, &put_from, &put_to);
    overwrite(put_from, s->this_update_text);
    overwrite(put_to, s->next_update_text);
    ASN1_GENERALIZEDTIME_free(from);
    ASN1_GENERALIZEDTIME_free(to);
    ASN1_GENERALIZEDTIME_free(revoked);
    OCSP_CERTID_free(id);
}

static void
set_produced(OCSP_BASICRESP *basic, const struct pki_response *spec)
{
    ASN1_GENERALIZEDTIME *at = new_time(spec->produced_at, PKI_NOW - 3600);
    const ASN1_GENERALIZEDTIME *put = OCSP_resp_get0_produced_at(basic);
    char text[32] = "";

    MUST(at != NULL && ASN1_STRING_length(at) < (int)sizeof(text));
    memcpy(text, ASN1_STRING_get0_data(at), (size_t)ASN1_STRING_length(at));
    overwrite(put, text);
    overwrite(put, spec->produced_at_text);
    ASN1_GENERALIZEDTIME_free(at);
}

static void
sign(OCSP_BASICRESP *basic, const struct pki_response *spec)
{
    STACK_OF(X509) *certs = sk_X509_new_null();
    unsigned long flags = OCSP_NOTIME;

    MUST(certs != NULL);
    if (spec->extra != NULL)
        MUST(sk_X509_push(certs, spec->extra->cert) > 0);
    if (spec->omit_cert)
        flags |= OCSP_NOCERTS;
    if (spec->is_by_key)
        flags |= OCSP_RESPID_KEY;
    MUST(OCSP_basic_sign(basic, spec->signer->cert, spec->signer->key,
             digest_or(spec->digest, "SHA256"), certs, flags) == 1);
    sk_X509_free(certs);
}

static void
write_out(OCSP_RESPONSE *resp, struct buf *out)
{
    unsigned char *der = NULL;
    int len = i2d_OCSP_RESPONSE(resp, &der);

    MUST(len > 0);
    buf_clear(out);
    MUST(buf_add(out, span_make(der, (size_t)len)));
    OPENSSL_free(der);
    OCSP_RESPONSE_free(resp);
}

void
pki_respond(const struct pki_response *spec, struct buf *out)
{
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    OCSP_RESPONSE *resp;

    MUST(basic != NULL);
    for (size_t i = 0; i < spec->single_count; i++)
        add_single(basic, &spec->singles[i]);
    set_produced(basic, spec);
    sign(basic, spec);
    resp = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    MUST(resp != NULL);
    write_out(resp, out);
    OCSP_BASICRESP_free(basic);
}

void
pki_respond_good(const struct pki_cert *by, const struct pki_cert *leaf,
    const struct pki_cert *issuer, struct buf *out)
{
    struct pki_single single = {.leaf = leaf, .issuer = issuer};

    pki_respond(
        &(struct pki_response){
            .signer = by, .singles = &single, .single_count = 1},
        out);
}

void
pki_respond_outer(int outer_status, struct buf *out)
{
    OCSP_RESPONSE *resp = OCSP_response_create(outer_status, NULL);

    MUST(resp != NULL);
    write_out(resp, out);
}

/* ---- files ------------------------------------------------------------------- */

static void
take_bio(BIO *bio, struct buf *out)
{
    char *data = NULL;
    long len = BIO_get_mem_data(bio, &data);

    MUST(len > 0 && buf_add(out, span_make(data, (size_t)len)));
    BIO_free(bio);
}

void
pki_add_pem(const struct pki_cert *cert, struct buf *out)
{
    BIO *bio = BIO_new(BIO_s_mem());

    MUST(bio != NULL && PEM_write_bio_X509(bio, cert->cert) == 1);
    take_bio(bio, out);
}

void
pki_add_key_pem(const struct pki_cert *cert, struct buf *out)
{
    BIO *bio = BIO_new(BIO_s_mem());

    MUST(bio != NULL &&
         PEM_write_bio_PrivateKey(bio, cert->key, NULL, NULL, 0, NULL, NULL));
    take_bio(bio, out);
}

void
pki_add_der(const struct pki_cert *cert, struct buf *out)
{
    BIO *bio = BIO_new(BIO_s_mem());

    MUST(bio != NULL && i2d_X509_bio(bio, cert->cert) == 1);
    take_bio(bio, out);
}
