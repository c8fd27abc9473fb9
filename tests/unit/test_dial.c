/*
 * Dialling: address texts, and connections to listeners of our own.
 * Input: texts; sockets that answer, refuse or keep silent. Output: a stream or
 * an error, once.
 */
#include "wsgate/net/dial.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static uv_loop_t uv;
static struct net_loop net;
static unsigned dones;
static struct stream *stream;
static struct err failure;

static void
on_done(void *ctx, struct stream *s, const struct err *err)
{
    ck_assert_ptr_eq(ctx, &dones);
    dones++;
    stream = s;
    if (s == NULL)
        failure = *err;
}

static void
setup(void)
{
    ck_assert_int_eq(uv_loop_init(&uv), 0);
    ck_assert(net_loop_init(&net, &uv, NULL));
    dones = 0;
    stream = NULL;
}

static void
teardown(void)
{
    stream_discard(stream);
    (void)uv_run(&uv, UV_RUN_NOWAIT);
    net_loop_close(&net);
    (void)uv_run(&uv, UV_RUN_DEFAULT);
    net_loop_fini(&net);
    ck_assert_int_eq(uv_loop_close(&uv), 0);
}

/* ---- addresses ------------------------------------------------------------ */

static const struct {
    const char *text;
    bool is_unix;
    const char *host;
    const char *port;
} good[] = {
    {"127.0.0.1:9000", false, "127.0.0.1", "9000"},
    {"[::1]:9000", false, "::1", "9000"},
    {"name:1", false, "name", "1"},
    {"a.b-c.example:65535", false, "a.b-c.example", "65535"},
    {"[fe80::1%lo]:80", false, "fe80::1%lo", "80"},
    {"unix:/run/x.sock", true, "/run/x.sock", ""},
    {"unix:x:1", true, "x:1", ""},
};

START_TEST(dial_address_takes_every_form)
{
    struct dial_address out;
    struct err err;

    ck_assert_msg(dial_address_parse(span_str(good[_i].text), &out, &err), "%s",
        err.text);
    ck_assert_int_eq(out.is_unix, good[_i].is_unix);
    ck_assert_str_eq(out.host, good[_i].host);
    ck_assert_str_eq(out.port, good[_i].port);
}
END_TEST

static const struct {
    const char *text;
    const char *says;
} bad[] = {
    {"", "write HOST:PORT"},
    {"name", "write HOST:PORT"},
    {":9000", "write HOST:PORT"},
    {"::1:9000", "write HOST:PORT"},
    {"fe80::1:9000", "brackets"},
    {"[::1]", "write HOST:PORT"},
    {"[::1]9000", "write HOST:PORT"},
    {"[]:80", "write HOST:PORT"},
    {"[::1:80", "write HOST:PORT"},
    {"name:", "port from 1 to 65535"},
    {"name:0", "port from 1 to 65535"},
    {"name:65536", "port from 1 to 65535"},
    {"name:http", "port from 1 to 65535"},
    {"name:+80", "port from 1 to 65535"},
    {"unix:", "a path must follow"},
};

START_TEST(dial_address_refuses_and_says_what_would_be_right)
{
    struct dial_address out;
    struct err err;

    ck_assert(!dial_address_parse(span_str(bad[_i].text), &out, &err));
    ck_assert_int_eq(err.kind, ERR_CONFIG);
    ck_assert_msg(strstr(err.text, bad[_i].says) != NULL, "%s", err.text);
}
END_TEST

START_TEST(dial_address_knows_the_longest_path_and_name)
{
    char text[300];
    struct dial_address out;
    struct err err;

    memset(text, 'a', sizeof(text));
    memcpy(text, "unix:", 5);
    ck_assert(dial_address_parse(span_make(text, 5 + 107), &out, &err));
    ck_assert(!dial_address_parse(span_make(text, 5 + 108), &out, &err));
    memset(text, 'a', sizeof(text));
    memcpy(text + 255, ":80", 3);
    ck_assert(dial_address_parse(span_make(text, 258), &out, &err));
    memcpy(text + 255, "a:80", 4);
    ck_assert(!dial_address_parse(span_make(text, 259), &out, &err));
    ck_assert(!dial_address_parse(SPAN_LIT("a\0b:80"), &out, &err));
}
END_TEST

/* ---- connections ---------------------------------------------------------- */

static int
listen_tcp(int family, char text[64])
{
    struct sockaddr_in6 at6 = {
        .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in at4 = {.sin_family = AF_INET};
    struct sockaddr_storage got;
    socklen_t len = sizeof(got);
    int fd = socket(family, SOCK_STREAM, 0);
    int rc;

    at4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    rc = family == AF_INET ? bind(fd, (struct sockaddr *)&at4, sizeof(at4))
                           : bind(fd, (struct sockaddr *)&at6, sizeof(at6));
    if (fd < 0 || rc != 0) {
        (void)close(fd);
        return -1;
    }
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&got, &len), 0);
    (void)snprintf(text, 64, family == AF_INET ? "127.0.0.1:%u" : "[::1]:%u",
        ntohs(family == AF_INET ? ((struct sockaddr_in *)&got)->sin_port
                                : ((struct sockaddr_in6 *)&got)->sin6_port));
    return fd;
}

static struct dial *
dial(const char *text, int64_t timeout_ms)
{
    struct dial_address address;
    struct dial *d;

    ck_assert(dial_address_parse(span_str(text), &address, NULL));
    d = dial_start(&net, &address, timeout_ms, on_done, &dones);
    ck_assert_ptr_nonnull(d);
    ck_assert_uint_eq(dones, 0); /* never before it returned */
    return d;
}

static void
wait_done(void)
{
    while (dones == 0)
        (void)uv_run(&uv, UV_RUN_NOWAIT);
    ck_assert_uint_eq(dones, 1);
}

static void
ck_talks(int listener)
{
    char bytes[4] = "";
    int fd = accept(listener, NULL, NULL);

    ck_assert_int_ge(fd, 0);
    stream_write(stream, SPAN_LIT("hi"));
    net_loop_flush(&net);
    ck_assert_int_eq(read(fd, bytes, 2), 2);
    ck_assert_str_eq(bytes, "hi");
    (void)close(fd);
}

static const int families[] = {AF_INET, AF_INET6};

START_TEST(dial_connects_to_an_address)
{
    char text[64];
    int fd = listen_tcp(families[_i], text);

    if (fd < 0)
        return; /* a machine without that family */
    ck_assert_int_eq(listen(fd, 1), 0);
    (void)dial(text, 5000);
    wait_done();
    ck_assert_ptr_nonnull(stream);
    ck_talks(fd);
    (void)close(fd);
}
END_TEST

/* localhost may be ::1 first, where nobody listens: the next one is tried. */
START_TEST(dial_resolves_names_and_tries_all_addresses)
{
    char text[64], name[64];
    int fd = listen_tcp(AF_INET, text);
    struct addrinfo *found = NULL;

    if (getaddrinfo("localhost", NULL, NULL, &found) != 0) {
        (void)close(fd);
        return; /* a machine without /etc/hosts */
    }
    freeaddrinfo(found);
    ck_assert_int_eq(listen(fd, 1), 0);
    (void)snprintf(name, sizeof(name), "localhost%s", strchr(text, ':'));
    (void)dial(name, 5000);
    wait_done();
    ck_assert_msg(stream != NULL, "%s", failure.text);
    ck_talks(fd);
    (void)close(fd);
}
END_TEST

START_TEST(dial_connects_to_a_unix_socket)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    char text[128];
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)snprintf(
        at.sun_path, sizeof(at.sun_path), "/tmp/test_dial.%d", (int)getpid());
    (void)snprintf(text, sizeof(text), "unix:%s", at.sun_path);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    (void)dial(text, 5000);
    wait_done();
    ck_assert_ptr_nonnull(stream);
    ck_talks(fd);
    (void)close(fd);
    (void)unlink(at.sun_path);
}
END_TEST

START_TEST(dial_says_who_refused)
{
    char text[64];
    int fd = listen_tcp(AF_INET, text); /* bound, but nobody listens */

    (void)dial(text, 5000);
    wait_done();
    ck_assert_ptr_null(stream);
    ck_assert_int_eq(failure.kind, ERR_SYSTEM);
    ck_assert_int_eq(failure.sys_errno, ECONNREFUSED);
    ck_assert_ptr_nonnull(strstr(failure.text, text));
    (void)close(fd);
}
END_TEST

START_TEST(dial_says_that_a_socket_is_missing)
{
    (void)dial("unix:/nonexistent/x.sock", 5000);
    wait_done();
    ck_assert_ptr_null(stream);
    ck_assert_int_eq(failure.sys_errno, ENOENT);
    ck_assert_ptr_nonnull(strstr(failure.text, "unix:/nonexistent/x.sock"));
}
END_TEST

/* A queue of one that is full answers no SYN (Linux). */
START_TEST(dial_gives_up_in_time)
{
    char text[64];
    int fd = listen_tcp(AF_INET, text);
    struct sockaddr_in at;
    socklen_t len = sizeof(at);
    int fill[4];

    ck_assert_int_eq(listen(fd, 0), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    for (int i = 0; i < 4; i++) {
        fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(fill[i], (struct sockaddr *)&at, sizeof(at));
    }
    (void)dial(text, 10);
    while (dones == 0)
        (void)uv_run(&uv, UV_RUN_ONCE);
    ck_assert_ptr_null(stream);
    ck_assert_int_eq(failure.kind, ERR_TIMEOUT);
    for (int i = 0; i < 4; i++)
        (void)close(fill[i]);
    (void)close(fd);
}
END_TEST

static const char *const cancelled[] = {
    "127.0.0.1:9", "localhost:9", "unix:/nonexistent/x.sock"};

/* At every stage: just started, resolving or connecting. */
START_TEST(dial_cancelled_calls_nobody)
{
    struct dial *d = dial(cancelled[_i % 3], 5000);

    if (_i >= 3) {
        net_loop_flush(&net);
        if (dones > 0)
            return;
    }
    dial_cancel(d);
    dial_cancel(NULL);
    for (int i = 0; i < 10; i++)
        (void)uv_run(&uv, UV_RUN_NOWAIT);
    ck_assert_uint_eq(dones, 0);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("dial");
    TCase *tc = tcase_create("dial");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tc);
    tcase_set_timeout(tc, 15);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, dial_address_takes_every_form, 0,
        (int)(sizeof(good) / sizeof(good[0])));
    tcase_add_loop_test(tc, dial_address_refuses_and_says_what_would_be_right,
        0, (int)(sizeof(bad) / sizeof(bad[0])));
    tcase_add_test(tc, dial_address_knows_the_longest_path_and_name);
    tcase_add_loop_test(tc, dial_connects_to_an_address, 0, 2);
    tcase_add_test(tc, dial_resolves_names_and_tries_all_addresses);
    tcase_add_test(tc, dial_connects_to_a_unix_socket);
    tcase_add_test(tc, dial_says_who_refused);
    tcase_add_test(tc, dial_says_that_a_socket_is_missing);
    tcase_add_test(tc, dial_gives_up_in_time);
    tcase_add_loop_test(tc, dial_cancelled_calls_nobody, 0, 6);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
