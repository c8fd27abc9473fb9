/*
 * The socket stream against plain descriptors.
 * Input: what the other end of a socket pair or a TCP connection does. Output:
 * events, bytes, marks.
 */
#include "wsgate/net/tcp_stream.h"

#include "shared/buf.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct owner {
    struct stream *stream;
    struct buf data;
    size_t takes;
    size_t calls;
    bool closes_on_data, pauses_on_data, resumes_on_data;
    unsigned eof, drains, errors, ended, closed;
    struct err err;
};

static uv_loop_t uv;
static struct net_loop net;
static struct owner owner;
static int peer; /* the other end, non-blocking */

static size_t
on_data(void *ctx, struct span bytes)
{
    struct owner *o = ctx;
    size_t n = bytes.len < o->takes ? bytes.len : o->takes;

    o->calls++;
    ck_assert(buf_add(&o->data, span_sub(bytes, 0, n)));
    if (o->closes_on_data)
        stream_close(o->stream);
    if (o->pauses_on_data)
        stream_pause(o->stream);
    if (o->resumes_on_data)
        stream_resume(o->stream);
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
    ((struct owner *)ctx)->errors++;
    ((struct owner *)ctx)->err = *err;
}

static void
on_closed(void *ctx)
{
    ((struct owner *)ctx)->closed++;
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
    .on_ended = on_ended,
};

/* A connected pair over TCP on the loopback; Unix sockets come by socketpair. */
static void
tcp_pair(int fds[2])
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof(at);
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    fds[0] = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(fds[0], (struct sockaddr *)&at, sizeof(at)), 0);
    fds[1] = accept(listener, NULL, NULL);
    ck_assert_int_ge(fds[1], 0);
    (void)close(listener);
}

/* Even numbers: TCP, odd: Unix. */
static void
start(int kind)
{
    int fds[2];

    if (kind % 2 == 0)
        tcp_pair(fds);
    else
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    ck_assert_int_eq(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
    peer = fds[1];
    owner.stream = tcp_stream_open(&net, fds[0], &events, &owner, NULL);
    ck_assert_ptr_nonnull(owner.stream);
}

static void
setup(void)
{
    ck_assert_int_eq(uv_loop_init(&uv), 0);
    ck_assert(net_loop_init(&net, &uv, NULL));
    owner = (struct owner){.takes = SIZE_MAX};
    buf_init(&owner.data, SIZE_MAX / 2);
    peer = -1;
}

static void
turn(void)
{
    (void)uv_run(&uv, UV_RUN_NOWAIT);
}

static void
teardown(void)
{
    if (owner.stream != NULL) {
        stream_close(owner.stream);
        while (owner.closed == 0)
            turn();
        ck_assert_uint_eq(owner.closed, 1);
    }
    if (peer >= 0)
        (void)close(peer);
    buf_fini(&owner.data);
    net_loop_close(&net);
    (void)uv_run(&uv, UV_RUN_DEFAULT);
    net_loop_fini(&net);
    ck_assert_int_eq(uv_loop_close(&uv), 0);
}

static void
peer_sends(const char *text)
{
    ck_assert_int_eq(write(peer, text, strlen(text)), (ssize_t)strlen(text));
}

/* All that is there now. */
static size_t
peer_reads(struct buf *out)
{
    size_t before = out->len;

    for (;;) {
        ssize_t n;

        ck_assert(buf_reserve(out, 65536));
        n = read(peer, out->data + out->len, 65536);
        if (n <= 0)
            return out->len - before;
        buf_grew(out, (size_t)n);
    }
}

static bool
owner_got(const char *text)
{
    return span_eq(buf_span(&owner.data), span_str(text));
}

START_TEST(tcp_stream_starts_paused_and_reads_when_resumed)
{
    start(_i);
    peer_sends("hello");
    turn();
    ck_assert_uint_eq(owner.calls, 0);
    stream_resume(owner.stream);
    while (owner.calls == 0)
        turn();
    ck_assert(owner_got("hello"));
    stream_pause(owner.stream);
    peer_sends(" later");
    turn();
    ck_assert(owner_got("hello"));
    stream_resume(owner.stream);
    while (owner.calls == 1)
        turn();
    ck_assert(owner_got("hello later"));
}
END_TEST

START_TEST(tcp_stream_keeps_what_the_owner_leaves)
{
    start(_i);
    owner.takes = 2;
    stream_resume(owner.stream);
    peer_sends("abcde");
    ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
    while (owner.calls == 0)
        turn();
    turn();
    ck_assert(owner_got("ab"));
    stream_resume(owner.stream);
    ck_assert_uint_eq(owner.calls, 1); /* from the loop */
    turn();
    ck_assert(owner_got("abcd"));
    ck_assert_uint_eq(owner.eof, 0);
    stream_resume(owner.stream);
    while (owner.eof == 0)
        turn();
    ck_assert(owner_got("abcde"));
    ck_assert_uint_eq(owner.errors, 0);
}
END_TEST

/* A hand-over within on_data: the new owner resumes and gets the rest. */
START_TEST(tcp_stream_resumed_within_on_data_goes_on)
{
    start(_i);
    owner.takes = 1;
    owner.resumes_on_data = true;
    stream_resume(owner.stream);
    peer_sends("abc");
    while (owner.data.len < 3)
        turn();
    ck_assert_uint_eq(owner.calls, 3);
}
END_TEST

START_TEST(tcp_stream_gathers_writes_into_one)
{
    struct buf got;

    start(_i);
    buf_init(&got, 1000);
    got.max = SIZE_MAX / 2;
    stream_write(owner.stream, SPAN_LIT("one "));
    stream_write(owner.stream, SPAN_EMPTY);
    stream_write(owner.stream, SPAN_LIT("two"));
    ck_assert_uint_eq(stream_queued(owner.stream), 7);
    ck_assert_uint_eq(peer_reads(&got), 0);
    turn();
    ck_assert_uint_eq(stream_queued(owner.stream), 0);
    while (got.len < 7)
        (void)peer_reads(&got);
    ck_assert(span_eq(buf_span(&got), SPAN_LIT("one two")));
    buf_fini(&got);
}
END_TEST

START_TEST(tcp_stream_shares_the_write_buffer_in_order)
{
    struct owner second = {.takes = SIZE_MAX};
    int fds[2];
    char bytes[16] = "";

    start(_i);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    second.stream = tcp_stream_open(&net, fds[0], &events, &second, NULL);
    stream_write(owner.stream, SPAN_LIT("a1"));
    stream_write(second.stream, SPAN_LIT("b1"));
    stream_write(owner.stream, SPAN_LIT("a2"));
    stream_write(second.stream, SPAN_LIT("b2"));
    net_loop_flush(&net);
    ck_assert_int_eq(read(fds[1], bytes, sizeof(bytes)), 4);
    ck_assert_str_eq(bytes, "b1b2");
    ck_assert_int_eq(fcntl(peer, F_SETFL, 0), 0);
    ck_assert_int_eq(recv(peer, bytes, 4, MSG_WAITALL), 4);
    ck_assert_str_eq(bytes, "a1a2");
    stream_close(second.stream);
    while (second.closed == 0)
        turn();
    (void)close(fds[1]);
}
END_TEST

enum { BIG = 20000000 };

/* Written at once: more than any socket takes. */
START_TEST(tcp_stream_takes_everything_and_drains)
{
    unsigned char *big = malloc(BIG);
    struct buf got;

    start(_i);
    buf_init(&got, SIZE_MAX / 2);
    ck_assert_ptr_nonnull(big);
    for (size_t i = 0; i < BIG; i++)
        big[i] = (unsigned char)(i * 31 + i / 257);
    stream_write(owner.stream, SPAN_LIT("x"));
    stream_write(owner.stream, span_make(big, BIG / 2));
    stream_write(owner.stream, span_make(big + BIG / 2, BIG / 2));
    ck_assert_uint_gt(stream_queued(owner.stream), STREAM_HIGH_MARK);
    stream_end(owner.stream);
    net_loop_flush(&net);
    ck_assert_uint_eq(owner.ended, 0);
    while (got.len < BIG + 1) {
        (void)peer_reads(&got);
        turn();
    }
    while (owner.ended == 0)
        turn();
    ck_assert_uint_eq(owner.drains, 1);
    ck_assert_uint_eq(stream_queued(owner.stream), 0);
    ck_assert_int_eq(memcmp(got.data + 1, big, BIG), 0);
    ck_assert_int_eq(read(peer, big, 1), 0); /* the FIN */
    buf_fini(&got);
    free(big);
}
END_TEST

START_TEST(tcp_stream_half_closes_and_still_reads)
{
    char byte;

    start(_i);
    stream_resume(owner.stream);
    stream_write(owner.stream, SPAN_LIT("q"));
    stream_end(owner.stream);
    stream_end(owner.stream);
    stream_write(owner.stream, SPAN_LIT("ignored"));
    while (owner.ended == 0)
        turn();
    ck_assert_int_eq(fcntl(peer, F_SETFL, 0), 0);
    ck_assert_int_eq(read(peer, &byte, 1), 1);
    ck_assert_int_eq(read(peer, &byte, 1), 0);
    peer_sends("answer");
    while (owner.calls == 0)
        turn();
    ck_assert(owner_got("answer"));
    ck_assert_uint_eq(owner.ended, 1);
}
END_TEST

START_TEST(tcp_stream_may_be_closed_in_on_data)
{
    start(_i);
    owner.closes_on_data = true;
    owner.takes = 1;
    stream_resume(owner.stream);
    peer_sends("abc");
    while (owner.closed == 0)
        turn();
    ck_assert_uint_eq(owner.calls, 1);
    ck_assert_uint_eq(owner.errors, 0);
    owner.stream = NULL;
}
END_TEST

START_TEST(tcp_stream_close_sends_what_was_gathered)
{
    char bytes[8] = "";

    start(_i);
    stream_write(owner.stream, SPAN_LIT("alert"));
    stream_close(owner.stream);
    stream_close(owner.stream);
    ck_assert_uint_eq(owner.closed, 0); /* never from within the call */
    while (owner.closed == 0)
        turn();
    owner.stream = NULL;
    ck_assert_int_eq(fcntl(peer, F_SETFL, 0), 0);
    ck_assert_int_eq(read(peer, bytes, sizeof(bytes)), 5);
    ck_assert_str_eq(bytes, "alert");
}
END_TEST

static void
peer_resets(void)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};

    (void)setsockopt(peer, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    (void)close(peer);
    peer = -1;
}

START_TEST(tcp_stream_tells_a_reset_once)
{
    start(0);
    stream_resume(owner.stream);
    turn();
    peer_resets();
    while (owner.errors == 0)
        turn();
    ck_assert_int_eq(owner.err.kind, ERR_SYSTEM);
    ck_assert_int_eq(owner.err.sys_errno, ECONNRESET);
    stream_write(owner.stream, SPAN_LIT("x"));
    stream_end(owner.stream);
    turn();
    turn();
    ck_assert_uint_eq(owner.errors, 1);
    ck_assert_uint_eq(owner.eof, 0);
}
END_TEST

/* The peer answers, closes, and our next write fails: the answer counts. */
START_TEST(tcp_stream_reads_the_answer_before_it_tells_a_failed_write)
{
    start(_i);
    peer_sends("413");
    (void)close(peer);
    peer = -1;
    for (int i = 0; i < 3; i++) { /* TCP: the first one brings the RST */
        stream_write(owner.stream, SPAN_LIT("body"));
        net_loop_flush(&net);
    }
    owner.calls = 0;
    stream_resume(owner.stream);
    while (owner.errors + owner.eof == 0)
        turn();
    ck_assert(owner_got("413") || owner.errors == 1);
    ck_assert_uint_eq(owner.eof + owner.errors, 1);
}
END_TEST

START_TEST(tcp_stream_write_to_the_dead_fails_while_reading)
{
    start(1);
    stream_resume(owner.stream);
    peer_sends("last");
    (void)close(peer);
    peer = -1;
    stream_write(owner.stream, SPAN_LIT("body"));
    net_loop_flush(&net);
    ck_assert_uint_eq(owner.errors, 0);
    while (owner.errors == 0)
        turn();
    ck_assert(owner_got("last"));
    ck_assert_uint_eq(owner.eof, 0);
    ck_assert_int_eq(owner.err.sys_errno, EPIPE);
}
END_TEST

START_TEST(tcp_stream_write_to_the_dead_fails_while_paused)
{
    start(1);
    (void)close(peer);
    peer = -1;
    stream_write(owner.stream, SPAN_LIT("body"));
    ck_assert_uint_eq(owner.errors, 0);
    while (owner.errors == 0)
        turn();
    ck_assert_int_eq(owner.err.sys_errno, EPIPE);
    ck_assert_uint_eq(stream_queued(owner.stream), 0);
}
END_TEST

START_TEST(tcp_stream_refuses_what_is_no_socket)
{
    struct err err;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    ck_assert_ptr_null(tcp_stream_open(&net, fd, &events, &owner, &err));
    ck_assert_int_eq(fcntl(fd, F_GETFD), -1); /* taken all the same */
    turn();
    ck_assert_uint_eq(owner.closed, 0);
}
END_TEST

START_TEST(net_err_uv_keeps_the_errno)
{
    struct err err;

    ck_assert(!net_err_uv(&err, UV_ECONNREFUSED, "connect to %s", "x"));
    ck_assert_int_eq(err.kind, ERR_SYSTEM);
    ck_assert_int_eq(err.sys_errno, ECONNREFUSED);
    ck_assert_str_eq(err.text, "connect to x: connection refused");
    (void)net_err_uv(&err, UV_ETIMEDOUT, "connect");
    ck_assert_int_eq(err.kind, ERR_TIMEOUT);
    (void)net_err_uv(&err, UV_EAI_NONAME, "resolve");
    ck_assert_int_eq(err.sys_errno, 0);
    (void)net_err_uv(NULL, UV_EOF, "read");
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("tcp_stream");
    TCase *tc = tcase_create("tcp_stream");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tc);
    tcase_set_timeout(tc, 15);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(
        tc, tcp_stream_starts_paused_and_reads_when_resumed, 0, 2);
    tcase_add_loop_test(tc, tcp_stream_keeps_what_the_owner_leaves, 0, 2);
    tcase_add_loop_test(tc, tcp_stream_resumed_within_on_data_goes_on, 0, 2);
    tcase_add_loop_test(tc, tcp_stream_gathers_writes_into_one, 0, 2);
    tcase_add_loop_test(tc, tcp_stream_shares_the_write_buffer_in_order, 0, 2);
    tcase_add_loop_test(tc, tcp_stream_takes_everything_and_drains, 0, 2);
    tcase_add_loop_test(tc, tcp_stream_half_closes_and_still_reads, 0, 2);
    tcase_add_loop_test(tc, tcp_stream_may_be_closed_in_on_data, 0, 2);
    tcase_add_loop_test(tc, tcp_stream_close_sends_what_was_gathered, 0, 2);
    tcase_add_test(tc, tcp_stream_tells_a_reset_once);
    tcase_add_loop_test(
        tc, tcp_stream_reads_the_answer_before_it_tells_a_failed_write, 0, 2);
    tcase_add_test(tc, tcp_stream_write_to_the_dead_fails_while_reading);
    tcase_add_test(tc, tcp_stream_write_to_the_dead_fails_while_paused);
    tcase_add_test(tc, tcp_stream_refuses_what_is_no_socket);
    tcase_add_test(tc, net_err_uv_keeps_the_errno);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
