/*
 * Who has an address that we want.
 * Input: listeners of this process. Output: Check's report.
 */
#include "tests/support/temp_folder.h"
#include "wsgate/process/port_owner.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum { TEXT_SIZE = 400 };

union address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
};

static socklen_t
make_address(const char *text, in_port_t port, union address *out)
{
    memset(out, 0, sizeof(*out));
    if (inet_pton(AF_INET, text, &out->in.sin_addr) == 1) {
        out->in.sin_family = AF_INET;
        out->in.sin_port = port;
        return sizeof(out->in);
    }
    ck_assert_int_eq(inet_pton(AF_INET6, text, &out->in6.sin6_addr), 1);
    out->in6.sin6_family = AF_INET6;
    out->in6.sin6_port = port;
    return sizeof(out->in6);
}

/* A listener on a port of the kernel's choice (network order in *port). */
static int
listen_on(const char *text, bool v6only, in_port_t *port)
{
    union address own;
    socklen_t len = make_address(text, 0, &own);
    int fd = socket(own.any.sa_family, SOCK_STREAM, 0), only = v6only;

    ck_assert_int_ge(fd, 0);
    if (own.any.sa_family == AF_INET6)
        ck_assert_int_eq(
            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only)), 0);
    ck_assert_int_eq(bind(fd, &own.any, len), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    ck_assert_int_eq(getsockname(fd, &own.any, &len), 0);
    *port = own.any.sa_family == AF_INET ? own.in.sin_port : own.in6.sin6_port;
    return fd;
}

static const struct {
    const char *theirs, *ours;
    bool v6only;
    const char *named; /* NULL: nobody stands in the way */
} cases[] = {
    {"127.0.0.1", "127.0.0.1", true, "127.0.0.1"},
    {"127.0.0.1", "0.0.0.0", true, "127.0.0.1"},
    {"0.0.0.0", "127.0.0.1", true, "0.0.0.0"},
    {"127.0.0.1", "127.0.0.2", true, NULL},
    {"::", "0.0.0.0", false, "[::]"},
    {"::", "127.0.0.1", false, "[::]"},
    {"::ffff:127.0.0.1", "127.0.0.1", false, "[::ffff:127.0.0.1]"},
    {"::ffff:127.0.0.1", "127.0.0.2", false, NULL},
    {"::1", "::", true, "[::1]"},
    {"::", "::1", true, "[::]"},
    {"::1", "0.0.0.0", true, NULL},
    {"0.0.0.0", "::", true, NULL},
};

START_TEST(what_overlaps_is_named_with_its_program)
{
    char text[TEXT_SIZE], wanted[TEXT_SIZE], pid[32];
    union address ours;
    in_port_t port;
    int fd = listen_on(cases[_i].theirs, cases[_i].v6only, &port);

    (void)make_address(cases[_i].ours, port, &ours);
    port_owner(&ours.any, text, sizeof(text));
    (void)close(fd);
    if (cases[_i].named == NULL) {
        ck_assert_str_eq(text, "");
        return;
    }
    (void)snprintf(wanted, sizeof(wanted), "has %s:%u", cases[_i].named,
        (unsigned)ntohs(port));
    (void)snprintf(pid, sizeof(pid), "(pid %d, user ", (int)getpid());
    ck_assert_ptr_nonnull(strstr(text, wanted));
    ck_assert_ptr_nonnull(strstr(text, pid));
    ck_assert_ptr_null(strchr(text, ';'));
}
END_TEST

START_TEST(one_address_with_several_sockets_is_named_once)
{
    union address own;
    socklen_t len = make_address("127.0.0.1", 0, &own);
    char text[TEXT_SIZE];
    int fds[3], on = 1;

    for (int i = 0; i < 3; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        ck_assert_int_eq(
            setsockopt(fds[i], SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
        ck_assert_int_eq(bind(fds[i], &own.any, len), 0);
        ck_assert_int_eq(listen(fds[i], 1), 0);
        ck_assert_int_eq(getsockname(fds[i], &own.any, &len), 0);
    }
    port_owner(&own.any, text, sizeof(text));
    for (int i = 0; i < 3; i++)
        (void)close(fds[i]);
    ck_assert_ptr_nonnull(strstr(text, "has 127.0.0.1:"));
    ck_assert_ptr_null(strstr(text, ", test_port_owner"));
}
END_TEST

START_TEST(a_small_buffer_is_not_left)
{
    union address ours;
    in_port_t port;
    char text[16];
    int fd = listen_on("127.0.0.1", true, &port);

    (void)make_address("127.0.0.1", port, &ours);
    memset(text, 'x', sizeof(text));
    port_owner(&ours.any, text, sizeof(text));
    ck_assert_uint_eq(strlen(text), sizeof(text) - 1);
    (void)close(fd);
}
END_TEST

START_TEST(a_unix_socket_tells_its_program)
{
    union address own = {.un = {.sun_family = AF_UNIX}};
    struct temp_folder folder;
    char path[PATH_MAX], text[TEXT_SIZE], pid[32];
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    temp_folder_init(&folder);
    (void)temp_folder_path(&folder, "s", path);
    ck_assert_uint_lt(strlen(path), sizeof(own.un.sun_path));
    memcpy(own.un.sun_path, path, strlen(path) + 1);
    ck_assert_int_eq(bind(fd, &own.any, sizeof(own.un)), 0);
    port_owner(&own.any, text, sizeof(text));
    ck_assert_ptr_nonnull(strstr(text, " is there"));
    ck_assert_int_eq(listen(fd, 1), 0);
    port_owner(&own.any, text, sizeof(text));
    (void)snprintf(pid, sizeof(pid), "(pid %d, user ", (int)getpid());
    ck_assert_ptr_nonnull(strstr(text, pid));
    ck_assert_ptr_nonnull(strstr(text, path));
    (void)close(fd);
    temp_folder_fini(&folder);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("port_owner");
    TCase *t = tcase_create("all");
    SRunner *runner;
    int failed;

    tcase_add_loop_test(t, what_overlaps_is_named_with_its_program, 0,
        (int)(sizeof(cases) / sizeof(cases[0])));
    tcase_add_test(t, one_address_with_several_sockets_is_named_once);
    tcase_add_test(t, a_small_buffer_is_not_left);
    tcase_add_test(t, a_unix_socket_tells_its_program);
    suite_add_tcase(s, t);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
