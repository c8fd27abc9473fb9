/*
 * Which server of a group comes next.
 * Input: names, times, failures. Output: the order.
 */
#include "wsgate/backend/backend_pick.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct backend_pool *pool;

static void
make(char **names, size_t count)
{
    struct config_strings list = {.items = names, .count = count};

    ck_assert(backend_pool_new(&list, &pool, NULL));
}

static void
teardown(void)
{
    backend_pool_free(pool);
    pool = NULL;
}

static char a[] = "127.0.0.1:1";
static char b[] = "127.0.0.1:2";
static char c[] = "unix:/run/c.sock";
static char *three[] = {a, b, c};

static const char *
pick(size_t tried, uint64_t now_ms)
{
    struct backend_server *server = backend_pick(pool, tried, now_ms);

    return server == NULL ? "none" : server->name;
}

static void
mark_failed(const char *name, uint64_t now_ms)
{
    for (size_t i = 0; i < backend_pool_count(pool); i++) {
        struct backend_server *server = backend_pick(pool, 0, now_ms);

        if (strcmp(server->name, name) == 0)
            backend_pick_failed(server, now_ms);
    }
}

START_TEST(servers_come_in_turn)
{
    make(three, 3);
    ck_assert_uint_eq(backend_pool_count(pool), 3);
    ck_assert_str_eq(pick(0, 5), a);
    ck_assert_str_eq(pick(0, 5), b);
    ck_assert_str_eq(pick(0, 5), c);
    ck_assert_str_eq(pick(0, 5), a);
}
END_TEST

START_TEST(every_server_is_tried_once)
{
    make(three, 3);
    ck_assert_str_eq(pick(0, 5), a);
    ck_assert_str_eq(pick(1, 5), b);
    ck_assert_str_eq(pick(2, 5), c);
    ck_assert_str_eq(pick(3, 5), "none");
    ck_assert_str_eq(pick(0, 5), a);
}
END_TEST

START_TEST(failed_server_is_left_out_for_a_while)
{
    uint64_t back = 5 + BACKEND_FAIL_MS;

    make(three, 3);
    mark_failed(b, 5);
    ck_assert_str_eq(pick(0, back - 1), a);
    ck_assert_str_eq(pick(0, back - 1), c);
    ck_assert_str_eq(pick(0, back - 1), a);
    ck_assert_str_eq(pick(0, back), b);
}
END_TEST

START_TEST(server_that_works_again_is_back_at_once)
{
    struct backend_server *server;

    make(three, 3);
    server = backend_pick(pool, 0, 0);
    backend_pick_failed(server, 0); /* a clock that starts at 0 */
    ck_assert_uint_ne(server->failed_at_ms, 0);
    backend_pick_worked(server);
    ck_assert_str_eq(pick(0, 1), b);
    ck_assert_str_eq(pick(0, 1), c);
    ck_assert_str_eq(pick(0, 1), a);
}
END_TEST

START_TEST(all_failed_means_all_are_tried)
{
    make(three, 3);
    for (size_t i = 0; i < 3; i++)
        backend_pick_failed(backend_pick(pool, 0, 5), 5);
    ck_assert_str_eq(pick(0, 6), a);
    ck_assert_str_eq(pick(1, 6), b);
    ck_assert_str_eq(pick(2, 6), c);
    ck_assert_str_eq(pick(3, 6), "none");
}
END_TEST

START_TEST(bad_address_names_the_server)
{
    char bad[] = "127.0.0.1:http";
    char *names[] = {a, bad};
    struct config_strings list = {.items = names, .count = 2};
    struct err err;

    ck_assert(!backend_pool_new(&list, &pool, &err));
    ck_assert_ptr_null(pool);
    ck_assert_ptr_nonnull(strstr(err.text, bad));
    list.count = 0;
    ck_assert(!backend_pool_new(&list, &pool, &err));
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("backend_pick");
    TCase *tcase = tcase_create("pick");
    SRunner *runner;
    int failures;

    tcase_add_checked_fixture(tcase, NULL, teardown);
    tcase_add_test(tcase, servers_come_in_turn);
    tcase_add_test(tcase, every_server_is_tried_once);
    tcase_add_test(tcase, failed_server_is_left_out_for_a_while);
    tcase_add_test(tcase, server_that_works_again_is_back_at_once);
    tcase_add_test(tcase, all_failed_means_all_are_tried);
    tcase_add_test(tcase, bad_address_names_the_server);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures ? 1 : 0;
}
