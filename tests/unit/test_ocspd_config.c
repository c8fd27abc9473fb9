/*
 * ocspd.yaml: defaults, every key, rows over defaults, what is refused and at
 * which place. Input: files written into a folder of the test's own.
 * Output: Check's report.
 */
#include "ocspd/ocspd_config.h"

#include "shared/log.h"

#include <check.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];
static char file[96];

static void
setup(void)
{
    (void)snprintf(folder, sizeof(folder), "/tmp/test_ocspd_config.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(file, sizeof(file), "%s/ocspd.yaml", folder);
    (void)unsetenv("OCSPD_PROXY");
}

static void
teardown(void)
{
    (void)unlink(file);
    (void)rmdir(folder);
}

static void
write_file(const char *text)
{
    FILE *f = fopen(file, "w");

    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    ck_assert_int_eq(fclose(f), 0);
}

static struct ocspd_config *
load(const char *text)
{
    struct ocspd_config *config = NULL;
    struct err err = {0};

    write_file(text);
    ck_assert_msg(ocspd_config_load(file, &config, &err), "%s", err.text);
    return config;
}

static const struct ocspd_cert_row *
row_of(const struct ocspd_config *config, size_t i)
{
    const struct ocspd_cert_row *rows = config->certificates.items;

    ck_assert_uint_lt(i, config->certificates.count);
    return &rows[i];
}

static void
check_defaults(const struct ocspd_config *config)
{
    ck_assert_int_eq(config->log.format, LOG_FORMAT_TEXT);
    ck_assert_int_eq(config->log.level, LOG_LEVEL_INFO);
    ck_assert_int_eq(config->fetch.connect_timeout_ms, 5000);
    ck_assert_int_eq(config->fetch.timeout_ms, 15000);
    ck_assert_int_eq(config->fetch.max_transfers, 16);
    ck_assert_int_eq(config->fetch.max_per_responder, 2);
    ck_assert_int_eq(config->fetch.probe_interval_ms, 12 * 3600 * 1000);
    ck_assert_int_eq(config->fetch.min_interval_ms, 60000);
    ck_assert(!config->fetch.public_only);
    ck_assert_uint_eq(config->fetch.allow_addresses.count, 0);
    ck_assert_ptr_null(config->defaults.issuer);
    ck_assert_ptr_null(config->defaults.responder);
    ck_assert_ptr_null(config->defaults.signers);
    ck_assert_str_eq(config->defaults.proxy, "none");
    ck_assert_int_eq(config->defaults.on_revoked, ON_REVOKED_WITHDRAW);
    ck_assert(!config->defaults.allow_weak);
    ck_assert(!config->defaults.strict);
    ck_assert_int_eq(config->defaults.max_age_ms, 0);
}

START_TEST(config_of_an_empty_file_is_all_defaults)
{
    struct ocspd_config *config = load("");

    ck_assert_str_eq(config->spool, "/var/spool/ocspd");
    ck_assert_uint_eq(config->certificates.count, 0);
    check_defaults(config);
    ocspd_config_free(config);
}
END_TEST

START_TEST(config_reads_every_key)
{
    struct ocspd_config *config = load(
        "spool: /srv/spool\n"
        "log: {format: json, level: debug}\n"
        "fetch: {connect_timeout: 1s, timeout: 20s, max_transfers: 3,\n"
        "  max_per_responder: 1, probe_interval: 1h, min_interval: 30s,\n"
        "  public_only: yes}\n"
        "allow_addresses: [127.0.0.0/8, \"::1\"]\n"
        "defaults: {issuer: /ca, responder: \"http://o/\", signers: /s.pem,\n"
        "  proxy: \"socks5h://u:p@127.0.0.1:1080\", on_revoked: keep,\n"
        "  allow_weak: true, strict: true, max_age: 12h}\n"
        "certificates: [{path: /c.pem}]\n");

    ck_assert_str_eq(config->spool, "/srv/spool");
    ck_assert_int_eq(config->log.format, LOG_FORMAT_JSON);
    ck_assert_int_eq(config->log.level, LOG_LEVEL_DEBUG);
    ck_assert_int_eq(config->fetch.connect_timeout_ms, 1000);
    ck_assert_int_eq(config->fetch.timeout_ms, 20000);
    ck_assert_int_eq(config->fetch.max_transfers, 3);
    ck_assert_int_eq(config->fetch.max_per_responder, 1);
    ck_assert_int_eq(config->fetch.probe_interval_ms, 3600000);
    ck_assert_int_eq(config->fetch.min_interval_ms, 30000);
    ck_assert(config->fetch.public_only);
    ck_assert_uint_eq(config->fetch.allow_addresses.count, 2);
    ck_assert_str_eq(config->fetch.allow_addresses.items[1], "::1");
    ck_assert_str_eq(config->defaults.issuer, "/ca");
    ck_assert_str_eq(config->defaults.responder, "http://o/");
    ck_assert_str_eq(config->defaults.signers, "/s.pem");
    ck_assert_str_eq(config->defaults.proxy, "socks5h://u:p@127.0.0.1:1080");
    ck_assert_int_eq(config->defaults.on_revoked, ON_REVOKED_KEEP);
    ck_assert(config->defaults.allow_weak);
    ck_assert(config->defaults.strict);
    ck_assert_int_eq(config->defaults.max_age_ms, 12 * 3600 * 1000);
    ck_assert_str_eq(row_of(config, 0)->path, "/c.pem");
    ocspd_config_free(config);
}
END_TEST

START_TEST(config_row_wins_over_defaults_also_with_false_and_off)
{
    struct ocspd_config *config =
        load("defaults: {issuer: /ca, on_revoked: keep, allow_weak: true,\n"
             "  strict: true, max_age: 1h, responder: \"http://o/\"}\n"
             "certificates:\n"
             "  - {path: /a.pem, on_revoked: withdraw, allow_weak: false,\n"
             "     strict: no, max_age: off, responder: \"\", proxy: none}\n"
             "  - /b.pem\n"
             "  - {path: /c.pem, on_revoked: , strict: }\n");
    struct ocspd_rule a =
        ocspd_rule_over(&row_of(config, 0)->rule, &config->defaults);
    struct ocspd_rule b =
        ocspd_rule_over(&row_of(config, 1)->rule, &config->defaults);
    struct ocspd_rule c =
        ocspd_rule_over(&row_of(config, 2)->rule, &config->defaults);

    ck_assert_int_eq(a.on_revoked, ON_REVOKED_WITHDRAW);
    ck_assert(!a.allow_weak);
    ck_assert(!a.strict);
    ck_assert_int_eq(a.max_age_ms, 0);
    ck_assert_str_eq(a.responder, "");
    ck_assert_str_eq(a.issuer, "/ca");
    ck_assert_int_eq(b.on_revoked, ON_REVOKED_KEEP);
    ck_assert(b.allow_weak);
    ck_assert(b.strict);
    ck_assert_int_eq(b.max_age_ms, 3600000);
    ck_assert_str_eq(b.responder, "http://o/");
    ck_assert_str_eq(b.proxy, "none");
    ck_assert_int_eq(c.on_revoked, ON_REVOKED_KEEP);
    ck_assert(c.strict);
    ocspd_config_free(config);
}
END_TEST

static const struct ocspd_publish *
output_of(const struct ocspd_config *config, size_t row, size_t i)
{
    const struct ocspd_publish *items = row_of(config, row)->rule.publish.items;

    ck_assert_uint_lt(i, row_of(config, row)->rule.publish.count);
    return &items[i];
}

START_TEST(config_rows_take_the_outputs_of_the_defaults_or_have_their_own)
{
    struct ocspd_config *config =
        load("defaults: {publish: [{type: file, file: \"/o/%n\"},\n"
             "  {type: changed, changed: web.1_a-b}]}\n"
             "certificates:\n"
             "  - /a.pem\n"
             "  - {path: /b.pem, publish: []}\n"
             "  - {path: /c.pem, publish: {type: haproxy, file: /c.pem.ocsp,\n"
             "     socket: /run/s, mode: 0600}}\n");

    ck_assert_uint_eq(row_of(config, 0)->rule.publish.count, 2);
    ck_assert_int_eq(output_of(config, 0, 0)->kind, PUBLISH_FILE);
    ck_assert_int_eq(ocspd_publish_mode(output_of(config, 0, 0)), 0644);
    ck_assert_str_eq(output_of(config, 0, 1)->changed, "web.1_a-b");
    ck_assert_uint_eq(row_of(config, 1)->rule.publish.count, 0);
    ck_assert_uint_eq(row_of(config, 2)->rule.publish.count, 1);
    ck_assert_int_eq(output_of(config, 2, 0)->kind, PUBLISH_HAPROXY);
    ck_assert_str_eq(output_of(config, 2, 0)->socket, "/run/s");
    ck_assert_int_eq(ocspd_publish_mode(output_of(config, 2, 0)), 0600);
    ck_assert_int_eq(config->changed_interval_ms, 60 * 1000);
    ck_assert_ptr_null(config->changed_dir);
    ocspd_config_free(config);
}
END_TEST

static const struct {
    const char *cert;
    const char *file;
} named[] = {
    {"/c/site.pem", "/o/site-site%"},
    {"/c/www.example.org.crt", "/o/www.example.org-www.example.org%"},
    {"/c/a.cer", "/o/a-a%"},
    {"/c/a.der", "/o/a-a%"},
    {"/c/www.example.org", "/o/www.example.org-www.example.org%"},
    {"/c/.pem", "/o/.pem-.pem%"},
    {"/c.pem/a%n", "/o/a%n-a%n%"},
};

START_TEST(config_file_names_come_from_the_certificate_s)
{
    struct ocspd_config *config =
        load("certificates: {path: /c, publish: {type: file,"
             " file: \"/o/%n-%n%%\"}}");
    char *made = ocspd_publish_file(output_of(config, 0, 0), named[_i].cert);

    ck_assert_str_eq(made, named[_i].file);
    free(made);
    ocspd_config_free(config);
}
END_TEST

START_TEST(config_dump_with_outputs_reads_as_the_same)
{
    struct ocspd_config *config =
        load("defaults: {publish: {type: nginx, file: \"/o/%n\", changed: a}}\n"
             "certificates: [/a.pem, {path: /b.pem, publish: []}]\n");
    struct buf first, second;

    buf_init(&first, 65536);
    buf_init(&second, 65536);
    ck_assert(config_table_dump(ocspd_config_rows, config, &first));
    (void)buf_cstr(&first);
    ocspd_config_free(config);
    for (char *at = (char *)first.data; (at = strstr(at, "\"***\"")) != NULL;)
        memcpy(at, "none ", 5); /* a proxy is not shown */
    config = load(buf_cstr(&first));
    ck_assert(config_table_dump(ocspd_config_rows, config, &second));
    ck_assert_ptr_nonnull(strstr(buf_cstr(&second), "publish: []"));
    ck_assert_uint_eq(row_of(config, 0)->rule.publish.count, 1);
    ck_assert_uint_eq(row_of(config, 1)->rule.publish.count, 0);
    buf_fini(&first);
    buf_fini(&second);
    ocspd_config_free(config);
}
END_TEST

static void
check_path(const char *path, const char *name)
{
    char want[256];

    (void)snprintf(want, sizeof(want), "%s/%s", folder, name);
    ck_assert_str_eq(path, want);
}

START_TEST(config_paths_start_at_the_file_that_names_them)
{
    struct ocspd_config *config =
        load("spool: spool\n"
             "defaults: {issuer: ca, signers: s.pem}\n"
             "certificates: [a.pem, {path: \"certs/*.pem\", issuer: x}]\n");

    check_path(config->spool, "spool");
    check_path(config->defaults.issuer, "ca");
    check_path(config->defaults.signers, "s.pem");
    check_path(row_of(config, 0)->path, "a.pem");
    check_path(row_of(config, 1)->path, "certs/*.pem");
    check_path(row_of(config, 1)->rule.issuer, "x");
    ck_assert_str_eq(row_of(config, 0)->mark.file, file);
    ck_assert_uint_eq(row_of(config, 0)->mark.line, 3);
    ocspd_config_free(config);
}
END_TEST

START_TEST(config_takes_one_certificate_for_a_list_of_one)
{
    struct ocspd_config *config =
        load("defaults: {strict: true}\ncertificates: /a.pem\n");

    ck_assert_str_eq(row_of(config, 0)->path, "/a.pem");
    ck_assert(row_of(config, 0)->rule.strict);
    ocspd_config_free(config);
    config = load("defaults: {strict: true}\n"
                  "certificates: {path: /a.pem, strict: off}\n");
    ck_assert_str_eq(row_of(config, 0)->path, "/a.pem");
    ck_assert(!row_of(config, 0)->rule.strict);
    ocspd_config_free(config);
}
END_TEST

START_TEST(config_proxy_comes_from_the_environment_when_the_file_says_so)
{
    const char *text = "defaults: {proxy: \"${OCSPD_PROXY:-none}\"}\n";
    struct ocspd_config *config = load(text);

    ck_assert_str_eq(config->defaults.proxy, "none");
    ocspd_config_free(config);
    ck_assert_int_eq(setenv("OCSPD_PROXY", "http://p:3128", 1), 0);
    config = load(text);
    ck_assert_str_eq(config->defaults.proxy, "http://p:3128");
    ocspd_config_free(config);
}
END_TEST

static const struct {
    const char *why;
    const char *text;
    const char *place; /* behind the file's name */
    const char *says;
} refused[] = {
    {"an unknown key names the one that was meant", "spol: /x\n",
        ":1:1: ", "spool"},
    {"an unknown key in a row", "certificates: [{path: /a, isuer: /b}]\n",
        ":1:", "issuer"},
    {"a row without path", "certificates: [{issuer: /b}]\n", ":1:", "path"},
    {"an empty path", "certificates:\n  - path: \"\"\n", ":2:", "path"},
    {"an empty scalar item", "certificates:\n  - \"\"\n", ":2:", "path"},
    {"a list in the list", "certificates:\n  - [a]\n", ":2:", "path"},
    {"a duplicate path names both places",
        "certificates:\n  - /a.pem\n  - /b.pem\n  - path: /a.pem\n",
        ":4:", "ocspd.yaml:2:5"},
    {"duplicates are seen after resolving", "certificates: [a.pem, ./a.pem]\n",
        ":1:", "there already"},
    {"a proxy without scheme", "defaults: {proxy: \"proxy:3128\"}\n",
        ":1:", "proxy"},
    {"a proxy with a foreign scheme", "defaults: {proxy: \"ftp://p\"}\n",
        ":1:", "proxy"},
    {"a proxy without host", "defaults: {proxy: \"http://\"}\n",
        ":1:", "proxy"},
    {"an empty proxy", "defaults: {proxy: \"\"}\n", ":1:", "proxy"},
    {"a proxy in a row", "certificates:\n  - {path: /a, proxy: x}\n",
        ":2:", "proxy"},
    {"a responder that is no URL", "defaults: {responder: o.example}\n",
        ":1:", "responder"},
    {"a responder of another scheme",
        "certificates:\n  - path: /a\n    responder: ldap://o\n",
        ":3:16: ", "responder"},
    {"a responder with a space", "defaults: {responder: \"http://o/a b\"}\n",
        ":1:", "responder"},
    {"a responder with a line break",
        "defaults: {responder: \"http://o/\\r\\nX: y\"}\n", ":1:", "responder"},
    {"a responder without host", "defaults: {responder: \"http:///x\"}\n",
        ":1:", "responder"},
    {"a responder with a fragment", "defaults: {responder: \"http://o/#a\"}\n",
        ":1:", "responder"},
    {"an address range that is none", "allow_addresses: [a.example]\n",
        ":1:19: ", "allow_addresses"},
    {"a prefix too long", "allow_addresses: [127.0.0.0/33]\n",
        ":1:", "127.0.0.0/33"},
    {"an unknown policy", "defaults: {on_revoked: delete}\n",
        ":1:", "withdraw"},
    {"an unknown level", "log: {level: loud}\n", ":1:", "level"},
    {"a max_age beyond 14 days", "defaults: {max_age: 15d}\n", ":1:", "14d"},
    {"no transfers at all", "fetch: {max_transfers: 0}\n",
        ":1:", "max_transfers"},
    {"an interval of zero", "fetch: {min_interval: 0s}\n",
        ":1:", "min_interval"},
    {"a timeout without unit", "fetch: {timeout: 5}\n", ":1:", "timeout"},
    {"an output without type", "defaults: {publish: [{file: /a}]}\n",
        ":1:", "type"},
    {"an unknown type", "defaults: {publish: {type: ngnix, file: /a}}\n",
        ":1:", "nginx"},
    {"a file without file:", "defaults: {publish: {type: file}}\n",
        ":1:21: ", "needs file:"},
    {"a file with a socket",
        "defaults: {publish: {type: file, file: /a, socket: /b}}\n",
        ":1:21: ", "takes no socket:"},
    {"nothing to tell and nobody told",
        "defaults: {publish: {type: changed}}\n", ":1:21: ", "changed: NAME"},
    {"a file for what writes none",
        "defaults: {publish: {type: changed, changed: a, file: /b}}\n",
        ":1:21: ", "takes no file:"},
    {"a name with a folder in it",
        "defaults: {publish: {type: changed, changed: ../a}}\n",
        ":1:21: ", "no name"},
    {"a name with a slash",
        "defaults: {publish: {type: changed, changed: a/b}}\n",
        ":1:21: ", "no name"},
    {"an empty name", "defaults: {publish: {type: changed, changed: \"\"}}\n",
        ":1:21: ", "no name"},
    {"HAProxy's file of another name",
        "defaults: {publish: {type: haproxy, file: /a.der}}\n",
        ":1:21: ", ".ocsp"},
    {"HAProxy's file without a name",
        "defaults: {publish: {type: haproxy, file: /.ocsp}}\n",
        ":1:21: ", ".ocsp"},
    {"the certificate itself",
        "certificates: [{path: /c/a.pem, publish: {type: file, file: "
        "\"/c/%n.pem\"}}]\n",
        ":1:42: ", "overwrite the certificate itself"},
    {"an unknown escape", "defaults: {publish: {type: file, file: /%f}}\n",
        ":1:21: ", "%n"},
    {"an escape that ends too soon",
        "defaults: {publish: {type: file, file: \"/a%\"}}\n", ":1:21: ", "%n"},
    {"an escape in a folder",
        "defaults: {publish: {type: file, file: /%n/a}}\n", ":1:21: ", "%n"},
    {"a mode that is none",
        "defaults: {publish: {type: file, file: /a, mode: rw}}\n",
        ":1:21: ", "mode"},
    {"a mode beyond 0777",
        "defaults: {publish: {type: file, file: /a, mode: 4755}}\n",
        ":1:21: ", "mode"},
    {"a file in the spool",
        "spool: /s\ncertificates:\n  - path: /a.pem\n    publish: {type: file, "
        "file: /s/%n}\n",
        ":4:14: ", "spool"},
    {"a file in a spool that is written with a slash",
        "spool: /s/\ncertificates:\n  - path: /a.pem\n    publish: {type: "
        "file, file: /s/%n}\n",
        ":4:14: ", "spool"},
    {"one file for two certificates names both",
        "certificates:\n  - {path: /a.pem, publish: {type: file, file: /x}}\n"
        "  - {path: /b.pem, publish: {type: nginx, file: /x}}\n",
        ":3:5: ", "/a.pem too ("},
    {"the defaults' one file for two certificates",
        "defaults: {publish: {type: file, file: /x}}\n"
        "certificates: [/a.pem, /b.pem]\n",
        ":2:", "%n"},
    {"one file twice in a row",
        "certificates:\n  - path: /a\n    publish:\n"
        "      - {type: file, file: /x}\n      - {type: nginx, file: /x}\n",
        ":5:9: ", "twice"},
    {"an interval of half a second", "changed_interval: 500ms\n",
        ":1:", "changed_interval"},
};

START_TEST(config_refuses_and_names_the_place)
{
    char place[128];
    struct ocspd_config *config = NULL;
    struct err err = {0};

    write_file(refused[_i].text);
    ck_assert_msg(
        !ocspd_config_load(file, &config, &err), "%s", refused[_i].why);
    ck_assert_ptr_null(config);
    ck_assert_int_eq(err.kind, ERR_CONFIG);
    (void)snprintf(place, sizeof(place), "%s%s", file, refused[_i].place);
    ck_assert_msg(strncmp(err.text, place, strlen(place)) == 0,
        "%s: %s instead of %s", refused[_i].why, err.text, place);
    ck_assert_msg(strstr(err.text, refused[_i].says) != NULL, "%s: %s",
        refused[_i].why, err.text);
}
END_TEST

START_TEST(config_error_never_shows_a_proxy_s_password)
{
    struct ocspd_config *config = NULL;
    struct err err = {0};

    write_file("defaults: {proxy: \"ftp://user:hunter2@p\"}\n");
    ck_assert(!ocspd_config_load(file, &config, &err));
    ck_assert_ptr_null(strstr(err.text, "hunter2"));
}
END_TEST

START_TEST(config_of_a_missing_file_is_a_system_error)
{
    struct ocspd_config *config = NULL;
    struct err err = {0};

    ck_assert(!ocspd_config_load(file, &config, &err));
    ck_assert_int_eq(err.kind, ERR_SYSTEM);
    write_file("");
}
END_TEST

START_TEST(config_is_made_from_a_command_line)
{
    char *certs[] = {(char *)"a.pem", (char *)"/b.pem"};
    struct ocspd_config *config = NULL;
    struct err err = {0};
    char cwd[PATH_MAX];

    ck_assert_int_eq(chdir(folder), 0);
    ck_assert_ptr_nonnull(getcwd(cwd, sizeof(cwd)));
    ck_assert_msg(
        ocspd_config_make("spool", certs, 2, &config, &err), "%s", err.text);
    check_defaults(config);
    check_path(config->spool, "spool");
    ck_assert_uint_eq(config->certificates.count, 2);
    check_path(row_of(config, 0)->path, "a.pem");
    ck_assert_str_eq(row_of(config, 1)->path, "/b.pem");
    ocspd_config_free(config);
    config = NULL;
    ck_assert(ocspd_config_make(NULL, NULL, 0, &config, &err));
    ck_assert_str_eq(config->spool, "/var/spool/ocspd");
    ck_assert_uint_eq(config->certificates.count, 0);
    ocspd_config_free(config);
    ocspd_config_free(NULL);
    write_file("");
}
END_TEST

START_TEST(config_rows_all_have_help_and_can_be_dumped)
{
    struct ocspd_config *config = load("certificates: [/a.pem]\n"
                                       "defaults: {proxy: \"http://u:hid@p\"}");
    struct buf out;

    for (const struct config_row *row = ocspd_config_rows; row->name; row++) {
        ck_assert_ptr_nonnull(row->help);
        for (const struct config_row *r = row->rows; r && r->name; r++)
            ck_assert_ptr_nonnull(r->help);
    }
    buf_init(&out, 65536);
    ck_assert(config_table_dump(ocspd_config_rows, config, &out));
    ck_assert_ptr_nonnull(strstr(buf_cstr(&out), "/a.pem"));
    ck_assert_ptr_null(strstr(buf_cstr(&out), "hid"));
    buf_clear(&out);
    ck_assert(config_table_schema(ocspd_config_rows, "ocspd.yaml", &out));
    ck_assert_ptr_nonnull(strstr(buf_cstr(&out), "allow_addresses"));
    buf_fini(&out);
    ocspd_config_free(config);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("ocspd_config");
    TCase *tc = tcase_create("all");
    SRunner *runner;
    int failures;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, config_of_an_empty_file_is_all_defaults);
    tcase_add_test(tc, config_reads_every_key);
    tcase_add_test(tc, config_row_wins_over_defaults_also_with_false_and_off);
    tcase_add_test(
        tc, config_rows_take_the_outputs_of_the_defaults_or_have_their_own);
    tcase_add_loop_test(tc, config_file_names_come_from_the_certificate_s, 0,
        (int)(sizeof(named) / sizeof(named[0])));
    tcase_add_test(tc, config_dump_with_outputs_reads_as_the_same);
    tcase_add_test(tc, config_paths_start_at_the_file_that_names_them);
    tcase_add_test(tc, config_takes_one_certificate_for_a_list_of_one);
    tcase_add_test(
        tc, config_proxy_comes_from_the_environment_when_the_file_says_so);
    tcase_add_loop_test(tc, config_refuses_and_names_the_place, 0,
        (int)(sizeof(refused) / sizeof(refused[0])));
    tcase_add_test(tc, config_error_never_shows_a_proxy_s_password);
    tcase_add_test(tc, config_of_a_missing_file_is_a_system_error);
    tcase_add_test(tc, config_is_made_from_a_command_line);
    tcase_add_test(tc, config_rows_all_have_help_and_can_be_dumped);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures ? 1 : 0;
}
