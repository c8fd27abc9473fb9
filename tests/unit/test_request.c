/*
 * OCSP requests: OpenSSL must read back what was written, and the GET form must
 * hold no character that proxies change. Input: CertIDs made up here.
 * Output: Check's report.
 */
#include "ocspd/request.h"

#include <check.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <stdlib.h>
#include <string.h>

static void
fill(struct cert_id_hashes *hashes, int nid, unsigned len, unsigned seed)
{
    hashes->digest_nid = nid;
    hashes->hash_len = len;
    for (unsigned i = 0; i < len; i++) {
        hashes->name_hash[i] = (unsigned char)(seed + i * 7);
        hashes->key_hash[i] = (unsigned char)(seed * 3 + i * 11);
    }
}

static struct cert_ids
make_ids(unsigned serial_len)
{
    struct cert_ids ids = {0};

    fill(&ids.by_digest[0], NID_sha1, 20, 1);
    fill(&ids.by_digest[1], NID_sha256, 32, 2);
    fill(&ids.by_digest[2], NID_sha384, 48, 3);
    ids.serial_len = serial_len;
    for (unsigned i = 0; i < serial_len && i < CERT_SERIAL_MAX; i++)
        ids.serial[i] = (unsigned char)(0x11 + i);
    return ids;
}

static const struct {
    int nid;
    unsigned index;
    unsigned serial_len;
} written[] = {
    {NID_sha1, 0, 1},
    {NID_sha1, 0, 20},
    {NID_sha256, 1, 20},
    {NID_sha384, 2, 20},
    {NID_sha384, 2, CERT_SERIAL_MAX},
};

static void
check_id(OCSP_CERTID *id, const struct cert_ids *ids, unsigned index)
{
    const struct cert_id_hashes *hashes = &ids->by_digest[index];
    ASN1_OCTET_STRING *name = NULL, *key = NULL;
    ASN1_OBJECT *oid = NULL;
    ASN1_INTEGER *serial = NULL;

    ck_assert_int_eq(OCSP_id_get0_info(&name, &oid, &key, &serial, id), 1);
    ck_assert_int_eq(OBJ_obj2nid(oid), hashes->digest_nid);
    ck_assert_int_eq(ASN1_STRING_length(name), (int)hashes->hash_len);
    ck_assert_mem_eq(
        ASN1_STRING_get0_data(name), hashes->name_hash, hashes->hash_len);
    ck_assert_mem_eq(
        ASN1_STRING_get0_data(key), hashes->key_hash, hashes->hash_len);
    ck_assert_int_eq(ASN1_STRING_length(serial), (int)ids->serial_len);
    ck_assert_mem_eq(
        ASN1_STRING_get0_data(serial), ids->serial, ids->serial_len);
}

START_TEST(request_is_read_back_by_openssl_with_one_cert_id_and_no_extensions)
{
    struct cert_ids ids = make_ids(written[_i].serial_len);
    struct err err = {0};
    struct buf der;
    const unsigned char *p = NULL;
    OCSP_REQUEST *req = NULL;
    OCSP_ONEREQ *one = NULL;

    buf_init(&der, REQUEST_DER_MAX);
    ck_assert_msg(
        request_write(&ids, written[_i].nid, &der, &err), "%s", err.text);
    p = der.data;
    req = d2i_OCSP_REQUEST(NULL, &p, (long)der.len);
    ck_assert_ptr_nonnull(req);
    ck_assert_ptr_eq(p, der.data + der.len);
    ck_assert_int_eq(OCSP_request_onereq_count(req), 1);
    ck_assert_int_eq(OCSP_REQUEST_get_ext_count(req), 0);
    ck_assert_int_eq(OCSP_request_is_signed(req), 0);
    one = OCSP_request_onereq_get0(req, 0);
    ck_assert_int_eq(OCSP_ONEREQ_get_ext_count(one), 0);
    check_id(OCSP_onereq_get0_id(one), &ids, written[_i].index);
    OCSP_REQUEST_free(req);
    buf_fini(&der);
}
END_TEST

/* DER has one form: what we write is what OpenSSL would. */
START_TEST(request_equals_openssl_s_own_encoding)
{
    struct cert_ids ids = make_ids(20);
    unsigned char *again = NULL;
    struct err err = {0};
    struct buf der;
    const unsigned char *p = NULL;
    OCSP_REQUEST *req = NULL;
    int len = 0;

    buf_init(&der, REQUEST_DER_MAX);
    ck_assert(request_write(&ids, written[_i].nid, &der, &err));
    p = der.data;
    req = d2i_OCSP_REQUEST(NULL, &p, (long)der.len);
    ck_assert_ptr_nonnull(req);
    len = i2d_OCSP_REQUEST(req, &again);
    ck_assert_int_eq(len, (int)der.len);
    ck_assert_mem_eq(again, der.data, der.len);
    OPENSSL_free(again);
    OCSP_REQUEST_free(req);
    buf_fini(&der);
}
END_TEST

START_TEST(request_refuses_what_makes_no_cert_id)
{
    struct cert_ids ids = make_ids(20);
    struct err err = {0};
    struct buf der;

    buf_init(&der, REQUEST_DER_MAX);
    ck_assert(!request_write(&ids, NID_md5, &der, &err));
    ck_assert_int_eq(err.kind, ERR_FORMAT);
    ids.by_digest[0].hash_len = 0;
    ck_assert(!request_write(&ids, NID_sha1, &der, &err));
    ids.by_digest[1].hash_len = CERT_HASH_MAX + 1;
    ck_assert(!request_write(&ids, NID_sha256, &der, &err));
    ids.serial_len = 0;
    ck_assert(!request_write(&ids, NID_sha384, &der, &err));
    ids.serial_len = CERT_SERIAL_MAX + 1;
    ck_assert(!request_write(&ids, NID_sha384, &der, &err));
    ck_assert_int_eq(err.kind, ERR_FORMAT);
    ck_assert_uint_eq(der.len, 0);
    buf_fini(&der);
}
END_TEST

/* Every character that is escaped, and bases with and without a slash. */
static const struct {
    const char *base;
    const char *der;
    size_t der_len;
    const char *url;
} urls[] = {
    {"http://o.example", "\x00", 1, "http://o.example/AA%3D%3D"},
    {"http://o.example/", "\x00", 1, "http://o.example/AA%3D%3D"},
    {"http://o.example/ocsp", "\xfb\xef\xbe", 3,
        "http://o.example/ocsp/%2B%2B%2B%2B"},
    {"http://o.example/ocsp/", "\xff\xff\xff", 3,
        "http://o.example/ocsp/%2F%2F%2F%2F"},
    {"http://o.example/ocsp///", "abc", 3, "http://o.example/ocsp/YWJj"},
    {"https://o.example:8080/a/b", "abcd", 4,
        "https://o.example:8080/a/b/YWJjZA%3D%3D"},
};

START_TEST(request_get_url_has_one_slash_and_only_safe_characters)
{
    struct err err = {0};
    struct buf url;

    buf_init(&url, 1024);
    ck_assert_msg(request_get_url(urls[_i].base,
                      span_make(urls[_i].der, urls[_i].der_len), &url, &err),
        "%s", err.text);
    ck_assert_str_eq(buf_cstr(&url), urls[_i].url);
    buf_fini(&url);
}
END_TEST

/* 60 zero bytes are 80 characters of base64 without escapes. */
START_TEST(request_get_url_is_used_up_to_255_bytes)
{
    char base[256];
    unsigned char der[60];
    size_t base_len = (size_t)_i;
    struct err err = {0};
    struct buf url;
    bool fits = base_len + 1 + 80 <= REQUEST_GET_URL_MAX;

    memset(base, 'h', sizeof(base));
    base[base_len] = '\0';
    memset(der, 0, sizeof(der));
    buf_init(&url, 1024);
    ck_assert_int_eq(
        request_get_url(base, span_make(der, sizeof(der)), &url, &err), fits);
    ck_assert_uint_eq(url.len, fits ? base_len + 81 : 0);
    if (!fits)
        ck_assert_int_eq(err.kind, ERR_LIMIT);
    buf_fini(&url);
}
END_TEST

START_TEST(request_get_url_refuses_what_get_cannot_carry)
{
    unsigned char der[REQUEST_DER_MAX + 1] = {0};
    struct err err = {0};
    struct buf url;

    buf_init(&url, 1024);
    ck_assert(!request_get_url(
        "http://o.example/?ca=1", span_make(der, 3), &url, &err));
    ck_assert(
        !request_get_url("http://o.example/#x", span_make(der, 3), &url, &err));
    ck_assert(!request_get_url(
        "http://o.example/", span_make(der, sizeof(der)), &url, &err));
    ck_assert_int_eq(err.kind, ERR_LIMIT);
    ck_assert_uint_eq(url.len, 0);
    buf_fini(&url);
}
END_TEST

START_TEST(request_get_url_carries_the_der_unchanged)
{
    struct cert_ids ids = make_ids(20);
    unsigned char back[REQUEST_DER_MAX];
    char text[REQUEST_GET_URL_MAX + 1];
    struct err err = {0};
    struct buf der, url;
    size_t n = 0;

    buf_init(&der, REQUEST_DER_MAX);
    buf_init(&url, 1024);
    ck_assert(request_write(&ids, NID_sha256, &der, &err));
    ck_assert(request_get_url("http://o", buf_span(&der), &url, &err));
    for (const char *p = buf_cstr(&url) + strlen("http://o/"); *p; p++) {
        text[n++] = *p;
        if (*p == '%') {
            char hex[3] = {p[1], p[2], '\0'};

            text[n - 1] = (char)strtol(hex, NULL, 16);
            p += 2;
        }
    }
    ck_assert_int_ge(EVP_DecodeBlock(back, (const unsigned char *)text, (int)n),
        (int)der.len);
    ck_assert_mem_eq(back, der.data, der.len);
    buf_fini(&url);
    buf_fini(&der);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("request");
    TCase *tc = tcase_create("all");
    SRunner *runner;
    int failures;

    tcase_add_loop_test(tc,
        request_is_read_back_by_openssl_with_one_cert_id_and_no_extensions, 0,
        (int)(sizeof(written) / sizeof(written[0])));
    tcase_add_loop_test(tc, request_equals_openssl_s_own_encoding, 0,
        (int)(sizeof(written) / sizeof(written[0])));
    tcase_add_test(tc, request_refuses_what_makes_no_cert_id);
    tcase_add_loop_test(tc,
        request_get_url_has_one_slash_and_only_safe_characters, 0,
        (int)(sizeof(urls) / sizeof(urls[0])));
    tcase_add_loop_test(tc, request_get_url_is_used_up_to_255_bytes, 173, 177);
    tcase_add_test(tc, request_get_url_refuses_what_get_cannot_carry);
    tcase_add_test(tc, request_get_url_carries_the_der_unchanged);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures ? 1 : 0;
}
