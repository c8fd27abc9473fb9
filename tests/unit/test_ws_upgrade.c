/*
 * ws_upgrade: right and wrong handshakes of both sides.
 * Input: tables of heads, read by http_parse. Output: Check.
 */
#include "wsgate/http/http_parse.h"
#include "wsgate/http/ws_upgrade.h"

#include <check.h>
#include <stdlib.h>

#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION_13 "Sec-WebSocket-Version: 13\r\n"
#define UPGRADE "Connection: Upgrade\r\nUpgrade: websocket\r\n"
#define GET "GET / HTTP/1.1\r\nHost: a\r\n"
#define SWITCHING "HTTP/1.1 101 Switching Protocols\r\n"
#define ACCEPT "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"

static struct http_parser *
read_head(struct http_parser *parser, const char *text)
{
    struct span data;
    struct err err = {.kind = ERR_NONE};
    size_t eaten = 0;

    ck_assert_msg(http_parser_feed(parser, span_str(text), &eaten, &data,
                      &err) == HTTP_EVENT_HEAD,
        "%s", err.text);
    return parser;
}

static const struct {
    const char *name;
    const char *in;
    bool is_wanted;
    unsigned status; /* 0: right */
} requests[] = {
    {"sample_of_the_rfc", GET UPGRADE KEY VERSION_13 "\r\n", true, 0},
    {"tokens_in_lists_any_case",
        GET "Connection: keep-alive, UPGRADE\r\nUpgrade: h2c, WebSocket\r\n" KEY
            VERSION_13 "\r\n",
        true, 0},
    {"length_zero_is_no_body",
        GET UPGRADE KEY VERSION_13 "Content-Length: 0\r\n\r\n", true, 0},
    {"post", "POST / HTTP/1.1\r\nHost: a\r\n" UPGRADE KEY VERSION_13 "\r\n",
        false, 400},
    {"http10", "GET / HTTP/1.0\r\nHost: a\r\n" UPGRADE KEY VERSION_13 "\r\n",
        false, 400},
    {"other_token",
        GET "Connection: Upgrade\r\nUpgrade: h2c\r\n" KEY VERSION_13 "\r\n",
        false, 400},
    {"token_with_tail",
        GET "Connection: Upgrade\r\nUpgrade: websockets\r\n" KEY VERSION_13
            "\r\n",
        false, 400},
    {"no_connection", GET "Upgrade: websocket\r\n" KEY VERSION_13 "\r\n", false,
        400},
    {"no_upgrade", GET "Connection: upgrade\r\n" KEY VERSION_13 "\r\n", false,
        400},
    {"no_version", GET UPGRADE KEY "\r\n", true, 426},
    {"version_8", GET UPGRADE KEY "Sec-WebSocket-Version: 8\r\n\r\n", true,
        426},
    {"version_list", GET UPGRADE KEY "Sec-WebSocket-Version: 8, 13\r\n\r\n",
        true, 426},
    {"version_013", GET UPGRADE KEY "Sec-WebSocket-Version: 013\r\n\r\n", true,
        426},
    {"two_versions", GET UPGRADE KEY VERSION_13 VERSION_13 "\r\n", true, 400},
    {"no_key", GET UPGRADE VERSION_13 "\r\n", true, 400},
    {"two_keys", GET UPGRADE KEY KEY VERSION_13 "\r\n", true, 400},
    {"empty_key", GET UPGRADE VERSION_13 "Sec-WebSocket-Key:\r\n\r\n", true,
        400},
    {"short_key",
        GET UPGRADE VERSION_13
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n\r\n",
        true, 400},
    {"key_of_17_bytes",
        GET UPGRADE VERSION_13
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZWU=\r\n\r\n",
        true, 400},
    {"key_of_15_bytes",
        GET UPGRADE VERSION_13
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n\r\n",
        true, 400},
    {"key_no_base64",
        GET UPGRADE VERSION_13
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j!Q==\r\n\r\n",
        true, 400},
    {"body", GET UPGRADE KEY VERSION_13 "Content-Length: 1\r\n\r\nx", true,
        400},
    {"chunked_body",
        GET UPGRADE KEY VERSION_13 "Transfer-Encoding: chunked\r\n\r\n", true,
        400},
};
enum { REQUESTS = sizeof(requests) / sizeof(requests[0]) };

START_TEST(request_side)
{
    struct http_parser *parser =
        read_head(http_parser_new_request(NULL), requests[_i].in);
    const struct http_request *head = http_parser_request(parser);
    struct err err = {.kind = ERR_NONE};
    unsigned status = 0;
    bool ok = ws_upgrade_check_request(head, &status, &err);

    ck_assert_msg(ws_upgrade_is_wanted(head) == requests[_i].is_wanted, "%s",
        requests[_i].name);
    ck_assert_msg(ok == (requests[_i].status == 0), "%s", requests[_i].name);
    ck_assert_uint_eq(status, requests[_i].status);
    ck_assert(ok || err.kind == ERR_FORMAT);
    http_parser_free(parser);
}
END_TEST

#define OFFER                                                                  \
    GET UPGRADE KEY VERSION_13                                                 \
        "Sec-WebSocket-Protocol: chat, soap\r\nSec-WebSocket-Protocol: v2\r\n" \
        "Sec-WebSocket-Extensions: permessage-deflate; "                       \
        "client_max_window_bits, x-a\r\n\r\n"

static const struct {
    const char *name;
    const char *in;
    bool ok;
} responses[] = {
    {"sample_of_the_rfc", SWITCHING UPGRADE ACCEPT "\r\n", true},
    {"any_case_of_tokens",
        SWITCHING "Connection: upgrade\r\nUpgrade: WEBSOCKET\r\n" ACCEPT "\r\n",
        true},
    {"protocol_offered",
        SWITCHING UPGRADE ACCEPT "Sec-WebSocket-Protocol: soap\r\n\r\n", true},
    {"protocol_offered_in_second_field",
        SWITCHING UPGRADE ACCEPT "Sec-WebSocket-Protocol: v2\r\n\r\n", true},
    {"extension_offered",
        SWITCHING UPGRADE ACCEPT
        "Sec-WebSocket-Extensions: permessage-deflate; x=1\r\n\r\n",
        true},
    {"refused", "HTTP/1.1 403 No\r\n\r\n", false},
    {"ok_is_no_101", "HTTP/1.1 200 OK\r\n" UPGRADE ACCEPT "\r\n", false},
    {"no_upgrade", SWITCHING "Connection: Upgrade\r\n" ACCEPT "\r\n", false},
    {"no_connection", SWITCHING "Upgrade: websocket\r\n" ACCEPT "\r\n", false},
    {"other_upgrade",
        SWITCHING "Connection: Upgrade\r\nUpgrade: h2c\r\n" ACCEPT "\r\n",
        false},
    {"no_accept", SWITCHING UPGRADE "\r\n", false},
    {"two_accepts", SWITCHING UPGRADE ACCEPT ACCEPT "\r\n", false},
    {"wrong_accept",
        SWITCHING UPGRADE
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOp=\r\n\r\n",
        false},
    {"accept_in_other_case",
        SWITCHING UPGRADE
        "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        false},
    {"protocol_not_offered",
        SWITCHING UPGRADE ACCEPT "Sec-WebSocket-Protocol: mqtt\r\n\r\n", false},
    {"protocol_in_other_case",
        SWITCHING UPGRADE ACCEPT "Sec-WebSocket-Protocol: Chat\r\n\r\n", false},
    {"protocol_list",
        SWITCHING UPGRADE ACCEPT "Sec-WebSocket-Protocol: chat, soap\r\n\r\n",
        false},
    {"protocol_empty",
        SWITCHING UPGRADE ACCEPT "Sec-WebSocket-Protocol:\r\n\r\n", false},
    {"two_protocols",
        SWITCHING UPGRADE ACCEPT
        "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: soap\r\n\r\n",
        false},
    {"extension_not_offered",
        SWITCHING UPGRADE ACCEPT "Sec-WebSocket-Extensions: x-b\r\n\r\n",
        false},
    {"one_of_two_extensions_not_offered",
        SWITCHING UPGRADE ACCEPT "Sec-WebSocket-Extensions: x-a, x-b\r\n\r\n",
        false},
};
enum { RESPONSES = sizeof(responses) / sizeof(responses[0]) };

START_TEST(response_side)
{
    struct http_parser *asked = read_head(http_parser_new_request(NULL), OFFER);
    struct http_parser *answered = http_parser_new_response(NULL);
    struct err err = {.kind = ERR_NONE};

    http_parser_expect(answered, HTTP_GET, true);
    read_head(answered, responses[_i].in);
    ck_assert_msg(ws_upgrade_check_response(http_parser_request(asked),
                      http_parser_response(answered), &err) == responses[_i].ok,
        "%s: %s", responses[_i].name, err.text);
    http_parser_free(asked);
    http_parser_free(answered);
}
END_TEST

START_TEST(accept_of_the_rfc)
{
    char accept[WS_ACCEPT_SIZE];

    ck_assert(ws_upgrade_accept(SPAN_LIT("dGhlIHNhbXBsZSBub25jZQ=="), accept));
    ck_assert_str_eq(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    ck_assert(!ws_upgrade_accept(SPAN_LIT("short"), accept));
    ck_assert(!ws_upgrade_accept(SPAN_EMPTY, accept));
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("ws_upgrade");
    TCase *tc = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failures;

    suite_add_tcase(suite, tc);
    tcase_add_loop_test(tc, request_side, 0, REQUESTS);
    tcase_add_loop_test(tc, response_side, 0, RESPONSES);
    tcase_add_test(tc, accept_of_the_rfc);
    srunner_run_all(runner, CK_NORMAL);
    failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures > 0 ? 1 : 0;
}
