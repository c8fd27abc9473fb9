/*
 * Address ranges.
 * Input: texts and socket addresses. Output: parsed or not, inside or not.
 */
#include "shared/cidr.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <string.h>

static void
address(const char *text, struct sockaddr_storage *out)
{
    struct sockaddr_in *in4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;

    memset(out, 0, sizeof(*out));
    if (inet_pton(AF_INET, text, &in4->sin_addr) == 1) {
        in4->sin_family = AF_INET;
        return;
    }
    ck_assert_int_eq(inet_pton(AF_INET6, text, &in6->sin6_addr), 1);
    in6->sin6_family = AF_INET6;
}

static const struct {
    const char *range;
    const char *address;
    bool is_inside;
} matches[] = {
    {"10.0.0.0/8", "10.255.255.255", true},
    {"10.0.0.0/8", "11.0.0.0", false},
    {"10.0.0.0/8", "9.255.255.255", false},
    {"192.168.1.128/25", "192.168.1.128", true},
    {"192.168.1.128/25", "192.168.1.127", false},
    {"192.0.2.7", "192.0.2.7", true},
    {"192.0.2.7", "192.0.2.6", false},
    {"192.0.2.7/32", "192.0.2.7", true},
    {"0.0.0.0/0", "255.255.255.255", true},
    {"0.0.0.0/0", "2001:db8::1", false},
    {"0.0.0.0/0", "::ffff:1.2.3.4", true},
    {"10.0.0.0/8", "::ffff:10.1.2.3", true},
    {"10.0.0.0/8", "::ffff:11.1.2.3", false},
    {"fd00::/8", "fdff::1", true},
    {"fd00::/8", "fc00::1", false},
    {"2001:db8::/33", "2001:db8:7fff::", true},
    {"2001:db8::/33", "2001:db8:8000::", false},
    {"::1", "::1", true},
    {"::1", "::2", false},
    {"::1", "127.0.0.1", false},
    {"::/0", "2001:db8::1", true},
};

START_TEST(cidr_contains_what_is_inside)
{
    struct sockaddr_storage ss;
    struct cidr range;

    address(matches[_i].address, &ss);
    ck_assert(cidr_parse(span_str(matches[_i].range), &range));
    ck_assert_msg(
        cidr_contains(&range, (struct sockaddr *)&ss) == matches[_i].is_inside,
        "%s in %s", matches[_i].address, matches[_i].range);
}
END_TEST

static const char *const bad[] = {"", "/8", "10.0.0.0/", "10.0.0.0/33",
    "10.0.0.0/-1", "10.0.0.0/8/8", "10.0.0.1/8", "10.0.0/8", "10.0.0.256",
    "::/129", "fd00::1/8", "::1::", "name", "[::1]", "10.0.0.0 /8",
    "10.0.0.0/ 8", "192.0.2.1:80", "2001:db8::1/64"};

START_TEST(cidr_refuses_what_is_no_range)
{
    struct cidr range;

    ck_assert_msg(!cidr_parse(span_str(bad[_i]), &range), "%s", bad[_i]);
}
END_TEST

START_TEST(cidr_knows_no_other_families)
{
    struct sockaddr_storage ss = {.ss_family = AF_UNIX};
    struct cidr range;

    ck_assert(cidr_parse(SPAN_LIT("::/0"), &range));
    ck_assert(!cidr_contains(&range, (struct sockaddr *)&ss));
}
END_TEST

START_TEST(cidr_refuses_long_and_broken_texts)
{
    char text[300];
    struct cidr range;

    memset(text, '1', sizeof(text));
    ck_assert(!cidr_parse(span_make(text, sizeof(text)), &range));
    ck_assert(!cidr_parse(SPAN_LIT("10.0.0.0\0/8"), &range));
    ck_assert(!cidr_parse(SPAN_EMPTY, &range));
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("cidr");
    TCase *tc = tcase_create("cidr");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tc);
    tcase_add_loop_test(tc, cidr_contains_what_is_inside, 0,
        (int)(sizeof(matches) / sizeof(matches[0])));
    tcase_add_loop_test(tc, cidr_refuses_what_is_no_range, 0,
        (int)(sizeof(bad) / sizeof(bad[0])));
    tcase_add_test(tc, cidr_knows_no_other_families);
    tcase_add_test(tc, cidr_refuses_long_and_broken_texts);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
