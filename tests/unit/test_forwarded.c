/* wsgate/client/forwarded: who really asks, behind proxies and liars. */
#include "wsgate/client/forwarded.h"
#include "wsgate/http/http_parse.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

static struct cidr trusted[2];

static const struct {
    const char *what;
    const char *peer;
    const char *fields;
    const char *client;
    const char *chain;
} cases[] = {
    {"a stranger's claim is not believed", "192.0.2.9",
        "X-Forwarded-For: 198.51.100.1\r\n", "192.0.2.9", "192.0.2.9"},
    {"a trusted proxy is", "10.0.0.1", "X-Forwarded-For: 198.51.100.1\r\n",
        "198.51.100.1", "198.51.100.1, 10.0.0.1"},
    {"without the field the proxy is the client", "10.0.0.1", "", "10.0.0.1",
        "10.0.0.1"},
    {"the rightmost untrusted one counts", "10.0.0.1",
        "X-Forwarded-For: 6.6.6.6, 198.51.100.1, 10.0.0.7\r\n", "198.51.100.1",
        "6.6.6.6, 198.51.100.1, 10.0.0.7, 10.0.0.1"},
    {"several fields are one list", "10.0.0.1",
        "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 198.51.100.1\r\n",
        "198.51.100.1", "6.6.6.6, 198.51.100.1, 10.0.0.1"},
    {"an address with a port", "10.0.0.1",
        "X-Forwarded-For: 198.51.100.1:4711\r\n", "198.51.100.1",
        "198.51.100.1:4711, 10.0.0.1"},
    {"IPv6 in brackets", "10.0.0.1", "X-Forwarded-For: [2001:db8::1]:4711\r\n",
        "2001:db8::1", "[2001:db8::1]:4711, 10.0.0.1"},
    {"what is no address ends the search", "10.0.0.1",
        "X-Forwarded-For: 198.51.100.1, unknown\r\n", "10.0.0.1",
        "198.51.100.1, unknown, 10.0.0.1"},
    {"all trusted: the first of them", "10.0.0.1",
        "X-Forwarded-For: 10.0.0.3, 10.0.0.2\r\n", "10.0.0.3",
        "10.0.0.3, 10.0.0.2, 10.0.0.1"},
};

static struct http_parser *
parse(const char *fields)
{
    struct http_parser *parser = http_parser_new_request(&http_limits_default);
    struct span data;
    struct err err;
    size_t eaten;
    char text[1024];

    (void)snprintf(text, sizeof(text),
        "GET / HTTP/1.1\r\nHost: a.example:8443\r\n%s\r\n", fields);
    ck_assert_int_eq(
        http_parser_feed(parser, span_str(text), &eaten, &data, &err),
        HTTP_EVENT_HEAD);
    return parser;
}

static void
read_peer(const char *text, struct sockaddr_in *out)
{
    *out = (struct sockaddr_in){.sin_family = AF_INET};
    ck_assert_int_eq(inet_pton(AF_INET, text, &out->sin_addr), 1);
}

START_TEST(the_client_is_found)
{
    struct http_parser *parser = parse(cases[_i].fields);
    struct sockaddr_in peer;
    struct forwarded f;

    read_peer(cases[_i].peer, &peer);
    forwarded_init(&f, http_parser_request(parser), cases[_i].peer,
        (const struct sockaddr *)&peer, trusted, 2);
    ck_assert_msg(strcmp(f.peer.client, cases[_i].client) == 0, "%s: %s",
        cases[_i].what, f.peer.client);
    ck_assert_msg(strcmp(f.peer.forwarded_for, cases[_i].chain) == 0, "%s: %s",
        cases[_i].what, f.peer.forwarded_for);
    ck_assert_str_eq(f.peer.host, "a.example:8443");
    forwarded_fini(&f);
    http_parser_free(parser);
}
END_TEST

static const struct {
    const char *id;
    bool kept;
} ids[] = {
    {"abc-123_X.y", true},
    {"a b", false},
    {"\x22quoted\x22", false},
    {"", false},
};

START_TEST(a_plain_request_id_is_passed_others_are_made)
{
    char field[200];
    struct http_parser *parser;
    struct sockaddr_in peer;
    struct forwarded f;

    (void)snprintf(field, sizeof(field), "X-Request-Id: %s\r\n", ids[_i].id);
    parser = parse(field);
    read_peer("192.0.2.1", &peer);
    forwarded_init(&f, http_parser_request(parser), "192.0.2.1",
        (const struct sockaddr *)&peer, NULL, 0);
    if (ids[_i].kept)
        ck_assert_str_eq(f.request_id, ids[_i].id);
    else
        ck_assert_uint_eq(strlen(f.request_id), 32);
    forwarded_fini(&f);
    http_parser_free(parser);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("forwarded");
    TCase *tcase = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    (void)cidr_parse(SPAN_LIT("10.0.0.0/8"), &trusted[0]);
    (void)cidr_parse(SPAN_LIT("fd00::/8"), &trusted[1]);
    tcase_add_loop_test(
        tcase, the_client_is_found, 0, (int)(sizeof(cases) / sizeof(cases[0])));
    tcase_add_loop_test(tcase, a_plain_request_id_is_passed_others_are_made, 0,
        (int)(sizeof(ids) / sizeof(ids[0])));
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
