/*
 * Which addresses the screen refuses, and who may start a transfer now.
 * Input: tables of addresses, header lines, queues. Output: Check's report.
 */
#include "ocspd/fetch.h"
#include "ocspd/fetch_http.h"
#include "ocspd/fetch_queue.h"
#include "ocspd/fetch_screen.h"
#include "ocspd/fetch_url.h"

#include <check.h>
#include <stdlib.h>

static char loopback[] = "127.0.0.0/8";
static char ula_host[] = "fd00::53";
static char *const opened[] = {loopback, ula_host};
static const struct config_strings open_two = {(char **)opened, NULL, 2};
static const struct config_strings open_none = {NULL, NULL, 0};

static const struct {
    const char *rule;
    const char *address;
    bool by_default;
    bool public_only;
    bool with_two_opened;
} addresses[] = {
    {"a public address is fine", "192.0.43.8", false, false, false},
    {"a public IPv6 address is fine", "2606:2800::1", false, false, false},
    {"loopback", "127.0.0.1", true, true, false},
    {"all of loopback", "127.255.255.254", true, true, false},
    {"next to loopback", "128.0.0.1", false, false, false},
    {"IPv6 loopback", "::1", true, true, true},
    {"IPv6 in brackets", "[::1]", true, true, true},
    {"unspecified", "0.0.0.0", true, true, true},
    {"this network", "0.1.2.3", true, true, true},
    {"IPv6 unspecified", "::", true, true, true},
    {"cloud metadata", "169.254.169.254", true, true, true},
    {"IPv6 link-local", "fe80::1", true, true, true},
    {"IPv6 link-local with a zone", "fe80::1%eth0", true, true, true},
    {"end of link-local", "febf::1", true, true, true},
    {"multicast", "224.0.0.1", true, true, true},
    {"IPv6 multicast", "ff02::1", true, true, true},
    {"broadcast", "255.255.255.255", true, true, true},
    {"mapped loopback", "::ffff:127.0.0.1", true, true, false},
    {"mapped metadata", "::ffff:169.254.169.254", true, true, true},
    {"mapped public", "::ffff:192.0.43.8", false, false, false},
    {"compatible loopback", "::127.0.0.1", true, true, false},
    {"NAT64 loopback", "64:ff9b::7f00:1", true, true, false},
    {"NAT64 metadata", "64:ff9b::a9fe:a9fe", true, true, true},
    {"NAT64 public", "64:ff9b::c000:2b08", false, false, false},
    {"local NAT64 loopback", "64:ff9b:1::7f00:1", true, true, false},
    {"6to4 loopback", "2002:7f00:1::1", true, true, false},
    {"RFC 1918, 10", "10.1.2.3", false, true, false},
    {"RFC 1918, 172.16", "172.31.255.255", false, true, false},
    {"behind 172.31", "172.32.0.1", false, false, false},
    {"RFC 1918, 192.168", "192.168.0.1", false, true, false},
    {"carrier NAT", "100.64.0.1", false, true, false},
    {"mapped private", "::ffff:10.0.0.1", false, true, false},
    {"NAT64 private", "64:ff9b::a00:1", false, true, false},
    {"ULA", "fd00::1", false, true, false},
    {"the one ULA that is opened", "fd00::53", false, true, false},
    {"a name goes to DNS", "ocsp.example.org", false, false, false},
    {"localhost by name", "localhost", true, true, true},
    {"localhost in its absolute form", "LocalHost.", true, true, true},
    {"below localhost", "a.localhost", true, true, true},
    {"not below localhost", "notlocalhost", false, false, false},
    {"an absolute literal", "127.0.0.1.", true, true, false},
};

static bool
refused(
    const char *address, bool public_only, const struct config_strings *allow)
{
    struct fetch_settings settings = {
        .public_only = public_only, .allow_addresses = allow};

    return fetch_address_refused(&settings, address);
}

START_TEST(the_screen_refuses_what_is_no_network_responder)
{
    const char *a = addresses[_i].address;

    ck_assert_msg(refused(a, false, &open_none) == addresses[_i].by_default,
        "%s", addresses[_i].rule);
    ck_assert_msg(refused(a, true, NULL) == addresses[_i].public_only, "%s",
        addresses[_i].rule);
    ck_assert_msg(refused(a, false, &open_two) == addresses[_i].with_two_opened,
        "%s", addresses[_i].rule);
}
END_TEST

START_TEST(a_bad_range_is_named)
{
    static char bad[] = "127.0.0.1/8";
    char *items[] = {loopback, bad};
    struct config_mark marks[] = {{"a.yaml", 3, 7}, {"a.yaml", 4, 9}};
    struct config_strings allow = {items, marks, 2};
    struct fetch_screen screen = {NULL, 0, false};
    struct err err;

    ck_assert(!fetch_screen_init(&screen, &allow, false, &err));
    ck_assert_int_eq(err.kind, ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.text, "a.yaml:4:9"));
    ck_assert_ptr_nonnull(strstr(err.text, bad));
    allow.marks = NULL;
    ck_assert(!fetch_screen_init(&screen, &allow, false, &err));
    fetch_screen_fini(&screen);
}
END_TEST

START_TEST(other_families_are_refused)
{
    struct fetch_screen screen = {NULL, 0, false};
    struct sockaddr unix_address = {.sa_family = AF_UNIX};

    ck_assert(fetch_screen_refuses(&screen, &unix_address));
}
END_TEST

/* ---- the queue ---------------------------------------------------------- */

START_TEST(a_responder_holds_back_its_own_only)
{
    struct fetch_queue q;
    struct fetch_slot slots[5];
    const char *const who[] = {
        "slow:80", "slow:80", "slow:80", "b:80", "slow:80"};

    fetch_queue_init(&q, 4, 2);
    for (int i = 0; i < 5; i++)
        fetch_queue_add(&q, &slots[i], who[i]);
    ck_assert_ptr_eq(fetch_queue_next(&q), &slots[0]);
    ck_assert_ptr_eq(fetch_queue_next(&q), &slots[1]);
    ck_assert_ptr_eq(fetch_queue_next(&q), &slots[3]);
    ck_assert_ptr_null(fetch_queue_next(&q));
    fetch_queue_remove(&q, &slots[0]);
    ck_assert_ptr_eq(fetch_queue_next(&q), &slots[2]);
    fetch_queue_remove(&q, &slots[4]); /* cancelled while it waited */
    fetch_queue_remove(&q, &slots[1]);
    ck_assert_ptr_null(fetch_queue_next(&q));
    fetch_queue_remove(&q, &slots[2]);
    fetch_queue_remove(&q, &slots[3]);
    ck_assert_int_eq(q.active_count, 0);
}
END_TEST

START_TEST(the_whole_is_limited_too)
{
    struct fetch_queue q;
    struct fetch_slot slots[3];
    const char *const who[] = {"a:80", "b:80", "c:80"};

    fetch_queue_init(&q, 2, 2);
    for (int i = 0; i < 3; i++)
        fetch_queue_add(&q, &slots[i], who[i]);
    ck_assert_ptr_eq(fetch_queue_next(&q), &slots[0]);
    ck_assert_ptr_eq(fetch_queue_next(&q), &slots[1]);
    ck_assert_ptr_null(fetch_queue_next(&q));
    fetch_queue_remove(&q, &slots[1]);
    ck_assert_ptr_eq(fetch_queue_next(&q), &slots[2]);
}
END_TEST

/* ---- header lines ------------------------------------------------------- */

static const struct {
    const char *rule;
    const char *lines[4];
    int64_t freshness;
    bool is_html;
} headers[] = {
    {"nothing is given", {"HTTP/1.1 200 OK\r\n"}, 0, false},
    {"max-age", {"Cache-Control: max-age=300\r\n"}, 300, false},
    {"max-age in a list, any case", {"cache-control: public , MAX-AGE=60\r\n"},
        60, false},
    {"Age is taken off", {"Cache-Control: max-age=300\r\n", "Age: 100\r\n"},
        200, false},
    {"older than its max-age",
        {"Age: 400\r\n", "Cache-Control: max-age=300\r\n"}, 0, false},
    {"no-cache wins", {"Cache-Control: max-age=300, no-cache\r\n"}, 0, false},
    {"no number", {"Cache-Control: max-age=soon\r\n"}, 0, false},
    {"a negative number", {"Cache-Control: max-age=-5\r\n"}, 0, false},
    {"a huge number is clamped", {"Cache-Control: max-age=4000000000\r\n"},
        FETCH_DELTA_MAX, false},
    {"a page", {"Content-Type: text/html; charset=utf-8\r\n"}, 0, true},
    {"a response", {"Content-Type: application/ocsp-response\r\n"}, 0, false},
    {"an interim response counts for nothing",
        {"HTTP/1.1 103 Early Hints\r\n", "Cache-Control: max-age=300\r\n",
            "HTTP/1.1 200 OK\r\n"},
        0, false},
    {"no colon at all", {"garbage\r\n"}, 0, false},
};

START_TEST(header_lines_are_read)
{
    struct fetch_headers h = {0};

    for (int i = 0; i < 4 && headers[_i].lines[i] != NULL; i++)
        ck_assert(fetch_headers_line(&h, span_str(headers[_i].lines[i])));
    ck_assert_msg(fetch_headers_freshness(&h) == headers[_i].freshness, "%s",
        headers[_i].rule);
    ck_assert_msg(h.is_html == headers[_i].is_html, "%s", headers[_i].rule);
}
END_TEST

START_TEST(header_lines_have_an_end)
{
    struct fetch_headers h = {0};
    char *line = malloc(FETCH_HEADER_MAX);

    ck_assert_ptr_nonnull(line);
    memset(line, 'x', FETCH_HEADER_MAX);
    ck_assert(fetch_headers_line(&h, span_make(line, FETCH_HEADER_MAX - 13)));
    /* a new message does not begin the count anew */
    ck_assert(fetch_headers_line(&h, SPAN_LIT("HTTP/1.1 200\n")));
    ck_assert(!fetch_headers_line(&h, SPAN_LIT("x")));
    free(line);
}
END_TEST

/* ---- URLs --------------------------------------------------------------- */

static const struct {
    const char *url;
    const char *responder; /* NULL: no http or https URL */
} urls[] = {
    {"http://ocsp.example.org", "ocsp.example.org:80"},
    {"https://ocsp.example.org/a/b", "ocsp.example.org:443"},
    {"http://ocsp.example.org:8080/", "ocsp.example.org:8080"},
    {"http://127.1/", "127.0.0.1:80"},
    {"http://0x7f000001/", "127.0.0.1:80"},
    {"http://[::1]:81/", "[::1]:81"},
    {"ftp://ocsp.example.org/", NULL},
    {"file:///etc/passwd", NULL},
    {"ocsp.example.org", NULL},
    {"http://", NULL},
    {"", NULL},
};

START_TEST(a_responder_is_host_and_port)
{
    struct fetch_url parts;
    char *responder = fetch_url_responder(urls[_i].url);
    bool ok = fetch_url_read(urls[_i].url, &parts);

    ck_assert_int_eq(ok, urls[_i].responder != NULL);
    ck_assert_str_eq(responder, ok ? urls[_i].responder : urls[_i].url);
    if (ok)
        fetch_url_fini(&parts);
    free(responder);
}
END_TEST

#define COUNT(table) (int)(sizeof(table) / sizeof((table)[0]))

int
main(void)
{
    Suite *suite = suite_create("fetch_screen");
    TCase *t = tcase_create("fetch_screen");
    SRunner *runner;
    int failed;

    tcase_add_loop_test(t, the_screen_refuses_what_is_no_network_responder, 0,
        COUNT(addresses));
    tcase_add_test(t, a_bad_range_is_named);
    tcase_add_test(t, other_families_are_refused);
    tcase_add_test(t, a_responder_holds_back_its_own_only);
    tcase_add_test(t, the_whole_is_limited_too);
    tcase_add_loop_test(t, header_lines_are_read, 0, COUNT(headers));
    tcase_add_test(t, header_lines_have_an_end);
    tcase_add_loop_test(t, a_responder_is_host_and_port, 0, COUNT(urls));
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
