/* wsgate/admin: who is answered when, and whom a bad peer disturbs. */
#include "wsgate/admin/admin.h"

#include "shared/control.h"
#include "tests/support/temp_folder.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { PEERS_MAX = 16, IDLE_MS = 1500 };

static uv_loop_t loop;
static struct admin *admin;
static struct temp_folder folder;
static char path[PATH_MAX];
static int asked; /* reloads */
static bool refuses, ends_at_once;
static struct err why_not;

/* ---- an owner -------------------------------------------------------------------- */

static bool
on_reload(void *ctx, struct err *err)
{
    (void)ctx;
    asked++;
    if (refuses)
        return err_set(err, ERR_REJECTED, "stopping");
    if (ends_at_once) {
        admin_reload_begun(admin);
        admin_reload_over(admin, why_not.kind == ERR_NONE ? NULL : &why_not);
        admin_all_switched(admin);
    }
    return true;
}

static void
on_status(void *ctx, struct admin_status *out)
{
    (void)ctx;
    *out = (struct admin_status){.state = "serving",
        .generation = 7,
        .sites = 3,
        .worker_count = 2,
        .config = "/etc/\xff.yaml"};
}

static void
on_worker(void *ctx, int index, struct admin_worker *out)
{
    (void)ctx;
    *out =
        (struct admin_worker){.pid = 100 + index, .state = "up", .since = 1000};
}

static const struct admin_ops ops = {
    .reload = on_reload,
    .status = on_status,
    .worker = on_worker,
    .idle_ms = IDLE_MS,
};

/* ---- around it ---------------------------------------------------------------------- */

static void
prepare(const char *address)
{
    struct gate_config *config = NULL;
    struct err err = {0};
    char yaml[PATH_MAX + 200];

    (void)snprintf(yaml, sizeof(yaml),
        "admin: %s\nsites: [{listen: {address: \"127.0.0.1:80\", tls: false}, "
        "locations: {/: {files: /s}}}]\n",
        address);
    ck_assert_msg(
        gate_config_parse(span_str(yaml), &config, &err), "%s", err.text);
    ck_assert_msg(admin_prepare(admin, config, &err), "%s", err.text);
    gate_config_free(config);
}

static void
open_at(const char *name)
{
    char address[PATH_MAX + 5] = "unix:";

    (void)temp_folder_path(&folder, name, path);
    memcpy(address + 5, path, strlen(path) + 1);
    prepare(address);
    admin_commit(admin);
}

static void
set_up(void)
{
    asked = 0;
    refuses = ends_at_once = false;
    why_not = (struct err){.kind = ERR_NONE};
    temp_folder_init(&folder);
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    admin = admin_new(&loop, &ops, NULL);
    open_at("a.sock");
}

static void
tear_down(void)
{
    admin_close(admin);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    admin_free(admin);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    ck_assert_int_ne(access(path, F_OK), 0);
    temp_folder_fini(&folder);
}

static void
turn(void)
{
    for (int i = 0; i < 10; i++)
        (void)uv_run(&loop, UV_RUN_NOWAIT);
}

static int
dial(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    ck_assert(span_to_cstr(span_str(path), to.sun_path, sizeof(to.sun_path)));
    ck_assert_int_eq(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
    turn();
    return fd;
}

static void
say(int fd, const char *text)
{
    ck_assert_int_eq(
        send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
    turn();
}

/* What has come: "" for nothing, NULL for the end. */
static const char *
heard(int fd)
{
    static char text[65536];
    ssize_t got = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

    if (got == 0 || (got < 0 && errno == ECONNRESET))
        return NULL;
    text[got < 0 ? 0 : got] = 0;
    return text;
}

#define RELOAD "{\"do\":\"reload\"}\n"
#define STATUS "{\"do\":\"status\"}\n"
#define GOOD "{\"ok\":true,\"generation\":7}\n"

static void
expect(int fd, const char *text)
{
    ck_assert_pstr_eq(heard(fd), text);
}

/* ---- reload ---------------------------------------------------------------------------- */

START_TEST(a_reload_is_answered_at_its_end)
{
    int fd = dial();

    say(fd, RELOAD);
    ck_assert_int_eq(asked, 1);
    expect(fd, "");
    admin_reload_begun(admin);
    turn();
    expect(fd, "");
    admin_reload_over(admin, NULL);
    turn();
    expect(fd, "");
    admin_all_switched(admin);
    turn();
    expect(fd, GOOD);
    (void)close(fd);
}
END_TEST

START_TEST(a_reload_that_is_over_before_the_request_returns_is_answered_once)
{
    int fd = dial();

    ends_at_once = true;
    say(fd, RELOAD RELOAD);
    ck_assert_int_eq(asked, 2);
    expect(fd, GOOD GOOD);
    (void)close(fd);
}
END_TEST

START_TEST(the_error_comes_with_the_exit_code_of_a_start)
{
    int fd = dial();

    ends_at_once = true;
    (void)err_set(&why_not, ERR_CONFIG, "f.yaml:3:5: \xff");
    say(fd, RELOAD);
    expect(fd, "{\"ok\":false,\"error\":\"f.yaml:3:5: ?\",\"exit\":78}\n");
    (void)close(fd);
}
END_TEST

START_TEST(the_reload_under_way_does_not_count_for_who_comes_later)
{
    int first = dial(), second = dial(), third = dial();

    say(first, RELOAD);
    admin_reload_begun(admin);
    say(second, RELOAD);
    say(third, RELOAD);
    admin_reload_over(admin, NULL);
    admin_all_switched(admin);
    turn();
    expect(first, GOOD);
    expect(second, "");
    admin_reload_begun(admin);
    admin_reload_over(admin, NULL);
    admin_all_switched(admin);
    turn();
    expect(second, GOOD);
    expect(third, GOOD);
    (void)close(first);
    (void)close(second);
    (void)close(third);
}
END_TEST

START_TEST(the_next_reload_does_not_answer_who_waits_for_the_switch)
{
    int first = dial(), second = dial();

    say(first, RELOAD);
    admin_reload_begun(admin);
    admin_reload_over(admin, NULL);
    say(second, RELOAD);
    admin_reload_begun(admin);
    admin_all_switched(admin);
    turn();
    expect(first, GOOD);
    expect(second, "");
    (void)err_set(&why_not, ERR_CONFIG, "wrong");
    admin_reload_over(admin, &why_not);
    turn();
    expect(second, "{\"ok\":false,\"error\":\"wrong\",\"exit\":78}\n");
    (void)close(first);
    (void)close(second);
}
END_TEST

START_TEST(who_left_while_waiting_disturbs_nobody)
{
    int gone = dial(), stays = dial();

    say(gone, RELOAD);
    say(stays, RELOAD);
    (void)close(gone);
    turn();
    admin_reload_begun(admin);
    admin_reload_over(admin, NULL);
    admin_all_switched(admin);
    turn();
    expect(stays, GOOD);
    (void)close(stays);
}
END_TEST

START_TEST(an_owner_that_refuses_is_quoted)
{
    int fd = dial();

    refuses = true;
    say(fd, RELOAD);
    expect(fd, "{\"ok\":false,\"error\":\"stopping\",\"exit\":75}\n");
    (void)close(fd);
}
END_TEST

START_TEST(the_end_of_the_service_is_told_to_who_waits)
{
    int fd = dial();

    say(fd, RELOAD);
    admin_end(admin, "bye");
    expect(fd, "{\"ok\":false,\"error\":\"bye\",\"exit\":75}\n");
    ck_assert_ptr_null(heard(fd));
    (void)close(fd);
}
END_TEST

/* ---- status ------------------------------------------------------------------------------ */

START_TEST(status_tells_workers_and_the_last_reload)
{
    int fd = dial();
    json_t *got;
    struct err err;

    say(fd, STATUS);
    got = json_loads(heard(fd), 0, NULL);
    ck_assert(json_is_null(json_object_get(got, "last_reload")));
    ck_assert_int_eq(json_integer_value(json_object_get(got, "sites")), 3);
    ck_assert_str_eq(
        json_string_value(json_object_get(got, "config")), "/etc/?.yaml");
    ck_assert_uint_eq(json_array_size(json_object_get(got, "workers")), 2);
    json_decref(got);
    (void)err_set(&err, ERR_CONFIG, "wrong");
    admin_reload_over(admin, &err);
    say(fd, STATUS);
    got = json_loads(heard(fd), 0, NULL);
    ck_assert_str_eq(json_string_value(json_object_get(
                         json_object_get(got, "last_reload"), "error")),
        "wrong");
    json_decref(got);
    (void)close(fd);
}
END_TEST

/* ---- peers as they should not be ------------------------------------------------------- */

START_TEST(an_unknown_request_is_told_what_there_is)
{
    int fd = dial();

    say(fd, "{\"do\":\"dance\"}\n");
    ck_assert_ptr_nonnull(strstr(heard(fd), "unknown request 'dance'; "
                                            "expected {\\\"do\\\":\\\"reload"));
    say(fd, "{}\n");
    ck_assert_ptr_nonnull(strstr(heard(fd), "no \\\"do\\\""));
    say(fd, STATUS);
    ck_assert_ptr_nonnull(strstr(heard(fd), "\"ok\":true"));
    (void)close(fd);
}
END_TEST

START_TEST(a_line_without_end_is_answered_and_closed)
{
    char *text = calloc(1, CONTROL_LINE_MAX + 2);
    int fd = dial();

    memset(text, 'x', CONTROL_LINE_MAX + 1);
    say(fd, text);
    ck_assert_ptr_nonnull(strstr(heard(fd), "a line has at most"));
    ck_assert_ptr_null(heard(fd));
    free(text);
    (void)close(fd);
}
END_TEST

START_TEST(who_does_not_read_costs_nothing_to_others)
{
    int deaf = dial(), fd = dial();

    for (int i = 0; i < 20000; i++) {
        (void)send(deaf, STATUS, strlen(STATUS), MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)uv_run(&loop, UV_RUN_NOWAIT);
    }
    say(fd, RELOAD);
    admin_reload_begun(admin);
    admin_reload_over(admin, NULL);
    admin_all_switched(admin);
    turn();
    expect(fd, GOOD);
    (void)close(fd);
    (void)close(deaf);
}
END_TEST

START_TEST(the_newcomer_gets_the_place_of_the_most_silent)
{
    int silent[PEERS_MAX], fd;

    for (int i = 0; i < PEERS_MAX; i++) {
        silent[i] = dial();
        say(silent[i], "{\"do\":");
    }
    fd = dial();
    say(fd, STATUS);
    ck_assert_ptr_nonnull(strstr(heard(fd), "\"ok\":true"));
    ck_assert_ptr_null(heard(silent[0]));
    expect(silent[1], "");
    for (int i = 0; i < PEERS_MAX; i++)
        (void)close(silent[i]);
    (void)close(fd);
}
END_TEST

START_TEST(who_waits_for_a_reload_keeps_its_place)
{
    int waiting[PEERS_MAX], fd;

    for (int i = 0; i < PEERS_MAX; i++) {
        waiting[i] = dial();
        say(waiting[i], RELOAD);
    }
    fd = dial();
    ck_assert_ptr_nonnull(strstr(heard(fd), "too many"));
    admin_reload_begun(admin);
    admin_reload_over(admin, NULL);
    admin_all_switched(admin);
    turn();
    for (int i = 0; i < PEERS_MAX; i++) {
        expect(waiting[i], GOOD);
        (void)close(waiting[i]);
    }
    (void)close(fd);
}
END_TEST

static void
stop_loop(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

static void
run_for(uint64_t ms)
{
    uv_timer_t timer;

    (void)uv_timer_init(&loop, &timer);
    (void)uv_timer_start(&timer, stop_loop, ms, 0);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&timer, NULL);
    turn();
}

START_TEST(who_asks_nothing_in_time_is_closed_and_who_waits_is_not)
{
    int idle = dial(), half = dial(), waiting = dial();

    say(half, "{\"do\":\"sta");
    say(waiting, RELOAD);
    run_for(IDLE_MS / 2);
    say(half, "t"); /* a byte now and then is no request */
    run_for(IDLE_MS / 2 + 2500);
    ck_assert_ptr_null(heard(idle));
    ck_assert_ptr_null(heard(half));
    admin_reload_begun(admin);
    admin_reload_over(admin, NULL);
    admin_all_switched(admin);
    turn();
    expect(waiting, GOOD);
    (void)close(idle);
    (void)close(half);
    (void)close(waiting);
}
END_TEST

/* ---- the socket over reloads --------------------------------------------------------- */

START_TEST(a_socket_that_moves_is_open_before_the_old_one_is_closed)
{
    char old[PATH_MAX], address[PATH_MAX + 5];
    int fd = dial();

    memcpy(old, path, sizeof(old));
    say(fd, RELOAD);
    admin_reload_begun(admin);
    (void)temp_folder_path(&folder, "b.sock", path);
    (void)snprintf(address, sizeof(address), "unix:%s", path);
    prepare(address);
    ck_assert_int_eq(access(old, F_OK), 0);
    ck_assert_int_eq(access(path, F_OK), 0);
    admin_commit(admin);
    ck_assert_int_ne(access(old, F_OK), 0);
    admin_reload_over(admin, NULL);
    admin_all_switched(admin);
    turn();
    expect(fd, GOOD); /* it asked at the old one */
    (void)close(fd);
    fd = dial();
    say(fd, STATUS);
    ck_assert_ptr_nonnull(strstr(heard(fd), "\"ok\":true"));
    (void)close(fd);
}
END_TEST

START_TEST(a_reload_that_fails_leaves_the_socket_where_it_was)
{
    char other[PATH_MAX], address[PATH_MAX + 5];
    int fd;

    (void)temp_folder_path(&folder, "b.sock", other);
    (void)snprintf(address, sizeof(address), "unix:%s", other);
    prepare(address);
    admin_abort(admin);
    ck_assert_int_ne(access(other, F_OK), 0);
    fd = dial();
    say(fd, STATUS);
    ck_assert_ptr_nonnull(strstr(heard(fd), "\"ok\":true"));
    (void)close(fd);
}
END_TEST

START_TEST(off_closes_it)
{
    prepare("off");
    admin_commit(admin);
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(a_file_that_was_removed_is_made_anew_by_a_reload)
{
    int fd;

    ck_assert_int_eq(unlink(path), 0);
    open_at("a.sock");
    fd = dial();
    say(fd, STATUS);
    ck_assert_ptr_nonnull(strstr(heard(fd), "\"ok\":true"));
    (void)close(fd);
}
END_TEST

static Suite *
make_suite(void)
{
    Suite *suite = suite_create("admin");
    TCase *tests = tcase_create("all");

    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 30);
    tcase_add_test(tests, a_reload_is_answered_at_its_end);
    tcase_add_test(tests,
        a_reload_that_is_over_before_the_request_returns_is_answered_once);
    tcase_add_test(tests, the_error_comes_with_the_exit_code_of_a_start);
    tcase_add_test(
        tests, the_reload_under_way_does_not_count_for_who_comes_later);
    tcase_add_test(
        tests, the_next_reload_does_not_answer_who_waits_for_the_switch);
    tcase_add_test(tests, who_left_while_waiting_disturbs_nobody);
    tcase_add_test(tests, an_owner_that_refuses_is_quoted);
    tcase_add_test(tests, the_end_of_the_service_is_told_to_who_waits);
    tcase_add_test(tests, status_tells_workers_and_the_last_reload);
    tcase_add_test(tests, an_unknown_request_is_told_what_there_is);
    tcase_add_test(tests, a_line_without_end_is_answered_and_closed);
    tcase_add_test(tests, who_does_not_read_costs_nothing_to_others);
    tcase_add_test(tests, the_newcomer_gets_the_place_of_the_most_silent);
    tcase_add_test(tests, who_waits_for_a_reload_keeps_its_place);
    tcase_add_test(
        tests, who_asks_nothing_in_time_is_closed_and_who_waits_is_not);
    tcase_add_test(
        tests, a_socket_that_moves_is_open_before_the_old_one_is_closed);
    tcase_add_test(tests, a_reload_that_fails_leaves_the_socket_where_it_was);
    tcase_add_test(tests, off_closes_it);
    tcase_add_test(tests, a_file_that_was_removed_is_made_anew_by_a_reload);
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
