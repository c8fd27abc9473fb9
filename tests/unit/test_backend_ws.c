/*
 * WebSocket handshakes with scripted servers.
 * Input: upgrade requests, scripts. Output: the tunnel, or another answer.
 */
#include "wsgate/backend/backend.h"

#include "tests/support/backend_rig.h"

#include <check.h>
#include <stdlib.h>

/* Key and Accept are those of RFC 6455 1.3. */
#define UPGRADE                                                                \
    "GET /chat HTTP/1.1\r\nHost: www.example.org\r\n"                          \
    "Connection: Upgrade\r\nUpgrade: websocket\r\n"                            \
    "Sec-WebSocket-Version: 13\r\n"                                            \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
#define SWITCHING                                                              \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"               \
    "Connection: Upgrade\r\n"
#define ACCEPT "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
#define LAST_STEP                                                              \
    {                                                                          \
        NULL, {NULL, 0}, PEER_GO_ON                                            \
    }

static struct backend_rig rig;

static void
setup(void)
{
    backend_rig_init(&rig, 2);
}

static void
teardown(void)
{
    backend_rig_fini(&rig);
}

static void
upgrade(void)
{
    backend_rig_begin(&rig, backend_ws_start, UPGRADE, true);
}

static const struct {
    const char *name;
    const char *reply;
    unsigned status; /* 101: a tunnel; 0: it fails */
    const char *rest;
    const char *body;
} replies[] = {
    {"a right 101 opens the tunnel", SWITCHING ACCEPT "\r\n", 101, "", ""},
    {"bytes behind the 101 are not lost", SWITCHING ACCEPT "\r\n\x81\x02hi",
        101, "\x81\x02hi", ""},
    {"an interim head before the 101",
        "HTTP/1.1 103 Early Hints\r\n\r\n" SWITCHING ACCEPT "\r\nx", 101, "x",
        ""},
    {"a wrong Accept",
        SWITCHING "Sec-WebSocket-Accept: AAAALMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        0, "", ""},
    {"no Accept", SWITCHING "\r\n", 0, "", ""},
    {"another protocol",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n"
        "Connection: Upgrade\r\n" ACCEPT "\r\n",
        0, "", ""},
    {"a subprotocol nobody offered",
        SWITCHING ACCEPT "Sec-WebSocket-Protocol: chat\r\n\r\n", 0, "", ""},
    {"403 with a body is an ordinary response",
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", 403, "", "no"},
    {"426 passes",
        "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\n"
        "Content-Length: 0\r\n\r\n",
        426, "", ""},
    {"200 instead of a tunnel",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        "2\r\nok\r\n0\r\n\r\n",
        200, "", "ok"},
    {"no HTTP at all", "hello\r\n\r\n", 0, "", ""},
};

START_TEST(handshake_with_reply)
{
    const struct peer_step steps[] = {
        {"\r\n\r\n", span_str(replies[_i].reply), PEER_GO_ON},
        LAST_STEP,
    };

    rig.servers[0].scripts[0] = steps;
    upgrade();
    backend_rig_run(&rig);
    ck_assert_msg((rig.tunnel != NULL) == (replies[_i].status == 101), "%s: %s",
        replies[_i].name, rig.error);
    ck_assert_uint_eq(rig.status, replies[_i].status);
    ck_assert_str_eq(buf_cstr(&rig.rest), replies[_i].rest);
    ck_assert_str_eq(backend_rig_body(&rig), replies[_i].body);
    if (replies[_i].status != 0)
        return;
    ck_assert(rig.is_failed);
    ck_assert_int_eq(rig.why, BACKEND_FAILED_PROTOCOL);
    /* It answered, if badly: nobody else is asked. */
    ck_assert_uint_eq(rig.servers[1].accepted, 0);
}
END_TEST

START_TEST(request_is_an_upgrade)
{
    const struct peer_step steps[] = {
        {"\r\n\r\n", SPAN_LIT(SWITCHING ACCEPT "\r\n"), PEER_GO_ON},
        LAST_STEP,
    };
    const struct peer_server *server = &rig.servers[0];

    rig.servers[0].scripts[0] = steps;
    backend_rig_begin(&rig, backend_ws_start,
        "GET /chat HTTP/1.1\r\nHost: www.example.org\r\n"
        "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
        "X-Forwarded-For: 10.1.1.1\r\n"
        "Sec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        true);
    backend_rig_run(&rig);
    ck_assert(peer_server_has(server, 0, "Upgrade: websocket\r\n"));
    ck_assert(peer_server_has(
        server, 0, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"));
    ck_assert(peer_server_has(server, 0, "X-Forwarded-For: 192.0.2.1\r\n"));
    ck_assert(!peer_server_has(server, 0, "10.1.1.1"));
}
END_TEST

static size_t
on_data(void *ctx, struct span bytes)
{
    ck_assert(buf_add(&((struct backend_rig *)ctx)->rest, bytes));
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
    ck_abort_msg("%s", err->text);
}

static const struct stream_events owner = {
    .on_data = on_data,
    .on_eof = on_nothing,
    .on_drain = on_nothing,
    .on_error = on_error,
};

static bool
has_rest(struct backend_rig *r)
{
    return r->rest.len == 4;
}

/* The call may go as soon as the tunnel stands. */
START_TEST(tunnel_outlives_the_call)
{
    const struct peer_step steps[] = {
        {"\r\n\r\n", SPAN_LIT(SWITCHING ACCEPT "\r\n"), PEER_GO_ON},
        {"ping", SPAN_LIT("pong"), PEER_GO_ON},
        LAST_STEP,
    };

    rig.servers[0].scripts[0] = steps;
    upgrade();
    backend_rig_run(&rig);
    ck_assert_ptr_nonnull(rig.tunnel);
    backend_rig_release(&rig);
    stream_set_owner(rig.tunnel, &owner, &rig);
    stream_resume(rig.tunnel);
    stream_write(rig.tunnel, SPAN_LIT("ping"));
    backend_rig_until(&rig, has_rest);
    ck_assert_str_eq(buf_cstr(&rig.rest), "pong");
}
END_TEST

START_TEST(next_server_when_one_closes_without_answer)
{
    const struct peer_step dying[] = {
        {"\r\n\r\n", {NULL, 0}, _i == 0 ? PEER_FIN : PEER_RESET},
        LAST_STEP,
    };
    const struct peer_step steps[] = {
        {"\r\n\r\n", SPAN_LIT(SWITCHING ACCEPT "\r\n"), PEER_GO_ON},
        LAST_STEP,
    };

    rig.servers[0].scripts[0] = dying;
    rig.servers[1].scripts[0] = steps;
    upgrade();
    backend_rig_run(&rig);
    ck_assert_msg(rig.tunnel != NULL, "%s", rig.error);
    ck_assert_str_eq(backend_server(rig.call), rig.servers[1].address);
}
END_TEST

START_TEST(all_servers_close_without_answer)
{
    const struct peer_step dying[] = {
        {"\r\n\r\n", {NULL, 0}, PEER_FIN},
        LAST_STEP,
    };

    rig.servers[0].scripts[0] = dying;
    rig.servers[1].scripts[0] = dying;
    upgrade();
    backend_rig_run(&rig);
    ck_assert_int_eq(rig.why, BACKEND_FAILED_PROTOCOL);
    ck_assert_uint_eq(rig.servers[1].accepted, 1);
}
END_TEST

START_TEST(no_second_server_after_a_byte)
{
    const struct peer_step dying[] = {
        {"\r\n\r\n", SPAN_LIT("H"), PEER_FIN},
        LAST_STEP,
    };

    rig.servers[0].scripts[0] = dying;
    upgrade();
    backend_rig_run(&rig);
    ck_assert_int_eq(rig.why, BACKEND_FAILED_PROTOCOL);
    ck_assert_uint_eq(rig.servers[1].accepted, 0);
}
END_TEST

START_TEST(silent_server_is_a_timeout)
{
    rig.location.websocket.up.read_timeout_ms = 50;
    upgrade();
    backend_rig_run(&rig);
    ck_assert_int_eq(rig.why, BACKEND_FAILED_TIMEOUT);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("backend_ws");
    TCase *tcase = tcase_create("handshake");
    SRunner *runner;
    int failures;

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 30);
    tcase_add_loop_test(
        tcase, handshake_with_reply, 0, sizeof(replies) / sizeof(replies[0]));
    tcase_add_test(tcase, request_is_an_upgrade);
    tcase_add_test(tcase, tunnel_outlives_the_call);
    tcase_add_loop_test(
        tcase, next_server_when_one_closes_without_answer, 0, 2);
    tcase_add_test(tcase, all_servers_close_without_answer);
    tcase_add_test(tcase, no_second_server_after_a_byte);
    tcase_add_test(tcase, silent_server_is_a_timeout);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures ? 1 : 0;
}
