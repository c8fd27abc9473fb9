/*
 * When our own clock is named as what to mend.
 * Input: responses signed on the spot, two clocks. Output: Check's report.
 */
#include "ocspd/fetch_http.h"
#include "ocspd/verify_clock.h"
#include "tests/support/pki.h"

#include <check.h>
#include <string.h>

enum { MIN = 60, H = 3600 };
#define DAY PKI_DAY

static struct pki pki;

static void
setup(void)
{
    pki_init(&pki);
}

static void
teardown(void)
{
    pki_fini(&pki);
}

static const struct row {
    const char *name;
    const char *words; /* NULL: the clock is not named */
    int64_t ours; /* all from PKI_NOW; the response: 1 h old, 1 day to go */
    int64_t theirs;
    bool is_unknown;
    bool is_forged;
} rows[] = {
    {"two days late",
        "this host's clock is 2 days ahead of the responder's "
        "(Date: ",
        2 * DAY, 0, false, false},
    {"three hours early", "this host's clock is 3 h behind the responder's",
        -3 * H, 0, false, false},
    {"89 minutes early", "is 89 min behind", -89 * MIN, 0, false, false},
    {"just more than the skew", "is 5 min ahead", DAY + 1, DAY - 5 * MIN - 2,
        false, false},
    {"no more than the skew", NULL, DAY + 1, DAY - 5 * MIN + 1, false, false},
    {"their clock agrees: the response is old", NULL, 2 * DAY, 2 * DAY, false,
        false},
    {"by neither clock", NULL, 2 * DAY, 4 * DAY, false, false},
    {"their clock is not known", NULL, 2 * DAY, 0, true, false},
    {"it is good by ours", NULL, 0, -3 * H, false, false},
    {"forged, whatever the time", NULL, 2 * DAY, 0, false, true},
};

START_TEST(the_clock_is_named_when_it_is_to_blame)
{
    const struct row *row = &rows[_i];
    struct pki_single single = {.leaf = pki.leaf,
        .issuer = pki.ca,
        .reason = -1,
        .this_update = PKI_NOW - H,
        .next_update = PKI_NOW + DAY};
    struct pki_response response = {
        .signer = row->is_forged ? pki.sibling : pki.ca,
        .singles = &single,
        .single_count = 1};
    struct ocsp_trust trust = {pki.ca->cert, NULL, false};
    struct verify_policy policy = {.not_after = PKI_NOW + 60 * DAY};
    struct verify_clock clock = {
        PKI_NOW + row->ours, row->is_unknown ? 0 : PKI_NOW + row->theirs};
    struct verify_result result;
    struct cert_ids ids;
    struct err err = {0};
    struct buf der;
    bool named;

    buf_init(&der, OCSP_RESPONSE_MAX);
    pki_respond(&response, &der);
    ck_assert(cert_ids_make(pki.leaf->cert, pki.ca->cert, &ids, NULL));
    verify_response(buf_span(&der), &ids, &trust, &policy, clock.now, &result,
        NULL, NULL, &err);
    named = verify_blames_clock(
        &clock, result.verdict, buf_span(&der), &ids, &trust, &policy, &err);
    ck_assert_msg(named == (row->words != NULL), "%s: %s", row->name, err.text);
    ck_assert_msg(row->words == NULL || (strstr(err.text, row->words) != NULL &&
                                            strstr(err.text, "chronyc")),
        "%s: %s", row->name, err.text);
    ck_assert_msg(row->words != NULL || strstr(err.text, "clock") == NULL,
        "%s: %s", row->name, err.text);
    buf_fini(&der);
}
END_TEST

static const struct {
    const char *lines[3];
    int64_t clock;
} headers[] = {
    {{"HTTP/1.1 200 OK\r\n", "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"},
        784111777},
    {{"date:Sun, 06 Nov 1994 08:49:37 GMT\r\n", "Age: 60\r\n"}, 784111837},
    {{"Age: 60\r\n"}, 0},
    {{"Date: Sunday, 06-Nov-94 08:49:37 GMT\r\n"}, 0},
    {{"Date: Sun Nov  6 08:49:37 1994\r\n"}, 0},
    {{"Date: Sun, 06 Nov 1994 08:49:37 CET\r\n"}, 0},
    {{"Date: Sun, 06 Nov 1994 08:49:37 GMT+\r\n"}, 0},
    {{"Date: Sun, 99 Nov 1994 08:49:37 GMT\r\n"}, 0},
    {{"Date: \r\n"}, 0},
    {{"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", "HTTP/1.1 200 OK\r\n"}, 0},
};

START_TEST(the_responders_clock_is_read_from_its_headers)
{
    struct fetch_headers read = {0};

    for (size_t i = 0; i < 3 && headers[_i].lines[i] != NULL; i++)
        ck_assert(fetch_headers_line(&read, span_str(headers[_i].lines[i])));
    ck_assert_int_eq(fetch_headers_clock(&read), headers[_i].clock);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("verify_clock");
    TCase *t = tcase_create("verify_clock");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, the_clock_is_named_when_it_is_to_blame, 0,
        sizeof(rows) / sizeof(rows[0]));
    tcase_add_loop_test(t, the_responders_clock_is_read_from_its_headers, 0,
        sizeof(headers) / sizeof(headers[0]));
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
