/*
 * route: host, listener, prefix and upgrade to a rule.
 * Input: one configuration and a table of requests. Output: Check.
 */
#include "wsgate/route/route.h"

#include <check.h>
#include <stdlib.h>

static const char yaml[] =
    "sites:\n"
    "  - hosts: [A.example, \"*.example.org\"]\n"
    "    listen: [{address: \"127.0.0.1:81\", tls: false}]\n"
    "    locations:\n"
    "      /: {proxy: \"b:1\"}\n"
    "      /chat: {websocket: \"b:1\", files: /srv}\n"
    "      /chat/only: {websocket: \"b:1\"}\n"
    "      /static/: {files: /srv}\n"
    "      /php: {fastcgi: {servers: \"b:1\", root: /srv}}\n"
    "  - hosts: [b.example, \"*.b.example.org\", \"x.example.org\"]\n"
    "    listen: [{address: \"127.0.0.1:81\", tls: false}]\n"
    "    locations: {/only: {proxy: \"b:1\"}}\n"
    "  - listen: [{address: \"127.0.0.1:81\", tls: false}]\n"
    "    locations: {/: {files: /srv}}\n"
    "  - hosts: c.example\n"
    "    listen: \"127.0.0.1:443\"\n"
    "    redirect_from: \"127.0.0.1:82\"\n"
    "    certificates: {chain: /c.pem}\n"
    "    locations: {/: {files: /srv}}\n";

static struct gate_config *config;
static struct route_table *table;

static void
setup(void)
{
    struct err err = {.kind = ERR_NONE};

    ck_assert_msg(
        gate_config_parse(span_str(yaml), &config, &err), "%s", err.text);
    ck_assert(route_table_new(config, &table, &err));
}

static void
teardown(void)
{
    route_table_free(table);
    gate_config_free(config);
}

static const struct {
    const char *host;
    const char *address;
    size_t site;
} sites[] = {
    {"a.example", "127.0.0.1:81", 0},
    {"b.example", "127.0.0.1:81", 1},
    {"other", "127.0.0.1:81", 2},
    {"", "127.0.0.1:81", 2},
    {"*", "127.0.0.1:81", 2},
    {"127.0.0.1", "127.0.0.1:81", 2},
    {"www.example.org", "127.0.0.1:81", 0},
    {"www.deep.example.org", "127.0.0.1:81", 0},
    {"www.b.example.org", "127.0.0.1:81", 1},
    {"x.example.org", "127.0.0.1:81", 1},
    {"example.org", "127.0.0.1:81", 2},
    {"badexample.org", "127.0.0.1:81", 2},
    {"*.example.org", "127.0.0.1:81", 0},
    {"c.example", "127.0.0.1:81", 2},
    {"c.example", "127.0.0.1:443", 3},
    {"c.example", "127.0.0.1:82", 3},
    {"a.example", "127.0.0.1:443", (size_t)-1},
    {"c.example", "127.0.0.1:83", (size_t)-1},
};
enum { SITES = sizeof(sites) / sizeof(sites[0]) };

START_TEST(site_of_host)
{
    ck_assert_msg(route_site(table, span_str(sites[_i].host),
                      sites[_i].address) == sites[_i].site,
        "%s on %s", sites[_i].host, sites[_i].address);
}
END_TEST

START_TEST(long_host_is_no_trouble)
{
    char host[1000];

    memset(host, '.', sizeof(host));
    ck_assert_uint_eq(
        route_site(table, span_make(host, sizeof(host)), "127.0.0.1:81"), 2);
    memset(host, 'a', sizeof(host));
    memcpy(host + 242, ".example.org", 12);
    ck_assert_uint_eq(
        route_site(table, span_make(host, 254), "127.0.0.1:81"), 0);
}
END_TEST

static const struct {
    size_t site;
    const char *path;
    bool is_upgrade;
    enum route_kind kind;
    const char *prefix; /* NULL: no location */
} paths[] = {
    {0, "/", false, ROUTE_PROXY, "/"},
    {0, "/x", false, ROUTE_PROXY, "/"},
    {0, "/x", true, ROUTE_UPGRADE_REFUSED, "/"},
    {0, "/chat", true, ROUTE_WEBSOCKET, "/chat"},
    {0, "/chat", false, ROUTE_FILES, "/chat"},
    {0, "/chat/", true, ROUTE_WEBSOCKET, "/chat"},
    {0, "/chat/x", true, ROUTE_WEBSOCKET, "/chat"},
    {0, "/chatter", false, ROUTE_PROXY, "/"},
    {0, "/chat%2Fonly", false, ROUTE_PROXY, "/"},
    {0, "/Chat", false, ROUTE_PROXY, "/"},
    {0, "/chat/only", true, ROUTE_WEBSOCKET, "/chat/only"},
    {0, "/chat/only", false, ROUTE_UPGRADE_REQUIRED, "/chat/only"},
    {0, "/chat/only/x", false, ROUTE_UPGRADE_REQUIRED, "/chat/only"},
    {0, "/chat/onlyx", false, ROUTE_FILES, "/chat"},
    {0, "/static/a", false, ROUTE_FILES, "/static/"},
    {0, "/static/", false, ROUTE_FILES, "/static/"},
    {0, "/static", false, ROUTE_PROXY, "/"},
    {0, "//static/a", false, ROUTE_PROXY, "/"},
    {0, "/php/x.php", false, ROUTE_FASTCGI, "/php"},
    {0, "*", false, ROUTE_NO_HANDLER, NULL},
    {1, "/only", false, ROUTE_PROXY, "/only"},
    {1, "/", false, ROUTE_NO_HANDLER, NULL},
    {1, "/", true, ROUTE_NO_HANDLER, NULL},
    {4, "/", false, ROUTE_NO_SITE, NULL},
    {(size_t)-1, "/", true, ROUTE_NO_SITE, NULL},
};
enum { PATHS = sizeof(paths) / sizeof(paths[0]) };

START_TEST(rule_of_path)
{
    struct route_match match = route_find(
        table, paths[_i].site, span_str(paths[_i].path), paths[_i].is_upgrade);

    ck_assert_msg(match.kind == paths[_i].kind, "%s", paths[_i].path);
    ck_assert((match.location_config == NULL) == (paths[_i].prefix == NULL));
    ck_assert((match.site_config == NULL) == (match.kind == ROUTE_NO_SITE));
    if (match.location_config != NULL)
        ck_assert_str_eq(match.location_config->prefix, paths[_i].prefix);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("route");
    TCase *tc = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failures;

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, site_of_host, 0, SITES);
    tcase_add_test(tc, long_host_is_no_trouble);
    tcase_add_loop_test(tc, rule_of_path, 0, PATHS);
    srunner_run_all(runner, CK_NORMAL);
    failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures > 0 ? 1 : 0;
}
