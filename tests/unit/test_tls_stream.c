/*
 * The TLS stream between an OpenSSL client in memory and a recording owner.
 * Input: handshakes, data in any split, half-closes, rubbish. Output: what the
 * owner and the client get.
 */
#include "wsgate/tls/tls_stream.h"

#include "shared/now.h"
#include "tests/support/fake_stream.h"
#include "tests/support/pki.h"
#include "tests/support/tls_client.h"

#include <check.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

struct owner {
    struct stream *stream;
    struct buf data;
    size_t takes; /* per call; 0: nothing */
    bool closes_on_data;
    bool closes_on_ready;
    bool pauses_on_ready;
    const char *says_on_ready;
    unsigned ready, eof, drains, errors, ended, closed;
    struct err err;
};

static uv_loop_t uv;
static struct net_loop net;
static struct tls_context *context;
static struct fake_stream *lower;
static struct owner owner;

/* ---- the owner ------------------------------------------------------------ */

static size_t
on_data(void *ctx, struct span bytes)
{
    struct owner *o = ctx;
    size_t n = bytes.len < o->takes ? bytes.len : o->takes;

    ck_assert_uint_eq(o->closed, 0);
    ck_assert_uint_eq(o->eof, 0);
    ck_assert(buf_add(&o->data, span_sub(bytes, 0, n)));
    if (o->closes_on_data)
        stream_close(o->stream);
    return n;
}

static void
on_eof(void *ctx)
{
    ((struct owner *)ctx)->eof++;
}

static void
on_drain(void *ctx)
{
    ((struct owner *)ctx)->drains++;
}

static void
on_error(void *ctx, const struct err *err)
{
    struct owner *o = ctx;

    o->errors++;
    o->err = *err;
    stream_close(o->stream);
}

static void
on_closed(void *ctx)
{
    ((struct owner *)ctx)->closed++;
}

static void
on_ready(void *ctx)
{
    struct owner *o = ctx;

    o->ready++;
    if (o->says_on_ready != NULL)
        stream_write(o->stream, span_str(o->says_on_ready));
    if (o->pauses_on_ready)
        stream_pause(o->stream);
    if (o->closes_on_ready)
        stream_close(o->stream);
}

static void
on_ended(void *ctx)
{
    ((struct owner *)ctx)->ended++;
}

static const struct stream_events events = {
    .on_data = on_data,
    .on_eof = on_eof,
    .on_drain = on_drain,
    .on_error = on_error,
    .on_closed = on_closed,
    .on_ready = on_ready,
    .on_ended = on_ended,
};

/* ---- the world ------------------------------------------------------------ */

static struct tls_cert *
make_cert(enum pki_key key)
{
    const struct pki_spec spec = {
        .cn = "a.example", .key = key, .san = "DNS:a.example"};
    struct pki_cert *made = pki_issue(&spec);
    struct tls_cert *cert = NULL;
    struct tls_cert_source source = {"chain.pem", "key.pem", SPAN_EMPTY,
        SPAN_EMPTY, SPAN_EMPTY, SPAN_EMPTY, TLS_STAPLE_PREFER};
    struct buf chain, pem;

    buf_init(&chain, 100000);
    buf_init(&pem, 100000);
    pki_add_pem(made, &chain);
    pki_add_key_pem(made, &pem);
    source.chain_pem = buf_span(&chain);
    source.key_pem = buf_span(&pem);
    ck_assert(tls_cert_new(&source, NULL, PKI_NOW, &cert, NULL));
    buf_fini(&chain);
    buf_fini(&pem);
    pki_free(made);
    return cert;
}

static void
setup(void)
{
    static const char *const hosts[] = {"a.example"};
    struct tls_cert *certs[2] = {make_cert(PKI_EC), make_cert(PKI_RSA2048)};
    const struct tls_site site = {hosts, 1, certs, 2, false};
    struct err err;

    now_set_wall(PKI_NOW);
    ck_assert_int_eq(uv_loop_init(&uv), 0);
    ck_assert(net_loop_init(&net, &uv, NULL));
    ck_assert_msg(tls_context_new(&site, 1, &context, &err), "%s", err.text);
    tls_cert_unref(certs[0]);
    tls_cert_unref(certs[1]);
    owner = (struct owner){.takes = SIZE_MAX};
    buf_init(&owner.data, SIZE_MAX / 2);
    lower = fake_stream_new();
    lower->is_paused = true;
    owner.stream =
        tls_stream_accept(&net, &lower->base, context, &events, &owner, NULL);
    ck_assert_ptr_nonnull(owner.stream);
}

static void
teardown(void)
{
    if (!lower->is_closed)
        stream_close(owner.stream);
    fake_stream_finish(lower);
    ck_assert_uint_eq(owner.closed, 1);
    net_loop_flush(&net); /* nothing of the dead is left in it */
    tls_context_unref(context);
    buf_fini(&owner.data);
    net_loop_close(&net);
    (void)uv_run(&uv, UV_RUN_DEFAULT);
    net_loop_fini(&net);
    ck_assert_int_eq(uv_loop_close(&uv), 0);
    ck_assert_uint_eq(ERR_peek_error(), 0);
}

static struct tls_client *
connected(int version)
{
    const struct tls_client_spec spec = {.version = version};
    struct tls_client *c = tls_client_new(&spec);

    ck_assert(tls_client_run(c, lower, &net));
    ck_assert_uint_eq(owner.ready, 1);
    return c;
}

static void
run(struct tls_client *c)
{
    (void)tls_client_run(c, lower, &net);
}

static bool
owner_got(const char *text)
{
    return span_eq(buf_span(&owner.data), span_str(text));
}

static bool
client_got(const struct tls_client *c, const char *text)
{
    return span_eq(buf_span(&c->received), span_str(text));
}

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
static const char *const version_names[] = {"TLSv1.2", "TLSv1.3"};

/* ---- handshake and data --------------------------------------------------- */

static const struct {
    const char *sigalgs;
    int key_type;
} kinds[] = {
    {"ECDSA+SHA256", EVP_PKEY_EC},
    {"RSA-PSS+SHA256:RSA+SHA256", EVP_PKEY_RSA},
    {"ECDSA+SHA256:RSA-PSS+SHA256", EVP_PKEY_EC},
};

START_TEST(tls_shows_the_certificate_that_the_client_can_verify)
{
    const struct tls_client_spec spec = {.version = versions[_i % 2],
        .sni = "a.example",
        .alpn = "\x08http/1.1",
        .sigalgs = kinds[_i / 2].sigalgs};
    struct tls_client *c = tls_client_new(&spec);
    const unsigned char *alpn;
    unsigned alpn_len;
    struct tls_info info;

    ck_assert_msg(tls_client_run(c, lower, &net), "%s", owner.err.text);
    ck_assert_int_eq(EVP_PKEY_get_base_id(
                         X509_get0_pubkey(SSL_get0_peer_certificate(c->ssl))),
        kinds[_i / 2].key_type);
    tls_stream_info(owner.stream, &info);
    ck_assert_str_eq(info.version, version_names[_i % 2]);
    ck_assert_str_eq(info.sni, "a.example");
    ck_assert_int_eq(info.site, 0);
    ck_assert(!info.resumed);
    ck_assert_int_eq(info.staple, TLS_STAPLE_NOT_ASKED);
    SSL_get0_alpn_selected(c->ssl, &alpn, &alpn_len);
    ck_assert(span_eq(span_make(alpn, alpn_len), SPAN_LIT("http/1.1")));
    tls_client_free(c);
}
END_TEST

START_TEST(tls_carries_data_both_ways)
{
    struct tls_client *c;

    owner.says_on_ready = "welcome ";
    stream_write(owner.stream, SPAN_LIT("early "));
    c = connected(versions[_i]);
    tls_client_write(c, SPAN_LIT("question"));
    run(c);
    ck_assert(owner_got("question"));
    stream_write(owner.stream, SPAN_LIT("answer"));
    run(c);
    ck_assert(client_got(c, "early welcome answer"));
    ck_assert_uint_eq(owner.errors, 0);
    tls_client_free(c);
}
END_TEST

START_TEST(tls_works_one_byte_at_a_time)
{
    struct tls_client *c;

    lower->chunk = 1;
    c = connected(versions[_i]);
    tls_client_write(c, SPAN_LIT("slowly"));
    tls_client_end(c);
    run(c);
    ck_assert(owner_got("slowly"));
    ck_assert_uint_eq(owner.eof, 1);
    tls_client_free(c);
}
END_TEST

/* What the browser sends in the flight of its Finished. */
START_TEST(tls_reads_on_behind_the_handshake)
{
    const struct tls_client_spec spec = {.version = TLS1_3_VERSION};
    struct tls_client *c = tls_client_new(&spec);

    lower->is_paused = true;
    while (!c->is_connected) {
        net_loop_flush(&net);
        lower->is_paused = false;
        run(c);
    }
    tls_client_write(c, SPAN_LIT("GET /"));
    tls_client_end(c);
    run(c);
    ck_assert(owner_got("GET /"));
    ck_assert_uint_eq(owner.eof, 1);
    tls_client_free(c);
}
END_TEST

START_TEST(tls_resumes_with_a_ticket)
{
    struct tls_client_spec spec = {.version = versions[_i]};
    struct tls_client *first = connected(versions[_i]);
    struct tls_client *second;
    struct tls_info info;

    ck_assert_ptr_nonnull(first->session);
    stream_close(owner.stream);
    fake_stream_finish(lower);
    owner.closed = 0;
    owner.ready = 0;
    lower = fake_stream_new();
    owner.stream =
        tls_stream_accept(&net, &lower->base, context, &events, &owner, NULL);
    spec.session = first->session;
    second = tls_client_new(&spec);
    ck_assert(tls_client_run(second, lower, &net));
    ck_assert(SSL_session_reused(second->ssl));
    tls_stream_info(owner.stream, &info);
    ck_assert(info.resumed);
    tls_client_free(first);
    tls_client_free(second);
}
END_TEST

/* ---- back-pressure -------------------------------------------------------- */

static void
fill(unsigned char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (unsigned char)(i * 7 + i / 251);
}

enum { BIG = 1000000 };

START_TEST(tls_carries_a_megabyte_to_an_owner_that_takes_little)
{
    static unsigned char big[BIG];
    struct tls_client *c = connected(versions[_i]);
    unsigned rounds = 0;

    fill(big, BIG);
    owner.takes = 10000; /* less than a record: pauses each time */
    lower->chunk = 65536;
    tls_client_write(c, span_make(big, BIG));
    tls_client_end(c);
    run(c);
    while (owner.data.len < BIG) {
        ck_assert(lower->is_paused);
        ck_assert_uint_eq(owner.eof, 0);
        ck_assert_uint_lt(rounds++, 1000);
        stream_resume(owner.stream);
        net_loop_flush(&net);
    }
    ck_assert_int_eq(memcmp(owner.data.data, big, BIG), 0);
    stream_resume(owner.stream);
    net_loop_flush(&net);
    ck_assert_uint_eq(owner.eof, 1);
    tls_client_free(c);
}
END_TEST

START_TEST(tls_pauses_the_lower_stream_and_goes_on)
{
    static unsigned char big[BIG];
    struct tls_client *c = connected(versions[_i]);

    fill(big, BIG);
    stream_pause(owner.stream);
    ck_assert(lower->is_paused);
    tls_client_write(c, span_make(big, BIG));
    run(c);
    ck_assert_uint_eq(owner.data.len, 0);
    stream_resume(owner.stream);
    ck_assert_uint_eq(owner.data.len, 0); /* never from within the call */
    run(c);
    ck_assert_uint_eq(owner.data.len, BIG);
    ck_assert_int_eq(memcmp(owner.data.data, big, BIG), 0);
    tls_client_free(c);
}
END_TEST

START_TEST(tls_counts_what_waits_below_and_tells_the_drain)
{
    static unsigned char big[BIG];
    struct tls_client *c = connected(versions[_i]);

    fill(big, BIG);
    lower->holds_output = true;
    stream_write(owner.stream, span_make(big, BIG));
    ck_assert_uint_gt(stream_queued(owner.stream), BIG);
    ck_assert_uint_eq(owner.drains, 0);
    fake_stream_sends(lower, lower->queued);
    ck_assert_uint_eq(owner.drains, 1);
    ck_assert_uint_eq(stream_queued(owner.stream), 0);
    run(c);
    ck_assert_uint_eq(c->received.len, BIG);
    ck_assert_int_eq(memcmp(c->received.data, big, BIG), 0);
    tls_client_free(c);
}
END_TEST

START_TEST(tls_paused_in_on_ready_keeps_the_first_request)
{
    struct tls_client *c;

    owner.pauses_on_ready = true;
    c = connected(versions[_i]);
    tls_client_write(c, SPAN_LIT("first"));
    tls_client_end(c);
    run(c);
    ck_assert_uint_eq(owner.data.len, 0);
    ck_assert_uint_eq(owner.eof, 0);
    stream_resume(owner.stream);
    run(c);
    ck_assert(owner_got("first"));
    ck_assert_uint_eq(owner.eof, 1);
    tls_client_free(c);
}
END_TEST

/* ---- ends ----------------------------------------------------------------- */

START_TEST(tls_half_closes_both_ways)
{
    struct tls_client *c = connected(TLS1_3_VERSION);

    tls_client_write(c, SPAN_LIT("request"));
    tls_client_end(c);
    run(c);
    ck_assert_uint_eq(owner.eof, 1);
    ck_assert(!c->had_eof);
    stream_write(owner.stream, SPAN_LIT("still here"));
    run(c);
    ck_assert(client_got(c, "still here"));
    stream_end(owner.stream);
    ck_assert(lower->is_ended);
    /* the fake refuses writes behind its end: close_notify went before */
    run(c);
    ck_assert(c->had_eof);
    fake_stream_sends(lower, 0);
    ck_assert_uint_eq(owner.ended, 1);
    ck_assert_uint_eq(owner.errors, 0);
    tls_client_free(c);
}
END_TEST

START_TEST(tls_server_ends_first_and_still_reads)
{
    struct tls_client *c = connected(versions[_i]);

    stream_end(owner.stream);
    run(c);
    ck_assert(c->had_eof);
    if (versions[_i] == TLS1_3_VERSION) {
        tls_client_write(c, SPAN_LIT("late"));
        run(c);
        ck_assert(owner_got("late"));
    }
    tls_client_end(c);
    run(c);
    ck_assert_uint_eq(owner.eof, 1);
    tls_client_free(c);
}
END_TEST

START_TEST(tls_close_answers_with_close_notify)
{
    struct tls_client *c = connected(versions[_i]);

    tls_client_end(c);
    run(c);
    stream_close(owner.stream);
    run(c);
    ck_assert(c->had_eof);
    tls_client_free(c);
}
END_TEST

START_TEST(tls_fin_without_close_notify_is_eof)
{
    struct tls_client *c = connected(versions[_i]);

    tls_client_write(c, SPAN_LIT("cut"));
    run(c);
    fake_stream_feed_eof(lower);
    ck_assert_uint_eq(owner.eof, 1);
    ck_assert_uint_eq(owner.errors, 0);
    ck_assert(owner_got("cut"));
    tls_client_free(c);
}
END_TEST

START_TEST(tls_fin_waits_for_a_paused_owner)
{
    struct tls_client *c = connected(versions[_i]);

    owner.takes = 1;
    tls_client_write(c, SPAN_LIT("xyz"));
    run(c);
    lower->is_paused = false; /* a lower stream that tells it all the same */
    fake_stream_feed_eof(lower);
    ck_assert_uint_eq(owner.eof, 0);
    owner.takes = 100;
    stream_resume(owner.stream);
    net_loop_flush(&net);
    ck_assert(owner_got("xyz"));
    ck_assert_uint_eq(owner.eof, 1);
    tls_client_free(c);
}
END_TEST

START_TEST(tls_owner_may_close_in_any_callback)
{
    struct tls_client *c;

    owner.closes_on_ready = _i == 0;
    owner.closes_on_data = _i == 1;
    c = connected(TLS1_3_VERSION);
    tls_client_write(c, SPAN_LIT("x"));
    tls_client_write(c, SPAN_LIT("y"));
    run(c);
    ck_assert(lower->is_closed);
    ck_assert_uint_eq(owner.data.len, _i == 0 ? 0 : 2);
    ck_assert_uint_eq(owner.errors, 0);
    tls_client_free(c);
}
END_TEST

/* ---- rubbish -------------------------------------------------------------- */

static void
ck_failed(enum err_kind kind, const char *text)
{
    ck_assert_uint_eq(owner.errors, 1);
    ck_assert_uint_eq(owner.ready, 0);
    ck_assert_int_eq(owner.err.kind, kind);
    ck_assert_msg(strstr(owner.err.text, text) != NULL, "%s", owner.err.text);
}

static const char *const http[] = {"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\n\r\n", "POST /x HTTP/1.0\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"};

START_TEST(tls_answers_plain_http_in_plain_http)
{
    lower->chunk = _i % 2 == 0 ? 0 : 1;
    net_loop_flush(&net);
    fake_stream_feed(lower, span_str(http[_i / 2]));
    ck_failed(ERR_FORMAT, "plain HTTP on a TLS port");
    ck_assert(
        span_starts(buf_span(&lower->written), SPAN_LIT("HTTP/1.1 400 ")));
    ck_assert(lower->is_closed);
}
END_TEST

static const struct {
    const char *bytes;
    size_t len;
} rubbish[] = {
    {"GETTING somewhere else entirely", 31},
    {"SSH-2.0-OpenSSH_9.2\r\n", 21},
    {"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 10},
    {"\x16\x03\x01\x00\x00\x16\x03\x01\x00\x00\x16\x03\x01\x00\x00", 15},
    {"\x15\x03\x03\x00\x02\x02\x28", 7},
    {"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10xxxxxxxxxxxx", 23},
    {"\x17\x03\x03\x00\x01\x00", 6},
};

START_TEST(tls_refuses_rubbish_with_one_error)
{
    lower->chunk = _i % 2 == 0 ? 0 : 1;
    net_loop_flush(&net);
    fake_stream_feed(
        lower, span_make(rubbish[_i / 2].bytes, rubbish[_i / 2].len));
    if (owner.errors == 0) /* waits for more: there is none */
        fake_stream_feed_eof(lower);
    ck_assert_uint_eq(owner.errors, 1);
    ck_assert_uint_eq(owner.ready, 0);
    ck_assert(owner.err.text[0] != 0);
    ck_assert(lower->is_closed);
}
END_TEST

START_TEST(tls_reports_a_damaged_record)
{
    struct tls_client *c = connected(versions[_i]);

    fake_stream_feed(lower, SPAN_LIT("\x17\x03\x03\x00\x20"
                                     "0123456789abcdef0123456789abcdef"));
    ck_assert_uint_eq(owner.errors, 1);
    ck_assert_str_eq(owner.err.text, "damaged TLS record");
    ck_assert_int_eq(owner.err.kind, ERR_FORMAT);
    run(c);
    ck_assert_int_eq(tls_client_alert(c), SSL_AD_BAD_RECORD_MAC);
    tls_client_free(c);
}
END_TEST

START_TEST(tls_says_when_the_client_leaves_in_the_handshake)
{
    net_loop_flush(&net);
    if (_i == 0)
        fake_stream_feed_eof(lower);
    else
        fake_stream_feed_error(lower, "read: connection reset by peer");
    ck_failed(ERR_SYSTEM, "during the handshake");
}
END_TEST

static const struct {
    struct tls_client_spec spec;
    int alert;
    const char *text;
} refused[] = {
    {{.version = TLS1_1_VERSION}, SSL_AD_PROTOCOL_VERSION,
        "client offers no TLS version"},
    {{.version = TLS1_2_VERSION, .ciphers = "AES128-SHA"},
        SSL_AD_HANDSHAKE_FAILURE, "no cipher in common"},
    {{.version = TLS1_3_VERSION, .sigalgs = "ed25519"},
        SSL_AD_HANDSHAKE_FAILURE, "can verify none"},
    {{.version = TLS1_3_VERSION, .groups = "ffdhe3072"},
        SSL_AD_HANDSHAKE_FAILURE, "no key exchange group"},
    {{.sni = "b.example"}, SSL_AD_UNRECOGNIZED_NAME,
        "client asks for \"b.example\", which is no site here"},
    {{.alpn = "\x02h2"}, SSL_AD_NO_APPLICATION_PROTOCOL, "no HTTP/1 "},
};

START_TEST(tls_refusal_names_the_reason_and_sends_its_alert)
{
    struct tls_client *c = tls_client_new(&refused[_i].spec);

    run(c);
    ck_assert(!c->is_connected);
    ck_failed(ERR_REJECTED, refused[_i].text);
    ck_assert_int_eq(tls_client_alert(c), refused[_i].alert);
    tls_client_free(c);
}
END_TEST

static int
trust_nobody(int ok, X509_STORE_CTX *store)
{
    (void)ok;
    X509_STORE_CTX_set_error(store, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT);
    return 0;
}

START_TEST(tls_tells_that_the_client_does_not_trust_us)
{
    const struct tls_client_spec spec = {.version = TLS1_2_VERSION};
    struct tls_client *c = tls_client_new(&spec);

    SSL_set_verify(c->ssl, SSL_VERIFY_PEER, trust_nobody);
    run(c);
    ck_failed(ERR_REJECTED, "client does not trust the certificate (alert 48)");
    tls_client_free(c);
}
END_TEST

START_TEST(tls_survives_key_updates)
{
    struct tls_client *c = connected(TLS1_3_VERSION);

    for (int i = 0; i < 40; i++) {
        ck_assert_int_eq(SSL_key_update(c->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        tls_client_write(c, SPAN_LIT("."));
        run(c);
        stream_write(owner.stream, SPAN_LIT("!"));
        run(c);
    }
    ck_assert_uint_eq(owner.data.len, 40);
    ck_assert_uint_eq(c->received.len, 40);
    ck_assert_uint_eq(owner.errors, 0);
    tls_client_free(c);
}
END_TEST

START_TEST(tls_refuses_renegotiation)
{
    struct tls_client *c = connected(TLS1_2_VERSION);

    ck_assert_int_eq(SSL_renegotiate(c->ssl), 1);
    (void)SSL_do_handshake(c->ssl);
    ERR_clear_error();
    run(c);
    ck_assert(c->has_failed);
    ck_assert_uint_eq(owner.ready, 1);
    tls_client_free(c);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("tls_stream");
    TCase *tc = tcase_create("tls_stream");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tc);
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(
        tc, tls_shows_the_certificate_that_the_client_can_verify, 0, 6);
    tcase_add_loop_test(tc, tls_carries_data_both_ways, 0, 2);
    tcase_add_loop_test(tc, tls_works_one_byte_at_a_time, 0, 2);
    tcase_add_test(tc, tls_reads_on_behind_the_handshake);
    tcase_add_loop_test(tc, tls_resumes_with_a_ticket, 0, 2);
    tcase_add_loop_test(
        tc, tls_carries_a_megabyte_to_an_owner_that_takes_little, 0, 2);
    tcase_add_loop_test(tc, tls_pauses_the_lower_stream_and_goes_on, 0, 2);
    tcase_add_loop_test(
        tc, tls_counts_what_waits_below_and_tells_the_drain, 0, 2);
    tcase_add_loop_test(
        tc, tls_paused_in_on_ready_keeps_the_first_request, 0, 2);
    tcase_add_test(tc, tls_half_closes_both_ways);
    tcase_add_loop_test(tc, tls_server_ends_first_and_still_reads, 0, 2);
    tcase_add_loop_test(tc, tls_close_answers_with_close_notify, 0, 2);
    tcase_add_loop_test(tc, tls_fin_without_close_notify_is_eof, 0, 2);
    tcase_add_loop_test(tc, tls_fin_waits_for_a_paused_owner, 0, 2);
    tcase_add_loop_test(tc, tls_owner_may_close_in_any_callback, 0, 2);
    tcase_add_loop_test(tc, tls_answers_plain_http_in_plain_http, 0,
        2 * (int)(sizeof(http) / sizeof(http[0])));
    tcase_add_loop_test(tc, tls_refuses_rubbish_with_one_error, 0,
        2 * (int)(sizeof(rubbish) / sizeof(rubbish[0])));
    tcase_add_loop_test(tc, tls_reports_a_damaged_record, 0, 2);
    tcase_add_loop_test(
        tc, tls_says_when_the_client_leaves_in_the_handshake, 0, 2);
    tcase_add_loop_test(tc, tls_refusal_names_the_reason_and_sends_its_alert, 0,
        (int)(sizeof(refused) / sizeof(refused[0])));
    tcase_add_test(tc, tls_tells_that_the_client_does_not_trust_us);
    tcase_add_test(tc, tls_survives_key_updates);
    tcase_add_test(tc, tls_refuses_renegotiation);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
