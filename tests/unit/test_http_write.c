/*
 * http_write: heads from their normal form, the forwarded family, framing,
 * chunks, our own replies.
 * Input: heads read by http_parse. Output: Check.
 */
#include "wsgate/http/http_parse.h"
#include "wsgate/http/http_write.h"

#include <check.h>
#include <stdlib.h>

static struct http_parser *parser;
static struct buf out;

static void
setup(void)
{
    buf_init(&out, 1 << 16);
    parser = NULL;
}

static void
teardown(void)
{
    buf_fini(&out);
    http_parser_free(parser);
}

static void
read_head(const char *text)
{
    struct span data;
    struct err err = {.kind = ERR_NONE};
    size_t eaten = 0;

    ck_assert_msg(http_parser_feed(parser, span_str(text), &eaten, &data,
                      &err) == HTTP_EVENT_HEAD,
        "%s", err.text);
}

static const struct http_request *
request(const char *text)
{
    parser = http_parser_new_request(NULL);
    read_head(text);
    return http_parser_request(parser);
}

static const struct http_response *
response(const char *text, enum http_method method, bool upgrade)
{
    parser = http_parser_new_response(NULL);
    http_parser_expect(parser, method, upgrade);
    read_head(text);
    return http_parser_response(parser);
}

static const struct http_peer v4 = {
    .client = "192.0.2.1",
    .forwarded_for = "192.0.2.1, 10.0.0.9",
    .request_id = "id-1",
    .is_tls = true,
    .host = "a.example:8443",
    .port = 8443,
};
static const struct http_peer v6 = {
    .client = "2001:db8::1", .host = "a", .port = 80};
static const struct http_framing no_body = {.body = HTTP_BODY_NONE};
static const struct http_framing chunked = {.body = HTTP_BODY_CHUNKED};
static const struct http_framing until_close = {.body = HTTP_BODY_UNTIL_CLOSE};
static const struct http_framing five = {.body = HTTP_BODY_LENGTH, .length = 5};
static const struct http_framing empty = {.body = HTTP_BODY_LENGTH};

#define V4                                                                     \
    "X-Forwarded-For: 192.0.2.1, 10.0.0.9\r\nX-Forwarded-Proto: https\r\n"     \
    "X-Forwarded-Host: a.example:8443\r\nX-Forwarded-Port: 8443\r\n"           \
    "Forwarded: for=192.0.2.1, "                                               \
    "for=10.0.0.9;host=\"a.example:8443\";proto=https\r\n"                     \
    "X-Real-IP: 192.0.2.1\r\nX-Request-Id: id-1\r\n"
#define V6                                                                     \
    "X-Forwarded-For: 2001:db8::1\r\nX-Forwarded-Proto: http\r\n"              \
    "X-Forwarded-Host: a\r\nX-Forwarded-Port: 80\r\n"                          \
    "Forwarded: for=\"[2001:db8::1]\";host=\"a\";proto=http\r\n"               \
    "X-Real-IP: 2001:db8::1\r\n"

START_TEST(request_is_written_anew)
{
    const struct http_request *head = request(
        "POST /a/../b%41?q=1 HTTP/1.0\r\nHost: a.example:8443\r\nA:  b \r\n"
        "TE: trailers\r\nKeep-Alive: 5\r\nConnection: x-hop\r\nX-Hop: 1\r\n"
        "Expect: 100-continue\r\nContent-Length: 9\r\nProxy: evil\r\n\r\n");

    ck_assert(http_write_request(&out, head, &v4, &five, false, true));
    ck_assert_str_eq(buf_cstr(&out),
        "POST /bA?q=1 HTTP/1.1\r\nHost: a.example:8443\r\nA: b\r\n" V4
        "Content-Length: 5\r\n\r\n");
}
END_TEST

START_TEST(forged_forwarding_is_removed)
{
    const struct http_request *head = request(
        "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\n"
        "x-forwarded-proto: https\r\nForwarded: for=1.1.1.1\r\n"
        "X-Real-Ip: 1.1.1.1\r\nX_Real_IP: 1.1.1.1\r\nX-Request-ID: evil\r\n"
        "traceparent: 00-a-b-01\r\n\r\n");

    ck_assert(http_write_request(&out, head, &v6, &no_body, false, false));
    ck_assert_str_eq(buf_cstr(&out),
        "GET / HTTP/1.1\r\nHost: a\r\ntraceparent: 00-a-b-01\r\n" V6
        "Connection: close\r\n\r\n");
}
END_TEST

START_TEST(forged_forwarding_is_removed_from_upgrades)
{
    const struct http_request *head = request(
        "GET /c?x HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade, "
        "X-Real-IP\r\nUpgrade: websocket, h2c\r\nX-Forwarded-For: 1.1.1.1\r\n"
        "Sec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\n\r\n");

    ck_assert(http_write_request(&out, head, &v6, &no_body, true, true));
    ck_assert_str_eq(buf_cstr(&out),
        "GET /c?x HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: k\r\n"
        "Sec-WebSocket-Version: 13\r\n" V6
        "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
}
END_TEST

START_TEST(authority_of_absolute_form_becomes_host)
{
    const struct http_request *head =
        request("GET http://b.example:81?q HTTP/1.1\r\nHost: a\r\n\r\n");

    ck_assert(http_write_request(&out, head, &v6, &chunked, false, true));
    ck_assert_str_eq(buf_cstr(&out),
        "GET /?q HTTP/1.1\r\nHost: b.example:81\r\n" V6
        "Transfer-Encoding: chunked\r\n\r\n");
}
END_TEST

START_TEST(forwarded_node_that_is_no_address_is_unknown)
{
    struct http_peer peer = {
        .client = "::1", .forwarded_for = "evil\";x=\", ::1", .host = ""};
    const struct http_request *head = request("GET / HTTP/1.0\r\n\r\n");

    ck_assert(http_write_request(&out, head, &peer, &no_body, false, true));
    ck_assert_ptr_nonnull(strstr(buf_cstr(&out),
        "\r\nForwarded: for=unknown, for=\"[::1]\";proto=http\r\n"));
}
END_TEST

START_TEST(full_buffer_leaves_nothing_behind)
{
    const struct http_request *head =
        request("GET / HTTP/1.1\r\nHost: a\r\n\r\n");

    for (size_t max = 4; max < 200; max++) {
        buf_fini(&out);
        buf_init(&out, max);
        ck_assert(buf_add_str(&out, "keep"));
        ck_assert(!http_write_request(&out, head, &v4, &no_body, false, true));
        ck_assert_str_eq(buf_cstr(&out), "keep");
    }
}
END_TEST

START_TEST(field_with_line_break_is_not_written)
{
    struct http_response head;

    http_response_init(&head);
    head.status = 200;
    ck_assert(http_fields_add(
        &head.fields, SPAN_LIT("A"), SPAN_LIT("b\r\nSet-Cookie: c")));
    ck_assert(!http_write_response(&out, &head, 1, &empty, true, 0));
    ck_assert_uint_eq(out.len, 0);
    http_response_fini(&head);
}
END_TEST

/* A response gets one where none came; the test asks at the epoch. */
#define DATE "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"

static const struct {
    const char *name;
    const char *in;
    enum http_method method;
    unsigned client_minor;
    const struct http_framing *framing;
    bool keep_alive;
    const char *out;
} responses[] = {
    {"date_of_the_backend_stays", "HTTP/1.1 200 OK\r\nDate: x\r\n\r\n",
        HTTP_GET, 1, &five, true,
        "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 5\r\n\r\n"},
    {"length_is_rewritten",
        "HTTP/1.0 200 Fine\r\nServer: x\r\nContent-Length: 7\r\n"
        "Connection: close\r\nUpgrade: h2c\r\nKeep-Alive: 1\r\n\r\n",
        HTTP_GET, 1, &five, true,
        "HTTP/1.1 200 Fine\r\nServer: x\r\n" DATE "Content-Length: 5\r\n\r\n"},
    {"reason_is_made", "HTTP/1.1 404\r\n\r\n", HTTP_GET, 1, &empty, false,
        "HTTP/1.1 404 Not Found\r\n" DATE "Content-Length: 0\r\n"
        "Connection: close\r\n\r\n"},
    {"chunked", "HTTP/1.1 200 OK\r\n\r\n", HTTP_GET, 1, &chunked, true,
        "HTTP/1.1 200 OK\r\n" DATE "Transfer-Encoding: chunked\r\n\r\n"},
    {"until_close_closes", "HTTP/1.1 200 OK\r\n\r\n", HTTP_GET, 0, &until_close,
        true, "HTTP/1.1 200 OK\r\n" DATE "Connection: close\r\n\r\n"},
    {"http10_keep_alive", "HTTP/1.1 200 OK\r\n\r\n", HTTP_GET, 0, &five, true,
        "HTTP/1.1 200 OK\r\n" DATE "Content-Length: 5\r\n"
        "Connection: keep-alive\r\n\r\n"},
    {"length_of_head_passes", "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n",
        HTTP_HEAD, 1, &no_body, true,
        "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n" DATE "\r\n"},
    {"not_modified_keeps_length",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", HTTP_GET, 1,
        &no_body, true,
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n" DATE "\r\n"},
    {"no_content_has_no_length",
        "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", HTTP_GET, 1,
        &empty, true, "HTTP/1.1 204 No Content\r\n" DATE "\r\n"},
    {"early_hints", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", HTTP_GET, 1,
        &no_body, false, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"},
    {"upgrade_required_names_it",
        "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n",
        HTTP_GET, 1, &empty, false,
        "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\n" DATE
        "Content-Length: 0\r\nConnection: Upgrade, close\r\n"
        "Upgrade: websocket\r\n\r\n"},
    {"switching",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
        "Upgrade: WebSocket\r\nSec-WebSocket-Accept: x\r\n\r\n",
        HTTP_GET, 1, &no_body, true,
        "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"},
};
enum { RESPONSES = sizeof(responses) / sizeof(responses[0]) };

START_TEST(response_is_written_anew)
{
    const struct http_response *head =
        response(responses[_i].in, responses[_i].method, true);

    ck_assert(http_write_response(&out, head, responses[_i].client_minor,
        responses[_i].framing, responses[_i].keep_alive, 0));
    ck_assert_msg(strcmp(buf_cstr(&out), responses[_i].out) == 0, "%s: %s",
        responses[_i].name, buf_cstr(&out));
}
END_TEST

START_TEST(chunks)
{
    struct http_fields trailers = {.items = NULL};

    ck_assert(http_write_chunk_head(&out, 26));
    ck_assert(http_write_chunk_head(&out, SIZE_MAX));
    ck_assert(http_write_last_chunk(&out, NULL));
    ck_assert(
        http_fields_add(&trailers, SPAN_LIT("Digest"), SPAN_LIT("x")) &&
        http_fields_add(&trailers, SPAN_LIT("Connection"), SPAN_LIT("x")) &&
        http_fields_add(&trailers, SPAN_LIT("X-Real-IP"), SPAN_LIT("x")));
    ck_assert(http_write_last_chunk(&out, &trailers));
    ck_assert_str_eq(buf_cstr(&out),
        "1a\r\nffffffffffffffff\r\n0\r\n\r\n0\r\nDigest: x\r\n\r\n");
    ck_assert_uint_le(strlen("ffffffffffffffff\r\n"), HTTP_CHUNK_HEAD_MAX);
    free(trailers.items);
}
END_TEST

START_TEST(own_replies)
{
    ck_assert(http_write_reply(
        &out, 405, "No.", "Allow: GET\r\n", false, false, 784111777));
    ck_assert_str_eq(buf_cstr(&out),
        "HTTP/1.1 405 Method Not Allowed\r\n"
        "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 4\r\n"
        "Connection: close\r\nAllow: GET\r\n\r\nNo.\n");
    buf_clear(&out);
    ck_assert(http_write_reply(&out, 404, "No.", "", true, true, 0));
    ck_assert(
        span_ends(buf_span(&out), SPAN_LIT("Connection: keep-alive\r\n\r\n")));
    buf_clear(&out);
    ck_assert(http_write_reply(&out, 426, "No.", "", false, true, 0));
    ck_assert(
        span_ends(buf_span(&out), SPAN_LIT("Connection: Upgrade, close\r\n"
                                           "Upgrade: websocket\r\n\r\n")));
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("http_write");
    TCase *tc = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failures;

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, request_is_written_anew);
    tcase_add_test(tc, forged_forwarding_is_removed);
    tcase_add_test(tc, forged_forwarding_is_removed_from_upgrades);
    tcase_add_test(tc, authority_of_absolute_form_becomes_host);
    tcase_add_test(tc, forwarded_node_that_is_no_address_is_unknown);
    tcase_add_test(tc, full_buffer_leaves_nothing_behind);
    tcase_add_test(tc, field_with_line_break_is_not_written);
    tcase_add_loop_test(tc, response_is_written_anew, 0, RESPONSES);
    tcase_add_test(tc, chunks);
    tcase_add_test(tc, own_replies);
    srunner_run_all(runner, CK_NORMAL);
    failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures > 0 ? 1 : 0;
}
