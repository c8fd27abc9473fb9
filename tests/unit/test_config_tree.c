/*
 * config_tree: what YAML is read, and the exact words for what
 * is refused. Input: tables of files. Output: Check's report.
 */
#include "shared/config_tree.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

static const char *
fake_env(const char *name)
{
    if (strcmp(name, "SET") == 0)
        return "value";
    if (strcmp(name, "EMPTY") == 0)
        return "";
    return NULL;
}

static struct config_tree *
parse(const char *text)
{
    struct config_tree *tree = NULL;
    struct err err = {0};

    if (!config_tree_parse("f", span_str(text), fake_env, &tree, &err))
        ck_abort_msg("%s: %s", text, err.text);
    return tree;
}

/* ---- refused -------------------------------------------------------------- */

static const struct {
    const char *what;
    const char *text;
    const char *error;
} refused[] = {
    {"a duplicate key", "a: b\nc: d\na: e\n",
        "f:3:1: 'a' is set twice, first at f:1:1; keep one of them"},
    {"a duplicate key in braces", "a: {b: 1, b: 2}\n",
        "f:1:11: 'b' is set twice, first at f:1:5; keep one of them"},
    {"a duplicate after expansion", "value: 1\n${SET}: 2\n",
        "f:2:1: 'value' is set twice, first at f:1:1; keep one of them"},
    {"a tab before a key", "\ta: b\n",
        "f:1:1: a tab in the indentation; use spaces"},
    {"a tab before an inner key", "a:\n\tb: c\n",
        "f:2:1: a tab in the indentation; use spaces"},
    {"a tab below a value", "a: b\n\tc: d\n",
        "f:2:1: a tab in the indentation; use spaces"},
    {"a tab in a block text", "a: |\n\tb\n",
        "f:2:1: a tab in the indentation; use spaces"},
    {"a merge key", "a:\n  <<: b\n",
        "f:2:3: merge keys ('<<') are not allowed; write the values out"},
    {"a second document", "a: b\n---\nc: d\n",
        "f:2:1: a second document begins here; a file holds one, put the "
        "other into conf.d/*.yaml"},
    {"a document behind an end mark", "a: b\n...\nc: d\n",
        "f:3:1: a second document begins here; a file holds one, put the "
        "other into conf.d/*.yaml"},
    {"an anchor", "a: &x b\n",
        "f:1:4: anchors are not allowed; for a text that begins with '&x' put "
        "it in quotes"},
    {"an anchor on a list", "a: &x [b]\n",
        "f:1:4: anchors are not allowed; for a text that begins with '&x' put "
        "it in quotes"},
    {"an alias", "a: *foo\n",
        "f:1:4: aliases are not allowed; for the text '*foo' put it in "
        "quotes: \"*foo\""},
    {"an alias as a name", "*foo : b\n",
        "f:1:1: aliases are not allowed; for the text '*foo' put it in "
        "quotes: \"*foo\""},
    {"an alias bomb",
        "a: &a [x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]\n",
        "f:1:4: anchors are not allowed; for a text that begins with '&a' put "
        "it in quotes"},
    {"a tag", "a: !!str b\n",
        "f:1:4: tags are not allowed; for a text that begins with '!' put it "
        "in quotes"},
    {"a file cut off in a list", "a: [b, c",
        "f:1:4: '[' is never closed; close it with ']'"},
    {"a file cut off in braces", "a: {b: c\n",
        "f:1:4: '{' is never closed; close it with '}'"},
    {"a file cut off behind a comma", "a:\n  - {b: c,\n",
        "f:3:1: the file ends where a value should stand; is it cut off?"},
    {"a list that runs into the next line", "a: [b,\nc: d\n",
        "f:1:4: '[' is never closed; close it with ']'"},
    {"a file cut off in double quotes", "a: b\nc: \"de",
        "f:2:4: a text in quotes begins here and never ends; close it with "
        "\""},
    {"a file cut off in single quotes", "a: 'b\nc: d\n",
        "f:1:4: a text in quotes begins here and never ends; close it with '"},
    {"bytes that are not UTF-8", "a: \xc3\xa9\xff\n",
        "f:1:5: byte 0xff is not UTF-8; save the file as UTF-8"},
    {"UTF-16",
        "\xff\xfe"
        "a",
        "f:1:1: byte 0xff is not UTF-8; save the file as UTF-8"},
    {"an overlong sequence", "a: \xc0\xaf\n",
        "f:1:4: byte 0xc0 is not UTF-8; save the file as UTF-8"},
    {"a control character", "a: b\nc: \x01\n",
        "f:2:4: control character 0x01; remove it, or write it as \"\\x01\""},
    {"a NUL by escape", "a: \"b\\0c\"\n",
        "f:1:4: the text holds a NUL byte (\\0); remove it"},
    {"an address without quotes", "listen: [::]:443\n",
        "f:1:9: YAML takes '[' and ':' as its own signs; put it in quotes: "
        "\"[::]:443\""},
    {"an address in a list without quotes", "listen:\n  - [::]:443\n",
        "f:2:5: YAML takes '[' and ':' as its own signs; put it in quotes: "
        "\"[::]:443\""},
    {"an address in brackets without quotes", "listen: [[::]:443]\n",
        "f:1:10: a list or section can't be a name; put a text such as "
        "\"[::]:443\" in quotes"},
    {"an address in braces without quotes", "l: {address: [::]:443}\n",
        "f:1:14: YAML takes '[' and ':' as its own signs; put it in quotes: "
        "\"[::]:443\""},
    {"a port alone in brackets", "listen: [:443]\n",
        "f:1:10: YAML takes '[' and ':' as its own signs; put it in quotes: "
        "\":443\""},
    {"a pattern without quotes", "path: *.pem\n",
        "f:1:7: a value can't begin with '*'; put it in quotes: \"*.pem\""},
    {"a pattern in brackets", "hosts: [*.example.org]\n",
        "f:1:9: a value can't begin with '*'; put it in quotes: "
        "\"*.example.org\""},
    {"a pattern with a comment", "path: *.pem # all\n",
        "f:1:7: a value can't begin with '*'; put it in quotes: \"*.pem\""},
    {"an at sign", "x: @x\n",
        "f:1:4: a value can't begin with '@'; put it in quotes: \"@x\""},
    {"a backtick", "x: `x`\n",
        "f:1:4: a value can't begin with '`'; put it in quotes: \"`x`\""},
    {"a percent sign", "x: %a\n",
        "f:1:4: a value can't begin with '%'; put it in quotes: \"%a\""},
    {"an ampersand", "x: &.a\n",
        "f:1:4: a value can't begin with '&'; put it in quotes: \"&.a\""},
    {"a greater sign", "x: >a\n",
        "f:1:4: a value can't begin with '>'; put it in quotes: \">a\""},
    {"an exclamation mark", "x: !a!b c\n",
        "f:1:4: a value can't begin with '!'; put it in quotes: \"!a!b c\""},
    {"a variable in braces", "{a: ${B:-c}}\n",
        "f:1:5: '${' within [ ] or { } is taken for YAML's own sign; put it "
        "in quotes: \"${B:-c}\""},
    {"a variable in brackets", "x: [a, ${SET}]\n",
        "f:1:8: '${' within [ ] or { } is taken for YAML's own sign; put it "
        "in quotes: \"${SET}\""},
    {"two colons in a line", "a: b: c\n",
        "f:1:5: a second ': ' in one value; put it in quotes: \"b: c\""},
    {"a key below a value", "a: b\n  c: d\n",
        "f:2:4: a 'name: value' below a line that has its value already; "
        "align it with the line it belongs to"},
    {"a line without a colon", "a: b\nc\nd: e\n",
        "f:2:1: expected 'name: value', found 'c'"},
    {"an indentation of its own", "a:\n  b: c\n d: e\n",
        "f:3:2: the indentation fits no line above; align it with the lines "
        "of its section"},
    {"a list item among keys", "a: b\n- c\n",
        "f:2:1: a list item among 'name: value' lines; indent it below its "
        "own name"},
    {"a key among list items", "- a\nb: c\n",
        "f:2:1: expected '- ' as before the other items of this list"},
    {"a dash behind a key", "a: - b\n",
        "f:1:4: a list can't begin behind its name; begin it on the next line "
        "or write [a, b]"},
    {"text behind a list", "a: [b] c\n",
        "f:1:8: text behind the end of the value; put it in quotes: \"[b] "
        "c\""},
    {"text behind quotes", "a: 'it's'\n",
        "f:1:8: text behind the end of the value; put it in quotes"},
    {"a bracket too many", "a: [b]]\n",
        "f:1:7: a ']' that closes nothing; remove it"},
    {"the wrong bracket", "a: [b}\n",
        "f:1:6: expected ',' or ']' here; is a value before it that wants "
        "quotes?"},
    {"two commas", "a: [b, , c]\n",
        "f:1:8: a ',' where a value should stand; remove one of the commas"},
    {"an unknown escape", "a: \"\\q\"\n",
        "f:1:5: unknown escape in a text in quotes; write \\\\ for a "
        "backslash, or use single quotes"},
    {"a list as a name", "? [a]\n: b\n",
        "f:1:3: a list or section can't be a name; put a text such as "
        "\"[::]:443\" in quotes"},
    {"a value without a name", ": b\n",
        "f:1:1: a value without a name; write 'name: value'"},
    {"a list for a file", "- a\n- b\n",
        "f:1:1: expected 'name: value' lines, found a list"},
    {"a text for a file", "a:b\n",
        "f:1:1: expected 'name: value' lines, found a text without a name; a "
        "blank belongs behind the ':'"},
    {"a directive", "%FOO\n---\na: b\n",
        "f:1:5: not valid YAML: found unknown directive name"},
    {"an unset variable", "a:\n  b: ${UNSET}\n",
        "f:2:6: the variable UNSET is not set; set it, or write "
        "${UNSET:-default}"},
    {"an empty variable", "a: x${EMPTY}\n",
        "f:1:4: the variable EMPTY is empty; set it, or write "
        "${EMPTY:-default}"},
    {"a variable that never ends", "a: ${SET\n",
        "f:1:4: '${' without '}'; write ${NAME}, or $${ for a plain '${'"},
    {"a variable without a name", "a: ${}\n",
        "f:1:4: '${}' names no variable; write ${NAME} or ${NAME:-default}, "
        "or $${ for a plain '${'"},
    {"a form of other shells", "a: ${SET:?no}\n",
        "f:1:4: '${SET:?no}' names no variable; write ${NAME} or "
        "${NAME:-default}, or $${ for a plain '${'"},
    {"a variable in a default", "a: ${A:-${SET}}\n",
        "f:1:4: '${A:-${SET}' holds another '${'; a default is plain text"},
};

START_TEST(config_tree_refuses_with_exact_words)
{
    struct config_tree *tree = NULL;
    struct err err = {0};

    ck_assert_msg(!config_tree_parse(
                      "f", span_str(refused[_i].text), fake_env, &tree, &err),
        "%s was accepted", refused[_i].what);
    ck_assert_msg(strcmp(err.text, refused[_i].error) == 0, "%s: %s",
        refused[_i].what, err.text);
    ck_assert_int_eq(err.kind, ERR_CONFIG);
    ck_assert_ptr_null(tree);
}
END_TEST

/* Every cut and every one-byte slip of a rich file: an answer, no crash. */
START_TEST(config_tree_survives_every_cut_and_slip)
{
    static const char file[] =
        "# x\na: {b: [1, \"${SET}\"], c: 'd'}\ne:\n  - f: |\n      g\n"
        "    \"h\\x41\": ${I:-j}\nk: \xc3\xa9\nl: >-\n  m\n";
    static const char slips[] = "\t[{*&!@:-\"'\xff\n ,}";
    char text[sizeof(file)];
    struct config_tree *tree = NULL;
    struct err err;

    for (size_t at = 0; at < sizeof(file); at++) {
        if (config_tree_parse("f", span_make(file, at), fake_env, &tree, &err))
            config_tree_free(tree);
        else
            ck_assert_int_eq(err.kind, ERR_CONFIG);
        for (size_t i = 0; at + 1 < sizeof(file) && i + 1 < sizeof(slips);
             i++) {
            memcpy(text, file, sizeof(file));
            text[at] = slips[i];
            if (config_tree_parse("f", span_str(text), fake_env, &tree, &err))
                config_tree_free(tree);
            else
                ck_assert_int_eq(strncmp(err.text, "f:", 2), 0);
        }
    }
}
END_TEST

/* `depth` lists in one another below a key: depth + 1 levels. */
static void
nest(char *text, size_t size, int depth)
{
    int n = snprintf(text, size, "a: %.*s%.*s\n", depth,
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", depth,
        "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");

    ck_assert_int_lt(n, (int)size);
}

START_TEST(config_tree_nests_32_levels_and_no_more)
{
    struct config_tree *tree = NULL;
    struct err err = {0};
    char text[128];

    nest(text, sizeof(text), 31);
    config_tree_free(parse(text));
    nest(text, sizeof(text), 32);
    ck_assert(!config_tree_parse("f", span_str(text), fake_env, &tree, &err));
    ck_assert_str_eq(err.text, "f:1:35: nested deeper than 32 levels");
}
END_TEST

/* What conf.d makes of many files is one text for the workers. */
START_TEST(config_tree_takes_a_text_larger_than_a_file_may_be)
{
    size_t len = 4 << 20;
    char *text = malloc(len);
    struct config_tree *tree = NULL;
    struct err err = {0};

    ck_assert_ptr_nonnull(text);
    memset(text, '\n', len);
    ck_assert(config_tree_parse("f", span_make(text, len), NULL, &tree, &err));
    config_tree_free(tree);
    free(text);
}
END_TEST

/* ---- accepted ------------------------------------------------------------- */

static const struct {
    const char *what;
    const char *written;
    const char *text;
    bool is_null;
} scalars[] = {
    {"a plain text", "b", "b", false},
    {"a word that YAML 1.1 takes for a truth", "on", "on", false},
    {"a time that YAML 1.1 takes for a number", "1:30", "1:30", false},
    {"a plain null", "null", "null", true},
    {"a tilde", "~", "~", true},
    {"nothing", "", "", true},
    {"an empty text in quotes", "\"\"", "", false},
    {"null in quotes", "'null'", "null", false},
    {"a variable", "${SET}", "value", false},
    {"a variable in a text", "a/${SET}/b", "a/value/b", false},
    {"a default for an unset one", "${UNSET:-b c}", "b c", false},
    {"a default for an empty one", "${EMPTY:-x}", "x", false},
    {"a default that is not needed", "${SET:-x}", "value", false},
    {"an empty default", "a${UNSET:-}", "a", false},
    {"a default with a colon", "${UNSET:-127.0.0.1:9}", "127.0.0.1:9", false},
    {"a doubled dollar", "$${SET} $$", "${SET} $", false},
    {"a dollar alone", "^a$", "^a$", false},
    {"a dollar before a letter", "$x", "$x", false},
    {"a variable in quotes in braces", "\"${UNSET:-c}\"", "c", false},
    {"UTF-8", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
        "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", false},
    {"an address", "0.0.0.0:443", "0.0.0.0:443", false},
};

START_TEST(config_tree_reads_scalars_as_text)
{
    char text[128];
    struct config_tree *tree;
    const struct config_node *node;

    ck_assert_int_lt(
        snprintf(text, sizeof(text), "a: %s\n", scalars[_i].written),
        (int)sizeof(text));
    tree = parse(text);
    node = config_node_get(tree->root, "a");
    ck_assert_ptr_nonnull(node);
    ck_assert_int_eq(node->kind, CONFIG_SCALAR);
    ck_assert_str_eq(node->text, scalars[_i].text);
    ck_assert_int_eq(node->is_null, scalars[_i].is_null);
    config_tree_free(tree);
}
END_TEST

static void
assert_mark(const struct config_mark *m, unsigned line, unsigned column)
{
    ck_assert_str_eq(m->file, "f");
    ck_assert_uint_eq(m->line, line);
    ck_assert_uint_eq(m->column, column);
}

START_TEST(config_tree_knows_the_place_of_every_value)
{
    struct config_tree *tree =
        parse("# x\nsites:\n  - hosts: [a, 'b']\n    port:  1\nz: {y: x}\n");
    const struct config_node *sites = config_node_get(tree->root, "sites");
    const struct config_node *hosts = config_node_get(sites->items[0], "hosts");
    const struct config_node *port = config_node_get(sites->items[0], "port");
    const struct config_node *z = config_node_get(tree->root, "z");

    assert_mark(&tree->root->mark, 2, 1);
    assert_mark(&sites->key_mark, 2, 1);
    assert_mark(&sites->mark, 3, 3);
    assert_mark(&sites->items[0]->mark, 3, 5);
    assert_mark(&hosts->mark, 3, 12);
    assert_mark(&hosts->items[1]->mark, 3, 16);
    assert_mark(&port->key_mark, 4, 5);
    assert_mark(&port->mark, 4, 12);
    assert_mark(&config_node_get(z, "y")->mark, 5, 8);
    ck_assert_ptr_null(config_node_get(z, "x"));
    ck_assert_ptr_null(config_node_get(hosts, "x"));
    ck_assert_ptr_null(config_node_get(NULL, "x"));
    ck_assert_uint_eq(tree->file_count, 1);
    config_tree_free(tree);
}
END_TEST

static const char *const empties[] = {
    "", "\n", "# c\n", "---\n", "~\n", "\xef\xbb\xbf", "--- # c\n...\n"};

START_TEST(config_tree_takes_an_empty_file_for_an_empty_mapping)
{
    struct config_tree *tree = parse(empties[_i]);

    ck_assert_int_eq(tree->root->kind, CONFIG_MAPPING);
    ck_assert_uint_eq(tree->root->count, 0);
    ck_assert_ptr_null(tree->root->text);
    config_tree_free(tree);
}
END_TEST

START_TEST(config_tree_reads_the_span_that_has_no_bytes)
{
    struct config_tree *tree = NULL;
    struct err err = {0};

    ck_assert(config_tree_parse("f", SPAN_EMPTY, NULL, &tree, &err));
    config_tree_free(tree);
}
END_TEST

START_TEST(config_tree_without_environment_has_no_variables)
{
    struct config_tree *tree = NULL;
    struct err err = {0};

    ck_assert(
        !config_tree_parse("f", SPAN_LIT("a: ${SET}"), NULL, &tree, &err));
    ck_assert_str_eq(err.text,
        "f:1:4: the variable SET is not set; set it, or write "
        "${SET:-default}");
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("config_tree");
    TCase *text = tcase_create("text");
    SRunner *runner;
    int failed;

    tcase_add_loop_test(
        text, config_tree_refuses_with_exact_words, 0, COUNT(refused));
    tcase_add_test(text, config_tree_survives_every_cut_and_slip);
    tcase_add_test(text, config_tree_nests_32_levels_and_no_more);
    tcase_add_test(text, config_tree_takes_a_text_larger_than_a_file_may_be);
    tcase_add_loop_test(
        text, config_tree_reads_scalars_as_text, 0, COUNT(scalars));
    tcase_add_test(text, config_tree_knows_the_place_of_every_value);
    tcase_add_loop_test(text,
        config_tree_takes_an_empty_file_for_an_empty_mapping, 0,
        COUNT(empties));
    tcase_add_test(text, config_tree_reads_the_span_that_has_no_bytes);
    tcase_add_test(text, config_tree_without_environment_has_no_variables);
    suite_add_tcase(suite, text);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
