/*
 * Kept connections over fake streams.
 * Input: streams put in, what their peers do, time. Output: who is taken, who
 * is closed.
 */
#include "wsgate/backend/idle_pool.h"

#include "tests/support/fake_stream.h"

#include <check.h>
#include <stdlib.h>

enum { STREAMS = IDLE_POOL_PER_SERVER + 1 };

static uv_loop_t uv;
static struct net_loop net;
static struct idle_pool *pool;
static struct fake_stream *streams[STREAMS];

static void
setup(void)
{
    ck_assert_int_eq(uv_loop_init(&uv), 0);
    ck_assert(net_loop_init(&net, &uv, NULL));
    pool = idle_pool_new(&net, NULL);
    ck_assert_ptr_nonnull(pool);
    for (size_t i = 0; i < STREAMS; i++)
        streams[i] = fake_stream_new();
}

static void
teardown(void)
{
    idle_pool_free(pool);
    for (size_t i = 0; i < STREAMS; i++) {
        if (streams[i]->is_closed)
            fake_stream_finish(streams[i]);
        else
            fake_stream_free(streams[i]);
    }
    net_loop_close(&net);
    (void)uv_run(&uv, UV_RUN_DEFAULT);
    net_loop_fini(&net);
    ck_assert_int_eq(uv_loop_close(&uv), 0);
}

static void
put(size_t i, const char *server)
{
    idle_pool_put(pool, server, &streams[i]->base);
}

START_TEST(nothing_is_there)
{
    ck_assert_ptr_null(idle_pool_take(pool, "a:1"));
}
END_TEST

START_TEST(the_newest_of_its_server_is_taken)
{
    put(0, "a:1");
    put(1, "a:1");
    put(2, "b:1");
    ck_assert(!streams[1]->is_paused);
    ck_assert_ptr_eq(idle_pool_take(pool, "a:1"), &streams[1]->base);
    ck_assert(streams[1]->is_paused);
    ck_assert_ptr_eq(idle_pool_take(pool, "a:1"), &streams[0]->base);
    ck_assert_ptr_null(idle_pool_take(pool, "a:1"));
    ck_assert_ptr_eq(idle_pool_take(pool, "b:1"), &streams[2]->base);
    ck_assert(!streams[0]->is_closed && !streams[2]->is_closed);
}
END_TEST

START_TEST(one_that_speaks_is_closed)
{
    put(0, "a:1");
    fake_stream_feed(streams[0], SPAN_LIT("HTTP/1.1 200 OK\r\n\r\n"));
    ck_assert(streams[0]->is_closed);
    ck_assert_ptr_null(idle_pool_take(pool, "a:1"));
}
END_TEST

START_TEST(one_that_ends_is_closed)
{
    put(0, "a:1");
    put(1, "a:1");
    fake_stream_feed_eof(streams[0]);
    fake_stream_feed_error(streams[1], "reset");
    ck_assert(streams[0]->is_closed && streams[1]->is_closed);
    ck_assert_ptr_null(idle_pool_take(pool, "a:1"));
}
END_TEST

START_TEST(the_oldest_makes_room)
{
    for (size_t i = 0; i < STREAMS; i++)
        put(i, "a:1");
    ck_assert(streams[0]->is_closed);
    for (size_t i = 1; i < STREAMS; i++)
        ck_assert(!streams[i]->is_closed);
}
END_TEST

static void
pass_time(uint64_t ms)
{
    uv.time += ms; /* what uv_now() answers */
    deadline_set_run(&net.deadlines);
}

START_TEST(one_that_waits_too_long_is_closed)
{
    put(0, "a:1");
    pass_time(IDLE_POOL_MS - 1000);
    put(1, "a:1");
    ck_assert(!streams[0]->is_closed);
    pass_time(1000 + 2 * DEADLINE_COARSE_MS);
    ck_assert(streams[0]->is_closed);
    ck_assert(!streams[1]->is_closed);
    ck_assert_ptr_eq(idle_pool_take(pool, "a:1"), &streams[1]->base);
    pass_time(2 * IDLE_POOL_MS);
    ck_assert(!streams[1]->is_closed);
}
END_TEST

START_TEST(all_are_closed_at_the_end)
{
    put(0, "a:1");
    put(1, "b:1");
    idle_pool_free(pool);
    pool = NULL;
    ck_assert(streams[0]->is_closed && streams[1]->is_closed);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("idle_pool");
    TCase *tcase = tcase_create("pool");
    SRunner *runner;
    int failures;

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, nothing_is_there);
    tcase_add_test(tcase, the_newest_of_its_server_is_taken);
    tcase_add_test(tcase, one_that_speaks_is_closed);
    tcase_add_test(tcase, one_that_ends_is_closed);
    tcase_add_test(tcase, the_oldest_makes_room);
    tcase_add_test(tcase, one_that_waits_too_long_is_closed);
    tcase_add_test(tcase, all_are_closed_at_the_end);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures ? 1 : 0;
}
