/*
 * config_table: values, ranges, defaults, sections, lists, dump and schema.
 * Input: one table that has every type. Output: Check's report.
 */
#include "shared/config_table.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

/* ---- a table that has every type ------------------------------------------ */

struct inner {
    bool is_set;
    struct config_mark mark;
    char *path;
    int64_t interval_ms;
};

struct item {
    char *key;
    struct config_mark mark;
    char *address;
    bool tls;
};

struct sample {
    char *name;
    char *secret;
    char *file;
    bool flag;
    int64_t number;
    int64_t timeout_ms;
    int64_t ping_ms;
    int64_t size;
    struct config_rate rate;
    int balance;
    struct config_strings hosts;
    struct inner health;
    struct config_list listen;
    struct config_list pools;
    char *custom;
};

static const char *const balances[] = {"round_robin", "least_conn", NULL};

static const struct config_row inner_rows[] = {
    {.name = "path",
        .type = CONF_STRING,
        .offset = offsetof(struct inner, path),
        .required = true},
    {.name = "interval",
        .type = CONF_DURATION,
        .offset = offsetof(struct inner, interval_ms),
        .fallback = "10s"},
    {.name = NULL},
};

static const struct config_row item_rows[] = {
    {.name = "address",
        .type = CONF_STRING,
        .offset = offsetof(struct item, address),
        .required = true,
        .help = "where to listen"},
    {.name = "tls",
        .type = CONF_BOOL,
        .offset = offsetof(struct item, tls),
        .fallback = "true"},
    {.name = NULL},
};

static bool
parse_short(const struct config_node *node, void *field, struct err *err)
{
    struct item *item = field;

    if (node->kind != CONFIG_SCALAR)
        return config_fail(&node->mark, err, "expected an address");
    item->address = strdup(node->text);
    return item->address != NULL || err_memory(err);
}

static bool
parse_custom(const struct config_node *node, void *field, struct err *err)
{
    if (node->kind != CONFIG_SCALAR || strcmp(node->text, "bad") == 0)
        return config_fail(&node->mark, err, "'custom' is bad");
    *(char **)field = strdup(node->text);
    return *(char **)field != NULL || err_memory(err);
}

static void
fini_custom(void *field)
{
    free(*(char **)field);
    *(char **)field = NULL;
}

static bool
dump_custom(const void *field, struct buf *out)
{
    return buf_add_fmt(out, "<%s>", *(char *const *)field);
}

#define AT(field) .offset = offsetof(struct sample, field)

static const struct config_row rows[] = {
    {.name = "name", .type = CONF_STRING, AT(name), .help = "a \"name\""},
    {.name = "secret", .type = CONF_STRING, AT(secret), .secret = true},
    {.name = "file", .type = CONF_PATH, AT(file), .fallback = "/dev/null"},
    {.name = "flag", .type = CONF_BOOL, AT(flag), .fallback = "on"},
    {.name = "number",
        .type = CONF_INT,
        AT(number),
        .fallback = "3",
        .min = "1",
        .max = "10"},
    {.name = "timeout",
        .type = CONF_DURATION,
        AT(timeout_ms),
        .fallback = "10s",
        .min = "1s",
        .max = "120s"},
    {.name = "ping",
        .type = CONF_DURATION,
        AT(ping_ms),
        .fallback = "25s",
        .min = "off",
        .max = "1h"},
    {.name = "size",
        .type = CONF_SIZE,
        AT(size),
        .fallback = "32K",
        .min = "1K"},
    {.name = "rate",
        .type = CONF_RATE,
        AT(rate),
        .fallback = "5/s",
        .max = "100/s"},
    {.name = "balance",
        .type = CONF_ENUM,
        AT(balance),
        .fallback = "least_conn",
        .words = balances},
    {.name = "hosts",
        .type = CONF_STRINGS,
        AT(hosts),
        .fallback = "[a, b]",
        .max = "3"},
    {.name = "health",
        .type = CONF_SECTION,
        AT(health),
        .rows = inner_rows,
        .key_offset = CONF_NONE,
        .mark_offset = offsetof(struct inner, mark),
        .set_offset = offsetof(struct inner, is_set)},
    {.name = "listen",
        .type = CONF_LIST,
        AT(listen),
        .rows = item_rows,
        .item_size = sizeof(struct item),
        .key_offset = CONF_NONE,
        .mark_offset = offsetof(struct item, mark),
        .set_offset = CONF_NONE,
        .parse = parse_short},
    {.name = "pools",
        .type = CONF_MAP,
        AT(pools),
        .rows = item_rows,
        .item_size = sizeof(struct item),
        .key_offset = offsetof(struct item, key),
        .mark_offset = offsetof(struct item, mark),
        .set_offset = CONF_NONE},
    {.name = "custom",
        .type = CONF_CUSTOM,
        AT(custom),
        .fallback = "c",
        .parse = parse_custom,
        .fini = fini_custom,
        .dump = dump_custom},
    {.name = NULL},
};

static bool
fill_table(const struct config_row *table, const char *text, void *config,
    struct err *err)
{
    struct config_tree *tree = NULL;
    bool ok;

    if (!config_tree_parse("f", span_str(text), NULL, &tree, err))
        return false;
    ok = config_table_fill(table, tree->root, config, err);
    config_tree_free(tree);
    return ok;
}

static void
fill(const char *text, struct sample *config)
{
    struct err err = {0};

    *config = (struct sample){0};
    if (!fill_table(rows, text, config, &err))
        ck_abort_msg("%s: %s", text, err.text);
}

static void
give_back(struct sample *config)
{
    static const struct sample zero;

    config_table_fini(rows, config);
    ck_assert_mem_eq(config, &zero, sizeof(zero));
}

/* ---- values --------------------------------------------------------------- */

START_TEST(config_table_fills_defaults_when_nothing_is_written)
{
    struct sample c = {0};
    struct err err = {0};

    ck_assert(config_table_fill(rows, NULL, &c, &err));
    ck_assert_ptr_null(c.name);
    ck_assert_str_eq(c.file, "/dev/null");
    ck_assert(c.flag);
    ck_assert_int_eq(c.number, 3);
    ck_assert_int_eq(c.timeout_ms, 10000);
    ck_assert_int_eq(c.ping_ms, 25000);
    ck_assert_int_eq(c.size, 32768);
    ck_assert_int_eq(c.rate.count, 5);
    ck_assert_int_eq(c.rate.per_ms, 1000);
    ck_assert_int_eq(c.balance, 1);
    ck_assert_uint_eq(c.hosts.count, 2);
    ck_assert_str_eq(c.hosts.items[1], "b");
    ck_assert(!c.health.is_set);
    ck_assert_int_eq(c.health.interval_ms, 10000);
    ck_assert_uint_eq(c.listen.count, 0);
    ck_assert_uint_eq(c.pools.count, 0);
    ck_assert_str_eq(c.custom, "c");
    give_back(&c);
}
END_TEST

START_TEST(config_table_fills_what_is_written)
{
    struct sample c;

    fill("name: on\nfile: a/b\nflag: no\nnumber: 10\ntimeout: 2m\nping: off\n"
         "size: 1G\nrate: 100/m\nbalance: round_robin\ncustom: d\n",
        &c);
    ck_assert_str_eq(c.name, "on");
    ck_assert_int_eq(c.file[0], '/');
    ck_assert(!c.flag);
    ck_assert_int_eq(c.number, 10);
    ck_assert_int_eq(c.timeout_ms, 120000);
    ck_assert_int_eq(c.ping_ms, 0);
    ck_assert_int_eq(c.size, 1073741824);
    ck_assert_int_eq(c.rate.count, 100);
    ck_assert_int_eq(c.rate.per_ms, 60000);
    ck_assert_int_eq(c.balance, 0);
    ck_assert_str_eq(c.custom, "d");
    give_back(&c);
}
END_TEST

START_TEST(config_table_takes_an_empty_value_for_an_absent_one)
{
    struct sample c;

    fill("name:\nnumber: ~\nhosts: null\nhealth:\nlisten:\npools:\ncustom:\n",
        &c);
    ck_assert_ptr_null(c.name);
    ck_assert_int_eq(c.number, 3);
    ck_assert_uint_eq(c.hosts.count, 2);
    ck_assert(!c.health.is_set);
    ck_assert_str_eq(c.custom, "c");
    give_back(&c);
}
END_TEST

START_TEST(config_table_takes_lists_and_their_short_forms)
{
    const struct item *item;
    struct sample c;

    fill("hosts: [x, \"*\"]\nhealth: {path: /h}\n"
         "listen:\n  - \":80\"\n  - {address: \":443\", tls: false}\n"
         "pools: {a: {address: x}, b: {address: y}}\n",
        &c);
    ck_assert_uint_eq(c.hosts.count, 2);
    ck_assert_str_eq(c.hosts.items[1], "*");
    ck_assert_uint_eq(c.hosts.marks[1].column, 12);
    ck_assert(c.health.is_set);
    ck_assert_uint_eq(c.health.mark.line, 2);
    ck_assert_str_eq(c.health.path, "/h");
    ck_assert_uint_eq(c.listen.count, 2);
    item = c.listen.items;
    ck_assert_str_eq(item[0].address, ":80");
    ck_assert(item[0].tls);
    ck_assert_uint_eq(item[1].mark.line, 5);
    ck_assert(!item[1].tls);
    item = c.pools.items;
    ck_assert_uint_eq(c.pools.count, 2);
    ck_assert_str_eq(item[1].key, "b");
    ck_assert_str_eq(item[1].address, "y");
    give_back(&c);
}
END_TEST

START_TEST(config_table_takes_one_for_a_list_of_one)
{
    struct sample c;

    fill("hosts: x\nlisten: \":80\"\n", &c);
    ck_assert_uint_eq(c.hosts.count, 1);
    ck_assert_uint_eq(c.listen.count, 1);
    give_back(&c);
    fill("hosts: []\nlisten: {address: y}\npools: {}\n", &c);
    ck_assert_uint_eq(c.hosts.count, 0);
    ck_assert_uint_eq(c.listen.count, 1);
    give_back(&c);
}
END_TEST

/* ---- refused -------------------------------------------------------------- */

#define DURATION_WORDS "a duration such as 500ms, 10s, 5m, 12h or 3d"
#define SIZE_WORDS "a size such as 512, 32K, 8M or 1G"

static const struct {
    const char *text;
    const char *error;
} refused[] = {
    {"nmae: x\n", "f:1:1: unknown key 'nmae', did you mean 'name'?"},
    {"a: b\n",
        "f:1:1: unknown key 'a'; the keys here are name, secret, file, flag, "
        "number, timeout, ping, size, rate, balance, hosts, health, listen, "
        "pools, custom"},
    {"health:\n  path: x\n  intervall: 1s\n",
        "f:3:3: unknown key 'intervall', did you mean 'interval'?"},
    {"listen: [{adress: x}]\n",
        "f:1:11: unknown key 'adress', did you mean 'address'?"},
    {"pools:\n  a: {tsl: x}\n",
        "f:2:7: unknown key 'tsl', did you mean 'tls'?"},
    {"listen:\n  - {tls: true}\n",
        "f:2:5: 'address' is missing (where to listen)"},
    {"listen: [~]\n", "f:1:10: 'address' is missing (where to listen)"},
    {"pools: {a: }\n", "f:1:12: 'address' is missing (where to listen)"},
    {"health: {}\n", "f:1:9: 'path' is missing"},
    {"flag: maybe\n", "f:1:7: 'flag' is 'maybe'; expected true or false"},
    {"flag: True\n", "f:1:7: 'flag' is 'True'; expected true or false"},
    {"number: x\n",
        "f:1:9: 'number' is 'x'; expected a whole number, from 1 to 10"},
    {"number: 0\n",
        "f:1:9: 'number' is '0'; expected a whole number, from 1 to 10"},
    {"number: 11\n",
        "f:1:9: 'number' is '11'; expected a whole number, from 1 to 10"},
    {"number: -1\n",
        "f:1:9: 'number' is '-1'; expected a whole number, from 1 to 10"},
    {"number: 99999999999999999999\n",
        "f:1:9: 'number' is '99999999999999999999'; expected a whole number, "
        "from 1 to 10"},
    {"number: \"\"\n",
        "f:1:9: 'number' is ''; expected a whole number, from 1 to 10"},
    {"timeout: 10\n", "f:1:10: 'timeout' is '10'; expected " DURATION_WORDS
                      ", from 1s to 120s"},
    {"timeout: 121s\n", "f:1:10: 'timeout' is '121s'; expected " DURATION_WORDS
                        ", from 1s to 120s"},
    {"timeout: 999ms\n",
        "f:1:10: 'timeout' is '999ms'; expected " DURATION_WORDS
        ", from 1s to 120s"},
    {"timeout: off\n", "f:1:10: 'timeout' is 'off'; expected " DURATION_WORDS
                       ", from 1s to 120s"},
    {"timeout: 9223372036854775807d\n",
        "f:1:10: 'timeout' is '9223372036854775807d'; expected " DURATION_WORDS
        ", from 1s to 120s"},
    {"ping: 2h\n", "f:1:7: 'ping' is '2h'; expected " DURATION_WORDS
                   ", at most 1h, or off"},
    {"size: 8T\n",
        "f:1:7: 'size' is '8T'; expected " SIZE_WORDS ", at least 1K"},
    {"size: 1023\n",
        "f:1:7: 'size' is '1023'; expected " SIZE_WORDS ", at least 1K"},
    {"rate: 5\n",
        "f:1:7: 'rate' is '5'; expected a rate such as 5/s or 100/m, at most "
        "100/s"},
    {"rate: 6001/m\n",
        "f:1:7: 'rate' is '6001/m'; expected a rate such as 5/s or 100/m, at "
        "most 100/s"},
    {"balance: lest_conn\n",
        "f:1:10: 'balance' is 'lest_conn'; expected one of round_robin, "
        "least_conn; did you mean 'least_conn'?"},
    {"balance: x\n",
        "f:1:10: 'balance' is 'x'; expected one of round_robin, least_conn"},
    {"file: \"\"\n", "f:1:7: 'file' is ''; expected a path"},
    {"name: [a]\n", "f:1:7: 'name' is a list; expected one value, a text"},
    {"name: {a: b}\n",
        "f:1:7: 'name' is a section; expected one value, a text"},
    {"hosts: {a: b}\n", "f:1:8: 'hosts' is a section; expected a value or a "
                        "list of values"},
    {"hosts: [a, [b]]\n",
        "f:1:12: an item of 'hosts' is a list; expected one value"},
    {"hosts:\n  - a\n  -\n", "f:3:4: an item of 'hosts' is empty; remove it "
                             "or write a value"},
    {"hosts: [a, b, c, d]\n", "f:1:8: 'hosts' has 4 items; expected at most 3"},
    {"health: x\n", "f:1:9: 'health' is one value; expected a section of "
                    "'name: value'"},
    {"health: [x]\n",
        "f:1:9: 'health' is a list; expected a section of 'name: value'"},
    {"listen: [[x]]\n", "f:1:10: expected an address"},
    {"pools: [a]\n",
        "f:1:8: 'pools' is a list; expected a section of named items"},
    {"pools: x\n",
        "f:1:8: 'pools' is one value; expected a section of named items"},
    {"pools: {a: x}\n", "f:1:12: 'pools' is one value; expected a section of "
                        "'name: value'"},
    {"custom: bad\n", "f:1:9: 'custom' is bad"},
    {"listen: [a, b, {address: c, tls: d}]\nhosts: x\n",
        "f:1:34: 'tls' is 'd'; expected true or false"},
};

START_TEST(config_table_refuses_with_exact_words_and_leaves_nothing)
{
    static const struct sample zero;
    struct sample c = {0};
    struct err err = {0};

    ck_assert_msg(!fill_table(rows, refused[_i].text, &c, &err), "accepted: %s",
        refused[_i].text);
    ck_assert_msg(strcmp(err.text, refused[_i].error) == 0, "%s: %s",
        refused[_i].text, err.text);
    ck_assert_int_eq(err.kind, ERR_CONFIG);
    ck_assert_mem_eq(&c, &zero, sizeof(c));
}
END_TEST

START_TEST(config_table_asks_for_a_required_key_without_any_file)
{
    struct inner inner = {0};
    struct err err = {0};

    ck_assert(!config_table_fill(inner_rows, NULL, &inner, &err));
    ck_assert_str_eq(err.text, "'path' is missing");
}
END_TEST

START_TEST(config_table_shows_no_secret_in_an_error)
{
    static const struct config_row secret_rows[] = {
        {.name = "pin", .type = CONF_INT, .offset = 0, .secret = true},
        {.name = NULL},
    };
    int64_t pin = 0;
    struct err err = {0};

    ck_assert(!fill_table(secret_rows, "pin: hunter2\n", &pin, &err));
    ck_assert_str_eq(
        err.text, "f:1:6: 'pin' is '***'; expected a whole number");
}
END_TEST

/* ---- dump and schema ------------------------------------------------------ */

START_TEST(config_table_dump_reads_as_the_same)
{
    static const char *const dump =
        "name: \"a: $${b} \\\"c\\\" \\x01\"\nsecret: \"***\"\n"
        "file: /dev/null\nflag: false\nnumber: 3\ntimeout: 10s\nping: off\n"
        "size: 1500\nrate: 5/s\nbalance: least_conn\nhosts: [\"*\", x]\n"
        "listen: []\npools: {}\ncustom: <c>\n";
    struct buf out;
    struct sample c;

    fill("name: \"a: $${b} \\\"c\\\" \\x01\"\nsecret: hunter2\nflag: off\n"
         "ping: off\nsize: 1500\nhosts: ['*', x]\n",
        &c);
    buf_init(&out, 65536);
    ck_assert(config_table_dump(rows, &c, &out));
    ck_assert_str_eq(buf_cstr(&out), dump);
    give_back(&c);
    fill(buf_cstr(&out), &c);
    ck_assert_str_eq(c.name, "a: ${b} \"c\" \x01");
    give_back(&c);
    buf_fini(&out);
}
END_TEST

START_TEST(config_table_dump_writes_sections_lists_and_maps)
{
    struct sample c;
    struct buf out;

    fill("health: {path: /h}\nlisten: [\":80\", {address: b, tls: off}]\n"
         "pools: {a b: {address: x}}\n",
        &c);
    buf_init(&out, 65536);
    ck_assert(config_table_dump(rows, &c, &out));
    ck_assert_ptr_nonnull(strstr(buf_cstr(&out),
        "hosts: [a, b]\nhealth:\n  path: /h\n  interval: 10s\nlisten:\n"
        "  - address: \":80\"\n    tls: true\n  - address: b\n    tls: false\n"
        "pools:\n  \"a b\":\n    address: x\n    tls: true\n"));
    give_back(&c);
    fill(buf_cstr(&out), &c);
    ck_assert_uint_eq(c.listen.count, 2);
    ck_assert_str_eq(((struct item *)c.pools.items)->key, "a b");
    give_back(&c);
    buf_fini(&out);
}
END_TEST

START_TEST(config_table_dump_says_when_the_buffer_is_full)
{
    struct sample c;
    struct buf out;

    fill("health: {path: /h}\nlisten: [x]\npools: {a: {address: x}}\n", &c);
    for (size_t max = 0; max < 300; max++) {
        buf_init(&out, max);
        ck_assert(!config_table_dump(rows, &c, &out) || max > 200);
        buf_fini(&out);
    }
    give_back(&c);
}
END_TEST

START_TEST(config_table_schema_is_json_with_every_key)
{
    json_error_t error;
    json_t *schema, *properties;
    struct buf out;

    buf_init(&out, 65536);
    ck_assert(config_table_schema(rows, "sample", &out));
    schema = json_loads(buf_cstr(&out), 0, &error);
    ck_assert_msg(schema != NULL, "%s at %d", error.text, error.position);
    ck_assert_str_eq(
        json_string_value(json_object_get(schema, "title")), "sample");
    ck_assert_str_eq(json_string_value(json_object_get(schema, "$schema")),
        "https://json-schema.org/draft/2020-12/schema");
    properties = json_object_get(schema, "properties");
    for (int i = 0; rows[i].name != NULL; i++)
        ck_assert_msg(json_object_get(properties, rows[i].name) != NULL, "%s",
            rows[i].name);
    ck_assert_str_eq(json_string_value(json_object_get(
                         json_object_get(properties, "name"), "description")),
        "a \"name\"");
    json_decref(schema);
    buf_fini(&out);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("config_table");
    TCase *all = tcase_create("all");
    SRunner *runner;
    int failed;

    tcase_add_test(all, config_table_fills_defaults_when_nothing_is_written);
    tcase_add_test(all, config_table_fills_what_is_written);
    tcase_add_test(all, config_table_takes_an_empty_value_for_an_absent_one);
    tcase_add_test(all, config_table_takes_lists_and_their_short_forms);
    tcase_add_test(all, config_table_takes_one_for_a_list_of_one);
    tcase_add_loop_test(all,
        config_table_refuses_with_exact_words_and_leaves_nothing, 0,
        COUNT(refused));
    tcase_add_test(all, config_table_asks_for_a_required_key_without_any_file);
    tcase_add_test(all, config_table_shows_no_secret_in_an_error);
    tcase_add_test(all, config_table_dump_reads_as_the_same);
    tcase_add_test(all, config_table_dump_writes_sections_lists_and_maps);
    tcase_add_test(all, config_table_dump_says_when_the_buffer_is_full);
    tcase_add_test(all, config_table_schema_is_json_with_every_key);
    suite_add_tcase(suite, all);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
