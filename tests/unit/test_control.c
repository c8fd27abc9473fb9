/* shared/control: lines in any pieces, bounds, sockets stale and alive. */
#include "shared/control.h"

#include "tests/support/temp_folder.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static struct control c;
static int peer;
static struct temp_folder folder;
static char path[PATH_MAX];

static void
set_up(void)
{
    int ends[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    control_init(&c, ends[0]);
    peer = ends[1];
    temp_folder_init(&folder);
    (void)temp_folder_path(&folder, "a.sock", path);
}

static void
tear_down(void)
{
    control_fini(&c);
    if (peer >= 0)
        (void)close(peer);
    temp_folder_fini(&folder);
}

static void
send_text(const char *text)
{
    ck_assert_int_eq(send(peer, text, strlen(text), 0), (ssize_t)strlen(text));
}

static enum control_got
receive(json_t **out, struct err *err)
{
    enum control_got got = control_next(&c, out, err);

    for (int i = 0; i < 64 && got == CONTROL_NOTHING; i++) {
        ck_assert(control_receive(&c, err));
        got = control_next(&c, out, err);
    }
    return got;
}

/* The number under "n" of the next object. */
static json_int_t
next_number(void)
{
    struct err err = {0};
    json_t *object = NULL;
    json_int_t n;

    ck_assert_int_eq(receive(&object, &err), CONTROL_OBJECT);
    n = json_integer_value(json_object_get(object, "n"));
    json_decref(object);
    return n;
}

START_TEST(objects_come_one_by_one_however_they_were_sent)
{
    send_text("{\"n\":1}\n{\"n\":2}\r\n\n \n{\"n\":");
    ck_assert_int_eq(next_number(), 1);
    ck_assert_int_eq(next_number(), 2);
    ck_assert_int_eq(receive(NULL, NULL), CONTROL_NOTHING);
    send_text("3}\n");
    ck_assert_int_eq(next_number(), 3);
}
END_TEST

START_TEST(a_line_sent_byte_by_byte_is_one_object)
{
    const char *text = "{\"n\":42}\n";

    for (; text[1] != 0; text++) {
        char byte[2] = {text[0], 0};

        send_text(byte);
        ck_assert_int_eq(receive(NULL, NULL), CONTROL_NOTHING);
    }
    send_text("\n");
    ck_assert_int_eq(next_number(), 42);
}
END_TEST

static const struct {
    const char *name;
    const char *line;
    const char *why;
} rubbish[] = {
    {"words", "GET / HTTP/1.1", "not JSON"},
    {"half an object", "{\"n\":1", "not JSON"},
    {"two objects", "{\"n\":1}{\"n\":2}", "not JSON"},
    {"a list", "[1]", "not a JSON object"},
    {"the same key twice", "{\"n\":1,\"n\":2}", "not JSON"},
    {"bytes that are no UTF-8", "{\"n\":\"\xff\"}", "not JSON"},
    {"a control byte", "\x01", "not JSON"},
};

START_TEST(garbage_is_told_and_the_next_line_counts)
{
    struct err err = {0};
    json_t *object = NULL;

    send_text(rubbish[_i].line);
    send_text("\n{\"n\":5}\n");
    ck_assert_msg(
        receive(&object, &err) == CONTROL_GARBAGE, "%s", rubbish[_i].name);
    ck_assert_msg(strstr(err.text, rubbish[_i].why) != NULL, "%s: %s",
        rubbish[_i].name, err.text);
    ck_assert_int_eq(next_number(), 5);
}
END_TEST

START_TEST(a_nul_byte_is_garbage)
{
    struct err err = {0};

    ck_assert_int_eq(send(peer, "\0\n", 2, 0), 2);
    ck_assert_int_eq(receive(NULL, &err), CONTROL_GARBAGE);
}
END_TEST

/* {"n":1} and blanks up to `len` bytes without a newline. */
static void
send_padded(size_t len)
{
    char *line = malloc(len);
    size_t at = 0;

    memset(line, ' ', len);
    memcpy(line, "{\"n\":1", 6);
    line[len - 1] = '}';
    while (at < len) {
        ssize_t got = send(peer, line + at, len - at, MSG_DONTWAIT);

        ck_assert_int_gt(got, 0);
        at += (size_t)got;
    }
    free(line);
}

START_TEST(a_line_may_have_its_maximum)
{
    send_padded(CONTROL_LINE_MAX);
    send_text("\n");
    ck_assert_int_eq(next_number(), 1);
}
END_TEST

START_TEST(a_line_of_more_than_its_maximum_is_refused)
{
    struct err err = {0};

    send_padded(CONTROL_LINE_MAX + 1);
    send_text("\n");
    ck_assert_int_eq(receive(NULL, &err), CONTROL_TOO_LONG);
    ck_assert_int_eq(err.kind, ERR_LIMIT);
    ck_assert_uint_le(c.in.len, CONTROL_LINE_MAX + 1);
}
END_TEST

START_TEST(what_came_before_the_end_is_still_read)
{
    send_text("{\"n\":1}\n{\"n\":");
    (void)close(peer);
    peer = -1;
    ck_assert_int_eq(next_number(), 1);
    ck_assert_int_eq(receive(NULL, NULL), CONTROL_END);
}
END_TEST

START_TEST(a_peer_that_does_not_read_is_never_waited_for)
{
    json_t *object = json_pack("{s:s}", "text", "0123456789012345678901234");
    struct err err = {0};
    size_t count = 0, lines = 0;
    char bytes[65536];

    while (control_put(&c, object, &err)) {
        ck_assert(control_flush(&c, &err));
        count++;
    }
    json_decref(object);
    ck_assert_int_eq(err.kind, ERR_LIMIT);
    ck_assert_uint_le(c.out.len, CONTROL_UNSENT_MAX);
    while (lines < count) {
        ssize_t got = recv(peer, bytes, sizeof(bytes), 0);

        ck_assert_int_gt(got, 0);
        for (ssize_t i = 0; i < got; i++)
            lines += bytes[i] == '\n';
        ck_assert(control_flush(&c, &err));
    }
    ck_assert_uint_eq(c.out.len, 0);
    ck_assert_uint_eq(lines, count);
}
END_TEST

START_TEST(writing_to_a_peer_that_is_gone_is_an_error)
{
    json_t *object = json_object();
    struct err err = {0};

    (void)close(peer);
    peer = -1;
    ck_assert(control_put(&c, object, &err));
    ck_assert(!control_flush(&c, &err));
    ck_assert_int_eq(err.sys_errno, EPIPE);
    json_decref(object);
}
END_TEST

/* ---- sockets ----------------------------------------------------------------------- */

static void
listen_at(struct control_socket *s)
{
    struct err err = {0};

    ck_assert_msg(control_listen(path, s, &err), "%s", err.text);
}

START_TEST(the_socket_is_for_owner_and_group_whatever_the_umask)
{
    struct control_socket s;
    struct stat made;
    mode_t before = umask((mode_t)(_i == 0 ? 0 : 0077));

    listen_at(&s);
    (void)umask(before);
    ck_assert_int_eq(stat(path, &made), 0);
    ck_assert_int_eq(made.st_mode & 07777, 0660);
    control_unlisten(&s);
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(a_socket_that_nobody_listens_on_is_replaced)
{
    struct control_socket dead, s;

    listen_at(&dead);
    (void)close(dead.fd); /* as when it was killed */
    free(dead.path);
    listen_at(&s);
    ck_assert(control_is_there(&s));
    control_unlisten(&s);
}
END_TEST

START_TEST(a_file_that_another_made_there_is_not_removed)
{
    struct control_socket s, other;

    listen_at(&s);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert(!control_is_there(&s));
    listen_at(&other);
    ck_assert(!control_is_there(&s));
    control_unlisten(&s);
    ck_assert_int_eq(access(path, F_OK), 0);
    control_unlisten(&other);
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

/* The folder may be open to all, and then anybody may lock it. */
START_TEST(a_folder_that_somebody_keeps_locked_stops_nobody)
{
    struct control_socket s = {.fd = -1};
    struct err err = {0};
    int held = open(folder.path, O_RDONLY | O_DIRECTORY);

    ck_assert_int_eq(flock(held, LOCK_EX), 0);
    ck_assert_msg(control_listen(path, &s, &err), "%s", err.text);
    control_unlisten(&s);
    (void)close(held);
}
END_TEST

START_TEST(a_socket_in_use_is_not_stolen)
{
    struct control_socket s, other;
    struct err err = {0};

    listen_at(&s);
    ck_assert(!control_listen(path, &other, &err));
    ck_assert_int_eq(err.sys_errno, EADDRINUSE);
    ck_assert_ptr_nonnull(strstr(err.text, path));
    ck_assert(control_is_there(&s));
    control_unlisten(&s);
}
END_TEST

START_TEST(something_else_in_its_place_is_left_alone)
{
    struct control_socket s;
    struct err err = {0};

    temp_folder_put(&folder, "a.sock", "precious");
    ck_assert(!control_listen(path, &s, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "no socket"));
    ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

START_TEST(a_path_that_is_too_long_is_an_error)
{
    char text[PATH_MAX];
    struct control_socket s;
    struct err err = {0};

    memset(text, 'a', 200);
    text[0] = '/';
    text[200] = 0;
    ck_assert(!control_listen(text, &s, &err));
    ck_assert_int_eq(err.kind, ERR_CONFIG);
}
END_TEST

START_TEST(a_call_to_nobody_tells_the_errno)
{
    json_t *request = json_object(), *answer = NULL;
    struct err err = {0};

    ck_assert(!control_call(path, request, 1000, &answer, &err));
    ck_assert_int_eq(err.sys_errno, ENOENT);
    json_decref(request);
}
END_TEST

START_TEST(a_call_that_nobody_answers_ends_in_time)
{
    json_t *request = json_object(), *answer = NULL;
    struct control_socket s;
    struct err err = {0};

    listen_at(&s);
    ck_assert(!control_call(path, request, 50, &answer, &err));
    ck_assert_int_eq(err.kind, ERR_TIMEOUT);
    control_unlisten(&s);
    json_decref(request);
}
END_TEST

static Suite *
make_suite(void)
{
    Suite *suite = suite_create("control");
    TCase *tests = tcase_create("all");

    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, objects_come_one_by_one_however_they_were_sent);
    tcase_add_test(tests, a_line_sent_byte_by_byte_is_one_object);
    tcase_add_loop_test(tests, garbage_is_told_and_the_next_line_counts, 0,
        (int)(sizeof(rubbish) / sizeof(rubbish[0])));
    tcase_add_test(tests, a_nul_byte_is_garbage);
    tcase_add_test(tests, a_line_may_have_its_maximum);
    tcase_add_test(tests, a_line_of_more_than_its_maximum_is_refused);
    tcase_add_test(tests, what_came_before_the_end_is_still_read);
    tcase_add_test(tests, a_peer_that_does_not_read_is_never_waited_for);
    tcase_add_test(tests, writing_to_a_peer_that_is_gone_is_an_error);
    tcase_add_loop_test(
        tests, the_socket_is_for_owner_and_group_whatever_the_umask, 0, 2);
    tcase_add_test(tests, a_socket_that_nobody_listens_on_is_replaced);
    tcase_add_test(tests, a_file_that_another_made_there_is_not_removed);
    tcase_add_test(tests, a_folder_that_somebody_keeps_locked_stops_nobody);
    tcase_add_test(tests, a_socket_in_use_is_not_stolen);
    tcase_add_test(tests, something_else_in_its_place_is_left_alone);
    tcase_add_test(tests, a_path_that_is_too_long_is_an_error);
    tcase_add_test(tests, a_call_to_nobody_tells_the_errno);
    tcase_add_test(tests, a_call_that_nobody_answers_ends_in_time);
    suite_add_tcase(suite, tests);
    return suite;
}

int
main(void)
{
    SRunner *runner = srunner_create(make_suite());
    int failed;

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
