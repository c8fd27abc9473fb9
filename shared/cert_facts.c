/*
 * What a certificate says of itself: names, times, URLs, CertIDs.
 * Input: X509 objects of cert.c, parsed but not trusted.
 * Output: plain structs that outlive the X509.
 */
#include "shared/cert.h"

#include "shared/buf.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <time.h>

enum {
    URL_MAX = 2048, /* ours: longer ones are no URLs */
    LIST_MAX = 1024, /* ours: names or URLs of one certificate */
    NAME_TEXT_MAX = 4096 /* ours: a distinguished name on one line */
};

static void
to_hex(const unsigned char *bytes, size_t len, const char *digits, char *out)
{
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * len] = 0;
}

bool
cert_fingerprint(
    const X509 *cert, char out[CERT_FINGERPRINT_SIZE], struct err *err)
{
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    if (X509_digest(cert, EVP_sha256(), md, &len) != 1 || len != 32)
        return err_openssl(err, ERR_FORMAT, "fingerprint");
    to_hex(md, len, "0123456789abcdef", out);
    return true;
}

bool
cert_is_fingerprint(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = text.data[i];

        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
    }
    return text.len == CERT_FINGERPRINT_SIZE - 1;
}

/* ---- times ---------------------------------------------------------------- */

static bool
two_digits(struct span *rest, int min, int max, int *out)
{
    uint64_t v;

    if (!span_to_u64(span_sub(*rest, 0, 2), (uint64_t)max, &v) ||
        rest->len < 2 || (int)v < min)
        return false;
    *out = (int)v;
    *rest = span_from(*rest, 2);
    return true;
}

/*
 * Our own reading: ASN1_TIME_to_tm() takes fractions and offsets, and OpenSSL
 * 3.0 then compares such times wrongly.
 */
bool
cert_time_read(const ASN1_TIME *time, int64_t *unix_s)
{
    int type = ASN1_STRING_type(time), century = -1, year;
    struct span s = span_make(
        ASN1_STRING_get0_data(time), (size_t)ASN1_STRING_length(time));
    struct tm tm = {0}, back;
    time_t at;

    if (type == V_ASN1_GENERALIZEDTIME ? s.len != 15 : s.len != 13)
        return false;
    if (type != V_ASN1_GENERALIZEDTIME && type != V_ASN1_UTCTIME)
        return false;
    if (type == V_ASN1_GENERALIZEDTIME && !two_digits(&s, 0, 99, &century))
        return false;
    if (!two_digits(&s, 0, 99, &year) || !two_digits(&s, 1, 12, &tm.tm_mon) ||
        !two_digits(&s, 1, 31, &tm.tm_mday) ||
        !two_digits(&s, 0, 23, &tm.tm_hour) ||
        !two_digits(&s, 0, 59, &tm.tm_min) ||
        !two_digits(&s, 0, 59, &tm.tm_sec) || !span_eq(s, SPAN_LIT("Z")))
        return false;
    if (century < 0) /* RFC 5280 4.1.2.5.1: the years 1950 to 2049 */
        century = year >= 50 ? 19 : 20;
    tm.tm_year = century * 100 + year - 1900;
    tm.tm_mon--;
    back = tm;
    at = timegm(&back);
    if (back.tm_mday != tm.tm_mday) /* 31 February */
        return false;
    *unix_s = (int64_t)at;
    return true;
}

/* ---- CertIDs -------------------------------------------------------------- */

bool
cert_serial_read(const ASN1_INTEGER *serial, unsigned char out[CERT_SERIAL_MAX],
    unsigned *len)
{
    unsigned char der[CERT_SERIAL_MAX + 2];
    unsigned char *p = der;
    int n = i2d_ASN1_INTEGER(serial, NULL);

    /* Tag and one byte of length: CERT_SERIAL_MAX is below 128. */
    if (n < 3 || (size_t)n > sizeof(der))
        return false;
    n = i2d_ASN1_INTEGER(serial, &p) - 2;
    memcpy(out, der + 2, (size_t)n);
    *len = (unsigned)n;
    return true;
}

static bool
copy_hash(unsigned char out[CERT_HASH_MAX], const ASN1_OCTET_STRING *hash,
    unsigned *len)
{
    int n = ASN1_STRING_length(hash);

    if (n <= 0 || n > CERT_HASH_MAX)
        return false;
    memcpy(out, ASN1_STRING_get0_data(hash), (size_t)n);
    *len = (unsigned)n;
    return true;
}

static bool
make_hashes(
    int nid, const X509 *leaf, const X509 *issuer, struct cert_id_hashes *out)
{
    ASN1_OCTET_STRING *name = NULL, *key = NULL;
    OCSP_CERTID *id = OCSP_cert_to_id(EVP_get_digestbynid(nid), leaf, issuer);
    bool ok;

    out->digest_nid = nid;
    ok = id != NULL && OCSP_id_get0_info(&name, NULL, &key, NULL, id) == 1 &&
         copy_hash(out->name_hash, name, &out->hash_len) &&
         copy_hash(out->key_hash, key, &out->hash_len);
    OCSP_CERTID_free(id);
    return ok;
}

bool
cert_ids_make(
    const X509 *leaf, const X509 *issuer, struct cert_ids *out, struct err *err)
{
    static const int nids[CERT_ID_DIGESTS] = {NID_sha1, NID_sha256, NID_sha384};
    struct cert_ids ids = {0};

    if (!cert_serial_read(
            X509_get0_serialNumber(leaf), ids.serial, &ids.serial_len))
        return err_set(err, ERR_LIMIT, "serial number longer than %d bytes",
            CERT_SERIAL_MAX);
    for (int i = 0; i < CERT_ID_DIGESTS; i++)
        if (!make_hashes(nids[i], leaf, issuer, &ids.by_digest[i]))
            return err_openssl(err, ERR_FORMAT, "certificate id");
    *out = ids;
    return true;
}

/* ---- facts ---------------------------------------------------------------- */

void
cert_facts_fini(struct cert_facts *facts)
{
    struct {
        char **items;
        size_t count;
    } lists[] = {{facts->ocsp_urls, facts->ocsp_url_count},
        {facts->crl_urls, facts->crl_url_count},
        {facts->names, facts->name_count}};

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        for (size_t k = 0; k < lists[i].count; k++)
            free(lists[i].items[k]);
        free(lists[i].items);
    }
    free(facts->subject);
    free(facts->issuer);
    *facts = (struct cert_facts){0};
}

const char *
cert_facts_label(const struct cert_facts *facts)
{
    if (facts->name_count > 0)
        return facts->names[0];
    return facts->subject == NULL ? "" : facts->subject;
}

static bool
add_item(char ***items, size_t *count, struct span text, struct err *err)
{
    char **more;

    if (*count >= LIST_MAX)
        return true; /* enough to work with; the rest is no use to anybody */
    more = realloc(*items, (*count + 1) * sizeof(**items));
    if (more == NULL)
        return err_memory(err);
    *items = more;
    more[*count] = span_dup(text);
    if (more[*count] == NULL)
        return err_memory(err);
    (*count)++;
    return true;
}

/* Printable ASCII without spaces: what a URL or a DNS name may hold. */
static bool
is_visible(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] <= 0x20 || s.data[i] >= 0x7f)
            return false;
    return s.len > 0;
}

static struct span
string_span(const ASN1_STRING *s)
{
    return span_make(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
}

static bool
is_web_url(struct span url)
{
    return url.len <= URL_MAX && is_visible(url) &&
           (span_istarts(url, SPAN_LIT("http://")) ||
               span_istarts(url, SPAN_LIT("https://")));
}

static bool
read_ocsp_urls(const X509 *cert, struct cert_facts *out, struct err *err)
{
    AUTHORITY_INFO_ACCESS *aia =
        X509_get_ext_d2i(cert, NID_info_access, NULL, NULL);
    bool ok = true;

    for (int i = 0; ok && i < sk_ACCESS_DESCRIPTION_num(aia); i++) {
        const ACCESS_DESCRIPTION *ad = sk_ACCESS_DESCRIPTION_value(aia, i);
        struct span url;

        if (OBJ_obj2nid(ad->method) != NID_ad_OCSP ||
            ad->location->type != GEN_URI)
            continue;
        url = string_span(ad->location->d.uniformResourceIdentifier);
        if (is_web_url(url))
            ok = add_item(&out->ocsp_urls, &out->ocsp_url_count, url, err);
    }
    AUTHORITY_INFO_ACCESS_free(aia);
    return ok;
}

static bool
add_crl_names(
    const GENERAL_NAMES *names, struct cert_facts *out, struct err *err)
{
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        struct span url;

        if (name->type != GEN_URI)
            continue;
        url = string_span(name->d.uniformResourceIdentifier);
        if (is_web_url(url) &&
            !add_item(&out->crl_urls, &out->crl_url_count, url, err))
            return false;
    }
    return true;
}

/* Points for some reasons only, or signed by another CA, prove too little. */
static bool
read_crl_urls(const X509 *cert, struct cert_facts *out, struct err *err)
{
    CRL_DIST_POINTS *points =
        X509_get_ext_d2i(cert, NID_crl_distribution_points, NULL, NULL);
    bool ok = true;

    for (int i = 0; ok && i < sk_DIST_POINT_num(points); i++) {
        const DIST_POINT *point = sk_DIST_POINT_value(points, i);

        if (point->reasons == NULL && point->CRLissuer == NULL &&
            point->distpoint != NULL && point->distpoint->type == 0)
            ok = add_crl_names(point->distpoint->name.fullname, out, err);
    }
    CRL_DIST_POINTS_free(points);
    return ok;
}

static bool
read_san(const X509 *cert, struct cert_facts *out, struct err *err)
{
    GENERAL_NAMES *san =
        X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    bool ok = true;

    for (int i = 0; ok && i < sk_GENERAL_NAME_num(san); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(san, i);
        struct span dns;

        if (name->type != GEN_DNS)
            continue;
        dns = string_span(name->d.dNSName);
        if (is_visible(dns))
            ok = add_item(&out->names, &out->name_count, dns, err);
    }
    GENERAL_NAMES_free(san);
    return ok;
}

static bool
read_names(const X509 *cert, struct cert_facts *out, struct err *err)
{
    X509_NAME *subject = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    struct span cn;

    if (!read_san(cert, out, err))
        return false;
    if (out->name_count > 0 || at < 0)
        return true;
    cn =
        string_span(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    return !is_visible(cn) || add_item(&out->names, &out->name_count, cn, err);
}

static bool
read_must_staple(const X509 *cert)
{
    TLS_FEATURE *features = X509_get_ext_d2i(cert, NID_tlsfeature, NULL, NULL);
    bool found = false;

    for (int i = 0; i < sk_ASN1_INTEGER_num(features); i++)
        if (ASN1_INTEGER_get(sk_ASN1_INTEGER_value(features, i)) == 5)
            found = true; /* status_request, RFC 7633 6 */
    TLS_FEATURE_free(features);
    return found;
}

static char *
name_text(const X509_NAME *name)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data = NULL, *text = NULL;
    long len;

    if (bio != NULL && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0) {
        len = BIO_get_mem_data(bio, &data);
        text = span_dup(
            span_make(data, len > NAME_TEXT_MAX ? NAME_TEXT_MAX : (size_t)len));
    }
    BIO_free(bio);
    return text;
}

static bool
read_serial_hex(const X509 *cert, char *out, struct err *err)
{
    struct span serial = string_span(X509_get0_serialNumber(cert));

    if (serial.len > CERT_SERIAL_MAX)
        return err_set(err, ERR_LIMIT, "serial number longer than %d bytes",
            CERT_SERIAL_MAX);
    to_hex(serial.data, serial.len, "0123456789ABCDEF", out);
    return true;
}

static bool
read_all(X509 *cert, struct cert_facts *out, struct err *err)
{
    if (!cert_time_read(X509_get0_notBefore(cert), &out->not_before) ||
        !cert_time_read(X509_get0_notAfter(cert), &out->not_after))
        return err_set(err, ERR_FORMAT, "malformed validity time");
    out->must_staple = read_must_staple(cert);
    out->is_ca = X509_check_ca(cert) == 1;
    out->subject = name_text(X509_get_subject_name(cert));
    out->issuer = name_text(X509_get_issuer_name(cert));
    if (out->subject == NULL || out->issuer == NULL)
        return err_memory(err);
    return read_serial_hex(cert, out->serial_hex, err) &&
           read_names(cert, out, err) && read_ocsp_urls(cert, out, err) &&
           read_crl_urls(cert, out, err);
}

bool
cert_facts_read(X509 *cert, struct cert_facts *out, struct err *err)
{
    struct cert_facts facts = {0};
    bool ok = read_all(cert, &facts, err);

    ERR_clear_error();
    if (!ok) {
        cert_facts_fini(&facts);
        return false;
    }
    *out = facts;
    return true;
}
