/*
 * Exchanges over HTTP/1.1 with scripted servers.
 * Input: requests, scripts. Output: what the servers got, which events came.
 */
#include "wsgate/backend/backend.h"

#include "tests/support/backend_rig.h"
#include "wsgate/backend/backend_reply.h"

#include <check.h>
#include <stdlib.h>

#define GET "GET /a?b=c HTTP/1.1\r\nHost: www.example.org\r\n\r\n"
#define OK_HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
#define END_OF_HEAD "\r\n\r\n"
#define REPLY(text) SPAN_LIT(text)

static struct backend_rig rig;

static void
setup(void)
{
    backend_rig_init(&rig, 1);
}

static void
teardown(void)
{
    backend_rig_fini(&rig);
}

static void
script(size_t server, size_t connection, const struct peer_step *steps)
{
    rig.servers[server].scripts[connection] = steps;
}

static void
get(void)
{
    backend_rig_begin(&rig, backend_http_start, GET, true);
}

/* ---- one exchange -------------------------------------------------------- */

static const struct {
    const char *name;
    const char *reply;
    bool fin;
    bool is_cut; /* fails after the head */
    unsigned status; /* 0: it fails */
    const char *body;
} replies[] = {
    {"a body of a length arrives", OK_HELLO, false, false, 200, "hello"},
    {"a chunked body arrives without its framing",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
        false, false, 200, "hello"},
    {"a body until close ends with the connection",
        "HTTP/1.1 200 OK\r\n\r\nhello", true, false, 200, "hello"},
    {"no body at all", "HTTP/1.1 204 No Content\r\n\r\n", false, false, 204,
        ""},
    {"304 has no body",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", false, false,
        304, ""},
    {"an error page is a response",
        "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy", false, false, 503,
        "busy"},
    {"a body that ends early is cut",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", true, true, 200,
        "hello"},
    {"a chunked body without its end is cut",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        true, true, 200, "hello"},
    {"a bad chunk cuts the body",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX",
        false, true, 200, "hello"},
    {"no HTTP", "SSH-2.0-OpenSSH\r\n", false, false, 0, ""},
    {"a head that does not end", "HTTP/1.1 200 OK\r\nA: b\r\n", true, false, 0,
        ""},
    {"a 101 that nobody asked for",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n"
        "Connection: upgrade\r\n\r\n",
        false, false, 0, ""},
};

START_TEST(exchange_with_reply)
{
    struct peer_step steps[] = {
        {END_OF_HEAD, span_str(replies[_i].reply),
            replies[_i].fin ? PEER_FIN : PEER_GO_ON},
        {NULL, {NULL, 0}, PEER_GO_ON},
    };
    bool fails = replies[_i].is_cut || replies[_i].status == 0;

    script(0, 0, steps);
    get();
    backend_rig_run(&rig);
    ck_assert_msg(
        rig.is_failed == fails, "%s: %s", replies[_i].name, rig.error);
    ck_assert_uint_eq(rig.status, replies[_i].status);
    ck_assert_str_eq(backend_rig_body(&rig), replies[_i].body);
    if (fails)
        ck_assert_int_eq(rig.why, BACKEND_FAILED_PROTOCOL);
}
END_TEST

START_TEST(request_is_written_anew)
{
    static const struct peer_step steps[] = {
        {END_OF_HEAD, {(const unsigned char *)OK_HELLO, sizeof(OK_HELLO) - 1},
            PEER_GO_ON},
        {NULL, {NULL, 0}, PEER_GO_ON},
    };

    script(0, 0, steps);
    backend_rig_begin(&rig, backend_http_start,
        "GET /x/../a?b=c HTTP/1.1\r\nHost: www.example.org\r\n"
        "X-Forwarded-For: 10.1.1.1\r\nConnection: keep-alive, secret\r\n"
        "Secret: 1\r\nUpgrade: websocket\r\n\r\n",
        true);
    backend_rig_run(&rig);
    ck_assert(peer_server_has(&rig.servers[0], 0, "GET /a?b=c HTTP/1.1\r\n"));
    ck_assert(
        peer_server_has(&rig.servers[0], 0, "X-Forwarded-For: 192.0.2.1\r\n"));
    ck_assert(!peer_server_has(&rig.servers[0], 0, "10.1.1.1"));
    ck_assert(!peer_server_has(&rig.servers[0], 0, "Secret"));
    ck_assert(!peer_server_has(&rig.servers[0], 0, "Upgrade"));
    ck_assert_str_eq(backend_server(rig.call), rig.servers[0].address);
}
END_TEST

START_TEST(head_response_has_no_body)
{
    static const struct peer_step steps[] = {
        {END_OF_HEAD,
            {(const unsigned char *)"HTTP/1.1 200 OK\r\n"
                                    "Content-Length: 5\r\n\r\n",
                38},
            PEER_GO_ON},
        {NULL, {NULL, 0}, PEER_GO_ON},
    };

    script(0, 0, steps);
    backend_rig_begin(&rig, backend_http_start,
        "HEAD / HTTP/1.1\r\nHost: www.example.org\r\n\r\n", true);
    backend_rig_run(&rig);
    ck_assert(rig.is_ended);
    ck_assert_int_eq(rig.framing, HTTP_BODY_NONE);
    ck_assert(backend_rig_has_field(&rig, "Content-Length: 5"));
}
END_TEST

START_TEST(interim_heads_pass_but_100)
{
    const struct peer_step steps[] = {
        {END_OF_HEAD,
            REPLY(
                "HTTP/1.1 100 Continue\r\n\r\n"
                "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" OK_HELLO),
            PEER_GO_ON},
        {NULL, {NULL, 0}, PEER_GO_ON},
    };

    script(0, 0, steps);
    get();
    backend_rig_run(&rig);
    ck_assert_uint_eq(rig.interims, 1);
    ck_assert_uint_eq(rig.interim, 103);
    ck_assert_uint_eq(rig.status, 200);
    ck_assert_str_eq(backend_rig_body(&rig), "hello");
}
END_TEST

/* What the server sends behind the head of the request: so many interim
 * responses, then the answer. */
static struct span
interims_and_answer(struct buf *out, size_t count, const char *interim)
{
    buf_init(out, 1 << 20);
    for (size_t i = 0; i < count; i++)
        ck_assert(buf_add_str(out, interim));
    ck_assert(buf_add_str(out, OK_HELLO));
    return buf_span(out);
}

static const struct {
    const char *name;
    size_t count;
    const char *interim;
    bool is_failed;
} interim_counts[] = {
    {"as many as may be", BACKEND_INTERIM_MAX,
        "HTTP/1.1 103 Early Hints\r\n\r\n", false},
    {"one more", BACKEND_INTERIM_MAX + 1, "HTTP/1.1 103 Early Hints\r\n\r\n",
        true},
    {"100 counts, though it ends here", BACKEND_INTERIM_MAX + 1,
        "HTTP/1.1 100 Continue\r\n\r\n", true},
};

START_TEST(interim_heads_are_counted)
{
    struct buf out;
    const struct peer_step steps[] = {
        {END_OF_HEAD,
            interims_and_answer(
                &out, interim_counts[_i].count, interim_counts[_i].interim),
            PEER_GO_ON},
        {NULL, {NULL, 0}, PEER_GO_ON},
    };

    script(0, 0, steps);
    get();
    backend_rig_run(&rig);
    ck_assert_msg(rig.is_failed == interim_counts[_i].is_failed, "%s: %s",
        interim_counts[_i].name, rig.error);
    ck_assert_uint_le(rig.interims, BACKEND_INTERIM_MAX);
    if (rig.is_failed) {
        ck_assert_int_eq(rig.why, BACKEND_FAILED_PROTOCOL);
        ck_assert_uint_eq(rig.status, 0);
    } else {
        ck_assert_str_eq(backend_rig_body(&rig), "hello");
    }
    buf_fini(&out);
}
END_TEST

START_TEST(trailers_come_with_the_end)
{
    const struct peer_step steps[] = {
        {END_OF_HEAD,
            REPLY("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "5\r\nhello\r\n0\r\nChecksum: 1\r\n\r\n"),
            PEER_GO_ON},
        {NULL, {NULL, 0}, PEER_GO_ON},
    };

    script(0, 0, steps);
    get();
    backend_rig_run(&rig);
    ck_assert(rig.is_ended);
    ck_assert(backend_rig_has_field(&rig, "Checksum: 1"));
}
END_TEST

/* ---- request bodies ------------------------------------------------------ */

START_TEST(body_of_a_length_is_forwarded)
{
    const struct peer_step steps[] = {
        {END_OF_HEAD "hello world", REPLY(OK_HELLO), PEER_GO_ON},
        {NULL, {NULL, 0}, PEER_GO_ON},
    };

    script(0, 0, steps);
    backend_rig_begin(&rig, backend_http_start,
        "POST / HTTP/1.1\r\nHost: www.example.org\r\n"
        "Content-Length: 11\r\n\r\n",
        false);
    ck_assert(backend_send(rig.call, SPAN_LIT("hello ")));
    backend_rig_turn(&rig);
    ck_assert(backend_send(rig.call, SPAN_LIT("world")));
    backend_finish(rig.call);
    backend_rig_run(&rig);
    ck_assert(rig.is_ended);
    ck_assert(peer_server_has(&rig.servers[0], 0, "Content-Length: 11\r\n"));
}
END_TEST

static bool
has_connection(struct backend_rig *r)
{
    return r->servers[0].accepted > 0 &&
           peer_server_has(&r->servers[0], 0, "\r\n\r\n");
}

START_TEST(chunked_body_is_chunked_anew)
{
    const struct peer_step steps[] = {
        {"0\r\n\r\n", REPLY(OK_HELLO), PEER_GO_ON},
        {NULL, {NULL, 0}, PEER_GO_ON},
    };

    script(0, 0, steps);
    backend_rig_begin(&rig, backend_http_start,
        "POST / HTTP/1.1\r\nHost: www.example.org\r\n"
        "Transfer-Encoding: chunked\r\n\r\n",
        false);
    ck_assert(backend_send(rig.call, SPAN_LIT("hello ")));
    backend_rig_until(&rig, has_connection);
    ck_assert(backend_send(rig.call, SPAN_LIT("world")));
    backend_finish(rig.call);
    backend_rig_run(&rig);
    ck_assert(peer_server_has(
        &rig.servers[0], 0, "\r\n\r\n6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n"));
    ck_assert(
        peer_server_has(&rig.servers[0], 0, "Transfer-Encoding: chunked\r\n"));
}
END_TEST

/* Answered before the body was whole: given to the client, not kept. */
START_TEST(early_response_ends_the_connection)
{
    const struct peer_step steps[] = {
        {END_OF_HEAD, REPLY("HTTP/1.1 413 Large\r\nContent-Length: 0\r\n\r\n"),
            PEER_GO_ON},
        {NULL, {NULL, 0}, PEER_GO_ON},
    };

    script(0, 0, steps);
    backend_rig_begin(&rig, backend_http_start,
        "POST / HTTP/1.1\r\nHost: www.example.org\r\n"
        "Content-Length: 11\r\n\r\n",
        false);
    backend_rig_run(&rig);
    ck_assert_uint_eq(rig.status, 413);
    ck_assert(backend_send(rig.call, SPAN_LIT("hello world")));
    backend_finish(rig.call);
    script(0, 1, steps);
    get();
    backend_rig_run(&rig);
    ck_assert_uint_eq(rig.servers[0].accepted, 2);
}
END_TEST

static bool
is_writable(struct backend_rig *r)
{
    return r->writables > 0;
}

static bool
has_all(struct backend_rig *r)
{
    return r->servers[0].got[0].len > (size_t)4 << 20;
}

START_TEST(a_full_connection_pauses_the_client)
{
    static unsigned char block[64 * 1024];
    size_t sent = 0;
    bool has_room = true;

    rig.request.max_body = 0;
    backend_rig_begin(&rig, backend_http_start,
        "POST / HTTP/1.1\r\nHost: www.example.org\r\n"
        "Content-Length: 99999999\r\n\r\n",
        false);
    backend_rig_until(&rig, has_connection);
    peer_server_stop_reading(&rig.servers[0], 0);
    while (has_room && sent < (size_t)64 << 20) {
        has_room = backend_send(rig.call, span_make(block, sizeof(block)));
        sent += sizeof(block);
        backend_rig_turn(&rig);
    }
    ck_assert(!has_room);
    ck_assert_uint_eq(rig.writables, 0);
    backend_rig_release(&rig);
}
END_TEST

START_TEST(early_bytes_pause_the_client_until_connected)
{
    static unsigned char block[4 * 1024 * 1024];

    backend_rig_begin(&rig, backend_http_start,
        "POST / HTTP/1.1\r\nHost: www.example.org\r\n"
        "Content-Length: 99999999\r\n\r\n",
        false);
    ck_assert(!backend_send(rig.call, span_make(block, sizeof(block))));
    backend_rig_until(&rig, is_writable);
    backend_rig_until(&rig, has_all);
}
END_TEST

START_TEST(body_above_the_limit_fails)
{
    rig.request.max_body = 10;
    backend_rig_begin(&rig, backend_http_start,
        "POST / HTTP/1.1\r\nHost: www.example.org\r\n"
        "Transfer-Encoding: chunked\r\n\r\n",
        false);
    ck_assert(backend_send(rig.call, SPAN_LIT("0123456789")));
    ck_assert(!backend_send(rig.call, SPAN_LIT("x")));
    ck_assert(!rig.is_failed);
    backend_rig_run(&rig);
    ck_assert_int_eq(rig.why, BACKEND_FAILED_LIMIT);
}
END_TEST

/* ---- keeping connections ------------------------------------------------- */

START_TEST(connection_is_used_again)
{
    const struct peer_step steps[] = {
        {END_OF_HEAD, REPLY(OK_HELLO), PEER_GO_ON},
        {END_OF_HEAD, REPLY(OK_HELLO), PEER_GO_ON},
        {NULL, {NULL, 0}, PEER_GO_ON},
    };

    script(0, 0, steps);
    get();
    backend_rig_run(&rig);
    get();
    backend_rig_run(&rig);
    ck_assert(rig.is_ended);
    ck_assert_uint_eq(rig.servers[0].accepted, 1);
}
END_TEST

static const struct {
    const char *name;
    const char *reply;
} unkept[] = {
    {"Connection: close",
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"},
    {"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"},
    {"bytes behind the response",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n"},
};

START_TEST(connection_is_not_used_again)
{
    struct peer_step steps[] = {
        {END_OF_HEAD, span_str(unkept[_i].reply), PEER_GO_ON},
        {NULL, {NULL, 0}, PEER_GO_ON},
    };

    script(0, 0, steps);
    script(0, 1, steps);
    get();
    backend_rig_run(&rig);
    get();
    backend_rig_run(&rig);
    ck_assert(rig.is_ended);
    ck_assert_uint_eq(rig.servers[0].accepted, 2);
}
END_TEST

static bool
first_is_closed(struct backend_rig *r)
{
    return r->servers[0].had_eof[0];
}

/* A response that nobody asked for must not answer the next request. */
START_TEST(stray_bytes_close_an_idle_connection)
{
    const struct peer_step steps[] = {
        {END_OF_HEAD, REPLY(OK_HELLO), PEER_GO_ON},
        {NULL, {NULL, 0}, PEER_GO_ON},
    };

    script(0, 0, steps);
    script(0, 1, steps);
    get();
    backend_rig_run(&rig);
    peer_server_send(&rig.servers[0], 0, SPAN_LIT("HTTP/1.1 500 No\r\n\r\n"));
    backend_rig_until(&rig, first_is_closed);
    get();
    backend_rig_run(&rig);
    ck_assert_uint_eq(rig.status, 200);
    ck_assert_uint_eq(rig.servers[0].accepted, 2);
}
END_TEST

static const struct {
    const char *name;
    const char *request;
    const char *body;
    bool again;
} stale[] = {
    {"GET is sent once more", GET, "", true},
    {"POST is not", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
        "", false},
    {"PUT of which the body was sent is not",
        "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n", "ab", false},
};

/* The kept connection dies when the second request reaches it. */
START_TEST(stale_connection)
{
    const struct peer_step dying[] = {
        {END_OF_HEAD, REPLY(OK_HELLO), PEER_GO_ON},
        {END_OF_HEAD, {NULL, 0}, PEER_FIN},
        {NULL, {NULL, 0}, PEER_GO_ON},
    };
    const struct peer_step steps[] = {
        {END_OF_HEAD, REPLY(OK_HELLO), PEER_GO_ON},
        {NULL, {NULL, 0}, PEER_GO_ON},
    };

    script(0, 0, dying);
    script(0, 1, steps);
    get();
    backend_rig_run(&rig);
    backend_rig_begin(&rig, backend_http_start, stale[_i].request, false);
    if (stale[_i].body[0] != 0)
        (void)backend_send(rig.call, span_str(stale[_i].body));
    backend_finish(rig.call);
    backend_rig_run(&rig);
    ck_assert_msg(rig.is_ended == stale[_i].again, "%s", stale[_i].name);
    ck_assert_uint_eq(rig.servers[0].accepted, stale[_i].again ? 2 : 1);
    if (!stale[_i].again)
        ck_assert_int_eq(rig.why, BACKEND_FAILED_PROTOCOL);
}
END_TEST

START_TEST(new_connection_that_dies_is_a_failure)
{
    const struct peer_step dying[] = {
        {END_OF_HEAD, {NULL, 0}, PEER_RESET},
        {NULL, {NULL, 0}, PEER_GO_ON},
    };

    script(0, 0, dying);
    get();
    backend_rig_run(&rig);
    ck_assert(rig.is_failed);
    ck_assert_int_eq(rig.why, BACKEND_FAILED_PROTOCOL);
    ck_assert_ptr_nonnull(strstr(rig.error, rig.servers[0].address));
}
END_TEST

/* ---- other servers, time ------------------------------------------------- */

START_TEST(next_server_when_one_cannot_be_reached)
{
    const struct peer_step steps[] = {
        {END_OF_HEAD, REPLY(OK_HELLO), PEER_GO_ON},
        {NULL, {NULL, 0}, PEER_GO_ON},
    };
    const char *names[] = {"127.0.0.1:1", rig.servers[0].address, NULL};

    script(0, 0, steps);
    backend_rig_servers(&rig, names);
    get();
    backend_rig_run(&rig);
    ck_assert(rig.is_ended);
    ck_assert_str_eq(backend_server(rig.call), rig.servers[0].address);
}
END_TEST

START_TEST(no_server_can_be_reached)
{
    const char *names[] = {"127.0.0.1:1", "unix:/nowhere/x.sock", NULL};

    backend_rig_servers(&rig, names);
    get();
    backend_rig_run(&rig);
    ck_assert_int_eq(rig.why, BACKEND_FAILED_CONNECT);
    ck_assert_ptr_nonnull(strstr(rig.error, "unix:/nowhere/x.sock"));
}
END_TEST

START_TEST(silent_server_is_a_timeout)
{
    rig.location.proxy.up.read_timeout_ms = 50;
    get();
    backend_rig_run(&rig);
    ck_assert_int_eq(rig.why, BACKEND_FAILED_TIMEOUT);
    ck_assert_uint_eq(rig.status, 0);
}
END_TEST

START_TEST(server_that_takes_nothing_is_a_timeout)
{
    static unsigned char block[16 * 1024 * 1024];

    rig.location.proxy.up.send_timeout_ms = 50;
    backend_rig_begin(&rig, backend_http_start,
        "POST / HTTP/1.1\r\nHost: www.example.org\r\n"
        "Content-Length: 99999999\r\n\r\n",
        false);
    backend_rig_until(&rig, has_connection);
    peer_server_stop_reading(&rig.servers[0], 0);
    (void)backend_send(rig.call, span_make(block, sizeof(block)));
    backend_rig_run(&rig);
    ck_assert_int_eq(rig.why, BACKEND_FAILED_TIMEOUT);
}
END_TEST

static void
on_timer(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

/* Both deadlines of the server pass while the client takes its time. */
START_TEST(slow_client_is_no_timeout)
{
    const struct peer_step steps[] = {
        {"xy", REPLY(OK_HELLO), PEER_GO_ON},
        {NULL, {NULL, 0}, PEER_GO_ON},
    };
    uv_timer_t timer;
    bool is_past = false;

    rig.location.proxy.up.read_timeout_ms = 1;
    rig.location.proxy.up.send_timeout_ms = 1;
    script(0, 0, steps);
    backend_rig_begin(&rig, backend_http_start,
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n", false);
    (void)backend_send(rig.call, SPAN_LIT("x"));
    backend_rig_until(&rig, has_connection);
    ck_assert_int_eq(uv_timer_init(&rig.uv, &timer), 0);
    timer.data = &is_past;
    (void)uv_timer_start(&timer, on_timer, 2 * DEADLINE_COARSE_MS, 0);
    while (!is_past && !rig.is_failed)
        (void)uv_run(&rig.uv, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    ck_assert_msg(!rig.is_failed, "%s", rig.error);
    rig.location.proxy.up.read_timeout_ms = 1000;
    (void)backend_send(rig.call, SPAN_LIT("y"));
    backend_finish(rig.call);
    backend_rig_run(&rig);
    ck_assert(rig.is_ended);
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
    const struct peer_step steps[] = {
        {END_OF_HEAD,
            REPLY("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"),
            PEER_GO_ON},
        {NULL, {NULL, 0}, PEER_GO_ON},
    };

    rig.pause_at_body = true;
    script(0, 0, steps);
    get();
    backend_rig_until(&rig, has_body);
    backend_rig_turn(&rig);
    ck_assert_str_eq(backend_rig_body(&rig), "hel");
    backend_resume(rig.call);
    backend_rig_turn(&rig);
    ck_assert_str_eq(backend_rig_body(&rig), "hello");
    ck_assert(!rig.is_ended);
    backend_resume(rig.call);
    backend_rig_run(&rig);
    ck_assert(rig.is_ended);
}
END_TEST

static bool
is_released(struct backend_rig *r)
{
    return r->call == NULL;
}

START_TEST(released_within_an_event)
{
    const struct peer_step steps[] = {
        {END_OF_HEAD,
            _i == RIG_RELEASE_AT_FAIL ? REPLY("no HTTP\r\n\r\n")
                                      : REPLY(OK_HELLO),
            PEER_GO_ON},
        {NULL, {NULL, 0}, PEER_GO_ON},
    };

    rig.release = (enum rig_release)_i;
    script(0, 0, steps);
    get();
    backend_rig_until(&rig, is_released);
    backend_rig_turn(&rig);
    ck_assert_int_eq(rig.is_ended, _i == RIG_RELEASE_AT_END);
}
END_TEST

START_TEST(released_while_connecting)
{
    get();
    backend_rig_release(&rig);
    backend_rig_turn(&rig);
    ck_assert(!backend_rig_is_over(&rig));
}
END_TEST

START_TEST(released_while_waiting_closes_the_connection)
{
    get();
    backend_rig_until(&rig, has_connection);
    backend_rig_release(&rig);
    backend_rig_until(&rig, first_is_closed);
}
END_TEST

/* One byte at a time gives the same response. */
START_TEST(response_byte_by_byte)
{
    static const char text[] = "HTTP/1.1 103 Early Hints\r\n\r\n"
                               "HTTP/1.1 200 OK\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n"
                               "5\r\nhello\r\n0\r\n\r\n";

    get();
    backend_rig_until(&rig, has_connection);
    for (size_t i = 0; i + 1 < sizeof(text); i++) {
        peer_server_send(&rig.servers[0], 0, span_make(text + i, 1));
        backend_rig_turn(&rig);
    }
    backend_rig_run(&rig);
    ck_assert(rig.is_ended);
    ck_assert_uint_eq(rig.interims, 1);
    ck_assert_str_eq(backend_rig_body(&rig), "hello");
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("backend_http");
    TCase *tcase = tcase_create("exchange");
    SRunner *runner;
    int failures;

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 30);
    tcase_add_loop_test(
        tcase, exchange_with_reply, 0, sizeof(replies) / sizeof(replies[0]));
    tcase_add_test(tcase, request_is_written_anew);
    tcase_add_test(tcase, head_response_has_no_body);
    tcase_add_test(tcase, interim_heads_pass_but_100);
    tcase_add_loop_test(tcase, interim_heads_are_counted, 0,
        sizeof(interim_counts) / sizeof(interim_counts[0]));
    tcase_add_test(tcase, trailers_come_with_the_end);
    tcase_add_test(tcase, body_of_a_length_is_forwarded);
    tcase_add_test(tcase, chunked_body_is_chunked_anew);
    tcase_add_test(tcase, early_response_ends_the_connection);
    tcase_add_test(tcase, a_full_connection_pauses_the_client);
    tcase_add_test(tcase, early_bytes_pause_the_client_until_connected);
    tcase_add_test(tcase, body_above_the_limit_fails);
    tcase_add_test(tcase, connection_is_used_again);
    tcase_add_loop_test(tcase, connection_is_not_used_again, 0,
        sizeof(unkept) / sizeof(unkept[0]));
    tcase_add_test(tcase, stray_bytes_close_an_idle_connection);
    tcase_add_loop_test(
        tcase, stale_connection, 0, sizeof(stale) / sizeof(stale[0]));
    tcase_add_test(tcase, new_connection_that_dies_is_a_failure);
    tcase_add_test(tcase, next_server_when_one_cannot_be_reached);
    tcase_add_test(tcase, no_server_can_be_reached);
    tcase_add_test(tcase, silent_server_is_a_timeout);
    tcase_add_test(tcase, server_that_takes_nothing_is_a_timeout);
    tcase_add_test(tcase, slow_client_is_no_timeout);
    tcase_add_test(tcase, paused_response_waits);
    tcase_add_loop_test(tcase, released_within_an_event, RIG_RELEASE_AT_HEAD,
        RIG_RELEASE_AT_FAIL + 1);
    tcase_add_test(tcase, released_while_connecting);
    tcase_add_test(tcase, released_while_waiting_closes_the_connection);
    tcase_add_test(tcase, response_byte_by_byte);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures ? 1 : 0;
}
