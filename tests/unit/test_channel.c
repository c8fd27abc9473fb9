/* wsgate/process/channel: messages arrive whole, with their descriptors. */
#include "wsgate/process/channel.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int ends[2];
static struct channel_message got;

static void
open_pair(void)
{
    struct err err;

    ck_assert_msg(channel_pair(ends, &err), "%s", err.text);
}

static void
close_pair(void)
{
    (void)close(ends[0]);
    (void)close(ends[1]);
}

START_TEST(channel_carries_type_id_and_payload)
{
    struct err err;

    ck_assert(channel_send(
        ends[0], CHANNEL_FAILED, 7, SPAN_LIT("why"), NULL, 0, &err));
    ck_assert_int_eq(channel_receive(ends[1], &got), CHANNEL_GOT_ONE);
    ck_assert_int_eq(got.type, CHANNEL_FAILED);
    ck_assert_uint_eq(got.id, 7);
    ck_assert_uint_eq(got.len, 3);
    ck_assert_int_eq(memcmp(got.payload, "why", 3), 0);
    ck_assert_int_eq(channel_receive(ends[1], &got), CHANNEL_GOT_NONE);
}
END_TEST

START_TEST(channel_carries_descriptors)
{
    int fds[2] = {open("/dev/null", O_WRONLY), open("/dev/zero", O_RDONLY)};
    struct err err;
    char byte = 1;

    ck_assert(
        channel_send(ends[0], CHANNEL_LISTENERS, 0, SPAN_EMPTY, fds, 2, &err));
    ck_assert_int_eq(channel_receive(ends[1], &got), CHANNEL_GOT_ONE);
    ck_assert_int_eq(got.fd_count, 2);
    ck_assert_int_eq(read(got.fds[1], &byte, 1), 1);
    ck_assert_int_eq(byte, 0);
    ck_assert(fcntl(got.fds[0], F_GETFD) & FD_CLOEXEC);
    channel_close_fds(&got);
    (void)close(fds[0]);
    (void)close(fds[1]);
}
END_TEST

START_TEST(channel_tells_the_end)
{
    (void)close(ends[0]);
    ck_assert_int_eq(channel_receive(ends[1], &got), CHANNEL_GOT_END);
    ends[0] = dup(ends[1]);
}
END_TEST

START_TEST(channel_treats_a_short_message_as_the_end)
{
    ck_assert_int_eq(send(ends[0], "abc", 3, 0), 3);
    ck_assert_int_eq(channel_receive(ends[1], &got), CHANNEL_GOT_END);
}
END_TEST

START_TEST(channel_refuses_a_payload_past_the_limit)
{
    static unsigned char big[CHANNEL_PAYLOAD_MAX + 1];
    struct err err;

    ck_assert(channel_send(ends[0], CHANNEL_PING, 0,
        span_make(big, CHANNEL_PAYLOAD_MAX), NULL, 0, &err));
    ck_assert(!channel_send(
        ends[0], CHANNEL_PING, 0, span_make(big, sizeof(big)), NULL, 0, &err));
    ck_assert_int_eq(err.kind, ERR_LIMIT);
}
END_TEST

START_TEST(channel_says_when_the_other_side_does_not_read)
{
    struct err err = {0};
    int sent = 0;

    while (channel_send(ends[0], CHANNEL_PING, 0, SPAN_LIT("x"), NULL, 0, &err))
        ck_assert_int_lt(++sent, 100000);
    ck_assert_int_eq(err.kind, ERR_LIMIT);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("channel");
    TCase *tcase = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tcase, open_pair, close_pair);
    tcase_add_test(tcase, channel_carries_type_id_and_payload);
    tcase_add_test(tcase, channel_carries_descriptors);
    tcase_add_test(tcase, channel_tells_the_end);
    tcase_add_test(tcase, channel_treats_a_short_message_as_the_end);
    tcase_add_test(tcase, channel_refuses_a_payload_past_the_limit);
    tcase_add_test(tcase, channel_says_when_the_other_side_does_not_read);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
