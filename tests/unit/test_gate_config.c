/*
 * gate_config: defaults, the file of the handbook, what is refused and where,
 * the form without a file, dump and back.
 * Input: YAML and words of command lines. Output: Check.
 */
#include "wsgate/gate_config.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char full[] =
    "workers: 4\n"
    "spool: /var/spool/ocspd\n"
    "user: wsgate\n"
    "admin: unix:/run/wsgate/admin.sock\n"
    "max_connections: 5000\n"
    "trusted_proxies: [10.0.0.0/8, \"fd00::/8\"]\n"
    "log: {access: \"off\", format: json, level: debug}\n"
    "drain: {deadline: 40s}\n"
    "pools:\n"
    "  chat: {servers: [\"unix:/run/a.sock\", \"unix:/run/b.sock\"]}\n"
    "  api: [\"10.0.0.11:8080\", \"app:8080\"]\n"
    "sites:\n"
    "  - hosts: [Chat.Example.org, \"*.example.net\"]\n"
    "    listen:\n"
    "      - \"0.0.0.0:443\"\n"
    "      - {address: \"[::]:443\"}\n"
    "      - {address: \"unix:/run/w.sock\", tls: false, mode: \"0666\"}\n"
    "    redirect_from: [\"0.0.0.0:80\", \"[::]:80\"]\n"
    "    certificates:\n"
    "      - {chain: /c/ec.pem, key: /c/ec.key, staple: require}\n"
    "      - {chain: /c/rsa.pem, issuer: /c/ca.pem, signers: /c/s.pem}\n"
    "    min_tls: \"1.3\"\n"
    "    limits: {header_size: 16K, header_count: 50, max_body: 1G,\n"
    "      handshake_timeout: 1s, header_timeout: 2s, body_timeout: 3s,\n"
    "      send_timeout: 4s, idle_timeout: 5s, linger: 6s}\n"
    "    locations:\n"
    "      /chat:\n"
    "        websocket: {pool: chat, origins: [same, \"https://x.org\"],\n"
    "          connect_timeout: 1500ms}\n"
    "        fastcgi: {servers: \"unix:/run/fpm.sock\", root: /srv/site,\n"
    "          script: /chat.php}\n"
    "      /static/: {files: {root: /srv/s, precompressed: [br, gzip]}}\n"
    "      /api/: {proxy: {pool: api, max_body: 8M, read_timeout: 5m}}\n"
    "      /cost$$: {files: \"/srv/$$a \\\"b\\\\\"}\n"
    "  - listen: \"127.0.0.1:8443\"\n"
    "    certificates: {chain: /c/d.pem}\n"
    "    locations: {/: {websocket: \"127.0.0.1:9000\"}}\n";

static struct gate_config *
parse(const char *yaml)
{
    struct gate_config *config = NULL;
    struct err err = {.kind = ERR_NONE};

    ck_assert_msg(
        gate_config_parse(span_str(yaml), &config, &err), "%s", err.text);
    return config;
}

static const struct gate_site *
site_at(const struct gate_config *config, size_t i)
{
    const struct gate_site *sites = config->sites.items;

    ck_assert_uint_gt(config->sites.count, i);
    return &sites[i];
}

static const struct gate_location *
location_at(const struct gate_site *site, size_t i)
{
    const struct gate_location *locations = site->locations.items;

    ck_assert_uint_gt(site->locations.count, i);
    return &locations[i];
}

static void
check_globals(const struct gate_config *c)
{
    ck_assert_int_eq(c->workers, 4);
    ck_assert_str_eq(c->spool, "/var/spool/ocspd");
    ck_assert_str_eq(c->user, "wsgate");
    ck_assert_str_eq(c->admin, "unix:/run/wsgate/admin.sock");
    ck_assert_int_eq(c->max_connections, 5000);
    ck_assert_uint_eq(c->trusted_proxies.count, 2);
    ck_assert_str_eq(c->log.access, "off");
    ck_assert_int_eq(c->log.format, 1);
    ck_assert_int_eq(c->log.level, 3);
    ck_assert_int_eq(c->drain.deadline_ms, 40000);
    ck_assert_uint_eq(gate_config_pool(c, "api")->servers.count, 2);
    ck_assert_ptr_null(gate_config_pool(c, "none"));
}

static void
check_site(const struct gate_site *site)
{
    const struct gate_listen *listens = site->listen.items;
    const struct gate_certificate *certs = site->certificates.items;

    ck_assert_str_eq(site->hosts.items[0], "chat.example.org");
    ck_assert_str_eq(site->hosts.items[1], "*.example.net");
    ck_assert_uint_eq(site->listen.count, 3);
    ck_assert_str_eq(listens[0].address, "0.0.0.0:443");
    ck_assert(listens[0].tls && listens[1].tls && !listens[2].tls);
    ck_assert_ptr_null(listens[0].mode);
    ck_assert_str_eq(listens[2].mode, "0666");
    ck_assert_uint_eq(site->redirect_from.count, 2);
    ck_assert_int_eq(certs[0].staple, 1);
    ck_assert_int_eq(certs[1].staple, 0);
    ck_assert_str_eq(certs[0].key, "/c/ec.key");
    ck_assert_str_eq(certs[1].key, "/c/rsa.pem");
    ck_assert_str_eq(certs[1].issuer, "/c/ca.pem");
    ck_assert_str_eq(certs[1].signers, "/c/s.pem");
    ck_assert(site->tls13_only);
    ck_assert_int_eq(site->limits.header_size, 16384);
    ck_assert_int_eq(site->limits.header_count, 50);
    ck_assert_int_eq(site->limits.handshake_timeout_ms, 1000);
    ck_assert_int_eq(site->limits.linger_ms, 6000);
    ck_assert_int_eq(site->limits.max_body, 1 << 30);
}

static void
check_locations(const struct gate_config *config, const struct gate_site *site)
{
    const struct gate_location *chat = location_at(site, 0);
    const struct gate_location *api = location_at(site, 2);

    ck_assert_str_eq(chat->prefix, "/chat");
    ck_assert(chat->websocket.is_set && chat->fastcgi.is_set);
    ck_assert(!chat->proxy.is_set && !chat->files.is_set);
    ck_assert_str_eq(chat->websocket.up.pool, "chat");
    ck_assert_int_eq(chat->websocket.up.connect_timeout_ms, 1500);
    ck_assert_int_eq(chat->websocket.up.read_timeout_ms, 60000);
    ck_assert_uint_eq(chat->websocket.origins.count, 2);
    ck_assert_str_eq(chat->fastcgi.root, "/srv/site");
    ck_assert_str_eq(chat->fastcgi.script, "/chat.php");
    ck_assert_str_eq(chat->fastcgi.index, "index.php");
    ck_assert_uint_eq(
        gate_upstream_servers(config, &chat->websocket.up)->count, 2);
    ck_assert_str_eq(gate_upstream_servers(config, &chat->fastcgi.up)->items[0],
        "unix:/run/fpm.sock");
    ck_assert_uint_eq(location_at(site, 1)->files.precompressed.count, 2);
    ck_assert_str_eq(location_at(site, 1)->files.index, "index.html");
    ck_assert_int_eq(api->proxy.up.max_body, 8 << 20);
    ck_assert_int_eq(api->proxy.up.read_timeout_ms, 300000);
    ck_assert_str_eq(location_at(site, 3)->files.root, "/srv/$a \"b\\");
}

static void
check_full(const struct gate_config *config)
{
    const struct gate_location *last;

    check_globals(config);
    check_site(site_at(config, 0));
    check_locations(config, site_at(config, 0));
    ck_assert_str_eq(site_at(config, 1)->hosts.items[0], "*");
    last = location_at(site_at(config, 1), 0);
    ck_assert_str_eq(last->websocket.up.servers.items[0], "127.0.0.1:9000");
    ck_assert_str_eq(last->websocket.origins.items[0], "same");
}

START_TEST(every_key_is_read)
{
    struct gate_config *config = parse(full);

    check_full(config);
    gate_config_free(config);
}
END_TEST

START_TEST(defaults)
{
    struct gate_config *config =
        parse("sites:\n"
              "  - listen: \"127.0.0.1:443\"\n"
              "    certificates: {chain: c.pem}\n"
              "    locations: {/: {proxy: \"127.0.0.1:80\"}}\n");
    const struct gate_site *site = site_at(config, 0);
    const struct gate_limits *limits = &site->limits;

    ck_assert_int_eq(config->workers, 0);
    ck_assert_ptr_null(config->spool);
    ck_assert_ptr_null(config->user);
    ck_assert_ptr_null(config->admin);
    ck_assert_int_eq(config->max_connections, 0);
    ck_assert_str_eq(config->log.access, "-");
    ck_assert_int_eq(config->log.format, 0);
    ck_assert_int_eq(config->log.level, 2);
    ck_assert_int_eq(config->drain.deadline_ms, 25000);
    ck_assert(!site->tls13_only);
    ck_assert_int_eq(limits->header_size, 32768);
    ck_assert_int_eq(limits->header_count, 100);
    ck_assert_int_eq(limits->handshake_timeout_ms, 10000);
    ck_assert_int_eq(limits->header_timeout_ms, 10000);
    ck_assert_int_eq(limits->body_timeout_ms, 30000);
    ck_assert_int_eq(limits->send_timeout_ms, 60000);
    ck_assert_int_eq(limits->idle_timeout_ms, 75000);
    ck_assert_int_eq(limits->linger_ms, 30000);
    ck_assert_int_eq(limits->max_body, 16 << 20);
    ck_assert_int_eq(location_at(site, 0)->proxy.up.connect_timeout_ms, 5000);
    ck_assert_int_eq(location_at(site, 0)->proxy.up.max_body, 0);
    gate_config_free(config);
}
END_TEST

START_TEST(dump_reads_as_the_same)
{
    struct gate_config *first = parse(full);
    struct gate_config *second;
    struct buf one;
    struct buf two;

    buf_init(&one, 1 << 20);
    buf_init(&two, 1 << 20);
    ck_assert(gate_config_dump(first, &one));
    second = parse(buf_cstr(&one));
    check_full(second);
    ck_assert(gate_config_dump(second, &two));
    ck_assert_str_eq(buf_cstr(&one), buf_cstr(&two));
    gate_config_free(first);
    gate_config_free(second);
    buf_fini(&one);
    buf_fini(&two);
}
END_TEST

/* ---- what is refused ------------------------------------------------------ */

#define TLS "listen: \"0.0.0.0:443\", certificates: {chain: /c.pem}"
#define FOUR "{chain: /c}, {chain: /c}, {chain: /c}, {chain: /c}, "
#define PLAIN "listen: {address: \"127.0.0.1:80\", tls: false}"
#define LOCATIONS "locations: {/: {files: /srv}}"
#define SITE(text) "sites: [{" PLAIN ", locations: {" text "}}]\n"

static const struct {
    const char *name;
    const char *yaml;
    const char *place; /* "line:column" */
    const char *words; /* in the error */
} refused[] = {
    {"no_site", "workers: 1\n", "1:1", "'sites' is missing"},
    {"empty_sites", "sites: []\n", "1:8", "at least 1"},
    {"unknown_key", "site: []\n", "1:1", "did you mean 'sites'?"},
    {"workers_zero", "workers: 0\n" SITE("/: {files: /s}"), "1:10",
        "expected auto"},
    {"network",
        "trusted_proxies: [10.0.0.0/8, 10.0.0.1/8]\n" SITE("/: {files: /s}"),
        "1:31", "10.0.0.0/8"},
    {"pool_without_servers",
        "pools: {a: {servers: []}}\n" SITE("/: {files: /s}"), "1:22",
        "at least 1"},
    {"pool_with_bad_server", "pools: {a: \"x\"}\n" SITE("/: {files: /s}"),
        "1:12", "127.0.0.1:9000"},
    {"empty_access", "log: {access: \"\"}\n" SITE("/: {files: /s}"), "1:15",
        "'access' is empty"},
    {"admin_port", "admin: 127.0.0.1:9\n" SITE("/: {files: /s}"), "1:8",
        "expected unix:/run/wsgate/admin.sock or off"},
    {"admin_relative", "admin: unix:a.sock\n" SITE("/: {files: /s}"), "1:8",
        "absolute path"},
    {"no_listen", "sites: [{" LOCATIONS "}]\n", "1:9", "'listen' is missing"},
    {"no_locations", "sites: [{" PLAIN "}]\n", "1:9", "'locations' is missing"},
    {"empty_locations", "sites: [{" PLAIN ", locations: {}}]\n", "1:68",
        "at least 1"},
    {"listen_without_port", "sites: [{listen: \"0.0.0.0\", " LOCATIONS "}]\n",
        "1:18", "0.0.0.0:443"},
    {"listen_on_name", "sites: [{listen: \"host:443\", " LOCATIONS "}]\n",
        "1:18", "0.0.0.0:443"},
    {"listen_on_port_too_large",
        "sites: [{listen: \"0.0.0.0:65536\", " LOCATIONS "}]\n", "1:18",
        "0.0.0.0:443"},
    {"listen_on_bare_ipv6", "sites: [{listen: \"::1:443\", " LOCATIONS "}]\n",
        "1:18", "[::]:443"},
    {"listen_on_relative_socket",
        "sites: [{listen: \"unix:w.sock\", " LOCATIONS "}]\n", "1:18",
        "absolute path"},
    {"listen_with_proxy_protocol",
        "sites: [{listen: {address: \"1.1.1.1:1\", tls: false, "
        "proxy_protocol: true}, " LOCATIONS "}]\n",
        "1:18", "not supported yet"},
    {"mode_without_socket",
        "sites: [{listen: {address: \"1.1.1.1:1\", tls: false, "
        "mode: \"0660\"}, " LOCATIONS "}]\n",
        "1:18", "unix sockets"},
    {"mode_not_octal",
        "sites: [{listen: {address: \"unix:/a\", tls: false, mode: "
        "rw}, " LOCATIONS "}]\n",
        "1:18", "octal"},
    {"tls_without_certificate",
        "sites: [{listen: \"0.0.0.0:443\", " LOCATIONS "}]\n", "1:9",
        "needs 'certificates'"},
    {"more_certificates_than_kinds_of_key",
        "sites: [{listen: \"0.0.0.0:443\", certificates: [" FOUR FOUR FOUR FOUR
        "{chain: /c}], " LOCATIONS "}]\n",
        "1:256", "at most 16"},
    {"redirect_without_tls",
        "sites: [{" PLAIN ", redirect_from: [\"0.0.0.0:81\"], " LOCATIONS
        "}]\n",
        "1:73", "no 'listen' of this site has TLS"},
    {"redirect_from_bad_address",
        "sites: [{" TLS ", redirect_from: [\"80\"], " LOCATIONS "}]\n", "1:80",
        "0.0.0.0:443"},
    {"bad_host",
        "sites: [{hosts: [a.org, \"a.org:80\"], " PLAIN ", " LOCATIONS "}]\n",
        "1:25", "no host"},
    {"wildcard_within_host",
        "sites: [{hosts: \"a.*.org\", " PLAIN ", " LOCATIONS "}]\n", "1:17",
        "no host"},
    {"host_twice_in_site",
        "sites: [{hosts: [a.org, A.org], " PLAIN ", " LOCATIONS "}]\n", "1:25",
        "host 'a.org' is on 127.0.0.1:80 twice"},
    {"host_twice_on_listener",
        "sites:\n- {hosts: a.org, " PLAIN ", " LOCATIONS "}\n"
        "- {hosts: a.org, " PLAIN ", " LOCATIONS "}\n",
        "3:11", "(the other is at line 2)"},
    {"default_twice_on_listener",
        "sites:\n- {" PLAIN ", " LOCATIONS "}\n- {" PLAIN ", " LOCATIONS "}\n",
        "3:12", "host '*' is on 127.0.0.1:80 twice"},
    {"tls_and_plain_on_listener",
        "sites:\n- {hosts: a.org, " TLS ", " LOCATIONS "}\n"
        "- {hosts: b.org, listen: {address: \"0.0.0.0:443\", tls: "
        "false}, " LOCATIONS "}\n",
        "3:26", "plain HTTP here and TLS at line 2"},
    {"plain_and_redirect_on_listener",
        "sites:\n- {hosts: a.org, " TLS
        ", redirect_from: \"127.0.0.1:80\", " LOCATIONS
        "}\n- {hosts: b.org, " PLAIN ", " LOCATIONS "}\n",
        "3:26", "plain HTTP here and 'redirect_from' at line 2"},
    {"min_tls", "sites: [{" TLS ", min_tls: 1.1, " LOCATIONS "}]\n", "1:73",
        "expected \"1.2\" or \"1.3\""},
    {"certificate_without_chain",
        "sites: [{listen: \"0.0.0.0:443\", certificates: {key: /k}, " LOCATIONS
        "}]\n",
        "1:47", "'chain' is missing"},
    {"staple_word",
        "sites: [{listen: \"0.0.0.0:443\", certificates: {chain: /c, "
        "staple: always}, " LOCATIONS "}]\n",
        "1:67", "prefer, require"},
    {"limit_below_minimum",
        "sites: [{" PLAIN ", limits: {header_size: 10}, " LOCATIONS "}]\n",
        "1:79", "from 1K to 1M"},
    {"prefix_without_slash", SITE("chat: {files: /s}"), "1:69",
        "does not begin with '/'"},
    {"prefix_with_query", SITE("\"/a?b\": {files: /s}"), "1:69", "no path has"},
    {"prefix_with_dots", SITE("/a/../b: {files: /s}"), "1:69", "dot segment"},
    {"location_without_handler", SITE("/: {}"), "1:69", "has no handler"},
    {"two_plain_handlers", SITE("/: {files: /s, proxy: \"a:1\"}"), "1:80",
        "has both 'proxy' and 'files'"},
    {"neither_pool_nor_servers", SITE("/: {proxy: {}}"), "1:80",
        "'pool' or 'servers'"},
    {"both_pool_and_servers",
        "pools: {a: \"b:1\"}\n" SITE("/: {proxy: {pool: a, servers: \"b:1\"}}"),
        "2:99", "both 'pool' and 'servers'"},
    {"unknown_pool",
        "pools: {chat: \"b:1\"}\n" SITE("/: {websocket: {pool: chta}}"), "2:91",
        "did you mean 'chat'?"},
    {"unknown_pool_without_pools", SITE("/: {websocket: {pool: chat}}"), "1:91",
        "name it under 'pools'"},
    {"bad_server", SITE("/: {proxy: [\"a:1\", \"a:0\"]}"), "1:88", "no server"},
    {"server_with_scheme", SITE("/: {proxy: \"http://a:1\"}"), "1:80",
        "no server"},
    {"websocket_with_bad_origin",
        SITE("/: {websocket: {servers: \"a:1\", origins: [self]}}"), "1:111",
        "expected same, any"},
    {"fastcgi_without_root", SITE("/: {fastcgi: {servers: \"a:1\"}}"), "1:82",
        "'root' is missing"},
    {"fastcgi_relative_root",
        SITE("/: {fastcgi: {servers: \"a:1\", root: srv}}"), "1:105",
        "absolute path"},
    {"fastcgi_relative_script",
        SITE("/: {fastcgi: {servers: \"a:1\", root: /s, script: x.php}}"),
        "1:117", "below root"},
    {"files_precompressed",
        SITE("/: {files: {root: /s, precompressed: [zip]}}"), "1:107",
        "expected br, gzip"},
};
enum { REFUSED = sizeof(refused) / sizeof(refused[0]) };

START_TEST(refuses)
{
    struct gate_config *config = NULL;
    struct err err = {.kind = ERR_NONE};
    char place[64];

    ck_assert_msg(!gate_config_parse(span_str(refused[_i].yaml), &config, &err),
        "%s", refused[_i].name);
    ck_assert_int_eq(err.kind, ERR_CONFIG);
    ck_assert_msg(strstr(err.text, refused[_i].words) != NULL, "%s: %s",
        refused[_i].name, err.text);
    (void)snprintf(
        place, sizeof(place), "configuration:%s: ", refused[_i].place);
    ck_assert_msg(strncmp(err.text, place, strlen(place)) == 0, "%s: %s",
        refused[_i].name, err.text);
}
END_TEST

/* ---- without a file ------------------------------------------------------- */

START_TEST(make_from_words)
{
    static const char *const certificates[] = {"/c/site.pem"};
    static const char *const listens[] = {":8443", "unix:/run/w.sock"};
    static char *const routes[] = {"/draw=ws:127.0.0.1:9000,unix:/run/b.sock",
        "/=http:127.0.0.1:8080",
        "/draw=fcgi:unix:/run/x.sock,root=/srv/$x,script=/y.php",
        "/s/=files:/srv/s"};
    struct gate_config *config = NULL;
    struct err err = {.kind = ERR_NONE};
    const struct gate_site *site;
    const struct gate_listen *listen;
    const struct gate_location *draw;

    ck_assert_msg(gate_config_make(certificates, 1, listens, 2, "/spool",
                      routes, 4, &config, &err),
        "%s", err.text);
    site = site_at(config, 0);
    listen = site->listen.items;
    ck_assert_str_eq(config->spool, "/spool");
    ck_assert_uint_eq(site->listen.count, 3);
    ck_assert_str_eq(listen[0].address, "0.0.0.0:8443");
    ck_assert_str_eq(listen[1].address, "[::]:8443");
    ck_assert(listen[0].tls && listen[1].tls);
    ck_assert_uint_eq(site->locations.count, 3);
    draw = location_at(site, 0);
    ck_assert_uint_eq(draw->websocket.up.servers.count, 2);
    ck_assert_str_eq(draw->fastcgi.root, "/srv/$x");
    ck_assert_str_eq(draw->fastcgi.script, "/y.php");
    ck_assert_str_eq(draw->fastcgi.up.servers.items[0], "unix:/run/x.sock");
    ck_assert_str_eq(location_at(site, 2)->files.root, "/srv/s");
    gate_config_free(config);
}
END_TEST

START_TEST(make_without_certificate_is_plain)
{
    static const char *const listens[] = {"127.0.0.1:8080"};
    static char *const routes[] = {"/=files:/srv"};
    struct gate_config *config = NULL;
    const struct gate_listen *listen;

    ck_assert(
        gate_config_make(NULL, 0, listens, 1, NULL, routes, 1, &config, NULL));
    listen = site_at(config, 0)->listen.items;
    ck_assert(!listen->tls);
    ck_assert_ptr_null(config->spool);
    gate_config_free(config);
}
END_TEST

static const struct {
    const char *listen;
    const char *route;
    const char *words;
} bad_words[] = {
    {NULL, "/=http:a:1", "no --listen"},
    {":443", NULL, "no route"},
    {":x", "/=http:a:1", "--listen"},
    {":123456", "/=http:a:1", "--listen"},
    {"host:1", "/=http:a:1", "--listen"},
    {":443", "chat=ws:a:1", "route 'chat=ws:a:1'"},
    {":443", "/chat", "route '/chat'"},
    {":443", "/chat=wss:a:1", "expected /PATH=ws:ADDRESS"},
    {":443", "/chat=ws:", "expected /PATH=ws:ADDRESS"},
    {":443", "/chat=ws:a", "route '/chat=ws:a': 'a' is no server"},
    {":443", "/chat=ws:a:1,root=/x", "'root=/x' is no server"},
    {":443", "/=fcgi:a:1", "'root' is missing"},
    {":443", "/a\nb=ws:a:1", "control byte"},
    {":443", "/=files:", "expected /PATH=ws:ADDRESS"},
};
enum { BAD_WORDS = sizeof(bad_words) / sizeof(bad_words[0]) };

START_TEST(make_refuses)
{
    const char *listens[] = {bad_words[_i].listen};
    char *routes[] = {(char *)(uintptr_t)bad_words[_i].route};
    struct gate_config *config = NULL;
    struct err err = {.kind = ERR_NONE};

    ck_assert(!gate_config_make(NULL, 0, listens, listens[0] != NULL, NULL,
        routes, routes[0] != NULL, &config, &err));
    ck_assert_int_eq(err.kind, ERR_CONFIG);
    ck_assert_msg(
        strstr(err.text, bad_words[_i].words) != NULL, "%s", err.text);
}
END_TEST

START_TEST(missing_file_is_a_system_error)
{
    struct gate_config *config = NULL;
    struct err err = {.kind = ERR_NONE};

    ck_assert(!gate_config_load("/nonexistent/w.yaml", &config, &err));
    ck_assert_int_eq(err.kind, ERR_SYSTEM);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("gate_config");
    TCase *tc = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failures;

    suite_add_tcase(suite, tc);
    tcase_add_test(tc, every_key_is_read);
    tcase_add_test(tc, defaults);
    tcase_add_test(tc, dump_reads_as_the_same);
    tcase_add_loop_test(tc, refuses, 0, REFUSED);
    tcase_add_test(tc, make_from_words);
    tcase_add_test(tc, make_without_certificate_is_plain);
    tcase_add_loop_test(tc, make_refuses, 0, BAD_WORDS);
    tcase_add_test(tc, missing_file_is_a_system_error);
    srunner_run_all(runner, CK_NORMAL);
    failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures > 0 ? 1 : 0;
}
