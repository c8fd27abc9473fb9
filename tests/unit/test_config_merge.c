/*
 * config_tree_load: a file with the conf.d beside it, and what does not merge.
 * Input: files in a temporary folder. Output: Check's report.
 */
#include "shared/config_tree.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

static char folder[64];

static void
setup(void)
{
    (void)snprintf(folder, sizeof(folder), "/tmp/test_config_tree.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void
path_of(const char *name, char *path, size_t size)
{
    ck_assert_int_lt(snprintf(path, size, "%s/%s", folder, name), (int)size);
}

static void
teardown(void)
{
    static const char *const names[] = {"main.yaml", "conf.d/a.yaml",
        "conf.d/b.yaml", "conf.d/.x.yaml", "conf.d/c.yaml.bak", "conf.d"};
    char path[128];

    for (int i = 0; i < COUNT(names); i++) {
        path_of(names[i], path, sizeof(path));
        (void)remove(path);
    }
    (void)rmdir(folder);
}

static void
put(const char *name, const char *text)
{
    char path[128];
    FILE *f;

    if (text == NULL)
        return;
    if (strncmp(name, "conf.d/", 7) == 0) {
        path_of("conf.d", path, sizeof(path));
        (void)mkdir(path, 0700);
    }
    path_of(name, path, sizeof(path));
    f = fopen(path, "we");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    ck_assert_int_eq(fclose(f), 0);
}

static bool
load(struct config_tree **tree, struct err *err)
{
    char path[128];

    path_of("main.yaml", path, sizeof(path));
    return config_tree_load(path, NULL, tree, err);
}

/* The error without the temporary folder's name. */
static void
strip_folder(char *text)
{
    size_t len = strlen(folder) + 1;
    char *hit;

    while ((hit = strstr(text, folder)) != NULL)
        memmove(hit, hit + len, strlen(hit + len) + 1);
}

static const struct {
    const char *what;
    const char *files[3]; /* main, conf.d/a, conf.d/b */
    const char *error;
} unmergeable[] = {
    {"the same scalar twice", {"a: {b: 1}\n", "a:\n  b: 2\n"},
        "conf.d/a.yaml:2:3: 'b' is set twice, first at main.yaml:1:5; keep one "
        "of them"},
    {"the same scalar in two fragments", {"", "a: 1\n", "x: y\na: 1\n"},
        "conf.d/b.yaml:2:1: 'a' is set twice, first at conf.d/a.yaml:1:1; keep "
        "one of them"},
    {"a list and a section", {"a: [b]\n", "a: {b: c}\n"},
        "conf.d/a.yaml:1:1: 'a' is a section here and a list at main.yaml:1:1; "
        "write both the same way"},
    {"a list and one value", {"a: [b]\n", "a: c\n"},
        "conf.d/a.yaml:1:1: 'a' is one value here and a list at "
        "main.yaml:1:1; write both the same way"},
    {"an error within a fragment", {"a: b\n", "c: [\n"},
        "conf.d/a.yaml:2:1: the file ends where a value should stand; is it "
        "cut "
        "off?"},
    {"a fragment that is a list", {"a: b\n", "- c\n"},
        "conf.d/a.yaml:1:1: expected 'name: value' lines, found a list"},
};

START_TEST(config_tree_load_refuses_what_does_not_merge)
{
    struct config_tree *tree = NULL;
    struct err err = {0};

    put("main.yaml", unmergeable[_i].files[0]);
    put("conf.d/a.yaml", unmergeable[_i].files[1]);
    put("conf.d/b.yaml", unmergeable[_i].files[2]);
    ck_assert(!load(&tree, &err));
    strip_folder(err.text);
    ck_assert_str_eq(err.text, unmergeable[_i].error);
    ck_assert_int_eq(err.kind, ERR_CONFIG);
}
END_TEST

START_TEST(config_tree_load_merges_by_section)
{
    const struct config_node *pools, *sites;
    struct config_tree *tree = NULL;
    struct err err = {0};

    put("main.yaml", "pools: {a: {x: 1}}\nsites: [{h: 1}]\nempty:\nfull: 1\n");
    put("conf.d/b.yaml", "sites: [{h: 3}]\nempty: {k: v}\n");
    put("conf.d/a.yaml", "pools:\n  b: {y: 1}\n  a: {z: 1}\nsites:\n"
                         "  - h: 2\nfull:\n");
    put("conf.d/.x.yaml", "full: 2\n");
    put("conf.d/c.yaml.bak", "full: 2\n");
    ck_assert_msg(load(&tree, &err), "%s", err.text);
    ck_assert_uint_eq(tree->file_count, 3);
    ck_assert_ptr_nonnull(strstr(tree->files[1], "/conf.d/a.yaml"));
    pools = config_node_get(tree->root, "pools");
    sites = config_node_get(tree->root, "sites");
    ck_assert_uint_eq(pools->count, 2);
    ck_assert_uint_eq(config_node_get(pools, "a")->count, 2);
    ck_assert_uint_eq(sites->count, 3);
    ck_assert_str_eq(config_node_get(sites->items[1], "h")->text, "2");
    ck_assert_str_eq(config_node_get(sites->items[2], "h")->text, "3");
    ck_assert_ptr_nonnull(strstr(sites->items[2]->mark.file, "b.yaml"));
    ck_assert_str_eq(
        config_node_get(config_node_get(tree->root, "empty"), "k")->text, "v");
    ck_assert_str_eq(config_node_get(tree->root, "full")->text, "1");
    config_tree_free(tree);
}
END_TEST

START_TEST(config_tree_load_names_a_file_that_is_not_there)
{
    struct config_tree *tree = NULL;
    struct err err = {0};

    ck_assert(!load(&tree, &err));
    strip_folder(err.text);
    ck_assert_str_eq(err.text, "main.yaml: No such file or directory");
    ck_assert_int_eq(err.kind, ERR_SYSTEM);
}
END_TEST

START_TEST(config_tree_load_refuses_a_folder_and_a_large_file)
{
    struct config_tree *tree = NULL;
    struct err err = {0};
    char path[128];

    ck_assert(!config_tree_load(folder, NULL, &tree, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "Is a directory"));
    put("main.yaml", "");
    path_of("main.yaml", path, sizeof(path));
    ck_assert_int_eq(truncate(path, (1 << 20) + 1), 0);
    ck_assert(!load(&tree, &err));
    strip_folder(err.text);
    ck_assert_str_eq(err.text, "main.yaml:1:1: larger than 1 MiB; move parts "
                               "of it into conf.d/*.yaml");
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("config_merge");
    TCase *files = tcase_create("files");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(files, setup, teardown);
    tcase_add_loop_test(files, config_tree_load_refuses_what_does_not_merge, 0,
        COUNT(unmergeable));
    tcase_add_test(files, config_tree_load_merges_by_section);
    tcase_add_test(files, config_tree_load_names_a_file_that_is_not_there);
    tcase_add_test(files, config_tree_load_refuses_a_folder_and_a_large_file);
    suite_add_tcase(suite, files);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
