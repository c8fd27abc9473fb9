/*
 * What a service manager hears, and what it hands over. Each test runs in its
 * own process, so environment and descriptors are its own.
 */
#include "shared/service.h"
#include "tests/support/temp_folder.h"

#include <check.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Not constants: new ones for each test. */
static struct temp_folder folder;
static int listener = -1;

static void
setup(void)
{
    temp_folder_init(&folder);
}

static void
teardown(void)
{
    (void)close(listener);
    temp_folder_fini(&folder);
}

/* A socket as systemd's; "@name" is abstract. */
static void
listen_at(const char *name)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    size_t len = strlen(name);

    memcpy(at.sun_path, name, len);
    if (name[0] == '@')
        at.sun_path[0] = 0;
    listener = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(
        bind(listener, (struct sockaddr *)&at,
            (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
        0);
    (void)setenv("NOTIFY_SOCKET", name, 1);
}

static void
listen_here(void)
{
    char path[PATH_MAX];

    listen_at(temp_folder_path(&folder, "notify", path));
}

/* The next datagram, "" when there is none. */
static const char *
heard(void)
{
    static char text[4096]; /* not a constant: a test's own text */
    ssize_t n = recv(listener, text, sizeof(text) - 1, 0);

    text[n < 0 ? 0 : n] = 0;
    return text;
}

static void
set_pid(const char *name, long pid)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%ld", pid);
    (void)setenv(name, text, 1);
}

START_TEST(without_a_manager_nothing_happens)
{
    (void)unsetenv("NOTIFY_SOCKET");
    service_init();
    ck_assert(!service_is_managed());
    service_ready("fine");
    service_reloading();
    service_stopping(NULL);
    service_watchdog_pet();
    service_keep_for_exec();
    ck_assert_int_eq(service_watchdog_ms(), 0);
    ck_assert_int_eq(service_listen_count(), 0);
    ck_assert_int_eq(service_listen_fd(0), -1);
    ck_assert_str_eq(service_listen_name(0), "");
}
END_TEST

START_TEST(every_notice_has_its_form)
{
    long long usec = 0;

    listen_here();
    service_init();
    ck_assert(service_is_managed());
    ck_assert_ptr_null(getenv("NOTIFY_SOCKET"));
    service_ready("%d sites", 3);
    ck_assert_str_eq(heard(), "READY=1\nSTATUS=3 sites");
    service_status("two\nlines");
    ck_assert_str_eq(heard(), "STATUS=two lines");
    service_reloading();
    ck_assert_int_eq(
        sscanf(heard(), "RELOADING=1\nMONOTONIC_USEC=%lld", &usec), 1);
    ck_assert_int_gt(usec, 0);
    service_stopping("draining %s");
    ck_assert_str_eq(heard(), "STOPPING=1\nSTATUS=draining %s");
    service_extend_timeout(5000000);
    ck_assert_str_eq(heard(), "EXTEND_TIMEOUT_USEC=5000000");
    service_main_pid(77);
    ck_assert_str_eq(heard(), "MAINPID=77");
    service_watchdog_pet();
    ck_assert_str_eq(heard(), "");
}
END_TEST

START_TEST(an_abstract_socket_works)
{
    char name[64];

    (void)snprintf(
        name, sizeof(name), "@unit-test-service-%ld", (long)getpid());
    listen_at(name);
    service_init();
    service_status("here");
    ck_assert_str_eq(heard(), "STATUS=here");
}
END_TEST

START_TEST(a_long_status_is_cut_and_stays_one_message)
{
    char text[5000];

    listen_here();
    memset(text, 's', sizeof(text));
    text[sizeof(text) - 1] = 0;
    service_init();
    service_status("%s", text);
    ck_assert_uint_gt(strlen(heard()), 500);
    ck_assert_str_eq(heard(), "");
}
END_TEST

START_TEST(the_watchdog_is_petted_at_half_its_time)
{
    static const struct {
        const char *usec;
        int pid; /* 0: no WATCHDOG_PID, 1: ours, 2: another's */
        int64_t ms;
    } cases[] = {{"30000000", 0, 15000}, {"30000000", 1, 15000},
        {"30000000", 2, 0}, {"0", 0, 0}, {"1", 0, 1}, {"x", 0, 0}, {"-1", 0, 0},
        {"", 0, 0}, {"99999999999999999999999", 0, 0}};

    listen_here();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char path[PATH_MAX];

        (void)setenv(
            "NOTIFY_SOCKET", temp_folder_path(&folder, "notify", path), 1);
        (void)setenv("WATCHDOG_USEC", cases[i].usec, 1);
        if (cases[i].pid > 0)
            set_pid("WATCHDOG_PID", (long)getpid() + cases[i].pid - 1);
        service_init();
        ck_assert_msg(service_watchdog_ms() == cases[i].ms, "case %zu", i);
        ck_assert_ptr_null(getenv("WATCHDOG_USEC"));
        service_watchdog_pet();
        ck_assert_str_eq(heard(), cases[i].ms > 0 ? "WATCHDOG=1" : "");
    }
}
END_TEST

START_TEST(a_successor_under_the_same_pid_finds_the_manager)
{
    listen_here();
    (void)setenv("WATCHDOG_USEC", "4000000", 1);
    service_init();
    service_keep_for_exec();
    service_init();
    ck_assert(service_is_managed());
    ck_assert_int_eq(service_watchdog_ms(), 2000);
}
END_TEST

/* Descriptors 3 and 4 may be the test runner's, which writes to them at each
 * assertion: they are lent between two assertions only. */
START_TEST(inherited_sockets_are_told_with_their_names)
{
    int saved[2] = {fcntl(3, F_DUPFD, 100), fcntl(4, F_DUPFD, 100)};
    int flags;

    set_pid("LISTEN_PID", (long)getpid());
    (void)setenv("LISTEN_FDS", "2", 1);
    (void)setenv("LISTEN_FDNAMES", "https:", 1);
    for (int i = 0; i < 2; i++)
        (void)dup2(STDERR_FILENO, 3 + i);
    service_init();
    flags = fcntl(4, F_GETFD);
    for (int i = 0; i < 2; i++) {
        (void)close(3 + i);
        if (saved[i] >= 0)
            (void)dup2(saved[i], 3 + i);
    }
    ck_assert_int_eq(service_listen_count(), 2);
    ck_assert_int_eq(service_listen_fd(1), 4);
    ck_assert_int_eq(flags, FD_CLOEXEC);
    ck_assert_str_eq(service_listen_name(0), "https");
    ck_assert_str_eq(service_listen_name(1), "");
    ck_assert_ptr_null(getenv("LISTEN_FDS"));
}
END_TEST

START_TEST(sockets_of_another_process_are_not_ours)
{
    set_pid("LISTEN_PID", (long)getpid() + 1);
    (void)setenv("LISTEN_FDS", "2", 1);
    service_init();
    ck_assert_int_eq(service_listen_count(), 0);
    ck_assert_ptr_null(getenv("LISTEN_FDS"));
    (void)setenv("LISTEN_FDS", "2", 1);
    service_init();
    ck_assert_int_eq(service_listen_count(), 0);
    set_pid("LISTEN_PID", (long)getpid());
    (void)setenv("LISTEN_FDS", "100000", 1);
    service_init();
    ck_assert_int_eq(service_listen_count(), 0);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("service");
    TCase *t = tcase_create("service");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, without_a_manager_nothing_happens);
    tcase_add_test(t, every_notice_has_its_form);
    tcase_add_test(t, an_abstract_socket_works);
    tcase_add_test(t, a_long_status_is_cut_and_stays_one_message);
    tcase_add_test(t, the_watchdog_is_petted_at_half_its_time);
    tcase_add_test(t, a_successor_under_the_same_pid_finds_the_manager);
    tcase_add_test(t, inherited_sockets_are_told_with_their_names);
    tcase_add_test(t, sockets_of_another_process_are_not_ours);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
