/*
 * The relay over two fake streams.
 * Input: what both peers do. Output: what each of them gets, and the result.
 */
#include "wsgate/relay/relay.h"

#include "tests/support/fake_stream.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

struct world {
    uv_loop_t uv;
    struct net_loop net;
    struct fake_stream *client;
    struct fake_stream *backend;
    struct relay *relay;
    int64_t send_ms;
    bool is_done;
    struct relay_result result;
};

static struct world w;

static void
on_done(void *ctx, const struct relay_result *result)
{
    ck_assert_ptr_eq(ctx, &w);
    ck_assert(!w.is_done);
    w.is_done = true;
    w.result = *result;
}

static void
setup(void)
{
    memset(&w, 0, sizeof(w));
    ck_assert_int_eq(uv_loop_init(&w.uv), 0);
    ck_assert(net_loop_init(&w.net, &w.uv, NULL));
    w.client = fake_stream_new();
    w.backend = fake_stream_new();
    w.client->is_paused = true;
    w.backend->is_paused = true;
}

static void
teardown(void)
{
    net_loop_close(&w.net);
    (void)uv_run(&w.uv, UV_RUN_DEFAULT);
    net_loop_fini(&w.net);
    ck_assert_int_eq(uv_loop_close(&w.uv), 0);
}

static void
start(int64_t linger_ms, struct span client_rest, struct span backend_rest)
{
    const struct relay_settings settings = {
        .linger_ms = linger_ms, .send_ms = w.send_ms};

    w.relay = relay_start(&w.net, &w.client->base, client_rest,
        &w.backend->base, backend_rest, &settings, on_done, &w);
    ck_assert_ptr_nonnull(w.relay);
}

/* Both were closed by the relay; it answers and is gone. */
static void
finish(enum relay_end end)
{
    ck_assert(w.client->is_closed);
    ck_assert(w.backend->is_closed);
    ck_assert(!w.is_done);
    fake_stream_finish(w.client);
    ck_assert(!w.is_done);
    fake_stream_finish(w.backend);
    ck_assert(w.is_done);
    ck_assert_str_eq(relay_end_word(w.result.end), relay_end_word(end));
}

static void
ck_written(const struct fake_stream *f, const char *text)
{
    ck_assert(span_eq(buf_span(&f->written), span_str(text)));
}

START_TEST(relay_carries_both_ways_one_byte_at_a_time)
{
    w.client->chunk = 1;
    w.backend->chunk = 1;
    start(1000, SPAN_LIT("early "), SPAN_LIT("first "));
    fake_stream_feed(w.client, SPAN_LIT("from client"));
    fake_stream_feed(w.backend, SPAN_LIT("from backend"));
    ck_written(w.backend, "early from client");
    ck_written(w.client, "first from backend");
    relay_stop(w.relay);
    finish(RELAY_END_STOPPED);
    ck_assert_uint_eq(w.result.from_client, 17);
    ck_assert_uint_eq(w.result.from_backend, 18);
}
END_TEST

START_TEST(relay_passes_half_close_and_all_bytes_behind_it)
{
    start(60000, SPAN_EMPTY, SPAN_EMPTY);
    fake_stream_feed(w.client, SPAN_LIT("request"));
    fake_stream_feed_eof(w.client);
    ck_assert(w.backend->is_ended);
    ck_assert(!w.client->is_ended);
    ck_assert(!w.backend->is_closed);
    w.client->holds_output = true;
    fake_stream_feed(w.backend, SPAN_LIT("a late answer"));
    fake_stream_feed_eof(w.backend);
    ck_assert(w.client->is_ended);
    ck_assert(w.backend->is_closed); /* nothing left for it */
    ck_assert(!w.client->is_closed); /* the answer is still queued */
    fake_stream_sends(w.client, 13);
    ck_written(w.client, "a late answer");
    finish(RELAY_END_CLIENT_CLOSED);
}
END_TEST

START_TEST(relay_says_which_side_closed_first)
{
    start(60000, SPAN_EMPTY, SPAN_EMPTY);
    fake_stream_feed_eof(w.backend);
    fake_stream_feed_eof(w.client);
    finish(RELAY_END_BACKEND_CLOSED);
}
END_TEST

/* A reader that stands still stops its source, and only that one. */
START_TEST(relay_pauses_the_source_of_a_slow_reader)
{
    static unsigned char block[10000];
    size_t sent = 0;

    start(60000, SPAN_EMPTY, SPAN_EMPTY);
    w.client->holds_output = true;
    while (!w.backend->is_paused) {
        fake_stream_feed(w.backend, span_make(block, sizeof(block)));
        sent += sizeof(block);
        ck_assert_uint_lt(sent, 2 * STREAM_HIGH_MARK);
    }
    ck_assert_uint_gt(sent, STREAM_HIGH_MARK);
    ck_assert(!w.client->is_paused);
    fake_stream_feed(w.backend, SPAN_LIT("later"));
    ck_assert_uint_eq(w.client->written.len, sent);
    fake_stream_sends(w.client, sent - STREAM_LOW_MARK);
    ck_assert(w.backend->is_paused);
    fake_stream_sends(w.client, 1);
    ck_assert(!w.backend->is_paused);
    ck_assert_uint_eq(w.client->written.len, sent + 5);
    relay_stop(w.relay);
    finish(RELAY_END_STOPPED);
}
END_TEST

START_TEST(relay_starts_paused_behind_a_large_rest)
{
    static unsigned char block[STREAM_HIGH_MARK + 1];

    w.backend->holds_output = true;
    start(60000, span_make(block, sizeof(block)), SPAN_EMPTY);
    ck_assert(w.client->is_paused);
    ck_assert(!w.backend->is_paused);
    fake_stream_sends(w.backend, sizeof(block));
    ck_assert(!w.client->is_paused);
    relay_stop(w.relay);
    finish(RELAY_END_STOPPED);
}
END_TEST

START_TEST(relay_delivers_what_came_before_an_error)
{
    start(60000, SPAN_EMPTY, SPAN_EMPTY);
    w.client->holds_output = true;
    fake_stream_feed(w.backend, SPAN_LIT("last words"));
    fake_stream_feed_error(w.backend, "connection reset");
    ck_assert(w.backend->is_closed);
    ck_assert(w.client->is_ended);
    ck_assert(!w.client->is_closed);
    fake_stream_feed(w.client, SPAN_LIT("to nobody"));
    fake_stream_sends(w.client, 10);
    finish(RELAY_END_BACKEND_ERROR);
    ck_assert_str_eq(w.result.err.text, "connection reset");
    ck_assert_uint_eq(w.result.from_client, 0);
}
END_TEST

START_TEST(relay_reads_nothing_for_a_side_that_is_gone)
{
    start(60000, SPAN_EMPTY, SPAN_EMPTY);
    w.backend->holds_output = true;
    fake_stream_feed(w.client, SPAN_LIT("last words"));
    fake_stream_feed_error(w.client, "connection reset");
    ck_assert(w.backend->is_paused);
    fake_stream_feed(w.backend, SPAN_LIT("to nobody"));
    ck_assert_uint_eq(w.backend->incoming.len, 9);
    ck_assert(!w.backend->is_closed);
    fake_stream_sends(w.backend, 10);
    finish(RELAY_END_CLIENT_ERROR);
    ck_assert_uint_eq(w.result.from_backend, 0);
}
END_TEST

START_TEST(relay_frees_the_backend_of_a_dead_client_at_once)
{
    start(60000, SPAN_EMPTY, SPAN_EMPTY);
    fake_stream_feed_error(w.client, "connection reset");
    finish(RELAY_END_CLIENT_ERROR);
}
END_TEST

START_TEST(relay_waits_for_the_output_behind_an_error_but_not_for_ever)
{
    start(1, SPAN_EMPTY, SPAN_EMPTY);
    w.backend->holds_output = true;
    fake_stream_feed(w.client, SPAN_LIT("last words"));
    fake_stream_feed_error(w.client, "connection reset");
    while (!w.backend->is_closed)
        (void)uv_run(&w.uv, UV_RUN_ONCE);
    finish(RELAY_END_CLIENT_ERROR);
}
END_TEST

START_TEST(relay_ends_when_a_half_closed_side_breaks)
{
    start(60000, SPAN_EMPTY, SPAN_EMPTY);
    fake_stream_feed_eof(w.client);
    fake_stream_feed_error(w.client, "connection reset");
    finish(RELAY_END_CLIENT_CLOSED);
}
END_TEST

START_TEST(relay_survives_errors_on_both_sides)
{
    start(60000, SPAN_EMPTY, SPAN_EMPTY);
    fake_stream_feed_error(w.client, "first");
    fake_stream_feed_error(w.backend, "second");
    finish(RELAY_END_CLIENT_ERROR);
    ck_assert_str_eq(w.result.err.text, "first");
}
END_TEST

START_TEST(relay_cuts_a_side_that_lingers)
{
    start(1, SPAN_EMPTY, SPAN_EMPTY);
    fake_stream_feed_eof(w.backend);
    ck_assert(!w.client->is_closed);
    while (!w.client->is_closed)
        (void)uv_run(&w.uv, UV_RUN_ONCE);
    finish(RELAY_END_LINGER);
}
END_TEST

/* More than the high mark waits for the client. */
static void
fill_client(void)
{
    static unsigned char block[2 * STREAM_HIGH_MARK];

    w.client->holds_output = true;
    fake_stream_feed(w.backend, span_make(block, sizeof(block)));
    ck_assert(w.backend->is_paused);
}

static uint64_t
ms_until_cut(void)
{
    uint64_t before = uv_now(&w.uv);

    while (!w.client->is_closed)
        (void)uv_run(&w.uv, UV_RUN_ONCE);
    return uv_now(&w.uv) - before;
}

START_TEST(relay_cuts_a_side_that_takes_nothing)
{
    w.send_ms = 1;
    start(60000, SPAN_EMPTY, SPAN_EMPTY);
    fill_client();
    (void)ms_until_cut();
    finish(RELAY_END_SEND_TIMEOUT);
}
END_TEST

START_TEST(relay_gives_a_slow_reader_another_deadline)
{
    w.send_ms = 2 * DEADLINE_COARSE_MS;
    start(60000, SPAN_EMPTY, SPAN_EMPTY);
    fill_client();
    fake_stream_sends(w.client, 1);
    ck_assert_uint_ge(ms_until_cut(), 2 * 2 * DEADLINE_COARSE_MS);
    finish(RELAY_END_SEND_TIMEOUT);
}
END_TEST

START_TEST(relay_has_a_deadline_only_while_somebody_waits)
{
    w.send_ms = 60000;
    start(60000, SPAN_EMPTY, SPAN_EMPTY);
    ck_assert_uint_eq(w.net.deadlines.count, 0);
    fill_client();
    ck_assert_uint_eq(w.net.deadlines.count, 1);
    fake_stream_sends(w.client, SIZE_MAX);
    ck_assert_uint_eq(w.net.deadlines.count, 0);
    fill_client();
    relay_stop(w.relay);
    ck_assert_uint_eq(w.net.deadlines.count, 0);
    finish(RELAY_END_STOPPED);
}
END_TEST

START_TEST(relay_end_words_are_all_different)
{
    for (int a = RELAY_END_CLIENT_CLOSED; a <= RELAY_END_STOPPED; a++)
        for (int b = RELAY_END_CLIENT_CLOSED; b < a; b++)
            ck_assert_str_ne(relay_end_word((enum relay_end)a),
                relay_end_word((enum relay_end)b));
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("relay");
    TCase *tc = tcase_create("relay");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, relay_carries_both_ways_one_byte_at_a_time);
    tcase_add_test(tc, relay_passes_half_close_and_all_bytes_behind_it);
    tcase_add_test(tc, relay_says_which_side_closed_first);
    tcase_add_test(tc, relay_pauses_the_source_of_a_slow_reader);
    tcase_add_test(tc, relay_starts_paused_behind_a_large_rest);
    tcase_add_test(tc, relay_delivers_what_came_before_an_error);
    tcase_add_test(tc, relay_reads_nothing_for_a_side_that_is_gone);
    tcase_add_test(tc, relay_frees_the_backend_of_a_dead_client_at_once);
    tcase_add_test(
        tc, relay_waits_for_the_output_behind_an_error_but_not_for_ever);
    tcase_add_test(tc, relay_ends_when_a_half_closed_side_breaks);
    tcase_add_test(tc, relay_survives_errors_on_both_sides);
    tcase_add_test(tc, relay_cuts_a_side_that_lingers);
    tcase_add_test(tc, relay_cuts_a_side_that_takes_nothing);
    tcase_add_test(tc, relay_gives_a_slow_reader_another_deadline);
    tcase_add_test(tc, relay_has_a_deadline_only_while_somebody_waits);
    tcase_add_test(tc, relay_end_words_are_all_different);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
