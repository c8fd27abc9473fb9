/*
 * Exchanges over FastCGI with scripted applications.
 * Input: requests, records. Output: what the applications got, which events
 * came.
 */
#include "wsgate/backend/backend.h"

#include "tests/support/backend_rig.h"
#include "tests/support/temp_folder.h"
#include "wsgate/backend/cgi_head.h"
#include "wsgate/backend/fcgi_record.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define GET "GET /a.php?x=1 HTTP/1.1\r\nHost: www.example.org\r\n\r\n"

static struct backend_rig rig;
static struct buf params; /* "NAME=value\n" */
static struct buf sent; /* STDIN */

static void
setup(void)
{
    backend_rig_init(&rig, 1);
    buf_init(&params, 1 << 20);
    buf_init(&sent, 64 << 20);
}

static void
teardown(void)
{
    backend_rig_fini(&rig);
    buf_fini(&params);
    buf_fini(&sent);
}

/* ---- what the application got -------------------------------------------- */

static void
read_params(struct span bytes)
{
    struct span name;
    struct span value;

    while (fcgi_read_pair(&bytes, &name, &value))
        ck_assert(buf_add_fmt(
            &params, "%.*s=%.*s\n", SPAN_FMT(name), SPAN_FMT(value)));
    ck_assert_uint_eq(bytes.len, 0);
}

/* True once STDIN has ended. */
static bool
read_request(void)
{
    struct span in = buf_span(&rig.servers[0].got[0]);
    struct buf pairs;
    bool is_whole = false;

    buf_init(&pairs, 1 << 20);
    buf_clear(&sent);
    buf_clear(&params);
    while (in.len >= FCGI_HEADER_SIZE) {
        size_t len = (size_t)in.data[4] << 8 | in.data[5];
        struct span part = span_sub(in, FCGI_HEADER_SIZE, len);

        if (part.len < len)
            break;
        ck_assert_uint_eq(in.data[0], 1);
        if (in.data[1] == FCGI_PARAMS)
            ck_assert(buf_add(&pairs, part));
        if (in.data[1] == FCGI_STDIN)
            ck_assert(buf_add(&sent, part));
        is_whole = in.data[1] == FCGI_STDIN && len == 0;
        in = span_from(in, FCGI_HEADER_SIZE + len + in.data[6]);
    }
    if (is_whole)
        read_params(buf_span(&pairs));
    buf_fini(&pairs);
    return is_whole;
}

static bool
has_request(struct backend_rig *r)
{
    (void)r;
    return read_request();
}

static bool
has_param(const char *line)
{
    struct span rest = buf_span(&params);
    struct span part;

    while (span_split(&rest, '\n', &part))
        if (span_eq(part, span_str(line)))
            return true;
    return false;
}

static bool
has_param_named(const char *name)
{
    struct span rest = buf_span(&params);
    struct span part;

    while (span_split(&rest, '\n', &part))
        if (span_eq(span_sub(part, 0, span_find(part, '=')), span_str(name)))
            return true;
    return false;
}

/* ---- what it answers ----------------------------------------------------- */

static void
answer(enum fcgi_type type, struct span bytes)
{
    struct buf out;

    buf_init(&out, bytes.len + 1000);
    ck_assert(fcgi_write_stream(&out, type, bytes));
    peer_server_send(&rig.servers[0], 0, buf_span(&out));
    buf_fini(&out);
}

static void
answer_end(unsigned char protocol_status)
{
    const unsigned char body[8] = {0, 0, 0, 0, protocol_status};

    answer(FCGI_END_REQUEST, span_make(body, sizeof(body)));
}

static void
run(const char *request)
{
    backend_rig_begin(&rig, backend_fastcgi_start, request, true);
    backend_rig_until(&rig, has_request);
}

static const struct {
    const char *name;
    const char *out;
    unsigned status; /* 0: fails */
    enum http_body framing;
    const char *body;
} answers[] = {
    {"fields, an empty line, a body",
        "Content-Type: text/html\r\n\r\n<p>hi</p>", 200, HTTP_BODY_CHUNKED,
        "<p>hi</p>"},
    {"lines may end with LF", "Content-Type: text/html\n\nhi", 200,
        HTTP_BODY_CHUNKED, "hi"},
    {"Status is the status line", "Status: 404 Gone Fishing\r\n\r\nno", 404,
        HTTP_BODY_CHUNKED, "no"},
    {"Status without words", "Status: 503\r\n\r\n", 503, HTTP_BODY_CHUNKED, ""},
    {"Location alone is a redirect",
        "Location: https://www.example.org/b\r\n\r\n", 302, HTTP_BODY_CHUNKED,
        ""},
    {"Location with Status keeps it",
        "Status: 301 Moved\r\nLocation: /b\r\n\r\n", 301, HTTP_BODY_CHUNKED,
        ""},
    {"a length is a frame", "Content-Length: 2\r\n\r\nhi", 200,
        HTTP_BODY_LENGTH, "hi"},
    {"204 has no body", "Status: 204 No Content\r\n\r\nhi", 204, HTTP_BODY_NONE,
        ""},
    {"a body longer than its length", "Content-Length: 2\r\n\r\nhix", 0,
        HTTP_BODY_LENGTH, ""},
    {"a body shorter than its length", "Content-Length: 3\r\n\r\nhi", 0,
        HTTP_BODY_LENGTH, "hi"},
    {"no head", "hello", 0, HTTP_BODY_NONE, ""},
    {"an empty head", "\r\n\r\nhello", 0, HTTP_BODY_NONE, ""},
    {"a field that is none", "Content Type: a\r\n\r\n", 0, HTTP_BODY_NONE, ""},
    {"a bare CR in a value", "X: a\rb\r\n\r\n", 0, HTTP_BODY_NONE, ""},
    {"two lengths", "Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi", 0,
        HTTP_BODY_NONE, ""},
    {"an interim status", "Status: 101 Switching\r\n\r\n", 0, HTTP_BODY_NONE,
        ""},
    {"nothing", "", 0, HTTP_BODY_NONE, ""},
};

START_TEST(answer_of_the_application)
{
    run(GET);
    if (answers[_i].out[0] != 0)
        answer(FCGI_STDOUT, span_str(answers[_i].out));
    answer(FCGI_STDOUT, SPAN_EMPTY);
    answer_end(0);
    backend_rig_run(&rig);
    ck_assert_msg(rig.is_failed == (answers[_i].status == 0), "%s: %s",
        answers[_i].name, rig.error);
    ck_assert_str_eq(backend_rig_body(&rig), answers[_i].body);
    if (rig.is_failed) {
        ck_assert_int_eq(rig.why, BACKEND_FAILED_PROTOCOL);
        return;
    }
    ck_assert_uint_eq(rig.status, answers[_i].status);
    ck_assert_int_eq(rig.framing, answers[_i].framing);
    ck_assert(!backend_rig_has_field(&rig, "Status: 404 Gone Fishing"));
}
END_TEST

START_TEST(answer_byte_by_byte)
{
    static const char text[] = "Status: 404 No\r\nX: y\r\n\r\nhello";

    run(GET);
    for (size_t i = 0; i + 1 < sizeof(text); i++) {
        answer(FCGI_STDOUT, span_make(text + i, 1));
        backend_rig_turn(&rig);
    }
    answer_end(0);
    backend_rig_run(&rig);
    ck_assert(rig.is_ended);
    ck_assert_uint_eq(rig.status, 404);
    ck_assert(backend_rig_has_field(&rig, "X: y"));
    ck_assert_str_eq(backend_rig_body(&rig), "hello");
}
END_TEST

START_TEST(stderr_is_for_the_log)
{
    run(GET);
    answer(FCGI_STDERR, SPAN_LIT("PHP message: \x1b[31mboo\nsecond"));
    answer(FCGI_STDOUT, SPAN_LIT("X: y\r\n\r\nhello"));
    answer(FCGI_STDERR, SPAN_LIT(" line\n"));
    answer_end(0);
    backend_rig_run(&rig);
    ck_assert(rig.is_ended);
    ck_assert_str_eq(backend_rig_body(&rig), "hello");
}
END_TEST

START_TEST(refusal_of_the_application)
{
    run(GET);
    answer_end(2);
    backend_rig_run(&rig);
    ck_assert_int_eq(rig.why, BACKEND_FAILED_PROTOCOL);
    ck_assert_ptr_nonnull(strstr(rig.error, "overloaded"));
}
END_TEST

static const struct {
    const char *name;
    const char *out;
    bool is_ended;
} closes[] = {
    {"before anything", "", false},
    {"in a body without length", "X: y\r\n\r\nhello", false},
    {"in a body of a length", "Content-Length: 9\r\n\r\nhello", false},
    {"behind a body of a length", "Content-Length: 5\r\n\r\nhello", true},
};

START_TEST(closed_without_end_record)
{
    struct buf out;
    struct peer_step steps[] = {
        {"\x01\x05", {NULL, 0}, PEER_FIN},
        {NULL, {NULL, 0}, PEER_GO_ON},
    };

    buf_init(&out, 1000);
    if (closes[_i].out[0] != 0)
        ck_assert(
            fcgi_write_stream(&out, FCGI_STDOUT, span_str(closes[_i].out)));
    steps[0].reply = buf_span(&out);
    rig.servers[0].scripts[0] = steps;
    backend_rig_begin(&rig, backend_fastcgi_start, GET, true);
    backend_rig_run(&rig);
    ck_assert_msg(rig.is_ended == closes[_i].is_ended, "%s: %s",
        closes[_i].name, rig.error);
    if (rig.is_failed)
        ck_assert_int_eq(rig.why, BACKEND_FAILED_PROTOCOL);
    buf_fini(&out);
}
END_TEST

START_TEST(head_without_end_is_limited)
{
    static char text[CGI_HEAD_MAX + 10];

    memset(text, 'a', sizeof(text));
    text[1] = ':';
    run(GET);
    answer(FCGI_STDOUT, span_make(text, sizeof(text)));
    backend_rig_run(&rig);
    ck_assert_int_eq(rig.why, BACKEND_FAILED_PROTOCOL);
    ck_assert_ptr_nonnull(strstr(rig.error, "too large"));
}
END_TEST

START_TEST(silent_application_is_a_timeout)
{
    rig.location.fastcgi.up.read_timeout_ms = 50;
    run(GET);
    backend_rig_run(&rig);
    ck_assert_int_eq(rig.why, BACKEND_FAILED_TIMEOUT);
}
END_TEST

/* ---- variables ----------------------------------------------------------- */

START_TEST(variables_of_a_request)
{
    static const char *const lines[] = {
        "REQUEST_METHOD=GET",
        "SCRIPT_FILENAME=/srv/site/a.php",
        "SCRIPT_NAME=/a.php",
        "DOCUMENT_ROOT=/srv/site",
        "REQUEST_URI=/a.php?x=1",
        "QUERY_STRING=x=1",
        "CONTENT_LENGTH=0",
        "REMOTE_ADDR=192.0.2.1",
        "SERVER_NAME=www.example.org",
        "SERVER_PORT=443",
        "SERVER_PROTOCOL=HTTP/1.1",
        "GATEWAY_INTERFACE=CGI/1.1",
        "HTTPS=on",
        "REDIRECT_STATUS=200",
        "HTTP_HOST=www.example.org",
        "HTTP_X_FORWARDED_FOR=192.0.2.1",
        "HTTP_X_FORWARDED_PROTO=https",
        "HTTP_X_REAL_IP=192.0.2.1",
        "HTTP_X_REQUEST_ID=id-1",
        "HTTP_COOKIE=a=1; b=2",
        "HTTP_X_LIST=one, two",
        "HTTP_AUTHORIZATION=Basic eDp5",
    };
    static const char *const absent[] = {"HTTP_PROXY", "HTTP_CONNECTION",
        "HTTP_SECRET", "HTTP_X_SHADOW", "HTTP_CONTENT_LENGTH", "PATH_INFO",
        "HTTP_UPGRADE", "CONTENT_TYPE"};

    run("GET /a.php?x=1 HTTP/1.1\r\nHost: www.example.org\r\n"
        "Proxy: http://evil\r\nConnection: secret, upgrade\r\nSecret: 1\r\n"
        "Upgrade: websocket\r\nCookie: a=1\r\nCookie: b=2\r\nX_Shadow: 1\r\n"
        "X-List: one\r\nx-list: two\r\nX-Forwarded-For: 10.1.1.1\r\n"
        "X_Forwarded_For: 10.1.1.1\r\nAuthorization: Basic eDp5\r\n\r\n");
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        ck_assert_msg(
            has_param(lines[i]), "%s in\n%s", lines[i], buf_cstr(&params));
    for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
        ck_assert_msg(!has_param_named(absent[i]), "%s", absent[i]);
}
END_TEST

static char fixed[] = "/chat.php";

static const struct {
    const char *name;
    const char *prefix;
    char *script;
    const char *path;
    const char *script_name; /* NULL: 404 */
    const char *info; /* "": none */
} scripts[] = {
    {"a script", "/", NULL, "/a/b.php", "/a/b.php", ""},
    {"a folder gets the index", "/", NULL, "/a/", "/a/index.php", ""},
    {"the root gets the index", "/", NULL, "/", "/index.php", ""},
    {"what follows the script is PATH_INFO", "/", NULL, "/a.php/b/c", "/a.php",
        "/b/c"},
    {"the first script counts", "/", NULL, "/a.php/b.php", "/a.php", "/b.php"},
    {"a name that only begins like one", "/", NULL, "/a.phpx/b", "/a.phpx/b",
        ""},
    {"a hidden file is no script", "/", NULL, "/.php/x", "/.php/x", ""},
    {"escapes are decoded", "/", NULL, "/a%20b.php", "/a b.php", ""},
    {"a hidden slash names nothing", "/", NULL, "/a%2Fb.php", NULL, ""},
    {"a fixed script", "/chat", fixed, "/chat", "/chat.php", ""},
    {"a fixed script with more path", "/chat", fixed, "/chat/room/1",
        "/chat.php", "/room/1"},
    {"a fixed script below a folder", "/chat/", fixed, "/chat/room",
        "/chat.php", "/room"},
    {"a fixed script takes any path", "/", fixed, "/a%2Fb", "/chat.php", ""},
};

START_TEST(script_of_a_path)
{
    char request[200];
    char line[200];

    (void)snprintf(request, sizeof(request),
        "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", scripts[_i].path);
    rig.location.prefix = (char *)(uintptr_t)scripts[_i].prefix;
    rig.location.fastcgi.script = scripts[_i].script;
    if (scripts[_i].script_name == NULL) {
        backend_rig_begin(&rig, backend_fastcgi_start, request, true);
        backend_rig_run(&rig);
        ck_assert_uint_eq(rig.status, 404);
        ck_assert_uint_eq(rig.servers[0].accepted, 0);
        return;
    }
    run(request);
    (void)snprintf(
        line, sizeof(line), "SCRIPT_NAME=%s", scripts[_i].script_name);
    ck_assert_msg(
        has_param(line), "%s\n%s", scripts[_i].name, buf_cstr(&params));
    (void)snprintf(line, sizeof(line), "SCRIPT_FILENAME=/srv/site%s",
        scripts[_i].script_name);
    ck_assert(has_param(line));
    (void)snprintf(line, sizeof(line), "PATH_INFO=%s", scripts[_i].info);
    if (scripts[_i].info[0] == 0)
        ck_assert(!has_param_named("PATH_INFO"));
    else
        ck_assert(has_param(line));
}
END_TEST

/* "/photo.jpg/x.php" would make PHP run the photo. */
START_TEST(plain_file_within_the_path_is_not_run)
{
    struct temp_folder folder;

    temp_folder_init(&folder);
    temp_folder_put(&folder, "photo.jpg", "<?php evil();");
    rig.location.fastcgi.root = folder.path;
    backend_rig_begin(&rig, backend_fastcgi_start,
        "GET /photo.jpg/x.php HTTP/1.1\r\nHost: h\r\n\r\n", true);
    ck_assert(backend_send(rig.call, SPAN_LIT("ignored")));
    backend_rig_run(&rig);
    ck_assert_uint_eq(rig.status, 404);
    ck_assert_uint_eq(rig.servers[0].accepted, 0);
    run("GET /photos/x.php HTTP/1.1\r\nHost: h\r\n\r\n");
    temp_folder_fini(&folder);
}
END_TEST

/* ---- request bodies ------------------------------------------------------ */

START_TEST(chunked_body_gets_its_length)
{
    backend_rig_begin(&rig, backend_fastcgi_start,
        "POST /a.php HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\n"
        "Transfer-Encoding: chunked\r\n\r\n",
        false);
    ck_assert(backend_send(rig.call, SPAN_LIT("hello ")));
    ck_assert(backend_send(rig.call, SPAN_LIT("world")));
    backend_rig_turn(&rig);
    /* Nothing is dialled before the body is whole. */
    ck_assert_uint_eq(rig.servers[0].accepted, 0);
    backend_finish(rig.call);
    backend_rig_until(&rig, has_request);
    ck_assert_str_eq(buf_cstr(&sent), "hello world");
    ck_assert(has_param("CONTENT_LENGTH=11"));
    ck_assert(has_param("CONTENT_TYPE=text/plain"));
}
END_TEST

START_TEST(large_body_goes_through_a_file)
{
    static unsigned char body[3 * 1024 * 1024];

    for (size_t i = 0; i < sizeof(body); i++)
        body[i] = (unsigned char)(i * 7 + i / 251);
    backend_rig_begin(&rig, backend_fastcgi_start,
        "POST /a.php HTTP/1.1\r\nHost: h\r\n"
        "Transfer-Encoding: chunked\r\n\r\n",
        false);
    for (size_t at = 0; at < sizeof(body); at += 100000)
        ck_assert(backend_send(
            rig.call, span_sub(span_make(body, sizeof(body)), at, 100000)));
    backend_finish(rig.call);
    backend_rig_until(&rig, has_request);
    ck_assert(span_eq(buf_span(&sent), span_make(body, sizeof(body))));
}
END_TEST

START_TEST(body_above_the_limit_fails)
{
    rig.request.max_body = 10;
    backend_rig_begin(&rig, backend_fastcgi_start,
        "POST /a.php HTTP/1.1\r\nHost: h\r\n"
        "Transfer-Encoding: chunked\r\n\r\n",
        false);
    ck_assert(backend_send(rig.call, SPAN_LIT("0123456789")));
    ck_assert(!backend_send(rig.call, SPAN_LIT("x")));
    backend_finish(rig.call);
    backend_rig_run(&rig);
    ck_assert_int_eq(rig.why, BACKEND_FAILED_LIMIT);
    ck_assert_uint_eq(rig.servers[0].accepted, 0);
}
END_TEST

/* ---- back-pressure and release ------------------------------------------- */

static bool
has_body(struct backend_rig *r)
{
    return r->bodies > 0;
}

START_TEST(paused_response_waits)
{
    rig.pause_at_body = true;
    run(GET);
    answer(FCGI_STDOUT, SPAN_LIT("X: y\r\n\r\nhel"));
    answer(FCGI_STDOUT, SPAN_LIT("lo"));
    answer_end(0);
    backend_rig_until(&rig, has_body);
    backend_rig_turn(&rig);
    ck_assert_str_eq(backend_rig_body(&rig), "hel");
    ck_assert(!rig.is_ended);
    rig.pause_at_body = false;
    backend_resume(rig.call);
    backend_rig_run(&rig);
    ck_assert_str_eq(backend_rig_body(&rig), "hello");
}
END_TEST

static bool
is_released(struct backend_rig *r)
{
    return r->call == NULL;
}

static bool
is_closed(struct backend_rig *r)
{
    return r->servers[0].had_eof[0];
}

START_TEST(released_within_an_event)
{
    rig.release = (enum rig_release)_i;
    run(GET);
    answer(FCGI_STDOUT, _i == RIG_RELEASE_AT_FAIL
                            ? SPAN_LIT("none\r\n\r\n")
                            : SPAN_LIT("X: y\r\n\r\nhello"));
    answer_end(0);
    backend_rig_until(&rig, is_released);
    backend_rig_until(&rig, is_closed);
}
END_TEST

START_TEST(client_loss_closes_the_connection)
{
    run(GET);
    backend_rig_release(&rig);
    backend_rig_until(&rig, is_closed);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("backend_fastcgi");
    TCase *tcase = tcase_create("exchange");
    SRunner *runner;
    int failures;

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 30);
    tcase_add_loop_test(tcase, answer_of_the_application, 0,
        sizeof(answers) / sizeof(answers[0]));
    tcase_add_test(tcase, answer_byte_by_byte);
    tcase_add_test(tcase, stderr_is_for_the_log);
    tcase_add_test(tcase, refusal_of_the_application);
    tcase_add_loop_test(tcase, closed_without_end_record, 0,
        sizeof(closes) / sizeof(closes[0]));
    tcase_add_test(tcase, head_without_end_is_limited);
    tcase_add_test(tcase, silent_application_is_a_timeout);
    tcase_add_test(tcase, variables_of_a_request);
    tcase_add_loop_test(
        tcase, script_of_a_path, 0, sizeof(scripts) / sizeof(scripts[0]));
    tcase_add_test(tcase, plain_file_within_the_path_is_not_run);
    tcase_add_test(tcase, chunked_body_gets_its_length);
    tcase_add_test(tcase, large_body_goes_through_a_file);
    tcase_add_test(tcase, body_above_the_limit_fails);
    tcase_add_test(tcase, paused_response_waits);
    tcase_add_loop_test(tcase, released_within_an_event, RIG_RELEASE_AT_HEAD,
        RIG_RELEASE_AT_FAIL + 1);
    tcase_add_test(tcase, client_loss_closes_the_connection);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures ? 1 : 0;
}
