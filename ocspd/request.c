/*
 * Target -> OCSP request DER and its GET form (RFC 6960 4.1, App. A.1).
 * Input: hashes and serial of a CertID. Output: bytes for fetch to send.
 */
#include "ocspd/request.h"

#include <openssl/asn1.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <string.h>

/*
 * DER grows from its end to its front: a length is known by the time it is
 * written. OpenSSL makes a CertID only from the issuer's certificate, which a
 * target does not keep.
 */
struct back {
    unsigned char bytes[REQUEST_DER_MAX];
    size_t at; /* first byte used */
    bool is_full;
};

static size_t
back_len(const struct back *back)
{
    return sizeof(back->bytes) - back->at;
}

static void
back_put(struct back *back, const void *bytes, size_t len)
{
    if (back->is_full || len > back->at) {
        back->is_full = true;
        return;
    }
    if (len > 0)
        memcpy(back->bytes + back->at - len, bytes, len);
    back->at -= len;
}

/* Tag and length before what was written since `end` bytes were there. */
static void
back_wrap(struct back *back, unsigned tag, size_t end)
{
    size_t len = back_len(back) - end;
    unsigned char head[4];
    size_t head_len = 0;

    head[0] = (unsigned char)tag;
    if (len < 0x80) {
        head[1] = (unsigned char)len;
        head_len = 2;
    } else if (len <= 0xff) {
        head[1] = 0x81;
        head[2] = (unsigned char)len;
        head_len = 3;
    } else {
        head[1] = 0x82;
        head[2] = (unsigned char)(len >> 8);
        head[3] = (unsigned char)(len & 0xff);
        head_len = 4;
    }
    back_put(back, head, head_len);
}

static void
back_tlv(struct back *back, unsigned tag, const void *bytes, size_t len)
{
    size_t end = back_len(back);

    back_put(back, bytes, len);
    back_wrap(back, tag, end);
}

/* AlgorithmIdentifier with NULL parameters: the form every responder knows. */
static void
back_algorithm(struct back *back, const ASN1_OBJECT *oid)
{
    size_t end = back_len(back);

    back_tlv(back, V_ASN1_NULL, NULL, 0);
    back_tlv(back, V_ASN1_OBJECT, OBJ_get0_data(oid), OBJ_length(oid));
    back_wrap(back, V_ASN1_SEQUENCE | V_ASN1_CONSTRUCTED, end);
}

static void
back_cert_id(struct back *back, const ASN1_OBJECT *oid,
    const struct cert_id_hashes *hashes, const struct cert_ids *ids)
{
    size_t end = back_len(back);

    back_tlv(back, V_ASN1_INTEGER, ids->serial, ids->serial_len);
    back_tlv(back, V_ASN1_OCTET_STRING, hashes->key_hash, hashes->hash_len);
    back_tlv(back, V_ASN1_OCTET_STRING, hashes->name_hash, hashes->hash_len);
    back_algorithm(back, oid);
    back_wrap(back, V_ASN1_SEQUENCE | V_ASN1_CONSTRUCTED, end);
}

static const struct cert_id_hashes *
find_hashes(const struct cert_ids *ids, int digest_nid)
{
    for (unsigned i = 0; i < CERT_ID_DIGESTS; i++)
        if (ids->by_digest[i].digest_nid == digest_nid)
            return &ids->by_digest[i];
    return NULL;
}

bool
request_write(const struct cert_ids *ids, int digest_nid, struct buf *der,
    struct err *err)
{
    const struct cert_id_hashes *hashes = find_hashes(ids, digest_nid);
    const ASN1_OBJECT *oid = OBJ_nid2obj(digest_nid);
    struct back back = {.at = sizeof(back.bytes)};

    if (hashes == NULL || oid == NULL || hashes->hash_len == 0 ||
        hashes->hash_len > CERT_HASH_MAX)
        return err_set(
            err, ERR_FORMAT, "no CertID with digest %d is known", digest_nid);
    if (ids->serial_len == 0 || ids->serial_len > CERT_SERIAL_MAX)
        return err_set(err, ERR_FORMAT, "no serial number is known");
    back_cert_id(&back, oid, hashes, ids);
    /* Request, requestList, TBSRequest, OCSPRequest: one element each. */
    for (int level = 0; level < 4; level++)
        back_wrap(&back, V_ASN1_SEQUENCE | V_ASN1_CONSTRUCTED, 0);
    if (back.is_full)
        return err_set(err, ERR_LIMIT, "OCSP request too long");
    if (!buf_add(der, span_make(back.bytes + back.at, back_len(&back))))
        return err_memory(err);
    return true;
}

/* The characters of base64 that a path cannot carry untouched: some servers
 * collapse a raw "//" and read "+" as a space. */
static const char *
escape_of(unsigned char c)
{
    switch (c) {
    case '+':
        return "%2B";
    case '/':
        return "%2F";
    case '=':
        return "%3D";
    }
    return NULL;
}

static bool
add_escaped(struct buf *url, struct span base64)
{
    for (size_t i = 0; i < base64.len; i++) {
        const char *escape = escape_of(base64.data[i]);

        if (escape != NULL ? !buf_add_str(url, escape)
                           : !buf_add_byte(url, base64.data[i]))
            return false;
    }
    return true;
}

static struct span
without_end_slashes(const char *base)
{
    struct span s = span_str(base);

    while (s.len > 0 && s.data[s.len - 1] == '/')
        s.len--;
    return s;
}

bool
request_get_url(
    const char *base, struct span der, struct buf *url, struct err *err)
{
    unsigned char base64[(REQUEST_DER_MAX + 2) / 3 * 4 + 1];
    struct span head = without_end_slashes(base);
    struct buf whole;
    int len = 0;
    bool ok = false;

    /* A path behind a query would be part of the query. */
    if (strpbrk(base, "?#") != NULL)
        return err_set(
            err, ERR_LIMIT, "%s has a query: GET cannot be used", base);
    if (der.len > REQUEST_DER_MAX)
        return err_set(err, ERR_LIMIT, "OCSP request too long for GET");
    len = EVP_EncodeBlock(base64, der.data, (int)der.len);
    buf_init(&whole, REQUEST_GET_URL_MAX);
    if (!buf_add(&whole, head) || !buf_add_byte(&whole, '/') ||
        !add_escaped(&whole, span_make(base64, (size_t)len)))
        (void)err_set(err, ERR_LIMIT, "GET URL longer than %d bytes",
            REQUEST_GET_URL_MAX);
    else if (!buf_add(url, buf_span(&whole)))
        (void)err_set(err, ERR_LIMIT, "GET URL does not fit");
    else
        ok = true;
    buf_fini(&whole);
    return ok;
}
