/*
 * What a TLS listener decides in a handshake.
 * Input: ClientHellos of all sorts; staples that are there or not. Output:
 * site, certificate, staple, or a refusal.
 */
#include "wsgate/tls/tls_stream.h"

#include "shared/log.h"
#include "shared/now.h"
#include "shared/spool.h"
#include "tests/support/fake_stream.h"
#include "tests/support/pki.h"
#include "tests/support/temp_folder.h"
#include "tests/support/tls_client.h"
#include "wsgate/tls/tls_site.h"

#include <check.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

static uv_loop_t uv;
static struct net_loop net;
static struct pki pki;
static struct temp_folder folder;
static struct staple_set *staples;
static struct pki_cert *ec, *rsa;
static struct tls_context *context;

/* ---- one connection ------------------------------------------------------- */

struct outcome {
    bool is_ready;
    struct tls_info info;
    struct err err;
    int key_type;
    int alert;
    struct buf staple;
    bool resumed;
    SSL_SESSION *session; /* the caller's */
};

static struct stream *server;
static struct outcome got;

static size_t
on_data(void *ctx, struct span bytes)
{
    (void)ctx;
    return bytes.len;
}

static void
on_nothing(void *ctx)
{
    (void)ctx;
}

static void
on_error(void *ctx, const struct err *err)
{
    (void)ctx;
    got.err = *err;
    stream_close(server);
}

static void
on_ready(void *ctx)
{
    (void)ctx;
    got.is_ready = true;
    tls_stream_info(server, &got.info);
}

static const struct stream_events events = {
    .on_data = on_data,
    .on_eof = on_nothing,
    .on_drain = on_nothing,
    .on_error = on_error,
    .on_ready = on_ready,
};

static void
connect_client(const struct tls_client_spec *spec)
{
    struct fake_stream *lower = fake_stream_new();
    struct tls_client *c = tls_client_new(spec);
    X509 *shown;

    buf_fini(&got.staple);
    got = (struct outcome){.alert = -1};
    buf_init(&got.staple, 100000);
    server =
        tls_stream_accept(&net, &lower->base, context, &events, NULL, NULL);
    ck_assert_ptr_nonnull(server);
    (void)tls_client_run(c, lower, &net);
    shown = SSL_get0_peer_certificate(c->ssl);
    if (shown != NULL)
        got.key_type = EVP_PKEY_get_base_id(X509_get0_pubkey(shown));
    got.alert = tls_client_alert(c);
    got.resumed = SSL_session_reused(c->ssl) == 1;
    got.session = c->session;
    c->session = NULL;
    ck_assert(buf_add(&got.staple, tls_client_staple(c)));
    tls_client_free(c);
    if (!lower->is_closed)
        stream_close(server);
    fake_stream_finish(lower);
}

static void
forget_session(void)
{
    SSL_SESSION_free(got.session);
    got.session = NULL;
}

/* ---- certificates --------------------------------------------------------- */

static struct tls_cert *
load(const struct pki_cert *made, enum tls_staple_mode mode)
{
    struct tls_cert_source source = {
        .chain_name = "chain.pem", .key_name = "key.pem", .staple_mode = mode};
    struct tls_cert *cert = NULL;
    struct buf chain, key;
    struct err err;

    buf_init(&chain, 100000);
    buf_init(&key, 100000);
    pki_add_pem(made, &chain);
    pki_add_pem(pki.ca, &chain);
    pki_add_key_pem(made, &key);
    source.chain_pem = buf_span(&chain);
    source.key_pem = buf_span(&key);
    ck_assert_msg(
        tls_cert_new(&source, staples, PKI_NOW, &cert, &err), "%s", err.text);
    buf_fini(&chain);
    buf_fini(&key);
    return cert;
}

static void
spool_response(const struct pki_cert *leaf, enum pki_status status)
{
    const struct pki_single single = {
        .leaf = leaf, .issuer = pki.ca, .status = status, .reason = -1};
    const struct pki_response spec = {
        .signer = pki.ca, .singles = &single, .single_count = 1};
    char fp[CERT_FINGERPRINT_SIZE];
    struct spool spool;
    bool changed;
    struct buf der;

    buf_init(&der, 100000);
    pki_respond(&spec, &der);
    ck_assert(cert_fingerprint(leaf->cert, fp, NULL));
    ck_assert(spool_open(&spool, folder.path, NULL));
    ck_assert(spool_store(&spool, fp, buf_span(&der), &changed, NULL));
    spool_close(&spool);
    buf_fini(&der);
}

static struct pki_cert *
issue(const char *san, enum pki_key key)
{
    const struct pki_spec spec = {
        .cn = "site", .issuer = pki.ca, .key = key, .san = san};

    return pki_issue(&spec);
}

/* Two sites with names, the first with an ECDSA and an RSA certificate. */
static void
make_context(enum tls_staple_mode mode, bool with_default)
{
    static const char *const a[] = {"a.example", "*.Wild.example"};
    static const char *const b[] = {"b.example", "x.wild.example"};
    static const char *const rest[] = {"*"};
    struct tls_cert *certs[2] = {load(ec, mode), load(rsa, mode)};
    const struct tls_site sites[] = {
        {a, 2, certs, 2, false},
        {b, 2, certs + 1, 1, true},
        {rest, 1, certs, 1, false},
    };
    struct err err;

    ck_assert_msg(tls_context_new(sites, with_default ? 3 : 2, &context, &err),
        "%s", err.text);
    tls_cert_unref(certs[0]);
    tls_cert_unref(certs[1]);
}

static void
setup(void)
{
    log_init("test", LOG_FORMAT_TEXT, LOG_LEVEL_ERROR);
    now_set_wall(PKI_NOW);
    ck_assert_int_eq(uv_loop_init(&uv), 0);
    ck_assert(net_loop_init(&net, &uv, NULL));
    pki_init(&pki);
    temp_folder_init(&folder);
    staples = staple_set_new(folder.path, NULL);
    ec = issue("DNS:a.example", PKI_EC);
    rsa = issue("DNS:a.example", PKI_RSA2048);
    buf_init(&got.staple, 100000);
    context = NULL;
}

static void
teardown(void)
{
    forget_session();
    buf_fini(&got.staple);
    tls_context_unref(context);
    pki_free(ec);
    pki_free(rsa);
    staple_set_free(staples);
    temp_folder_fini(&folder);
    pki_fini(&pki);
    net_loop_close(&net);
    (void)uv_run(&uv, UV_RUN_DEFAULT);
    net_loop_fini(&net);
    ck_assert_int_eq(uv_loop_close(&uv), 0);
    ck_assert_uint_eq(ERR_peek_error(), 0);
}

/* ---- sites ---------------------------------------------------------------- */

static const struct {
    const char *sni;
    bool with_default;
    int site; /* -1: refused */
} names[] = {
    {"a.example", false, 0},
    {"A.Example", false, 0},
    {"a.example.", false, 0},
    {"b.example", false, 1},
    {"y.wild.example", false, 0},
    {"deep.y.wild.example", false, 0},
    {"x.wild.example", false, 1},
    {"wild.example", false, -1},
    {"notwild.example", false, -1},
    {"c.example", false, -1},
    {"c.example", true, 2},
    {NULL, false, 0},
    {NULL, true, 2},
};

START_TEST(tls_context_finds_the_site_of_a_name)
{
    const struct tls_client_spec spec = {.sni = names[_i].sni};

    make_context(TLS_STAPLE_PREFER, names[_i].with_default);
    connect_client(&spec);
    ck_assert_int_eq(got.is_ready, names[_i].site >= 0);
    if (got.is_ready)
        ck_assert_int_eq(got.info.site, names[_i].site);
    else
        ck_assert_int_eq(got.alert, SSL_AD_UNRECOGNIZED_NAME);
}
END_TEST

static const struct {
    const char *bytes;
    size_t len;
    const char *name; /* NULL: malformed */
} extensions[] = {
    {"\x00\x04\x00\x00\x01"
     "a",
        6, "a"},
    {"", 0, NULL},
    {"\x00\x03\x00\x00\x00", 5, NULL},
    {"\x00\x04\x01\x00\x01"
     "a",
        6, NULL},
    {"\x00\x05\x00\x00\x01"
     "a",
        6, NULL},
    {"\x00\x04\x00\x00\x02"
     "a",
        6, NULL},
    {"\x00\x04\x00\x00\x01"
     "ab",
        7, NULL},
    {"\x00\x04\x00\x00\x01\x00", 6, NULL},
};

START_TEST(tls_site_parses_no_malformed_name)
{
    struct span name;
    bool ok = tls_site_parse_sni(
        span_make(extensions[_i].bytes, extensions[_i].len), &name);

    ck_assert_int_eq(ok, extensions[_i].name != NULL);
    if (ok)
        ck_assert(span_eq(name, span_str(extensions[_i].name)));
}
END_TEST

START_TEST(tls_context_keeps_tickets_within_their_site)
{
    struct tls_client_spec spec = {
        .version = TLS1_3_VERSION, .sni = "a.example"};
    SSL_SESSION *ticket;

    make_context(TLS_STAPLE_PREFER, true);
    connect_client(&spec);
    ticket = got.session;
    ck_assert_ptr_nonnull(ticket);
    spec.session = ticket;
    connect_client(&spec);
    ck_assert(got.resumed);
    forget_session();
    spec.sni = "b.example";
    connect_client(&spec);
    ck_assert(got.is_ready);
    ck_assert(!got.resumed);
    SSL_SESSION_free(ticket);
}
END_TEST

START_TEST(tls_context_holds_a_site_to_its_version)
{
    struct tls_client_spec spec = {
        .version = TLS1_2_VERSION, .sni = "b.example"};

    make_context(TLS_STAPLE_PREFER, false);
    connect_client(&spec);
    ck_assert(!got.is_ready);
    ck_assert_int_eq(got.alert, SSL_AD_PROTOCOL_VERSION);
    spec.sni = "a.example";
    connect_client(&spec);
    ck_assert(got.is_ready);
}
END_TEST

START_TEST(tls_context_without_sites_refuses_all)
{
    const struct tls_client_spec spec = {.version = 0};

    ck_assert(tls_context_new(NULL, 0, &context, NULL));
    connect_client(&spec);
    ck_assert(!got.is_ready);
    ck_assert_int_eq(got.alert, SSL_AD_UNRECOGNIZED_NAME);
}
END_TEST

START_TEST(tls_context_refuses_a_key_that_is_too_small)
{
    struct pki_cert *small = issue("DNS:a.example", PKI_RSA1024);
    struct tls_cert *cert = load(small, TLS_STAPLE_PREFER);
    const char *const hosts[] = {"a.example"};
    const struct tls_site site = {hosts, 1, &cert, 1, false};
    struct err err;

    ck_assert(!tls_context_new(&site, 1, &context, &err));
    ck_assert_int_eq(err.kind, ERR_CONFIG);
    ck_assert_msg(strstr(err.text, "a.example") != NULL, "%s", err.text);
    ck_assert_msg(strstr(err.text, "too small") != NULL, "%s", err.text);
    tls_cert_unref(cert);
    pki_free(small);
}
END_TEST

/* ---- ALPN ----------------------------------------------------------------- */

static const struct {
    const char *alpn;
    bool is_ready;
} protocols[] = {
    {NULL, true},
    {"\x08http/1.1", true},
    {"\x02h2\x08http/1.1", true},
    {"\x02h2", false},
    {"\x08http/1.0", true},
};

START_TEST(tls_context_offers_http_1_alone)
{
    const struct tls_client_spec spec = {
        .sni = "a.example", .alpn = protocols[_i].alpn};

    make_context(TLS_STAPLE_PREFER, false);
    connect_client(&spec);
    ck_assert_int_eq(got.is_ready, protocols[_i].is_ready);
    if (!got.is_ready)
        ck_assert_int_eq(got.alert, SSL_AD_NO_APPLICATION_PROTOCOL);
}
END_TEST

/* ---- staples -------------------------------------------------------------- */

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

START_TEST(tls_context_staples_each_certificate_its_own)
{
    struct tls_client_spec spec = {.version = versions[_i],
        .sni = "a.example",
        .asks_staple = true,
        .sigalgs = "ECDSA+SHA256"};
    struct buf of_ec;

    spool_response(ec, PKI_GOOD);
    spool_response(rsa, PKI_GOOD);
    make_context(TLS_STAPLE_PREFER, false);
    buf_init(&of_ec, 100000);
    connect_client(&spec);
    ck_assert_int_eq(got.info.staple, TLS_STAPLE_SENT);
    ck_assert_uint_gt(got.staple.len, 0);
    ck_assert(buf_add(&of_ec, buf_span(&got.staple)));
    forget_session();
    spec.sigalgs = "RSA-PSS+SHA256:RSA+SHA256";
    connect_client(&spec);
    ck_assert_int_eq(got.key_type, EVP_PKEY_RSA);
    ck_assert_uint_gt(got.staple.len, 0);
    ck_assert(!span_eq(buf_span(&of_ec), buf_span(&got.staple)));
    forget_session();
    spec.asks_staple = false;
    connect_client(&spec);
    ck_assert_int_eq(got.info.staple, TLS_STAPLE_NOT_ASKED);
    ck_assert_uint_eq(got.staple.len, 0);
    buf_fini(&of_ec);
}
END_TEST

START_TEST(tls_context_prefer_serves_without_and_never_out_of_date)
{
    const struct tls_client_spec spec = {
        .version = versions[_i], .sni = "a.example", .asks_staple = true};

    spool_response(ec, PKI_GOOD);
    make_context(TLS_STAPLE_PREFER, false);
    now_set_wall(PKI_NOW + 7 * PKI_DAY);
    connect_client(&spec);
    ck_assert(got.is_ready);
    ck_assert_int_eq(got.info.staple, TLS_STAPLE_NONE);
    ck_assert_uint_eq(got.staple.len, 0);
}
END_TEST

START_TEST(tls_context_prefer_staples_a_revoked_response)
{
    const struct tls_client_spec spec = {
        .sni = "a.example", .asks_staple = true};

    spool_response(ec, PKI_REVOKED);
    make_context(TLS_STAPLE_PREFER, false);
    connect_client(&spec);
    ck_assert_int_eq(got.key_type, EVP_PKEY_EC);
    ck_assert_int_eq(got.info.staple, TLS_STAPLE_SENT);
}
END_TEST

/* ECDSA has no staple, or one that says revoked: RSA is shown instead. */
START_TEST(tls_context_require_takes_the_certificate_with_a_staple)
{
    struct tls_client_spec spec = {
        .version = versions[_i % 2], .sni = "a.example", .asks_staple = true};

    if (_i >= 2)
        spool_response(ec, PKI_REVOKED);
    spool_response(rsa, PKI_GOOD);
    make_context(TLS_STAPLE_REQUIRE, false);
    connect_client(&spec);
    ck_assert_msg(got.is_ready, "%s", got.err.text);
    ck_assert_int_eq(got.key_type, EVP_PKEY_RSA);
    ck_assert_int_eq(got.info.staple, TLS_STAPLE_SENT);
    forget_session();
    spec.asks_staple = false;
    connect_client(&spec);
    ck_assert_int_eq(got.key_type, EVP_PKEY_EC);
}
END_TEST

START_TEST(tls_context_require_without_any_staple_says_why)
{
    const struct tls_client_spec spec = {
        .version = versions[_i], .sni = "a.example", .asks_staple = true};

    make_context(TLS_STAPLE_REQUIRE, false);
    connect_client(&spec);
    ck_assert(!got.is_ready);
    ck_assert_int_eq(got.err.kind, ERR_REJECTED);
    ck_assert_str_eq(got.err.text,
        "staple: require, but no certificate of the site has one: the spool "
        "has no response for it");
}
END_TEST

START_TEST(tls_context_words_of_staple_results)
{
    ck_assert_str_eq(tls_staple_result_word(TLS_STAPLE_NOT_ASKED), "not_asked");
    ck_assert_str_eq(tls_staple_result_word(TLS_STAPLE_SENT), "sent");
    ck_assert_str_eq(tls_staple_result_word(TLS_STAPLE_NONE), "none");
}
END_TEST

#define COUNT(table) (int)(sizeof(table) / sizeof((table)[0]))

int
main(void)
{
    Suite *suite = suite_create("tls_context");
    TCase *tc = tcase_create("tls_context");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tc);
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(
        tc, tls_context_finds_the_site_of_a_name, 0, COUNT(names));
    tcase_add_loop_test(
        tc, tls_site_parses_no_malformed_name, 0, COUNT(extensions));
    tcase_add_test(tc, tls_context_keeps_tickets_within_their_site);
    tcase_add_test(tc, tls_context_holds_a_site_to_its_version);
    tcase_add_test(tc, tls_context_without_sites_refuses_all);
    tcase_add_test(tc, tls_context_refuses_a_key_that_is_too_small);
    tcase_add_loop_test(
        tc, tls_context_offers_http_1_alone, 0, COUNT(protocols));
    tcase_add_loop_test(tc, tls_context_staples_each_certificate_its_own, 0, 2);
    tcase_add_loop_test(
        tc, tls_context_prefer_serves_without_and_never_out_of_date, 0, 2);
    tcase_add_test(tc, tls_context_prefer_staples_a_revoked_response);
    tcase_add_loop_test(
        tc, tls_context_require_takes_the_certificate_with_a_staple, 0, 4);
    tcase_add_loop_test(
        tc, tls_context_require_without_any_staple_says_why, 0, 2);
    tcase_add_test(tc, tls_context_words_of_staple_results);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
