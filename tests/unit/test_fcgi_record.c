/*
 * FastCGI records to bytes and back.
 * Input: bytes in any split. Output: events; and the bytes that we write.
 */
#include "wsgate/backend/fcgi_record.h"

#include <check.h>
#include <stdlib.h>

/* Header with version 1, type, id, content length, padding. */
#define HEAD(type, id, len, pad) "\x01" type "\x00" id "\x00" len pad "\x00"

static const struct {
    const char *name;
    struct span in;
    const char *events; /* o:stdout e:stderr E:end !:error */
    const char *out;
    const char *errors;
} cases[] = {
    {"nothing", {NULL, 0}, "", "", ""},
    {"one stdout record", SPAN_LIT(HEAD("\x06", "\x01", "\x02", "\x00") "hi"),
        "o", "hi", ""},
    {"padding is skipped",
        SPAN_LIT(HEAD("\x06", "\x01", "\x02", "\x03") "hixxx" HEAD(
            "\x06", "\x01", "\x01", "\x00") "!"),
        "oo", "hi!", ""},
    {"stderr is apart",
        SPAN_LIT(HEAD("\x07", "\x01", "\x03", "\x00") "bad" HEAD(
            "\x06", "\x01", "\x02", "\x00") "ok"),
        "eo", "ok", "bad"},
    {"the end of a stream is no event",
        SPAN_LIT(HEAD("\x06", "\x01", "\x00", "\x00")), "", "", ""},
    {"an empty record with padding",
        SPAN_LIT(HEAD("\x06", "\x01", "\x00", "\x02") "xx" HEAD(
            "\x06", "\x01", "\x01", "\x00") "a"),
        "o", "a", ""},
    {"the end of the request",
        SPAN_LIT(HEAD(
            "\x03", "\x01", "\x08", "\x00") "\x00\x00\x00\x07\x00\x00\x00\x00"),
        "E", "", ""},
    {"a longer end record",
        SPAN_LIT(HEAD("\x03", "\x01", "\x0a",
            "\x00") "\x00\x00\x00\x07\x02\x00\x00\x00yy"),
        "E", "", ""},
    {"a short end record is an error",
        SPAN_LIT(HEAD("\x03", "\x01", "\x07", "\x00") "\x00\x00\x00"), "!", "",
        ""},
    {"management records are skipped",
        SPAN_LIT(HEAD("\x0b", "\x00", "\x02", "\x01") "zzz" HEAD(
            "\x06", "\x01", "\x01", "\x00") "a"),
        "o", "a", ""},
    {"another version",
        SPAN_LIT("\x02\x06\x00\x01\x00\x01\x00\x00"
                 "a"),
        "!", "", ""},
    {"another request", SPAN_LIT(HEAD("\x06", "\x02", "\x01", "\x00") "a"), "!",
        "", ""},
    {"a record that only a server sends",
        SPAN_LIT(HEAD("\x05", "\x01", "\x01", "\x00") "a"), "!", "", ""},
    {"HTTP", SPAN_LIT("HTTP/1.1 200 OK\r\n"), "!", "", ""},
    {"half a header", SPAN_LIT("\x01\x06\x00"), "", "", ""},
};

struct seen {
    struct buf events;
    struct buf out;
    struct buf errors;
    bool has_failed;
};

static void
note(struct seen *seen, enum fcgi_event event, struct span data, bool merge)
{
    static const char marks[] = {[FCGI_EVENT_MORE] = 0,
        [FCGI_EVENT_STDOUT] = 'o',
        [FCGI_EVENT_STDERR] = 'e',
        [FCGI_EVENT_END] = 'E',
        [FCGI_EVENT_ERROR] = '!'};
    unsigned char mark = (unsigned char)marks[event];

    seen->has_failed = event == FCGI_EVENT_ERROR;
    if (event == FCGI_EVENT_STDOUT)
        ck_assert(buf_add(&seen->out, data));
    if (event == FCGI_EVENT_STDERR)
        ck_assert(buf_add(&seen->errors, data));
    if (mark != 0 && !merge)
        ck_assert(buf_add_byte(&seen->events, mark));
}

/* In parts of `step` bytes. */
static void
read_all(struct span in, size_t step, struct seen *seen)
{
    struct fcgi_reader reader = {0};
    struct err err = {0};

    buf_init(&seen->events, 100);
    buf_init(&seen->out, 1000);
    buf_init(&seen->errors, 1000);
    seen->has_failed = false;
    for (size_t at = 0; at < in.len && !seen->has_failed; at += step) {
        struct span part = span_sub(in, at, step);

        while (part.len > 0 && !seen->has_failed) {
            struct span data = SPAN_EMPTY;
            size_t eaten;
            enum fcgi_event event =
                fcgi_read(&reader, part, &eaten, &data, &err);

            ck_assert(eaten <= part.len);
            ck_assert(eaten > 0 || event == FCGI_EVENT_ERROR);
            note(seen, event, data, step < in.len);
            part = span_from(part, eaten);
        }
    }
    ck_assert(!seen->has_failed || err.kind == ERR_FORMAT);
}

static void
forget(struct seen *seen)
{
    buf_fini(&seen->events);
    buf_fini(&seen->out);
    buf_fini(&seen->errors);
}

START_TEST(records_are_read)
{
    struct seen seen;

    read_all(cases[_i].in, 10000, &seen);
    ck_assert_msg(span_eq(buf_span(&seen.events), span_str(cases[_i].events)),
        "%s: %s", cases[_i].name, buf_cstr(&seen.events));
    ck_assert_str_eq(buf_cstr(&seen.out), cases[_i].out);
    ck_assert_str_eq(buf_cstr(&seen.errors), cases[_i].errors);
    forget(&seen);
    for (size_t step = 1; step < cases[_i].in.len; step++) {
        read_all(cases[_i].in, step, &seen);
        ck_assert_str_eq(buf_cstr(&seen.out), cases[_i].out);
        ck_assert_str_eq(buf_cstr(&seen.errors), cases[_i].errors);
        ck_assert(seen.has_failed == (strchr(cases[_i].events, '!') != NULL));
        forget(&seen);
    }
}
END_TEST

START_TEST(end_tells_both_statuses)
{
    struct span in = SPAN_LIT(HEAD(
        "\x03", "\x01", "\x08", "\x00") "\x01\x02\x03\x04\x02\x00\x00\x00");
    struct fcgi_reader reader = {0};
    struct span data;
    size_t eaten;

    ck_assert_int_eq(
        fcgi_read(&reader, in, &eaten, &data, NULL), FCGI_EVENT_END);
    ck_assert_uint_eq(reader.app_status, 0x01020304);
    ck_assert_uint_eq(reader.protocol_status, 2);
    ck_assert_str_eq(fcgi_protocol_word(2), "overloaded");
    ck_assert_str_eq(fcgi_protocol_word(0), "complete");
    ck_assert_str_eq(fcgi_protocol_word(200), "unknown status");
}
END_TEST

START_TEST(begin_asks_for_a_responder_that_closes)
{
    struct buf out;

    buf_init(&out, 100);
    ck_assert(fcgi_write_begin(&out));
    ck_assert(span_eq(buf_span(&out),
        SPAN_LIT(HEAD("\x01", "\x01", "\x08", "\x00") "\x00\x01\x00\x00\x00"
                                                      "\x00\x00\x00")));
    buf_fini(&out);
}
END_TEST

START_TEST(stream_is_cut_into_records)
{
    static unsigned char bytes[FCGI_CONTENT_MAX + 1];
    struct buf out;

    buf_init(&out, 2 * sizeof(bytes));
    ck_assert(fcgi_write_stream(&out, FCGI_STDIN, SPAN_LIT("abc")));
    ck_assert(span_eq(
        buf_span(&out), SPAN_LIT(HEAD("\x05", "\x01", "\x03", "\x00") "abc")));
    buf_clear(&out);
    ck_assert(fcgi_write_stream(&out, FCGI_STDIN, SPAN_EMPTY));
    ck_assert(span_eq(
        buf_span(&out), SPAN_LIT(HEAD("\x05", "\x01", "\x00", "\x00"))));
    buf_clear(&out);
    ck_assert(
        fcgi_write_stream(&out, FCGI_STDIN, span_make(bytes, sizeof(bytes))));
    ck_assert_uint_eq(out.len, sizeof(bytes) + 2 * FCGI_HEADER_SIZE);
    ck_assert_uint_eq(out.data[4], FCGI_CONTENT_MAX >> 8);
    ck_assert_uint_eq(out.data[5], FCGI_CONTENT_MAX & 255);
    buf_fini(&out);
}
END_TEST

START_TEST(full_buffer_is_an_answer)
{
    struct buf out;

    buf_init(&out, FCGI_HEADER_SIZE);
    ck_assert(!fcgi_write_begin(&out));
    ck_assert(!fcgi_write_stream(&out, FCGI_STDIN, SPAN_LIT("a")));
    ck_assert(!fcgi_write_pair(&out, SPAN_LIT("NAME"), SPAN_LIT("value")));
    buf_fini(&out);
}
END_TEST

static const size_t lengths[] = {0, 1, 127, 128, 70000};

START_TEST(pairs_come_back)
{
    static unsigned char bytes[70000];
    struct span name = span_make(bytes, lengths[_i]);
    struct span value = span_make(bytes, lengths[4 - _i]);
    struct span got_name;
    struct span got_value;
    struct span rest;
    struct buf out;

    buf_init(&out, 2 * sizeof(bytes));
    ck_assert(fcgi_write_pair(&out, name, value));
    rest = buf_span(&out);
    ck_assert(fcgi_read_pair(&rest, &got_name, &got_value));
    ck_assert(span_eq(got_name, name) && span_eq(got_value, value));
    ck_assert_uint_eq(rest.len, 0);
    ck_assert(!fcgi_read_pair(&rest, &got_name, &got_value));
    /* Cut anywhere it is no pair, and nothing is eaten. */
    for (size_t len = 1; len < out.len && len < 300; len++) {
        rest = span_sub(buf_span(&out), 0, len);
        ck_assert(!fcgi_read_pair(&rest, &got_name, &got_value));
        ck_assert_uint_eq(rest.len, len);
    }
    buf_fini(&out);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("fcgi_record");
    TCase *tcase = tcase_create("records");
    SRunner *runner;
    int failures;

    tcase_add_loop_test(
        tcase, records_are_read, 0, sizeof(cases) / sizeof(cases[0]));
    tcase_add_test(tcase, end_tells_both_statuses);
    tcase_add_test(tcase, begin_asks_for_a_responder_that_closes);
    tcase_add_test(tcase, stream_is_cut_into_records);
    tcase_add_test(tcase, full_buffer_is_an_answer);
    tcase_add_loop_test(tcase, pairs_come_back, 0, 5);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures ? 1 : 0;
}
