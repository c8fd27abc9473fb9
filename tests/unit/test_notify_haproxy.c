/*
 * What is said on HAProxy's socket, and what must never be said there.
 * Input: file names, responses. Output: Check's report.
 */
#include "ocspd/notify_haproxy.h"
#include "shared/now.h"
#include "tests/support/temp_folder.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct temp_folder folder;
static char path[PATH_MAX];
static int listener;
static pthread_t thread;
static char heard[8192]; /* all that was sent, one connection after another */

static const char *
answer_to(const char *line)
{
    if (strncmp(line, "set ssl cert ", 13) == 0)
        return "Transaction created for certificate x!\n\n";
    if (strncmp(line, "commit ssl cert ", 16) == 0)
        return "Committing x.\nSuccess!\n\n";
    if (strstr(heard, "Success") == NULL &&
        strstr(heard, "commit ssl cert") == NULL)
        return "OCSP single response: Certificate ID does not match any "
               "certificate!\n\n";
    return "OCSP Response updated!\n\n";
}

/* An HAProxy that was started without a .ocsp beside the file. */
static void *
serve(void *ctx)
{
    char line[4096];
    int fd;

    while ((fd = accept(listener, NULL, NULL)) >= 0) {
        ssize_t n = recv(fd, line, sizeof(line) - 1, 0);
        const char *answer;

        line[n > 0 ? n : 0] = '\0';
        (void)snprintf(
            heard + strlen(heard), sizeof(heard) - strlen(heard), "%s", line);
        answer = answer_to(line);
        (void)send(fd, answer, strlen(answer), MSG_NOSIGNAL);
        (void)close(fd);
    }
    return ctx;
}

static void
setup(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    temp_folder_init(&folder);
    (void)temp_folder_path(&folder, "sock", path);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", path);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(
        bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(listen(listener, 4), 0);
    heard[0] = '\0';
    ck_assert_int_eq(pthread_create(&thread, NULL, serve, NULL), 0);
}

static void
teardown(void)
{
    (void)shutdown(listener, SHUT_RDWR);
    (void)pthread_join(thread, NULL);
    (void)close(listener);
    temp_folder_fini(&folder);
}

START_TEST(a_certificate_loaded_without_a_response_is_replaced)
{
    struct err err = {0};

    ck_assert_msg(notify_haproxy_tell(path, "/etc/haproxy/*.example.org.ocsp",
                      SPAN_LIT("bytes"), &err),
        "%s", err.text);
    ck_assert_ptr_nonnull(
        strstr(heard, "commit ssl cert /etc/haproxy/*.example.org\n"));
}
END_TEST

static const char *const bad_names[] = {
    "/c/a;shutdown sessions server b.pem.ocsp",
    "/c/a\nset server b state maint\n.pem.ocsp",
    "/c/a b.pem.ocsp",
    "/c/a\tb.pem.ocsp",
    "/c/a\\;b.pem.ocsp",
    "/c/a<<.pem.ocsp",
    "/c/a\x7f.pem.ocsp",
};

START_TEST(a_name_that_would_be_more_than_a_word_is_never_said)
{
    struct err err = {0};

    ck_assert(
        !notify_haproxy_tell(path, bad_names[_i], SPAN_LIT("bytes"), &err));
    ck_assert_ptr_null(strstr(heard, "/c/a"));
    ck_assert_int_eq(err.kind, ERR_REJECTED);
    ck_assert_ptr_nonnull(strstr(err.text, "rename it"));
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("notify_haproxy");
    TCase *tc = tcase_create("all");
    SRunner *runner = srunner_create(s);
    int failed;

    (void)now_init();
    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add_tcase(s, tc);
    tcase_add_test(tc, a_certificate_loaded_without_a_response_is_replaced);
    tcase_add_loop_test(tc, a_name_that_would_be_more_than_a_word_is_never_said,
        0, sizeof(bad_names) / sizeof(bad_names[0]));
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
