/*
 * Certificate files and what certificates say of themselves.
 */
#include "shared/cert.h"
#include "tests/support/pki.h"
#include "tests/support/temp_folder.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Not constants: made once, read by every test. */
static struct pki pki;
static struct buf file;

static void
setup(void)
{
    pki_init(&pki);
    buf_init(&file, 2 * CERT_FILE_MAX);
}

static void
teardown(void)
{
    buf_fini(&file);
    pki_fini(&pki);
}

static void
put(const struct pki_cert *const *certs)
{
    buf_clear(&file);
    for (; *certs != NULL; certs++)
        pki_add_pem(*certs, &file);
}
#define PUT(...) put((const struct pki_cert *const[]){__VA_ARGS__, NULL})

static void
expect_chain(X509 *leaf, int others)
{
    struct cert_chain chain = {0};
    struct err err = {0};

    ck_assert_msg(
        cert_chain_parse(buf_span(&file), &chain, &err), "%s", err.text);
    ck_assert_int_eq(X509_cmp(chain.leaf, leaf), 0);
    ck_assert_int_eq(sk_X509_num(chain.others), others);
    cert_chain_fini(&chain);
    cert_chain_fini(&chain);
}

static void
expect_refusal(enum err_kind kind)
{
    struct cert_chain chain = {0};
    struct err err = {0};

    ck_assert(!cert_chain_parse(buf_span(&file), &chain, &err));
    ck_assert_int_eq(err.kind, kind);
    ck_assert_str_ne(err.text, "");
    ck_assert_ptr_null(chain.leaf);
}

START_TEST(the_leaf_is_found_wherever_it_stands)
{
    PUT(pki.leaf);
    expect_chain(pki.leaf->cert, 0);
    PUT(pki.leaf, pki.ca, pki.root);
    expect_chain(pki.leaf->cert, 2);
    PUT(pki.root, pki.ca, pki.leaf);
    expect_chain(pki.leaf->cert, 2);
    PUT(pki.root, pki.leaf); /* the link between is missing */
    expect_chain(pki.leaf->cert, 1);
    PUT(pki.leaf, pki.ca, pki.leaf);
    expect_chain(pki.leaf->cert, 2);
    PUT(pki.root, pki.ca);
    expect_chain(pki.ca->cert, 1);
    PUT(pki.root);
    expect_chain(pki.root->cert, 0);
    PUT(pki.va);
    expect_chain(pki.va->cert, 0);
}
END_TEST

START_TEST(text_keys_and_other_blocks_are_passed_over)
{
    buf_clear(&file);
    buf_add_str(&file, "0 s:CN = www.example.org\r\nBag Attributes\n");
    pki_add_key_pem(pki.leaf, &file);
    buf_add_str(&file, "-----BEGIN EC PARAMETERS-----\nnot base64 !\n"
                       "-----END EC PARAMETERS-----\n");
    pki_add_pem(pki.leaf, &file);
    buf_add_str(&file, "-----BEGIN ENCRYPTED PRIVATE KEY-----\n\n"
                       "-----END ENCRYPTED PRIVATE KEY-----\n");
    pki_add_pem(pki.ca, &file);
    expect_chain(pki.leaf->cert, 1);
}
END_TEST

START_TEST(line_ends_of_windows_are_taken)
{
    struct buf crlf;

    PUT(pki.leaf);
    buf_init(&crlf, CERT_FILE_MAX);
    for (size_t i = 0; i < file.len; i++) {
        if (file.data[i] == '\n')
            buf_add_byte(&crlf, '\r');
        buf_add_byte(&crlf, file.data[i]);
    }
    buf_clear(&file);
    buf_add(&file, buf_span(&crlf));
    buf_fini(&crlf);
    expect_chain(pki.leaf->cert, 0);
}
END_TEST

START_TEST(the_trusted_form_and_the_old_name_are_taken)
{
    static const char *const names[] = {
        "TRUSTED CERTIFICATE", "X509 CERTIFICATE"};
    const size_t head = strlen("-----BEGIN CERTIFICATE-----\n");
    const size_t tail = strlen("-----END CERTIFICATE-----\n");

    for (size_t i = 0; i < 2; i++) {
        struct buf pem;

        buf_init(&pem, CERT_FILE_MAX);
        pki_add_pem(pki.leaf, &pem);
        buf_clear(&file);
        buf_add_fmt(&file, "-----BEGIN %s-----\n", names[i]);
        buf_add(&file, span_sub(buf_span(&pem), head, pem.len - head - tail));
        buf_add_fmt(&file, "-----END %s-----\n", names[i]);
        buf_fini(&pem);
        expect_chain(pki.leaf->cert, 0);
    }
}
END_TEST

START_TEST(der_is_taken_whole_only)
{
    buf_clear(&file);
    pki_add_der(pki.leaf, &file);
    expect_chain(pki.leaf->cert, 0);
    buf_add_byte(&file, 0);
    expect_refusal(ERR_FORMAT);
    file.len -= 2;
    expect_refusal(ERR_FORMAT);
}
END_TEST

START_TEST(a_pkcs7_bundle_gives_its_certificates)
{
    PKCS7 *bundle = PKCS7_new();
    STACK_OF(X509) *certs = NULL;
    unsigned char *der = NULL;
    struct err err = {0};
    int len;

    ck_assert(PKCS7_set_type(bundle, NID_pkcs7_signed) == 1);
    ck_assert(PKCS7_content_new(bundle, NID_pkcs7_data) == 1);
    ck_assert(PKCS7_add_certificate(bundle, pki.ca->cert) == 1);
    ck_assert(PKCS7_add_certificate(bundle, pki.root->cert) == 1);
    len = i2d_PKCS7(bundle, &der);
    ck_assert_int_gt(len, 0);
    ck_assert_msg(cert_stack_parse(span_make(der, (size_t)len), &certs, &err),
        "%s", err.text);
    ck_assert_int_eq(sk_X509_num(certs), 2);
    cert_stack_free(certs);
    OPENSSL_free(der);
    PKCS7_free(bundle);
}
END_TEST

START_TEST(files_without_a_sound_certificate_are_refused)
{
    buf_clear(&file);
    expect_refusal(ERR_FORMAT);
    buf_add_str(&file, "nothing here\n");
    expect_refusal(ERR_FORMAT);
    buf_clear(&file);
    pki_add_key_pem(pki.leaf, &file);
    expect_refusal(ERR_FORMAT);
    buf_clear(&file);
    buf_add_str(&file, "-----BEGIN CERTIFICATE-----\nAAAA\n"
                       "-----END CERTIFICATE-----\n");
    expect_refusal(ERR_FORMAT);
    buf_clear(&file);
    buf_add_str(&file, "-----BEGIN CERTIFICATE-----\nAA!A\n"
                       "-----END CERTIFICATE-----\n");
    expect_refusal(ERR_FORMAT);
    PUT(pki.leaf, pki.ca);
    file.len -= 10; /* the end line of the second is cut off */
    expect_refusal(ERR_FORMAT);
}
END_TEST

START_TEST(too_many_and_too_much_are_refused)
{
    buf_clear(&file);
    for (int i = 0; i < CERT_CHAIN_MAX; i++)
        pki_add_pem(pki.leaf, &file);
    expect_chain(pki.leaf->cert, CERT_CHAIN_MAX - 1);
    pki_add_pem(pki.leaf, &file);
    expect_refusal(ERR_LIMIT);
    while (buf_add_str(&file, "filling filling filling\n") &&
           file.len <= CERT_FILE_MAX)
        continue;
    expect_refusal(ERR_LIMIT);
}
END_TEST

START_TEST(files_are_loaded_and_errors_name_them)
{
    STACK_OF(X509) *all = NULL;
    struct cert_chain chain = {0};
    struct temp_folder folder;
    struct err err = {0};
    char path[PATH_MAX];

    temp_folder_init(&folder);
    PUT(pki.root, pki.leaf, pki.ca);
    temp_folder_put(&folder, "chain.pem", buf_cstr(&file));
    temp_folder_put(&folder, "empty.pem", "");
    temp_folder_path(&folder, "chain.pem", path);
    ck_assert(cert_file_load(path, &chain, &err));
    ck_assert_int_eq(X509_cmp(chain.leaf, pki.leaf->cert), 0);
    cert_chain_fini(&chain);
    ck_assert(cert_file_load_all(path, &all, &err));
    ck_assert_int_eq(sk_X509_num(all), 3);
    ck_assert_int_eq(X509_cmp(sk_X509_value(all, 0), pki.root->cert), 0);
    cert_stack_free(all);
    temp_folder_path(&folder, "empty.pem", path);
    ck_assert(!cert_file_load(path, &chain, &err));
    ck_assert_ptr_nonnull(strstr(err.text, path));
    temp_folder_path(&folder, "missing.pem", path);
    ck_assert(!cert_file_load_all(path, &all, &err));
    ck_assert_int_eq(err.kind, ERR_SYSTEM);
    ck_assert_ptr_nonnull(strstr(err.text, path));
    ck_assert_int_eq(mkfifoat(folder.dirfd, "fifo", 0600), 0);
    temp_folder_path(&folder, "fifo", path);
    ck_assert(!cert_file_load(path, &chain, &err));
    temp_folder_fini(&folder);
}
END_TEST

START_TEST(the_issuer_is_found_by_name_and_signature)
{
    struct pki_cert *twin = pki_issue(&(struct pki_spec){
        .cn = "Issuing CA", .issuer = pki.root, .is_ca = true});
    struct pki_cert *longer = pki_issue(&(struct pki_spec){.cn = "Issuing CA",
        .issuer = pki.sibling,
        .is_ca = true,
        .same_key_as = pki.ca,
        .not_after = PKI_NOW + 7300 * PKI_DAY});
    STACK_OF(X509) *candidates = sk_X509_new_null();

    ck_assert_ptr_null(cert_find_issuer(pki.leaf->cert, NULL));
    sk_X509_push(candidates, twin->cert);
    sk_X509_push(candidates, pki.root->cert);
    sk_X509_push(candidates, pki.leaf->cert);
    ck_assert_ptr_null(cert_find_issuer(pki.leaf->cert, candidates));
    sk_X509_push(candidates, pki.ca->cert);
    ck_assert_ptr_eq(
        cert_find_issuer(pki.leaf->cert, candidates), pki.ca->cert);
    sk_X509_push(candidates, longer->cert);
    ck_assert_ptr_eq(
        cert_find_issuer(pki.leaf->cert, candidates), longer->cert);
    ck_assert(cert_is_issued_by(pki.root->cert, pki.root->cert));
    ck_assert(!cert_is_issued_by(pki.ca->cert, pki.leaf->cert));
    sk_X509_free(candidates);
    pki_free(twin);
    pki_free(longer);
}
END_TEST

START_TEST(the_fingerprint_is_the_digest_of_the_der)
{
    unsigned char md[32];
    char hex[CERT_FINGERPRINT_SIZE];
    char want[CERT_FINGERPRINT_SIZE];
    struct err err;

    buf_clear(&file);
    pki_add_der(pki.leaf, &file);
    ck_assert(
        EVP_Q_digest(NULL, "SHA256", NULL, file.data, file.len, md, NULL) == 1);
    for (int i = 0; i < 32; i++)
        (void)snprintf(want + 2 * i, 3, "%02x", md[i]);
    ck_assert(cert_fingerprint(pki.leaf->cert, hex, &err));
    ck_assert_str_eq(hex, want);
    ck_assert(cert_is_fingerprint(span_str(hex)));
    hex[3] = 'A';
    ck_assert(!cert_is_fingerprint(span_str(hex)));
    ck_assert(!cert_is_fingerprint(span_make(want, 63)));
    ck_assert(!cert_is_fingerprint(SPAN_EMPTY));
}
END_TEST

START_TEST(facts_are_read)
{
    struct cert_facts facts;
    struct err err = {0};

    ck_assert(cert_facts_read(pki.staple_leaf->cert, &facts, &err));
    ck_assert_int_eq(facts.not_before, PKI_NOW - 30 * PKI_DAY);
    ck_assert_int_eq(facts.not_after, PKI_NOW + 60 * PKI_DAY);
    ck_assert(facts.must_staple && !facts.is_ca);
    ck_assert_uint_eq(facts.ocsp_url_count, 1);
    ck_assert_str_eq(facts.ocsp_urls[0], "http://ocsp.example.org/");
    ck_assert_uint_eq(facts.crl_url_count, 1);
    ck_assert_str_eq(facts.crl_urls[0], "http://crl.example.org/ca.crl");
    ck_assert_uint_eq(facts.name_count, 2);
    ck_assert_str_eq(facts.names[1], "example.org");
    ck_assert_str_eq(facts.subject, "CN=www.example.org");
    ck_assert_str_eq(facts.issuer, "CN=Issuing CA");
    ck_assert_str_eq(cert_facts_label(&facts), "www.example.org");
    cert_facts_fini(&facts);
    cert_facts_fini(&facts);
    ck_assert(cert_facts_read(pki.ca->cert, &facts, &err));
    ck_assert(facts.is_ca && !facts.must_staple);
    ck_assert_uint_eq(facts.ocsp_url_count + facts.crl_url_count, 0);
    ck_assert_str_eq(cert_facts_label(&facts), "CN=Issuing CA");
    cert_facts_fini(&facts);
}
END_TEST

START_TEST(only_web_urls_are_kept_in_order)
{
    struct pki_cert *cert = pki_issue(&(struct pki_spec){.cn = "urls",
        .aia = "OCSP;URI:ldap://a.example/,caIssuers;URI:http://ca.example/,"
               "OCSP;URI:HTTP://b.example/,OCSP;URI:https://c.example/,"
               "OCSP;DNS:d.example,OCSP;URI:http://e e.example/",
        .crldp = "URI:ldap://a.example/,URI:http://b.example/1",
        .serial = 0x0a0b0c});
    struct cert_facts facts;
    struct err err = {0};

    ck_assert(cert_facts_read(cert->cert, &facts, &err));
    ck_assert_uint_eq(facts.ocsp_url_count, 2);
    ck_assert_str_eq(facts.ocsp_urls[0], "HTTP://b.example/");
    ck_assert_str_eq(facts.ocsp_urls[1], "https://c.example/");
    ck_assert_uint_eq(facts.crl_url_count, 1);
    ck_assert_str_eq(facts.serial_hex, "0A0B0C");
    ck_assert_uint_eq(facts.name_count, 1);
    ck_assert_str_eq(facts.names[0], "urls");
    cert_facts_fini(&facts);
    pki_free(cert);
}
END_TEST

START_TEST(ids_hold_the_serial_as_it_stands_in_der)
{
    static const struct {
        long serial;
        unsigned len;
        unsigned char bytes[4];
    } cases[] = {{1, 1, {1}}, {0x7f, 1, {0x7f}}, {0x80, 2, {0, 0x80}},
        {-1, 1, {0xff}}, {0x123456, 3, {0x12, 0x34, 0x56}}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pki_cert *cert = pki_issue(&(struct pki_spec){
            .cn = "x", .issuer = pki.ca, .serial = cases[i].serial});
        struct cert_ids ids;
        struct err err = {0};

        ck_assert(cert_ids_make(cert->cert, pki.ca->cert, &ids, &err));
        ck_assert_uint_eq(ids.serial_len, cases[i].len);
        ck_assert_mem_eq(ids.serial, cases[i].bytes, cases[i].len);
        ck_assert_int_eq(ids.by_digest[0].digest_nid, NID_sha1);
        ck_assert_uint_eq(ids.by_digest[0].hash_len, 20);
        ck_assert_uint_eq(ids.by_digest[1].hash_len, 32);
        ck_assert_uint_eq(ids.by_digest[2].hash_len, 48);
        pki_free(cert);
    }
}
END_TEST

START_TEST(a_serial_longer_than_the_limit_is_an_error)
{
    struct pki_cert *cert = pki_issue(&(struct pki_spec){.cn = "x"});
    unsigned char bytes[CERT_SERIAL_MAX + 1];
    ASN1_INTEGER *serial = ASN1_INTEGER_new();
    struct cert_facts facts;
    struct cert_ids ids;
    struct err err = {0};

    memset(bytes, 0x11, sizeof(bytes));
    for (int extra = 0; extra < 2; extra++) {
        ck_assert(ASN1_STRING_set(serial, bytes, CERT_SERIAL_MAX + extra));
        ck_assert(X509_set_serialNumber(cert->cert, serial));
        ck_assert(
            cert_ids_make(cert->cert, cert->cert, &ids, &err) == (extra == 0));
        ck_assert(cert_facts_read(cert->cert, &facts, &err) == (extra == 0));
        if (extra == 0)
            cert_facts_fini(&facts);
    }
    ASN1_INTEGER_free(serial);
    pki_free(cert);
}
END_TEST

START_TEST(times_are_read_strictly)
{
    static const struct {
        int type;
        const char *text;
        bool ok;
        int64_t at;
    } cases[] = {
        {V_ASN1_UTCTIME, "700101000000Z", true, 0},
        {V_ASN1_UTCTIME, "491231235959Z", true, INT64_C(2524607999)},
        {V_ASN1_UTCTIME, "500101000000Z", true, INT64_C(-631152000)},
        {V_ASN1_GENERALIZEDTIME, "20260101000000Z", true, PKI_NOW},
        {V_ASN1_GENERALIZEDTIME, "99991231235959Z", true,
            INT64_C(253402300799)},
        {V_ASN1_GENERALIZEDTIME, "20240229000000Z", true, INT64_C(1709164800)},
        {V_ASN1_GENERALIZEDTIME, "20230229000000Z", false, 0},
        {V_ASN1_GENERALIZEDTIME, "20260101000000+0000", false, 0},
        {V_ASN1_GENERALIZEDTIME, "260101000000Z", false, 0},
        {V_ASN1_UTCTIME, "20260101000000Z", false, 0},
        {V_ASN1_UTCTIME, "2601010000Z", false, 0},
        {V_ASN1_UTCTIME, "", false, 0},
        {V_ASN1_OCTET_STRING, "260101000000Z", false, 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ASN1_STRING *time = ASN1_STRING_type_new(cases[i].type);
        int64_t at = 0;

        ck_assert(ASN1_STRING_set(time, cases[i].text, -1));
        ck_assert_msg(
            cert_time_read(time, &at) == cases[i].ok, "%s", cases[i].text);
        ck_assert_int_eq(at, cases[i].at);
        ASN1_STRING_free(time);
    }
}
END_TEST

static void
add_tests(TCase *t)
{
    tcase_add_test(t, the_leaf_is_found_wherever_it_stands);
    tcase_add_test(t, text_keys_and_other_blocks_are_passed_over);
    tcase_add_test(t, line_ends_of_windows_are_taken);
    tcase_add_test(t, the_trusted_form_and_the_old_name_are_taken);
    tcase_add_test(t, der_is_taken_whole_only);
    tcase_add_test(t, a_pkcs7_bundle_gives_its_certificates);
    tcase_add_test(t, files_without_a_sound_certificate_are_refused);
    tcase_add_test(t, too_many_and_too_much_are_refused);
    tcase_add_test(t, files_are_loaded_and_errors_name_them);
    tcase_add_test(t, the_issuer_is_found_by_name_and_signature);
    tcase_add_test(t, the_fingerprint_is_the_digest_of_the_der);
    tcase_add_test(t, facts_are_read);
    tcase_add_test(t, only_web_urls_are_kept_in_order);
    tcase_add_test(t, ids_hold_the_serial_as_it_stands_in_der);
    tcase_add_test(t, a_serial_longer_than_the_limit_is_an_error);
    tcase_add_test(t, times_are_read_strictly);
}

int
main(void)
{
    Suite *suite = suite_create("cert");
    TCase *t = tcase_create("cert");
    SRunner *runner;
    int failed;

    tcase_add_unchecked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    add_tests(t);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
