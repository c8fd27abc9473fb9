/*
 * Certificates as wsgate loads them.
 * Input: PEM of all sorts. Output: leaf, issuer and chain to send, or a refusal
 * that names the file.
 */
#include "wsgate/tls/tls_cert.h"

#include "shared/buf.h"
#include "tests/support/pki.h"

#include <check.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

static struct pki pki;
static struct buf chain, key, issuer, signers;

static void
setup(void)
{
    pki_init(&pki);
    buf_init(&chain, 1000000);
    buf_init(&key, 1000000);
    buf_init(&issuer, 1000000);
    buf_init(&signers, 1000000);
}

static void
teardown(void)
{
    buf_fini(&chain);
    buf_fini(&key);
    buf_fini(&issuer);
    buf_fini(&signers);
    pki_fini(&pki);
    ck_assert_uint_eq(ERR_peek_error(), 0);
}

static bool
load(struct tls_cert **out, struct err *err)
{
    const struct tls_cert_source source = {
        .chain_name = "chain.pem",
        .key_name = "key.pem",
        .chain_pem = buf_span(&chain),
        .key_pem = buf_span(&key),
        .issuer_pem = buf_span(&issuer),
        .signers_pem = buf_span(&signers),
    };

    return tls_cert_new(&source, NULL, PKI_NOW, out, err);
}

static void
ck_refused(const char *text)
{
    struct tls_cert *cert = NULL;
    struct err err;

    ck_assert(!load(&cert, &err));
    ck_assert_ptr_null(cert);
    ck_assert_int_eq(err.kind, ERR_CONFIG);
    ck_assert_msg(strstr(err.text, text) != NULL, "%s", err.text);
}

/* Any order behind the leaf; the root and strangers stay at home. */
START_TEST(tls_cert_orders_the_chain_and_leaves_the_root_out)
{
    struct tls_cert *cert;
    struct err err;

    pki_add_key_pem(pki.leaf, &key);
    pki_add_pem(pki.leaf, &chain);
    pki_add_pem(pki.root, &chain);
    pki_add_pem(pki.sibling, &chain);
    pki_add_pem(pki.ca, &chain);
    ck_assert_msg(load(&cert, &err), "%s", err.text);
    ck_assert_int_eq(X509_cmp(cert->chain.leaf, pki.leaf->cert), 0);
    ck_assert_int_eq(X509_cmp(cert->issuer, pki.ca->cert), 0);
    ck_assert_int_eq(sk_X509_num(cert->sent), 1);
    ck_assert_int_eq(X509_cmp(sk_X509_value(cert->sent, 0), pki.ca->cert), 0);
    ck_assert_uint_eq(strlen(cert->fp), 64);
    ck_assert_ptr_null(cert->staple);
    tls_cert_unref(cert);
}
END_TEST

START_TEST(tls_cert_finds_the_key_in_the_chain_file)
{
    struct tls_cert *cert, *again;
    struct err err;

    pki_add_key_pem(pki.leaf, &chain);
    pki_add_pem(pki.leaf, &chain);
    ck_assert(buf_add(&key, buf_span(&chain)));
    ck_assert_msg(load(&cert, &err), "%s", err.text);
    ck_assert_ptr_null(cert->issuer);
    again = tls_cert_ref(cert);
    tls_cert_unref(cert);
    ck_assert(tls_cert_may_serve(again, PKI_NOW));
    ck_assert_uint_eq(tls_cert_staple(again, PKI_NOW).len, 0);
    again->staple_mode = TLS_STAPLE_REQUIRE;
    ck_assert(!tls_cert_may_serve(again, PKI_NOW));
    tls_cert_unref(again);
    tls_cert_unref(NULL);
}
END_TEST

START_TEST(tls_cert_takes_issuer_and_signers_of_own_files)
{
    struct tls_cert *cert;
    struct err err;

    pki_add_pem(pki.leaf, &chain);
    pki_add_key_pem(pki.leaf, &key);
    pki_add_pem(pki.root, &issuer);
    pki_add_pem(pki.ca, &issuer);
    pki_add_pem(pki.va, &signers);
    pki_add_pem(pki.va_old, &signers);
    ck_assert_msg(load(&cert, &err), "%s", err.text);
    ck_assert_int_eq(X509_cmp(cert->issuer, pki.ca->cert), 0);
    ck_assert_int_eq(sk_X509_num(cert->signers), 2);
    ck_assert_int_eq(sk_X509_num(cert->sent), 0);
    tls_cert_unref(cert);
}
END_TEST

START_TEST(tls_cert_refuses_a_key_of_another)
{
    pki_add_pem(pki.leaf, &chain);
    pki_add_key_pem(pki.sibling_leaf, &key);
    ck_refused("key key.pem: does not fit the certificate chain.pem");
}
END_TEST

START_TEST(tls_cert_refuses_a_file_without_key_or_certificate)
{
    pki_add_pem(pki.leaf, &chain);
    ck_refused("key key.pem: no private key in PEM found");
    pki_add_pem(pki.leaf, &key);
    ck_refused("key key.pem: no private key in PEM found");
    buf_clear(&chain);
    ck_refused("certificate chain.pem");
    ck_assert(buf_add_str(&chain, "hello"));
    ck_refused("certificate chain.pem");
}
END_TEST

START_TEST(tls_cert_refuses_an_encrypted_key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *pem;
    long len;

    pki_add_pem(pki.leaf, &chain);
    ck_assert_int_eq(PEM_write_bio_PKCS8PrivateKey(bio, pki.leaf->key,
                         EVP_aes_128_cbc(), "secret", 6, NULL, NULL),
        1);
    len = BIO_get_mem_data(bio, &pem);
    ck_assert(buf_add(&key, span_make(pem, (size_t)len)));
    BIO_free(bio);
    ck_refused("key key.pem: is encrypted");
}
END_TEST

START_TEST(tls_cert_refuses_an_issuer_that_issued_something_else)
{
    pki_add_pem(pki.leaf, &chain);
    pki_add_key_pem(pki.leaf, &key);
    pki_add_pem(pki.sibling, &issuer);
    ck_refused("issuer: none of its certificates issued this one");
    buf_clear(&issuer);
    ck_assert(buf_add_str(&issuer, "rubbish"));
    ck_refused("issuer");
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("tls_cert");
    TCase *tc = tcase_create("tls_cert");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tc);
    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, tls_cert_orders_the_chain_and_leaves_the_root_out);
    tcase_add_test(tc, tls_cert_finds_the_key_in_the_chain_file);
    tcase_add_test(tc, tls_cert_takes_issuer_and_signers_of_own_files);
    tcase_add_test(tc, tls_cert_refuses_a_key_of_another);
    tcase_add_test(tc, tls_cert_refuses_a_file_without_key_or_certificate);
    tcase_add_test(tc, tls_cert_refuses_an_encrypted_key);
    tcase_add_test(tc, tls_cert_refuses_an_issuer_that_issued_something_else);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
